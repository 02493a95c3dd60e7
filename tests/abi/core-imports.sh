#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What lib/ takes from libc is on a short list: nothing that allocates, locks,
# enters the kernel or may be somebody else's interposed function.
: "${top_builddir=.}" "${NM=nm}"
LC_ALL=C
export LC_ALL
archive=$top_builddir/.libs/libhugeshim-core.a
[ -r "$archive" ] || { echo "$archive is not built"; exit 1; }
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT

# name, why it may be used
cat >"$work/allowed.txt" <<'EOF'
memcpy			pure; the compiler calls it by itself
memmove			pure; the compiler calls it by itself
memset			pure; the compiler calls it by itself
memcmp			pure; the compiler calls it by itself
memchr			pure
strlen			pure
strnlen			pure
strcmp			pure
strncmp			pure
strchr			pure
strrchr			pure
strspn			pure
strcspn			pure
strstr			pure
getauxval		reads the auxiliary vector, no call
_GLOBAL_OFFSET_TABLE_	linker
__stack_chk_fail	compiler, with the user's -fstack-protector
__stack_chk_guard	compiler, the same on arm64
EOF
sed 's/[[:space:]].*//' "$work/allowed.txt" | sort >"$work/allowed"

$NM "$archive" >"$work/all" 2>/dev/null || { echo "$NM failed"; exit 99; }
awk 'NF >= 2 && $(NF - 1) !~ /^[UwWv]$/ && NF >= 3 { print $NF }' "$work/all" |
	sort -u >"$work/defined"
awk 'NF == 2 && $1 ~ /^[Uwv]$/ { print $2 }' "$work/all" |
	sort -u | comm -23 - "$work/defined" >"$work/wanted"
[ -s "$work/defined" ] || { echo "no symbol seen in $archive"; exit 99; }
comm -23 "$work/wanted" "$work/allowed" >"$work/bad"
if [ -s "$work/bad" ]; then
	echo "lib/ may not use:"
	while read -r symbol; do
		users=$($NM -A "$archive" 2>/dev/null |
			awk -v s="$symbol" '$NF == s { split($1, p, ":")
				print p[2] }' | sort -u | xargs)
		echo "	$symbol ($users)"
	done <"$work/bad"
	exit 1
fi
exit 0
