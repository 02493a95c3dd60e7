#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What options do to a real program's memory, as its /proc entry shows it, and
# that the report says the same.
top_srcdir=${HS_SRCDIR-$(cd "$(dirname "$0")/../.." && pwd)}
top_builddir=${HS_BUILDDIR-$PWD}
. "$top_srcdir/tests/lib/pool.sh"
HS_SRCDIR=$top_srcdir HS_BUILDDIR=$(cd "$top_builddir" && pwd)
. "$top_srcdir/tests/cli/cli.sh"

eat=$HS_BUILDDIR/tests/cli/eat
[ -x "$eat" ] || fail "$eat is not built (make check builds it)"

# field FILE FIELD: a number that eat printed
field() {
	sed -n "s/^$2 //p" "$1"
}

# json FILE EXPRESSION: true of each report r of the file
json() {
	python3 -c '
import json, sys
lines = open(sys.argv[1]).read().splitlines()
assert lines, "no report"
for line in lines:
    r = json.loads(line)
    m, e = r["memory"], r["events"]
    assert eval("(" + sys.argv[2] + ")"), line
' "$1" "$2" 2>python.err || {
		wrong "not so in $1: $2"
		tail -n 1 python.err
	}
}

# at_most OPTIONS KIB: of the pool, and its contents are right
at_most() {
	# shellcheck disable=SC2086 # a list of options
	run 0 "$HS_HUGECTL" $1 "$eat" 48
	[ "$(field out HugetlbPages)" -le "$2" ] ||
		wrong "$(field out HugetlbPages) kB from the pool with $1"
}

# --- the report, without any pool ---------------------------------------------------

run 0 "$HS_HUGECTL" --stats=report "$eat" 4
silent err
says report "(pid "
says report "coverage: "
says report "fallbacks:"
says report "rescues: none"
says report "leaves out huge pages: HugetlbPages"
[ "$(stat -c %a report)" = 644 ] || wrong "mode $(stat -c %a report)"
run 0 "$HS_HUGECTL" --stats=report "$eat" 4
[ "$(grep -c coverage report)" = 2 ] || wrong "the report is not appended"
(umask 077 && run 0 "$HS_HUGECTL" --stats=private "$eat" 1)
[ "$(stat -c %a private)" = 600 ] || wrong "umask is not respected"

run 0 "$HS_HUGECTL" --stats=json --json "$eat" 8
json json 'r["program"] == "eat" and r["enabled"] is True'
json json 'sorted(r) == sorted(("version program pid enabled page_size_bytes "
	"memory coverage coverage_at_peak mmap_coverage "
	"mmap_coverage_at_peak events rss_bytes hugetlb_bytes "
	"rss_counts_hugetlb").split())'
json json 'all(set(g) == {"now", "peak"} and g["peak"] >= g["now"] >= 0
	for g in m.values())'
json json 'all(isinstance(n, int) and n >= 0 for n in e.values())'
json json 'm["huge_bytes"]["peak"] + m["thp_bytes"]["peak"] +
	m["base_bytes"]["peak"] >= 8 << 20'
json json 'r["rss_counts_hugetlb"] is False and r["rss_bytes"] > 0'

# Each process its own file and PID; a child's report is of the child.
run 0 "$HS_HUGECTL" --stats=of.%p --json "$eat" 4 fork
set -- of.*
[ $# = 2 ] || wrong "$# files of two processes: $*"
for file; do
	json "$file" "r['pid'] == ${file#of.}"
done
cat of.* >both
json both 'e["fork"] in (0, 1)'
[ "$(grep -c '"fork":1' both)" = 1 ] || wrong "not one process has forked"

# To standard error; also of programs that close it at exit.
run 0 "$HS_HUGECTL" --stats "$eat" 0
last="a small process"
lines err 1
says err "is too small for huge pages"
run 0 "$HS_HUGECTL" --stats "$eat" 4
says err "coverage: "
run 0 "$HS_HUGECTL" --stats --json sort /dev/null
lines err 1
json err 'r["program"] == "sort"'
! grep -q coverage out || wrong "the report is on standard output"
# Not into the file that has become descriptor 2.
run 0 "$HS_HUGECTL" --stats python3 -c '
import os
os.dup2(os.open("not-stderr", os.O_WRONLY | os.O_CREAT), 2)'
silent not-stderr
says err "(pid "

# A file that cannot be written is one line, and nothing else changes.
HUGESHIM_STATS=/nonexistent/file run 0 env LD_PRELOAD="$HS_SHIM" "$eat" 1
last="a report that cannot be written"
lines err 1
says err "/nonexistent/file: cannot write the report"

# --- bad input to the library: one line each, and the program runs ---------------------

run 0 env HUGESHIM_LIMIT=much HUGESHIM_PAGE_SIZE=3M HUGESHIM_NONSENSE=1 \
	LD_PRELOAD="$HS_SHIM" "$eat" 1
last="three bad variables"
lines err 3
says err "HUGESHIM_LIMIT: 'much' is not"
says err "HUGESHIM_PAGE_SIZE: '3M' is not a huge page size; using "
says err "HUGESHIM_NONSENSE: no such variable"

# --- why pages are smaller -------------------------------------------------------------

# A limit of nothing needs no pool to be reached.
run 0 "$HS_HUGECTL" -v --limit=0 --stats=limit --json "$eat" 8
last="--limit=0"
lines err 1
says err "falling back to smaller pages: limit of this process reached"
json limit 'e["limit"] > 0 and m["huge_bytes"]["peak"] == 0'
run 0 "$HS_HUGECTL" --limit=0 "$eat" 8
silent err
# A person at a terminal is told without asking.
python3 -c 'import pty, sys; pty.spawn(sys.argv[1:])' \
	"$HS_HUGECTL" --limit=0 "$eat" 8 >terminal </dev/null
says terminal "falling back to smaller pages: limit of this process reached"
[ "$(grep -c libhugeshim: terminal)" = 1 ] || wrong "more than one line is said"
run 3 "$HS_HUGECTL" --limit=0 --fallback=off "$eat" 8

# --- memory ----------------------------------------------------------------------------

for options in --heap=no --thp --fallback=on; do
	at_most "$options" 0
	at_most "$options --stats=none --json" 0
done
json none 'm["huge_bytes"]["peak"] == 0 and r["coverage"] in (None, 0)'
# The heap is not the shim's; but where only the variable is set.
run 0 "$HS_HUGECTL" --heap=no --stats=theirs --json "$eat" 8
json theirs 'r["coverage_at_peak"] is None'
HUGESHIM_HEAP=no run 0 "$HS_HUGECTL" --stats=ours --json "$eat" 8
json ours 'r["coverage_at_peak"] == 0 and e["config"] > 0'
HUGESHIM=off
export HUGESHIM
at_most "--stats=off --json" 0
unset HUGESHIM
json off 'r["enabled"] is False and m["huge_bytes"]["peak"] == 0'

case $(cat /sys/kernel/mm/transparent_hugepage/enabled 2>/dev/null) in
*'[always]'* | *'[madvise]'*)
	run 0 "$HS_HUGECTL" --thp --stats=thp --json "$eat" 48
	json thp 'm["thp_bytes"]["peak"] >= 40 << 20'
	[ "$(field out AnonHugePages)" -ge 20480 ] ||
		wrong "$(field out AnonHugePages) kB of THP with --thp" ;;
esac

# The rest is about pages that there are.
[ "$failed" = 0 ] || exit 1
need_pool 40
huge=$(pool_huge_bytes)
kib=$((huge / 1024))
before=$(pool_counters)

# What the report says is what the kernel says.
run 0 "$HS_HUGECTL" --stats=used --json "$eat" $((30 * huge >> 20))
[ "$(field out HugetlbPages)" -ge $((27 * kib)) ] ||
	wrong "$(field out HugetlbPages) kB of 30 pages from the pool"
json used 'r["hugetlb_bytes"] == m["huge_bytes"]["now"]'
json used 'm["huge_bytes"]["now"] >= 0.9 * r["page_size_bytes"] * 27'
json used 'r["coverage_at_peak"] > 0.9'
at_most --heap=no 0
at_most --thp 0
at_most --fallback=on 0
at_most "--limit=$((8 * huge))" $((8 * kib))
at_most "--limit=$((8 * huge)) --stats=capped --json" $((8 * kib))
json capped 'e["limit"] > 0 and 0 < m["huge_bytes"]["peak"] <= 8 *
	r["page_size_bytes"]'
at_most --limit=25% $((25 * $(pool_total) * kib / 100))
run 0 "$HS_HUGECTL" --page-size="$huge" "$eat" 20
[ "$(field out HugetlbPages)" -gt 0 ] || wrong "--page-size takes no page"

# Heap and mappings, together and each alone.  Page sizes are smaps's.
environment=
uses() { # OPTIONS HEAP-KIB MAP-KIB
	# shellcheck disable=SC2086 # lists
	run 0 env $environment "$HS_HUGECTL" $1 "$eat" $((8 * huge >> 20)) \
		mmap $((12 * huge >> 20))
	[ "$(field out heap)" = "$2" ] ||
		wrong "heap on pages of $(field out heap) kB with $1"
	[ "$(field out map)" = "$3" ] ||
		wrong "mapping on pages of $(field out map) kB with $1"
}
base=$(($(getconf PAGESIZE) / 1024))
uses "--stats=uses --json" $kib $kib
[ "$(field out HugetlbPages)" -ge $((18 * kib)) ] ||
	wrong "$(field out HugetlbPages) kB of 19 pages from the pool"
json uses 'm["mmap_huge_bytes"]["peak"] == 12 * r["page_size_bytes"]'
json uses 'r["mmap_coverage_at_peak"] == 1 and r["coverage_at_peak"] > 0.8'
uses "--heap --mmap" $kib $kib
uses --heap $kib $base
uses --mmap=no $kib $base
uses "--mmap --stats=mapped --json" $base $kib
json mapped 'm["huge_bytes"]["peak"] == 0 and r["mmap_coverage"] == 1'
uses "--mmap=$huge" $base $kib
uses --heap=no $base $kib
environment=LD_PRELOAD=$HS_BUILDDIR/tests/cli/.libs/bump.so
uses --mmap $kib $kib # the allocator's arena is a mapping like any other
uses --heap $kib $base # the shim's heap is in its place
environment="$environment HUGESHIM_HEAP=no"
uses "" $base $kib
environment=
uses "--heap=no --mmap=no" $base $base
uses "--threshold=$((13 * huge))" $kib $base
uses "--threshold=$((12 * huge))" $kib $kib
uses "--mmap --fallback=on" $base $base
case $(cat /sys/kernel/mm/transparent_hugepage/enabled 2>/dev/null) in
*'[always]'* | *'[madvise]'*)
	# Also what may be sparse: it was asked for.
	environment=HUGESHIM_POPULATE_MAX=0
	uses "--mmap --thp" $base $base
	environment=
	[ "$(field out AnonHugePages)" -ge $((10 * kib)) ] ||
		wrong "$(field out AnonHugePages) kB of THP with --mmap --thp" ;;
esac

# Children: with the library and without.
run 0 "$HS_HUGECTL" sh -c '"$1" 20' sh "$eat"
[ "$(field out HugetlbPages)" -gt 0 ] || wrong "no pages for a child"
run 0 "$HS_HUGECTL" --no-inherit sh -c '"$1" 20' sh "$eat"
[ "$(field out HugetlbPages)" = 0 ] || wrong "--no-inherit is inherited"

pool_same "$before" "hugectl" || failed=1
done_testing
