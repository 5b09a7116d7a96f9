#!/usr/bin/env python3
"""Many provs on one store at once.

    tests/kill/crowd.py --prov target/release/prov                        both parts
    tests/kill/crowd.py --prov target/release/prov --only mixed --processes 16 --operations 1000
    tests/kill/crowd.py --prov target/release/prov --only burst --runs 1000

`mixed`: 16 processes with 1,000 operations each, chosen by chance among those that write and those that ask; then the same again while `prov gc` goes on all the
time. `burst`: 1,000 runs that all end in the same moment. Afterwards `prov fsck` exits with 0, every run that was acknowledged is listed once, and its output
can be had.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from kill_points import Broken, Project, text

# (how often, name)
MIX = [(30, "run"), (20, "hit"), (10, "commit"), (4, "tag"), (4, "note"), (3, "retract"), (2, "hide"), (7, "log"), (5, "lineage"), (5, "show"), (4, "restore"), (4, "add"), (2, "status")]


class Crowd:
    def __init__(self, args, folder, home):
        self.args = args
        self.project = Project([str(Path(shutil.which(args.prov)).resolve())], folder, home)
        self.failures, self.told = [], Counter()
        self.acknowledged = {}
        self.lock = threading.Lock()

    def one(self, rng, who, n, seen):
        """One operation of one process: what it was, whether it went well."""
        what = rng.choices([name for _, name in MIX], [often for often, _ in MIX])[0]
        if not seen and what in ("tag", "note", "retract", "hide", "show", "restore"):
            what = "run"
        run = rng.choice(seen) if seen else None
        made = f"out/{who}.txt"
        if what in ("run", "hit"):
            value = f"{who}.{n}" if what == "run" else f"shared{rng.randrange(40)}"
            # Those who take what others made write to places of their own.
            argv = ["-q", "run", "--json", "--name", "crowd" if what == "run" else f"shared{who}", "-S", f"v={value}", "-i", "raw=raw.csv", "-o", f"made={made}",
                    "--", "sh", "-c", f"echo {value} >{made}; cat raw.csv >>{made}"]
        elif what in ("commit", "add"):
            path = f"data/{who}.dat"
            (self.project.folder / path).write_bytes(rng.randbytes(rng.choice([10, 5_000, 400_000, 1_500_000 if n % 50 == 0 else 100])))
            argv = ["commit", path, "-m", "data"] if what == "commit" else ["add", path]
        else:
            argv = {
                "tag": ["tag", "-f", f"t{rng.randrange(9)}", run], "note": ["note", run, "-m", f"seen by {who}"], "retract": ["retract", run],
                "hide": ["hide", run], "log": ["log", "-n", "20"], "lineage": ["lineage", made], "show": ["show", run], "status": ["status"],
                "restore": ["restore", f"{run}:made", "--to", f"back/{who}.txt", "-f"],
            }[what]
        done = self.project.call(*argv)
        is_well = done.returncode == 0
        if what in ("run", "hit") and is_well:
            run = json.loads(done.stdout)["run"]
            run = run["run"] if isinstance(run, dict) else run
            seen.append(run)
            content = f"{value}\n".encode() + self.raw
            with self.lock:
                self.acknowledged[run] = content
        # A lineage of what is not there yet, a retracted run again: told, and nothing wrong. Damage, a bug or a store that can't be read is.
        if not is_well and (done.returncode in (5, 70, 101, 134) or done.returncode < 0 or b"panicked" in done.stderr or what in ("run", "hit", "commit", "add", "log", "status")):
            with self.lock:
                self.failures.append(f"process {who}, operation {n}, {what}: ended with {done.returncode}: {text(done.stderr)}")
        with self.lock:
            self.told[what, is_well] += 1

    def worker(self, who):
        rng, seen = random.Random(self.args.seed * 1000 + who), []
        for n in range(self.args.operations):
            try:
                self.one(rng, who, n, seen)
            except subprocess.TimeoutExpired as late:
                with self.lock:
                    self.failures.append(f"process {who}, operation {n}: `{late.cmd[1:3]}` hung")

    def mixed(self, with_gc):
        begin = time.monotonic()
        workers = [threading.Thread(target=self.worker, args=(who,)) for who in range(self.args.processes)]
        over = threading.Event()
        collections = [0]

        def collect():
            while not over.is_set():
                done = self.project.call("gc")
                collections[0] += 1
                if done.returncode not in (0, 1, 7, 75):
                    with self.lock:
                        self.failures.append(f"gc ended with {done.returncode}: {text(done.stderr)}")
        if with_gc:
            workers.append(threading.Thread(target=collect))
        for worker in workers:
            worker.start()
        for worker in workers[: self.args.processes]:
            worker.join()
        over.set()
        workers[-1].join()
        took = time.monotonic() - begin
        well = sum(count for (_, ok), count in self.told.items() if ok)
        files = sum(len(names) for _, _, names in os.walk(self.project.folder / ".prov" / "store"))
        self.check()
        print(f"mixed{' with gc' if with_gc else ''}: {self.args.processes} processes, {sum(self.told.values())} operations in {took:.0f} s, {well} went well, "
              f"{len(self.acknowledged)} runs acknowledged, {collections[0]} collections, {files} files in the store; {len(self.failures)} broken", flush=True)

    def check(self):
        try:
            done = self.project.call("fsck")
            if done.returncode:
                raise Broken(f"`prov fsck` ended with {done.returncode}: {text(done.stderr or done.stdout)}")
            done = self.project.call("--json", "log", "--all", "--hidden", "-n", "1000000")
            if done.returncode:
                done = self.project.call("--json", "log", "--all", "-n", "1000000")
            listed = Counter(run["run"] for run in json.loads(done.stdout)["runs"])
            twice = [run for run, count in listed.items() if count > 1]
            if twice:
                raise Broken(f"{len(twice)} runs are listed twice")
            gone = [run for run in self.acknowledged if run not in listed and self.project.call("show", run).returncode]
            if gone:
                raise Broken(f"{len(gone)} acknowledged runs are gone, {gone[0]} among them")
            for run in random.Random(1).sample(sorted(self.acknowledged), min(200, len(self.acknowledged))):
                got = self.project.call("cat", f"{run}:made")
                if got.returncode or got.stdout != self.acknowledged[run]:
                    raise Broken(f"the output of {run} is not to be had: {text(got.stderr)}")
        except Broken as broken:
            self.failures.append(str(broken))

    def make(self):
        root = self.project.folder
        root.mkdir()
        for name in ("out", "data", "back"):
            (root / name).mkdir()
        self.raw = b"".join(b"%d,%d\n" % (i, i * i) for i in range(50))
        (root / "raw.csv").write_bytes(self.raw)
        (root / ".gitignore").write_text("out\ndata\nback\n")
        self.project.must("init")

    def burst(self):
        """Runs that are all under way, each with its own output, and end when a pipe is closed."""
        count, root = self.args.runs, self.project.folder
        before = self.stored()
        hold = root / "out" / "hold"
        os.mkfifo(hold)
        keep = os.open(hold, os.O_RDWR)
        argv = [*self.project.prov, "-q", "run", "--name", "burst"]
        errors = open(root.parent / "errors", "w+b")
        runs = [subprocess.Popen([*argv, "-S", f"n={n}", "-o", f"made=out/b{n}.txt", "--", "sh", "-c", f"read x <out/hold; echo {n} >out/b{n}.txt"],
                                 cwd=root, env=self.project.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors) for n in range(count)]
        # All are under way when each has its folder of a live run and a shell that waits.
        live = root / ".prov" / "live"
        until = time.monotonic() + 600
        while time.monotonic() < until and (not live.is_dir() or len(os.listdir(live)) < count):
            time.sleep(0.2)
        time.sleep(5)
        begin = time.monotonic()
        os.write(keep, b"x\n" * count)
        ended = [run.wait() for run in runs]
        took = time.monotonic() - begin
        os.close(keep)
        hold.unlink()
        bad = sum(code != 0 for code in ended)
        if bad:
            errors.seek(0)
            self.failures.append(f"{bad} of {count} runs did not end well: {text(errors.read())}")
        after = self.stored()
        done = self.project.call("--json", "log", "--all", "-n", "1000000")
        recorded = sum("burst" in (run.get("step") or run.get("name") or "") for run in json.loads(done.stdout)["runs"])
        if recorded < count - bad:
            self.failures.append(f"{recorded} runs are listed, {count - bad} ended well")
        self.check()
        print(f"burst: {count} runs that end at once: {took:.1f} s until all are recorded, {after[2] - before[2]} entries, {(after[0] - before[0]) / count:.0f} bytes a run, "
              f"{after[1]} files in the store; {len(self.failures)} broken", flush=True)

    def stored(self):
        size = files = 0
        for at, _, names in os.walk(self.project.folder / ".prov" / "store"):
            files += len(names)
            size += sum(os.lstat(os.path.join(at, name)).st_size for name in names)
        entries = os.listdir(self.project.folder / ".prov" / "store" / "log")
        return size, files, max((int(name) for name in entries if name.isdigit()), default=0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prov", default=os.environ.get("PROV", "target/release/prov"))
    parser.add_argument("--only", default="mixed,burst")
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--operations", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", help="where it all happens (default: the system's temporary folder)")
    args = parser.parse_args()
    if not shutil.which(args.prov):
        raise SystemExit("crowd: no prov program: name it with --prov")
    failures = []
    parts = args.only.split(",")
    for part, act in (("mixed", lambda crowd: crowd.mixed(False)), ("mixed", lambda crowd: crowd.mixed(True)), ("burst", Crowd.burst)):
        if part not in parts:
            continue
        scratch = Path(tempfile.mkdtemp(prefix="prov-crowd.", dir=args.work)).resolve()
        try:
            (scratch / "home").mkdir()
            crowd = Crowd(args, scratch / "project", scratch / "home")
            crowd.make()
            act(crowd)
            failures += crowd.failures
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    for failure in failures[:20]:
        print(f"BROKEN {failure}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
