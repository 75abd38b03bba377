# servers.sh - sourced after common.sh: a PostgreSQL cluster with this checkout's extension
# and a nats-server, both in a scratch folder that is gone with the script.
#
# open_scratch NAME   makes $SCRATCH, builds and installs the extension into a private server
# start_nats          sets $NATS_URL
# close_scratch       hands it to the server user, once all files are there
# start_postgres LINES  sets PGHOST, PGPORT, PGUSER, PGDATABASE; LINES are further ones of
#                     postgresql.conf; the database has the extension
#
# Programs that run beside them go into the array "pids".

pids=()

stop_all() {
	trap - EXIT INT TERM
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	[ ! -e "$SCRATCH/data/postmaster.pid" ] ||
		as_server_user "$bindir/pg_ctl" -D "$SCRATCH/data" -m fast -s stop || true
	[ -z "${nats_pid:-}" ] || kill "$nats_pid" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$SCRATCH"
}

# In the background, as the server user; the process id is that of the program itself.
start_as_server_user() {
	if [ "$(id -u)" = 0 ]; then
		exec setpriv --reuid="$(server_user)" --regid="$(id -g "$(server_user)")" --init-groups -- \
			env HOME="$SCRATCH" "$@"
	fi
	exec "$@"
}

free_port() {
	perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'
}

sql() { psql -X -q -v ON_ERROR_STOP=1 "$@"; }
value() { sql -At -c "$1"; }

wait_for() { # SECONDS TEXT SQL: until it gives t
	local end=$((SECONDS + $1))
	until [ "$(value "$3" 2>/dev/null)" = t ]; do
		[ $SECONDS -lt $end ] || { tail -n 30 "$SCRATCH/postgresql.log" | cut -c 1-300; die "gave up waiting: $2"; }
		sleep 0.1
	done
}

open_scratch() { # NAME
	local config
	[ -n "${TE_NO_SETUP:-}" ] || scripts/setup
	say "== building"
	make -s -f build.mk -j"$JOBS" all tools benchmarks
	SCRATCH=$(mktemp -d "/tmp/trading_engine_$1.XXXXXX")
	export SCRATCH
	trap stop_all EXIT
	trap 'exit 130' INT TERM
	config=$(scripts/private-postgres "$SCRATCH/pg")
	make -s -f build.mk install PG_CONFIG="$config" >/dev/null
	bindir=$(dirname "$config")
	mkdir -p "$SCRATCH/bin" "$SCRATCH/socket"
	cp build/bin/* "$SCRATCH/bin"
	PATH=$SCRATCH/bin:$bindir:$PATH
}

# Hand the scratch folder to the server user, once all files are there.
close_scratch() {
	[ "$(id -u)" != 0 ] || chown -R "$(server_user)": "$SCRATCH"
	chmod 700 "$SCRATCH/socket"
	cd "$SCRATCH"
}

start_nats() {
	local port
	say "== nats-server"
	port=$(free_port)
	export NATS_URL=nats://127.0.0.1:$port
	cat >"$SCRATCH/nats.conf" <<CONFIG
listen: "127.0.0.1:$port"
server_name: scratch
jetstream { store_dir: "$SCRATCH/nats" }
CONFIG
	start_as_server_user nats-server -c "$SCRATCH/nats.conf" >"$SCRATCH/nats.log" 2>&1 </dev/null &
	nats_pid=$!
	for _ in $(seq 100); do
		! te_nats js-api '$JS.API.INFO' >/dev/null 2>&1 || break
		sleep 0.1
	done
	te_nats js-api '$JS.API.INFO' >/dev/null || { cat "$SCRATCH/nats.log"; die "nats-server does not start"; }
}

start_postgres() { # LINES
	say "== PostgreSQL $(postgres --version | sed 's/.*(PostgreSQL) //')"
	export PGHOST=$SCRATCH/socket PGPORT=5432 PGUSER=postgres PGDATABASE=trading
	unset PGSERVICE PGPASSWORD PGOPTIONS
	as_server_user initdb -D "$SCRATCH/data" -U postgres -A trust -N --locale=C.UTF-8 >"$SCRATCH/initdb.log"
	cat >>"$SCRATCH/data/postgresql.conf" <<CONFIG
listen_addresses = ''
unix_socket_directories = '$SCRATCH/socket'
shared_preload_libraries = 'trading_engine'
timezone = 'UTC'
log_line_prefix = '%m [%b] '
max_wal_size = '4GB'
trading_engine.nats_url = '$NATS_URL'
$1
CONFIG
	as_server_user pg_ctl -D "$SCRATCH/data" -l "$SCRATCH/postgresql.log" -w -s start ||
		{ cat "$SCRATCH/postgresql.log"; die "PostgreSQL does not start"; }
	createdb -T template0 trading
	sql -c 'CREATE EXTENSION trading_engine'
}

# Until every lane runs and is connected.
wait_for_lanes() {
	wait_for 30 "for the lanes' workers" \
		"SELECT count(*) = (SELECT count(*) FROM trading.lanes) FROM trading.stat_workers WHERE state = 'running'"
	wait_for 30 "for the streams" \
		"SELECT count(*) = (SELECT count(*) FROM trading.lanes) FROM trading.stat_transports WHERE state = 'ready'"
}
