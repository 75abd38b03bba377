# Fault 6 (doc/faults.md): the link to NATS comes and goes each second; then with connections that end
# each time; then for longer than it takes to give NATS up.  No return before the dwell time is over.
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
my $nats = TradingEngineNats->new('toggling')->start;
my $link = $nats->proxy;
my $kafka = TradingEngineKafka->new('toggling')->start;
my $node = engine_with_link('toggling', $nats, $link, $kafka);
my @workers = worker_pids($node);
my $dwell = full() ? 30 : 2;

# What a toggling link is like: how long it lasts, seconds without and with a link, and whether
# connections end.
for my $link_is (
	[ 'that holds everything back each second', rounds(6, 300), 1, 1, 0 ],
	[ 'whose connections end each second', rounds(6, 300), 1, 1, 1 ],
	[ 'that is mostly away', rounds(11, 120), 4.5, 1, 1 ])
{
	my ($name, $seconds, $away, $there, $ends) = @$link_is;
	my $run = start_submitting($node);
	my $epochs = value($node, 'SELECT string_agg(e::text, $$ $$ ORDER BY lane) FROM (SELECT lane, max(route_epoch) AS e FROM trading.routes GROUP BY lane) AS r');
	my $start = time();
	while (time() < $start + $seconds)
	{
		$link->drop('both');
		$link->cut if $ends;
		sleep $away;
		$link->heal;
		sleep $there;
	}
	my $took = time() - $start;
	my @after = split / /, value($node, 'SELECT string_agg(e::text, $$ $$ ORDER BY lane) FROM (SELECT lane, max(route_epoch) AS e FROM trading.routes GROUP BY lane) AS r');
	my @before = split / /, $epochs;
	for my $lane (0, 1)
	{
		my $switches = $after[$lane] - $before[$lane];
		cmp_ok($switches, '<=', 1 + $took / $dwell, "a link $name: $switches switches of lane $lane in " . int($took) . ' s');
		cmp_ok($switches, '>=', 1, "a link $name: lane $lane has left it") if $away > 4;
	}
	is(value($node, "SELECT count(*) FROM (SELECT r.*, lag(changed_at) OVER w AS at, lag(via) OVER w AS before FROM trading.routes AS r "
		. "WHERE state IN ('NATS', 'KAFKA') WINDOW w AS (PARTITION BY lane ORDER BY version)) AS c "
		. "WHERE via = 'NATS' AND before = 'KAFKA' AND changed_at - at < interval '$dwell s'"), 0,
		"a link $name: no return before the dwell time is over");
	wait_for_route($node, 'NATS', "a link $name: output comes back for good", rounds(180, 600));
	finish_submitting($run);
	wait_for_settled($node);
	proven("a link $name", $node, nats => $nats, kafka => $kafka);
}
is_deeply([ worker_pids($node) ], \@workers, 'no worker has stopped');
$node->stop;
$link->stop;
$kafka->stop;
$nats->stop;
done_testing();
