// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * numa.c - see numa.h.
 *
 * The process's policy, not that of single mappings: it holds for what replaces
 * a huge page as well, splits no mapping, and a program that sets its own wins.
 * Every huge page is populated before use or rescued, so a node that has none
 * left is to the library as a pool that has none.
 */
#include "preload/numa.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include "config.h"
#include "log.h"
#include "probe.h"
#include "raw.h"
#include "sys.h"

/* The kernel's numbers (linux/mempolicy.h); 0 is its default. */
static const int modes[] = {
	[HS_NUMA_LOCAL] = 4,
	[HS_NUMA_INTERLEAVE] = 3,
	[HS_NUMA_BIND] = 2,
	[HS_NUMA_PREFERRED] = 1,
};

/* All that have memory. */
static int read_nodes(uint64_t nodes[HS_NUMA_NODES / 64])
{
	char text[512];
	ssize_t n;
	int fd;

	fd = hs_sys.open("/sys/devices/system/node/has_memory", O_RDONLY, 0);
	if (fd < 0)
		return fd;
	n = hs_sys.read(fd, text, sizeof(text) - 1);
	hs_sys.close(fd);
	if (n <= 0)
		return -EIO;
	text[n - (text[n - 1] == '\n')] = '\0';
	return hs_config_parse_nodes(text, nodes);
}

/* The kernel takes no bits beyond those it could have. */
static unsigned nr_bits(const uint64_t *nodes)
{
	unsigned i = HS_NUMA_NODES / 64;

	while (i > 0 && nodes[i - 1] == 0)
		i--;
	return i * 64;
}

void hs_numa_start(void)
{
	struct hs_config_numa numa = hs_config->numa;
	unsigned bits;
	long err = 0;

	if (numa.mode == HS_NUMA_NONE || !hs_config->enabled)
		return;
	/* malloc makes no such call, so a filter may not know it. */
	if (hs_probe_run()->seccomp && !hs_config->trust_seccomp)
		return;
	bits = nr_bits(numa.nodes);
	if (numa.mode == HS_NUMA_INTERLEAVE && bits == 0) {
		err = read_nodes(numa.nodes);
		bits = nr_bits(numa.nodes);
	}
	/* One more: the kernel counts from one below. */
	if (err == 0)
		err = hs_raw6(SYS_set_mempolicy, modes[numa.mode],
			      bits ? (long)(intptr_t)numa.nodes : 0,
			      bits ? bits + 1 : 0, 0, 0, 0);
	if (err < 0)
		hs_log(HS_LOG_ERROR,
		       "HUGESHIM_NUMA: the kernel refuses it "
		       "(error %d); ignored",
		       (int)-err);
}
