#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# hugectl stat and top: what they say of a live process is what its /proc entry
# and, at its end, its own report say; it does not notice them.
top_srcdir=${HS_SRCDIR-$(cd "$(dirname "$0")/../.." && pwd)}
top_builddir=${HS_BUILDDIR-$PWD}
. "$top_srcdir/tests/lib/pool.sh"
HS_SRCDIR=$top_srcdir HS_BUILDDIR=$(cd "$top_builddir" && pwd)
. "$top_srcdir/tests/cli/cli.sh"
# Its programs take pages, if there are any: not another test's.
pool_lock

# Itself, not a script that finds it.
python=$(python3 -c 'import sys; print(sys.executable)')

# json EXPRESSION [FILE]: true of the object s in FILE
json() {
	"$python" -c '
import json, os, re, sys
s = json.loads(open(sys.argv[2]).readline())
smaps = open("smaps").read() if os.path.exists("smaps") else ""
def kib(field):
    return 1024 * sum(int(n) for n in
        re.findall("^" + field + ": *([0-9]+) kB", smaps, re.M))
assert eval("(" + sys.argv[1] + ")"), sys.argv[1]' "$1" "${2-out}" \
		2>python.err || {
		wrong "not so: $1"
		tail -n 1 python.err
		head -c 2000 "${2-out}"
	}
}

# begin OPTIONS: a program with 24 MiB, that waits for a line.
begin() {
	rm -f in ready
	mkfifo in ready
	# shellcheck disable=SC2086 # a list of options
	"$HS_HUGECTL" $1 "$python" -c '
import sys
x = bytearray(b"x" * (24 << 20))
open("ready", "w").close()
open("in").read()' 8>&- 9>&- &
	pid=$!
	read -r line <ready
}

end() {
	: >in
	wait "$pid" || wrong "the program's status is $?"
}

# --- under the library ---------------------------------------------------------------

begin "--thp --stats=report --json"
run 0 "$HS_HUGECTL" stat --json "$pid"
cp out stat.json
cat "/proc/$pid/smaps" >smaps
json "s['pid'] == $pid and s['program'] == os.path.basename('$python')"
json 's["library"] == "libhugeshim.so"'
json 's["pages"]["thp_bytes"] == kib("AnonHugePages")'
json 's["pages"]["base_bytes"] == kib("Anonymous") - kib("AnonHugePages")'
json 's["pages"]["hugetlb"] == {} and s["hugetlb_bytes"] == 0'
json 'sum(m["now"] for m in s["memory"].values()) > 24 << 20'

# Whatever is asked, as often as it is asked: no fault, no switch, no mapping.
# (minflt of stat, the maps and the open files.)
state() {
	sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f 8,10
	grep ctxt_switches "/proc/$pid/status"
	ls "/proc/$pid/fd"
	cat "/proc/$pid/maps"
}
state >before
for option in --json ""; do
	run 0 "$HS_HUGECTL" stat $option "$pid"
	silent err
done
run 0 "$HS_HUGECTL" top --batch --count=1
state >after
cmp -s before after || {
	wrong "the process has noticed"
	diff before after
}

run 0 "$HS_HUGECTL" stat "$pid"
says out ", PID $pid, user "
says out "libhugeshim.so"
says out "of its own memory on huge pages"
run 0 "$HS_HUGECTL" top --batch --count=1
says out " $pid "
[ "$(wc -l <out)" -le 22 ] || wrong "more than a screen"
last="two looks"
run 0 "$HS_HUGECTL" top -b -n 2 -d 0.1
[ "$(grep -c PROGRAM out)" = 2 ] || wrong "not two looks"

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	cp "$HS_HUGECTL" ./hugectl
	run 0 setpriv --reuid=65534 --clear-groups ./hugectl stat --json "$pid"
	json 's["pages"] is None and s["memory"] is None'
	json 's["rss_bytes"] > 24 << 20'
fi
end
# At exit it had what it had then.
json 's["events"] == json.load(open("stat.json"))["events"]' report
json 's["memory"]["thp_bytes"]["peak"] ==
	json.load(open("stat.json"))["memory"]["thp_bytes"]["peak"]' report

# --- without it, and two at once -------------------------------------------------------

begin --no-preload
run 0 "$HS_HUGECTL" stat --json "$pid" $$
lines out 2
cat "/proc/$pid/smaps" >smaps
json 's["library"] is None and s["events"] is None'
json 's["pages"]["base_bytes"] == kib("Anonymous") - kib("AnonHugePages")'
run 0 "$HS_HUGECTL" stat "$pid"
says out "not under the library"
gone=$pid
end

# --- bad input ---------------------------------------------------------------------------

refused() { # TEXT ARGUMENT...
	text=$1
	shift
	last="$*"
	run 125 "$HS_HUGECTL" "$@"
	lines err 1
	silent out
	says err "hugectl: "
	says err "$text"
}
refused "'x' is not a process ID" stat x
refused "'-1' is not a process ID" stat -- -1
refused "'' is not a process ID" stat ""
refused "'0' is not a process ID" stat 0
refused "'99999999999999' is not a process ID" stat 99999999999999
refused "$gone: no such process" stat "$gone"
refused "$gone: no such process" stat $$ "$gone"
refused "of which process" stat
refused "unrecognized option" stat --bogus
refused "'x' is not a number" top --delay=x
refused "'0' is not a number" top --delay=0
refused "'nan' is not a number" top --delay=nan
refused "'0' is not a number" top --batch --count=0
refused "'x' is not an option" top x
refused "not on a terminal" top

done_testing
