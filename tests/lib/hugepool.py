# SPDX-License-Identifier: LGPL-2.1-or-later
"""The machine's huge page pool, for the tests and the benchmark in Python.

Every user of the pool holds the one lock for as short as possible, sets what
it needs and restores what it found (tests/lib/pool.sh is the same for sh).
HS_POOL_LOCKED in the environment says that a caller holds the lock already.
"""

import contextlib
import fcntl
import os
import signal
import tempfile

LOCK_SECONDS = int(os.environ.get("HS_POOL_LOCK_SECONDS", "900"))


class Missing(Exception):
    """The pages cannot be had; the text says how they could."""


def page_bytes():
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("Hugepagesize:"):
                return int(line.split()[1]) << 10
    raise Missing("no huge pages: needs a kernel with CONFIG_HUGETLBFS")


def pool_file(name):
    return f"/sys/kernel/mm/hugepages/hugepages-{page_bytes() >> 10}kB/{name}"


def value(name):
    """nr_hugepages, free_hugepages, ..."""
    with open(pool_file(name), encoding="ascii") as file:
        return int(file.read())


def size():
    """The number of pages that was asked for.  nr_hugepages of /sys counts
    those too that a process still holds of a pool that has shrunk since."""
    with open("/proc/sys/vm/nr_hugepages", encoding="ascii") as file:
        return int(file.read())


def write(pages):
    with open(pool_file("nr_hugepages"), "w", encoding="ascii") as file:
        file.write(str(pages))


def grow(pages):
    """A pool of so many pages?"""
    try:
        write(pages)
        if value("nr_hugepages") < pages:
            with open("/proc/sys/vm/compact_memory", "w",
                      encoding="ascii") as file:
                file.write("1")
            write(pages)
    except OSError:
        pass
    return value("nr_hugepages") >= pages


def open_lock():
    path = "/run/lock/hugeshim-pool.lock"
    if os.geteuid() != 0 or not os.path.isdir("/run/lock"):
        path = os.path.join(tempfile.gettempdir(), "hugeshim-pool.lock")
    return open(path, "a", encoding="ascii")


def take(lock):
    def too_late(_signum, _frame):
        raise TimeoutError(f"no pool lock after {LOCK_SECONDS} s: "
                           f"who holds {lock.name}?")

    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(LOCK_SECONDS)
    fcntl.flock(lock, fcntl.LOCK_EX)
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def pool(size_bytes):
    """At least size_bytes of free huge pages, locked; or Missing."""
    pages = -(-size_bytes // page_bytes())
    with open_lock() as lock:
        if "HS_POOL_LOCKED" not in os.environ:
            take(lock)
        before = size()
        wanted = value("nr_hugepages") + max(
            0, pages - value("free_hugepages"))
        try:
            if not grow(wanted):
                raise Missing(
                    f"needs {pages} free huge pages: as root, "
                    f"echo {wanted} > /proc/sys/vm/nr_hugepages")
            yield
        finally:
            with contextlib.suppress(OSError):
                write(before)


@contextlib.contextmanager
def exactly(pages):
    """Exactly so many free huge pages, locked, and no more to come; or
    Missing.  The block may set the pool to another size by write()."""
    with open_lock() as lock:
        if "HS_POOL_LOCKED" not in os.environ:
            take(lock)
        before = size()
        try:
            # A process outside that ends or begins meanwhile: look again.
            for _ in range(2000):
                if value("free_hugepages") == pages:
                    break
                grow(value("nr_hugepages") - value("free_hugepages") + pages)
            else:
                raise Missing(f"needs a pool of exactly {pages} free huge "
                              "pages: as root, with no other user of them")
            yield
        finally:
            with contextlib.suppress(OSError):
                write(before)
