# Fault 4 (doc/faults.md): NATS is frozen, in half of the rounds with more under way than its
# connections take.  Output goes to Kafka, and comes back to NATS, which then has everything.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use TradingEngine;
use TradingEngineFaults;
use TradingEngineKafka;
use TradingEngineNats;
use TradingEngineRun;

plan skip_all => TradingEngineKafka::missing() if TradingEngineKafka::missing();
seeded();
my $nats = TradingEngineNats->new('failover')->start;
my $kafka = TradingEngineKafka->new('failover')->start;
my $node = engine('failover', nats => $nats, lanes => 2, conf => {
	$kafka->settings, quick_route() });
tenants_that_trade($node);
wait_until('both transports are ready', sub {
	(asked($node, q{SELECT count(*) FROM trading.stat_transports WHERE state = 'ready'}) // 0) == 4 });
wait_for_route($node, 'NATS', 'output begins on NATS');
my @workers = worker_pids($node);
my $signals = q{SELECT count(*) FROM trading.signals WHERE out_seq IS NOT NULL};

# Bytes that NATS has not taken, of each connection to it, the most first.
sub untaken
{
	my $port = sprintf '%04X', $nats->port;
	my @bytes = map { hex } slurp_file('/proc/net/tcp') =~ /^ *\d+: \w+:\w+ \w+:$port 01 (\w+):/mg;
	return sort { $b <=> $a } @bytes;
}

my $rounds = rounds(2, 10);
for my $round (1 .. $rounds)
{
	my $flooded = $round > $rounds / 2;
	if ($round == $rounds / 2 + 1)
	{
		# As it is, the window keeps less under way than the buffers of a connection hold.
		configure($node, 'trading_engine.publish_window' => 20000);
		# A connection ends when it acknowledges nothing for that long: a busy machine may not fill its buffers in a second.
		configure($node, 'trading_engine.publish_ack_timeout' => '8s') unless full();
		$node->restart;
		wait_for_lanes($node);
		@workers = worker_pids($node);
		wait_for_route($node, 'NATS', 'output begins on NATS');
	}
	my $run = start_submitting($node, every => 0.05);
	sleep 1;
	my $before_pause = on_kafka($node);
	my $start = time();
	$nats->pause;
	if ($flooded)
	{
		my $flood = start_submitting($node, every => 0.02, predictions => 200);
		# Until output goes to Kafka.
		my @untaken = (0, 0);
		while ($untaken[1] <= 1_000_000 && route_state($node) =~ /NATS|SUSPECT/)
		{
			sleep 0.1;
			@untaken = untaken();
		}
		finish_submitting($flood);
		cmp_ok($untaken[1], '>', 1_000_000, "frozen, round $round: the buffers of both connections are full ($untaken[0] and $untaken[1] bytes)");
	}
	wait_until('signals are on Kafka', sub { on_kafka($node) > $before_pause });
	my $first = time() - $start;
	wait_for_route($node, 'KAFKA|HALF_OPEN', "frozen, round $round: output goes to Kafka");
	my $before = value($node, $signals);
	wait_until('decisions go on', sub { value($node, $signals) > $before });
	within(seconds_to_route($node, $start, 'SUSPECT'), 1.5, "frozen, round $round: suspected");
	within($first, 5, "frozen, round $round: the first signal on Kafka");
	sleep rounds(1, 10);
	within(longest_pause($node, $start), 1, "frozen, round $round: the longest pause of a lane");
	$nats->resume;
	# With a window of that size, acknowledgements take long: a return may need more than one attempt.
	wait_for_route($node, 'NATS', "frozen, round $round: output comes back", rounds(180, 600));
	finish_submitting($run);
	wait_for_settled($node);
	# Of the ends of segments nobody waits for an acknowledgement.
	wait_until('markers are on Kafka', sub { consumed($node, nats => $nats, kafka => $kafka)->{markers} >= 4 });
	my $accounts = proven("frozen, round $round", $node, nats => $nats, kafka => $kafka);
	cmp_ok($accounts->{consumer}{read}{kafka}, '>', 0, "frozen, round $round: Kafka holds what was sent meanwhile");
	cmp_ok($accounts->{consumer}{markers}, '>=', 4, "frozen, round $round: markers say where it begins and ends");
	is_deeply([ worker_pids($node) ], \@workers, "frozen, round $round: no worker has stopped");
}
$node->stop;
$kafka->stop;
$nats->stop;
done_testing();
