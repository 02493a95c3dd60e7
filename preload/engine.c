/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * engine.c - this process's engine, for libhugealloc: blocks that a program
 * asks for are rescued, forked and counted with all else.
 */
#include "block.h"

extern const struct hs_engine hugeshim_engine_1;
HS_EXPORT const struct hs_engine hugeshim_engine_1 = HS_ENGINE_INIT;
