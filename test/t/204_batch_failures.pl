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
company($node, 'acme', users => ['ann'], strategy => { max_prediction_age_ms => 86400000, allowed_regimes => "trading.enum_labels('regime')" });
value($node, <<'SQL');
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'planted at %', TG_TABLE_NAME USING ERRCODE = 'disk_full';
END $$;
SQL

my @tables = qw(prediction_batches signals outbox dead_letters input_gaps market_bars market_conditions);
my $counts = join ' || chr(32) || ', map { "(SELECT count(*) FROM trading.$_)" } 'batches', @tables;
my $epoch = $nats->{epoch};
my $at = $epoch;
my $round = 0;

sub plant { my ($table, $how) = @_; return value($node, "CREATE $how ON trading.$table " . ($how =~ /CONSTRAINT/ ? 'DEFERRABLE INITIALLY DEFERRED FOR EACH ROW' : '') . ' EXECUTE FUNCTION public.refuse()'); }
sub pull { my ($name, $table) = @_; return value($node, "DROP TRIGGER $name ON trading.$table"); }
sub errors { return value($node, 'SELECT errors FROM trading.stat_workers'); }
sub position { return value($node, 'SELECT done, resume FROM trading.input_positions'); }

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

for my $case ((map { [ $_, 'TRIGGER planted BEFORE INSERT' ] } @tables, 'batches'), [ 'signals', 'CONSTRAINT TRIGGER planted AFTER INSERT' ])
{
	my ($table, $how) = @$case;
	my $name = $how =~ /CONSTRAINT/ ? 'the end' : $table;
	$round++;
	$at += 600_000_000;
	my ($before, $stood) = (value($node, "SELECT $counts"), position());
	my @made = split / /, $before;

	# Held back until all of it is there, so that it is one batch.
	plant('batches', 'TRIGGER held BEFORE INSERT');
	$nats->publish($nats->tick(at => $at), batch(1), batch(3), { subject => 'trading.predictions.acme._all', hex => '00' });
	wait_for_errors(2);
	plant($table, $how);
	pull('held', 'batches');
	wait_for_errors(2);
	is(value($node, "SELECT $counts"), $before, "fails at $name: the tables are as they were");
	is(position(), $stood, "fails at $name: nothing counts as read");
	is(value($node, 'SELECT parked FROM trading.stat_workers'), 0, "fails at $name: nothing waits");
	pull('planted', $table);
	wait_for($node, q{SELECT parked FROM trading.stat_workers}, 1, "stored after $name");
	my @now = split / /, value($node, "SELECT $counts");
	is_deeply([ map { $now[$_] - $made[$_] } 1, 2, 4, 5, 6, 7 ], [ 1, 1, 1, 1, 1, 1 ], "after $name: each thing once") or diag("$before\n@now");
	$nats->publish(batch(2));
	wait_for($node, "SELECT string_agg(producer_seq::text, ' ' ORDER BY batch_no, position) FROM trading.prediction_batches WHERE producer_epoch = " . ($epoch + $round),
		'1 2 3', "after $name: sequences go on");
}
is(value($node, 'SELECT count(*) - count(DISTINCT signal_id) FROM trading.signals'), 0, 'no signal twice');
wait_for_output($node, $nats);
streams_match_table($node, $nats, 'at the end');

$node->stop;
$nats->stop;
done_testing();
