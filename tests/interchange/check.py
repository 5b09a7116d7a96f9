"""Shows what prov exports to those that are meant to read it: Otter's own models, pyarrow.

    python tests/interchange/check.py --prov target/release/prov

Needs `opentargets-otter==26.9.1` and `pyarrow` in the Python that runs it; `.ci/run` makes an environment with them. Runs the pipeline of
`fixtures/pipelines/otter` with Otter and with prov and compares what they wrote, file by file; has Otter's models read the manifest,
and Otter itself go on writing it; reads the tables of runs and compares their schema with Loom's.
"""

import argparse
import filecmp
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
OTTER = ROOT / "fixtures/pipelines/otter"
RUNNER = """
import asyncio, sys
from otter.core import Runner
from otter.manifest.model import Result
if __name__ == '__main__':
    runner = Runner(sys.argv.pop(1))
    runner.start()
    step = asyncio.run(runner.run())
    sys.exit(0 if step.manifest.result == Result.SUCCESS else 1)
"""
FAILURES = []


def check(what, is_so, more=""):
    print(f"{'ok  ' if is_so else 'FAIL'} {what}{'' if is_so else ': ' + str(more)}")
    if not is_so:
        FAILURES.append(what)


def run(words, cwd, code=0):
    env = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=300, env=env)
    if code is not None and done.returncode != code:
        sys.exit(f"{words}: ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def files(folder):
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(folder)) for path in found if not path.name.startswith(("manifest", ".manifest")))


def expected_schemas():
    import pyarrow as pa

    text, number, time = pa.string(), pa.int64(), pa.timestamp("us", tz="UTC")
    head = [("run_id", text, False), ("correlation_id", text, True), ("attempt", number, False)]
    timed = [("started_at", time, False), ("status", text, False), ("duration_ms", number, False), ("error", text, True)]
    wrong = [("error_type", text, True), ("error_message", text, True)]
    failed = [("failed_step_run_id", text, True), ("failed_step", text, True)]
    tables = {
        "pipeline_runs": head + [("pipeline", text, False)] + timed + wrong + failed,
        "process_runs": head + [("process_run_id", text, False), ("process", text, False)] + timed + wrong + failed,
        "step_runs": head
        + [("step_run_id", text, False), ("step", text, False)]
        + timed
        + [("process_run_id", text, True)]
        + wrong,
    }
    return {name: pa.schema([pa.field(n, t, nullable=o) for n, t, o in columns]) for name, columns in tables.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prov", required=True)
    prov = os.path.abspath(parser.parse_args().prov)
    import pyarrow.parquet as parquet
    from otter.manifest.model import Result, RootManifest

    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name).resolve()
        config = work / "config.yaml"
        config.write_text((OTTER / "config.yaml").read_text().replace("data: DATA", f"data: {OTTER / 'data'}"))
        (work / "otter.py").unlink(missing_ok=True)
        script = work / "run_otter.py"
        script.write_text(RUNNER)
        by_otter = work / "by_otter"
        steps = ["copying", "latest", "exploding", "globbing"]
        for step in steps:
            run([sys.executable, script, "pis", "-s", step, "-c", config, "-w", by_otter], work)

        run([prov, "init", "-q"], work)
        run([prov, "pipeline", "run", "-c", config, "--runner", "pis"], work)
        by_prov = work / "output"
        check("the same files", files(by_otter) == files(by_prov), (files(by_otter), files(by_prov)))
        _, other, odd = filecmp.cmpfiles(by_otter, by_prov, files(by_otter), shallow=False)
        check("the same bytes", not other and not odd, (other, odd))

        run([prov, "export", "otter-manifest", "--into", by_prov / "manifest.json"], work)
        manifest = RootManifest().model_validate_json((by_prov / "manifest.json").read_text())
        check("Otter's models read the manifest", manifest.result == Result.SUCCESS, manifest.result)
        check("steps have the runner's name", sorted(manifest.steps) == sorted(f"pis_{s}" for s in steps), list(manifest.steps))
        theirs = json.loads((by_otter / "manifest.json").read_text())
        ours = json.loads((by_prov / "manifest.json").read_text())
        check("fields of the root", list(ours) == list(theirs), list(ours))
        for key, step in theirs["steps"].items():
            mine = ours["steps"][key]
            check(f"{key}: fields", list(mine) == list(step), list(mine))
            names = lambda tasks: sorted(task["name"] for task in tasks)
            check(f"{key}: tasks", names(mine["tasks"]) == names(step["tasks"]), names(mine["tasks"]))
            fields = [field for field in mine["tasks"][0] if field != "prov"]
            check(f"{key}: fields of a task", fields == list(step["tasks"][0]), fields)
            made = lambda one: sorted(str(artifact["destination"]).rsplit("/", 1)[-1] for artifact in one["artifacts"])
            check(f"{key}: artifacts", made(mine) == made(step), (made(mine), made(step)))
            check(f"{key}: durations", all(task["elapsed"] is not None for task in mine["tasks"]))

        run([sys.executable, script, "pts", "-s", "copying", "-c", config, "-w", by_prov], work)
        run([prov, "export", "otter-manifest", "--into", by_prov / "manifest.json"], work)
        both = json.loads((by_prov / "manifest.json").read_text())["steps"]
        done = [key for key, step in both.items() if step["result"] == "success"]
        check("Otter and prov write one manifest", set(done) == {f"pis_{s}" for s in steps} | {"pts_copying"}, done)

        native = work / "prov.yaml"
        native.write_text("prov: 1\nrunner: demo\nsteps:\n  s: [{name: fails, run: 'exit 3'}, {name: noop x, type: noop}]\n")
        run([prov, "pipeline", "run", "-f", native, "--keep-going"], work, code=None)
        run([prov, "export", "loom-records", "--to", "runs"], work)
        for table, schema in expected_schemas().items():
            for file in sorted((work / "runs" / table).iterdir()):
                check(f"{table}/{file.name[:6]}: schema", parquet.read_schema(file).equals(schema), parquet.read_schema(file))
            rows = parquet.ParquetDataset(work / "runs" / table).read().to_pylist()
            failed = [row for row in rows if row["status"] == "failed"]
            check(f"{table}: rows", len(rows) >= 2 and len(failed) == 1, rows)
            check(f"{table}: the failure", failed and failed[0]["error"].startswith("exit('"), failed)
            if table != "step_runs":
                check(f"{table}: failed_step", failed and failed[0]["failed_step"] == "fails", failed)
            good = [row for row in rows if row["status"] == "success"]
            check(f"{table}: nothing wrong on success", all(row["error"] is None for row in good), good)
    print(f"{len(FAILURES)} failed" if FAILURES else "all as it should be")
    return 1 if FAILURES else 0


if __name__ == "__main__":
    sys.exit(main())
