# SPDX-License-Identifier: LGPL-2.1-or-later
"""Instructions of small operations, counted by valgrind's callgrind.

Each operation runs twice, with different numbers of repetitions: the difference
of the totals, over that of the numbers, leaves out start and end.  The loop
around the operation is the same for all allocators and is counted with it.
"""

import re
import subprocess
import tempfile

OPERATIONS = {
    "pair16": "malloc + free of 16 bytes",
    "pair64": "malloc + free of 64 bytes",
    "pair512": "malloc + free of 512 bytes",
    "pair2k": "malloc + free of 2 KiB",
    "calloc": "calloc + free of 64 bytes",
    "batch100": "64 bytes, 100 at a time",
    "batch10k": "64 bytes, 10 000 at a time",
}
FEW, MANY = 0.04, 0.14  # millions


def count(program, operation, scale, allocator):
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind",
             f"--callgrind-out-file={directory}/out", program, operation,
             str(scale)], env=allocator.env(), stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, encoding="utf-8")
        found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        return None
    return int(found.group(1))


def per_operation(program, operation, allocator):
    few = count(program, operation, FEW, allocator)
    many = few and count(program, operation, MANY, allocator)
    return (many - few) / ((MANY - FEW) * 1e6) if many else None


def report(program, allocators):
    names = [a.name for a in allocators]
    print(f"{'instructions of':28}" + "".join(f"{n:>16}" for n in names))
    for operation, title in OPERATIONS.items():
        counts = [per_operation(program, operation, a) for a in allocators]
        print(f"{title:28}" + "".join(
            f"{c:16.1f}" if c else f"{'-':>16}" for c in counts), flush=True)
    return 0
