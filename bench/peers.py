# SPDX-License-Identifier: LGPL-2.1-or-later
"""The allocators that are compared: where they come from, how they are set.

Peers are Debian's packages, downloaded and unpacked into a cache directory,
never installed.  Each allocator is an environment to run a program in.
"""

import glob
import os
import subprocess
import sys

PACKAGES = ["libjemalloc2", "libmimalloc2.0", "libtcmalloc-minimal4"]
LIBC = "libc.so.6"


class Allocator:
    """name, as the table has it; environment: what sets it up."""

    def __init__(self, name, **environment):
        self.name = name
        self.environment = environment

    def env(self):
        keep = {k: v for k, v in os.environ.items()
                if k in ("PATH", "HOME", "TMPDIR")}
        return dict(keep, LC_ALL="C", **self.environment)


def cache_directory():
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(cache, "hugeshim-bench")


def unpack(package, directory):
    """Download and unpack a package, unless that was done before."""
    target = os.path.join(directory, package)
    if os.path.isdir(target):
        return target
    os.makedirs(directory, exist_ok=True)
    for old in glob.glob(os.path.join(directory, package + "_*.deb")):
        os.unlink(old)
    subprocess.run(["apt-get", "-q", "download", package], cwd=directory,
                   check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    (archive,) = glob.glob(os.path.join(directory, package + "_*.deb"))
    subprocess.run(["dpkg", "-x", archive, target + ".part"], check=True)
    os.rename(target + ".part", target)
    return target


def find_library(directory, name):
    found = glob.glob(os.path.join(directory, "usr/lib/*", name))
    if not found:
        sys.exit(f"no {name} in {directory}")
    return os.path.abspath(found[0])


def libc_path():
    """The path that the dynamic linker takes libc from."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        for line in maps:
            if line.rstrip().endswith(LIBC):
                return line.split()[-1]
    sys.exit("no libc.so.6 in this process")


def allocators(shim, hugetlbfs, cache):
    """All of them, glibc first.  hugetlbfs: a mount for tcmalloc, or None.

    glibc is preloaded too: redis-server is linked with jemalloc, and so gets
    glibc's malloc.
    """
    jemalloc, mimalloc, tcmalloc = (
        find_library(unpack(package, cache), name)
        for package, name in zip(PACKAGES, (
            "libjemalloc.so.2", "libmimalloc.so.2",
            "libtcmalloc_minimal.so.4")))
    libc = libc_path()
    found = [
        Allocator("glibc", LD_PRELOAD=libc),
        Allocator("glibc hugetlb=2", LD_PRELOAD=libc,
                  GLIBC_TUNABLES="glibc.malloc.hugetlb=2"),
        Allocator("jemalloc", LD_PRELOAD=jemalloc),
        Allocator("mimalloc", LD_PRELOAD=mimalloc),
        Allocator("tcmalloc", LD_PRELOAD=tcmalloc),
    ]
    if hugetlbfs:
        found.append(Allocator(
            "tcmalloc memfs", LD_PRELOAD=tcmalloc,
            TCMALLOC_MEMFS_MALLOC_PATH=os.path.join(hugetlbfs, "tcmalloc")))
    found.append(Allocator("hugeshim", LD_PRELOAD=shim))
    return found
