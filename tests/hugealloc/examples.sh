#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What is installed is enough for a user: the examples and the man page's program
# are built by what pkg-config says, in C99 and C++11, and run, with and without
# the shim; dlopen works.
. "${top_srcdir=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib/pool.sh"
: "${CC=cc}" "${CXX=c++}"
need_lib
need_command pkg-config
unset MAKEFLAGS MFLAGS MAKELEVEL LD_PRELOAD
work=$(mktemp -d) || exit 99
on_exit "rm -rf $work"
make -C "$top_builddir" install DESTDIR="$work/root" prefix=/p \
	>"$work/log" 2>&1 || {
	tail "$work/log"
	fail "make install"
}
lib=$work/root/p/lib
flags=$(PKG_CONFIG_LIBDIR=$lib/pkgconfig pkg-config --define-variable="prefix=$work/root/p" \
	--cflags --libs hugealloc) || fail "pkg-config"
# The page's example as it stands.
sed -n '/^\.SH EXAMPLES/,/^\.EE/p' "$top_srcdir/man/hugealloc.3" |
	sed -e '/^\./d' -e 's/\\e/\\/g' >"$work/page.c"
grep -q main "$work/page.c" || fail "hugealloc(3) has no example"
warn="-Wall -Wextra -Werror -pedantic"
# shellcheck disable=SC2086 # words
{
	$CC -std=c99 $warn -o "$work/page" "$work/page.c" $flags &&
		$CC -std=c99 $warn -o "$work/column" \
			"$top_srcdir/examples/hugealloc.c" $flags &&
		$CXX -std=c++11 $warn -o "$work/vector" \
			"$top_srcdir/examples/hugevector.cc" $flags
} || fail "an example does not build"

need_pool 40
export LD_LIBRARY_PATH="$lib" HUGESHIM_LIMIT=none
# The shim's own use of the pool would take what the examples want.
export HUGESHIM_HEAP=no HUGESHIM_MMAP=no
before=$(pool_counters)
for preload in "" "$HS_TEST_LIB"; do
	run() { env ${preload:+LD_PRELOAD="$preload"} "$@" 9>&-; }
	[ "$(run "$work/page")" = "100 % on huge pages" ] || fail "hugealloc(3)"
	run "$work/column" 32 >"$work/out" || fail "examples/hugealloc.c"
	grep -q "^32 MiB on huge pages, 0 on transparent ones, 0 on base pages" \
		"$work/out" || fail "examples/hugealloc.c: $(cat "$work/out")"
	[ "$(run "$work/vector")" = "sum 1572864.0, 100 % on huge pages" ] ||
		fail "examples/hugevector.cc"
	run "$top_builddir/tests/hugealloc/load" "$lib/libhugealloc.so.0" ||
		fail "dlopen"
done
pool_same "$before" "the examples" || exit 1
