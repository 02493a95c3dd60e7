/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * family.h - the workloads of bench/malloc that run several threads.
 */
#ifndef HS_BENCH_FAMILY_H
#define HS_BENCH_FAMILY_H

/* Servers that hand their blocks over to the next thread. */
void run_server(void);
/* Producers allocate, consumers free. */
void run_consume(void);
/* Batches of larger blocks, freed in three orders, in four threads. */
void run_batch8(void);
/* Blocks of threads must not share a cache line: handed out by one thread, and
 * allocated by each. */
void run_scratch(void);
void run_thrash(void);
/* Many threads that live for a few blocks each. */
void run_short_threads(void);
/* Throughput of 2, 8 and 64 threads, for the same work. */
void run_threads2(void);
void run_threads8(void);
void run_threads64(void);

#endif
