# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The parts of kernel/test.  What a part prints is its result; kernel/results
# has what it printed last.

quick_parts="guest wrong1"
all_parts="apply style guest wrong wrong1 base debug lockdep nohuge vm cost matrix arm64"

programs=matrix,hugetlb

# Boot what build_one built last, and say how many tests passed.
boot() { # LOG PROGRAMS [SECONDS] [KERNEL-ARGUMENT...]
	local log=$work/$1.log status=0
	local cpio=$work/$1.cpio
	shift
	build_programs "$work/programs" &&
		make_initramfs "$out" "$cpio" "$work/programs" \
			${more_programs:+"$more_programs"} || return
	run_guest "$out" "$cpio" "$log" "$@" || status=1
	echo "$(grep -c '^PASS ' "$log") tests passed," \
		"$(grep -c '^FAIL ' "$log") failed in the guest"
	return "$status"
}

part_apply() { # the patches apply in order, without fuzz
	local patches
	mapfile -t patches < <(patches_upto "$(count_patches)")
	make_tree patched "${patches[@]}" &&
		echo "${#patches[@]} patches apply to" \
			"$(base package) $(base version)"
}

part_style() { # checkpatch.pl --strict, but for what patches/checkpatch explains
	local one
	part_apply >/dev/null || return
	for one in $(patches_upto "$(count_patches)"); do
		(cd "$work/tree/patched" && perl scripts/checkpatch.pl \
			--strict --no-tree --root=. --terse --show-types \
			"$one") | sed "s|^.*/||; s|:[0-9]*: | |; /^total/d"
	done | sort -u >"$work/checkpatch"
	grep -v '^#' "$kdir/patches/checkpatch" | sort -u |
		diff - "$work/checkpatch" &&
		echo "nothing but what patches/checkpatch explains"
}

part_guest() { # patched, the tested configuration: builds, boots, passes
	build_one patched "$(count_patches)" "" test bzImage &&
		boot guest $programs
}

part_debug() { # the same with KASAN, PROVE_LOCKING, DEBUG_OBJECTS, kmemleak
	build_one patched "$(count_patches)" "" debug bzImage &&
		boot debug $programs 3600
}

# Without the patches: what fails then is what the patches mend.
part_base() { # not patched: only what the patches mend fails
	build_one base 0 "" test bzImage || return
	if boot base $programs; then
		echo "the tests cannot tell this kernel from a patched one"
		return 1
	fi
	sed -n 's/^FAIL \([^ ]*\).*/\1/p' "$work/base.log" |
		diff - "$kdir/selftests/mended" &&
		echo "which is what selftests/mended says"
}

part_lockdep() { # without patch 1: lockdep reports the split of a hugetlb VMA
	build_one patched "$(count_patches)" without-0001 debug bzImage ||
		return
	if boot lockdep hugetlb 3600 >"$work/lockdep.out" 2>&1; then
		echo "lockdep has nothing to say"
		return 1
	fi
	grep -aE -m 1 'WARNING.* i_mmap_assert_write_locked' "$work/lockdep.log"
}

# One wrong operation: the guest has to notice.  In the tree and the build of
# the patched kernel, as nothing but one file differs.
wrong_is_red() { # OPERATION
	build_one patched "$(count_patches)" "wrong-$1" test bzImage || return
	if boot "wrong-$1" $programs 300 >"$work/wrong-$1.out" 2>&1; then
		echo "wrong-$1: NOBODY NOTICED"
		return 1
	fi
	echo "wrong-$1: red:" "$(grep -aE -m 1 "$trouble|^FAIL " \
		"$work/wrong-$1.log" | cut -c -60)"
}

part_wrong1() { # a wrong operation makes the guest fail
	wrong_is_red change_protection
}

part_wrong() { # so does each of them, and a hole in the table
	local one bad=0
	for one in "$kdir"/variants/wrong-*.patch; do
		one=${one##*/wrong-}
		wrong_is_red "${one%.patch}" || bad=1
	done
	return "$bad"
}

part_nohuge() { # patched, without hugetlb: boots, base pages pass
	build_one patched "$(count_patches)" "" nohugetlb bzImage &&
		boot nohuge matrix:base && ! nm "$out/vmlinux" | grep pt_ops &&
		echo "nothing of pagetable_operations is in it"
}

# --- the kernel's own tests --------------------------------------------------

vm_programs="hugepage-mmap hugepage-shm hugepage-mremap hugepage-vmemmap
	hugetlb-madvise map_hugetlb userfaultfd gup_test mremap_test
	madv_populate mlock2-tests mlock-random-test mrelease_test
	map_populate soft-dirty split_huge_page_test ksm_tests
	on-fault-limit mremap_dontunmap map_fixed_noreplace thuge-gen
	memfd_secret khugepaged compaction_test protection_keys
	virtual_address_range"
vm_runs=hugepage-mmap,hugepage-shm,hugepage-mremap:/huge/m,hugepage-vmemmap,\
hugetlb-madvise:/huge/a,map_hugetlb,userfaultfd:anon:20:5,\
userfaultfd:hugetlb:32:5,userfaultfd:hugetlb_shared:32:5:/huge/u,\
userfaultfd:shmem:20:5,gup_test:-u,gup_test:-a,gup_test:-b,gup_test:-H:-u,\
gup_test:-H:-a,gup_test:-H:-b,gup_test:-H:-L,gup_test:-ct:-F:0x1:0:19:0x1000,\
mremap_test,madv_populate,mlock2-tests,mlock-random-test,mrelease_test,\
map_populate,soft-dirty,split_huge_page_test,ksm_tests:-M:-p:10,\
ksm_tests:-U,ksm_tests:-N:-m:0,on-fault-limit,mremap_dontunmap,\
map_fixed_noreplace,thuge-gen,memfd_secret,khugepaged,compaction_test,\
protection_keys,virtual_address_range

build_vm() { # TREE
	local dir=$1/tools/testing/selftests/vm one more
	more_programs=$work/vm
	install_packages "$work/vm.packages" libcap-dev libnuma-dev || return
	rm -rf "$more_programs"
	mkdir -p "$more_programs"
	for one in $vm_programs; do
		more=
		[ ! -e "$dir/vm_util.c" ] || more=$dir/vm_util.c
		gcc -O2 -w -static -pthread -mxsave -D_GNU_SOURCE -I"$dir" \
			-I"$1/tools/testing/selftests" -I"$1/tools/include/uapi" \
			-idirafter "$1" -o "$more_programs/$one" "$dir/$one.c" \
			$more -lnuma -lcap -lrt ||
			echo "$one does not build here"
	done
}

# What each ended with, in a form to compare.
vm_outcome() { # NAME
	sed -n 's/^.*guest: \(.* ended .*\)/\1/p' "$work/$1.log"
}

# gup_test has a page dumped, so what the kernel says is compared, too.
vm_trouble() { # NAME
	grep -aE "$trouble" "$work/$1.log" |
		sed 's/^\[[^]]*\] //; s/^\(guest: trouble:\) [^;]*;/\1 /' | sort -u
}

vm_verdict() {
	cat "$work/vm-patched.outcome"
	diff "$work/vm-base.outcome" "$work/vm-patched.outcome" || return
	diff "$work/vm-base.trouble" "$work/vm-patched.trouble" || return
	echo "all of them, and the kernel's messages, as without the patches"
}

part_vm() { # tools/testing/selftests/vm ends as on the unpatched kernel
	local more_programs what
	for what in base patched; do
		local upto=0
		[ $what = base ] || upto=$(count_patches)
		build_one $what "$upto" "" test bzImage &&
			build_vm "$tree" || return
		boot vm-$what "$vm_runs" 3000 >"$work/vm-$what.out" 2>&1
		vm_outcome vm-$what >"$work/vm-$what.outcome"
		vm_trouble vm-$what >"$work/vm-$what.trouble"
		[ -s "$work/vm-$what.outcome" ] || return
	done
	vm_verdict
}

# --- what it costs -----------------------------------------------------------

counts() { # NAME RUN
	QEMU_ACCEL="-accel tcg,thread=single -smp 1 \
		-icount shift=0,align=off,sleep=off" \
		boot "cost-$1-$2" bench 3000 nokaslr norandmaps >&2 || return
	sed -n 's/^count //p' "$work/cost-$1-$2.log"
}

part_cost() { # instructions for normal pages, patched against unpatched
	local what run
	for what in base patched dispatch; do
		case $what in
		base) build_one base 0 "" cost bzImage ;;
		patched) build_one patched "$(count_patches)" "" cost bzImage ;;
		dispatch) build_one patched "$(count_patches)" \
			mandatory-dispatch cost bzImage ;;
		esac || return
		for run in 1 2 3; do
			counts $what $run >"$work/counts-$what-$run" || return
		done
		echo "$what, handle_mm_fault:"
		objdump -dr --no-show-raw-insn "$out/mm/memory.o" |
			awk '/<handle_mm_fault>:$/ { p = 1 } p
				p && /^$/ { exit }' |
			grep -E '\$0x40,0x22|(hugetlb|core)_pt_ops|hugetlb_f'
	done
	awk -f "$kdir/cost.awk" "$work"/counts-{base,patched,dispatch}-[123]
}

# --- builds ------------------------------------------------------------------

extremes="test none"
between="nohugetlb nothp"
objects="mm/ fs/ kernel/fork.o arch/x86/mm/"

# All patches in one configuration: what one of them touches is built again.
series_in() { # CONFIG TARGET...
	local n config=$1
	shift
	for ((n = 1; n <= $(count_patches); n++)); do
		build_one series "$n" "" "$config" "$@" || {
			echo "$config: patch $n does not build"
			return 1
		}
	done
	echo "$config: each of $(count_patches) patches builds ($*)"
}

part_matrix() { # each patch builds, in {HUGETLBFS} x {THP}, without a warning
	local config
	for config in $extremes; do
		series_in "$config" vmlinux || return
		echo "$config:" $(nm "$out/vmlinux" | grep hugetlb_pt_ops)
	done
	for config in $between; do
		# shellcheck disable=SC2086 # words
		series_in "$config" $objects || return
	done
}

part_arm64() { # cross-build for arm64
	local cross=aarch64-linux-gnu- patches
	install_packages "$work/arm64.log" gcc-aarch64-linux-gnu || return
	mapfile -t patches < <(patches_upto "$(count_patches)")
	make_tree patched "${patches[@]}" || return
	tree=$work/tree/patched out=$work/out/arm64
	mkdir -p "$out"
	export ARCH=arm64 CROSS_COMPILE=$cross
	kmake "$tree" "$out" CC=${cross}gcc defconfig >"$out/config.log" 2>&1 &&
		"$tree/scripts/config" --file "$out/.config" -e HUGETLBFS \
			-e TRANSPARENT_HUGEPAGE &&
		kmake "$tree" "$out" CC=${cross}gcc olddefconfig \
			>>"$out/config.log" 2>&1 &&
		build_kernel "$tree" "$out" CC=${cross}gcc mm/ kernel/fork.o \
			arch/arm64/mm/ &&
		echo "mm/, kernel/fork.o and arch/arm64/mm/ build"
	set -- $?
	unset ARCH CROSS_COMPILE
	return "$1"
}
