#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The example, small: the same checksum and a right snapshot both ways, and
its rows on huge pages."""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import shimtest as t  # noqa: E402

ROWS = "300000"
POOL_BYTES = 256 << 20


def run(env):
    with t.running([TABLE, ROWS], env=env, stdin=t.subprocess.DEVNULL,
                   stdout=t.subprocess.PIPE) as process:
        output = process.stdout.read().decode()
        t.expect(process.wait() == 0,
                 f"the example ended with {process.returncode}:\n{output}")
        return process.pid, [line for line in output.splitlines()
                             if line.startswith("checksum: ")]


TABLE = os.path.join(os.environ.get("top_builddir", "."), "examples", "table")
t.expect(os.path.exists(TABLE), f"{TABLE} is not built")
with t.workdir() as directory, t.pool(POOL_BYTES):
    _, bare = run(t.bare_env())
    pid, shim = run(t.shim_env(directory))
    t.expect(len(bare) == 1 and shim == bare, f"{shim}, but bare {bare}")
    t.expect_reported("the example", t.report(directory, pid))
