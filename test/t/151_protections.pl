# What results lead to: daily loss, drawdown, protections that lock and are lifted, and the switch
# that lets only through what reduces a position.  By the input's clock.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;

# A lot at 1.1 loses 200 USD at its stop, 20 pips away; equity is 10,000.
my %strategy = (
	allowed_regimes => "trading.enum_labels('regime')", duplicate_window_seconds => 0, prefer_market_orders => 'true',
	position_sizing => "'FIXED_LOT'", fixed_lot => 1, stop_loss_pips => 20, max_position_size => 1, signal_ttl_seconds => 60);
my @users = ('ann', 'bob', 'cat', 'dan', 'eve', 'fay', 'gus', 'hal');

my $node = engine('protections', lanes => 1, conf => { 'trading_engine.clock' => 'input', restart_after_crash => 'on' });
company($node, 'acme', tier => 'ENTERPRISE', users => \@users, strategy => \%strategy);
company($node, 'beta', tier => 'ENTERPRISE', users => ['ben'], strategy => \%strategy);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# The lane's clock; it only goes forwards.  A Wednesday, noon.
my $now = sql("SELECT extract(epoch FROM timestamptz '2026-03-04 12:00Z')") * 1_000_000;
my ($second, $minute, $hour, $day) = (1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000);

my ($batches, $predictions, $reports) = (0, 0, 0);
my $locked = 'Locked by a protection';

# What became of a prediction: "SIGNAL", or the reason of the rejection.
my $newest;
sub decided
{
	my ($user, %f) = @_;
	my $company = $user eq 'ben' ? 'beta' : 'acme';
	%f = (symbol => 'EURUSD', price => 1.1, direction => 'BUY', %f);
	my ($id, $batch) = ('p' . ++$predictions, 'b' . ++$batches);
	my $target = $f{price} * ($f{direction} eq 'BUY' ? 1.01 : 0.99);
	sql("SELECT trading.submit(jsonb_build_object('company_id', '$company', 'user_id', '$user', 'batch_id', '$batch', 'producer_id', 'model', "
		  . "'generated_at', to_timestamp($now / 1e6), 'predictions', jsonb_build_array(jsonb_build_object('prediction_id', '$id', 'symbol', '$f{symbol}', "
		  . "'current_price', $f{price}, 'predicted_price', $target, 'direction', '$f{direction}', 'confidence', 0.9, 'generated_at', to_timestamp($now / 1e6)))))");
	comes_true($node, "EXISTS (SELECT FROM trading.prediction_batches WHERE batch_id = '$batch')") or die 'not decided';
	($newest) = split /\|/, sql("SELECT signal_id FROM trading.signals WHERE prediction_id = '$id'");
	return sql("SELECT CASE outcome WHEN 'SIGNAL' THEN 'SIGNAL' ELSE COALESCE(cancellation_reason, outcome) END FROM trading.signals WHERE prediction_id = '$id'");
}

sub report
{
	my ($signal, $status, $price, $size, $profit) = @_;
	my $id = 'x' . ++$reports;
	$profit //= 'NULL';
	sql("SELECT trading.report_execution('$id', '$signal', '$status', to_timestamp($now / 1e6), $price, $size, $profit)");
	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM trading.executions WHERE execution_id = '$id')") or die 'not reported';
	return;
}

# A trade from signal to close.  stop => 1: stopped out, otherwise it closes somewhere else.
sub trade
{
	my ($user, $profit, %f) = @_;
	$now += $second; # results of one instant are one result
	my $outcome = decided($user, %f);
	die "$user can't trade: $outcome" if $outcome ne 'SIGNAL';
	my $sell = ($f{direction} // 'BUY') eq 'SELL';
	report($newest, 'FILLED', 1.1, 1);
	report($newest, 'CLOSED', $f{stop} ? ($sell ? 1.102 : 1.098) : 1.1005, 1, $profit);
	return;
}

# The lane's worker dies, and the server restarts all processes.
sub crash
{
	my $was = kill_worker($node, 0);
	comes_true($node, "state = 'running' AND pid <> $was FROM trading.stat_workers") or die 'no recovery';
	return;
}

# Rows and locks of earlier cases are gone.
sub fresh
{
	$now += 1000 * $second;
	sql("DELETE FROM trading.risk_limits; DELETE FROM trading.protections; UPDATE trading.protection_locks SET lift_reason = 'next case' WHERE lifted_at IS NULL");
	return;
}

sub locks { return sql("SELECT concat_ws(' ', company_id, user_id, strategy_id, symbol, side, kind, locked_until - locked_at, round(value::numeric, 4), round(threshold::numeric, 4)) "
		. 'FROM trading.protection_locks WHERE lifted_at IS NULL ORDER BY lock_id'); }

#----------------------------------------------------------------------
# Limits of loss
#----------------------------------------------------------------------

sql('INSERT INTO trading.risk_limits (max_daily_loss_percent) VALUES (5)');
trade('ann', -300);
trade('ann', -200);
is(decided('ann'), 'SIGNAL', 'a loss of 5 % in a day, which is allowed');
trade('ann', -0.01);
is(decided('ann'), 'Daily loss limit broken', 'and a cent more, which isn\'t');
is(decided('bob'), 'SIGNAL', 'another account has lost nothing');
$now += $day;
is(decided('ann'), 'SIGNAL', 'the next day is another day');
trade('ann', -400);
is(decided('ann'), 'SIGNAL', 'which began with what was left');
trade('ann', -100);
is(decided('ann'), 'Daily loss limit broken', 'five percent of that');
crash();
is(decided('ann'), 'Daily loss limit broken', 'a crash forgets nothing');

fresh();
sql('INSERT INTO trading.risk_limits (max_drawdown_percent) VALUES (10)');
trade('bob', 1000);
trade('bob', -1100);
is(decided('bob'), 'SIGNAL', 'a drawdown of 10 % from the peak of 11,000 is allowed');
trade('bob', -0.01);
is(decided('bob'), 'Maximum drawdown limit broken', 'a cent more isn\'t');
$now += 30 * $day;
is(decided('bob'), 'Maximum drawdown limit broken', 'nor does it pass');

#----------------------------------------------------------------------
# Protections
#----------------------------------------------------------------------

# After a trade, its symbol, for whom the protection is about.
fresh();
sql("INSERT INTO trading.protections (company_id, user_id, kind, lock_for) VALUES ('acme', 'cat', 'COOL_DOWN', '1 hour')");
trade('cat', 10);
is(locks(), 'acme cat EURUSD 0 COOL_DOWN 01:00:00 1.0000 1.0000', 'a lock is a row');
is(decided('cat'), $locked, 'COOL_DOWN: the symbol is locked');
is(decided('cat', symbol => 'GBPUSD'), 'SIGNAL', 'COOL_DOWN: others aren\'t');
is(decided('dan'), 'SIGNAL', 'COOL_DOWN: nor others\' users');
$now += $hour - 1;
is(decided('cat'), $locked, 'COOL_DOWN: until its end');
$now += 1;
is(decided('cat'), 'SIGNAL', 'COOL_DOWN: when trading goes on');

fresh();
sql("INSERT INTO trading.protections (company_id, kind, lock_for, only_stops, only_per_side) VALUES ('acme', 'COOL_DOWN', '1 hour', true, true)");
trade('cat', -50);
is(locks(), '', 'only_stops: a loss that isn\'t a stop locks nothing');
trade('cat', -200, stop => 1);
is(decided('cat'), $locked, 'only_stops: a stop-out does');
is(decided('dan'), $locked, 'for all that the protection is about');
is(decided('dan', direction => 'SELL'), 'SIGNAL', 'only_per_side: the other side is free');
my $lock = sql('SELECT lock_id FROM trading.protection_locks WHERE lifted_at IS NULL');
sql("SELECT trading.lift_lock($lock, 'the news were wrong')");
is(decided('dan'), 'SIGNAL', 'lifted by hand');
is(sql("SELECT lifted_by IS NOT NULL, lift_reason FROM trading.protection_locks WHERE lock_id = $lock"), 't|the news were wrong', 'which is to be seen');

# So many stop-outs lock everything; a lock that was lifted isn't made again for the same trades.
fresh();
$now += 4 * $hour;
sql("INSERT INTO trading.protections (company_id, kind, lookback, lock_for, trade_limit) VALUES ('acme', 'STOP_LOSS_GUARD', '3 hours', '2 hours', 3)");
trade('dan', -200, stop => 1);
trade('eve', -200, stop => 1, symbol => 'GBPUSD');
is(locks(), '', 'STOP_LOSS_GUARD: two of three');
trade('eve', -200, stop => 1, symbol => 'AUDUSD');
is(locks(), 'acme 0 STOP_LOSS_GUARD 02:00:00 3.0000 3.0000', 'STOP_LOSS_GUARD: everything is locked');
is(decided($_), $_ eq 'ben' ? 'SIGNAL' : $locked, "STOP_LOSS_GUARD: for $_") for 'dan', 'fay', 'ben';
crash();
is(decided('fay'), $locked, 'a lock outlives a crash');
sql("UPDATE trading.protection_locks SET lift_reason = 'enough' WHERE lifted_at IS NULL");
trade('fay', 50);
is(locks(), '', 'lifted, it isn\'t made again for the same trades');
$now += $minute;
trade('fay', -200, stop => 1);
is(decided('fay'), $locked, 'but for the next stop-out');

fresh();
$now += 4 * $hour;
sql("INSERT INTO trading.protections (company_id, kind, lookback, lock_for, trade_limit, only_per_symbol) VALUES ('acme', 'STOP_LOSS_GUARD', '1 hour', '2 hours', 2, true)");
trade('fay', -200, stop => 1);
$now += $hour - $second; # each trade begins with one
trade('fay', -200, stop => 1);
is(locks(), '', 'a trade that closed the lookback ago doesn\'t count');
$now += $hour - $second - 1;
trade('gus', -200, stop => 1);
is(locks(), 'acme EURUSD 0 STOP_LOSS_GUARD 02:00:00 2.0000 2.0000', 'one right within it does; only_per_symbol: the symbol');

# A symbol that made too little.
fresh();
$now += 4 * $hour;
sql("INSERT INTO trading.protections (company_id, user_id, kind, lookback, lock_for, trade_limit) VALUES ('acme', 'gus', 'LOW_PROFIT', '1 hour', '1 hour', 2)");
trade('gus', 110);
trade('gus', -110);
is(locks(), '', 'LOW_PROFIT: a sum of what is required is enough');
trade('gus', -11);
is(locks(), 'acme gus EURUSD 0 LOW_PROFIT 01:00:00 -0.0001 0.0000', 'LOW_PROFIT: less isn\'t');
is(decided('gus'), $locked, 'LOW_PROFIT: locked');

# Equity is an account's, and so is its drawdown.
fresh();
$now += 4 * $hour;
sql("INSERT INTO trading.protections (kind, lookback, lock_for, trade_limit, max_drawdown) VALUES ('MAX_DRAWDOWN', '1 day', '1 day', 2, 0.05)");
trade('hal', -300);
trade('hal', -200);
is(locks(), '', 'MAX_DRAWDOWN: at what is allowed');
trade('hal', -1);
is(locks(), 'acme hal 0 MAX_DRAWDOWN 1 day 0.0501 0.0500', 'MAX_DRAWDOWN: beyond it');
is(decided('hal'), $locked, 'MAX_DRAWDOWN: the account\'s user is locked');
is(decided('cat'), 'SIGNAL', 'MAX_DRAWDOWN: and nobody else');

# Until a time of day.
fresh();
sql("INSERT INTO trading.protections (company_id, user_id, kind, unlock_at) VALUES ('acme', 'cat', 'COOL_DOWN', '08:00')");
trade('cat', 10);
is(sql("SELECT locked_until AT TIME ZONE 'UTC' > locked_at AT TIME ZONE 'UTC', (locked_until AT TIME ZONE 'UTC')::time, locked_until - locked_at <= '1 day' FROM trading.protection_locks WHERE lifted_at IS NULL"),
	't|08:00:00|t', 'unlock_at: until then');

# One that is about a symbol locks it once, though everything that it is about and the symbol are asked for.
fresh();
$now += 4 * $hour;
sql("INSERT INTO trading.protections (company_id, symbol, kind, lookback, lock_for) VALUES ('acme', 'EURUSD', 'STOP_LOSS_GUARD', '1 hour', '2 hours')");
trade('dan', -200, stop => 1);
is(locks(), 'acme EURUSD 0 STOP_LOSS_GUARD 02:00:00 1.0000 1.0000', 'STOP_LOSS_GUARD of a symbol: one lock');

# Many at once: each locks for a time of its own; what isn't about the trade doesn't.
fresh();
$now += 4 * $hour;
sql("INSERT INTO trading.protections (company_id, kind, name, lock_for) SELECT 'acme', 'COOL_DOWN', 'c' || n, n * interval '1 minute' FROM generate_series(1, 300) AS n;
	INSERT INTO trading.protections (company_id, user_id, kind, name, lookback, lock_for)
		SELECT 'acme', u, 'STOP_LOSS_GUARD', 's' || n, n * interval '1 hour', n * interval '1 second' FROM unnest(ARRAY['dan', 'eve']) AS u, generate_series(1, 40) AS n;
	INSERT INTO trading.protections (company_id, user_id, strategy_id, kind, max_drawdown, lookback) VALUES ('acme', 'dan', 'main', 'MAX_DRAWDOWN', 0, '1 hour');
	INSERT INTO trading.protections (company_id, kind, max_drawdown, method, lookback) VALUES ('acme', 'MAX_DRAWDOWN', 0, 'SUM_OF_RATIOS', '1 hour')");
trade('dan', -200, stop => 1);
is(sql(q{SELECT string_agg(concat_ws(' ', l.kind, l.user_id, l.symbol, l.n, l.minutes), ', ' ORDER BY l.kind, l.user_id NULLS FIRST, l.symbol NULLS FIRST) FROM (
	SELECT kind, user_id, symbol, count(*) AS n, round(sum(extract(epoch FROM locked_until - locked_at)) / 60, 2) AS minutes
	  FROM trading.protection_locks WHERE lifted_at IS NULL GROUP BY 1, 2, 3) AS l}),
	'COOL_DOWN EURUSD 300 45150.00, MAX_DRAWDOWN 1 60.00, MAX_DRAWDOWN dan 1 60.00, STOP_LOSS_GUARD dan 40 13.67, STOP_LOSS_GUARD dan EURUSD 40 13.67',
	'hundreds of protections lock, each as it says');
trade('ben', -200, stop => 1);
is(sql(q{SELECT count(*) FROM trading.protection_locks WHERE lifted_at IS NULL}), '382', 'and nothing for a trade of others');

#----------------------------------------------------------------------
# Reducing
#----------------------------------------------------------------------

fresh();
my $reducing = 'Only orders that reduce a position are let through';
is(decided('cat'), 'SIGNAL', 'a position is opened');
report($newest, 'FILLED', 1.1, 1);
sql("SELECT trading.halt('acme', 'winding down', 'REDUCING')");
is(decided('cat'), $reducing, 'REDUCING: it isn\'t made larger');
is(decided('cat', direction => 'SELL', symbol => 'GBPUSD'), $reducing, 'REDUCING: nor is another one opened');
is(decided('dan', direction => 'SELL'), $reducing, 'REDUCING: nor by somebody who has none');
sql("INSERT INTO trading.risk_limits (max_open_positions) VALUES (0)");
is(decided('cat', direction => 'SELL'), 'SIGNAL', 'REDUCING: what closes it passes, limits or not');
is(decided('ben'), 'Limit of open positions reached', 'REDUCING: other companies are as they were');
is(decided('cat', direction => 'SELL'), $reducing, 'REDUCING: not twice, before it is filled');
$now += 61 * $second;
sql("UPDATE trading.strategies SET fixed_lot = 0.4 WHERE company_id = 'acme'");
is(decided('cat', direction => 'SELL'), 'SIGNAL', 'REDUCING: what has expired doesn\'t count');
my $first = $newest;
is(decided('cat', direction => 'SELL'), 'SIGNAL', 'REDUCING: 0.8 of 1 are ordered');
is(decided('cat', direction => 'SELL'), $reducing, 'REDUCING: 1.2 would turn it round');
report($first, 'FILLED', 1.1, 0.4);
is(decided('cat', direction => 'SELL'), $reducing, 'REDUCING: 0.6 are left, and 0.4 of them ordered');
crash();
is(decided('cat', direction => 'SELL'), $reducing, 'REDUCING: after a crash, too');
sql("UPDATE trading.strategies SET fixed_lot = 0.2 WHERE company_id = 'acme'");
is(decided('cat', direction => 'SELL'), 'SIGNAL', 'REDUCING: down to nothing');
sql("UPDATE trading.strategies SET fixed_lot = 1.01, max_position_size = 2 WHERE company_id = 'acme'");
$now += 61 * $second;
is(decided('cat', direction => 'SELL'), $reducing, 'REDUCING: what would turn it round doesn\'t');
sql("SELECT trading.resume('acme', 'going on'); DELETE FROM trading.risk_limits");
is(decided('cat', direction => 'SELL'), 'SIGNAL', 'resumed');
sql("SELECT trading.halt('acme/cat/main', 'no more')");
is(decided('cat'), 'Trading is halted', 'HALTED: nothing');
is(decided('dan'), 'SIGNAL', 'HALTED: of that strategy');

$node->stop;
done_testing();
