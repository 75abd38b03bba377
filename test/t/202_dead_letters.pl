# Dead letters are tried again: a message, or one prediction of it, after what was wrong was put
# right; once, and whatever its number.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;
use TradingEngineRun;

my $nats = TradingEngineNats->new('letters')->start;
my $node = engine('letters', nats => $nats, lanes => 2);
company($node, 'acme', users => ['ann'], strategy => { max_prediction_age_ms => 86400000, allowed_regimes => "trading.enum_labels('regime')" });

sub letter
{
	my ($condition) = @_;
	return value($node, "SELECT dead_letter_id FROM trading.dead_letters WHERE $condition");
}
sub retry { my ($id) = @_; return $node->psql('postgres', "SELECT trading.retry_dead_letter('$id')"); }
sub signals_of
{
	my ($prediction) = @_;
	return "SELECT count(*) FROM trading.signals WHERE prediction_id = '$prediction'";
}

# A producer that nobody knew; its message has number 1.
$nats->publish($nats->batch(company => 'acme', producer => 'late', batch_id => 'stranger', predictions => [ $nats->prediction(prediction_id => 'stranger') ]));
wait_for($node, q{SELECT reason FROM trading.dead_letters}, 'NOT_AUTHORISED', 'an unknown producer is refused');
my $stranger = letter(q{producer_id = 'late'});
is((retry($stranger))[0], 0, 'its message is tried again');
wait_for($node, 'SELECT count(*) FROM trading.dead_letters', 2, 'too soon: it is refused again');
is((retry($stranger))[0], 3, 'a dead letter is tried once');
is((retry(letter('retried_at IS NULL')))[0], 0, 'and again');
wait_for($node, q{SELECT count(*) FROM trading.dead_letters WHERE reason = 'NOT_AUTHORISED'}, 3, 'no retry makes an unknown producer a known one');
my $second = letter('retried_at IS NULL');
value($node, q{INSERT INTO trading.producers (company_id, producer_id) VALUES ('acme', 'late')});
is((retry($second))[0], 0, 'tried again, now that the producer is known');
wait_for($node, signals_of('stranger'), 1, 'it takes effect');
is(value($node, q{SELECT source, producer_seq FROM trading.prediction_batches WHERE batch_id = 'stranger'}), 'inbox|1', 'with its number');
$nats->publish($nats->batch(company => 'acme', producer => 'late', batch_id => 'next', predictions => [ $nats->prediction(prediction_id => 'next') ]));
wait_for($node, signals_of('next'), 1, 'which the next one follows');

# One prediction of three.
$nats->publish($nats->batch(company => 'acme', batch_id => 'three', predictions => [ $nats->prediction(prediction_id => 'first'),
	$nats->prediction(prediction_id => 'unknown', symbol => 'NEWUSD'), $nats->prediction(prediction_id => 'third') ]));
wait_for($node, q{SELECT reason, prediction_index FROM trading.dead_letters WHERE reason = 'UNKNOWN_SYMBOL'}, 'UNKNOWN_SYMBOL|1', 'a symbol that nobody knew');
value($node, q{INSERT INTO trading.instruments SELECT i.* FROM trading.instruments AS b, jsonb_populate_record(b, '{"symbol": "NEWUSD"}') AS i WHERE b.symbol = 'EURUSD'});
is((retry(letter(q{reason = 'UNKNOWN_SYMBOL'})))[0], 0, 'now it is there');
wait_for($node, q{SELECT count(*) FROM trading.prediction_batches WHERE batch_id = 'three#1'}, 1, 'the prediction is taken');
is(value($node, q{SELECT count(*) FROM trading.dead_letters WHERE reason = 'UNKNOWN_SYMBOL'}), 1, 'and not turned away again');
is(value($node, signals_of('first')) . value($node, signals_of('third')), '11', 'its neighbours not once more');
is(value($node, q{SELECT producer_seq, predictions FROM trading.prediction_batches WHERE batch_id = 'three#1'}), '0|1', 'it has an id of its own');

# What has come again meanwhile has no effect twice.
value($node, q{ALTER TABLE trading.signals ADD CONSTRAINT no_pound CHECK (symbol <> 'GBPUSD')});
my $pound = $nats->batch(company => 'acme', batch_id => 'pound', predictions => [ $nats->prediction(prediction_id => 'pound', symbol => 'GBPUSD') ]);
$nats->publish($pound);
wait_for($node, q{SELECT count(*) FROM trading.dead_letters WHERE reason = 'STORE_FAILED'}, 1, 'a message that cannot be stored');
value($node, 'ALTER TABLE trading.signals DROP CONSTRAINT no_pound');
is((retry(letter(q{reason = 'STORE_FAILED'})))[0], 0, 'is tried again when it can');
wait_for($node, signals_of('pound'), 1, 'and takes effect');
$nats->publish($pound);
wait_for_input($node, $nats);
is(value($node, signals_of('pound')), 1, 'a repeat of it has none');
wait_for($node, 'SELECT sum(duplicates) FROM trading.stat_workers', 1, 'and is counted');

# What can't be.
like((retry('00000000-0000-0000-0000-000000000000'))[2], qr/there is no dead letter/, 'an unknown id is an error');
is(value($node, 'SELECT count(*) FROM trading.dead_letters WHERE retried_at IS NULL'), 0, 'all of them were tried again');
is(value($node, 'SELECT count(*) FROM trading.input_gaps'), 0, 'and nothing is missing');

$node->stop;
$nats->stop;
done_testing();
