#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The man pages are clean, and name every option that there is.
pages="$HS_SRCDIR/man/hugectl*.8 $HS_SRCDIR/man/hugealloc.3 $HS_SRCDIR/man/hugetlbfs.3
	$HS_BUILDDIR/man/libhugeshim.7"
status=0

command -v mandoc >/dev/null || {
	echo "SKIP: mandoc is not installed (apt-get install mandoc)"
	exit 77
}
for page in $pages; do # shellcheck disable=SC2086
	mandoc -Tlint -Wwarning "$page" || status=1
done

# Every variable of the table is an entry of the page.
for name in $(awk -F'|' '/^[HU-]/ { print $1, $6 }' "$HS_SRCDIR/lib/options.tab" |
	tr ' ' '\n' | sed 's/:.*//' | grep '^HUGE'); do
	mandoc -Tascii "$HS_BUILDDIR/man/libhugeshim.7" | sed 's/.\x08//g' |
		grep -q "$name" || {
		echo "libhugeshim.7 does not name $name"
		status=1
	}
done

# options WHAT FILE: what text calls an option.
options() {
	grep -o -- "$1" | sed 's/.*--/--/' | sort -u >"$2"
}

refused="--text --data --bss --share-text"
for option in $refused; do
	mandoc -Tascii "$HS_SRCDIR/man/hugectl.8" | sed 's/.\x08//g' |
		grep -q -- "$option" || {
		echo "hugectl.8 does not name $option"
		status=1
	}
done

# compare PAGE COMMAND...: the options of COMMAND --help are in the page, and
# the other way round.
compare() {
	page=$1
	shift
	"$@" --help | options '^  *\(-[a-zA-Z], \)*--[a-z-]*' man.help.$$
	mandoc -Tascii "$HS_SRCDIR/man/$page" | sed 's/.\x08//g' |
		options '^  *\(-[a-zA-Z], \)*--[a-z][a-z-]*' man.all.$$
	# Those are in the page alone.
	printf '%s\n' $refused | grep -vxFf - man.all.$$ >man.page.$$
	diff man.help.$$ man.page.$$ || {
		echo "(< hugectl --help, > $page)"
		status=1
	}
}

compare hugectl.8 "$HS_HUGECTL"
for page in "$HS_SRCDIR"/man/hugectl-*.8; do
	page=${page##*/}
	name=${page#hugectl-}
	compare "$page" "$HS_HUGECTL" "${name%.8}"
done
rm -f man.help.$$ man.page.$$ man.all.$$
exit $status
