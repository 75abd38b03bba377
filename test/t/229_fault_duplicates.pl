# Fault 19 (doc/faults.md): each input comes one to five times, by both transports, shuffled within
# a thousand messages.  Each takes effect once, in the order of its producer.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use List::Util qw(shuffle);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use TradingEngine;
use TradingEngineFaults;
use TradingEngineKafka;
use TradingEngineNats;
use TradingEngineRun;

plan skip_all => TradingEngineKafka::missing() if TradingEngineKafka::missing();
seeded();
my $nats = TradingEngineNats->new('duplicates')->start;
my $kafka = TradingEngineKafka->new('duplicates', input_partitions => 2)->start;
my $node = engine('duplicates', nats => $nats, lanes => 2, conf => {
	$kafka->settings, quick_route(),
	# What one way brings waits for the other one as long as that takes.
	'trading_engine.gap_wait' => '1h' });
tenants_that_trade($node);
wait_until('both transports are ready', sub {
	(asked($node, q{SELECT count(*) FROM trading.stat_transports WHERE state = 'ready'}) // 0) == 4 });

my $messages = rounds(1000, 50000);
my $window = 1000;
my @producers = ([ '_all' ], ['acme'], ['north']);

# The bytes are made once, so that a repetition is one.
my @all = map { $nats->batch(company => $producers[ $_ % 3 ][0], envelope => { timestamp => 1_700_000_000_000_000 + $_ }) } 1 .. $messages;
my (%copies, @of);
for my $message (@all)
{
	my @ways = map { rand() < 0.5 ? 'nats' : 'kafka' } 1 .. 1 + int rand 5;
	push @of, map { [ $message, $_ ] } @ways;
	$copies{$_}++ for @ways;
}
while (my @part = splice @of, 0, $window)
{
	@part = shuffle @part;
	$nats->publish(map { $_->[0] } grep { $_->[1] eq 'nats' } @part);
	$kafka->publish(map { $_->[0] } grep { $_->[1] eq 'kafka' } @part);
}
note("$messages messages, copies: $copies{nats} by NATS, $copies{kafka} by Kafka");
for my $producer (@producers)
{
	my $company = $producer->[0];
	my $last = (sort { $b <=> $a } map { $_->{envelope}{seq} } grep { $_->{envelope}{company_id} eq $company } @all)[0];
	wait_for($node, "SELECT count(*) FROM trading.prediction_batches WHERE company_id = '$company' AND producer_seq = $last", $company eq '_all' ? 2 : 1,
		"the last message for $company takes effect");
}
wait_for_output($node, $nats);
is(value($node, 'SELECT count(*) FROM trading.input_gaps'), 0, 'nothing is given up');
# Kafka's mock keeps 5 MB of a partition: in the full form it has forgotten what only came by Kafka.
proven('duplicates by both ways', $node, nats => $nats, kafka => $kafka, input_complete => !full());
my @lanes = map { my $company = $_->[0]; [ $company, $company eq '_all' ? (0, 1) : value($node, "SELECT trading.lane_of('$company', 2)") ] } @producers;
my %lanes = map { my ($company, @of) = @$_; ($company => \@of) } @lanes;
my @expected = sort map { my ($e, $id) = ($_->{envelope}, $_->{payload}{batch_id}); map { "$_ $e->{company_id} $e->{seq} $id" } @{ $lanes{ $e->{company_id} } } } @all;
my @applied = sort split /\n/, value($node, q{SELECT concat_ws(' ', lane, company_id, producer_seq, batch_id) FROM trading.prediction_batches});
is(scalar @applied, scalar @expected, 'each message has taken effect once in each lane that it concerns');
is(join("\n", grep { $applied[$_] ne $expected[$_] } 0 .. $#expected), '', 'and it is that message');
is(value($node, q{SELECT count(*) FROM (SELECT company_id, producer_seq, lag(producer_seq) OVER (PARTITION BY lane, company_id ORDER BY batch_no, position) AS before
	FROM trading.prediction_batches) AS p WHERE before IS NOT NULL AND producer_seq <> before + 1}), 0, 'in the order of its producer, without a hole');
$node->stop;
$kafka->stop;
$nats->stop;
done_testing();
