#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The conformance and misuse programs once more with their heap on pages of the
# pool, then with a pool that is too small for them, where single slots fall
# back.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"

programs="conform_api conform_realloc conform_thread conform_fork conform_dl
conform_cxx conform_cxx_replaced conform_jemalloc conform_own_malloc"
HS_BUILDDIR=${HS_BUILDDIR-$top_builddir}
export HS_BUILDDIR

run_all() { # WHAT
	for name in $programs; do
		run_shim HUGESHIM_BACKING=auto "$(test_program "$name")" \
			inner >/dev/null || fail "$name, $1"
		pool_same "$before" "$name" || exit 1
	done
	run_shim HUGESHIM_BACKING=auto HS_TEST_TRIALS=200 \
		"$(test_program misuse)" inner >/dev/null || fail "misuse, $1"
	pool_same "$before" misuse || exit 1
}

need_pool 300
before=$(pool_counters)
run_all "pages enough"

pool_set 12 || skip "needs a pool whose size can be set: run it as root"
before=$(pool_counters)
run_all "12 pages"
