# What becomes of Kafka's topics while lanes run: a message that is too large for them, and, with a real
# Kafka (scripts/check-kafka), partitions that are added and topics that are deleted and made again.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineFaults;
use TradingEngineKafka;
use TradingEngineNats;
use TradingEngineRun;

plan skip_all => TradingEngineKafka::missing() if TradingEngineKafka::missing();

my $nats = TradingEngineNats->new('topics');    # makes messages; it isn't started
my $kafka = TradingEngineKafka->new('topics', lanes => 2, input_partitions => 1)->start;
my $node = engine('topics', lanes => 2, conf => { $kafka->settings, quick_route(), 'trading_engine.restart_delay' => '100ms' });
my %strategy = (allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 86400000, signal_ttl_seconds => 3600);
company($node, 'acme', users => ['ann'], strategy => \%strategy);
my $lane = value($node, q{SELECT trading.lane_of('acme', 2)});
wait_for($node, q{SELECT count(*) FROM trading.stat_transports WHERE state = 'ready' AND transport = 'kafka'}, 2, 'Kafka is there');

my $number = 0;

# Predictions by SQL, with ids of some length, in one batch.
sub submit
{
	my ($count, $length) = @_;
	my $rows = join ', ', map { sprintf q{('%s')}, 'p' . ('x' x ($length - 4)) . sprintf '%03d', ++$number } 1 .. $count;
	$node->safe_psql('postgres', <<"SQL");
SELECT trading.submit(jsonb_build_object('company_id', 'acme', 'user_id', 'ann', 'batch_id', 'b$number', 'generated_at', now(),
	'predictions', (SELECT jsonb_agg(jsonb_build_object('prediction_id', id, 'symbol', 'EURUSD',
		'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.9)) FROM (VALUES $rows) AS v (id))));
SQL
	return;
}

sub sent
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_for($node, 'SELECT count(*) FROM trading.signals', $number, "$name: decided");
	return wait_for($node, 'SELECT bool_and((kafka_epoch, kafka_seq) = (epoch, last_seq) OR last_seq = 0) FROM trading.lane_output', 't', "$name: sent");
}

sub gap_fills { return value($node, q{SELECT COALESCE(string_agg(reason || ' ' || seq, ', ' ORDER BY seq), 'none') FROM trading.gap_fills}); }

submit(1, 8);
sent('at first');

#----------------------------------------------------------------------
# Too large
#----------------------------------------------------------------------

if ($kafka->mock)
{
	# The limit is the batch's, so that a refused batch says nothing about any message of it.
	$kafka->error('produce', 'MSG_SIZE_TOO_LARGE', 1);
	submit(20, 8);
	sent('a batch that is too large is sent one by one');
	is(gap_fills(), 'none', 'and nothing of it is given up');

	my $last = value($node, "SELECT last_seq FROM trading.lane_output WHERE lane = $lane");
	my $log = -s $node->logfile;
	$kafka->error('produce', 'MSG_SIZE_TOO_LARGE', 1);
	submit(1, 60);
	sent('a message that is too large');
	is(gap_fills(), 'TOO_LARGE ' . ($last + 1), 'is replaced by a record, which is kept');
	wait_for($node, "SELECT gap_fills FROM trading.stat_workers WHERE lane = $lane", 1, 'and counted');
	wait_for_log($node, qr/WARNING: .* is larger than KAFKA takes/, 'and logged', offset => $log);
	submit(3, 8);
	sent('the lane goes on');
	is(gap_fills(), 'TOO_LARGE ' . ($last + 1), 'with smaller ones as they are');
}

#----------------------------------------------------------------------
# Other partitions
#----------------------------------------------------------------------

SKIP:
{
	skip 'the mock cluster changes no topics: scripts/check-kafka does', 1 if $kafka->mock;
	my $epoch = $nats->{epoch};
	my $seq = 0;

	# The next number, in a partition.
	my $publish = sub {
		my ($partition) = @_;
		$kafka->publish({ %{ $nats->batch(company => 'acme', seq => ++$seq, batch_id => "k$seq") }, partition => $partition });
	};
	my $applied = sub {
		my ($name) = @_;
		local $Test::Builder::Level = $Test::Builder::Level + 1;
		wait_for($node, "SELECT string_agg(producer_seq::text, ' ' ORDER BY producer_seq) FROM trading.prediction_batches WHERE producer_epoch = $epoch",
			join(' ', 1 .. $seq), $name);
	};
	$publish->(0);
	$applied->('one partition is read');

	$kafka->extend('predictions', 3);
	$publish->(2);
	$publish->(1);
	$publish->(0);
	$applied->('partitions that are added are read from their start');
	like(value($node, 'SELECT string_agg(DISTINCT source, $$ $$ ORDER BY source) FROM trading.input_positions'), qr{predictions/0 \S*predictions/1 \S*predictions/2}, 'each has a position');

	$kafka->delete_topic('predictions');
	wait_for($node, q{SELECT count(*) FROM trading.stat_transports WHERE transport = 'kafka' AND connects > 2}, 2, 'a topic that is deleted is noticed');
	wait_until('it is made again, by an engine or an operator', sub { eval { $kafka->info('trading.predictions'); 1 } or do { eval { $kafka->topic('predictions', 1) }; 0 } });
	is(scalar @{ $kafka->info('trading.predictions')->{partitions} }, 1, 'with one partition');
	$publish->(0) for 1 .. 3;
	$applied->('it is read from its start, too, and nothing twice');
	is(value($node, 'SELECT count(*) FROM trading.input_gaps'), 0, 'nothing counts as lost');

	for my $topic (qw(signals commands))
	{
		$kafka->delete_topic($topic);
		wait_until("topic $topic is made again, with one partition", sub { eval { $kafka->topic($topic, 1); 1 } });
	}
	company($node, $_, users => ['ann'], strategy => \%strategy) for grep { value($node, "SELECT trading.lane_of('$_', 2)") != $lane } qw(north south east west);
	$publish->(0);
	$applied->('the lanes go on');
	wait_for($node, 'SELECT bool_and((kafka_epoch, kafka_seq) = (epoch, last_seq)) FROM trading.lane_output WHERE last_seq > 0', 't', 'and send, to as many partitions as there are lanes');
	is(scalar @{ $kafka->info('trading.signals')->{partitions} }, 2, 'which were made');
	# What the topics held is gone with them, like what a broker has discarded: trading.resend() has it.
	my $consumed = consumed($node, kafka => $kafka);
	cmp_ok($consumed->{read}{kafka}, '>', 0, 'there is output in them');
	is_deeply([ @$consumed{qw(conflicts refused)} ], [ 0, 0 ], 'and nothing strange');
}

$node->stop;
$kafka->stop;
done_testing();
