# SPDX-License-Identifier: LGPL-2.1-or-later
# options.tab -> -v mode=table (C, for config.c), help (C, for hugectl --help)
# or man (roff, for libhugeshim.7).

function trim(s) { sub(/^[ \t]+/, "", s); sub(/[ \t]+$/, "", s); return s }

function size_expr(text, n, unit) {
	n = text; sub(/[KMG]$/, "", n)
	unit = substr(text, length(text))
	if (unit == "K") return n " * HS_KIB"
	if (unit == "M") return n " * HS_MIB"
	if (unit == "G") return n " * HS_GIB"
	return n
}

function position(word, list, i, n, part) {
	n = split(list, part, ",")
	for (i = 1; i <= n; i++)
		if (part[i] == word)
			return i - 1
	print FILENAME ":" NR ": no such choice: " word > "/dev/stderr"
	exit 1
}

# The initialiser of the member that the option sets.
function default_expr(type, text, values) {
	if (type == "bool" || type == "heap")
		return (text == "on" || text == "yes") ? "true" : "false"
	if (type == "choice" || type == "flag") return position(text, values)
	if (type == "size" || type == "page_size") return size_expr(text)
	if (type == "path" || type == "mount") return "NULL"
	return text
}

function table_row(name, type, member, values, lo, hi, bound) {
	lo = 0; hi = 0
	if (values ~ /\.\./) { split(values, bound, /\.\./)
		lo = bound[1]; hi = bound[2]; values = "" }
	if (type !~ /^(choice|flag)$/) values = ""
	if (type == "limit" || member == "-") member = "enabled"
	printf "\t{ \"%s\", \"%s\", OPT_%s, \\\n", name, values, toupper(type)
	printf "\t  offsetof(struct hs_config, %s), %d, %d }, \\\n", member, lo, hi
}

function table_option(i, n, part, pair) {
	if (name != "-") {
		table_row(name, type, member, values)
		if (type == "limit")
			defaults = defaults "\t.limit_bytes = SIZE_MAX, \\\n" \
				"\t.limit_percent = " (shown + 0) ", \\\n"
		else if (type != "names" && type != "numa")
			defaults = defaults "\t." member " = " \
				default_expr(type, shown, values) ", \\\n"
	}
	n = (synonyms == "-") ? 0 : split(synonyms, part, " ")
	for (i = 1; i <= n; i++) {
		split(part[i] ":" type, pair, ":")
		table_row(pair[1], pair[2], member, values)
	}
}

function escape(s) { gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); return s }
function roff(s) { gsub(/-/, "\\-", s); return s }

# "HUGETLB_VERBOSE:old_verbose HUGETLB_DEBUG" without the types.
function plain(s) { gsub(/:[a-z_]+/, "", s); gsub(/ /, ", ", s); return s }

# After the text of an option: what it may be and where else it is read from.
function man_values(keyname) {
	if (name == "" || name == "-")
		return
	keyname = (name == "HUGESHIM") ? "enabled" \
		: tolower(substr(name, 10))
	gsub(/,/, ", ", values)
	printf ".br\nValues: %s.\nDefault: %s.\n", roff(values), \
		name == "HUGESHIM_PAGE_SIZE" ? "the kernel's" : \
		(shown == "-" ? "none" : roff(shown))
	if (synonyms != "-")
		printf "Also read from: %s.\n", roff(plain(synonyms))
	if (type != "names")
		printf "In the file: %s.\n", roff(keyname)
}

function man_option() {
	if (name == "-") {
		noted = noted ".TP\n.B " roff(synonyms) "\nAccepted and ignored: " \
			roff(summary) ".\n"
		return
	}
	printf ".TP\n.B %s\n", roff(name)
	printf "%s.\n", roff(toupper(substr(summary, 1, 1)) substr(summary, 2))
}

BEGIN {
	FS = "|"
	if (mode == "table")
		print "/* Made from options.tab. */\n" \
			"#define HS_CONFIG_OPTIONS \\"
}
/^#/ || /^[ \t]*$/ { next }
/^\t/ {
	if (mode == "man" && name != "-") print substr($0, 2)
	next
}
{
	if (mode == "man") man_values()
	name = trim($1); type = trim($2); member = trim($3); shown = trim($4)
	values = trim($5); synonyms = trim($6); summary = trim($7)
	if (mode == "table") table_option()
	if (mode == "help" && name != "-")
		printf "\"  %-23s %s%s\\n\"\n", name, escape(summary), \
			(shown == "-" || shown == "0") ? "" : \
			" [" shown "]"
	if (mode == "man") man_option()
}
END {
	if (mode == "table") {
		print "\n#define HS_CONFIG_DEFAULTS \\"
		print defaults
	}
	if (mode == "man") { man_values(); printf "%s", noted }
}
