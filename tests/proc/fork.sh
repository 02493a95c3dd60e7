#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Parent, child and grandchild rewrite everything with the pool exhausted at
# each stage: over 1000 seeded forks, with 1 and 8 threads, nobody is killed
# and no word is wrong.  --long makes ten times as many.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"
. "$top_srcdir/tests/lib/fork.sh"

times=1
[ "${1-}" != --long ] || times=10
rewrite=$(test_program fork_rewrite)
threads=$(test_program fork_threads)

need_root
fork_begin 60
forks=0
for seed in 1 2; do
	fork_run "rewrite, 1 thread, seed $seed" "$rewrite" \
		--rounds $((190 * times)) --seed $seed --mib 16
	fork_want 50 rescue_cow
	fork_run "rewrite, 8 threads, seed $seed" "$rewrite" \
		--rounds $((60 * times)) --seed $seed --threads 8 --mib 12
	fork_want 50 rescue_cow
done
[ "$forks" -ge 1000 ] || fail "only $forks forks"
fork_run "threads that go on writing" "$threads" --mib 12 \
	--epochs $((4 * times)) --forks 10
fork_want 50 rescue_cow
echo "$forks forks"
