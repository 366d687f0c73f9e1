"""Validation loss against energy: ours, and PyTorch by several recipes, on one machine.

    scripts/bench loss [--budget MINUTES] [--corpus DIR] [--seeds N] [--model mini] [--recipes LIST] [--json FILE]

All train on the same samples of one corpus, as many minutes of wall time and on as many
threads, and are measured on the same predictions of its validation split. Ours runs with
the budget, and with half of it again and again while it still reaches the final loss of a
peer, because a schedule belongs to a budget: the joules to that loss are those of the
cheapest run that reaches it. Every run is kept in the user's cache, so the same command
goes on where it was interrupted; it writes board.json, board.md and board.svg there.
"""

import argparse
import json
import os
import pathlib
import sys

import loss_recipes
import loss_report
import loss_runs
import pairs

OURS = loss_report.OURS
LEAST_MINUTES = 0.25  # less is mostly the start of the processes


def log(text):
    print(text, file=sys.stderr, flush=True)


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--budget", metavar="MINUTES", type=pairs.positive(float), default=20.0, help="of one training (default %(default)g)")
    p.add_argument("--corpus", metavar="DIR", help="a folder of text, or a prepared one; default: Debian's documentation, fetched by apt")
    p.add_argument("--seeds", type=pairs.positive(int), default=3, help="trainings of each recipe (default %(default)s)")
    p.add_argument("--model", choices=["tiny", "mini", "small", "base"], default="mini", help="default %(default)s")
    p.add_argument("--recipes", default=",".join([*loss_recipes.RECIPES, OURS]), help="default %(default)s")
    p.add_argument("--threads", type=pairs.positive(int), default=2, help="of ours and of the peers (default %(default)s)")
    p.add_argument("--downstream", metavar="N", type=int, default=3, help="fine-tunings of each checkpoint; 0 for none (default %(default)s)")
    p.add_argument("--tune", metavar="MINUTES", type=float, help="of each trial of a setting of the peers that are tuned; 0 for none (default: an eighth of the budget, at least 0.5)")
    p.add_argument("--json", metavar="FILE", help="write the rows and the runs there, without curves")
    p.add_argument("--svg", metavar="FILE", help="draw the curves there, too")
    o = p.parse_args()
    o.recipes = o.recipes.split(",")
    o.tune = max(0.5, o.budget / 8) if o.tune is None else o.tune
    unknown = set(o.recipes) - {*loss_recipes.RECIPES, OURS}
    if unknown:
        p.error(f"unknown recipe {', '.join(sorted(unknown))}")
    return o


def lesser_budgets(lab, seed, minutes, targets):
    """Runs of ours with less than the budget: halves while one reaches a peer's loss, then one between."""
    budgets = [minutes]
    while budgets[-1] / 2 >= LEAST_MINUTES and any(lab.ours(budgets[-1], seed)["final"]["loss"] <= t for t in targets):
        budgets.append(budgets[-1] / 2)
    done = [lab.ours(m, seed) for m in budgets]
    for target in targets:
        enough = [r["minutes"] for r in done if r["final"]["loss"] <= target]
        less = [m for m in budgets if enough and m < min(enough)]
        if less:
            done.append(lab.ours(round((min(enough) * max(less)) ** 0.5, 3), seed))
    return done


def board(lab, o):
    peers = [r for r in o.recipes if r != OURS]
    tuned = {r: lab.tuned(r, o.tune) for r in peers if o.tune and r in loss_recipes.TUNED}
    runs = []
    for seed in range(1, o.seeds + 1):
        theirs = [lab.peer(r, o.budget, seed, tuned[r][0] if r in tuned else {}) for r in peers]
        runs += theirs
        if OURS in o.recipes:
            runs += lesser_budgets(lab, seed, o.budget, [r["final"]["loss"] for r in theirs])
    runs = list({r["path"]: r for r in runs}.values())
    found = {
        "model": o.model, "minutes": o.budget, "seeds": o.seeds, "threads": o.threads,
        "torch": lab.torch, "corpus": lab.about, "energy": runs[0]["energy"], "seq": lab.seq, "predictions": runs[0]["final"]["predictions"], "runs": runs,
        "targets": loss_report.targets(runs, o.budget),
        "tuned": {r: {"minutes": o.tune, "best": best, "tried": tried} for r, (best, tried) in tuned.items()},
    }
    if o.downstream:
        lab.downstream(found, chosen(runs, o.budget), o.downstream)
    return found


def chosen(runs, minutes):
    """The runs that a classifier is made of: those of the whole budget, and our cheapest to each peer's loss."""
    some = [r for r in runs if r["minutes"] == minutes]
    for peer in loss_report.peers(runs):
        some += [ours for _, ours in loss_report.cheapest(runs, peer, minutes) if ours is not None]
    return list({r["path"]: r for r in some}.values())


def main():
    o = options()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: o.threads])  # of all that follows
    lab = loss_runs.Lab(o.model, o.threads, o.corpus, log)
    found = board(lab, o)
    rows = loss_report.rows(found)
    page = loss_report.markdown(found)
    picture = loss_report.svg(found["runs"], f"{o.model}, {o.budget:g} minutes, {o.threads} threads. Energy: {found['energy']}")
    place = lab.home / f"board-{o.model}-{o.budget:g}min-{o.seeds}"
    place.mkdir(parents=True, exist_ok=True)
    pairs.write(place / "board.json", found)
    (place / "board.md").write_text(page)
    for file in [place / "board.svg"] + ([pathlib.Path(o.svg)] if o.svg else []):
        file.write_text(picture)
    print(page)
    pairs.show(rows)
    log(f"curves, table and picture: {place}")
    pairs.finish(o, loss_report.summary(found) | {"rows": rows})


if __name__ == "__main__":
    main()
