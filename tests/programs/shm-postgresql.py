#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""postgresql with shared buffers in System V shared memory and huge_pages=off,
under hugectl --shm --mmap: the segment is on huge pages, for each of its
processes, and queries answer as without the library.
"""

import contextlib
import glob
import json
import os
import pwd
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import shimtest as t  # noqa: E402

POOL_BYTES = 400 << 20
CONFIG = """
listen_addresses = ''
huge_pages = off
shared_memory_type = sysv
shared_buffers = 64MB
work_mem = 32MB
max_parallel_workers_per_gather = 2
min_parallel_table_scan_size = 0
parallel_setup_cost = 0
fsync = off
autovacuum = off
"""
FILL = """CREATE TABLE big AS SELECT i, md5(i::text) AS t
  FROM generate_series(1, 100000) i"""
QUERY = """SELECT count(*), md5(string_agg(t, ''))
  FROM (SELECT t FROM big ORDER BY t DESC) s;
UPDATE big SET i = -i WHERE i % 3 = 0;
SELECT sum(i) FROM big; UPDATE big SET i = abs(i);
SELECT sum(i), count(*) FROM big"""
GROUP_FILE = "/proc/sys/vm/hugetlb_shm_group"
HUGECTL = os.environ.get("HS_HUGECTL", "./hugectl")
NOBODY = pwd.getpwnam("nobody")
USER = ["setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}",
        "--clear-groups"]


def call(directory, *command):
    return t.subprocess.run(
        [*USER, *command], env=dict(t.bare_env(), HOME=directory),
        cwd=directory, stdin=t.subprocess.DEVNULL, stdout=t.subprocess.PIPE,
        stderr=t.subprocess.STDOUT, encoding="utf-8", timeout=60,
        check=True).stdout


def sql(directory, text):
    return call(directory, os.path.join(BIN, "psql"), "-h", directory, "-U",
                "pg", "-AtqX", "-v", "ON_ERROR_STOP=1", "-c", text, "postgres")


@contextlib.contextmanager
def server(directory, *prefix):
    with t.running([*USER, *prefix, os.path.join(BIN, "postgres"), "-D",
                    "data", "-k", directory], env=t.bare_env(),
                   cwd=directory, stdin=t.subprocess.DEVNULL,
                   stdout=t.subprocess.DEVNULL, stderr=t.subprocess.PIPE,
                   encoding="utf-8", errors="replace") as process:
        log = ""
        for line in process.stderr:
            log += line
            if "ready to accept connections" in line:
                break
        else:
            t.fail(f"postgres did not start:\n{log}")
        yield process.pid
        process.send_signal(t.signal.SIGINT)
        log = process.stderr.read()
        t.expect(process.wait() == 0, f"postgres ends badly:\n{log[-3000:]}")
        for bad in ("ERROR", "PANIC", "terminated by signal"):
            t.expect(bad not in log, f"postgres says {bad}:\n{log[-3000:]}")


def page_kib(pid):
    """The kernel's page size in the System V segment that holds buffers."""
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as file:
        for part in re.split(r"\n(?=[0-9a-f]+-)", file.read()):
            size = int(re.search(r"\nSize: *(\d+)", part)[1])
            if "/SYSV" in part.split("\n")[0] and size > 65536:
                return int(re.search(r"\nKernelPageSize: *(\d+)", part)[1])
    return None


def shim(directory):
    hugectl = [os.path.join(directory, "hugectl"), "--shm", "--mmap",
               f"--library-path={directory}", "--limit=none"]
    with server(directory, *hugectl) as pid:
        got = sql(directory, QUERY)
        stat = json.loads(t.subprocess.check_output(
            [HUGECTL, "stat", "--json", str(pid)]))
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            pages = {page_kib(p) for p in [pid, *file.read().split()]}
    t.expect(pages == {t.hugepool.page_bytes() >> 10},
             f"the segment is on pages of {pages} KiB")
    t.expect(stat["events"]["shm_backed"] == 1, f"not counted: {stat}")
    return got


@contextlib.contextmanager
def shm_group(gid):
    with open(GROUP_FILE, encoding="ascii") as file:
        before = file.read()
    try:
        with open(GROUP_FILE, "w", encoding="ascii") as file:
            file.write(str(gid))
        yield
    finally:
        with open(GROUP_FILE, "w", encoding="ascii") as file:
            file.write(before)


def main():
    if os.geteuid() != 0:
        t.skip("needs root: run it with sudo")
    t.need_command("setpriv", "util-linux")
    with t.workdir() as directory:
        os.chmod(directory, 0o755)
        os.chown(directory, NOBODY.pw_uid, NOBODY.pw_gid)
        library = t.find_library()
        for path in (HUGECTL, library, library.replace(".so", "-mmap.so")):
            t.shutil.copy(path, directory)
        # Bare, too, it tries the servers that it starts on huge pages: of
        # another test's pool.
        with t.pool(0):
            call(directory, os.path.join(BIN, "initdb"), "-D", "data", "-N",
                 "-A", "trust", "-U", "pg")
        with open(os.path.join(directory, "data", "postgresql.conf"), "a",
                  encoding="ascii") as file:
            file.write(CONFIG)
        with server(directory) as pid:
            sql(directory, FILL)
            wanted = sql(directory, QUERY)
            t.expect(page_kib(pid) == os.sysconf("SC_PAGESIZE") >> 10,
                     f"the test itself: pages of {page_kib(pid)} KiB")
        with t.pool(POOL_BYTES), shm_group(NOBODY.pw_gid):
            got = shim(directory)
        t.expect(got == wanted, f"answers\n{got}\nbare:\n{wanted}")


def find_bin():
    for path in sorted(glob.glob("/usr/lib/postgresql/*/bin")):
        if os.path.exists(os.path.join(path, "initdb")):
            return path
    t.skip("needs postgresql: apt-get install postgresql")


BIN = find_bin()
main()
