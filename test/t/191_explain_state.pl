# What earlier decisions and their results do to a decision: replayed to the bit, and explained.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineReplay;
use TradingEngineRun;

# A lot at 1.1 loses 200 USD at its stop.
my %strategy = (
	allowed_regimes => "trading.enum_labels('regime')", prefer_market_orders => 'true', duplicate_window_seconds => 300,
	duplicate_distance_pips => 5, position_sizing => "'RISK_PERCENT'", risk_percent => 2, stop_loss_pips => 20, max_position_size => 10,
	max_position_count => 3, signal_ttl_seconds => 600);
my $node = engine('explain_state', lanes => 1, repeats => 0, conf => {
	'trading_engine.clock' => 'input',
	'trading_engine.restart_delay' => '100ms',
	'restart_after_crash' => 'on' });
company($node, 'acme', tier => 'ENTERPRISE', users => [ 'ann', 'bob' ], producers => ['model'], strategy => \%strategy);

sub sql { return $node->safe_psql('postgres', $_[0]); }

my $now = sql("SELECT extract(epoch FROM timestamptz '2026-03-04 12:00Z')");
my ($batches, $reports) = (0, 0);

# A message of predictions [id, price, direction] for a user; waits until it is decided.
sub submit
{
	my ($user, @list) = @_;
	my $batch = 'b' . ++$batches;
	sql("SELECT trading.submit(jsonb_build_object('company_id', 'acme', 'user_id', '$user', 'batch_id', '$batch', 'producer_id', 'model', "
		  . "'generated_at', to_timestamp($now), 'predictions', jsonb_build_array(" . join(', ', map {
			my ($id, $price, $direction) = (@$_, 'BUY');
			my $target = $price * ($direction eq 'BUY' ? 1.01 : 0.99);
			"jsonb_build_object('prediction_id', '$id', 'symbol', 'EURUSD', 'current_price', $price, 'predicted_price', $target, "
			  . "'direction', '$direction', 'confidence', 0.9, 'generated_at', to_timestamp($now))" } @list) . ')))');
	comes_true($node, "EXISTS (SELECT FROM trading.prediction_batches WHERE batch_id = '$batch')") or die 'not decided';
	return;
}

sub signal_of { my ($id, $user) = @_; return sql("SELECT signal_id FROM trading.signals WHERE prediction_id = '$id' AND user_id = '$user'"); }

# A report about a signal; waits until it is stored.
sub report
{
	my ($id, $user, $status, %o) = @_;
	my $signal = signal_of($id, $user);
	my $number = ++$reports;
	sql("SELECT trading.report_execution(execution_id => 'x$number', signal_id => '$signal', status => '$status', executed_at => to_timestamp($now)"
		  . join('', map { ", $_ => $o{$_}" } sort keys %o) . ')');
	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM trading.executions WHERE execution_id = 'x$number')") or die 'not stored';
	return;
}

sub last_step { my ($id, $columns) = @_; return sql("SELECT $columns FROM trading.explain('$id', 'acme', 'ann', 'main') AS e ORDER BY step DESC LIMIT 1"); }
sub account { my ($id) = @_; return sql("SELECT d #>> '{inputs,account,equity}', d #>> '{inputs,account,open_positions}' FROM trading.explain_json('$id', 'acme', 'ann', 'main') AS d"); }

#----------------------------------------------------------------------
# Repetitions
#----------------------------------------------------------------------

submit('ann', [ 'first', 1.1 ]);
$now += 60;
submit('ann', [ 'like', 1.1003 ], [ 'far', 1.1020 ]);
is(last_step('like', q{outcome, gate, quantity, value ->> 'signal_id', round((value ->> 'pips')::numeric, 6), value ->> 'seconds', threshold ->> 'pips', threshold ->> 'seconds', parameter, layer}),
	'DUPLICATE|DUPLICATE|like signal|' . signal_of('first', 'ann') . '|3.000000|60|5|300|duplicate_window_seconds|USER',
	'a repetition: of which signal, how far, how long ago');
like(join("\n", sql("SELECT trading.explain_text('like', 'acme', 'ann', 'main')")), qr/^DUPLICATE EURUSD: like signal pips 3, seconds 60, signal_id /, 'in words');
is(account('far'), '10000|1', 'the next one sees what is reserved');
$now += 20;
submit('ann', [ 'first', 1.1070 ]);
is(last_step('first', q{quantity, value ->> 'signal_id', value ->> 'seconds'}), 'prediction decided|' . signal_of('first', 'ann') . '|80',
	'a prediction that comes again is decided once');

#----------------------------------------------------------------------
# Reservations
#----------------------------------------------------------------------

submit('ann', [ 'third', 1.1050 ], [ 'fourth', 1.1090 ]);
is(last_step('fourth', q{outcome, gate, quantity, value, threshold}), 'MAX_POSITIONS|MAX_POSITIONS|open_positions|3|3',
	'open positions are those that were reserved then');
report('third', 'ann', 'REJECTED');
report('far', 'ann', 'FILLED', executed_price => 1.1020, executed_size => 0.5);
submit('ann', [ 'fifth', 1.1090 ]);
is(account('fifth'), '10000|2', 'a rejected order counts no more');
is(last_step('fourth', 'outcome'), 'MAX_POSITIONS', 'what came later changes no explanation');
report('far', 'ann', 'CLOSED', executed_price => 1.1000, profit => -100, commission => 2.5);
$now += 700;
submit('ann', [ 'sixth', 1.1 ]);
is(account('sixth'), '9897.5|0', 'what was lost is lost, what has expired is gone');
$now += 10;
submit('ann', [ 'far', 1.2 ]);
is(last_step('far', q{outcome, quantity}), 'DUPLICATE|stopped out', 'a prediction that was stopped out is never taken again');

#----------------------------------------------------------------------
# Limits
#----------------------------------------------------------------------

sql("INSERT INTO trading.risk_limits (company_id, max_open_risk_percent) VALUES ('acme', 3)");
$now += 700;
submit('ann', [ 'whole', 1.1 ], [ 'part', 1.11 ], [ 'none', 1.12 ]);
is(sql(q{SELECT string_agg(outcome || COALESCE(' ' || cancellation_reason, ''), ', ' ORDER BY ordinal) FROM trading.signals WHERE prediction_id IN ('whole', 'part', 'none')}),
	'SIGNAL, SIGNAL, RISK_REJECTED Limit of open risk reached', 'a limit lets through, shrinks, rejects');
my $part = signal_of('part', 'ann');
is(sql("SELECT position_size < original_position_size FROM trading.signals WHERE signal_id = '$part'"), 't', 'shrunk it is');
is(sql("SELECT (d #>> '{decision,position_size}')::float8 = s.position_size, (d #>> '{decision_before,position_size}')::float8 = s.original_position_size, d ->> 'agrees',
	(SELECT bool_or(n ->> 'part' = 'RISK' AND n ->> 'item' = 'open_risk') FROM jsonb_array_elements(d -> 'derivation') AS n)
	FROM trading.signals AS s, trading.explain_json(s.signal_id) AS d WHERE s.signal_id = '$part'"), 't|t|true|t', 'explained: before, after, by what');
is(last_step('part', 'outcome, gate, passed'), 'SIGNAL|RISK_REJECTED|t', 'by its prediction too');
is(last_step('none', 'outcome, gate, quantity, passed'), 'RISK_REJECTED|RISK_REJECTED|OPEN_RISK|f', 'and why there is none');
is(sql(q{SELECT count(*) FROM trading.signals AS s, trading.recompute(s.signal_id) AS d
	WHERE (d ->> 'outcome', (d ->> 'position_size')::float8, (d ->> 'stop_loss')::float8, (d ->> 'max_loss')::float8)
	      IS DISTINCT FROM (s.outcome, s.position_size, s.stop_loss, s.max_loss)}), '0', 'every signal is made again from its row');
is(sql(q{SELECT count(*) FROM trading.signals AS s CROSS JOIN LATERAL (SELECT trading.decision_inputs(s.inputs) AS i) AS x
	 CROSS JOIN LATERAL trading.decide(i -> 'prediction', i -> 'strategy', i -> 'market', i -> 'instrument', i -> 'account', (i ->> 'at')::timestamptz) AS d
	WHERE s.assessment IS NOT NULL AND (d ->> 'position_size')::float8 IS DISTINCT FROM s.original_position_size}), '0', 'and decided as it was before');

#----------------------------------------------------------------------
# All of it again, also after a kill
#----------------------------------------------------------------------

replay_is_live($node, 'one after the other');
kill_worker($node, 0);
wait_for_lanes($node);
$now += 30;
submit('ann', [ 'whole', 1.15 ], [ 'again', 1.1001 ], [ 'last', 1.14 ]);
is(last_step($_, 'outcome'), 'DUPLICATE', "after a kill it is known: $_") for qw(whole again);
$now += 700;
submit('_all', map { [ "many$_", 1.1 + $_ / 1000 ] } 1 .. 8);
report("many$_", 'ann', 'FILLED', executed_price => 1.1 + $_ / 1000, executed_size => 0.2) for 1 .. 2;
$now += 10;
submit('_all', [ 'after', 1.13 ], [ 'after2', 1.14, 'SELL' ]);
replay_is_live($node, 'after a kill');

done_testing();
