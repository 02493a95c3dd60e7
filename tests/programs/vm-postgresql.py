#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""postgresql with its shared memory by mmap and huge_pages=off: initdb, pgbench
and large sorts answer as without the library, with pages enough, with 40 and
with none.

What it shares with its processes stays on base pages; what they sort in comes by
malloc and mmap.
"""

import contextlib
import glob
import json
import os
import pwd
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import shimtest as t  # noqa: E402

POOL_BYTES = 1400 << 20
SMALL = 40
NR_ROWS = 250000
CONFIG = """
listen_addresses = ''
huge_pages = off
shared_memory_type = mmap
dynamic_shared_memory_type = mmap
shared_buffers = 128MB
work_mem = 128MB
maintenance_work_mem = 128MB
max_parallel_workers_per_gather = 2
min_parallel_table_scan_size = 0
parallel_setup_cost = 0
fsync = off
full_page_writes = off
autovacuum = off
jit = off
"""
QUERIES = f"""
SELECT count(*), sum(abalance) = (SELECT sum(delta) FROM pgbench_history)
  FROM pgbench_accounts;
SELECT count(*) FROM pgbench_history;
CREATE TABLE big AS SELECT i, md5(i::text) AS t
  FROM generate_series(1, {NR_ROWS}) i;
SELECT count(*), md5(string_agg(t, ''))
  FROM (SELECT t FROM big ORDER BY t DESC) s;
SELECT count(*), sum(a.i) FROM big a JOIN big b ON a.t = b.t WHERE a.i % 3 = 0;
SELECT substr(t, 1, 2) k, count(*), max(t) FROM big GROUP BY k ORDER BY k;
CREATE INDEX ON big(t);
SELECT sum(i) FROM (SELECT i, row_number() OVER (ORDER BY t) r FROM big) q
  WHERE r % 100 = 0;
UPDATE big SET t = t || 'x' WHERE i % 7 = 0;
SELECT count(*), sum(length(t)) FROM big;
"""


def as_nobody():
    """The prefix of a command that must not be run as root."""
    if os.geteuid() != 0:
        return []
    return [t.need_command("setpriv", "util-linux"), "--reuid=nobody",
            "--regid=nogroup", "--clear-groups"]


def call(directory, env, name, *args, **more):
    done = t.subprocess.run(
        [*as_nobody(), os.path.join(BIN, name), *args], env=env,
        cwd=directory, stdin=t.subprocess.DEVNULL, stdout=t.subprocess.PIPE,
        stderr=t.subprocess.STDOUT, encoding="utf-8", timeout=100,
        check=False, **more)
    t.expect(done.returncode == 0,
             f"{name} ends with {done.returncode}: {done.stdout[-2000:]}")
    return done.stdout


@contextlib.contextmanager
def server(directory, env):
    data = os.path.join(directory, "data")
    with t.running([*as_nobody(), os.path.join(BIN, "postgres"), "-D", data,
                    "-k", directory],
                   env=env, cwd=directory, stdin=t.subprocess.DEVNULL,
                   stdout=t.subprocess.DEVNULL, stderr=t.subprocess.PIPE,
                   encoding="utf-8", errors="replace") as process:
        log = ""
        for line in process.stderr:
            log += line
            if "ready to accept connections" in line:
                break
        else:
            t.fail(f"postgres did not start:\n{log}")
        yield
        process.send_signal(t.signal.SIGINT)
        log = process.stderr.read()
        t.expect(process.wait() == 0, f"postgres ends badly:\n{log[-3000:]}")
        for bad in ("ERROR", "PANIC", "terminated by signal"):
            t.expect(bad not in log, f"postgres says {bad}:\n{log[-3000:]}")


def answers(directory, env):
    """Of the queries, in a directory of its own."""
    os.makedirs(directory)
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(directory, nobody.pw_uid, nobody.pw_gid)
    env = dict(env, HOME=directory)
    call(directory, env, "initdb", "-D", "data", "-N", "-A", "trust",
         "-U", "pg")
    with open(os.path.join(directory, "data", "postgresql.conf"), "a",
              encoding="ascii") as file:
        file.write(CONFIG)
    there = ["-h", directory, "-U", "pg"]
    with server(directory, env):
        call(directory, env, "pgbench", *there, "-i", "-q", "-s", "2",
             "postgres")
        bench = call(directory, env, "pgbench", *there, "-n", "-c", "4",
                     "-t", "300", "--random-seed=7", "postgres")
        t.expect("1200/1200" in bench, f"pgbench: {bench}")
        text = call(directory, env, "psql", *there, "-AtqX",
                    "-v", "ON_ERROR_STOP=1", "-c", QUERIES, "postgres")
    t.shutil.rmtree(os.path.join(directory, "data"))
    return text


def peak_huge(directory):
    """Largest of the reports of its processes, bytes on huge pages."""
    largest = 0
    for path in glob.glob(os.path.join(directory, "*.json")):
        with open(path, encoding="ascii") as file:
            memory = json.loads(file.readlines()[-1])["memory"]
        largest = max(largest, memory["huge_bytes"]["peak"]
                      + memory["mmap_huge_bytes"]["peak"])
    return largest


def compare(name, directory, wanted):
    got = answers(directory, t.shim_env(directory, HUGESHIM_LIMIT="none"))
    t.expect(glob.glob(os.path.join(directory, "*.json"))
             or not t.find_library(), f"{name}: the library was not loaded")
    t.expect(got == wanted, f"{name}: answers\n{got}\nbare:\n{wanted}")
    huge = peak_huge(directory)
    print(f"{name}: {len(got)} bytes as bare, {huge >> 20} MiB huge",
          flush=True)
    return huge


def main():
    with t.workdir() as directory:
        os.chmod(directory, 0o755)
        # Bare, too, initdb tries the servers that it starts on huge pages: of
        # another test's pool.
        with t.pool(0):
            wanted = answers(os.path.join(directory, "bare"), t.bare_env())
        t.expect(wanted.startswith("200000|t\n1200\n"), f"bare: {wanted}")
        with t.pool(POOL_BYTES):
            huge = compare("large pool", os.path.join(directory, "large"),
                           wanted)
        t.expect(huge > 16 << 20, f"{huge} bytes huge")
        for pages in (0, SMALL):
            with t.pool_exactly(pages):
                compare(f"{pages} pages",
                        os.path.join(directory, f"pages{pages}"), wanted)


def find_bin():
    for path in sorted(glob.glob("/usr/lib/postgresql/*/bin")):
        if os.path.exists(os.path.join(path, "initdb")):
            return path
    t.skip("needs postgresql: apt-get install postgresql")


BIN = find_bin()
main()
