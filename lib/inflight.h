/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inflight.h - what the fork sequence sees of calls in flight; wrappers use
 * cow.h.
 *
 * One record a thread, in own metadata, re-used after the thread's exit.  A
 * wrapper publishes its ranges and then looks at the gate; a fork shuts the
 * gate and then reads the ranges (Dekker's handshake, sequentially consistent
 * on both sides): either the wrapper sees the gate and waits, or the fork sees
 * the ranges.
 */
#ifndef HS_INFLIGHT_H
#define HS_INFLIGHT_H

#include "base.h"

/* From here on calls wait, but the caller's own. */
void hs_inflight_shut(void);
void hs_inflight_open(void);

/* Every published range of every thread; the gate is shut. */
void hs_inflight_visit(void (*visit)(const void *addr, size_t len));

/* Only the calling thread has come along. */
void hs_inflight_postfork_child(void);

#endif
