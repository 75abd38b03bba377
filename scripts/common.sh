# common.sh - sourced by the scripts: where things are, and who runs servers.

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PG_CONFIG=${PG_CONFIG:-pg_config}
JOBS=${JOBS:-$(nproc)}

# Run from make: settings came through the environment, and make's own jobs are not ours.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

say() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# Run a command with the rights of root: as root, or by sudo.
as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"
	elif command -v sudo >/dev/null; then sudo -- "$@"
	else die "needs root or sudo for: $*"
	fi
}

# PostgreSQL refuses to run as root, so root hands servers to an unprivileged user.
server_user() {
	if [ "$(id -u)" != 0 ]; then id -un
	elif id postgres >/dev/null 2>&1; then echo postgres
	else echo nobody
	fi
}

# Run a command as the server user, in a new session, with a clean and known environment.
as_server_user() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid="$(server_user)" --regid="$(id -g "$(server_user)")" --init-groups -- \
			env HOME="${SCRATCH:-/tmp}" USER="$(server_user)" LOGNAME="$(server_user)" "$@"
	else
		"$@"
	fi
}

# Test data and vectors lie beside the checkout; without them some tests skip.
shared_folder() {
	local place=${TE_SHARED:-$TOP/../shared}
	[ -d "$place" ] && (cd "$place" && pwd)
}
