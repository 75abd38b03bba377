# The output's way: NATS freezes, Kafka takes over, NATS gets back what it has missed; both are gone;
# a worker is killed in each state; Kafka alone.  Each message has one content everywhere, none is
# lost or out of order.
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

# Loose in time, so that a slow machine decides the same.
my %strategy = (
	allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 600000, signal_ttl_seconds => 3600);

my $nats = TradingEngineNats->new('failover')->start;
my $kafka = TradingEngineKafka->new('failover', lanes => 2)->start;
my $node = engine('failover', nats => $nats, lanes => 2, conf => {
	'restart_after_crash' => 'on',
	'trading_engine.restart_delay' => '100ms',
	$kafka->settings,
	'trading_engine.route_dwell' => '2s',
	'trading_engine.route_dwell_max' => '4s',
	'trading_engine.route_probe_wait' => '300ms',
	'trading_engine.route_probe_wait_max' => '600ms',
	'trading_engine.route_probe_successes' => 3,
	'trading_engine.route_probe_span' => '600ms' });
company($node, 'acme', users => [ 'ann', 'bob' ], strategy => \%strategy);
company($node, 'north', users => ['nina'], strategy => \%strategy);

my $number = 0;

# A prediction by SQL, for everybody: brokers may be down.
sub submit
{
	my $id = 'p' . ++$number;
	$node->safe_psql('postgres', <<"SQL");
SELECT trading.submit(jsonb_build_object('company_id', '_all', 'user_id', '_all', 'batch_id', '$id', 'producer_id', 'model',
	'generated_at', now(), 'predictions', jsonb_build_array(jsonb_build_object('prediction_id', '$id', 'symbol', 'EURUSD',
		'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.9))));
SQL
	return $id;
}

sub decided
{
	my ($id, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for($node, "SELECT count(*) FROM trading.signals WHERE prediction_id = '$id' AND outcome = 'SIGNAL'", '3', $name);
}

# Both lanes' routes are in a state; messages go on coming, so that trouble is noticed.
sub on_the_way
{
	my ($state, $name) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	my $found = '';
	while (time() < $end)
	{
		submit();
		(undef, $found) = $node->psql('postgres', q{SELECT string_agg(DISTINCT state, ' ') FROM trading.lane_output});
		last if ($found // '') eq $state;
		sleep 0.1;
	}
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is($found, $state, $name);
}

# Every committed message is at NATS, or at any broker.
sub all_sent
{
	my ($where, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $place = $where eq 'NATS' ? '(nats_epoch, nats_seq)' : 'GREATEST((nats_epoch, nats_seq), (kafka_epoch, kafka_seq))';
	return wait_for($node, "SELECT bool_and($place = (epoch, last_seq)) FROM trading.lane_output", 't', $name);
}

sub markers
{
	return grep { ($_->{envelope}{payload_type} // '') eq 'RouteMarker' } $kafka->dump('trading.signals');
}

#----------------------------------------------------------------------
# Frozen, and back
#----------------------------------------------------------------------

on_the_way('NATS', 'output goes to NATS');
all_sent('NATS', 'all of it');
is($kafka->messages('trading.signals'), 0, 'and nothing to Kafka');

my $frozen = value($node, 'SELECT clock_timestamp()');
$nats->pause;
wait_until('Kafka has the first signal', sub { submit(); $kafka->messages('trading.signals') > 0 });
within(value($node, qq{SELECT extract(epoch FROM min(changed_at) - '$frozen') FROM trading.routes WHERE state = 'KAFKA'}), 5,
	'from a frozen NATS to the first signal on Kafka');
on_the_way('KAFKA', 'the lanes send to Kafka');
all_sent('Kafka', 'all that was decided is there');
wait_for($node, q{SELECT count(*) FROM trading.stat_transports WHERE route = 'KAFKA'}, '4', 'trading.stat_transports shows it');
my @markers = markers();
is(join(' ', sort map { "$_->{partition} $_->{envelope}{payload}{from}-$_->{envelope}{payload}{to}" } @markers), '0 NATS-KAFKA 1 NATS-KAFKA',
	'a marker on each lane\'s partition says where its segment begins');
my @signals = grep { ($_->{envelope}{payload_type} // '') eq 'TradingSignalBatch' } $kafka->dump('trading.signals');
is(join(' ', sort keys %{ { map { $_->{headers}{'te-route'} => 1 } @signals } }), '2', 'its messages carry the second route epoch');

$nats->resume;
wait_for($node, q{SELECT string_agg(DISTINCT state, ' ') FROM trading.lane_output}, 'NATS', 'NATS answers again, and gets the output back');
like(value($node, q{SELECT string_agg(state, ' ' ORDER BY version) FROM trading.routes WHERE lane = 0}),
	qr/NATS SUSPECT KAFKA (HALF_OPEN KAFKA )*HALF_OPEN DRAIN_BACK NATS$/, 'each change was stored');
all_sent('NATS', 'with all that it has missed');
my @missed = grep { ($_->{headers}{'te-backfill'} // '') eq '1' } map { $nats->dump("trading_output_$_") } 0, 1;
cmp_ok(scalar @missed, '>', 0, 'which is marked');
wait_until('the last markers are on Kafka', sub { 2 == grep { $_->{envelope}{payload}{to} eq 'NATS' } markers() });
pass('markers on Kafka say where the segments ended');
proven('frozen and back', $node, nats => $nats, kafka => $kafka);

#----------------------------------------------------------------------
# Both are gone
#----------------------------------------------------------------------

$kafka->down;
$nats->stop;
on_the_way('NONE', 'without any broker nothing is sent');
decided(submit(), 'but decided');
cmp_ok(value($node, 'SELECT min(outbox_pending) FROM trading.stat_workers'), '>', 0, 'and waits');
my (undef, undef, $error) = $node->psql('postgres', 'SELECT trading.resend(0, 1, 1)');
like($error, qr/lane 0 can't send it again: neither NATS nor Kafka can be reached/, 'nothing can be sent again, and that is said');
$kafka->up;
on_the_way('KAFKA', 'the first broker that is back');
all_sent('Kafka', 'has it all');

# Whoever reads Kafka alone lacks what went to NATS.
cmp_ok(scalar @{ consumed($node, kafka => $kafka)->{holes} }, '>', 0, 'a consumer of Kafka alone has holes');
for my $lane (0, 1)
{
	my $last = value($node, "SELECT last_seq FROM trading.lane_output WHERE lane = $lane");
	is(value($node, "SELECT sent, missing, transport FROM trading.resend($lane, 1, $last)"), "$last|0|KAFKA", "all of lane $lane is sent to Kafka again");
}
my $filled = consumed($node, kafka => $kafka);
is_deeply([ @$filled{qw(holes conflicts refused)} ], [ [], 0, 0 ], 'it is taken as what it is: once, in order, without holes');
is($filled->{consumed}, value($node, 'SELECT sum(last_seq) FROM trading.lane_output'), 'all of it');
my ($on_kafka) = grep { $_->{headers}{'te-seq'} eq '1' && $_->{headers}{'te-lane'} eq '1' } $kafka->dump('trading.resent');
is(join(' ', map { $on_kafka->{headers}{$_} // '-' } qw(te-lane te-epoch te-seq te-resent)), '1 ' . value($node, 'SELECT epoch FROM trading.lanes WHERE lane = 1') . ' 1 1', 'with its identity');
is($on_kafka->{partition}, 1, 'in the lane\'s partition');
like($on_kafka->{headers}{'te-subject'}, qr/^trading\.signals\.1\./, 'and its subject');
$nats->start;
wait_for($node, q{SELECT string_agg(DISTINCT state, ' ') FROM trading.lane_output}, 'NATS', 'then NATS');
all_sent('NATS', 'has it all, too');
proven('both were gone', $node, nats => $nats, kafka => $kafka);

#----------------------------------------------------------------------
# Once more, on request
#----------------------------------------------------------------------

my ($epoch, $seq) = split /\|/, value($node, 'SELECT out_epoch, max(out_seq) FROM trading.signals WHERE lane = 0 AND out_seq IS NOT NULL GROUP BY 1');
my ($original) = grep { $_->{headers}{'te-seq'} == $seq } $nats->dump('trading_output_0');
my %again = (out => '', err => '');
my $listener = IPC::Run::start([ 'te_nats', '--url', $nats->url, 'sub', 'trading.resent.>', '--count', 1, '--seconds', 60 ],
	'<', \undef, '>', \$again{out}, '2>', \$again{err});
wait_until('somebody listens', sub { $node->safe_psql('postgres', "SELECT trading.resend(0, $seq, $seq)"); $listener->pump_nb; $again{out} ne '' });
IPC::Run::finish($listener);
my ($resent) = $nats->decode_lines($again{out});
is($resent->{subject}, $original->{subject} =~ s/^trading/trading.resent/r, 'trading.resend() sends on a subject of its own');
is($resent->{sha256}, $original->{sha256}, 'byte for byte');
is(join(' ', map { $resent->{headers}{$_} // '-' } qw(te-lane te-epoch te-seq te-hash)), join(' ', map { $original->{headers}{$_} } qw(te-lane te-epoch te-seq te-hash)),
	'with its identity');
is(join(' ', map { $resent->{headers}{$_} // '-' } qw(te-resent te-subject)), "1 $original->{subject}", 'marked as what it is');
is(value($node, "SELECT sent, missing, transport FROM trading.resend(0, 1, $seq, $epoch)"), "$seq|0|NATS", 'as many as there are');
is(value($node, "SELECT sent, missing, transport FROM trading.resend(0, $seq + 100000, $seq + 100001)"), '0|2|NATS', 'and none that there aren\'t, which is said');

(undef, undef, $error) = $node->psql('postgres', 'SELECT trading.resend(7, 1, 1)');
like($error, qr/lane 7 doesn't run/, 'a lane that doesn\'t run can\'t');
(undef, undef, $error) = $node->psql('postgres', 'SELECT trading.resend(0, 2, 1)');
like($error, qr/must be a range of 1 to 10000 messages/, 'a range is checked');

#----------------------------------------------------------------------
# kill -9 in each state
#----------------------------------------------------------------------

# Drive the route to a state, as often as it passes that before it is looked at; then the lane's worker is
# killed, and the server starts anew.
sub killed_in
{
	my ($state, $drive) = @_;
	my $version = value($node, 'SELECT COALESCE(max(version), 0) FROM trading.routes WHERE lane = 0');
	wait_until("$state is reached", sub {
		$drive->();
		submit();
		value($node, "SELECT count(*) FROM trading.routes WHERE lane = 0 AND version > $version AND state = '$state'") > 0 });
	kill_worker($node, 0);
	wait_for_lanes($node);
	return;
}

killed_in('SUSPECT', sub { $nats->pause });
killed_in('KAFKA', sub { });
# On a slow machine it is back on NATS before the test is.
sub back
{
	if (value($node, 'SELECT state FROM trading.lane_output WHERE lane = 0') eq 'NATS')
	{
		$nats->pause;
		on_the_way('KAFKA', 'away once more');
	}
	$nats->resume;
	return;
}
killed_in('HALF_OPEN', \&back);
killed_in('DRAIN_BACK', \&back);
wait_for($node, q{SELECT string_agg(DISTINCT state, ' ') FROM trading.lane_output}, 'NATS', 'killed in SUSPECT, KAFKA, HALF_OPEN and DRAIN_BACK: back on NATS');
killed_in('NONE', sub { $kafka->down; $nats->stop });
$nats->start;
$kafka->up;
wait_for($node, q{SELECT string_agg(DISTINCT state, ' ') FROM trading.lane_output}, 'NATS', 'killed in NONE: on NATS again');
decided(submit(), 'and on');
all_sent('NATS', 'NATS has it all');
proven('killed in each state', $node, nats => $nats, kafka => $kafka);
is(value($node, 'SELECT count(*) - count(DISTINCT (lane, route_epoch, via)) FROM (SELECT DISTINCT lane, route_epoch, via FROM trading.routes) AS r'), '0',
	'no route epoch had two transports');

#----------------------------------------------------------------------
# A message that NATS has lost
#----------------------------------------------------------------------

# A stream keeps it for who isn't there; a message that the output stream has lost is had from there.
$nats->js_api('$JS.API.STREAM.CREATE.trading_resent', { name => 'trading_resent', subjects => ['trading.resent.>'] });
$nats->js_api('$JS.API.STREAM.MSG.DELETE.trading_output_0', { seq => 3 });
is_deeply(consumed($node, nats => $nats)->{holes}, [ [ 0, $epoch + 0, 3, 3 ] ], 'a message is lost');
is(value($node, "SELECT sent FROM trading.resend(0, 3, 3, $epoch)"), 1, 'it is sent again');
my $again = consumed($node, nats => $nats);
is_deeply([ @$again{qw(holes conflicts refused)} ], [ [], 0, 0 ], 'the consumer takes it');
$nats->pause;
is(value($node, "SELECT sent, transport FROM trading.resend(0, 3, 3, $epoch)"), '1|KAFKA', 'a NATS that hangs is no excuse');
$nats->resume;
wait_for($node, q{SELECT string_agg(DISTINCT state, ' ') FROM trading.lane_output}, 'NATS', 'it comes back');
$node->stop;
$nats->stop;

#----------------------------------------------------------------------
# Kafka alone
#----------------------------------------------------------------------

my $only = TradingEngineKafka->new('only', lanes => 2)->start;
$node = engine('only', lanes => 2, conf => { $only->settings });
company($node, 'acme', users => [ 'ann', 'bob' ], strategy => \%strategy);
company($node, 'north', users => ['nina'], strategy => \%strategy);
decided(submit(), 'without NATS');
wait_for($node, 'SELECT bool_and((kafka_epoch, kafka_seq) = (epoch, last_seq)) FROM trading.lane_output', 't', 'Kafka gets the output');
is(value($node, q{SELECT string_agg(DISTINCT state || '/' || via || '/' || route_epoch, ' ') FROM trading.lane_output}), 'KAFKA/KAFKA/1', 'in the first route epoch');
$only->down;
on_the_way('NONE', 'it goes');
$only->up;
on_the_way('KAFKA', 'and comes back');
wait_for($node, 'SELECT bool_and((kafka_epoch, kafka_seq) = (epoch, last_seq)) FROM trading.lane_output', 't', 'with all of it');
proven('Kafka alone', $node, kafka => $only);

$node->stop;
$kafka->stop;
$only->stop;
done_testing();
