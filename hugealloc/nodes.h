/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nodes.h - policy and nodes of struct hugealloc_attr, as mbind(2) takes them.
 */
#ifndef HUGEALLOC_NODES_H
#define HUGEALLOC_NODES_H

#include "block.h"

/* Fill mode and nodes of @request from @numa (enum hugealloc_numa) and @text.
 * 0, -EINVAL, or -ENOSYS: the kernel has no policies. */
int hugealloc_nodes_parse(int numa, const char *text,
			  struct hs_block_request *request);

#endif
