# Sizes in the account's currency: the rate comes from the account, from prices, from
# trading.rates, or not at all, and then there is no signal.  By the input's clock, so that
# the age of a price is what the test says it is.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;
use TradingEngineRun;

my $nats = TradingEngineNats->new('rates')->start;
my $node = engine('rates', nats => $nats, lanes => 1, conf => {
	'trading_engine.clock' => 'input', restart_after_crash => 'on' });
company($node, 'acme', tier => 'ENTERPRISE', users => ['ann'], currency => 'CHF', strategy => {
	allowed_regimes => "trading.enum_labels('regime')", duplicate_window_seconds => 0,
	position_sizing => "'RISK_PERCENT'", risk_percent => 1, stop_loss_pips => 20 });

# The lane's clock, in microseconds; it only goes forwards.
my $now = 1_325_376_000_000_000; # 2012-01-01T00:00:00Z
my ($second, $day) = (1_000_000, 86_400_000_000);

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub account { return sql("UPDATE trading.accounts SET $_[0] WHERE company_id = 'acme'"); }

sub tick
{
	my ($symbol, $price, %o) = @_;
	$nats->publish($nats->tick(symbol => $symbol, price => $price, at => $o{at} // $now));
	return wait_for_input($node, $nats);
}

my (%counted, %decided);
sub counts
{
	return map { split /\|/ } split /\n/, sql('SELECT outcome, sum(count) FROM trading.stat_decisions GROUP BY 1');
}

# What comes of a prediction: "SIGNAL <rate> <size>", where rate is that of the stored inputs,
# or the outcome alone.
sub decided
{
	my (%fields) = @_;
	my $company = delete $fields{company} // '_all';
	my $prediction = $nats->prediction(current_price => 1.25, predicted_price => 1.3, %fields);
	$nats->publish($nats->batch(company => $company, generated_at => $now, predictions => [$prediction]));
	wait_for_input($node, $nats);
	my %counts = counts();
	my ($outcome) = grep { $counts{$_} > ($counted{$_} // 0) } sort keys %counts;
	%counted = %counts;
	$decided{$prediction->{prediction_id}} = $outcome;
	return $outcome if $outcome ne 'SIGNAL';
	return $outcome . ' ' . sql("SELECT concat_ws(' ', COALESCE(trading.decision_inputs(inputs) #>> '{account,conversion_rate}', 'none'), position_size) "
		. "FROM trading.signals WHERE prediction_id = '$prediction->{prediction_id}'");
}

# One lot loses 20 pips = 200 USD at its stop; 1 % of 10,000 is 100 in the account's currency.

is(decided(), 'NO_CONVERSION_RATE', 'francs without any rate');
tick('USDCHF', 0.8);
is(decided(), 'SIGNAL 0.8 0.62', 'a tick brings the rate: a lot loses 160 francs');
$now += 300 * $second;
is(decided(), 'SIGNAL 0.8 0.62', 'a rate is good for 300 s');
$now += 1;
is(decided(), 'NO_CONVERSION_RATE', 'and not for a microsecond more');
tick('USDCHF', 0.5);
is(decided(), 'SIGNAL 0.5 1', 'the next price brings it back');

$now += $day;
tick('USDCHF', 0.4, at => $now - 301 * $second);
is(decided(), 'NO_CONVERSION_RATE', 'a price that arrives too old is too old');
is(decided(symbol => 'USDCHF', current_price => 0.8), 'SIGNAL none 0.5',
	'the quote currency of the instrument itself needs none: a lot loses 200 francs');
is(decided(), 'SIGNAL 0.8 0.62', 'and a broadcast prediction brings a rate as a tick does');
$now += $day;
is(decided(company => 'acme', symbol => 'USDCHF', current_price => 0.7), 'SIGNAL none 0.5', 'a prediction for one company');
is(decided(), 'NO_CONVERSION_RATE', 'moves nobody\'s rates');

# Inverse, and through a third currency.
tick('EURCHF', 1);
is(decided(), 'SIGNAL 0.8 0.62', 'through euros: EURUSD is 1.25 by the prediction itself, EURCHF 1');
$now += $day;
account("currency = 'GBP'");
is(decided(), 'NO_CONVERSION_RATE', 'another currency counts for the next prediction');
tick('GBPUSD', 2);
is(decided(), 'SIGNAL 0.5 1', 'which finds its rate, inverse');

# An index has the same points in every currency: that isn't a rate.
$now += $day;
sql(q{INSERT INTO trading.instruments SELECT 'US500GBP', asset_class, base_currency, 'GBP', pip_size, tick_size, contract_size,
	lot_min, lot_step, lot_max, min_stop_pips FROM trading.instruments WHERE symbol = 'US500'});
tick('US500', 6000);
tick('US500GBP', 6000);
is(decided(), 'NO_CONVERSION_RATE', 'an index in dollars and in pounds makes no rate of 1');
sql(q{UPDATE trading.instruments SET asset_class = 'crypto' WHERE symbol LIKE 'US500%'});
is(decided(), 'SIGNAL 1 0.5', 'while something that has one price would');
sql(q{UPDATE trading.instruments SET asset_class = 'index' WHERE symbol LIKE 'US500%'});

# Rows.
$now += $day;
sub at { return "to_timestamp(0) + $_[0] * interval '1 us'" }
is(decided(), 'NO_CONVERSION_RATE', 'no price for a day');
sql("INSERT INTO trading.rates (base_currency, quote_currency, rate, as_of) VALUES ('USD', 'GBP', 0.8, " . at($now) . ')');
is(decided(), 'SIGNAL 0.8 0.62', 'a row of trading.rates');
$now += 301 * $second;
is(decided(), 'NO_CONVERSION_RATE', 'is as good as a price, and no longer');
sql("UPDATE trading.rates SET max_age = '1 day'");
is(decided(), 'SIGNAL 0.8 0.62', 'unless it says so');
tick('GBPUSD', 2);
is(decided(), 'SIGNAL 0.5 1', 'a newer price is preferred');
sql("UPDATE trading.rates SET rate = 0.25, as_of = " . at($now + $second));
is(decided(), 'SIGNAL 0.25 2', 'and a newer row');
sql("UPDATE trading.rates SET as_of = " . at($now + $second + 1));
is(decided(), 'SIGNAL 0.5 1', 'but none of the future');
sql("UPDATE trading.rates SET rate = 0.2");
is(sql("SELECT as_of = now() OR as_of > now() - interval '1 minute' FROM trading.rates"), 't', 'a rate that is set is as of now');
is(decided(), 'SIGNAL 0.5 1', 'which is the future, in 2012');
sql("UPDATE trading.rates SET max_age = '0', as_of = " . at(0));
$now += 100 * $day;
is(decided(), 'SIGNAL 0.2 2.5', 'a max_age of 0 is no limit');
sql('DELETE FROM trading.rates');
is(decided(), 'NO_CONVERSION_RATE', 'a deleted row is gone');
is(sql("SELECT string_agg(operation, ' ' ORDER BY change_id) FROM trading.strategy_changes WHERE kind = 'rate' AND item = 'USD/GBP'"),
	'INSERT UPDATE UPDATE UPDATE UPDATE UPDATE DELETE', 'and all of it is in the log');

# The account.
account('conversion_rate = 0.4');
is(decided(), 'SIGNAL 0.4 1.25', 'a rate of the account needs no other');
tick('GBPUSD', 2);
is(decided(), 'SIGNAL 0.4 1.25', 'and wins over any');
account('conversion_rate = NULL, equity = 20000');
is(decided(), 'SIGNAL 0.5 2', 'equity counts for the next prediction');
account("currency = 'USD', equity = 10000");
is(decided(), 'SIGNAL none 0.5', 'an account in quote currency');
account("currency = 'EUR'");
like(decided(), qr/^SIGNAL none 0\.6[12]$/, 'one in base currency is converted at its stop');

# What survives.
account("currency = 'GBP'");
$node->restart;
wait_for_lanes($node);
%counted = ();
is(decided(), 'SIGNAL 0.5 1', 'prices are there again after a restart');
my $killed = kill_worker($node, 0);
comes_true($node, "count(*) = 1 FROM trading.stat_workers WHERE pid <> $killed") or die "no worker comes back\n";
%counted = ();
is(decided(), 'SIGNAL 0.5 1', 'and after a kill');
$now += 300 * $second + 1;
is(decided(), 'NO_CONVERSION_RATE', 'as old as they are');

configure($node, 'trading_engine.rate_max_age' => "'10 min'");
$node->reload;
wait_until('the setting counts', sub { decided() eq 'SIGNAL 0.5 1' });
pass('trading_engine.rate_max_age counts without a restart');
configure($node, 'trading_engine.rate_max_age' => 0);
$node->reload;
$now += 1000 * $day;
wait_until('there is no limit', sub { decided() eq 'SIGNAL 0.5 1' });
pass('0 is no limit');

# The rates of its moment are kept with each prediction.
my $live = join ', ', map { "('$_', '$decided{$_}')" } sort keys %decided;
is(sql(qq{SELECT count(*), count(*) FILTER (WHERE l.outcome = 'NO_CONVERSION_RATE') >= 10,
		count(*) FILTER (WHERE (r.outcome, r.position_size, r.max_loss) IS DISTINCT FROM (l.outcome, s.position_size, s.max_loss))
	FROM (VALUES $live) AS l (prediction_id, outcome)
	LEFT JOIN trading.replay('2000-01-01Z', '2100-01-01Z', outcomes => trading.enum_labels('outcome')) AS r USING (prediction_id)
	LEFT JOIN trading.signals AS s USING (prediction_id)}),
	scalar(keys %decided) . '|t|0', 'a replay comes to the same decisions and sizes, and to those without a rate');
is_recomputed($node, 'every signal can be computed again from what is stored with it');
done_testing();
