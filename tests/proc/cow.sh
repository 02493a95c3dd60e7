#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The fork tests with the engine that write-protects the heap and copies in the
# handler, for heaps of any size: with pages for the copies, and with none.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"
. "$top_srcdir/tests/lib/fork.sh"

HUGESHIM_COW=sigsegv
HUGESHIM_COW_MIN=0
export HUGESHIM_COW HUGESHIM_COW_MIN

rewrite=$(test_program fork_rewrite)
threads=$(test_program fork_threads)
ways=$(test_program fork_ways)
syscalls=$(test_program fork_syscalls)
signals=$(test_program fork_signal)
stacks=$(test_program fork_stacks)
calls=$(test_program cow_calls)

need_root
fork_begin 100
fork_run "rewrite, 1 thread" "$rewrite" --rounds 25 --seed 3 --mib 16
fork_want 50 cow_copied
fork_want 50 cow_lifted
fork_run "rewrite, 8 threads" "$rewrite" --rounds 15 --seed 4 --threads 8 \
	--mib 12
fork_want 50 cow_copied
fork_run "threads that go on writing" "$threads" --mib 12 --epochs 1 --forks 5
fork_want 50 cow_copied
fork_run "every way to fork" "$ways"
fork_want 0 cow_fork
fork_run "calls from 4 threads" "$calls" --seed 1 --forks 40
fork_want 0 cow_copied
fork_run "fork in a handler" "$signals" --seed 1
for what in altstack thread context clone switch; do
	fork_run "stack in the heap, $what" "$stacks" $what
done
need_pool_exactly 14
fork_pages=14
fork_run "calls from 4 threads, no page for copies" "$calls" --seed 3 \
	--forks 30 --unseen 0
fork_want 0 rescue_cow
need_pool_exactly 150
fork_pages=150
for what in frozen lazy lazy-across; do
	fork_run "system calls, $what" "$syscalls" $what
	fork_want 0 syscall_touch
done
