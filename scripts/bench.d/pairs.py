"""Ours and its peers in turn on one machine, and the ratio of each pair.

The scripts of benchmarks lie beside this one. scripts/bench runs them with the Python of
the peers, which has torch and transformers, from the root of the checkout:

    options = pairs.arguments(__doc__).parse_args()
    found = pairs.turns(options.rounds, {"ours": ..., "tuned": ..., "compiled": ...})
    rows = pairs.rows("step", "small bf16 2", "tokens/s", found, {"tuned": ["tuned", "compiled"]})
    pairs.finish(options, rows)

What disturbs the machine for longer than a round disturbs both sides of a ratio alike,
so the ratios hold where the absolute figures do not. A ratio above 1 says that ours is
better, whether more of the unit is better or less.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile


def arguments(description, rounds=3, seconds=20.0, threads=2):
    """The options that all benchmarks share."""
    name = os.path.splitext(os.path.basename(sys.argv[0]))[0]
    p = argparse.ArgumentParser(prog=f"scripts/bench {name}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--json", metavar="FILE", help="write the rows there")
    p.add_argument("--rounds", type=positive(int), default=rounds, help="pairs of measurements (default %(default)s)")
    p.add_argument("--seconds", type=positive(float), default=seconds, help="of one measurement (default %(default)s)")
    p.add_argument("--threads", type=positive(int), default=threads, help="of ours and of the peers (default %(default)s)")
    return p


def positive(kind):
    def read(text):
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not a positive number")
        return value

    return read


def turns(rounds, measures):
    """Calls each measure once a round; returns the results of each by its name.

    Every other round goes the other way round: what changes steadily, such as the
    heat of the machine, favours nobody.
    """
    found = {name: [] for name in measures}
    for n in range(rounds):
        for name in list(measures) if n % 2 == 0 else reversed(measures):
            found[name].append(measures[name]())
    return found


def rows(bench, case, unit, found, peers, more_is_better=True):
    """A row for each peer, from the results of turns; ours is found["ours"].

    `peers` gives each peer its variants: the one with the best median is the peer.
    """
    made = []
    for peer, variants in peers.items():
        best = max(variants, key=lambda v: statistics.median(found[v]) * (1 if more_is_better else -1))
        made.append(row(bench, f"{case} vs {peer}", unit, found["ours"], found[best], more_is_better))
        if len(variants) > 1:
            made[-1]["peer_as"] = best
    return made


def row(bench, case, unit, ours, peer, more_is_better=True):
    """The results of two, pair by pair."""
    if len(ours) != len(peer) or not ours:
        raise ValueError(f"{bench} {case}: {len(ours)} results of ours, {len(peer)} of the peer")
    ratios = [o / p if more_is_better else p / o for o, p in zip(ours, peer)]
    return {
        "bench": bench, "case": case, "ours": statistics.median(ours), "peer": statistics.median(peer), "unit": unit,
        "ratio": {"min": min(ratios), "median": statistics.median(ratios), "max": max(ratios)}, "runs": len(ratios),
    }


def show(rows):
    """Prints rows for people."""
    for r in rows:
        ratio = r["ratio"]
        variant = f" ({r['peer_as']})" if "peer_as" in r else ""
        print("%-10s %-34s %12s against %12s %-9s ratio %.2f (%.2f to %.2f)%s" % (
            r["bench"], r["case"], figure(r["ours"]), figure(r["peer"]), r["unit"], ratio["median"], ratio["min"], ratio["max"], variant), flush=True)


def figure(value):
    """A number with three digits or more, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def finish(options, rows):
    """Writes the rows where the options say; the file appears whole."""
    if options.json:
        write(options.json, rows)


def write(path, rows):
    folder = os.path.dirname(os.path.abspath(path))
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as f:
        json.dump(rows, f, indent=2)
        f.write("\n")
    os.chmod(f.name, 0o644)
    os.replace(f.name, path)


def result(command, **environment):
    """The JSON object that a command prints as its last line."""
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, **environment))
    if done.returncode != 0:
        sys.exit(f"error: {' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])
