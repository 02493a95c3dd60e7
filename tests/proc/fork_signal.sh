#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# fork in a signal handler that interrupted malloc, as crash handlers do; and
# stacks in heap memory, which the kernel writes without a call.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"
. "$top_srcdir/tests/lib/fork.sh"

program=$(test_program fork_signal)
stacks=$(test_program fork_stacks)

need_root
fork_begin 60
for seed in 1 2; do
	fork_run "fork in a handler, seed $seed" "$program" --seed $seed
	fork_run "fork in a handler, 3 threads, seed $seed" "$program" \
		--seed $seed --threads 3
	case $(cat "$fork_dir/out") in
	*" inside 0") fail "no signal found the program in the heap" ;;
	esac
done
for what in altstack thread context clone switch; do
	fork_run "stack in the heap, $what" "$stacks" $what
done
