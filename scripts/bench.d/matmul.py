"""The rate at which torch.matmul multiplies on this machine: the best of some shapes.

    matmul.py PRECISION THREADS SECONDS

Prints {"gflops": N}. The shapes are products of a base model on 2,048 tokens, and square
ones, which say more of the machine.
"""

import json
import sys
import time

import torch

SHAPES = [(2048, 768, 3072), (2048, 3072, 768), (2048, 2048, 2048), (4096, 4096, 4096)]


def rate(shape, kind, seconds):
    m, k, n = shape
    a, b = torch.randn(m, k).to(kind), torch.randn(k, n).to(kind)
    out = torch.empty(m, n, dtype=kind)
    torch.matmul(a, b, out=out)
    begun, done = time.perf_counter(), 0
    while done < 3 or time.perf_counter() - begun < seconds:
        torch.matmul(a, b, out=out)
        done += 1
    return 2 * m * k * n * done / (time.perf_counter() - begun) / 1e9


def main():
    precision, threads, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    torch.set_num_threads(threads)
    kind = {"f32": torch.float32, "bf16": torch.bfloat16}[precision]
    with torch.inference_mode():
        print(json.dumps({"gflops": max(rate(s, kind, seconds / len(SHAPES)) for s in SHAPES)}))


main()
