# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the benchmarks share: what is built and run, and on what machine."""

import contextlib
import glob
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time

import hugepool
from spread import Results

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
US = "hugeshim"
BASELINE = "glibc"


def build():
    """The shim and the workload program, built as ./quickstart does."""
    directory = os.path.join(TOP, "build")
    script = (". scripts/setup.sh && bootstrap_tree /dev/stdout && "
              "build_tree build /dev/stdout")
    done = subprocess.run(["bash", "-c", script], cwd=TOP, encoding="utf-8",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.exit(done.stdout + "the build failed")
    return os.path.join(directory, ".libs", "libhugeshim.so")


def compile_program(directory, name, *sources):
    """Compiled here, with the same flags whatever the tree was built with."""
    program = os.path.join(directory, name)
    subprocess.run(
        [os.environ.get("CC", "gcc"), "-std=gnu11", "-O2", "-pthread",
         "-D_GNU_SOURCE",
         "-fno-builtin-malloc", "-fno-builtin-calloc", "-fno-builtin-free",
         *(os.path.join(HERE, source) for source in (*sources, "measure.c")),
         "-o", program], check=True)
    return program


def run_program(program, name, allocator, scale):
    """One workload of a program that prints what measure.h says:
    [(metric, wall_s, cpu_s)], peak_kib, check, {what: KiB still held}"""
    done = subprocess.run([program, name, str(scale)], env=allocator.env(),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          encoding="utf-8")
    if done.returncode:
        raise RuntimeError(f"status {done.returncode}: {done.stderr}")
    found, peak, check, kept = [], 0, None, {}
    for words in map(str.split, done.stdout.splitlines()):
        if words[0] == "phase":
            found.append((words[1], float(words[2]), float(words[3])))
        elif words[0] == "peak":
            peak = int(words[1]) + int(words[2])
        elif words[0] == "check":
            check = words[1]
        elif words[0] == "kept":
            kept[words[1]] = int(words[2])
    return found, peak, check, kept


class Session:
    """All rounds: the results, the first checksums, what failed.

    measure(name, allocator) gives [(metric, wall_s, cpu_s)], peak_kib, check
    (None: there is none), needs(name) the MiB of huge pages it takes (0: the
    pool is left alone).
    """

    def __init__(self, args, allocators, measure, needs):
        self.args = args
        self.allocators = allocators
        self.measure = measure
        self.needs = needs
        self.results = Results()
        self.checks = {}
        self.failed = []

    def one(self, number, name, allocator):
        try:
            found, peak, check = self.measure(name, allocator)
        except (RuntimeError, OSError, subprocess.CalledProcessError) as why:
            self.failed.append(f"{name} with {allocator.name}: {why}")
            print("  " + self.failed[-1], flush=True)
            return
        if self.checks.setdefault(name, check) != check:
            self.failed.append(f"{name} with {allocator.name}: wrong checksum")
        for metric, wall, cpu in found:
            self.results.add(number, metric, allocator.name, wall, cpu, peak)

    def round(self, number, names):
        """Every allocator, each time another one first."""
        turn = number % len(self.allocators)
        order = self.allocators[turn:] + self.allocators[:turn]
        for name in names:
            size_bytes = int(self.needs(name) * self.args.scale) << 20
            with (hugepool.pool(size_bytes) if size_bytes
                  else contextlib.nullcontext()):
                start = time.monotonic()
                for allocator in order:
                    self.one(number, name, allocator)
            self.results.save(os.path.join(self.args.output, "results.tsv"))
            print(f"round {number + 1}/{self.args.rounds} {name}: "
                  f"{time.monotonic() - start:.0f} s", flush=True)

    def run(self, names):
        try:
            for number in range(self.args.rounds):
                self.round(number, names)
        except (KeyboardInterrupt, SystemExit):
            self.failed.append("interrupted: only the rounds so far")


@contextlib.contextmanager
def hugetlbfs_mount():
    """A mount for tcmalloc, or None without the right to make one."""
    directory = tempfile.mkdtemp(prefix="hugeshim-bench-")
    mounted = subprocess.run(
        ["mount", "-t", "hugetlbfs", "none", directory],
        stderr=subprocess.DEVNULL).returncode == 0
    if not mounted:
        print("cannot mount hugetlbfs: without tcmalloc memfs")
    try:
        yield directory if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", directory], check=False)
        with contextlib.suppress(OSError):
            os.rmdir(directory)


def first_line(path, start=""):
    with contextlib.suppress(OSError), open(path, encoding="utf-8") as file:
        for line in file:
            if line.startswith(start):
                return line[len(start):].strip(" \t:\n")
    return "?"


def output_of(*command):
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        return subprocess.run(command, check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, cwd=TOP,
                              encoding="utf-8").stdout.strip()
    return "?"


def package_versions(cache):
    names = [os.path.basename(path)[:-len(".deb")] for path in
             sorted(glob.glob(os.path.join(cache, "*.deb")))]
    return ", ".join(names)


def machine(args, cache):
    """What results depend on, a line each."""
    thp = "/sys/kernel/mm/transparent_hugepage/"
    memory = int(first_line("/proc/meminfo", "MemTotal").split()[0]) >> 20
    return "\n".join([
        "date: " + time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit: " + output_of("git", "describe", "--always", "--dirty"),
        f"processor: {first_line('/proc/cpuinfo', 'model name')}, "
        f"{os.cpu_count()} CPUs",
        f"memory: {memory} GiB, huge pages of "
        f"{hugepool.page_bytes() >> 20} MiB",
        f"kernel: {platform.release()}",
        "THP: " + first_line(thp + "enabled") + ", defrag "
        + first_line(thp + "defrag"),
        "libc: " + " ".join(platform.libc_ver()),
        "compiler: " + output_of("gcc", "--version").split("\n", 1)[0],
        "peers: " + package_versions(cache),
        "redis: " + output_of("redis-server", "--version"),
        f"rounds: {args.rounds}, scale: {args.scale:g}, load at the start: "
        f"{os.getloadavg()[0]:.1f}",
    ]) + "\n"


def table(results, titles):
    """Medians; ratios to glibc's of the same round with their 90 % interval."""
    lines = []
    for metric in results.metrics():
        lines.append(titles.get(metric, metric))
        lines.append(f"  {'':16} {'wall s':>8} {'CPU s':>8} {'wall / glibc':>22}"
                     f" {'CPU / glibc':>22} {'peak MiB':>9}")
        for name in results.allocators():
            wall = results.median(metric, name, "wall_s")
            if wall is None:
                continue
            ratios = [results.ratio(metric, name, column, BASELINE)
                      for column in ("wall_s", "cpu_s")]
            cells = ["%5.3f [%5.3f, %5.3f]" % ratio if ratio else "-"
                     for ratio in ratios]
            peak = results.median(metric, name, "peak_kib") / 1024
            lines.append(
                f"  {name:16} {wall:8.3f} "
                f"{results.median(metric, name, 'cpu_s'):8.3f} "
                f"{cells[0]:>22} {cells[1]:>22} {peak:9.0f}")
        lines.append("")
    return "\n".join(lines)


def best_of(results, metric, column, names=None):
    """The quickest of these (default: of all but us), or None."""
    if names is None:
        names = [name for name in results.allocators()
                 if not name.startswith(US)]
    names = [name for name in names
             if results.median(metric, name, column) is not None]
    return min(names, key=lambda name: results.median(metric, name, column),
               default=None)


def output_directory():
    return os.path.join(
        TOP, "bench-results", time.strftime("%Y%m%d-%H%M%S", time.gmtime()))


def save_files(directory, files):
    os.makedirs(directory, exist_ok=True)
    for name, content in files.items():
        with open(os.path.join(directory, name), "w",
                  encoding="utf-8") as file:
            file.write(content)


def end_in_order(signum, _frame):
    """The pool and the mount are given back on the way out."""
    sys.exit(128 + signum)


def main_of(function):
    """Run it so that the pool and the mount are given back whatever comes."""
    signal.signal(signal.SIGTERM, end_in_order)
    signal.signal(signal.SIGHUP, end_in_order)
    try:
        sys.exit(function())
    except hugepool.Missing as missing:
        sys.exit(str(missing))
