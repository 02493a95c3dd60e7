#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Random calls of the mmap family against a model of base pages: the model
# against the bare kernel, then the library against the model, with pools of
# several sizes and one that changes.
#
#   --seeds FIRST LAST   of the runs (1 3)
#   --steps N            of each (20000)
#   --pools "0 4 ..."    free pages of each state, or "changing"
#   --long               100 seeds in every state
#   --bare               only the model against the kernel
#   --shim               only the library against the model
: "${top_srcdir=$(dirname "$0")/../..}" "${top_builddir=.}"
# shellcheck source=tests/lib/pool.sh
. "$top_srcdir/tests/lib/pool.sh"

first=1 last=3 steps=20000 pools="0 4 20 60 changing" bare=yes shim=yes
while [ $# -gt 0 ]; do
	case $1 in
	--seeds)
		first=$2 last=$3
		shift 2
		;;
	--steps)
		steps=$2
		shift
		;;
	--pools)
		pools=$2
		shift
		;;
	--long) last=100 ;;
	--bare) shim= ;;
	--shim) bare= ;;
	*) fail "unknown argument $1" ;;
	esac
	shift
done
fuzz=$top_builddir/tests/fault/vm_fuzz
[ -x "$fuzz" ] || fail "tests/fault/vm_fuzz is not built"
dir=$(mktemp -d)
on_exit "rm -rf '$dir'"
failed=0

one() { # RUNNER NAME ARGUMENT OF vm_fuzz...
	runner=$1 name=$2
	shift 2
	"$runner" "$fuzz" --steps "$steps" "$@" >"$dir/out" 2>&1 && return
	status=$?
	[ $status != 77 ] || skip "$(sed -n 's/^SKIP: //p' "$dir/out")"
	echo "FAIL: $name: vm_fuzz --steps $steps $*: status $status" >&2
	tail -n 60 "$dir/out" >&2
	failed=1
}

# Every second seed with slots that are LAZY until they are touched.
# shellcheck disable=SC2317 # by one
shim() {
	if [ $((seed % 2)) = 0 ]; then
		set -- HUGESHIM_POPULATE_MAX=2M "$@"
	fi
	run_shim HUGESHIM_LIMIT=none HUGESHIM_MMAP_FIRST=0 "$@"
}

each_way() { # RUNNER NAME [ARGUMENT OF vm_fuzz]
	runner=$1 name=$2
	shift 2
	one "$runner" "$name" --seed "$seed" "$@"
	one "$runner" "$name" --seed "$seed" --forks 6 "$@"
	one "$runner" "$name" --seed "$seed" --threads 4 "$@"
}

pool_used() {
	echo $(($(pool_total) - $(pool_free)))
}

# A child that was the last may still be giving its pages back.
no_leak() { # USED-BEFORE WHAT
	look=0
	while [ "$(pool_used)" -gt "$1" ]; do
		look=$((look + 1))
		[ $look -lt 300 ] && continue
		[ -n "${HS_POOL_SHARED-}" ] || failed=1
		echo "FAIL: $2: $1 pages in use before, $(pool_used) after" >&2
		return
	done
}

run_pool() { # FREE PAGES, or changing
	free=$1
	set --
	if [ "$free" = changing ]; then
		need_pool_exactly 20
		low=$(($(pool_total) - 20))
		set -- --pool-toggle "$low:$((low + 40))"
	else
		need_pool_exactly "$free"
	fi
	used=$(pool_used)
	each_way shim "$free pages" "$@"
	no_leak "$used" "seed $seed, $free pages"
	pool_restore
}

start=$(date +%s)
seed=$first
while [ -n "$bare" ] && [ "$seed" -le "$last" ]; do
	each_way run_bare "bare"
	seed=$((seed + 1))
done
[ -z "$bare" ] || echo "seeds $first to $last: the model is the kernel's," \
	"$(($(date +%s) - start)) s"
[ -n "$shim" ] || exit $failed
need_lib
need_root
for pool in $pools; do
	start=$(date +%s)
	seed=$first
	while [ "$seed" -le "$last" ]; do
		run_pool "$pool"
		seed=$((seed + 1))
	done
	echo "seeds $first to $last, pool $pool: $(($(date +%s) - start)) s"
done
exit $failed
