#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each system call of the library failing, without huge pages.
: "${top_builddir=.}" "${HS_FAULT_SECONDS=15}"
HS_TEST_FAULT_LIB=$top_builddir/tests/.libs/libhugeshim-fault.so
HUGESHIM_BACKING=thp HUGESHIM_BASE_FIRST=0 HUGESHIM_RETAIN=0 HUGESHIM_DECAY=0
export HS_TEST_FAULT_LIB
export HUGESHIM_BACKING HUGESHIM_BASE_FIRST HUGESHIM_RETAIN HUGESHIM_DECAY
failed=0
for what in heap threads fork calls; do
	"$top_builddir/tests/fault/inject" -t "$HS_FAULT_SECONDS" \
		"$top_builddir/tests/fault/program" $what || failed=1
done
exit $failed
