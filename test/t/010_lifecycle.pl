# The life of the workers: found, restarted, and gone when they should be.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineRun;

my $lanes_running = "SELECT count(*) FROM trading.stat_workers WHERE state IN ('running', 'foreign') "
  . "AND datname = current_database()";

# Waits until a query in a database gives what is expected.
sub wait_in
{
	my ($node, $database, $sql, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok($node->poll_query_until($database, $sql, $expected), $name);
}

# Processes of the engine, whatever they are, in a database.
sub processes
{
	my ($database) = @_;
	return "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'trading_engine %' "
	  . "AND datname = '$database'";
}

sub launcher_pid
{
	my ($node) = @_;
	return $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'trading_engine launcher'");
}

my $node = engine('main', extension => 0, init => { allows_streaming => 1 },
	conf => { restart_after_crash => 'on' });

# --- found -----------------------------------------------------------------------

wait_in($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'trading_engine launcher'",
	1, 'the launcher runs');
wait_in($node, 'postgres', processes('postgres'), 0, 'no worker where the extension is not installed, once it was probed');
$node->safe_psql('postgres', 'BEGIN; CREATE EXTENSION trading_engine; ROLLBACK');
$node->safe_psql('postgres', 'CREATE EXTENSION trading_engine');
wait_in($node, 'postgres', $lanes_running, 2, 'workers are found after CREATE EXTENSION without a restart');
is($node->safe_psql('postgres',
		"SELECT string_agg(DISTINCT usename, ',') FROM pg_stat_activity WHERE backend_type = 'trading_engine lane'"),
	'trading_worker', 'lanes are connected as trading_worker');
wait_in($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'trading_engine prober'",
	0, 'the prober does not stay');

# --- restarted ---------------------------------------------------------------------

my @before = worker_pids($node);
$node->safe_psql('postgres', "SELECT pg_terminate_backend($before[0])");
wait_in($node, 'postgres', "SELECT count(*) FROM trading.stat_workers WHERE state <> 'waiting' AND lane = 0 AND pid <> $before[0]",
	1, 'a terminated lane is started again');
wait_in($node, 'postgres', $lanes_running, 2, 'and runs');
is((worker_pids($node))[1], $before[1], 'its neighbour is left alone');

kill 'TERM', $before[1];
wait_in($node, 'postgres', "SELECT count(*) FROM trading.stat_workers WHERE lane = 1 AND pid <> $before[1]",
	1, 'a lane killed by SIGTERM is started again');
wait_in($node, 'postgres', $lanes_running, 2, 'both lanes run');

@before = worker_pids($node);
my $launcher = launcher_pid($node);
$node->safe_psql('postgres', "SELECT pg_terminate_backend($launcher)");
wait_in($node, 'postgres', "SELECT count(*) FROM trading.stat_launcher WHERE pid <> $launcher",
	1, 'a terminated launcher is started again');
is_deeply([ worker_pids($node) ], \@before, 'lanes live on without the launcher');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($before[0])");
wait_in($node, 'postgres', "SELECT count(*) FROM trading.stat_workers WHERE lane = 0 AND pid <> $before[0]",
	1, 'the new launcher looks after the lanes of the old one');

kill_worker($node, 1);
wait_for($node, $lanes_running, 2, 'lanes are back after kill -9 of one and the crash restart');

# --- number of lanes ------------------------------------------------------------------

@before = worker_pids($node);
$node->safe_psql('postgres', 'SELECT trading.set_lanes(3)');
wait_in($node, 'postgres', $lanes_running, 3, 'set_lanes gives more workers');
my $hold = $node->background_psql('postgres');
$hold->query_safe('BEGIN');
$hold->query_safe('SELECT trading.set_lanes(1)');
# A lane that has let go of everything may still be on its way out.
wait_in($node, 'postgres', processes('postgres'), 0, 'no lane runs while set_lanes is not committed');
is($node->safe_psql('postgres', "SELECT state FROM trading.stat_databases WHERE datname = 'postgres'"),
	'held', 'the view says that the lanes are held');
$hold->query_safe('ROLLBACK');
$hold->quit;
wait_in($node, 'postgres', $lanes_running, 3, 'all are back after a rollback');
$node->safe_psql('postgres', 'SELECT trading.set_lanes(2)');
wait_in($node, 'postgres', $lanes_running, 2, 'set_lanes gives fewer workers');
is($node->safe_psql('postgres', 'SELECT used_lanes FROM trading.stat_launcher'), 2, 'the slot of the third is free');

# --- databases -----------------------------------------------------------------------------

$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second', 'CREATE EXTENSION trading_engine');
wait_in($node, 'second', $lanes_running, 2, 'a second database has its own workers');
is($node->safe_psql('second', 'SELECT count(DISTINCT datname) FROM trading.stat_workers'), 2,
	'a superuser sees the workers of both');

$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE second');
pass('CREATE DATABASE ... TEMPLATE of a database with workers is not blocked');
wait_in($node, 'second', $lanes_running, 2, 'its workers go on afterwards');
wait_in($node, 'copy', "SELECT count(*) FROM trading.stat_workers WHERE datname = 'copy' AND pid IS NOT NULL",
	2, 'the copy is found');

$node->safe_psql('postgres', 'ALTER DATABASE copy IS_TEMPLATE true');
wait_in($node, 'postgres', processes('copy'), 0, 'a template database is left alone');
$node->safe_psql('postgres', 'ALTER DATABASE copy IS_TEMPLATE false');
wait_in($node, 'postgres', processes('copy'), 2, 'a database that is no template any more is found');

$node->safe_psql('postgres', 'ALTER DATABASE copy RENAME TO renamed');
is($node->safe_psql('renamed', 'SELECT count(*) FROM trading.stat_workers WHERE datname = current_database()'), 2,
	'ALTER DATABASE ... RENAME is not blocked, and its lanes are known by the new name at once');
$node->safe_psql('postgres', 'ALTER DATABASE renamed RENAME TO copy');
$node->safe_psql('postgres', 'DROP DATABASE copy');
pass('DROP DATABASE is not blocked by workers');
wait_in($node, 'postgres', "SELECT count(*) FROM trading.stat_databases WHERE datname = 'copy'", 0,
	'the launcher forgets the dropped database');
$node->safe_psql('postgres', 'DROP DATABASE second WITH (FORCE)');
wait_in($node, 'postgres', "SELECT count(*) FROM trading.stat_workers WHERE datname IS DISTINCT FROM 'postgres'", 0,
	'DROP DATABASE WITH (FORCE) takes the workers with it');
is($node->safe_psql('postgres', $lanes_running), 2, 'the other database is not touched');

# The files of lanes, by database and lane, without those of this database.
my $folder = $node->data_dir . '/pg_stat_tmp';
my $this = $node->safe_psql('postgres', q{SELECT oid FROM pg_database WHERE datname = 'postgres'});
sub files { return join ' ', sort grep { !/^$this\./ } map { m{/trading_engine\.([^/]+)$} } glob "$folder/trading_engine.*"; }
wait_until('dropped databases leave no files', sub { files() eq '' });
ok(-e "$folder/trading_engine.$this.$_", "lane $_ of the other has its own") for 0, 1;
append_to_file("$folder/trading_engine.$_", '') for '4294967295.0', '1.12', '1.0.x', 'other';
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'trading_engine launcher'});
wait_until('a launcher that starts removes what was left before', sub { files() !~ /4294967295/ });
is(files(), '1.0.x 1.12 other', 'and nothing else');
unlink map { "$folder/trading_engine.$_" } '1.12', '1.0.x', 'other';

$node->append_conf('postgresql.conf', "trading_engine.databases = 'elsewhere'");
$node->reload;
wait_in($node, 'postgres', processes('postgres'), 0, 'trading_engine.databases leaves a database out');
$node->append_conf('postgresql.conf', "trading_engine.databases = ''");
$node->reload;
wait_in($node, 'postgres', $lanes_running, 2, 'and takes it in again');

# --- what is in the way is said --------------------------------------------------------------

my $log = -s $node->logfile;
$node->safe_psql('postgres', 'ALTER ROLE trading_worker NOLOGIN');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($_)") for worker_pids($node);
wait_in($node, 'postgres', "SELECT state || ': ' || reason FROM trading.stat_databases",
	'blocked: role "trading_worker" is not permitted to log in', 'a role that cannot log in is said in the view');
wait_for_log($node, qr/role "trading_worker" is not permitted to log in\n.*HINT:  Run ALTER ROLE/, 'and in the log', offset => $log);
$node->safe_psql('postgres', 'ALTER ROLE trading_worker LOGIN');
wait_in($node, 'postgres', $lanes_running, 2, 'lanes are back without help');

$log = -s $node->logfile;
$node->safe_psql('postgres', "UPDATE pg_extension SET extversion = '0.1' WHERE extname = 'trading_engine'");
$node->safe_psql('postgres', "SELECT pg_terminate_backend($_)") for worker_pids($node);
wait_in($node, 'postgres', "SELECT state || ': ' || regexp_replace(reason, 'version [1-9].*', '') FROM trading.stat_databases",
	'blocked: extension is at version 0.1, library at ', 'another version of the extension is said in the view');
wait_for_log($node, qr/extension is at version 0.1/, 'and in the log', offset => $log);
$node->safe_psql('postgres', "SELECT trading.request_check()") for 1 .. 3;
sleep 1;
my @said = slurp_file($node->logfile, $log) =~ /extension is at version 0.1/g;
is(scalar @said, 1, 'and once in the log');
$node->safe_psql('postgres', "UPDATE pg_extension SET extversion = split_part(trading.version(), ' ', 1) WHERE extname = 'trading_engine'");
wait_in($node, 'postgres', $lanes_running, 2, 'lanes are back with the right version');

# --- standby -----------------------------------------------------------------------------------

$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
is($standby->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'trading_engine %'"),
	0, 'nothing runs on a standby');
is($standby->safe_psql('postgres', 'SELECT pid IS NULL FROM trading.stat_launcher'), 't',
	'the view works there, and shows no launcher');
$standby->promote;
wait_in($standby, 'postgres', "SELECT count(*) FROM trading.stat_workers WHERE pid IS NOT NULL", 2,
	'promotion starts the workers');
$standby->stop;

# --- gone ------------------------------------------------------------------------------------------

my ($status, undef, $stderr) = $node->psql('postgres', 'DROP EXTENSION trading_engine');
isnt($status, 0, 'DROP EXTENSION without CASCADE is refused');
like($stderr, qr/HINT:.*CASCADE/s, 'because tables depend on it');
is($node->safe_psql('postgres', $lanes_running), 2, 'the lanes run on');
$log = -s $node->logfile;
$node->safe_psql('postgres', 'DROP EXTENSION trading_engine CASCADE');
wait_in($node, 'postgres', processes('postgres'), 0, 'DROP EXTENSION CASCADE ends the workers');
sleep 2;
is($node->safe_psql('postgres', processes('postgres')), 0, 'for good');
unlike(slurp_file($node->logfile, $log), qr/(?:ERROR|FATAL|PANIC):/, 'without an error in the log');

$node->safe_psql('postgres', 'DROP SCHEMA trading CASCADE; CREATE EXTENSION trading_engine');
wait_in($node, 'postgres', $lanes_running, 2, 'workers run after the extension is created again');
$node->stop;

# As pg_upgrade starts a server.
my @server = ('pg_ctl', '-w', '-D', $node->data_dir, '-l', $node->logfile);
PostgreSQL::Test::Utils::system_or_bail(@server, '-o', '-b', 'start');
my $running = qx{psql -XAt -h @{[$node->host]} -p @{[$node->port]} -d postgres -c "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'trading_engine %'"};
PostgreSQL::Test::Utils::system_or_bail(@server, '-m', 'fast', 'stop');
is($running, "0\n", 'nothing runs in binary upgrade');

# --- limits ------------------------------------------------------------------------------------------

# The launcher and that of logical replication take two, and one is left.
my $few = engine('few', extension => 0, conf => { max_worker_processes => 3 });
$few->safe_psql('postgres', 'CREATE EXTENSION trading_engine');
wait_in($few, 'postgres', "SELECT count(*) FROM trading.stat_workers WHERE state = 'waiting' AND reason LIKE '%max_worker_processes%'",
	1, 'max_worker_processes too low is said in the view');
wait_in($few, 'postgres', "SELECT count(*) FROM trading.stat_launcher WHERE reason LIKE '%max_worker_processes%'",
	1, 'and by the launcher');
@said = slurp_file($few->logfile) =~ /HINT:  Raise max_worker_processes/g;
is(scalar @said, 1, 'and once in the log');
$few->stop;

my $slots = engine('slots', extension => 0, conf => { 'trading_engine.max_lanes' => 1 });
$slots->safe_psql('postgres', 'CREATE EXTENSION trading_engine');
wait_in($slots, 'postgres',
	"SELECT string_agg(lane || ' ' || state, ', ' ORDER BY lane) FROM trading.stat_workers WHERE reason IS NULL OR reason LIKE '%trading_engine.max_lanes%'",
	'0 running, 1 waiting', 'max_lanes too low is said in the view');
@said = slurp_file($slots->logfile) =~ /HINT:  Raise trading_engine.max_lanes/g;
is(scalar @said, 1, 'and once in the log');
$slots->stop;

# --- not preloaded --------------------------------------------------------------------------------------

my $bare = engine('bare', preload => 0, extension => 0);
($status, undef, $stderr) = $bare->psql('postgres', 'CREATE EXTENSION trading_engine');
is($status, 0, 'CREATE EXTENSION works without shared_preload_libraries');
like($stderr, qr/WARNING:  no workers will run.*HINT:  Add trading_engine to shared_preload_libraries/s,
	'and warns that nothing will run');
is($bare->safe_psql('postgres', 'SELECT trading.version() IS NOT NULL'), 't', 'pure functions work');
for my $view (qw(stat_workers stat_latency stat_transports stat_decisions stat_databases stat_launcher))
{
	($status, undef, $stderr) = $bare->psql('postgres', "SELECT * FROM trading.$view");
	like($stderr,
		qr/ERROR:  trading_engine must be loaded via shared_preload_libraries.*HINT:  Add trading_engine/s,
		"trading.$view says what to set");
}
$bare->append_conf('postgresql.conf', "shared_preload_libraries = 'trading_engine'");
$bare->restart;
wait_in($bare, 'postgres', $lanes_running, 2, 'workers run once it is preloaded');
$bare->stop;

done_testing();
