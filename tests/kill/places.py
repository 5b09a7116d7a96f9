#!/usr/bin/env python3
"""Lets prov work where the place itself fails: a full disk, no more files, too few descriptors, a disk that turns read-only, a power cut.

    tests/kill/places.py --prov target/release/prov                       every kind, every writing command
    tests/kill/places.py --prov target/release/prov --only space,files    full tmpfs mounts: bytes, inodes
    tests/kill/places.py --prov target/release/prov --only power --cuts 200    power cuts on ext4 and XFS images

| kind | what |
|---|---|
| `space` | a small tmpfs on which more and more room is taken before each command, until not a byte is left |
| `files` | the same with inodes |
| `descriptors` | each command with 3 to 40 open files allowed |
| `read-only` | each command on a file system that was turned read-only |
| `reflink` | XFS and btrfs in an image: a large file that is restored twice takes its room once, and the two are nobody else's |
| `power` | a file system in an image, shut down at once (FS_IOC_SHUTDOWN without flushing its log) while several prov work; then mounted anew |

Afterwards `prov fsck` exits with 0, every run that was acknowledged is listed, its outputs can be had, and with room the same command succeeds. Needs root,
mounts, and for `power` loop devices with mkfs.ext4 or mkfs.xfs; what can't be had here is said and left out.
"""

import argparse
import fcntl
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from kill_points import COMMANDS, STEP, Broken, Harness, Project, become_subreaper, copy, prepare, reap, text

KINDS = ["space", "files", "descriptors", "read-only", "power", "reflink"]
FS_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
NO_FLUSH = 2
DESCRIPTORS = [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 20, 24, 32, 40]
# Bytes and files that are left free before a command.
BYTES_FREE = [0, 4096, 8192, 12288, 16384, 24576, 32768, 49152, 65536, 98304, 131072, 196608, 262144, 524288]
FILES_FREE = [0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20]


class Refused(Exception):
    """This machine can't do what a kind needs."""


def sh(*argv):
    done = subprocess.run(list(map(str, argv)), capture_output=True)
    if done.returncode:
        raise Refused(f"`{' '.join(map(str, argv))}`: {text(done.stderr)}")


class Mount:
    """A file system at a place of its own, gone when this ends."""

    def __init__(self, at, *argv):
        self.at = at
        at.mkdir(exist_ok=True)
        sh("mount", *argv, at)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", str(self.at)], capture_output=True)


class Places(Harness):
    def __init__(self, args, prov, scratch):
        args.quick = False
        super().__init__(args, prov, scratch)
        self.count = {}

    def case(self, kind, name, what, made, project, set_up, undo=lambda: None, limit=None):
        """One command where something is lacking, then with all there is."""
        known, outputs = made
        _, command, after = COMMANDS[name]
        self.count[kind] = self.count.get(kind, 0) + 1
        try:
            set_up()
            try:
                done = project.call(*command, prepare=limit)
                reap()
            finally:
                undo()
            if done.returncode < 0 or b"panicked" in done.stderr or b"bug in prov" in done.stderr:
                raise Broken(f"it crashed ({done.returncode}): {text(done.stderr)}")
            self.check(name, project, command, known, outputs, after)
        except Broken as broken:
            self.failures.append(f"{kind}, {name}, {what}: {broken}")
            print(f"  BROKEN {self.failures[-1]}", flush=True)
            if self.args.keep:
                copy(project.folder, Path(self.args.keep) / f"{kind}-{name}-{what}".replace(" ", "-"))
        except subprocess.TimeoutExpired as late:
            self.failures.append(f"{kind}, {name}, {what}: `{late.cmd[-1]}` hung")

    def each(self, kind, name, made):
        folder, known, outputs = made
        made = (known, outputs)
        if kind == "descriptors":
            for most in DESCRIPTORS:
                def limit(most=most):
                    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
                self.clear()
                self.case(kind, name, f"{most} descriptors", made, self.fresh(folder), lambda: None, limit=limit)
            return
        place = self.scratch / "place"
        if kind == "read-only":
            with Mount(place, "-t", "tmpfs", "-o", "size=64m", "tmpfs"):
                project = self.on(place, folder)
                self.case(kind, name, "read-only", made, project, lambda: sh("mount", "-o", "remount,ro", place),
                          lambda: sh("mount", "-o", "remount,rw", place))
            return
        for free in BYTES_FREE if kind == "space" else FILES_FREE:
            with Mount(place, "-t", "tmpfs", "-o", "size=64m,nr_inodes=100000", "tmpfs"):
                project = self.on(place, folder)
                stat = os.statvfs(place)
                if kind == "space":
                    less = f"size={(stat.f_blocks - stat.f_bfree) * stat.f_frsize + free}"
                else:
                    less = f"nr_inodes={stat.f_files - stat.f_ffree + free}"
                self.case(kind, name, f"{free} left", made, project, lambda: sh("mount", "-o", f"remount,{less}", place),
                          lambda: sh("mount", "-o", "remount,size=64m,nr_inodes=100000", place))

    def clear(self):
        project = self.scratch / "project"
        if project.is_symlink():
            project.unlink()
        else:
            shutil.rmtree(project, ignore_errors=True)
        return project

    def on(self, place, template):
        """A copy of a template on a mounted place, under the path that all copies have."""
        project = self.clear()
        copy(template, place / "project")
        project.symlink_to(place / "project")
        return Project(self.prov, project, self.home)

    def places(self, kinds, names):
        for name in names:
            self.clear()
            made = self.template(name, COMMANDS[name][0])
            if made is None:
                continue
            before, broken = dict(self.count), len(self.failures)
            for kind in kinds:
                self.each(kind, name, made)
            done = ", ".join(f"{self.count[kind] - before.get(kind, 0)} {kind}" for kind in kinds)
            print(f"{name:14} {done}; {len(self.failures) - broken} broken", flush=True)
        self.clear()

    def reflink(self, kind):
        """A restored file shares its blocks with the next one, until one of them is changed."""
        if not shutil.which(f"mkfs.{kind}"):
            raise Refused(f"there is no mkfs.{kind}")
        image, place = self.scratch / f"{kind}.img", self.scratch / "disk"
        with open(image, "wb") as file:
            file.truncate(640 << 20)
        sh(f"mkfs.{kind}", "-q", image)
        with Mount(place, "-o", "loop", image):
            project = Project(self.prov, place / "project", self.home)
            project.folder.mkdir()
            content = random.Random(3).randbytes(48 << 20)
            (project.folder / "big.dat").write_bytes(content)
            project.must("init")
            project.must("commit", "big.dat", "-m", "big")

            def used():
                os.sync()
                subprocess.run(["sync", "-f", str(place)], check=True)
                stat = os.statvfs(place)
                return (stat.f_blocks - stat.f_bfree) * stat.f_frsize
            took = []
            for name in ("one.dat", "two.dat", "three.dat"):
                before = used()
                project.must("restore", "big", "--to", name)
                took.append((used() - before) >> 20)
            try:
                if took[1] > 4 or took[2] > 4:
                    raise Broken(f"restoring again took {took} MiB")
                with open(project.folder / "two.dat", "r+b") as file:
                    file.write(b"changed")
                project.must("restore", "big", "--to", "four.dat")
                for name in ("one.dat", "three.dat", "four.dat"):
                    if (project.folder / name).read_bytes() != content:
                        raise Broken(f"{name} changed with another file")
                # A shared file that was spoilt is not given away.
                for path in (project.folder / ".prov/cache/files").rglob("*"):
                    if path.is_file():
                        path.chmod(0o644)
                        with open(path, "r+b") as file:
                            file.write(b"spoilt")
                        path.chmod(0o444)
                project.must("restore", "big", "--to", "five.dat")
                if (project.folder / "five.dat").read_bytes() != content:
                    raise Broken("a spoilt shared file was given away")
                self.fsck(project, "after sharing")
            except Broken as broken:
                self.failures.append(f"reflink, {kind}: {broken}")
        image.unlink(missing_ok=True)
        self.count["reflink"] = self.count.get("reflink", 0) + 1
        print(f"reflink, {kind:5} restoring 48 MiB three times took {took} MiB", flush=True)

    # --- power ---------------------------------------------------------------------------------------------------------------

    def power(self, kind, cuts, rng):
        """So many power cuts on one kind of file system, a new one every 20."""
        if not shutil.which(f"mkfs.{kind}"):
            raise Refused(f"there is no mkfs.{kind}")
        image, place = self.scratch / f"{kind}.img", self.scratch / "disk"
        done = lost = acknowledged = 0
        while done < cuts:
            image.unlink(missing_ok=True)
            with open(image, "wb") as file:
                file.truncate(320 << 20)
            sh(f"mkfs.{kind}", "-q", image)
            with Mount(place, "-o", "loop", image):
                project = Project(self.prov, place / "project", self.home)
                project.folder.mkdir()
                prepare(project)
                os.sync()
            known = {}
            for _ in range(min(20, cuts - done)):
                done += 1
                with Mount(place, "-o", "loop", image):
                    known |= self.cut(project, done, rng)
                with Mount(place, "-o", "loop", image):
                    try:
                        self.fsck(project, "after the power cut")
                        listed = set(project.runs())
                        gone = [run for run in known if run not in listed]
                        if gone:
                            lost += len(gone)
                            raise Broken(f"{len(gone)} acknowledged runs are gone, {gone[0]} among them")
                        for run, content in rng.sample(sorted(known.items()), min(4, len(known))):
                            got = project.call("cat", f"{run}:made")
                            if got.returncode or got.stdout != content:
                                raise Broken(f"the output of {run} is not to be had: {text(got.stderr)}")
                        project.must(*STEP)
                        self.fsck(project, "after a run after the power cut")
                    except Broken as broken:
                        self.failures.append(f"power, {kind}, cut {done}: {broken}")
                        print(f"  BROKEN {self.failures[-1]}", flush=True)
                        if self.args.keep:
                            copy(project.folder, Path(self.args.keep) / f"power-{kind}-{done}")
                        break
            acknowledged += len(known)
        image.unlink(missing_ok=True)
        print(f"power, {kind:6} {done} cuts, {acknowledged} runs acknowledged before them, {lost} lost", flush=True)
        self.count["power"] = self.count.get("power", 0) + done

    def cut(self, project, number, rng):
        """Several prov record runs, others fold and collect, and the power goes. What was acknowledged before it went."""
        script = 'n=0; while :; do n=$((n+1)); if out=$("$@" -q run --json --name made -S "w=$W" -S "n=$n" -o made=made-$W.txt -- ' \
                 'sh -c "echo $C $W $n; head -c $S /dev/urandom >made-$W.txt; echo $C $W $n >>made-$W.txt"); ' \
                 'then cp made-$W.txt "$O/$W.$n.out" && printf %s "$out" >"$O/$W.$n.tmp" && mv "$O/$W.$n.tmp" "$O/$W.$n.json"; else exit; fi; done'
        out = self.scratch / "acknowledged"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        workers = []
        for w in range(rng.randint(1, 3)):
            env = project.env | {"W": str(w), "C": str(number), "S": str(rng.choice([0, 100, 5_000, 300_000, 1_500_000])), "O": str(out)}
            workers.append(subprocess.Popen(["sh", "-c", script, "sh", *self.prov], cwd=project.folder, env=env, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True))
        if rng.random() < 0.5:
            workers.append(subprocess.Popen(["sh", "-c", 'while "$@" -q gc; do :; done', "sh", *self.prov], cwd=project.folder, env=project.env,
                                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True))
        time.sleep(rng.uniform(0.02, 0.9))
        place = os.open(project.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(place, FS_IOC_SHUTDOWN, NO_FLUSH.to_bytes(4, sys.byteorder))
        finally:
            os.close(place)
        for worker in workers:
            try:
                worker.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(worker.pid, 9)
                worker.wait()
        reap()
        known = {}
        for path in out.glob("*.json"):
            run = json.loads(path.read_text())["run"]
            # A copy of the output may have failed where the acknowledgement did not: the text at its end is enough.
            content = path.with_suffix(".out").read_bytes()
            known[run["run"] if isinstance(run, dict) else run] = content
        return known


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prov", default=os.environ.get("PROV", "target/release/prov"))
    parser.add_argument("--only", default=",".join(KINDS), help="kinds, comma separated")
    parser.add_argument("--commands", help="commands, comma separated")
    parser.add_argument("--cuts", type=int, default=200, help="power cuts, half of them on each kind of file system")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", help="a folder for the projects that were found broken")
    parser.add_argument("--work", help="where it all happens (default: the system's temporary folder)")
    args = parser.parse_args()
    if not shutil.which(args.prov):
        raise SystemExit("places: no prov program: name it with --prov")
    if args.keep:
        Path(args.keep).mkdir(parents=True, exist_ok=True)
    become_subreaper()
    kinds = args.only.split(",")
    names = args.commands.split(",") if args.commands else [name for name in COMMANDS if name != "init"]
    scratch = Path(tempfile.mkdtemp(prefix="prov-places.", dir=args.work)).resolve()
    places = Places(args, [str(Path(shutil.which(args.prov)).resolve())], scratch)
    try:
        still = [kind for kind in kinds if kind not in ("power", "reflink")]
        if any(kind != "descriptors" for kind in still):
            try:
                with Mount(scratch / "place", "-t", "tmpfs", "tmpfs"):
                    pass
            except Refused as refused:
                print(f"left out, nothing can be mounted here: {refused}")
                still = [kind for kind in still if kind == "descriptors"]
        if still:
            places.places(still, names)
        if "reflink" in kinds:
            for kind in ("xfs", "btrfs"):
                try:
                    places.reflink(kind)
                except Refused as refused:
                    print(f"reflink, {kind}: left out: {refused}")
        if "power" in kinds:
            for kind in ("ext4", "xfs"):
                try:
                    places.power(kind, (args.cuts + 1) // 2, random.Random(args.seed))
                except Refused as refused:
                    print(f"power, {kind}: left out: {refused}")
    finally:
        for at in ("place", "disk"):
            subprocess.run(["umount", str(scratch / at)], capture_output=True)
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{sum(places.count.values())} cases ({', '.join(f'{n} {kind}' for kind, n in places.count.items())}), {len(places.failures)} broken")
    sys.exit(1 if places.failures or not places.count else 0)


if __name__ == "__main__":
    main()
