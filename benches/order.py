#!/usr/bin/env python3
"""Writes src/bin/prov/order.txt: the functions that hits and misses execute, for the linker to put them together.

    python3 benches/order.py

A program of 16 MiB is mapped 64 KiB at a time, as it is touched. Left to the linker, what a hit executes lies all over
it. The names hold for one compiler and one Cargo.lock; write the file again when either has changed. Names that are not found
any more are passed over, and the program is as fast as it was. Needs valgrind.
"""

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ORDER = ROOT / "src/bin/prov/order.txt"
# With keys and without, since each has its own ways.
HITS = [
    "run -q -S i=50 -i raw.csv -o one.out -- sh one.sh raw.csv {set.i} one.out".split(),
    "run -q --name one -S i=50 -i raw=raw.csv -o one=one.out -- sh one.sh raw.csv {set.i} one.out".split(),
]
MISS = "run -q -S i={n} -i raw.csv -o a.out -o b.out -o c.out -- sh three.sh {{set.i}} a.out b.out c.out"
NAMED = "run -q --name three -S i=p{n} -i raw=raw.csv -o a=a.out -o b=b.out -o c=c.out -- sh three.sh {{set.i}} a.out b.out c.out"


def main():
    subprocess.run(["cargo", "rustc", "--release", "--locked", "--bin", "prov", "--", "-Cstrip=none"], cwd=ROOT, check=True)
    prov = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release/prov"
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder) / "project"
        at.mkdir()
        env = {"HOME": folder, "PATH": os.environ["PATH"], "PROV_AUTHOR_NAME": "A", "PROV_AUTHOR_EMAIL": "a@b"}

        def run(*words, under=()):
            subprocess.run([*under, str(prov), *words], cwd=at, env=env, check=True, capture_output=True)

        (at / "raw.csv").write_text("a,b\n1,2\n")
        (at / "one.sh").write_text('echo "$2" > "$3"\n')
        (at / "three.sh").write_text('for f in "$2" "$3" "$4"; do echo "$1" > "$f"; done\n')
        (at / ".gitignore").write_text("*.out\n")
        (at / "README.md").write_text("# A project\n")
        (at / "src").mkdir()
        for n in range(20):
            (at / "src" / f"part{n}.py").write_text(f"def part{n}(x):\n    return x + {n}\n" * 10)
        subprocess.run("git init -q && git -c user.name=a -c user.email=a@b add . && git -c user.name=a -c user.email=a@b commit -qm a",
                       shell=True, cwd=at, env=env, check=True)
        run("init")
        for hit in HITS:
            run(*hit)
        # Enough for packs and tables that were merged, and some entries above them.
        for n in range(70):
            run(*MISS.format(n=n).split())
            run(*NAMED.format(n=n).split())
        time.sleep(1.2)
        run("status")
        executed = {}
        misses = [words.format(n=1000).split() for words in (MISS, NAMED)]
        for words in [*HITS, *misses, ["status"], ["log"], ["lineage", "one.out"]]:
            out = Path(folder) / "callgrind"
            run(*words, under=["valgrind", "--tool=callgrind", "--demangle=no", "--compress-strings=no", f"--callgrind-out-file={out}"])
            for line in out.read_text().splitlines():
                if line.startswith("fn="):
                    executed.setdefault(re.sub(r"'\d+$", "", line[3:]))
    defined = set()
    for line in subprocess.run(["nm", str(prov)], check=True, capture_output=True, text=True).stdout.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] in "tT":
            defined.add(words[2])
    names = [name for name in executed if name in defined]
    ORDER.write_text("\n".join(names) + "\n")
    print(f"{ORDER}: {len(names)} functions")


if __name__ == "__main__":
    assert shutil.which("valgrind"), "valgrind is not here"
    main()
