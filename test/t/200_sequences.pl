# Sequences of producers: whatever the order in which messages come, and however often, each
# takes effect once and in its producer's order; what is missing is asked for, waited for, and
# given up or not, as the producer's policy says.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use IPC::Run;
use List::Util qw(shuffle);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;
use TradingEngineRun;

my $nats = TradingEngineNats->new('sequences')->start;
my $node = engine('sequences', nats => $nats, lanes => 1, conf => {
	'restart_after_crash' => 'on',
	'trading_engine.gap_request_after' => 100,
	'trading_engine.gap_request_again' => 300,
	'trading_engine.gap_wait' => 600000, # see patience()
	'trading_engine.parked_messages' => 40,
	'trading_engine.parked_messages_per_producer' => 30,
});
company($node, 'acme', users => ['ann'],
	strategy => { max_prediction_age_ms => 86400000, allowed_regimes => "trading.enum_labels('regime')" });
value($node, q{INSERT INTO trading.producers (company_id, producer_id, on_gap) VALUES ('acme', 'careful', 'halt'), ('acme', 'other', 'skip')});

my $epoch = $nats->{epoch};

sub message
{
	my ($seq, %o) = @_;
	return $nats->batch(company => 'acme', epoch => $o{epoch} // $epoch, seq => $seq, producer => $o{producer} // 'model',
		batch_id => ($o{name} // '') . "$seq", %o);
}

# A message twice under one number has the same bytes, unless it is made anew.
my %made;
sub same
{
	my ($seq, %o) = @_;
	return $made{ join '/', $o{producer} // 'model', $o{epoch} // $epoch, $seq } //= message($seq, %o);
}

sub heartbeat
{
	my ($last_seq, %o) = @_;
	return {
		subject => 'trading.predictions.acme._all', type => 'Heartbeat',
		envelope => { company_id => 'acme', user_id => '_all', producer_id => $o{producer} // 'model' },
		payload => {
			producer_id => $o{producer} // 'model', producer_epoch => $o{epoch} // $epoch, last_seq => $last_seq,
			at => int(Time::HiRes::time() * 1_000_000), company_id => 'acme', user_id => '_all', %{ $o{payload} // {} },
		},
	};
}

sub applied_query
{
	my (%o) = @_;
	return sprintf q{SELECT string_agg(producer_seq::text, ' ' ORDER BY batch_no, position) FROM trading.prediction_batches
		WHERE producer_id = '%s' AND producer_epoch = %s}, $o{producer} // 'model', $o{epoch} // $epoch;
}
sub applied { return value($node, applied_query(@_)); }
sub wait_for_applied { my ($expected, $name, %o) = @_; return wait_for($node, applied_query(%o), $expected, $name); }

sub gaps
{
	my (%o) = @_;
	return value($node, sprintf q{SELECT string_agg(concat_ws(' ', source, scope, from_seq || '-' || to_seq, reason), ', ' ORDER BY gap_id)
		FROM trading.input_gaps WHERE producer_id = '%s' AND epoch = %s}, $o{producer} // 'model', $o{epoch} // $epoch) // '';
}
sub gaps_are { my ($expected, $name, %o) = @_; return is(gaps(%o), $expected, $name); }
sub position { return value($node, q{SELECT done, resume FROM trading.input_positions}); }
sub counter { my ($column) = @_; return value($node, "SELECT $column FROM trading.stat_workers"); }
# Counters follow the commit.
sub counter_is { my ($columns, $expected, $name) = @_; return wait_for($node, "SELECT $columns FROM trading.stat_workers", $expected, $name); }

# How long missing messages are waited for: long enough for any machine where they come, short where they don't.
sub patience
{
	my ($milliseconds) = @_;
	configure($node, 'trading_engine.gap_wait' => $milliseconds);
	$node->reload;
	return;
}

# What producers are asked for, as it comes.
sub start_listening
{
	my $ear = { out => '' };
	$ear->{run} = IPC::Run::start([ 'te_nats', '--url', $nats->url, 'sub', 'trading.control.resend.>', '--seconds', '600' ],
		'<', \undef, '>', \$ear->{out}, '2>', \$ear->{err});
	sleep 1;
	return $ear;
}

sub wait_for_request
{
	my ($ear, $pattern, $name) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	while (time() < $end && $ear->{out} !~ $pattern) { $ear->{run}->pump_nb; select undef, undef, undef, 0.05; }
	return like($ear->{out}, $pattern, $name);
}

#----------------------------------------------------------------------
# Order
#----------------------------------------------------------------------

$nats->publish(map { same($_) } 1 .. 3);
wait_for_applied('1 2 3', 'in order');
is(position(), '3|3', 'nothing is read again after a restart');

$nats->publish(same(6), same(5));
wait_for_input($node, $nats);
is(applied(), '1 2 3', 'messages that are early wait');
is(position(), '5|3', 'and are read again after a restart');
counter_is('parked', 2, 'they are counted');
$nats->publish(same(4));
wait_for_applied('1 2 3 4 5 6', 'what was missing lets them take effect');
is(position(), '6|6', 'none is held any more');
counter_is('parked', 0, 'nor counted');
gaps_are('', 'nothing is a gap');

$nats->publish(same(2), same(6), message(3, name => 'other'), message(1, epoch => $epoch - 1, name => 'old'));
wait_for_input($node, $nats);
is(applied(), '1 2 3 4 5 6', 'repeats, another content and an old epoch have no effect');
counter_is('duplicates, conflicts, stale, late', '2|1|1|0', 'each is counted');
is(value($node, 'SELECT reason, detail FROM trading.dead_letters'), 'CONFLICT|seq: was used for other content', 'other content is a dead letter');

#----------------------------------------------------------------------
# Holes
#----------------------------------------------------------------------

my $ear = start_listening();
$nats->publish(same(9), same(8));
wait_for_request($ear, qr/"from": ?"?7"?/, 'the producer is asked for what is missing');
like($ear->{out}, qr/trading\.control\.resend\.model/, 'on its own subject');
$nats->publish(same(7));
wait_for_applied('1 2 3 4 5 6 7 8 9', 'and sends it again');
gaps_are('', 'which leaves no gap');

my $requests = counter('resend_requests');
$nats->publish(same(12), same(14));
counter_is('resend_requests > ' . ($requests + 2), 't', 'it is asked for more than once');
patience(100);
wait_for_applied('1 2 3 4 5 6 7 8 9 12 14', 'what never comes is skipped');
gaps_are('producer acme/_all 10-11 MISSING, producer acme/_all 13-13 MISSING', 'and recorded');
counter_is('parked', 0, 'nothing waits');
patience(600000);
$nats->publish(same(13));
wait_for_input($node, $nats);
counter_is('late', 1, 'what comes after it was given up is late');
is(applied(), '1 2 3 4 5 6 7 8 9 12 14', 'and has no effect');
is(value($node, 'SELECT count(*) FROM trading.dead_letters'), 1, 'nor is it a dead letter');

# A message that is no good takes its number with it.
$nats->publish(message(15, predictions => []), same(16));
wait_for_applied('1 2 3 4 5 6 7 8 9 12 14 16', 'a bad message has its number', );
gaps_are('producer acme/_all 10-11 MISSING, producer acme/_all 13-13 MISSING', 'which is no gap');
is(value($node, q{SELECT count(*) FROM trading.dead_letters WHERE reason = 'EMPTY_BATCH'}), 1, 'but a dead letter');
# Also when it has to wait for its turn.
$nats->publish(message(18, predictions => []), same(19));
wait_for_input($node, $nats);
is(value($node, q{SELECT count(*) FROM trading.dead_letters WHERE reason = 'EMPTY_BATCH'}), 1, 'a bad message that is early waits');
$nats->publish(same(17));
wait_for_applied('1 2 3 4 5 6 7 8 9 12 14 16 17 19', 'until its turn has come');
is(value($node, q{SELECT count(*) FROM trading.dead_letters WHERE reason = 'EMPTY_BATCH'}), 2, 'then it is a dead letter');

#----------------------------------------------------------------------
# Heartbeats
#----------------------------------------------------------------------

patience(100);
$nats->publish(heartbeat(21));
wait_for($node, q{SELECT from_seq, to_seq, reason FROM trading.input_gaps WHERE from_seq = 20}, '20|21|MISSING', 'a lost end is known by a heartbeat');
$nats->publish(heartbeat(21));
wait_for_input($node, $nats);
is(value($node, 'SELECT count(*) FROM trading.input_gaps'), 3, 'once');
$nats->publish(heartbeat(30, producer => 'stranger'));
wait_for_input($node, $nats);
is(value($node, q{SELECT reason FROM trading.dead_letters ORDER BY recorded_at DESC LIMIT 1}), 'NOT_AUTHORISED', 'whoever may not predict may not say so either');
$nats->publish({ %{ heartbeat(22) }, envelope => { company_id => 'acme', user_id => '_all', producer_id => 'other' } });
wait_for_input($node, $nats);
is(value($node, q{SELECT reason, detail FROM trading.dead_letters ORDER BY recorded_at DESC LIMIT 1}),
	'MISMATCH|producer_id: envelope and heartbeat differ', 'nor for somebody else');

#----------------------------------------------------------------------
# Epochs
#----------------------------------------------------------------------

my $second = $epoch + 1;
patience(600000);
$nats->publish(same(24), same(1, epoch => $second), same(3, epoch => $second));
wait_for_applied('1', 'a new epoch begins at 1', epoch => $second);
like(applied(), qr/ 19 24$/, 'what waited in the old one took effect before');
like(gaps(), qr/producer acme\/_all 22-23 ABANDONED/, 'its holes are recorded');
$nats->publish(same(22));
wait_for_input($node, $nats);
counter_is('stale', 2, 'it is over');
$nats->publish(same(2, epoch => $second));
wait_for_applied('1 2 3', 'the new one goes on', epoch => $second);

#----------------------------------------------------------------------
# Sequences that halt
#----------------------------------------------------------------------

my %careful = (producer => 'careful');
patience(100);
$nats->publish(same(1, %careful), same(3, %careful), same(1, producer => 'other'));
wait_for($node, q{SELECT state, reason LIKE 'message 2 of epoch % of producer acme/\_all/careful is missing%' FROM trading.stat_workers}, 'halted|t',
	'a producer that must not lose a message halts its lane');
is(value($node, q{SELECT status FROM trading.health() WHERE "check" = 'lane 0'}), 'FAIL', 'which is no sign of health');
is(applied(%careful), '1', 'what follows waits');
wait_for_applied('1', 'others go on', producer => 'other');
$nats->publish(same(2, producer => 'other'));
wait_for_applied('1 2', 'also later', producer => 'other');
$nats->publish(same(2, %careful));
wait_for_applied('1 2 3', 'when it comes, all goes on', %careful);
wait_for($node, 'SELECT state, reason FROM trading.stat_workers', 'running|', 'and the lane runs');

$nats->publish(same(6, %careful));
wait_for($node, 'SELECT state FROM trading.stat_workers', 'halted', 'halted again');
value($node, q{SELECT trading.release_gap('acme', '_all', 'careful')});
wait_for_applied('1 2 3 6', 'somebody gives it up', %careful);
gaps_are('producer acme/_all 4-5 RELEASED', 'which is recorded', %careful);
wait_for($node, 'SELECT state FROM trading.stat_workers', 'running', 'the lane runs');

$nats->publish(same(8, %careful));
wait_for($node, 'SELECT state FROM trading.stat_workers', 'halted', 'halted a third time');
$nats->publish((map { same($_, %careful) } 9 .. 60), same(3, producer => 'other'));
wait_for($node, q{SELECT reason ~ 'must not be skipped; nats is not read any more, 30 messages wait$' FROM trading.stat_workers}, 't',
	'when the room for what waits is used up nothing more is read, which is shown');
like(value($node, q{SELECT detail FROM trading.health() WHERE "check" = 'lane 0'}), qr/nats is not read any more/, 'to whoever asks for its health');
counter_is('input_pending > 0', 't', 'what isn\'t read stays with the broker');
is(value($node, 'SELECT sent FROM trading.resend(0, 1, 1)'), '1', 'a halted lane sends again what it is asked for');
is(value($node, 'SELECT trading.adopt()'), '0', 'it can\'t be adopted, which would give up what it has not sent yet');
my ($lane) = worker_pids($node);
kill 'STOP', $lane;
my (undef, undef, $waits) = $node->psql('postgres', q{SET statement_timeout = '500ms'; SELECT trading.halt('acme', 'test')});
like($waits, qr/statement timeout/, 'the kill switch waits for its word, as for any lane\'s that sends');
kill 'CONT', $lane;
value($node, q{UPDATE trading.producers SET on_gap = 'skip' WHERE producer_id = 'careful'});
wait_for_applied('1 2 3', 'the others\' is read then, too', producer => 'other');
wait_for_applied(join(' ', 1 .. 3, 6, 8 .. 60), 'a change of the policy counts at once', %careful);
gaps_are('producer acme/_all 4-5 RELEASED, producer acme/_all 7-7 MISSING', 'as it says', %careful);
wait_for($node, 'SELECT state FROM trading.stat_workers', 'running', 'the lane runs');

#----------------------------------------------------------------------
# Bounds
#----------------------------------------------------------------------

my %flood = (producer => 'other', epoch => $epoch + 5);
patience(600000);
$nats->publish(map { same($_, %flood) } 1, 3 .. 40);
wait_for_input($node, $nats);
is(gaps(%flood), 'producer acme/_all 2-2 OVERFLOW', 'what waits has a bound, behind which a hole is given up at once');
is(applied(%flood), join(' ', 1, 3 .. 40), 'and all goes on');

#----------------------------------------------------------------------
# Restarts
#----------------------------------------------------------------------

# Kills the worker while messages wait, ticks and bad ones between them.
my %torn = (epoch => $epoch + 6);
my $letters = value($node, 'SELECT count(*) FROM trading.dead_letters');
$nats->publish(same(1, %torn), same(4, %torn), $nats->tick(price => 1.2), { subject => 'trading.predictions.acme._all', hex => '00' },
	same(3, %torn), same(5, %torn), $nats->batch(company => 'acme', seq => 0, batch_id => 'unnumbered'));
wait_for_input($node, $nats);
counter_is('parked', 3, 'three messages wait');
counter_is('ticks', 1, 'a price between them is taken');
my $old = kill_worker($node, 0);
wait_for($node, "SELECT count(*) FROM trading.stat_workers WHERE state = 'running' AND pid <> $old", '1', 'the worker was killed');
wait_for($node, 'SELECT parked FROM trading.stat_workers', 3, 'the messages that waited are read again');
is(applied(%torn), '1', 'and wait');
is(counter('ticks'), 0, 'prices between them are not taken again');
is(value($node, 'SELECT count(*) FROM trading.dead_letters'), $letters + 1, 'nor are bad messages');
is(value($node, q{SELECT count(*) FROM trading.prediction_batches WHERE batch_id = 'unnumbered'}), 1, 'nor batches without a number');
is(counter('duplicates'), 0, 'and nothing of it counts as repeated');
$nats->publish(same(2, %torn));
wait_for_applied('1 2 3 4 5', 'what was missing comes', %torn);
is(position() =~ /^(\d+)\|\1$/ ? 1 : 0, 1, 'then nothing is held');

$nats->publish(same(7, %torn));
wait_for_input($node, $nats);
$node->restart;
wait_for($node, 'SELECT parked FROM trading.stat_workers', 1, 'a restart of the server reads again, too');
my ($status, undef, $error) = $node->psql('postgres', 'SELECT trading.set_lanes(2)');
like($error, qr/messages wait in lane 0 for missing ones before them/, 'lanes are not cut anew while messages wait');
wait_for($node, "SELECT state FROM trading.stat_workers", 'running', 'the lane goes on');
$nats->publish(same(6, %torn));
wait_for_applied('1 2 3 4 5 6 7', 'nothing is lost', %torn);

# A reconnect has the waiting messages in memory.
$nats->publish(same(9, %torn));
wait_for($node, 'SELECT parked FROM trading.stat_workers', 1, 'one waits');
$nats->kill9;
$nats->start;
$nats->publish(same(8, %torn));
wait_for_applied('1 2 3 4 5 6 7 8 9', 'it waits beyond the end of the connection', %torn);

#----------------------------------------------------------------------
# Disorder
#----------------------------------------------------------------------

my %wild = (epoch => $epoch + 7);
srand 11;
my @all = map { { key => $_ + rand(25), message => same($_, %wild) } } map { ($_) x (1 + int rand 5) } 1 .. 400;
$nats->publish(map { $_->{message} } sort { $a->{key} <=> $b->{key} } @all);
wait_for_applied(join(' ', 1 .. 400), 'each message once to five times, in disorder: each once, in order', %wild);
gaps_are('', 'without a gap', %wild);
is(value($node, q{SELECT count(*) - count(DISTINCT signal_id) FROM trading.signals}), 0, 'no signal twice');
wait_for_output($node, $nats);
streams_match_table($node, $nats, 'at the end');

$ear->{run}->kill_kill;
$node->stop;
$nats->stop;
done_testing();
