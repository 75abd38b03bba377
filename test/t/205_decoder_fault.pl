# A message that makes the worker fault while it is decoded ends it twice: then it is a dead letter,
# unread, and its number is missing, because nobody knows it.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;
use TradingEngineRun;

my $nats = TradingEngineNats->new('decoder')->start;
my $node;
{
	# A decoder with a flaw: test/tools/decoder_fault.
	local $ENV{LD_PRELOAD} = join ' ', grep { defined } $ENV{LD_PRELOAD}, "$ENV{TE_BUILD}/bin/decoder_fault.so";
	$node = engine('decoder', nats => $nats, lanes => 1, conf => { 'restart_after_crash' => 'on', 'trading_engine.restart_delay' => '100ms',
		'trading_engine.gap_request_after' => 100, 'trading_engine.gap_wait' => 1000 });
}
company($node, 'acme', users => ['ann'], strategy => { max_prediction_age_ms => 86400000, allowed_regimes => "trading.enum_labels('regime')" });

sub message { my ($id) = @_; return $nats->batch(company => 'acme', batch_id => $id, predictions => [ $nats->prediction(prediction_id => $id) ]); }
sub faults { return scalar(() = slurp_file($node->logfile) =~ /was terminated by signal 11/g); }
my $signals = q{SELECT string_agg(prediction_id, ' ' ORDER BY batch_no, position, ordinal) FROM trading.signals};

$nats->publish(message('one'));
wait_for($node, $signals, 'one', 'it decodes');
$nats->publish(message('two'), message('the decoder faults here'), message('three'));
wait_for($node, $signals, 'one two three', 'neighbours of a message that faults in the decoder are decided');
is(faults(), 2, 'it ended the worker twice');
is(value($node, 'SELECT reason, input_seq, company_id, producer_id IS NULL FROM trading.dead_letters'), 'CRASHED|3|acme|t', 'it is given up, and nobody knows who sent it');
like(value($node, q{SELECT encode(message, 'escape') FROM trading.dead_letters}), qr/the decoder faults here/, 'it is kept');
is(value($node, 'SELECT from_seq, to_seq, reason FROM trading.input_gaps'), '3|3|MISSING', 'its number is missing');
is(value($node, 'SELECT sum(messages) FROM trading.batches'), $nats->messages('trading_input'), 'each message is counted once');

# The lane goes on, and what starts it anew doesn't read it again.
value($node, q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'trading_engine lane'});
$nats->publish(message('four'));
wait_for($node, $signals, 'one two three four', 'another worker goes on behind it');
is(faults(), 2, 'without a fault');

# Twice in a row, each by itself.
$nats->publish(message('the decoder faults here'), message('the decoder faults here, too'), message('five'));
wait_for($node, $signals, 'one two three four five', 'two of them in a row are given up');
is(value($node, q{SELECT string_agg(input_seq::text, ' ' ORDER BY input_seq) FROM trading.dead_letters WHERE reason = 'CRASHED'}), '3 6 7', 'each of them');
is(value($node, q{SELECT string_agg(from_seq || '-' || to_seq, ' ' ORDER BY from_seq) FROM trading.input_gaps}), '3-3 6-7', 'with their numbers');

$node->stop;
$nats->stop;
done_testing();
