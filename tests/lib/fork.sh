# SPDX-License-Identifier: LGPL-2.1-or-later
# fork.sh - runs of the fork tests' programs: source it after pool.sh.

fork_begin() { # PAGES
	need_lib
	need_pool_exactly "$1"
	fork_pages=$1
	fork_dir=$(mktemp -d)
	chmod 777 "$fork_dir" # for programs that drop privileges
	on_exit "rm -rf '$fork_dir'"
}

# Run a program under the library with the whole pool at its disposal; it must
# end with 0, leave no page behind, and count no rescue that failed.
fork_run() { # NAME PROGRAM ARGUMENTS...
	fork_name=$1
	shift
	need_pool_exactly "$fork_pages"
	fork_before=$(pool_counters)
	fork_start=$(date +%s)
	rm -f "$fork_dir/stats"
	run_shim HUGESHIM_LIMIT=none HUGESHIM_STATS="$fork_dir/stats" \
		HUGESHIM_STATS_FORMAT=json "$@" >"$fork_dir/out" \
		2>"$fork_dir/err" || {
		fork_status=$?
		tail -5 "$fork_dir/err" >&2
		fail "$fork_name: status $fork_status"
	}
	pool_same "$fork_before" "$fork_name" || exit 1
	[ "$(fork_stat rescue_failed)" = 0 ] ||
		fail "$fork_name: a rescue found no memory"
	fork_nr=$(sed -n 's/^forks \([0-9]*\) .*/\1/p' "$fork_dir/out")
	forks=$((${forks-0} + ${fork_nr:-0}))
	echo "ok - $fork_name: $(cat "$fork_dir/out")," \
		"$(fork_stat rescue_cow) rescues of the first process," \
		"$(($(date +%s) - fork_start)) s"
}

# A counter of the first process's report.
fork_stat() { # NAME
	tail -n 1 "$fork_dir/stats" | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"
}

# The last run tested what it was to test: at least PERCENT of the memory was
# on huge pages, and COUNTER is not 0.
fork_want() { # PERCENT COUNTER
	fork_huge=$(sed -n 's/.* huge \([0-9]*\)$/\1/p' "$fork_dir/out")
	[ "${fork_huge:-100}" -ge "$1" ] ||
		fail "$fork_name: only $fork_huge % on huge pages"
	[ "$(fork_stat "$2")" -gt 0 ] || fail "$fork_name: $2 is 0"
}
