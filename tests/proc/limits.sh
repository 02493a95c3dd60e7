#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A program that limits itself may allocate afterwards what it may without.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"

limits=$(test_program limits_calls)
run_bare "$limits" || fail "limits_calls, bare"
run_shim HUGESHIM_FALLBACK=on "$limits" ||
	fail "limits_calls, no page of the pool"
need_pool 100
before=$(pool_counters)
run_shim "$limits" || fail "limits_calls on huge pages"
pool_same "$before" limits_calls || exit 1
