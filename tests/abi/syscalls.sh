#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# lib/syscalls.tab: each name once, every wrapper is exported by the library
# and has a next definition in libc, hand-written ones are where they say.
: "${HS_SRCDIR=$(cd "$(dirname "$0")/../.." && pwd)}"
: "${HS_TEST_LIB=./.libs/libhugeshim.so}"
: "${NM=nm}"
: "${CC=cc}"

tab=$HS_SRCDIR/lib/syscalls.tab
[ -r "$HS_TEST_LIB" ] || { echo "$HS_TEST_LIB is not built"; exit 1; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

complain() {
	echo "$*"
	failed=1
}

# Of each function: class, and the file where that is a hand-written one.
awk '!/^[ \t]*(#|$)/ && $2 != "raw" { print $1, $2, $4, $3 }' "$tab" |
	sort >"$work/rows"
twice=$(cut -d' ' -f1 "$work/rows" | uniq -d)
[ -z "$twice" ] || complain "twice in the table:" $twice
strange=$(awk '$2 !~ /^(wrapped|hand|base|engine|limit)$/ { print $1 }' \
	"$work/rows")
[ -z "$strange" ] || complain "class unknown:" $strange

$NM -D --defined-only "$HS_TEST_LIB" | awk '{ print $3 }' | sort \
	>"$work/exported"
libc=$($CC -print-file-name=libc.so.6)
# A symbol of old binaries has one @, and no lookup by name finds it.
$NM -D --with-symbol-versions --defined-only "$libc" |
	awk '$NF ~ /@@/ { sub(/@@.*/, "", $NF); print $NF }' | sort -u \
	>"$work/libc"

awk '$2 == "wrapped" || $2 == "hand" ||
	$2 == "base" && $4 ~ /\(/ { print $1 }' "$work/rows" | sort \
	>"$work/wanted"
missing=$(comm -23 "$work/wanted" "$work/exported")
[ -z "$missing" ] || complain "in the table but not exported:" $missing
orphan=$(comm -23 "$work/wanted" "$work/libc")
[ -z "$orphan" ] || complain "exported, but libc has no such name:" $orphan

while read -r name class file _; do
	case $class:$file in
	hand:preload/*.c | base:preload/*.c)
		grep -Eq "(__asm__\(\"$name\"\)|[A-Z]\($name\)|HS_EXPORT.*[ *]$name\()" \
			"$HS_SRCDIR/$file" ||
			complain "$name: not in $file"
		;;
	esac
done <"$work/rows"

exit $failed
