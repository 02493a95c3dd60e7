#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""stress-ng's stressors of memory mappings, all at once for some seconds, which
verify what they do: they find nothing wrong bare, and nothing with the library,
with no huge pages and with 60 that they compete for.

  vm-stress-ng.py [STRESSOR...]   only those
"""

import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import shimtest as t  # noqa: E402

SECONDS = int(os.environ.get("HS_STRESS_SECONDS", "12"))
LATE_SECONDS = 90
PAGES = [0, 60]
STRESSORS = """vm mmap mmapaddr mmapfixed mmapfork mmapmany mremap munmap
    madvise mprotect mincore mlock msync pagemove remap shm userfaultfd brk
    bigheap""".split()
# Those that take all the memory that there is.
BOUNDS = """--vm-bytes 64m --mmap-bytes 32m --mremap-bytes 32m --shm-bytes 8m
    --msync-bytes 16m --bigheap-growth 64k --bigheap-ops 4000 --brk-ops 30000
    --mmapmany-ops 20000""".split()


def watch(process):
    """Its exit status and the fewest free pages that were seen meanwhile: the
    stressors leave by _exit, so there is no report of theirs."""
    fewest = t.hugepool.value("free_hugepages")
    for _ in range(SECONDS + LATE_SECONDS):
        try:
            return process.wait(1), fewest
        except t.subprocess.TimeoutExpired:
            fewest = min(fewest, t.hugepool.value("free_hugepages"))
    os.killpg(process.pid, t.signal.SIGKILL)
    return "not done", fewest


def stress(directory, stressors, env):
    """Exit status, what it says, fewest free pages."""
    command = [STRESS_NG, "--verify", "--oom-avoid", "--metrics-brief",
               "--temp-path", directory, "--timeout", f"{SECONDS}s", *BOUNDS]
    for name in stressors:
        command += ["--" + name, "1"]
    log = os.path.join(directory, "log")
    with open(log, "w", encoding="utf-8") as file, \
            t.running(command, env=env, cwd=directory, stdout=file,
                      stdin=t.subprocess.DEVNULL, stderr=t.subprocess.STDOUT,
                      start_new_session=True) as process:
        status, fewest = watch(process)
    with open(log, encoding="utf-8", errors="replace") as file:
        return status, file.read(), fewest


def complaints(text):
    return [line for line in text.splitlines()
            if re.search(r"fail|error|unexpected|terminated on signal", line,
                         re.IGNORECASE)]


def expect_good(name, result):
    status, text, _ = result
    bad = complaints(text)
    t.expect(status == 0 and not bad,
             f"{name}: status {status}: {bad}\n{text[-3000:]}")
    print(f"{name}: {len(text.splitlines())} lines, none of a failure",
          flush=True)


def main():
    stressors = sys.argv[1:] or STRESSORS
    if not os.path.isdir("/sys/kernel/mm/hugepages"):
        t.skip("no huge pages: needs a kernel with CONFIG_HUGETLBFS")
    with t.workdir() as directory:
        expect_good("bare", stress(directory, stressors, t.bare_env()))
        for pages in PAGES:
            with t.pool_exactly(pages):
                env = t.shim_env(directory, HUGESHIM_LIMIT="none")
                result = stress(directory, stressors, env)
            expect_good(f"{pages} pages", result)
            t.expect(result[2] < pages or pages == 0,
                     f"of {pages} pages {result[2]} were always free")
            t.expect(any(name.endswith(".json")
                         for name in os.listdir(directory))
                     or not t.find_library(), "the library was not loaded")


STRESS_NG = t.need_command("stress-ng")
main()
