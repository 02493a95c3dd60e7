/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * engine.h - who serves the calls: libhugeshim.so where it is loaded, else the
 * engine that is linked into this library.
 *
 * The engine of this library does nothing before the first block is asked for.
 * Then it takes SIGBUS and SIGSEGV (trap.h) and registers handlers for fork.
 */
#ifndef HUGEALLOC_ENGINE_H
#define HUGEALLOC_ENGINE_H

#include "block.h"

/* Defined by libhugeshim.so; the number changes with block.h. */
extern const struct hs_engine hugeshim_engine_1 __attribute__((weak));

const struct hs_engine *hugealloc_engine(void);

/* -errno becomes @failed and errno. */
#define HUGEALLOC_FAIL(err, failed) (errno = -(err), (failed))

#endif
