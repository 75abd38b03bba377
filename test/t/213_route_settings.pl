# Settings of lanes that contradict each other are not taken: a lane goes on with those that it has, and
# none starts with them.  A reload of the others takes effect, in place or in a new worker.
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

my $nats = TradingEngineNats->new('settings')->start;
my $kafka = TradingEngineKafka->new('settings', lanes => 1)->start;
my $node = engine('settings', nats => $nats, lanes => 1, conf => {
	'trading_engine.restart_delay' => '100ms',
	'trading_engine.kafka_brokers' => "'" . $kafka->brokers . "'",
	'trading_engine.gap_wait' => '1h',
	'trading_engine.route_suspect_limit' => '1s' });
company($node, 'acme', users => ['ann'], strategy => {
	allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 600000, signal_ttl_seconds => 3600 });
wait_for($node, q{SELECT count(*) FROM trading.stat_transports WHERE state = 'ready'}, 2, 'both brokers are there');

sub reload { my (%conf) = @_; configure($node, map { ("trading_engine.$_" => $conf{$_}) } keys %conf); $node->reload; return; }
sub health { return value($node, q{SELECT status || ': ' || detail FROM trading.health() WHERE "check" = 'settings'}); }
my $pid = (worker_pids($node))[0];
sub same_worker { my ($name) = @_; return is((worker_pids($node))[0], $pid, $name); }

# The worker that took over from the last one runs.
sub new_worker
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_for($node, "SELECT state FROM trading.stat_workers WHERE pid <> $pid", 'running', $name);
	$pid = (worker_pids($node))[0];
	return;
}

my $seq = 0;

sub publish { return $nats->publish(map { $nats->batch(company => 'acme', seq => $_, batch_id => "b$_") } @_); }

sub decided
{
	my ($name) = @_;
	publish(++$seq);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for($node, "SELECT count(*) FROM trading.prediction_batches WHERE producer_seq = $seq", 1, $name);
}

decided('a lane that runs');
is(health(), 'OK: none contradicts another', 'its settings go together');

#----------------------------------------------------------------------
# Contradictions
#----------------------------------------------------------------------

my $log = -s $node->logfile;
reload(route_dwell => '20s', route_dwell_max => '10s', parked_messages => 100);
my $contradiction = 'trading_engine.route_dwell_max (10s) must be at least trading_engine.route_dwell (20s)';
wait_for($node, 'SELECT state, reason FROM trading.stat_workers', "running|$contradiction", 'a reload of settings that contradict each other is not taken');
is(health(), "FAIL: $contradiction: lanes keep what they have, and none starts with these", 'trading.health() says so');
decided('the lane goes on');
wait_for($node, 'SELECT reason FROM trading.stat_workers', $contradiction, 'and goes on saying so');
same_worker('by the settings that it has, all of them');
wait_for_log($node, qr/WARNING: .*\Q$contradiction\E/, 'the log has it', offset => $log);
$node->reload;
decided('a reload that changes nothing');
my $said = () = slurp_file($node->logfile, $log) =~ /WARNING: .*\Q$contradiction\E/g;
is($said, 1, 'is no reason to say it again');

$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
wait_for($node, 'SELECT state, reason, failures > 1 FROM trading.stat_workers', "waiting|$contradiction|t", 'a worker doesn\'t start with them');
ok($node->log_contains(qr/ERROR: .*\Q$contradiction\E/, $log), 'which is an error');
reload(route_dwell_max => '20s');
new_worker('when they go together again it does');
is(value($node, 'SELECT reason FROM trading.stat_workers'), '', 'and has nothing to complain about');
is(health(), 'OK: none contradicts another', 'nor has trading.health()');

for my $case ([ 'gap_wait', '100ms', 'gap_request_after', '200ms' ], [ 'route_probe_wait_max', '1s', 'route_probe_wait', '5s' ])
{
	my ($setting, $value, $than, $other) = @$case;
	my $before = value($node, "SHOW trading_engine.$setting");
	reload($setting => $value);
	wait_for($node, 'SELECT reason FROM trading.stat_workers', "trading_engine.$setting ($value) must be at least trading_engine.$than ($other)", "$setting below $than");
	reload($setting => $before);
	wait_for($node, 'SELECT reason FROM trading.stat_workers', '', 'and above it again');
}
same_worker('the lane went on');

#----------------------------------------------------------------------
# In place
#----------------------------------------------------------------------

publish($seq + 2);
wait_for($node, 'SELECT parked FROM trading.stat_workers', 1, 'what waits for a missing message');
reload(gap_wait => '300ms');
wait_for($node, q{SELECT string_agg(from_seq || ' ' || reason, ' ') FROM trading.input_gaps}, ($seq + 1) . ' MISSING', 'waits no longer than gap_wait says now');
$seq += 2;
same_worker('for that the worker stays');

reload(route_dwell => '1h', route_dwell_max => '1h', route_probe_successes => 2, route_probe_span => '200ms', route_probe_wait => '200ms');
wait_for($node, 'SHOW trading_engine.route_dwell', '1h', 'another dwell time');
$nats->pause;
wait_for($node, 'SELECT state FROM trading.lane_output', 'KAFKA', 'NATS hangs, Kafka takes over');
$nats->resume;
wait_for($node, q{SELECT state FROM trading.stat_transports WHERE transport = 'nats'}, 'ready', 'NATS is back');
is(value($node, 'SELECT state FROM trading.lane_output'), 'KAFKA', 'which takes the dwell time');
reload(route_dwell => '100ms');
wait_for($node, 'SELECT state FROM trading.lane_output', 'NATS', 'which is over as soon as it is shorter');
same_worker('for that the worker stays, too');

#----------------------------------------------------------------------
# In a new worker
#----------------------------------------------------------------------

reload(gap_wait => '1h');
decided('on');
publish($seq + 2);
wait_for($node, 'SELECT parked FROM trading.stat_workers', 1, 'a message waits');
reload(parked_messages => 200);
new_worker('other bounds for what waits need a new worker');
wait_for($node, 'SELECT parked FROM trading.stat_workers', 1, 'in which it waits, too');
publish($seq + 1);
wait_for($node, q{SELECT max(producer_seq) FROM trading.prediction_batches}, $seq += 2, 'for what was missing');
reload(kafka_ack_timeout => '4s');
new_worker('another time limit for Kafka');
reload(publish_window => 100);
new_worker('another window');
wait_for($node, q{SELECT count(*) FROM trading.stat_transports WHERE state = 'ready'}, 2, 'both brokers are there');
reload(kafka_brokers => q{''});
new_worker('no Kafka any more');
wait_for($node, q{SELECT count(*) FROM trading.stat_transports WHERE transport = 'kafka' AND state = 'ready'}, 0, 'it is gone');
decided('and the lane goes on');
wait_for($node, 'SELECT (nats_epoch, nats_seq) = (epoch, last_seq) FROM trading.lane_output', 't', 'on NATS');
proven('all of it', $node, nats => $nats, kafka => $kafka);

$node->stop;
$nats->stop;
$kafka->stop;
done_testing();
