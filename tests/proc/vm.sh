#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The application's mappings: 64 GiB of which little is touched take few huge
# pages and few kernel mappings, and a read(2) into the rest succeeds when the
# pool has become empty; calls on a part of a huge page turn that one to base
# pages once, at most; small mappings that add up become huge pages.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"

need_root
dir=$(mktemp -d)
on_exit "rm -rf '$dir'"
sparse=$(test_program vm_sparse)
partial=$(test_program vm_partial)
small=$(test_program vm_small)

event() { # NAME: of the last report
	sed -n 's/[{,]/\n/gp' "$dir/report" | sed -n "s/^\"$1\":\([0-9]*\).*/\1/p"
}

shim() { # NAME=VALUE... PROGRAM...
	rm -f "$dir/report"
	run_shim HUGESHIM_STATS="$dir/report" HUGESHIM_STATS_FORMAT=json \
		HUGESHIM_MMAP_FIRST=0 "$@"
}

# How many conversions there may be the program says in its last line.
for case in munmap mprotect dontneed move shrink; do
	run_bare "$partial" $case >/dev/null || fail "$case, bare"
	need_pool 60
	before=$(pool_counters)
	# No heap: it converts the buffers of the C library's streams.
	shim HUGESHIM_HEAP=no HUGESHIM_LIMIT=none "$partial" $case \
		>"$dir/out" || fail "$case"
	pool_same "$before" "$case" || exit 1
	most=$(tail -1 "$dir/out")
	[ "$(event mmap_backed)" -ge 32 ] || fail "$case: no huge pages"
	[ "$(event convert)" -le "$most" ] ||
		fail "$case: $(event convert) conversions, not $most"
	echo "ok - $case: $(event convert) conversions"
done

# Small mappings that fill slots become transparent huge pages.
old_kernel() {
	[ "$(printf '%s\n' 6.1 "$(uname -r)" | sort -V | head -1)" != 6.1 ]
}
for kib in 256 1000 1024; do
	run_bare "$small" $kib >/dev/null || fail "small mappings, bare"
	shim HUGESHIM_BACKING=base "$small" $kib >/dev/null ||
		fail "mappings of $kib KiB, base pages only"
	[ "$(event mmap_collapsed)" = 0 ] || fail "THP not asked for was used"
	shim "$small" $kib >"$dir/out" || fail "mappings of $kib KiB"
	echo "mappings of $kib KiB: $(event mmap_collapsed) huge pages," \
		"$(cat "$dir/out") bytes"
	grep -q '\[never\]' /sys/kernel/mm/transparent_hugepage/enabled ||
		old_kernel ||
		{ [ "$(event mmap_collapsed)" -ge 1 ] &&
			[ "$(cat "$dir/out")" -gt 0 ]; } ||
		fail "none of 64 MiB is huge"
done

# Bare, 64 GiB may be refused by the heuristic of overcommit_memory=0.
overcommit=/proc/sys/vm/overcommit_memory
on_exit "echo $(cat $overcommit) >$overcommit"
need_pool 1100
echo 1 >$overcommit
for case in mmap calloc; do
	before=$(pool_counters)
	for limit in 95% none; do
		shim HUGESHIM_LIMIT=$limit "$sparse" $case >"$dir/out" ||
			fail "sparse $case, limit $limit"
		pool_same "$before" "sparse $case" || exit 1
		echo "ok - sparse $case, limit $limit: $(cat "$dir/out")"
	done
	set -- $(cat "$dir/out")
	[ "$2" -ge 1024 ] || fail "sparse $case: $2 huge pages of 1024"
done

# A mapping that has the whole cap and does not use it gives way to the heap.
need_pool_exactly 60
before=$(pool_counters)
shim "$sparse" malloc 4 || fail "a heap after a sparse mapping"
pool_same "$before" "a heap after a sparse mapping" || exit 1
huge=$(sed -n 's/.*"huge_bytes":{"now":[0-9]*,"peak":\([0-9]*\).*/\1/p' \
	"$dir/report")
[ "$(event mmap_backed)" -ge 50 ] || fail "the mapping did not have the cap"
[ "$huge" -ge $((32 << 20)) ] ||
	fail "$huge bytes of 32 MiB are huge after a sparse mapping"
echo "ok - a heap after a sparse mapping: $huge bytes huge"

# The pool runs empty between the mapping and the call.
mkfifo "$dir/in" "$dir/out.fifo"
shim HUGESHIM_LIMIT=none "$sparse" read <"$dir/in" >"$dir/out.fifo" &
pid=$!
exec 8>"$dir/in"
read -r line <"$dir/out.fifo"
need_pool_exactly 0
echo go >&8
exec 8>&-
wait $pid || fail "a read(2) into untouched memory, pool empty ($line)"
echo "ok - read(2) into untouched memory, pool empty:" \
	"$(event convert) conversions"
