# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What kernel/build and kernel/test share: the source, trees of it with patches,
# configurations, kernels, and the guest.  Sourced by bash; $kdir is kernel/.

top=$(cd "$kdir/.." && pwd)
. "$top/scripts/setup.sh"

kernel_packages="build-essential flex bison bc libelf-dev xz-utils curl
	qemu-system-x86"

work=${KERNEL_WORK:-$top/build-tests/kernel}

base() { # FIELD: of BASE
	sed -n "s/^$1 //p" "$kdir/BASE"
}

# --- the source --------------------------------------------------------------

sum_is() { # FILE SHA256
	[ -r "$1" ] && echo "$2  $1" | sha256sum --check --status
}

# Print where the tarball is, which is exactly that of BASE.
get_source() {
	local tar deb url
	for tar in "/$(base path)" "$work/deb/$(base path)"; do
		if sum_is "$tar" "$(base tar)"; then
			echo "$tar"
			return
		fi
	done
	deb=$work/$(basename "$(base pool)")
	(cd "$work" && apt-get -q download \
		"$(base package)=$(base version)") >&2 || :
	for url in "http://deb.debian.org/$(base pool)"; do
		sum_is "$deb" "$(base deb)" || curl -sSfL -o "$deb" "$url"
	done
	sum_is "$deb" "$(base deb)" || return
	dpkg-deb -x "$deb" "$work/deb" && rm -f "$deb" &&
		sum_is "$tar" "$(base tar)" && echo "$tar"
}

# The tree that nothing is changed in; the others are hard links to it.
unpack_source() {
	local tar
	[ -e "$work/pristine/.unpacked" ] && return
	tar=$(get_source) || {
		echo "SKIP: $(base package) $(base version) cannot be had"
		return 77
	}
	rm -rf "$work/pristine" && mkdir -p "$work/pristine" &&
		tar -xf "$tar" -C "$work/pristine" --strip-components=1 &&
		touch "$work/pristine/.unpacked"
}

patches_upto() { # COUNT
	local all=("$kdir"/patches/*.patch)
	printf '%s\n' "${all[@]:1:$1}"
}

count_patches() {
	local all=("$kdir"/patches/*.patch)
	echo $((${#all[@]} - 1))
}

# Make $work/tree/NAME: the source and these patches, in order, without fuzz.
# What is as it was keeps its time, what is not becomes younger, also when it is
# as in the source again: so make builds what it has to, and no more.
make_tree() { # NAME PATCH...
	local tree=$work/tree/$1 new=$work/tree/$1.new files one
	shift
	unpack_source || return
	if [ "$(cat "$@" /dev/null | sha256sum)" = \
		"$(cat "$tree/.applied" 2>/dev/null)" ]; then
		return
	fi
	rm -rf "$new"
	if [ ! -e "$tree/.touched" ]; then
		rm -rf "$tree"
		mkdir -p "$work/tree" && cp -al "$work/pristine" "$new" &&
			mv "$new" "$tree" && : >"$tree/.touched" || return
	fi
	rm -f "$tree/.applied"
	files=$(cat "$@" /dev/null | sed -n 's,^+++ b/,,p' |
		sort -u - "$tree/.touched")
	echo "$files" >"$tree/.touched"
	mkdir -p "$new"
	for one in $files; do
		[ ! -e "$work/pristine/$one" ] ||
			(cd "$work/pristine" && cp --parents "$one" "$new")
	done
	for one; do
		patch -d "$new" -p1 -s -F0 <"$one" || {
			echo "$one does not apply"
			return 1
		}
	done
	for one in $files; do
		replace "$new/$one" "$tree/$one" || return
	done
	rm -rf "$new"
	cat "$@" /dev/null | sha256sum >"$tree/.applied"
}

# Never by writing: it may be a link to the source.
replace() { # NEW OLD
	! cmp -s "$1" "$2" || return 0
	rm -f "$2"
	[ ! -e "$1" ] || cp "$1" "$2"
}

# --- configurations ----------------------------------------------------------

# tinyconfig and fragments.  merge_config.sh drops in silence what does not
# exist or depends on something else, so each line is looked for afterwards.
configure() { # TREE OUT FRAGMENT...
	local tree=$1 out=$2 one
	shift 2
	set -- "${@/#/$kdir/config/}"
	set -- "${@/%/.config}"
	if [ -e "$out/.fragments" ] && cat "$@" | cmp -s - "$out/.fragments"; then
		return
	fi
	mkdir -p "$out"
	{
		make -s -C "$tree" O="$out" tinyconfig &&
			(cd "$out" && "$tree/scripts/kconfig/merge_config.sh" \
				-m -O "$out" "$out/.config" "$@") &&
			make -s -C "$tree" O="$out" olddefconfig
	} >"$out/config.log" 2>&1 || {
		tail "$out/config.log"
		return 1
	}
	sed -n 's/^# \(CONFIG_.*\) is not set/\1=n/p; /^CONFIG_/p' "$@" |
		sort -u -t= -k1,1 --stable >"$out/wanted"
	while IFS== read -r one value; do
		[ "$(sed -n "s/^$one=//p" "$out/.config")" = \
			"$(settled "$one" "$@")" ] || {
			echo "$one is not what the fragments say"
			return 1
		}
	done <"$out/wanted"
	cat "$@" >"$out/.fragments"
}

# What the last fragment that names it says; nothing for "is not set".
settled() { # NAME FILE...
	local name=$1
	shift
	cat "$@" | sed -n "s/^$name=\\(.*\\)/\\1/p
		s/^# $name is not set/ /p" | tail -n 1 | tr -d ' '
}

# --- building ----------------------------------------------------------------

# The machine may be measuring something: politely, and never wide.
kmake() { # TREE OUT TARGET...
	local tree=$1 out=$2
	shift 2
	nice -n 19 make -C "$tree" O="$out" -j"$jobs" ${CC:+CC="$CC"} "$@"
}

# Warnings count as failures; the log is OUT/build.log.
build_kernel() { # TREE OUT TARGET...
	local tree=$1 out=$2
	shift 2
	kmake "$tree" "$out" "$@" >"$out/build.log" 2>&1 || {
		grep -E '(error|warning):|\*\*\*' "$out/build.log" | head
		tail -n 5 "$out/build.log"
		return 1
	}
	! grep -E 'warning:' "$out/build.log"
}

# Source, patches, a variant of them, configuration, kernel.  $tree and $out say
# where it was done.  Variants build on top of what the patches gave.
build_one() { # NAME UPTO VARIANT CONFIG TARGET...
	local name=$1 upto=$2 variant=$3 config=$4 patches
	shift 4
	mapfile -t patches < <(patches_upto "$upto")
	[ "$upto" != 0 ] || patches=()
	[ -z "$variant" ] || patches+=("$kdir/variants/$variant.patch")
	tree=$work/tree/$name
	out=$work/out/$name-$config
	make_tree "$name" "${patches[@]}" || return
	# shellcheck disable=SC2046 # words
	configure "$tree" "$out" $(cat "$kdir/config/$config.list") || return
	build_kernel "$tree" "$out" "$@"
}

# --- the guest ---------------------------------------------------------------

guest_programs="init matrix hugetlb bench"

build_programs() { # DIRECTORY
	local one out=$1 flags="-O2 -Wall -Wextra -Werror -static -pthread"
	mkdir -p "$out"
	for one in $guest_programs; do
		# shellcheck disable=SC2086 # words
		gcc $flags -o "$out/$one" "$kdir/selftests/$one.c" \
			"$kdir/selftests/backing.c" "$kdir/selftests/guest.c" ||
			return
	done
}

# An initramfs of our init and every program in the directories.
make_initramfs() { # OUT CPIO DIRECTORY...
	local out=$1 cpio=$2 one directory
	shift 2
	{
		for directory in /dev /proc /sys /tmp /huge /cgroup /test; do
			echo "dir $directory 0755 0 0"
		done
		echo "nod /dev/console 0600 0 0 c 5 1"
		for directory; do
			for one in "$directory"/*; do
				case $one in
				*/init) echo "file /init $one 0755 0 0" ;;
				*) echo "file /test/${one##*/} $one 0755 0 0" ;;
				esac
			done
		done
	} >"$cpio.list"
	"$out/usr/gen_init_cpio" "$cpio.list" >"$cpio"
}

# Messages of the kernel that are never good; see also init.c.
trouble='WARNING:|BUG|Oops|KASAN|UBSAN|Bad (page|rss)|bad p[mug]d|kmemleak: [0-9]|INFO:|general protection|Kernel panic|page dumped|corruption|refcount_t|ODEBUG|detected stall|suspicious RCU|circular locking|inconsistent lock|possible recursive|guest: trouble|guest: leak'

# Boot and run programs.  0 only when the console shows that they passed, QEMU
# ended with the status that goes with it, and the kernel had nothing to say.
run_guest() { # OUT CPIO LOG PROGRAMS [SECONDS] [KERNEL-ARGUMENT...]
	local out=$1 cpio=$2 log=$3 programs=$4 limit=${5:-600} nonce status=0
	shift 4
	[ $# -eq 0 ] || shift
	nonce=$(od -An -N8 -tx8 /dev/urandom | tr -d ' ')
	# shellcheck disable=SC2086 # words
	nice -n 19 timeout "$limit" qemu-system-x86_64 -machine pc \
		${QEMU_ACCEL:--accel tcg,thread=multi -smp 2,sockets=2} -cpu max,la57=off \
		-m 5G -nodefaults -no-user-config -display none -no-reboot \
		-serial stdio -device isa-debug-exit,iobase=0xf4,iosize=4 \
		-kernel "$out/arch/x86/boot/bzImage" -initrd "$cpio" \
		-append "console=ttyS0 numa=fake=2 workqueue.disable_numa vsyscall=emulate panic=-1 \
oops=panic hugepagesz=1G hugepages=1 hugepagesz=2M \
nonce=$nonce run=$programs $*" </dev/null >"$log" 2>&1 || status=$?
	tr -d '\r' <"$log" >"$log.tmp" && mv "$log.tmp" "$log"
	if ! grep -q "^guest: $nonce passed\$" "$log"; then
		echo "no word of success on the console (status $status)"
		return 1
	fi
	if [ "$status" != 33 ]; then
		echo "QEMU ended with $status, not 33"
		return 1
	fi
	if grep -E "$trouble|^FAIL " "$log"; then
		echo "the console shows trouble"
		return 1
	fi
}
