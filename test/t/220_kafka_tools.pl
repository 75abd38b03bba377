# The Kafka of the tests, and the client that they use: what other tests take for granted.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use IO::Socket::INET ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();
use TradingEngineKafka;

plan skip_all => TradingEngineKafka::missing() if TradingEngineKafka::missing();

my $kafka = TradingEngineKafka->new('tools', lanes => 3)->start;
like($kafka->brokers, qr/^127\.0\.0\.1:\d+$/, 'the broker listens');
is(scalar @{ $kafka->info("trading.$_")->{partitions} }, 3, "a partition of $_ for each lane") for qw(signals commands);

my $batch = $kafka->batch(company => 'acme', user => 'ann', id => 'first');
my ($answer) = $kafka->publish($batch);
is_deeply($answer, { topic => 'trading.predictions', partition => 0, offset => 0 }, 'what is published is acknowledged');
my ($message) = $kafka->dump('trading.predictions');
is_deeply($message->{headers}, { 'te-subject' => 'trading.predictions.acme.ann', 'Nats-Msg-Id' => 'first' }, 'its headers are there');
is($message->{subject}, 'trading.predictions.acme.ann', 'it has its subject');
is($message->{key}, 'acme', 'its key is the company');
is($message->{envelope}{payload}{batch_id}, $batch->{payload}{batch_id}, 'and its content');

$kafka->publish(map { $kafka->tick(price => $_) } 1 .. 200);
is_deeply([ map { $_->{envelope}{payload}{price} } $kafka->dump('trading.market') ], [ 1 .. 200 ], 'the order stays');
$kafka->publish(map { +{ subject => "trading.signals.$_.acme.ann.EURUSD", topic => 'trading.signals', partition => $_, hex => "0$_" } } 2, 0, 1);
is_deeply([ map { "$_->{partition} $_->{size}" } $kafka->dump('trading.signals') ], [ '0 1', '1 1', '2 1' ], 'all partitions are read');
is($kafka->check('trading.signals')->{clean}, !1, 'what has no identity is not clean');

# The clocks of two loads with one epoch are one.
my @load = ('EURUSD', '--rate', 2000, '--count', 100, '--company', 'acme', '--epoch', 1_700_000_000_000_000);
my $summary = $kafka->finish_load($kafka->start_load(@load));
is_deeply([ @$summary{qw(batches refused epoch)} ], [ 100, 0, 1_700_000_000_000_000 ], 'a load is sent');
$kafka->finish_load($kafka->start_load(@load));
my @loads = map { $_->{sha256} } grep { $_->{envelope}{producer_id} eq 'load' } $kafka->dump('trading.predictions');
is_deeply([ @loads[ 0 .. 99 ] ], [ @loads[ 100 .. 199 ] ], 'the same load again is the same bytes');

if ($kafka->mock)
{
	$kafka->error('produce', 'REQUEST_TIMED_OUT', 2);
	$kafka->publish($kafka->tick(price => 201));
	is($kafka->messages('trading.market'), 201, 'the producer outlives errors of the broker, without a duplicate');
	$kafka->rtt(300);
	my $start = Time::HiRes::time();
	$kafka->messages('trading.market');
	cmp_ok(Time::HiRes::time() - $start, '>', 0.3, 'answers are delayed');
	$kafka->rtt(0);
	ok(!eval { $kafka->command('fly'); 1 }, 'an unknown command is refused');
}
my $messages = $kafka->messages('trading.market');
$kafka->down;
ok(!IO::Socket::INET->new($kafka->brokers), 'a broker that is down is not reached');
$kafka->up;
is($kafka->messages('trading.market'), $messages, 'it comes back with what it had');
$kafka->stop;

done_testing();
