"""A step of BERT pretraining in PyTorch, as the peer of the benchmarks.

    peer.py HOW MODEL PRECISION THREADS SECONDS [--rows N] [--seq N] [--vocab N]

HOW is hf, the model of transformers as a user trains it: BertForPreTraining, AdamW,
clipping of the norm, bf16 by autocast; or tuned, by hand: the decoder for masked
positions only, attention without dropout's slow path where there is one, fused AdamW,
gradients that are not made anew, compiled where that is faster. Prints tokens a second
as JSON: forward, backward, clipping and update are inside.
"""

import argparse
import json
import time

import torch
from transformers import BertConfig, BertForPreTraining

SIZES = {"tiny": (128, 2, 2), "mini": (256, 4, 4), "small": (512, 4, 8), "base": (768, 12, 12), "large": (1024, 24, 16)}


def batches(config, rows, seq, masked, count=8):
    draw = torch.Generator().manual_seed(1)
    for _ in range(count):
        ids = torch.randint(5, config.vocab_size, (rows, seq), generator=draw)
        types = (torch.arange(seq) >= seq // 2).long().expand(rows, seq).contiguous()
        mask = torch.ones(rows, seq, dtype=torch.long)
        labels = torch.full((rows, seq), -100)
        for r in range(rows):
            at = torch.randperm(seq, generator=draw)[:masked]
            labels[r, at] = ids[r, at]
        yield ids, types, mask, labels, torch.randint(2, (rows,), generator=draw)


class Tuned(torch.nn.Module):
    """The model's own parts, with the decoder applied to masked positions alone."""

    def __init__(self, config):
        super().__init__()
        config._attn_implementation = "sdpa"
        self.model = BertForPreTraining(config)

    def forward(self, ids, types, at, words, following):
        hidden = self.model.bert(input_ids=ids, token_type_ids=types)
        heads = self.model.cls
        masked = hidden.last_hidden_state.flatten(0, 1).index_select(0, at)
        logits = heads.predictions(masked)
        pairs = heads.seq_relationship(hidden.pooler_output)
        cross = torch.nn.functional.cross_entropy
        return cross(logits.float(), words) + cross(pairs.float(), following)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("how", choices=["hf", "tuned", "compiled"])
    p.add_argument("model", choices=SIZES)
    p.add_argument("precision", choices=["f32", "bf16"])
    p.add_argument("threads", type=int)
    p.add_argument("seconds", type=float)
    p.add_argument("--rows", type=int, default=16)
    p.add_argument("--seq", type=int, default=128)
    p.add_argument("--vocab", type=int, default=8192)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    hidden, layers, heads = SIZES[a.model]
    config = BertConfig(vocab_size=a.vocab, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * hidden)
    cast = torch.autocast("cpu", torch.bfloat16, enabled=a.precision == "bf16")
    masked = round(0.15 * a.seq)
    data = list(batches(config, a.rows, a.seq, masked))
    if a.how == "hf":
        model = BertForPreTraining(config).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)

        def loss_of(i):
            ids, types, mask, labels, following = data[i % len(data)]
            return model(input_ids=ids, token_type_ids=types, attention_mask=mask, labels=labels, next_sentence_label=following).loss
    else:
        model = Tuned(config).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
        call = torch.compile(model) if a.how == "compiled" else model
        gathered = []
        for ids, types, _, labels, following in data:
            at = (labels.flatten() >= 0).nonzero().flatten()
            gathered.append((ids, types, at, labels.flatten()[at], following))

        def loss_of(i):
            return call(*gathered[i % len(gathered)])

    def step(i):
        with cast:
            loss = loss_of(i)
        optimizer.zero_grad(set_to_none=a.how == "hf")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    begun = time.perf_counter()
    for i in range(3):
        step(i)
    warm = time.perf_counter() - begun
    steps, begun = 0, time.perf_counter()
    while steps < 3 or time.perf_counter() - begun < a.seconds:
        step(steps)
        steps += 1
    took = time.perf_counter() - begun
    print(json.dumps({"tokens_per_s": a.rows * a.seq * steps / took, "steps": steps, "warmup_s": warm, "torch": torch.__version__}))


main()
