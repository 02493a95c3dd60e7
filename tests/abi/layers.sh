#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The include table of layers.tab holds; lib/ includes no header of what it
# must not use (heap, stdio, dlfcn).
: "${top_srcdir=$(cd "$(dirname "$0")/../.." && pwd)}"
cd "$top_srcdir" || exit 99

awk '
function module_of(path,    dir, name) {
	dir = path; name = path
	if (sub(/\/.*/, "", dir) && dir != "lib")
		return dir
	sub(/^.*\//, "", name)
	sub(/\.[a-z.]*$/, "", name)
	while (!(name in row) && name ~ /_/)
		sub(/_[^_]*$/, "", name)
	return name
}
function complain(text) {
	print FILENAME ":" FNR ": " text
	bad = 1
}
FILENAME ~ /layers\.tab$/ {
	if ($1 == "allow")
		allowed[$2, $3] = 1
	else if (!/^#/)
		for (i = 2; i <= NF; i++) {
			n = split($i, joined, "+")
			for (j = 1; j <= n; j++) {
				row[joined[j]] = $1
				rank[joined[j]] = $1 * 100 + i
			}
		}
	next
}
FNR == 1 {
	own = module_of(FILENAME)
	nr_files++
	if (!(own in row))
		complain("module " own " has no row in tests/abi/layers.tab")
}
/^[ \t]*#[ \t]*include[ \t]*</ {
	split($0, part, /[<>]/)
	if (FILENAME ~ /^lib\// && \
	    part[2] ~ /^(stdio|stdlib|malloc|dlfcn|unistd|syslog|locale)\.h$/)
		complain("lib/ may not use <" part[2] ">")
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
	split($0, part, "\"")
	name = part[2]
	sub(/^.*\//, "", name)
	dir = match(part[2], /^(preload|hugealloc|tools)\//) ? \
		substr(part[2], 1, RLENGTH - 1) : ""
	if (dir == "" && FILENAME !~ /^lib\//) {
		# Beside the including file, or in lib/.
		here = FILENAME
		sub(/[^\/]*$/, "", here)
		if (here name in known || !("lib/" name in known))
			next # a generated one is beside its source, too
	}
	other = dir == "" ? module_of("lib/" name) : dir
	nr_includes++
	if (other == own || (own, other) in allowed)
		next
	if (!(other in row))
		complain("\"" part[2] "\" belongs to no module of the table")
	else if (row[other] == 10 || rank[other] > rank[own])
		complain(own " (row " row[own] ") may not include \"" part[2] \
			 "\" (row " row[other] ")")
}
BEGIN {
	for (i = 1; i < ARGC; i++)
		known[ARGV[i]] = 1
}
END {
	if (nr_files < 10 || nr_includes < 10) {
		print "only " nr_files + 0 " files seen: is this the tree?"
		bad = 1
	}
	exit bad
}' tests/abi/layers.tab lib/*.[ch] $(ls preload/*.[ch] hugealloc/*.[ch] tools/*.[ch] 2>/dev/null)
