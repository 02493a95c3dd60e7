/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "heap_class.h"

#include "region.h"

/* X(class, size of the class before, size, units of a slab) */
#define CLASSES_BY_16(X)                                                       \
	X(0, -15, 16, 1)                                                       \
	X(1, 16, 32, 1)                                                        \
	X(2, 32, 48, 1)                                                        \
	X(3, 48, 64, 1)                                                        \
	X(4, 64, 80, 1)                                                        \
	X(5, 80, 96, 1)                                                        \
	X(6, 96, 112, 1)                                                       \
	X(7, 112, 128, 1)                                                      \
	X(8, 128, 144, 1)                                                      \
	X(9, 144, 160, 1)                                                      \
	X(10, 160, 176, 1)                                                     \
	X(11, 176, 192, 1)                                                     \
	X(12, 192, 208, 1)                                                     \
	X(13, 208, 224, 1)                                                     \
	X(14, 224, 240, 1)                                                     \
	X(15, 240, 256, 1)                                                     \
	X(16, 256, 288, 1)                                                     \
	X(17, 288, 320, 1)                                                     \
	X(18, 320, 352, 1)                                                     \
	X(19, 352, 384, 1)                                                     \
	X(20, 384, 416, 1)                                                     \
	X(21, 416, 448, 1)                                                     \
	X(22, 448, 480, 1)                                                     \
	X(23, 480, 512, 1)                                                     \
	X(24, 512, 576, 1)                                                     \
	X(25, 576, 640, 1)                                                     \
	X(26, 640, 704, 1)                                                     \
	X(27, 704, 768, 1)                                                     \
	X(28, 768, 832, 1)                                                     \
	X(29, 832, 896, 1)                                                     \
	X(30, 896, 960, 1)                                                     \
	X(31, 960, 1024, 1)

#define CLASSES_BY_128(X)                                                      \
	X(32, 1024, 1152, 1)                                                   \
	X(33, 1152, 1280, 1)                                                   \
	X(34, 1280, 1408, 1)                                                   \
	X(35, 1408, 1536, 1)                                                   \
	X(36, 1536, 1664, 1)                                                   \
	X(37, 1664, 1792, 1)                                                   \
	X(38, 1792, 1920, 1)                                                   \
	X(39, 1920, 2048, 1)                                                   \
	X(40, 2048, 2304, 1)                                                   \
	X(41, 2304, 2560, 1)                                                   \
	X(42, 2560, 2816, 1)                                                   \
	X(43, 2816, 3072, 1)                                                   \
	X(44, 3072, 3328, 1)                                                   \
	X(45, 3328, 3584, 1)                                                   \
	X(46, 3584, 3840, 1)                                                   \
	X(47, 3840, 4096, 1)                                                   \
	X(48, 4096, 4352, 1)                                                   \
	X(49, 4352, 4608, 1)                                                   \
	X(50, 4608, 4992, 1)                                                   \
	X(51, 4992, 5376, 1)                                                   \
	X(52, 5376, 5888, 1)                                                   \
	X(53, 5888, 6528, 1)                                                   \
	X(54, 6528, 7168, 1)                                                   \
	X(55, 7168, 8192, 1)                                                   \
	X(56, 8192, 8704, 2)                                                   \
	X(57, 8704, 9344, 2)                                                   \
	X(58, 9344, 9984, 2)                                                   \
	X(59, 9984, 10880, 2)                                                  \
	X(60, 10880, 11904, 2)                                                 \
	X(61, 11904, 13056, 2)                                                 \
	X(62, 13056, 14464, 2)                                                 \
	X(63, 14464, 16384, 2)                                                 \
	X(64, 16384, 17408, 4)                                                 \
	X(65, 17408, 18688, 4)                                                 \
	X(66, 18688, 20096, 4)                                                 \
	X(67, 20096, 21760, 4)                                                 \
	X(68, 21760, 23808, 4)                                                 \
	X(69, 23808, 26112, 4)                                                 \
	X(70, 26112, 29056, 4)                                                 \
	X(71, 29056, 32768, 4)

#define CLASSES_BY_4K(X)                                                       \
	X(72, 32768, 36864, 9)                                                 \
	X(73, 36864, 40960, 10)                                                \
	X(74, 40960, 45056, 11)                                                \
	X(75, 45056, 49152, 12)                                                \
	X(76, 49152, 53248, 13)                                                \
	X(77, 53248, 57344, 14)                                                \
	X(78, 57344, 61440, 15)                                                \
	X(79, 61440, 65536, 16)                                                \
	X(80, 65536, 73728, 9)                                                 \
	X(81, 73728, 81920, 10)                                                \
	X(82, 81920, 90112, 11)                                                \
	X(83, 90112, 98304, 12)                                                \
	X(84, 98304, 106496, 13)                                               \
	X(85, 106496, 114688, 14)                                              \
	X(86, 114688, 122880, 15)                                              \
	X(87, 122880, 131072, 16)                                              \
	X(88, 131072, 147456, 9)                                               \
	X(89, 147456, 163840, 10)                                              \
	X(90, 163840, 180224, 11)                                              \
	X(91, 180224, 196608, 12)                                              \
	X(92, 196608, 212992, 13)                                              \
	X(93, 212992, 229376, 14)                                              \
	X(94, 229376, 245760, 15)                                              \
	X(95, 245760, 262144, 16)                                              \
	X(96, 262144, 294912, 9)                                               \
	X(97, 294912, 327680, 10)                                              \
	X(98, 327680, 360448, 11)                                              \
	X(99, 360448, 393216, 12)                                              \
	X(100, 393216, 425984, 13)                                             \
	X(101, 425984, 458752, 14)                                             \
	X(102, 458752, 491520, 15)                                             \
	X(103, 491520, 524288, 16)

#define CAPACITY(size, units) ((units)*HS_UNIT / (size))

const struct hs_class hs_classes[HS_NR_CLASSES] = {
#define X(class, before, size, units)                                          \
	[class] = { (size), (((uint64_t)1 << 32) + (size)-1) / (size),         \
		    CAPACITY(size, units), (units),                            \
		    (CAPACITY(size, units) + 63) / 64 },
	CLASSES_BY_16(X) CLASSES_BY_128(X) CLASSES_BY_4K(X)
#undef X
};

#define RANGE(class, from, before, size, step)                                 \
	[(from) + ((before) + (step)) / (step)...(from) + (size) / (step)] =   \
		(class),

const uint8_t hs_class_small[HS_NR_DIRECT + HS_SMALL_MAX / 128 + 1] = {
#define X(class, before, size, units) RANGE(class, 0, before, size, 16)
	CLASSES_BY_16(X)
#undef X
#define X(class, before, size, units)                                          \
	RANGE(class, HS_NR_DIRECT, before, size, 128)
	CLASSES_BY_128(X)
#undef X
};

const uint8_t hs_class_by_4k[HS_LARGE_MAX / 4096 + 1] = {
#define X(class, before, size, units) RANGE(class, 0, before, size, 4096)
	CLASSES_BY_4K(X)
#undef X
};

unsigned hs_class_of_aligned(size_t size_bytes, size_t align)
{
	unsigned cls;

	if (size_bytes > HS_LARGE_MAX || align > HS_UNIT)
		return HS_NR_CLASSES;
	/* No smaller one can be a multiple of the alignment. */
	size_bytes = hs_align_up(size_bytes, align);
	if (size_bytes > HS_LARGE_MAX)
		return HS_NR_CLASSES;
	for (cls = hs_class_of(size_bytes); cls < HS_NR_CLASSES; cls++)
		if ((hs_classes[cls].size_bytes & (align - 1)) == 0)
			break;
	return cls;
}
