"""One rank of all-reduces of float32 by gloo, as the peer of scripts/bench allreduce.

    gloo.py RANK WORLD PORT MEGABYTES

Says "ready", then reduces once for every line that comes on standard input, and prints
the seconds that each reduction took. One thread a rank.
"""

import datetime
import sys
import time

import torch
import torch.distributed as dist

rank, world, port, megabytes = map(int, sys.argv[1:5])
torch.set_num_threads(1)
store = dist.TCPStore("127.0.0.1", port, world, rank == 0, datetime.timedelta(minutes=10))
dist.init_process_group("gloo", store=store, rank=rank, world_size=world)
words = torch.zeros(megabytes * 250_000)


def reduce():
    words.fill_(1 / world)  # sums would grow beyond all bounds
    dist.barrier()
    begun = time.perf_counter()
    dist.all_reduce(words)
    return time.perf_counter() - begun


reduce()  # the first one connects
print("ready", flush=True)
for _ in sys.stdin:
    print(reduce(), flush=True)
