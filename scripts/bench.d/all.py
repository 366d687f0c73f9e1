"""Runs all benchmarks and writes what they measured into docs/benchmarks.md.

The results stand in docs/benchmarks.json, each with the command, the machine and the day.
--only measures some and keeps the results of the others; --only none writes the page again
and measures nothing. A short run is `--rounds 1 --seconds 5`: all sizes, such as steps and
kills, shrink with the seconds, which are 20 if they are not given.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile

import machine
import pairs
import report

# The benchmarks in the order of the page, with the arguments that a share of their usual
# size gives; 1 is all of it.
BENCHMARKS = {
    "step": lambda o, share: pair_arguments(o),
    "profile": lambda o, share: ["--profile", "--seconds", f"{o.seconds:g}", "--threads", str(o.threads)],
    "ddp": lambda o, share: ["--rounds", str(o.rounds), "--seconds", f"{o.seconds:g}"],
    "allreduce": lambda o, share: pair_arguments(o),
    "apply": lambda o, share: pair_arguments(o),
    "loss": lambda o, share: ["--svg", "docs/loss.svg"] + ([] if share >= 1 else ["--budget", f"{max(0.3, 4 * share):.2g}", "--seeds", "1", "--downstream", "0"]),
    "quality": lambda o, share: ["--steps", str(max(30, round(900 * share)))],
    "recovery": lambda o, share: ["--kills", str(max(2, round(20 * share)))],
    "overhead": lambda o, share: ["--steps", str(max(60, round(1500 * share)))],
    "links": lambda o, share: [] if share >= 1 else ["--settings", "1"],
}
SCRIPTS = {"profile": "step"}  # benchmarks that another one's script measures


def pair_arguments(o):
    return ["--rounds", str(o.rounds), "--seconds", f"{o.seconds:g}", "--threads", str(o.threads)]


def missing(name):
    """Why a benchmark cannot be run here; "" if it can."""
    if name == "links" and os.geteuid() != 0:
        return "network namespaces need root"
    return ""


def measure(name, o):
    """Runs a benchmark; None if it failed."""
    command = ["scripts/bench", SCRIPTS.get(name, name)] + BENCHMARKS[name](o, o.seconds / 20)
    text = shlex.join(command)
    print(f"== {text}", flush=True)
    here = machine.describe()
    with tempfile.TemporaryDirectory() as scratch:
        file = os.path.join(scratch, "results.json")
        code = subprocess.run(command + ["--json", file]).returncode
        if code != 0 or not os.path.exists(file):
            print(f"error: {text} ended with {code}", file=sys.stderr, flush=True)
            return None
        with open(file) as f:
            return {"command": text, "machine": here, "results": json.load(f)}


def main():
    p = pairs.arguments(__doc__)
    p.add_argument("--only", metavar="NAMES", help=f"joined by commas, of {','.join(BENCHMARKS)}; or none")
    p.add_argument("--without", metavar="NAMES", default="", help="which not to run, joined by commas")
    p.set_defaults(json="docs/benchmarks.json")
    p.add_argument("--page", metavar="FILE", default="docs/benchmarks.md", help="(default %(default)s)")
    o = p.parse_args()
    names = list(BENCHMARKS) if o.only is None else [n for n in o.only.split(",") if n != "none"]
    for name in names + o.without.split(","):
        if name and name not in BENCHMARKS:
            p.error(f"no benchmark {name}")
    found = {}
    if os.path.exists(o.json):
        with open(o.json) as f:
            found = json.load(f)
    failed = []
    for name in names:
        if name in o.without.split(","):
            continue
        if why := missing(name):
            print(f"skipping {name}: {why}", file=sys.stderr, flush=True)
            continue
        result = measure(name, o)
        if result is None:
            failed.append(name)
            continue
        found[name] = result
        pairs.write(o.json, {n: found[n] for n in BENCHMARKS if n in found})
    with open(o.page, "w") as f:
        f.write(report.page(found, list(BENCHMARKS)))
    if failed:
        sys.exit(f"error: failed: {', '.join(failed)}; the page holds their earlier results, if there are any")


main()
