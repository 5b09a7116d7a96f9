#!/usr/bin/env python3
"""Kills prov at each of its writing system calls and looks at what is left.

    tests/kill/kill_points.py --prov target/release/prov            every point of add, commit, run, hit, restore and a fold
    tests/kill/kill_points.py --prov target/release/prov --quick    a sample, in about two minutes (for CI)
    tests/kill/kill_points.py --prov target/release/prov --errors   every point again, not killed but told of an error, for six errors; short writes
    tests/kill/kill_points.py --self-test                           the check itself, on a stand-in that is sound and on one that is not

For each command a project with some history is prepared once. The command then runs on a copy of it under strace, which tells
every system call that writes. For each of them the command runs again on a fresh copy and is killed (SIGKILL) as it enters that
call, so that call is the first that does not happen. Afterwards, without any cleaning up:

  * `prov fsck` exits with 0;
  * every run that was acknowledged before is listed, and the bytes of its outputs can be had;
  * the same command, given again, succeeds, and what it should leave is there;
  * `prov fsck` still exits with 0.

With `--errors` the call fails instead (it does not happen, and ENOSPC, EIO, EDQUOT, EMFILE, EACCES or EROFS comes back), and writes are cut short by a limit
on the size of files, as a full disk does it. The same must hold, and prov must neither crash nor hang.

Points are counted per thread and kind of call, as strace counts them; with RAYON_NUM_THREADS=1 that is nearly the order of the
whole process. The programs that prov starts are not traced (strace detaches at their execve): they are not what is tested.
Needs Linux, strace 5.14 or later and Python 3.9 or later, nothing else.
"""

import argparse
import ctypes
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

# Calls that change a file system; those marked with True count only if an argument says so (see `writes`).
CALLS = {
    "open": True, "openat": True, "openat2": True, "creat": False,
    "write": True, "writev": True, "pwrite64": True, "pwritev": True, "pwritev2": True, "sendfile": True, "splice": True, "copy_file_range": True,
    "fsync": False, "fdatasync": False, "sync_file_range": False, "syncfs": False,
    "ftruncate": False, "truncate": False, "fallocate": False,
    "link": False, "linkat": False, "symlink": False, "symlinkat": False,
    "rename": False, "renameat": False, "renameat2": False,
    "unlink": False, "unlinkat": False, "rmdir": False, "mkdir": False, "mkdirat": False, "mknod": False, "mknodat": False,
    "chmod": False, "fchmod": False, "fchmodat": False, "fchmodat2": False, "utimensat": False,
    "setxattr": False, "fsetxattr": False, "flock": False,
}
OPENS_FOR_WRITING = re.compile(r"O_(WRONLY|RDWR|CREAT|TRUNC|TMPFILE|APPEND)")
LINE = re.compile(r"^(?P<pid>\d+)\s+(?P<call>[a-z_0-9]+)\((?P<args>.*)$")
TIMEOUT_S = 120
ERRORS = ["ENOSPC", "EIO", "EDQUOT", "EMFILE", "EACCES", "EROFS"]
# Sizes at which files are cut off: within an entry's head, an entry, the caches, a pack.
LIMITS = [0, 1, 64, 200, 400, 700, 1_000, 1_500, 2_000, 3_000, 4_000, 5_000, 8_000, 12_000, 20_000, 40_000, 60_000, 100_000, 120_000, 150_000]


def become_subreaper():
    """Makes orphans of a killed prov children of this process, so that they can be waited for."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(36, 1, 0, 0, 0) != 0:  # PR_SET_CHILD_SUBREAPER
        raise OSError(ctypes.get_errno(), "prctl")


def reap():
    """Waits for every program that a killed prov left running."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            time.sleep(0.002)
    raise SystemExit("kill_points: a program that prov started does not end")


class Project:
    """A project folder and the prov that works on it."""

    def __init__(self, prov, folder, home):
        self.prov, self.folder = prov, Path(folder)
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("PROV_", "XDG_"))}
        self.env = keep | {
            "HOME": str(home), "XDG_CONFIG_HOME": str(home / "config"), "XDG_CACHE_HOME": str(home / "cache"), "LC_ALL": "C",
            "RAYON_NUM_THREADS": "1", "PROV_AUTHOR_NAME": "Kill", "PROV_AUTHOR_EMAIL": "kill@example.org",
        }

    def call(self, *args, before=(), prepare=None):
        return subprocess.run([*before, *self.prov, *args], cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=TIMEOUT_S, preexec_fn=prepare)

    def must(self, *args):
        done = self.call(*args)
        if done.returncode != 0:
            raise SystemExit(f"kill_points: preparing: `prov {' '.join(args)}` ended with {done.returncode}\n{done.stderr.decode(errors='replace')}")
        return done.stdout

    def runs(self):
        """The ids of all runs that the log lists, newest first."""
        done = self.call("--json", "log", "--all", "-n", "100000")
        if done.returncode != 0:
            raise Broken(f"`prov log` ended with {done.returncode}: {text(done.stderr)}")
        return [run["run"] for run in json.loads(done.stdout)["runs"]]


class Broken(Exception):
    """A promise that was not kept."""


def text(raw):
    return raw.decode(errors="replace").strip().replace("\n", " | ")[-200:]


# --- what is prepared, and the commands ------------------------------------------------------------------------------------------

RAW = b"".join(b"%d,%d\n" % (i, i * i % 97) for i in range(400))
STEP = ["run", "--name", "sum", "-i", "raw=raw.csv", "-o", "a=out/a.txt", "-o", "b=out/b.txt", "-o", "c=out/c.txt",
        "--", "sh", "sum.sh", "raw.csv", "out/a.txt", "out/b.txt", "out/c.txt"]
SCRIPT = """set -e
mkdir -p out
wc -l <"$1" >"$2"
sort -r "$1" >"$3"
head -n 5 "$1" >"$4"
"""


def prepare(project):
    """Some history: a commit by hand, an executed run, a hit, and a folder that is staged by nobody yet."""
    root = project.folder
    (root / "raw.csv").write_bytes(RAW)
    (root / "sum.sh").write_text(SCRIPT)
    (root / "extra").mkdir()
    for i in range(3):
        (root / "extra" / f"{i}.dat").write_bytes(bytes([i]) * (50_000 * i + 10))
    project.must("init")
    project.must("commit", "raw.csv", "-m", "raw data")
    project.must(*STEP)
    project.must(*STEP)


def outputs_of_step(folder):
    rows = RAW.splitlines(keepends=True)
    want = {"out/b.txt": b"".join(sorted(rows, reverse=True)), "out/c.txt": b"".join(rows[:5])}
    for name, content in want.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            raise Broken(f"{name} does not hold what the step makes")


def change_input(project):
    (project.folder / "raw.csv").write_bytes(RAW + b"400,1\n")


def outputs_of_changed(folder):
    got = (folder / "out/a.txt").read_bytes().split()
    if got != [b"401"]:
        raise Broken(f"out/a.txt holds {got!r}, not 401")


def log_files(project):
    try:
        return len(os.listdir(project.folder / ".prov" / "store" / "log"))
    except FileNotFoundError:
        return None


def pad_to_fold(project):
    """Makes hits until one of them folds the log, and leaves the project as it was before that one; returns False if none does."""
    saved = project.folder.parent / "before-fold"
    last = log_files(project)
    if last is None:
        return False
    for _ in range(80):
        shutil.rmtree(saved, ignore_errors=True)
        copy(project.folder, saved)
        project.must(*STEP)
        now = log_files(project)
        if now < last:
            shutil.rmtree(project.folder)
            saved.rename(project.folder)
            return True
        last = now
    return False


def remove_outputs(project):
    shutil.rmtree(project.folder / "out")


def folder_is_committed(project):
    folder = project.folder
    listed = project.call("--json", "id", "extra/2.dat")
    if listed.returncode != 0 or not json.loads(listed.stdout)["matches"]:
        # A folder's members may be known through the folder alone.
        whole = project.call("--json", "id", "extra")
        if whole.returncode != 0 or not json.loads(whole.stdout)["matches"]:
            raise Broken("what was committed is not found by its content")
    if (folder / "extra" / "2.dat").read_bytes() != bytes([2]) * 100_010:
        raise Broken("commit changed a file of the work tree")


def commit_extra(project):
    project.must("commit", "extra", "-m", "more data")


def fold(project):
    if pad_to_fold(project) is False:
        return False
    project.must(*STEP)
    return True


def spoil_table(project):
    """A table cut in half."""
    tables = sorted((project.folder / ".prov/store/tables").iterdir())
    content = tables[0].read_bytes()
    tables[0].unlink()
    tables[0].write_bytes(content[: len(content) // 2])


def leave_garbage(project):
    """Content in a pack of its own that nothing leads to any more."""
    for letter in (b"a", b"b"):
        (project.folder / "large.dat").write_bytes(letter * 600_000)
        project.must("add", "large.dat")


def is_scrubbed(project):
    content = bytes([2]) * 100_010
    for path in (project.folder / ".prov").rglob("*"):
        if path.is_file() and content[:1000] in path.read_bytes():
            raise Broken(f"{path.name} still holds what was scrubbed")


def make_large(project):
    """Content that is stored in pieces."""
    (project.folder / "big.dat").write_bytes(b"".join(hashlib.blake2b(i.to_bytes(4, "big")).digest() for i in range(3 << 14)))


def make_rows(project):
    (project.folder / "rows.csv").write_text("v\n1\n2\n")


def has_scenario(name):
    def check(project):
        listed = project.call("--json", "scenario", "list")
        if listed.returncode or name not in [item["name"] for item in json.loads(listed.stdout)["items"]]:
            raise Broken(f"there is no scenario {name}")
    return check


def rows_are_made(project):
    for value in "12":
        if (project.folder / f"row{value}.txt").read_text() != f"{value}\n":
            raise Broken(f"row{value}.txt does not hold what its row makes")


FOLDER_STEP = ["run", "--name", "folder", "-o", "folder=folder", "--", "sh", "-c",
               "mkdir -p folder; n=0; while [ $n -lt 60 ]; do echo $n >folder/$n; n=$((n+1)); done"]


def make_folder(project):
    """The folder of a step is recorded and gone."""
    project.must(*FOLDER_STEP)
    shutil.rmtree(project.folder / "folder")


def folder_is_made(project):
    names = os.listdir(project.folder / "folder")
    if len(names) != 60 or any((project.folder / "folder" / name).read_text() != f"{name}\n" for name in names):
        raise Broken("the folder does not hold what its step makes")


# name -> (further preparation or None, command, check after the repeated command or None)
COMMANDS = {
    "init": ("fresh", ["init"], None),
    "add": (None, ["add", "extra", "raw.csv"], None),
    "commit": (None, ["commit", "extra", "-m", "more data"], folder_is_committed),
    "commit-staged": (lambda p: p.must("add", "extra"), ["commit", "-m", "staged data"], folder_is_committed),
    "run": (change_input, STEP, lambda p: outputs_of_changed(p.folder)),
    "run-again": (None, [STEP[0], "-f", *STEP[1:]], lambda p: outputs_of_step(p.folder)),
    "hit": (remove_outputs, STEP, lambda p: outputs_of_step(p.folder)),
    "fold": (pad_to_fold, STEP, lambda p: outputs_of_step(p.folder)),
    "fold-miss": (pad_to_fold, [STEP[0], "-f", *STEP[1:]], lambda p: outputs_of_step(p.folder)),
    "restore": (remove_outputs, ["restore", "sum"], lambda p: outputs_of_step(p.folder)),
    "restore-to": (None, ["restore", "sum", "--to", "elsewhere"], None),
    "retract": (None, ["retract", "@last"], None),
    "tag": (None, ["tag", "-f", "best", "sum"], None),
    "note": (None, ["note", "sum", "-m", "seen"], None),
    "undo": (None, ["undo"], None),
    "gc": (leave_garbage, ["gc"], None),
    "scrub": (commit_extra, ["scrub", "-y", "extra/2.dat"], is_scrubbed),
    "repair": (fold, ["fsck", "--repair"], None),
    "add-large": (make_large, ["add", "big.dat"], None),
    "commit-large": (make_large, ["commit", "big.dat", "-m", "large"], None),
    "hide": (None, ["hide", "@last"], None),
    "scenario-new": (None, ["scenario", "new", "other"], has_scenario("other")),
    "scenario-fork": (None, ["scenario", "fork", "main", "forked"], has_scenario("forked")),
    "scenario-close": (None, ["scenario", "close", "main"], None),
    "map": (make_rows, ["map", "m", "--rows", "rows.csv", "-o", "a=row{row.v}.txt", "--", "sh", "-c", "echo {row.v} >row{row.v}.txt"], rows_are_made),
    "verify": (None, ["verify", "sum"], None),
    "push": (None, ["push", "./remote"], None),
    "run-folder": (None, FOLDER_STEP, folder_is_made),
    "hit-folder": (make_folder, FOLDER_STEP, folder_is_made),
    "restore-folder": (make_folder, ["restore", "folder"], folder_is_made),
    "find": (None, ["find", "runs"], None),
    "start": (None, ["start", "later", "-o", "later=later.txt"], None),
    "restore-link": (remove_outputs, ["restore", "sum", "--link", "hard"], lambda p: outputs_of_step(p.folder)),
}
# What is done to a project after it was looked at.
LATE = {"repair": spoil_table}
# A repeated commit may find that the killed one had been recorded after all, and say that there is nothing left to do.
MAY_HAVE_LANDED = {"commit", "commit-staged", "commit-large", "init", "retract"}
# These say that it exists already; a run that was started stays so until somebody finishes it or gives it up.
MAY_EXIST = {"init", "scenario-new", "scenario-fork", "scenario-close", "start"}


# --- counting and killing --------------------------------------------------------------------------------------------------------

def copy(source, target):
    """A copy with the same times, as exact as a file system allows."""
    subprocess.run(["cp", "-a", "--", str(source), str(target)], check=True)


def writes(call, args, root):
    """Whether this call could change a file below `root` (other places, pipes and terminals are not the store's)."""
    if call in ("open", "openat", "openat2"):
        return bool(OPENS_FOR_WRITING.search(args)) and '"/dev/' not in args and '"/proc/' not in args
    if CALLS[call]:
        target = re.match(r"\d+<(?P<path>[^>]*)>", args)
        if call == "copy_file_range":
            target = re.search(r", \d+<(?P<path>[^>]*)>", args)
        return bool(target) and target["path"].startswith(root)
    return True


def points_of(trace, root):
    """The points to kill at: {call: [n, ...]} with n as strace counts it, and how many writing calls there were in all."""
    seen = Counter()
    points = defaultdict(set)
    total = Counter()
    for line in trace.read_text(errors="replace").splitlines():
        match = LINE.match(line)
        if not match or match["call"] not in CALLS:
            continue
        seen[match["pid"], match["call"]] += 1
        if writes(match["call"], match["args"], root):
            points[match["call"]].add(seen[match["pid"], match["call"]])
            total[match["call"]] += 1
    return {call: sorted(counts) for call, counts in points.items()}, total


class Harness:
    def __init__(self, args, prov, scratch):
        self.args, self.prov, self.scratch = args, prov, scratch
        self.home = scratch / "home"
        self.home.mkdir()
        self.failures = []
        self.killed = 0
        self.deadline = time.monotonic() + args.budget if args.quick else None

    def strace(self, trace, *more):
        known = ",".join("?" + name for name in CALLS)
        return ["strace", "-f", "-b", "execve", "-qqq", "-y", "-s", "0", "-o", str(trace), "-e", "trace=" + known, "-e", "signal=none", *more]

    def fresh(self, template):
        """A copy of a template at the one path that all copies have."""
        folder = self.scratch / "project"
        shutil.rmtree(folder, ignore_errors=True)
        copy(template, folder)
        return Project(self.prov, folder, self.home)

    def template(self, name, more):
        folder = self.scratch / "templates" / name
        folder.mkdir(parents=True)
        # Prepared where the copies will be, so that nothing depends on another path.
        shutil.rmtree(self.scratch / "project", ignore_errors=True)
        shutil.rmtree(self.scratch / "before-fold", ignore_errors=True)
        (self.scratch / "project").mkdir()
        project = Project(self.prov, self.scratch / "project", self.home)
        if more != "fresh":
            prepare(project)
            if more and more(project) is False:
                return None
        known = project.runs() if more != "fresh" else []
        outputs = {}
        if known:
            # Of the runs acknowledged so far: the newest ones and the first.
            for run in (known[:2] + known[-2:]):
                shown = project.call("--json", "show", run)
                if shown.returncode == 0:
                    for key in (json.loads(shown.stdout).get("run") or {}).get("outputs", {}):
                        outputs[f"{run}:{key}"] = None
            for address in list(outputs):
                got = project.call("cat", address)
                if got.returncode == 0:
                    outputs[address] = got.stdout
                else:
                    del outputs[address]
            if not outputs:
                raise SystemExit("kill_points: no output of the prepared runs can be had by `prov cat RUN:KEY`")
        if name in LATE:
            LATE[name](project)
        shutil.rmtree(folder)
        copy(project.folder, folder)
        return folder, known, outputs

    def check(self, name, project, command, known, outputs, after):
        """Everything that must hold after a kill; raises `Broken`."""
        opened = name != "init"
        if name == "repair":
            # Until it is repaired it is damaged.
            done = project.call("fsck", "--repair")
            if done.returncode != 0:
                raise Broken(f"`prov fsck --repair` afterwards ended with {done.returncode}: {text(done.stderr)}")
        if opened:
            self.fsck(project, "after the kill")
            listed = set(project.runs())
            missing = [run for run in known if run not in listed]
            if missing:
                raise Broken(f"{len(missing)} acknowledged runs are gone, {missing[0]} among them")
            for address, content in outputs.items():
                got = project.call("cat", address)
                if got.returncode != 0 or got.stdout != content:
                    raise Broken(f"`prov cat {address}` ended with {got.returncode} or gave other bytes: {text(got.stderr)}")
        again = project.call(*command)
        if again.returncode != 0:
            grew = name in MAY_EXIST or (name in MAY_HAVE_LANDED and len(project.runs()) > len(known))
            if not grew:
                raise Broken(f"the same command again ended with {again.returncode}: {text(again.stderr)}")
        if after:
            after(project)
        self.fsck(project, "after the same command again")
        now = project.runs()
        if len(now) != len(set(now)):
            raise Broken("a run is listed twice")

    def fsck(self, project, when):
        done = project.call("fsck")
        if done.returncode != 0:
            raise Broken(f"`prov fsck` {when} ended with {done.returncode}: {text(done.stderr or done.stdout)}")

    def run(self, name):
        more, command, after = COMMANDS[name]
        made = self.template(name, more)
        if made is None:
            print(f"{name:14} skipped: nothing to be seen of a fold in 80 hits", flush=True)
            return
        folder, known, outputs = made
        project = self.fresh(folder)
        trace = self.scratch / "trace"
        done = project.call(*command, before=self.strace(trace))
        reap()
        if done.returncode != 0:
            raise SystemExit(f"kill_points: `prov {' '.join(command)}` ended with {done.returncode} under strace: {text(done.stderr)}")
        points, total = points_of(trace, str(project.folder))
        every = [(call, n) for call in sorted(points) for n in points[call]]
        chosen = every
        if self.args.quick and len(every) > self.args.sample:
            step = len(every) / self.args.sample
            chosen = [every[int(i * step)] for i in range(self.args.sample)]
        if self.args.errors:
            return self.run_errors(name, command, folder, known, outputs, after, chosen)
        killed = not_reached = bad = skipped = 0
        for call, n in chosen:
            if bad and self.args.stop_at_first:
                break
            if self.deadline and time.monotonic() > self.deadline:
                skipped += 1
                continue
            project = self.fresh(folder)
            done = project.call(*command, before=self.strace(trace, "-e", f"inject={call}:signal=SIGKILL:when={n}"))
            reap()
            if done.returncode in (-9, 137):
                killed += 1
            else:
                not_reached += 1  # thread timing differs from run to run; what was done must hold all the same
            try:
                self.check(name, project, command, known, outputs, after)
            except Broken as broken:
                bad += 1
                self.failures.append(f"{name}: killed at {call} number {n}: {broken}")
                print(f"  BROKEN {self.failures[-1]}", flush=True)
                if self.args.keep:
                    copy(project.folder, Path(self.args.keep) / f"{name}-{call}-{n}")
            except subprocess.TimeoutExpired as late:
                bad += 1
                self.failures.append(f"{name}: killed at {call} number {n}: `{late.cmd[-1]}` hung")
        self.killed += killed
        kinds = " ".join(f"{call}:{count}" for call, count in sorted(total.items()))
        late = f", {skipped} left out for time" if skipped else ""
        print(f"{name:14} {sum(total.values()):4} writing calls, {len(every):4} points, {killed:4} killed, {not_reached} not reached, {bad} broken{late}  [{kinds}]",
              flush=True)


    def run_errors(self, name, command, folder, known, outputs, after, chosen):
        """Every point with every error, then every limit on the size of files."""
        cases = [(f"{error} at {call} number {n}", self.strace(self.scratch / "trace", "-e", f"inject={call}:error={error}:when={n}"), None)
                 for call, n in chosen for error in ERRORS]
        for limit in LIMITS:
            def prepare(limit=limit):
                # Without the signal the call that goes too far comes back short, and the next one with EFBIG.
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            cases.append((f"files of at most {limit} bytes", [], prepare))
        failed = passed = bad = skipped = 0
        for what, before, prepare in cases:
            if self.deadline and time.monotonic() > self.deadline:
                skipped += 1
                continue
            project = self.fresh(folder)
            try:
                done = project.call(*command, before=before, prepare=prepare)
                reap()
                if done.returncode == 0:
                    passed += 1
                else:
                    failed += 1
                if done.returncode < 0 or b"panicked" in done.stderr or b"bug in prov" in done.stderr:
                    raise Broken(f"it crashed ({done.returncode}): {text(done.stderr)}")
                self.check(name, project, command, known, outputs, after)
            except Broken as broken:
                bad += 1
                self.failures.append(f"{name}: {what}: {broken}")
                print(f"  BROKEN {self.failures[-1]}", flush=True)
                if self.args.keep:
                    copy(project.folder, Path(self.args.keep) / re.sub(r"[^A-Za-z0-9]+", "-", f"{name}-{what}"))
            except subprocess.TimeoutExpired as late:
                bad += 1
                self.failures.append(f"{name}: {what}: `{late.cmd[-1]}` hung")
        self.killed += failed + passed
        late = f", {skipped} left out for time" if skipped else ""
        print(f"{name:14} {failed + passed:4} failures injected: the command failed {failed} times and went well {passed} times, {bad} broken{late}", flush=True)


def check_strace():
    if not shutil.which("strace"):
        raise SystemExit("kill_points: strace is needed (Debian: apt-get install strace)")
    probe = subprocess.run(["strace", "-f", "-b", "execve", "-o", "/dev/null", "-e", "inject=?unlink:signal=SIGKILL:when=1", "true"], capture_output=True)
    if probe.returncode != 0:
        raise SystemExit(f"kill_points: strace does not work here: {text(probe.stderr)}")


def kill_all(args, prov, names):
    """Runs the named commands; returns the failures and the number of kills."""
    scratch = Path(tempfile.mkdtemp(prefix="prov-kill.", dir=args.work)).resolve()
    try:
        harness = Harness(args, prov, scratch)
        for name in names:
            harness.run(name)
        return harness.failures, harness.killed
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def self_test(args):
    """A stand-in that writes beside, syncs and renames must pass; one that writes in place must be found out."""
    stand_in = [sys.executable, "-S", "-E", str(Path(__file__).resolve().parent / "stand_in.py")]
    names = ["add", "commit", "run", "hit", "restore"]
    args.quick, args.budget, args.stop_at_first = True, 600, True
    print("stand-in that keeps its promises:")
    failures, killed = kill_all(args, stand_in, names)
    assert killed >= min(args.sample, 10) * len(names), f"only {killed} kills"
    assert not failures, "a sound program was called broken"
    for fault in ("in-place", "too-early", "forgets"):
        print(f"stand-in with the fault `{fault}` (must be found broken):")
        args.quick = False
        failures, _ = kill_all(args, [*stand_in, "--fault", fault], ["run"])
        assert failures, f"the fault `{fault}` was not noticed"
    print("self-test passed")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prov", default=os.environ.get("PROV"), help="the program (default: $PROV, target/release/prov, target/debug/prov)")
    parser.add_argument("--quick", action="store_true", help="a sample of the points")
    parser.add_argument("--sample", type=int, default=16, help="points of each command with --quick")
    parser.add_argument("--budget", type=float, default=120, help="seconds in all with --quick; what is left out is said")
    parser.add_argument("--only", help="commands, comma separated: " + ", ".join(COMMANDS))
    parser.add_argument("--keep", help="a folder for the projects that were found broken")
    parser.add_argument("--work", help="where the copies are made (default: the system's temporary folder)")
    parser.add_argument("--errors", action="store_true", help="errors instead of kills")
    parser.add_argument("--self-test", action="store_true")
    args = parser.parse_args()
    args.stop_at_first = False
    become_subreaper()
    check_strace()
    if args.keep:
        Path(args.keep).mkdir(parents=True, exist_ok=True)
    if args.self_test:
        return self_test(args)
    prov = args.prov
    if not prov:
        root = Path(__file__).resolve().parent.parent.parent
        target = Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))
        prov = next((str(p) for p in (target / "release/prov", target / "debug/prov") if p.exists()), None)
    if not prov or not shutil.which(prov):
        raise SystemExit("kill_points: no prov program: name it with --prov")
    names = args.only.split(",") if args.only else list(COMMANDS)
    unknown = [name for name in names if name not in COMMANDS]
    if unknown:
        parser.error(f"unknown command {unknown[0]}")
    failures, killed = kill_all(args, [str(Path(shutil.which(prov)).resolve())], names)
    print(f"{killed} {'failures' if args.errors else 'kills'}, {len(failures)} broken")
    sys.exit(1 if failures or not killed else 0)


if __name__ == "__main__":
    main()
