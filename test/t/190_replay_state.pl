# Replay of what depends on earlier decisions: repetitions, reservations, results of accounts, and
# what limits did to signals.  All of it is made again to the bit, whatever was killed in between.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;
use TradingEngineReplay;
use TradingEngineRun;

my $nats = TradingEngineNats->new('replay_state')->start;
# Duplicates and most open positions as the tiers have them.
my $node = engine('replay_state', nats => $nats, lanes => 2, repeats => 0, conf => {
	'trading_engine.clock' => 'input',
	'trading_engine.restart_delay' => '100ms',
	'restart_after_crash' => 'on' });
trade($node);
$node->safe_psql('postgres', q{
	UPDATE trading.tiers SET max_position_count = 3 WHERE tier = 'PRO';
	UPDATE trading.strategies SET duplicate_window_seconds = 900, duplicate_distance_pips = 8 WHERE (user_id, strategy_id) = ('eve', 's1');
	UPDATE trading.strategies SET duplicate_window_seconds = 0 WHERE (user_id, strategy_id) = ('carl', 's2');
	UPDATE trading.strategies SET duplicate_distance_pips = 0 WHERE (user_id, strategy_id) = ('gus', 's1')});

sub count_of { my ($outcome) = @_; return value($node, "SELECT COALESCE(sum($outcome), 0) FROM trading.stat_workers"); }

my @input = ('--start', '2012-02-01T00:00:00Z', '--bars', 5000, '--seed', 4, 'GBPUSD');
my $run = start_prediction($nats, @input);
wait_until('the lanes are under way', sub { value($node, 'SELECT count(*) FROM trading.batches') > 20 });
kill_worker($node, 0);
finish_prediction($run);
wait_for_input($node, $nats, 300);

my $all = q{'2000-01-01Z', '2100-01-01Z'};
cmp_ok(value($node, 'SELECT count(*) FROM trading.signals'), '>', 200, 'there are signals');
for my $outcome (qw(DUPLICATE MAX_POSITIONS))
{
	cmp_ok(value($node, "SELECT count(*) FROM trading.replay($all, outcomes => '{$outcome}')"), '>', 50, "and decisions of outcome $outcome");
}
cmp_ok(value($node, q{SELECT max((trading.decision_inputs(inputs) #>> '{account,open_positions}')::integer) FROM trading.signals}), '>=', 2,
	'decisions see what is reserved');
replay_is_live($node, 'under way');

#----------------------------------------------------------------------
# A range begins with what was recorded before it
#----------------------------------------------------------------------

my $of_range = sub { my ($condition) = @_;
	return "EXISTS (SELECT FROM trading.prediction_batches AS p WHERE (p.lane, p.batch_no, p.position) = (s.lane, s.batch_no, s.position) AND $condition)"; };
for my $percentile (0.3, 0.5, 0.8)
{
	my $from = value($node, "SELECT percentile_disc($percentile) WITHIN GROUP (ORDER BY decided_at) FROM trading.signals");
	is(differences($node, $of_range->("p.decided_at >= '$from'"), from_time => "'$from'", workers => 2), '0|0', "from $percentile of the signals on");
}
is(differences($node, q{(company_id, user_id) = ('desk', 'carl')}, company_id => q{'desk'}, user_id => q{'carl'}), '0|0', 'one user');
is(differences($node, q{(company_id, user_id, strategy_id) = ('desk', 'carl', 's1')},
	company_id => q{'desk'}, user_id => q{'carl'}, strategy_id => q{'s1'}), '0|0', 'one strategy, beside another of the same account');

#----------------------------------------------------------------------
# What repeats what, by an independent formulation
#----------------------------------------------------------------------

my $tables = <<"SQL";
CREATE TEMP TABLE said AS SELECT * FROM trading.replay($all, outcomes => '{SIGNAL}', with_inputs => true);
CREATE TEMP TABLE repeated AS SELECT * FROM trading.replay($all, outcomes => '{DUPLICATE}', with_inputs => true);
CREATE TEMP VIEW like_it AS
	SELECT r.signal_id, s.signal_id AS earlier
	  FROM repeated AS r CROSS JOIN LATERAL (SELECT i -> 'strategy' AS strategy, (i #>> '{instrument,pip_size}')::float8 AS pip
		FROM trading.decision_inputs(r.inputs) AS i) AS x
	  JOIN said AS s ON (s.company_id, s.user_id, s.strategy_id, s.symbol) = (r.company_id, r.user_id, r.strategy_id, r.symbol)
	   AND (s.signal_type ~ 'BUY') = (r.signal_type ~ 'BUY')
	   AND s.decided_at <= r.decided_at AND (s.lane, s.batch_no, s.position, s.prediction_index) < (r.lane, r.batch_no, r.position, r.prediction_index)
	   AND r.decided_at - s.decided_at < COALESCE((strategy ->> 'duplicate_window_seconds')::integer, 300) * interval '1 s'
	   AND abs(s.entry_price - r.entry_price) / pip <= COALESCE((strategy ->> 'duplicate_distance_pips')::float8, 5) + 1e-6;
SQL
is(value($node, $tables . q{SELECT count(*) FILTER (WHERE signal_type <> 'HOLD') > 50,
	count(*) FILTER (WHERE signal_type <> 'HOLD' AND signal_id NOT IN (SELECT signal_id FROM like_it)) FROM repeated}), 't|0',
	'every repetition has an earlier signal like it');
is(value($node, $tables . q{
	SELECT count(*) FROM said AS a JOIN said AS b USING (company_id, user_id, strategy_id, symbol)
	 CROSS JOIN LATERAL (SELECT i -> 'strategy' AS strategy, (i #>> '{instrument,pip_size}')::float8 AS pip FROM trading.decision_inputs(b.inputs) AS i) AS x
	 WHERE (a.signal_type ~ 'BUY') = (b.signal_type ~ 'BUY') AND (a.lane, a.batch_no, a.position, a.prediction_index) < (b.lane, b.batch_no, b.position, b.prediction_index)
	   AND b.decided_at - a.decided_at < COALESCE((strategy ->> 'duplicate_window_seconds')::integer, 300) * interval '1 s'
	   AND abs(a.entry_price - b.entry_price) / pip <= COALESCE((strategy ->> 'duplicate_distance_pips')::float8, 5) + 1e-6}), '0',
	'and no signal that was sent has one');

#----------------------------------------------------------------------
# As it would be
#----------------------------------------------------------------------

my $carl = q{company_id => 'desk', user_id => 'carl', strategy_id => 's1'};
my $before = value($node, "SELECT count(*) FROM trading.replay($all, $carl, outcomes => '{SIGNAL}')");
my $after = value($node, "SELECT count(*) FROM trading.replay($all, '{\"duplicate_window_seconds\": 0}', $carl, outcomes => '{SIGNAL}')");
cmp_ok($after, '>', $before, 'without a window nothing is a repetition');
is(value($node, "SELECT count(*) FROM trading.replay($all, '{\"duplicate_window_seconds\": 0}', outcomes => '{DUPLICATE}') WHERE signal_type <> 'HOLD'"),
	'0', 'of no strategy');
is(value($node, "SELECT count(*), string_agg(DISTINCT difference, ' '), string_agg(DISTINCT gate ->> 'gate', ' ')
	FROM trading.what_if($all, '{\"duplicate_window_seconds\": 0}', $carl)"), ($after - $before) . '|GAINED|DUPLICATE',
	'what_if names the gate');
for my $workers (0, 2)
{
	is(value($node, "SELECT signals_before, signals_after FROM trading.what_if_summary($all, '{\"duplicate_window_seconds\": 0}', $carl, workers => $workers)"),
		"$before|$after", "variants don't see each other, with $workers workers");
}
is(value($node, "SELECT sum(out_signals) FROM trading.sweep($all, '{\"duplicate_window_seconds\": [0, 300]}', folds => 1, company_id => 'desk', user_id => 'carl', strategy_id => 's1', metric => 'expectancy_r') WHERE combination = 1 AND fold = 1")
	<= $after ? 1 : 0, 1, 'a sweep leaves repetitions out');

#----------------------------------------------------------------------
# Another number of lanes
#----------------------------------------------------------------------

wait_for_output($node, $nats);
$node->safe_psql('postgres', 'SELECT trading.set_lanes(3)');
wait_for_lanes($node);
$run = start_prediction($nats, '--start', '2012-02-04T11:20:00Z', '--bars', 1000, '--seed', 5, '--epoch', 2, 'GBPUSD');
finish_prediction($run);
wait_for_input($node, $nats, 300);
is(value($node, 'SELECT count(DISTINCT lane_count) FROM trading.batches WHERE signals > 0'), '2', 'the number of lanes has changed');
replay_is_live($node, 'lanes');

#----------------------------------------------------------------------
# Orders that are filled after their reservation has ended
#----------------------------------------------------------------------

# An hour of predictions; hours begin long after what was reserved before has expired.
my $epoch = 9_000_000_000_000_000;
sub hour
{
	my ($start) = @_;
	finish_prediction(start_prediction($nats, '--start', $start, '--bars', 60, '--seed', 7, '--epoch', $epoch++, 'GBPUSD'));
	wait_for_input($node, $nats, 300);
	return;
}
sub report
{
	my ($status, $rest) = @_;
	my $reports = value($node, 'SELECT count(*) FROM trading.executions');
	my $sent = value($node, "SELECT count(trading.report_execution('$status ' || s.signal_id, s.signal_id, '$status', s.decided_at + interval '1 s', $rest))
		FROM (SELECT DISTINCT ON (company_id, user_id) * FROM trading.signals
		       WHERE outcome = 'SIGNAL' AND decided_at < '2012-02-05T13:00Z' ORDER BY company_id, user_id, decided_at DESC, signal_id) AS s");
	wait_for($node, "SELECT count(*) - $reports FROM trading.executions", $sent, "reports: $status");
	return $sent;
}
hour('2012-02-05T04:00:00Z');
hour('2012-02-05T12:00:00Z');
hour('2012-02-05T20:00:00Z');
cmp_ok(report('FILLED', 'executed_price => s.entry_price, executed_size => s.position_size'), '>', 2, 'orders are filled late');
hour('2012-02-06T04:00:00Z');
report('CLOSED', 'executed_price => s.entry_price, profit => -1');
hour('2012-02-06T12:00:00Z');
is(value($node, q{SELECT count(*) > 0 FROM trading.signals WHERE decided_at BETWEEN '2012-02-06T04:00Z' AND '2012-02-06T06:00Z'
	AND (trading.decision_inputs(inputs) #>> '{account,open_positions}')::integer > 0}), 't', 'and seen by decisions');
replay_is_live($node, 'late reports');
for my $from ('2012-02-05T12:00Z', '2012-02-05T20:00Z', '2012-02-06T04:00Z', '2012-02-06T12:00Z')
{
	is(differences($node, $of_range->("p.decided_at >= '$from'"), from_time => "'$from'"), '0|0', "also where a range begins at $from");
}

done_testing();
