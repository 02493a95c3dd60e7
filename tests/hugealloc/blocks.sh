#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# libhugealloc on pools of known sizes, with its own engine and with the one of
# libhugeshim.so.
. "${top_srcdir=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib/pool.sh"
need_root
need_lib
program=$top_builddir/tests/hugealloc/blocks
[ -x "$program" ] || fail "$program is not built"
# All of the pool may be used, and no page of it by the program's own heap.
unset LD_PRELOAD
export HUGESHIM_LIMIT=none HUGESHIM_HEAP=no HUGESHIM_MMAP=no

run() { # PAGES CASE...
	pages=$1
	shift
	need_pool_exactly "$pages"
	before=$(pool_counters)
	for name; do
		for preload in "" "$HS_TEST_LIB"; do
			# Handlers are the shim's own affair.
			[ -z "$preload" ] || [ "$name" != handlers ] || continue
			env ${preload:+LD_PRELOAD="$preload"} "$program" \
				"$name" "$pages" 9>&- ||
				fail "$name, $pages pages${preload:+, shim}"
			pool_same "$before" "$name" || exit 1
		done
	done
}

run 12 arguments basics moving base shortage numa fork handlers chain \
	dontfork threads
run 0 arguments base shortage numa threads
