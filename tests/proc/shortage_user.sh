#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# An ordinary user, inside namespaces, without /proc, without /sys, and in a
# root directory that has neither.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"
. "$top_srcdir/tests/lib/shortage.sh"

need_root
need_command setpriv util-linux
need_command unshare util-linux
rows_begin
root=$rows_dir/root
mkdir "$root" "$rows_dir/empty"
real=$(dirname "$shortage_heap")/.libs/shortage_heap
[ -x "$real" ] || real=$shortage_heap
cp "$HS_TEST_LIB" "$rows_dir/libhugeshim.so"
cp "$real" "$rows_dir/shortage_heap"
chmod 755 "$rows_dir"/*
row_lib=$rows_dir/libhugeshim.so
row_program=$rows_dir/shortage_heap

need_pool_exactly 60
both() { # NAME COMMAND-PREFIX [OPTION...]
	both_name=$1 both_wrap=$2
	shift 2
	row "$both_name" --wrap "$both_wrap" "$@" -- --mib 60
	row "$both_name, threads and fork" --wrap "$both_wrap" "$@" -- \
		--mib 24 --threads 4 --fork
}

both "ordinary user" "setpriv --reuid=65534 --regid=65534 --clear-groups" \
	--huge
both "no capabilities" "setpriv --bounding-set -all --inh-caps -all" --huge
both "no new privileges" "setpriv --no-new-privs" --huge

# A script that covers directories and then runs its arguments.
cat >"$rows_dir/cover" <<'END'
#!/bin/sh
for d in $COVER; do mount -t tmpfs none "$d" || exit 125; done
exec "$@"
END
chmod 755 "$rows_dir/cover"
if unshare -m true 2>/dev/null; then
	for cover in /proc /sys "/proc /sys"; do
		COVER=$cover
		export COVER
		both "no $cover" "unshare -m $rows_dir/cover"
	done
else
	row_skip "no /proc, no /sys" "mounts are not allowed here"
fi
for what in user "user --map-root-user" "mount" "pid --fork" "net" "ipc" \
	"uts" "cgroup" "user --map-root-user --pid --fork --mount-proc"; do
	if unshare --$what true 2>/dev/null; then
		both "unshare --$what" "unshare --$what" --huge
	else
		row_skip "unshare --$what" "refused by this kernel"
	fi
done

# A root directory with nothing but the program, libc and the library.
mkdir -p "$root/lib64" "$root/lib"
for f in $(ldd "$row_program" "$(command -v env)" |
	sed -n 's/.*[[:space:]]\(\/[^ ]*\) (.*/\1/p'); do
	mkdir -p "$root/$(dirname "$f")"
	cp -L "$f" "$root/$f"
done
cp "$row_program" "$row_lib" "$root/"
mkdir -p "$root/bin"
cp "$(command -v env)" "$root/bin/"
row_lib=/libhugeshim.so
row_program=/shortage_heap
PATH=$PATH:/bin
if chroot "$root" /shortage_heap --ops 1 >/dev/null 2>&1; then
	both "chroot" "chroot $root"
	both "chroot, ordinary user" "chroot --userspec=65534:65534 $root"
else
	row_skip "chroot" "the program does not run there"
fi
rows_end
