# Faults 5 and 7 (doc/faults.md): the link to NATS is cut in two, in both directions or in one;
# acknowledgements come late, connections end in the middle of a message.
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
my $nats = TradingEngineNats->new('link')->start;
my $link = $nats->proxy;
my $kafka = TradingEngineKafka->new('link')->start;
my $node = engine_with_link('link', $nats, $link, $kafka);
my @workers = worker_pids($node);

#----------------------------------------------------------------------
# 5: partitions
#----------------------------------------------------------------------

for my $way (qw(both in out))
{
	my $run = start_submitting($node);
	sleep 0.5;
	my $epochs = value($node, 'SELECT max(route_epoch) FROM trading.routes');
	my $before = on_kafka($node);
	my $start = time();
	$link->drop($way);
	wait_until('signals are on Kafka', sub { on_kafka($node) > $before });
	my $first = time() - $start;
	wait_for_route($node, 'KAFKA|HALF_OPEN', "partition ($way): output goes to Kafka");
	within(seconds_to_route($node, $start, 'SUSPECT'), 1.5, "partition ($way): suspected");
	within($first, 5, "partition ($way): the first signal on Kafka");
	within(seconds_to_route($node, $start, 'KAFKA'), 5, "partition ($way): all lanes on Kafka");
	sleep rounds(1, 30);
	within(longest_pause($node, $start), 1, "partition ($way): the longest pause of a lane");
	$link->heal;
	wait_for_route($node, 'NATS', "partition ($way): output comes back");
	is(value($node, "SELECT max(route_epoch) - $epochs FROM trading.routes"), 2, "partition ($way): there and back, once");
	finish_submitting($run);
	wait_for_settled($node);
	proven("partition ($way)", $node, nats => $nats, kafka => $kafka);
}

#----------------------------------------------------------------------
# 7: late, and cut in the middle
#----------------------------------------------------------------------

my $run = start_submitting($node, every => 0.05, predictions => 5);
for my $round (1 .. rounds(6, 200))
{
	my $most = int rand 5000;
	$link->delay($round % 3 ? 0 : int rand($most + 1), $most);
	sleep 0.3 + rand 0.7;
	$link->cut if $round % 2;
}
$link->delay(0, 0);
wait_for_route($node, 'NATS', 'late acknowledgements: output is on NATS in the end');
finish_submitting($run);
wait_for_settled($node);
proven('late acknowledgements and cut connections', $node, nats => $nats, kafka => $kafka);
is_deeply([ worker_pids($node) ], \@workers, 'no worker has stopped');
$node->stop;
$link->stop;
$kafka->stop;
$nats->stop;
done_testing();
