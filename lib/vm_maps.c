/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vm_maps.c - what the kernel says is mapped: /proc/self/maps, a line at a
 * time.  For the rare call that must know the protection of base pages.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "sys.h"
#include "vm_internal.h"

#define BUFFER_BYTES 1024

struct reader {
	int fd;
	size_t have, at;
	char buffer[BUFFER_BYTES];
};

static int next_char(struct reader *r)
{
	if (r->at == r->have) {
		ssize_t n = hs_sys.read(r->fd, r->buffer, sizeof(r->buffer));

		if (n <= 0)
			return -1;
		r->have = (size_t)n;
		r->at = 0;
	}
	return (unsigned char)r->buffer[r->at++];
}

/* A number in base 16 or 10, and the character behind it. */
static int number(struct reader *r, unsigned base, uintptr_t *value)
{
	int c;

	*value = 0;
	for (;;) {
		unsigned digit;

		c = next_char(r);
		if (c >= '0' && c <= '9')
			digit = (unsigned)(c - '0');
		else if (base == 16 && c >= 'a' && c <= 'f')
			digit = (unsigned)(c - 'a') + 10;
		else
			return c;
		*value = *value * base + digit;
	}
}

struct line {
	struct hs_vm_range range;
	int prot;
	bool anonymous;
};

static bool skip_past(struct reader *r, int end)
{
	int c;

	do
		c = next_char(r);
	while (c != end && c >= 0);
	return c == end;
}

/* "from-to rwxp offset device inode   name"; hugetlb has an inode and the name
 * "/anon_hugepage (deleted)". */
static bool next_line(struct reader *r, struct line *line)
{
	static const char huge[] = "/anon_hugepage";
	uintptr_t inode;
	char name[sizeof(huge)];
	size_t n = 0;
	int c;

	if (number(r, 16, &line->range.from) != '-' ||
	    number(r, 16, &line->range.to) != ' ')
		return false;
	line->prot = next_char(r) == 'r' ? PROT_READ : 0;
	line->prot |= next_char(r) == 'w' ? PROT_WRITE : 0;
	line->prot |= next_char(r) == 'x' ? PROT_EXEC : 0;
	line->anonymous = next_char(r) == 'p';
	for (int field = 0; field < 3; field++)
		if (!skip_past(r, ' '))
			return false;
	c = number(r, 10, &inode);
	while (c == ' ')
		c = next_char(r);
	for (; c != '\n' && c >= 0; c = next_char(r))
		if (n < sizeof(name) - 1)
			name[n++] = (char)c;
	name[n] = '\0';
	line->anonymous &= inode == 0 || strcmp(name, huge) == 0;
	return true;
}

bool hs_vm_is_uniform(const struct hs_vm_range *range, int *prot)
{
	struct reader r = { .fd = hs_sys.open("/proc/self/maps", O_RDONLY, 0) };
	uintptr_t covered = range->from;
	struct line line;

	if (r.fd < 0)
		return false;
	while (covered < range->to && next_line(&r, &line)) {
		if (line.range.to <= covered)
			continue;
		if (line.range.from > covered || !line.anonymous ||
		    (covered != range->from && line.prot != *prot))
			break;
		*prot = line.prot;
		covered = line.range.to;
	}
	hs_sys.close(r.fd);
	return covered >= range->to;
}
