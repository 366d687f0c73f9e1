"""Writes the golden vectors of shard/wordpiece with Hugging Face's libraries.

    scripts/python scripts/golden/wordpiece.py shard/wordpiece/testdata

It reads lines.txt, whose lines may hold any bytes but line feeds, and
vocab-cased.txt and vocab-uncased.txt, which package wordpiece trained on it. It
writes golden-NAME.json for each tokenizer in SETTINGS, characters.json (what
becomes of every character), and golden-train.json (a vocabulary trained
by Hugging Face's trainer).
"""

import hashlib
import json
import pathlib
import random
import sys

import tokenizers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import BertTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

# Name: vocabulary, do_lower_case, strip_accents, tokenize_chinese_chars.
SETTINGS = {
    "cased": ("cased", False, None, True),
    "uncased": ("uncased", True, None, True),
    "stripped": ("cased", False, True, True),
    "accented": ("uncased", True, False, False),
}

# Marks that stripping keeps, of different combining classes, so that it shows
# whether the character between them moves, or keeps them from moving.
CONTEXT = "a\u302e{0}\U0001d165x{0}"
BLOCK = 4096  # characters a hash; planes 4 to 13, of which nothing is assigned, are left out


def read_lines(folder):
    return (folder / "lines.txt").read_bytes().removesuffix(b"\n").split(b"\n")


def read_vocab(path):
    tokens = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    return {t: i for i, t in enumerate(tokens)}


def text_of(line):
    return line.decode("utf-8", errors="replace")


def pieces(settings, folder):
    name, lowercase, strip, cjk = settings
    vocab = read_vocab(folder / f"vocab-{name}.txt")
    full = BertTokenizer(
        vocab=vocab,
        do_lower_case=lowercase,
        strip_accents=strip,
        tokenize_chinese_chars=cjk,
        clean_up_tokenization_spaces=True,
    )
    # Without the special tokens among the added ones, text is only text.
    plain = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    plain.normalizer = full.backend_tokenizer.normalizer
    plain.pre_tokenizer = full.backend_tokenizer.pre_tokenizer

    out = []
    for line in read_lines(folder):
        text = text_of(line)
        special = full(text, add_special_tokens=False)["input_ids"]
        ids = plain.encode(text, add_special_tokens=False).ids
        out.append({"ids": ids, "special": special, "decoded": full.decode(special)})
    return {"lowercase": lowercase, "strip_accents": strip, "cjk": cjk, "vocab": name, "lines": out}


def characters():
    """A hash for each block of characters of the words that they make."""
    out = {}
    for name, (_, lowercase, strip, cjk) in SETTINGS.items():
        normalizer = normalizers.BertNormalizer(True, cjk, strip, lowercase)
        split = pre_tokenizers.BertPreTokenizer()
        hashes = []
        for first in (*range(0, 0x40000, BLOCK), *range(0xE0000, 0xF1000, BLOCK)):
            h = hashlib.sha256()
            for c in range(first, first + BLOCK):
                if 0xD800 <= c < 0xE000:
                    continue
                words = split.pre_tokenize_str(normalizer.normalize_str(CONTEXT.format(chr(c))))
                h.update(" ".join(w for w, _ in words).encode("utf-8") + b"\n")
            hashes.append(h.hexdigest()[:16])
        out[name] = hashes
    return out


def words():
    """Made-up words and how often each stands in the text, by Zipf's law."""
    draw = random.Random(1)
    syllables = [a + v + z for a in ["", *"bdfgklmnprst"] for v in "aeiouéж" for z in ["", *"lnrs"]]
    made = {}
    for rank in range(1, 801):
        word = "".join(draw.choice(syllables) for _ in range(draw.randint(1, 4)))
        made.setdefault(word, 20000 // rank + draw.randrange(1 + 1000 // rank))
    made |= {"aaaa": 401, "aaaaaaa": 233, "lalalala": 501}
    return made


def train():
    """The vocabulary that every one of ten trainings finds.

    The library breaks ties by the order of a hash map; the size is the largest
    up to the wanted one at which the trainings agree.
    """
    text = words()
    wanted = 700
    while True:
        found = set()
        for _ in range(10):
            t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
            t.normalizer = normalizers.BertNormalizer(True, True, None, False)
            t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
            trainer = trainers.WordPieceTrainer(
                vocab_size=wanted, min_frequency=2, limit_alphabet=1000, special_tokens=SPECIAL, show_progress=False
            )
            t.train_from_iterator((" ".join([w] * n) for w, n in text.items()), trainer)
            found.add(tuple(sorted(t.get_vocab())))
        if len(found) == 1:
            (vocab,) = found
            return {"size": wanted, "words": text, "vocab": vocab}
        wanted -= 1


def write(path, value):
    value = {"made_with": f"tokenizers {tokenizers.__version__}"} | value
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    print(path, path.stat().st_size, "bytes")


def main():
    folder = pathlib.Path(sys.argv[1])
    for name, settings in SETTINGS.items():
        write(folder / f"golden-{name}.json", pieces(settings, folder))
    write(folder / "characters.json", characters())
    write(folder / "golden-train.json", train())


main()
