#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A program written for libhugetlbfs gets the same answers, call by call, from
# Debian's libhugetlbfs; relinked with libhugealloc; and not even relinked, with
# libhugealloc under the other's name, with and without the shim.
. "${top_srcdir=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib/pool.sh"
: "${CC=cc}"
need_root
need_lib
[ -r /usr/include/hugetlbfs.h ] ||
	skip "needs libhugetlbfs: apt-get install libhugetlbfs-dev"
unset LD_PRELOAD
work=$(mktemp -d) || exit 99
# Mounts are made in a name space of their own.
if [ -z "${HS_UNSHARED-}" ]; then
	unshare -m true 2>/dev/null || skip "needs unshare -m, as root"
	rm -rf "$work"
	HS_UNSHARED=yes exec unshare -m --propagation private sh "$0"
fi
on_exit "cd / && umount $work/m* 2>/dev/null; rm -rf $work"
chmod 755 "$work"

# --- three programs -------------------------------------------------------------

source=$top_srcdir/tests/hugealloc/hugetlbfs.c
libs=$(cd "$top_builddir/.libs" && pwd)
$CC -D_GNU_SOURCE -o "$work/theirs" "$source" -lhugetlbfs ||
	fail "cannot build the program with libhugetlbfs"
$CC -D_GNU_SOURCE -o "$work/ours" -I "$top_srcdir/include/hugealloc" \
	"$source" -L "$libs" -lhugealloc ||
	fail "cannot build the program with libhugealloc"
mkdir "$work/lib"
cp "$libs/libhugealloc.so.0" "$work/lib"
ln -s libhugealloc.so.0 "$work/lib/libhugetlbfs.so.0"

# All of the pool may be used, and none of it by the shim itself.
export HUGESHIM_LIMIT=none HUGESHIM_HEAP=no HUGESHIM_MMAP=no

compare() { # WHAT MEMORY|NONE [VARIABLE=VALUE...]
	what=$1 part=$2
	shift 2
	set -- env "$@" HUGETLB_VERBOSE=0
	"$@" $as "$work/theirs" "$part" $paths >"$work/want" 2>/dev/null 9>&- ||
		fail "$what: libhugetlbfs itself fails"
	grep -q "^gethugepagesizes" "$work/want" || fail "$what: says nothing"
	for how in relinked renamed shim; do
		program=$work/theirs
		[ "$how" != relinked ] || program=$work/ours
		# setpriv keeps the variables.
		LD_LIBRARY_PATH=$work/lib "$@" $as env \
			$([ "$how" != shim ] || echo "LD_PRELOAD=$HS_TEST_LIB") \
			"$program" "$part" $paths >"$work/have" \
			2>"$work/errors" 9>&- || {
			cat "$work/errors"
			fail "$what, $how: ended by $?"
		}
		diff "$work/want" "$work/have" ||
			fail "$what: < libhugetlbfs, > libhugealloc, $how"
	done
}

# --- without a mount ------------------------------------------------------------

while read -r _ where type _; do
	[ "$type" != hugetlbfs ] || umount "$where" || skip "cannot umount $where"
done </proc/mounts
as='' paths="/ /nonexistent $work/m2"
mkdir "$work/m2" "$work/m2b" "$work/m1g"
compare "no mount" none
compare "no mount, a list" none HUGETLB_PATH="/tmp:$work/m2:"

# --- with some --------------------------------------------------------------------

need_pool_exactly 8
before=$(pool_counters)
mount -t hugetlbfs -o pagesize=2M none "$work/m2" || skip "cannot mount hugetlbfs"
mount -t hugetlbfs -o pagesize=2M none "$work/m2b"
paths="$paths $work/m1g"
compare "a mount" memory
pool_same "$before" "a mount" || exit 1
compare "a list" memory HUGETLB_PATH="/nonexistent:$work/m2b:$work/m2"
compare "an empty list" none HUGETLB_PATH=
compare "a list without one" none HUGETLB_PATH=/tmp
for size in 2M 2048k 0x200000 4M 1G 1g x -1 0 '' 99999999999G; do
	compare "default $size" none HUGETLB_DEFAULT_PAGE_SIZE="$size"
done
compare "default 4M" memory HUGETLB_DEFAULT_PAGE_SIZE=4M
if [ -d /sys/kernel/mm/hugepages/hugepages-1048576kB ]; then
	mount -t hugetlbfs -o pagesize=1G none "$work/m1g"
	for size in 2M 1G 4M; do
		compare "two sizes, default $size" none \
			HUGETLB_DEFAULT_PAGE_SIZE="$size"
	done
	compare "first of another size" none \
		HUGETLB_PATH="$work/m1g:$work/m2" HUGETLB_DEFAULT_PAGE_SIZE=4M
fi

# A mount that one may not write to is none.
as="setpriv --reuid=65534 --regid=65534 --clear-groups"
if $as test -x "$work/ours"; then
	chmod 700 "$work/m2"
	chmod 777 "$work/m2b"
	compare "as nobody" none
	chmod 700 "$work/m2b"
	compare "as nobody, none" none
fi
as=''
pool_same "$before" "comparing" || exit 1
