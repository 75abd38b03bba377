# kill -9 in the middle of a run, ten times each: of a worker, of the broker, of the whole
# server.  Afterwards everything is as if nothing had happened.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;
use TradingEngineRun;

my $kills = 10;
# Made-up bars, so that this runs everywhere; slow enough to be killed on the way.
my @input = ('--bars', 2500, '--seed', 5, '--rate', 250, 'GBPUSD', 'USDJPY');

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

my ($node, $nats) = start('undisturbed');
my $published = predict($nats, grep { $_ ne '--rate' && $_ ne '250' } @input);
my $total = wait_for_input($node, $nats);
wait_for_output($node, $nats);
my $expected = results($node);
my @expected = hashes($nats);
cmp_ok(streams_are_the_table($node, $nats, 'undisturbed'), '>', 300, 'undisturbed, there are hundreds of signals');
$node->stop;
$nats->stop;

# Position that every lane has committed, -1 while the server is down.
sub position
{
	my ($node) = @_;
	my ($status, $out) = $node->psql('postgres', 'SELECT min(COALESCE((SELECT b.input_seq FROM trading.batches AS b '
		. 'WHERE b.lane = l.lane ORDER BY b.batch_no DESC LIMIT 1), 0)) FROM trading.lanes AS l');
	return defined $status && $status == 0 && $out ne '' ? $out : -1;
}

# Where the engine is killed, the input waits until it is back, so that none of it is left
# to be taken in one go, unseen, before the next kill.
sub disturbed
{
	my ($name, $kill, %option) = @_;
	my ($node, $nats) = start($name);
	my $run = start_prediction($nats, @input);
	my $after = 0;
	for my $round (1 .. $kills)
	{
		my $mark = $round * $total / ($kills + 1);
		my $position;
		wait_until("$name: input $mark of $total is applied, round $round", sub { ($position = position($node)) > $mark });
		$after++ if $position < $total;
		$run->{process}->signal('STOP') if $option{input_waits};
		$kill->($node, $nats, $round);
		wait_until("$name: the server answers", sub { position($node) >= $position });
		$run->{process}->signal('CONT') if $option{input_waits};
	}
	is($after, $kills, "$name: killed $kills times before the end");
	is(finish_prediction($run), $published, "$name: all predictions are published");
	is(wait_for_input($node, $nats), $total, "$name: all input is applied");
	wait_for_output($node, $nats);
	is_deeply(results($node), $expected, "$name: predictions, signals, legs, bars and market states are those of an undisturbed run");
	is_deeply([ hashes($nats) ], \@expected, "$name: the streams have the same messages in the same order, each once");
	streams_are_the_table($node, $nats, $name);
	$node->stop;
	$nats->stop;
	return;
}

# A worker's end by a signal makes PostgreSQL start anew.
disturbed('worker', sub {
	my ($node, $nats, $round) = @_;
	wait_until('the worker is back', sub {
		my ($status, $pids) = $node->psql('postgres', "SELECT pid FROM pg_stat_activity WHERE application_name = 'trading_engine lane "
			. $round % 2 . "'");
		return defined $status && $status == 0 && $pids =~ /^(\d+)$/ && kill('KILL', $1);
	});
}, input_waits => 1);

disturbed('broker', sub {
	my ($node, $nats) = @_;
	$nats->kill9;
	$nats->start;
});

disturbed('server', sub {
	my ($node) = @_;
	my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	my @children = split ' ', `ps -o pid= --ppid $postmaster`;
	$node->kill9;
	kill 'KILL', @children;
	# What the children held is free when the last of them is gone.
	wait_until('all processes are gone', sub { !grep { kill 0, $_ } @children });
	$node->start;
}, input_waits => 1);

done_testing();
