#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The shim exports exactly the names of the .sym lists, needs libc alone, and
# is linked as a preload must be; the one without malloc has the other names.
: "${top_srcdir=$(cd "$(dirname "$0")/../.." && pwd)}" "${top_builddir=.}"
: "${HS_TEST_LIB=$top_builddir/.libs/libhugeshim.so}"
listed() { # VARIABLE of the makefile
	sed -n "s/^$1 += //p" "$top_srcdir/preload/Makefile.inc" | xargs
}
: "${HS_SYMS=$(listed preload_syms)}" "${HS_MALLOC_SYMS=$(listed malloc_syms)}"
LC_ALL=C
export LC_ALL
bad=0

if [ -z "${HS_EXPORTS_OF-}" ]; then
	HS_EXPORTS_OF=libhugeshim.so HS_SYMS="$HS_SYMS $HS_MALLOC_SYMS" \
		"$0" || exit
	HS_EXPORTS_OF=libhugeshim-mmap.so HS_SYMS=$HS_SYMS \
		HS_TEST_LIB=$(dirname "$HS_TEST_LIB")/libhugeshim-mmap.so "$0"
	exit
fi

complain() {
	echo "$HS_EXPORTS_OF: $*"
	bad=1
}
command -v readelf >/dev/null ||
	{ echo "SKIP: needs readelf: apt-get install binutils"; exit 77; }
[ -r "$HS_TEST_LIB" ] || { echo "$HS_TEST_LIB is not built"; exit 1; }
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT

# --- names -----------------------------------------------------------------

for list in $HS_SYMS; do
	[ -e "$top_builddir/$list" ] || list=$top_srcdir/$list
	[ -e "$top_builddir/$list" ] && list=$top_builddir/$list
	sed 's/#.*//' "$list" || exit 99
done | awk 'NF { print $1 }' | sort >"$work/listed"
uniq -d "$work/listed" | grep . && complain "listed twice: the names above"
sort -u "$work/listed" -o "$work/listed"
readelf --dyn-syms -W "$HS_TEST_LIB" |
	awk '$7 != "UND" && $5 ~ /GLOBAL|WEAK|UNIQUE/ && $4 != "SECTION" {
		sub(/@.*/, "", $8); print $8 }' | sort -u >"$work/exported"
comm -23 "$work/listed" "$work/exported" | sed 's/^/	/' >"$work/missing"
comm -13 "$work/listed" "$work/exported" | sed 's/^/	/' >"$work/extra"
[ ! -s "$work/missing" ] ||
	complain "listed, not exported:
$(cat "$work/missing")"
[ ! -s "$work/extra" ] ||
	complain "exported, not listed:
$(cat "$work/extra")"

# --- linkage ---------------------------------------------------------------

readelf -dW "$HS_TEST_LIB" >"$work/dynamic"
needed=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' "$work/dynamic" | xargs)
# Nothing exported yet, nothing needed: libc may be absent, never another.
[ "$needed" = libc.so.6 ] || { [ -z "$needed" ] && [ ! -s "$work/listed" ]; } ||
	complain "NEEDED is '$needed', not libc.so.6 alone"
grep -q '(TEXTREL)\|FLAGS.*TEXTREL' "$work/dynamic" &&
	complain "has text relocations"
grep -q 'FLAGS).*BIND_NOW' "$work/dynamic" || complain "lacks BIND_NOW"
for flag in NOW INITFIRST NODELETE; do
	grep -q "FLAGS_1).*\\b$flag\\b" "$work/dynamic" ||
		complain "lacks DF_1_$flag"
done
grep -q "(SONAME).*\\[$HS_EXPORTS_OF\\]" "$work/dynamic" ||
	complain "has another SONAME"
grep -q '(RPATH)\|(RUNPATH)' "$work/dynamic" && complain "has a run path"

# Each name that is looked up costs every exec 0.3 us: what is called seldom is
# left to preload/real.list, what is short is preload/text.c's.
readelf --dyn-syms -W "$HS_TEST_LIB" |
	awk '$7 == "UND" && NF > 7 { sub(/@.*/, "", $8); print $8 }' |
	grep -v '^__stack_chk_\|_chk$\|^__aarch64_\|^__getauxval$' |
	sort -u >"$work/imported"
sort >"$work/allowed" <<'EOF'
__errno_location
__register_atfork
__sanitizer_get_allocated_size
_dl_find_object
dlsym
getauxval
memcpy
memmove
memset
EOF
comm -23 "$work/imported" "$work/allowed" | sed 's/^/	/' >"$work/more"
[ ! -s "$work/more" ] || complain "looks up in every exec:
$(cat "$work/more")"

readelf -lW "$HS_TEST_LIB" >"$work/segments"
grep -q GNU_RELRO "$work/segments" || complain "lacks RELRO"
grep 'GNU_STACK' "$work/segments" | grep -q 'RWE' &&
	complain "has an executable stack"
grep -q 'GNU_STACK' "$work/segments" || complain "lacks GNU_STACK"

# Initial-exec TLS: no call on the way to it, no allocation behind our back.
readelf -rW --dyn-syms "$HS_TEST_LIB" >"$work/relocations"
grep '__tls_get_addr\|TLSDESC\|DTPMOD\|DTPOFF' "$work/relocations" &&
	complain "has TLS that is not initial-exec"
exit $bad
