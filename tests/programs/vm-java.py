#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""java with a heap of its own by mmap, under each of three collectors: the same
output and compressed pointers as without the library, at least 90 % of what is
touched of the heap on huge pages; the same output with no pool, with one of 40
pages, and with one that is taken away while it runs.
"""

import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import shimtest as t  # noqa: E402

COLLECTORS = ["G1", "Serial", "Parallel"]
COVERED = 0.9
MIB = 100
# All that it commits counts against the limit of a process, touched or not; G1
# commits six times what is touched here.
POOL_BYTES = 2700 << 20
SMALL = 40
ECJ = "/usr/share/java/eclipse-jdt-core.jar"

PROGRAM = r"""
import java.util.*;

public class Heap {
	static long r = 1, sum = 0;

	static long next() {
		r ^= r >>> 33;
		r = r * 0xff51afd7ed558ccdL + 1;
		return r ^ r >>> 33;
	}

	static void fill(ArrayList<long[]> live, int mib) {
		for (int i = 0; i < mib * 4; i++) {
			long[] block = new long[32768];
			for (int j = 0; j < block.length; j += 64)
				block[j] = next();
			live.add(block);
			if (i % 3 != 0)
				continue;
			int k = (int) Long.remainderUnsigned(next(), live.size());
			for (long value : live.set(k, new long[32768]))
				sum += value;
		}
		Map<Long, String> map = new HashMap<>();
		for (int i = 0; i < 50000; i++)
			map.put(next(), Long.toHexString(r));
		for (var e : map.entrySet())
			sum += e.getKey() ^ e.getValue().hashCode();
		for (long[] block : live)
			for (long value : block)
				sum += value;
	}

	static void stop(String where) throws Exception {
		System.out.println(where + " " + sum);
		System.out.flush();
		System.in.read();
	}

	public static void main(String[] args) throws Exception {
		var live = new ArrayList<long[]>();
		int mib = Integer.parseInt(args[0]);
		fill(live, mib);
		stop("half");
		fill(live, mib);
		live.subList(0, live.size() / 2).clear();
		System.gc();
		fill(live, mib / 2);
		stop("done");
	}
}
"""


def compile_program(directory):
    source = os.path.join(directory, "Heap.java")
    with open(source, "w", encoding="ascii") as file:
        file.write(PROGRAM)
    t.subprocess.run(
        [JAVA, "-cp", ECJ, "org.eclipse.jdt.internal.compiler.batch.Main",
         "-17", "-proc:none", "-g:none", "-d", directory, source],
        env=t.bare_env(), check=True)


def heap_range(text):
    """[from, to) of the reservation, from what -Xlog:gc+heap+coops says."""
    found = re.search(r"Heap address: (0x[0-9a-f]+), size: (\d+) MB", text)
    t.expect(found, f"java does not say where its heap is:\n{text}")
    base = int(found.group(1), 16)
    return base, base + (int(found.group(2)) << 20)


def heap_memory(pid, limits):
    """(huge, other) bytes of the heap, from smaps."""
    huge = other = 0
    inside = False
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as file:
        for line in file:
            name, _, value = line.partition(":")
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                inside = limits[0] <= int(line.split("-")[0], 16) < limits[1]
            elif inside and name == "Private_Hugetlb":
                huge += int(value.split()[0]) << 10
            elif inside and name == "Anonymous":
                other += int(value.split()[0]) << 10
    return huge, other


def run(directory, collector, env, at_half=None):
    """What it prints, its heap's memory at the end, and its process id."""
    command = [JAVA, "-Xmx4g", f"-XX:+Use{collector}GC", "-XX:-UsePerfData",
               "-Xlog:gc+heap+coops=debug", "-cp", directory, "Heap",
               str(MIB)]
    log = os.path.join(directory, "stderr")
    with open(log, "w", encoding="utf-8") as stderr, \
            t.running(command, env=env, cwd=directory, stderr=stderr,
                      stdin=t.subprocess.PIPE, stdout=t.subprocess.PIPE,
                      encoding="utf-8") as java:
        lines = []
        memory = (0, 0)
        for line in java.stdout:
            lines.append(line)
            if line.startswith("half") and at_half:
                at_half()
            if line.startswith("done"):
                memory = heap_memory(java.pid, heap_range("".join(lines)))
            if line.startswith(("half", "done")):
                java.stdin.write("\n")
                java.stdin.flush()
        status = java.wait()
    with open(log, encoding="utf-8") as stderr:
        t.expect(status == 0, f"java, {collector}: {status}:\n"
                 + "".join(lines)[-2000:] + stderr.read()[-2000:])
    return lines, memory, java.pid


def answers(lines):
    """What does not depend on where the kernel put the heap."""
    mode = [re.search(r"Compressed Oops mode: \S+", line) for line in lines]
    return ([line for line in lines if line.startswith(("half", "done"))],
            [found.group() for found in mode if found])


def empty_pool():
    t.hugepool.write(0)


def main():
    with t.workdir() as directory:
        compile_program(directory)
        for collector in COLLECTORS:
            bare, _, _ = run(directory, collector, t.bare_env())
            wanted = answers(bare)
            t.expect(len(wanted[0]) == 2 and len(wanted[1]) == 1,
                     f"{collector}, bare: {bare}")
            with t.pool(POOL_BYTES):
                lines, (huge, other), pid = run(
                    directory, collector, t.shim_env(directory))
            print(f"{collector}: heap {huge >> 20} MiB huge, "
                  f"{other >> 20} MiB other; {wanted[1][0]}", flush=True)
            t.expect(answers(lines) == wanted, f"{collector}: {lines}")
            t.expect(huge >= COVERED * (huge + other) and huge > MIB << 20,
                     f"{collector}: {huge >> 20} MiB huge, "
                     f"{other >> 20} MiB other; {t.report(directory, pid)}")
            for pages, at_half in ((0, None), (SMALL, None),
                                   (MIB, empty_pool)):
                with t.pool_exactly(pages):
                    env = t.shim_env(HUGESHIM_LIMIT="none")
                    lines, memory, _ = run(directory, collector, env, at_half)
                t.expect(answers(lines) == wanted,
                         f"{collector}, {pages} pages: {lines}")
                print(f"{collector}, {pages} pages: heap "
                      f"{memory[0] >> 20} MiB huge, {memory[1] >> 20} other",
                      flush=True)


JAVA = t.need_command("java", "default-jre-headless")
if not os.path.exists(ECJ):
    t.skip("needs the Java compiler ecj: apt-get install ecj")
main()
