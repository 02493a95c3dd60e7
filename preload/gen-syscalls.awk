# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Usage: awk -v mode=ids|sym|code -f gen-syscalls.awk FILE...
#
# FILES are real.list (a name a line) and syscalls.tab (see its head).
#   ids   preload/real_ids.h
#   sym   preload/syscalls.sym
#   code  preload/syscalls_gen.c

function die(text)
{
	printf "%s:%d: %s\n", FILENAME, FNR, text > "/dev/stderr"
	failed = 1
	exit 1
}

function ctype(letter)
{
	if (!(letter in types))
		die("unknown type letter " letter)
	return types[letter]
}

# "w:a1:a2" -> part[1..n], colons inside parentheses excepted (there are none)
function cexpr(text)
{
	gsub(/struct__/, "struct ", text)
	return text
}

# Sets params, args, protos from the signature.
function signature(sig,    i, n, letters)
{
	if (sig !~ /^[viuzlp]\([iuzlp]*\)$/)
		die("bad signature " sig)
	ret = ctype(substr(sig, 1, 1))
	letters = substr(sig, 3, length(sig) - 3)
	n = length(letters)
	params = args = ""
	for (i = 1; i <= n; i++) {
		params = params (i > 1 ? ", " : "") \
			ctype(substr(letters, i, 1)) " a" (i - 1)
		args = args (i > 1 ? ", " : "") "a" (i - 1)
	}
	if (n == 0)
		params = "void"
}

# Adds the statements of one range token to body, its test to test.
function range(token,    part, n, kind, ptr, call)
{
	if (token ~ /^[a-z]+\(/) {
		sub(/\(/, "(\\&c, ", token)
		gsub(/,/, ", ", token)
		gsub(/,  /, ", ", token)
		body = body "\ths_call_" cexpr(token) ";\n"
		any = 1
		return
	}
	n = split(token, part, ":")
	kind = part[1]
	if (kind == "mask") {
		mask = part[2]
		return
	}
	if (n < 2)
		die("bad range " token)
	ptr = part[2]
	call = "\ths_call_" kind "(&c, " ptr
	if (n > 2)
		call = call ", " cexpr(part[3])
	body = body call ");\n"
	if (kind == "w" || kind == "r" || kind == "sockw" || kind == "fdset")
		test = test (test == "" ? "" : " |\n\t    ") \
			"hs_region_contains(" ptr ")"
	else
		any = 1
}

function wrapper(name,    i, void_ret, cond, again)
{
	signature($3)
	body = test = mask = ""
	any = 0
	for (i = 4; i <= NF; i++)
		range($i)
	void_ret = (ret == "void ")
	if (any || mask != "")
		cond = mask == "" ? "hs_call_active()" : \
			"hs_call_active() | (" mask " != NULL)"
	else if (test != "")
		# Mappings of the application may lie anywhere.
		cond = test " | hs_regmap.in_use"
	else
		cond = test
	printf "typedef %sfn_%s(%s);\n\n", ret, name, params
	printf "static HS_NOINLINE %sslow_%s(%s)\n{\n", ret, name, params
	printf "\tfn_%s *real = (fn_%s *)hs_real(HS_REAL_%s);\n", name, name, \
		name
	print "\tstruct hs_call c;"
	if (mask != "")
		print "\tstruct hs_sigmask_swap swap;"
	if (!void_ret)
		printf "\t%sret;\n", ret
	print ""
	if (mask != "") {
		printf "\tif (hs_sigmask_enter(&swap, &%s) != 0)\n", mask
		print "\t\treturn -1;"
	}
	print "\ths_call_init(&c);"
	printf "%s", body
	# Not where -1 is not what says that it failed.
	again = ret ~ /^(int|long|ssize_t) $/
	if (again)
		print "\tdo {"
	print "\ths_call_begin(&c);"
	printf "\t%sreal(%s);\n", void_ret ? "" : "ret = ", args
	print "\ths_call_end(&c);"
	if (again)
		print "\t} while (ret == -1 && hs_call_again(&c));"
	if (mask != "")
		print "\ths_sigmask_leave(&swap);"
	if (!void_ret)
		print "\treturn ret;"
	print "}\n"
	printf "HS_EXPORT %shs_wrap_%s(%s) __asm__(\"%s\");\n", ret, name, \
		params, name
	printf "%shs_wrap_%s(%s)\n{\n", ret, name, params
	printf "\tfn_%s *real = (fn_%s *)hs_real_peek(HS_REAL_%s);\n\n", \
		name, name, name
	printf "\tif (hs_likely(real != NULL && !(%s)))\n", cond
	if (void_ret) {
		printf "\t\treal(%s);\n\telse\n", args
		printf "\t\tslow_%s(%s);\n}\n\n", name, args
	} else {
		printf "\t\treturn real(%s);\n", args
		printf "\treturn slow_%s(%s);\n}\n\n", name, args
	}
}

# A case of hs_raw_ranges(), kept for the end.
function raw_case(name,    i)
{
	signature($3)
	body = test = mask = ""
	any = 0
	for (i = 4; i <= NF; i++)
		range($i)
	n = length($3) - 3
	raw = raw "#ifdef SYS_" name "\n\tcase SYS_" name ": {\n"
	for (i = 0; i < n; i++)
		if (body ~ ("[^a-z]a" i "[^0-9]")) {
			letter = substr($3, 3 + i, 1)
			raw = raw "\t\t" ctype(letter) "a" i " = (" \
				ctype(letter) ")arg[" i "];\n"
		}
	gsub(/\n\t/, "\n\t\t", body)
	gsub(/&c,/, "c,", body)
	raw = raw "\n\t" body "\t\tbreak;\n\t}\n#endif\n"
}

BEGIN {
	types["v"] = "void "; types["i"] = "int "; types["u"] = "unsigned "
	types["l"] = "long "; types["z"] = "size_t "; types["p"] = "void *"
	if (mode == "code") {
		print "/* Made from lib/syscalls.tab by gen-syscalls.awk. */"
		print "#include \"preload/syscalls_gen.h\"\n"
	} else if (mode == "sym")
		print "# Made from lib/syscalls.tab by gen-syscalls.awk."
	else if (mode != "ids") {
		failed = 1
		exit 2
	}
}

/^[ \t]*(#|$)/ { next }

$2 == "raw" {
	if (mode == "code")
		raw_case($1)
	next
}

NF == 1 || $2 == "wrapped" || $2 == "hand" || $2 == "base" && $3 ~ /\(/ {
	if (NF > 1 && seen_tab[$1]++)
		die("twice: " $1)
	if (!($1 in known)) {
		known[$1] = 1
		names[++nr_names] = $1
	}
}

NF > 1 && $2 !~ /^(wrapped|hand|base|engine|raw|limit)$/ { die("class " $2) }

$2 == "wrapped" {
	if (mode == "sym")
		print $1
	else if (mode == "code")
		wrapper($1)
}

END {
	if (failed)
		exit 1
	if (mode == "code") {
		print "void hs_raw_ranges(struct hs_call *c, long nr, " \
			"const long *arg)\n{\n\tswitch (nr) {"
		printf "%s", raw
		print "\tdefault:\n\t\tbreak;\n\t}\n}"
	}
	if (mode != "ids")
		exit 0
	print "/* Made from lib/syscalls.tab and preload/real.list. */"
	print "#ifndef HS_REAL_IDS_H\n#define HS_REAL_IDS_H\n"
	printf "#define HS_REAL_NAMES(X)"
	for (i = 1; i <= nr_names; i++)
		printf " \\\n\tX(%s)", names[i]
	print "\n\nenum hs_real_id {\n#define X(name) HS_REAL_##name,"
	print "\tHS_REAL_NAMES(X)\n#undef X\n\tHS_REAL_NR\n};\n\n#endif"
}
