# Fault 24 (doc/faults.md): all kinds of faults, mixed at random, for a while (an hour in the full
# form).  In the end everything is accounted for, and no process has grown.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use TradingEngine;
use TradingEngineFaults;
use TradingEngineKafka;
use TradingEngineNats;
use TradingEngineRun;

plan skip_all => TradingEngineKafka::missing() if TradingEngineKafka::missing();
seeded();
my $nats = TradingEngineNats->new('soak')->start;
my $link = $nats->proxy;
my $kafka = TradingEngineKafka->new('soak')->start;
my $node = engine('soak', nats => $nats, lanes => 2, conf => {
	'trading_engine.nats_url' => "'" . $link->url . "'", $kafka->settings, quick_route(),
	# Of many faults, more are long enough for Kafka.
	(full() ? () : ('trading_engine.route_suspect_limit' => '300ms')),
	'restart_after_crash' => 'on', 'trading_engine.restart_delay' => '100ms', 'log_statement' => 'none' });
tenants_that_trade($node, signal_ttl_seconds => 5);
wait_for_route($node, 'NATS', 'output begins on NATS');

sub pause_of { return 0.2 + rand rounds(1.5, 8); }

my @kills;
my %fault = (
	'nats frozen' => sub { $nats->pause; sleep pause_of(); $nats->resume },
	'nats killed' => sub { $nats->kill9; sleep pause_of(); $nats->start },
	'nats restarted' => sub { $nats->restart },
	'link dropped' => sub { $link->drop((qw(in out both))[ rand 3 ]); sleep pause_of(); $link->heal },
	'link slow' => sub { $link->delay(0, rand 3000); sleep pause_of(); $link->delay(0, 0) },
	'link cut' => sub { $link->cut },
	'kafka frozen' => sub { $kafka->pause; sleep pause_of(); $kafka->resume },
	'kafka down' => sub { $kafka->down; sleep pause_of(); $kafka->up },
	'kafka errors' => sub { $kafka->error('produce', 'REQUEST_TIMED_OUT', 1 + int rand 5) if $kafka->mock },
	'both gone' => sub { $kafka->down; $nats->pause; sleep pause_of(); $nats->resume; $kafka->up },
	'worker terminated' => sub { asked($node, 'SELECT pg_terminate_backend(pid) FROM trading.stat_workers ORDER BY random() LIMIT 1') },
	'worker killed' => sub {
		my $pid = asked($node, 'SELECT pid FROM trading.stat_workers WHERE pid > 0 ORDER BY random() LIMIT 1');
		kill 'KILL', $pid if ($pid // '') =~ /^\d+$/;
		wait_until('the server answers', sub { defined asked($node, 'SELECT 1') });
	},
);
my @names = sort keys %fault;
my %done;
my $end = time() + rounds(40, 3600);
my ($run, $submitted) = (undef, 0);

# Descriptors and threads of the workers that run, at most.
sub held
{
	my @pids = split /\n/, asked($node, 'SELECT pid FROM trading.stat_workers WHERE pid > 0') // '';
	my ($files, $threads, $memory) = (0, 0, 0);
	for my $pid (@pids)
	{
		# Files of tables come and go; sockets and the like must not.
		my $open = grep { (readlink // '') =~ /^(?:socket|pipe|anon_inode):/ } glob "/proc/$pid/fd/*";
		my $tasks = () = glob "/proc/$pid/task/*";
		$files = $open if $open > $files;
		$threads = $tasks if $tasks > $threads;
		$memory = own_memory($pid) if own_memory($pid) > $memory;
	}
	return ($files, $threads, $memory);
}

my @first;
while (time() < $end)
{
	# It ends when the server starts anew.
	if (!$run || !$run->{process}->pumpable)
	{
		finish_submitting($run) if $run;
		$run = start_submitting($node, every => 0.1, predictions => 3);
	}
	$nats->publish($nats->batch) if rand() < 0.3 && !$nats->{paused};
	my $name = $names[ rand @names ];
	note(sprintf '%.1f s left: %s', $end - time(), $name);
	$fault{$name}->();
	$done{$name}++;
	sleep rounds(0.5, 2);
	@first = held() unless @first && $first[0] > 0;
}
finish_submitting($run);
note(explain(\%done));
wait_for_route($node, 'NATS', 'output is on NATS in the end', 900);
wait_for_settled($node, 900);
my $accounts = proven('soak', $node, nats => $nats, kafka => $kafka);
cmp_ok($accounts->{places}, '>', 50, 'signals were sent');
my @last = held();
note("descriptors, threads, memory (kB) of a worker: @first, in the end @last");
cmp_ok($last[0], '<=', $first[0] + 8, 'no worker holds more descriptors');
cmp_ok($last[1], '<=', $first[1] + 4, 'no worker has more threads');
cmp_ok($last[2], '<', 2 * $first[2] + 65536, 'no worker has grown');
$node->stop;
$link->stop;
$kafka->stop;
$nats->stop;
done_testing();
