"""All-reduce of a gradient of 50 M elements among 2 and 4 processes of this machine, one
thread each, by each way that frames can go, against gloo's of float32; GB/s are of its 200 MB
in float32. "exact" sums integers of 32 bits and "exact16" of 16, in half the bytes, by the way
of workers on one host: through memory. "through NATS" is what workers on several hosts use,
here on one; "through a broker" goes over a NATS server that all share.
"""

import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile

import pairs

MEGABYTES = 200
WAYS = {
    "memory": "exact {}", "memory16": "exact16 {}", "mailbox": "exact {} through NATS",
    "mailbox16": "exact16 {} through NATS", "broker": "exact {} through a broker",
}


class Gloo:
    """The ranks of gloo: they start once, as importing torch takes long."""

    def __init__(self, world):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        env = dict(os.environ, OMP_NUM_THREADS="1", GLOO_SOCKET_IFNAME="lo")
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gloo.py")
        self.ranks = [subprocess.Popen([sys.executable, script, str(r), str(world), str(port), str(MEGABYTES)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) for r in range(world)]
        self.hear()

    def hear(self):
        said = [p.stdout.readline().strip() for p in self.ranks]
        if "" in said:
            sys.exit("error: a rank of gloo ended")
        return said

    def measure(self, repeats):
        speeds = []
        for _ in range(repeats):
            for p in self.ranks:
                p.stdin.write("\n")
                p.stdin.flush()
            speeds.append(MEGABYTES / 1000 / max(map(float, self.hear())))
        return statistics.median(speeds)

    def close(self):
        for p in self.ranks:
            p.stdin.close()
        for p in self.ranks:
            p.wait()


def ours(ranks, world, way, repeats):
    """The ranks are those of the package's own benchmark."""
    which = f"^BenchmarkAllReduce$/^{MEGABYTES}MB$/^{world}$/^{way}$"
    command = [ranks, "-test.run", "^$", "-test.bench", which, "-test.benchtime", f"{repeats}x"]
    done = subprocess.run(command, capture_output=True, text=True)
    speed = re.search(r"([\d.]+) MB/s", done.stdout)
    if done.returncode != 0 or not speed:
        sys.exit(f"error: {' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return float(speed[1]) / 1000


def main():
    options = pairs.arguments(__doc__).parse_args()
    repeats = max(1, round(options.seconds / 4))  # in a measurement of 20 seconds, also where they take less
    with tempfile.TemporaryDirectory() as scratch:
        ranks = os.path.join(scratch, "ranks.test")
        subprocess.run(["go", "test", "-c", "-o", ranks, "./allreduce/natslink"], check=True, env=dict(os.environ, CGO_ENABLED="0"))
        rows = []
        for world in (2, 4):
            gloo = Gloo(world)
            measures = {way: lambda way=way: ours(ranks, world, way, repeats) for way in WAYS}
            found = pairs.turns(options.rounds, measures | {"gloo": lambda: gloo.measure(repeats)})
            gloo.close()
            for way, name in WAYS.items():
                rows += (new := pairs.rows("allreduce", f"{MEGABYTES}MB {name.format(world)}", "GB/s", found | {"ours": found[way]}, {"gloo f32": ["gloo"]}))
                pairs.show(new)
    pairs.finish(options, rows)


if __name__ == "__main__":
    main()
