#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# hugectl setup: what it changes, that --dry-run prints commands that do the
# same, and that --undo leaves everything as it was.  All of it in a mount
# namespace with an /etc, /var/lib and /dev of its own; the pool and
# vm.hugetlb_shm_group are the machine's.
top_srcdir=${HS_SRCDIR-$(cd "$(dirname "$0")/../.." && pwd)}
top_builddir=${HS_BUILDDIR-$PWD}
. "$top_srcdir/tests/lib/pool.sh"
HS_SRCDIR=$top_srcdir HS_BUILDDIR=$(cd "$top_builddir" && pwd)
. "$top_srcdir/tests/cli/cli.sh"

refused() { # TEXT OPTION...
	text=$1
	shift
	last="setup $*"
	run 125 "$HS_HUGECTL" setup "$@"
	lines err 1
	silent out
	says err "hugectl: setup: "
	says err "$text"
}

if [ -z "${HS_SETUP_INSIDE-}" ]; then
	refused "what?"
	refused "unrecognized option" --bogus
	refused "'x' is not an option" x
	refused "'3M' is not a huge page size" --page-size=3M
	for pages in x "" -1 1x 1@x 1@ 99999999999; do
		refused "--pages: '" --pages="$pages"
	done
	refused "no such node" --pages=1@4000
	refused "one for this size and node" --pages=1 --pages=2
	refused "one for this size and node" --pages=1 --pages=2@0
	refused "of " --pages=900T
	for group in "" Upper "a b" -x 1a "a;b" \
		a23456789012345678901234567890123; do
		refused "is not a name for a group" --shm-group="$group"
		refused "is not a name for a group" \
			--userfaultfd-group="$group"
	done
	refused "--undo takes back everything" --undo --pages=1
	[ -e /var/lib/hugeshim/setup ] || {
		refused "nothing to undo" --undo
		refused "nothing to undo" --undo --dry-run
	}
	[ "$(id -u)" = 0 ] || skip "needs root: run it with sudo"
	if command -v setpriv >/dev/null; then
		cp "$HS_HUGECTL" ./hugectl
		run 125 setpriv --reuid=65534 --clear-groups ./hugectl setup \
			--pages=1
		says err "needs root"
	fi
	unshare -m true 2>/dev/null || skip "needs a mount namespace"
	need_pool 4
	HS_SETUP_INSIDE=1 unshare -m sh "$HS_SRCDIR/tests/cli/setup.sh" ||
		failed=1
	done_testing
fi

# --- inside ----------------------------------------------------------------------

mount --make-rprivate /
mkdir etc var dev
for file in group gshadow passwd shadow login.defs nsswitch.conf ld.so.cache \
	ld.so.preload; do
	[ ! -e /etc/$file ] || cp -p /etc/$file etc/
done
mkdir etc/sysctl.d
cp -a /dev/null /dev/full /dev/zero dev/
mknod -m 600 dev/userfaultfd c 1 3
mount --bind "$PWD/etc" /etc && mount --bind "$PWD/var" /var/lib &&
	mount --rbind "$PWD/dev" /dev || fail "cannot mount"
# Whatever mounts of hugetlbfs there are, are not seen.
grep hugetlbfs /proc/self/mounts | cut -d' ' -f2 | while read -r dir; do
	umount "$dir"
done

# Everything that setup may touch, with contents.
state() {
	find /etc /var/lib /dev -printf '%p %y %m %U %G %l %D\n' |
		sed 's/ [0-9]*$//' | sort
	find /etc /var/lib -type f ! -path '/etc/*-' ! -path '/etc/*.lock' \
		-exec cksum {} + | sort -k3
	grep . /proc/sys/vm/hugetlb_shm_group /proc/sys/vm/nr_hugepages \
		/sys/devices/system/node/node*/hugepages/*/nr_hugepages
	grep hugetlbfs /proc/self/mounts
}
# groupadd and groupdel leave backups: have them before.
groupadd --system hs-test-before && groupdel hs-test-before
state >before

set -- --pages=$(($(pool_size) + 3)) --shm-group=hs-test \
	--userfaultfd-group=hs-test --mount
run 0 "$HS_HUGECTL" setup --dry-run "$@"
silent err
state >after
cmp -s before after || wrong "--dry-run changes something"
cp out commands

size=$(($(pool_size) + 3))
run 0 "$HS_HUGECTL" setup "$@"
says err "usermod -aG"
[ "$(pool_size)" = $size ] || wrong "the pool has $(pool_size) pages, not $size"
gid=$(getent group hs-test | cut -d: -f3)
[ "$(cat /proc/sys/vm/hugetlb_shm_group)" = "$gid" ] || wrong "no group"
[ "$(stat -c '%g %a' /dev/userfaultfd)" = "$gid 660" ] || wrong "the device"
says /etc/sysctl.d/90-hugeshim.conf "vm.nr_hugepages = $size"
says /etc/sysctl.d/90-hugeshim.conf "vm.hugetlb_shm_group = $gid"
says /etc/udev/rules.d/90-hugeshim.rules 'GROUP="hs-test", MODE="0660"'
grep -q '^hugetlbfs /dev/hugepages hugetlbfs ' /proc/self/mounts ||
	wrong "not mounted"
says /etc/systemd/system/sysinit.target.wants/dev-hugepages.mount \
	Where=/dev/hugepages
command -v udevadm >/dev/null && udevadm verify --help >/dev/null 2>&1 &&
	{ udevadm verify /etc/udev/rules.d/90-hugeshim.rules >verify 2>&1 ||
		wrong "udev: $(cat verify)"; }
# Members of the group may, others may not.
if command -v setpriv >/dev/null; then
	chmod 711 .
	cp "$HS_HUGECTL" "$HS_BUILDDIR/tests/cli/shm" "$HS_SHIM" .
	cp "${HS_SHIM%.so}-mmap.so" .
	run 0 setpriv --reuid=65534 --regid="$gid" --clear-groups ./hugectl \
		--library-path=. --shm --limit=none ./shm 4194304
	says out "page $hs_pool_kb"
fi
state | grep -v ' /var/lib/hugeshim\|^/var/lib/hugeshim' >done
refused "done already" --pages=1
run 0 "$HS_HUGECTL" setup --undo --dry-run
says out "echo $((size - 3)) >"
state | grep -v ' /var/lib/hugeshim\|^/var/lib/hugeshim' | cmp -s done - ||
	wrong "--undo --dry-run changes something"
run 0 "$HS_HUGECTL" setup --undo
silent err
state >after
diff before after >differences || wrong "--undo: $(cat differences)"

# What --dry-run prints, does the same.
run 0 sh -e commands
state >after
diff done after >differences || wrong "--dry-run: $(cat differences)"
# And what somebody else has made is left alone.
refused "is there already" --pages=1
state | cmp -s after - || wrong "a refusal changes something"
umount /dev/hugepages
rm -rf /dev/hugepages /etc/sysctl.d/* /etc/udev /etc/systemd
groupdel hs-test
chown 0:0 /dev/userfaultfd
chmod 600 /dev/userfaultfd
echo $((size - 3)) >/proc/sys/vm/nr_hugepages
sed -n 's/^.*hugetlb_shm_group://p' before >/proc/sys/vm/hugetlb_shm_group
state | diff before - >differences || wrong "the test: $(cat differences)"

# By node, and only at boot.
run 0 "$HS_HUGECTL" setup --pages=$((size - 2))@0
[ "$(pool_size)" -ge $((size - 2)) ] || wrong "no page more on node 0"
says /etc/tmpfiles.d/hugeshim.conf "w /sys/devices/system/node/node0/hugepages"
run 0 "$HS_HUGECTL" setup --undo
state | diff before - >differences || wrong "--undo: $(cat differences)"
run 0 "$HS_HUGECTL" setup --at-boot --pages=4M --mount
says /etc/sysctl.d/90-hugeshim.conf "vm.nr_hugepages = "
[ "$(pool_size)" = $((size - 3)) ] || wrong "--at-boot changes the pool"
! grep -q hugetlbfs /proc/self/mounts || wrong "--at-boot mounts"
run 0 "$HS_HUGECTL" setup --undo
state | diff before - >differences || wrong "--undo: $(cat differences)"

# A step that fails takes the others back.
mkdir -p /etc/udev
: >/etc/udev/rules.d
state >with
run 125 "$HS_HUGECTL" setup --pages=$size --shm-group=hs-test \
	--userfaultfd-group=hs-test
says err "/etc/udev/rules.d"
state | diff with - >differences || wrong "half done: $(cat differences)"

done_testing
