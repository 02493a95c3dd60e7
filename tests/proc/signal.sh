#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a program sees of SIGBUS and SIGSEGV is the same with and without.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"

view=$(test_program signal_view)
run_bare "$view" || fail "signal_view, bare"
run_shim HUGESHIM_FALLBACK=on "$view" || fail "signal_view"

need_pool 20
before=$(pool_counters)
run_shim CALLS_NEED_HUGE=1 "$view" || fail "signal_view on huge pages"
pool_same "$before" signal_view || exit 1
