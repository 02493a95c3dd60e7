#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# How a program's end gives a report, and HUGESHIM_INHERIT.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"

need_lib
ends=$(test_program ends)
work=$(mktemp -d) || exit 99
on_exit 'rm -rf "$work"'

# HOW REPORTS: that many reports are written.
ends_with() {
	rm -f "$work"/report.*
	run_shim HUGESHIM_BACKING=base HUGESHIM_STATS="$work/report.%p" \
		"$ends" "$1" 2>"$work/err"
	[ $? = 7 ] || fail "$1: another status than bare"
	[ -s "$work/err" ] && fail "$1: $(cat "$work/err")"
	found=$(cat "$work"/report.* 2>/dev/null | grep -c 'libhugeshim.*ends')
	[ "$found" = "$2" ] || fail "$1: $found reports, not $2"
}

ends_with return 1
ends_with exit 1
ends_with quick_exit 1
ends_with thread 1
ends_with child 1
# No handler runs: the program says so.
ends_with _exit 0
ends_with _child 0

# The fork was seen by the library's handlers, in the parent.
run_shim HUGESHIM_BACKING=base HUGESHIM_STATS="$work/forked" \
	HUGESHIM_STATS_FORMAT=json "$ends" forks
[ $? = 7 ] || fail "forks: another status than bare"
grep -q '"fork":1\b' "$work/forked" || fail "no fork in $(cat "$work/forked")"

# VALUE-OF-LD_PRELOAD WANTED: what the program, then its child, see with
# HUGESHIM_INHERIT=no.
inherits() {
	got=$(env LD_PRELOAD="$1" HUGESHIM_INHERIT=no "$ends" preload child)
	want=$2
	[ "$got" = "$want
$want" ] || fail "LD_PRELOAD=$1 became $got, not $want"
}

inherits "$HS_TEST_LIB" none
inherits "$HS_TEST_LIB:" none
inherits "$HS_TEST_LIB $HS_TEST_LIB" none
for other in libm.so.6 /lib/x86_64-linux-gnu/libm.so.6; do
	[ "$other" = libm.so.6 ] || [ -e "$other" ] || continue
	inherits "$HS_TEST_LIB:$other" "$other"
	inherits "$other:$HS_TEST_LIB" "$other"
	inherits "$other $HS_TEST_LIB:$other" "$other:$other"
done
got=$(run_shim "$ends" preload child)
[ "$got" = "$HS_TEST_LIB
$HS_TEST_LIB" ] || fail "inherited without being asked not to: $got"

# A bad value: one line, and the default.
run_shim HUGESHIM_INHERIT=perhaps HUGESHIM_RETAIN=much \
	"$ends" exit 2>"$work/err"
[ $? = 7 ] || fail "bad values: another status than bare"
for name in HUGESHIM_INHERIT HUGESHIM_RETAIN; do
	[ "$(grep -c "libhugeshim: .*$name" "$work/err")" = 1 ] ||
		fail "$name=BAD: $(cat "$work/err")"
done
[ "$(wc -l <"$work/err")" = 2 ] || fail "bad values: $(cat "$work/err")"
exit 0
