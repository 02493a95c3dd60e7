#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# System calls on memory that cannot be copied, or was never touched, with the
# pool empty: no EFAULT, nothing lost.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"
. "$top_srcdir/tests/lib/fork.sh"

syscalls=$(test_program fork_syscalls)

need_root
fork_begin 150
for what in frozen lazy lazy-across; do
	fork_run "system calls, $what" "$syscalls" $what
	fork_want 0 syscall_touch
done
