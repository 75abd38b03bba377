# The risk service absent, right, wrong in every way, slow, and recovering: what signals leave
# with, what is noted on them, and what the circuit breaker makes of it.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use TradingEngine;
use TradingEngineNats;
use TradingEngineRisk;
use TradingEngineRun;

# Every signal is over one lot with its stop 20 pips away, and nothing but the service changes it.
use constant { LOTS => 1, ENTRY => 1.1, STOP => 1.098 };
my %strategy = (
	allowed_regimes => "trading.enum_labels('regime')",
	max_prediction_age_ms => 600000,
	duplicate_window_seconds => 0,
	max_position_count => 10000,
	position_sizing => "'FIXED_LOT'",
	fixed_lot => LOTS,
	max_position_size => 10,
	stop_loss_mode => "'PIPS'",
	stop_loss_pips => 20,
	prefer_market_orders => 'true',
	signal_ttl_seconds => 3600);

my $nats = TradingEngineNats->new('risk')->start;
my $node = engine('risk', nats => $nats, lanes => 1, conf => { restart_after_crash => 'on' });
company($node, 'acme', tier => 'ENTERPRISE', users => ['ann'], equity => 1000000, strategy => \%strategy);
company($node, 'birch', tier => 'ENTERPRISE', users => ['bob'], equity => 1000000, strategy => \%strategy);

#----------------------------------------------------------------------
# What the tests do
#----------------------------------------------------------------------

my $json = JSON::PP->new->utf8;
my $number = 0;
my %most; # prediction => lots that it may leave with

sub row
{
	my ($id) = @_;
	my $text = value($node, <<"SQL");
SELECT to_jsonb(s) - 'inputs' - 'assessment' FROM trading.signals AS s WHERE s.prediction_id = '$id'
SQL
	return $text eq '' ? undef : $json->decode($text);
}

sub wait_for_rows
{
	my ($count, @ids) = @_;
	my $list = join ',', map { "'$_'" } @ids;
	$node->poll_query_until('postgres',
		"SELECT count(*) = $count FROM trading.signals WHERE prediction_id IN ($list)")
	  or die "no signals of @ids\n";
	return;
}

# One prediction for a company, decided: its signal.  "most" is what it may leave with at most.
sub signal
{
	my ($most, $company) = @_;
	my $id = 'p' . ++$number;
	$company //= 'acme';
	$most{$id} = $most;
	$nats->publish($nats->batch(company => $company, predictions => [ $nats->prediction(prediction_id => $id) ]));
	wait_for_rows(1, $id);
	return row($id);
}

# The same by SQL, which needs no broker.
sub signal_by_sql
{
	my ($most) = @_;
	my $id = 'sql' . ++$number;
	$most{$id} = $most;
	$node->safe_psql('postgres', <<"SQL");
SELECT trading.submit(jsonb_build_object('company_id', 'acme', 'user_id', '_all', 'batch_id', '$id', 'producer_id', 'model',
	'generated_at', now(), 'predictions', jsonb_build_array(jsonb_build_object('prediction_id', '$id', 'symbol', 'EURUSD',
		'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.9))));
SQL
	wait_for_rows(1, $id);
	return row($id);
}

# So many predictions in one message: their signals.
sub signals_at_once
{
	my ($most, $count) = @_;
	my @ids = map { 'p' . ++$number } 1 .. $count;
	@most{@ids} = ($most) x $count;
	$nats->publish($nats->batch(company => 'acme',
		predictions => [ map { $nats->prediction(prediction_id => $_) } @ids ]));
	wait_for_rows($count, @ids);
	return map { row($_) } @ids;
}

# "status size", and the words that are noted.
sub outcome { my ($s) = @_; return join ' ', $s->{risk_status} // '-', $s->{position_size} // $s->{outcome}; }
sub notes { my ($s) = @_; return join '; ', @{ $s->{risk_notes} // [] }; }

# What is counted: signals asked about, batches that waited.
sub asked_of_service { return value($node, 'SELECT sum(risk_questions), sum(risk_waits) FROM trading.stat_workers'); }

# What has been counted since; the lane counts while its row is already there for all to see.
sub asked_since
{
	my ($before, $questions, $waits, $name) = @_;
	my ($q, $w) = split /\|/, $before;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for($node, 'SELECT sum(risk_questions), sum(risk_waits) FROM trading.stat_workers',
		($q + $questions) . '|' . ($w + $waits), $name);
}

sub breaker_is
{
	my ($state, $name, $company) = @_;
	my $which = defined $company ? "company_id = '$company'" : 'company_id IS NULL';
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for($node, "SELECT state FROM trading.stat_breakers WHERE $which", $state, $name);
}

# Wait until the breaker may be asked again.
sub wait_until_over
{
	$node->poll_query_until('postgres',
		'SELECT bool_and(wait_until < clock_timestamp()) FROM trading.stat_breakers WHERE wait_until IS NOT NULL')
	  or die "the breaker waits for ever\n";
	return;
}

sub set
{
	my (%conf) = @_;
	configure($node, map { ("trading_engine.$_" => $conf{$_}) } keys %conf);
	$node->restart;
	wait_for_lanes($node);
	$node->poll_query_until('postgres', q{SELECT bool_and(state = 'ready') FROM trading.stat_transports})
	  or die "the lane doesn't reach its broker\n";
	return;
}

#----------------------------------------------------------------------
# No service
#----------------------------------------------------------------------

my $s = signal(LOTS);
is(outcome($s), '- 1', 'without the setting nobody is asked, and the signal stands as it was decided');
is_deeply([ @$s{qw(entry_price stop_loss)} ], [ ENTRY, STOP ], 'entry and stop are those of the tests');
is(value($node, 'SELECT count(*) FROM trading.stat_breakers'), 0, 'there is no breaker either');

#----------------------------------------------------------------------
# Absent at the start
#----------------------------------------------------------------------

# The deadline is long, so that a slow machine answers in time; where it matters it is short.
set(risk_service => 'on', risk_deadline => '1s', risk_breaker_wait => '1s', risk_breaker_wait_max => '5min');
my ($subscribed, $news) = ('', '');
my $news_run = IPC::Run::start([ 'te_nats', '--url', $nats->url, 'sub', 'trading.control.breaker' ],
	'<', \undef, '>', \$news, '2>', \$subscribed);
# Another subscriber's answer says that the broker has ours: subscriptions are taken in their order.
sleep 0.5;

my $before = asked_of_service();
for my $i (1 .. 5)
{
	$s = signal(LOTS / 2);
	is(outcome($s), 'ERROR_FALLBACK 0.5', "absent, call $i: half the size");
}
is_deeply([ @$s{qw(original_position_size original_stop_loss stop_loss risk_level)} ], [ LOTS, STOP, STOP, undef ],
	'what it was stands beside it');
like(notes($s), qr/^Position size reduced by risk management/, 'and why');
asked_since($before, 5, 5, 'the service was asked five times');
breaker_is('OPEN', 'then the breaker is open');
is(value($node, 'SELECT calls, failures, opened, cause FROM trading.stat_breakers'), '5|5|1|CONSECUTIVE_FAILURES',
	'after five failures in a row');

# No wait is over while these are decided.
set(risk_breaker_wait => '1h', risk_breaker_wait_max => '1h');
signal(LOTS / 2) for 1 .. 5;
$before = asked_of_service();
for my $i (1 .. 10)
{
	$s = signal(LOTS / 2);
	is(outcome($s), 'FALLBACK_USED 0.5', "open, signal $i: half the size");
}
asked_since($before, 0, 0, 'nobody was asked, nobody waited');
wait_for($node, 'SELECT refused, calls FROM trading.stat_breakers', '10|5', 'ten were refused');

#----------------------------------------------------------------------
# Right answers
#----------------------------------------------------------------------

# Only failures in a row open the breaker from here on.
set(risk_breaker_wait => '500ms', risk_breaker_wait_max => '5min', risk_breaker_calls => 0);
use_service($nats, '--level', 'LOW', '--size-share', 0.3);
$s = signal(0.3);
is(outcome($s), 'ASSESSED 0.3', 'a smaller size is taken');
is($s->{risk_level}, 'LOW', 'with its level');
like(notes($s), qr/^Position size reduced by risk management.*as told/, 'both sides\' words are noted');

$before = asked_of_service();
my @many = signals_at_once(0.3, 60);
is(scalar(grep { outcome($_) eq 'ASSESSED 0.3' } @many), 60, 'all signals of a batch are assessed');
asked_since($before, 60, 1, 'at once: sixty questions, one wait');

use_service($nats, '--level', 'MEDIUM', '--stop-share', 0.5);
$s = signal(LOTS);
is(outcome($s), 'ASSESSED 1', 'a tighter stop leaves the size');
cmp_ok(abs($s->{stop_loss} - 1.099), '<', 1e-9, 'and is taken');
like(notes($s), qr/^Stop loss tightened by risk management/, 'and noted');

use_service($nats, '--level', 'LOW', '--size-share', 2, '--stop-share', 1.5);
$s = signal(LOTS);
is(outcome($s), 'ASSESSED 1', 'a larger size is not taken');
is($s->{stop_loss}, STOP, 'nor is a wider stop');
like(notes($s), qr/^Recommended stop loss ignored: wider/, 'which is noted');

use_service($nats, '--level', 'LOW', '--stop-share', -0.5);
$s = signal(LOTS);
is($s->{stop_loss}, STOP, 'a stop on the wrong side of entry is not taken');
like(notes($s), qr/^Recommended stop loss ignored: on the wrong side/, 'which is noted');

use_service($nats, '--level', 'HIGH', '--size-share', 0.001);
$s = signal(0);
is(outcome($s), 'ASSESSED RISK_REJECTED', 'a size below the least one turns the signal down');
is($s->{cancellation_reason}, 'Position size too small after risk assessment', 'and says so');

# The service's own judgement: 200 USD of 1,000,000 can be lost.
use_service($nats, '--risk', 0.01);
$s = signal(0.5);
is(outcome($s), 'ASSESSED 0.5', 'what may lose more than allowed is cut to it');
is($s->{risk_level}, 'HIGH', 'as a high risk');
like(notes($s), qr/it can lose 0\.02 % of the equity/, 'for a reason');
use_service($nats, '--risk', 1);
$s = signal(LOTS);
is(outcome($s) . ' ' . $s->{risk_level}, 'ASSESSED 1 LOW', 'what loses little is let through as it is');

use_service($nats, '--level', 'LOW', '--size-share', 0.3, '--wrong', 'twice');
my $strays = value($node, 'SELECT sum(risk_strays) FROM trading.stat_workers');
is(outcome(signal(0.3)), 'ASSESSED 0.3', 'an answer that comes twice');
wait_for($node, "SELECT sum(risk_strays) > $strays FROM trading.stat_workers", 't', 'counts once, and is counted');

#----------------------------------------------------------------------
# Wrong answers
#----------------------------------------------------------------------

# Of three questions the first is answered wrongly, so that the breaker stays closed.
for my $wrong (qw(nan infinity negative no-level foreign garbage empty))
{
	use_service($nats, '--level', 'LOW', '--size-share', 0.9, '--wrong', $wrong, '--wrong-every', 3);
	is(outcome(signal(0.3)), 'ERROR_FALLBACK 0.3', "$wrong: the tighter of conservative and last known");
	use_service($nats, '--level', 'LOW', '--size-share', 0.3);
	is(outcome(signal(0.3)), 'ASSESSED 0.3', "after $wrong the service is asked again");
}
breaker_is('CLOSED', 'the breaker is closed all the while');
is(value($node, 'SELECT opened FROM trading.stat_breakers'), 0, 'and never opened');
use_service($nats, '--level', 'LOW', '--size-share', 0.9);
is(outcome(signal(0.9)), 'ASSESSED 0.9', 'the newest answer is what is known');
use_service($nats, '--wrong', 'nan');
is(outcome(signal(0.5)), 'ERROR_FALLBACK 0.5', 'conservative is the tighter one then');

#----------------------------------------------------------------------
# Failing, then recovering
#----------------------------------------------------------------------

signal(0.5) for 1 .. 4;
breaker_is('OPEN', 'five wrong answers in a row open the breaker');
wait_until_over();
is(outcome(signal(0.5)), 'ERROR_FALLBACK 0.5', 'after the wait one is asked, and fails');
breaker_is('OPEN', 'so the breaker is open again');
use_service($nats, '--level', 'LOW', '--size-share', 0.7);
wait_until_over();
is(outcome(signal(0.7)), 'ASSESSED 0.7', 'the service is right again');
breaker_is('HALF_OPEN', 'one answer is not enough');
my @probes = signals_at_once(0.7, 10);
is(scalar(grep { $_->{risk_status} eq 'ASSESSED' } @probes), 1, 'of a batch one signal is the probe');
is(scalar(grep { outcome($_) eq 'FALLBACK_USED 0.5' } @probes), 9, 'the others leave with the tighter of both');
is(outcome(signal(0.7)), 'ASSESSED 0.7', 'the third answer');
breaker_is('CLOSED', 'closes it');
is(outcome(signal(0.7)), 'ASSESSED 0.7', 'and all are asked again');

my $changes = value($node, q{
	SELECT string_agg(from_state || '-' || to_state || ' ' || cause, ', ' ORDER BY changed_at)
	  FROM trading.breaker_changes WHERE lane = 0 AND company_id IS NULL});
like($changes, qr/CLOSED-OPEN CONSECUTIVE_FAILURES, OPEN-HALF_OPEN WAITED, HALF_OPEN-OPEN PROBE_FAILED, OPEN-HALF_OPEN WAITED, HALF_OPEN-CLOSED PROBES_SUCCEEDED$/,
	'every change is a row');
is(value($node, q{
	SELECT round(extract(epoch FROM f.wait_until - f.changed_at) / extract(epoch FROM o.wait_until - o.changed_at))
	  FROM (SELECT * FROM trading.breaker_changes WHERE cause = 'PROBE_FAILED' ORDER BY changed_at DESC LIMIT 1) AS f,
	       LATERAL (SELECT * FROM trading.breaker_changes AS b WHERE b.to_state = 'OPEN' AND b.changed_at < f.changed_at
			 ORDER BY b.changed_at DESC LIMIT 1) AS o}), 2, 'a probe that fails doubles the wait');
like(slurp_file($node->logfile), qr/LOG:  circuit breaker of the risk service: HALF_OPEN after OPEN/, 'and a line in the log');

#----------------------------------------------------------------------
# Slow
#----------------------------------------------------------------------

set(risk_deadline => '20ms', risk_breaker_wait => '1h', risk_breaker_wait_max => '1h');
use_service($nats, '--level', 'LOW', '--size-share', 0.1, '--delay-ms', 300);
$before = asked_of_service();
$strays = value($node, 'SELECT sum(risk_strays) FROM trading.stat_workers');
for my $i (1 .. 5)
{
	is(outcome(signal(0.5)), 'ERROR_FALLBACK 0.5', "slow, call $i: what comes after the deadline is not waited for");
}
asked_since($before, 5, 5, 'the first calls wait');
breaker_is('OPEN', 'the breaker is open');
is(outcome(signal(0.5)), 'FALLBACK_USED 0.5', 'slow and open') for 1 .. 5;
asked_since($before, 5, 5, 'and nobody waits any more');
wait_for($node, q{SELECT count FROM trading.stat_latency WHERE lane = 0 AND metric = 'assess'}, 5, 'as the latencies say');
wait_for($node, "SELECT sum(risk_strays) - $strays FROM trading.stat_workers", 5, 'late answers are counted, and ignored');

# Now and then: by their rate.
set(risk_deadline => '1s', risk_breaker_failures => 0, risk_breaker_calls => 6);
use_service($nats, '--level', 'LOW', '--size-share', 0.7, '--wrong', 'garbage', '--wrong-every', 2);
is(outcome(signal($_ % 2 ? 0.5 : 0.7)), $_ % 2 ? 'ERROR_FALLBACK 0.5' : 'ASSESSED 0.7', "now and then wrong, call $_") for 1 .. 6;
is(outcome(signal(0.5)), 'FALLBACK_USED 0.5', 'half of the calls failed');
wait_for($node, 'SELECT state, cause, calls, failures FROM trading.stat_breakers', 'OPEN|FAILURE_RATE|6|3', 'which opens the breaker, too');
stop_service();

# Failures that lie further apart than the interval aren't counted together.
set(risk_breaker_failures => 2, risk_breaker_calls => 0, risk_breaker_interval => '100ms');
for (1 .. 3)
{
	signal(0.5);
	sleep 0.2;
}
breaker_is('CLOSED', 'failures now and then are forgotten');
wait_for($node, 'SELECT calls, failures, opened FROM trading.stat_breakers', '3|3|0', 'all of them');
set(risk_breaker_interval => 0);
signal(0.5) for 1 .. 2;
breaker_is('OPEN', 'without an interval they are not');

#----------------------------------------------------------------------
# What was known survives the worker
#----------------------------------------------------------------------

set(risk_breaker_failures => 1000, risk_breaker_calls => 0);
use_service($nats, '--level', 'LOW', '--size-share', 0.2, '--stop-share', 0.5);
is(outcome(signal(0.2)), 'ASSESSED 0.2', 'the service says a fifth');
use_service($nats, '--level', 'EXTREME');
$s = signal(0, 'birch');
is(outcome($s), 'ASSESSED RISK_REJECTED', 'and of the other company that its risk is extreme');
is_deeply([ @$s{qw(signal_type risk_level cancellation_reason position_size entry_price)} ],
	[ 'HOLD', 'EXTREME', 'Extreme risk level detected', undef, undef ], 'which leaves no order');
stop_service();
is(outcome(signal(0.2)), 'ERROR_FALLBACK 0.2', 'what was known of a company counts when the service is gone');
is(outcome(signal(0, 'birch')), 'ERROR_FALLBACK RISK_REJECTED', 'each has its own');
kill_worker($node, 0);
comes_true($node, q{bool_and(state = 'ready') FROM trading.stat_transports}) or die "the lane does not come back\n";
$s = signal(0.2);
is(outcome($s), 'ERROR_FALLBACK 0.2', 'a new worker knows it, too');
cmp_ok(abs($s->{stop_loss} - 1.099), '<', 1e-9, 'the stop as well');
is(outcome(signal(0, 'birch')), 'ERROR_FALLBACK RISK_REJECTED', 'of each company');

set(risk_memory_life => 0);
is(outcome(signal(0.5)), 'ERROR_FALLBACK 0.5', 'without a memory there is the conservative share');
set(risk_conservative_share => 0.25);
is(outcome(signal(0.25)), 'ERROR_FALLBACK 0.25', 'which is a setting');

#----------------------------------------------------------------------
# A breaker per company
#----------------------------------------------------------------------

set(risk_breaker_scope => 'company', risk_breaker_failures => 5, risk_conservative_share => 0.5);
signal(0.5, 'acme') for 1 .. 5;
breaker_is('OPEN', 'a company\'s breaker opens', 'acme');
is(outcome(signal(0.5, 'acme')), 'FALLBACK_USED 0.5', 'its signals are not asked about');
is(outcome(signal(0.5, 'birch')), 'ERROR_FALLBACK 0.5', 'those of another are');
wait_for($node, 'SELECT company_id, state, failures_in_row FROM trading.stat_breakers', "acme|OPEN|0\nbirch|CLOSED|1",
	'each has its own breaker');
wait_for($node, 'SELECT breakers FROM trading.stat_workers', 2, 'and they are counted');
use_service($nats, '--level', 'LOW');
signal(LOTS, 'birch');
wait_for($node, 'SELECT company_id FROM trading.stat_breakers ORDER BY 1', "acme\nbirch",
	'a breaker is shown for as long as it remembers a failure');
is(value($node, "SELECT company_id, to_state FROM trading.breaker_changes WHERE company_id IS NOT NULL"), 'acme|OPEN',
	'changes say whose they are');

#----------------------------------------------------------------------
# No connection
#----------------------------------------------------------------------

set(risk_breaker_scope => 'global');
stop_service();
$news_run->signal('TERM');
IPC::Run::finish($news_run);
$nats->stop;
$node->poll_query_until('postgres', q{SELECT bool_and(state <> 'ready') FROM trading.stat_transports})
  or die "the lane does not see that its broker is gone\n";
$before = asked_of_service();
for my $i (1 .. 6)
{
	is(outcome(signal_by_sql(0.5)), 'ERROR_FALLBACK 0.5', "without a connection, signal $i fails at once");
}
asked_since($before, 0, 0, 'nobody was asked, nobody waited');
breaker_is('CLOSED', 'which says nothing about the service');
$nats->start;
$node->poll_query_until('postgres', q{SELECT bool_and(state = 'ready') FROM trading.stat_transports})
  or die "the lane doesn't find its broker again\n";

use_service($nats, '--level', 'LOW', '--size-share', 0.4);
is(outcome(signal(0.4)), 'ASSESSED 0.4', 'the broker is back, and so is the service');

# A broker that hangs: calls time out until the breaker opens or the connection is given up.
set(risk_deadline => '20ms');
$before = asked_of_service();
$nats->pause;
my @hung = map { outcome(signal_by_sql(0.5)) } 1 .. 12;
is_deeply([ grep { !/^(ERROR_FALLBACK|FALLBACK_USED) 0.5$/ } @hung ], [], 'with a broker that hangs signals are decided, conservatively');
my ($hung_questions) = split /\|/, asked_of_service();
cmp_ok($hung_questions - (split /\|/, $before)[0], '<=', 5, 'and no more than five of them are asked about');
$nats->resume;
stop_service();
$node->poll_query_until('postgres', q{SELECT bool_and(state = 'ready') FROM trading.stat_transports})
  or die "the lane doesn't go on with its broker\n";

#----------------------------------------------------------------------
# All in all
#----------------------------------------------------------------------

my @news = map { $json->decode($_) } grep { /\S/ } split /\n/, $news;
my @told = map { "$_->{envelope}{payload}{from}-$_->{envelope}{payload}{to}" } @news;
ok((grep { $_ eq 'CLOSED-OPEN' } @told) && (grep { $_ eq 'OPEN-HALF_OPEN' } @told) && (grep { $_ eq 'HALF_OPEN-CLOSED' } @told),
	'changes of state were published') or diag(explain(\@news));

wait_for_output($node, $nats);
my %left = map { ($_->{prediction_id} => $_) }
  map { @{ $_->{envelope}{payload}{signals} } }
  grep { ($_->{envelope}{payload_type} // '') eq 'TradingSignalBatch' } $nats->dump('trading_output_0');
my @rows = map { row($_) } keys %most;
is(scalar @rows, scalar(grep { defined } @rows), 'every prediction has its row');
is_deeply([ map { $_->{prediction_id} } grep { ($_->{position_size} // 0) > $most{ $_->{prediction_id} } + 1e-9 } @rows ], [],
	'no row has more than what its signal may leave with');
is_deeply([ grep { ($left{$_}{sizing}{position_size} // 0) > $most{$_} + 1e-9 } keys %left ], [], 'nor has any message');
is_deeply([ grep { ($left{$_}{stop_loss} // STOP) < STOP - 1e-9 } keys %left ], [], 'nor a wider stop');
is_deeply([ sort keys %left ], [ sort map { $_->{prediction_id} } grep { $_->{outcome} eq 'SIGNAL' } @rows ],
	'what was turned down was not sent, all else was');
is_deeply(
	[ sort map { join ' ', $_, map { $_ // '-' } $left{$_}{risk}{status} // '-', $left{$_}{sizing}{position_size} } keys %left ],
	[ sort map { join ' ', $_->{prediction_id}, $_->{risk_status} // '-', $_->{position_size} } grep { $_->{outcome} eq 'SIGNAL' } @rows ],
	'messages say what rows say');

#----------------------------------------------------------------------
# More breakers than are shown
#----------------------------------------------------------------------

set(risk_deadline => '1s', risk_breaker_scope => 'company', risk_breaker_failures => 1);
company($node, sprintf('many%02d', $_), tier => 'ENTERPRISE', users => ['u'], equity => 1000000, strategy => \%strategy) for 1 .. 70;
# The cache has them all when a prediction for the last is decided.
signal(0.5, 'many70');
$before = asked_of_service();
$nats->publish($nats->batch(predictions => [ $nats->prediction(prediction_id => 'everybody') ]));
wait_for($node, q{SELECT count(*), count(*) FILTER (WHERE position_size = 0.5) FROM trading.signals WHERE prediction_id = 'everybody'}, '72|72',
	'a broadcast makes a signal for each company');
asked_since($before, 71, 1, 'all are asked about at once, but for the company whose breaker is open');
wait_for($node, 'SELECT breakers FROM trading.stat_workers', 72, 'all breakers are counted');
is(value($node, q{SELECT count(*), count(DISTINCT company_id), min(state), max(state) FROM trading.stat_breakers}), '64|64|OPEN|OPEN', 'as many as there is room for are shown');
is(value($node, q{SELECT count(DISTINCT company_id) FROM trading.breaker_changes WHERE company_id LIKE 'many%' AND to_state = 'OPEN'}), 70,
	'every change is a row');

#----------------------------------------------------------------------
# Who sees it
#----------------------------------------------------------------------

$node->safe_psql('postgres', q{
	CREATE ROLE t_ann LOGIN IN ROLE trading_tenant;
	INSERT INTO trading.logins (role_name, company_id, user_id) VALUES ('t_ann', 'acme', 'ann')});
is($node->safe_psql('postgres', 'SELECT DISTINCT company_id FROM trading.breaker_changes',
		extra_params => [ '-U', 't_ann' ]), 'acme', 'a tenant sees changes of its own company\'s breaker');
my ($status, undef, $error) = $node->psql('postgres', 'SELECT * FROM trading.stat_breakers', extra_params => [ '-U', 't_ann' ]);
like($error, qr/permission denied/, 'and not what shared memory shows');

$node->stop;
$nats->stop;
done_testing();
