# What a lane remembers of its signals: repetitions, decided predictions, reservations. It
# counts the same right after a crash.  And the commands of approved signals.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;
use TradingEngineRun;

my $start = 1767614400; # 2026-01-05 12:00:00 UTC
my $serial = 0;

# A batch is decided and counted.
sub wait_for_batch
{
	my ($node, $batch, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 2;
	wait_for($node, "SELECT count(*) FROM trading.prediction_batches WHERE batch_id = '$batch'", '1', $name);
	wait_for_statistics($node);
	return;
}

# Submit predictions for a company in one message, $at seconds after the start, which is the
# time they are decided at.  A prediction: [ id, symbol, price, direction ].
sub submit
{
	my ($node, $company, $at, @predictions) = @_;
	$serial++;
	my $list = join ', ', map {
		my ($id, $symbol, $price, $direction) = @$_;
		my $aim = ($direction // 'BUY') eq 'BUY' ? $price * 1.01 : $price * 0.99;
		"jsonb_build_object('prediction_id', '$id', 'symbol', '$symbol', 'current_price', $price, 'predicted_price', $aim, "
		  . "'direction', '" . ($direction // 'BUY') . "', 'confidence', 0.9)"
	} @predictions;
	my $time = sprintf '%.6f', $start + $at;
	$node->safe_psql('postgres', <<"SQL");
SELECT trading.submit(jsonb_build_object('company_id', '$company', 'user_id', '_all', 'batch_id', 'b$serial', 'producer_id', 'model',
	'generated_at', to_timestamp($time), 'predictions', jsonb_build_array($list)));
SQL
	return wait_for_batch($node, "b$serial", "decided at $at s");
}

# One prediction of EURUSD for a user of acme.
sub submit_for
{
	my ($node, $user, $at, $id, $price) = @_;
	my $batch = 'u' . ++$serial;
	my $time = sprintf '%.6f', $start + $at;
	$node->safe_psql('postgres', <<"SQL");
SELECT trading.submit(jsonb_build_object('company_id', 'acme', 'user_id', '$user', 'batch_id', '$batch', 'producer_id', 'model',
	'generated_at', to_timestamp($time), 'predictions', jsonb_build_array(jsonb_build_object('prediction_id', '$id', 'symbol', 'EURUSD',
		'current_price', $price, 'predicted_price', $price * 1.01, 'direction', 'BUY', 'confidence', 0.9))));
SQL
	return wait_for_batch($node, $batch, "$id decided for $user at $at s");
}

# Predictions that became signals so far, in their order.
sub signals
{
	my ($node, $company) = @_;
	return value($node, "SELECT string_agg(prediction_id, ' ' ORDER BY batch_no, ordinal) FROM trading.signals WHERE company_id = '$company' AND outcome = 'SIGNAL'");
}

# Decisions by outcome since the workers' statistics began, as far as they aren't signals.
sub outcomes
{
	my ($node) = @_;
	return value($node, "SELECT string_agg(outcome || ' ' || count, ', ' ORDER BY outcome) FROM trading.stat_decisions WHERE count > 0 AND outcome <> 'SIGNAL'");
}

# A worker's end by a signal makes PostgreSQL start anew.
sub crash
{
	my ($node) = @_;
	my $pid = kill_worker($node, 0);
	wait_for($node, "SELECT count(*) FROM trading.stat_workers WHERE state = 'running' AND pid <> $pid", '1', 'a worker was killed, another runs');
	wait_for_statistics($node);
	return;
}

# With wal_level = minimal, as tests have it, a sequence made by CREATE EXTENSION can forget after a crash
# what it gave out before its first WAL record.
my %crashing = ('restart_after_crash' => 'on', 'wal_level' => 'replica', 'trading_engine.clock' => 'input');
my %strategy = (
	allowed_regimes => "trading.enum_labels('regime')",
	prefer_market_orders => 'true',
	position_sizing => "'FIXED_LOT'",
	fixed_lot => 1,
	max_position_count => 50);

my $node = engine('repeats', repeats => 0, lanes => 1, conf => \%crashing);
company($node, 'acme', tier => 'ENTERPRISE', strategy => \%strategy);
company($node, 'tiny', tier => 'ENTERPRISE', strategy => { %strategy, duplicate_window_seconds => 0, max_position_count => 2, signal_ttl_seconds => 60 });

#----------------------------------------------------------------------
# Repetitions
#----------------------------------------------------------------------

submit($node, 'acme', 0, [ 'p1', 'EURUSD', 1.1 ]);
submit($node, 'acme', 10, [ 'p2', 'EURUSD', 1.1005 ]);
is(signals($node, 'acme'), 'p1', 'a signal 5 pips away is a repetition');
submit($node, 'acme', 20, [ 'p3', 'EURUSD', 1.10051 ]);
is(signals($node, 'acme'), 'p1 p3', 'one 5.1 pips away is not');
submit($node, 'acme', 30, [ 'p4', 'EURUSD', 1.1, 'SELL' ]);
is(signals($node, 'acme'), 'p1 p3 p4', 'nor one of the other side');
submit($node, 'acme', 40, [ 'j1', 'USDJPY', 150 ], [ 'j2', 'USDJPY', 150.05 ], [ 'j3', 'USDJPY', 150.051 ]);
is(signals($node, 'acme'), 'p1 p3 p4 j1 j3', 'another symbol has its own, pips of USDJPY are 0.01, and signals of one message count');
is(outcomes($node), 'DUPLICATE 2', 'repetitions are counted');
is(value($node, "SELECT count(*) FROM trading.signals WHERE outcome = 'DUPLICATE'"), '0', 'and not recorded');

crash($node);
submit($node, 'acme', 299.999999, [ 'p5', 'EURUSD', 1.1 ]);
is(signals($node, 'acme'), 'p1 p3 p4 j1 j3', 'right after a crash the window still holds, to its end');
submit($node, 'acme', 300, [ 'p6', 'EURUSD', 1.1 ]);
is(signals($node, 'acme'), 'p1 p3 p4 j1 j3 p6', 'and not longer: 300 s later a signal is new');
is(outcomes($node), 'DUPLICATE 1', 'a repetition doesn\'t prolong the window');

#----------------------------------------------------------------------
# Decided once
#----------------------------------------------------------------------

my $life = value($node, "SELECT greatest(30, floor(signal_strength * 120)) FROM trading.signals WHERE prediction_id = 'p6'");
cmp_ok($life, '>', 30, 'the outcome of a strong prediction is remembered for longer than the least time');
submit($node, 'acme', 301, [ 'p6', 'EURUSD', 1.2 ]);
is(signals($node, 'acme'), 'p1 p3 p4 j1 j3 p6', 'a prediction that comes again, with another price, is not decided again');
crash($node);
submit($node, 'acme', 300 + $life - 0.000001, [ 'p6', 'EURUSD', 1.2 ]);
is(signals($node, 'acme'), 'p1 p3 p4 j1 j3 p6', 'nor after a crash');
submit($node, 'acme', 300 + $life, [ 'p6', 'EURUSD', 1.2 ]);
is(signals($node, 'acme'), 'p1 p3 p4 j1 j3 p6 p6', 'until its outcome is forgotten');
is(outcomes($node), 'DUPLICATE 1', 'that counts as a repetition');

# A window of 0 turns the rule off, at once.
value($node, "UPDATE trading.strategies SET duplicate_window_seconds = 0 WHERE company_id = 'acme'");
submit($node, 'acme', 500, [ 'p7', 'EURUSD', 1.2 ], [ 'p8', 'EURUSD', 1.2 ]);
is(signals($node, 'acme'), 'p1 p3 p4 j1 j3 p6 p6 p7 p8', 'a window of 0 lets repetitions through');

#----------------------------------------------------------------------
# Holds are alike by their reason
#----------------------------------------------------------------------

value($node, "UPDATE trading.strategies SET duplicate_window_seconds = 60 WHERE company_id = 'acme'");
submit($node, 'acme', 510, [ 'h1', 'EURUSD', 1.2, 'HOLD' ], [ 'h2', 'EURUSD', 1.9, 'HOLD' ], [ 'h3', 'GBPUSD', 1.2, 'HOLD' ]);
submit($node, 'acme', 570, [ 'h4', 'EURUSD', 1.2, 'HOLD' ]);
is(value($node, "SELECT string_agg(prediction_id, ' ' ORDER BY batch_no, ordinal) FROM trading.signals WHERE outcome = 'HOLD'"), 'h1 h3 h4',
	'holds for the same reason are alike, whatever the price');

#----------------------------------------------------------------------
# Reservations
#----------------------------------------------------------------------

sub open_positions
{
	return value($node, "SELECT string_agg(trading.decision_inputs(inputs) #>> '{account,open_positions}', ' ' ORDER BY batch_no, ordinal) FROM trading.signals WHERE company_id = 'tiny'");
}
submit($node, 'tiny', 600, [ 't1', 'EURUSD', 1.1 ], [ 't2', 'GBPUSD', 1.3 ], [ 't3', 'USDJPY', 150 ]);
is(signals($node, 'tiny'), 't1 t2', 'signals of one message count for each other: two positions, and not three');
is(open_positions(), '0 1', 'a decision records how many it saw');
crash($node);
submit($node, 'tiny', 659.999999, [ 't4', 'USDJPY', 150 ]);
is(signals($node, 'tiny'), 't1 t2', 'right after a crash, too');
is(outcomes($node), 'MAX_POSITIONS 1', 'they are counted');
submit($node, 'tiny', 660, [ 't5', 'USDJPY', 150 ]);
is(signals($node, 'tiny'), 't1 t2 t5', 'expired signals count no more');
submit($node, 'tiny', 661, [ 't6', 'EURUSD', 1.1 ], [ 't7', 'EURUSD', 1.1 ]);
is(signals($node, 'tiny'), 't1 t2 t5 t6', 'one place is free');
is(open_positions(), '0 1 0 1', 'decisions saw what was reserved then');
is(value($node, 'SELECT memory_lost FROM trading.stat_workers'), '0', 'nothing of interest was forgotten');

is(value($node, 'SELECT count(*) FROM trading.signals WHERE command_seq IS NOT NULL'), '0', 'no signal of history is a command');
$node->stop;

#----------------------------------------------------------------------
# No re-entry
#----------------------------------------------------------------------

# The order of a prediction is filled and closed, $at seconds after the start, at its stop or not.
sub settle_trade
{
	my ($node, $company, $at, $id, $stopped) = @_;
	my $time = 'to_timestamp(' . ($start + $at) . ')';
	my ($price, $profit) = $stopped ? ('stop_loss', '-max_loss') : ('entry_price', '0');
	$node->safe_psql('postgres', <<"SQL");
SELECT trading.report_execution('$id-open', signal_id, 'FILLED', $time, entry_price, position_size),
       trading.report_execution('$id-close', signal_id, 'CLOSED', $time + interval '1 millisecond', $price, position_size, $profit)
  FROM trading.signals WHERE company_id = '$company' AND prediction_id = '$id'
SQL
	return wait_for($node, "SELECT state, stopped_out FROM trading.trades WHERE company_id = '$company' AND prediction_id = '$id'",
		'CLOSED|' . ($stopped ? 't' : 'f'), "$id is " . ($stopped ? 'stopped out' : 'closed'));
}

$node = engine('bans', repeats => 0, lanes => 1, init => { allows_streaming => 1 }, conf => \%crashing);
company($node, 'acme', tier => 'ENTERPRISE', users => [ 'ann', 'bob' ], strategy => { %strategy, max_prediction_age_ms => 86400000, duplicate_window_seconds => 0 });
sub entered { my ($node) = @_; return value($node, q{SELECT string_agg(user_id || ':' || prediction_id, ' ' ORDER BY batch_no, ordinal) FROM trading.signals WHERE outcome = 'SIGNAL'}); }

submit_for($node, 'ann', 0, 'lost', 1.1);
submit_for($node, 'ann', 0, 'won', 1.1);
settle_trade($node, 'acme', 10, 'lost', 1);
settle_trade($node, 'acme', 10, 'won', 0);
# Longer than any outcome is remembered.
submit_for($node, 'ann', 200, 'won', 1.2);
is(entered($node), 'ann:lost ann:won ann:won', 'a prediction whose position was closed may be entered again');
submit_for($node, 'ann', 201, 'lost', 1.2);
is(entered($node), 'ann:lost ann:won ann:won', 'one whose position was stopped out is not, at whatever price');
is(outcomes($node), 'DUPLICATE 1', 'which counts as a repetition');
submit_for($node, 'bob', 202, 'lost', 1.2);
is(entered($node), 'ann:lost ann:won ann:won bob:lost', 'by another strategy it is');
crash($node);
submit_for($node, 'ann', 400, 'lost', 1.3);
is(entered($node), 'ann:lost ann:won ann:won bob:lost', 'nor right after a crash');

# A standby that takes over knows it from the same rows.
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('heir');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
submit_for($node, 'ann', 600, 'last', 1.1);
settle_trade($node, 'acme', 610, 'last', 1);
$node->wait_for_catchup($standby);
$node->stop('immediate');
$standby->promote;
wait_for_lanes($standby);
submit_for($standby, 'ann', 900, 'lost', 1.4);
submit_for($standby, 'ann', 901, 'last', 1.4);
submit_for($standby, 'ann', 902, 'first', 1.4);
is(entered($standby), 'ann:lost ann:won ann:won bob:lost ann:last ann:first', 'nor after a failover, which loses none of it');
is(outcomes($standby), 'DUPLICATE 2', 'both are repetitions there');
submit_for($standby, 'ann', 86409, 'lost', 1.5);
is(entered($standby), 'ann:lost ann:won ann:won bob:lost ann:last ann:first', 'to the end of its day');
$standby->stop;

#----------------------------------------------------------------------
# A memory that is too small
#----------------------------------------------------------------------

$node = engine('small', repeats => 0, lanes => 1, conf => { %crashing, 'trading_engine.signal_memory' => 1024 });
value($node, q{UPDATE trading.tiers SET max_position_count = 10000 WHERE tier = 'ENTERPRISE'});
company($node, 'acme', tier => 'ENTERPRISE', strategy => { %strategy, max_position_count => 10000, duplicate_window_seconds => 86400, duplicate_distance_pips => 0 });
company($node, 'brief', tier => 'ENTERPRISE', strategy => { %strategy, max_position_count => 10000, duplicate_window_seconds => 0 });

# Predictions of so many numbers, each at a price of its own, in one message.
sub submit_many
{
	my ($node, $company, $at, $first, $last) = @_;
	my $batch = 'm' . ++$serial;
	my $time = sprintf '%.6f', $start + $at;
	$node->safe_psql('postgres', <<"SQL");
SELECT trading.submit(jsonb_build_object('company_id', '$company', 'user_id', '_all', 'batch_id', '$batch', 'producer_id', 'model',
	'generated_at', to_timestamp($time), 'predictions', (SELECT jsonb_agg(jsonb_build_object('prediction_id', 'm' || n, 'symbol', 'EURUSD',
		'current_price', 1 + n / 10000.0, 'predicted_price', 1.1 + n / 10000.0, 'direction', 'BUY', 'confidence', 0.9)) FROM generate_series($first, $last) AS n)));
SQL
	return wait_for_batch($node, $batch, "$first to $last decided at $at s");
}

sub lost { my ($node) = @_; return value($node, 'SELECT memory_lost FROM trading.stat_workers'); }
sub health { my ($node) = @_; return value($node, q{SELECT status FROM trading.health() WHERE "check" = 'memory'}); }
submit_many($node, 'acme', 0, 1, 1000);
is(lost($node), '0', 'a thousand signals are remembered');
is(health($node), 'OK', 'and all is well');
crash($node);
is(lost($node), '0', 'after a crash as well');
# Outcomes are forgotten after two minutes, signals are not.
submit_many($node, 'acme', 200, 1001, 1100);
is(lost($node), '76', 'what a start has read, and has to go, is counted');
is(health($node), 'WARN', 'and told');
crash($node);
cmp_ok(lost($node), '>', 0, 'so is what a start has no room for');
value($node, q{DELETE FROM trading.strategies WHERE company_id = 'acme'});
crash($node);
is(lost($node), '0', 'what nobody asks for any more is no loss');
submit_many($node, 'brief', 400, 2001, 3100);
submit_many($node, 'brief', 700, 3101, 3101);
crash($node);
is(lost($node), '0', 'nor is what was never compared with anything');
$node->stop;

#----------------------------------------------------------------------
# A broadcast for more strategies than a batch is sized for
#----------------------------------------------------------------------

$node = engine('broadcast', repeats => 0, lanes => 1, conf => \%crashing);
company($node, 'crowd', tier => 'ENTERPRISE', strategy => \%strategy);
value($node, <<'SQL');
INSERT INTO trading.users (company_id, user_id) SELECT 'crowd', 'u' || n FROM generate_series(1, 7000) AS n;
INSERT INTO trading.accounts (company_id, user_id, currency, equity) SELECT 'crowd', 'u' || n, 'USD', 10000 FROM generate_series(1, 7000) AS n;
INSERT INTO trading.strategies (company_id, user_id, strategy_id, allowed_regimes, position_sizing, fixed_lot)
	SELECT 'crowd', 'u' || n, 'main', trading.enum_labels('regime'), 'FIXED_LOT', 1 FROM generate_series(1, 7000) AS n;
SQL
wait_for($node, 'SELECT strategies, pending_changes FROM trading.stat_workers', '7001|0', 'the lane has 7001 strategies');
submit($node, '_all', 0, [ 'all', 'EURUSD', 1.1 ], [ 'again', 'EURUSD', 1.1 ]);
is(value($node, 'SELECT count(*), count(DISTINCT ordinal), max(ordinal), count(DISTINCT batch_no), count(DISTINCT user_id) FROM trading.signals'),
	'7001|7001|7000|1|7001', 'one message makes 7001 signals in one batch, numbered in order');
is(outcomes($node), 'DUPLICATE 7001', 'the second prediction of the message repeats them all');
is(value($node, 'SELECT reserved FROM trading.stat_workers'), '7001', 'all are reserved');
crash($node);
wait_for($node, 'SELECT reserved FROM trading.stat_workers', '7001', 'right after a crash, too');
submit($node, '_all', 1, [ 'later', 'EURUSD', 1.1 ]);
is(outcomes($node), 'DUPLICATE 7001', 'and nothing repeats itself');
submit($node, '_all', 300, [ 'new', 'EURUSD', 1.1 ]);
is(value($node, 'SELECT count(*) FROM trading.signals'), '14002', 'until the window is over');
$node->stop;

#----------------------------------------------------------------------
# Commands
#----------------------------------------------------------------------

my $nats = TradingEngineNats->new('commands')->start;
$node = engine('commands', nats => $nats, lanes => 1);
my %loose = (%strategy, max_prediction_age_ms => 600000);
company($node, 'auto', tier => 'ENTERPRISE', users => ['whole'], strategy => { %loose, auto_execute => 'true' });
company($node, 'slow', tier => 'ENTERPRISE', users => ['twap'], strategy => {
	%loose, auto_execute => 'true', execution_algorithm => "'TWAP'", twap_slices => 3, twap_seconds => 90 });
company($node, 'cold', tier => 'ENTERPRISE', users => ['iceberg'], strategy => {
	%loose, auto_execute => 'true', execution_algorithm => "'ICEBERG'", iceberg_visible_lots => 0.4 });
company($node, 'hand', tier => 'ENTERPRISE', users => ['alone'], strategy => \%loose);
$nats->publish($nats->batch(predictions => [ $nats->prediction(prediction_id => 'go') ]));
wait_for($node, 'SELECT count(*), count(command_seq) FROM trading.signals', '4|3', 'three of four strategies execute by themselves');
wait_for_output($node, $nats);
my @messages = $nats->dump('trading_output_0');
is(scalar @messages, 7, 'four signals and three commands are sent');
my %command = map { ($_->{envelope}{payload}{company_id} => $_) } grep { $_->{subject} =~ /\.commands\./ } @messages;
is(join(' ', sort keys %command), 'auto cold slow', 'a command for each of them');
is($command{auto}{subject}, 'trading.commands.0.auto.whole', 'on its subject');
is(value($node, "SELECT command_seq = out_seq + 1 AND signal_id = '$command{auto}{envelope}{payload}{signal_id}' FROM trading.signals WHERE company_id = 'auto'"), 't',
	'right after its signal');
is($command{auto}{headers}{'te-seq'}, value($node, "SELECT command_seq FROM trading.signals WHERE company_id = 'auto'"), 'at the place that the row names');
is($command{auto}{envelope}{payload}{position_size}, 1, 'with its size');
is($command{auto}{envelope}{payload}{account_id}, 'main', 'for the account');
ok(!exists $command{auto}{envelope}{payload}{slices}, 'whole, without an algorithm');
is(join(' ', map { sprintf '%.2f', $_->{position_size} } @{ $command{slow}{envelope}{payload}{slices} }), '0.34 0.33 0.33', 'TWAP: equal parts');
is(join(' ', map { sprintf '%.2f', $_->{position_size} } @{ $command{cold}{envelope}{payload}{slices} }), '0.34 0.33 0.33', 'ICEBERG: parts that may be seen');
is(join(' ', map { $_->{not_before} // 'then' } @{ $command{cold}{envelope}{payload}{slices} }[1, 2]), 'then then', 'one after the other');
wait_for($node, 'SELECT commands FROM trading.stat_workers', '3', 'they are counted');
ok($nats->check('trading_output_0')->{clean}, 'the stream is without gap');
$node->stop;

done_testing();
