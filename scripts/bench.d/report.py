"""Makes the page of the benchmarks from their results. It measures nothing."""

import loss_report
import machine
from pairs import figure

INTRODUCTION = """# Benchmarks

`scripts/bench all` measures these figures and writes this page. Ours and its peers take turns on one machine, with the same threads. Each ratio is of one round, and above 1 ours is better: ratios transfer to other machines better than figures do. The middle one of the ratios is given, with the least and the greatest in brackets.

"hf" is the model of `transformers` as a user trains it: `BertForPreTraining`, AdamW, clipping, bf16 by autocast. "tuned" is PyTorch tuned by hand: the decoder for masked positions only, `scaled_dot_product_attention`, fused AdamW, memory that is kept; as it is or compiled, whichever is faster in that case.

What was measured in other ways is in [measured.md](measured.md).
"""

TITLES = {
    "step": ("A step on a CPU", "One worker with all parts of a run on (`gramme up`: ring, heartbeats, ledger, checkpoints), 16 × 128 tokens a step, dropout 0.1, update included. For base, the memory is the most that the process took, and the operations are those that the model needs, against `torch.matmul` with the same threads."),
    "profile": ("Where the time of a step goes", "Samples of all threads of the worker by `perf`, in the runs of the table above. A thread that waits for the other one in a loop is busy, and one that sleeps is not."),
    "ddp": ("Two workers on one machine", "Two workers with one thread each share 16 × 128 tokens a step; the peers are two ranks of `DistributedDataParallel` over gloo."),
    "allreduce": ("The sum of gradients over workers", "An all-reduce of 200 MB among processes of one machine with one thread each; the peer is gloo's of f32. The rate is that of the gradient's bytes."),
    "apply": ("The update of the weights", "Norm, clipping and AdamW; the peer is `clip_grad_norm_` and fused AdamW."),
    "loss": ("Loss by processor time and energy", "Pretraining from nothing for the same minutes: `gramme up` with its defaults; Hugging Face's script with its own (\"hf\"); the same model with the tuned step and the best settings of a sweep (\"hf-tuned\"); and the recipe of Cramming (arXiv 2212.14034) on the classic architecture. Ours also runs with less than the budget, and the joules to a peer's final loss are those of the cheapest run that reaches it."),
    "quality": ("Integer sums and bf16 cost no quality", "Validation MLM loss in nats, with the same steps and seeds."),
    "recovery": ("A worker dies", "kill -9 of one of two workers of a tiny model; for comparison under torchrun, with a model of the same size and a checkpoint every two seconds. Milliseconds from the kill, minus one step."),
    "overhead": ("Overhead of elasticity", "Share of the processor time that two workers spend in steps of the quickstart's model, without failures."),
    "links": ("Slow links", "One worker runs on the host of etcd, NATS and `gramme up`; half a minute later a worker on another host joins over a bad network. \"Alone\" is steps per second before it comes, \"after\" from a minute after that on. \"Machine\" is the later speed of the first worker's computations divided by the earlier one."),
}


def page(found, order):
    names = [name for name in order if name in found]
    machines = list(dict.fromkeys(machine.hardware(found[name]["machine"]) for name in names))
    letters = {text: chr(ord("A") + n) for n, text in enumerate(machines)}
    parts = [INTRODUCTION, table(["machine", ""], [(letter, text) for text, letter in letters.items()])]
    for name in names:
        title, about = TITLES[name]
        here = found[name]["machine"]
        measured = f"Measured by `{found[name]['command']}` on machine {letters[machine.hardware(here)]} ({machine.software(here)})."
        parts += [f"## {title}\n", f"{about} {measured}".strip() + "\n", body(name, found[name]["results"])]
    return "\n".join(parts)


def body(name, results):
    if name in BODIES:
        return BODIES[name](results)
    return pair_table(results)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows]) + "\n"


def pair_table(rows):
    def ratio(r):
        q = r["ratio"]
        return f"**{q['median']:.2f}** ({q['min']:.2f} to {q['max']:.2f})" if r["runs"] > 1 else f"**{q['median']:.2f}**"

    units = {"step": "", "ddp": "", "memory": "memory, ", "flops": "operations, "}
    return table(["case", "ours", "peer", "unit", "ratio", "rounds"], [
        (units.get(r["bench"], "") + r["case"] + (f" ({r['peer_as']})" if r.get("peer_as") == "compiled" else ""), figure(r["ours"]), figure(r["peer"]), r["unit"], ratio(r), r["runs"])
        for r in rows])


def profile_table(rows):
    names = sorted({n for r in rows for n in r["parts"]}, key=lambda n: -sum(r["parts"].get(n, 0) for r in rows))
    return table(["part"] + [r["case"] for r in rows], [[n] + ["%.1f%%" % (100 * r["parts"].get(n, 0)) for r in rows] for n in names])


def quality_table(results):
    rows = []
    for how, losses in results["mlm_loss"].items():
        rows.append([how] + ["%.4f" % x for x in losses] + ["%.4f" % (sum(losses) / len(losses)), "%.4f" % (max(losses) - min(losses))])
    seeds = len(next(iter(results["mlm_loss"].values())))
    text = table(["after %d steps" % results["steps"]] + ["seed %d" % (n + 1) for n in range(seeds)] + ["mean", "spread"], rows)
    return text + "".join("\n%s: %+.4f nats; the seeds of one differ by up to %.4f.\n" % (c["what"], c["difference"], c["spread"]) for c in results["comparisons"])


def recovery_table(results):
    rows, names = [], {"gramme": "", "torchrun": "torchrun: "}
    for who, prefix in names.items():
        if r := results.get(who):
            rows.append([prefix + "next step"] + ["%.0f" % r[f"next_step_{q}_ms"] for q in ("p50", "p99")] + [r["kills"], "%.0f" % r["step_ms"]])
            if who != "gramme":
                rows.append([prefix + "the lost steps are trained again"] + ["%.0f" % r[f"regained_{q}_ms"] for q in ("p50", "p99")] + [r["kills"], "%.0f" % r["step_ms"]])
    stuck = results.get("torchrun", {}).get("stuck")
    note = f"\ntorchrun did not survive {stuck} more kills: its new workers did not find each other within a minute.\n" if stuck else ""
    return table(["", "p50", "p99", "kills", "a step, ms"], rows) + note


def overhead_table(results):
    rows = [(name, "%.2f%%" % (100 * share)) for name, share in results["parts"].items()]
    rows += [("total", "%.2f%%" % (100 * results["elastic"])), ("coordinator, checkpoint service, etcd and NATS beside the workers", "%.2f%%" % (100 * results["beside"]))]
    return table(["", "share"], rows)


def links_table(results):
    number = lambda x: "-" if x is None else "%.2f" % x
    return table(["link, each way", "weights", "generations", "alone", "after", "ratio", "machine", "members at the end"], [
        (r["title"], "equal" if r.get("equal") else "differ", r["generations"], number(r["alone"]), number(r["after"]), number(r["ratio"]), number(r["machine"]), " ".join(r["members"]))
        for r in results["trials"] if r["exit"] == 0])


BODIES = {"profile": profile_table, "loss": loss_report.page, "quality": quality_table, "recovery": recovery_table, "overhead": overhead_table, "links": links_table}
