/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <asm/ioctls.h>
#include <asm/termbits.h>

#include "config.h"
#include "log.h"
#include "stats.h"
#include "stats_internal.h"
#include "sys.h"

struct hs_stats hs_stats;

/*
 * For hugectl stat and top, which read the counters of a live process from
 * outside: its memory alone says where they are and what they are called,
 * whatever version of the library it runs and though the file may be gone.
 */
const struct hs_stats_layout hs_stats_layout = {
	.nr_counters = HS_STAT_NR_COUNTERS,
	.nr_gauges = HS_STAT_NR_GAUGES,
	.size_bytes = sizeof(struct hs_stats),
	.version = HS_STATS_VERSION,
	.names =
#define X(id, json, text) json "\0"
		HS_STATS_COUNTERS(X) HS_STATS_GAUGES(X)
#undef X
};

/* Distances, so that it needs no relocation at exec. */
__asm__(".pushsection .note.hugeshim, \"a\", %note\n"
	"	.balign 4\n"
	"	.long 9, 8, 1\n" /* bytes of the name and of the rest; type */
	"	.asciz \"hugeshim\"\n"
	"	.balign 4\n"
	"	.long hs_stats - .\n"
	"	.long hs_stats_layout - .\n"
	"	.popsection\n");

static const char *const counter_text[] = {
#define X(id, json, text) [HS_STAT_##id] = text,
	HS_STATS_COUNTERS(X)
#undef X
};

void hs_stats_add(enum hs_stats_counter id, uint64_t n)
{
	atomic_fetch_add_explicit(&hs_stats.counter[id], n,
				  memory_order_relaxed);
}

void hs_stats_count(enum hs_stats_counter id)
{
	hs_stats_add(id, 1);
}

uint64_t hs_stats_get(enum hs_stats_counter id)
{
	return atomic_load_explicit(&hs_stats.counter[id],
				    memory_order_relaxed);
}

/* Relaxed, and in two steps with the gauge: a report that reads in between is
 * off by one change. */
static void raise_to(_Atomic uint64_t *peak, uint64_t value)
{
	uint64_t old = atomic_load_explicit(peak, memory_order_relaxed);

	while (value > old && !atomic_compare_exchange_weak_explicit(
				      peak, &old, value, memory_order_relaxed,
				      memory_order_relaxed))
		;
}

/* What the coverage was when the heap was largest; at exit most programs have
 * given back what mattered.  Huge pages that wait for their first touch count:
 * where there are none, they turn to base pages in these gauges, which leaves
 * the sum as it was: hence what it was made of last. */
static void note_largest(struct hs_stats_largest *largest, uint64_t huge,
			 uint64_t rest)
{
	if (huge + rest <
	    atomic_load_explicit(&largest->bytes, memory_order_relaxed))
		return;
	raise_to(&largest->bytes, huge + rest);
	atomic_store_explicit(&largest->huge_bytes, huge, memory_order_relaxed);
}

static void note_largest_heap(void)
{
	note_largest(&hs_stats.heap,
		     hs_stats_gauge(HS_GAUGE_HUGE) +
			     hs_stats_gauge(HS_GAUGE_LAZY),
		     hs_stats_gauge(HS_GAUGE_THP) +
			     hs_stats_gauge(HS_GAUGE_BASE));
}

static void note_largest_mmap(void)
{
	note_largest(&hs_stats.mmap,
		     hs_stats_gauge(HS_GAUGE_VM_HUGE) +
			     hs_stats_gauge(HS_GAUGE_VM_LAZY),
		     hs_stats_gauge(HS_GAUGE_VM_BASE));
}

void hs_stats_gauge_add(enum hs_stats_gauge id, int64_t delta_bytes)
{
	uint64_t now;

	now = atomic_fetch_add_explicit(&hs_stats.gauge[id],
					(uint64_t)delta_bytes,
					memory_order_relaxed) +
	      (uint64_t)delta_bytes;
	if (delta_bytes <= 0)
		return;
	raise_to(&hs_stats.peak[id], now);
	if (id >= HS_GAUGE_VM_HUGE)
		note_largest_mmap();
	else if (id != HS_GAUGE_RETAINED)
		note_largest_heap();
}

uint64_t hs_stats_gauge(enum hs_stats_gauge id)
{
	return atomic_load_explicit(&hs_stats.gauge[id], memory_order_relaxed);
}

uint64_t hs_stats_gauge_peak(enum hs_stats_gauge id)
{
	return atomic_load_explicit(&hs_stats.peak[id], memory_order_relaxed);
}

static bool stderr_is_terminal(void)
{
	struct termios attributes;

	return hs_sys.ioctl(2, TCGETS, &attributes) == 0;
}

/* The first fallback of a process is worth a line: it says what to change.
 * Printed at once or never, so that a program's output stays its own. */
static void say_why(enum hs_stats_counter reason)
{
	enum hs_log_level level = HS_LOG_WARN;

	/* A filter may kill for the question alone. */
	if (hs_log_level() < HS_LOG_WARN &&
	    reason != HS_STAT_FALLBACK_SECCOMP && stderr_is_terminal())
		level = HS_LOG_ERROR;
	hs_log(level, "falling back to smaller pages: %s",
	       counter_text[reason]);
}

void hs_stats_fallback(enum hs_stats_counter reason)
{
	hs_stats_count(reason);
	/* Switched off by the user is no news to the user. */
	if (reason == HS_STAT_FALLBACK_CONFIG)
		return;
	if (atomic_load_explicit(&hs_stats.fallback_said, memory_order_relaxed))
		return;
	if (atomic_exchange_explicit(&hs_stats.fallback_said, true,
				     memory_order_relaxed))
		return;
	say_why(reason);
}

/* Single-threaded.  The line about a fallback stays said. */
void hs_stats_postfork_child(void)
{
	unsigned i;

	for (i = 0; i < HS_STAT_NR_COUNTERS; i++)
		atomic_store_explicit(&hs_stats.counter[i], 0,
				      memory_order_relaxed);
	for (i = 0; i < HS_STAT_NR_GAUGES; i++)
		atomic_store_explicit(&hs_stats.peak[i],
				      hs_stats_gauge((enum hs_stats_gauge)i),
				      memory_order_relaxed);
	atomic_store_explicit(&hs_stats.heap.bytes, 0, memory_order_relaxed);
	atomic_store_explicit(&hs_stats.mmap.bytes, 0, memory_order_relaxed);
	note_largest_heap();
	note_largest_mmap();
}
