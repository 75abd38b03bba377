# NATS and Kafka at once: a producer sends to either or to both, in any order and any number of
# times; each message takes effect once, in its producer's order, whichever transport brings it.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineKafka;
use TradingEngineNats;
use TradingEngineRun;

plan skip_all => TradingEngineKafka::missing() if TradingEngineKafka::missing();

my $nats = TradingEngineNats->new('both')->start;
my $kafka = TradingEngineKafka->new('both', lanes => 2, input_partitions => 3)->start;
my $node = engine('both', nats => $nats, lanes => 1, conf => {
	'restart_after_crash' => 'on',
	'trading_engine.restart_delay' => '100ms',
	$kafka->settings,
	'trading_engine.gap_request_after' => 100,
	'trading_engine.gap_wait' => 600000,
});
company($node, 'acme', users => ['ann'],
	strategy => { max_prediction_age_ms => 86400000, allowed_regimes => "trading.enum_labels('regime')" });
wait_for($node, q{SELECT count(*) FROM trading.stat_transports WHERE state = 'ready'}, 2, 'both are there');

my $epoch = $nats->{epoch};
my %made;

sub message
{
	my ($seq, %o) = @_;
	return $made{ ($o{epoch} // $epoch) . "/$seq" } //=
	  $nats->batch(company => 'acme', epoch => $o{epoch} // $epoch, seq => $seq, batch_id => ($o{epoch} // '') . "b$seq");
}
sub in_partition { my ($partition, $message) = @_; return { %$message, partition => $partition }; }

sub wait_for_applied
{
	my ($expected, $name, %o) = @_;
	return wait_for($node, sprintf(q{SELECT string_agg(producer_seq::text, ' ' ORDER BY batch_no, position) FROM trading.prediction_batches
		WHERE producer_epoch = %s}, $o{epoch} // $epoch), $expected, $name);
}
sub parked { return value($node, 'SELECT parked FROM trading.stat_workers'); }

sub positions
{
	return value($node, q{SELECT string_agg(concat_ws(' ', source, done, resume), ', ' ORDER BY source)
		FROM trading.input_positions WHERE source !~ 'executions|market'});
}

#----------------------------------------------------------------------
# Each brings a part
#----------------------------------------------------------------------

$nats->publish(message(1));
wait_for_applied('1', 'NATS brings the first');
$kafka->publish(in_partition(0, message(2)));
wait_for_applied('1 2', 'Kafka the second');
$kafka->publish(in_partition(1, message(4)), in_partition(2, message(5)));
wait_for($node, 'SELECT parked FROM trading.stat_workers', 2, 'what is early waits');
is(positions(), 'kafka:trading.predictions/0 1 1, kafka:trading.predictions/1 1 0, kafka:trading.predictions/2 1 0, nats 1 1',
	'and is read again after a restart, in the partition that it came from');
$nats->publish(message(3));
wait_for_applied('1 2 3 4 5', 'NATS brings what was missing');
is(positions(), 'kafka:trading.predictions/0 1 1, kafka:trading.predictions/1 1 1, kafka:trading.predictions/2 1 1, nats 2 2', 'nothing is held');
$nats->publish(message(4), message(5));
$kafka->publish(in_partition(0, message(1)), in_partition(0, message(3)));
wait_for($node, 'SELECT duplicates FROM trading.stat_workers', 4, 'what comes by the other as well has no effect');
wait_for_applied('1 2 3 4 5', 'at all');
is(value($node, q{SELECT string_agg(source || ' ' || input_seq, ', ' ORDER BY producer_seq) FROM trading.prediction_batches}),
	'nats 1, kafka:trading.predictions/0 1, nats 2, kafka:trading.predictions/1 1, kafka:trading.predictions/2 1', 'each says where it came from');

# A number with other content, and a message that is no good.
$kafka->publish(in_partition(1, $nats->batch(company => 'acme', epoch => $epoch, seq => 5, batch_id => 'other')),
	in_partition(1, { subject => 'trading.predictions.acme._all', hex => '00' }));
wait_for($node, q{SELECT string_agg(concat_ws(' ', source, input_seq, reason), ', ' ORDER BY input_seq) FROM trading.dead_letters},
	'kafka:trading.predictions/1 2 CONFLICT, kafka:trading.predictions/1 3 MALFORMED', 'what is turned away says so, too');

#----------------------------------------------------------------------
# What is missing
#----------------------------------------------------------------------

$nats->publish(message(7));
my $request;
wait_until('it is asked for', sub { ($request) = grep { $_->{envelope}{payload}{from} == 6 } eval { $kafka->dump('trading.control') }; return $request });
is($request->{key}, 'model', 'Kafka\'s control topic has the requests for what is missing, by producer');
is_deeply([ @{ $request->{envelope}{payload} }{qw(producer_id from to)} ], [ 'model', 6, 6 ], 'they say what')
  or diag(explain($request));
$kafka->publish(in_partition(2, message(6)));
wait_for_applied('1 2 3 4 5 6 7', 'it may be sent to any of the two');

#----------------------------------------------------------------------
# Restarts
#----------------------------------------------------------------------

my %torn = (epoch => $epoch + 1);
$nats->publish(message(1, %torn), message(3, %torn), message(8, %torn));
$kafka->publish(in_partition(0, message(3, %torn)), in_partition(1, message(5, %torn)), in_partition(2, message(7, %torn)), in_partition(0, message(4, %torn)));
wait_for($node, 'SELECT parked FROM trading.stat_workers', 5, 'messages of both wait');
my $held = positions();
my $old = kill_worker($node, 0);
wait_for($node, "SELECT count(*) FROM trading.stat_workers WHERE state = 'running' AND pid <> $old", '1', 'the worker was killed');
wait_for($node, 'SELECT parked FROM trading.stat_workers', 5, 'they are read again');
is(value($node, 'SELECT duplicates FROM trading.stat_workers'), 0, 'which counts nothing twice');
is(positions(), $held, 'and changes no position');
$nats->publish(message(2, %torn));
$kafka->publish(in_partition(1, message(6, %torn)));
wait_for_applied(join(' ', 1 .. 8), 'and take effect in order', %torn);

# One of the two is gone.
my %lonely = (epoch => $epoch + 2);
$nats->kill9;
$kafka->publish(map { in_partition($_ % 3, message($_, %lonely)) } 1 .. 20);
wait_for_applied(join(' ', 1 .. 20), 'without NATS', %lonely);
$nats->start;
$kafka->down;
$nats->publish(map { message($_, %lonely) } 15 .. 40);
wait_for_applied(join(' ', 1 .. 40), 'without Kafka', %lonely);
$kafka->up;

#----------------------------------------------------------------------
# Disorder, with a worker that is killed
#----------------------------------------------------------------------

my %wild = (epoch => $epoch + 3);
my $last = 300;
srand 5;
my (@to_nats, @to_kafka);
for my $seq (1 .. $last)
{
	my $ways = 1 + int rand 3;
	push @to_nats, { key => $seq + rand(60), message => message($seq, %wild) } for 1 .. ($ways & 1) * (1 + int rand 5);
	push @to_kafka, { key => $seq + rand(60), message => in_partition(int(rand 3), message($seq, %wild)) } for 1 .. ($ways >> 1) * (1 + int rand 5);
}
my @nats_queue = map { $_->{message} } sort { $a->{key} <=> $b->{key} } @to_nats;
my @kafka_queue = map { $_->{message} } sort { $a->{key} <=> $b->{key} } @to_kafka;
for my $round (1 .. 6)
{
	$nats->publish(splice @nats_queue, 0, $round == 6 ? scalar @nats_queue : @nats_queue / 4);
	my $pid = $round % 2 ? kill_worker($node, 0) : 0;
	$kafka->publish(splice @kafka_queue, 0, $round == 6 ? scalar @kafka_queue : @kafka_queue / 4);
	wait_for($node, "SELECT count(*) FROM trading.stat_workers WHERE state = 'running' AND pid <> $pid", '1', "round $round");
}
wait_for_applied(join(' ', 1 .. $last), 'both in disorder, repeated, and the worker killed: each once, in order', %wild);
is(value($node, 'SELECT count(*) FROM trading.input_gaps WHERE reason <> \'ABANDONED\''), 0, 'nothing was given up');
is(value($node, 'SELECT count(*) - count(DISTINCT signal_id) FROM trading.signals'), 0, 'no signal twice');
is(value($node, 'SELECT count(*) FROM trading.dead_letters'), 2, 'and no dead letter more');

#----------------------------------------------------------------------
# Lanes
#----------------------------------------------------------------------

wait_for($node, 'SELECT bool_and(done = resume) FROM trading.input_positions', 't', 'nothing waits');
# Repetitions may be behind what has taken effect.
wait_for_input($node, $nats);
wait_for($node, q{SELECT sum(done) FROM trading.input_positions WHERE source ~ '^kafka:trading.predictions/'}, $kafka->messages('trading.predictions'), 'nor is anything unread');
wait_for_output($node, $nats);
my $duplicates = value($node, 'SELECT duplicates FROM trading.stat_workers');
value($node, 'SELECT trading.set_lanes(2)');
wait_for($node, q{SELECT count(*) FROM trading.stat_workers WHERE state = 'running'}, 2, 'two lanes');
$kafka->publish(in_partition(0, message(1, epoch => $epoch + 4)), in_partition(1, message(2, epoch => $epoch + 4)));
wait_for_applied('1 2', 'they go on in every partition', epoch => $epoch + 4);
is(value($node, 'SELECT sum(duplicates) FROM trading.stat_workers'), $duplicates, 'where the one lane was');

# What was read under other prefixes takes no room away.
value($node, q{UPDATE trading.batches SET kafka_positions = kafka_positions || (SELECT jsonb_agg(jsonb_build_object('source', 'kafka:old.predictions/' || n,
	'identity', 1, 'incarnation', 0, 'done', 1, 'resume', 1, 'message_time', 1)) FROM generate_series(1, 63) AS n)
	WHERE jsonb_array_length(kafka_positions) > 0});
value($node, q{UPDATE trading.batches SET kafka_positions = (SELECT jsonb_agg(p ORDER BY p ->> 'source' DESC) FROM jsonb_array_elements(kafka_positions) AS p
	WHERE p ->> 'source' NOT LIKE 'kafka:trading.%') WHERE jsonb_array_length(kafka_positions) > 0});
my @workers = worker_pids($node);
value($node, "SELECT pg_terminate_backend($_)") for @workers;
wait_for($node, "SELECT count(*) FROM trading.stat_workers WHERE state = 'running' AND pid <> ALL ('{" . join(',', @workers) . "}')", 2, 'the lanes start anew');
$kafka->publish(in_partition(2, message(3, epoch => $epoch + 4)));
wait_for_applied('1 2 3', 'and read on', epoch => $epoch + 4);

$node->stop;
$kafka->stop;
$nats->stop;
done_testing();
