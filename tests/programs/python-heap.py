#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""python3 fills 1 GiB with objects: at least 95 % on huge pages, same sums.

PYTHONMALLOC=malloc, because CPython's own small-object allocator takes its
256 KiB arenas by mmap, not by malloc; with it only objects above 512 bytes
would be the library's.  The objects are of every kind and of 30 bytes to
300 KiB, and a third of them is freed and made again, as a program would.
"""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import shimtest as t  # noqa: E402

FILL_BYTES = int(os.environ.get("HS_PYTHON_BYTES", str(1 << 30)))
POOL_BYTES = FILL_BYTES + FILL_BYTES // 2 + (128 << 20)

PROGRAM = r"""
import random, sys, zlib

random.seed(20261120)
size = sys.getsizeof


def make(i):
    kind = i % 16
    if kind < 5:
        return b"%d" % i * (1 + i % 40)
    if kind < 8:
        return "%d" % i * (1 + i % 60)
    if kind < 10:
        return [i] * (i % 50)
    if kind < 12:
        return tuple(range(i, i + i % 30))
    if kind < 14:
        return {i + k: None for k in range(i % 20)}
    if kind < 15:
        return bytearray(b"%08d" % i) * (1 + i % 500)
    return bytes([i & 255]) * (300 << 10 if i % 1024 == 15 else 900)


def checksum(objects):
    crc = 0
    for o in objects:
        crc = zlib.crc32(repr(o).encode() if type(o) is not bytes else o, crc)
    return crc


objects, total, i = [], 0, 0
while total < FILL:
    objects.append(make(i))
    total += size(objects[-1])
    i += 1
for k in range(0, len(objects), 3):
    objects[k] = None
for k in range(0, len(objects), 3):
    objects[k] = make(k)
print(total, len(objects), checksum(objects[::17]), flush=True)
sys.stdin.readline()
print(checksum(objects[5::17]), flush=True)
"""


def fill(env):
    program = PROGRAM.replace("FILL", str(FILL_BYTES))
    return t.running(["/usr/bin/python3", "-sP", "-c", program],
                     env=dict(env, PYTHONHASHSEED="0"),
                     stdin=t.subprocess.PIPE, stdout=t.subprocess.PIPE)


def finish(process):
    """Its last words; an orderly end."""
    process.stdin.write(b"\n")
    process.stdin.flush()
    words = process.stdout.read()
    t.expect(process.wait() == 0, f"python3 ended with {process.returncode}")
    return words


def main():
    with t.workdir() as directory, \
            fill(t.bare_env(PYTHONMALLOC="malloc")) as bare:
        with t.pool(POOL_BYTES), \
                fill(t.shim_env(directory, PYTHONMALLOC="malloc")) as shim:
            first = shim.stdout.readline()
            memory = t.Memory(shim.pid)
            last = finish(shim)
        t.expect(first == bare.stdout.readline(), "other objects than bare")
        t.expect(last == finish(bare), "other contents than bare")
        t.expect_coverage("python3", memory, int(first.split()[0]))
        t.expect_reported("python3", t.report(directory, shim.pid), memory)


main()
