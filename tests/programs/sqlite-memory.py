#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sqlite3 with 5 million rows in memory: at least 95 % of its heap on huge
pages, and every answer as without the library."""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import shimtest as t  # noqa: E402

NR_ROWS = int(os.environ.get("HS_SQLITE_ROWS", "5000000"))
POOL_BYTES = 1 << 30

FILL = f"""
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, price REAL, tag BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
  WHERE i < {NR_ROWS})
INSERT INTO item SELECT i, printf('item %d of a table', i * 7919 % 1000003),
  i * 0.37, CASE i % 5 WHEN 0 THEN zeroblob(i % 64) END FROM n;
CREATE INDEX by_price ON item(price) WHERE id % 10 = 0;
SELECT count(*), sum(id), sum(length(name)), total(price), sum(length(tag))
  FROM item;
.stats
"""
CHANGE = """
UPDATE item SET name = name || ' changed' WHERE id % 50 = 7;
DELETE FROM item WHERE id % 50 = 9;
SELECT count(*), sum(length(name)), max(name), min(name) FROM item;
SELECT id, name FROM item WHERE id % 10 = 0 AND price > 100 ORDER BY price
  LIMIT 5;
SELECT substr(name, 6, 2) AS k, count(*), sum(id) FROM item GROUP BY k;
PRAGMA integrity_check;
"""


def sqlite(env):
    return t.running([SQLITE, "-batch", ":memory:"], env=env,
                     stdin=t.subprocess.PIPE, stdout=t.subprocess.PIPE,
                     stderr=t.subprocess.STDOUT)


def tell(process, text):
    process.stdin.write(text.encode())
    process.stdin.flush()


def heap_bytes(process):
    """What sqlite3 itself says of its heap; reads up to its last line."""
    used = 0
    for line in process.stdout:
        if line.startswith(b"Memory Used:"):
            used = int(line.split()[2])
        if line.startswith(b"Number of Outstanding"):
            break
    return used


def finish(process):
    tell(process, CHANGE + ".quit\n")
    answers = process.stdout.read()
    t.expect(process.wait() == 0, f"sqlite3 ended with {process.returncode}")
    t.expect(answers.endswith(b"ok\n"), f"sqlite3 says {answers[-200:]}")
    return answers


def same_answers(shim, bare):
    """All but the rest of the statistics, which has times and read counts."""
    def answers(text):
        return [line for line in text.splitlines() if b": " not in line]
    return answers(shim) == answers(bare)


def main():
    with t.workdir() as directory, sqlite(t.bare_env()) as bare:
        tell(bare, FILL)
        with t.pool(POOL_BYTES), sqlite(t.shim_env(directory)) as shim:
            tell(shim, FILL)
            first = shim.stdout.readline()
            heap = heap_bytes(shim)
            memory = t.Memory(shim.pid)
            last = finish(shim)
        t.expect(first == bare.stdout.readline(), f"other rows: {first}")
        heap_bytes(bare)
        t.expect(same_answers(last, finish(bare)), "other answers than bare")
        t.expect_coverage("sqlite3", memory, heap)
        t.expect_reported("sqlite3", t.report(directory, shim.pid))


SQLITE = t.need_command("sqlite3")
main()
