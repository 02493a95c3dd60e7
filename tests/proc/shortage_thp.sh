#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Transparent huge pages always, on request, never, and switched off by prctl,
# with and without a pool; and overcommit that refuses (vm.overcommit_memory 2).
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"
. "$top_srcdir/tests/lib/shortage.sh"

need_root
rows_begin
thp=/sys/kernel/mm/transparent_hugepage/enabled
vm=/proc/sys/vm

if [ -w $thp ]; then
	thp_was=$(sed 's/.*\[\(.*\)\].*/\1/' $thp)
	on_exit "echo $thp_was >$thp"
	for mode in always madvise never; do
		for pages in 0 20; do
			need_pool_exactly $pages
			echo $mode >$thp
			row "THP $mode, pool of $pages" --why pool_empty \
				--env HUGESHIM_LIMIT=none -- --mib 80
			row "THP $mode, pool of $pages, threads and fork" -- \
				--mib 60 --threads 4 --fork
			row "THP $mode, off by prctl, pool of $pages" -- \
				--mib 60 --fork --start thp-off
		done
		echo "$thp_was" >$thp
	done
else
	row_skip "THP" "needs CONFIG_TRANSPARENT_HUGEPAGE and a writable /sys"
fi

# What may be committed is kept above what is in use, or every process of the
# machine would be refused, not just this one.
if [ -w $vm/overcommit_memory ]; then
	oc_memory=$(cat $vm/overcommit_memory)
	oc_kbytes=$(cat $vm/overcommit_kbytes)
	oc_ratio=$(cat $vm/overcommit_ratio)
	# Writing one of kbytes and ratio makes the other 0.
	oc_back="echo $oc_memory >$vm/overcommit_memory"
	if [ "$oc_kbytes" = 0 ]; then
		oc_back="$oc_back; echo $oc_ratio >$vm/overcommit_ratio"
	else
		oc_back="$oc_back; echo $oc_kbytes >$vm/overcommit_kbytes"
	fi
	for pages in 0 40; do
		need_pool_exactly $pages
		on_exit "$oc_back"
		committed=$(awk '/^Committed_AS:/ { print $2 }' /proc/meminfo)
		echo $((committed + 6 * 1024 * 1024)) >$vm/overcommit_kbytes
		echo 2 >$vm/overcommit_memory
		row "overcommit 2, pool of $pages" -- --mib 120
		row "overcommit 2, pool of $pages, threads and fork" -- \
			--mib 60 --threads 4 --fork
		row "overcommit 2, pool of $pages, RLIMIT_DATA" -- --mib 40 \
			--ops 600 --greedy 300000 --start data=200000000
		eval "$oc_back"
	done
else
	row_skip "overcommit 2" "needs a writable $vm/overcommit_memory"
fi
rows_end
