#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What bash completes after hugectl.
. "$(dirname "$0")/cli.sh"
. "$HS_SRCDIR/tools/completions/hugectl"

# complete_words WORD...: COMPREPLY, with the last word to be completed
complete_words() {
	COMP_WORDS=("$HS_HUGECTL" "$@")
	COMP_CWORD=$#
	_hugectl 2>err
	silent err
}

offers() { # TEXT WORD...
	local text=$1
	shift
	complete_words "$@"
	printf '%s\n' "${COMPREPLY[@]}" | grep -qxF -- "$text" ||
		wrong "no '$text' after: $* (${COMPREPLY[*]:0:10})"
}

offers_not() { # TEXT WORD...
	local text=$1
	shift
	complete_words "$@"
	! printf '%s\n' "${COMPREPLY[@]}" | grep -qxF -- "$text" ||
		wrong "'$text' after: $*"
}

for option in --heap --mmap --shm --fallback= --only= --page-size= --dry-run \
	--no-preload --library-path= --verbose; do
	offers $option --
	offers $option "${option%?}"
done
offers --heap --json --he
offers --heap --limit = 50% --he
for sub in advise map setup stat status top; do
	offers $sub "${sub%?}"
	offers --help $sub --
done
offers --openmetrics status --o
offers --delay= top --d
offers --svg= map --s
offers --userfaultfd-group= setup --u
offers_not --heap status --
offers thp --heap = t
offers off --fallback =
offers try --fallback = t
offers 50% --limit = 5
offers "$$" stat "${$%?}"
offers "$$" map "${$%?}"
offers bash ba
offers root setup --shm-group = ro
# Of a command's arguments nothing is known here.
complete_words cat --he
[ ${#COMPREPLY[@]} = 0 ] || wrong "options of hugectl behind a command"
# Every option that --help has.
"$HS_HUGECTL" --help | grep -o '^ *\(-[a-zA-Z], \)*--[a-z-]*' | sed 's/.*--/--/' |
	sort -u >want
complete_words --
printf '%s\n' "${COMPREPLY[@]%=}" | sort -u | diff want - >differences ||
	wrong "options: $(cat differences)"

done_testing
