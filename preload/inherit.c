// SPDX-License-Identifier: LGPL-2.1-or-later
#include "preload/inherit.h"

#include <dlfcn.h>
#include <string.h>

#include "preload/real.h"

/* The file name is what tells us: LD_PRELOAD may hold a path with $LIB in it,
 * or a bare name that ld.so searched for. */
static const char *file_name_of(const char *path, size_t *len)
{
	const char *end = path + *len, *p = end;

	while (p > path && p[-1] != '/')
		p--;
	*len = (size_t)(end - p);
	return p;
}

bool hs_inherit_remove(char *list, const char *file_name)
{
	size_t wanted = strlen(file_name);
	char *in = list, *out = list;

	while (*in) {
		size_t all = strcspn(in, ": "), len = all;
		const char *name = file_name_of(in, &len);
		bool ours = len == wanted && !memcmp(name, file_name, len);

		if (all && !ours) {
			if (out != list)
				*out++ = ':';
			memmove(out, in, all);
			out += all;
		}
		in += all;
		in += strspn(in, ": ");
	}
	*out = '\0';
	return out != list;
}

void hs_inherit_drop(char **envp)
{
	static const char variable[] = "LD_PRELOAD=";
	char **in, **out = envp;
	const char *own;
	Dl_info self;
	size_t len;

	if (!envp || !HS_NEXT(dladdr)((void *)hs_inherit_drop, &self))
		return;
	len = strlen(self.dli_fname);
	own = file_name_of(self.dli_fname, &len);
	for (in = envp; *in; in++) {
		if (strncmp(*in, variable, sizeof(variable) - 1) ||
		    hs_inherit_remove(*in + sizeof(variable) - 1, own))
			*out++ = *in;
	}
	*out = NULL;
}
