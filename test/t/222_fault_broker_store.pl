# Faults 8 to 10 (doc/faults.md): the broker loses the end of its files, its streams are deleted
# and made again, its consumers are deleted, it discards what nobody has read yet.  The lanes
# notice, publish again what is gone, read on where the database says, and record what is lost.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TradingEngine;
use TradingEngineFaults;
use TradingEngineNats;
use TradingEngineRun;

my %strategy = (allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 600000, signal_ttl_seconds => 3600);
seeded();

sub started
{
	my ($name, $nats) = @_;
	my $node = engine($name, nats => $nats, lanes => 2);
	company($node, 'acme', users => [ 'ann', 'bob' ], strategy => \%strategy);
	company($node, 'north', users => ['nina'], strategy => \%strategy);
	return $node;
}

sub settled
{
	my ($node, $nats) = @_;
	wait_for_input($node, $nats);
	wait_for_output($node, $nats);
	return;
}

sub incarnations
{
	my ($node) = @_;
	return value($node, q{SELECT string_agg(n::text, ' ' ORDER BY lane) FROM (
		SELECT DISTINCT ON (lane) lane, input_incarnation AS n FROM trading.batches ORDER BY lane, batch_no DESC) AS b});
}

# Cut the newest file of a stream to a part of its length; returns whether that cost messages.
sub cut
{
	my ($nats, $stream, $part) = @_;
	my @files = sort { ($a =~ /(\d+)\.blk/)[0] <=> ($b =~ /(\d+)\.blk/)[0] } glob $nats->store . "/jetstream/*/streams/$stream/msgs/*.blk";
	die "no file of $stream" unless @files;
	truncate $files[-1], int((-s $files[-1]) * $part) or die "$files[-1]: $!";
	return;
}

#----------------------------------------------------------------------
# 8: the end of a file is gone
#----------------------------------------------------------------------

my $nats = TradingEngineNats->new('store')->start;
my $node = started('store', $nats);
$nats->publish(map { $nats->batch } 1 .. 40);
settled($node, $nats);
my $rounds = rounds(3, 50);
for my $round (1 .. $rounds)
{
	my $before = incarnations($node);
	my %last = map { $_ => $nats->stream_info($_)->{state}{last_seq} } qw(trading_input trading_output_0 trading_output_1);
	$nats->stop;
	my $part = 0.3 + rand(0.6);
	cut($nats, $_, $part) for sort keys %last;
	$nats->start;
	# Since 2.10 nats-server may know how far it was, and goes on behind what it has lost.
	my $goes_on = $nats->stream_info('trading_input')->{state}{last_seq} >= $last{trading_input};
	# At once, before anybody has noticed: numbers of the stream are used again.
	$nats->publish(map { $nats->batch } 1 .. 5);
	wait_for($node, q{SELECT count(*) FROM trading.prediction_batches WHERE producer_seq = } . (40 + 5 * $round), 2,
		"lost tail, round $round: what comes after it is applied in each lane");
	settled($node, $nats);
	cmp_ok($nats->stream_info("trading_output_$_")->{state}{last_seq}, '>=', $last{"trading_output_$_"},
		"lost tail, round $round: the outputs of lane $_ are published again") for 0, 1;
	SKIP:
	{
		skip "lost tail, round $round: this nats-server uses no number twice", 1 if $goes_on;
		isnt(incarnations($node), $before, "lost tail, round $round: the stream counts as another one");
	}
}
proven('lost tails', $node, nats => $nats, input_complete => 0);
is(value($node, q{SELECT count(*), min(producer_seq), max(producer_seq) FROM trading.prediction_batches WHERE lane = 0}),
	join('|', 40 + 5 * $rounds, 1, 40 + 5 * $rounds), 'every input has taken effect once');

#----------------------------------------------------------------------
# 9: streams and consumers are gone
#----------------------------------------------------------------------

my $sent = 40 + 5 * $rounds;
my @resent = map { $nats->batch } 1 .. 5;
for my $round (1 .. rounds(2, 20))
{
	my $before = incarnations($node);
	die unless $nats->js_api('$JS.API.STREAM.DELETE.trading_input')->{success};
	wait_until('the input stream is there again', sub { defined $nats->stream_info('trading_input')->{config} });
	# The producer doesn't know what was lost, and sends all that it has once more.
	$nats->publish(@resent, $nats->batch);
	wait_for($node, q{SELECT count(*) FROM trading.prediction_batches WHERE producer_seq = } . ($sent + 5 + $round), 2,
		"input deleted, round $round: the new stream is read");
	settled($node, $nats);
	is(value($node, 'SELECT count(*) - count(DISTINCT (lane, producer_seq)) FROM trading.prediction_batches'), 0,
		"input deleted, round $round: what was sent again takes effect once");
	isnt(incarnations($node), $before, "input deleted, round $round: it is another stream");
}

my $heartbeat = 1;
for my $round (1 .. rounds(2, 20))
{
	my $info = $nats->js_api('$JS.API.CONSUMER.NAMES.trading_input');
	my @consumers = @{ $info->{consumers} };
	is(scalar @consumers, 2, "consumers deleted, round $round: each lane has one");
	$nats->js_api("\$JS.API.CONSUMER.DELETE.trading_input.$_") for @consumers;
	my $deleted = time();
	my %old = map { $_ => 1 } @consumers;
	wait_until('the lanes have other consumers', sub {
		my @now = grep { !$old{$_} } @{ $nats->js_api('$JS.API.CONSUMER.NAMES.trading_input')->{consumers} // [] };
		return @now == 2;
	});
	# At the latest two missing heartbeats tell; then another one is made.
	within(time() - $deleted, 2 * $heartbeat + 0.5, 'from the deletion to other consumers');
	$nats->publish($nats->batch(batch_id => "consumer-$round"));
	wait_for($node, "SELECT count(*) FROM trading.prediction_batches WHERE batch_id = 'consumer-$round'", 2,
		"consumers deleted, round $round: the lanes make others, and read on");
	within(time() - $deleted, 2 * $heartbeat + 2, 'from the deletion to the next input that is decided');
}
settled($node, $nats);
proven('deleted input and consumers', $node, nats => $nats, input_complete => 0);

for my $round (1 .. rounds(2, 10))
{
	for my $lane (0, 1) { die unless $nats->js_api("\$JS.API.STREAM.DELETE.trading_output_$lane")->{success}; }
	$nats->publish($nats->batch(batch_id => "output-$round"));
	wait_for($node, "SELECT count(*) FROM trading.prediction_batches WHERE batch_id = 'output-$round'", 2,
		"output deleted, round $round: decisions go on");
	wait_until('the output streams are there again', sub { $nats->messages('trading_output_0') > 0 && $nats->messages('trading_output_1') > 0 });
	settled($node, $nats);
}
proven('deleted output', $node, nats => $nats, input_complete => 0);
$node->stop;
$nats->stop;

#----------------------------------------------------------------------
# 10: discarded before it was read
#----------------------------------------------------------------------

$nats = TradingEngineNats->new('discard')->start;
die unless $nats->js_api('$JS.API.STREAM.CREATE.trading_input', {
	name => 'trading_input', subjects => [ map { "trading.$_.>" } qw(predictions market executions) ],
	max_msgs => 50, discard => 'old', storage => 'file' })->{config};
$node = started('discard', $nats);
my $total = 30;
$nats->publish(map { $nats->batch } 1 .. $total);
settled($node, $nats);
for my $round (1 .. rounds(2, 20))
{
	my $stopped = $round % 2;
	my @workers = worker_pids($node);
	$node->stop if $stopped;
	kill 'STOP', @workers unless $stopped;
	my $more = 100 + int rand 100;
	$nats->publish(map { $nats->batch } 1 .. $more);
	$node->start if $stopped;
	kill 'CONT', @workers unless $stopped;
	$total += $more;
	wait_for($node, "SELECT count(*) FROM trading.prediction_batches WHERE producer_seq = $total", 2,
		"discarded, round $round: the lanes go on with what is left");
	settled($node, $nats);
	is(value($node, "SELECT count(*) FROM trading.lanes AS l WHERE $total <> (SELECT count(*) FROM trading.prediction_batches AS p WHERE p.lane = l.lane)"
		. " + (SELECT sum(g.to_seq - g.from_seq + 1) FROM trading.input_gaps AS g WHERE g.lane = l.lane AND g.producer_id IS NULL AND g.reason = 'DISCARDED')"),
		0, "discarded, round $round: what is missing is recorded, exactly");
}
proven('discarded', $node, nats => $nats, input_complete => 0);
is(value($node, q{SELECT count(*) FROM trading.input_gaps AS g JOIN trading.prediction_batches AS p ON p.lane = g.lane AND p.input_seq BETWEEN g.from_seq AND g.to_seq
	WHERE g.producer_id IS NULL}), 0, 'nothing that was read is recorded as discarded');
$node->stop;
$nats->stop;
done_testing();
