# A broker that is not there, goes, hangs or forgets: the workers stay, say so, go on with
# what comes by SQL, and catch up.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();
use TradingEngine;
use TradingEngineNats;
use TradingEngineRun;

# Loose in time, so that a slow machine decides the same.
my %strategy = (
	allowed_regimes => "trading.enum_labels('regime')",
	max_prediction_age_ms => 600000,
	duplicate_window_seconds => 0);

# Submit a prediction by SQL.
sub submit
{
	my ($node, $id, $company) = @_;
	$company //= '_all';
	$node->safe_psql('postgres', <<"SQL");
SELECT trading.submit(jsonb_build_object('company_id', '$company', 'user_id', '_all', 'batch_id', '$id', 'producer_id', 'model',
	'generated_at', now(), 'predictions', jsonb_build_array(jsonb_build_object('prediction_id', '$id', 'symbol', 'EURUSD',
		'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.9))));
SQL
	return;
}

# Wait until every strategy has a signal of a prediction.
sub decided
{
	my ($node, $id, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for($node, "SELECT count(*), count(DISTINCT lane) FROM trading.signals WHERE prediction_id = '$id' AND outcome = 'SIGNAL'",
		'3|2', $name);
}

sub transports
{
	my ($node, $state, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for($node, "SELECT count(*) FROM trading.stat_transports WHERE state $state", '2', $name);
}

#----------------------------------------------------------------------
# Down at the start
#----------------------------------------------------------------------

my $nats = TradingEngineNats->new('broker');
my $node = engine('broker', nats => $nats, lanes => 2, conf => { restart_after_crash => 'on' });
company($node, 'acme', users => [ 'ann', 'bob' ], strategy => \%strategy);
company($node, 'north', users => ['nina'], strategy => { %strategy, signal_ttl_seconds => 300 });
my @workers = worker_pids($node);
is(scalar @workers, 2, 'the workers run without the broker');
wait_for($node, "SELECT count(*) FROM trading.stat_transports WHERE state <> 'ready' AND connects = 0 AND errors > 1 AND last_error <> ''",
	'2', 'they say that they can\'t reach it, and try again');
submit($node, 'down');
decided($node, 'down', 'what comes by SQL is decided meanwhile');
wait_for($node, 'SELECT sum(outbox_pending) FROM trading.stat_workers', '3', 'and waits to be sent');

$nats->start;
transports($node, "= 'ready'", 'the workers find the broker when it appears');
$nats->publish($nats->batch(predictions => [ $nats->prediction(prediction_id => 'up') ]));
decided($node, 'up', 'and take what it has');
wait_for_output($node, $nats);
is(streams_are_the_table($node, $nats, 'appeared'), 6, 'what was decided without the broker is sent, too');

#----------------------------------------------------------------------
# Stopped and started
#----------------------------------------------------------------------

$nats->publish($nats->batch(predictions => [ $nats->prediction(prediction_id => 'before') ]));
$nats->stop;
transports($node, "<> 'ready'", 'the workers see that the broker is gone');
submit($node, 'gone');
decided($node, 'gone', 'what comes by SQL is decided meanwhile');
$nats->start;
decided($node, 'before', 'what was published right before is not lost');
transports($node, "= 'ready'", 'the workers are connected again');
wait_for_output($node, $nats);
is(streams_are_the_table($node, $nats, 'restarted'), 12, 'everything is sent');

#----------------------------------------------------------------------
# Hangs
#----------------------------------------------------------------------

$nats->pause;
submit($node, 'hung');
decided($node, 'hung', 'what comes by SQL is decided while the broker hangs');
wait_for($node, 'SELECT count(*) FROM trading.stat_transports WHERE disconnects > 1', '2', 'the workers don\'t wait for it for ever');
$nats->resume;
transports($node, "= 'ready'", 'the workers are connected again');
wait_for_output($node, $nats);
is(streams_are_the_table($node, $nats, 'hung'), 15, 'everything is sent, and once');

#----------------------------------------------------------------------
# Too late
#----------------------------------------------------------------------

$node->safe_psql('postgres', q{UPDATE trading.strategies SET signal_ttl_seconds = 1 WHERE company_id = 'acme'});
$nats->stop;
submit($node, 'late');
decided($node, 'late', 'signals are made while the broker is down');
wait_for($node, q{SELECT count(*) FROM trading.signals WHERE prediction_id = 'late' AND expires_at < clock_timestamp()}, '2',
	'and two of them expire');
$nats->start;
wait_for_output($node, $nats);
my @late = grep { $_->{envelope}{payload_type} eq 'GapFill' } map { $nats->dump("trading_output_$_") } 0, 1;
is_deeply(
	[ map { my $p = $_->{envelope}{payload}; [ $_->{headers}{'te-lane'}, $p->{from} == $p->{to} && $p->{to}, $p->{reason}, $_->{envelope}{company_id} ] } @late ],
	[ map { [ split /\|/ ] } split /\n/, value($node,
			q{SELECT lane, out_seq, 'EXPIRED', company_id FROM trading.signals WHERE prediction_id = 'late' AND company_id = 'acme' ORDER BY out_seq}) ],
	'expired signals are replaced by gap-fill records of their place');
is(value($node, 'SELECT sum(gap_fills) FROM trading.stat_workers'), '2', 'which are counted');
is(scalar(grep { /late/ } map { $nats->te_nats_ok('', 'stream-dump', "trading_output_$_") =~ /"prediction_id": *"(\w+)"/g } 0, 1),
	1, 'the one that is still good is sent');
ok($nats->check("trading_output_$_")->{clean}, "the stream of lane $_ has no gap") for 0, 1;

is_deeply([ worker_pids($node) ], \@workers, 'the workers are those of the beginning');

# A backlog of many batches that no worker has in memory any more.
$nats->stop;
my $batches = value($node, 'SELECT count(*) FROM trading.outbox');
for my $n (1 .. 40)
{
	submit($node, "backlog$n", 'acme');
	$node->poll_query_until('postgres', "SELECT count(*) = 2 FROM trading.signals WHERE prediction_id = 'backlog$n'") or die;
}
cmp_ok(value($node, 'SELECT count(*) FROM trading.outbox'), '>=', $batches + 40, 'a backlog of batches waits in the outbox');
$node->restart;
$nats->start;
wait_for_output($node, $nats);
ok($nats->check("trading_output_$_")->{clean}, "after a restart all of it goes out on lane $_") for 0, 1;
wait_for_lanes($node);
@workers = worker_pids($node);

#----------------------------------------------------------------------
# Forgets
#----------------------------------------------------------------------

my $seq = value($node, 'SELECT max(out_seq) FROM trading.signals WHERE lane = 0');
die unless $nats->js_api('$JS.API.STREAM.DELETE.trading_output_0')->{success};
submit($node, 'deleted', 'acme');
wait_for($node, q{SELECT count(*) FROM trading.signals WHERE prediction_id = 'deleted'}, '2',
	'decisions go on when the output stream is deleted');
wait_until('the stream is there again', sub { $nats->messages('trading_output_0') >= $seq + 2 });
is_deeply([ map { $_->{headers}{'te-seq'} } $nats->dump('trading_output_0') ], [ 1 .. $seq + 2 ],
	'the stream is made anew, and gets everything that the outbox has');
ok($nats->check('trading_output_0')->{clean}, 'with the same content as before');

# What was there and has become too old for the stream isn't sent again.
my $last = value($node, 'SELECT max(out_seq) FROM trading.signals WHERE lane = 1');
die unless $nats->js_api('$JS.API.STREAM.PURGE.trading_output_1')->{success};
wait_for($node, q{SELECT (nats_epoch, nats_seq) = (epoch, last_seq) FROM trading.lane_output WHERE lane = 1}, 't', 'the end of the output is stored');
kill_worker($node, 1);
wait_for_lanes($node);
transports($node, "= 'ready'", 'the workers are back');
@workers = worker_pids($node);
submit($node, 'purged');
decided($node, 'purged', 'and go on');
wait_for_output($node, $nats);
is_deeply([ map { $_->{headers}{'te-seq'} } $nats->dump('trading_output_1') ], [ $last + 1 .. value($node, 'SELECT max(out_seq) FROM trading.signals WHERE lane = 1') ],
	'a stream whose messages are gone because they were old gets only what is new');

die unless $nats->js_api('$JS.API.STREAM.DELETE.trading_input')->{success};
wait_until('the stream is there again', sub { defined $nats->stream_info('trading_input')->{config} });
$nats->publish($nats->batch(predictions => [ $nats->prediction(prediction_id => 'anew') ]));
decided($node, 'anew', 'the input stream is made anew, and read from its beginning');
is(value($node, q{SELECT lane, input_incarnation, input_seq FROM trading.batches AS b
	WHERE batch_no = (SELECT max(batch_no) FROM trading.batches WHERE lane = b.lane) ORDER BY 1}), "0|1|1\n1|1|1",
	'the position says that it is another stream');
is_deeply([ worker_pids($node) ], \@workers, 'the workers are those of the restart');
is(value($node, 'SELECT count(*) - count(DISTINCT (signal_id)) FROM trading.signals'), '0', 'nothing was decided twice');
$node->stop;
$nats->stop;

#----------------------------------------------------------------------
# None at all
#----------------------------------------------------------------------

my $alone = engine('alone', lanes => 2);
company($alone, 'acme', users => [ 'ann', 'bob' ], strategy => \%strategy);
company($alone, 'north', users => ['nina'], strategy => \%strategy);
submit($alone, 'alone');
decided($alone, 'alone', 'without a broker, what comes by SQL is decided');
is(value($alone, 'SELECT count(*) FROM trading.signals WHERE out_seq IS NOT NULL'), '0', 'and not sent');
is(value($alone, 'SELECT sum(outbox_pending) FROM trading.stat_workers'), '0', 'nor does it wait for that');
is(value($alone, "SELECT count(*) FROM trading.stat_transports WHERE state = 'ready' OR last_error <> ''"), '0', 'no broker is missed');
$alone->stop;

done_testing();
