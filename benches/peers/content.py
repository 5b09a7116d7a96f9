#!/usr/bin/env python3
"""Times how prov stores, restores and checks content beside tools that do the same, and counts what each stores anew after a change.

    content.py [--only small,large,tables] [--rounds 5] [--files 100000] [--mib 2048] [--table-mib 1024] [--python VENV/bin/python] ...

`small`: many files of 1-8 KiB. `large`: one incompressible file, and 1 MiB put into its middle. `tables`: a CSV table, and a Parquet table if --python
has pyarrow, of which 1 % of the rows change, in twenty places or all over. Peers are tar, cp, Git and what is found of restic, borg, rustic, b3sum.
In every round each tool works in a new store; what a tool printed is not kept. The other options are those of compare.py.
"""

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from compare import Bench, Disk, parser

GROUPS = ["small", "large", "tables"]
TUNED = {
    "core.bigFileThreshold": "1", "core.compression": "0", "pack.compression": "0", "feature.manyFiles": "true", "checkout.workers": "2",
    "gc.auto": "0", "maintenance.auto": "false",
}
COLUMNS = 8


def rmtree(*paths):
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def usage(*paths):
    """Bytes, allocated bytes and files below."""
    size = allocated = files = 0
    for top in paths:
        for at, folders, names in os.walk(top) if top.is_dir() else [(top.parent, [], [top.name])]:
            for name in [*folders, *names]:
                stat = os.lstat(os.path.join(at, name))
                allocated += stat.st_blocks * 512
                if name in names:
                    size, files = size + stat.st_size, files + 1
    return size, allocated, files


class Content(Bench):
    def __init__(self, args, work):
        super().__init__(args, work)
        self.env |= {"RESTIC_PASSWORD": "x", "RUSTIC_PASSWORD": "x", "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes", "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes"}
        self.restic, self.borg, self.b3sum, self.rustic = (shutil.which(name) for name in ("restic", "borg", "b3sum", "rustic"))
        missing = [name for name in ("restic", "borg", "b3sum", "rustic") if not shutil.which(name)]
        if missing:
            print(f"# not found, left out: {', '.join(missing)}", flush=True)
        self.got = {}

    def sh(self, key, script, folder):
        """Times one shell command as a measurement of `key`."""
        os.sync()
        self.got.setdefault(key, []).append(self.time(["sh", "-ec", script], folder))

    def rows_of(self, what, ours, *peers):
        """One row for each (peer's name, its key, goal); ratios of clock and of processor time."""
        wall, cpu, rss = (statistics.median(x[i] for x in self.got[ours]) for i in range(3))
        for name, key, goal in peers:
            if key not in self.got:
                continue
            # Ratios within a round: what disturbs one disturbs the other.
            walls = statistics.median(a[0] / b[0] for a, b in zip(self.got[ours], self.got[key]))
            cpus = statistics.median(a[1] / max(b[1], 1e-3) for a, b in zip(self.got[ours], self.got[key]))
            self.row(what, wall * 1000, name, statistics.median(x[0] for x in self.got[key]) * 1000, goal, value=walls, rss=rss / 1024)
            self.row("  processor time", cpu * 1000, name, statistics.median(x[1] for x in self.got[key]) * 1000, None, value=cpus)
        self.row("  peak memory", rss / 1024, "limit", None, 96, "MiB", rss / 1024)

    def new_prov(self, folder):
        rmtree(folder / ".prov")
        self.quiet([self.prov, "init"], folder)

    # --- many small files ------------------------------------------------------------------------------------------------------

    def small(self):
        count, rng = self.args.files, random.Random(1)
        ours, git, tuned = (self.work / name for name in ("small", "small-git", "small-tuned"))
        total = 0
        (ours / "data").mkdir(parents=True)
        for at in range(0, count, 100):
            sub = ours / "data" / f"d{at // 100:04}"
            sub.mkdir()
            for i in range(min(100, count - at)):
                size = rng.randint(1024, 8192)
                total += size
                (sub / f"f{i:04}.dat").write_bytes(rng.randbytes(size))
        for folder in (git, tuned):
            folder.mkdir()
            subprocess.run(["cp", "-a", str(ours / "data"), str(folder / "data")], check=True)
            self.quiet(["git", "init", "-q", "."], folder)
        for key, value in TUNED.items():
            self.quiet(["git", "config", key, value], tuned)
        tar, restic, rustic, out = self.work / "a.tar", self.work / "restic", self.work / "rustic", self.work / "out"
        prov = f"'{self.prov}'"
        os.sync()
        for round_ in range(self.args.rounds):
            print(f"# small: round {round_}", file=sys.stderr, flush=True)
            self.new_prov(ours)
            rmtree(tar, restic)
            self.sh("add", f"{prov} add data", ours)
            self.stored = usage(ours / ".prov")
            self.sh("tar", f"tar cf '{tar}' data && sync '{tar}'", ours)
            if self.restic:
                self.quiet([self.restic, "init", "-q", "-r", str(restic)], ours)
                self.sh("restic add", f"restic -q -r '{restic}' backup data", ours)
            if round_ == 0:
                for folder, key in ((git, "git add"), (tuned, "tuned add")):
                    self.sh(key, "git add -A; git commit -qm start", folder)
            for _ in range(3):
                self.sh("no-op", f"{prov} add data", ours)
                self.sh("status", f"{prov} status", ours)
                self.sh("git status", "git status", git)
            # The same files change for all.
            for folder in (ours, tuned):
                pick = random.Random(100 + round_)
                for n in pick.sample(range(count), min(100, count)):
                    (folder / "data" / f"d{n // 100:04}" / f"f{n % 100:04}.dat").write_bytes(pick.randbytes(pick.randint(1024, 8192)))
            self.sh("changed", f"{prov} add data", ours)
            self.sh("tuned changed", "git add -A; git commit -qm changed", tuned)
            self.quiet([self.prov, "commit", "data", "-m", "data"], ours)
            for key, script in (
                ("restore", f"{prov} restore @last:data --to '{out}/data'"),
                ("tar restore", f"mkdir '{out}'; tar xf '{tar}' -C '{out}'"),
                ("tuned restore", f"git worktree add -q --detach '{out}' HEAD"),
            ):
                rmtree(out)
                self.sh(key, script, tuned if key.startswith("tuned") else ours)
                if round_ == 0 and key == "restore":
                    subprocess.run(["diff", "-r", str(ours / "data"), str(out / "data")], check=True)
            rmtree(out)
            self.quiet(["git", "worktree", "prune"], tuned)
            self.sh("fsck", f"{prov} fsck", ours)
            if self.restic:
                self.sh("restic check", f"restic -q -r '{restic}' check --read-data", ours)
            if self.rustic and round_ == 0:
                self.quiet([self.rustic, "-r", str(rustic), "init"], ours)
                self.quiet([self.rustic, "-r", str(rustic), "backup", "data"], ours)
            if self.rustic:
                self.sh("rustic check", f"rustic -r '{rustic}' check --read-data", ours)
        name = f"{count} files"
        self.rows_of(f"add, {name}", "add", ("tar cf, synced", "tar", 1.25), ("restic backup", "restic add", 0.4), ("tuned git", "tuned add", None))
        self.rows_of("no-op add", "no-op", ("git status", "git status", 0.6))
        self.rows_of("no-op status", "status", ("git status", "git status", 0.6))
        self.rows_of("add, 100 changed", "changed", ("tuned git add, commit", "tuned changed", 1.0))
        self.rows_of("restore, new folder", "restore", ("tar xf", "tar restore", 0.7), ("tuned git", "tuned restore", 1.0))
        self.rows_of("fsck", "fsck", ("restic check --read-data", "restic check", None), ("rustic check --read-data", "rustic check", 0.3))
        size, allocated, files = self.stored
        self.row("allocated in .prov / bytes of data", allocated / total, "limit", None, 1.05, "", allocated / total)
        self.row("files in .prov", files, "limit", None, 20, "", files)
        rmtree(ours, git, tuned, tar, restic, rustic)

    # --- one large file --------------------------------------------------------------------------------------------------------

    def large(self):
        folder, mib, rng = self.work / "large", self.args.mib, random.Random(2)
        folder.mkdir()
        big, kept, grown = folder / "big", self.work / "kept", self.work / "grown"
        with open(kept, "wb", buffering=0) as one, open(grown, "wb", buffering=0) as two:
            for i in range(mib):
                block = rng.randbytes(1 << 20)
                one.write(block)
                if i == mib // 2:
                    two.write(block[:12345] + rng.randbytes(1 << 20) + block[12345:])
                else:
                    two.write(block)
        borg, out, prov = self.work / "borg", self.work / "out", f"'{self.prov}'"
        for round_ in range(self.args.rounds):
            print(f"# large: round {round_}", file=sys.stderr, flush=True)
            rmtree(borg, folder / "big")
            os.link(kept, big)
            self.new_prov(folder)
            self.sh("large add", f"{prov} add big", folder)
            before = usage(folder / ".prov")[1]
            rmtree(big)
            os.link(grown, big)
            self.sh("large again", f"{prov} add big", folder)
            anew = usage(folder / ".prov")[1] - before
            self.quiet([self.prov, "commit", "big", "-m", "big"], folder)
            self.sh("large restore", f"{prov} restore @last:big --to '{out}'", folder)
            if round_ == 0:
                subprocess.run(["cmp", str(big), str(out)], check=True)
            rmtree(out)
            self.sh("cp", f"cp big '{out}'", folder)
            rmtree(out)
            self.sh("large fsck", f"{prov} fsck", folder)
            if self.b3sum:
                self.sh("b3sum", "b3sum big", folder)
            rmtree(folder / ".prov", big)
            if self.borg:
                os.link(kept, big)
                self.quiet([self.borg, "init", "-e", "none", str(borg)], folder)
                self.sh("borg add", f"borg create '{borg}::a' big", folder)
                first = usage(borg)[1]
                rmtree(big)
                os.link(grown, big)
                self.sh("borg again", f"borg create '{borg}::b' big", folder)
                theirs = usage(borg)[1] - first
                rmtree(borg, big)
        name = f"{mib} MiB"
        self.rows_of(f"add, {name}", "large add", ("borg create", "borg add", 0.6), ("cp", "cp", None))
        self.rows_of("add, 1 MiB put in", "large again", ("borg create", "borg again", 0.5))
        self.row("  newly stored", anew / (1 << 20), "borg" if self.borg else "limit", theirs / (1 << 20) if self.borg else None, 4, "MiB", anew / (1 << 20))
        self.rows_of(f"restore, {name}", "large restore", ("cp", "cp", 1.2))
        self.rows_of("fsck", "large fsck", ("b3sum", "b3sum", 2))
        rmtree(folder, kept, grown)

    # --- tables ----------------------------------------------------------------------------------------------------------------

    def tables(self):
        folder, rng = self.work / "tables", random.Random(3)
        folder.mkdir()
        rows = self.args.table_mib * (1 << 20) // 64
        scripts = {"csv": [sys.executable, "-c", CSV]}
        if self.args.python:
            scripts["parquet"] = [self.args.python, "-c", PARQUET]
        else:
            print("# no --python with pyarrow: no Parquet", flush=True)
        restic, borg = self.work / "restic", self.work / "borg"
        for kind, script in scripts.items():
            for how in ("places", "scattered"):
                new = {}
                rmtree(restic, borg)
                self.new_prov(folder)
                if self.restic:
                    self.quiet([self.restic, "init", "-q", "-r", str(restic)], folder)
                if self.borg:
                    self.quiet([self.borg, "init", "-e", "none", str(borg)], folder)
                table = folder / f"t.{kind}"
                for turn in ("none", how):
                    subprocess.run([*script, str(table), str(rows), turn], check=True)
                    tools = {"prov": ([self.prov, "add", table.name], folder / ".prov")}
                    if self.restic:
                        tools["restic"] = ([self.restic, "-q", "-r", str(restic), "backup", table.name], restic)
                    if self.borg:
                        tools["borg"] = ([self.borg, "create", f"{borg}::{turn}", table.name], borg)
                    for tool, (argv, store) in tools.items():
                        before = usage(store)[0]
                        self.sh(f"{kind} {how} {turn != 'none'} {tool}", " ".join(f"'{word}'" for word in argv), folder)
                        new[tool, turn] = usage(store)[0] - before
                size = table.stat().st_size / (1 << 20)
                print(f"# {kind}, {size:.0f} MiB, {rows} rows, 1 % changed: {how}", flush=True)
                for tool in ("restic", "borg"):
                    if (tool, how) in new:
                        self.row(f"{kind}: stored at first", new["prov", "none"] / (1 << 20), tool, new[tool, "none"] / (1 << 20), 1.0, "MiB")
                        self.row(f"{kind}, 1 % {how}: newly stored", new["prov", how] / (1 << 20), tool, new[tool, how] / (1 << 20), 1.0, "MiB")
                for again, what in ((False, "first"), (True, "changed")):
                    peers = [(tool, f"{kind} {how} {again} {tool}", None) for tool in ("restic", "borg")]
                    self.rows_of(f"{kind}: add, {what}", f"{kind} {how} {again} prov", *peers)
                rmtree(table)
        rmtree(folder, restic, borg)


# Both make the same table each time; what changes lies in one column, in twenty places or all over.
CHANGED = '''
import random, sys
path, rows, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
changed = set()
rng = random.Random(7)
if how == "scattered":
    changed = set(rng.sample(range(rows), rows // 100))
elif how == "places":
    for _ in range(20):
        at = rng.randrange(rows - rows // 2000)
        changed |= set(range(at, at + rows // 2000))
'''

CSV = CHANGED + '''
rng = random.Random(5)
with open(path, "w", buffering=1 << 20) as out:
    out.write("id,time,station,temperature,pressure,humidity,wind,note\\n")
    for i in range(rows):
        n = rng.getrandbits(64)
        t = (n & 1023) + (500 if i in changed else 0)
        out.write(f"{i},{1700000000 + i * 7},st{n >> 10 & 255:03},{t / 16:.4f},{900 + (n >> 18 & 2047) / 16:.3f},{(n >> 29 & 4095) / 40.96:.3f},{(n >> 41 & 1023) / 32:.4f},ok\\n")
'''

PARQUET = CHANGED + '''
import pyarrow as pa, pyarrow.parquet as pq
rng = random.Random(5)
step = 1 << 20
writer = None
for first in range(0, rows, step):
    n = [rng.getrandbits(64) for _ in range(min(step, rows - first))]
    batch = pa.table({
        "id": pa.array(range(first, first + len(n))), "time": pa.array([1700000000 + (first + i) * 7 for i in range(len(n))]),
        "station": pa.array([f"st{x >> 10 & 255:03}" for x in n]),
        "temperature": pa.array([((x & 1023) + (500 if first + i in changed else 0)) / 16 + (x >> 51) * 1e-5 for i, x in enumerate(n)]),
        "pressure": pa.array([900 + (x >> 18) * 1e-12 for x in n]), "humidity": pa.array([(x >> 29) * 1e-9 for x in n]),
    })
    writer = writer or pq.ParquetWriter(path, batch.schema, compression="snappy")
    writer.write_table(batch)
writer.close()
'''


def main():
    options = parser(__doc__)
    options.set_defaults(only=",".join(GROUPS), image_gib=10)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--files", type=int, default=100_000)
    options.add_argument("--mib", type=int, default=2048)
    options.add_argument("--table-mib", type=int, default=1024)
    options.add_argument("--python", help="a Python that has pyarrow")
    args = options.parse_args()
    args.prov = str(Path(args.prov).resolve()) if "/" in args.prov else args.prov
    groups = args.only.split(",")
    if unknown := [g for g in groups if g not in GROUPS]:
        options.error(f"unknown group {unknown[0]} (there are {', '.join(GROUPS)})")
    with Disk(args) as work:
        bench = Content(args, work)
        print(f"# {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, medians of {args.rounds} rounds; {bench.quiet([bench.prov, '--version'], work).decode().strip()}")
        for group in GROUPS:
            if group in groups:
                getattr(bench, group)()
        if args.out:
            Path(args.out).write_text("".join(json.dumps(row) + "\n" for row in bench.rows))
    missed = [row["what"].strip() or row["peer_name"] for row in bench.rows if row["met"] == "NO"]
    print(f"# goals missed: {', '.join(missed) or 'none'}; load {os.getloadavg()[0]:.1f}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
