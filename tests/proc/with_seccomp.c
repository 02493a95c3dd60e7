/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * with_seccomp SET COMMAND...: install a filter (see seccomp_filter.h) and
 * execute the command, which starts with the filter on.
 *
 * SET may be "errno", which allows everything but makes madvise, mremap and
 * prctl fail with EPERM, as careful sandboxes do.  WITH_PRELOAD in the
 * environment becomes the command's LD_PRELOAD.
 */
#include "tests/lib/hs_test.h"

#include "seccomp_filter.h"

static void install_errno(void)
{
	static const unsigned calls[] = { __NR_madvise, __NR_mremap,
					  __NR_prctl };
	struct sock_filter code[16];
	struct sock_fprog prog = { .filter = code };
	unsigned short n = 0;

	code[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		code[n++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, calls[i], 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(
			BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
						 SECCOMP_RET_ALLOW);
	prog.len = n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) != 0)
		_exit(5);
}

int main(int argc, char **argv)
{
	const char *preload = getenv("WITH_PRELOAD");

	if (argc < 3)
		return 6;
	if (preload)
		setenv("LD_PRELOAD", preload, 1);
	unsetenv("WITH_PRELOAD");
	if (strcmp(argv[1], "errno") == 0) {
		install_errno();
	} else {
		char how[64];

		snprintf(how, sizeof(how), "prctl:%s", argv[1]);
		filter_install(how);
	}
	execv(argv[2], argv + 2);
	return 127;
}
