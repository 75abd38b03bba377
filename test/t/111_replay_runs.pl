# A replay as a run: workers, progress, cancel, errors, tenants, a standby, a server without the library preloaded.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;
use TradingEngineReplay;
use TradingEngineRun;

my $nats = TradingEngineNats->new('runs')->start;
my $node = engine('runs', nats => $nats, lanes => 2, init => { allows_streaming => 1 }, conf => {
	'trading_engine.clock' => 'input',
	'max_parallel_workers' => 8 });
trade($node);
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE te_eve LOGIN IN ROLE trading_tenant;
CREATE ROLE te_fred LOGIN IN ROLE trading_tenant;
CREATE ROLE te_dora LOGIN IN ROLE trading_tenant;
CREATE ROLE te_boss LOGIN IN ROLE trading_admin;
INSERT INTO trading.logins (role_name, company_id, user_id) VALUES ('te_eve', 'fund', 'eve'), ('te_fred', 'fund', 'fred'), ('te_dora', 'desk', 'dora');
UPDATE trading.users SET role = 'admin' WHERE user_id = 'eve';
SQL
predict($nats, '--start', '2025-01-06T00:00:00Z', '--bars', 2000, '--seed', 3, 'GBPUSD');
wait_for_input($node, $nats);

# A digest of what a replay returns, whatever the order.
sub digest
{
	my ($where, %o) = @_;
	my @as = $o{role} ? (extra_params => [ '-U', delete $o{role} ]) : ();
	return $where->safe_psql('postgres',
		q{SELECT count(*) || ' ' || md5(string_agg(md5(r::text), '' ORDER BY md5(r::text))) FROM } . replay(%o) . ' AS r', @as);
}

sub psql_as
{
	my ($role, $sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', $role ]);
	return $status == 0 ? $out : $err;
}

#----------------------------------------------------------------------
# The same rows, however it runs
#----------------------------------------------------------------------

replay_is_live($node, 'run');
my $digest = digest($node, with_inputs => 'true', workers => 0);
like($digest, qr/^[1-9]\d{2,} /, 'there are hundreds of decisions');
is(digest($node, with_inputs => 'true', workers => $_), $digest, "the same rows with $_ workers") for 1, 2, 4;
is(value($node, 'SET max_parallel_workers = 0; SELECT count(*) FROM ' . replay(workers => 4)),
	(split / /, $digest)[0], 'the same number when no worker is to be had');
is(value($node, 'SELECT string_agg(r.signal_id::text, \' \') = string_agg(r.signal_id::text, \' \' ORDER BY lane, batch_no, position, prediction_index, n) '
		. 'FROM ROWS FROM (' . replay(workers => 0) . ') WITH ORDINALITY AS r (lane, batch_no, position, prediction_index, signal_id, '
		. join(', ', map { "c$_" } 1 .. 36) . ', n)'),
	't', 'without workers rows come in the order of decisions');

$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION count_replay(workers integer) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT count(*) FROM trading.replay('2000-01-01Z', '2100-01-01Z', workers => count_replay.workers));
END
$$;
CREATE FUNCTION try_replay() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM count_replay(2);
	RETURN 'done';
EXCEPTION WHEN query_canceled OR data_corrupted OR admin_shutdown OR insufficient_privilege THEN
	RETURN SQLERRM;
END
$$;
SQL
my ($rows) = split / /, $digest;
is(value($node, 'SELECT count_replay(2), count_replay(0)'), "$rows|$rows", 'inside of a function');
is(value($node, "BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY; SELECT count_replay(2); COMMIT"), $rows, 'in a read-only transaction');
is(value($node, "BEGIN ISOLATION LEVEL REPEATABLE READ; CREATE TEMP TABLE t AS SELECT * FROM " . replay(workers => 2) . '; INSERT INTO t SELECT * FROM '
		. replay(workers => 2) . '; SELECT count(*) FROM t; COMMIT'), 2 * $rows, 'twice in a transaction that writes');
is(value($node, "SET work_mem = '64kB'; SELECT count(*) FROM " . replay(workers => 1)), $rows, 'with rows that go to disk');

#----------------------------------------------------------------------
# Tenants
#----------------------------------------------------------------------

is(digest($node, role => 'te_boss', with_inputs => 'true'), $digest, 'an administrator replays everything');
is(digest($node, role => 'te_eve', with_inputs => 'true'), digest($node, with_inputs => 'true', company_id => q{'fund'}),
	'the admin of a company replays its company');
is(digest($node, role => 'te_fred', with_inputs => 'true', workers => 2),
	digest($node, with_inputs => 'true', company_id => q{'fund'}, user_id => q{'fred'}), 'a trader replays his own strategies');
isnt(digest($node, role => 'te_fred'), digest($node, role => 'te_eve'), 'which is less');
is(psql_as('te_dora', 'SELECT DISTINCT company_id, user_id FROM ' . replay()), 'desk|dora', 'and nobody else\'s rows');
is(psql_as('te_fred', 'SELECT count(*) FROM ' . replay(changes => q{'{"min_confidence_threshold": 0.999}'}, outcomes => q{'{SIGNAL}'})),
	'0', 'a tenant tries a change');
like(psql_as('te_dora', 'SELECT count(*) FROM ' . replay(changes => q{'{"custom_rule": "$.prediction.confidence > 0.1"}'})),
	qr/tier PRO does not allow .*"custom_rule".*ENTERPRISE/, 'a change that the tier does not allow is refused as the UPDATE would be');
like(psql_as('te_boss', 'SELECT count(*) FROM ' . replay(changes => q{'{"min_confidence_threshold": 0.95, "custom_rule": "$.prediction.confidence > 0.1"}'}, workers => 2)),
	qr/tier \w+ does not allow/, 'whoever asks');
like(psql_as('te_dora', q{SELECT count(*) FROM trading.replay('1999-01-01Z', '1999-01-02Z', '{"custom_rule": "$.prediction.confidence > 0.1"}')}),
	qr/tier PRO does not allow .*"custom_rule".*ENTERPRISE/, 'and also where there is nothing to replay');
is(psql_as('te_dora', q{SELECT count(*) FROM trading.replay('1999-01-01Z', '1999-01-02Z', '{"min_confidence_threshold": 0.9}')}),
	'0', 'where what is allowed gives nothing');
like(psql_as('te_boss', 'SELECT count(*) FROM ' . replay(changes => q{'{"time_in_force": "IOC"}'})),
	qr/"time_in_force".*prefer_market_orders/, 'and a change that does not go with the rest of the row');

#----------------------------------------------------------------------
# A long run: the messages many times over
#----------------------------------------------------------------------

$node->safe_psql('postgres', q{
	INSERT INTO trading.prediction_batches
	SELECT p.recorded_at, p.lane, p.batch_no, p.position + 1000000 * n, p.source, p.input_seq, p.subject, p.company_id, p.user_id, p.batch_id,
	       p.producer_id, p.producer_epoch, p.producer_seq, p.payload_hash, p.correlation_id, p.predictions, p.decided_at, p.message, p.market
	  FROM trading.prediction_batches AS p, generate_series(1, 300) AS n});
my $long = 'SELECT count(*) FROM ' . replay(workers => 2, outcomes => q{trading.enum_labels('outcome')});
my $fund = 'SELECT count(*) FROM ' . replay(workers => 1, outcomes => q{trading.enum_labels('outcome')});

# A session in the background.
sub background
{
	my ($role, $sql) = @_;
	my $self = { out => '', err => '' };
	$self->{run} = IPC::Run::start([ 'psql', '-XAtq', '-U', $role, '-d', $node->connstr('postgres'), '-c', $sql ],
		'<', \undef, '>', \$self->{out}, '2>', \$self->{err});
	return $self;
}

sub nothing_is_left
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_for($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker'", '0', "$name: no worker is left");
	return is(value($node, 'SELECT count(*) FROM trading.stat_progress_replay'), '0', "$name: nor any progress");
}

my $superuser = value($node, 'SELECT current_user');
my $one = background($superuser, $long);
my $two = background('te_eve', $fund);
wait_for($node, 'SELECT count(*) FROM trading.stat_progress_replay WHERE predictions_done > 0 AND decisions > 0', '2', 'both runs show progress');
is(value($node, q{
	SELECT p.function, p.company_id, p.phase, p.workers, p.messages_done <= p.messages_total, p.predictions_total > 100000,
	       p.started_at < clock_timestamp(), a.state
	  FROM trading.stat_progress_replay AS p JOIN pg_stat_activity AS a USING (pid) ORDER BY p.company_id NULLS FIRST}),
	"replay||deciding|2|t|t|t|active\nreplay|fund|deciding|1|t|t|t|active", 'and what they are');
is(psql_as('te_boss', 'SELECT count(*) FROM trading.stat_progress_replay'), '2', 'an administrator sees both');
is(psql_as('te_eve', 'SELECT company_id, function FROM trading.stat_progress_replay'), 'fund|replay', 'a tenant sees its own');
is(psql_as('te_fred', 'SELECT count(*) FROM trading.stat_progress_replay'), '0', 'not its company admin\'s');
is(psql_as('te_dora', 'SELECT count(*) FROM trading.stat_progress_replay'), '0', 'nor another company\'s');

#----------------------------------------------------------------------
# Cancel
#----------------------------------------------------------------------

is(value($node, q{SELECT count(pg_cancel_backend(pid)) FROM trading.stat_progress_replay}), '2', 'both are cancelled');
IPC::Run::finish($_->{run}) for $one, $two;
like($one->{err}, qr/canceling statement due to user request/, 'the first says so');
like($two->{err}, qr/canceling statement due to user request/, 'the second too');
nothing_is_left('cancel');

is(value($node, q{SET statement_timeout = '300ms'; SELECT try_replay() = 'canceling statement due to statement timeout';
		SET statement_timeout = 0; SELECT count(*) FROM } . replay(to_time => q{'2000-01-02Z'})),
	"t\n0", 'the transaction goes on after a run that timed out in a subtransaction');
nothing_is_left('timeout');

my $three = background($superuser, $long);
$node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'parallel worker' AND leader_pid IN (SELECT pid FROM trading.stat_progress_replay)})
  or die 'no workers';
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(min(pid)) FROM pg_stat_activity WHERE backend_type = 'parallel worker'});
IPC::Run::finish($three->{run});
like($three->{err}, qr/terminating.*administrator command/, 'a worker that is terminated ends the run with its message');
nothing_is_left('terminated worker');

#----------------------------------------------------------------------
# What can't be read
#----------------------------------------------------------------------

$node->safe_psql('postgres', 'DELETE FROM trading.prediction_batches WHERE position > 100000');
is(digest($node, with_inputs => 'true', workers => 2), $digest, 'the rest is as it was');
my $bad = value($node, q{
	UPDATE trading.prediction_batches AS p SET message = '\xff' WHERE (p.lane, p.batch_no, p.position) = (
		SELECT b.lane, b.batch_no, b.position FROM trading.prediction_batches AS b ORDER BY 1, 2, 3 OFFSET 1500 LIMIT 1)
	RETURNING format('message %s of batch %s of lane %s can''t be read', p.position, p.batch_no, p.lane)});
for my $workers (0, 2)
{
	my ($status, undef, $err) = $node->psql('postgres', 'SELECT count(*) FROM ' . replay(workers => $workers));
	isnt($status, 0, "a damaged message is an error with $workers workers");
	like($err, qr/\Q$bad\E/, 'that says where it is');
}
nothing_is_left('error');
is(value($node, "SELECT try_replay()"), $bad, 'also inside of a function that goes on');
$node->safe_psql('postgres', q{DELETE FROM trading.prediction_batches WHERE message = '\xff'});
my $stripped = value($node, q{
	UPDATE trading.batches AS b SET change_snapshot = NULL WHERE (b.lane, b.batch_no) = (
		SELECT s.lane, s.batch_no FROM trading.signals AS s WHERE s.company_id = 'fund' ORDER BY 1, 2 LIMIT 1)
	RETURNING format('batch %s of lane %s', b.batch_no, b.lane)});
my (undef, undef, $err) = $node->psql('postgres', 'SELECT count(*) FROM ' . replay(company_id => q{'fund'}));
like($err, qr/\Q$stripped\E does not say which strategies it saw/, 'what a batch saw is not guessed');
is(value($node, 'SELECT count(*) > 0 FROM ' . replay(company_id => q{'fund'}, strategies => q{'current'})), 't',
	'but with the strategies of now it can be replayed');
$node->safe_psql('postgres', 'DELETE FROM trading.prediction_batches AS p USING trading.batches AS b '
	. 'WHERE (b.lane, b.batch_no) = (p.lane, p.batch_no) AND b.change_snapshot IS NULL');

#----------------------------------------------------------------------
# Elsewhere
#----------------------------------------------------------------------

$digest = digest($node, with_inputs => 'true');
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is(digest($standby, with_inputs => 'true', workers => $_), $digest, "a hot standby replays the same with $_ workers") for 0, 2;
$standby->stop;

configure($node, 'shared_preload_libraries' => "''");
$node->restart;
is(digest($node, with_inputs => 'true', workers => $_), $digest, "without the library preloaded it is the same with $_ workers") for 0, 2;

$node->stop;
$nats->stop;
done_testing();
