"""What the loss benchmark says of its runs: rows, tables and curves. Pure functions.

markdown and rows read a board as summary leaves it.

A run is {"recipe", "model", "minutes", "seed", "core_s", "J", "tokens", "steps",
"wall_s", "final", "points"}; a point is {"J", "core_s", "s", "loss", ...}, in order.
"""

import math
import statistics
from html import escape

OURS = "gramme"
COLOURS = {"hf": "#9a9a9a", "hf-bf16": "#5f6b7a", "hf-tuned": "#c06014", "cramming": "#7a3b9d", OURS: "#0a7a5c"}


def joules_to(run, loss):
    """The energy at which a run has reached a loss; None if it has not."""
    return next((p["J"] for p in run["points"] if p["loss"] <= loss), None)


def longest(runs, recipe, seed):
    """The run of the whole budget."""
    found = [r for r in runs if r["recipe"] == recipe and r["seed"] == seed]
    return max(found, key=lambda r: r["minutes"]) if found else None


def least(runs, seed, loss):
    """The run of ours that reached a loss with the least energy, and that energy."""
    reached = [(joules_to(r, loss), r) for r in runs if r["recipe"] == OURS and r["seed"] == seed and joules_to(r, loss) is not None]
    return min(reached, key=lambda found: found[0], default=(None, None))


def peers(runs):
    return list(dict.fromkeys(r["recipe"] for r in runs if r["recipe"] != OURS))


def cheapest(runs, peer, minutes):
    """For each seed that both have: (the peer's run, ours that reached its final loss with the least energy, or None)."""
    found = []
    for theirs in runs:
        if theirs["recipe"] == peer and theirs["minutes"] == minutes and longest(runs, OURS, theirs["seed"]) is not None:
            found.append((theirs, least(runs, theirs["seed"], theirs["final"]["loss"])[1]))
    return found


def targets(runs, minutes):
    """What it took to reach each peer's final loss: the losses, and the joules of the seeds that reached it."""
    made = []
    for peer in peers(runs):
        found = cheapest(runs, peer, minutes)
        losses = [theirs["final"]["loss"] for theirs, _ in found]
        if found:
            made.append({
                "peer": peer, "losses": losses,
                "joules": [[joules_to(theirs, loss), joules_to(ours, loss)] for (theirs, ours), loss in zip(found, losses) if ours is not None],
                "best": min(p["loss"] for r in runs if r["recipe"] == OURS for p in r["points"]),
            })
    return made


def rows(board):
    """The rows of the benchmark: joules to each peer's final loss. What no seed reached has none."""
    made = []
    for t in board["targets"]:
        if t["joules"]:
            ratios = [theirs / ours for theirs, ours in t["joules"]]
            made.append({
                "bench": "loss", "case": f"{board['model']} {board['minutes']:g}min joules to final loss vs {t['peer']}",
                "ours": statistics.median(ours for _, ours in t["joules"]), "peer": statistics.median(theirs for theirs, _ in t["joules"]), "unit": "J",
                "ratio": {"min": min(ratios), "median": statistics.median(ratios), "max": max(ratios)}, "runs": len(ratios),
            })
    return made


def spread(values, digits=3):
    """Mean and half of the distance between the extremes."""
    text = f"{statistics.mean(values):.{digits}f}"
    return text if len(values) < 2 else f"{text} ± {(max(values) - min(values)) / 2:.{digits}f}"


def settings(change):
    """The settings of a trial in words."""
    text = lambda v: f"{v[0]} to {v[1]}" if isinstance(v, (list, tuple)) and v[0] != v[1] else f"{v[0]}" if isinstance(v, (list, tuple)) else f"{v:g}"
    return ", ".join(f"{key} {text(value)}" for key, value in change.items())


def summary(board):
    """The board without its curves."""
    return board | {"runs": [{k: v for k, v in r.items() if k not in ("points", "spec", "path")} for r in board["runs"]]}


def markdown(board):
    """The tables, as a part of a page."""
    runs = board["runs"]
    lines = [
        f"{board['model']}, {board['threads']} threads. MLM loss on {board['predictions']:,} predictions of the validation split, 15% masked, sequences of {board['seq']} tokens, the same samples and masks for all. "
        f"The corpus is {board['corpus']}. Energy: {board['energy']}; of all processes from start to end, but for the validation. "
        f"Seeds: {board['seeds']}; ± is half of the range.", "",
        "| recipe | minutes | steps | tokens/s | loss | next sentence | core-seconds | kJ | downstream |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for recipe in peers(runs) + [OURS]:
        for length in sorted({r["minutes"] for r in runs if r["recipe"] == recipe}, reverse=True):
            same = [r for r in runs if r["recipe"] == recipe and r["minutes"] == length]
            scores = [s for r in same for s in r.get("downstream", [])]
            of = lambda key: statistics.mean(r[key] for r in same)
            lines.append("| %s | %.3g | %s | %s | %s | %.1f%% | %s | %.2f | %s |" % (
                recipe, length, f"{of('steps'):,.0f}", f"{statistics.mean(r['tokens'] / r['wall_s'] for r in same):,.0f}", spread([r["final"]["loss"] for r in same]),
                100 * statistics.mean(r["final"]["nsp_accuracy"] for r in same), f"{of('core_s'):,.0f}", of("J") / 1000,
                spread([100 * s for s in scores], 1) + "%" if scores else ""))
    lines += ["", "| joules to the final loss of | its loss | its joules | ours | ratio (least to most) |", "|---|---|---|---|---|"]
    for t in board["targets"]:
        if not t["joules"]:
            lines.append(f"| {t['peer']} | {spread(t['losses'])} | | not reached: {t['best']:.3f} | |")
            continue
        ratios = [theirs / ours for theirs, ours in t["joules"]]
        lines.append("| %s | %s | %s | %s | %.2f × (%.2f to %.2f)%s |" % (
            t["peer"], spread(t["losses"]), f"{statistics.median(theirs for theirs, _ in t['joules']):,.0f}", f"{statistics.median(ours for _, ours in t['joules']):,.0f}",
            statistics.median(ratios), min(ratios), max(ratios), "" if len(ratios) == len(t["losses"]) else f"; reached by {len(ratios)} of {len(t['losses'])} seeds"))
    for recipe, found in board.get("tuned", {}).items():
        lines += ["", f"Settings of {recipe} by trying, {found['minutes']:g} minutes each: " + "; ".join(f"{settings(change)}: {loss:.3f}" for change, loss in found["tried"]) + "."]
    if board.get("scratch"):
        lines += ["", f"Downstream: share of {board['downstream_test']:,} Debian packages whose section, of {board['downstream_classes']}, a classifier names by the description, after it was fine-tuned on "
                  f"{board['downstream_train']:,} others, three times each; without pretraining {spread([100 * s for s in board['scratch']], 1)}%, the most frequent section {100 * board['downstream_majority']:.1f}%."]
    return "\n".join(lines) + "\n"


def page(board):
    """The part of docs/benchmarks.md, beside which the picture lies."""
    return markdown(board) + "\n![Validation loss against joules, a line for each training](loss.svg)\n"


def svg(runs, title, width=860, height=520):
    """Loss against joules, as a picture: a line for each run."""
    left, right, top, bottom = 64, 130, 44, 56
    points = [p for r in runs for p in r["points"] if p["J"] > 0]
    low, high = math.log10(min(p["J"] for p in points)), math.log10(max(p["J"] for p in points))
    floor, ceiling = math.floor(2 * min(p["loss"] for p in points)) / 2, math.ceil(2 * max(p["loss"] for p in points)) / 2
    x = lambda joules: left + (math.log10(joules) - low) / max(high - low, 1e-9) * (width - left - right)
    y = lambda loss: top + (ceiling - loss) / max(ceiling - floor, 1e-9) * (height - top - bottom)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="13">',
           f'<rect width="{width}" height="{height}" fill="#ffffff"/>', f'<text x="{left}" y="24" font-size="15" fill="#111">{escape(title)}</text>']
    for i in range(int(2 * (ceiling - floor)) + 1):
        loss = floor + i / 2
        out.append(f'<line x1="{left}" x2="{width - right}" y1="{y(loss):.1f}" y2="{y(loss):.1f}" stroke="#e6e6e6"/>')
        out.append(f'<text x="{left - 8}" y="{y(loss) + 4:.1f}" text-anchor="end" fill="#444">{loss:g}</text>')
    for power in range(math.floor(low), math.ceil(high) + 1):
        for digit in (1, 2, 5):
            joules = digit * 10**power
            if low <= math.log10(joules) <= high:
                out.append(f'<line x1="{x(joules):.1f}" x2="{x(joules):.1f}" y1="{top}" y2="{height - bottom}" stroke="#f0f0f0"/>')
                out.append(f'<text x="{x(joules):.1f}" y="{height - bottom + 18}" text-anchor="middle" fill="#444">{joules:,.0f}</text>')
    out.append(f'<text x="{(left + width - right) / 2}" y="{height - 14}" text-anchor="middle" fill="#111">joules</text>')
    out.append(f'<text x="18" y="{(top + height - bottom) / 2}" text-anchor="middle" fill="#111" transform="rotate(-90 18 {(top + height - bottom) / 2})">validation MLM loss, nats</text>')
    for r in runs:
        way = " ".join(f"{x(p['J']):.1f},{y(p['loss']):.1f}" for p in r["points"] if p["J"] > 0)
        whole = r["minutes"] == max(o["minutes"] for o in runs if o["recipe"] == r["recipe"])
        out.append(f'<polyline points="{way}" fill="none" stroke="{COLOURS.get(r["recipe"], "#000")}" stroke-width="{2 if whole else 1}" stroke-opacity="{0.9 if whole else 0.5}" stroke-linejoin="round"/>')
        out += [f'<circle cx="{x(p["J"]):.1f}" cy="{y(p["loss"]):.1f}" r="2.5" fill="{COLOURS.get(r["recipe"], "#000")}"/>' for p in r["points"][-1:]]
    ends = []
    for recipe in dict.fromkeys(r["recipe"] for r in runs):
        whole = max(r["minutes"] for r in runs if r["recipe"] == recipe)
        ends.append([statistics.mean(y(r["final"]["loss"]) for r in runs if r["recipe"] == recipe and r["minutes"] == whole), recipe])
    ends.sort()
    for before, after in zip(ends, ends[1:]):  # labels do not cover each other
        after[0] = max(after[0], before[0] + 17)
    for at, recipe in ends:
        out.append(f'<text x="{width - right + 10}" y="{at + 4:.1f}" fill="{COLOURS.get(recipe, "#000")}" font-weight="600">{escape(recipe)}</text>')
    return "\n".join(out) + "\n</svg>\n"
