"""Describes this machine and the software that a benchmark compares, as a dictionary."""

import datetime
import importlib.metadata
import os
import platform
import subprocess

# What of the instruction sets decides how fast products are.
INSTRUCTIONS = ["avx2", "fma", "avx512f", "avx512_bf16", "avx512_fp16", "avx_vnni", "amx_bf16"]


def describe():
    first = {}
    cores = set()
    for block in read("/proc/cpuinfo").split("\n\n"):
        fields = dict(map(str.strip, line.split(":", 1)) for line in block.splitlines() if ":" in line)
        if not fields:
            continue
        first = first or fields
        cores.add((fields.get("physical id"), fields.get("core id", fields.get("processor"))))
    memory = next((int(line.split()[1]) for line in read("/proc/meminfo").splitlines() if line.startswith("MemTotal:")), 0)
    flags = first.get("flags", "").split()
    return {
        "processor": first.get("model name", platform.machine()),
        "vendor": first.get("vendor_id", ""),
        "instructions": [i for i in INSTRUCTIONS if i in flags],
        "cores": len(cores),
        "threads": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**20, 1),
        "torch": version("torch"),
        "transformers": version("transformers"),
        "gramme": gramme(),
        "load_1m": round(os.getloadavg()[0], 1),
        "date": datetime.date.today().isoformat(),
    }


def read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return ""


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def gramme():
    try:
        return subprocess.run(["bin/gramme", "version"], capture_output=True, text=True).stdout.split("\n")[0].strip()
    except OSError:
        return ""


def hardware(m):
    """The machine in words, without what changes from day to day."""
    vendor = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD"}.get(m["vendor"], m["vendor"])
    name = m["processor"].replace("(R)", "").replace("(TM)", "")
    name = name if vendor in name else f"{vendor} {name}"
    return f"{name} with {', '.join(m['instructions']) or 'no vector instructions'}; {m['cores']} cores, of which the benchmarks may use {m['threads']} threads; {m['memory_gib']:g} GiB of memory"


def software(m):
    """The versions, the day and the load in words."""
    versions = [m["gramme"].split(" (")[0]] + [f"{name} {m[name]}" for name in ("torch", "transformers") if m.get(name)]
    return f"{', '.join(versions)}; {m['date']}, load {m['load_1m']:g} at the start"
