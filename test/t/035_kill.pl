# Faults 1 to 3 (doc/faults.md): kill -9 in the middle of a run, many times each: of a worker, of
# the broker, of the whole server.  Afterwards everything is as if nothing had happened.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineFaults;
use TradingEngineNats;
use Time::HiRes qw(time);
use TradingEngineRun;

seeded();
# Made-up bars, so that this runs everywhere; so many and slow enough that every kill is on the way.
sub input { my ($kills) = @_; return ('--bars', 250 * $kills, '--seed', 5, 'GBPUSD', 'USDJPY'); }

sub start
{
	my ($name) = @_;
	my $nats = TradingEngineNats->new($name)->start;
	my $node = engine($name, nats => $nats, lanes => 2, conf => {
		'trading_engine.clock' => 'input',
		'trading_engine.restart_delay' => '100ms',
		'restart_after_crash' => 'on',
		'log_statement' => 'none' });
	trade($node);
	return ($node, $nats);
}

# Contents of the messages of both streams, in order.
sub hashes
{
	my ($nats) = @_;
	return map { [ $nats->te_nats_ok('', 'stream-dump', "trading_output_$_") =~ /"sha256": *"(\w+)"/g ] } 0, 1;
}

# What comes of the input of so many rounds when nothing dies.
my %undisturbed;

sub undisturbed
{
	my ($kills) = @_;
	return $undisturbed{$kills} if $undisturbed{$kills};
	my ($node, $nats) = start("undisturbed$kills");
	my %run = (published => predict($nats, input($kills)));
	$run{total} = wait_for_input($node, $nats);
	wait_for_output($node, $nats);
	$run{results} = results($node);
	$run{hashes} = [ hashes($nats) ];
	cmp_ok(streams_are_the_table($node, $nats, 'undisturbed'), '>', 300, 'undisturbed, there are hundreds of signals');
	$node->stop;
	$nats->stop;
	return $undisturbed{$kills} = \%run;
}

# Position that every lane has committed, -1 while the server is down.
sub position
{
	my ($node) = @_;
	return asked($node, 'SELECT min(COALESCE((SELECT b.input_seq FROM trading.batches AS b '
		. 'WHERE b.lane = l.lane ORDER BY b.batch_no DESC LIMIT 1), 0)) FROM trading.lanes AS l') // -1;
}

# The input waits until the engine is back, so that none of it is left to be taken in one go, unseen,
# before the next kill: from before the kill on, or from after it.
sub disturbed
{
	my ($name, $kills, $kill, %option) = @_;
	my $expected = undisturbed($kills);
	my $total = $expected->{total};
	my ($node, $nats) = start($name);
	my $run = start_prediction($nats, '--rate', 250, input($kills));
	my $after = 0;
	my @took;
	for my $round (1 .. $kills)
	{
		my $mark = ($round - 0.5 + rand(0.5)) * $total / ($kills + 3);
		my $position;
		wait_until("$name: input $mark of $total is applied, round $round", sub { ($position = position($node)) > $mark });
		$after++ if $position < $total;
		$run->{process}->signal('STOP') if $option{input_waits} eq 'before';
		$kill->($node, $nats, $round);
		my $killed = time();
		$run->{process}->signal('STOP') if $option{input_waits} eq 'after';
		wait_until("$name: the server answers", sub { position($node) >= $position });
		$option{back}->($node, $round);
		# When it was back, the server knows; asking takes time.
		push @took, value($node, "SELECT extract(epoch FROM max(since)) - $killed FROM trading.$option{since}");
		$run->{process}->signal('CONT');
	}
	is($after, $kills, "$name: killed $kills times before the end");
	@took = sort { $a <=> $b } @took;
	note(sprintf '%s: back after %.3f s, in half of the rounds', $name, $took[ $#took / 2 ]);
	within($took[-1], $option{limit}, "$name: back after each kill");
	is(finish_prediction($run), $expected->{published}, "$name: all predictions are published");
	is(wait_for_input($node, $nats), $total, "$name: all input is applied");
	wait_for_output($node, $nats);
	is_deeply(results($node), $expected->{results}, "$name: predictions, signals, legs, bars and market states are those of an undisturbed run");
	is_deeply([ hashes($nats) ], $expected->{hashes}, "$name: the streams have the same messages in the same order, each once");
	streams_are_the_table($node, $nats, $name);
	proven($name, $node, nats => $nats);
	$node->stop;
	$nats->stop;
	return;
}

sub workers_run
{
	my ($node) = @_;
	return wait_until('the workers run', sub {
		return (asked($node, q{SELECT count(*) FROM trading.stat_workers WHERE state = 'running'}) // '') eq '2';
	});
}

my $connects;

sub connects { my ($node) = @_; return asked($node, q{SELECT sum(connects) FROM trading.stat_transports WHERE transport = 'nats'}) // 0; }

# Each lane has connected once more than before the broker was killed.
sub broker_is_used
{
	my ($node) = @_;
	return wait_until('the workers have the broker', sub {
		return connects($node) >= $connects + 2
		  && (asked($node, q{SELECT count(*) FROM trading.stat_transports WHERE transport = 'nats' AND state = 'ready'}) // '') eq '2';
	});
}

# A worker's end by a signal makes PostgreSQL start anew.
disturbed('worker', rounds(10, 200), sub {
	my ($node, $nats, $round) = @_;
	kill_worker($node, $round % 2);
}, input_waits => 'before', since => 'stat_workers', back => \&workers_run, limit => 3);

disturbed('broker', rounds(10, 50), sub {
	my ($node, $nats) = @_;
	$connects = connects($node);
	$nats->kill9;
	$nats->start;
}, input_waits => 'after', since => 'stat_transports', back => \&broker_is_used, limit => 2);

disturbed('server', rounds(10, 50), sub {
	my ($node) = @_;
	kill_server($node);
	$node->start;
}, input_waits => 'before', since => 'stat_workers', back => \&workers_run, limit => 10);

done_testing();
