/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap_class.h - size classes.
 *
 * 16-byte steps to 128, then eight classes a doubling (at most 12.5 % of a
 * block unused) up to 512 KiB; from 4 KiB to 32 KiB the sizes are 64 KiB over
 * a whole number, so that slabs have next to no tail.  Up to 32 KiB a slab
 * belongs to a thread, above it all threads share one set.
 *
 * Constant data; no locks.  Context: any.
 */
#ifndef HS_HEAP_CLASS_H
#define HS_HEAP_CLASS_H

#include "base.h"

#define HS_NR_SMALL 72                /* classes of thread-local slabs */
#define HS_NR_CLASSES 104             /* and of shared ones */
#define HS_DIRECT_MAX ((size_t)1024)  /* found through the heap's table */
#define HS_SMALL_MAX ((size_t)32768)  /* largest of the HS_NR_SMALL */
#define HS_LARGE_MAX ((size_t)524288) /* largest of the HS_NR_CLASSES */
/* The first class (above 4 KiB) for which it is known whether a block is still
 * as the kernel zeroed it: clearing smaller ones costs less than knowing. */
#define HS_FIRST_FRESH 48
#define HS_NR_DIRECT (HS_DIRECT_MAX / 16 + 1)
/* Up to here classes divide each doubling evenly: the class of a size that is a
 * multiple of some power of two is a multiple of that, too. */
#define HS_ALIGNED_MAX ((size_t)4096)

struct hs_class {
	uint32_t size_bytes;
	uint32_t recip; /* 2^32 / size, rounded up */
	uint16_t capacity;
	uint8_t nr_units;
	uint8_t nr_words; /* of a bit a block */
};

extern const struct hs_class hs_classes[HS_NR_CLASSES];
/* By size: in steps of 16 to 1 KiB and then, from HS_NR_DIRECT on, of 128 to
 * 32 KiB; in steps of 4 KiB to 512 KiB. */
extern const uint8_t hs_class_small[HS_NR_DIRECT + HS_SMALL_MAX / 128 + 1];
extern const uint8_t hs_class_by_4k[HS_LARGE_MAX / 4096 + 1];

/* Without a branch, which sizes would make unpredictable.
 * pre: size_bytes <= HS_SMALL_MAX */
static HS_ALWAYS_INLINE unsigned hs_class_of_small(size_t size_bytes)
{
	unsigned by_128 = size_bytes > HS_DIRECT_MAX;
	size_t step = 16 + 112 * by_128;

	return hs_class_small[((size_bytes + step - 1) >> (4 + 3 * by_128)) +
			      HS_NR_DIRECT * by_128];
}

/* pre: size_bytes <= HS_LARGE_MAX */
static HS_ALWAYS_INLINE unsigned hs_class_of(size_t size_bytes)
{
	if (size_bytes <= HS_SMALL_MAX)
		return hs_class_of_small(size_bytes);
	return hs_class_by_4k[(size_bytes + 4095) >> 12];
}

/* The smallest class of at least @size_bytes whose blocks are all aligned to
 * @align (a power of two, at most a unit), or HS_NR_CLASSES. */
unsigned hs_class_of_aligned(size_t size_bytes, size_t align);

#endif
