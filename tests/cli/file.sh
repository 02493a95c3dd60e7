#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# /etc/hugeshim.conf, in a mount namespace where /etc has one: whom it is
# believed from, what it denies, and that setuid programs read it but not the
# environment.
. "$(dirname "$0")/cli.sh"

eat=$HS_BUILDDIR/tests/cli/eat

if [ "${1-}" != inside ]; then
	[ "$(id -u)" = 0 ] || {
		echo "SKIP: needs root: run it with sudo"
		exit 77
	}
	unshare -m true 2>/dev/null || {
		echo "SKIP: needs mount namespaces: a kernel and container" \
			"that allow unshare -m"
		exit 77
	}
	cd "$OLDPWD" || exit 1
	case $0 in
	/*)	self=$0 ;;
	*)	self=$PWD/$0 ;;
	esac
	exec unshare -m --propagation private "$self" inside \
		"$(readlink /proc/self/ns/mnt)"
fi
[ "$(readlink /proc/self/ns/mnt)" != "${2-}" ] || exit 99 # the real /etc

# /etc as it is, with a file of ours: an overlay where that works, else links.
mkdir etc
cp -a /etc/ld.so.* /etc/passwd /etc/group /etc/nsswitch.conf etc/ 2>/dev/null
mount --bind "$work/etc" /etc || {
	echo "SKIP: needs a bind mount: run it with CAP_SYS_ADMIN"
	exit 77
}
# A bind mount must go before the directory can.
trap 'cd /; umount -l /etc; rm -rf "$work"' EXIT
conf=/etc/hugeshim.conf

shim() {
	run 0 env LD_PRELOAD="$HS_SHIM" HUGESHIM_STATS=- \
		HUGESHIM_STATS_FORMAT=json "$@"
}

conf() {
	printf "$@" >$conf
	chown 0:0 $conf
	chmod 644 $conf
}

enabled() { # true|false
	says err "\"enabled\":$1"
	lines err 1
}

# --- rules ------------------------------------------------------------------------

last="no file"
rm -f $conf
shim "$eat" 1
enabled true

last="deny"
conf 'deny = %s\n' eat
shim "$eat" 1
enabled false
shim HUGESHIM=on "$eat" 1
enabled false
conf 'deny = /nowhere/*\ndeny = %s*\n' "$HS_BUILDDIR/"
shim "$eat" 1
enabled false
conf 'deny = eater\n'
shim "$eat" 1
enabled true

last="allow"
conf 'allow = another\n'
shim "$eat" 1
enabled false
conf 'allow = another e?t\n'
shim "$eat" 1
enabled true

last="built in"
rm -f $conf
cp "$eat" qemu-img
cp "$eat" bwrap
shim ./qemu-img 1
enabled false
shim ./bwrap 1
enabled false
conf 'allow = qemu-*\n'
shim ./qemu-img 1
enabled true

last="enabled = off"
conf 'enabled = off\n'
shim "$eat" 1
enabled false
shim HUGESHIM=on "$eat" 1
enabled true

# --- errors and whom to believe ---------------------------------------------------------

last="a bad line"
conf '# fine\nlimit = 90%%\n\ndecay = x\n'
shim "$eat" 1
lines err 2
says err "$conf:4: decay: 'x' is not a number"

last="an untrusted file"
conf 'deny = *\n'
for how in "chmod 664" "chmod 646" "chown 12345" "chmod 602"; do
	conf 'deny = *\n'
	$how $conf
	shim "$eat" 1
	lines err 2
	says err "$conf: not a regular file that belongs to root"
	says err '"enabled":true'
done

# --- programs with privileges -----------------------------------------------------------

# The loader preloads into a setuid program what is in its own directories and
# setuid itself; here by /etc/ld.so.preload.
nobody=$(id -u nobody) nogroup=$(id -g nobody)
cp "$HS_SHIM" shim.so
cp "$eat" secure
chown "$nobody" secure
chmod 4755 secure
case ,$(findmnt -no OPTIONS --target "$work"), in
*,nosuid,*) ;;
*)
	conf 'stats = %s/secure.report\nstats_format = json\ndecay = 5\n' "$work"
	: >secure.report
	chmod 666 secure.report
	echo "$work/shim.so" >/etc/ld.so.preload
	last="AT_SECURE"
	run 0 env HUGESHIM=off HUGESHIM_LIMIT=bad HUGESHIM_FOO=1 \
		HUGESHIM_STATS="$work/env.report" ./secure 1
	rm -f /etc/ld.so.preload
	silent err
	[ ! -e env.report ] || wrong "the environment gave a setuid program a file"
	grep '"program":"secure"' secure.report >secure.one
	says secure.one '"enabled":true' ;;
esac

done_testing
