# Much output that no broker was there for goes out in order, to Kafka and then to NATS; a NATS that
# hangs while there is nothing to send is left before the next signal.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TradingEngine;
use TradingEngineFaults;
use TradingEngineKafka;
use TradingEngineNats;
use TradingEngineRun;

plan skip_all => TradingEngineKafka::missing() if TradingEngineKafka::missing();

my $nats = TradingEngineNats->new('backlog')->start;
my $kafka = TradingEngineKafka->new('backlog', lanes => 1)->start;
my $node = engine('backlog', nats => $nats, lanes => 1, conf => {
	'log_statement' => 'none',
	$kafka->settings,
	'trading_engine.route_dwell' => '1s',
	'trading_engine.route_probe_wait' => '300ms',
	'trading_engine.route_probe_successes' => 2,
	'trading_engine.route_probe_span' => '300ms' });
company($node, 'acme', tier => 'ENTERPRISE', users => [ map { "user$_" } 1 .. 30 ], strategy => {
	allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 600000, signal_ttl_seconds => 3600 });

# Predictions in batches of a hundred, each a signal of every user as far as his limits go.
sub submit
{
	my ($batches) = @_;
	$node->safe_psql('postgres', <<"SQL");
SELECT count(trading.submit(jsonb_build_object('company_id', 'acme', 'user_id', '_all', 'batch_id', gen_random_uuid(), 'generated_at', now(),
	'predictions', (SELECT jsonb_agg(jsonb_build_object('prediction_id', gen_random_uuid(), 'symbol', 'EURUSD',
		'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.9)) FROM generate_series(1, 100)))))
  FROM generate_series(1, $batches);
SQL
	return;
}

sub state
{
	my ($state, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for($node, 'SELECT state FROM trading.lane_output', $state, $name);
}

sub complete
{
	my ($columns, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for($node, "SELECT $columns = (epoch, last_seq) FROM trading.lane_output", 't', $name);
}

submit(1);
complete('(nats_epoch, nats_seq)', 'output goes to NATS');
$nats->pause;
state('KAFKA', 'NATS hangs, and is left though there is nothing to send');
$kafka->down;
state('NONE', 'Kafka goes, too');
$nats->kill9;
submit(3);
wait_for($node, 'SELECT count(*) FROM trading.prediction_batches', 4, 'much is decided meanwhile');
my $messages = value($node, 'SELECT last_seq FROM trading.lane_output');
cmp_ok($messages, '>', 5000, 'and waits');
my $begun = time();
$kafka->up;
complete('(kafka_epoch, kafka_seq)', 'Kafka gets it all');
note(sprintf '%d messages on Kafka after %.1f s', $messages, time() - $begun);
is(value($node, 'SELECT sum(gap_fills) FROM trading.stat_workers'), 0, 'as it was made');
$begun = time();
$nats->start;
complete('(nats_epoch, nats_seq)', 'and so does NATS');
state('NATS', 'which takes over again');
note(sprintf 'on NATS after %.1f s', time() - $begun);
is($nats->messages('trading_output_0'), $messages, 'each once');
proven('afterwards', $node, nats => $nats, kafka => $kafka);

$node->stop;
$nats->stop;
$kafka->stop;
done_testing();
