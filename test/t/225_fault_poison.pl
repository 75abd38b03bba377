# Fault 15 (doc/faults.md): input that can't be used, up to 31 MB, in the middle of a load: one row
# of trading.dead_letters each, the position advances, and what is good is as fast as without.
# What is wrong with which message is the matter of 025_bad_input.pl.
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

seeded();
my %strategy = (allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 600000, signal_ttl_seconds => 3600);
my $nats = TradingEngineNats->new('poison', config => 'max_payload: 67108864')->start;
my $node = engine('poison', nats => $nats, lanes => 2);
company($node, 'acme', users => [ 'ann', 'bob' ], strategy => \%strategy);
company($node, 'north', users => ['nina'], strategy => \%strategy);
value($node, q{INSERT INTO trading.producers (company_id, producer_id) VALUES ('_all', 'load')});
my @workers = worker_pids($node);

sub letters { return value($node, 'SELECT count(*) FROM trading.dead_letters'); }

# As much as a message may be: nats-server 2.9 stores up to 64 MB, but takes its own record of more
# than 32 MB for damaged, and never gets past it.
my $folder = PostgreSQL::Test::Utils::tempdir('large');
my $size = 31 * 1024 * 1024;
append_to_file("$folder/large", 'x' x $size);
$nats->te_nats_ok('', 'pub', 'trading.predictions._all._all', '--file', "$folder/large");
$nats->publish($nats->batch);
wait_for_input($node, $nats);
is(value($node, 'SELECT string_agg(DISTINCT reason, $$ $$) || $$ $$ || count(*) FROM trading.dead_letters'), 'TOO_LARGE 1', '31 MB are a dead letter');
is(value($node, 'SELECT count(*) FROM trading.prediction_batches'), 2, 'what follows is taken');

# A batch of good ones as it would be, each with a fault of another kind.
my $bad_utf8 = unpack 'H*', "\x0a\x03a\xff\xfe";
my $field = sub { my ($number, $text) = @_; return sprintf '%02x%02x', $number << 3 | 2, length $text; };
my @kinds = (
	{ hex => '' }, { hex => 'ffffffff' }, { hex => $bad_utf8 }, { hex => unpack 'H*', 'BUY' },
	sub { my $b = $nats->batch; $b->{envelope}{message_type} = 'HEARTBEAT'; return $b },
	sub { return $nats->batch(seq => 0, predictions => []) },
	sub { return $nats->batch(seq => 0, producer => 'stranger') },
	sub { my $b = $nats->batch(seq => 0); $b->{envelope}{payload_hash} = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='; return $b });
my $number = 0;

sub poison
{
	my $kind = $kinds[ $number++ % @kinds ];
	return ref $kind eq 'CODE' ? $kind->() : { subject => 'trading.predictions._all._all', hex => $kind->{hex} . ($kind->{hex} ? sprintf '%08x', $number : '') };
}

# How long the lanes take for a backlog, with so many bad messages spread over it.
sub seconds_for
{
	my ($messages, $bad) = @_;
	my $before = letters();
	kill 'STOP', @workers;
	my $load = $nats->start_load('EURUSD', '--rate', 20000, '--count', $messages);
	$nats->publish(map { poison() } 1 .. $bad) if $bad;
	my $summary = $nats->finish_load($load);
	my $last = $nats->stream_info('trading_input')->{state}{last_seq};
	my $start = time();
	kill 'CONT', @workers;
	wait_until('the backlog is applied', sub {
		(asked($node, "SELECT count(*) FROM trading.lanes AS l WHERE (SELECT max(b.input_seq) FROM trading.batches AS b WHERE b.lane = l.lane) >= $last") // 0) == 2 });
	my $took = time() - $start;
	is(letters() - $before, $bad, "$bad bad messages among $messages are as many dead letters");
	return $took;
}

my $messages = rounds(2000, 50000);
my ($clean, $dirty) = (9e9, 9e9);
for my $round (1 .. rounds(1, 5))
{
	my $took = seconds_for($messages, 0);
	$clean = $took if $took < $clean;
	$took = seconds_for($messages, $messages / 100);
	$dirty = $took if $took < $dirty;
}
note(sprintf '%d messages in %.2f s, with 1 %% of bad ones in %.2f s', $messages, $clean, $dirty);
# The bad ones have to be stored as well.
ok($dirty < 1.05 * $clean + 0.1, 'one bad message in a hundred costs less than 5 %') if full();
wait_for_output($node, $nats);
is_deeply([ worker_pids($node) ], \@workers, 'no worker has stopped');
proven('poison', $node, nats => $nats);
$node->stop;
$nats->stop;
done_testing();
