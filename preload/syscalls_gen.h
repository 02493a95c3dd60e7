/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syscalls_gen.h - what the generated wrappers include: the types whose sizes
 * lib/syscalls.tab names.  The wrappers have C names of their own (hs_wrap_*)
 * and get libc's names from the assembler, so no prototype can clash.
 */
#ifndef HS_SYSCALLS_GEN_H
#define HS_SYSCALLS_GEN_H

#include <signal.h>
#include <sys/epoll.h>
#include <sys/msg.h>
#include <sys/quota.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <time.h>

#include "preload/call.h"
#include "preload/real.h"
#include "preload/sigmask.h"
#include "regmap.h"
#include "sys.h"

#endif
