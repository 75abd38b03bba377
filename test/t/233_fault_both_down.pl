# Fault 13 (doc/faults.md): NATS and Kafka are down together, at full rate.  Memory stays what it is, and
# everything is sent when they are back, in order.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use List::Util qw(max min);
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
my $nats = TradingEngineNats->new('down')->start;
my $kafka = TradingEngineKafka->new('down')->start;
# What a lane remembers of signals to recognise repetitions has a room of its own, which is to be full
# before anything is measured.
my $node = engine('down', nats => $nats, lanes => 2, conf => {
	'trading_engine.signal_memory' => rounds(1024, 16384), $kafka->settings, quick_route() });
tenants_that_trade($node);
# Signals that expire are given up, so that what is remembered of open ones is soon as much as it gets ...
my $open = rounds(2, 20);
value($node, "UPDATE trading.strategies SET signal_ttl_seconds = $open");
# ... but for those of one company: a few, that are worth something until the end.
company($node, 'patient', users => ['pia'], producers => ['load'], strategy => {
	allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 600000, signal_ttl_seconds => 36000,
	auto_execute => 'true', available_instruments => "'{GBPUSD}'" });
wait_until('both transports are ready', sub {
	(asked($node, q{SELECT count(*) FROM trading.stat_transports WHERE state = 'ready'}) // 0) == 4 });
wait_for_route($node, 'NATS', 'output begins on NATS');
my @workers = worker_pids($node);
my $signals = q{SELECT count(*) FROM trading.signals WHERE out_seq IS NOT NULL};

my @runs = (start_submitting($node, every => 0.1, predictions => rounds(10, 40)), start_submitting($node, every => 1, company => 'patient', symbol => 'GBPUSD'));
sleep 1;
$nats->stop;
$kafka->down;
wait_for_route($node, 'NONE|SUSPECT', 'without any broker, output waits');
wait_for_route($node, 'NONE', 'and is given up on both');
# The publisher's queue fills up as well, to its bound.
sleep 2 * $open + rounds(1, 120);

my @before = map { own_memory($_) } @workers;
cmp_ok(min(@before), '>', 0, 'the memory of each lane is known');
my (@least, @most);
my $samples = 0;
my $from = value($node, $signals);
my $seconds = rounds(10, 600);
my $start = time();
while (time() < $start + $seconds)
{
	sleep 1;
	my @now = map { own_memory($_) } @workers;
	for my $lane (0, 1)
	{
		$least[$lane] = min($now[$lane], $least[$lane] // $now[$lane]);
		$most[$lane] = max($now[$lane], $most[$lane] // $now[$lane]);
	}
	note(sprintf '%.0f s: %s kB', time() - $start, "@now") if ++$samples % 60 == 0;
}
my $took = time() - $start;
my $made = value($node, $signals) - $from;
note(sprintf '%d signals in %.0f s (%.0f per second) without a broker', $made, $took, $made / $took);
cmp_ok($made / $took, '>', rounds(1, 1000), 'signals are made meanwhile, at full rate');
for my $lane (0, 1)
{
	note("lane $lane: $before[$lane] kB in the beginning, then from $least[$lane] to $most[$lane] kB");
	ok($most[$lane] < 1.1 * $before[$lane] + rounds(4096, 0), "the memory of lane $lane never grows by a tenth");
	cmp_ok($least[$lane], '>', 0.9 * $before[$lane], "nor shrinks by a tenth, so that it was not more in the beginning than it needs");
}

my $back = time();
$kafka->up;
wait_for_route($node, 'KAFKA|HALF_OPEN', 'the first that is back is used');
wait_until('what waited is on Kafka', sub { $kafka->messages('trading.signals') > 0 });
$nats->start;
wait_for_route($node, 'NATS', 'and then NATS', rounds(180, 900));
finish_submitting($_) for @runs;
wait_for_settled($node, 600);
note(sprintf 'NATS has everything %.0f s after the first broker is back', time() - $back);
# Kafka's mock keeps 5 MB of a partition: what it has forgotten is on NATS.
my $accounts = proven('both away', $node, nats => $nats, kafka => $kafka);
is($accounts->{submitted}, value($node, q{SELECT count(*) FROM trading.inbox AS i JOIN trading.lanes AS l
	ON i.company_id = '_all' OR trading.lane_of(i.company_id, 2) = l.lane}), 'all that was submitted is decided');
my $patient = q{FROM trading.signals AS s, LATERAL (VALUES (s.out_seq), (s.command_seq)) AS q (seq) WHERE s.company_id = 'patient' AND q.seq IS NOT NULL};
cmp_ok(value($node, "SELECT count(*) $patient"), '>', $seconds, 'signals and commands that are worth something were made all the time');
is(value($node, "SELECT count(*) $patient AND EXISTS (SELECT FROM trading.gap_fills AS g WHERE (g.lane, g.epoch, g.seq) = (s.lane, s.out_epoch, q.seq))"), 0,
	'and none of them was replaced by a gap');
is_deeply([ worker_pids($node) ], \@workers, 'no worker has stopped');
$node->stop;
$kafka->stop;
$nats->stop;
done_testing();
