#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# libhugealloc.so.0 exports what its map lists, each name in its version, and
# can be loaded at any time: little TLS, and that of the initial-exec kind.
: "${top_srcdir=$(cd "$(dirname "$0")/../.." && pwd)}" "${top_builddir=.}"
LC_ALL=C
export LC_ALL
library=$top_builddir/.libs/libhugealloc.so.0
tls_max=64
bad=0

complain() {
	echo "libhugealloc.so.0: $*"
	bad=1
}
command -v readelf >/dev/null ||
	{ echo "SKIP: needs readelf: apt-get install binutils"; exit 77; }
[ -r "$library" ] || { echo "$library is not built"; exit 1; }
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT

# --- names, with versions that stay -------------------------------------------

cat >"$work/expected" <<'EOT'
free_huge_pages@@HTLBFS_2.0
free_hugepage_region@@HTLBFS_2.1
get_huge_pages@@HTLBFS_2.0
get_hugepage_region@@HTLBFS_2.1
gethugepagesize@@VERS_1.0
gethugepagesizes@@HTLBFS_2.1
getpagesizes@@HTLBFS_2.1
hugealloc@@HUGEALLOC_0.1
hugealloc_free@@HUGEALLOC_0.1
hugealloc_page_size@@HUGEALLOC_0.1
hugealloc_page_sizes@@HUGEALLOC_0.1
hugealloc_query@@HUGEALLOC_0.1
hugealloc_resize@@HUGEALLOC_0.1
hugealloc_stats@@HUGEALLOC_0.1
hugetlbfs_find_path@@VERS_1.0
hugetlbfs_find_path_for_size@@HTLBFS_2.1
hugetlbfs_test_path@@VERS_1.0
hugetlbfs_unlinked_fd@@VERS_1.0
hugetlbfs_unlinked_fd_for_size@@HTLBFS_2.1
EOT
readelf --dyn-syms -W "$library" >"$work/symbols"
awk '$7 != "UND" && $7 != "ABS" && $5 ~ /GLOBAL|WEAK|UNIQUE/ &&
	$4 != "SECTION" { print $8 }' "$work/symbols" | sort >"$work/exported"
diff "$work/expected" "$work/exported" ||
	complain "< is missing, > is not expected"

# libhugetlbfs's own, where it is installed, agree.
theirs=$(ls /usr/lib/*/libhugetlbfs.so.0 2>/dev/null | head -n 1)
if [ -n "$theirs" ]; then
	readelf --dyn-syms -W "$theirs" | awk '$7 ~ /^[0-9]/ && $8 ~ /@@/ &&
		$8 !~ /^__/ { print $8 }' | sort |
		comm -23 - "$work/exported" | grep . &&
		complain "libhugetlbfs has these besides"
fi

# --- linkage ------------------------------------------------------------------

readelf -dW "$library" >"$work/dynamic"
needed=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' "$work/dynamic" | sort | xargs)
[ "$needed" = "libc.so.6 libnuma.so.1" ] || complain "NEEDED is '$needed'"
grep -q '(SONAME).*\[libhugealloc.so.0\]' "$work/dynamic" ||
	complain "has another SONAME"
grep -q 'TEXTREL' "$work/dynamic" && complain "has text relocations"
grep -q 'FLAGS_1).*NODELETE' "$work/dynamic" ||
	complain "lacks DF_1_NODELETE: its handlers stay"
grep -q '(RPATH)\|(RUNPATH)' "$work/dynamic" && complain "has a run path"
awk '$8 == "hugeshim_engine_1" && $5 == "WEAK" && $7 == "UND" { found = 1 }
	END { exit !found }' "$work/symbols" ||
	complain "does not look for libhugeshim.so's engine"

readelf -lW "$library" >"$work/segments"
tls=$(awk '$1 == "TLS" { print $6 }' "$work/segments")
[ $((${tls:-0})) -le $tls_max ] ||
	complain "has $((tls)) bytes of TLS, $tls_max are the limit"
grep 'GNU_STACK' "$work/segments" | grep -q 'RWE' &&
	complain "has an executable stack"
readelf -rW "$library" | grep '__tls_get_addr\|TLSDESC\|DTPMOD\|DTPOFF' &&
	complain "has TLS that is not initial-exec"
exit $bad
