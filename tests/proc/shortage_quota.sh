#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A limit of the hugetlb cgroup controller, version 1 or 2, and a hugetlbfs
# mount with size=: mmap succeeds beyond them, and the touch would kill.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"
. "$top_srcdir/tests/lib/shortage.sh"

need_root
rows_begin
mib=$((1024 * 1024))
size_name=$(($(pool_huge_bytes) / mib))MB
[ "$size_name" != 1024MB ] || size_name=1GB

# The group, with the limit in bytes; empty where there is none to be had.
cgroup_make() { # BYTES
	group=
	for v2 in $(sed -n 's/^[^ ]* \([^ ]*\) cgroup2 .*/\1/p' /proc/mounts); do
		grep -qw hugetlb "$v2/cgroup.controllers" || continue
		echo +hugetlb 2>/dev/null >"$v2/cgroup.subtree_control"
		group=$v2/hugeshim-test-$$
		mkdir "$group" 2>/dev/null || continue
		on_exit "rmdir '$group' 2>/dev/null"
		echo "$1" 2>/dev/null >"$group/hugetlb.$size_name.max" && return
		rmdir "$group"
	done
	v1=$(sed -n 's/^[^ ]* \([^ ]*\) cgroup [^ ]*\bhugetlb\b.*/\1/p' /proc/mounts)
	if [ -z "$v1" ]; then
		v1=$rows_dir/cgroup
		mkdir "$v1"
		mount -t cgroup -o hugetlb none "$v1" 2>/dev/null || return 1
		on_exit "umount '$v1'"
	fi
	group=$v1/hugeshim-test-$$
	mkdir "$group" && on_exit "rmdir '$group' 2>/dev/null" &&
		echo "$1" >"$group/hugetlb.$size_name.limit_in_bytes"
}

cat >"$rows_dir/enter" <<'END'
#!/bin/sh
echo $$ >"$GROUP/cgroup.procs" || exit 125
exec "$@"
END
chmod 755 "$rows_dir/enter"

need_pool_exactly 100
for limit in 0 20; do
	if ! cgroup_make $((limit * mib)); then
		row_skip "cgroup limit of $limit MiB" "no hugetlb controller:" \
			"needs CONFIG_CGROUP_HUGETLB, not used by another mount"
		break
	fi
	GROUP=$group
	export GROUP
	row "cgroup limit of $limit MiB" --wrap "$rows_dir/enter" \
		--why "pool_empty|map_failed" -- --mib 80
	for seed in 1 2 3; do
		row "cgroup limit of $limit MiB, threads, fork, seed $seed" \
			--wrap "$rows_dir/enter" -- --mib 40 --threads 4 \
			--fork --seed $seed
	done
	rmdir "$group"
done

mount_point=$rows_dir/huge
mkdir "$mount_point"
for size in 2 20; do
	if ! mount -t hugetlbfs -o size=${size}M,mode=1777 none "$mount_point" \
		2>/dev/null; then
		row_skip "mount with size=${size}M" "hugetlbfs cannot be mounted"
		break
	fi
	on_exit "umount '$mount_point' 2>/dev/null"
	row "mount with size=${size}M" --env "HUGESHIM_MOUNT=$mount_point" \
		--why "pool_empty|map_failed" -- --mib 80
	for seed in 1 2 3; do
		row "mount with size=${size}M, threads, fork, seed $seed" \
			--env "HUGESHIM_MOUNT=$mount_point" -- --mib 40 \
			--threads 4 --fork --seed $seed
	done
	[ -z "$(ls -A "$mount_point")" ] || row_bad "files are left in the mount"
	umount "$mount_point"
done
row "mount that is none" --env "HUGESHIM_MOUNT=$rows_dir/none" -- --mib 40
rows_end
