#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every way to make a child, with no page left for the copies.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"
. "$top_srcdir/tests/lib/fork.sh"

ways=$(test_program fork_ways)

need_root
fork_begin 60
fork_run "every way to fork" "$ways"
fork_want 0 rescue_cow
# Limits that leave no room: a copy must need none.
limits=$(test_program fork_limits)
for what in as data mlock mlock-user; do
	fork_run "fork under a limit, $what" "$limits" $what
done
fork_run "every way to fork, with threads" "$ways" --threads 3
