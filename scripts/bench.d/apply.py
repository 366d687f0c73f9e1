"""The update of a model, against PyTorch: milliseconds of norm, clipping and AdamW.

Ours is BenchmarkApply of package replica: the norm of the gradient, clipping and AdamW in
the bits that every machine gives. The peer is clip_grad_norm_ and fused AdamW on the
parameters of the same model. Both keep f32 state and start from a gradient in memory.
"""

import os
import re
import subprocess
import sys
import tempfile
import time

import pairs

MODELS = {"base": (768, 12, 12), "tiny": (128, 2, 2)}  # hidden size, layers, heads


def build(scratch):
    """Compiles the benchmark of ours."""
    program = os.path.join(scratch, "replica.test")
    done = subprocess.run(["go", "test", "-c", "-o", program, "./replica"], env=dict(os.environ, CGO_ENABLED="0"), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: go test -c ./replica ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return program


def ours(program, model, threads, seconds):
    name = f"^BenchmarkApply$/^model={model}$/^cores={threads}$"
    done = subprocess.run(
        [program, "-test.run", "^$", "-test.bench", name, "-test.benchtime", f"{seconds:g}s"],
        capture_output=True, text=True, env=dict(os.environ, GOMAXPROCS=str(threads)))
    found = re.search(r"\s([\d.]+) ns/op", done.stdout)
    if done.returncode != 0 or not found:
        sys.exit(f"error: the benchmark {name} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return float(found[1]) / 1e6


class Peer:
    """A model with a gradient, and its optimizer."""

    def __init__(self, model):
        import torch  # --help needs none
        from transformers import BertConfig, BertForPreTraining

        self.torch = torch
        hidden, layers, heads = MODELS[model]
        torch.manual_seed(1)
        config = BertConfig(hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * hidden)
        self.model = BertForPreTraining(config)
        for p in self.model.parameters():
            p.grad = torch.empty_like(p).uniform_(-5e-4, 5e-4)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
        self.step()  # makes the moments

    def step(self):
        self.torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()

    def measure(self, threads, seconds):
        self.torch.set_num_threads(threads)
        self.step()
        steps, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            self.step()
            steps += 1
        return (time.perf_counter() - begun) / steps * 1e3


def main():
    options = pairs.arguments(__doc__, rounds=5, seconds=3.0).parse_args()
    made = []
    with tempfile.TemporaryDirectory() as scratch:
        program = build(scratch)
        for model in MODELS:
            peer = Peer(model)
            size = f"{sum(p.numel() for p in peer.model.parameters()) / 1e6:.0f}M"
            for threads in sorted({1, options.threads}):
                found = pairs.turns(options.rounds, {
                    "ours": lambda: ours(program, model, threads, options.seconds),
                    "fused": lambda: peer.measure(threads, options.seconds),
                })
                made += pairs.rows("apply", f"{size} f32 {threads}", "ms", found, {"torch fused": ["fused"]}, more_is_better=False)
                pairs.show(made[-1:])
    pairs.finish(options, made)


main()
