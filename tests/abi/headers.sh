#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each header compiles alone: those of the library in C, public ones in C (the
# oldest that we promise) and C++.
: "${top_srcdir=$(cd "$(dirname "$0")/../.." && pwd)}" "${top_builddir=.}"
: "${CC=cc}" "${CXX=c++}"
flags="-Wall -Wextra -Werror -fsyntax-only"
ours="-include $top_builddir/build-config.h -iquote $top_srcdir/lib
	-iquote $top_builddir/lib -iquote $top_builddir/preload
	-iquote $top_builddir/tools -iquote $top_srcdir
	-iquote $top_builddir"
bad=0 nr=0

compile() { # HEADER COMMAND...
	header=$1
	shift
	nr=$((nr + 1))
	# A second time: the guard works.
	printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
		"$@" - || {
		echo "$header does not compile alone: $*"
		bad=1
	}
}

for header in "$top_srcdir"/lib/*.h "$top_srcdir"/preload/*.h \
	"$top_srcdir"/hugealloc/*.h "$top_srcdir"/tools/*.h; do
	[ -e "$header" ] || continue
	compile "$header" $CC -std=gnu11 $flags $ours \
		-iquote "$(dirname "$header")" -x c
done
for header in "$top_srcdir"/include/*.h "$top_srcdir"/include/*/*.h; do
	[ -e "$header" ] || continue
	compile "$header" $CC -std=c99 -pedantic $flags -x c
	compile "$header" $CXX -std=c++11 -pedantic $flags -x c++
done
[ $nr -ge 10 ] || { echo "only $nr headers seen"; bad=1; }
exit $bad
