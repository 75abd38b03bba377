# Settings of the connection that change at run time: what was decided under another prefix leaves
# under the one of now, as it was made or as a record of a gap, and a lane that found somebody
# else's output looks again.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;

my $nats = TradingEngineNats->new('changed')->start;
my $node = engine('changed', nats => $nats, lanes => 1, conf => { 'log_statement' => 'none' });
company($node, 'acme', users => [ 'ann', 'ben' ], strategy => {
	allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 600000, signal_ttl_seconds => 3600 });

sub submit
{
	my ($id) = @_;
	$node->safe_psql('postgres', <<"SQL");
SELECT trading.submit(jsonb_build_object('company_id', 'acme', 'user_id', '_all', 'batch_id', '$id', 'generated_at', now(),
	'predictions', jsonb_build_array(jsonb_build_object('prediction_id', '$id', 'symbol', 'EURUSD',
		'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.9))));
SQL
	return;
}

sub use_names
{
	my ($engine, $prefix) = @_;
	my $name = $prefix =~ s/\..*//r;
	configure($engine, 'trading_engine.subject_prefix' => "'$prefix'", 'trading_engine.input_stream' => "'${name}_in'",
		'trading_engine.output_stream' => "'${name}_out'");
	$engine->reload;
	return;
}

# What the stream holds: whose, and what it is.
sub stream
{
	my ($name) = @_;
	return join ' ', map { "$_->{headers}{'te-seq'}:" . $_->{subject} =~ s/^(.*)\.signals\.0\.acme\.(\w+)\.EURUSD$/$1:$2/r . ":$_->{envelope}{message_type}" } $nats->dump($name);
}

submit('first');
wait_for($node, 'SELECT (nats_epoch, nats_seq) = (epoch, last_seq) AND last_seq = 2 FROM trading.lane_output', 't', 'output goes to NATS');
my @before = $nats->dump('trading_output_0');
$nats->stop;
wait_for($node, 'SELECT state FROM trading.lane_output', 'NONE', 'NATS is away');
submit('second');
wait_for($node, 'SELECT last_seq FROM trading.lane_output', 4, 'there is output that waits');
value($node, q{SELECT trading.halt('acme/ben', 'test')});
my ($pid) = worker_pids($node);
use_names($node, 'desk.eu');
wait_for($node, "SELECT count(*) FROM trading.stat_workers WHERE pid <> $pid", 1, 'another worker has other names');
$nats->start;
wait_for($node, 'SELECT (nats_epoch, nats_seq) = (epoch, last_seq) FROM trading.lane_output', 't', 'it goes to the stream of the new prefix');
is(stream('desk_out_0'), '1:desk.eu:ann:TRADING_SIGNALS 2:desk.eu:ben:TRADING_SIGNALS 3:desk.eu:ann:TRADING_SIGNALS 4:desk.eu:ben:GAP_FILL',
	'under which consumers look for it, with what the other stream has');
my @after = $nats->dump('desk_out_0');
is_deeply([ map { $_->{sha256} } @after[0, 1] ], [ map { $_->{sha256} } @before ], 'byte for byte');
is(value($node, 'SELECT sent, missing, transport FROM trading.resend(0, 1, 4)'), '4|0|NATS', 'and it can be sent again');

# Somebody else's output.
my $other = engine('other', used_broker => 1, conf => { 'trading_engine.nats_url' => "'" . $nats->url . "'", 'trading_engine.subject_prefix' => "'desk.eu'",
	'trading_engine.input_stream' => "'desk_in'", 'trading_engine.output_stream' => "'desk_out'" }, lanes => 1);
wait_for($other, 'SELECT state FROM trading.stat_workers', 'foreign', 'two databases with the same names: one is foreign');
use_names($other, 'other');
wait_for($other, 'SELECT state FROM trading.stat_workers', 'running', 'with names of its own it runs');
$other->stop;
$node->stop;
$nats->stop;
done_testing();
