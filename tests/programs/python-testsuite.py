#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tests that CPython ships for what the library touches: the same result
of every single test with and without it.

Each module runs both ways at once, the library's way with a pool of huge
pages.  A test whose results differ is run three more times both ways, for
some of them race with the clock: it has to agree in two of the three.
"""

import os
import signal
import sys
import xml.etree.ElementTree as xml

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import shimtest as t  # noqa: E402

MODULES = os.environ.get("HS_PYTHON_TESTS", """
    test_multiprocessing_fork test_signal test_io test_socket test_subprocess
    test_threading test_fork1 test_gc test_ctypes test_os test_posix
    test_mmap test_faulthandler""").split()
MODULE_SECONDS = 300
RERUNS = 3
POOL_BYTES = 1 << 30

# A virtual machine whose host has no vsock waits in these for ever.
IGNORED = "*VSOCK*"


class Run:
    """One module, running in a directory of its own."""

    def __init__(self, directory, module, env, only=()):
        self.directory = directory
        self.results = os.path.join(directory, "results.xml")
        os.makedirs(directory)
        command = ["/usr/bin/python3", "-m", "test", "-i", IGNORED,
                   "--junit-xml", self.results, "--tempdir", directory]
        for name in only:
            command += ["-m", name]
        self.context = t.running(
            command + [module], env=env, cwd=directory,
            stdin=t.subprocess.DEVNULL, start_new_session=True,
            stdout=open(os.path.join(directory, "log"), "wb"),
            stderr=t.subprocess.STDOUT)

    def __enter__(self):
        self.process = self.context.__enter__()
        return self

    def __exit__(self, *why):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.context.__exit__(*why)

    def wait(self):
        try:
            self.process.wait(MODULE_SECONDS)
        except t.subprocess.TimeoutExpired:
            print(f"{self.directory}: not done after {MODULE_SECONDS} s")

    def outcomes(self):
        """{test: outcome}; of a module that died, how."""
        status = self.process.returncode
        if not os.path.exists(self.results):
            return {"(the whole module)": f"no results, status {status}"}
        found = {}
        for case in xml.parse(self.results).iter("testcase"):
            bad = [child.tag for child in case
                   if child.tag in ("failure", "error", "skipped")]
            outcome = bad[0] if bad else "passed"
            name = case.get("name")
            if found.get(name) not in ("failure", "error"):
                found[name] = outcome
        return found

    def last_words(self):
        with open(os.path.join(self.directory, "log"), errors="replace",
                  encoding="utf-8") as file:
            return "".join(file.readlines()[-60:])


def run_both(directory, module, only=()):
    """The outcomes of both, bare first, and what the second said last."""
    with Run(os.path.join(directory, "bare"), module, t.bare_env(),
             only) as bare:
        with t.pool(POOL_BYTES), \
                Run(os.path.join(directory, "shim"), module, t.shim_env(),
                    only) as shim:
            shim.wait()
        bare.wait()
        return bare.outcomes(), shim.outcomes(), shim.last_words()


def differences(bare, shim):
    return {name: (bare.get(name, "missing"), shim.get(name, "missing"))
            for name in sorted(set(bare) | set(shim))
            if bare.get(name) != shim.get(name)}


def confirm(directory, module, differ):
    """Which of the tests that differ do so again, and again?"""
    only = [] if "(the whole module)" in differ else sorted(differ)
    again = dict.fromkeys(differ, 0)
    for i in range(RERUNS):
        bare, shim, _ = run_both(os.path.join(directory, f"again{i}"),
                                 module, only)
        for name in again:
            again[name] += bare.get(name) != shim.get(name)
    return [name for name in differ if again[name] * 2 > RERUNS]


def compare(directory, module):
    """How many of the module's tests have another result."""
    bare, shim, last_words = run_both(os.path.join(directory, "first"), module)
    differ = differences(bare, shim)
    kinds = {kind: list(shim.values()).count(kind)
             for kind in sorted(set(shim.values()))}
    print(f"{module}: {kinds}, {len(differ)} differ", flush=True)
    for name, (without, with_library) in differ.items():
        print(f"  {name}: {without} bare, {with_library} with the library",
              flush=True)
    if not differ:
        return 0
    confirmed = confirm(directory, module, differ)
    print(f"  confirmed: {', '.join(confirmed) or 'none'}")
    if confirmed:
        print(last_words)
    return len(confirmed)


def main():
    if not os.path.exists("/usr/lib/python3.11/test/test_gc.py"):
        t.skip("needs python3.11's tests: "
               "apt-get install libpython3.11-testsuite")
    maps = t.subprocess.run(["/usr/bin/python3", "-c",
                             "print(open('/proc/self/maps').read())"],
                            env=t.shim_env(), stdout=t.subprocess.PIPE,
                            check=True, encoding="utf-8").stdout
    t.expect(t.find_library() in ("", *maps.split()),
             "python3 runs without the library")
    with t.workdir() as directory:
        differ = sum(compare(os.path.join(directory, module), module)
                     for module in MODULES)
    t.expect(not differ, f"{differ} tests have another result")


main()
