# Somebody else's output on Kafka stops a lane, on NATS too, as soon as Kafka shows it; when the lane
# is adopted, its epoch is above those of both brokers.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineFaults;
use TradingEngineKafka;
use TradingEngineNats;
use TradingEngineRun;

plan skip_all => TradingEngineKafka::missing() if TradingEngineKafka::missing();

my $nats = TradingEngineNats->new('foreign')->start;
my $kafka = TradingEngineKafka->new('foreign', lanes => 1)->start;
my $node = engine('foreign', nats => $nats, lanes => 1, conf => {
	$kafka->settings, 'trading_engine.restart_delay' => '100ms' });
company($node, 'acme', users => ['ann'], strategy => {
	allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 600000, signal_ttl_seconds => 3600 });

my $number = 0;

sub submit
{
	my $id = 'p' . ++$number;
	$node->safe_psql('postgres', <<"SQL");
SELECT trading.submit(jsonb_build_object('company_id', 'acme', 'user_id', 'ann', 'batch_id', '$id', 'generated_at', now(),
	'predictions', jsonb_build_array(jsonb_build_object('prediction_id', '$id', 'symbol', 'EURUSD',
		'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.9))));
SQL
	return;
}

sub sent
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for($node, 'SELECT (nats_epoch, nats_seq) = (epoch, last_seq), last_seq > 0 FROM trading.lane_output', 't|t', $name);
}

$kafka->down;
$node->restart;
wait_for_lanes($node);
submit();
sent('a lane doesn\'t wait for Kafka');
is(value($node, 'SELECT state FROM trading.lane_output'), 'NATS', 'while there is NATS');

# Each batch is released by its own row, and costs no other.
wait_for($node, 'SELECT published = acknowledged FROM trading.stat_workers', 't', 'nothing is under way');
my $batches = value($node, 'SELECT max(batch_no) FROM trading.batches');
submit() for 1 .. 5;
wait_for($node, 'SELECT count(*) FROM trading.signals', 6, 'five more are decided');
sent('and sent');
is(value($node, "SELECT bool_and((released_epoch, released_seq) = (epoch, last_out_seq)), count(*) FILTER (WHERE messages = 0 AND released_seq > (
		SELECT o.released_seq FROM trading.batches AS o WHERE o.lane = b.lane AND o.batch_no = b.batch_no - 1))
	FROM trading.batches AS b WHERE batch_no > $batches"), 't|0', 'each batch has released its own messages');

my $before = $nats->messages('trading_output_0');
$kafka->up;
$kafka->publish({ subject => 'trading.signals.0.acme.ann.EURUSD', topic => 'trading.signals', partition => 0, hex => '00',
	headers => { 'te-lane' => '0', 'te-epoch' => '7', 'te-seq' => '3', 'te-hash' => '0', 'te-installation' => '6dd2ba56-79c1-4a53-a3a5-3ab7f7a1b2c3' } });
# If the lane was connected before that, the next connection shows it.
$kafka->down;
wait_for($node, q{SELECT count(*) FROM trading.stat_transports WHERE transport = 'kafka' AND state = 'ready'}, '0', 'Kafka is away');
$kafka->up;
wait_for($node, 'SELECT state FROM trading.stat_workers', 'foreign', 'Kafka is back');
like(value($node, 'SELECT reason FROM trading.stat_workers'), qr{^another installation writes to this lane's output stream \(KAFKA has 7/3, the database \d+/6\)},
	'another installation\'s output on Kafka makes the lane foreign');
submit();
is($nats->messages('trading_output_0'), $before, 'it sends nothing more, to NATS neither');
is(value($node, 'SELECT count(*) FROM trading.signals'), 6, 'and decides nothing');

is(value($node, 'SELECT trading.adopt()'), 1, 'it is adopted');
wait_for($node, 'SELECT state FROM trading.stat_workers', 'running', 'and runs');
wait_for($node, 'SELECT count(*) FROM trading.signals', 7, 'it goes on where it was');
sent('on NATS');
is(value($node, 'SELECT epoch, predecessor_epoch FROM trading.lanes'), '8|7', 'in an epoch above those of both brokers');
is(join(' ', map { "$_->{headers}{'te-epoch'}/$_->{headers}{'te-seq'}" } ($nats->dump('trading_output_0'))[-1]), '8/1', 'which its messages carry');
$node->restart;
wait_for_lanes($node);
submit();
wait_for($node, 'SELECT count(*) FROM trading.signals', 8, 'after a restart what the predecessor wrote is no obstacle');
sent('on NATS');

$node->stop;
$nats->stop;
$kafka->stop;
done_testing();
