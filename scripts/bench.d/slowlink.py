"""A network between two hosts that is as bad as one says, until interrupted.

    slowlink.py NAMESPACE ADDRESS NAMESPACE ADDRESS [delay=SECONDS] [jitter=SECONDS]
                [loss=SHARE] [rate=BITS_A_SECOND queue=SECONDS] [seed=N]

It delays packets, varies the delay, drops some, and takes no more than a rate, with a queue of
a bounded length before it, alike in both directions. The hosts are network namespaces of this
machine, each with one end as its network device, so that the whole of TCP is the kernel's own.
It stands in for netem where a kernel does not have it, and takes root.

Packets of a direction arrive in the order in which they were sent, and the same seed drops the
same ones of the same sequence. A medium that both directions share is not modelled.
"""

import collections
import fcntl
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time

LARGEST = (1 << 16) + 64  # bytes of a packet, with what stands before it
ON_WAY = 1 << 14  # packets under way in one direction; more are dropped, as by a queue that is full
# Above this rate packets are passed on by the segment: a processor that has others to serve does
# not keep up otherwise.
FAST = 4e8
# Of linux/if_tun.h.
TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4 = 0x01, 0x02


class Path:
    """One direction. It knows neither clock nor network."""

    def __init__(self, stream=1, delay=0.0, jitter=0.0, loss=0.0, rate=0.0, queue=0.0, seed=1):
        if jitter > delay or not 0 <= loss < 1 or min(jitter, rate, queue) < 0 or rate > 0 and queue == 0:
            raise ValueError("no packet can arrive before it is sent, a loss is a share below 1, and a rate needs a queue")
        self.delay, self.jitter, self.loss, self.rate, self.queue = delay, jitter, loss, rate, queue
        self.draw = random.Random(f"{seed}/{stream}")
        self.free = self.arrived = 0.0  # when what was sent so far has left; when the newest arrives

    def send(self, now, size):
        """When a packet arrives that is sent now; None if it does not."""
        at = now
        if self.rate > 0:
            self.free = max(self.free, now)
            if self.free - now > self.queue:
                return None
            self.free += 8 * size / self.rate
            at = self.free
        if self.loss > 0 and self.draw.random() < self.loss:
            return None
        at += self.delay + self.jitter * (2 * self.draw.random() - 1)
        self.arrived = max(self.arrived, at)
        return self.arrived


def device(name, namespace, address, peer, offload):
    """Makes the network device of a host. A read or a write of it is one packet. With offload the
    kernel hands over segments of up to 64 KiB: of those one more or less is no longer as one packet."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI | (IFF_VNET_HDR if offload else 0)))
    if offload:
        fcntl.ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4)
    for args in (
        ["link", "set", name, "netns", namespace],
        ["-n", namespace, "address", "add", address, "peer", peer, "dev", name],
        ["-n", namespace, "link", "set", name, "up", "txqueuelen", "1000"],
        ["-n", namespace, "link", "set", "lo", "up"],
    ):
        subprocess.run(["ip"] + args, check=True)
    return fd


def forward(ends, paths):
    """Passes packets on between two devices. A host takes them or does not, as with any network."""
    under = [collections.deque(), collections.deque()]  # when each arrives at the other end, and its bytes
    while True:
        due = min((way[0][0] for way in under if way), default=None)
        readable, _, _ = select.select(ends, [], [], None if due is None else max(0.0, due - time.monotonic()))
        for i, way in enumerate(under):
            now = time.monotonic()
            while way and way[0][0] <= now:
                packet = way.popleft()[1]
                try:
                    os.write(ends[1 - i], packet)
                except OSError:
                    pass
            if ends[i] not in readable:
                continue
            for _ in range(64):  # then the other direction has its turn
                try:
                    packet = os.read(ends[i], LARGEST)
                except BlockingIOError:
                    break
                at = paths[i].send(time.monotonic(), len(packet))
                if at is not None and len(way) < ON_WAY:
                    way.append((at, packet))


def main(a, a_address, b, b_address, *settings):
    cfg = {key: float(value) for key, value in (s.split("=") for s in settings)}
    paths = [Path(1, **cfg), Path(2, **cfg)]
    offload = cfg.get("rate", 0) >= FAST and cfg.get("loss", 0) == 0
    ends = [device("slow0", a, a_address, b_address, offload), device("slow1", b, b_address, a_address, offload)]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("up", flush=True)
    forward(ends, paths)


if __name__ == "__main__":
    main(*sys.argv[1:])
