"""What a pretrained encoder is good for: the section of a Debian package by its description.

    loss_downstream.py LISTS SEED FOLDER [--like FOLDER] [--threads N] [--train N] [--test N] [--epochs N]

LISTS has apt's lists of packages (loss_corpus.py fetches them). FOLDER holds a model
for transformers and its tokenizer; all are fine-tuned alike: the same packages, in the
same order of a seed, at the same rates. Of the packages of one source there is one.
Prints the accuracy on other packages as a JSON object; `scratch` in the place of FOLDER
is a model like that of --like with random weights.
"""

import argparse
import hashlib
import json
import pathlib
import re

import torch
import transformers
from transformers import AutoConfig, BertForSequenceClassification, BertTokenizerFast

SECTIONS = 24  # the largest ones; "libs" and others that say what a package is made of, not what it is about, are among them
TOKENS = 48


def paragraphs(files, *keys):
    """The values of the keys of each paragraph of Debian's control files."""
    for file in sorted(files):
        for paragraph in file.read_text(errors="replace").split("\n\n"):
            fields = dict(re.findall(r"^([\w-]+):[ \t]*(.*(?:\n[ \t].*)*)", paragraph, re.M))
            yield [fields.get(k, "") for k in keys]


def packages(lists):
    """[source, section, text] of each package with a long description, by name."""
    cached = lists.parent / "sections.json"
    if cached.exists():
        return json.loads(cached.read_text())
    long = {}
    for name, text in paragraphs(lists.glob("*_Translation-en"), "Package", "Description-en"):
        long[name] = text
    found = {}
    for name, source, section in paragraphs(lists.glob("*_Packages"), "Package", "Source", "Section"):
        if name in long and section:
            text = re.sub(r"\s+", " ", re.sub(r"^ \.$", "", long[name], flags=re.M))
            found[name] = [source.split(" ")[0] or name, section.split("/")[-1], text]
    every = [found[name] for name in sorted(found)]
    cached.write_text(json.dumps(every))
    return every


def chance(word):
    """A number from 0 to 1 by which a word is drawn, the same on every machine."""
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little") / 2**64


def parts(lists, train, test):
    """Texts and labels for training and test: one package of a source, of the largest sections."""
    of_source = {}
    for source, section, text in packages(lists):
        of_source.setdefault(source, (section, text))
    count = {}
    for section, _ in of_source.values():
        count[section] = count.get(section, 0) + 1
    names = sorted(count, key=lambda s: (-count[s], s))[:SECTIONS]
    drawn = [(text, names.index(section)) for source, (section, text) in sorted(of_source.items(), key=lambda i: chance(i[0])) if section in names]
    return drawn[test : test + train], drawn[:test], names


def batches(examples, tokenizer, rows):
    for i in range(0, len(examples), rows):
        some = examples[i : i + rows]
        yield tokenizer([t for t, _ in some], truncation=True, max_length=TOKENS, padding=True, return_tensors="pt"), torch.tensor([label for _, label in some])


def fine_tune(model, tokenizer, train, test, seed, epochs, rows=32, lr=3e-4):
    """AdamW, 10% warm-up, then down to 0; returns the share of right answers."""
    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01, fused=True)
    steps, step = epochs * -(-len(train) // rows), 0
    model.train()
    for _ in range(epochs):
        shuffled = [train[i] for i in torch.randperm(len(train), generator=order)]
        for inputs, labels in batches(shuffled, tokenizer, rows):
            for group in optimizer.param_groups:
                group["lr"] = lr * min((step + 1) / (0.1 * steps), (steps - step) / (0.9 * steps))
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(**inputs).logits
            loss = torch.nn.functional.cross_entropy(logits.float(), labels)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
    model.eval()
    with torch.inference_mode():
        right = sum((model(**inputs).logits.argmax(1) == labels).sum().item() for inputs, labels in batches(test, tokenizer, 64))
    return right / len(test)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("lists", type=pathlib.Path)
    p.add_argument("seed", type=int)
    p.add_argument("folder")
    p.add_argument("--like")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--train", type=int, default=3000)
    p.add_argument("--test", type=int, default=2000)
    p.add_argument("--epochs", type=int, default=3)
    a = p.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(a.threads)
    train, test, names = parts(a.lists, a.train, a.test)
    home = a.like if a.folder == "scratch" else a.folder
    tokenizer = BertTokenizerFast.from_pretrained(home)
    config = AutoConfig.from_pretrained(home, num_labels=len(names), hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    torch.manual_seed(a.seed)  # of the new head and of dropout
    if a.folder == "scratch":
        model = BertForSequenceClassification(config)
    else:
        model = BertForSequenceClassification.from_pretrained(a.folder, config=config, dtype=torch.float32)
    accuracy = fine_tune(model, tokenizer, train, test, a.seed, a.epochs)
    most = max(sum(label == n for _, label in test) for n in range(len(names))) / len(test)
    print(json.dumps({"folder": a.folder, "accuracy": accuracy, "classes": len(names), "train": len(train), "test": len(test), "majority": most}))


if __name__ == "__main__":
    main()
