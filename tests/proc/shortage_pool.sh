#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The pool is empty, too small, or emptied and refilled by another process
# during the run: the same allocations succeed, contents are right, nothing is
# killed, and the report says that the pool was empty.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"
. "$top_srcdir/tests/lib/shortage.sh"

need_root
rows_begin
hog=$(test_program pool_hog)

hog_begin() { # take|churn
	mkfifo "$rows_dir/hog.in" "$rows_dir/hog.out"
	"$hog" "$1" 7 <"$rows_dir/hog.in" >"$rows_dir/hog.out" 9>&- &
	hog_pid=$!
	exec 8>"$rows_dir/hog.in"
	read -r hog_says <"$rows_dir/hog.out"
	[ "$hog_says" = ready ] || fail "pool_hog: $hog_says"
}

hog_end() {
	exec 8>&-
	wait $hog_pid
	rm -f "$rows_dir/hog.in" "$rows_dir/hog.out"
}

for threads in 1 4; do
	need_pool_exactly 0
	row "pool of 0, $threads threads" --why pool_empty --no-huge -- \
		--threads $threads --mib 200
	row "pool of 0, $threads threads, fork" --why pool_empty \
		--env HUGESHIM_LIMIT=none -- \
		--threads $threads --fork
	need_pool_exactly 40
	row "pool of 40, $threads threads" --why pool_empty --huge \
		--env HUGESHIM_LIMIT=none -- \
		--threads $threads --mib 160
	row "pool of 40, $threads threads, fork" --why pool_empty \
		--env HUGESHIM_LIMIT=none -- \
		--threads $threads --mib 160 --fork
	row "pool of 40 that suffices, $threads threads, fork" -- \
		--threads $threads --mib 24 --fork
	row "pool of 40, 200 MiB, $threads threads" --why pool_empty \
		--env HUGESHIM_LIMIT=none -- \
		--threads $threads --mib 200
done

need_pool_exactly 40
hog_begin take
row "pool of 40, all taken" --why pool_empty --no-huge -- --mib 64
hog_end

row_pool_moves=yes
before=$(pool_counters)
for seed in 1 2 3 4; do
	hog_begin churn
	row "pool emptied and refilled, seed $seed" -- \
		--mib 64 --seed $seed --ops 12000
	row "pool emptied and refilled, 4 threads, fork, seed $seed" -- \
		--mib 64 --seed $seed --threads 4 --fork
	hog_end
done
row_pool_moves=
pool_same "$before" "the rows with a moving pool" ||
	rows_bad=$((rows_bad + 1))
rows_end
