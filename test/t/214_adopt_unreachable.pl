# A lane that is adopted while brokers can't be reached is ours for good: what they have from before,
# whoever wrote it, makes it foreign no more.
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

my $nats = TradingEngineNats->new('adopt')->start;
my $kafka = TradingEngineKafka->new('adopt', lanes => 1)->start;
my $node = engine('adopt', nats => $nats, lanes => 1, conf => {
	quick_route(),
	'trading_engine.kafka_brokers' => "'" . $kafka->brokers . "'", 'trading_engine.restart_delay' => '100ms' });
company($node, 'acme', users => ['ann'], strategy => {
	allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 600000, signal_ttl_seconds => 3600 });
my $number = 0;

sub decided
{
	my ($name) = @_;
	my $id = 'p' . ++$number;
	$node->safe_psql('postgres', <<"SQL");
SELECT trading.submit(jsonb_build_object('company_id', 'acme', 'user_id', 'ann', 'batch_id', '$id', 'generated_at', now(),
	'predictions', jsonb_build_array(jsonb_build_object('prediction_id', '$id', 'symbol', 'EURUSD',
		'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.9))));
SQL
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for($node, 'SELECT count(*) FROM trading.signals', $number, $name);
}

sub sent
{
	my ($via, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for($node, "SELECT (${via}_epoch, ${via}_seq) = (epoch, last_seq), last_seq > 0 FROM trading.lane_output", 't|t', $name);
}

sub ready
{
	my ($transport, $count, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for($node, "SELECT count(*) FROM trading.stat_transports WHERE transport = '$transport' AND state = 'ready'", $count, $name);
}

# What an engine writes: by default another installation's.
sub strangers
{
	my ($epoch, $seq) = @_;
	my $installation = '6dd2ba56-79c1-4a53-a3a5-3ab7f7a1b2c3';
	return { subject => 'trading.signals.0.acme.ann.EURUSD', hex => '00', id => "$installation/0/$epoch/$seq", headers => {
		'te-lane' => '0', 'te-epoch' => "$epoch", 'te-seq' => "$seq", 'te-hash' => '0', 'te-installation' => $installation } };
}

# Like a restored dump: then whoever has the say adopts it.
sub restore_and_adopt
{
	my ($pid) = worker_pids($node);
	$node->safe_psql('postgres', 'UPDATE trading.lanes SET system_identifier = 1');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_for($node, "SELECT state FROM trading.stat_workers WHERE pid <> $pid", 'foreign', 'a copy is foreign');
	is(value($node, 'SELECT trading.adopt()'), 1, 'it is adopted');
	wait_for($node, 'SELECT state, adopt_requested FROM trading.stat_workers JOIN trading.lanes USING (lane)', 'running|f', 'and runs');
	return value($node, 'SELECT epoch FROM trading.lanes');
}

decided('at first the lane is ours');
sent('nats', 'on NATS');

#----------------------------------------------------------------------
# Kafka can't be reached
#----------------------------------------------------------------------

$kafka->publish({ %{ strangers(7, 3) }, topic => 'trading.signals', partition => 0 });
$kafka->down;
ready('kafka', 0, 'Kafka goes');
my $epoch = restore_and_adopt();
cmp_ok($epoch, '>', 1000, 'its epoch leaves room for what Kafka may have');
decided('it decides');
sent('nats', 'and sends to NATS');
$kafka->up;
ready('kafka', 1, 'Kafka comes back, with another installation\'s epoch 7');
decided('the lane goes on');
sent('nats', 'on NATS');
is(value($node, 'SELECT state, epoch FROM trading.stat_workers'), "running|$epoch", 'as it was');
$nats->pause;
wait_for($node, 'SELECT state FROM trading.lane_output', 'KAFKA', 'NATS hangs');
decided('on Kafka');
sent('kafka', 'it goes on');
is(join(' ', map { "$_->{headers}{'te-epoch'}/$_->{headers}{'te-seq'}" } grep { exists $_->{headers}{'te-seq'} } $kafka->dump('trading.signals')), "7/3 $epoch/3",
	'behind what was there');
$nats->resume;
wait_for($node, 'SELECT state FROM trading.lane_output', 'NATS', 'NATS is back');
sent('nats', 'and gets it, too');
my $before = $nats->messages('trading_output_0');

#----------------------------------------------------------------------
# None can be reached
#----------------------------------------------------------------------

# What the original has sent since the dump, which is of this installation and of an epoch of its own.
my $installation = value($node, 'SELECT installation_id FROM trading.installation');
$nats->publish({ %{ strangers($epoch, 99) }, id => "$installation/0/$epoch/99" });
ready('nats', 1, 'NATS');
$nats->stop;
$kafka->down;
ready($_, 0, "$_ goes") for qw(nats kafka);
my $next = restore_and_adopt();
cmp_ok($next, '>', $epoch + 1000, 'without any broker, too');
decided('it decides');
decided('and again');
$nats->start;
sent('nats', 'NATS comes back, and gets it');
is(value($node, 'SELECT state, epoch FROM trading.stat_workers'), "running|$next", 'the lane is ours');
is(join(' ', map { "$_->{headers}{'te-epoch'}/$_->{headers}{'te-seq'}" } ($nats->dump('trading_output_0'))[ $before .. $before + 2 ]), "$epoch/99 $next/1 $next/2",
	'its messages follow the original\'s last');
$kafka->up;
ready('kafka', 1, 'so does Kafka');
$node->restart;
wait_for_lanes($node);
decided('after a restart');
sent('nats', 'it goes on');
is(value($node, 'SELECT state, epoch FROM trading.stat_workers'), "running|$next", 'where it was');

$node->stop;
$nats->stop;
$kafka->stop;
done_testing();
