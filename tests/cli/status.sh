#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# hugectl status says what /proc and /sys say, as a table, as JSON and for
# Prometheus; without privilege, and without changing anything.
. "$(dirname "$0")/cli.sh"

sizes=/sys/kernel/mm/hugepages

# json EXPRESSION: true of the object s in out
json() {
	python3 -c '
import json, sys
s = json.load(open("out"))
assert eval("(" + sys.argv[1] + ")"), sys.argv[1]' "$1" 2>python.err || {
		wrong "not so: $1"
		sed 's/^/	/' out
	}
}

run 0 "$HS_HUGECTL" status --json
lines out 1
silent err
json 'sorted(s) == sorted(("pools nodes default_page_bytes thp memory_bytes "
	"available_bytes limits mounts shm_group overcommit_memory "
	"max_map_count userfaultfd processes").split())'
json 's["overcommit_memory"] == int(open(
	"/proc/sys/vm/overcommit_memory").read())'
json 's["max_map_count"] == int(open("/proc/sys/vm/max_map_count").read())'
[ ! -r /proc/sys/vm/hugetlb_shm_group ] ||
	json 's["shm_group"] == int(open(
		"/proc/sys/vm/hugetlb_shm_group").read())'
json '0 < s["available_bytes"] <= s["memory_bytes"]'
json 'all(0 <= p["free"] <= p["total"] for p in s["pools"])'
json 'all(p["hugetlb_bytes"] > 0 and p["pid"] > 0 for p in s["processes"])'
json '[p["page_bytes"] for p in s["pools"]] ==
	sorted(p["page_bytes"] for p in s["pools"])'
for dir in "$sizes"/hugepages-*; do
	[ -d "$dir" ] || continue
	kib=${dir##*-}
	json "[p for p in s['pools'] if p['page_bytes'] == ${kib%kB} * 1024][0][
		'overcommit'] == int(open('$dir/nr_overcommit_hugepages').read())"
done
json 's["default_page_bytes"] == 1024 * int([l.split()[1] for l in
	open("/proc/meminfo") if l.startswith("Hugepagesize")][0])'

run 0 "$HS_HUGECTL" status
silent err
for text in "Huge page pools" "THP " "Limits of this control group" \
	"vm.overcommit_memory=$(cat /proc/sys/vm/overcommit_memory)"; do
	says out "$text"
done
! grep -q "$(printf '\033')" out || wrong "colour in a file"
[ "$(awk 'length > 100' out | wc -l)" = 0 ] || wrong "wider than a screen"

run 0 "$HS_HUGECTL" status --openmetrics
[ "$(tail -n 1 out)" = "# EOF" ] || wrong "no end of the metrics"
# Each sample belongs to a family, which is declared once.
awk '/^# TYPE / { if (seen[$3]++) bad = 1; kind[$3] = $4 }
/^[a-z]/ { name = $1; sub(/[{].*/, "", name); if (kind[name] != "gauge") bad = 1 }
END { exit bad }' out || wrong "samples of no family"
says out 'hugepages_thp_bytes '

refused() { # TEXT OPTION...
	text=$1
	shift
	last="status $*"
	run 125 "$HS_HUGECTL" status "$@"
	lines err 1
	silent out
	says err "hugectl: status: "
	says err "$text"
}
refused "unrecognized option" --bogus
refused "'x' is not an option" x
refused "not both" --json --openmetrics
refused "doesn't allow an argument" --all=yes
last="a full disk"
"$HS_HUGECTL" status >/dev/full 2>err
[ $? = 125 ] || wrong "a full disk is no failure"
lines err 1

# A program of that name.
mkdir bin
printf '#!/bin/sh\nexit 9\n' >bin/status
chmod +x bin/status
PATH=$work/bin:$PATH
run 9 "$HS_HUGECTL" -- status
run 9 "$HS_HUGECTL" --heap status

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	cp "$HS_HUGECTL" ./hugectl
	run 0 setpriv --reuid=65534 --clear-groups ./hugectl status --json
	json 's["pools"] is not None and s["memory_bytes"] > 0'
fi

done_testing
