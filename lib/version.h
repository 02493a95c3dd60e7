/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * version.h - what the report and hugectl --version call this build.
 */
#ifndef HS_VERSION_H
#define HS_VERSION_H

/* "libhugeshim 0.1.0" */
extern const char hs_version[];

#endif
