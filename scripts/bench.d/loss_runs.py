"""The runs of the loss benchmark: each is trained under the meter, measured, and kept.

A run has a folder in the cache, named by what it depends on; result.json is written last,
so that a run which was cut short is run again and one that is complete never.
"""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import loss_meter
import loss_recipes
import machine

HERE = pathlib.Path(__file__).parent
VOCABULARY, SEQ = 8192, 128
# The processes that `gramme up` starts for the validation.
VALIDATION = lambda words: len(words) > 1 and words[0].endswith("gramme-worker") and words[1] == "evaluate"


def digest(*parts):
    return hashlib.sha256("\0".join(json.dumps(p, sort_keys=True) if not isinstance(p, bytes) else hashlib.sha256(p).hexdigest() for p in parts).encode()).hexdigest()[:12]


class Lab:
    """Corpus, samples and runs of one model."""

    def __init__(self, model, threads, corpus, log):
        self.model, self.threads, self.log = model, threads, log
        self.home = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "gramme" / "bench" / "loss"
        self.home.mkdir(parents=True, exist_ok=True)
        self.torch = machine.version("torch")
        self.preparer = digest(pathlib.Path("bin/gramme").read_bytes())  # another build may prepare and draw in another way
        self.corpus = self.prepared(corpus)
        manifest = (self.corpus / "manifest.json").read_bytes()
        about = json.loads(manifest)
        self.vocab, self.seq = about["vocab_size"], about["max_seq"]
        tokens = sum(s["tokens"] for s in about["splits"]["train"]["shards"])
        self.about = f"{corpus or 'the documentation of Debian'}: {tokens / 1e6:.1f} M tokens, vocabulary {self.vocab:,}"
        self.samples = {split: self.sampled(split, digest(manifest, self.preparer)) for split in ("train", "validation")}
        self.data = digest(*(f.read_bytes() for folder in self.samples.values() for f in sorted(folder.glob("*.npy"))))
        self.fill = self.filled()

    def prepared(self, corpus):
        """The folder of the prepared corpus, made from text if need be."""
        if corpus and (pathlib.Path(corpus) / "manifest.json").exists():
            return pathlib.Path(corpus).resolve()
        if not corpus:
            subprocess.run([sys.executable, HERE / "loss_corpus.py", self.home], check=True)
        text = pathlib.Path(corpus).resolve() if corpus else self.home / "text"
        files = sorted((str(f.relative_to(text)), f.stat().st_size) for f in text.rglob("*") if f.is_file())
        out = self.home / "corpora" / digest(str(text), files, VOCABULARY, SEQ, self.preparer)
        if not (out / "manifest.json").exists():
            self.log(f"preparing {text}")
            staging = out.with_suffix(".staging")
            shutil.rmtree(staging, ignore_errors=True)
            self.quietly(["bin/gramme", "prepare", "--out", staging, "--vocab-size", VOCABULARY, "--max-seq", SEQ, text])
            staging.rename(out)
        return out

    def sampled(self, split, name):
        out = self.home / "samples" / f"{name}-{split}"
        if not (out / "ids.npy").exists():
            self.quietly(["bin/gramme", "samples", "--out", out, "--split", split, self.corpus])
        return out

    def filled(self):
        """The share of the positions of a sample that is not padding."""
        import numpy  # of the peers' environment, which --help does not need

        return float((numpy.load(self.samples["train"] / "ids.npy", mmap_mode="r")[:4096] != 0).mean())

    def quietly(self, command):
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"error: {' '.join(map(str, command))}: exit code {done.returncode}\n{done.stderr[-2000:]}")
        return done.stdout

    def tuned(self, recipe, minutes):
        """What differs in a recipe after trying, with these minutes for each trial: (change, [(change, loss)])."""
        return loss_recipes.tune(recipe, lambda change: self.peer(recipe, minutes, 1, change, final=True)["final"]["loss"])

    def peer(self, recipe, minutes, seed, change, final=False):
        """Trains a peer; final measures the model at the end alone."""
        conf = {**loss_recipes.RECIPES[recipe], **change}

        def train(folder):
            command = [sys.executable, HERE / "loss_peer.py", recipe, self.model, minutes * 60, seed, self.samples["train"], self.vocab, folder / "snapshots",
                       "--threads", self.threads, "--change", json.dumps(change)] + ["--final"] * final
            meter = self.metered(command, folder)
            snapshots = json.loads((folder / "out").read_text().splitlines()[-1])["snapshots"]
            last = snapshots[-1]
            return meter, [{**s, "folder": str(folder / "snapshots" / s["folder"])} for s in snapshots], {
                "steps": last["steps"], "sequences": last["sequences"], "tokens": last["sequences"] * self.seq * self.fill}

        return self.kept(recipe, minutes, seed, digest(conf, self.torch, final), train, json.dumps(change) if final else "")

    def ours(self, minutes, seed):
        """Trains ours: `gramme up` with its defaults and this budget."""
        build = digest(*(pathlib.Path("bin", name).read_bytes() for name in ("gramme", "gramme-worker")))

        def train(folder):
            run = folder / "run"
            every = max(2.0, minutes * 60 / 8)
            command = ["bin/gramme", "up", "--run", run, "--model", self.model, "--minutes", minutes, "--seed", seed,
                       "--checkpoint-every", f"{every:.0f}s", "--checkpoint-keep", 1000, self.corpus]
            meter = self.metered(command, folder, apart=VALIDATION, XDG_DATA_HOME=str(folder / "data"))
            account = json.loads(self.quietly(["bin/gramme", "audit", "--json", run]))["account"]
            snapshots = []
            for f in sorted((run / "checkpoints").glob("step-*"), key=lambda f: int(f.name.removeprefix("step-"))):
                if not f.is_symlink():
                    snapshots.append({"folder": str(f), "time": (f / "manifest.json").stat().st_mtime, "steps": int(f.name.removeprefix("step-"))})
            own = json.loads((run / "evaluation.json").read_text())
            return meter, snapshots, {"steps": snapshots[-1]["steps"], "sequences": account["samples"], "tokens": account["tokens"],
                                      "spec": (run / "spec.yaml").read_text(), "own_loss": own["newest"]["mlm_loss"]}

        return self.kept("gramme", minutes, seed, build, train)

    def metered(self, command, folder, apart=None, **environment):
        with open(folder / "out", "w") as out, open(folder / "err", "w") as err:
            meter = loss_meter.Meter([str(c) for c in command], apart=apart, stdout=out, stderr=err, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment})
        if meter.process.returncode != 0:
            sys.exit(f"error: {' '.join(map(str, command))}: exit code {meter.process.returncode}\n{(folder / 'err').read_text()[-2000:]}")
        return meter

    def kept(self, recipe, minutes, seed, depends, train, note=""):
        """The result of a run, from the cache if it is there."""
        folder = self.home / "runs" / f"{self.model}-{recipe}-{minutes:g}min-seed{seed}-{digest(depends, self.data, self.threads)}"
        if not (folder / "result.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self.log(f"{self.model} {recipe}, {minutes:.3g} minutes, seed {seed} {note}".rstrip())
            meter, snapshots, result = train(folder)
            losses = self.measured([s["folder"] for s in snapshots])
            points = []
            for s, found in zip(snapshots, losses):
                last = s is snapshots[-1]  # which has the energy of the whole run, its end included
                moment = meter.ended if last else s["time"]
                core_s, joules = meter.at(moment)
                points.append({"s": moment - meter.begun, "core_s": core_s, "J": joules, "steps": s["steps"], **found})
            result |= {"recipe": recipe, "model": self.model, "minutes": minutes, "seed": seed, "wall_s": meter.ended - meter.begun, "core_s": points[-1]["core_s"],
                       "J": points[-1]["J"], "energy": meter.method, "points": points, "final": losses[-1]}
            if abs(result.get("own_loss", losses[-1]["loss"]) - losses[-1]["loss"]) > 0.005:  # ours may compute in bf16, which differs by 1e-4
                sys.exit(f"error: gramme measures a loss of {result['own_loss']} on the weights of {folder}, PyTorch {losses[-1]['loss']}")
            self.keep_final(folder, snapshots[-1]["folder"])
            self.log("  loss %.4f, %.0f core-seconds, %.0f J, %.0f tokens/s" % (losses[-1]["loss"], result["core_s"], result["J"], result["tokens"] / result["wall_s"]))
            (folder / "result.json.new").write_text(json.dumps(result))
            (folder / "result.json.new").rename(folder / "result.json")
        return {**json.loads((folder / "result.json").read_text()), "path": str(folder)}

    def keep_final(self, folder, snapshot):
        """Keeps the last model alone, with the tokenizer of the corpus."""
        (folder / "final").mkdir()
        for name in ("config.json", "model.safetensors"):
            shutil.copy(pathlib.Path(snapshot) / name, folder / "final" / name)
        for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            shutil.copy(self.corpus / name, folder / "final" / name)
        for name in ("snapshots", "run", "data"):
            shutil.rmtree(folder / name, ignore_errors=True)

    def measured(self, folders):
        """The measures of models, by another process."""
        out = self.quietly([sys.executable, HERE / "loss_measure.py", self.samples["validation"], *folders, "--threads", self.threads])
        return [{k: v for k, v in json.loads(line).items() if k != "folder"} for line in out.splitlines()]

    def downstream(self, board, runs, times):
        """Fine-tunes the runs' models to name sections of packages, and a model without pretraining."""
        lists = self.home / "apt" / "lists"
        if not list(lists.glob("*_Packages")):
            subprocess.run([sys.executable, "-c", "import loss_corpus, pathlib, sys; loss_corpus.Apt(pathlib.Path(sys.argv[1])).update()", lists.parent], check=True, cwd=HERE)
        for r in runs:
            r["downstream"] = [f["accuracy"] for f in self.scores(r["path"], "final", times)]
        found = self.scores(runs[0]["path"], "scratch", times)
        board |= {"scratch": [f["accuracy"] for f in found]} | {"downstream_" + k: found[0][k] for k in ("classes", "train", "test", "majority")}

    def scores(self, path, start, times):
        """Accuracies after fine-tuning a run's model, or its like from scratch; those that are there are not made again."""
        folder = pathlib.Path(path)
        file = folder / f"downstream-{start}.json"
        found = json.loads(file.read_text()) if file.exists() else []
        for seed in range(len(found) + 1, times + 1):
            self.log(f"fine-tuning {folder.name} ({start}), seed {seed}")
            model = folder / "final" if start == "final" else "scratch"
            out = self.quietly([sys.executable, HERE / "loss_downstream.py", self.home / "apt" / "lists", seed, model, "--like", folder / "final", "--threads", self.threads])
            found.append(json.loads(out.splitlines()[-1]))
            file.write_text(json.dumps(found))
        return found[:times]
