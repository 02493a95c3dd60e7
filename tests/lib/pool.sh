# SPDX-License-Identifier: LGPL-2.1-or-later
# pool.sh - what a test script needs to use the huge page pool: source it.
#
#   need_pool 40            lock the pool, have 40 free pages, or skip (77)
#   before=$(pool_counters)
#   run_shim ./program      the program under the library
#   pool_same "$before"     no page leaked (retries while orphans exit)
#
# Purpose: the pool is one per machine.  Every user holds the one lock for as
# short as possible, sets what it needs and restores what it found; counters
# are compared by difference, never by value.
#
# The lock is file descriptor 9 of the script.  Background programs that may
# outlive the script are started with run_shim or with 9>&-, or they would
# keep the lock.  HS_POOL_LOCKED in the environment says that a caller of this
# script holds it already.
#
# Set by the caller, or found: HS_TEST_LIB, the libhugeshim.so under test;
# HS_TEST_BIN, where the test programs are.
#
# No bashisms.

HS_POOL_LOCK_FILE=/run/lock/hugeshim-pool.lock
HS_POOL_LOCK_SECONDS=${HS_POOL_LOCK_SECONDS-900}
hs_pool_saved=
hs_pool_exit_commands=

# --- outcome ---------------------------------------------------------------

# One line that says how to get what is missing.
skip() {
	echo "SKIP: $*"
	exit 77
}

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

# Run "$*" (a shell command) when the script ends, last one first, before the
# pool is restored.
on_exit() {
	hs_pool_exit_commands="$*
$hs_pool_exit_commands"
}

hs_pool_at_exit() {
	hs_pool_status=$?
	trap - EXIT HUP INT TERM
	eval "$hs_pool_exit_commands"
	pool_restore
	exit "$hs_pool_status"
}
trap hs_pool_at_exit EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# --- where things are --------------------------------------------------------

hs_find() { # VARIABLE FILE DIRECTORY...: the first directory that has FILE
	hs_find_var=$1 hs_find_file=$2
	shift 2
	for hs_find_dir; do
		[ -e "$hs_find_dir/$hs_find_file" ] || continue
		hs_find_dir=$(cd "$hs_find_dir" && pwd)
		eval "$hs_find_var=\$hs_find_dir/\$hs_find_file"
		return 0
	done
	return 1
}

hs_here=$(cd "$(dirname "$0")" && pwd)
: "${top_srcdir=$(cd "$hs_here/../.." && pwd)}"
: "${top_builddir=.}"
[ -n "${HS_TEST_LIB-}" ] ||
	hs_find HS_TEST_LIB libhugeshim.so "$top_builddir/.libs" \
		"$top_builddir/preload/.libs" "$top_srcdir/.libs" \
		"$top_srcdir/preload/.libs" "$top_srcdir" || HS_TEST_LIB=
export HS_TEST_LIB
# No word of the user's settings reaches a test.
for hs_name in $(env | sed -n 's/^\(HUGESHIM[A-Z_]*\)=.*/\1/p'); do
	unset "$hs_name"
done

# The path of the test program NAME.
test_program() {
	for hs_dir in ${HS_TEST_BIN+"$HS_TEST_BIN"} "$top_builddir/tests/proc" \
		"$top_builddir/tests" "$top_builddir" "$hs_here"; do
		[ -x "$hs_dir/$1" ] && [ ! -d "$hs_dir/$1" ] || continue
		echo "$hs_dir/$1"
		return 0
	done
	fail "test program $1 is not built (make check builds it)"
}

need_lib() {
	[ -n "$HS_TEST_LIB" ] && [ -r "$HS_TEST_LIB" ] ||
		fail "libhugeshim.so is not built, or set HS_TEST_LIB"
}

need_root() {
	[ "$(id -u)" = 0 ] || skip "needs root: run it with sudo"
}

need_command() { # COMMAND PACKAGE
	command -v "$1" >/dev/null 2>&1 ||
		skip "needs $1: apt-get install ${2-$1}"
}

# Under the library, without the lock's descriptor.  Assignments may lead:
# run_shim HUGESHIM_VERBOSE=2 ./program
run_shim() {
	need_lib
	env LD_PRELOAD="$HS_TEST_LIB" "$@" 9>&-
}

run_bare() {
	env -u LD_PRELOAD "$@" 9>&-
}

# --- the pool ----------------------------------------------------------------

hs_pool_kb=$(sed -n 's/^Hugepagesize: *\([0-9]*\) kB/\1/p' /proc/meminfo)
hs_pool_dir=/sys/kernel/mm/hugepages/hugepages-${hs_pool_kb:-none}kB

pool_huge_bytes() {
	echo $((${hs_pool_kb:-0} * 1024))
}

# Take the one lock, waiting for others; idempotent.
pool_lock() {
	[ -z "${HS_POOL_LOCKED-}" ] || return 0
	command -v flock >/dev/null 2>&1 ||
		skip "needs flock: apt-get install util-linux"
	if ! { [ "$(id -u)" = 0 ] && [ -d /run/lock ]; }; then
		HS_POOL_LOCK_FILE=${TMPDIR:-/tmp}/hugeshim-pool.lock
	fi
	exec 9>>"$HS_POOL_LOCK_FILE" ||
		fail "cannot open $HS_POOL_LOCK_FILE"
	flock -w "$HS_POOL_LOCK_SECONDS" 9 ||
		fail "no pool lock after $HS_POOL_LOCK_SECONDS s: who holds" \
			"$HS_POOL_LOCK_FILE?"
	HS_POOL_LOCKED=$$
	export HS_POOL_LOCKED
}

pool_unlock() {
	[ "${HS_POOL_LOCKED-}" = $$ ] || return 0
	unset HS_POOL_LOCKED
	exec 9>&-
}

pool_value() { # nr_hugepages | free_hugepages | resv_hugepages | ...
	cat "$hs_pool_dir/$1" 2>/dev/null || echo 0
}

pool_total() { pool_value nr_hugepages; }

# The size that was asked for.  nr_hugepages of /sys counts pages as well that
# a process still holds of a pool that has shrunk since: who restores that
# number makes them stay.
pool_size() { cat /proc/sys/vm/nr_hugepages; }
# Free, and promised to nobody.
pool_free() {
	echo $(($(pool_value free_hugepages) - $(pool_value resv_hugepages)))
}

# "total free reserved surplus"
pool_counters() {
	echo "$(pool_value nr_hugepages) $(pool_value free_hugepages)" \
		"$(pool_value resv_hugepages) $(pool_value surplus_hugepages)"
}

# Do the counters equal BEFORE?  A process that was killed gives its pages back
# at once; an orphan does when it is reaped, so a bounded number of looks.  With
# HS_POOL_SHARED in the environment, on a machine whose other programs come and
# go with huge pages of their own, a difference is only shown.
pool_same() { # BEFORE [WHAT]
	hs_look=0
	while [ $hs_look -lt 300 ]; do
		hs_now=$(pool_counters)
		[ "$hs_now" != "$1" ] || return 0
		hs_look=$((hs_look + 1))
	done
	echo "pool leaked${2+ by $2}: (total free reserved surplus)" \
		"before $1, after $hs_now" >&2
	[ -n "${HS_POOL_SHARED-}" ]
}

hs_pool_write() {
	echo "$1" 2>/dev/null >"$hs_pool_dir/nr_hugepages"
}

# Exactly N pages in all; false when the machine cannot.  The pool is
# restored at exit.
pool_set() {
	pool_lock
	[ -n "$hs_pool_saved" ] || hs_pool_saved=$(pool_size)
	[ -w "$hs_pool_dir/nr_hugepages" ] || return 1
	hs_pool_write "$1"
	if [ "$(pool_total)" -lt "$1" ]; then
		echo 1 2>/dev/null >/proc/sys/vm/compact_memory
		hs_pool_write "$1"
	fi
	[ "$(pool_total)" = "$1" ]
}

# What was there before the first pool_set, and the lock back.
pool_restore() {
	if [ -n "$hs_pool_saved" ]; then
		hs_pool_write "$hs_pool_saved"
		hs_pool_saved=
	fi
	pool_unlock
}

# The last test's processes may still be ending, with pages of a pool that is
# smaller again: counters taken now would not come back.
pool_settle() {
	hs_look=0
	while [ "$(pool_free)" != "$(pool_total)" ] && [ $hs_look -lt 300 ]; do
		hs_look=$((hs_look + 1))
	done
}

# At least N free pages, locked, or skip.  Pages that the machine's owner
# reserved stay; the pool only grows.
need_pool() {
	[ -d "$hs_pool_dir" ] ||
		skip "no huge pages: needs a kernel with CONFIG_HUGETLBFS"
	pool_lock
	pool_settle
	[ "$(pool_free)" -ge "$1" ] && return 0
	pool_set $(($(pool_total) + $1 - $(pool_free))) && return 0
	pool_restore
	skip "needs $1 free huge pages of $hs_pool_kb kB: as root," \
		"echo $1 > /proc/sys/vm/nr_hugepages"
}

# Exactly N free pages and no more to come, or skip: for tests of shortage.
# Pages that a process outside of the tests holds are left to it.
need_pool_exactly() {
	[ -d "$hs_pool_dir" ] ||
		skip "no huge pages: needs a kernel with CONFIG_HUGETLBFS"
	pool_lock
	pool_settle
	# A process outside that ends or begins meanwhile: look again.
	for hs_look in 1 2 3 4 5; do
		hs_surplus=$(pool_value surplus_hugepages)
		[ "$(pool_free) $hs_surplus" = "$1 0" ] && return 0
		pool_set $(($(pool_total) - $(pool_free) + $1)) || continue
		[ "$(pool_free)" != "$1" ] || return 0
	done
	hs_now=$(pool_counters)
	pool_restore
	skip "needs a pool of exactly $1 free huge pages (is $hs_now: total" \
		"free reserved surplus): as root, with no other user of them"
}
