#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Calls through which the kernel writes or reads memory, on memory shared by a
# fork while no huge page is free: right bytes, no EFAULT; also while another
# thread forks during the call.  First bare: what is expected is the kernel's.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"

inflight=$(test_program calls_inflight)
run_bare "$inflight" || fail "calls_inflight, bare"
run_shim HUGESHIM_FALLBACK=on "$inflight" ||
	fail "calls_inflight, no page of the pool"
stack=$(test_program calls_stack)
run_bare "$stack"
case $? in
0)
	run_shim HUGESHIM_FALLBACK=on "$stack" ||
		fail "calls_stack, no page of the pool"
	;;
77) stack= ;;
*) fail "calls_stack, bare" ;;
esac
cut=$(test_program calls_cut)
run_bare "$cut" || fail "calls_cut, bare"
shapes=$(test_program calls_shapes)
run_bare "$shapes" || fail "calls_shapes, bare"
run_shim HUGESHIM_FALLBACK=on "$shapes" ||
	fail "calls_shapes, no page of the pool"

# One slot a shape or round and thread, and what the heap has besides.
need_pool 110
before=$(pool_counters)
run_shim CALLS_NEED_HUGE=1 "$shapes" || fail "calls_shapes on huge pages"
pool_same "$before" calls_shapes || exit 1
run_shim CALLS_NEED_HUGE=1 "$inflight" || fail "calls_inflight on huge pages"
pool_same "$before" calls_inflight || exit 1
run_shim "$cut" || fail "calls_cut on huge pages"
pool_same "$before" calls_cut || exit 1
[ -n "$stack" ] || exit 0
run_shim CALLS_NEED_HUGE=1 "$stack" || fail "calls_stack on huge pages"
pool_same "$before" calls_stack || exit 1
