#!/usr/bin/env python3
"""Times whole prov processes beside their peers, in turn, and prints medians and ratios. See README.md in this folder."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from publish_probe import Probe

GROUPS = ["runs", "miss", "inputs", "loop", "hash", "tree"]


class Bench:
    def __init__(self, args, work):
        self.args, self.work, self.rows = args, work, []
        self.prov = str(Path(shutil.which(args.prov) or sys.exit(f"compare: no program {args.prov}")).resolve())
        home = work / "home"
        home.mkdir()
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("PROV_", "GIT_", "XDG_"))}
        self.env = keep | {
            "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "XDG_CACHE_HOME": str(home / "cache"), "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "B", "GIT_AUTHOR_EMAIL": "b@example.org",
            "GIT_COMMITTER_NAME": "B", "GIT_COMMITTER_EMAIL": "b@example.org", "PROV_AUTHOR_NAME": "B", "PROV_AUTHOR_EMAIL": "b@example.org",
        }
        self.null = os.open("/dev/null", os.O_RDWR)

    def time(self, argv, folder):
        """Seconds, CPU seconds and peak RSS (KiB) of one whole process; ends the bench if it fails."""
        argv = [*self.args.before.split(), *argv]
        os.chdir(folder)
        actions = [(os.POSIX_SPAWN_DUP2, self.null, fd) for fd in (0, 1)]
        errors = os.open(self.work / "stderr", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        actions.append((os.POSIX_SPAWN_DUP2, errors, 2))
        start = time.perf_counter()
        pid = os.posix_spawnp(argv[0], argv, self.env, file_actions=actions)
        _, status, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - start
        os.close(errors)
        if status:
            sys.exit(f"compare: {' '.join(argv)} in {folder} ended with status {status}:\n{(self.work / 'stderr').read_text(errors='replace')[-2000:]}")
        return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss

    def quiet(self, argv, folder):
        done = subprocess.run(argv, cwd=folder, env=self.env, stdin=subprocess.DEVNULL, capture_output=True)
        if done.returncode:
            sys.exit(f"compare: {' '.join(argv)} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}")
        return done.stdout

    def in_turn(self, commands, pairs, warm=2):
        """Runs all commands once per round, every other round backwards. name -> [(wall, cpu, rss)].

        A command is (argv or a function of the round, folder), or a function that returns seconds.
        """
        results = {name: [] for name in commands}
        for round_ in range(-warm, pairs):
            names = list(commands)
            for name in names if round_ % 2 == 0 else reversed(names):
                command = commands[name]
                if callable(command):
                    got = (command(), 0.0, 0)
                else:
                    argv, folder = command
                    got = self.time(argv(round_) if callable(argv) else argv, folder)
                if round_ >= 0:
                    results[name].append(got)
        return results

    def row(self, what, prov, peer_name, peer, limit=None, unit="ms", value=None, rss=None):
        """One line of the table; `value` overrides the ratio prov / peer."""
        ratio = prov / peer if value is None and peer else value
        ok = "" if limit is None or ratio is None else ("yes" if ratio <= limit else "NO")
        self.rows.append({"what": what, "prov": prov, "peer_name": peer_name, "peer": peer, "ratio": ratio, "limit": limit, "met": ok, "unit": unit, "rss_mib": rss})
        peer_text = "" if peer is None else f"{peer:.3f}"
        print(f"{what:44} {prov:10.3f} {unit:3} | {peer_name:34} {peer_text:>10} | "
              f"{'' if ratio is None else f'{ratio:.2f}':>7} {'' if limit is None else f'<= {limit}':>9} {ok}", flush=True)

    # --- the rows --------------------------------------------------------------------------------------------------------------

    def project(self, name):
        """A small Git repository with one step."""
        folder = self.work / name
        (folder / "src").mkdir(parents=True)
        for i in range(20):
            (folder / "src" / f"part{i}.py").write_text(f"def part{i}(x):\n    return x + {i}\n" * 20)
        (folder / "README.md").write_text("# A small project\n")
        (folder / "raw.csv").write_text("".join(f"{i},{i * i}\n" for i in range(500)))
        (folder / "one.sh").write_text('echo "$2" >"$3"\n')
        (folder / "three.sh").write_text('echo "a $1" >"$2"; echo "b $1" >"$3"; echo "c $1" >"$4"\n')
        (folder / ".gitignore").write_text("*.out\n")
        time.sleep(1.1)  # files of the same second as the index are read again by every look of Git's and prov's
        self.quiet(["git", "init", "-q", "."], folder)
        self.quiet(["git", "add", "."], folder)
        self.quiet(["git", "commit", "-q", "-m", "start"], folder)
        self.quiet([self.prov, "init"], folder)
        return folder

    def one(self, i):
        return [self.prov, "run", "-q", "--name", "one", "-S", f"i={i}", "-i", "raw=raw.csv", "-o", "one=one.out", "--", "sh", "one.sh", "raw.csv", "{set.i}", "one.out"]

    def fill(self, folder, runs):
        start = time.monotonic()
        for i in range(runs):
            self.time(self.one(i), folder)
            if (i + 1) % 1000 == 0:
                print(f"# {folder.name}: {i + 1} runs after {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)

    def runs(self):
        few, many = self.args.few, self.args.many
        small, big = self.project("few"), self.project("many")
        self.fill(small, few)
        self.fill(big, many)
        os.sync()
        probe = Probe(self.work)  # beside the projects: its files are no work of either program
        hit = self.one(few // 2)
        for folder in (small, big):
            self.quiet(hit, folder)
            said = "".join(self.quiet([self.prov, "--json", *hit[1:]], folder).decode().split())
            if '"outcome":"hit"' not in said:
                sys.exit(f"compare: the run that should be a hit is not one: {said[:500]}")
        got = self.in_turn({
            "hit few": (hit, small), "git few": (["git", "status"], small), "publish": probe.publish,
            "hit many": (hit, big), "git many": (["git", "status"], big),
        }, self.args.pairs)
        ms = medians(got)
        self.row(f"hit after {few} runs", ms["hit few"], "git status + publish", ms["git few"] + ms["publish"], 1.5)
        self.row("  of which: peers alone", ms["git few"], "publish", ms["publish"], value=None if not ms["publish"] else ms["git few"] / ms["publish"])
        self.row(f"hit after {many} runs", ms["hit many"], "git status + publish", ms["git many"] + ms["publish"])
        self.row(f"hit after {many} runs", ms["hit many"], f"hit after {few} runs", ms["hit few"], 1.3)
        got = self.in_turn({
            "log few": ([self.prov, "log", "-n", "20"], small), "log many": ([self.prov, "log", "-n", "20"], big),
            "lineage few": ([self.prov, "lineage", "one.out"], small), "lineage many": ([self.prov, "lineage", "one.out"], big),
            "git log": (["git", "log", "-n", "20"], small),
        }, self.args.pairs)
        ms = medians(got)
        self.row(f"log -n 20 after {many} runs", ms["log many"], f"after {few} runs", ms["log few"], 2.0)
        self.row(f"log -n 20 after {few} runs", ms["log few"], "git log -n 20 (one commit)", ms["git log"])
        self.row(f"lineage after {many} runs", ms["lineage many"], f"after {few} runs", ms["lineage few"], 2.0)
        files = sum(len(names) for _, _, names in os.walk(big / ".prov"))
        size = sum(os.lstat(os.path.join(at, name)).st_size for at, _, names in os.walk(big / ".prov") for name in names)
        self.row(f"files in .prov after {many} runs", files, "limit", None, 100, "", files)
        self.row(f"bytes in .prov a run, {many} runs", size / many, "", None, None, "B")

    def miss(self):
        folder = self.project("miss")
        bare = ["sh", "three.sh", "x", "a.out", "b.out", "c.out"]
        probe = Probe(self.work)

        def recorded(round_):
            return [self.prov, "run", "-q", "--name", "three", "-S", f"i={round_}", "-i", "raw=raw.csv", "-o", "a=a.out", "-o", "b=b.out", "-o", "c=c.out",
                    "--", "sh", "three.sh", "{set.i}", "a.out", "b.out", "c.out"]
        got = self.in_turn({"prov": (recorded, folder), "bare": (bare, folder), "publish": probe.publish}, self.args.pairs, warm=3)
        ms = medians(got)
        self.row("miss, three small outputs", ms["prov"], "bare command + publish", ms["bare"] + ms["publish"])
        added = ms["prov"] - ms["bare"] - ms["publish"]
        self.row("  added beyond bare command and publish", added, "limit", None, 4.0, "ms", added)

    def inputs(self):
        """A hit with many declared inputs, none of them changed."""
        folder, count = self.project("inputs"), self.args.inputs
        (folder / "data").mkdir()
        for i in range(count):
            (folder / "data" / f"in{i:04}.csv").write_text(f"{i},{i * i}\n" * (1 + i % 40))
        time.sleep(1.1)
        paths = [f"data/in{i:04}.csv" for i in range(count)]
        (folder / "list.txt").write_text("".join(path + "\n" for path in paths))
        forms = {
            f"hit, {count} times -i FILE": [word for path in paths for word in ("-i", path)],
            f"hit, {count} of --inputs-from": ["--inputs-from", "list.txt"],
            f"hit, -i GLOB of {count}, each an input": ["-i", "data/*.csv"],
            f"hit, -i KEY=GLOB of {count}, one set": ["-i", "all=data/*.csv"],
        }
        commands = {}
        for at, (form, words) in enumerate(forms.items()):
            run = [self.prov, "run", "-q", "--name", f"form{at}", *words, "-o", f"n{at}.out", "--", "sh", "-c", f"cat data/*.csv | wc -l > n{at}.out"]
            for _ in range(2):
                self.quiet(run, folder)
            said = "".join(self.quiet([self.prov, "--json", *run[1:]], folder).decode().split())
            if '"outcome":"hit"' not in said:
                sys.exit(f"compare: the run that should be a hit is not one: {said[:500]}")
            commands[form] = (run, folder)
        probe = Probe(self.work)
        got = self.in_turn(commands | {"publish": probe.publish, "git": (["git", "status"], folder)}, self.args.pairs)
        ms = medians(got)
        for form in forms:
            beyond = ms[form] - ms["publish"]
            self.row(form, ms[form], "git status", ms["git"])
            self.row("  beyond one publish", beyond, "limit", None, 15.0, "ms", beyond)

    def loop(self):
        """Many runs with three small outputs each from a shell loop, beside as many commits of the same files."""
        self.looped("own", "of its own", "out/$i-a.csv out/$i-b.csv out/$i-c.csv")
        self.looped("same", "in place of the last", "a.out b.out c.out")

    def looped(self, name, which, files):
        count, rounds = self.args.loop, 10
        size = -(-count // rounds)
        made, a, b, c = size * rounds, *files.split()
        run = f'"{self.prov}" -q run --name three -S i=$i -i raw=raw.csv -o a={a} -o b={b} -o c={c} -- sh three.sh {{set.i}} {files}'
        commit = f'sh three.sh $i {files} && git add {files} && git commit -q -m "$i"'
        quiet = "git without housekeeping"
        commands = {"prov": run, quiet: commit, "git as it is set up": commit}
        folders = {}
        for at, (who, command) in enumerate(commands.items()):
            folders[who] = folder = self.project(f"loop-{name}-{at}")
            (folder / "out").mkdir()
            (folder / "loop.sh").write_text(f"i=$1; while [ $i -lt $2 ]; do {command} || exit; i=$((i+1)); done\n")
            if who != "prov":
                (folder / ".gitignore").write_text("")
        self.quiet(["git", "config", "gc.auto", "0"], folders[quiet])
        self.quiet(["git", "config", "maintenance.auto", "false"], folders[quiet])
        total = {who: [0.0, 0.0] for who in commands}
        for round_ in range(rounds):
            for who in commands if round_ % 2 == 0 else reversed(commands):
                wall, cpu, _ = self.time(["sh", "loop.sh", str(round_ * size), str((round_ + 1) * size)], folders[who])
                total[who][0] += wall * 1000 / made
                total[who][1] += cpu * 1000 / made
        for who in list(commands)[1:]:
            self.row(f"{made} runs, three outputs {which}", total["prov"][0], who, total[who][0], 0.5)
            self.row("  of which: processor time", total["prov"][1], who, total[who][1])

    def hash(self):
        if not shutil.which("b3sum"):
            print("# hash: no b3sum on PATH (cargo install --locked b3sum): left out", flush=True)
            return
        folder = self.project("hash")
        path = folder / "big.out"
        block = bytearray(os.urandom(1 << 24))
        with open(path, "wb", buffering=0) as file:
            for i in range(int(self.args.gib * 64)):
                block[:8] = i.to_bytes(8, "little")
                file.write(block)
        os.sync()
        self.time(["cat", "big.out"], folder)  # warm; what it prints is not kept, so that this process stays small

        def forgetful(_):
            # What prov remembers of the file's state would be an answer without a look at a byte.
            for cache in (folder / ".prov" / "cache").glob("stat*"):
                cache.unlink()
            return [self.prov, "id", "big.out"]
        got = self.in_turn({
            "prov": (forgetful, folder), "b3sum": (["b3sum", "big.out"], folder),
            "b3sum --no-mmap": (["b3sum", "--no-mmap", "big.out"], folder),
        }, max(3, self.args.pairs // 4), warm=1)
        ms = medians(got)
        best = min(("b3sum", "b3sum --no-mmap"), key=ms.get)
        rss = max(r for _, _, r in got["prov"]) / 1024
        self.row(f"id of a warm {self.args.gib:g} GiB file", ms["prov"], best, ms[best], 1.1, rss=rss)
        for form in ("b3sum", "b3sum --no-mmap"):
            self.row("", ms["prov"], f"{form}, {max(r for _, _, r in got[form]) / 1024:.0f} MiB", ms[form])
        self.row("  peak memory of prov id", rss, "limit", None, 64, "MiB", rss)
        path.unlink()

    def tree(self):
        folder = self.work / "tree"
        count = self.args.files
        for d in range((count + 99) // 100):
            sub = folder / "data" / f"{d:04}"
            sub.mkdir(parents=True)
            for i in range(min(100, count - d * 100)):
                (sub / f"{i:02}.dat").write_bytes(b"%d,%d\n" % (d, i) * (1 + i % 40))
        self.quiet(["git", "init", "-q", "."], folder)
        self.quiet(["git", "add", "."], folder)
        self.quiet(["git", "-c", "gc.auto=0", "commit", "-q", "-m", "start"], folder)
        self.quiet([self.prov, "init"], folder)
        self.quiet([self.prov, "commit", "data", "-m", "start"], folder)
        os.sync()
        time.sleep(2)  # past the time in which an entry's own time stamp can't be trusted, for both
        for argv in (["git", "status"], [self.prov, "status"], [self.prov, "add", "data"]):
            self.quiet(argv, folder)
            self.quiet(argv, folder)
        got = self.in_turn({
            "add": ([self.prov, "add", "data"], folder), "status": ([self.prov, "status"], folder), "git": (["git", "status"], folder),
        }, max(5, self.args.pairs // 3))
        ms = medians(got)
        self.row(f"no-op add, {count} files", ms["add"], "git status", ms["git"], 0.8)
        self.row(f"no-op status, {count} files", ms["status"], "git status", ms["git"], 0.8)


def medians(got):
    """Milliseconds."""
    return {name: statistics.median(wall for wall, _, _ in times) * 1000 for name, times in got.items()}


class Disk:
    """The folder that is measured in: a new ext4 image with a journal if this is root, else one below `parent`."""

    def __init__(self, args):
        self.args, self.mounted = args, False

    def __enter__(self):
        self.base = Path(tempfile.mkdtemp(prefix="prov-peers.", dir=self.args.work)).resolve()
        work = self.base / "work"
        work.mkdir()
        if not self.args.no_image and os.geteuid() == 0 and shutil.which("mkfs.ext4"):
            image = self.base / "disk.img"
            made = subprocess.run(f"fallocate -l {self.args.image_gib}G '{image}' && mkfs.ext4 -q -F '{image}' && mount -o loop '{image}' '{work}'",
                                  shell=True, capture_output=True, text=True)
            self.mounted = made.returncode == 0
            if not self.mounted:
                print(f"# no disk image ({made.stderr.strip()[-120:]}): measuring in {work}; see README.md about disks without a journal", file=sys.stderr)
        return work

    def __exit__(self, *_):
        os.chdir("/")
        if self.mounted:
            subprocess.run(["umount", str(self.base / "work")], check=True)
        shutil.rmtree(self.base, ignore_errors=True)


def parser(text):
    """The options that all measurements have."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = Path(__file__).resolve().parent.parent.parent
    parser.add_argument("--prov", default=os.environ.get("PROV", str(root / "target/release/prov")))
    parser.add_argument("--only", help="a part")
    parser.add_argument("--work", help="the folder to work below (default: the system's temporary folder)")
    parser.add_argument("--no-image", action="store_true", help="measure on the disk of --work as it is")
    parser.add_argument("--image-gib", type=int, default=16)
    parser.add_argument("--before", default="", help="words before every measured command, such as `chrt -f 10` where others compute (as root)")
    parser.add_argument("--out", type=lambda path: str(Path(path).resolve()), help="a file for the rows as JSON lines")
    return parser


def main():
    options = parser(__doc__)
    options.set_defaults(only=",".join(GROUPS))
    options.add_argument("--pairs", type=int, default=31, help="rounds; each round runs every command of a row once")
    options.add_argument("--few", type=int, default=100)
    options.add_argument("--many", type=int, default=10_000)
    options.add_argument("--inputs", type=int, default=1_000)
    options.add_argument("--loop", type=int, default=1_000)
    options.add_argument("--files", type=int, default=100_000)
    options.add_argument("--gib", type=float, default=4)
    args = options.parse_args()
    args.prov = str(Path(args.prov).resolve()) if "/" in args.prov else args.prov
    groups = args.only.split(",")
    if unknown := [g for g in groups if g not in GROUPS]:
        options.error(f"unknown group {unknown[0]} (there are {', '.join(GROUPS)})")
    with Disk(args) as work:
        bench = Bench(args, work)
        print(f"# {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, medians of {args.pairs} rounds in turn; "
              f"{bench.quiet([bench.prov, '--version'], work).decode().strip()}; {bench.quiet(['git', '--version'], work).decode().strip()}")
        print(f"{'what':44} {'prov':>10}     | {'beside':34} {'':>10} | {'ratio':>7} {'goal':>9} met")
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
