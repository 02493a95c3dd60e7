#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A limit of the hugetlb cgroup controller, version 1 or 2: mmap succeeds beyond
# it, and the touch would kill.
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
	for v2 in $(awk '$3 == "cgroup2" { print $2 }' /proc/mounts); do
		grep -qw hugetlb "$v2/cgroup.controllers" || continue
		if ! grep -qw hugetlb "$v2/cgroup.subtree_control"; then
			echo +hugetlb 2>/dev/null \
				>"$v2/cgroup.subtree_control" || continue
			on_exit "echo -hugetlb >'$v2/cgroup.subtree_control'"
		fi
		group=$v2/hugeshim-test-$$
		mkdir "$group" 2>/dev/null || continue
		on_exit "rmdir '$group' 2>/dev/null"
		echo "$1" 2>/dev/null >"$group/hugetlb.$size_name.max" && return
		rmdir "$group"
	done
	v1=$(awk '$3 == "cgroup" && "," $4 "," ~ /,hugetlb,/ { print $2 }' \
		/proc/mounts)
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
	cgroup_make $((limit * mib)) || skip "needs the hugetlb cgroup" \
		"controller: a kernel with CONFIG_CGROUP_HUGETLB, as root"
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
rows_end
