"""A step of BERT pretraining in PyTorch, as the peer of the benchmarks.

    peer.py HOW MODEL PRECISION THREADS SECONDS [--ranks N] [--rows N] [--seq N] [--vocab N]

HOW is hf, the model of transformers as a user trains it: BertForPreTraining, AdamW,
clipping of the norm, bf16 by autocast. Or it is tuned, by hand: the decoder for masked
positions only, scaled_dot_product_attention, fused AdamW, gradients whose memory stays,
memory that the allocator keeps. compiled is tuned and torch.compile.

With --ranks, as many processes with THREADS each share the rows of a step by
DistributedDataParallel over gloo; tuned then lets gradients live in its buckets. The sum
of the gradients stays f32: rounding it to bf16 would not be the same training.

Prints tokens a second as JSON: forward, backward, exchange, clipping and update are
inside. memory_mib is the most that a process took.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time

SIZES = {"tiny": (128, 2, 2), "mini": (256, 4, 4), "small": (512, 4, 8), "base": (768, 12, 12), "large": (1024, 24, 16)}

# What keeps malloc from giving memory back to the system and taking it again each step.
KEPT = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_TOP_PAD_": str(64 << 20)}


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("how", choices=["hf", "tuned", "compiled"])
    p.add_argument("model", choices=SIZES)
    p.add_argument("precision", choices=["f32", "bf16"])
    p.add_argument("threads", type=int)
    p.add_argument("seconds", type=float)
    p.add_argument("--ranks", type=int, default=1)
    p.add_argument("--rows", type=int, default=16, help="of a step, of all ranks together")
    p.add_argument("--seq", type=int, default=128)
    p.add_argument("--vocab", type=int, default=8192)
    p.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    p.add_argument("--store", help=argparse.SUPPRESS)
    return p.parse_args()


def batches(config, rows, seq, masked, seed, count=8):
    import torch

    draw = torch.Generator().manual_seed(seed)
    for _ in range(count):
        ids = torch.randint(5, config.vocab_size, (rows, seq), generator=draw)
        types = (torch.arange(seq) >= seq // 2).long().expand(rows, seq).contiguous()
        mask = torch.ones(rows, seq, dtype=torch.long)
        labels = torch.full((rows, seq), -100)
        for r in range(rows):
            at = torch.randperm(seq, generator=draw)[:masked]
            labels[r, at] = ids[r, at]
        yield ids, types, mask, labels, torch.randint(2, (rows,), generator=draw)


def by_hand(config):
    """The model's own parts, with the decoder applied to masked positions alone."""
    import torch
    from transformers import BertForPreTraining

    class Tuned(torch.nn.Module):
        def __init__(self):
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

    return Tuned()


def prepared(a, config):
    """The model, the optimizer, and the arguments of the model for each batch."""
    import torch
    from transformers import BertForPreTraining

    data = list(batches(config, a.rows // a.ranks, a.seq, round(0.15 * a.seq), 1 + (a.rank or 0)))
    if a.how == "hf":
        model = BertForPreTraining(config).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)
        names = ("input_ids", "token_type_ids", "attention_mask", "labels", "next_sentence_label")
        return model, optimizer, [dict(zip(names, batch)) for batch in data]
    model = by_hand(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    gathered = []
    for ids, types, _, labels, following in data:
        at = (labels.flatten() >= 0).nonzero().flatten()
        gathered.append({"ids": ids, "types": types, "at": at, "words": labels.flatten()[at], "following": following})
    return model, optimizer, gathered


def train(a):
    import torch
    from transformers import BertConfig

    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    hidden, layers, heads = SIZES[a.model]
    config = BertConfig(vocab_size=a.vocab, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * hidden)
    model, optimizer, data = prepared(a, config)
    call = model
    if a.ranks > 1:
        import torch.distributed as dist

        dist.init_process_group("gloo", init_method=f"file://{a.store}", rank=a.rank, world_size=a.ranks)
        view = dict(gradient_as_bucket_view=True, static_graph=True) if a.how != "hf" else {}
        call = torch.nn.parallel.DistributedDataParallel(model, **view)
    if a.how == "compiled":
        call = torch.compile(call)
    cast = torch.autocast("cpu", torch.bfloat16) if a.precision == "bf16" else contextlib.nullcontext()

    def step(i):
        with cast:
            loss = call(**data[i % len(data)])
            loss = loss if torch.is_tensor(loss) else loss.loss
        optimizer.zero_grad(set_to_none=a.how == "hf")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    begun = time.perf_counter()
    for i in range(3):
        step(i)
    warm = time.perf_counter() - begun
    steps, begun, on = 0, time.perf_counter(), True
    while on:
        step(steps)
        steps += 1
        on = steps < 3 or time.perf_counter() - begun < a.seconds
        if a.ranks > 1 and steps % 8 == 0:  # all stop after the same step
            vote = torch.tensor([on])
            dist.broadcast(vote, 0)
            on = bool(vote)
        elif a.ranks > 1:
            on = True
    took = time.perf_counter() - begun
    with open("/proc/self/status") as f:
        memory = next(int(line.split()[1]) for line in f if line.startswith("VmHWM:")) / 1024
    print(json.dumps({"tokens_per_s": a.rows * a.seq * steps / took, "memory_mib": memory, "steps": steps, "warmup_s": warm, "torch": torch.__version__}))


def main():
    a = options()
    environment = dict(os.environ, OMP_NUM_THREADS=str(a.threads))
    if a.how != "hf":
        environment.update(KEPT)
    if a.rank is not None:
        return train(a)
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable] + sys.argv + ["--store", os.path.join(scratch, "store")]
        ranks = [subprocess.Popen(command + ["--rank", str(r)], env=environment, stdout=subprocess.PIPE, text=True) for r in range(a.ranks)]
        said = [r.communicate()[0] for r in ranks]
    if any(r.returncode for r in ranks):
        sys.exit(f"error: a rank ended with {[r.returncode for r in ranks]}")
    found = [json.loads(text.splitlines()[-1]) for text in said]
    print(json.dumps(dict(found[0], memory_mib=max(f["memory_mib"] for f in found))))


if __name__ == "__main__":
    main()
