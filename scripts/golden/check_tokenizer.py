"""Checks a tokenizer's folder, as package wordpiece writes it, with transformers.

    scripts/python scripts/golden/check_tokenizer.py FOLDER [TEXT...]

AutoTokenizer must load the folder, and give the ids that a BertTokenizer made of
its vocab.txt and tokenizer_config.json gives, for every line of the texts (by
default the lines of shard/wordpiece/testdata). Where the vocabulary is one of the
golden files', their ids must come out too.
"""

import json
import pathlib
import sys

from transformers import AutoTokenizer, BertTokenizer

TESTDATA = pathlib.Path(__file__).parents[2] / "shard" / "wordpiece" / "testdata"


def read_lines(path):
    return [b.decode("utf-8", errors="replace") for b in path.read_bytes().removesuffix(b"\n").split(b"\n")]


def main():
    folder = pathlib.Path(sys.argv[1])
    texts = [pathlib.Path(p) for p in sys.argv[2:]] or [TESTDATA / "lines.txt"]
    vocab = {t: i for i, t in enumerate((folder / "vocab.txt").read_text("utf-8").removesuffix("\n").split("\n"))}
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    auto = AutoTokenizer.from_pretrained(folder)
    plain = BertTokenizer(
        vocab=vocab,
        do_lower_case=config["do_lower_case"],
        strip_accents=config["strip_accents"],
        tokenize_chinese_chars=config["tokenize_chinese_chars"],
    )
    bad = checked = 0

    def compare(what, got, want):
        nonlocal bad, checked
        checked += 1
        if got != want:
            bad += 1
            print(f"{what}:\n  got {got}\n want {want}", file=sys.stderr)

    compare("vocabulary", auto.get_vocab(), vocab)
    compare("model_max_length", auto.model_max_length, config["model_max_length"])
    for name in ("pad", "unk", "cls", "sep", "mask"):
        compare(f"{name}_token", auto.convert_tokens_to_ids(getattr(auto, f"{name}_token")), vocab[f"[{name.upper()}]"])
    for path in texts:
        lines = read_lines(path)
        for i, line in enumerate(lines):
            compare(f"{path}:{i + 1}", auto(line)["input_ids"], plain(line)["input_ids"])
            pair = lines[i - 1]
            compare(f"{path}:{i + 1} as a pair", dict(auto(line, pair)), dict(plain(line, pair)))
    for path in sorted(TESTDATA.glob("golden-*.json")):
        golden = json.loads(path.read_text("utf-8"))
        if "lines" not in golden or (golden["lowercase"], golden["strip_accents"], golden["cjk"]) != (
            config["do_lower_case"],
            config["strip_accents"],
            config["tokenize_chinese_chars"],
        ):
            continue
        if (TESTDATA / f"vocab-{golden['vocab']}.txt").read_bytes() != (folder / "vocab.txt").read_bytes():
            continue
        for i, (line, want) in enumerate(zip(read_lines(TESTDATA / "lines.txt"), golden["lines"], strict=True)):
            ids = auto(line, add_special_tokens=False)["input_ids"]
            compare(f"{path.name} {i + 1}", ids, want["special"])
            compare(f"{path.name} {i + 1} decoded", auto.decode(ids), want["decoded"])
    print(f"{type(auto).__name__}: {checked} comparisons, {bad} differ")
    sys.exit(1 if bad else 0)


main()
