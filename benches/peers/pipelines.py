#!/usr/bin/env python3
"""Times pipelines of N small tasks with prov and with others that run such: make, ninja, Otter, Snakemake, `dvc repro`.

    pipelines.py [--prov target/release/prov] [--only prov,make,ninja,otter,snakemake,dvc] [--bin VENV/bin]... [--count 100] [--noops 1000] [--rounds 3] [--work DIR]

Three shapes: `noop chain` (each `true` after the one before; prov, make and ninja), `noop wide`, and `files`: each task copies the file that the
one before made. Every round each tool gets a new folder; it runs twice: all executed, all known. Whole processes are measured: the clock and, since
other work disturbs that more, processor time with that of all children. Programs are looked for in the folders of --bin, then on PATH.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def timed(argv, cwd, env):
    """Runs a command; seconds by the clock, and of processor time."""
    before, since = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(argv, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    wall, after = time.monotonic() - since, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise RuntimeError(f"{argv[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-400:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def names(count):
    return [(f"f{n}", f"f{n + 1}") for n in range(count)]


def prov(at, shape, count):
    lines = ["steps:", "  s:"]
    for n, (old, new) in enumerate(names(count)):
        if shape == "files":
            lines.append(f'    - {{name: t{n}, run: [cp, {old}, {new}], inputs: [{old}], outputs: [{new}]}}')
        else:
            after = f", requires: [t{n - 1}]" if shape == "noop chain" and n else ""
            lines.append(f'    - {{name: t{n}, run: ["true"], cache: reuse{after}}}')
    (at / "prov.yaml").write_text("\n".join(lines) + "\n")
    return [["init"], None], ["pipeline", "run", "-j", "2"]


def make(at, shape, count):
    last = f"f{count}" if shape == "files" else f"t{count - 1}"
    wide = " ".join(f"t{n}" for n in range(count))
    lines = [f"all: {wide if shape == 'noop wide' else last}"]
    for n, (old, new) in enumerate(names(count)):
        if shape == "files":
            lines += [f"{new}: {old}", f"\tcp {old} {new}"]
        else:
            lines += [f"t{n}:" + (f" t{n - 1}" if shape == "noop chain" and n else ""), "\t@/bin/true"]
    if shape != "files":
        lines.append(f".PHONY: all {wide}")
    (at / "Makefile").write_text("\n".join(lines) + "\n")
    return [], ["-s", "-j", "2"]


def ninja(at, shape, count):
    lines = ["rule cp", "  command = cp $in $out", "rule true", "  command = true"]
    for n, (old, new) in enumerate(names(count)):
        if shape == "files":
            lines.append(f"build {new}: cp {old}")
        else:
            lines.append(f"build t{n}: true" + (f" t{n - 1}" if shape == "noop chain" and n else ""))
    (at / "build.ninja").write_text("\n".join(lines) + "\n")
    return [], ["-j", "2"]


def otter(at, _, count):
    lines = ["work_path: .", "pool_size: 2", "log_level: INFO", "steps:", "  s:"]
    for n, (old, new) in enumerate(names(count)):
        lines += [f"    - name: copy t{n}", f"      source: {at / old}", f"      destination: {new}"]
        lines += [f"      requires: [copy t{n - 1}]"] if n else []
    (at / "config.yaml").write_text("\n".join(lines) + "\n")
    return [], ["-s", "s", "-c", "config.yaml", "-w", str(at)]


def snakemake(at, _, count):
    lines = [f"rule all:\n    input: 'f{count}'"]
    lines += [f"rule t{n}:\n    input: '{old}'\n    output: '{new}'\n    shell: 'cp {{input}} {{output}}'" for n, (old, new) in enumerate(names(count))]
    (at / "Snakefile").write_text("\n".join(lines) + "\n")
    return [], ["-q", "--cores", "2"]


def dvc(at, _, count):
    stages = [f"  t{n}:\n    cmd: cp {old} {new}\n    deps: [{old}]\n    outs: [{new}]" for n, (old, new) in enumerate(names(count))]
    (at / "dvc.yaml").write_text("stages:\n" + "\n".join(stages) + "\n")
    return [["init", "--no-scm", "-q"], None], ["repro", "-q"]


TOOLS = {"prov": prov, "make": make, "ninja": ninja, "otter": otter, "snakemake": snakemake, "dvc": dvc}
SHAPES = {"noop chain": ["prov", "make", "ninja"], "noop wide": ["prov", "make", "ninja"], "files": list(TOOLS)}


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--prov", default="target/release/prov")
    args.add_argument("--only", default=",".join(TOOLS))
    args.add_argument("--bin", action="append", default=[])
    args.add_argument("--count", type=int, default=100, help="tasks that copy a file")
    args.add_argument("--noops", type=int, default=1000, help="tasks that do nothing")
    args.add_argument("--rounds", type=int, default=3)
    args.add_argument("--work")
    args = args.parse_args()
    path = os.pathsep.join([*args.bin, os.environ.get("PATH", "")])
    programs = {name: (at := shutil.which(name, path=path)) and os.path.abspath(at) for name in TOOLS}
    programs["prov"] = os.path.abspath(args.prov)
    found = {}
    with tempfile.TemporaryDirectory(dir=args.work) as root:
        env = {**os.environ, "HOME": root, "DVC_NO_ANALYTICS": "1"}
        for turn in range(args.rounds):
            for shape, tools in SHAPES.items():
                count = args.count if shape == "files" else args.noops
                for name in tools if turn % 2 == 0 else reversed(tools):
                    if name not in args.only.split(",") or not programs[name]:
                        continue
                    at = Path(root, f"{name}-{turn}-{shape.replace(' ', '-')}")
                    at.mkdir()
                    (at / "f0").write_text("x\n")
                    before, words = TOOLS[name](at, shape, count)
                    try:
                        for first in filter(None, before):
                            timed([programs[name], *first], at, env)
                        for what in ["executed", "known"]:
                            found.setdefault((shape, name, what), []).append(timed([programs[name], *words], at, env))
                    except RuntimeError as err:
                        print(f"{shape}, {name}: {err}", file=sys.stderr)
                    shutil.rmtree(at, ignore_errors=True)
    for (shape, name, what), times in found.items():
        count = args.count if shape == "files" else args.noops
        wall, cpu = (statistics.median(one[at] for one in times) for at in (0, 1))
        beside = found.get((shape, "make", what))
        base = statistics.median(one[1] for one in beside) if beside else 0
        ratio = cpu / base if base else None
        print(json.dumps({"shape": shape, "tool": name, "what": what, "tasks": count, "seconds": round(wall, 3), "cpu": round(cpu, 3),
                          "ms_a_task": round(1000 * cpu / count, 2), "beside_make": ratio and round(ratio, 2)}))


if __name__ == "__main__":
    main()
