# An output that one broker is too small for is replaced by a record, unless the other broker may have
# it: then it stays what it is, and output waits for that broker, or goes on that way.
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

my $nats = TradingEngineNats->new('large')->start;
my $kafka = TradingEngineKafka->new('large', lanes => 1)->start;
my $node = engine('large', nats => $nats, lanes => 1, conf => { $kafka->settings, quick_route(), 'trading_engine.restart_delay' => '100ms',
	'trading_engine.route_dwell_max' => '2s', 'trading_engine.kafka_ack_timeout' => '2s' });
my %strategy = (allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 86400000, signal_ttl_seconds => 3600);
company($node, 'acme', tier => 'ENTERPRISE', users => [ 'ann', 'bob' ], strategy => \%strategy);
value($node, q{UPDATE trading.strategies SET enable_multi_leg_strategies = true, leg_count = 5 WHERE user_id = 'bob'});

my $number = 0;

# A prediction by SQL, which makes one output; what bob gets is large.
sub submit
{
	my ($user) = @_;
	my $id = 'p' . ++$number . ($user eq 'bob' ? 'x' x 100 : '');
	$node->safe_psql('postgres', <<"SQL");
SELECT trading.submit(jsonb_build_object('company_id', 'acme', 'user_id', '$user', 'batch_id', '$id', 'generated_at', now(),
	'predictions', jsonb_build_array(jsonb_build_object('prediction_id', '$id', 'symbol', 'EURUSD',
		'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.9))));
SQL
	wait_for($node, 'SELECT count(DISTINCT prediction_id) FROM trading.signals', $number, "a prediction for $user is decided");
	return;
}

sub has_all
{
	my ($broker, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for($node, "SELECT (${broker}_epoch, ${broker}_seq) = (epoch, last_seq) FROM trading.lane_output", 't', $name);
}

sub last_seq { return value($node, 'SELECT last_seq FROM trading.lane_output'); }
sub fills { return value($node, q{SELECT COALESCE(string_agg(reason || ' ' || seq, ', ' ORDER BY seq), 'none') FROM trading.gap_fills}); }
sub reason { return q{SELECT COALESCE(reason, 'none') FROM trading.stat_workers}; }

submit('ann');
submit('bob');
has_all('nats', 'both outputs fit at first');
# With headers, for NATS' limit counts them.  They vary by 100 bytes.
my ($small, $large) = map { my $headers = $_->{headers}; $_->{size} + length join '....', %$headers } $nats->dump('trading_output_0');
cmp_ok($large, '>', $small + 300, 'one of them is much larger');
my $limit = int(($small + $large) / 2);

# NATS comes back, and takes less than before, or as much.
sub start_nats
{
	my ($max_payload) = @_;
	$nats->{config} = defined $max_payload ? "max_payload: $max_payload" : '';
	return $nats->start;
}

# A worker that is ended; what is seen of the lane from now on is another one's.
sub another_worker
{
	my ($pid) = worker_pids($node);
	value($node, "SELECT pg_terminate_backend($pid)");
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for($node, "SELECT count(*) FROM trading.stat_workers WHERE state = 'running' AND pid <> $pid", 1, 'another worker runs');
}

# How long NATS may be away before output goes to Kafka.
sub suspect_limit
{
	my ($limit) = @_;
	configure($node, 'trading_engine.route_suspect_limit' => "'$limit'");
	$node->reload;
	return;
}

#----------------------------------------------------------------------
# Nobody else can have it
#----------------------------------------------------------------------

suspect_limit('10min');
$nats->stop;
start_nats($limit);
wait_for_route($node, 'NATS', 'NATS takes less');
submit('bob');
submit('ann');
has_all('nats', 'what is too large for it doesn\'t stop the lane');
is(fills(), 'TOO_LARGE 3', 'a record takes its place');
is(value($node, reason()), 'none', 'that is no reason to worry');
is($kafka->messages('trading.signals'), 0, 'Kafka was asked nothing');
suspect_limit('3s');

#----------------------------------------------------------------------
# Kafka has it
#----------------------------------------------------------------------

$nats->stop;
submit('ann');
submit('bob');
submit('ann');
has_all('kafka', 'Kafka has what NATS has missed');
my $log = -s $node->logfile;
start_nats($limit);
wait_for($node, reason(), 'an output is larger than NATS takes, and Kafka may have it', 'NATS can\'t be filled, which is said');
wait_until('it is logged', sub { $node->log_contains(qr/WARNING: .*message \d+\/6 of lane 0 is larger than NATS takes.*the other broker may have it, so output waits for that one/s, $log) });
pass('and logged');
wait_for_route($node, 'KAFKA|HALF_OPEN', 'output goes on to Kafka');
wait_for($node, q{SELECT string_agg(state || '/' || cause, ' ' ORDER BY version) ~ 'DRAIN_BACK/PROBES_SUCCEEDED KAFKA/REFUSED' FROM trading.routes}, 't', 'at once');
submit('bob');
has_all('kafka', 'all of it');
is(value($node, reason()), 'an output is larger than NATS takes, and Kafka may have it', 'batches don\'t hide the reason');

# Without Kafka there is no way: not even for what is small.
$kafka->down;
wait_for_route($node, 'NATS', 'Kafka goes');
submit('ann');
my $last = last_seq();
another_worker();
wait_for($node, reason(), 'an output is larger than NATS takes, and Kafka may have it', 'output waits, with another worker, too');
is(value($node, 'SELECT nats_seq FROM trading.lane_output'), 5, 'before the message');
wait_for($node, 'SELECT outbox_pending FROM trading.stat_workers', 1, 'which is counted');
$kafka->up;
wait_for_route($node, 'KAFKA|HALF_OPEN', 'Kafka comes back: output goes that way');
has_all('kafka', 'Kafka has it all');
is(fills(), 'TOO_LARGE 3', 'nothing was replaced that a broker may have');

$nats->stop;
start_nats();
wait_for_route($node, 'NATS', 'NATS takes as much as before: it gets it all');
has_all('nats', 'to the last');
wait_for($node, reason(), 'none', 'and the reason is gone');
is(fills(), 'TOO_LARGE 3', 'with what was too large');
proven('too large for NATS', $node, nats => $nats, kafka => $kafka);

#----------------------------------------------------------------------
# Kafka may have it, and can't be asked
#----------------------------------------------------------------------

$nats->stop;
submit('ann');
has_all('kafka', 'on Kafka again');
$kafka->pause;
submit('bob');
wait_for_route($node, 'NONE', 'Kafka says nothing to a message');
start_nats($limit);
wait_for($node, reason(), 'an output is larger than NATS takes, and Kafka may have it', 'NATS is too small for it');
another_worker();
submit('ann');
wait_for($node, reason(), 'an output is larger than NATS takes, and Kafka may have it', 'another worker knows only that it was released');
is(fills(), 'TOO_LARGE 3', 'and replaces nothing');
$kafka->resume;
wait_for_route($node, 'KAFKA|HALF_OPEN', 'Kafka answers: output goes that way');
has_all('kafka', 'Kafka has it all');
$nats->stop;
start_nats();
has_all('nats', 'and so has NATS, when it takes it');
wait_for($node, reason(), 'none', 'then the reason is gone');
is(fills(), 'TOO_LARGE 3', 'nothing was replaced');
proven('nobody to ask', $node, nats => $nats, kafka => $kafka);

#----------------------------------------------------------------------
# NATS may have it
#----------------------------------------------------------------------

SKIP:
{
	skip 'only the mock cluster refuses on request', 1 unless $kafka->mock;
	wait_for_route($node, 'NATS', 'on NATS again');
	$nats->pause;
	submit('bob');
	$kafka->error('produce', 'MSG_SIZE_TOO_LARGE', 100);
	wait_for($node, reason(), 'an output is larger than Kafka takes, and NATS may have it', 'Kafka is too small for what NATS says nothing to');
	$kafka->clear;
	is(fills(), 'TOO_LARGE 3', 'it isn\'t replaced');
	submit('ann');
	wait_for($node, 'SELECT outbox_pending > 1 FROM trading.stat_workers', 't', 'output waits');
	$nats->resume;
	wait_for_route($node, 'NATS', 'NATS answers, and gets the output back');
	has_all('nats', 'with what is too large for Kafka');
	wait_for($node, reason(), 'none', 'the reason is gone');
	is(fills(), 'TOO_LARGE 3', 'nothing was replaced');
	proven('too large for Kafka', $node, nats => $nats, kafka => $kafka);
}

$node->stop;
$nats->stop;
$kafka->stop;
done_testing();
