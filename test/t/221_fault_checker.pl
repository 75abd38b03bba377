# The checker of the fault tests finds what it is there to find: one violation of each kind is
# planted, on the transports and in the tables.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use Digest::SHA ();
use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineFaults;
use TradingEngineKafka;
use TradingEngineNats;
use TradingEngineRun;

plan skip_all => TradingEngineKafka::missing() if TradingEngineKafka::missing();

my $nats = TradingEngineNats->new('checker')->start;
my $kafka = TradingEngineKafka->new('checker')->start;
my $node = engine('checker', nats => $nats, lanes => 2);
my %strategy = (allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 600000, auto_execute => 'true');
company($node, 'acme', users => [ 'ann', 'bob' ], strategy => \%strategy, producers => [ 'model', 'other' ]);
company($node, 'north', users => ['nina'], strategy => \%strategy);

# Broadcasts, a company's own, one without a sequence, a repetition, another content under a number,
# a number that is missing, an older epoch, and what is no message at all.
my @other = (company => 'acme', producer => 'other');
my $first = $nats->batch(@other, epoch => 6, seq => 1);
$nats->publish(
	(map { $nats->batch } 1 .. 20), (map { $nats->batch(company => 'acme') } 1 .. 5),
	$nats->batch(@other, epoch => 5, seq => 1), $first, $first, $nats->batch(@other, epoch => 6, seq => 1),
	$nats->batch(@other, epoch => 6, seq => 4), $nats->batch(@other, epoch => 5, seq => 2), $nats->batch(@other, epoch => 4, seq => 1),
	$nats->batch(company => 'north', seq => 0), $nats->batch(company => 'nobody'), $nats->tick,
	{ subject => 'trading.predictions.acme._all', hex => 'ff00ff' });
wait_for($node, q{SELECT from_seq, to_seq FROM trading.input_gaps WHERE reason = 'MISSING'}, '2|3', 'the missing numbers are given up');
wait_for_input($node, $nats);
wait_for_output($node, $nats);
my $accounts = proven('undisturbed', $node, nats => $nats, kafka => $kafka);
cmp_ok($accounts->{$_}, '>', 0, "there are $_") for qw(applied dead_letters stale frames);

# Copies of the output streams, as raw messages, to be tampered with.
my @raw = map { [ $nats->decode_lines($nats->te_nats_ok('', 'stream-dump', "trading_output_$_", '--hex')) ] } 0, 1;
cmp_ok(scalar @{ $raw[0] }, '>', 10, 'there are messages to tamper with');
my $copies = 0;

sub planted
{
	my ($expected, $name, @lanes) = @_;
	my $stream = 'planted' . ++$copies;
	for my $lane (0, 1)
	{
		my $answer = $nats->js_api("\$JS.API.STREAM.CREATE.${stream}_$lane",
			{ name => "${stream}_$lane", subjects => ["$stream.$lane.>"], storage => 'memory' });
		die explain($answer) if $answer->{error};
		$nats->publish(map { my %m = %$_; { subject => "$stream.$lane.m", headers => $m{headers}, hex => $m{hex} } } @{ $lanes[$lane] });
	}
	return found($expected, $name, output => $stream);
}

sub found
{
	my ($expected, $name, %o) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($found) = violations($node, nats => $nats, nats_complete => 1, input_complete => 1, %o);
	my @names = map { (split /\|/)[0] } @$found;
	is_deeply([ grep { my $e = $_; !grep { index($_, $e) == 0 } @names } @$expected ], [], "found: $name") or diag(explain($found));
	return;
}

sub without_id { my ($m) = @_; my %h = %{ $m->{headers} }; delete @h{ grep { /^Nats-/ } keys %h }; return { %$m, headers => \%h }; }

my ($lane0, $lane1) = map { [ map { without_id($_) } @$_ ] } @raw;
planted([], 'nothing in a faithful copy', $lane0, $lane1);
is_deeply([ violations($node, nats => $nats, output => 'planted1', nats_complete => 1) ]->[0], [], 'a faithful copy is clean');
planted([ 'I1 lost', 'I1 not in NATS', 'consumer: hole' ], 'a message is dropped', [ @$lane0[ 0 .. 4, 6 .. $#$lane0 ] ], $lane1);
planted(['I1 lost'], 'the last message is dropped', [ @$lane0[ 0 .. $#$lane0 - 1 ] ], $lane1);
planted(['I3 twice on NATS'], 'a message is doubled', [ @$lane0[ 0 .. 5, 5 .. $#$lane0 ] ], $lane1);
planted(['I3 disorder'], 'two messages are swapped', [ @$lane0[ 0 .. 4, 6, 5, 7 .. $#$lane0 ] ], $lane1);

# The first letter of the prediction's id, with a header that says so or not.
my ($at) = grep { $_ > 5 && $lane0->[$_]{hex} =~ /702d31/ } 0 .. $#$lane0;
my %changed = %{ $lane0->[$at] };
$changed{hex} =~ s/702d31/712d31/;
planted([ 'consumer: refused', 'I2 not what its header says', 'I2 not the bytes of the outbox' ], 'a byte is changed',
	[ @$lane0[ 0 .. $at - 1 ], \%changed, @$lane0[ $at + 1 .. $#$lane0 ] ], $lane1);
my $hash = substr Digest::SHA::sha256_hex(pack 'H*', $changed{hex}), 0, 16;
planted(['I2 not the bytes of the outbox'], 'a byte is changed, and the hash fits',
	[ @$lane0[ 0 .. $at - 1 ], { %changed, headers => { %{ $changed{headers} }, 'te-hash' => $hash } }, @$lane0[ $at + 1 .. $#$lane0 ] ], $lane1);

# The two transports contradict each other.
my $on_kafka = sub {
	my ($message) = @_;
	return { subject => $message->{subject}, topic => 'trading.signals', partition => 0, hex => $message->{hex}, headers => $message->{headers} };
};
$kafka->publish($on_kafka->($lane0->[3]), $on_kafka->($lane0->[2]));
found(['I3 disorder'], 'disorder on Kafka', kafka => $kafka);
$kafka->publish($on_kafka->({ %changed, headers => { %{ $changed{headers} }, 'te-hash' => $hash } }));
found([ 'consumer: conflicts', 'I2 one place, two contents' ], 'another content on Kafka', kafka => $kafka);
# One that the database never had.
my %invented = %{ $lane0->[-1] };
$kafka->publish($on_kafka->({ %invented, headers => { %{ $invented{headers} }, 'te-seq' => 100000 } }));
found(['I2 not what its header says'], 'headers that are not those of the envelope', kafka => $kafka);
$kafka->stop;

# What the database lost: the transports are ahead of it.
sub with_tables
{
	my ($expected, $name, $sql) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @tables = qw(prediction_batches batches dead_letters signals);
	value($node, join ';', (map { "CREATE TABLE kept_$_ AS SELECT * FROM trading.$_" } @tables, 'input_gaps'), $sql);
	found($expected, $name);
	value($node, join ';', (map { "DELETE FROM trading.$_; INSERT INTO trading.$_ SELECT * FROM kept_$_" } @tables),
		'DELETE FROM trading.input_gaps; INSERT INTO trading.input_gaps OVERRIDING SYSTEM VALUE SELECT * FROM kept_input_gaps',
		map { "DROP TABLE kept_$_" } @tables, 'input_gaps');
	return;
}

# The lanes stand still meanwhile, and what they keep in memory stays as it was.
with_tables(['I4 published and not committed'], 'a batch is lost that was published',
	'DELETE FROM trading.batches WHERE lane = 0 AND last_out_seq = (SELECT max(last_out_seq) FROM trading.batches WHERE lane = 0)');
with_tables(['I1 a signal that is not what the table has'], 'a signal is lost that was published',
	'DELETE FROM trading.signals WHERE lane = 0 AND out_seq = 1');
with_tables([ 'I8 vanished', 'I5 a hole that is no gap' ], 'an input is dropped',
	q{DELETE FROM trading.prediction_batches WHERE lane = 0 AND company_id = '_all' AND producer_seq = 7});
with_tables(['I5 applied twice'], 'an input is applied twice', q{
	INSERT INTO trading.prediction_batches SELECT * FROM trading.prediction_batches WHERE lane = 0 AND company_id = '_all' AND producer_seq = 7});
with_tables(['I5 applied out of order'], 'two inputs are swapped', q{
	UPDATE trading.prediction_batches SET producer_seq = 15 - producer_seq, payload_hash = (SELECT o.payload_hash
		FROM trading.prediction_batches AS o WHERE o.lane = 0 AND o.company_id = '_all' AND o.producer_seq = 15 - prediction_batches.producer_seq)
	 WHERE lane = 0 AND company_id = '_all' AND producer_seq IN (7, 8)});
with_tables([ 'I8 vanished', 'I8 applied, but nobody sent it' ], 'an input is changed', q{
	UPDATE trading.prediction_batches SET payload_hash = sha256('other') WHERE lane = 0 AND company_id = '_all' AND producer_seq = 7});
with_tables(['I5 a hole that is no gap'], 'a gap is hidden', 'DELETE FROM trading.input_gaps');
with_tables(['I8 vanished'], 'a dead letter is lost', 'DELETE FROM trading.dead_letters');
with_tables(['I5 applied, and recorded as a gap'], 'a gap is invented', q{
	INSERT INTO trading.input_gaps (lane, batch_no, source, scope, producer_id, epoch, from_seq, to_seq, reason)
	SELECT lane, batch_no, source, company_id || '/' || user_id, producer_id, producer_epoch, producer_seq, producer_seq, 'MISSING'
	  FROM trading.prediction_batches WHERE producer_seq = 2 LIMIT 1});

$node->stop;
$nats->stop;
done_testing();
