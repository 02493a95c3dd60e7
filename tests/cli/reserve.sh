#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# hugectl --reserve: the program has its huge pages from the start, those it
# starts have none of them, and nothing runs where there are not as many.
top_srcdir=${HS_SRCDIR-$(cd "$(dirname "$0")/../.." && pwd)}
top_builddir=${HS_BUILDDIR-$PWD}
. "$top_srcdir/tests/lib/pool.sh"
HS_SRCDIR=$top_srcdir HS_BUILDDIR=$(cd "$top_builddir" && pwd)
. "$top_srcdir/tests/cli/cli.sh"

refused() { # TEXT OPTION...
	text=$1
	shift
	last="$*"
	run 125 "$HS_HUGECTL" "$@" touch ran
	lines err 1
	silent out
	says err "hugectl: --reserve: "
	says err "$text"
	[ ! -e ran ] || wrong "the command runs after: $*"
}
for number in x "" -1 1000001; do
	refused "is not a number from 0 to 1000000" --reserve="$number"
done
refused "not on pages of the pool" --reserve=1 --mmap
refused "not on pages of the pool" --reserve=1 --heap=thp
refused "huge pages are free, not 1000000" --reserve=1000000

pages() { # N: that the program has
	[ "$(sed -n 's/^HugetlbPages:[^0-9]*\([0-9]*\) kB/\1/p' out)" = \
		$(($1 * hs_pool_kb)) ] || wrong "$(grep Huge out), not $1 pages"
}

need_pool 24
for number in 1 5 20; do
	run 0 "$HS_HUGECTL" --limit=none --reserve=$number \
		cat /proc/self/status
	silent err
	pages $number
done
run 0 "$HS_HUGECTL" --limit=none --reserve=5 sh -c 'cat /proc/self/status'
pages 0
run 0 "$HS_HUGECTL" --limit=none --reserve=5 env
! grep HUGESHIM_RESERVE out || wrong "the programs it starts reserve, too"
# They are its heap's: not a page more for 8 MiB of it.
run 0 "$HS_HUGECTL" --limit=none --reserve=8 "$HS_BUILDDIR/tests/cli/eat" 8
says out "HugetlbPages $((8 * hs_pool_kb))"
# Others were faster: it says so and goes on.
run 0 "$HS_HUGECTL" --limit=4M --reserve=5 cat /proc/self/status
says err "HUGESHIM_RESERVE: 2 of 5 huge pages were to be had"
pages 2

done_testing
