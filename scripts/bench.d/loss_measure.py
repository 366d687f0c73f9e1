"""The measure of the loss benchmark: BERT's losses on the fixed validation samples.

    loss_measure.py SAMPLES FOLDER... [--threads N]

SAMPLES is a folder of `gramme samples --split validation`: sequences, masks and pairs
that our own evaluator measures. Each FOLDER holds a model for transformers, of ours or of
a peer. Prints a JSON object in a line for each, computed in f32.
"""

import argparse
import json
import pathlib

import numpy as np
import torch
import transformers
from transformers import BertForPreTraining

PAD = 0


def load(folder):
    """The samples as tensors: ids, types, labels, next."""
    return [torch.from_numpy(np.load(pathlib.Path(folder) / f"{name}.npy").astype(np.int64)) for name in ("ids", "types", "labels", "next")]


@torch.inference_mode()
def measure(model, samples, rows=64):
    """Mean losses over predictions and over pairs, and the share of right answers."""
    ids, types, labels, following = samples
    mlm = nsp = words = 0.0
    predictions = pairs = 0
    cross = torch.nn.functional.cross_entropy
    for i in range(0, len(ids), rows):
        some = slice(i, i + rows)
        hidden = model.bert(input_ids=ids[some], token_type_ids=types[some], attention_mask=(ids[some] != PAD).long())
        at = (labels[some].flatten() >= 0).nonzero().flatten()
        want = labels[some].flatten()[at]
        logits = model.cls.predictions(hidden.last_hidden_state.flatten(0, 1).index_select(0, at))
        pair = model.cls.seq_relationship(hidden.pooler_output)
        mlm += cross(logits, want, reduction="sum").item()
        words += (logits.argmax(1) == want).sum().item()
        nsp += cross(pair, following[some], reduction="sum").item()
        pairs += (pair.argmax(1) == following[some]).sum().item()
        predictions += len(want)
    return {"loss": mlm / predictions, "accuracy": words / predictions, "nsp_loss": nsp / len(ids), "nsp_accuracy": pairs / len(ids), "predictions": predictions}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("samples")
    p.add_argument("folders", nargs="+")
    p.add_argument("--threads", type=int, default=2)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    samples = load(a.samples)
    for folder in a.folders:
        model = BertForPreTraining.from_pretrained(folder, dtype=torch.float32).eval()
        print(json.dumps({"folder": folder, **measure(model, samples)}), flush=True)


if __name__ == "__main__":
    main()
