#!/usr/bin/env python3
"""Times N runs with three small outputs each, and the same N runs again, with prov and with other tools that know what they have run before.

    caches.py --python VENV/bin/python [--dvc VENV/bin/dvc] [--only prov,consist,dvc,redun,joblib] [--count 100] [--rounds 3] ...

Every tool executes `sh three.sh I A B C`, which reads raw.csv and writes three files, for I = 0, 1, ...; in every round each tool gets a new
folder and does it twice: all executed, all known. Then comes one known run in a process of its own. Whole processes are measured. The other options are
those of compare.py.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from compare import Bench, Disk, parser

THREE = 'read x <raw.csv; echo "a $1" >"$2"; echo "b $1" >"$3"; echo "c $1" >"$4"\n'

CONSIST = '''import logging, subprocess, sys
from pathlib import Path
from consist import CacheOptions, ExecutionOptions, Tracker
logging.disable(logging.CRITICAL)
def step(raw: Path, i: int):
    made = {k: Path(f"o{i}{k}") for k in "abc"}
    subprocess.run(["sh", "three.sh", str(i), *map(str, made.values())], check=True)
    return made
tracker = Tracker(run_dir="./runs", db_path="./prov.duckdb", allow_external_paths=True)
hits = 0
for i in range(int(sys.argv[1])):
    hits += bool(tracker.run(fn=step, name="step", inputs={"raw": Path("raw.csv")}, config={"i": i}, runtime_kwargs={"i": i}, outputs=["a", "b", "c"],
                             execution_options=ExecutionOptions(input_binding="paths"), cache_options=CacheOptions(code_identity="callable_source")).cache_hit)
Path("hits").write_text(str(hits))
'''

REDUN = '''import subprocess
from redun import File, task
redun_namespace = "bench"
@task()
def step(raw: File, i: int):
    subprocess.run(["sh", "three.sh", str(i), f"o{i}a", f"o{i}b", f"o{i}c"], check=True)
    return [File(f"o{i}{k}") for k in "abc"]
@task()
def main(n: int):
    return [step(File("raw.csv"), i) for i in range(n)]
'''

JOBLIB = '''import subprocess, sys
from joblib import Memory
memory = Memory("cache", verbose=0)
@memory.cache
def step(i, raw):
    subprocess.run(["sh", "three.sh", str(i), f"o{i}a", f"o{i}b", f"o{i}c"], check=True)
    return [open(f"o{i}{k}", "rb").read() for k in "abc"]
for i in range(int(sys.argv[1])):
    step(i, open("raw.csv", "rb").read())
'''


class Tool:
    """How one tool is set up in a folder, and what makes `n` runs there."""

    def __init__(self, bench):
        self.bench, self.args = bench, bench.args

    def setup(self, folder, n):
        pass

    def all(self, n):
        raise NotImplementedError


class prov(Tool):
    """A process for each run, from a shell loop."""

    def setup(self, folder, n):
        self.bench.quiet([self.bench.prov, "init", "-q"], folder)
        (folder / "loop.sh").write_text(
            f'i=0; while [ $i -lt $1 ]; do "{self.bench.prov}" -q run --name step -S i=$i -i raw=raw.csv -o a=o${{i}}a -o b=o${{i}}b -o c=o${{i}}c '
            '-- sh three.sh {set.i} o${i}a o${i}b o${i}c || exit; i=$((i+1)); done\n')

    def all(self, n):
        return ["sh", "loop.sh", str(n)]


class consist(Tool):
    def setup(self, folder, n):
        (folder / "all.py").write_text(CONSIST)

    def all(self, n):
        return [self.args.python, "all.py", str(n)]


class redun(Tool):
    def setup(self, folder, n):
        (folder / "all.py").write_text(REDUN)
        self.bench.quiet([str(Path(self.args.python).parent / "redun"), "init"], folder)

    def all(self, n):
        return [str(Path(self.args.python).parent / "redun"), "--log-level", "ERROR", "run", "all.py", "main", "--n", str(n)]


class joblib(Tool):
    def setup(self, folder, n):
        (folder / "all.py").write_text(JOBLIB)

    def all(self, n):
        return [self.args.python, "all.py", str(n)]


class dvc(Tool):
    """All runs are stages of one file, as its documentation has it."""

    def setup(self, folder, n):
        self.bench.quiet(["git", "init", "-q", "."], folder)
        self.bench.quiet([self.args.dvc, "init", "-q"], folder)
        self.bench.quiet([self.args.dvc, "config", "core.analytics", "false"], folder)
        self.bench.quiet([self.args.dvc, "config", "core.check_update", "false"], folder)
        (folder / "dvc.yaml").write_text("stages:\n" + "".join(
            f"  s{i}:\n    cmd: sh three.sh {i} o{i}a o{i}b o{i}c\n    deps: [raw.csv]\n    outs: [o{i}a, o{i}b, o{i}c]\n" for i in range(n)))

    def all(self, n):
        return [self.args.dvc, "repro", "-q"]


def main():
    options = parser(__doc__)
    options.set_defaults(only="prov,consist,dvc,redun,joblib")
    options.add_argument("--python", help="a Python with consist, redun and joblib (pip install consist pytz redun joblib)")
    options.add_argument("--dvc", help="the program (pip install dvc, best in an environment of its own)")
    options.add_argument("--count", type=int, default=100, help="runs")
    options.add_argument("--rounds", type=int, default=3)
    args = options.parse_args()
    args.prov = str(Path(args.prov).resolve()) if "/" in args.prov else args.prov
    names = args.only.split(",")
    for name in names:
        if name not in ("prov", "consist", "dvc", "redun", "joblib"):
            options.error(f"unknown tool {name}")
        if not (name == "prov" or (args.dvc if name == "dvc" else args.python)):
            options.error(f"{name}: say where it is with --{'dvc' if name == 'dvc' else 'python'}, or leave it out with --only")
    # A link in a virtual environment must not be followed: it is what finds the packages.
    args.python, args.dvc = (path and os.path.abspath(path) for path in (args.python, args.dvc))
    rows = []
    with Disk(args) as work:
        bench = Bench(args, work)
        bench.env |= {"DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "1", "PYTHONDONTWRITEBYTECODE": ""}
        print(f"# {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {args.count} runs, medians of {args.rounds} rounds in turn; "
              f"{bench.quiet([bench.prov, '--version'], work).decode().strip()}")
        got = {name: {"all executed": [], "all known": [], "one known": []} for name in names}
        for round_ in range(args.rounds):
            for name in names if round_ % 2 == 0 else reversed(names):
                for what, n in (("all", args.count), ("one", 1)):
                    folder = work / f"{name}-{what}-{round_}"
                    folder.mkdir()
                    (folder / "raw.csv").write_text("1\n")
                    (folder / "three.sh").write_text(THREE)
                    tool = globals()[name](bench)
                    tool.setup(folder, n)
                    os.sync()
                    time.sleep(0.05)
                    first = bench.time(tool.all(n), folder)
                    made = sum((folder / f"o{i}{k}").exists() for i in range(n) for k in "abc")
                    if made != 3 * n:
                        sys.exit(f"caches: {name} made {made} of {3 * n} files in {folder}")
                    stamp = (folder / f"o{n - 1}a").stat().st_mtime_ns
                    again = bench.time(tool.all(n), folder)
                    if (folder / f"o{n - 1}a").stat().st_mtime_ns != stamp:
                        sys.exit(f"caches: {name} executed again what it knew")
                    if what == "all":
                        got[name]["all executed"].append(first)
                        got[name]["all known"].append(again)
                    else:
                        got[name]["one known"].append(again)
                    shutil.rmtree(folder)
        print(f"{'what':34} {'tool':10} {'ms a run':>10} {'CPU ms a run':>13} {'of prov':>9}   peak MiB")
        for what in ("all executed", "all known", "one known"):
            base = None
            for name in names:
                n = 1 if what == "one known" else args.count
                wall, cpu, rss = (statistics.median(one[at] for one in got[name][what]) for at in range(3))
                wall, cpu = wall * 1000 / n, cpu * 1000 / n
                base = base or wall
                rows.append({"what": what, "tool": name, "ms": wall, "cpu_ms": cpu, "ratio": wall / base, "rss_mib": rss / 1024})
                shown = {"all executed": f"{n} runs", "all known": f"the same {n} again, all known", "one known": "one known run, a process of its own"}[what]
                print(f"{shown:34} {name:10} {wall:10.2f} {cpu:13.2f} {wall / base:9.2f} {rss / 1024:10.0f}", flush=True)
    if args.out:
        Path(args.out).write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
