#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each system call of the library failing, on huge pages: enough of them at
# start, none left at the fork.  One program at a time, as they share the pool.
: "${top_srcdir=.}" "${top_builddir=.}" "${HS_FAULT_SECONDS=12}"
# shellcheck source=tests/lib/pool.sh
. "$top_srcdir/tests/lib/pool.sh"
HS_TEST_FAULT_LIB=$top_builddir/tests/.libs/libhugeshim-fault.so
HUGESHIM_LIMIT=none HUGESHIM_BASE_FIRST=0 HUGESHIM_MMAP_FIRST=0
HUGESHIM_POPULATE_MAX=4M HUGESHIM_RETAIN=0 HUGESHIM_DECAY=0 HUGESHIM_STATS=-
export HS_TEST_FAULT_LIB HUGESHIM_LIMIT HUGESHIM_BASE_FIRST \
	HUGESHIM_MMAP_FIRST HUGESHIM_POPULATE_MAX HUGESHIM_RETAIN \
	HUGESHIM_DECAY HUGESHIM_STATS
failed=0

# inject has reaped all that it started: the counters are exactly those of
# before.
with_pool() { # COMMAND...
	need_pool 64
	run_counted "$@"
}

# Too few even for what is there before the fork.
with_few() { # COMMAND...
	need_pool_exactly 8
	run_counted "$@"
}

run_counted() { # COMMAND...
	before=$(pool_counters)
	"$@" 9>&- || failed=1
	pool_same "$before" "$*" || failed=1
	pool_restore
}

# shellcheck disable=SC2317 # by with_pool
inject() { # ARGUMENT OF program
	"$top_builddir/tests/fault/inject" -j 1 -t "$HS_FAULT_SECONDS" \
		"$top_builddir/tests/fault/program" "$1"
}

# The same with pages from a mount; a private one, which ends with its shell.
# shellcheck disable=SC2016,SC2317 # the inner shell's variables; by with_pool
inject_mounted() { # ARGUMENT OF program
	HUGESHIM_MOUNT=$mount unshare -m sh -c '
		mount -t hugetlbfs none "$HUGESHIM_MOUNT" &&
		exec "$0" "$@"' "$top_builddir/tests/fault/inject" -j 1 \
		-t "$HS_FAULT_SECONDS" "$top_builddir/tests/fault/program" "$1"
}

# Threads that write where pages are replaced without a call that the kernel
# always refuses; a write that is lost is seen.
# shellcheck disable=SC2317 # by with_pool
write_without() { # RULE
	rm -f "$stats"
	env HS_FAULT="$1" HUGESHIM_STATS="$stats" HUGESHIM_STATS_FORMAT=json \
		LD_PRELOAD="$HS_TEST_FAULT_LIB" \
		"$top_builddir/tests/proc/fork_threads" --mib 12 --epochs 1 \
		--forks 20 || return
	grep -q '"convert":[1-9]' "$stats" && return
	echo "$1: no page was replaced" >&2
	return 1
}

for what in heap threads fork calls maps; do
	with_pool inject $what
done
with_few inject maps
stats=$(mktemp) || exit 99
# shellcheck disable=SC2016 # at exit
on_exit 'rm -f "$stats"'
with_pool write_without mremap:EPERM:from:1
with_pool write_without mprotect:EPERM:from:12
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
	mount=$(mktemp -d) || exit 99
	# shellcheck disable=SC2016 # at exit
	on_exit 'rmdir "$mount"'
	with_pool inject_mounted heap
fi
exit $failed
