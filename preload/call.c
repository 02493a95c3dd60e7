/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* call.c - see call.h: ranges and the shapes built on them. */
#include "preload/call.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include "regmap.h"
#include "rescue.h"

atomic_bool hs_call_on;

/* Where the range ends, or the address space. */
static uintptr_t clip(uintptr_t start, size_t len)
{
	return start + HS_MIN(len, UINTPTR_MAX - start);
}

static bool needs_care(uintptr_t addr)
{
	const struct hs_slot *slot = hs_regmap_find((void *)addr);
	enum hs_slot_state state;

	if (!slot)
		return false;
	state = hs_slot_state(slot);
	return state == HS_SLOT_LAZY || state == HS_SLOT_HUGE;
}

/* The first slot at or behind @p that has a record, or @end. */
static uintptr_t next_known(uintptr_t p, uintptr_t end)
{
	unsigned shift = hs_arena.slot_shift;
	size_t last = ((end - 1) >> shift) + 1;
	size_t i = hs_regmap_next(p >> shift, last);

	return i >= last ? end : HS_MAX(p, i << shift);
}

/* Shrink [*start, *end) to what lies between its first and its last slot that
 * is not on base pages; false if there is none. */
static bool trim(uintptr_t *start, uintptr_t *end)
{
	size_t slot = hs_region_slot_bytes();
	uintptr_t p = *start;

	while ((p = next_known(p, *end)) < *end && !needs_care(p))
		p = hs_align_down(p, slot) + slot;
	if (p >= *end)
		return false;
	*start = p;
	p = *end - 1;
	while (!needs_care(p))
		p = hs_align_down(p, slot) - 1;
	*end = p < *start ? *start + 1 : HS_MIN(*end, p + 1);
	return true;
}

/* Do the slots of [start, end) touch or follow those of range @i of @f?  Then
 * they become one range. */
static bool merge(struct hs_inflight *f, unsigned i, uintptr_t start,
		  uintptr_t end, bool force)
{
	size_t slot = hs_region_slot_bytes();
	uintptr_t r_start = (uintptr_t)f->range[i].addr;
	uintptr_t r_end = r_start + f->range[i].len;

	if (!force && (hs_align_down(start, slot) > hs_align_up(r_end, slot) ||
		       hs_align_down(r_start, slot) > hs_align_up(end, slot)))
		return false;
	r_start = HS_MIN(r_start, start);
	r_end = HS_MAX(r_end, end);
	f->range[i].addr = (void *)r_start;
	f->range[i].len = r_end - r_start;
	return true;
}

static void add(struct hs_call *c, uintptr_t start, uintptr_t end)
{
	struct hs_inflight *f = NULL;
	unsigned i, j;

	for (i = 0; i < c->nr; i++) {
		f = &c->rec[i];
		for (j = 0; j < f->nr; j++)
			if (merge(f, j, start, end, false))
				return;
	}
	if (f == NULL || f->nr == HS_INFLIGHT_RANGES) {
		if (c->nr == HS_CALL_RECORDS) {
			/* One range that also covers what lies between. */
			merge(f, HS_INFLIGHT_RANGES - 1, start, end, true);
			return;
		}
		f = &c->rec[c->nr++];
		f->nr = 0;
	}
	f->range[f->nr].addr = (void *)start;
	f->range[f->nr].len = end - start;
	f->nr++;
}

void hs_call_w(struct hs_call *c, const void *p, size_t len)
{
	uintptr_t start = (uintptr_t)p, end;

	if (len == 0 || !hs_regmap_may_hold(p, len) || !hs_call_active())
		return;
	end = clip(start, len);
	if (trim(&start, &end))
		add(c, start, end);
}

/*
 * The kernel faults on a read of a page that is not there yet, too, and cannot
 * get one from a dry pool.  A page that is there may be shared: the kernel
 * may read it, and copying it would be a waste.
 */
void hs_call_r(struct hs_call *c, const void *p, size_t len)
{
	uintptr_t start = (uintptr_t)p, end, next;
	size_t slot = hs_region_slot_bytes();

	(void)c;
	if (len == 0 || !hs_regmap_may_hold(p, len) || !hs_call_active())
		return;
	end = clip(start, len);
	while ((start = next_known(start, end)) < end) {
		next = HS_MIN(hs_align_down(start, slot) + slot, end);
		if (hs_slot_state(hs_regmap_find((void *)start)) ==
		    HS_SLOT_LAZY)
			hs_rescue_prepare((void *)start, next - start);
		start = next;
	}
}

/* Of conversions all the time, some other thread's. */
#define AGAIN_MAX 64

bool hs_call_disturbed(struct hs_call *c)
{
	unsigned now = hs_rescue_converted(true);

	if (now == c->converted || c->tries++ == AGAIN_MAX)
		return false;
	return true;
}

void hs_call_iovw(struct hs_call *c, const struct iovec *iov, size_t n)
{
	size_t i;

	if (!hs_call_plausible(iov) || n > IOV_MAX)
		return;
	for (i = 0; i < n; i++)
		hs_call_w(c, iov[i].iov_base, iov[i].iov_len);
}

void hs_call_iovr(struct hs_call *c, const struct iovec *iov, size_t n)
{
	size_t i;

	if (!hs_call_plausible(iov) || n > IOV_MAX)
		return;
	for (i = 0; i < n; i++)
		hs_call_r(c, iov[i].iov_base, iov[i].iov_len);
}

void hs_call_msgw(struct hs_call *c, struct msghdr *msg)
{
	if (!hs_call_plausible(msg))
		return;
	hs_call_w(c, msg, sizeof(*msg));
	hs_call_w(c, msg->msg_name, msg->msg_namelen);
	hs_call_w(c, msg->msg_control, msg->msg_controllen);
	hs_call_iovw(c, msg->msg_iov, msg->msg_iovlen);
}

void hs_call_msgr(struct hs_call *c, const struct msghdr *msg)
{
	if (!hs_call_plausible(msg))
		return;
	hs_call_r(c, msg->msg_name, msg->msg_namelen);
	hs_call_r(c, msg->msg_control, msg->msg_controllen);
	hs_call_iovr(c, msg->msg_iov, msg->msg_iovlen);
}

void hs_call_mmsgw(struct hs_call *c, struct mmsghdr *msgs, unsigned n)
{
	unsigned i;

	if (!hs_call_plausible(msgs))
		return;
	n = HS_MIN(n, (unsigned)IOV_MAX); /* as the kernel does */
	hs_call_w(c, msgs, n * sizeof(*msgs));
	for (i = 0; i < n; i++)
		hs_call_msgw(c, &msgs[i].msg_hdr);
}

/* The number of bytes sent is written to each entry. */
void hs_call_mmsgr(struct hs_call *c, struct mmsghdr *msgs, unsigned n)
{
	unsigned i;

	if (!hs_call_plausible(msgs))
		return;
	n = HS_MIN(n, (unsigned)IOV_MAX);
	hs_call_w(c, msgs, n * sizeof(*msgs));
	for (i = 0; i < n; i++)
		hs_call_msgr(c, &msgs[i].msg_hdr);
}

void hs_call_sockw(struct hs_call *c, void *addr, void *len)
{
	if (!hs_call_plausible(len))
		return;
	hs_call_w(c, len, sizeof(socklen_t));
	if (hs_regmap_find(addr))
		hs_call_w(c, addr, *(socklen_t *)len);
}

void hs_call_fdset(struct hs_call *c, void *set, int n)
{
	hs_call_w(c, set, hs_call_times((n + 63) / 64, 8));
}
