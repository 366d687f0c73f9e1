"""Measures what being elastic costs a run in which nothing fails.

    overhead.py PID RUN PROFILES [OUT.json]

PID is the `gramme up` of a run, which is followed to its end. Of the workers'
processor time, as their profiles say, what went into heartbeats, digests of the
state, and readings of energy on their way to the ledger; beside it the processor
time of all other processes of the run, from /proc.
"""

import glob
import json
import os
import re
import subprocess
import sys
import time

pid, run, profiles, out_file = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
tick = os.sysconf("SC_CLK_TCK")

# What a profile calls them: only the outermost of nested calls counts.
PARTS = {
    "heartbeats": r"worker\.\(\*worker\)\.publishBeat$",
    "digests": r"replica\.Digest$",
    "states and entries kept for others": r"worker\.\(\*worker\)\.(answerEntry|answerSnapshot|answerInfo|answerPin)$",
    "ledger": r"meter\.\(\*Meter\)\.(Run|Phase|Totals|Flush)$",
}
STEP = r"worker\.\(\*worker\)\.(compute|loop|runRing)$"


def processes():
    """Seconds of processor time by process, of `up` and all below it."""
    children, seconds, names = {}, {}, {}
    for stat in glob.glob("/proc/[0-9]*/stat"):
        try:
            text = open(stat).read()
        except OSError:
            continue
        head, rest = text.rsplit(")", 1)
        number, fields = int(head.split(" ", 1)[0]), rest.split()
        names[number] = head.split("(", 1)[1]
        children.setdefault(int(fields[1]), []).append(number)
        seconds[number] = (int(fields[11]) + int(fields[12])) / tick
    found, queue = {}, [pid]
    while queue:
        p = queue.pop()
        queue += children.get(p, [])
        if p in seconds:
            found[p] = (names[p], seconds[p])
    return found


def trains():
    answer = subprocess.run(["bin/gramme", "status", "--run", run, "--json"], capture_output=True, text=True)
    try:
        return json.loads(answer.stdout)["state"] == "training"
    except (ValueError, KeyError):
        return False


def alive():
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == 0
    except ChildProcessError:
        return os.path.exists(f"/proc/{pid}") and open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z"


first = last = None
while alive():
    if trains():
        now = processes()
        if first is None:
            first = now
        last = now
    time.sleep(0.5)
if not last:
    sys.exit("error: the run did not train")

worker = beside = 0.0
for p, (name, seconds) in last.items():
    spent = seconds - first.get(p, (name, 0.0))[1]
    if name.startswith("gramme-worker"):
        worker += spent
    else:
        beside += spent

total = 0.0
parts = dict.fromkeys(PARTS, 0.0)
for path in glob.glob(os.path.join(profiles, "*.pprof")):
    raw = subprocess.run(["go", "tool", "pprof", "-traces", path], capture_output=True, text=True, check=True).stdout
    for sample in raw.split("-----------+-------------------------------------------------------")[1:]:
        lines = sample.strip().splitlines()
        found = re.match(r"\s*([0-9.]+)(ms|s|us|mins)\s+(\S.*)", lines[0]) if lines else None
        if not found:
            continue
        value = float(found[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0, "mins": 60.0}[found[2]]
        stack = [found[3].strip()] + [line.strip() for line in lines[1:]]
        stack = [re.sub(r" \(inline\)$", "", f) for f in stack]
        inside = [part for part, pattern in PARTS.items() if any(re.search(pattern, f) for f in stack)]
        if inside or any(re.search(STEP, f) for f in stack):
            total += value
        if inside:
            parts[inside[0]] += value
if not total:
    sys.exit("error: the profiles hold nothing of a step")

out = {"profiled_s": total, "workers_s": worker, "beside_s": beside, "parts": {k: v / total for k, v in parts.items()}}
out["elastic"] = sum(out["parts"].values())
out["beside"] = beside / worker
print("of %.0f s of the workers' processor time in steps:" % total)
for part, share in out["parts"].items():
    print("  %-36s %5.2f%%" % (part, 100 * share))
print("  %-36s %5.2f%%" % ("total", 100 * out["elastic"]))
print("coordinator, checkpoint service, etcd and NATS: %.2f%% of the workers' processor time" % (100 * out["beside"]))
if out_file:
    json.dump(out, open(out_file, "w"), indent=2)
