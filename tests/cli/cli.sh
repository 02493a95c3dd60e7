# SPDX-License-Identifier: LGPL-2.1-or-later
# cli.sh - what the tests of hugectl share: source it.
#
#   run STATUS COMMAND...   run it; its status must be STATUS.  Its output is
#                           in the files out and err of the working directory
#   lines FILE N            FILE has N lines
#   says FILE TEXT          FILE has a line that contains TEXT
#   done_testing            exit 1 if anything did not hold
#
# The working directory is a fresh one, removed at the end.

: "${HS_SRCDIR=$(cd "$(dirname "$0")/../.." && pwd)}"
: "${HS_BUILDDIR=$PWD}"
: "${HS_HUGECTL=$HS_BUILDDIR/hugectl}"
: "${HS_SHIM=$HS_BUILDDIR/.libs/libhugeshim.so}"
: "${CC=cc}"
[ -x "$HS_HUGECTL" ] || { echo "no $HS_HUGECTL: make it first"; exit 1; }

# Nothing of the caller's settings.
for name in $(env | sed -n 's/^\(HUGESHIM[A-Z_]*\|HUGETLB_[A-Z_]*\)=.*/\1/p'); do
	unset "$name"
done
unset LD_PRELOAD

work=$(mktemp -d "${TMPDIR:-/tmp}/hugectl-test.XXXXXX") || exit 1
# Others must be able to get in: some tests change their identity.
chmod 755 "$work"
if command -v on_exit >/dev/null; then # pool.sh has the traps
	on_exit 'cd /; rm -rf "$work"'
else
	trap 'cd /; rm -rf "$work"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
fi
cd "$work" || exit 1
failed=0
last= # what lines() blames

wrong() {
	echo "FAIL: $*"
	failed=1
}

run() {
	want=$1
	shift
	"$@" >out 2>err
	got=$?
	[ "$got" = "$want" ] || {
		wrong "status $got, not $want: $*"
		sed 's/^/	/' err
	}
}

lines() {
	[ "$(wc -l <"$1")" = "$2" ] || {
		wrong "$1 has not $2 lines, after: $last"
		sed 's/^/	/' "$1"
	}
}

says() {
	grep -qF -- "$2" "$1" || {
		wrong "$1 does not say '$2'"
		sed 's/^/	/' "$1"
	}
}

silent() {
	[ ! -s "$1" ] || {
		wrong "$1 is not empty"
		sed 's/^/	/' "$1"
	}
}

done_testing() {
	exit "$failed"
}
