#!/usr/bin/env python3
"""Times what one publish costs on a folder's disk: a file made durable, linked under its final name, and the folder made durable.

    publish_probe.py FOLDER [COUNT]       the median of COUNT (default 51) in milliseconds

This is the least that a program can do to add one entry that survives a power cut; prov is measured against it.
"""

import os
import statistics
import sys
import tempfile
import time


class Probe:
    """A folder of its own inside `parent`; each `publish` adds one entry to it."""

    def __init__(self, parent, size=1500):
        self.folder = tempfile.mkdtemp(prefix="publish-probe.", dir=parent)
        self.data = os.urandom(size)
        self.number = 0

    def publish(self):
        """Adds one entry and returns the seconds it took."""
        self.number += 1
        beside = f"{self.folder}/tmp-{self.number}"
        start = time.perf_counter()
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(fd, self.data)
        os.fsync(fd)
        os.close(fd)
        os.link(beside, f"{self.folder}/{self.number:020}")
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(folder)
        os.close(folder)
        return time.perf_counter() - start


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    probe = Probe(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) == 3 else 51
    times = [probe.publish() for _ in range(count)]
    print(f"{statistics.median(times) * 1000:.3f} ms (median of {count}, lowest {min(times) * 1000:.3f})")


if __name__ == "__main__":
    main()
