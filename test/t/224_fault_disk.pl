# Faults 11 and 12 (doc/faults.md): a disk is full.  PostgreSQL's: nothing is taken as applied that
# isn't, nothing is published that isn't committed, and when there is room again everything goes
# on by itself.  The broker's: output goes to Kafka, whatever the broker's connections look like.
#
# What gets full is a small memory file system of a mount namespace, which the server is
# started in.  Where the kernel doesn't allow such a namespace, this is skipped.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use IPC::Open2 ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineFaults;
use TradingEngineKafka;
use TradingEngineNats;
use TradingEngineRun;

my $room = PostgreSQL::Test::Utils::tempdir('room');
my ($inside, $answers, $shell);

# A shell within the namespace, that does what it is told, line by line.
sub inside
{
	my ($command) = @_;
	print $inside "($command) </dev/null >>$room/../inside.log 2>&1 && echo done || echo failed\n";
	$inside->flush;
	my $answer = readline $answers;
	return defined $answer && $answer eq "done\n";
}

$shell = IPC::Open2::open2($answers, $inside, 'unshare', '--user', '--map-current-user', '--keep-caps', '--mount', 'sh');
plan skip_all => 'the kernel allows no mount namespace to this user' unless inside("mount -t tmpfs -o size=64m tmpfs '$room'");

seeded();
my %strategy = (allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 600000, signal_ttl_seconds => 3600);
my $nats = TradingEngineNats->new('disk')->start;
my $node = PostgreSQL::Test::Cluster->new('disk');
$node->init;
configure($node,
	'timezone' => "'UTC'", 'max_connections' => 50, 'max_worker_processes' => 32,
	'shared_preload_libraries' => "'trading_engine'", 'trading_engine.launcher_naptime' => '1s',
	'trading_engine.restart_delay' => '100ms', 'default_tablespace' => "''",
	'trading_engine.nats_url' => "'" . $nats->url . "'");

# Started from within, so that it sees what is mounted there.
sub start_inside
{
	my $log = $node->logfile;
	return inside("pg_ctl -w -D '" . $node->data_dir . "' -l '$log' start");
}
BAIL_OUT('the server does not start in the namespace') unless start_inside();
$node->_update_pid(1);
value($node, "CREATE TABLESPACE small LOCATION '$room'");
value($node, 'ALTER SYSTEM SET default_tablespace = small');
value($node, 'SELECT pg_reload_conf()');
value($node, 'CREATE EXTENSION trading_engine');
value($node, 'SELECT trading.set_lanes(2)');
value($node, 'DELETE FROM trading.instrument_sessions');
wait_for_lanes($node);
wait_until('the lanes have made their streams', sub {
	(asked($node, q{SELECT count(*) FROM trading.stat_transports WHERE state = 'ready'}) // 0) == 2 });
company($node, 'acme', users => [ 'ann', 'bob' ], strategy => \%strategy);
company($node, 'north', users => ['nina'], strategy => \%strategy);
value($node, q{INSERT INTO trading.producers (company_id, producer_id) VALUES ('_all', 'load')});
value($node, 'UPDATE trading.tiers SET duplicate_window_seconds = 0, max_position_count = 10000');

my $predictions = 0;
for my $round (1 .. rounds(2, 20))
{
	# What is left of the room is taken away, while predictions come.
	my $log = -s $node->logfile;
	my $load = $nats->start_load('EURUSD,GBPUSD', '--rate', 300, '--count', 600);
	inside("dd if=/dev/zero of='$room/ballast' bs=64k");
	wait_until("round $round: a lane says that it can't store", sub { slurp_file($node->logfile, $log) =~ /No space left on device/ });
	my $summary = $nats->finish_load($load);
	is($summary->{refused}, 0, "round $round: all of the load is on the broker");
	$predictions += $summary->{batches};
	my $committed = asked($node, 'SELECT min(n) FROM (SELECT count(*) AS n FROM trading.prediction_batches GROUP BY lane) AS c') // 0;
	cmp_ok($committed, '<', $predictions, "round $round: what can't be stored isn't taken as applied");
	ok(inside("rm '$room/ballast'"), "round $round: there is room again");
	wait_for_input($node, $nats);
	wait_for_output($node, $nats);
	is(value($node, 'SELECT string_agg(n::text, $$ $$) FROM (SELECT count(*) AS n FROM trading.prediction_batches GROUP BY lane) AS c'),
		"$predictions $predictions", "round $round: everything goes on by itself");
	truncate $node->logfile, 0 if $round > 1;
}
my $accounts = proven('a full disk', $node, nats => $nats);
is($accounts->{dead_letters}, 0, 'no message was taken for the reason');
inside("pg_ctl -w -D '" . $node->data_dir . "' -m fast stop");
$node->_update_pid(0);
close $inside;
waitpid $shell, 0;
$nats->stop;

#----------------------------------------------------------------------
# 11: the broker's disk
#----------------------------------------------------------------------

SKIP:
{
	skip(TradingEngineKafka::missing(), 1) if TradingEngineKafka::missing();
	$nats = TradingEngineNats->new('broker', disk => '12m')->start;
	my $kafka = TradingEngineKafka->new('broker')->start;
	$node = engine('broker', nats => $nats, lanes => 2, conf => { $kafka->settings, quick_route() });
	tenants_that_trade($node);
	wait_for_route($node, 'NATS', 'output begins on NATS');
	my @workers = worker_pids($node);
	my $run = start_submitting($node, every => 0.1, predictions => 20);
	# Its store gets full of what the lanes send; then JetStream refuses, or says nothing at all.
	wait_for_route($node, 'KAFKA|HALF_OPEN', 'with its disk full, output goes to Kafka');
	# From the batch that knew of the last acknowledgement of NATS.
	within(value($node, q{SELECT max(extract(epoch FROM k.at - b.at)) FROM
		(SELECT lane, min(changed_at) AS at FROM trading.routes WHERE state = 'KAFKA' GROUP BY lane) AS k,
		LATERAL (SELECT min(b.recorded_at) AS at FROM trading.batches AS b WHERE b.lane = k.lane AND b.publish_seq = (
			SELECT max(a.publish_seq) FROM trading.batches AS a WHERE a.lane = k.lane AND a.recorded_at < k.at)) AS b}),
		5, 'from the last acknowledgement to Kafka');
	wait_until('signals are on Kafka', sub { $kafka->messages('trading.signals') > 0 });
	sleep 2;
	finish_submitting($run);
	my $committed = value($node, 'SELECT count(*) FROM trading.signals WHERE out_seq IS NOT NULL');
	cmp_ok($committed, '>', 100, 'signals were made');
	# Only a restart helps it; the new disk is larger, and empty.
	$nats->kill9;
	$nats->{disk} = '1g';
	$nats->start;
	wait_for_route($node, 'NATS', 'with a disk that has room, output comes back');
	wait_for_settled($node);
	is_deeply([ worker_pids($node) ], \@workers, 'no worker has stopped');
	proven('the broker\'s disk', $node, nats => $nats, kafka => $kafka);
	$node->stop;
	$kafka->stop;
	$nats->stop;
}
done_testing();
