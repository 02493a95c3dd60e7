# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What ./quickstart and ./runtests share: Debian packages and the build.
# Sourced, at the top of the source tree, by bash.

build_packages="gcc make libc6-dev binutils autoconf automake libtool
	pkg-config util-linux libnuma-dev"

jobs=${JOBS:-$(nproc 2>/dev/null || echo 2)}

say() {
	printf '%s\n' "$*"
}

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# Run COMMAND with its output in LOG.  WHAT is shown while it runs, where
# somebody is watching, and stays with its seconds when it took any.
step() { # WHAT LOG COMMAND...
	local what=$1 log=$2 pid status=0 start=$SECONDS
	shift 2
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		[ ! -t 1 ] ||
			printf '\r%-60s %3d s' "$what" $((SECONDS - start))
		sleep 0.1
	done
	wait "$pid" || status=$?
	[ ! -t 1 ] || printf '\r\033[K'
	[ $((SECONDS - start)) -lt 1 ] ||
		printf '%-60s %3d s\n' "$what" $((SECONDS - start))
	return "$status"
}

missing_packages() { # PACKAGE...: those that are not installed
	local package
	for package; do
		dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null |
			grep -q ' installed$' || printf '%s ' "$package"
	done
}

# Install what is missing, without a question and without starting a service
# that a package brings.  Returns 1, having said so, when it cannot be done.
install_packages() { # LOG PACKAGE...
	local log=$1 missing root=
	shift
	command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || {
		say "not a Debian system: install what is missing by hand ($*)"
		return 1
	}
	missing=$(missing_packages "$@")
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" != 0 ]; then
		root="sudo -n"
		$root true 2>/dev/null || {
			say "missing packages, and no right to install them:"
			say "  sudo apt-get install $missing"
			return 1
		}
	fi
	say "installing packages: $missing"
	step "apt-get update" "$log" $root apt-get -q update ||
		say "apt-get update failed (see $log); trying without"
	# shellcheck disable=SC2086 # words
	step "apt-get install" "$log" $root env \
		DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
		apt-get -q -y --no-install-recommends install $missing || {
		tail -n 5 "$log"
		say "apt-get install failed (see $log)"
		return 1
	}
}

# Make configure where the checkout has none, or an older one.
bootstrap_tree() { # LOG
	if [ -x configure ] && [ -f Makefile.in ] &&
		[ -z "$(find configure.ac Makefile.am ./*/Makefile.inc \
			-newer configure 2>/dev/null)" ]; then
		return 0
	fi
	step "preparing configure" "$1" ./bootstrap
}

# Configure DIRECTORY (again, when configure is newer) and build it.
build_tree() { # DIRECTORY LOG [CONFIGURE-ARGUMENT...]
	local directory=$1 log=$2
	shift 2
	mkdir -p "$directory" || return 1
	if [ ! -f "$directory/Makefile" ] ||
		[ configure -nt "$directory/config.status" ] ||
		[ "$*" != "$(cat "$directory/.arguments" 2>/dev/null)" ]; then
		step "configuring $directory" "$log" sh -c '
			cd "$1" && top=$2 && shift 2 && exec "$top/configure" "$@"
		' sh "$directory" "$PWD" "$@" || return 1
		printf '%s\n' "$*" >"$directory/.arguments"
	fi
	step "building in $directory" "$log" \
		make -C "$directory" -k -j"$jobs"
}
