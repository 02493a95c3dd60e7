#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Debuggers and a mapping of which little is touched: attaching gdb or strace
# takes no huge page, the kernel's core dump neither, and what it holds is right;
# gcore reads all of a mapping, so it takes pages for it, which the process gives
# back, and its file is right, too.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"

need_root
need_command gdb
need_command strace
dir=$(mktemp -d)
on_exit "rm -rf '$dir'"
sparse=$(test_program vm_sparse)
cd "$dir" || exit 1
mkfifo in out

# A process with a mapping of GIB: $pid; the mapping: $at.
begin() { # wait|abort GIB
	run_shim HUGESHIM_LIMIT=none "$sparse" "$1" "$2" <in >out 2>err &
	child=$!
	exec 8>in
	read -r word at pid <out
	[ "$word" = mapped ] || fail "vm_sparse $*: $(cat err)"
}

end() {
	echo go >&8
	exec 8>&-
	wait $child
}

no_drain() { # WHAT
	[ "$(pool_free)" -ge "$taken" ] ||
		fail "$1 took $((taken - $(pool_free))) huge pages"
	echo "ok - $1: no huge page"
}

# The words that vm_sparse wrote, as gdb finds them in the file.
core_holds() { # FILE GIB
	step=67108864 i=0 last=$(($2 * 16))
	while [ $i -lt $last ]; do
		place=$(printf '0x%x' $((at + i * step + 123 * 4096)))
		printf 'output/d *(long *)%s\necho \\n\n' "$place"
		i=$((i + 8))
	done >commands
	gdb -q -batch -nx -x commands "$sparse" "$1" 2>gdb.err |
		grep '^[0-9]*$' >got
	i=0
	while [ $i -lt $last ]; do
		echo $i
		i=$((i + 8))
	done >want
	cmp -s got want || fail "$1 holds $(xargs <got), not $(xargs <want):" \
		"$(tail -2 gdb.err)"
}

need_pool 600
before=$(pool_counters)

begin wait 8
taken=$(pool_free)
gdb -q -batch -nx -p "$pid" -ex bt -ex detach >gdb.out 2>&1 9>&- ||
	fail "gdb: $(tail -3 gdb.out)"
no_drain "gdb -p"
mkfifo attached
strace -f -p "$pid" -o strace.out 2>attached 9>&- &
strace=$!
read -r line <attached
no_drain "strace -f -p ($line)"
end || fail "after strace: status $?"
wait $strace
pool_same "$before" "gdb and strace" || exit 1

begin wait 1
taken=$(pool_free)
gcore -o file "$pid" >gcore.out 2>&1 9>&- || fail "gcore: $(tail -3 gcore.out)"
core_holds "file.$pid" 1
# libhugeshim(7) says so; when it is no longer true, it should not.
[ "$(pool_free)" -lt $((taken - 400)) ] ||
	fail "gcore took $((taken - $(pool_free))) huge pages: the man page"
rm -f "file.$pid"
end || fail "after gcore: status $?"
pool_same "$before" gcore || exit 1
echo "ok - gcore"

pattern=$(cat /proc/sys/kernel/core_pattern)
on_exit "echo '$pattern' >/proc/sys/kernel/core_pattern"
echo "$dir/dump.%p" >/proc/sys/kernel/core_pattern 2>/dev/null ||
	skip "core_pattern cannot be set"
begin abort 8
taken=$(pool_free)
end 2>/dev/null
status=$?
[ $status = 134 ] || fail "abort ended with $status: $(cat err)"
[ -s "dump.$pid" ] || fail "no core dump: $(ls)"
pool_same "$before" "a core dump" || exit 1
core_holds "dump.$pid" 8
# 8 GiB of holes: what lies on the disk are the touched pages.
kib=$(du -k "dump.$pid" | cut -f1)
[ "$kib" -lt $((20 * 2048 + 8192)) ] || fail "the core dump takes $kib KiB"
echo "ok - core dump of $kib KiB"
