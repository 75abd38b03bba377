# A batch's transaction fails at any of its statements, or at its end: then nothing of the batch has
# happened, neither in the tables nor in the lane's memory, and once it can be stored it is, once.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;
use TradingEngineRun;

my $nats = TradingEngineNats->new('failures')->start;
my $node = engine('failures', nats => $nats, lanes => 1, conf => { 'trading_engine.clock' => 'input', 'trading_engine.gap_wait' => 600000 });
my %strategy = (max_prediction_age_ms => 86400000, allowed_regimes => "trading.enum_labels('regime')");
company($node, 'acme', tier => 'ENTERPRISE', users => ['ann'], strategy => { %strategy, enable_multi_leg_strategies => 'true', leg_count => 3 });
company($node, 'beta', users => ['bea'], strategy => { %strategy, signal_ttl_seconds => 86400 });
value($node, <<'SQL');
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'planted at %', TG_TABLE_NAME USING ERRCODE = 'disk_full';
END $$;
SQL

# Rows that a batch of predictions and prices adds to each table; what reports add; what the breaker adds.
my %predicted = (batches => 1, prediction_batches => 1, signals => 1, signal_legs => 3, outbox => 1, dead_letters => 1, input_gaps => 1,
	market_bars => 1, market_conditions => 1);
my %reported = (batches => 1, executions => 1, trades => 1, position_history => 1, account_history => 1);
my %broken = (batches => 1, prediction_batches => 1, signals => 5, outbox => 1, breaker_changes => 1);
my $epoch = $nats->{epoch};
my $at = $epoch;
my $round = 0;

sub plant { my ($table, $how) = @_; return value($node, "CREATE $how ON trading.$table " . ($how =~ /CONSTRAINT/ ? 'DEFERRABLE INITIALLY DEFERRED FOR EACH ROW' : '') . ' EXECUTE FUNCTION public.refuse()'); }
sub pull { my ($name, $table) = @_; return value($node, "DROP TRIGGER $name ON trading.$table"); }
sub errors { return value($node, 'SELECT errors FROM trading.stat_workers'); }
sub position { return value($node, 'SELECT done, resume FROM trading.input_positions'); }

# How many rows these tables have; of batches, those that took something in: the output's cursor makes
# some, too.
sub rows { return { map { $_ => value($node, "SELECT count(*) FROM trading.$_" . ($_ eq 'batches' ? ' WHERE messages > 0' : '')) } @_ }; }

# What the lane counts; of what it also stores, as its tables have it.
sub counted { return value($node, 'SELECT messages, predictions, evaluations, ticks, duplicates, stale, late, conflicts, signals, bars, dead_letters, gaps, executions FROM trading.stat_workers'); }
my $counts = 'SELECT signals, bars, dead_letters, gaps, executions FROM trading.stat_workers';
sub stored { return value($node, 'SELECT ' . join ', ', map { "(SELECT count(*) FROM trading.$_)" } qw(signals market_bars dead_letters input_gaps executions)); }

sub wait_for_errors
{
	my ($more) = @_;
	my $least = errors() + $more;
	return $node->poll_query_until('postgres', "SELECT errors >= $least FROM trading.stat_workers");
}
sub batch
{
	my ($seq) = @_;
	return $nats->batch(company => 'acme', epoch => $epoch + $round, seq => $seq, batch_id => "r$round-$seq", generated_at => $at,
		predictions => [ $nats->prediction(prediction_id => "r$round-$seq") ]);
}

# The first round is there for the second to abandon.
$nats->publish($nats->tick(at => $at), batch(1));
wait_for_input($node, $nats);

# Statements, and the end of the transaction.
sub places { my ($made, $last) = @_; return ((map { [ $_, 'TRIGGER planted BEFORE INSERT' ] } sort keys %$made), [ $last, 'CONSTRAINT TRIGGER planted AFTER INSERT' ]); }

# Publish messages that become one batch, which fails at this place for a while, and leaves nothing
# behind; "memory" asks for what the lane shows of its memory.  Then it is stored, once.
sub fail_and_store
{
	my ($place, $made, $memory, @messages) = @_;
	my ($table, $how) = @$place;
	my $name = $how =~ /CONSTRAINT/ ? 'the end' : $table;
	wait_until('all is counted', sub { (asked($node, $counts) // '') eq stored() });
	my ($before, $stood, $remembered, $counted) = (rows(keys %$made), position(), value($node, $memory), counted());
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	# Held back until all of it is there, so that it is one batch.
	plant('batches', 'TRIGGER held BEFORE INSERT');
	$nats->publish(@messages);
	wait_for_errors(2);
	plant($table, $how);
	pull('held', 'batches');
	wait_for_errors(2);
	is_deeply(rows(keys %$made), $before, "fails at $name: the tables are as they were");
	is(position(), $stood, "fails at $name: nothing counts as read");
	is(value($node, $memory), $remembered, "fails at $name: nor is anything remembered");
	is(counted(), $counted, "fails at $name: nor counted");
	pull('planted', $table);
	wait_for_input($node, $nats);
	my $now = rows(keys %$made);
	is_deeply({ map { $_ => $now->{$_} - $before->{$_} } keys %$now }, $made, "after $name: each thing once");
	wait_for($node, $counts, stored(), "after $name: and counted so");
	return $name;
}

#----------------------------------------------------------------------
# Predictions and prices
#----------------------------------------------------------------------

for my $place (places(\%predicted, 'signals'))
{
	$round++;
	$at += 600_000_000;
	my $name = fail_and_store($place, \%predicted, 'SELECT parked, reserved FROM trading.stat_workers',
		$nats->tick(at => $at), batch(1), batch(3), { subject => 'trading.predictions.acme._all', hex => '00' });
	wait_for($node, 'SELECT parked FROM trading.stat_workers', 1, "after $name: one waits");
	$nats->publish(batch(2));
	wait_for($node, "SELECT string_agg(producer_seq::text, ' ' ORDER BY batch_no, position) FROM trading.prediction_batches WHERE producer_epoch = " . ($epoch + $round),
		'1 2 3', "after $name: sequences go on");
}

#----------------------------------------------------------------------
# Reports of terminals
#----------------------------------------------------------------------

sub prediction_for_beta
{
	my ($id) = @_;
	return $nats->batch(company => 'beta', user => 'bea', generated_at => ++$at, predictions => [ $nats->prediction(prediction_id => $id) ]);
}

my $open = 0;
for my $place (places(\%reported, 'executions'))
{
	my $id = 'reported-' . ++$open;
	$nats->publish(prediction_for_beta($id));
	wait_for_input($node, $nats);
	my ($signal, $size) = split /\|/, value($node, "SELECT signal_id, position_size FROM trading.signals WHERE prediction_id = '$id'");
	fail_and_store($place, \%reported, 'SELECT parked, reserved FROM trading.stat_workers',
		{ subject => 'trading.executions.beta.bea', type => 'ExecutionResult', envelope => { company_id => 'beta', user_id => 'bea', producer_id => 'model' },
			payload => { execution_id => "x$open", signal_id => $signal, company_id => 'beta', user_id => 'bea', symbol => 'EURUSD', status => 'FILLED',
				executed_price => 1.1, executed_size => $size + 0, executed_at => $at } });
}
is(value($node, q{SELECT count(DISTINCT execution_id), sum((status = 'FILLED')::int) FROM trading.executions}), "$open|$open", 'each report once');

#----------------------------------------------------------------------
# The circuit breaker of the risk service, which nobody offers
#----------------------------------------------------------------------

configure($node, 'trading_engine.risk_service' => 'on', 'trading_engine.risk_breaker_wait' => "'1h'", 'trading_engine.risk_breaker_wait_max' => "'1h'");
$node->reload;
$node->poll_query_until('postgres', q{SELECT setting = 'on' FROM pg_settings WHERE name = 'trading_engine.risk_service'}) or die 'no risk service';
fail_and_store([ 'breaker_changes', 'TRIGGER planted BEFORE INSERT' ], \%broken, 'SELECT reserved FROM trading.stat_workers',
	$nats->batch(company => 'beta', user => 'bea', generated_at => ++$at, predictions => [ map { $nats->prediction(prediction_id => "broken-$_") } 1 .. 5 ]));
is(value($node, 'SELECT from_state, to_state FROM trading.breaker_changes'), 'CLOSED|OPEN', 'the breaker has opened, once');

is(value($node, 'SELECT count(*) - count(DISTINCT signal_id) FROM trading.signals'), 0, 'no signal twice');
wait_for_output($node, $nats);
streams_match_table($node, $nats, 'at the end');

# What is counted by the minute is written when the worker makes way for one with other settings.
my $decided = value($node, 'SELECT evaluations, predictions FROM trading.stat_workers');
my ($pid) = worker_pids($node);
configure($node, 'trading_engine.publish_window' => 500);
$node->reload;
wait_for($node, "SELECT state FROM trading.stat_workers WHERE pid <> $pid", 'running', 'another worker runs');
is(value($node, 'SELECT (SELECT sum(decisions) FROM trading.decision_counts), (SELECT sum(predictions) FROM trading.confidence_counts)'), $decided,
	'what failed is not counted by the minute either');

$node->stop;
$nats->stop;
done_testing();
