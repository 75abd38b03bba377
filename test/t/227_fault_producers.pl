# Fault 20 (doc/faults.md): producers that restart, with and without a new epoch, send other
# content under a number that was used, or come back with an epoch that has ended.  What isn't
# new has no effect, is counted, and contradictions are told.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use List::Util qw(shuffle);
use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineFaults;
use TradingEngineNats;
use TradingEngineRun;

seeded();
my %strategy = (allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 600000);
my $nats = TradingEngineNats->new('producers')->start;
my $node = engine('producers', nats => $nats, lanes => 2);
company($node, 'acme', users => [ 'ann', 'bob' ], strategy => \%strategy);
my $lane = value($node, q{SELECT trading.lane_of('acme', 2)});
my %acme = (company => 'acme');

# Counters follow the commit.
sub counted
{
	my ($what, $count, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for($node, "SELECT $what FROM trading.stat_workers WHERE lane = $lane", $count, $name);
}

sub applied
{
	my ($epoch) = @_;
	return value($node, "SELECT string_agg(producer_seq::text, ' ' ORDER BY batch_no, position) FROM trading.prediction_batches WHERE producer_epoch = $epoch");
}

my @first = map { $nats->batch(%acme, epoch => 10, seq => $_) } 1 .. 5;
$nats->publish(@first);
wait_for_input($node, $nats);
is(applied(10), '1 2 3 4 5', 'a producer\'s first life');

$nats->publish(map { $nats->batch(%acme, epoch => 20, seq => $_) } 1 .. 5);
wait_for_input($node, $nats);
is(applied(20), '1 2 3 4 5', 'restarted with a higher epoch, it is heard from 1 on');

$nats->publish(@first[ 2 .. 4 ], $nats->batch(%acme, epoch => 10, seq => 6));
wait_for_input($node, $nats);
is(applied(10), '1 2 3 4 5', 'an epoch that has ended has no effect any more');
counted('stale', 4, 'and is counted');

my @second = map { $nats->batch(%acme, epoch => 30, seq => $_) } 1 .. 3;
$nats->publish(@second, @second);
wait_for_input($node, $nats);
is(applied(30), '1 2 3', 'restarted with neither a new epoch nor new content, it repeats itself');
counted('duplicates', 3, 'which is counted');

counted('conflicts', 0, 'no contradiction so far');
$nats->publish(map { $nats->batch(%acme, epoch => 30, seq => $_) } 1 .. 4);
wait_for_input($node, $nats);
is(applied(30), '1 2 3 4', 'restarted without a new epoch, only its next number has an effect');
counted('conflicts', 3, 'the contradictions are counted');
is(value($node, q{SELECT string_agg(reason || ' ' || detail, ', ') FROM trading.dead_letters}),
	join(', ', ('CONFLICT seq: was used for other content') x 3), 'and kept, with the reason');

# Many lives, each heard in part, over and over, in an order that nobody has planned.
my (@all, %next);
for my $epoch (40 .. 40 + rounds(10, 200))
{
	push @all, [ $epoch, $_ ] for 1 .. 1 + int rand 10;
}
my @old;
for my $message (@all)
{
	my ($epoch, $seq) = @$message;
	my $batch = $nats->batch(%acme, epoch => $epoch, seq => $seq);
	push @old, $batch;
	$nats->publish($batch, (shuffle @old)[ 0 .. ($#old > 4 ? 4 : $#old) ]);
}
wait_for_input($node, $nats);
wait_for_output($node, $nats);
my $accounts = proven('many lives', $node, nats => $nats);
is($accounts->{applied}, 5 + 5 + 4 + @all, 'every message of every life has taken effect once');
is($accounts->{dead_letters}, 3, 'but for the contradictions');
$node->stop;
$nats->stop;
done_testing();
