#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# seccomp filters that allow what the bare program needs and kill for anything
# else, on before the start and installed by the program; and one that refuses
# madvise, mremap and prctl.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"
. "$top_srcdir/tests/lib/shortage.sh"

rows_begin
with=$(test_program with_seccomp)
"$with" exec "$shortage_heap" --no-status --ops 1 >/dev/null 2>&1 ||
	skip "needs a kernel with CONFIG_SECCOMP_FILTER, and x86-64 or arm64"

need_pool_exactly 60
for mib in 1 60; do
	row "filter before the start, $mib MiB" --wrap "$with exec" \
		--preload with --why seccomp -- --no-status --mib $mib
	row "filter before the start, $mib MiB, threads and fork" \
		--wrap "$with exec" --preload with -- \
		--no-status --mib $mib --threads 4 --fork
	row "filter that refuses, $mib MiB" --wrap "$with errno" \
		--preload with -- --mib $mib --threads 4 --fork
	# The set that one thread's malloc needs has no madvise, no mprotect.
	for how in prctl seccomp; do
		for when in start middle; do
			row "filter by $how at the $when, $mib MiB" -- \
				--no-status --mib $mib --$when seccomp=$how:heap
			row "filter by $how, $when, $mib MiB, threads, fork" \
				-- --no-status --mib $mib --threads 4 --fork \
				--$when seccomp=$how:fork
		done
	done
done
rows_end
