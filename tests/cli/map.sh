#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# hugectl map and advise, of a process whose memory is known: 64 MiB mapped and
# written, the first half on transparent huge pages.
. "$(dirname "$0")/cli.sh"

# Itself, not a script that finds it.
python=$(python3 -c 'import sys; print(sys.executable)')
cat >program.py <<'EOP'
import mmap, sys
m = mmap.mmap(-1, 72 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
if len(sys.argv) > 1:
    m.madvise(mmap.MADV_NOHUGEPAGE)
    m.madvise(mmap.MADV_HUGEPAGE, 0, 32 << 20)
for i in range(0, 64 << 20, 4096):
    m[i] = 1
if len(sys.argv) > 1:
    open("ready", "w").close()
    open("in").read()
else: # long enough to be looked at
    for i in range(6000000):
        pass
sys.exit(7)
EOP
mkfifo in ready
"$python" program.py wait &
pid=$!
read -r line <ready

smaps() { # FIELD: the sum, in KiB
	awk -v field="$1:" '$1 == field { n += $2 } END { print n + 0 }' \
		"/proc/$pid/smaps"
}
mib() { # KIB, as the tables have it
	awk -v kib="$1" 'BEGIN { printf "%.1f MiB", kib / 1024 }'
}

run 0 "$HS_HUGECTL" map "$pid"
silent err
anon=$(smaps Anonymous)
thp=$(smaps AnonHugePages)
[ "$thp" = 0 ] || says out "$(mib "$thp")"
says out "base pages"
says out "$(mib $((anon - thp)))"
grep -q '|-*[-.]*\.\.\.\.\.' out || wrong "no base pages in the picture"
[ "$thp" -lt 16384 ] || grep -q -- '|.*---*\.' out ||
	wrong "no huge pages beside base pages: $(cat out)"

run 0 "$HS_HUGECTL" map --svg=map.svg "$pid"
silent out
silent err
[ ! -e map.svg.new ] || wrong "a file is left behind"
"$python" -c '
import sys
from xml.etree import ElementTree
svg = ElementTree.parse("map.svg").getroot()
ns = "{http://www.w3.org/2000/svg}"
width, height = float(svg.get("width")), float(svg.get("height"))
area = {}
for r in svg.iter(ns + "rect"):
    x, y, w, h = (float(r.get(k)) for k in ("x", "y", "width", "height"))
    assert 0 <= x and x + w <= width + .1 and y + h <= height + .1, r.attrib
    area[r.get("fill")] = area.get(r.get("fill"), 0) + w * h
# Areas of the picture are as memory is.
base, thp = (area.get(c, 0) for c in ("#fdae61", "#41b6c4"))
want = float(sys.argv[1]) / float(sys.argv[2])
assert abs(thp / (thp + base) - want) < 0.1, (thp, base, want)
' "$thp" "$anon" || wrong "the picture is not right"
run 0 "$HS_HUGECTL" map --svg=- "$pid"
cmp -s out map.svg || wrong "--svg=- draws something else"

run 0 "$HS_HUGECTL" advise "$pid"
silent err
says out "or more"
says out "base pages could be"
says out "hugectl"

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
cp map.svg before.svg
refused "No such file or directory" map --svg=nonexistent/x.svg "$pid"
refused "is not a process ID" map --svg=map.svg x
refused "'' is not a file" map --svg= "$pid"
refused "of which process" map
refused "of which process" map "$pid" "$pid"
refused "unrecognized option" map --bogus "$pid"
refused "on what" advise
refused "unrecognized option" advise --bogus
: >in
wait "$pid"
refused "$pid: no such process" map "$pid"
refused "$pid: no such process" map --svg=map.svg "$pid"
refused "$pid: no such process" advise "$pid"
cmp -s map.svg before.svg || wrong "a failure changes the file"
last="a full disk"
"$HS_HUGECTL" map --svg=- $$ >/dev/full 2>err
[ $? = 125 ] || wrong "a full disk is no failure"
lines err 1
# What is no file is written to, not replaced.
mkfifo pipe
cat pipe >piped &
run 0 "$HS_HUGECTL" map --svg=pipe $$
wait $!
[ -p pipe ] || wrong "a pipe is replaced by a file"
says piped "</svg>"
run 125 "$HS_HUGECTL" map --svg=. $$
lines err 1

# A command: its output and status are its own.
run 7 "$HS_HUGECTL" advise "$python" program.py
silent out
says err "base pages could be"
says err " on base pages, mappings of a huge page or more"
run 127 "$HS_HUGECTL" advise nonexistent-command
lines err 1
run 143 "$HS_HUGECTL" advise sh -c 'kill -TERM $$'

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	cp "$HS_HUGECTL" ./hugectl
	for command in map advise; do
		run 125 setpriv --reuid=65534 --clear-groups ./hugectl \
			$command $$
		says err "Permission denied"
	done
fi

done_testing
