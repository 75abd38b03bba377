# Faults 14 and 23 (doc/faults.md): a lane that stands still, and everything that ends a worker in
# an orderly way, under load.
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

seeded();
my %strategy = (allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 600000, signal_ttl_seconds => 5);
my $nats = TradingEngineNats->new('stop')->start;
# A worker that is ended again and again is started later and later; here it would miss the load.
my $node = engine('stop', nats => $nats, lanes => 2, conf => {
	'trading_engine.restart_delay' => '100ms', 'trading_engine.restart_delay_max' => '200ms' });
company($node, 'acme', users => [ 'ann', 'bob' ], strategy => \%strategy);
company($node, 'north', users => ['nina'], strategy => \%strategy);
value($node, q{INSERT INTO trading.producers (company_id, producer_id) VALUES ('_all', 'load')});

sub running
{
	my (@but_not) = @_;
	my $pids = asked($node, q{SELECT string_agg(pid::text, ' ' ORDER BY lane) FROM trading.stat_workers WHERE state = 'running'}) // '';
	my @pids = split / /, $pids;
	return @pids == 2 && !grep { my $pid = $_; grep { $_ == $pid } @pids } @but_not;
}

sub settled
{
	wait_for_input($node, $nats);
	wait_for_output($node, $nats);
	return;
}

#----------------------------------------------------------------------
# 23: ended in an orderly way
#----------------------------------------------------------------------

my $load = $nats->start_load('EURUSD,GBPUSD', '--rate', 200, '--count', 200 * rounds(20, 360));
my $slowest = 0;
my %ended;
for my $round (1 .. rounds(6, 100))
{
	wait_until('the lanes run', \&running);
	my $lane = int rand 2;
	my $pid = (worker_pids($node))[$lane];
	my $how = $round % 3;
	my $start = time();
	if ($how == 0) { kill 'TERM', $pid }
	elsif ($how == 1) { asked($node, "SELECT pg_terminate_backend($pid)") }
	else { asked($node, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'trading_engine lane'") }
	wait_until("worker $pid is gone", sub { !kill 0, $pid });
	$slowest = time() - $start if time() - $start > $slowest;
	wait_until('the lanes run again', sub { running($pid) });
	$ended{$how}++;
}
is(join(' ', sort keys %ended), '0 1 2', 'workers were ended by SIGTERM and pg_terminate_backend');
within($slowest, 5, 'the slowest to stop');
my $shutdowns = rounds(2, 20);
my $slowest_shutdown = 0;
for my $round (1 .. $shutdowns)
{
	my $start = time();
	$node->stop('fast');
	$slowest_shutdown = time() - $start if time() - $start > $slowest_shutdown;
	$node->start;
	wait_until('the lanes run', \&running);
}
within($slowest_shutdown, 5, 'the slowest fast shutdown');
note('the load ' . ($load->{run}->pumpable ? 'still goes on' : 'is over'));
my $summary = $nats->finish_load($load);
is($summary->{refused}, 0, 'all of the load is on the broker');
settled();
my $accounts = proven('ended under load', $node, nats => $nats);
is($accounts->{applied}, 2 * $summary->{batches}, 'every message has taken effect in each lane, once');
unlike(slurp_file($node->logfile), qr/was terminated by signal|exited with exit code 2/, 'no worker crashed');

#----------------------------------------------------------------------
# 14: a lane that stands still
#----------------------------------------------------------------------

# Lane 0 gets every message, but none becomes a signal there: what it remembers of its own signals is
# not what it has missed.
value($node, q{UPDATE trading.strategies SET available_instruments = '{GBPUSD}' WHERE trading.lane_of(company_id, 2) = 0});
my ($still) = worker_pids($node);
my $rate = 1000;

sub load_for
{
	my ($seconds) = @_;
	$nats->finish_load($nats->start_load('EURUSD', '--rate', $rate, '--count', $rate * $seconds));
	return $nats->stream_info('trading_input')->{state}{last_seq};
}

sub position { my ($lane) = @_; return value($node, "SELECT max(input_seq) FROM trading.batches WHERE lane = $lane"); }

# Lane 0 stands still for so long; what the other one does meanwhile, and the most memory that lane 0
# takes until it has caught up.
sub stand_still
{
	my ($seconds, $during) = @_;
	kill 'STOP', $still;
	my $last = load_for($seconds);
	$during->($last) if $during;
	kill 'CONT', $still;
	my $most = 0;
	wait_until('the lane has caught up', sub { my $now = own_memory($still); $most = $now if $now > $most; return position(0) >= $last; });
	settled();
	return $most;
}

# Milliseconds of the lane beside since the last stat_reset(), and bytes that each lane was sent.
sub slowest_percent { my ($metric) = @_; return value($node, "SELECT p99_ms FROM trading.stat_latency WHERE lane = 1 AND metric = '$metric'"); }
sub bytes_in { my ($lane) = @_; return value($node, "SELECT bytes_in FROM trading.stat_transports WHERE lane = $lane AND transport = 'nats'"); }

my @metrics = ('decide', 'read to commit', 'read to acknowledge');
my $seconds = rounds(5, 60);
stand_still(rounds(2, 10));
value($node, 'SELECT trading.stat_reset()');
load_for($seconds);
settled();
my %alone = map { $_ => slowest_percent($_) } @metrics;
my $before = own_memory($still);
my @bytes = map { bytes_in($_) } 0, 1;
value($node, 'SELECT trading.stat_reset()');
my %beside;
my $most = stand_still($seconds, sub {
	my ($last) = @_;
	wait_for($node, 'SELECT max(input_seq) FROM trading.batches WHERE lane = 1', $last, 'while one lane stands still, the other one takes everything');
	cmp_ok(position(0), '<', $last, 'which the first doesn\'t');
	%beside = map { $_ => slowest_percent($_) } @metrics;
});
for my $metric (@metrics)
{
	my $text = "99 % of \"$metric\" in the lane beside: $alone{$metric} ms with two lanes that run, $beside{$metric} ms with one";
	cmp_ok($alone{$metric}, '>', 0, "\"$metric\" is measured");
	# Batches are as large as what has come meanwhile: a millisecond more or less says nothing.
	full() ? cmp_ok($beside{$metric}, '<', 1.25 * $alone{$metric} + 1, $text) : note($text);
}
note("memory of the lane that stood still: $before kB before, $most kB at most");
cmp_ok($before, '>', 0, 'the memory of the lane is known');
cmp_ok($most, '<', 1.1 * $before, 'the lane that stood still has not grown by a tenth');
my @came = map { bytes_in($_) - $bytes[$_] } 0, 1;
cmp_ok($came[0], '<', 1.01 * $came[1], "the broker has sent it hardly more than the other lane ($came[0] and $came[1] bytes): nothing over and over");
is((grep { /trading_input/ } slurp_file($nats->log_file) =~ /slow consumer.*/gi) + 0, 0, 'the broker has cut nobody off');
proven('stood still', $node, nats => $nats);
$node->stop;
$nats->stop;
done_testing();
