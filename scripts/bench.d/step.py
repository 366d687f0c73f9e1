"""Tokens a second of one worker, all parts of a run on, against PyTorch by hand.

    step.py SCRATCH CORPUS PYTHON THREADS ROUNDS SECONDS MODELS PRECISIONS [OUT.json]

Ours and the peers take turns; each ratio is of one round. MODELS and PRECISIONS are
joined by commas.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import time

scratch, corpus, python, threads, rounds, seconds, models, precisions = sys.argv[1:9]
out_file = sys.argv[9] if len(sys.argv) > 9 else ""
threads, rounds, seconds = int(threads), int(rounds), float(seconds)
ROWS, SEQ = 16, 128
PEERS = ["hf", "tuned"]


def step_of(run):
    answer = subprocess.run(["bin/gramme", "status", "--run", run, "--json"], capture_output=True, text=True)
    try:
        status = json.loads(answer.stdout)
        return status["step"] if status["state"] == "training" else 0
    except (ValueError, KeyError):
        return 0


def next_step(run, up, after):
    """The first step beyond `after`, and when it was seen."""
    while up.poll() is None:
        step = step_of(run)
        if step > after:
            return step, time.perf_counter()
        time.sleep(0.02)
    sys.exit(f"error: the run ended early: {open(run + '.err').read()[-2000:]}")


def ours(model, precision, vocabulary):
    run = os.path.join(scratch, f"{model}-{precision}")
    command = ["bin/gramme", "up", "--run", run, "--model", model, "--workers", "1", "--threads", str(threads), "--precision", precision,
               "--batch-rows", str(ROWS), "--batch-micro-batches", "1", "--max-seq", str(SEQ), "--dropout", "0.1", "--steps", "100000", corpus]
    if os.path.exists(os.path.join(run, "spec.yaml")):
        command = ["bin/gramme", "up", "--run", run]
    with open(run + ".err", "a") as err:
        up = subprocess.Popen(command, stdout=err, stderr=err)
        first, _ = next_step(run, up, 0)
        first, begun = next_step(run, up, first + 2)
        time.sleep(seconds)
        last, ended = next_step(run, up, step_of(run))
        up.send_signal(signal.SIGINT)
        up.wait()
    return ROWS * SEQ * (last - first) / (ended - begun)


def peer(how, model, precision, vocabulary):
    command = [python, "scripts/bench.d/peer.py", how, model, precision, str(threads), str(seconds), "--rows", str(ROWS), "--seq", str(SEQ), "--vocab", str(vocabulary)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"error: {' '.join(command)}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])["tokens_per_s"]


vocabulary = sum(1 for _ in open(os.path.join(corpus, "vocab.txt"), encoding="utf-8"))
rows = []
for model in models.split(","):
    for precision in precisions.split(","):
        mine, theirs = [], {how: [] for how in PEERS}
        for _ in range(rounds):
            mine.append(ours(model, precision, vocabulary))
            for how in PEERS:
                theirs[how].append(peer(how, model, precision, vocabulary))
        for how in PEERS:
            ratios = [m / t for m, t in zip(mine, theirs[how])]
            row = {"bench": "step", "case": f"{model} {precision} {threads} vs {how}", "ours": statistics.median(mine), "peer": statistics.median(theirs[how]),
                   "unit": "tokens/s", "ratio": {"min": min(ratios), "median": statistics.median(ratios), "max": max(ratios)}, "runs": rounds}
            rows.append(row)
            print("%-28s %8.0f against %8.0f tokens/s: %.2f (%.2f to %.2f)" % (row["case"], row["ours"], row["peer"], row["ratio"]["median"], min(ratios), max(ratios)), flush=True)
if out_file:
    json.dump(rows, open(out_file, "w"), indent=2)
