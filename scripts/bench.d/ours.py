"""Measures a run of ours, with all of its parts on, for the benchmarks that have pairs.

    prepared = ours.corpus(scratch)
    run = ours.Run(scratch, prepared, ["--model", "tiny", ...])
    found = run.measure(seconds)   # starts it or resumes it, measures, stops it
"""

import json
import os
import signal
import subprocess
import sys
import time

SEQ, VOCABULARY = 128, 8192

signal.signal(signal.SIGTERM, lambda *_: sys.exit("interrupted"))  # so that a run is stopped, too


def corpus(scratch):
    """Prepares the documentation of Go; returns the folder."""
    text, folder = os.path.join(scratch, "go.txt"), os.path.join(scratch, "corpus")
    for command in (
        ["bin/gramme", "corpus", "go", "--out", text],
        ["bin/gramme", "prepare", "--out", folder, "--max-seq", str(SEQ), "--vocab-size", str(VOCABULARY), text],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"error: {' '.join(command)}: {done.stderr[-2000:]}")
    return folder


def vocabulary(folder):
    """How many pieces there are: a small corpus may give fewer than were asked for."""
    with open(os.path.join(folder, "vocab.txt"), encoding="utf-8") as f:
        return sum(1 for _ in f)


class Run:
    """One run, which each measurement starts again where the one before left it."""

    def __init__(self, folder, prepared, flags, tokens):
        self.folder, self.tokens = folder, tokens  # of a step
        self.flags = flags + ["--max-seq", str(SEQ), "--steps", "1000000", prepared]

    def measure(self, seconds, during=None):
        """Returns tokens a second, and the most memory of a worker in MiB.

        `during` is called with the workers' process numbers while it trains, and should
        take the seconds itself.
        """
        command = ["bin/gramme", "up", "--run", self.folder]
        if not os.path.exists(os.path.join(self.folder, "spec.yaml")):
            command += self.flags
        with open(self.folder + ".err", "a") as err:
            up = subprocess.Popen(command, stdout=err, stderr=err, start_new_session=True)
        try:
            first, at, _ = self.next_step(up, 0, 0.1)
            begun = self.next_step(up, first + 1, 0.02)
            each = max(0.02, (begun[1] - at) / (begun[0] - first) / 4)  # a look costs what it measures
            begun = self.next_step(up, begun[0], each)
            if during:
                during([w["pid"] for w in begun[2]])
            else:
                time.sleep(seconds)
            ended = self.next_step(up, self.status()["step"], each)
            memory = max(most_memory(w["pid"]) for w in ended[2])
        finally:
            self.stop(up)
        return {"tokens_per_s": self.tokens * (ended[0] - begun[0]) / (ended[1] - begun[1]), "memory_mib": memory}

    def stop(self, up):
        if up.poll() is None:
            up.send_signal(signal.SIGINT)
            try:
                up.wait(120)
            except subprocess.TimeoutExpired:
                os.killpg(up.pid, signal.SIGKILL)
                up.wait()

    def status(self):
        answer = subprocess.run(["bin/gramme", "status", "--run", self.folder, "--json"], capture_output=True, text=True)
        try:
            return json.loads(answer.stdout)
        except ValueError:
            return {"state": "", "step": 0, "processes": []}

    def next_step(self, up, after, every):
        """The first step beyond `after`, when it was seen, and the workers."""
        while up.poll() is None:
            s = self.status()
            if s["state"] == "training" and s["step"] > after:
                return s["step"], time.perf_counter(), [p for p in s["processes"] if p["role"] == "worker"]
            time.sleep(every)
        with open(self.folder + ".err") as f:
            sys.exit(f"error: the run ended early: {f.read()[-2000:]}")


def most_memory(pid):
    """The most memory that a process had so far, in MiB."""
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM:")) / 1024
