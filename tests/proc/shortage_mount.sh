#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A hugetlbfs mount with size=: mmap succeeds beyond it, and the touch would
# kill.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"
. "$top_srcdir/tests/lib/shortage.sh"

need_root
rows_begin

need_pool_exactly 100
mount_point=$rows_dir/huge
mkdir "$mount_point"
for size in 2 20; do
	mount -t hugetlbfs -o size=${size}M,mode=1777 none "$mount_point" \
		2>/dev/null || skip "hugetlbfs cannot be mounted: needs root" \
		"that may mount"
	on_exit "umount '$mount_point' 2>/dev/null"
	row "mount with size=${size}M" --env "HUGESHIM_MOUNT=$mount_point" \
		--why "pool_empty|map_failed" -- --mib 80
	for seed in 1 2 3; do
		row "mount with size=${size}M, threads, fork, seed $seed" \
			--env "HUGESHIM_MOUNT=$mount_point" -- --mib 40 \
			--threads 4 --fork --seed $seed
	done
	[ -z "$(ls -A "$mount_point")" ] || row_bad "files are left there"
	umount "$mount_point"
done
row "mount that is none" --env "HUGESHIM_MOUNT=$rows_dir/none" -- --mib 40
rows_end
