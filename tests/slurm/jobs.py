#!/usr/bin/env python3
"""The recipe for Slurm, under a real one that is started for it on loopback: array jobs record at once and are hits when they are submitted
again, and a job that is requeued goes on where its first try was stopped.

    jobs.py --prov PROGRAM [--recipes docs/recipes.md]

Ends with 1 if a promise was broken, with 77 if there is no Slurm or it can't be started here. Needs root, slurm-wlm and munge.
"""

import argparse
import collections
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ARRAY = 20
PATIENCE = 180

SLURM = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={at}/munge.socket,cred_expire=5
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
StateSaveLocation={at}/state
SlurmdSpoolDir={at}/spool
SlurmctldLogFile={at}/ctld.log
SlurmdLogFile={at}/d.log
SlurmctldPidFile={at}/ctld.pid
SlurmdPidFile={at}/d.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
JobRequeue=1
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,bf_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=p Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""

LONG = """#!/bin/sh
#SBATCH --requeue
prov run -q --name first -o a.txt -- sh -c 'echo a >a.txt'
prov run -q --name second -i a.txt -o b.txt -- sh -c 'if [ -e go ]; then cat a.txt >b.txt; else touch begun; sleep 1000; fi'
"""


def cannot(why):
    print(f"slurm: can not be run here: {why}")
    sys.exit(77)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Cluster:
    """Slurm with one node, in a folder of its own."""

    def __init__(self, at):
        self.at = at
        for program in ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol"):
            if not shutil.which(program):
                cannot(f"no {program}")
        if os.geteuid() != 0:
            cannot("it needs root")
        for folder in ("state", "spool"):
            (at / folder).mkdir()
        key = at / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        text = SLURM.format(host=socket.gethostname().split(".")[0], at=at, ports=free_ports(2), cpus=os.cpu_count())
        (at / "slurm.conf").write_text(text)
        self.env = os.environ | {"SLURM_CONF": str(at / "slurm.conf")}
        files = [f"--{name}-file={at}/munge.{name}" for name in ("pid", "log", "seed")]
        self.daemons = []
        self.begin(["munged", "--foreground", "--force", f"--socket={at}/munge.socket", f"--key-file={key}", *files])
        self.wait("munge", lambda: (at / "munge.socket").exists())
        self.begin(["slurmctld", "-D"])
        self.begin(["slurmd", "-D"])
        self.wait("a node", lambda: "idle" in self.said(["sinfo", "-h", "-o", "%T"]))

    def begin(self, argv):
        log = open(self.at / f"{argv[0]}.out", "wb")
        self.daemons.append(subprocess.Popen(argv, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True))

    def said(self, argv):
        return subprocess.run(argv, env=self.env, capture_output=True, text=True).stdout

    def wait(self, what, is_there):
        until = time.monotonic() + 60
        while not is_there():
            if time.monotonic() > until or any(daemon.poll() is not None for daemon in self.daemons):
                for log in sorted(self.at.glob("*.out")) + sorted(self.at.glob("*.log")):
                    print(f"== {log.name}\n{log.read_text(errors='replace')[-1000:]}")
                self.end()
                cannot(f"there is no {what}")
            time.sleep(0.1)

    def submit(self, folder, script):
        answer = subprocess.run(["sbatch", "--parsable", script], cwd=folder, env=self.env, capture_output=True, text=True, check=True)
        return answer.stdout.strip().split(";")[0]

    def drained(self):
        """Waits until no job is left."""
        until = time.monotonic() + PATIENCE
        while self.said(["squeue", "-h"]).strip():
            if time.monotonic() > until:
                sys.exit(f"slurm: jobs did not end:\n{self.said(['squeue'])}")
            time.sleep(0.2)

    def end(self):
        for daemon in reversed(self.daemons):
            if daemon.poll() is None:
                os.killpg(daemon.pid, signal.SIGTERM)
        for daemon in self.daemons:
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(daemon.pid, signal.SIGKILL)


def recipe(page):
    lines = iter(Path(page).read_text().splitlines())
    for line in lines:
        if line == "<!-- recipe: slurm -->":
            next(lines)
            break
    script = []
    for line in lines:
        if line == "```":
            return "\n".join(script) + "\n"
        script.append(line)
    sys.exit(f"slurm: {page} has no recipe for it")


class Project:
    def __init__(self, prov, folder):
        self.prov, self.folder = prov, folder
        folder.mkdir()
        self.run("init", "-q")

    def run(self, *words):
        done = subprocess.run([self.prov, *words], cwd=self.folder, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"slurm: prov {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def log(self, *words):
        return json.loads(self.run("--json", "log", "--all", "-n", "1000", *words))["runs"]


broken, began = [], time.monotonic()


def expect(is_so, what):
    print(f"{'ok    ' if is_so else 'BROKEN'} {time.monotonic() - began:4.0f} s  {what}", flush=True)
    if not is_so:
        broken.append(what)


def arrays(cluster, prov, page, at):
    project = Project(prov, at / "array")
    (project.folder / "fit.sh").write_text('mkdir -p out\nsleep 0.1\necho "$1" > "$2"\n')
    (project.folder / "job.sh").write_text(recipe(page).replace("--array=1-3", f"--array=1-{ARRAY}"))
    jobs = []
    for turn in ("miss", "hit"):
        job = cluster.submit(project.folder, "job.sh")
        cluster.drained()
        jobs.append(job)
        runs = project.log("--facet", f"slurm:array_job_id={job}")
        how = collections.Counter((run["status"], run["cache"]) for run in runs)
        expect(how == {("success", turn): ARRAY}, f"an array of {ARRAY}, a {turn} each: {dict(how)}")
    tasks = [len(project.log("--facet", f"slurm:array_task_id={n}")) for n in range(1, ARRAY + 1)]
    expect(tasks == [2] * ARRAY, "each task is on record twice, by its number")
    expect((project.folder / f"out/{ARRAY}.txt").read_text() == f"{ARRAY}\n", "its output is there")
    project.run("fsck")


def requeued(cluster, prov, at):
    project = Project(prov, at / "requeue")
    (project.folder / "job.sh").write_text(LONG)
    job = cluster.submit(project.folder, "job.sh")
    until = time.monotonic() + PATIENCE
    while not (project.folder / "begun").exists():
        if time.monotonic() > until:
            sys.exit("slurm: the second step did not begin")
        time.sleep(0.1)
    (project.folder / "go").touch()
    subprocess.run(["scontrol", "requeuehold", job], env=cluster.env, check=True)
    while "JobState=REQUEUE_HOLD" not in cluster.said(["scontrol", "show", "job", job]) and time.monotonic() < until:
        time.sleep(0.2)
    subprocess.run(["scontrol", "release", job], env=cluster.env, check=True)
    cluster.drained()
    # Whether the command or prov hears first that the job is stopped is chance; it is the same to whoever looks.
    how = [(run["step"], run["status"], run["cache"]) for run in reversed(project.log("--facet", f"slurm:job_id={job}"))]
    expected = [("first", "success", "miss"), ("second", "aborted", "miss"), ("first", "success", "hit"), ("second", "success", "miss")]
    expect(how == expected, f"a job that is requeued goes on: {how}")
    expect((project.folder / "b.txt").read_text() == "a\n", "and ends")
    project.run("fsck")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--prov", default="prov")
    options.add_argument("--recipes", default="docs/recipes.md")
    args = options.parse_args()
    prov = str(Path(shutil.which(args.prov) or sys.exit(f"slurm: no program {args.prov}")).resolve())
    page = Path(args.recipes).resolve()
    with tempfile.TemporaryDirectory(prefix="prov-slurm-") as at:
        at = Path(at)
        home = at / "home"
        home.mkdir()
        for name in [name for name in os.environ if name.startswith(("PROV_", "SLURM_", "XDG_", "GIT_"))]:
            del os.environ[name]
        os.environ |= {"HOME": str(home), "PATH": f"{Path(prov).parent}:{os.environ['PATH']}", "PROV_AUTHOR_NAME": "A", "PROV_AUTHOR_EMAIL": "a@example.org"}
        cluster = Cluster(at)
        try:
            arrays(cluster, prov, page, at)
            requeued(cluster, prov, at)
        finally:
            cluster.end()
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
