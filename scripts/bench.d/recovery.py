"""Puts what `gramme chaos` and torch_elastic.py measured side by side.

    recovery.py GRAMME.json TORCH.json [OUT.json]

Times are from the kill to the next step that is done, less a median step.
"""

import json
import os
import platform
import sys

gramme_file, torch_file, out_file = sys.argv[1:]
trial = json.load(open(gramme_file))


def quantile(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered), max(1, -int(-q * len(ordered) // 1))) - 1]


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


kills = trial["faults"]
unseen = [k["n"] for k in kills if k["next_step_ms"] is None]
if unseen or not kills:
    sys.exit(f"error: no step was seen after the kills {unseen}")
gramme = {"kills": len(kills), "step_ms": trial["step_p50_ms"]}
for name in ("next_step", "regained"):
    values = [k[name + "_ms"] - trial["step_p50_ms"] for k in kills]
    gramme[name + "_p50_ms"], gramme[name + "_p99_ms"] = quantile(values, 0.5), quantile(values, 0.99)
out = {
    "machine": {"processor": processor(), "threads": os.cpu_count(), "load_1m": os.getloadavg()[0]},
    "workers": 2,
    "gramme": gramme,
}
rows = [("gramme", gramme)]
if os.path.exists(torch_file):
    out["torchrun"] = json.load(open(torch_file))
    rows.append(("torchrun", out["torchrun"]))
print("%s, %d threads, load %.1f; kill -9 of one of 2 workers, ms" % (processor(), os.cpu_count(), os.getloadavg()[0]))
print("%-9s %5s %8s   %-21s   %s" % ("", "kills", "a step", "next step p50 / p99", "beyond the earlier steps p50 / p99"))
for name, r in rows:
    print("%-9s %5d %8.1f   %9.0f / %9.0f   %9.0f / %9.0f" % (
        name, r["kills"], r["step_ms"], r["next_step_p50_ms"], r["next_step_p99_ms"], r["regained_p50_ms"], r["regained_p99_ms"]))
if out.get("torchrun", {}).get("stuck"):
    print("torchrun got stuck after %d more kills: no step within a minute" % out["torchrun"]["stuck"])
if out_file:
    json.dump(out, open(out_file, "w"), indent=2)
