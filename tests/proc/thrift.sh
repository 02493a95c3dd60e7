#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A program that does not need huge pages takes none, and pays little: no page
# of the pool below 1 MiB of heap, at most 100 us for an exec of /bin/true, and
# no library but libc is loaded for it.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"

need_lib
small=$(test_program thrift_small)
exec_cost=$(test_program thrift_exec)

needed=$(readelf -d "$HS_TEST_LIB" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
[ "$needed" = libc.so.6 ] || fail "NEEDED is $needed, not libc alone"
echo "ok - needs libc alone"

# Robust against a busy machine: one quiet measurement in three will do.
for try in 1 2 3; do
	line=$("$exec_cost" "$HS_TEST_LIB" 400) || fail "$line"
	echo "# /bin/true in us: $line"
	[ "${line##* }" -le 100 ] && break
	[ $try != 3 ] || fail "an exec costs ${line##* } us more, at most 100"
done
echo "ok - an exec costs ${line##* } us more"

need_pool 20
before=$(pool_counters)
for bytes in 0 1000 200000 900000; do
	line=$(run_shim "$small" $bytes)
	[ "${line##* }" = 0 ] || fail "$bytes bytes: $line"
done
echo "ok - no huge page below 1 MiB"
# The other side of the bound, or the rows above say nothing.
line=$(run_shim "$small" 8000000)
[ "${line##* }" -gt 0 ] || fail "8000000 bytes: $line"
echo "ok - huge pages above it ($line)"
pool_same "$before"
