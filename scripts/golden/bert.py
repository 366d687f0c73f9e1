"""Writes the golden vectors of worker/bert with Hugging Face's BertForPreTraining.

    scripts/python scripts/golden/bert.py worker/bert/testdata/golden.safetensors

The file holds the weights and the batch, and for each model in CASES what comes
out: logits, losses, and the gradient of every parameter for the sum of the two
mean losses. It is computed in float64, so that what differs from it is the error
of whoever compares.
"""

import json
import pathlib
import sys

import numpy as np
import torch
import transformers
from safetensors.numpy import save
from transformers import BertConfig, BertForPreTraining

# Name: hidden_act, heads, pad_token_id.
CASES = {"gelu": ("gelu", 4, 0), "gelu_new": ("gelu_new", 2, 3)}

ROWS, SEQ, LENGTHS = 3, 24, (24, 17, 9)
MASKED = [(0, 1), (0, 7), (0, 22), (1, 3), (1, 4), (1, 15), (2, 6)]


def config(act, heads, pad):
    return BertConfig(
        vocab_size=97,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=heads,
        intermediate_size=64,
        max_position_embeddings=40,
        type_vocab_size=2,
        hidden_act=act,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=pad,
        attn_implementation="eager",
    )


def weights(model, draw):
    """Wider than an initialisation, so that no part of the model is nearly linear."""
    out = {}
    for name, p in sorted(model.named_parameters()):
        w = draw.normal(0, 0.15, p.shape)
        if name.endswith("LayerNorm.weight"):
            w += 1
        out[name] = w.astype(np.float32)
    return out


def batch(draw):
    ids = draw.integers(5, 97, (ROWS, SEQ))
    mask = np.zeros((ROWS, SEQ), np.int64)
    types = np.zeros((ROWS, SEQ), np.int64)
    for row, length in enumerate(LENGTHS):
        mask[row, :length] = 1
        types[row, length // 2 : length] = 1
    # Both padding tokens also where attention sees them: their rows get no
    # gradient from the embedding, but do get one from the tied decoder.
    ids[0, 5] = 0
    ids[1, 6] = 3
    ids[mask == 0] = 0
    positions = np.array([row * SEQ + col for row, col in MASKED], np.int64)
    labels = draw.integers(0, 97, len(MASKED))
    labels[2] = 0
    return {
        "ids": ids,
        "types": types,
        "mask": mask,
        "positions": positions,
        "labels": labels,
        "next": np.array([0, 1, 1], np.int64),
    }


def run(model, b):
    labels = np.full(ROWS * SEQ, -100, np.int64)
    labels[b["positions"]] = b["labels"]
    out = model(
        input_ids=torch.tensor(b["ids"]),
        token_type_ids=torch.tensor(b["types"]),
        attention_mask=torch.tensor(b["mask"]),
        labels=torch.tensor(labels).view(ROWS, SEQ),
        next_sentence_label=torch.tensor(b["next"]),
    )
    mlm = out.prediction_logits.view(ROWS * SEQ, -1)[torch.tensor(b["positions"])]
    nsp = out.seq_relationship_logits
    mlm_loss = torch.nn.functional.cross_entropy(mlm, torch.tensor(b["labels"]))
    nsp_loss = torch.nn.functional.cross_entropy(nsp, torch.tensor(b["next"]))
    assert torch.allclose(out.loss, mlm_loss + nsp_loss)
    out.loss.backward()
    found = {"mlm": mlm, "nsp": nsp, "mlm_loss": mlm_loss.view(1), "nsp_loss": nsp_loss.view(1)}
    found |= {f"gradient/{name}": p.grad for name, p in model.named_parameters()}
    return {name: t.detach().numpy().astype(np.float32) for name, t in found.items()}


def main():
    path = pathlib.Path(sys.argv[1])
    draw = np.random.Generator(np.random.PCG64(20181011))
    tensors = b = batch(draw)
    params, configs = None, {}
    for case, settings in CASES.items():
        model = BertForPreTraining(config(*settings)).double().eval()
        if params is None:
            params = weights(model, draw)
            tensors = tensors | {f"weight/{name}": w for name, w in params.items()}
        with torch.no_grad():
            for name, p in model.named_parameters():
                p.copy_(torch.tensor(params[name]))
        tensors |= {f"{case}/{name}": t for name, t in run(model, b).items()}
        configs[case] = model.config.to_dict()
    made_with = f"torch {torch.__version__.split('+')[0]}, transformers {transformers.__version__}"
    path.parent.mkdir(parents=True, exist_ok=True)
    # One entry, because the library writes several in a random order.
    about = json.dumps({"made_with": made_with, "configs": configs}, sort_keys=True)
    path.write_bytes(save(tensors, metadata={"golden": about}))
    print(path, path.stat().st_size, "bytes")


main()
