"""Trains BERT with PyTorch by one of the recipes of the loss benchmark.

    loss_peer.py RECIPE MODEL SECONDS SEED SAMPLES VOCAB OUT [--threads N] [--final] [--change JSON]

SAMPLES is a folder of `gramme samples`: the sequences that our sampler draws, which are
masked anew here. Training ends after SECONDS of wall time. Snapshots of the model go
into OUT as folders for transformers; prints a JSON object with their times.
"""

import argparse
import json
import pathlib
import time

import numpy as np
import torch
import transformers
from transformers import BertConfig, BertForPreTraining

import loss_recipes

SIZES = {"tiny": (128, 2, 2), "mini": (256, 4, 4), "small": (512, 4, 8), "base": (768, 12, 12), "large": (1024, 24, 16)}
SNAPSHOTS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4)  # parts of the budget; one more at its end
PAD, MASK, FIRST_WORD = 0, 4, 5  # ids in every vocabulary of ours


class Samples:
    """Batches of random samples with random masks."""

    def __init__(self, folder, vocab, share, seed):
        load = lambda name: np.load(pathlib.Path(folder) / name, mmap_mode="r")
        self.ids, self.types, self.next = load("ids.npy"), load("types.npy"), load("next.npy")
        self.vocab, self.share = vocab, share
        self.order, self.used = np.random.default_rng(seed), 0
        self.draw = torch.Generator().manual_seed(seed)
        self.epoch = []

    def batch(self, rows):
        if self.used + rows > len(self.epoch):
            self.epoch, self.used = self.order.permutation(len(self.ids)), 0
        at = np.sort(self.epoch[self.used : self.used + rows])
        self.used += rows
        ids = torch.from_numpy(self.ids[at].astype(np.int64))
        types = torch.from_numpy(self.types[at].astype(np.int64))
        following = torch.from_numpy(self.next[at].astype(np.int64))
        attend = (ids != PAD).long()
        labels = ids.clone()
        chance = torch.rand(ids.shape, generator=self.draw)
        chosen = (chance < self.share) & (ids >= FIRST_WORD)
        labels[~chosen] = -100
        kind = torch.rand(ids.shape, generator=self.draw)
        ids[chosen & (kind < 0.8)] = MASK
        random = chosen & (kind >= 0.8) & (kind < 0.9)
        ids[random] = torch.randint(FIRST_WORD, self.vocab, (int(random.sum()),), generator=self.draw)
        return ids, types, attend, labels, following


def as_it_comes(model, batch, nsp):
    ids, types, attend, labels, following = batch
    return model(input_ids=ids, token_type_ids=types, attention_mask=attend, labels=labels, next_sentence_label=following if nsp else None).loss


def by_hand(model, batch, nsp):
    """The decoder for masked positions only."""
    ids, types, attend, labels, following = batch
    hidden = model.bert(input_ids=ids, token_type_ids=types, attention_mask=attend)
    at = (labels.flatten() >= 0).nonzero().flatten()
    masked = hidden.last_hidden_state.flatten(0, 1).index_select(0, at)
    cross = torch.nn.functional.cross_entropy
    loss = cross(model.cls.predictions(masked).float(), labels.flatten()[at])
    if nsp:
        loss = loss + cross(model.cls.seq_relationship(hidden.pooler_output).float(), following)
    return loss


def optimizer_of(model, recipe):
    """AdamW; no decay of biases and norms, as everybody does."""
    plain = [p for name, p in model.named_parameters() if p.ndim < 2]
    matrices = [p for name, p in model.named_parameters() if p.ndim >= 2]
    groups = [{"params": matrices, "weight_decay": recipe["decay"]}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe["lr"], betas=recipe["betas"], eps=recipe["eps"], fused=True)


def train(recipe, config, samples, seconds, snapshots, keep):
    """Returns steps and sequences; keep(model, steps, sequences) stores a snapshot."""
    model = BertForPreTraining(config).train()
    optimizer = optimizer_of(model, recipe)
    loss_of = by_hand if recipe["tuned"] else as_it_comes
    cast = torch.autocast("cpu", torch.bfloat16, enabled=recipe["precision"] == "bf16")
    waiting = list(snapshots)
    steps = sequences = 0
    begun = time.perf_counter()
    while (t := (time.perf_counter() - begun) / seconds) < 1:
        if waiting and t >= waiting[0]:
            waiting = [w for w in waiting if w > t]
            keep(model, steps, sequences)
        for group in optimizer.param_groups:
            group["lr"] = loss_recipes.rate(recipe, t)
        batch = samples.batch(loss_recipes.rows(recipe, t))
        with cast:
            loss = loss_of(model, batch, recipe["nsp"])
        optimizer.zero_grad(set_to_none=not recipe["tuned"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe["clip"])
        optimizer.step()
        steps += 1
        sequences += len(batch[0])
    keep(model, steps, sequences)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("recipe", choices=loss_recipes.RECIPES)
    p.add_argument("model", choices=SIZES)
    p.add_argument("seconds", type=float)
    p.add_argument("seed", type=int)
    p.add_argument("samples")
    p.add_argument("vocab", type=int)
    p.add_argument("out", type=pathlib.Path)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--final", action="store_true", help="keep the model at the end alone")
    p.add_argument("--change", type=json.loads, default={}, help="keys of the recipe that differ")
    a = p.parse_args()
    recipe = {**loss_recipes.RECIPES[a.recipe], **a.change}
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    hidden, layers, heads = SIZES[a.model]
    config = BertConfig(
        vocab_size=a.vocab, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * hidden,
        hidden_dropout_prob=recipe["dropout"], attention_probs_dropout_prob=recipe["dropout"])
    samples = Samples(a.samples, a.vocab, recipe["mask"], a.seed)
    kept = []

    def keep(model, steps, sequences):
        folder = a.out / f"step-{steps}"
        kept.append({"folder": folder.name, "time": time.time(), "steps": steps, "sequences": sequences})
        model.save_pretrained(folder)

    train(recipe, config, samples, a.seconds, () if a.final else SNAPSHOTS, keep)
    print(json.dumps({"snapshots": kept, "torch": torch.__version__}))


if __name__ == "__main__":
    main()
