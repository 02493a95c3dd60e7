#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# hugectl --shm: System V segments on huge pages, to the program as ever; on
# base pages where the pool, a limit or the kernel says no.
top_srcdir=${HS_SRCDIR-$(cd "$(dirname "$0")/../.." && pwd)}
top_builddir=${HS_BUILDDIR-$PWD}
. "$top_srcdir/tests/lib/pool.sh"
HS_SRCDIR=$top_srcdir HS_BUILDDIR=$(cd "$top_builddir" && pwd)
. "$top_srcdir/tests/cli/cli.sh"

shm=$HS_BUILDDIR/tests/cli/shm
[ -x "$shm" ] || fail "$shm is not built (make check builds it)"
base=$(($(getconf PAGESIZE) / 1024))
bytes=$((5 * 1024 * 1024 + 12345)) # three huge pages, the last in part

# pages KIB OPTION...: both segments are on such pages
pages() {
	want_page=$1
	shift
	last="$*"
	run 0 "$HS_HUGECTL" --stats=report --json "$@" "$shm" $bytes
	odd=taken
	[ "$want_page" = "$base" ] || odd=refused
	[ "$(sort -u out)" = "odd address $odd
page $want_page" ] || {
		wrong "not pages of $want_page kB: $*"
		cat out err
	}
}

run 0 "$shm" $bytes
says out "page $base"
pages "$base" --heap
pages "$base" --shm=no

need_pool 8
[ "$(id -u)" = 0 ] || skip "needs root or vm.hugetlb_shm_group"
rm -f report
pages "$hs_pool_kb" --shm
[ "$(grep -c '"shm_backed":3,' report)" = 1 ] || wrong "not counted: $(cat report)"
pages "$hs_pool_kb" --shm=2M --mmap
pages "$hs_pool_kb" --shm --heap
# Not by a limit, nor by a kernel that wants another user.
pages "$base" --shm --limit=4M
pages "$base" --shm --fallback=on
if command -v setpriv >/dev/null && [ "$(cat /proc/sys/vm/hugetlb_shm_group)" = 0 ]
then
	chmod 777 .
	rm -f report
	cp "$HS_HUGECTL" "$shm" .
	cp "$HS_SHIM" "${HS_SHIM%.so}-mmap.so" .
	run 0 setpriv --reuid=65534 --regid=65534 --clear-groups \
		--bounding-set=-all ./hugectl --library-path=. --shm \
		./shm $bytes
	grep -qE "page ($base|$hs_pool_kb)" out || wrong "another user: $(cat out)"
fi
# Smaller than a huge page.
run 0 "$HS_HUGECTL" --shm "$shm" 100000
says out "page $base"

# A pool that is too small: nothing of it is taken.
need_pool_exactly 2
rm -f report
pages "$base" --shm --limit=none
says report '"pool_empty":3'
pool_restore
left=$(awk -v size=$bytes '$4 == size' /proc/sysvipc/shm)
[ -z "$left" ] || wrong "segments are left behind: $left"

done_testing
