#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What libhugeshim(7) says of mappings is so under the library, and bare all
# but the page size is the same.
top_srcdir=${HS_SRCDIR-$(cd "$(dirname "$0")/../.." && pwd)}
top_builddir=${HS_BUILDDIR-$PWD}
. "$top_srcdir/tests/lib/pool.sh"

program=$(test_program mappings)
run_bare "$program" bare || fail "without the library"
need_pool 60
[ "$(pool_huge_bytes)" = 2097152 ] || skip "needs huge pages of 2 MiB"
before=$(pool_counters)
run_shim HUGESHIM_MMAP_FIRST=0 "$program" shim || fail "under the library"
HS_TEST_LIB=${HS_TEST_LIB%.so}-mmap.so
run_shim HUGESHIM_MMAP_FIRST=0 "$program" shim ||
	fail "under the library without malloc"
pool_same "$before" mappings || exit 1
