/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * command.c - calls whose argument means what a command says: what the kernel
 * writes for each (see call.h).
 */
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/userfaultfd.h>
#include <linux/fs.h>
#include <net/if.h>
#include <scsi/sg.h>
#include <sys/ioctl.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/uio.h>

#include "preload/call.h"
#include "regmap.h"
#include "sys.h"
#include "vm.h"

/* The kernel's struct termios; libc's is larger. */
#define KERNEL_TERMIOS_BYTES 44
/* struct serial_struct, hd_geometry, loop_info64: none is larger. */
#define LEGACY_STRUCT_BYTES 256

void hs_call_fcntl(struct hs_call *c, int cmd, void *arg)
{
	switch (cmd) {
	case F_GETLK:
	case F_OFD_GETLK:
		hs_call_w(c, arg, sizeof(struct flock));
		break;
	case F_GETOWN_EX:
	case F_GET_RW_HINT:
	case F_GET_FILE_RW_HINT:
	case 17: /* F_GETOWNER_UIDS */
		hs_call_w(c, arg, 8);
		break;
	default:
		break;
	}
}

static void ioctl_ifconf(struct hs_call *c, struct ifconf *conf)
{
	if (!hs_call_plausible(conf))
		return;
	hs_call_w(c, conf, sizeof(*conf));
	if (conf->ifc_len > 0)
		hs_call_w(c, conf->ifc_buf, (size_t)conf->ifc_len);
}

/* SIOCETHTOOL and its like: a request with a pointer to one more structure,
 * whose size depends on its own first word: its whole slot. */
static void ioctl_ifreq_data(struct hs_call *c, struct ifreq *req)
{
	if (!hs_call_plausible(req))
		return;
	hs_call_w(c, req, sizeof(*req));
	hs_call_w(c, req->ifr_data, HS_UNIT);
}

static void ioctl_sg(struct hs_call *c, struct sg_io_hdr *hdr)
{
	if (!hs_call_plausible(hdr))
		return;
	hs_call_w(c, hdr, sizeof(*hdr));
	hs_call_w(c, hdr->dxferp, hdr->dxfer_len);
	hs_call_w(c, hdr->sbp, hdr->mx_sb_len);
}

/* 'T' (tty), 'S' and 0x12 (block), 0x89 (socket): commands from before sizes
 * were part of the number. */
static void ioctl_legacy(struct hs_call *c, unsigned cmd, void *arg)
{
	switch (cmd) {
	case SIOCGIFCONF:
		ioctl_ifconf(c, arg);
		return;
	case 0x8946: /* SIOCETHTOOL */
	case 0x8947: /* SIOCGMIIPHY */
	case 0x8948: /* SIOCGMIIREG */
		ioctl_ifreq_data(c, arg);
		return;
	case SG_IO:
		ioctl_sg(c, arg);
		return;
	case FIONREAD:
	case TIOCOUTQ:
		hs_call_w(c, arg, sizeof(int));
		return;
	case TIOCGWINSZ:
		hs_call_w(c, arg, sizeof(struct winsize));
		return;
	case TCGETS:
		hs_call_w(c, arg, KERNEL_TERMIOS_BYTES);
		return;
	default:
		break;
	}
	if ((cmd >> 8) == 0x89)
		hs_call_w(c, arg, sizeof(struct ifreq));
	else
		hs_call_w(c, arg, LEGACY_STRUCT_BYTES);
}

/*
 * A command that says it writes gives its size.  One without a size may be an
 * old one, or take a plain number: a number is no address in the arena.  A
 * structure may itself point to memory (DRM, V4L, KVM and others): those
 * drivers are found neither here nor, mostly, on heap memory.
 */
void hs_call_ioctl(struct hs_call *c, unsigned cmd, void *arg)
{
	if (_IOC_SIZE(cmd) == 0) {
		ioctl_legacy(c, cmd, arg);
		return;
	}
	if (_IOC_DIR(cmd) & _IOC_READ)
		hs_call_w(c, arg, _IOC_SIZE(cmd));
	else
		hs_call_r(c, arg, _IOC_SIZE(cmd));
	/* Its faults are the application's from here on. */
	if (cmd == UFFDIO_REGISTER && hs_call_plausible(arg)) {
		const struct uffdio_register *reg = arg;

		hs_vm_release((void *)(uintptr_t)reg->range.start,
			      reg->range.len);
	}
	if (cmd == FS_IOC_FIEMAP && hs_call_plausible(arg)) {
		struct fiemap *map = arg;

		hs_call_w(c, map->fm_extents,
			  (size_t)map->fm_extent_count *
				  sizeof(map->fm_extents[0]));
	}
}

void hs_call_semctl(struct hs_call *c, int id, int cmd, long arg)
{
	/* SEMMSL is the bound that needs no further call. */
	enum { SEMAPHORES_MAX = 32000 };

	(void)id;
	switch (cmd & ~0x100 /* IPC_64 */) {
	case IPC_STAT:
	case SEM_STAT:
		hs_call_w(c, (void *)arg, sizeof(struct semid_ds));
		break;
	case GETALL:
		hs_call_w(c, (void *)arg, SEMAPHORES_MAX * sizeof(short));
		break;
	case IPC_INFO:
	case SEM_INFO:
		hs_call_w(c, (void *)arg, sizeof(struct seminfo));
		break;
	default:
		break;
	}
}

void hs_call_prctl(struct hs_call *c, int option, long a1, long a2, long a4)
{
	switch (option) {
	case PR_GET_PDEATHSIG:
	case PR_GET_TSC:
	case PR_GET_UNALIGN:
	case PR_GET_FPEMU:
	case PR_GET_FPEXC:
	case PR_GET_ENDIAN:
	case PR_GET_CHILD_SUBREAPER:
	case PR_GET_TID_ADDRESS:
		hs_call_w(c, (void *)a1, sizeof(long));
		break;
	case PR_GET_NAME:
		hs_call_w(c, (void *)a1, 16);
		break;
	case PR_SET_MM:
		if (a1 == PR_SET_MM_MAP_SIZE)
			hs_call_w(c, (void *)a2, sizeof(int));
		break;
	case PR_SCHED_CORE:
		hs_call_w(c, (void *)a4, sizeof(uint64_t));
		break;
	default:
		break;
	}
}

void hs_call_ptrace(struct hs_call *c, int request, void *addr, void *data)
{
	struct iovec *iov = data;

	switch (request) {
	case PTRACE_GETREGSET:
		if (!hs_call_plausible(iov))
			return;
		hs_call_w(c, iov, sizeof(*iov));
		hs_call_w(c, iov->iov_base, iov->iov_len);
		break;
	case PTRACE_GETSIGMASK:
	case PTRACE_GET_SYSCALL_INFO:
		hs_call_w(c, data, (size_t)addr);
		break;
	default:
		/* Registers, siginfo, event message: all below a unit. */
		hs_call_w(c, data, 4096);
		break;
	}
}

void hs_call_handle(struct hs_call *c, void *handle)
{
	/* struct file_handle: handle_bytes, handle_type, then the bytes */
	if (hs_regmap_find(handle))
		hs_call_w(c, handle, 8 + (size_t)*(unsigned *)handle);
}

void hs_call_procw(struct hs_call *c, int pid, const struct iovec *iov,
		   size_t n)
{
	if (pid == hs_sys.getpid())
		hs_call_iovw(c, iov, n);
}

void hs_call_procr(struct hs_call *c, int pid, const struct iovec *iov,
		   size_t n)
{
	if (pid == hs_sys.getpid())
		hs_call_iovr(c, iov, n);
}
