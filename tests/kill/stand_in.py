#!/usr/bin/env python3
"""A tiny stand-in for prov with which kill_points.py checks itself; it knows just enough commands.

It keeps one JSON file per run and one file per content, written beside, synced and renamed. `--fault` breaks a promise:
in-place (overwrites its records), too-early (publishes a run before its contents), forgets (leaves a lock behind).
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

STORE = Path(".prov")
FAULT = None


def put(path, data):
    """Makes `data` durable at `path`, all of it or nothing."""
    if FAULT == "in-place" and path.name == "index":
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(fd, data[: len(data) // 2])
        os.write(fd, data[len(data) // 2:])
        os.close(fd)
        return
    beside = path.with_name(f"tmp-{os.getpid()}")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(fd, data)
    os.fsync(fd)
    os.close(fd)
    os.rename(beside, path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def store(data):
    path = STORE / "content" / digest(data)
    if not path.exists():
        put(path, data)
    return path.name


def index():
    return json.loads((STORE / "index").read_text())


def record(run):
    runs = index()
    run["run"] = f"run-{len(runs):06}"
    put(STORE / "index", json.dumps([*runs, run]).encode())


def members(paths):
    for path in map(Path, paths):
        yield from (p for p in sorted(path.rglob("*")) if p.is_file()) if path.is_dir() else [path]


def fetch(name):
    data = (STORE / "content" / name).read_bytes()
    if digest(data) != name:
        sys.exit(5)
    return data


def find(address):
    run, _, key = address.partition(":")
    runs = index()
    hits = [r for r in runs if r["run"] == run] or [r for r in runs if r["step"] == run.removesuffix("~0")]
    return hits[-1], key


def run_step(argv):
    options, command = argv[: argv.index("--")], argv[argv.index("--") + 1:]
    force = "-f" in options
    inputs = [Path(o.split("=")[1]) for f, o in zip(options, options[1:]) if f == "-i"]
    outputs = [o.split("=") for f, o in zip(options, options[1:]) if f == "-o"]
    recipe = digest(repr([command, [digest(p.read_bytes()) for p in inputs]]).encode())
    hit = None if force else next((r for r in reversed(index()) if r["recipe"] == recipe), None)
    if hit:
        for key, path in outputs:
            Path(path).parent.mkdir(exist_ok=True)
            put(Path(path), fetch(hit["outputs"][key]))
        return record(hit | {"cache": "hit"})
    done = subprocess.run(command)
    if done.returncode:
        sys.exit(done.returncode)
    contents = {key: Path(path).read_bytes() for key, path in outputs}
    new = {"step": "sum", "recipe": recipe, "cache": "miss", "outputs": {key: digest(data) for key, data in contents.items()}}
    if FAULT == "too-early":
        record(new)
    for data in contents.values():
        store(data)
    if FAULT != "too-early":
        record(new)


def main():
    global FAULT
    args = sys.argv[1:]
    if args[0] == "--fault":
        FAULT, args = args[1], args[2:]
    as_json = args[0] == "--json"
    args = args[1:] if as_json else args
    verb, rest = args[0], args[1:]
    if FAULT == "forgets" and verb == "run":
        os.close(os.open(STORE / "lock", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    if verb == "init":
        (STORE / "content").mkdir(parents=True)
        put(STORE / "index", b"[]")
    elif verb == "add":
        for path in members(rest):
            store(path.read_bytes())
    elif verb == "commit":
        paths = rest[: rest.index("-m")]
        record({"step": "", "recipe": "", "outputs": {str(p): store(p.read_bytes()) for p in members(paths)}})
    elif verb == "run":
        run_step(rest)
    elif verb == "log":
        print(json.dumps({"runs": list(reversed(index()))}))
    elif verb == "show":
        print(json.dumps({"run": find(rest[0])[0]}))
    elif verb == "cat":
        run, key = find(rest[0])
        sys.stdout.buffer.write(fetch(run["outputs"][key]))
    elif verb == "id":
        name = digest(Path(rest[0]).read_bytes())
        print(json.dumps({"matches": [r for r in index() if name in r["outputs"].values()]}))
    elif verb == "restore":
        run, _ = find(rest[0])
        Path("out").mkdir(exist_ok=True)
        for key, name in run["outputs"].items():
            put(Path("out") / f"{key}.txt", fetch(name))
    elif verb == "fsck":
        for run in index():
            for name in run["outputs"].values():
                fetch(name)
    if FAULT == "forgets" and verb == "run":
        os.unlink(STORE / "lock")


main()
