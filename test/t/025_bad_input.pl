# Whatever comes in that is no good gives one dead letter which names the field, or a
# counted outcome; it stops no lane, and takes no neighbour with it.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();
use TradingEngine;
use TradingEngineNats;
use TradingEngineRun;

my $nats = TradingEngineNats->new('bad', config => 'max_payload: 16777216');
$nats->start;
my $node = engine('bad', nats => $nats, lanes => 2, conf => { 'trading_engine.clock' => 'input', 'trading_engine.gap_wait' => 3000 });

# acme is in lane 0, north in lane 1.
# The messages are made before they are sent, which takes a while.
my %strategy = (allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 600000);
company($node, 'acme', tier => 'ENTERPRISE', users => [ 'ann', 'bob' ], strategy => \%strategy);
company($node, 'north', users => ['nina'], strategy => \%strategy);
company($node, 'signed', users => ['sue'], producers => [], strategy => \%strategy);
$node->safe_psql('postgres', <<'SQL');
UPDATE trading.companies SET require_token = true WHERE company_id = 'signed';
INSERT INTO trading.producers (company_id, producer_id, token_sha256) VALUES ('signed', 'model', sha256('right'));
INSERT INTO trading.producers (company_id, producer_id, enabled) VALUES ('acme', 'retired', false), ('_all', 'steady', true);
SQL
is(value($node, q{SELECT trading.lane_of('acme', 2), trading.lane_of('north', 2)}), '0|1', 'the tenants are in both lanes');

my @workers = worker_pids($node);

# A bare MLPredictionBatch, written by hand: what JSON can't say.
sub varint
{
	my ($n) = @_;
	my $bytes = '';
	do { $bytes .= chr(($n & 127) | ($n > 127 ? 128 : 0)); $n >>= 7 } while ($n > 0);
	return $bytes;
}
sub text { my ($field, $text) = @_; return varint($field << 3 | 2) . varint(length $text) . $text; }
sub number { my ($field, $n) = @_; return varint($field << 3) . varint($n); }
sub double { my ($field, $x) = @_; return varint($field << 3 | 1) . pack('d<', $x); }

sub bare_prediction
{
	my (%o) = @_;
	return text(1, $o{id} // 'bare') . text(2, $o{symbol} // 'EURUSD') . double(5, $o{price} // 1.1)
	  . double(6, $o{predicted} // 1.105) . number(9, 5) . double(10, $o{confidence} // 0.9);
}
my $bare = 0;

sub bare_batch
{
	my (@predictions) = @_;
	return text(1, 'bare-' . ++$bare) . text(2, 'model') . text(3, 'acme') . text(4, '_all') . number(5, int(Time::HiRes::time() * 1_000_000))
	  . join '', map { text(6, $_) } @predictions;
}
sub bytes { my ($subject, $bytes) = @_; return { subject => $subject, hex => unpack 'H*', $bytes }; }
sub acme { return bytes('trading.predictions.acme._all', $_[0]); }

sub random_bytes
{
	my ($count) = @_;
	srand 7;
	return join '', map { chr int rand 256 } 1 .. $count;
}

my $good = $nats->prediction;
my $whole = bare_batch(bare_prediction());

# [ what it is, the message, reason, what the detail begins with, index of the prediction ]
my @bad = (
	[ 'truncated protobuf', acme(substr $whole, 0, length($whole) - 5), 'MALFORMED', '' ],
	[ 'a broadcast of random bytes', bytes('trading.predictions._all._all', random_bytes(500)), 'MALFORMED', '' ],
	[ 'random bytes as a price', bytes('trading.market.EURUSD', random_bytes(100)), 'MALFORMED', '' ],
	[ 'an empty message', acme(''), 'MALFORMED', '' ],
	[ 'text', acme('BUY EURUSD NOW'), 'MALFORMED', '' ],
	[ 'a price that is not a number', acme(bare_batch(bare_prediction(price => 'NaN'))),
		'INVALID_FIELD', 'predictions[0].current_price: ', 0 ],
	[ 'an infinite predicted price', acme(bare_batch(bare_prediction(predicted => 9**9**9))),
		'INVALID_FIELD', 'predictions[0].predicted_price: ', 0 ],
	[ 'a negative price', $nats->batch(company => 'acme', predictions => [ $nats->prediction(current_price => -1.1) ]),
		'INVALID_FIELD', 'predictions[0].current_price: ', 0 ],
	[ 'a confidence above 1', $nats->batch(predictions => [ $nats->prediction, $nats->prediction(confidence => 1.01) ]),
		'INVALID_FIELD', 'predictions[1].confidence: ', 1 ],
	[ 'a price that the instrument\'s ticks can\'t count',
		$nats->batch(company => 'acme', predictions => [ $nats->prediction(current_price => 1e300) ]),
		'INVALID_FIELD', 'predictions[0].current_price: ', 0 ],
	[ 'an unknown symbol among others', $nats->batch(predictions =>
			[ $nats->prediction, $nats->prediction(symbol => 'NOSUCH'), $nats->prediction ]),
		'UNKNOWN_SYMBOL', 'predictions[1].symbol: ', 1 ],
	[ 'the price of an unknown symbol', $nats->tick(symbol => 'NOSUCH'), 'UNKNOWN_SYMBOL', 'symbol: ' ],
	[ 'a price under another symbol', $nats->tick(subject => 'trading.market.GBPUSD'), 'MISMATCH', 'symbol: ' ],
	[ 'a negative price on the market', $nats->tick(price => -1), 'INVALID_FIELD', 'payload.price: ' ],
	[ 'an unknown company', $nats->batch(company => 'nobody'), 'UNKNOWN_COMPANY', 'company_id: ' ],
	[ 'an unknown user', $nats->batch(company => 'acme', user => 'nobody'), 'UNKNOWN_USER', 'user_id: ' ],
	[ '10 MB', acme(bare_batch(bare_prediction()) . text(7, 'x' x 10_485_760)), 'TOO_LARGE', '' ],
	[ 'an empty batch', $nats->batch(company => 'acme', predictions => []), 'EMPTY_BATCH', 'payload.predictions: ' ],
	[ 'one prediction more than allowed',
		acme(bare_batch(map { bare_prediction(id => "many-$_", confidence => 0.1) } 1 .. 10_001)), 'TOO_MANY', 'predictions: ' ],
	[ 'a producer that isn\'t on the list', $nats->batch(company => 'acme', producer => 'stranger'),
		'NOT_AUTHORISED', 'producer_id: ' ],
	[ 'a producer that is disabled', $nats->batch(company => 'acme', producer => 'retired'),
		'NOT_AUTHORISED', 'producer_id: ' ],
	[ 'another company\'s subject', $nats->batch(company => 'acme', subject => 'trading.predictions.north._all'),
		'MISMATCH', 'company_id: ' ],
	[ 'another user\'s subject', $nats->batch(company => 'acme', user => 'ann', subject => 'trading.predictions.acme.bob'),
		'MISMATCH', 'user_id: ' ],
	[ 'a batch for another company than its envelope',
		$nats->batch(company => 'acme', payload => { company_id => 'north' }), 'MISMATCH', 'company_id: ' ],
	[ 'a batch by another producer than its envelope',
		$nats->batch(company => 'acme', payload => { producer_id => 'other' }), 'MISMATCH', 'producer_id: ' ],
	[ 'a missing token', $nats->batch(company => 'signed'), 'NOT_AUTHORISED', 'auth_token: ' ],
	[ 'a wrong token', $nats->batch(company => 'signed', envelope => { auth_token => 'wrong' }), 'NOT_AUTHORISED', 'auth_token: ' ],
	[ 'a price where predictions belong', { %{ $nats->tick }, subject => 'trading.predictions._all._all' },
		'UNKNOWN_TYPE', 'message_type: ' ],
	[ 'a subject of the input that isn\'t one', { %{ $nats->batch }, subject => 'trading.predictions.acme' }, 'INVALID_SUBJECT', '' ],
);

# Between any two a good one, for everybody.
my $goods = 0;

sub neighbour
{
	my $number = ++$goods;
	return $nats->batch(producer => 'steady',
		predictions => [ $nats->prediction(prediction_id => "good-$number", current_price => 1.1 + $number / 100,
			predicted_price => 1.105 + $number / 100) ]);
}

# All stored already when the worker reads on: they end up in the same transactions.
$nats->publish(neighbour(), map { ($_->[1], neighbour()) } @bad);
wait_for_input($node, $nats);
# Whose number is behind those of messages that nobody could take has its turn when these are given up.
wait_for($node, 'SELECT count(*) FROM trading.dead_letters', scalar @bad, 'each has its dead letter');
wait_for_statistics($node);

for my $i (0 .. $#bad)
{
	my ($what, undef, $reason, $begin, $index) = @{ $bad[$i] };
	my $seq = 2 + 2 * $i;
	my @letters = split /\n/, value($node,
		"SELECT reason, COALESCE(prediction_index, -1), detail FROM trading.dead_letters WHERE input_seq = $seq");
	is(scalar @letters, 1, "$what: one dead letter");
	$index //= -1;
	like($letters[0] // '', qr/^\Q$reason|$index|$begin\E./, "$what: $reason, naming what is wrong") or diag(@letters);
}
is(value($node, q{SELECT scope, from_seq, to_seq, reason FROM trading.input_gaps}), 'acme/_all|4|4|MISSING',
	'what can\'t be used uses up its number; what was refused doesn\'t');
is(value($node, q{SELECT count(*), count(DISTINCT company_id || user_id) FROM trading.signals
	WHERE outcome = 'SIGNAL' AND prediction_id LIKE 'good-%'}), 4 * $goods . '|4', 'no neighbour is lost');
is(value($node, q{SELECT count(*) FROM trading.signals WHERE outcome = 'SIGNAL' AND prediction_id NOT LIKE 'good-%'}),
	12, 'and the good predictions of a batch with a bad one are decided');
is(value($node, 'SELECT count(*) FROM trading.dead_letters'), scalar @bad, 'there is no other dead letter');
is(value($node, 'SELECT sum(dead_letters), sum(errors) FROM trading.stat_workers'),
	@bad . '|0', 'the counters say so, and no transaction failed');
is(value($node, q{SELECT count(*) FROM trading.dead_letters WHERE message IS NULL OR subject IS NULL OR source <> 'nats'}),
	0, 'each dead letter says where it came from and what it was');

#----------------------------------------------------------------------
# What is counted: repeats
#----------------------------------------------------------------------

my $epoch = $nats->{epoch};

# In one lane, so that each is counted once.  The broker doesn't know them as repeats.
sub counters
{
	my ($before) = @_;
	my %now;
	@now{qw(duplicates stale conflicts)} =
	  split /\|/, value($node, 'SELECT duplicates, stale, conflicts FROM trading.stat_workers WHERE lane = 0');
	return { map { $_ => $now{$_} - ($before->{$_} // 0) } keys %now };
}
my $start = counters({});
my $letters = @bad;
my $first = $nats->batch(company => 'acme', epoch => $epoch + 10, seq => 1);
my $changed = $nats->batch(company => 'acme', epoch => $epoch + 10, seq => 1);
my $same_id = $nats->batch(company => 'acme', seq => 0, batch_id => 'by-id');
$nats->publish($first, $first, $changed,
	$nats->batch(company => 'acme', epoch => $epoch + 10, seq => 4),    # 2 and 3 are missing
	$nats->batch(company => 'acme', epoch => $epoch + 10, seq => 3),    # 3 comes late
	$nats->batch(company => 'acme', epoch => $epoch + 9, seq => 1),     # of an epoch that is over
	$nats->batch(company => 'acme', epoch => $epoch + 12, seq => 1),    # a new one
	$same_id, $same_id);
wait_for_input($node, $nats);
is_deeply(counters($start), { duplicates => 2, stale => 1, conflicts => 1 }, 'repeats, stale epochs and conflicts are counted');
is(value($node, qq{SELECT producer_epoch - $epoch, producer_seq FROM trading.prediction_batches
	WHERE company_id = 'acme' AND producer_epoch > $epoch ORDER BY 1, 2}), "10|1\n10|3\n10|4\n12|1", 'each number took effect once');
is(value($node, q{SELECT count(*) FROM trading.prediction_batches WHERE batch_id = 'by-id'}),
	1, 'a batch without a number is known by its id');
is(value($node, "SELECT reason, detail FROM trading.dead_letters ORDER BY input_seq DESC LIMIT 1"),
	'CONFLICT|seq: was used for other content', 'a number used twice is a dead letter');
is(value($node, 'SELECT count(*) FROM trading.dead_letters') - $letters, 1, 'repeats are none');
is(value($node, qq{SELECT scope, epoch - $epoch, from_seq, to_seq, reason FROM trading.input_gaps WHERE scope = 'acme/_all' AND epoch > $epoch ORDER BY from_seq}),
	"acme/_all|10|2|2|ABANDONED\nacme/_all|10|5|5|ABANDONED", 'what is missing is recorded');

#----------------------------------------------------------------------
# 10,000 predictions in one batch
#----------------------------------------------------------------------

$nats->publish(
	acme(bare_batch(map { bare_prediction(id => "bulk-$_", price => 1 + $_ / 20000, predicted => 1.01 + $_ / 20000) } 1 .. 10_000)),
	neighbour());
wait_for_input($node, $nats);
is(value($node, q{SELECT count(*), sum(predictions), max(predictions) FROM trading.prediction_batches WHERE batch_id = 'bare-}
		. $bare . q{'}), '1|10000|10000', 'a batch of 10,000 predictions is recorded whole');
# Up to the most positions that a strategy can have, with those that were reserved before.
is(value($node, q{SELECT count(*) FROM trading.signals WHERE company_id = 'acme' AND outcome = 'SIGNAL' AND expires_at >
		(SELECT max(b.decided_at) FROM trading.signals AS b WHERE b.prediction_id LIKE 'bulk-%')}),
	20000, 'and every one of them is decided for both strategies of the company');
wait_for_output($node, $nats);
streams_are_the_table($node, $nats, 'bad input');
is(value($node, 'SELECT DISTINCT sum(messages) FROM trading.batches GROUP BY lane'), $nats->messages('trading_input'),
	'each lane has counted each message once, whether it had to wait or not');
is(value($node, 'SELECT sum(errors) FROM trading.stat_workers'), '0', 'no transaction failed');
is_deeply([ worker_pids($node) ], \@workers, 'no worker has ended');

$node->stop;
$nats->stop;
done_testing();
