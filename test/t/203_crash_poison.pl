# A message that makes the worker fault ends it twice at most: then it is a dead letter, and its
# neighbours are decided.  Being killed is no fault of a message.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;
use TradingEngineRun;

my $nats = TradingEngineNats->new('poison')->start;
my $node = engine('poison', nats => $nats, lanes => 1,
	conf => { 'restart_after_crash' => 'on', 'trading_engine.restart_delay' => '100ms', 'trading_engine.batch_limit' => 100,
		'trading_engine.gap_request_after' => 100, 'trading_engine.gap_wait' => 1000 });
company($node, 'acme', users => ['ann'], strategy => { max_prediction_age_ms => 86400000, allowed_regimes => "trading.enum_labels('regime')" });

# In the transaction that stores such a signal the worker sleeps: there it is met by a fault's signal.
value($node, <<'SQL');
CREATE FUNCTION public.sleep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$;
CREATE TRIGGER asleep BEFORE INSERT ON trading.signals FOR EACH ROW WHEN (NEW.symbol = 'GBPUSD') EXECUTE FUNCTION public.sleep();
SQL

sub asleep
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for($node, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'trading_engine lane' AND wait_event = 'PgSleep'}, 1, $name);
}

# Ends the worker with a signal, and waits for the next one.
sub strike
{
	my ($signal, $name) = @_;
	my ($pid) = worker_pids($node);
	kill $signal, $pid;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for($node, "SELECT count(*) FROM trading.stat_workers WHERE state = 'running' AND pid <> $pid", 1, $name);
}
# In the sequence of its producer.
sub message
{
	my ($id, $symbol) = @_;
	return $nats->batch(company => 'acme', batch_id => $id, predictions => [ $nats->prediction(prediction_id => $id, symbol => $symbol // 'EURUSD') ]);
}
sub signals { return value($node, q{SELECT string_agg(prediction_id, ' ' ORDER BY batch_no, position, ordinal) FROM trading.signals}); }
sub letters { return value($node, 'SELECT count(*) FROM trading.dead_letters'); }

# All three in one batch, as the worker finds them when it comes back.
$nats->publish(message('zero', 'GBPUSD'));
asleep('the worker is at the first');
$nats->publish(message('one'), message('two', 'GBPUSD'), message('three'));
strike('SEGV', 'a fault ends it');
asleep('it tries again, alone');
is(letters(), 0, 'one fault is none too many');
strike('SEGV', 'a second fault ends it');
wait_for($node, 'SELECT reason, input_seq FROM trading.dead_letters', 'CRASHED|1', 'the message is given up');
asleep('the next of its kind');
strike('SEGV', 'is met in a batch');
asleep('then alone');
is(signals(), 'one', 'its neighbour before is decided');
strike('SEGV', 'and is met again');
wait_for($node, q{SELECT string_agg(input_seq::text, ' ' ORDER BY input_seq) FROM trading.dead_letters WHERE reason = 'CRASHED'}, '1 3', 'it is given up, too');
wait_for($node, q{SELECT count(*) FROM trading.signals WHERE prediction_id = 'three'}, 1, 'the neighbour behind is decided');
is(signals(), 'one three', 'nothing else has happened');
is(value($node, q{SELECT count(*) FROM trading.dead_letters WHERE message IS NULL OR subject IS NULL}), 0, 'what was given up is kept');

is(value($node, 'SELECT count(*) FROM trading.input_gaps'), 0, 'their numbers are used up: nobody waits for them');

# Killed from outside, twice at the same place.
$nats->publish(message('four', 'GBPUSD'), message('five'));
for my $round (1 .. 2)
{
	asleep("the worker is at it, round $round");
	strike('KILL', 'it is killed');
}
asleep('a worker that was killed twice tries again');
is(letters(), 2, 'that is nobody\'s fault');
# Without the table's lock, for which a worker that has begun anew would have to be waited for.
value($node, q{CREATE OR REPLACE FUNCTION public.sleep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'});
value($node, q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'trading_engine lane'});
wait_for($node, q{SELECT string_agg(prediction_id, ' ' ORDER BY batch_no, position, ordinal) FROM trading.signals}, 'one three four five', 'and all is decided in the end');

# Behind a message that is lost, with others: at each start of the lane they wait for it anew.
value($node, q{CREATE OR REPLACE FUNCTION public.sleep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(600); RETURN NEW; END'});
message('lost');
$nats->publish(message('six'), message('seven', 'GBPUSD'), message('eight'));
asleep('the lane is at messages that have waited');
strike('SEGV', 'a fault ends it');
asleep('they wait again, and are taken one by one');
strike('SEGV', 'a second fault ends it');
wait_for($node, q{SELECT string_agg(prediction_id, ' ' ORDER BY batch_no, position, ordinal) FROM trading.signals}, 'one three four five six eight', 'one is given up, its neighbours are decided');
is(value($node, q{SELECT string_agg(reason || ' ' || input_seq, ', ' ORDER BY input_seq) FROM trading.dead_letters}), 'CRASHED 1, CRASHED 3, CRASHED 8', 'it is the right one');
is(value($node, q{SELECT from_seq, to_seq, reason FROM trading.input_gaps}), '7|7|MISSING', 'nothing is missing but what was lost');
is(value($node, q{SELECT sum(messages) FROM trading.batches}), $nats->messages('trading_input'), 'each message is counted once, however often it was read');

$node->stop;
$nats->stop;
done_testing();
