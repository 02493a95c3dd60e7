# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of real programs share.

The library under test is HS_TEST_LIB (or SHIM), else it is looked for in the
build tree.  HS_TEST_LIB= (empty) runs everything bare: then each test of
coverage must fail, which shows that it can.  HS_TEST_BACKING=thp (or base)
leaves the pool and its lock alone; tests of coverage fail then, too.

Each use of the huge page pool goes through pool(): it takes the machine's one
lock, grows the pool to what is needed and restores it whatever happens.
Memory is read from /proc/PID/smaps while the program lives, and from the
library's own report; the two are compared.
"""

import contextlib
import ctypes
import json
import os
import signal
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import hugepool  # noqa: E402

SKIPPED = 77
COVERAGE = 0.95
BACKING = os.environ.get("HS_TEST_BACKING")


def skip(reason):
    print("SKIP: " + reason)
    sys.exit(SKIPPED)


def fail(reason):
    print("FAIL: " + reason, file=sys.stderr)
    sys.exit(1)


def expect(condition, reason):
    if not condition:
        fail(reason)


def need_command(command, package=None):
    path = shutil.which(command, path="/usr/bin:/bin:/usr/sbin:/sbin")
    if not path:
        skip(f"needs {command}: apt-get install {package or command}")
    return path


# --- the library ------------------------------------------------------------


def find_library():
    for name in ("HS_TEST_LIB", "SHIM"):
        if name in os.environ:
            return os.environ[name]
    builddir = os.environ.get("top_builddir", ".")
    srcdir = os.path.join(HERE, "..", "..")
    for directory in (builddir, srcdir):
        for sub in (".libs", "preload/.libs"):
            path = os.path.join(directory, sub, "libhugeshim.so")
            if os.path.exists(path):
                return path
    fail("libhugeshim.so is not built, or set HS_TEST_LIB")


def bare_env(**more):
    """The environment without the library and its settings, in C locale."""
    env = {k: v for k, v in os.environ.items()
           if k != "LD_PRELOAD" and not k.startswith("HUGESHIM")}
    env.update(LC_ALL="C.UTF-8", TZ="UTC", PATH="/usr/bin:/bin", **more)
    return env


def shim_env(stats_dir=None, **more):
    """The environment that puts the library under a program; its reports go
    to stats_dir/PID.json."""
    env = bare_env(**more)
    library = find_library()
    if library:
        env["LD_PRELOAD"] = os.path.abspath(library)
    if BACKING:
        env["HUGESHIM_BACKING"] = BACKING
    if stats_dir:
        env["HUGESHIM_STATS"] = os.path.join(stats_dir, "%p.json")
        env["HUGESHIM_STATS_FORMAT"] = "json"
    return env


def report(stats_dir, pid):
    """The library's report of process PID, written at its exit."""
    path = os.path.join(stats_dir, f"{pid}.json")
    expect(os.path.exists(path), f"no report {path}: library not loaded?")
    with open(path, encoding="ascii") as file:
        return json.loads(file.readlines()[-1])


@contextlib.contextmanager
def workdir():
    """A directory of the test's own, removed at the end."""
    path = tempfile.mkdtemp(prefix="hugeshim-test-")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


# --- the pool ---------------------------------------------------------------


@contextlib.contextmanager
def pool(size_bytes):
    """At least size_bytes of free huge pages, locked, or a skip."""
    find_library()
    with contextlib.ExitStack() as stack:
        try:
            if not BACKING:
                stack.enter_context(hugepool.pool(size_bytes))
        except hugepool.Missing as missing:
            skip(str(missing))
        yield


@contextlib.contextmanager
def pool_exactly(pages):
    """Exactly so many free huge pages, locked, or a skip."""
    find_library()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hugepool.exactly(pages))
        except hugepool.Missing as missing:
            skip(str(missing))
        yield


# --- programs ---------------------------------------------------------------


PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


def in_child():
    """A program must not outlive its test, however that ends; and it starts
    with SIGINT as a terminal gives it, not ignored as by a shell's &."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def running(command, **more):
    """The process of command, killed and reaped at the end."""
    process = subprocess.Popen(command, preexec_fn=in_child, **more)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()


def exit_by_signal(signum, _frame):
    sys.exit(128 + signum)


for _signum in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(_signum, exit_by_signal)


# --- memory -----------------------------------------------------------------


class Memory:
    """Anonymous memory of a process by page size, from its smaps.

    huge: on pages of the pool.  base: every other anonymous page, be it heap,
    the library's own metadata, bss or a stack, THP included; so a coverage
    worked out from it can only be too low.  heap: the part of base that the
    kernel calls [heap], where glibc's malloc has its small blocks.
    """

    def __init__(self, pid):
        self.huge = self.base = self.heap = 0
        in_heap = False
        with open(f"/proc/{pid}/smaps", encoding="utf-8",
                  errors="replace") as file:
            for line in file:
                name, _, value = line.partition(":")
                if "-" in name:
                    in_heap = line.endswith("[heap]\n")
                elif name in ("Private_Hugetlb", "Shared_Hugetlb"):
                    self.huge += int(value.split()[0]) << 10
                elif name == "Anonymous":
                    self.base += int(value.split()[0]) << 10
                    self.heap += in_heap * (int(value.split()[0]) << 10)

    def __str__(self):
        total = max(1, self.huge + self.base)
        return (f"{self.huge >> 20} MiB huge, {self.base >> 20} MiB base, "
                f"{100 * self.huge / total:.2f} % huge")


def expect_coverage(what, memory, heap_bytes, elsewhere_bytes=0):
    """At least 95 % of heap_bytes, what the program says its heap is, lies on
    huge pages.  elsewhere_bytes: anonymous memory that a program of this kind
    maps without malloc, measured on a bare run."""
    print(f"{what}: {memory}; heap {heap_bytes >> 20} MiB")
    expect(memory.huge >= COVERAGE * heap_bytes,
           f"{what}: {memory.huge >> 20} MiB on huge pages, "
           f"heap {heap_bytes >> 20} MiB")
    base = max(0, memory.base - elsewhere_bytes)
    expect(memory.huge >= COVERAGE * (memory.huge + base),
           f"{what}: {base >> 20} MiB on base pages, {memory}")


def expect_reported(what, stats, memory=None):
    """The library's own report: coverage, and agreement with smaps."""
    gauges = {name: gauge["peak"] >> 20
              for name, gauge in stats["memory"].items()}
    coverage = stats["coverage_at_peak"] or 0
    print(f"{what}: report: {100 * coverage:.1f} % huge at the peak; "
          f"peaks in MiB {gauges}")
    expect(coverage >= COVERAGE, f"{what}: the report says {coverage} huge")
    if memory:
        huge = stats["memory"]["huge_bytes"]["peak"]
        expect(abs(huge - memory.huge) <= 0.1 * memory.huge,
               f"{what}: {huge >> 20} MiB huge at the peak in the report, "
               f"{memory.huge >> 20} MiB in smaps")
