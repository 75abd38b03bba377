# Fault 18 (doc/faults.md): the engine's clock jumps by an hour and by a day, forwards and back.
# Timers are monotonic: no connection is given up, nothing is applied twice or passed over.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use TradingEngine;
use TradingEngineFaults;
use TradingEngineNats;
use TradingEngineRun;

my ($library) = grep { -e } glob '/usr/lib/*/faketime/libfaketimeMT.so.1';
plan skip_all => 'there is no libfaketime (Debian: faketime)' unless $library;

my $nats = TradingEngineNats->new('clock')->start;
my $clock = PostgreSQL::Test::Utils::tempdir('clock') . '/offset';

sub set_clock
{
	my ($offset) = @_;
	open my $file, '>', "$clock.new" or die "$clock: $!";
	print $file "$offset\n";
	close $file;
	rename "$clock.new", $clock or die "$clock: $!";
	return;
}

set_clock('+0');
my $node;
{
	local @ENV{qw(LD_PRELOAD FAKETIME_TIMESTAMP_FILE FAKETIME_NO_CACHE FAKETIME_DONT_FAKE_MONOTONIC)} = ($library, $clock, 1, 1);
	$node = engine('clock', nats => $nats, lanes => 2, conf => { autovacuum => 'off' });
}
# Decisions depend on the clock; the accounts must not.
my %strategy = (allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 600000, signal_ttl_seconds => 3600);
company($node, 'acme', users => [ 'ann', 'bob' ], strategy => \%strategy);
my @workers = worker_pids($node);
my $connects = value($node, 'SELECT sum(connects) FROM trading.stat_transports');
my $jumps = 0;

sub predicted
{
	my ($name) = @_;
	# Twice: the same message again is a repetition at any time.
	my @batches = map { $nats->batch(generated_at => value($node, 'SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint')) } 1 .. 3;
	my $last = $batches[-1]{envelope}{seq};
	$nats->publish(@batches, @batches);
	my $start = time();
	wait_for($node, "SELECT count(*) FROM trading.prediction_batches WHERE producer_seq = $last", 2, "$name: input takes effect");
	within(time() - $start, 1, "$name: from publishing to its effect");
	return;
}

predicted('before');
for my $round (1 .. rounds(1, 10))
{
	for my $offset (qw(+3600 +0 -3600 +0 +86400 +0 -86400 +0))
	{
		set_clock($offset);
		my $seen = value($node, 'SELECT round(extract(epoch FROM clock_timestamp()))');
		ok(abs($seen - time() - $offset) < 60, "the server's clock is off by $offset s") if $round == 1;
		predicted("clock $offset s, round $round");
		$jumps++;
	}
}
wait_for_input($node, $nats);
wait_for_output($node, $nats);
is_deeply([ worker_pids($node) ], \@workers, "no worker has stopped at $jumps jumps");
is(value($node, 'SELECT sum(connects) FROM trading.stat_transports'), $connects, 'no connection was given up');
my $accounts = proven('jumps of the clock', $node, nats => $nats);
cmp_ok($accounts->{places}, '>', 3, 'signals were sent');
$node->stop;
$nats->stop;
done_testing();
