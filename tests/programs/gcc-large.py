#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""gcc on a large generated file: at least 95 % of cc1's heap on huge pages,
and the same assembly as without the library.

cc1 keeps its trees in pages that its garbage collector takes by mmap; what it
takes by malloc is the data flow's bitmaps and tables, which one large function
makes grow.  How much comes by mmap is measured on the bare run, where the
malloc memory is the [heap].  Both are looked at in the same place: with half
of the assembly written, when cc1 waits for a reader.
"""

import os
import random
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import shimtest as t  # noqa: E402

NR_STATEMENTS = int(os.environ.get("HS_GCC_STATEMENTS", "4500"))
POOL_BYTES = 1 << 30


def generate(path):
    rnd = random.Random(20261120)
    with open(path, "w", encoding="ascii") as file:
        file.write("typedef unsigned long u;\nu g[4096];\n"
                   "u f(u x, u y, u z)\n{\n")
        for _ in range(NR_STATEMENTS):
            file.write(f"\tif ((x ^ g[{rnd.randrange(4096)}]) % "
                       f"{rnd.randrange(1, 2**31)}u > y)\n"
                       f"\t\tx += g[{rnd.randrange(4096)}] * z;\n"
                       f"\telse\n\t\ty ^= x >> {rnd.randrange(1, 60)};\n")
        file.write("\treturn x ^ y ^ z;\n}\n")


def cc1(source, env):
    return t.running([CC1, "-quiet", "-O1", source, "-o", "-"], env=env,
                     stdin=t.subprocess.DEVNULL, stdout=t.subprocess.PIPE)


def halfway(process):
    """The assembly's first part; cc1 then waits, its heap at its largest."""
    return process.stdout.read(NR_STATEMENTS * 150)


def finish(process):
    rest = process.stdout.read()
    t.expect(process.wait() == 0, f"cc1 ended with {process.returncode}")
    t.expect(len(rest) > 1 << 17, "cc1 had ended before it was looked at")
    return rest


def main():
    with t.workdir() as directory:
        source = os.path.join(directory, "large.c")
        generate(source)
        with cc1(source, t.bare_env()) as bare:
            with t.pool(POOL_BYTES), \
                    cc1(source, t.shim_env(directory)) as shim:
                text = halfway(shim)
                memory = t.Memory(shim.pid)
                text += finish(shim)
            bare_text = halfway(bare)
            bare_memory = t.Memory(bare.pid)
            t.expect(text == bare_text + finish(bare), "other assembly")
        # Half of the [heap]: glibc keeps there what was freed in between.
        t.expect_coverage("cc1", memory, bare_memory.heap // 2,
                          bare_memory.base - bare_memory.heap)
        t.expect_reported("cc1", t.report(directory, shim.pid))


CC1 = t.subprocess.run([t.need_command("gcc"), "-print-prog-name=cc1"],
                       check=True, stdout=t.subprocess.PIPE,
                       encoding="ascii").stdout.strip()
main()
