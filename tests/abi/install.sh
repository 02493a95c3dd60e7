#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# make install puts these files there and no other; make uninstall takes all
# of them away.
: "${top_builddir=.}"
LC_ALL=C
export LC_ALL
unset MAKEFLAGS MFLAGS MAKELEVEL
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT

cat >"$work/expected" <<'EOF'
./bin/hugectl
./include/hugealloc.h
./include/hugealloc/hugetlbfs.h
./lib/libhugealloc.la
./lib/libhugealloc.so
./lib/libhugealloc.so.0
./lib/libhugealloc.so.0.0.0
./lib/libhugeshim-mmap.so
./lib/libhugeshim.so
./lib/pkgconfig/hugealloc.pc
./share/bash-completion/completions/hugectl
./share/man/man3/free_huge_pages.3
./share/man/man3/free_hugepage_region.3
./share/man/man3/get_huge_pages.3
./share/man/man3/get_hugepage_region.3
./share/man/man3/gethugepagesize.3
./share/man/man3/gethugepagesizes.3
./share/man/man3/getpagesizes.3
./share/man/man3/hugealloc.3
./share/man/man3/hugealloc_free.3
./share/man/man3/hugealloc_page_size.3
./share/man/man3/hugealloc_page_sizes.3
./share/man/man3/hugealloc_query.3
./share/man/man3/hugealloc_resize.3
./share/man/man3/hugealloc_stats.3
./share/man/man3/hugetlbfs.3
./share/man/man3/hugetlbfs_find_path.3
./share/man/man3/hugetlbfs_find_path_for_size.3
./share/man/man3/hugetlbfs_test_path.3
./share/man/man3/hugetlbfs_unlinked_fd.3
./share/man/man3/hugetlbfs_unlinked_fd_for_size.3
./share/man/man7/libhugeshim.7
./share/man/man8/hugectl-advise.8
./share/man/man8/hugectl-map.8
./share/man/man8/hugectl-setup.8
./share/man/man8/hugectl-stat.8
./share/man/man8/hugectl-status.8
./share/man/man8/hugectl-top.8
./share/man/man8/hugectl.8
EOF

# Another prefix than configure's, so that both are seen to be honoured.
run() {
	make -C "$top_builddir" "$1" DESTDIR="$work/root" prefix=/p \
		>"$work/log" 2>&1 || {
		tail -n 20 "$work/log"
		echo "make $1 failed"
		exit 1
	}
}

run install
(cd "$work/root/p" && find . -type f -o -type l) | sort >"$work/installed"
diff -u "$work/expected" "$work/installed" || {
	echo "make install: - is missing, + is not expected"
	exit 1
}
run uninstall
left=$(find "$work/root" -type f -o -type l)
[ -z "$left" ] || { echo "make uninstall leaves $left"; exit 1; }
