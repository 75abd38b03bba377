# Faults 4 and 6 (doc/faults.md): NATS is frozen, comes and goes.  Output goes to Kafka, and comes back
# to NATS, which then has everything.
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

#----------------------------------------------------------------------
# 4: frozen
#----------------------------------------------------------------------

for my $round (1 .. rounds(2, 10))
{
	# The second time with so much under way that the sockets' buffers fill.
	my $run = start_submitting($node, $round % 2 ? (every => 0.05) : (every => 0.1, predictions => 30));
	sleep 1;
	my $before_pause = on_kafka($node);
	my $start = time();
	$nats->pause;
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
	wait_for_route($node, 'NATS', "frozen, round $round: output comes back");
	finish_submitting($run);
	wait_for_settled($node);
	my $accounts = proven("frozen, round $round", $node, nats => $nats, kafka => $kafka);
	cmp_ok($accounts->{consumer}{read}{kafka}, '>', 0, "frozen, round $round: Kafka holds what was sent meanwhile");
	cmp_ok($accounts->{consumer}{markers}, '>=', 4, "frozen, round $round: markers say where it begins and ends");
}
is_deeply([ worker_pids($node) ], \@workers, 'no worker has stopped');

#----------------------------------------------------------------------
# 6: comes and goes each second
#----------------------------------------------------------------------

{
	my $run = start_submitting($node);
	my $seconds = rounds(12, 300);
	my $start = time();
	my $switches = value($node, 'SELECT max(route_epoch) FROM trading.routes');
	while (time() < $start + $seconds)
	{
		$nats->pause;
		sleep 1;
		$nats->resume;
		sleep 1;
	}
	$switches = value($node, 'SELECT max(route_epoch) FROM trading.routes') - $switches;
	my $dwell = full() ? 30 : 2;
	cmp_ok($switches, '<=', 2 + $seconds / $dwell, "with a link that comes and goes for $seconds s there are $switches switches");
	is(value($node, "SELECT count(*) FROM (SELECT r.*, lag(changed_at) OVER w AS at, lag(via) OVER w AS before FROM trading.routes AS r "
		. "WHERE state IN ('NATS', 'KAFKA') WINDOW w AS (PARTITION BY lane ORDER BY version)) AS c "
		. "WHERE via = 'NATS' AND before = 'KAFKA' AND changed_at - at < interval '$dwell s'"), 0, 'none of them is a return before the dwell time is over');
	wait_for_route($node, 'NATS', 'output comes back for good', 1800);
	finish_submitting($run);
	wait_for_settled($node);
	proven('a link that comes and goes', $node, nats => $nats, kafka => $kafka);
}

is_deeply([ worker_pids($node) ], \@workers, 'no worker has stopped');
$node->stop;
$kafka->stop;
$nats->stop;
done_testing();
