"""Writes shard/wordpiece/tables.txt: what Hugging Face's library does with each
character, found by asking it.

The library's tables are of several editions of Unicode, none of them Go's, so
that equal ids need its own tables. Usage:

    scripts/python scripts/golden/wordpiece_tables.py shard/wordpiece/tables.txt
"""

import sys

import tokenizers
from tokenizers import normalizers, pre_tokenizers


def bert(**on):
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**(off | on))


CLEAN, STRIP, LOWER = bert(clean_text=True), bert(strip_accents=True), bert(lowercase=True)
NFD, SPLIT = normalizers.NFD(), pre_tokenizers.BertPreTokenizer()
CHARACTERS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def dropped(s):
    return CLEAN.normalize_str(s) == ""


def punctuation(s):
    return [t for t, _ in SPLIT.pre_tokenize_str("a" + s + "a")] == ["a", s, "a"]


def nonspacing(s):
    return STRIP.normalize_str(s) == "" and NFD.normalize_str(s) == s


def canonical(s):
    # U+0345 and U+0334 are of the highest and lowest combining class: a mark
    # that the library knows moves before the one or behind the other.
    return any(NFD.normalize_str(t) != t for t in (s, "a\u0345" + s, "a" + s + "\u0334"))


def runs(predicate):
    """The runs of characters for which the predicate holds, in lines."""
    out = []
    for c in CHARACTERS:
        if not predicate(chr(c)):
            continue
        if out and c - out[-1][1] == 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return [f"{predicate.__name__} {a:04x} {b:04x} 1 0" for a, b in out]


def lower_runs():
    out = []  # first, last, stride, delta
    for c in CHARACTERS:
        low = LOWER.normalize_str(chr(c))
        if len(low) != 1:
            assert (c, low) == (0x130, "i\u0307"), hex(c)
            continue
        delta = ord(low) - c
        if delta == 0:
            continue
        if out and out[-1][3] == delta:
            first, last, stride, _ = out[-1]
            step = c - last
            if step == stride or (stride == 0 and step <= 2):
                out[-1] = [first, c, step, delta]
                continue
        out.append([c, c, 0, delta])
    return [f"lower {a:04x} {b:04x} {s or 1} {d}" for a, b, s, d in out]


lines = [
    f"# What version {tokenizers.__version__} of Hugging Face's library does with characters; made by",
    "# scripts/golden/wordpiece_tables.py. A line is a run of characters: first, last, stride,",
    "# and what to add for the lower case.",
    "#   dropped      what cleaning removes: U+0000, U+FFFD and other controls",
    "#   punctuation  what is a word by itself",
    "#   nonspacing   the marks that stripping accents removes",
    "#   canonical    what decomposes or moves in normalization form D",
    "#   lower        what has another lower case, but for U+0130, which alone becomes two",
]
for predicate in (dropped, punctuation, nonspacing, canonical):
    lines += runs(predicate)
lines += lower_runs()
with open(sys.argv[1], "w", encoding="utf-8") as f:
    f.write("\n".join(lines) + "\n")
