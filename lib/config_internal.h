/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * config_internal.h - shared by config.c (what applies, in which order),
 * config_value.c (text -> member) and config_file.c (the file, rules by
 * executable).
 *
 * Owner: config.c.  Everything runs once, before any thread; no locks.
 */
#ifndef HS_CONFIG_INTERNAL_H
#define HS_CONFIG_INTERNAL_H

#include "base.h"
#include "config.h"

#ifndef HS_CONFIG_FILE
#define HS_CONFIG_FILE "/etc/hugeshim.conf"
#endif

#define HS_CONFIG_PATH_MAX 1024

enum hs_option_type {
	OPT_BOOL,
	OPT_CHOICE, /* position in values -> int (an enum) */
	OPT_FLAG,   /* position in values -> bool */
	OPT_HEAP,   /* yes, no, thp or a huge page size */
	OPT_INT,
	OPT_LONG,
	OPT_LIMIT, /* bytes or percent */
	OPT_MOUNT,
	OPT_NAMES, /* executables, separated by colons */
	OPT_NOTED, /* accepted, without effect */
	OPT_NUMA,
	OPT_OLD_DEBUG,
	OPT_OLD_VERBOSE, /* libhugetlbfs: 0..99, one above ours */
	OPT_PAGE_SIZE,
	OPT_PATH,
	OPT_SIZE,
};

/* No pointers, so that the table needs no relocation at exec. */
struct hs_option {
	char name[28];
	char values[28];
	uint16_t type;
	uint16_t offset; /* of the member of struct hs_config */
	int32_t min, max;
};

/* A configuration while it is being read. */
struct hs_config_state {
	struct hs_config config;
	bool restricted;   /* a list of executables leaves this one out */
	bool file_limited; /* the file gave a limit: a cap */
	bool denied;       /* by the file */
	bool allowed;      /* by the file */
	bool has_allow;    /* the file allows some, so not the others */
	char stats_path[HS_CONFIG_PATH_MAX];
	char mount[HS_CONFIG_PATH_MAX];
};

extern const struct hs_option hs_config_options[];
extern const unsigned hs_config_nr_options;

/* The option called @name (of @len bytes), or NULL. */
const struct hs_option *hs_config_find(const char *name, size_t len);

/* Set the option's member.  0, or -EINVAL and nothing changed. */
int hs_config_set(struct hs_config_state *state, const struct hs_option *option,
		  const char *value);
/* "'VALUE' is not WHAT IT SHOULD BE", made printable and short. */
void hs_config_describe(const struct hs_option *option, const char *value,
			char *buf, size_t size);
/* The value in force as a user would write it; "" where it has none. */
void hs_config_show(const struct hs_config *config,
		    const struct hs_option *option, char *buf, size_t size);

/* Set, or say in one line what is used instead.  @where: "" or the file and
 * line, ending in ": ". */
void hs_config_set_or_say(struct hs_config_state *state,
			  const struct hs_option *option, const char *where,
			  const char *name, const char *value);

/* Read HS_CONFIG_FILE, if it is there and root's alone. */
void hs_config_read_file(struct hs_config_state *state);

/* Absolute name of the executable from /proc, or the name given to execve;
 * "" when neither is known.  Points to a static buffer. */
const char *hs_config_exe(void);
/* On the list of programs that must not run on huge pages? */
bool hs_config_exe_is_unfit(void);
/* The last component. */
const char *hs_config_basename(const char *path);
/* Shell pattern of * ? [set] against the whole of @text; * matches slashes
 * too. */
bool hs_config_glob(const char *pattern, const char *text);
/* Does @pattern name the executable: by absolute name when it starts with a
 * slash, by its last component otherwise. */
bool hs_config_exe_matches(const char *pattern);

#endif
