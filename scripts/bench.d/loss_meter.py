"""The processor time and the energy of a process and of all that it starts.

One meter for ours and for the peers. Processor time is user and system time of the
whole tree. Energy is that of the processor packages where RAPL can be read, which then
counts the whole machine; elsewhere processor time times the watts of a busy thread, the
estimate of docs/energy.md. What matches `apart` (the validation, which a benchmark does
not count) is left out of both.
"""

import os
import pathlib
import subprocess
import threading
import time

WATTS_PER_THREAD = 4.0  # energy.cpu_watts_per_core
TICK = os.sysconf("SC_CLK_TCK")


def stat(pid):
    """(start, own, with reaped children) of a process in seconds; None if it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    own, children = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return fields[19], own / TICK, (own + children) / TICK


def children(pid):
    found = []
    for file in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += file.read_text().split()
        except OSError:
            pass
    return found


def tree(root):
    """The process and its living descendants."""
    found = [str(root)]
    for pid in found:
        found += children(pid)
    return found


class Rapl:
    """The packages' counters, which wrap; without any, there is no counter."""

    def __init__(self, root="/sys/class/powercap"):
        self.zones, self.last = [], {}
        for zone in sorted(pathlib.Path(root).glob("intel-rapl:*")):
            try:
                wraps = int((zone / "max_energy_range_uj").read_text())
                if (zone / "name").read_text().startswith("package") and wraps > 0:
                    self.last[zone] = int((zone / "energy_uj").read_text())
                    self.zones.append((zone, wraps))
            except (OSError, ValueError):
                continue

    def joules(self):
        """The energy since the call before."""
        total = 0
        for zone, wraps in self.zones:
            now = int((zone / "energy_uj").read_text())
            total += (now - self.last[zone]) % (wraps + 1)
            self.last[zone] = now
        return total / 1e6


class Meter:
    """Runs a command; afterwards at(time) is what it had taken by then."""

    def __init__(self, command, apart=None, every=0.25, powercap="/sys/class/powercap", **options):
        self.apart, self.spent_apart, self.series, self.counted = apart, {}, [], 0.0
        self.rapl = Rapl(powercap)
        self.begun = time.time()
        self.process = subprocess.Popen(command, **options)
        self.done = threading.Event()
        watcher = threading.Thread(target=self.watch, args=(every,))
        watcher.start()
        try:
            _, status, usage = os.wait4(self.process.pid, 0)
        finally:
            self.done.set()
            watcher.join()
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.ended = time.time()
        self.core_seconds = usage.ru_utime + usage.ru_stime - sum(self.spent_apart.values())
        self.add(self.ended, self.core_seconds, False)

    def watch(self, every):
        while not self.done.wait(every):
            self.sample()

    def sample(self):
        total, validates = 0.0, False
        now = time.time()
        for pid in tree(self.process.pid):
            found = stat(pid)
            if found is None:
                continue
            start, own, all_of_it = found
            total += all_of_it
            if self.apart and self.is_apart(pid):
                self.spent_apart[pid, start] = own
                validates = True
        total -= sum(self.spent_apart.values())
        if total >= (self.series[-1][1] if self.series else 0.0):  # a process that ends between two looks is missing once
            self.add(now, total, validates)

    def is_apart(self, pid):
        try:
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return False
        return self.apart(words)

    def add(self, now, core_seconds, validates):
        joules = self.rapl.joules() if self.rapl.zones else 0.0
        if not validates:
            self.counted += joules
        self.series.append((now, core_seconds, self.counted if self.rapl.zones else core_seconds * WATTS_PER_THREAD))

    @property
    def method(self):
        return "RAPL, the whole machine" if self.rapl.zones else f"estimate, {WATTS_PER_THREAD:g} W for each busy thread"

    def at(self, moment):
        """Core-seconds and joules by then, between two samples by a straight line."""
        before = (self.begun, 0.0, 0.0)
        for sample in self.series:
            if sample[0] >= moment:
                part = (moment - before[0]) / max(sample[0] - before[0], 1e-9)
                return tuple(b + max(part, 0.0) * (s - b) for b, s in zip(before[1:], sample[1:]))
            before = sample
        return before[1:]
