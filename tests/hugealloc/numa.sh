#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Blocks on two memory nodes, and on a page of 1 GiB: in QEMU (no KVM needed), on
# Debian's kernel for clouds, with libhugealloc's own engine and with the shim's.
# HS_GUEST_KERNEL is the kernel to boot; without it the package is fetched once
# and unpacked below the build directory.  Half a minute.
. "${top_srcdir=$(cd "$(dirname "$0")/../.." && pwd)}/tests/lib/pool.sh"
need_lib
[ "$(uname -m)" = x86_64 ] || skip "boots an x86-64 guest"
need_command qemu-system-x86_64 qemu-system-x86
need_command cpio
need_command busybox busybox-static
unset LD_PRELOAD
program=$top_builddir/tests/hugealloc/numa
real=$top_builddir/tests/hugealloc/.libs/numa
[ -x "$real" ] || real=$program
libs=$top_builddir/.libs
pages=8

fetch_kernel() { # DIRECTORY: unpacks the current one there
	mkdir -p "$1" && cd "$1" || return
	package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
		sed -n 's/.*Depends: *\(linux-image-.*\)/\1/p' | head -n 1)
	[ -n "$package" ] && apt-get -q download "$package" >log 2>&1 &&
		dpkg-deb --fsys-tarfile "$package"_*.deb |
		tar -x --wildcards './boot/vmlinuz*' && rm -f ./*.deb
}

kernel=${HS_GUEST_KERNEL-}
if [ -z "$kernel" ]; then
	cache=$top_builddir/guest-kernel
	ls "$cache"/boot/vmlinuz* >/dev/null 2>&1 || (fetch_kernel "$cache")
	kernel=$(ls "$cache"/boot/vmlinuz* 2>/dev/null | head -n 1)
	[ -n "$kernel" ] || skip "needs a kernel: apt-get download" \
		"linux-image-cloud-amd64, or set HS_GUEST_KERNEL"
fi

# --- what the guest has -----------------------------------------------------------

work=$(mktemp -d) || exit 99
on_exit "rm -rf $work"
root=$work/root
mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/test"
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$real" "$root/test/numa"
cp "$HS_TEST_LIB" "$root/test/"
cp "$top_builddir/tests/cli/eat" "$root/test/eat"
cp -L "$libs/libhugealloc.so.0" "$root/test/"
LD_LIBRARY_PATH=$libs ldd "$real" | grep -o '/[^ ]*' |
	grep -v libhugealloc | while read -r file; do
	mkdir -p "$root$(dirname "$file")"
	cp -L "$file" "$root$file"
done
cat >"$root/init" <<EOT
#!/bin/busybox sh
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
export LD_LIBRARY_PATH=/test HUGESHIM_LIMIT=none HUGESHIM_HEAP=no
for node in 0 1; do
	echo $pages >/sys/devices/system/node/node\$node/hugepages/hugepages-2048kB/nr_hugepages
done
/test/numa $pages && echo "own engine: passed"
LD_PRELOAD=/test/libhugeshim.so /test/numa $pages && echo "the shim's: passed"
# A heap that needs more than a node has, under each policy of HUGESHIM_NUMA.
for policy in bind:1 preferred:1 interleave; do
	HUGESHIM_NUMA=\$policy HUGESHIM_HEAP=yes LD_PRELOAD=/test/libhugeshim.so \
		/test/eat 40 >/out
	echo "\$policy: status \$?, \$(/bin/busybox grep HugetlbPages /out)"
done
/bin/busybox poweroff -f
EOT
chmod 755 "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet) | gzip -1 >"$work/initrd"

# --- the guest --------------------------------------------------------------------

nice -n 19 timeout "${HS_GUEST_SECONDS-300}" qemu-system-x86_64 -machine pc \
	-accel tcg,thread=multi -cpu max,la57=off -smp 2,sockets=2 -m 3584M \
	-object memory-backend-ram,size=3G,id=m0 \
	-object memory-backend-ram,size=512M,id=m1 \
	-numa node,nodeid=0,cpus=0,memdev=m0 \
	-numa node,nodeid=1,cpus=1,memdev=m1 \
	-nodefaults -no-user-config -display none -no-reboot -serial stdio \
	-kernel "$kernel" -initrd "$work/initrd" \
	-append "console=ttyS0 quiet panic=-1 oops=panic rdinit=/init \
nokaslr hugepagesz=1G hugepages=1 hugepagesz=2M" \
	</dev/null >"$work/log" 2>&1 9>&-
tr -d '\r' <"$work/log" >"$work/console"
for engine in "own engine" "the shim's"; do
	grep -q "^$engine: passed" "$work/console" || {
		tail -n 40 "$work/console"
		fail "in the guest, $engine"
	}
done
# Shortage is by node; nobody is killed for it.
node=$((pages * 2048))
for line in "bind:1 $node" "preferred:1 $((2 * node))" \
	"interleave $((2 * node))"; do
	want="${line% *}: status 0, HugetlbPages ${line#* }"
	grep -qx "$want" "$work/console" || {
		tail -n 40 "$work/console"
		fail "not '$want'"
	}
done
