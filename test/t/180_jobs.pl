# What has to be done again and again: without pg_cron by whatever else, with it in this database
# or in another one of the cluster.  Every run is noted; what is late, failed or lost shows.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;

sub health { my ($node, $check) = @_; return value($node, "SELECT status || ': ' || detail FROM trading.health() WHERE \"check\" = '$check'"); }

#----------------------------------------------------------------------
# Without pg_cron
#----------------------------------------------------------------------

my $node = engine('plain');
is(value($node, q{SELECT string_agg(job, ' ') FROM trading.jobs WHERE job NOT IN ('rollup', 'score', 'weigh')}), 'partitions retention measure adjust', 'jobs are listed');
like(health($node, 'job measure'), qr/^WARN: never run/, 'jobs that never run show');
wait_for($node, q{SELECT status || ': ' || detail FROM trading.health() WHERE "check" = 'lane 0'}, 'OK: running', 'a lane that runs is fine');
is(health($node, 'nats of lane 0'), 'WARN: not configured: input comes by SQL alone, and signals stay in their table', 'no broker is worth a word');
is(health($node, 'partitions'), 'OK: made until tomorrow or later', 'partitions are there');

my ($status, $out, $err) = $node->psql('postgres', q{SELECT job, schedule, state, statement FROM trading.schedule_jobs()});
is($status, 0, 'without pg_cron schedule_jobs says what to do');
like($out, qr/^retention\|17 3 \* \* \*\|TO SCHEDULE\|17 3 \* \* \* psql -Xqc "CALL trading\.run_job\('retention'\)" postgres$/m, 'in words for crontab');
like($err, qr/NOTICE:  pg_cron is not loaded/, 'and why');
like(health($node, 'job measure'), qr/^OK: due at /, 'now it is expected');
like(value($node, q{SELECT next_due FROM trading.jobs WHERE job = 'retention'}), qr/ 03:17:00\+00$/, 'and known when');
$node->safe_psql('postgres', q{UPDATE trading.job_settings SET scheduled_at = now() - interval '1 hour'});
like(health($node, 'job measure'), qr/^WARN: late: it was due at .*, and last run at no time$/, 'a job that is late shows');

$node->safe_psql('postgres', q{CALL trading.run_job('measure')});
is(value($node, q{SELECT last_status || ' ' || last_result FROM trading.jobs WHERE job = 'measure'}), 'OK 0', 'a run is noted');
like(health($node, 'job measure'), qr/^OK: OK at /, 'and is fine');
$node->safe_psql('postgres', "CALL trading.run_job('$_')") for qw(partitions retention adjust);
is(value($node, q{SELECT string_agg(DISTINCT status, ' ') FROM trading.job_runs}), 'OK', 'all of them run');
isnt($node->psql('postgres', q{BEGIN; CALL trading.run_job('measure'); COMMIT}, on_error_stop => 1), 0, 'not inside a transaction, which could not note a failure');
($status, undef, $err) = $node->psql('postgres', q{CALL trading.run_job('nonsense')});
like($err, qr/there is no job "nonsense"\nHINT:  Jobs are: partitions, /, 'an unknown job is refused');

$node->safe_psql('postgres', 'ALTER TABLE trading.trades RENAME TO trades_away');
($status, undef, $err) = $node->psql('postgres', q{CALL trading.run_job('measure')});
like($err, qr/job "measure" failed: relation "trading\.trades" does not exist/, 'a failure is told');
like(health($node, 'job measure'), qr/^FAIL: FAILED at .*: relation "trading\.trades" does not exist$/, 'and noted');
$node->safe_psql('postgres', 'ALTER TABLE trading.trades_away RENAME TO trades');

# One that is running isn't run twice; one whose session is gone is lost.
my $locker = $node->background_psql('postgres', on_error_stop => 1);
$locker->query_safe('BEGIN; LOCK TABLE trading.trades IN ACCESS EXCLUSIVE MODE');
my $run = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', q{CALL trading.run_job('measure')} ], '<', \undef, '>', \my $run_out, '2>', \my $run_err);
wait_for($node, q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'CALL%'}, 1, 'a job waits');
is(value($node, q{SELECT last_status FROM trading.jobs WHERE job = 'measure'}), 'RUNNING', 'a run is seen while it goes on');
$node->safe_psql('postgres', q{CALL trading.run_job('measure')});
like(value($node, q{SELECT status || ' ' || result FROM trading.job_runs ORDER BY run_id DESC LIMIT 1}), qr/^SKIPPED process \d+ is still running it$/, 'it is not run twice at once');
# Told that it ends, psql is gone before the session is.
is(value($node, q{SELECT pg_terminate_backend(pid, 180000) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'CALL%'}), 't', 'its session ends');
$run->finish;
like(health($node, 'job measure'), qr/^FAIL: LOST at .*: its session ended$/, 'a run whose session is gone is lost');
$locker->query_safe('ROLLBACK');
$locker->quit;
$node->safe_psql('postgres', q{CALL trading.run_job('measure')});
is(value($node, q{SELECT string_agg(status, ' ' ORDER BY run_id) FROM (SELECT * FROM trading.job_runs WHERE job = 'measure' ORDER BY run_id DESC LIMIT 3) AS r}),
	'LOST SKIPPED OK', 'and the next one goes on');

# Who may.
$node->safe_psql('postgres', 'CREATE ROLE te_admin LOGIN IN ROLE trading_admin; CREATE ROLE te_tenant LOGIN IN ROLE trading_tenant; CREATE ROLE te_monitor LOGIN IN ROLE pg_monitor');
is($node->psql('postgres', q{CALL trading.run_job('adjust')}, extra_params => [ '-U', 'te_admin' ]), 0, 'an administrator runs jobs');
is($node->psql('postgres', q{SELECT * FROM trading.schedule_jobs(schedules => '{"adjust": "5 4 * * *"}')}, extra_params => [ '-U', 'te_admin' ]), 0, 'and schedules them');
is(value($node, q{SELECT schedule FROM trading.jobs WHERE job = 'adjust'}), '5 4 * * *', 'otherwise, too');
isnt($node->psql('postgres', q{SELECT * FROM trading.schedule_jobs(keep => '1 hour')}), 0, 'what would be kept too short a time is refused');
isnt($node->psql('postgres', q{SELECT * FROM trading.schedule_jobs(schedules => '{"adjust": "5 24 * * *"}')}), 0, 'and so is a schedule that is none');
for my $call ('CALL trading.run_job(\'adjust\')', 'SELECT * FROM trading.health()', 'SELECT * FROM trading.jobs', 'SELECT trading.do_job(1)')
{
	my ($s, undef, $e) = $node->psql('postgres', $call, extra_params => [ '-U', 'te_tenant' ]);
	like($e, qr/permission denied/, "a tenant may not: $call");
}
is($node->psql('postgres', 'SELECT * FROM trading.health(); SELECT * FROM trading.jobs', on_error_stop => 1, extra_params => [ '-U', 'te_monitor' ]), 0, 'who monitors may look');

# A dump takes settings and runs along.
$node->safe_psql('postgres', 'CREATE DATABASE copy');
my $dump = $node->backup_dir . '/jobs.sql';
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $dump ], 'a dump');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('copy'), '-f', $dump ], 'and its restore');
is($node->safe_psql('copy', q{SELECT md5(string_agg(r::text, ' ' ORDER BY r::text)) FROM (SELECT r::text FROM trading.job_runs AS r UNION ALL SELECT s::text FROM trading.job_settings AS s) AS r}),
	$node->safe_psql('postgres', q{SELECT md5(string_agg(r::text, ' ' ORDER BY r::text)) FROM (SELECT r::text FROM trading.job_runs AS r UNION ALL SELECT s::text FROM trading.job_settings AS s) AS r}),
	'settings and runs are the same');
is($node->safe_psql('copy', q{SELECT count(*) > 0 FROM trading.jobs}), 't', 'and the view is there');
$node->stop;

#----------------------------------------------------------------------
# With pg_cron
#----------------------------------------------------------------------

SKIP:
{
	my $library = `pg_config --pkglibdir`;
	chomp $library;
	skip "pg_cron is not installed: no $library/pg_cron.so", 1 unless -e "$library/pg_cron.so";

	# pg_cron comes by connections, unless told otherwise.  It begins things on the minute, so that
	# all of them are set up before anything is waited for.
	my $client = PostgreSQL::Test::Cluster->new('client');
	$client->init;
	configure($client, 'shared_preload_libraries' => "'trading_engine, pg_cron'", 'cron.database_name' => "'postgres'", 'max_worker_processes' => 32,
		'cron.host' => "'" . $client->host . "'");
	$client->start;
	$client->safe_psql('postgres', q{CREATE EXTENSION trading_engine; CREATE EXTENSION pg_cron; SELECT trading.schedule_jobs(schedules => '{"measure": "* * * * *"}')});

	$node = engine('cron', conf => {
		'shared_preload_libraries' => "'trading_engine, pg_cron'",
		'cron.database_name' => "'postgres'",
		'cron.use_background_workers' => 'on' });
	($status, undef, $err) = $node->psql('postgres', 'SELECT trading.schedule_jobs()');
	like($err, qr/pg_cron is not installed in this database/, 'the extension is missing, and that is said');
	$node->safe_psql('postgres', q{CREATE EXTENSION pg_cron; SELECT cron.schedule('mine', '0 0 1 1 *', 'SELECT 1')});
	my $jobs = value($node, 'SELECT count(*) FROM trading.jobs');
	my $known = q{SELECT string_agg(concat_ws('|', jobname, schedule, command, database), ' ' ORDER BY jobname) FROM cron.job};
	is(value($node, q{SELECT count(*) FROM trading.schedule_jobs(schedules => '{"measure": "* * * * *"}') WHERE state = 'SCHEDULED'}), $jobs, 'one call schedules all');
	my $first = value($node, $known);
	is(value($node, q{SELECT count(*) FROM trading.schedule_jobs() WHERE state = 'SCHEDULED'}), $jobs, 'and again');
	is(value($node, $known), $first, 'with the same effect');
	is(value($node, q{SELECT bool_and(scheduled) FROM trading.jobs}), 't', 'the view knows');
	is(value($node, q{SELECT state FROM trading.schedule_jobs(schedules => '{"adjust": null}') WHERE job = 'adjust'}), 'OFF', 'one can be switched off');
	is(value($node, q{SELECT count(*) FROM cron.job WHERE jobname = 'trading_engine postgres adjust'}), 0, 'and is not scheduled');
	is(health($node, 'job adjust'), 'OK: switched off', 'and not missed');
	$node->safe_psql('postgres', q{SELECT cron.unschedule('trading_engine postgres partitions')});
	like(health($node, 'job partitions'), qr/^WARN: pg_cron doesn't know it any more/, 'what somebody has taken away shows');

	# Another database of the cluster: pg_cron can't be called there, but told from where it is.
	$node->safe_psql('postgres', 'CREATE DATABASE other');
	$node->safe_psql('other', 'CREATE EXTENSION trading_engine');
	($status, $out, $err) = $node->psql('other', q{SELECT statement FROM trading.schedule_jobs(schedules => '{"measure": "* * * * *"}')});
	like($err, qr/pg_cron runs from database "postgres": run column "statement" there/, 'it is elsewhere, and that is said');
	$node->safe_psql('postgres', $out);
	is(value($node, q{SELECT count(*) FROM cron.job WHERE database = 'other'}), $jobs, 'what it says schedules all');
	wait_for($node, q{SELECT count(*) > 0 FROM trading.job_runs WHERE job = 'measure' AND status = 'OK'}, 't', 'pg_cron runs it', 150);
	$node->poll_query_until('other', q{SELECT count(*) > 0 FROM trading.job_runs WHERE job = 'measure' AND status = 'OK'}) or die 'no run in the other database';
	pass('and they run there');
	is($node->safe_psql('other', q{SELECT count(*) FROM trading.jobs WHERE scheduled IS NOT NULL}), 0, 'whether pg_cron knows them is not seen from there');
	($status, $out, $err) = $node->psql('other', q{SELECT statement FROM trading.unschedule_jobs()});
	$node->safe_psql('postgres', $out);
	is(value($node, q{SELECT string_agg(DISTINCT database, ' ') FROM cron.job}), 'postgres', 'and takes them away again');

	is(value($node, q{SELECT count(*) FROM trading.unschedule_jobs() WHERE state = 'REMOVED'}), $jobs - 2, 'one call removes all that are left');
	is(value($node, 'SELECT jobname FROM cron.job'), 'mine', 'and nothing else');
	is(value($node, 'SELECT count(*) FROM trading.unschedule_jobs()'), 0, 'and again');
	$node->stop;

	wait_for($client, q{SELECT count(*) > 0 FROM trading.job_runs WHERE job = 'measure' AND status = 'OK'}, 't', 'pg_cron runs it through a connection', 150);
	$client->stop;
}

done_testing();
