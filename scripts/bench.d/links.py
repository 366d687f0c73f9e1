"""Trains a run on two hosts that a bad network joins, at several settings of it.

    links.py SCRATCH SECONDS SETTINGS [OUT.json]

The hosts are network namespaces, which takes root. On the first are etcd, NATS,
`gramme up` and its worker; on the second a worker that joins once the first has
trained for a while. Held against each other are how fast steps come before it comes
and from a minute after on, and the weights against those of one worker that nothing
disturbed. "machine" is how fast the first worker computes later by how fast it did
before: what else the machine does slows both alike. SETTINGS are numbers joined by commas, or "all".
"""

import hashlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time

scratch, seconds, chosen = sys.argv[1:4]
out_file = sys.argv[4] if len(sys.argv) > 4 else ""
seconds = int(seconds)

SETTINGS = {  # of slowlink.py
    1: ("1 Gbit/s, 0.1 ms", ["delay=1e-4", "rate=1e9", "queue=0.1"]),
    2: ("50 Mbit/s, 5 ms", ["delay=0.005", "rate=5e7", "queue=0.1"]),
    3: ("20 ms, 1% lost", ["delay=0.02", "rate=1e9", "queue=0.1", "loss=0.01"]),
    4: ("50 ms +- 10 ms, 0.1% lost", ["delay=0.05", "jitter=0.01", "rate=1e9", "queue=0.1", "loss=0.001"]),
    5: ("10 Mbit/s, 2 ms", ["delay=0.002", "rate=1e7", "queue=0.1"]),
}
ALONE = 30  # seconds of training before the other host comes
FIRST = 60  # seconds in which it may cost something
HOSTS = {"a": "10.77.0.1", "b": "10.77.0.2"}
gramme = os.path.abspath("bin/gramme")
slowlink = os.path.join(os.path.dirname(os.path.abspath(__file__)), "slowlink.py")
recipe = os.path.abspath("scripts/quickstart.yaml")
names = {h: f"gramme{os.getpid()}{h}" for h in HOSTS}
running = []


def say(text):
    print(text, file=sys.stderr, flush=True)


def start(args, log, host=None, stdout=None, **kw):
    """Starts a process, on one of the hosts, which have names of their own."""
    if host:
        args = ["ip", "netns", "exec", names[host], "unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', "host-" + host] + args
    with open(log, "ab") as f:
        p = subprocess.Popen(args, stdout=stdout or f, stderr=f, start_new_session=True, **kw)
    running.append(p)
    return p


def end(p, how=signal.SIGTERM, within=60):
    if p.poll() is None:
        os.killpg(p.pid, how)
        try:
            p.wait(within)
        except subprocess.TimeoutExpired:
            os.killpg(p.pid, signal.SIGKILL)
            p.wait()
    if p in running:
        running.remove(p)


def up(run, steps):
    return [gramme, "up", "--run", run, "--config", recipe, "--workers", "1", "--threads", "1", "--precision", "f32",
            "--device", "cpu", "--steps", str(steps), os.path.join(scratch, "corpus")]


def weights(run):
    with open(os.path.join(run, "checkpoints", "latest", "model.safetensors"), "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def undisturbed(run, steps):
    p = start(up(run, steps), run + ".log")
    if p.wait() != 0:
        sys.exit("error: the undisturbed run failed:\n" + open(run + ".log").read()[-2000:])
    running.remove(p)
    return weights(run)


def pace():
    """Steps a second of one worker on this machine as it is now."""
    run = os.path.join(scratch, "pace")
    p = start(up(run, 10**6), run + ".log")
    first = last = None
    while last is None or last[0] - first[0] < 15:
        s = status(run)
        if p.poll() is not None:
            sys.exit("error: a run to measure by failed:\n" + open(run + ".log").read()[-2000:])
        if s and s["state"] == "training" and s["step"] > 0:
            last = (time.time(), s["step"])
            first = first or last
        time.sleep(1)
    end(p)
    return (last[1] - first[1]) / (last[0] - first[0])


def status(run, host=None, environ=None):
    args = [gramme, "status", "--run", run, "--json"]
    if host:
        args = ["ip", "netns", "exec", names[host]] + args
    try:
        answer = subprocess.run(args, capture_output=True, text=True, env=environ, timeout=15)
        return json.loads(answer.stdout)
    except (ValueError, subprocess.TimeoutExpired):
        return None


def environment(command):
    """The variables by which processes of both hosts find etcd and NATS."""
    flags = command.stdout.readline().decode().split()
    names_ = {"--etcd": "GRAMME_ETCD", "--nats": "GRAMME_NATS", "--tls-ca": "GRAMME_TLS_CA", "--tls-cert": "GRAMME_TLS_CERT", "--tls-key": "GRAMME_TLS_KEY"}
    return {names_[flag]: value for flag, value in zip(flags[::2], flags[1::2])}


def trial(number, steps):
    title, link = SETTINGS[number]
    run = os.path.join(scratch, f"run{number}")
    log = lambda name: os.path.join(scratch, f"{number}-{name}.log")
    for name in names.values():
        subprocess.run(["ip", "netns", "add", name], check=True)
    wire = start([sys.executable, slowlink, names["a"], HOSTS["a"], names["b"], HOSTS["b"]] + link, log("link"), stdout=subprocess.PIPE)
    wire.stdout.readline()  # it is up
    services = start(["scripts/cluster", "--host", HOSTS["a"], "--members", "1"], log("cluster"), "a", stdout=subprocess.PIPE)
    environ = dict(os.environ, **environment(services))
    main = start(up(run, steps), log("up"), "a", env=environ)
    other, seen, came, training = None, [], None, None
    while main.poll() is None:
        s = status(run, "a", environ)
        now = time.time()
        if s and s["state"] == "training":
            training = training or now
            seen.append((now, s["step"], s["generation"], s))
            if other is None and now - training >= ALONE:
                came = now
                home = os.path.join(scratch, f"home{number}")
                os.makedirs(home)
                other = start([gramme, "worker", "--id", "far", "--threads", "1", "--run-id", s["run"]], log("far"), "b",
                              env=dict(environ, HOME=home, XDG_CACHE_HOME=home))
        if came and now - came > 20 * seconds:
            break
        time.sleep(2)
    code = main.poll()
    if other:
        end(other)
    end(main)
    end(services)
    end(wire)
    for name in names.values():
        subprocess.run(["ip", "netns", "delete", name], check=True)
    if code != 0:
        say(f"setting {number}: `gramme up` ended with {code}; its last words:\n" + open(log("up")).read()[-2000:])
        return {"setting": number, "title": title, "exit": code}

    def rate(part):
        return (part[-1][1] - part[0][1]) / (part[-1][0] - part[0][0]) if len(part) > 1 else None

    def speed(part):  # at which the first worker computes, whatever it waits for
        all_ = [p["speed"] for x in part for p in x[3]["processes"] if p["id"] == "w1" and p.get("speed")]
        return statistics.median(all_) if all_ else None

    before, later = [x for x in seen if training + 5 <= x[0] <= came], [x for x in seen if x[0] >= came + FIRST]
    alone, after = rate(before), rate(later)
    # What else this machine does meanwhile slows the worker's computation as much.
    machine = speed(later) / speed(before) if speed(later) and speed(before) else 1
    last = seen[-1][3]
    text = open(os.path.join(run, "logs", "coordinator.log")).read() if os.path.exists(os.path.join(run, "logs", "coordinator.log")) else ""
    plans = re.findall(r'\tplan\t.*"generation": (\d+), "world": (\d+), "reason": "((?:[^"\\]|\\.)*)"', text)
    return {
        "setting": number, "title": title, "exit": code, "sha256": weights(run), "generations": last["generation"],
        "alone": alone, "after": after, "ratio": after / alone if alone and after else None, "machine": machine,
        "members": sorted(p["id"] for p in last["processes"] if p["role"] == "worker" and p["rank"] >= 0),
        "warnings": [w["text"] for w in last.get("warnings") or []],
        "far": [p.get("reason", p["state"]) for p in last["processes"] if p["id"] == "far"], "plans": plans,
    }


def main():
    numbers = sorted(SETTINGS) if chosen == "all" else [int(n) for n in chosen.split(",")]
    rate = pace()
    steps = int(rate * seconds)
    say(f"one worker makes {rate:.1f} steps a second here: {steps} steps")
    want = undisturbed(os.path.join(scratch, "undisturbed"), steps)
    rows, good = [], True
    print("%-28s %-7s %11s %8s %8s %6s %8s  %s" % ("link, each way", "weights", "generations", "alone/s", "after/s", "ratio", "machine", "members at the end"))
    for n in numbers:
        r = trial(n, steps)
        rows.append(r)
        if r["exit"] != 0:
            good = False
            continue
        r["equal"] = r["sha256"] == want
        good = good and r["equal"]
        number = lambda x: "-" if x is None else "%.2f" % x
        print("%-28s %-7s %11d %8s %8s %6s %8s  %s" % (r["title"], "equal" if r["equal"] else "DIFFER", r["generations"], number(r["alone"]),
              number(r["after"]), number(r["ratio"]), number(r["machine"]), " ".join(r["members"])), flush=True)
        for text in r["warnings"] + r["far"]:
            print("    " + text, flush=True)
        for generation, world, reason in r["plans"]:
            say(f"    {generation}: {world} members: {reason}")
        if out_file:
            with open(out_file, "w") as f:
                json.dump({"steps": steps, "sha256": want, "trials": rows, "load_1m": os.getloadavg()[0]}, f, indent=2)
    sys.exit(not good)


signal.signal(signal.SIGTERM, lambda *_: sys.exit("interrupted"))
try:
    main()
finally:
    for p in list(running):
        end(p, signal.SIGKILL)
    for name in names.values():
        subprocess.run(["ip", "netns", "delete", name], stderr=subprocess.DEVNULL)
