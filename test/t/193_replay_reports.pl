# Replay knows how many orders were open whatever order their reports came in: closes before the
# fills that they belong to, trades that end and begin again, reports after a reservation's end.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use List::Util qw(shuffle);
use Test::More;
use TradingEngine;
use TradingEngineNats;
use TradingEngineReplay;

my $rounds = 40;
my $nats = TradingEngineNats->new('reports')->start;
my $node = engine('reports', nats => $nats, lanes => 2, conf => {
	'trading_engine.clock' => 'input', 'restart_after_crash' => 'on', 'trading_engine.restart_delay' => '100ms' });
company($node, 'acme', users => [qw(ann bob)], strategy => { allowed_regimes => "trading.enum_labels('regime')",
	max_position_count => 6, position_sizing => "'FIXED_LOT'", fixed_lot => 0.5, signal_ttl_seconds => 240, max_prediction_age_ms => 600000 });
my $lane = value($node, "SELECT trading.lane_of('acme', 2)");
srand(192);

# Monday noon; the input's clock goes on by what is predicted.
my $seconds = 1767614400;
my ($predictions, $reports) = (0, 0);

sub all_read
{
	my ($name) = @_;
	return wait_for($node, "SELECT input_seq FROM trading.batches WHERE lane = $lane ORDER BY batch_no DESC LIMIT 1", $nats->messages('trading_input'), $name);
}

# Predictions for both users, a minute apart.
sub predict
{
	my ($count) = @_;
	$nats->publish(map { $seconds += 60; $nats->batch(company => 'acme', generated_at => $seconds * 1_000_000,
		predictions => [ $nats->prediction(prediction_id => 'p' . ++$predictions) ]) } 1 .. $count);
	return;
}

# The life of an order as its terminal would tell it, in order.
my @fates = (
	[ [ FILLED => 0.5 ], [ CLOSED => 0.5 ] ],
	[ [ PARTIALLY_FILLED => 0.2 ], [ FILLED => 0.3 ], [ CLOSED => 0.2 ], [ CLOSED => 0.3 ] ],
	[ [ PARTIALLY_FILLED => 0.1 ], [ CLOSED => 0.1 ], [ PARTIALLY_FILLED => 0.2 ], [ CLOSED => 0.2 ], [ FILLED => 0.2 ] ],
	[ [ PARTIALLY_FILLED => 0.2 ], [ CANCELLED => undef ], [ CLOSED => undef ] ],
	[ [ 'REJECTED', undef ] ]);

sub report_all
{
	my (@told) = @_;
	$nats->publish(map { my ($signal, $status, $size, $at) = @$_; my ($id, $user, $entry, $stop) = split / /, $signal;
		{ subject => "trading.executions.acme.$user", type => 'ExecutionResult', envelope => { company_id => 'acme', user_id => $user, producer_id => 'model' },
		  payload => { execution_id => 'x' . ++$reports, signal_id => $id, company_id => 'acme', user_id => $user, symbol => 'EURUSD',
			status => $status, executed_at => $at * 1_000_000, (defined $size ? (executed_size => $size) : ()),
			($status =~ /FILLED/ ? (executed_price => 0 + $entry) : ()),
			# Every third close is at the stop.
			($status eq 'CLOSED' ? (executed_price => 0 + ($reports % 3 ? $entry : $stop), profit => $reports % 3 ? 1 : -2) : ()) } } } @told);
	return;
}

my (%known, @untold);
for my $round (1 .. $rounds)
{
	predict(6);
	all_read("round $round is read");
	for my $signal (split /\n/, value($node, "SELECT signal_id || ' ' || user_id || ' ' || entry_price || ' ' || stop_loss FROM trading.signals WHERE outcome = 'SIGNAL' ORDER BY decided_at, signal_id"))
	{
		next if $known{$signal}++;
		my ($fate, $at) = ($fates[ int rand @fates ], $seconds);
		push @untold, map { [ $signal, @$_, $at++ ] } @$fate;
	}
	# What is known now comes in any order, a part of it rounds later.
	@untold = shuffle @untold;
	report_all(splice @untold, 0, int(@untold * 0.6));
}
report_all(splice @untold);
predict(6);
all_read('the rest is read');

cmp_ok(value($node, 'SELECT count(*) FROM trading.trades WHERE turns[1] < 0 AND cardinality(turns) > 1'), '>', 5, 'trades began to count after they had ended');
cmp_ok(value($node, 'SELECT count(*) FROM trading.trades WHERE turns[1] > 0 AND cardinality(turns) > 2'), '>', 1, 'and again after they had begun and ended');
cmp_ok(value($node, 'SELECT count(*) FROM trading.trades WHERE turns[1] > 0 AND expires_at < to_timestamp(0) + '
	. '(SELECT min(b.lane_clock) - to_timestamp(0) FROM trading.batches AS b WHERE b.batch_no = turns[1] AND b.lane = trades.lane)'),
	'>', 5, 'and after their reservation had ended');
cmp_ok(value($node, 'SELECT count(*) FROM trading.trades WHERE stopped_batch_no < ended_batch_no'), '>', 0, 'and were stopped out before they ended');
is(value($node, q{SELECT count(*) FROM trading.trades AS t WHERE (t.turns[cardinality(t.turns)] > 0) <> (t.state = 'OPEN')}), '0', 'the last turn is what they are');
is(value($node, 'SELECT count(*) FROM trading.trades AS t, unnest(t.turns) WITH ORDINALITY AS u (turn, n)
	WHERE n > 1 AND (abs(turn) <= abs(turns[n - 1]) OR sign(turn) = sign(turns[n - 1]))'), '0', 'turns are in order, one way and the other');
cmp_ok(value($node, "SELECT count(*) FROM " . replay(outcomes => q{'{MAX_POSITIONS}'})), '>', 20, 'there are decisions for which too much was open');
wait_for($node, q{SELECT sum(count) FROM trading.stat_decisions WHERE outcome = 'MAX_POSITIONS'}, value($node, "SELECT count(*) FROM " . replay(outcomes => q{'{MAX_POSITIONS}'})),
	'as many as there were');
replay_is_live($node, 'whatever order reports came in');
for my $percentile (0.1, 0.35, 0.6, 0.9)
{
	my $from = value($node, "SELECT percentile_disc($percentile) WITHIN GROUP (ORDER BY decided_at) FROM trading.signals");
	is(differences($node, "s.decided_at >= '$from'", from_time => "'$from'", workers => 2), '0|0', "from $percentile of the signals on");
}
is(differences($node, q{user_id = 'bob'}, company_id => q{'acme'}, user_id => q{'bob'}), '0|0', 'one user');

done_testing();
