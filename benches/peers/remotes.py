#!/usr/bin/env python3
"""Times whole transfers between stores, beside Git and cp, and prints medians and ratios.

    remotes.py [--only push,nothing,records,changed] [--files 100000] [--store DIR] [--gib 2] [--rounds 3] ...

  push      an output folder of so many small files, then one of tiny ones, pushed to an empty folder; beside `git push` of a commit of it to an empty
            bare repository, as it is and tuned (each file streamed to one pack, nothing compressed), and `cp` of the packs with a flush
  nothing   push and fetch with nothing new, after as many runs as --store has (or 200); beside the same of a repository with as many commits
  records   `prov clone --records` of --store
  changed   a file of so many GiB, pushed; then 1 % of it changed in twenty places, and pushed again: bytes that travelled

--store is a project with many runs. The other options are those of compare.py.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from compare import Bench, Disk, parser

GROUPS = ["push", "nothing", "records", "changed"]
TUNED = [("core.bigFileThreshold", "1"), ("core.compression", "0"), ("pack.compression", "0"), ("feature.manyFiles", "true")]
MAKE = """import sys, os, random
random.seed(7)
words = [random.randbytes(6).hex()[:random.randrange(2, 12)] for _ in range(5000)]
for i in range(int(sys.argv[1])):
    if i % 1000 == 0: os.makedirs(f"tree/{i // 1000}", exist_ok=True)
    if sys.argv[2] == "tiny": data = (f"{i} {random.random()}\\n" * 8).encode()
    else:
        size = random.randrange(1 << 10, 8 << 10)
        data = random.randbytes(size) if i % 2 else " ".join(random.choices(words, k=size // 6)).encode()[:size]
    open(f"tree/{i // 1000}/{i}.txt", "wb").write(data)
"""
SIZES = {"small": "1 to 8 KiB, every other one noise", "tiny": "200 bytes"}


class Remotes(Bench):
    def init(self, name):
        folder = self.work / name
        folder.mkdir()
        (folder / "prov.toml").write_text("[project]\nname = 'bench'\n")
        self.quiet([self.prov, "init", "-q"], folder)
        return folder

    def json(self, words, folder):
        return json.loads(self.quiet([self.prov, "--json", *words], folder))

    def git(self, name):
        folder = self.work / name
        folder.mkdir()
        self.quiet(["git", "init", "-q", "-b", "main", "."], folder)
        return folder

    def fresh(self, path):
        shutil.rmtree(path, ignore_errors=True)
        return path

    def timed(self, name, argv, folder, before=None):
        """Median seconds, CPU seconds and peak RSS over the rounds; `before` is called before each."""
        got = []
        for _ in range(self.args.rounds):
            if before:
                before()
            os.sync()
            got.append(self.time(argv, folder))
        return [statistics.median(column) for column in zip(*got)]

    def push(self):
        for size, words in SIZES.items():
            self.push_files(size, words)

    def push_files(self, size, words):
        n, a = self.args.files, self.init("a")
        (a / "make.py").write_text(MAKE)
        self.quiet([self.prov, "run", "-q", "-o", "tree", "--", "python3", "make.py", str(n), size], a)
        far = self.work / "far"
        prov = self.timed("prov", [self.prov, "push", str(far)], a, lambda: self.fresh(far))
        g, bulk = self.git("g"), self.git("bulk")
        for setting in TUNED:
            self.quiet(["git", "config", *setting], bulk)
        for folder in (g, bulk):
            shutil.copytree(a / "tree", folder / "tree")
            self.quiet(["git", "add", "."], folder)
            self.quiet(["git", "commit", "-qm", "x"], folder)
        bare = self.work / "bare"

        def empty():
            self.fresh(bare)
            self.quiet(["git", "init", "-q", "--bare", str(bare)], self.work)

        plain = self.timed("git", ["git", "push", "-q", f"file://{bare}", "main"], g, empty)
        tuned = self.timed("git", ["git", "push", "-q", f"file://{bare}", "main"], bulk, empty)
        copy = self.work / "copy"
        copied = self.timed("cp", ["sh", "-c", f"cp -r .prov/store/packs {copy} && sync -f {copy}"], a, lambda: self.fresh(copy))
        self.row(f"push of {n} files of {words}", prov[0], "git push", plain[0], unit="s", rss=prov[2] / 1024)
        self.row("", prov[0], "git push, tuned", tuned[0], 0.4, unit="s")
        self.row("", prov[0], "cp of the packs and a flush", copied[0], 2, unit="s")
        for folder in (a, g, bulk, bare, far, copy):
            self.fresh(folder)
        self.row("  processor time", prov[1], "git push, tuned", tuned[1], unit="s")
        self.row("  memory", prov[2] / 1024, "MiB", None, 256, unit="MiB", value=prov[2] / 1024)

    def many(self):
        """A project with many runs, and their number."""
        if self.args.store:
            folder = self.work / "many"
            if not folder.exists():
                shutil.copytree(self.args.store, folder, symlinks=True)
        else:
            folder = self.work / "many"
            if not folder.exists():
                self.init("many")
                for i in range(200):
                    self.quiet([self.prov, "run", "-q", "-S", f"i={i}", "--", "true", "{set.i}"], folder)
        return folder

    def nothing(self):
        a, far = self.many(), self.work / "far-many"
        runs = self.json(["push", str(far)], a)["runs"]
        self.json(["fetch", str(far)], a)
        push = self.timed("push", [self.prov, "push", str(far)], a)
        fetch = self.timed("fetch", [self.prov, "fetch", str(far)], a)
        g, bare = self.git("g-many"), self.work / "bare-many"
        lines = []
        for i in range(runs):
            text = f"run {i}\n"
            lines.append(f"commit refs/heads/main\ncommitter B <b@example.org> {1_700_000_000 + i} +0000\ndata {len(text)}\n{text}"
                         f"M 644 inline f\ndata {len(text)}\n{text}\n")
        subprocess.run(["git", "fast-import", "--quiet"], cwd=g, env=self.env, input="".join(lines).encode(), check=True)
        self.quiet(["git", "init", "-q", "--bare", str(bare)], self.work)
        self.quiet(["git", "remote", "add", "origin", f"file://{bare}"], g)
        self.quiet(["git", "push", "-q", "-u", "origin", "main"], g)
        git_push = self.timed("git", ["git", "push", "-q", "origin", "main"], g)
        git_fetch = self.timed("git", ["git", "fetch", "-q", "origin"], g)
        self.row(f"nothing to push, {runs} runs", push[0] * 1000, "git push", git_push[0] * 1000, 1)
        self.row(f"nothing to fetch, {runs} runs", fetch[0] * 1000, "git fetch", git_fetch[0] * 1000, 1)

    def records(self):
        far, b = self.work / "far-many", self.work / "clone"
        if not far.exists():
            self.json(["push", str(far)], self.many())
        got = self.timed("clone", [self.prov, "clone", "-q", "--records", str(far), str(b)], self.work, lambda: self.fresh(b))
        self.row("clone --records", got[0], "seconds", None, 5, unit="s", value=got[0])
        self.row("  memory", got[2] / 1024, "MiB", None, 256, unit="MiB", value=got[2] / 1024)

    def changed(self):
        a, far = self.init("large"), self.work / "far-large"
        size = int(self.args.gib * (1 << 30))
        with open(a / "data.bin", "wb") as out:
            for _ in range(size >> 20):
                out.write(os.urandom(1 << 20))
        words = ["run", "-q", "-i", "data.bin", "--", "true"]

        def keep():
            self.quiet([self.prov, "add", "data.bin"], a)
            self.quiet([self.prov, *words], a)

        keep()
        first = self.json(["push", str(far)], a)
        with open(a / "data.bin", "r+b") as out:
            for i in range(20):
                out.seek(size * i // 20 + 12_345)
                out.write(os.urandom(size // 100 // 20))
        keep()
        seconds, _, rss = self.time([self.prov, "push", str(far), "-n"], a)
        again = self.json(["push", str(far)], a)
        share = again["bytes"] / size
        print(f"# first push {first['bytes']} bytes, second {again['bytes']} bytes in {again['objects']} objects; dry {seconds:.2f} s")
        self.row(f"{self.args.gib} GiB, 1 % changed: bytes", again["bytes"] / (1 << 20), "of all", None, 0.03, unit="MiB", value=share)
        self.row("  memory of the look before", rss / 1024, "MiB", None, 256, unit="MiB", value=rss / 1024)


def main():
    options = parser(__doc__)
    options.set_defaults(only=",".join(GROUPS))
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--files", type=int, default=100_000)
    options.add_argument("--gib", type=float, default=2)
    options.add_argument("--store", help="a project with many runs, which is copied")
    args = options.parse_args()
    groups = args.only.split(",")
    if unknown := [g for g in groups if g not in GROUPS]:
        options.error(f"unknown group {unknown[0]} (there are {', '.join(GROUPS)})")
    with Disk(args) as work:
        bench = Remotes(args, work)
        print(f"# {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, medians of {args.rounds}; {bench.quiet([bench.prov, '--version'], work).decode().strip()}")
        for group in GROUPS:
            if group in groups:
                getattr(bench, group)()
        if args.out:
            Path(args.out).write_text("".join(json.dumps(row) + "\n" for row in bench.rows))
    missed = [row["what"].strip() or row["peer_name"] for row in bench.rows if row["met"] == "NO"]
    print(f"# goals missed: {', '.join(missed) or 'none'}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
