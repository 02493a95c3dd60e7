#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a program sees of SIGBUS and SIGSEGV is the same with and without.
. "${top_srcdir:-$(dirname "$0")/../..}/tests/lib/pool.sh"

view=$(test_program signal_view)
run_bare "$view" || fail "signal_view, bare"
run_shim "$view" || fail "signal_view"
