"""Time that torchrun's elastic training takes to get over the kill of a worker.

    torch_elastic.py --kills 20 --scratch DIR [--json FILE]

Starts `torchrun --standalone --nproc-per-node 2 --max-restarts 1000` on this very
file: a transformer encoder of the size of Gramme's model tiny, DDP over gloo, one
thread a worker, a checkpoint every two seconds. Then kills a worker with SIGKILL at
random moments, and measures from the kill to the first step that is done after it,
and to a step beyond those of before. A torchrun whose workers do not find each other
again within a minute is stopped, counted as stuck, and another one started.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

VOCABULARY, WIDTH, LAYERS, HEADS, LENGTH, SEQUENCES = 2048, 128, 2, 2, 64, 32  # of a step
CHECKPOINT_EVERY = 2.0


def train(scratch: Path) -> None:
    """What each worker runs."""
    import torch
    import torch.distributed as dist
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(1)
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    (scratch / f"pid-{rank}").write_text(str(os.getpid()))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(VOCABULARY, WIDTH)
            self.places = nn.Embedding(512, WIDTH)
            layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
            self.head = nn.Linear(WIDTH, VOCABULARY)

        def forward(self, ids):
            x = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
            return self.head(self.encoder(x))

    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    step, saved = 0, scratch / "checkpoint.pt"
    if saved.exists():
        state = torch.load(saved)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    parallel = nn.parallel.DistributedDataParallel(model)
    stored = time.monotonic()
    with open(scratch / "steps", "a", buffering=1) as log:
        while True:
            draw = torch.Generator().manual_seed(step * world + rank)
            ids = torch.randint(VOCABULARY, (SEQUENCES // world, LENGTH), generator=draw)
            loss = nn.functional.cross_entropy(parallel(ids).flatten(0, 1), ids.flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
            if rank == 0:
                log.write(f"{time.time()} {step}\n")
                if time.monotonic() - stored > CHECKPOINT_EVERY:
                    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, f"{saved}.new")
                    os.replace(f"{saved}.new", saved)
                    stored = time.monotonic()


def steps_of(scratch: Path) -> list[tuple[float, int]]:
    try:
        lines = (scratch / "steps").read_text().splitlines()
    except FileNotFoundError:
        return []
    rows = [line.split() for line in lines]
    return [(float(r[0]), int(r[1])) for r in rows if len(r) == 2]


def wait_for(what, agent, within=60.0):
    end = time.monotonic() + within
    while True:
        found = what()
        if found is not None:
            return found
        if agent.poll() is not None:
            sys.exit("error: torchrun has ended; its output is above")
        if time.monotonic() > end:
            raise TimeoutError(f"torchrun: no step within {within:.0f} s")
        time.sleep(0.002)


def one_kill(scratch: Path, agent, draw: random.Random) -> dict:
    """Kills a worker and returns the seconds until steps come again."""
    before = len(steps_of(scratch))
    wait_for(lambda: True if len(steps_of(scratch)) > before + 20 else None, agent)  # it trains
    time.sleep(draw.uniform(1, 3))
    old = pids_of(scratch)
    pid = old[draw.randrange(2)]
    newest = steps_of(scratch)[-1][1]
    size = (scratch / "steps").stat().st_size
    at = time.time()
    os.kill(pid, signal.SIGKILL)

    # Both workers are new processes after it, and only what those write counts.
    def again(beyond: int):
        now = pids_of(scratch)
        if now[0] == old[0] or now[1] == old[1]:
            return None
        since = max((scratch / f"pid-{r}").stat().st_mtime for r in range(2))
        with open(scratch / "steps") as f:
            f.seek(size)
            rows = [r.split() for r in f.read().splitlines()]
        return next((float(r[0]) for r in rows if len(r) == 2 and float(r[0]) > since and int(r[1]) > beyond), None)

    first = wait_for(lambda: again(-1), agent)
    regained = wait_for(lambda: again(newest), agent)
    return {"next_step_s": first - at, "regained_s": regained - at}


def start(scratch: Path) -> subprocess.Popen:
    """One torchrun, which goes on from the checkpoint where there is one."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1000",
               __file__, "--train", "--scratch", str(scratch)]
    with open(scratch / "torchrun.log", "a") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ, OMP_NUM_THREADS="1"), start_new_session=True)


def stop(agent: subprocess.Popen) -> None:
    os.killpg(agent.pid, signal.SIGTERM)
    try:
        agent.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(agent.pid, signal.SIGKILL)
        agent.wait()


def pids_of(scratch: Path) -> tuple[int, int]:
    """The workers; 0 while one is about to say."""
    return tuple(int((scratch / f"pid-{r}").read_text() or 0) for r in range(2))


def quantile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered), max(1, -int(-q * len(ordered) // 1))) - 1]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--json")
    parser.add_argument("--train", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.train:
        train(args.scratch)
        return
    kills, draw, stuck = [], random.Random(1), 0
    agent = start(args.scratch)
    try:
        while len(kills) < args.kills:
            try:
                kills.append(one_kill(args.scratch, agent, draw))
            except TimeoutError:  # it restarts and restarts, and its workers do not find each other
                stuck += 1
                if stuck > args.kills:
                    sys.exit(f"error: torchrun got stuck {stuck} times in {len(kills)} kills")
                stop(agent)
                agent = start(args.scratch)
    finally:
        stop(agent)
    rows = steps_of(args.scratch)
    step = statistics.median(b[0] - a[0] for a, b in zip(rows, rows[1:]) if b[1] == a[1] + 1)
    import torch

    out = {"torch": torch.__version__, "kills": len(kills), "step_ms": 1000 * step, "checkpoint_every_s": CHECKPOINT_EVERY, "stuck": stuck}
    for name in ("next_step", "regained"):
        values = [1000 * (k[name + "_s"] - step) for k in kills]
        out[name + "_p50_ms"], out[name + "_p99_ms"] = quantile(values, 0.5), quantile(values, 0.99)
    text = json.dumps(out)
    print(text)
    if args.json:
        Path(args.json).write_text(text + "\n")


if __name__ == "__main__":
    main()
