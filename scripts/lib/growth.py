"""Runs `gramme chaos` and judges whether the processes below it grow while they run: in memory,
threads, open files and goroutines.

    growth.py REPORT.json RUN COMMAND...

RUN is the folder of the trial. The sizes and the verdict are printed, and added to the report that
the command wrote. The exit code is the command's, or 1 if a process grew.

A size that rises at the start of a life and then stays is no growth: a process has grown if the
last third of its life differs from the second by more than a share and an amount. A life of less
than half a minute shows nothing.
"""

import collections
import json
import os
import signal
import statistics
import subprocess
import sys
import time

LEAST_LIFE = 30  # seconds
SHARE = 0.2
MOST = {"rss_mib": 32, "threads": 16, "files": 32, "goroutines": 32}
SAMPLE_EVERY, STATUS_EVERY = 0.25, 1.0  # seconds
CHECK = "memory, threads, open files and goroutines do not grow"


def read(pid, name):
    with open(f"/proc/{pid}/{name}", errors="replace") as f:
        return f.read()


def below(root):
    """The processes that a process started, and those that they did, each with the time of its start."""
    children = collections.defaultdict(list)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = read(pid, "stat").rpartition(")")[2].split()  # from the state on
        except OSError:
            continue  # it has ended
        children[int(fields[1])].append((int(pid), fields[19]))
    found = list(children[root])
    for pid, _ in found:
        found += children[pid]
    return found


def size(pid):
    status = dict(line.split(":", 1) for line in read(pid, "status").splitlines() if ":" in line)
    return {
        "rss_mib": int(status["VmRSS"].split()[0]) / 1024, "threads": int(status["Threads"]),
        "files": len(os.listdir(f"/proc/{pid}/fd")),  # connections included
    }


def name(pid):
    """Such as "worker w1", from the command line."""
    args = read(pid, "cmdline").split("\0")
    verb = "worker" if os.path.basename(args[0]) == "gramme-worker" and args[1:2] == ["run"] else " ".join(args[1:2])
    return verb + (" " + args[args.index("--id") + 1] if verb == "worker" and "--id" in args else "")


def slope(at, values):
    """That of the line which fits best through values over time."""
    x, y = statistics.fmean(at), statistics.fmean(values)
    d = sum((a - x) ** 2 for a in at)
    return sum((a - x) * (v - y) for a, v in zip(at, values)) / d if d else 0.0


def growth(process, pid, at, sizes):
    """Says how a process grew over its life."""
    third, life = len(at) // 3, at[-1] - at[0]
    g = {"process": process, "pid": pid, "seconds": life, **sizes[-1], "grew": False}
    for key, most in MOST.items():
        values = [s[key] for s in sizes]
        g[key + "_per_minute"] = 60 * slope(at[third:], values[third:])
        if life >= LEAST_LIFE and third > 0:
            before, after = statistics.median_low(values[third : 2 * third]), statistics.median_low(values[2 * third :])
            g["grew"] |= after - before > most and after > before * (1 + SHARE) and before > 0  # 0: it did not say
    return g


def text(g):
    return "{process} (process {pid}): after {seconds:.0f} s {rss_mib:.0f} MiB, {threads} threads, {files} files, {goroutines} goroutines; a minute {rss_mib_per_minute:+.1f} MiB, {threads_per_minute:+.1f} threads, {files_per_minute:+.1f} files, {goroutines_per_minute:+.1f} goroutines".format(**g)


def judge(all_):
    """A check of the report: whether no process grew, and of which processes that is known."""
    grew = [text(g) for g in all_ if g["grew"]]
    found = "; ".join(grew) or f"of {len(all_)} processes that lived for {LEAST_LIFE // 2} s or more"
    if max((g["seconds"] for g in all_), default=0) < LEAST_LIFE:
        found = f"no process lived for {LEAST_LIFE} s, nothing to tell"
    return {"name": CHECK, "found": found, "ok": not grew}


def goroutines(gramme, run):
    """Those of each process that says how many it has. `gramme up` does not."""
    try:
        answer = subprocess.run([gramme, "status", "--run", run, "--json"], capture_output=True, timeout=5)
        return {p["pid"]: p.get("goroutines", 0) for p in json.loads(answer.stdout)["processes"]}
    except (ValueError, KeyError, subprocess.TimeoutExpired):
        return {}


def main(report, run, *command):
    child = subprocess.Popen(command)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command gets it as well, and ends in order
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    lives, names, said, asked = {}, {}, {}, 0.0
    while child.poll() is None:
        if time.monotonic() - asked > STATUS_EVERY:
            said.update(goroutines(command[0], os.path.join(run, "disturbed")))
            asked = time.monotonic()
        for process in below(child.pid):
            pid = process[0]
            try:
                now, names[process] = dict(size(pid), goroutines=said.get(pid, 0)), name(pid)
            except (OSError, KeyError):
                continue  # it has ended
            at, sizes = lives.setdefault(process, ([], []))
            at.append(time.monotonic())
            sizes.append(now)
        time.sleep(SAMPLE_EVERY)
    all_ = [growth(names[p], p[0], at, sizes) for p, (at, sizes) in lives.items() if at[-1] - at[0] >= LEAST_LIFE / 2]
    check = judge(all_)
    for g in all_:
        print(text(g))
    print("\n%s%s: %s" % ("ok    " if check["ok"] else "FAIL  ", CHECK, check["found"]))
    if os.path.exists(report):
        with open(report) as f:
            r = json.load(f)
        r["growth"] = all_
        r["checks"].append(check)
        r["ok"] = r["ok"] and check["ok"]
        with open(report, "w") as f:
            json.dump(r, f, indent=2)
    return child.returncode or int(not check["ok"])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
