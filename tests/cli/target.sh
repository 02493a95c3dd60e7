#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# hugectl says at once, in one line, why a program cannot be preloaded into,
# and runs it with the environment as it was.
. "$(dirname "$0")/cli.sh"

# A program without obstacle: /bin/cat copied, so that it may be changed.
cp "$(command -v cat)" cat

# refuses PROGRAM TEXT: one line, no preload, and the program runs
refuses() {
	last="$1"
	run 0 "$HS_HUGECTL" --heap "$1"
	lines err 1
	says err "$1"
	says err "$2"
	says err "runs without huge pages"
	run 0 "$HS_HUGECTL" --heap --dry-run "$1"
	lines err 1
	silent out
	run 0 "$HS_HUGECTL" --force-preload --dry-run "$1"
	lines err 1
	says err "preloading all the same"
	says out "LD_PRELOAD="
}

# only_says PROGRAM TEXT: the same for a program that cannot run here
only_says() {
	last="$1"
	run 0 "$HS_HUGECTL" --heap --dry-run "$1"
	lines err 1
	says err "$2"
	silent out
}

accepts() {
	run 0 "$HS_HUGECTL" --dry-run "$@"
	silent err
	says out LD_PRELOAD
}

# put FILE OFFSET BYTES: BYTES as for printf
put() {
	# shellcheck disable=SC2059 # bytes by their octal codes
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

accepts ./cat
accepts cat
accepts "$HS_HUGECTL"

# --- statically linked -------------------------------------------------------------

cat >show.c <<'EOF'
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
int main(int argc, char **argv)
{
	const char *preload = getenv("LD_PRELOAD"), *heap;
	char name[17] = "", *block = malloc(3 << 20);

	(void)argv;
	prctl(PR_GET_NAME, name, 0, 0, 0);
	heap = getenv("HUGESHIM_HEAP");
	puts(preload ? preload : heap ? heap : "untouched");
	printf("%s has %d arguments\n", name, argc - 1);
	free(block);
	return block == NULL;
}
EOF
if $CC -static -o static show.c 2>cc.log; then
	refuses ./static "statically linked"
	run 0 "$HS_HUGECTL" --heap ./static
	says out untouched
	run 0 "$HS_HUGECTL" --thp --dry-run ./static
	[ "$(cat out)" = "GLIBC_TUNABLES='glibc.malloc.hugetlb=1'" ] ||
		wrong "a static program gets $(cat out)"
	says err "only glibc's malloc takes huge pages"
	$CC -static-pie -fPIE -o static-pie show.c 2>cc.log &&
		refuses ./static-pie "statically linked"
	printf '#!%s/static\n' "$work" >script
	chmod +x script
	refuses ./script "its interpreter $work/static is statically linked"
	printf '#! %s/script with arguments\n' "$work" >script2
	chmod +x script2
	refuses ./script2 "its interpreter $work/static is statically linked"
else
	wrong "$CC -static does not work: $(cat cc.log)"
fi

# Run as a program, the loader preloads.
loader=$(od -An -c -v cat | tr -d ' \n' | grep -ao '/lib[a-z0-9/_.-]*ld[a-z0-9_.-]*' |
	head -n 1)
[ ! -e "$loader" ] || accepts "$loader" ./cat

# --- sanitised ----------------------------------------------------------------------

sanitised() { # COMPILER KIND TEXT
	command -v "$1" >/dev/null || return 0
	$1 -fsanitize="$2" -o "s-$1-$2" show.c 2>cc.log || return 0
	tried=1
	refuses "./s-$1-$2" "$3"
	# One that inherits the preload runs as well, without it.
	run 0 "$HS_HUGECTL" --heap sh -c '"$@"; exit $?' sh "./s-$1-$2" a b
	silent err
	says out "s-$1-$2 has 2 arguments"
}
tried=
sanitised gcc address AddressSanitizer
sanitised gcc thread ThreadSanitizer
sanitised clang address AddressSanitizer
sanitised clang thread ThreadSanitizer
sanitised clang memory MemorySanitizer
[ -n "$tried" ] || wrong "no compiler makes a sanitised program"
$CC -fsanitize=undefined -o ubsan show.c 2>cc.log && accepts ./ubsan

# --- other loaders, classes, machines --------------------------------------------------

# The string of the loader, replaced in place by one of the same length.
replace_loader() { # FILE NEW
	at=$(grep -abo "$loader" "$1" | head -n 1 | cut -d: -f1)
	dd if=/dev/zero of="$1" bs=1 seek="$at" count=${#loader} \
		conv=notrunc 2>/dev/null
	put "$1" "$at" "$2"
}
if [ -n "$loader" ]; then
	cp cat musl
	replace_loader musl /lib/ld-musl-x86_64.so.1
	only_says ./musl "linked with musl"
	run 127 "$HS_HUGECTL" ./musl
	cp cat bionic
	replace_loader bionic /system/bin/linker64
	only_says ./bionic "linked with bionic"
else
	wrong "no loader found in $work/cat"
fi
cp cat class32
put class32 4 '\001'
put class32 18 '\003\000'
case $(getconf LONG_BIT) in
64)	only_says ./class32 "a 32-bit program"
	# The kernel refuses it; sh must not get to see it.
	last=class32
	run 126 "$HS_HUGECTL" ./class32
	lines err 2 ;;
esac
cp cat sparc
put sparc 18 '\053\000'
only_says ./sparc "another processor"
last=sparc
run 126 "$HS_HUGECTL" ./sparc
lines err 2
cp cat endian
put endian 5 '\002'
only_says ./endian "another processor"

# --- privileges ------------------------------------------------------------------------

identity() { # MODE OWNER NAME: a copy of cat that changes who runs it
	cp cat "$3"
	chown "$2" "$3" && chmod "$1" "$3"
}
if [ "$(id -u)" = 0 ]; then
	nobody=$(id -u nobody) nogroup=$(id -g nobody)
	identity 4755 "$nobody" suid
	identity 2755 ":$nogroup" sgid
	identity 4755 0 root-suid
	identity 2745 ":$nogroup" sgid-no-exec
	case ,$(findmnt -no OPTIONS --target "$work"), in
	*,nosuid,*)
		accepts ./suid ;;
	*)
		refuses ./suid "setuid or setgid"
		refuses ./sgid "setuid or setgid" ;;
	esac
	# No change of identity, and so no obstacle.
	accepts ./root-suid
	accepts ./sgid-no-exec
	run 0 setpriv --no-new-privs "$HS_HUGECTL" --dry-run ./suid
	silent err
	# A file system without such rights.
	mkdir nosuid
	# shellcheck disable=SC2016 # expanded by the inner shell
	unshare -m sh -c 'mount -t tmpfs -o nosuid none nosuid &&
		cp -p suid nosuid/suid && exec "$@"' sh \
		"$HS_HUGECTL" --dry-run nosuid/suid >out 2>err
	! grep setuid err || wrong "setuid counts where it has no effect"
	if command -v setcap >/dev/null && cp cat capable &&
		setcap cap_net_raw+ep capable 2>/dev/null; then
		last=capable
		accepts ./capable
		run 0 setpriv --reuid "$nobody" --regid "$nogroup" \
			--clear-groups "$HS_HUGECTL" --dry-run ./capable
		lines err 1
		says err "file capabilities"
		silent out
	fi
	# May be run but not read: nothing to say.
	cp cat unreadable
	chmod 711 unreadable
	run 0 setpriv --reuid "$nobody" --regid "$nogroup" --clear-groups \
		"$HS_HUGECTL" --dry-run ./unreadable
	silent err
fi

# --- headers that lie --------------------------------------------------------------------

# Whatever the header says: no crash, at most one line, status 0.
awk -v seed="${HS_SEED-1}" 'BEGIN {
	srand(seed)
	for (i = 0; i < 300; i++)
		printf "%d \\%03o\n", int(rand() * 1024), int(rand() * 256)
}' >mutations
cp cat lies
while read -r offset byte; do
	put lies "$offset" "$byte"
	put lies 0 '\177ELF'
	"$HS_HUGECTL" --dry-run ./lies >out 2>err
	status=$?
	[ "$status" = 0 ] && [ "$(wc -l <err)" -le 1 ] || {
		wrong "status $status after $byte at $offset, seed ${HS_SEED-1}"
		break
	}
	case $offset in *[05]) cp cat lies ;; esac
done <mutations
for size in 0 1 4 16 20 52 64 100 500; do
	head -c $size cat >short
	chmod +x short
	run 0 "$HS_HUGECTL" --dry-run ./short
done

done_testing
