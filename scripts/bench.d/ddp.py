"""Two workers of ours with one thread each, against PyTorch's DistributedDataParallel.

Tokens a second of steps of 16 x 128 tokens that both share: forward, backward, exchange,
clipping and update. The peers are two ranks with gloo: hf, the model of transformers as
it comes, and tuned, by hand: the better of the tuned one as it is and compiled, for each
case. The threads in the names of the cases are those of both workers together.
"""

import tempfile

import ours
import pairs
import step

PEERS = {"hf": ["hf"], "tuned": ["tuned", "compiled"]}
WORKERS = 2


def compare(o, scratch, corpus, model, precision):
    vocabulary = ours.vocabulary(corpus)
    run = step.run_of(scratch, corpus, model, precision, o.threads, WORKERS)
    measures = {"ours": lambda: run.measure(o.seconds)["tokens_per_s"]}
    for how in sum(PEERS.values(), []):
        measures[how] = lambda how=how: step.peer_of(how, model, precision, o.threads, o.seconds, vocabulary, WORKERS)["tokens_per_s"]
    return pairs.rows("ddp", f"{model} {precision} {WORKERS * o.threads}", "tokens/s", pairs.turns(o.rounds, measures), PEERS)


def main():
    p = pairs.arguments(__doc__, threads=1)
    p.add_argument("--models", default="tiny,small,base", help="joined by commas (default %(default)s)")
    p.add_argument("--precisions", default="bf16", help="joined by commas (default %(default)s)")
    o = p.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        corpus = ours.corpus(scratch)
        for model in o.models.split(","):
            for precision in o.precisions.split(","):
                rows += (new := compare(o, scratch, corpus, model, precision))
                pairs.show(new)
                pairs.finish(o, rows)


if __name__ == "__main__":
    main()
