#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# No gap between the sizes: whatever the size of the blocks, at least 95 % of
# them is on huge pages, and the process uses at most 1.15 of what it asked for.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"

need_lib
program=$(test_program nogap_blocks)
mib=$((1024 * 1024))
total=$((256 * mib))
bad=0

# 256 MiB by 1.15 in pages, and a few for four threads' last ones.
need_pool 165
for threads in 1 4; do
	for size in 64 4096 $((64 * 1024)) $((128 * 1024)) $((200 * 1024)) \
		$mib $((19 * mib / 10)) $((3 * mib)) $((64 * mib)) $total; do
		[ $((size * threads)) -le $total ] || continue
		before=$(pool_counters)
		# The process may have all of the pool: the cap is another test.
		line=$(run_shim HUGESHIM_LIMIT=none "$program" $size $total \
			$threads) || fail "$size bytes, $threads threads: $line"
		echo "$line" | awk -v size="$size" -v threads="$threads" '{
			huge = $4 * 100 / $2
			use = $6 / $2
			held = huge >= 95 && use <= 1.15
			printf("%s - %d bytes, %d threads: ",
				held ? "ok" : "not ok", size, threads)
			printf("%.1f %% huge, %.3f in use\n",
				huge > 100 ? 100 : huge, use)
			exit !held
		}' || bad=$((bad + 1))
		pool_same "$before" "$size bytes" || bad=$((bad + 1))
	done
done
[ $bad = 0 ] || fail "$bad sizes"
