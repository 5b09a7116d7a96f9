#!/usr/bin/env python3
"""Times the question for runs by a facet, asked of prov and of Consist, each with as many runs.

    consist_find.py --python VENV/bin/python --store DIR [--prov PROV] [--runs 100000] [--rounds 5]

DIR is a project of `simulate --runs` with an index (ask it a question once). Consist's database is filled by its own models and by SQL: one row with a
facet for each run. Whole processes are measured, and of Consist the call by itself in a process that asked before.
"""

import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

FILL = '''import sys
from datetime import datetime, timezone
from sqlmodel import Session
from sqlalchemy import text
from consist import Tracker
from consist.models.run import Run
from consist.models.run_config_kv import RunConfigKV
tracker = Tracker(run_dir="runs", db_path="p.duckdb")
n = int(sys.argv[1])
with Session(tracker.engine) as session:
    session.add(Run(id="F_0", model_name="m", status="completed", config_hash="c", git_hash="g", input_hash="h", signature="s", meta={}, created_at=datetime.now(timezone.utc)))
    session.add(RunConfigKV(run_id="F_0", facet_id="f0", namespace="m", key="n", value_type="int", value_num=0))
    session.commit()
    session.exec(text(f"insert into run select * exclude (i) replace ('F_' || i as id, 's' || i as signature, created_at + to_seconds(i) as created_at) from run cross join range(1, {n}) t(i) where id = 'F_0'"))
    session.exec(text(f"insert into run_config_kv select * exclude (i) replace ('F_' || i as run_id, 'f' || i as facet_id, i % 1000 as value_num) from run_config_kv cross join range(1, {n}) t(i) where run_id = 'F_0'"))
    session.commit()
'''

ASK = '''import sys, time
from consist import Tracker
tracker = Tracker(run_dir="runs", db_path="p.duckdb")
took = []
for _ in range(int(sys.argv[1])):
    begun = time.perf_counter()
    found = tracker.find_runs(facet={"n": 500}, limit=1000)
    took.append(time.perf_counter() - begun)
print(len(found), min(took))
'''


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--python", required=True)
    words.add_argument("--store", required=True)
    words.add_argument("--prov", default="target/release/prov")
    words.add_argument("--runs", type=int, default=100_000)
    words.add_argument("--rounds", type=int, default=5)
    args = words.parse_args()
    prov = [str(Path(args.prov).resolve()), "--json", "find", "runs", "--where", "facet.n = 500", "-n", "1000"]
    with tempfile.TemporaryDirectory() as work:
        python = lambda text, n: [args.python, "-W", "ignore", "-c", text, str(n)]
        subprocess.run(python(FILL, args.runs), cwd=work, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        took = {"prov": [], "Consist": []}
        call = []
        for _ in range(args.rounds):
            for name, words, folder in (("prov", prov, args.store), ("Consist", python(ASK, 1), work)):
                begun = time.perf_counter()
                subprocess.run(words, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                took[name].append(time.perf_counter() - begun)
            done = subprocess.run(python(ASK, 5), cwd=work, check=True, capture_output=True, text=True)
            call.append(float(done.stdout.split()[-1]))
        for name, times in took.items():
            print(f"{name:<28} {statistics.median(times) * 1e3:9.1f} ms, a process")
        print(f"{'Consist, the call alone':<28} {statistics.median(call) * 1e3:9.1f} ms")


if __name__ == "__main__":
    main()
