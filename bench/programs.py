# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whole programs under an allocator: python, perl, gcc and sqlite."""

import os
import shutil
import subprocess
import sys
import time

PYTHON = """
import random
random.seed(1)
rows = {}
for i in range(int(400000 * SCALE)):
    rows[f"key {random.randrange(10 ** 9)}"] = [i, str(i), {"n": i}]
words = " ".join(rows).split()
counts = {}
for word in words:
    counts.setdefault(word[:3], []).append(word)
for key in list(rows)[::2]:
    del rows[key]
print(len(rows), sum(map(len, counts.values())))
"""

PERL = r"""
my ($n, $seed, %rows, @lists) = (int(500000 * SCALE), 1);
for my $i (1 .. $n) {
    $seed = ($seed * 1103515245 + 12345) % 2147483648;
    $rows{"key $seed"} = [$i, "row $i", $seed];
    push @{$lists[$seed % 1000]}, "$i:$seed";
}
delete $rows{$_} for (grep { $rows{$_}[0] % 2 } keys %rows);
my $text = join ",", map { join "-", sort @$_ } grep { $_ } @lists;
print scalar(keys %rows), " ", length($text), "\n";
"""

SQL = """
CREATE TABLE t(id INTEGER PRIMARY KEY, k INT, v TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
  WHERE i < ROWS) INSERT INTO t
  SELECT i, (i * 7919) % 1000003, printf('value %d of %d', i, i % 97) FROM n;
CREATE INDEX k ON t(k);
UPDATE t SET v = v || ' changed' WHERE k % 5 = 0;
DELETE FROM t WHERE k % 7 = 3;
SELECT count(*), sum(length(v)), group_concat(k % 10, '') IS NULL FROM t;
SELECT k % 1000, count(*), max(v) FROM t GROUP BY 1 ORDER BY 2, 1 LIMIT 3;
"""


def c_source(nr):
    """Something for the compiler to do: functions that call each other."""
    lines = ["#include <stdio.h>", "#include <string.h>",
             "struct s { int a[8]; char name[32]; struct s *next; };"]
    for i in range(nr):
        before = f"f{i - 1}(p->next, n - 1)" if i else "0"
        lines.append(
            f"int f{i}(struct s *p, int n)\n{{\n\tint sum = {i};\n"
            "\tfor (int k = 0; k < n && p; k++, p = p->next) {\n"
            f"\t\tswitch ((p->a[k % 8] + {i}) % 7) {{\n"
            + "".join(f"\t\tcase {c}: sum += p->a[{c}] * {i + c}; break;\n"
                      for c in range(7))
            + f"\t\t}}\n\t\tif (strlen(p->name) > {i % 32}u)\n"
            f"\t\t\tsum ^= p ? {before} : k;\n\t}}\n\treturn sum;\n}}")
    return "\n".join(lines) + "\n"


# name: (what it is, MiB of huge pages, command that has to be there)
PROGRAMS = {
    "python": ("python: dictionaries and strings", 400, sys.executable),
    "perl": ("perl: hashes and lists", 500, "perl"),
    "gcc": ("gcc -O2, 1500 functions", 400, "gcc"),
    "sqlite": ("sqlite: table in memory", 300, "sqlite3"),
}


def prepare(directory, scale):
    """{name: command}, for those that are installed."""
    scripts = {
        "script.py": PYTHON.replace("SCALE", str(scale)),
        "script.pl": PERL.replace("SCALE", str(scale)),
        "script.sql": SQL.replace("ROWS", str(int(500000 * scale))),
        "source.c": c_source(max(1, int(1500 * scale))),
    }
    path = {}
    for name, text in scripts.items():
        path[name] = os.path.join(directory, name)
        with open(path[name], "w", encoding="ascii") as file:
            file.write(text)
    commands = {
        "python": [sys.executable, path["script.py"]],
        "perl": ["perl", path["script.pl"]],
        "gcc": ["gcc", "-O2", "-c", "-o", os.devnull, path["source.c"]],
        "sqlite": ["sqlite3", ":memory:", ".read " + path["script.sql"]],
    }
    return {name: command for name, command in commands.items()
            if shutil.which(PROGRAMS[name][2])}


def huge_kib(pid):
    """Held by a process and those it has started."""
    kib = 0
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("HugetlbPages:"):
                    kib = int(line.split()[1])
        with open(f"/proc/{pid}/task/{pid}/children",
                  encoding="ascii") as file:
            kib += sum(map(huge_kib, file.read().split()))
    except OSError:
        pass
    return kib


def run(command, allocator):
    """wall_s, cpu_s, peak_kib, what it printed (less than a pipe holds)"""
    environment = dict(allocator.env(), PYTHONMALLOC="malloc",
                       PYTHONHASHSEED="0", PERL_HASH_SEED="0")
    start, peak = time.monotonic(), 0
    child = subprocess.Popen(command, env=environment, text=True,
                             stdout=subprocess.PIPE)
    pid = 0
    while pid == 0:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid == 0:
            peak = max(peak, huge_kib(child.pid))
            time.sleep(0.01)
    wall = time.monotonic() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    with child.stdout:
        said = child.stdout.read()
    if status:
        raise RuntimeError(f"status {child.returncode}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss + peak, said
