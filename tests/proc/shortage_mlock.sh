#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# RLIMIT_MEMLOCK 0 and mlockall, by root and by an ordinary user: the pool is
# not drained by memory that nobody touched, mlockall answers as it does bare,
# and the same can be allocated.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"
. "$top_srcdir/tests/lib/shortage.sh"

need_root
need_command prlimit util-linux
need_command setpriv util-linux
rows_begin
mib=$((1024 * 1024))
cp "$HS_TEST_LIB" "$rows_dir/libhugeshim.so"
# Of a program that libtool wraps, the one it runs.
real=$(dirname "$shortage_heap")/.libs/shortage_heap
[ -x "$real" ] || real=$shortage_heap
cp "$real" "$rows_dir/shortage_heap"
chmod 755 "$rows_dir"/*
user="setpriv --reuid=65534 --regid=65534 --clear-groups"

need_pool_exactly 60
row "RLIMIT_MEMLOCK 0 at start" --wrap "prlimit --memlock=0" --huge -- --mib 80
row "RLIMIT_MEMLOCK 0 set" --huge -- --mib 80 --start memlock=0
for how in current future all onfault; do
	row "mlockall $how at start" -- --mib 80 --start mlockall=$how
	row "mlockall $how in the middle" -- --mib 80 --middle mlockall=$how
	row "mlockall $how, threads and fork" -- --mib 40 --threads 4 --fork \
		--middle mlockall=$how
done

row_lib=$rows_dir/libhugeshim.so
row_program=$rows_dir/shortage_heap
for lock in 0 8 16 64; do
	# Above the hard limit, which not even root may raise everywhere.
	prlimit --memlock=$((lock * mib)) true 2>/dev/null || continue
	live=24
	[ $lock = 0 ] || live=$((lock / 4))
	for how in current future all; do
		for when in start middle; do
			row "user, $lock MiB, mlockall $how ($when)" \
				--percent 90 --wrap \
				"prlimit --memlock=$((lock * mib)) $user" -- \
				--mib $live --ops 600 --greedy 20000 --$when \
				mlockall=$how --middle data=$((300 * mib))
		done
	done
done
rows_end
