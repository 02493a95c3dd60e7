#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each system call of the library failing, without huge pages.
: "${top_builddir=.}" "${HS_FAULT_SECONDS=12}"
HS_TEST_FAULT_LIB=$top_builddir/tests/.libs/libhugeshim-fault.so
HUGESHIM_BACKING=thp HUGESHIM_BASE_FIRST=0 HUGESHIM_MMAP_FIRST=0
HUGESHIM_RETAIN=0 HUGESHIM_DECAY=0 HUGESHIM_STATS=-
export HS_TEST_FAULT_LIB HUGESHIM_BACKING HUGESHIM_BASE_FIRST \
	HUGESHIM_MMAP_FIRST HUGESHIM_RETAIN HUGESHIM_DECAY HUGESHIM_STATS

inject() { # ARGUMENT OF program
	"$top_builddir/tests/fault/inject" -t "$HS_FAULT_SECONDS" \
		"$top_builddir/tests/fault/program" "$1" || failed=1
}

failed=0
for what in heap threads fork calls maps; do
	inject $what
done
# Nothing is reserved ahead where the address space is limited.
# shellcheck disable=SC3045 # dash has it
ulimit -v 300000
inject heap
exit $failed
