#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What each option does to the environment of the program, read from the
# program's /proc entry; that --dry-run says the same; statuses; bad values.
. "$(dirname "$0")/cli.sh"

# The environment that a program gets with these options.
target_env() {
	run 0 "$HS_HUGECTL" "$@" cat /proc/self/environ
	tr '\0' '\n' <out | sort >environ
}

has() { # NAME=VALUE
	grep -qxF -- "$1" environ || {
		wrong "no $1 with: $options"
		sed 's/^/	/' environ
	}
}

has_no() { # NAME
	! grep -q "^$1=" environ || wrong "$1 is set with: $options"
}

# gives "OPTIONS" NAME=VALUE...
gives() {
	options=$1
	shift
	# shellcheck disable=SC2086 # a list of options
	target_env $options
	silent err
	for assignment; do
		has "$assignment"
	done
}

# --- each option ---------------------------------------------------------------

gives "" "LD_PRELOAD=$HS_SHIM" HUGETLB_VERBOSE=2 HUGESHIM_VERBOSE=0
for name in HUGESHIM_HEAP HUGESHIM_MMAP HUGESHIM_SHM HUGESHIM_STATS \
	HUGESHIM_PAGE_SIZE HUGESHIM_BACKING HUGETLB_MORECORE LD_LIBRARY_PATH \
	GLIBC_TUNABLES; do
	has_no $name
done
# What is named alone is on alone.
without=${HS_SHIM%.so}-mmap.so # leaves malloc to the program
gives --heap "LD_PRELOAD=$HS_SHIM" \
	HUGESHIM_HEAP=yes HUGETLB_MORECORE=yes HUGESHIM_MMAP=no
gives --heap=2M HUGESHIM_HEAP=2M HUGETLB_MORECORE=2M HUGESHIM_MMAP=no
gives --heap=thp HUGESHIM_HEAP=thp HUGETLB_MORECORE=thp HUGESHIM_MMAP=no
gives --mmap "LD_PRELOAD=$without" HUGESHIM_HEAP=no HUGESHIM_MMAP=yes
has_no HUGETLB_MORECORE
has_no HUGESHIM_PAGE_SIZE
gives --mmap=2M HUGESHIM_HEAP=no HUGESHIM_MMAP=yes HUGESHIM_PAGE_SIZE=2M
gives --mmap=thp HUGESHIM_HEAP=no HUGESHIM_MMAP=yes HUGESHIM_BACKING=thp
gives "--heap --mmap" HUGESHIM_HEAP=yes HUGESHIM_MMAP=yes
gives "--mmap=on --heap=2M" HUGESHIM_HEAP=2M HUGESHIM_MMAP=yes
gives "--mmap=2M --heap=2M" HUGESHIM_HEAP=2M HUGESHIM_MMAP=yes
gives "--mmap=2M --page-size=2048K" HUGESHIM_PAGE_SIZE=2M
gives --shm "LD_PRELOAD=$without" HUGESHIM_HEAP=no HUGESHIM_MMAP=no \
	HUGESHIM_SHM=yes HUGETLB_SHM=yes
gives "--shm --mmap" "LD_PRELOAD=$without" HUGESHIM_HEAP=no HUGESHIM_MMAP=yes \
	HUGESHIM_SHM=yes
gives "--shm=2M --heap" "LD_PRELOAD=$HS_SHIM" HUGESHIM_HEAP=yes \
	HUGESHIM_MMAP=no HUGESHIM_SHM=yes HUGESHIM_PAGE_SIZE=2M
gives --shm=no "LD_PRELOAD=$HS_SHIM" HUGESHIM_SHM=no
has_no HUGESHIM_HEAP
has_no HUGETLB_SHM
gives --only=cat,redis-server "LD_PRELOAD=$HS_SHIM" \
	HUGESHIM_RESTRICT_EXE=cat:redis-server
# What is named as off is off alone.
gives --heap=no "LD_PRELOAD=$without" HUGESHIM_HEAP=no HUGETLB_MORECORE=no
has_no HUGESHIM_MMAP
gives --mmap=0 "LD_PRELOAD=$HS_SHIM" HUGESHIM_MMAP=no
has_no HUGESHIM_HEAP
gives "--mmap=off --heap=no" "LD_PRELOAD=$HS_SHIM" \
	HUGESHIM_HEAP=no HUGESHIM_MMAP=no
# A kind of page for whatever is on.
gives --thp HUGESHIM_HEAP=thp HUGETLB_MORECORE=thp
has_no HUGESHIM_MMAP
gives "--thp --mmap" HUGESHIM_HEAP=no HUGESHIM_MMAP=yes HUGESHIM_BACKING=thp
gives "--heap --thp --mmap" HUGESHIM_HEAP=thp HUGESHIM_MMAP=yes
gives "--heap=no --thp" HUGESHIM_HEAP=no HUGESHIM_BACKING=thp
gives --threshold=16M HUGESHIM_MMAP_THRESHOLD=16M
has_no HUGESHIM_MMAP
gives --page-size=2M HUGESHIM_PAGE_SIZE=2M
gives "--page-size 2M" HUGESHIM_PAGE_SIZE=2M
for choice in try on off; do
	gives --fallback=$choice HUGESHIM_FALLBACK=$choice
done
gives --limit=1G HUGESHIM_LIMIT=1G
gives --limit=50% HUGESHIM_LIMIT=50%
for choice in kernel sigsegv off; do
	gives --cow=$choice HUGESHIM_COW=$choice
done
gives --no-inherit HUGESHIM_INHERIT=no
# NUMA: what the kernel has then for the heap.
nodes=$(cat /sys/devices/system/node/has_memory 2>/dev/null)
first=${nodes%%[,-]*}
policy() { # POLICY WHAT-THE-KERNEL-CALLS-IT [HUGESHIM_NUMA]
	gives "--numa=$1" "HUGESHIM_NUMA=${3-$1}"
	run 0 "$HS_HUGECTL" --numa="$1" cat /proc/self/numa_maps
	[ "$(awk '/stack/ { print $2 }' out)" = "$2" ] ||
		wrong "policy $(awk '/stack/' out) with --numa=$1"
}
if [ -n "$nodes" ] && [ -r /proc/self/numa_maps ]; then
	policy local local
	policy interleave "interleave:$nodes"
	policy "interleave:$first" "interleave:$first"
	policy "bind:$first" "bind:$first"
	policy "preferred:$first" "prefer:$first"
	if "$HS_HUGECTL" --numa=bind:all --dry-run >/dev/null 2>&1; then
		policy bind:all "bind:$nodes" "bind:$nodes"
	fi
	gives --heap HUGESHIM_HEAP=yes
	has_no HUGESHIM_NUMA
fi
gives --no-reserve HUGETLB_NO_RESERVE=yes
gives --disable HUGETLB_ELFMAP=no
gives --no-preload HUGETLB_VERBOSE=2
has_no LD_PRELOAD
gives "--no-preload --heap" HUGESHIM_HEAP=yes
has_no LD_PRELOAD
gives "--no-preload --force-preload" "LD_PRELOAD=$HS_SHIM"
gives -v HUGESHIM_VERBOSE=1 HUGETLB_VERBOSE=3
gives "--verbose=0" HUGESHIM_VERBOSE=0 HUGETLB_VERBOSE=0
gives "--verbose 1" HUGESHIM_VERBOSE=1 HUGETLB_VERBOSE=1
gives "-v -q" HUGESHIM_VERBOSE=0 HUGETLB_VERBOSE=2
gives -q HUGESHIM_VERBOSE=0 HUGETLB_VERBOSE=1
HUGESHIM_VERBOSE=1
export HUGESHIM_VERBOSE
gives -q HUGESHIM_VERBOSE=0
unset HUGESHIM_VERBOSE
# The user's own level is for the library, too: it is not overridden.
HUGETLB_VERBOSE=4
export HUGETLB_VERBOSE
gives "" HUGETLB_VERBOSE=4
has_no HUGESHIM_VERBOSE
unset HUGETLB_VERBOSE
gives "--verbose=99 -q -q" HUGESHIM_VERBOSE=1
gives "--heap --" HUGESHIM_HEAP=yes
# The last one counts.
gives "--heap=2M --heap=thp" HUGESHIM_HEAP=thp
gives "--mmap=no --mmap" HUGESHIM_HEAP=no HUGESHIM_MMAP=yes

# A level at which hugectl itself speaks.
run 0 "$HS_HUGECTL" -vv true
says err "hugectl: HUGESHIM_VERBOSE=2"
run 0 "$HS_HUGECTL" --verbose=99 --dry-run
says out "HUGESHIM_VERBOSE='3'"
says out "HUGETLB_VERBOSE='99'"

# Reports: the file by its absolute name.  The program writes one too.
run 0 "$HS_HUGECTL" --stats --dry-run
says out "HUGESHIM_STATS='-'"
run 0 "$HS_HUGECTL" --stats=- --dry-run
says out "HUGESHIM_STATS='-'"
gives "--stats=report.%p" "HUGESHIM_STATS=$work/report.%p"
gives "--stats=/dev/null --json" HUGESHIM_STATS=/dev/null \
	HUGESHIM_STATS_FORMAT=json
run 0 "$HS_HUGECTL" --json --dry-run
says out "HUGESHIM_STATS='-'"
says out "HUGESHIM_STATS_FORMAT='json'"
HUGESHIM_STATS=/dev/null run 0 "$HS_HUGECTL" --json --dry-run
! grep -q "^HUGESHIM_STATS=" out || wrong "--json overrides a file"

# --- the library, and what LD_PRELOAD holds --------------------------------------

mkdir -p dir prefix/lib "with space" bin
cp "$HS_SHIM" dir/libhugeshim.so
cp "$HS_SHIM" prefix/lib/libhugeshim.so
cp "$HS_SHIM" "with space/libhugeshim.so"
gives "--library-path=dir" "LD_PRELOAD=$work/dir/libhugeshim.so"
gives "--library-path prefix" "LD_PRELOAD=$work/prefix/lib/libhugeshim.so" \
	"LD_LIBRARY_PATH=$work/prefix/lib:$work/prefix/lib64"
LD_LIBRARY_PATH=/x:/y
export LD_LIBRARY_PATH
gives "--library-path=prefix" \
	"LD_LIBRARY_PATH=$work/prefix/lib:$work/prefix/lib64:/x:/y"
LD_LIBRARY_PATH=$work/dir
export LD_LIBRARY_PATH
gives --library-use-path LD_PRELOAD=libhugeshim.so
run 0 "$HS_HUGECTL" --library-use-path --mmap --dry-run
says out "LD_PRELOAD='libhugeshim-mmap.so'"
unset LD_LIBRARY_PATH
# As it is installed: bin/hugectl and lib/libhugeshim.so.
mkdir -p inst/bin inst/lib
cp "$HS_HUGECTL" inst/bin/hugectl
cp "$HS_SHIM" inst/lib/libhugeshim.so
run 0 inst/bin/hugectl --dry-run
says out "LD_PRELOAD='$work/inst/lib/libhugeshim.so'"
ln -s ../inst/bin/hugectl bin/hugectl
PATH=$work/bin:$PATH run 0 hugectl --dry-run
says out "LD_PRELOAD='$work/inst/lib/libhugeshim.so'"

merged() { # OLD NEW
	LD_PRELOAD=$1 "$HS_HUGECTL" --dry-run >out 2>/dev/null
	says out "LD_PRELOAD='$HS_SHIM$2'"
}
merged "" ""
merged "/x/a.so" ":/x/a.so"
merged " /x/a.so  b.so:/c.so:" ":/x/a.so:b.so:/c.so"
merged "/x/a.so:$HS_SHIM:b.so" ":/x/a.so:b.so"
merged "libhugeshim.so" ""
merged "/x/libhugeshim-mmap.so:b.so" ":b.so"
LD_PRELOAD="$HS_SHIM b.so" "$HS_HUGECTL" --mmap --dry-run >out 2>/dev/null
says out "LD_PRELOAD='$without:b.so'"
merged "/other/libhugeshim.so /x/notlibhugeshim.so" ":/x/notlibhugeshim.so"

# What glibc's malloc can do by itself, without the library.
GLIBC_TUNABLES=glibc.malloc.check=0
export GLIBC_TUNABLES
tunables() { # OPTIONS [WHAT IS SET]
	# shellcheck disable=SC2086 # a list of options
	run 0 "$HS_HUGECTL" $1 --dry-run true
	[ "$(grep ^GLIBC_TUNABLES out)" = "${2:+GLIBC_TUNABLES='$2'}" ] ||
		wrong "GLIBC_TUNABLES with $1: $(cat out)"
}
tunables "--thp --no-preload" glibc.malloc.check=0:glibc.malloc.hugetlb=1
tunables --thp
tunables --no-preload
GLIBC_TUNABLES=glibc.malloc.check=0:glibc.malloc.perturb=0
tunables "--thp --no-preload" "$GLIBC_TUNABLES:glibc.malloc.hugetlb=1"
GLIBC_TUNABLES=glibc.malloc.check=0:glibc.malloc.hugetlb=0
tunables "--thp --no-preload"
unset GLIBC_TUNABLES

# --- libhugetlbfs's hugectl says the same ------------------------------------------

old=/usr/bin/hugectl
if [ -x $old ] && $old --help 2>&1 | grep -q -- --share-text; then
	for options in "" --heap --heap=2M --shm "--heap --shm" --thp -v -q \
		"-v -v" "-q -q -q" "--verbose 3" "--verbose 0" --no-reserve \
		"--heap --no-reserve" "--no-preload --heap" --disable \
		"--force-preload --heap" "--library-use-path --heap"; do
		# shellcheck disable=SC2086 # a list of options
		$old $options --dry-run true 2>err | grep ^HUGETLB_ |
			sort >theirs
		# shellcheck disable=SC2086
		"$HS_HUGECTL" $options --dry-run true 2>err | grep ^HUGETLB_ |
			sort >ours
		diff theirs ours >differences || {
			wrong "not as libhugetlbfs's hugectl with: $options"
			sed 's/^/	/' differences
		}
	done
fi

# --- --dry-run and the program agree ---------------------------------------------

same_environment() {
	env -i PATH="$PATH" X=1 "$HS_HUGECTL" "$@" cat /proc/self/environ |
		tr '\0' '\n' | sort >real
	env -i PATH="$PATH" X=1 sh -c '
		assignments=$("$@") || exit
		set -a
		eval "$assignments"
		exec cat /proc/self/environ' sh "$HS_HUGECTL" --dry-run "$@" |
		tr '\0' '\n' | grep -v '^PWD=' | sort >dry
	diff dry real >differences || {
		wrong "--dry-run differs with: $*"
		sed 's/^/	/' differences
	}
}
same_environment
same_environment --heap=2M --page-size=2M --limit=50% --fallback=try -v
same_environment --thp --no-inherit --cow=kernel --no-reserve --disable
same_environment --stats="it's \$(here) \`%p\`" --json
same_environment --no-preload --heap=no
same_environment --mmap=2M --threshold=4M
same_environment --mmap --thp
cp "${HS_SHIM%.so}-mmap.so" dir/
same_environment --shm --only=cat,sh --library-path=dir
rm dir/libhugeshim-mmap.so
same_environment --no-preload --thp -q
same_environment --numa=interleave --reserve=0

# Nothing runs, and a command is not needed.
run 0 "$HS_HUGECTL" --dry-run touch ran
[ ! -e ran ] || wrong "--dry-run runs the command"
run 125 "$HS_HUGECTL" --dry-run --limit=x
silent out

# --- bad input: one line, 125 ------------------------------------------------------

refused() { # TEXT OPTION...
	text=$1
	shift
	last="$*"
	run 125 "$HS_HUGECTL" "$@" touch ran
	lines err 1
	silent out
	says err "hugectl: "
	says err "$text"
	[ ! -e ran ] || wrong "the command runs after: $*"
}
refused "--heap: '3M' is not" --heap=3M
refused "--heap: 'maybe' is not" --heap=maybe
refused "--mmap: '3M' is not" --mmap=3M
refused "--mmap: 'maybe' is not" --mmap=maybe
refused "--mmap: '' is not" --mmap=
if [ -d /sys/kernel/mm/hugepages/hugepages-1048576kB ]; then
	refused "--mmap: '1G' is another huge page size than that of --heap" \
		--heap=2M --mmap=1G
	refused "'2M' is another huge page size than that of --page-size" \
		--mmap=2M --page-size=1G
fi
refused "--threshold: 'x' is not a size" --threshold=x
refused "--threshold: '' is not" --threshold=
refused "--page-size: '4K' is not a huge page size" --page-size=4K
refused "--page-size: '' is not" --page-size=
refused "--fallback: 'never' is not one of try, on, off" --fallback=never
refused "--limit: '101%' is not" --limit=101%
refused "--limit: '-1' is not" --limit=-1
refused "--cow: 'uffd' is not one of kernel, sigsegv, off" --cow=uffd
refused "--verbose: 'x' is not a number" --verbose=x
refused "--verbose: '-1' is not a number" --verbose=-1
refused "--verbose: '100' is not a number" --verbose=100
refused "--stats: '/nonexistent/file' is in no directory" \
	--stats=/nonexistent/file
refused "--stats: '' is not a file" --stats=
refused "libhugeshim.so is not in /nonexistent" --library-path=/nonexistent
refused "libhugeshim-mmap.so is not in dir" --mmap --library-path=dir
refused "blanks or colons" --library-path="with space"
refused "--shm: '3M' is not" --shm=3M
refused "--shm: there are no transparent huge pages" --shm --thp
refused "--shm: there are no transparent huge pages" --shm=thp
for policy in x bind preferred local:0 interleave: bind:x bind:0, bind:4000 \
	preferred:0,4000 bind:1-0 ""; do
	refused "--numa: '" --numa="$policy"
done
refused "--only: '' names no program" --only=
refused "--only: ',' names no program" --only=,
refused "--only: 'cat,/bin/cat' is not a file name" --only=cat,/bin/cat
refused "--text: " --text=2M
refused "--data: " --data
refused "--bss: " --bss
refused "--share-text: " --share-text
refused "unrecognized option" --bogus
refused "ambiguous" --no
refused "doesn't allow an argument" --thp=yes
refused "invalid option" -x
last="no arguments"
run 125 "$HS_HUGECTL"
lines err 1
run 125 "$HS_HUGECTL" --page-size
lines err 1
run 125 inst/bin/hugectl --library-path=inst/bin true
lines err 1
rm inst/lib/libhugeshim.so
# Not beside it: then where it was installed, which may be nowhere.
inst/bin/hugectl --dry-run >out 2>err || {
	says err "say where by --library-path"
}

# --- exit statuses -------------------------------------------------------------------

run 0 "$HS_HUGECTL" true
run 7 "$HS_HUGECTL" sh -c 'exit 7'
run 143 sh -c '"$@"; exit $?' sh "$HS_HUGECTL" sh -c 'kill -TERM $$'
last="not found"
run 127 "$HS_HUGECTL" nonexistent-command
lines err 1
run 127 "$HS_HUGECTL" ./nonexistent
lines err 1
run 127 "$HS_HUGECTL" ""
echo 'echo "by sh: $1"' >plain
last="not executable"
run 126 "$HS_HUGECTL" ./plain
lines err 1
PATH=$work:$PATH run 126 "$HS_HUGECTL" plain
run 126 "$HS_HUGECTL" "$work"
chmod +x plain
run 0 "$HS_HUGECTL" ./plain argument
says out "by sh: argument"
printf '#!/nonexistent/interpreter\n' >orphan
chmod +x orphan
run 127 "$HS_HUGECTL" ./orphan
lines err 1
# As execvp: what cannot be executed does not end the search.
mkdir first second
echo x >first/prog
printf '#!/bin/sh\nexit 9\n' >second/prog
chmod +x second/prog
PATH=$work/first:$work/second:$PATH run 9 "$HS_HUGECTL" prog
cd second || exit 1
PATH=:$PATH run 9 "$HS_HUGECTL" prog
rm -f out err
cd ..
# Options end at the command.
run 0 "$HS_HUGECTL" sh -c 'echo "$1"' sh --bogus
says out "--bogus"
run 0 "$HS_HUGECTL" -- sh -c 'exit 0'

# --- help and version -----------------------------------------------------------------

run 0 "$HS_HUGECTL" --help
silent err
for name in $(sed -n 's/^\(HUGESHIM[A-Z_]*\) .*/\1/p' \
	"$HS_SRCDIR/lib/options.tab"); do
	says out "$name "
done
run 0 "$HS_HUGECTL" -h
run 0 "$HS_HUGECTL" --version
grep -qE '^hugectl \(.*[0-9]+\.[0-9]+' out || wrong "no version: $(cat out)"

done_testing
