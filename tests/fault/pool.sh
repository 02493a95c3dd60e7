#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each system call of the library failing, on huge pages: enough of them at
# start, none left at the fork.  One program at a time, as they share the pool.
: "${top_srcdir=.}" "${top_builddir=.}" "${HS_FAULT_SECONDS=15}"
# shellcheck source=tests/lib/pool.sh
. "$top_srcdir/tests/lib/pool.sh"
HS_TEST_FAULT_LIB=$top_builddir/tests/.libs/libhugeshim-fault.so
HUGESHIM_LIMIT=none HUGESHIM_BASE_FIRST=0 HUGESHIM_POPULATE_MAX=4M
HUGESHIM_RETAIN=0 HUGESHIM_DECAY=0
export HS_TEST_FAULT_LIB HUGESHIM_LIMIT HUGESHIM_BASE_FIRST \
	HUGESHIM_POPULATE_MAX HUGESHIM_RETAIN HUGESHIM_DECAY
failed=0
for what in heap threads fork calls; do
	need_pool 64
	before=$(pool_counters)
	"$top_builddir/tests/fault/inject" -j 1 -t "$HS_FAULT_SECONDS" \
		"$top_builddir/tests/fault/program" $what 9>&- || failed=1
	pool_same "$before" "$what" || failed=1
	pool_restore
done
exit $failed
