"""The checks of scripts/gpu-check.

    check.py cuda|cpu PYTHON JSON

PYTHON has the peers' torch and transformers. JSON names the file of the result; empty: none.
"""

import datetime
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import table

device, python, out_file = sys.argv[1:4]
GPU = device == "cuda"
REPLICAS = "cuda" if GPU else "tensors"  # the device of the runs
WITHIN = 480  # seconds of everything
ROOT = os.getcwd()
begun = time.monotonic()
rows = []

# What is trained. On a CPU small enough for seconds, and of odd sizes: hand-written blocks
# for CPUs do not compute those.
TINY = ["--model", "tiny", "--max-seq", "32", "--batch-rows", "2", "--batch-micro-batches", "8", "--threads", "1"]
ODD = ["--model-hidden-size", "36", "--model-layers", "1", "--model-heads", "3", "--model-intermediate-size", "70"]
SPEED = [("base", 64, 4, 20), ("large", 32, 8, 20)] if GPU else [("tiny", 4, 1, 2)]
SEQ = 128


def left():
    return WITHIN - (time.monotonic() - begun)


def note(check, case, ok, **more):
    """Adds a row; ok is None where nothing could be said."""
    rows.append(dict(check=check, case=case, ok=ok, **more))
    print(table.line(rows[-1]), file=sys.stderr, flush=True)


def command(arguments, **how):
    how.setdefault("timeout", max(left(), 1))
    try:
        return subprocess.run(arguments, capture_output=True, text=True, **how)
    except subprocess.TimeoutExpired as e:
        text = e.stdout.decode() if e.stdout else ""
        return subprocess.CompletedProcess(arguments, 124, text, f"not done within {how['timeout']:.0f} s")


def tests(check, package, pattern):
    environment = dict(os.environ, GRAMME_TEST_DEVICE=REPLICAS)
    done = command([os.path.join(ROOT, "bin/checks", package + ".test"), "-test.v", "-test.run", pattern],
                   cwd=os.path.join(ROOT, "worker", package), env=environment, timeout=min(150, max(left(), 1)))
    found = re.findall(r"^--- (PASS|FAIL|SKIP): (\S+)", done.stdout, re.MULTILINE)
    for outcome, name in found:
        note(check, name, {"PASS": True, "FAIL": False, "SKIP": None}[outcome])
    if done.returncode != 0 or not found:
        note(check, package, False, why=(done.stdout + done.stderr)[-1500:])


def text(path, words):
    """Writes documents of random words, so that a vocabulary of many pieces can be learnt."""
    draw = random.Random(1)
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "ist")]
    known = ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(20000)]
    with open(path, "w", encoding="utf-8") as f:
        for _ in range(words // 100):
            for _ in range(8):
                f.write(" ".join(draw.choices(known, k=12)).capitalize() + ".\n")
            f.write("\n")


def status(run):
    answer = command(["bin/gramme", "status", "--run", run, "--json"])
    try:
        return json.loads(answer.stdout)
    except ValueError:
        return {}


class Run:
    """A run of gramme up in the background."""

    def __init__(self, folder, arguments):
        self.folder, self.log = folder, folder + ".log"
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(["bin/gramme", "up", "--run", folder, "--device", REPLICAS] + arguments, stdout=log, stderr=log)

    def reaches(self, step):
        """The first step from `step` on that was seen, and when; None if the run ended."""
        while self.process.poll() is None and left() > 0:
            now = status(self.folder)
            if now.get("state") == "training" and now.get("step", 0) >= step:
                return now["step"], time.perf_counter()
            time.sleep(0.02)
        return None

    def end(self, sent=None):
        if sent is not None and self.process.poll() is None:
            self.process.send_signal(sent)
        try:
            return self.process.wait(max(left(), 20))
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def tail(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()[-1500:]

    def digest(self):
        h = hashlib.sha256()
        for name in ("model.safetensors", "optimizer.safetensors"):
            with open(os.path.join(self.folder, "checkpoints", "latest", name), "rb") as f:
                h.update(f.read())
        return h.hexdigest()


def bits(scratch, corpus):
    steps = 240
    precision = "bf16" if GPU else "f32"
    arguments = TINY + ([] if GPU else ODD) + ["--vocab-size", "400", "--precision", precision, "--steps", str(steps), "--seed", "7"]
    digests = {}
    for case, workers, kill in (("1 worker", "1", False), ("2 workers", "2", False), ("2 workers, one killed with -9", "1:2", True)):
        run = Run(os.path.join(scratch, "bits-%d" % len(digests)), arguments + ["--workers", workers, corpus])
        why = ""
        if kill and run.reaches(steps // 10):
            pids = [p["pid"] for p in status(run.folder).get("processes", []) if p["role"] == "worker"]
            if len(pids) < 2:
                why = "there were not two workers to kill one of"
            else:
                os.kill(pids[0], signal.SIGKILL)
        elif kill:
            why = "it ended before a worker could be killed"
        if run.end() != 0:
            note("bits", case, False, why=run.tail())
            continue
        digests[case] = run.digest()
        first = next(iter(digests.values()))
        note("bits", case, digests[case] == first and not why, value=digests[case][:16], why=why)


class Watts:
    """Samples the power of the GPU while it runs."""

    def __enter__(self):
        self.found, self.stop = [], threading.Event()
        self.thread = threading.Thread(target=self.sample)
        self.thread.start()
        return self

    def sample(self):
        while GPU and shutil.which("nvidia-smi") and not self.stop.wait(0.5):
            answer = command(["nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits"])
            try:
                self.found.append(float(answer.stdout.split()[0]))
            except (ValueError, IndexError):
                return

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    def mean(self):
        return sum(self.found) / len(self.found) if self.found else None


def speed(scratch, corpus):
    precision = "bf16" if GPU else "f32"
    for model, rows_of, micro_batches, seconds in SPEED:
        case = f"{model} {precision}"
        run = Run(os.path.join(scratch, model), ["--model", model, "--workers", "1", "--threads", "1", "--precision", precision, "--batch-rows", str(rows_of),
                  "--batch-micro-batches", str(micro_batches), "--max-seq", str(SEQ), "--dropout", "0.1", "--steps", "100000", corpus])
        first = run.reaches(4)
        ours = None
        if first:
            with Watts() as watts:
                time.sleep(min(seconds, max(left(), 1)))
                now = status(run.folder)
                last = run.reaches(now.get("step", first[0]) + 1)
            if last:
                ours = rows_of * micro_batches * SEQ * (last[0] - first[0]) / (last[1] - first[1])
        run.end(signal.SIGINT)
        if ours is None:
            note("speed", case, False, why=run.tail())
            continue
        note("speed", case, None, value=ours, unit="tokens/s")
        if watts.mean() is not None:
            note("speed", case + ", nvidia-smi", None, value=watts.mean(), unit="W")
            note("speed", case + ", the run's meters", None, value=float(now.get("watts") or 0), unit="W")
        vocabulary = sum(1 for _ in open(os.path.join(run.folder, "corpus", "vocab.txt"), encoding="utf-8"))
        for how in ("eager", "compiled"):
            peer(how, case, model, precision, rows_of, micro_batches, seconds, vocabulary, ours)


def peer(how, case, model, precision, rows_of, micro_batches, seconds, vocabulary, ours):
    case = f"{case} vs {how}"
    if left() < 60 + seconds:
        note("speed", case, None, why="not measured: no time is left")
        return
    done = command([python, "scripts/gpu.d/peer.py", how, device, model, precision, str(rows_of), str(micro_batches), str(SEQ), str(vocabulary), str(seconds)],
                   timeout=min(150, left()))
    try:
        theirs = json.loads(done.stdout.splitlines()[-1])["tokens_per_s"]
    except (ValueError, IndexError):
        note("speed", case, None, why="not measured: " + ((done.stderr.strip().splitlines() or ["no answer"])[-1]))
        return
    note("speed", case, None, value=theirs, unit="tokens/s", ratio=ours / theirs)


def about():
    smi = command(["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]).stdout.strip() if GPU and shutil.which("nvidia-smi") else ""
    version = command(["bin/gramme-worker", "--version"]).stdout.strip()
    return {"date": datetime.date.today().isoformat(), "device": device, "gpu": smi.splitlines()[0] if smi else "none", "build": version, "seconds": round(time.monotonic() - begun)}


def main():
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as scratch:
        corpus = os.path.join(scratch, "text.txt")
        text(corpus, 400_000 if GPU else 20_000)
        tests("update", "torch", "^TestReplicaAgreesWithGo$")
        tests("golden", "bert", "^(TestAgreesWithHuggingFace|TestSameBits|TestSameBitsInAnotherProcess|TestNothingOutsideTensors|TestPaddingLearnsNothing|TestMemoryDoesNotGrow|TestCloseFreesEverything|TestHold)$")
        bits(scratch, corpus)
        speed(scratch, corpus)
    result = dict(about(), rows=rows)
    print(table.markdown(result))
    if out_file:
        with open(out_file, "w", encoding="utf-8") as f:
            json.dump(result, f, indent=2)
    sys.exit(4 if any(r["ok"] is False for r in rows) else 0)


main()
