/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * block.c - which blocks there are: map, unmap, resize.
 */
#include "block.h"

#include <sys/mman.h>

#include "block_internal.h"
#include "meta.h"
#include "region_internal.h"
#include "stats.h"
#include "sys.h"
#include "vm_internal.h"

/* Of the list: a block costs some hundred microseconds to map, a step through
 * the list a few nanoseconds. */
#define BUCKETS 1024
#define HS_MAP_FIXED_NOREPLACE 0x100000

/* Locks: hs_region_lock. */
static struct hs_block *buckets[BUCKETS];
static struct hs_block *spare;
static uint64_t nr_failed;

static struct hs_block **bucket(uintptr_t addr)
{
	return &buckets[(addr >> hs_arena.slot_shift) % BUCKETS];
}

/* A parent's block that this process did not inherit. */
static bool is_lost(const struct hs_block *block)
{
	return block->request.flags & HS_BLOCK_DONTFORK &&
	       block->pid != hs_sys.getpid();
}

static struct hs_block **find(uintptr_t addr)
{
	struct hs_block **link = bucket(addr);

	while (*link && (*link)->addr != addr)
		link = &(*link)->next;
	return link;
}

static void discard(struct hs_block **link)
{
	struct hs_block *block = *link;

	*link = block->next;
	block->next = spare;
	spare = block;
}

static void insert(struct hs_block *block)
{
	struct hs_block **link = find(block->addr);

	/* The kernel gave its addresses to somebody else: it was lost. */
	if (*link)
		discard(link);
	link = bucket(block->addr);
	block->next = *link;
	*link = block;
}

static struct hs_block *obtain(void)
{
	struct hs_vm_guard guard;
	struct hs_block *block;

	hs_vm_begin(&guard);
	block = spare;
	if (block)
		spare = block->next;
	hs_vm_end(&guard);
	return block ? block : hs_meta_alloc(sizeof(*block), 16);
}

static void put_back(struct hs_block *block)
{
	struct hs_vm_guard guard;

	hs_vm_begin(&guard);
	block->next = spare;
	spare = block;
	hs_vm_end(&guard);
}

static void enlist(struct hs_block *block)
{
	struct hs_vm_guard guard;

	hs_vm_begin(&guard);
	insert(block);
	hs_vm_end(&guard);
}

/* Take the block out of the list, so that no other thread acts on it; NULL:
 * there is none of that size. */
static struct hs_block *seize(const void *addr, size_t size_bytes)
{
	struct hs_vm_guard guard;
	struct hs_block *block = NULL;
	struct hs_block **link;

	if (!hs_arena.base)
		return NULL;
	hs_vm_begin(&guard);
	link = find((uintptr_t)addr);
	if (*link && is_lost(*link))
		discard(link);
	else if (*link && (size_bytes == 0 ||
			   (*link)->size_bytes == size_bytes)) {
		block = *link;
		*link = block->next;
	}
	hs_vm_end(&guard);
	return block;
}

static int failed(int err)
{
	struct hs_vm_guard guard;

	if (err != -ENOMEM)
		return err;
	hs_vm_begin(&guard);
	nr_failed++;
	hs_vm_end(&guard);
	return err;
}

/* Whole pages for @size_bytes; 0: too much. */
static size_t whole(size_t size_bytes, size_t page_bytes)
{
	if (size_bytes > PTRDIFF_MAX - page_bytes)
		return 0;
	return hs_align_up(size_bytes, page_bytes);
}

/* --- map and unmap ------------------------------------------------------- */

static int fill_new(struct hs_block *block)
{
	int err = hs_block_hold(block->len, block->request.page_bytes,
				&block->addr);

	if (err)
		return err;
	err = hs_block_fill(&block->request, block->addr, block->len,
			    &block->direct_huge);
	if (err)
		hs_sys.munmap((void *)block->addr, block->len);
	return err;
}

static int map(size_t size_bytes, const struct hs_block_request *request,
	       void **addr)
{
	struct hs_block *block;
	int err = hs_region_init();

	if (err)
		return err;
	block = obtain();
	if (!block)
		return -ENOMEM;
	block->request = *request;
	if (request->page_bytes == 0)
		block->request.page_bytes = hs_region_slot_bytes();
	block->pid = hs_sys.getpid();
	block->size_bytes = size_bytes;
	block->len = whole(size_bytes, block->request.page_bytes);
	err = block->len ? fill_new(block) : -ENOMEM;
	if (err) {
		put_back(block);
		return err;
	}
	*addr = (void *)block->addr;
	enlist(block);
	return 0;
}

/* A size other than the engine's has no slots, which a copy could be refused
 * to one by one. */
static bool is_unsafe(const struct hs_block_request *request)
{
	size_t page = request->page_bytes;

	return page > hs_sys_page_size() && page != hs_block_page_bytes() &&
	       !(request->flags & (HS_BLOCK_DONTFORK | HS_BLOCK_KERNEL_COW));
}

int hs_block_map(size_t size_bytes, const struct hs_block_request *request,
		 void **addr)
{
	if (is_unsafe(request))
		return -EOPNOTSUPP;
	return failed(map(size_bytes, request, addr));
}

int hs_block_unmap(void *addr, size_t size_bytes)
{
	struct hs_block *block = seize(addr, size_bytes);
	int err;

	if (!block)
		return -EINVAL;
	err = hs_block_drop(block, block->addr, block->len);
	if (err)
		enlist(block);
	else
		put_back(block);
	return err;
}

/* --- resize -------------------------------------------------------------- */

static int shrink(struct hs_block *block, size_t len)
{
	int err = hs_block_drop(block, block->addr + len, block->len - len);

	if (err)
		return err;
	block->direct_huge = HS_MIN(block->direct_huge, len);
	block->len = len;
	return 0;
}

/* Addresses right behind it, held. */
static bool hold_behind(const struct hs_block *block, size_t more)
{
	void *want = (void *)(block->addr + block->len);
	void *p = hs_sys.mmap(want, more, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
				      HS_MAP_FIXED_NOREPLACE,
			      -1, 0);

	if (hs_sys_is_err(p))
		return false;
	if (p == want)
		return true;
	hs_sys.munmap(p, more);
	return false;
}

/* New pages first, then the old ones to them: a shortage changes nothing. */
static int grow_moving(struct hs_block *block, size_t len)
{
	size_t huge;
	uintptr_t to;
	int err = hs_block_hold(len, block->request.page_bytes, &to);

	if (err)
		return err;
	err = hs_block_fill(&block->request, to + block->len,
			    len - block->len, &huge);
	if (err) {
		hs_sys.munmap((void *)to, len);
		return err;
	}
	err = hs_block_move(block, to);
	if (err) {
		struct hs_block tail = *block;

		tail.addr = to + block->len;
		tail.direct_huge = huge;
		hs_block_drop(&tail, tail.addr, len - block->len);
		hs_sys.munmap((void *)to, block->len);
		return err == -EFAULT ? -ENOMEM : err;
	}
	block->addr = to;
	block->direct_huge += huge;
	block->len = len;
	return 0;
}

static int grow(struct hs_block *block, size_t len, bool may_move)
{
	size_t more = len - block->len, huge;
	uintptr_t end = block->addr + block->len;
	int err;

	if (!hold_behind(block, more))
		return may_move ? grow_moving(block, len) : -ENOMEM;
	err = hs_block_fill(&block->request, end, more, &huge);
	if (err) {
		hs_sys.munmap((void *)end, more);
		return err;
	}
	block->direct_huge += huge;
	block->len = len;
	return 0;
}

int hs_block_resize(void *addr, size_t old_bytes, size_t new_bytes,
		    bool may_move, void **moved)
{
	struct hs_block *block = seize(addr, old_bytes);
	size_t len;
	int err = 0;

	if (!block)
		return -EINVAL;
	len = whole(new_bytes, block->request.page_bytes);
	if (len == 0)
		err = -ENOMEM;
	else if (len < block->len)
		err = shrink(block, len);
	else if (len > block->len)
		err = grow(block, len, may_move);
	if (!err) {
		block->size_bytes = new_bytes;
		*moved = (void *)block->addr;
	}
	enlist(block);
	return failed(err);
}

/* --- what there is ------------------------------------------------------- */

int hs_block_find(const void *p, void **addr, size_t *size_bytes)
{
	struct hs_vm_guard guard;
	int err = -EINVAL;

	if (!hs_arena.base)
		return err;
	hs_vm_begin(&guard);
	for (size_t i = 0; i < BUCKETS && err; i++)
		for (struct hs_block *b = buckets[i]; b; b = b->next) {
			if ((uintptr_t)p - b->addr >= b->len || is_lost(b))
				continue;
			*addr = (void *)b->addr;
			*size_bytes = b->size_bytes;
			err = 0;
		}
	hs_vm_end(&guard);
	return err;
}

static size_t huge_bytes(const struct hs_block *block)
{
	size_t i = hs_vm_slot(block->addr), nr = 0;
	size_t end = hs_vm_slot(block->addr + block->len);

	if (hs_block_is_direct(&block->request))
		return block->direct_huge;
	for (; (i = hs_regmap_next(i, end)) < end; i++)
		nr += hs_vm_is_huge(&hs_regmap.slots[i]);
	return nr << hs_arena.slot_shift;
}

static void add_block(struct hs_block_stats *stats,
		      const struct hs_block *block)
{
	if (is_lost(block))
		return;
	stats->blocks++;
	stats->bytes += block->len;
	stats->huge_bytes += huge_bytes(block);
}

static uint64_t nr_fallbacks(void)
{
	uint64_t nr = 0;

	for (int id = HS_STAT_FALLBACK_POOL; id <= HS_STAT_FALLBACK_CONFIG;
	     id++)
		nr += hs_stats_get((enum hs_stats_counter)id);
	return nr;
}

void hs_block_stats(struct hs_block_stats *stats)
{
	struct hs_vm_guard guard;

	*stats = (struct hs_block_stats){
		.fallback_pages = nr_fallbacks(),
		.rescued_pages = hs_stats_get(HS_STAT_RESCUE_COW) +
				 hs_stats_get(HS_STAT_RESCUE_TOUCH),
		.converted_pages = hs_stats_get(HS_STAT_CONVERT),
	};
	if (!hs_arena.base)
		return;
	hs_vm_begin(&guard);
	stats->failed = nr_failed;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct hs_block *b = buckets[i]; b; b = b->next)
			add_block(stats, b);
	hs_vm_end(&guard);
}

size_t hs_block_page_bytes(void)
{
	return hs_region_init() ? 0 : hs_region_slot_bytes();
}
