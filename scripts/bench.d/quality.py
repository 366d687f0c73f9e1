"""Compares the validation losses of runs whose sums or precision differ.

    quality.py FOLDER STEPS [OUT.json]

FOLDER holds the evaluation of each run, SUMS-PRECISION-SEED.json. It fails if a way costs
more than the seeds of one way differ by.
"""

import json
import math
import statistics
import sys

folder, steps = sys.argv[1], int(sys.argv[2])
out_file = sys.argv[3] if len(sys.argv) > 3 else ""
SEEDS = (1, 2, 3)
WAYS = {"exact sums, f32": "exact-f32", "f32 sums, f32": "f32-f32", "exact16 sums, f32": "exact16-f32", "exact sums, bf16": "exact-bf16"}
COMPARISONS = [("exact sums against f32 sums", "exact sums, f32", "f32 sums, f32"), ("exact16 against exact", "exact16 sums, f32", "exact sums, f32"), ("bf16 against f32", "exact sums, bf16", "exact sums, f32")]


def loss(way, seed):
    with open(f"{folder}/{way}-{seed}.json") as f:
        return float(json.load(f)["newest"]["mlm_loss"])  # may be "NaN"


losses = {name: [loss(way, seed) for seed in SEEDS] for name, way in WAYS.items()}
if not all(map(math.isfinite, sum(losses.values(), []))):
    sys.exit(f"error: a run diverged: {losses}")
for name, v in losses.items():
    print("%-18s %s   mean %.4f, spread %.4f" % (name, "  ".join("%.4f" % x for x in v), statistics.mean(v), max(v) - min(v)))
compared = []
for what, a, b in COMPARISONS:
    difference = statistics.mean(losses[a]) - statistics.mean(losses[b])
    spread = max(max(losses[w]) - min(losses[w]) for w in (a, b))
    compared.append({"what": what, "difference": difference, "spread": spread})
    print("%s: %+.4f nats; the seeds of one differ by up to %.4f" % (what, difference, spread))
if out_file:
    with open(out_file, "w") as f:
        json.dump({"steps": steps, "mlm_loss": losses, "comparisons": compared}, f, indent=2)
sys.exit(any(c["difference"] > c["spread"] for c in compared))
