/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * unit.h - what the unit tests share: one main() for one suite.
 *
 * Each test runs in a process of its own (Check's fork mode), so static state
 * of the library starts afresh and the sys table may be overwritten.
 */
#ifndef HS_TEST_UNIT_H
#define HS_TEST_UNIT_H

#include <check.h>
#include <stdlib.h>

#define HS_UNIT_TIMEOUT_S 60

static inline int unit_main(const char *name, void (*add)(TCase *tc))
{
	Suite *suite = suite_create(name);
	TCase *tc = tcase_create(name);
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, HS_UNIT_TIMEOUT_S);
	add(tc);
	suite_add_tcase(suite, tc);
	srunner_set_fork_status(runner, CK_FORK);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
