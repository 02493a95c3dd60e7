/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert_internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "convert.h"
#include "log.h"
#include "pagesrc.h"
#include "sys.h"

atomic_bool hs_convert_holes;

/* --- mprotect is refused ------------------------------------------------- */

static int move(char *from, char *to, size_t len)
{
	void *p = hs_sys.mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
				to);

	return hs_sys_is_err(p) ? hs_sys_err(p) : 0;
}

/* Copied from @aside, where nobody else looks for it. */
static int replace_aside(char *addr, size_t len, char *from, char *aside)
{
	int err = move(addr, aside, len);

	if (err)
		return err;
	if (hs_pagesrc_has_page(aside, len))
		memcpy(from, aside, len);
	else
		memset(from, 0, len);
	err = move(from, addr, len);
	if (err && move(aside, addr, len))
		hs_log_fatal("the page at %p cannot be moved back (error %d)",
			     (void *)addr, -err);
	return err;
}

int hs_convert_moved(char *addr, size_t len, char *from)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	char *room = hs_sys.mmap(NULL, 2 * len, PROT_NONE, flags, -1, 0);
	int err;

	if (hs_sys_is_err(room))
		return hs_sys_err(room);
	atomic_store(&hs_convert_holes, true);
	err = replace_aside(addr, len, from,
			    (char *)hs_align_up((uintptr_t)room, len));
	hs_sys.munmap(room, 2 * len);
	return err;
}

/* --- mremap is refused --------------------------------------------------- */

/* By the kernel's way around protection, as a debugger writes. */
static bool write_all(int fd, const char *from, char *addr, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = hs_sys.pwrite(fd, from + done, len - done,
					  (off_t)(uintptr_t)(addr + done));

		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static int map_over(char *addr, size_t len, int prot)
{
	void *p = hs_sys.mmap(addr, len, prot,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	return hs_sys_is_err(p) ? hs_sys_err(p) : 0;
}

/* There is no way back: a reader may see zeros for a moment. */
static void fill_open(char *addr, size_t len, const char *from, int prot)
{
	int err = map_over(addr, len, PROT_READ | PROT_WRITE);

	if (err)
		hs_log_fatal("the page at %p cannot be mapped (error %d)",
			     (void *)addr, -err);
	memcpy(addr, from, len);
	if (prot != (PROT_READ | PROT_WRITE))
		hs_sys.mprotect(addr, len, prot);
}

int hs_convert_written(char *addr, size_t len, const char *from, int prot,
		       bool thp)
{
	/* Of the thread: the process's first one may have ended. */
	int fd = hs_sys.open("/proc/thread-self/mem", O_RDWR, 0);
	int err;

	if (fd < 0)
		return fd;
	err = map_over(addr, len, PROT_NONE);
	if (!err && thp)
		hs_sys.madvise(addr, len, MADV_HUGEPAGE);
	if (!err && (!write_all(fd, from, addr, len) ||
		     hs_sys.mprotect(addr, len, prot)))
		fill_open(addr, len, from, prot);
	hs_sys.close(fd);
	return err;
}
