#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK and mlockall, in force before the
# program starts and set by the program itself: what can be allocated under
# them is what can be allocated bare.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"
. "$top_srcdir/tests/lib/shortage.sh"

need_command prlimit util-linux
rows_begin
mib=$((1024 * 1024))

need_pool_exactly 100
for limit in as data; do
	for size in 80 160 400; do
		bytes=$((size * mib))
		# The largest may end the pool first.
		why=rlimit
		[ $size -lt 400 ] || why="rlimit|limit|pool_empty"
		for block in 3000 100000 1500000; do
			row "RLIMIT_$limit of $size MiB at start, $block" \
				--wrap "prlimit --$limit=$bytes" --why "$why" \
				-- --mib $((size / 4)) --ops 600 --greedy $block
			row "RLIMIT_$limit of $size MiB set, $block" \
				--why "$why" -- --mib $((size / 4)) \
				--ops 600 --greedy $block \
				--start $limit=$bytes
		done
		row "RLIMIT_$limit of $size MiB set in the middle" -- \
			--mib $((size / 4)) --ops 600 --greedy 300000 \
			--middle $limit=$bytes
	done
	row "RLIMIT_$limit of 300 MiB, threads and fork" \
		--wrap "prlimit --$limit=$((300 * mib))" -- \
		--mib 40 --threads 4 --fork
done

# Below what was in use before: what was freed can be had again.
row "RLIMIT_AS of 2.5 times the live memory" -- --mib 60 --ops 4000 \
	--start as=1000000000 --middle as=$((150 * mib))
row "RLIMIT_AS that does not suffice" --spare 4 -- --mib 60 --ops 4000 \
	--start as=1000000000 --middle as=$((100 * mib))
rows_end
