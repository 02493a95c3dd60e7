#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""node, perl, git, java, gcc and sqlite do a real task, with the same output and
the same files as without the library; those that map large areas of their own
also with few huge pages and with none.

  tasks.py [NAME...]   only those

A task is a shell script that runs in an empty directory; what it prints and
the files it leaves are compared.  Nothing it does depends on the time.
"""

import hashlib
import os
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import shimtest as t  # noqa: E402

POOL_BYTES = 1200 << 20
TASK_SECONDS = 120
ECJ = "/usr/share/java/eclipse-jdt-core.jar"

NODE = r"""
cat >task.js <<'EOF'
const { Worker, isMainThread, parentPort } = require('worker_threads');
const { createHash, pbkdf2Sync } = require('crypto');
const zlib = require('zlib');
const { execFileSync } = require('child_process');

function work(seed) {
	let x = seed;
	const next = () => (x = (x * 48271) % 2147483647);
	const map = new Map();
	for (let i = 0; i < 300000; i++)
		map.set('key' + next(), { n: i, text: 'x'.repeat(next() % 50) });
	const text = JSON.stringify([...map].sort());
	const back = JSON.parse(text);
	const buffers = [];
	for (let i = 0; i < 400; i++)
		buffers.push(Buffer.alloc(next() % 300000, i & 255));
	const all = Buffer.concat(buffers);
	const packed = zlib.deflateSync(all);
	if (!zlib.inflateSync(packed).equals(all))
		throw new Error('inflate');
	const hash = createHash('sha256').update(text).update(packed);
	hash.update(pbkdf2Sync('password', 'salt' + seed, 5000, 32, 'sha512'));
	return back.length + ' ' + hash.digest('hex');
}

if (isMainThread) {
	const answers = [];
	for (const seed of [1, 2]) {
		const worker = new Worker(__filename);
		worker.postMessage(seed);
		worker.on('message', (answer) => {
			answers.push(answer);
			worker.terminate();
			if (answers.length == 2)
				console.log(answers.sort().join('\n'));
		});
	}
	console.log(work(3));
	console.log(execFileSync('/bin/echo', ['from a child']).toString());
} else {
	parentPort.on('message', (seed) => parentPort.postMessage(work(seed)));
}
EOF
node task.js
"""

PERL = r"""
cat >task.pl <<'EOF'
use strict; use warnings;
use Digest::SHA qw(sha256_hex);
my ($x, %count, @list) = (42);
sub rnd { $x = ($x * 48271) % 2147483647; return $x % shift }
for my $i (1 .. 600_000) {
	my $word = join '', map { chr(97 + rnd(26)) } 1 .. 2 + rnd(4);
	$count{$word}{n}++;
	push @{$count{$word}{at}}, $i if rnd(5) == 0;
}
for my $word (sort { $count{$b}{n} <=> $count{$a}{n} || $a cmp $b }
		keys %count) {
	push @list, "$word $count{$word}{n} @{$count{$word}{at} // []}";
}
my $text = join "\n", @list;
(my $changed = $text) =~ s/\b([a-m]+)(\d*)/<$1>$2/g;
my @tokens = split /[^a-z]+/, $changed;
delete @count{grep { /^a/ } keys %count};
# Children with half of the memory each; their answers by pipe.
for my $child (0, 1) {
	defined(my $pid = open my $pipe, '-|') or die "fork: $!";
	if (!$pid) {
		my @half = grep { ord($_) % 2 == $child } @list;
		$_ .= ' changed' for @half;
		print scalar(@half), ' ', sha256_hex(join '', @half), "\n";
		exit 0;
	}
	print "child $child: ", <$pipe>;
	close $pipe or die "child: $?";
}
print scalar(@list), ' ', scalar(@tokens), ' ', sha256_hex($changed), "\n";
print sha256_hex(join ',', sort keys %count), "\n";
print `echo "by a shell: \$((6 * 7))"`;
EOF
perl task.pl
"""

GIT = r"""
export HOME=$PWD GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b
export GIT_COMMITTER_NAME=c GIT_COMMITTER_EMAIL=c@d
export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'
git init -q -b main work && cd work
git config pack.threads 2
for round in 1 2 3 4; do
	awk -v r=$round 'BEGIN {
		srand(r)
		for (f = 0; f < 400; f++) {
			name = "file" f ".txt"
			for (l = 0; l < 200; l++)
				print f, l, int(rand() * (l % 7 ? 10 : 1e9)) \
					>name
			close(name)
		}
	}'
	git add -A
	git commit -q -m "round $round"
done
git checkout -q -b other HEAD~2
echo other >>file7.txt && git commit -q -a -m other
git merge -q -s ours -m merge main
git log --format='%H %T %s' --stat --all
git diff --stat HEAD~1 main
git blame -s file3.txt | sha256sum
git repack -q -a -d -f --depth=30 --window=50
git fsck --full --strict 2>&1
git clone -q --bare . ../copy.git
git -C ../copy.git rev-list --objects --all | sort | sha256sum
git archive HEAD | sha256sum
git grep -c 999 | sha256sum
cd .. && rm -rf work copy.git
"""

JAVA = r"""
cat >Task.java <<'EOF'
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import java.util.zip.*;

public class Task {
	record Item(long id, String name, double[] values) {}

	static long work(int seed) {
		Random random = new Random(seed);
		Map<String, Item> map = new TreeMap<>();
		for (int i = 0; i < 150000; i++) {
			var item = new Item(random.nextLong(),
				"item" + random.nextInt(1 << 20),
				random.doubles(8).toArray());
			map.merge(item.name(), item,
				(a, b) -> a.id() < b.id() ? a : b);
		}
		return map.values().stream().mapToLong(i -> i.id()
			^ Arrays.hashCode(i.values())).sum();
	}

	public static void main(String[] args) throws Exception {
		var pool = Executors.newFixedThreadPool(4);
		var futures = new ArrayList<Future<Long>>();
		for (int i = 0; i < 12; i++) {
			int seed = i;
			futures.add(pool.submit(() -> work(seed)));
		}
		for (var future : futures)
			System.out.println(future.get());
		pool.shutdown();
		var direct = java.nio.ByteBuffer.allocateDirect(64 << 20);
		while (direct.hasRemaining())
			direct.putLong(direct.position() * 31L);
		direct.flip();
		var crc = new CRC32();
		crc.update(direct);
		System.out.println(crc.getValue());
		var deflater = new Deflater();
		byte[] in = new byte[8 << 20], out = new byte[16 << 20];
		new Random(1).nextBytes(in);
		deflater.setInput(in);
		deflater.finish();
		System.out.println(deflater.deflate(out) + " "
			+ Arrays.hashCode(out));
		var child = new ProcessBuilder("/bin/echo", "from a child").start();
		System.out.print(new String(
			child.getInputStream().readAllBytes()));
		System.out.println(IntStream.range(0, 2000000).parallel()
			.mapToLong(i -> (long) i * i % 7919).sum());
	}
}
EOF
java -cp ECJ org.eclipse.jdt.internal.compiler.batch.Main -17 -proc:none -g:none -d . \
	Task.java
java -Xmx512m -XX:-UsePerfData -cp . Task
"""

GCC = r"""
awk 'BEGIN {
	srand(7)
	print "#include <stdio.h>\n#include <string.h>"
	for (f = 0; f < 400; f++) {
		print "static unsigned long f" f "(unsigned long x)\n{"
		print "\tchar text[64];"
		print "\tsnprintf(text, sizeof(text), \"%lu\", x);"
		for (s = 0; s < 12; s++)
			print "\tfor (int i = 0; i < " int(rand() * 9 + 1) \
				"; i++)\n\t\tx = x * " int(rand() * 1e9) \
				"ul + text[i % 8] + (x >> " int(rand() * 63) ");"
		print "\treturn x + strlen(text);\n}"
	}
	print "int main(void)\n{\n\tunsigned long x = 1;"
	for (f = 0; f < 400; f++)
		print "\tx = f" f "(x);"
	print "\tprintf(\"%lu\\n\", x);\n\treturn 0;\n}"
}' >task.c
gcc -pipe -O2 -g -frandom-seed=1 -Wall -c task.c -o task.o
gcc -O2 -flto -frandom-seed=1 -save-temps=obj task.c -o linked
gcc task.o -o task -Wl,-Map=map
./task
./linked
objdump -d task.o | sha256sum
rm -f *.ltrans* *.wpa* *.res *.lto*
"""

# V8's cages are reservations of gigabytes, of which parts become writable.
WASM = r"""
cat >task.js <<'EOF'
let x = 1;
const next = () => (x = (x * 48271) % 2147483647);
const memory = new WebAssembly.Memory({ initial: 16, maximum: 65536 });
const live = [], buffers = [];
let sum = 0;
for (let round = 0; round < 4; round++) {
	memory.grow(400);
	const words = new Uint32Array(memory.buffer);
	for (let i = round; i < words.length; i += 509)
		words[i] ^= next();
	for (let i = 0; i < 100000; i++)
		live.push({ a: next(), b: 'k' + next(), c: [next(), i] });
	for (let i = 0; i < 30; i++)
		buffers.push(new Float64Array(next() % 400000).fill(next()));
	for (let i = 0; i < 50000; i++)
		live[next() % live.length] = { a: i, b: '', c: [next()] };
	buffers.splice(next() % buffers.length, 10);
	global.gc();
	for (let i = 0; i < words.length; i += 17)
		sum = (sum + words[i]) % 1000000007;
}
for (const o of live)
	sum = (sum * 3 + o.a + o.b.length + o.c[0]) % 1000000007;
for (const b of buffers)
	sum = (sum * 3 + b.length + b[b.length >> 1]) % 1000000007;
console.log(sum, require('v8').getHeapStatistics().heap_size_limit);
EOF
node --expose-gc --max-old-space-size=4096 task.js
"""

SQLITE = r"""
sqlite3 -batch task.db <<'EOF'
PRAGMA mmap_size=1073741824;
PRAGMA cache_size=-64000;
PRAGMA journal_mode=WAL;
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, tag BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
  WHERE i < 300000)
INSERT INTO item SELECT i, printf('item %d of a table', i * 7919 % 1000003),
  zeroblob(i % 64) FROM n;
CREATE INDEX by_name ON item(name);
UPDATE item SET name = name || ' changed' WHERE id % 50 = 7;
DELETE FROM item WHERE id % 3 = 0;
SELECT count(*), sum(length(name)), max(name), sum(length(tag)) FROM item;
SELECT substr(name, 6, 2) AS k, count(*), sum(id) FROM item GROUP BY k;
VACUUM;
PRAGMA mmap_size=0;
SELECT count(*), min(name) FROM item WHERE name > 'item 5';
PRAGMA mmap_size=1073741824;
SELECT id, name FROM item ORDER BY name DESC LIMIT 5;
PRAGMA integrity_check;
.once dump.sql
.dump
EOF
rm task.db
"""

TASKS = {
    "node": (NODE, ["node:nodejs"]),
    "perl": (PERL, ["perl"]),
    "git": (GIT, ["git"]),
    "java": (JAVA.replace("ECJ", ECJ), ["java:default-jre-headless"]),
    "gcc": (GCC, ["gcc", "objdump:binutils"]),
    "wasm": (WASM, ["node:nodejs"]),
    "sqlite": (SQLITE, ["sqlite3"]),
}
# Huge pages of the runs besides the one with enough.
SHORT = {"wasm": [0, 40], "sqlite": [0]}


def files(directory):
    """{path: digest} of every file below directory."""
    found = {}
    for root, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(root, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, directory)] = hashlib.sha256(
                    file.read()).hexdigest()
    return found


def run(directory, script, env):
    """Status, output and files.  The directory has the same name both ways,
    for paths get into what programs write."""
    here = os.path.join(directory, "task")
    os.makedirs(here)
    with t.running(["/bin/sh", "-e", "-c", script], env=env, cwd=here,
                   stdin=t.subprocess.DEVNULL, stdout=t.subprocess.PIPE,
                   stderr=t.subprocess.STDOUT,
                   start_new_session=True) as process:
        try:
            output, _ = process.communicate(timeout=TASK_SECONDS)
        except t.subprocess.TimeoutExpired as late:
            os.killpg(process.pid, signal.SIGKILL)
            t.fail(f"not done after {TASK_SECONDS} s: {script[:40]}...; so "
                   f"far: {(late.output or b'')[-2000:]}")
        left = files(here)
        t.shutil.rmtree(here)
        return process.returncode, output.decode(errors="replace"), left


def expect_same(name, shim, bare):
    t.expect(shim[0] == 0,
             f"{name} ends with {shim[0]}: {shim[1][-2000:]}")
    t.expect(shim[1] == bare[1],
             f"{name} prints something else:\n{shim[1][-2000:]}\n"
             f"--- bare:\n{bare[1][-2000:]}")
    differ = [path for path in set(bare[2]) | set(shim[2])
              if bare[2].get(path) != shim[2].get(path)]
    t.expect(not differ, f"{name} leaves other files: {differ}")
    print(f"{name}: {len(shim[1])} bytes of output and {len(shim[2])} files "
          "as without the library", flush=True)


def compare(directory, name):
    script, _ = TASKS[name]
    bare = run(directory, script, t.bare_env())
    t.expect(bare[0] == 0, f"{name} fails by itself: {bare[1][-2000:]}")
    with t.pool(POOL_BYTES):
        shim = run(directory, script, t.shim_env(directory))
    expect_same(name, shim, bare)
    for pages in SHORT.get(name, []):
        with t.pool_exactly(pages):
            shim = run(directory, script,
                       t.shim_env(directory, HUGESHIM_LIMIT="none"))
        expect_same(f"{name}, {pages} pages", shim, bare)


def main():
    names = sys.argv[1:] or list(TASKS)
    for name in names:
        for need in TASKS[name][1]:
            t.need_command(*need.split(":"))
        if name == "java" and not os.path.exists(ECJ):
            t.skip("needs the Java compiler ecj: apt-get install ecj")
    with t.workdir() as directory:
        for name in names:
            compare(directory, name)
            reports = [file for file in os.listdir(directory)
                       if file.endswith(".json")]
            t.expect(reports or not t.find_library(),
                     f"{name}: the library was not loaded")
            for file in reports:
                os.unlink(os.path.join(directory, file))


main()
