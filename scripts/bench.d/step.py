"""One worker of ours with all parts of a run on, against PyTorch.

Tokens a second of steps of 16 x 128 tokens with dropout 0.1: forward, backward, clipping
and update. The peers are hf, the model of transformers as a user trains it, and tuned, by
hand: the better of the tuned one as it is and compiled, for each case.

For base, rows of two more benchmarks: "memory" is the most memory of the process, and
"flops" the operations a second that the model needs, against those of torch.matmul with
the same threads. --profile prints where the processor time of ours goes, by `perf`.
"""

import os
import sys
import tempfile

import ours
import pairs
import peer
import profile_by_perf

ROWS = 16
PEERS = {"hf": ["hf"], "tuned": ["tuned", "compiled"]}
ALSO = {"base"}  # has the rows of memory and operations


def operations(model, vocabulary):
    """Floating point operations that a token needs, forward and backward.

    Each product of the forward has two of its size in the backward. The decoder is for
    the masked positions alone, the pooler for one token of a row.
    """
    h, layers, _ = peer.SIZES[model]
    masked = round(0.15 * ours.SEQ) / ours.SEQ
    encoder = layers * (12 * h * h + 2 * ours.SEQ * h)  # four and eight squares; scores and context
    heads = masked * (h * h + h * vocabulary) + h * h / ours.SEQ
    return 3 * 2 * (encoder + heads)


def arguments():
    p = pairs.arguments(__doc__)
    p.add_argument("--models", default="tiny,small,base", help="joined by commas (default %(default)s)")
    p.add_argument("--precisions", default="f32,bf16", help="joined by commas (default %(default)s)")
    p.add_argument("--profile", action="store_true", help="where the time of ours goes, instead of the peers")
    return p.parse_args()


def run_of(scratch, corpus, model, precision, threads, workers=1):
    return ours.Run(os.path.join(scratch, f"{model}-{precision}"), corpus, [
        "--model", model, "--workers", str(workers), "--threads", str(threads), "--precision", precision,
        "--batch-rows", str(ROWS // workers), "--batch-micro-batches", str(workers), "--recipe", "bert", "--dropout", "0.1",  # as the peers
    ], ROWS * ours.SEQ)


def peer_of(how, model, precision, threads, seconds, vocabulary, ranks=1):
    return pairs.result([sys.executable, "scripts/bench.d/peer.py", how, model, precision, str(threads), str(seconds), "--ranks", str(ranks),
                         "--rows", str(ROWS), "--seq", str(ours.SEQ), "--vocab", str(vocabulary)])


def compare(o, scratch, corpus, model, precision):
    vocabulary = ours.vocabulary(corpus)
    run = run_of(scratch, corpus, model, precision, o.threads)
    measures = {"ours": lambda: run.measure(o.seconds)}
    for how in sum(PEERS.values(), []):
        measures[how] = lambda how=how: peer_of(how, model, precision, o.threads, o.seconds, vocabulary)
    if model in ALSO:
        measures["matmul"] = lambda: pairs.result([sys.executable, "scripts/bench.d/matmul.py", precision, str(o.threads), str(min(o.seconds, 8))])
    found = pairs.turns(o.rounds, measures)
    case = f"{model} {precision} {o.threads}"
    speed = {name: [f["tokens_per_s"] for f in found[name]] for name in found if name != "matmul"}
    rows = pairs.rows("step", case, "tokens/s", speed, PEERS)
    if model in ALSO:
        for row in list(rows):  # of the variant that was compared
            name = row["case"].rsplit(" ", 1)[1]
            memory = {which: [f["memory_mib"] for f in found[variant]] for which, variant in (("ours", "ours"), (name, row.get("peer_as", name)))}
            rows += pairs.rows("memory", case, "MiB", memory, {name: [name]}, more_is_better=False)
        needs = operations(model, vocabulary) / 1e9
        rates = {"ours": [needs * s for s in speed["ours"]], "matmul": [f["gflops"] for f in found["matmul"]]}
        rows += pairs.rows("flops", case, "GFLOP/s", rates, {"matmul": ["matmul"]})
    return rows


def main():
    o = arguments()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        corpus = ours.corpus(scratch)
        for model in o.models.split(","):
            for precision in o.precisions.split(","):
                if o.profile:
                    rows.append(profile_by_perf.profile(run_of(scratch, corpus, model, precision, o.threads), f"{model} {precision} {o.threads}", o.threads, o.seconds))
                    profile_by_perf.show(rows[-1])
                else:
                    rows += (new := compare(o, scratch, corpus, model, precision))
                    pairs.show(new)
                pairs.finish(o, rows)  # what is measured stays if the next case fails


if __name__ == "__main__":
    main()
