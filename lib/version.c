// SPDX-License-Identifier: LGPL-2.1-or-later
#include "version.h"

const char hs_version[] = PACKAGE_NAME " " PACKAGE_VERSION;
