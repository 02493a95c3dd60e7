#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The man pages are clean, and name every option that there is.
pages="$HS_SRCDIR/man/hugectl.8 $HS_BUILDDIR/man/libhugeshim.7"
status=0

command -v mandoc >/dev/null || {
	echo "SKIP: mandoc is not installed (apt-get install mandoc)"
	exit 77
}
for page in $pages; do
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

# Every option of hugectl --help is in its page, and the other way round.
"$HS_HUGECTL" --help | grep -o -- '^  *\(-[a-zA-Z], \)*--[a-z-]*' |
	sed 's/.*--/--/' | sort -u >man.help.$$
mandoc -Tascii "$HS_SRCDIR/man/hugectl.8" | sed 's/.\x08//g' |
	grep -o -- '--[a-z][a-z-]*' | sort -u >man.page.$$
# Refused ones are in the page alone.
for option in --shm --text --data --bss --share-text; do
	grep -qx -- "$option" man.page.$$ || {
		echo "hugectl.8 does not name $option"
		status=1
	}
	grep -vx -- "$option" man.page.$$ >man.tmp.$$
	mv man.tmp.$$ man.page.$$
done
diff man.help.$$ man.page.$$ || status=1
rm -f man.help.$$ man.page.$$
exit $status
