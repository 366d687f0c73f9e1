"""Checks a checkpoint's folder, and what was computed from it, with transformers.

    scripts/python scripts/golden/check_checkpoint.py FOLDER [TEXTS] < COMPUTED

BertForPreTraining must load the folder without a missing or unexpected tensor,
and AutoTokenizer its tokenizer. COMPUTED is what another program found, in JSON:

    {"texts": ["Paris is the [MASK] of France.", ["A pair", "of [MASK] texts"]],
     "ids": [[2, 87, ...], ...],
     "mlm": [[[...]], ...], "nsp": [[1.5, -2.0], ...]}

For each text: its ids with special tokens; the logits over the vocabulary at each
[MASK], in order; the two logits of the next-sentence head. Every list but ids may
be missing; nsp may also be one pair for the only text. Where "logits_file" names a
JSON file, mlm and nsp are read from there. TEXTS is a file of texts, one a line,
for a COMPUTED without them.

It prints the largest relative difference, which is that of the norms of a text's
logits, and fails when one exceeds 1e-4 or the ids differ.
"""

import json
import pathlib
import sys

import torch
from transformers import AutoTokenizer, BertForPreTraining
from transformers.utils import logging

BOUND = 1e-4

# Not in the file because they are tied to other tensors.
TIED = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}


def fail(message, hint):
    print(f"error: {message}\nhint: {hint}", file=sys.stderr)
    sys.exit(1)


def load(folder):
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model, info = BertForPreTraining.from_pretrained(folder, output_loading_info=True, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as e:  # whatever transformers raises is the finding
        fail(f"transformers cannot load {folder}: {e}", "config.json, model.safetensors and tokenizer.json must be there")
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        keys = sorted(k for k in map(str, info.get(what, ())) if k not in TIED)
        if keys:
            fail(f"{folder}: {what.replace('_', ' ')}: {', '.join(keys)}", "the file and config.json disagree")
    if info.get("error_msgs"):
        fail(f"{folder}: {info['error_msgs']}", "the file and config.json disagree")
    return model.eval(), tokenizer


def computed(argv):
    try:
        found = json.load(sys.stdin)
    except json.JSONDecodeError as e:
        fail(f"standard input is not JSON: {e}", "see the head of this script")
    if "texts" not in found and len(argv) > 2:
        found["texts"] = pathlib.Path(argv[2]).read_text(encoding="utf-8").splitlines()
    if found.get("logits_file"):
        found |= json.loads(pathlib.Path(found["logits_file"]).read_text(encoding="utf-8"))
    for name in ("texts", "ids"):
        if name not in found:
            fail(f"no {name} in what was computed", "see the head of this script")
    if found.get("nsp") and not isinstance(found["nsp"][0], list):
        found["nsp"] = [found["nsp"]]
    for name in ("ids", "mlm", "nsp"):
        if name in found and len(found[name] or []) != len(found["texts"]):
            fail(f"{name} of {len(found[name] or [])} texts, there are {len(found['texts'])}", "one entry a text")
    return found


def apart(what, got, want):
    got = torch.tensor(got, dtype=torch.float64).reshape(-1)
    want = want.double().reshape(-1)
    if got.numel() != want.numel():
        fail(f"{what}: {got.numel()} logits, transformers has {want.numel()}", "one list a [MASK], as long as the vocabulary")
    if want.numel() == 0:
        return 0.0
    return (torch.linalg.norm(got - want) / torch.linalg.norm(want)).item()


def main():
    if len(sys.argv) not in (2, 3):
        fail("wrong arguments", "scripts/python scripts/golden/check_checkpoint.py FOLDER [TEXTS] < COMPUTED")
    model, tokenizer = load(sys.argv[1])
    found = computed(sys.argv)
    worst, bad = {"mlm": None, "nsp": None}, []
    for i, text in enumerate(found["texts"]):
        encoded = tokenizer(*([text] if isinstance(text, str) else text), return_tensors="pt")
        ids = encoded["input_ids"][0]
        if found["ids"][i] != ids.tolist():
            bad.append(f"text {i}: ids {found['ids'][i]}, transformers has {ids.tolist()}")
            continue
        with torch.no_grad():
            out = model(**encoded)
        logits = {
            "mlm": out.prediction_logits[0, ids == tokenizer.mask_token_id],
            "nsp": out.seq_relationship_logits[0],
        }
        for name, want in logits.items():
            if name not in found:
                continue
            d = apart(f"text {i}: {name}", found[name][i], want)
            worst[name] = d if worst[name] is None else max(worst[name], d)
            if not d <= BOUND:  # a NaN too
                bad.append(f"text {i}: {name} logits differ by {d:.2e}, at most {BOUND:g} is rounding")
    differences = ", ".join(f"{n} " + ("not compared" if d is None else f"{d:.2e}") for n, d in worst.items())
    print(f"{len(found['texts'])} texts, {len(bad)} mismatches; largest relative difference: {differences}")
    if bad:
        fail("\n  ".join(bad), "both sides must have read the same files")


main()
