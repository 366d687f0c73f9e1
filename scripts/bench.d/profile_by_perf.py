"""Where the time of a worker goes, by the samples that `perf` takes of all its threads.

Each sample belongs to the first part whose pattern fits the function or the file. The
capacity is threads times seconds; what no sample accounts for, the threads waited or
slept. oneDNN makes its products while the program runs: code without a file is theirs. A
product that the compiler inlined into its caller counts where the caller does.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

PER_SECOND = 499  # not in step with anything that happens every millisecond

# Of function and file, "FUNCTION (FILE)".
PARTS = [
    ("the system", r"\(\[(kernel|guest)|\[vdso\]"),
    ("threads wait for each other", r"\(.*/libgomp|\bGate\b|pause_briefly|^pool_run\b|\bPool::"),
    ("products", r"\(/tmp/perf-\d+\.map\)|\(//anon\)|\(\[?anon|brgemm|dnnl|gramme_\w+::(block|tile_block|product)\b"),
    ("weights into their layouts", r"gramme_\w+::.*(Linear<.*>::set\(|pack_)"),
    ("the rest of the encoder", r"gramme_\w+::|\(.*/lib(torch|c10|c|m|stdc|mvec)\b"),
    ("rounding and summing", r"replica\.(\(\*Accumulator\)|round|add)|/vector\..*[rR]ound"),
    ("norm and update", r"/replica\.|/vector\..*([aA]dam|[sS]quares)"),
    ("exchange", r"/vector\..*add|/allreduce|nats-io|shmlink|hash/crc32"),
    ("samples, masks", r"/shard"),
    ("heartbeats, digests, ledger", r"xxhash|gramme/(worker|energy|internal)|go\.etcd\.io|grpc|encoding/json"),
    ("Go's runtime", r"\bruntime\.|\bsync\.|internal/runtime|\btime\."),
]
REST = "the rest"


def part_of(function, file):
    text = f"{function} ({file})"
    return next((name for name, pattern in PARTS if re.search(pattern, text)), REST)


def samples(text):
    """Function and file of each line of `perf script -F ip,sym,dso`."""
    for line in text.splitlines():
        found = re.match(r"\s*[0-9a-f]+ (.*) \(([^()]*(?:\([^()]*\))?)\)$", line)
        if found:
            yield found[1], found[2]


def profile(run, case, threads, seconds):
    """Measures a run; returns {"bench", "case", "tokens_per_s", "parts": {name: share}}."""
    if not shutil.which("perf"):
        sys.exit("error: --profile needs `perf`\nhint: install it (linux-perf on Debian)")
    with tempfile.TemporaryDirectory() as scratch:
        data = os.path.join(scratch, "perf.data")

        def during(pids):
            record = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(PER_SECOND), "-o", data, "-p", ",".join(map(str, pids)), "--", "sleep", str(seconds)]
            done = subprocess.run(record, capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"error: {' '.join(record)}: {done.stderr[-2000:]}")

        measured = run.measure(seconds, during)
        text = subprocess.run(["perf", "script", "-i", data, "-F", "ip,sym,dso"], capture_output=True, text=True, check=True).stdout
    counts, functions = {}, {}
    for function, file in samples(text):
        part = part_of(function, file)
        counts[part] = counts.get(part, 0) + 1
        if part == REST:
            functions[function] = functions.get(function, 0) + 1
    if not counts:
        sys.exit("error: perf took no samples of the worker")
    capacity = threads * seconds * PER_SECOND
    parts = {name: n / capacity for name, n in sorted(counts.items(), key=lambda c: -c[1])}
    parts["no processor: waiting, or taken by others"] = max(0.0, 1 - sum(parts.values()))
    return {"bench": "profile", "case": case, "tokens_per_s": measured["tokens_per_s"], "samples": sum(counts.values()), "parts": parts,
            "rest": dict(sorted(functions.items(), key=lambda f: -f[1])[:10])}


def show(row):
    print("%s: %.0f tokens/s; of the time of its threads:" % (row["case"], row["tokens_per_s"]))
    for name, share in row["parts"].items():
        print("  %5.1f%%  %s" % (100 * share, name), flush=True)
