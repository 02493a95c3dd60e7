# SPDX-License-Identifier: LGPL-2.1-or-later
# shortage.sh - rows of the shortage tests: source it after pool.sh.
#
# row NAME [--wrap "COMMAND..."] [--why KEY[|KEY]] [--percent N] [--huge]
#          [--no-huge] [--preload env|with] [--env NAME=VALUE] [--spare N]
#          -- ARGUMENTS...
#
# runs shortage_heap ARGUMENTS bare and then under the library, both by way of
# COMMAND (a prefix: prlimit, unshare, a script of ours), and holds when
#   - both end with status 0 (a bare run that does not is a broken row);
#   - no more allocations fail than bare (--spare N more, where a limit leaves
#     less than twice the memory alive and each allocator has its own holes);
#   - --greedy obtains at least N percent (default 93) of what bare obtains, but
#     for 8 MiB: the library's own memory, and blocks rounded to their classes;
#   - what mlockall answered is the same;
#   - the library wrote its report, and that counts something under one KEY;
#   - with --huge, some of the heap was on huge pages, with --no-huge none;
#   - no page leaked from the pool.
# rows_end prints the sum and gives the exit status.

rows_ok=0
rows_bad=0
rows_dir=
shortage_heap=$(test_program shortage_heap)

rows_begin() {
	need_lib
	rows_dir=$(mktemp -d)
	chmod 755 "$rows_dir"
	on_exit "rm -rf '$rows_dir'"
	row_lib=$HS_TEST_LIB
	row_program=$shortage_heap
}

row_bad() {
	echo "not ok - $row_name: $*"
	rows_bad=$((rows_bad + 1))
}

# A field of the result line, "none" when the program did not get so far.
row_field() { # FILE FIELD
	sed -n "s/^result .*\\b$2=\\(-\\{0,1\\}[0-9]*\\).*/\\1/p" "$1" |
		grep . || echo none
}

# Of the report: the sum of the counters named in "a|b".
row_counter() { # FILE KEYS
	sed -n 's/[{,]/\n/gp' "$1" | sed -nE "s/^\"($2)\":([0-9]+).*/\\2/p" |
		awk '{ s += $1 } END { print s + 0 }'
}

row_run_shim() {
	if [ "$row_preload" = with ]; then
		# To a file: a copy of standard error takes one call more.
		rm -f "$rows_dir/report"
		env HUGESHIM_STATS="$rows_dir/report" \
			HUGESHIM_STATS_FORMAT=json $row_env \
			WITH_PRELOAD="$row_lib" $row_wrap "$row_program" "$@" \
			9>&-
		row_status=$?
		cat "$rows_dir/report" >&2
		return $row_status
	else
		$row_wrap env LD_PRELOAD="$row_lib" HUGESHIM_STATS=- \
			HUGESHIM_STATS_FORMAT=json $row_env \
			"$row_program" "$@" 9>&-
	fi
}

row_compare() {
	bare=$rows_dir/bare shim=$rows_dir/shim
	f_bare=$(row_field "$bare" failed) f_shim=$(row_field "$shim" failed)
	o_bare=$(row_field "$bare" obtained)
	o_shim=$(row_field "$shim" obtained)
	lock_bare=$(grep ^mlockall "$bare")
	lock_shim=$(grep ^mlockall "$shim")
	huge=$(row_field "$shim" huge)
	if [ "$f_shim" -gt $((f_bare + row_spare)) ]; then
		row_bad "$f_shim allocations failed, $f_bare bare"
	elif [ $(((o_shim + 8388608) * 100)) -lt \
		$((o_bare * row_percent)) ]; then
		row_bad "obtained $o_shim bytes, $o_bare bare"
	elif [ "$lock_bare" != "$lock_shim" ]; then
		row_bad "$lock_shim, bare: $lock_bare"
	elif [ "$row_huge" = yes ] && [ "$huge" -lt 2000000 ]; then
		row_bad "no huge page was used ($huge bytes)"
	elif [ "$row_huge" = no ] && [ "$huge" -gt 0 ]; then
		row_bad "$huge bytes on huge pages"
	elif ! grep -q '{"version"' "$shim.err"; then
		row_bad "no report, was the library there?" \
			"$(tail -1 "$shim.err")"
	elif [ -n "$row_why" ] &&
		[ "$(row_counter "$shim.err" "$row_why")" = 0 ]; then
		row_bad "the report does not say why ($row_why)"
		grep '[{]' "$shim.err" | head -c 2000
	else
		return 0
	fi
	return 1
}

row() {
	row_name=$1
	shift
	row_wrap='' row_why='' row_percent=93 row_huge='' row_preload=env
	row_env='' row_spare=0
	while [ "$1" != -- ]; do
		case $1 in
		--wrap) row_wrap=$2 && shift ;;
		--why) row_why=$2 && shift ;;
		--percent) row_percent=$2 && shift ;;
		--preload) row_preload=$2 && shift ;;
		--env) row_env=$2 && shift ;;
		--spare) row_spare=$2 && shift ;;
		--huge) row_huge=yes ;;
		--no-huge) row_huge=no ;;
		*) fail "row $row_name: option $1" ;;
		esac
		shift
	done
	shift
	row_before=$(pool_counters)
	$row_wrap "$row_program" "$@" >"$rows_dir/bare" \
		2>"$rows_dir/bare.err" 9>&-
	row_status=$?
	if [ $row_status != 0 ]; then
		row_bad "status $row_status without the library:" \
			"$(tail -1 "$rows_dir/bare.err")"
		return
	fi
	row_run_shim "$@" >"$rows_dir/shim" 2>"$rows_dir/shim.err"
	row_status=$?
	if [ $row_status != 0 ]; then
		row_bad "status $row_status, 0 bare:" \
			"$(tail -2 "$rows_dir/shim.err")"
		return
	fi
	row_compare || return
	# What other processes do to the pool meanwhile is not ours.
	if [ -z "${row_pool_moves-}" ] && ! pool_same "$row_before"; then
		row_bad "pool pages leaked"
		return
	fi
	echo "ok - $row_name (huge $(row_field "$rows_dir/shim" huge)," \
		"obtained $(row_field "$rows_dir/shim" obtained)" \
		"of $(row_field "$rows_dir/bare" obtained))"
	rows_ok=$((rows_ok + 1))
}

row_skip() { # NAME REASON...
	row_name=$1
	shift
	echo "skip - $row_name: $*"
}

rows_end() {
	echo "$rows_ok rows hold, $rows_bad do not"
	[ $rows_bad = 0 ] || exit 1
	[ $rows_ok != 0 ] || exit 77
	exit 0
}
