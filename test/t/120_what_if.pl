# What a change of strategies would have meant, on a history where everything is worked out by
# hand: signals gained, lost and changed, what would have become of them, and the figures.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;

my $node = engine('what_if', lanes => 1, conf => { 'trading_engine.clock' => 'input' });
# A market order at 1.1: stop 20 pips below at 1.0980, take profit 40 above at 1.1040.  1 % of
# 10,000 is 100, a lot loses 0.0020 * 100,000 = 200, so 0.5 lots: -100 at the stop, +200 at the
# take profit.
my %strategy = (allowed_regimes => "trading.enum_labels('regime')", prefer_market_orders => 'true',
	min_confidence_threshold => 0.7, max_position_count => 10);
company($node, 'acme', users => [ 'ann', 'bob' ], producers => ['desk'], strategy => \%strategy);
company($node, 'other', users => ['eve'], producers => ['desk'], currency => 'EUR', strategy => \%strategy);
$node->safe_psql('postgres', q{
	UPDATE trading.strategies SET enabled = false WHERE user_id = 'bob';
	CREATE ROLE te_ann LOGIN; CREATE ROLE te_eve LOGIN;
	GRANT trading_tenant TO te_ann, te_eve;
	INSERT INTO trading.logins (role_name, company_id, user_id) VALUES ('te_ann', 'acme', 'ann'), ('te_eve', 'other', 'eve')});

# A prediction at thirty seconds past each hour from 10:00, and how the market goes on after it.
my @history = (
	[ 'a', 0.95, 'up' ], [ 'b', 0.75, 'down' ], [ 'c', 0.75, 'up' ], [ 'd', 0.65, 'down' ], [ 'e', 0.95, 'down' ],
	[ 'f', 0.9, 'nowhere' ]);
my %bar = (up => '1.1, 1.1041, 1.0995, 1.1', down => '1.1, 1.1005, 1.0979, 1.1', nowhere => '1.1, 1.1005, 1.0995, 1.1');
my $count = 0;
for my $h (@history)
{
	my ($name, $confidence, $way) = @$h;
	my $at = sprintf '2026-01-05T%02d:00:30Z', 10 + $count;
	$node->safe_psql('postgres', qq{
		SELECT trading.submit(jsonb_build_object('batch_id', '$name', 'producer_id', 'desk', 'company_id', c, 'user_id', '_all',
			'generated_at', '$at', 'predictions', jsonb_build_array(jsonb_build_object('prediction_id', '$name', 'symbol', 'EURUSD',
				'current_price', 1.1, 'predicted_price', 1.11, 'direction', 'BUY', 'confidence', $confidence)))) FROM unnest('{acme,other}'::text[]) AS c;
		INSERT INTO trading.market_bars (lane, symbol, bar_start, open, high, low, close)
			VALUES (0, 'EURUSD', timestamptz '$at' - interval '30 s', $bar{nowhere}), (0, 'EURUSD', timestamptz '$at' + interval '4 min 30 s', $bar{$way})});
	$count++;
}
wait_for($node, 'SELECT sum(predictions) FROM trading.stat_workers', 12, 'the predictions are decided');

my $range = "'2026-01-05 10:00Z', '2026-01-06 00:00Z'";
my $acme = "company_id => 'acme'";
my $columns = q{difference, prediction_id, changed, gate ->> 'gate', gate ->> 'value', gate ->> 'threshold',
	outcome_before, outcome_after, result_before, result_after, round(profit_before), round(profit_after)};

# The rows of a call of what_if.
sub what_if
{
	my ($arguments, $list) = @_;
	$list //= $columns;
	return value($node, "SELECT $list FROM trading.what_if($arguments) ORDER BY prediction_id, company_id, user_id");
}

is(value($node, "SELECT string_agg(prediction_id, '' ORDER BY prediction_id) FROM trading.signals WHERE company_id = 'acme'"),
	'abcef', 'what was decided: all but the one of confidence 0.65');

#----------------------------------------------------------------------
# Lost, gained, changed
#----------------------------------------------------------------------

is(what_if("$range, $acme"), '', 'nothing changes nothing');
is(what_if("$range, '{\"min_confidence_threshold\": 0.8}', $acme"),
	"LOST|b|{outcome}|LOW_CONFIDENCE|0.75|0.8|SIGNAL|LOW_CONFIDENCE|STOP_LOSS||-100|\n"
	. 'LOST|c|{outcome}|LOW_CONFIDENCE|0.75|0.8|SIGNAL|LOW_CONFIDENCE|TAKE_PROFIT||200|',
	'a higher threshold loses a loss and a gain');
is(what_if("$range, '{\"min_confidence_threshold\": 0.6}', $acme"),
	'GAINED|d|{outcome}|LOW_CONFIDENCE|0.65|0.7|LOW_CONFIDENCE|SIGNAL||STOP_LOSS||-100', 'a lower one gains a loss');
is(what_if("$range, '{\"min_confidence_threshold\": 0.6}', $acme, workers => 2"),
	'GAINED|d|{outcome}|LOW_CONFIDENCE|0.65|0.7|LOW_CONFIDENCE|SIGNAL||STOP_LOSS||-100', 'with workers too');
is(what_if("'2026-01-05 10:00Z', '2026-01-05 12:00:30Z', '{\"min_confidence_threshold\": 0.8}', $acme", 'prediction_id'), 'b',
	'the range begins at its start and ends before its end');
is(what_if("$range, '{\"enabled\": true}', $acme", "user_id, prediction_id, difference, gate ->> 'gate'"),
	join("\n", map { "bob|$_|GAINED|DISABLED" } qw(a b c e f)), 'a strategy that was switched off');
is(what_if("$range, '{\"enabled\": false}', $acme", "user_id, prediction_id, difference, outcome_after"),
	join("\n", map { "ann|$_|LOST|DISABLED" } qw(a b c e f)), 'one that is switched off');
is(what_if("$range, '{\"available_instruments\": [\"GBPUSD\"]}', $acme, user_id => 'ann'", 'prediction_id, difference, outcome_after'),
	join("\n", map { "$_|LOST|INSTRUMENT_NOT_ALLOWED" } qw(a b c e f)), 'one that trades something else');

# 30 pips of stop: 1.0970, 60 of take profit: 1.1060, size 100 / 300 = 0.33 lots.  Nothing is reached.
is(what_if("$range, '{\"stop_loss_pips\": 30}', $acme", 'difference, prediction_id, changed, entry_price_after, stop_loss_before, stop_loss_after,'
		. ' take_profit_before, take_profit_after, position_size_before, position_size_after, result_before, result_after'),
	join("\n", map { "CHANGED|$_->[0]|{stop_loss,take_profit,position_size,max_loss}|1.1|1.098|1.097|1.104|1.106|0.5|0.33|$_->[1]|OPEN" }
		  [ 'a', 'TAKE_PROFIT' ], [ 'b', 'STOP_LOSS' ], [ 'c', 'TAKE_PROFIT' ], [ 'e', 'STOP_LOSS' ], [ 'f', 'OPEN' ]),
	'a wider stop changes prices and size');
# 20 pips of take profit: 1.1020, +100 where the market goes up.
is(what_if("$range, '{\"reward_risk_ratio\": 1}', $acme", 'prediction_id, changed, round(profit_before), round(profit_after), round(r_multiple_after::numeric, 6)'),
	join("\n", map { "$_->[0]|{take_profit,reward_risk_ratio}|$_->[1]" }
		  [ 'a', '200|100|1.000000' ], [ 'b', '-100|-100|-1.000000' ], [ 'c', '200|100|1.000000' ], [ 'e', '-100|-100|-1.000000' ], [ 'f', '||' ]),
	'a nearer take profit earns less');

# Limit orders 2 pips below, 1.0998, with stop 1.0978 and take profit 1.1038, good for 300 seconds: the bar five minutes
# after fills each, and can't take the profit.  Nothing falls to 1.0978; the bar of 12:05 reaches 1.1038, for those of 10 and 11 o'clock.
is(what_if("$range, '{\"prefer_market_orders\": false}', $acme", 'prediction_id, order_type_before, order_type_after, entry_price_after, result_before, result_after, closed_at_after'),
	join("\n", map { "$_->[0]|MARKET|LIMIT|1.0998|$_->[1]" } [ 'a', 'TAKE_PROFIT|TAKE_PROFIT|2026-01-05 12:10:00+00' ],
		[ 'b', 'STOP_LOSS|TAKE_PROFIT|2026-01-05 12:10:00+00' ], [ 'c', 'TAKE_PROFIT|OPEN|' ], [ 'e', 'STOP_LOSS|OPEN|' ], [ 'f', 'OPEN|OPEN|' ]),
	'limit orders');
# With a life of 30 seconds the order is gone before the next bar begins.
is(value($node, "SELECT DISTINCT result_after FROM trading.what_if($range, '{\"prefer_market_orders\": false, \"signal_ttl_seconds\": 30}', $acme)"),
	'NOT_FILLED', 'limit orders that expire');

#----------------------------------------------------------------------
# An UPDATE that isn't committed
#----------------------------------------------------------------------

is(value($node, qq{
		BEGIN;
		UPDATE trading.strategies SET min_confidence_threshold = 0.8 WHERE (company_id, user_id) = ('acme', 'ann');
		SELECT $columns FROM trading.what_if($range, $acme, strategies => 'current') ORDER BY prediction_id;
		ROLLBACK}),
	"LOST|b|{outcome}|LOW_CONFIDENCE|0.75|0.8|SIGNAL|LOW_CONFIDENCE|STOP_LOSS||-100|\n"
	. 'LOST|c|{outcome}|LOW_CONFIDENCE|0.75|0.8|SIGNAL|LOW_CONFIDENCE|TAKE_PROFIT||200|',
	'what an UPDATE would have done, before it is committed');
is(what_if("$range, $acme, strategies => 'current'"), '', 'once it is rolled back, nothing differs');
is(value($node, qq{
		BEGIN;
		UPDATE trading.strategies SET enabled = true WHERE (company_id, user_id) = ('acme', 'bob');
		SELECT difference, user_id, prediction_id FROM trading.what_if($range, '{"min_confidence_threshold": 0.9}', $acme, strategies => 'current', workers => 2)
		 ORDER BY user_id, prediction_id;
		ROLLBACK}),
	"LOST|ann|b\nLOST|ann|c\nGAINED|bob|a\nGAINED|bob|e\nGAINED|bob|f", 'an UPDATE and changes together, seen by workers');
is(value($node, qq{
		BEGIN;
		DELETE FROM trading.strategies WHERE (company_id, user_id) = ('acme', 'ann');
		SELECT prediction_id, difference, outcome_after IS NULL FROM trading.what_if($range, $acme, strategies => 'current') ORDER BY prediction_id;
		ROLLBACK}),
	join("\n", map { "$_|LOST|t" } qw(a b c e f)), 'a strategy that is deleted has no outcome');

#----------------------------------------------------------------------
# Figures
#----------------------------------------------------------------------

# Before: +200, -100, +200, -100 and one open: 10200, 10100, 10300, 10200: the largest fall is 100 from 10200.
# After: +200, -100 and one open: 10200, 10100.
is(value($node, qq{SELECT signals_before, filled_before, open_before, closed_before, sample_size_before, win_rate_before, round(profit_factor_before::numeric, 6),
			round(expectancy_before::numeric, 6), round(expectancy_r_before::numeric, 6), round(total_profit_before::numeric, 6), round(max_drawdown_before::numeric, 8),
			signals_after, filled_after, open_after, closed_after, sample_size_after, win_rate_after, round(profit_factor_after::numeric, 6),
			round(expectancy_after::numeric, 6), round(expectancy_r_after::numeric, 6), round(total_profit_after::numeric, 6), round(max_drawdown_after::numeric, 8)
		  FROM trading.what_if_summary($range, '{"min_confidence_threshold": 0.8}', $acme)}),
	'5|5|1|4|4|0.5|2.000000|50.000000|0.500000|200.000000|0.00980392|3|3|1|2|2|0.5|2.000000|50.000000|0.500000|100.000000|0.00980392',
	'figures before and after, by hand');
# The account of eve is in EUR, converted at the stop: 1 / 1.098.  0.5 lots lose 100 USD = 91.07 EUR; 1 % of 10,000 allows
# 100 / (200 / 1.098) = 0.549, rounded down to 0.54: -98.36 and +196.72.
is(value($node, qq{SELECT company_id, user_id, strategy_id, currency, signals_before, signals_after, round(total_profit_before::numeric, 2), round(expectancy_after::numeric, 2), win_rate_after
		  FROM trading.what_if_summary($range, '{"min_confidence_threshold": 0.9, "enabled": true}')}),
	"other|eve|main|EUR|5|3|196.72|49.18|0.5\nacme|ann|main|USD|5|3|200.00|50.00|0.5\nacme|bob|main|USD|0|3||50.00|0.5\n|||USD|5|6|200.00|50.00|0.5",
	'a row for each strategy, and one for all of a currency where there are several');
is(value($node, qq{SELECT count(*) FROM trading.what_if_summary($range, '{"enabled": false}', company_id => 'acme', user_id => 'bob')}), 0,
	'a strategy without a signal has no row');

# The same figures by plain SQL, over the rows.
is(value($node, qq{
	CREATE TEMP TABLE trade AS SELECT * FROM trading.what_if_trades($range, '{"stop_loss_pips": 15, "min_confidence_threshold": 0.6}', $acme);
	WITH curve AS (SELECT run, 10000 + sum(sum(profit)) OVER (PARTITION BY run ORDER BY closed_at) AS equity, closed_at FROM trade WHERE profit IS NOT NULL GROUP BY run, closed_at),
	     falls AS (SELECT run, 1 - equity / greatest(10000, max(equity) OVER (PARTITION BY run ORDER BY closed_at)) AS fall FROM curve),
	     plain AS (SELECT run, count(*) AS signals, count(profit) AS n, count(*) FILTER (WHERE profit > 0)::float8 / count(profit) AS win_rate,
			sum(profit) FILTER (WHERE profit > 0) / -sum(profit) FILTER (WHERE profit < 0) AS factor, avg(profit) AS expectancy, sum(profit) AS total,
			(SELECT max(fall) FROM falls AS f WHERE f.run = t.run) AS drawdown
		  FROM trade AS t GROUP BY run)
	SELECT s.sample_size_before, s.sample_size_after, b.signals = s.signals_before AND a.signals = s.signals_after AND b.n = s.sample_size_before AND a.n = s.sample_size_after
		AND (SELECT bool_and(abs(x.plain - x.ours) < 1e-9) FROM (VALUES (b.win_rate, s.win_rate_before), (a.win_rate, s.win_rate_after), (b.factor, s.profit_factor_before), (a.factor, s.profit_factor_after),
			(b.expectancy, s.expectancy_before), (a.expectancy, s.expectancy_after), (b.total, s.total_profit_before), (a.total, s.total_profit_after),
			(b.drawdown, s.max_drawdown_before), (a.drawdown, s.max_drawdown_after)) AS x (plain, ours))
	  FROM trading.what_if_summary($range, '{"stop_loss_pips": 15, "min_confidence_threshold": 0.6}', $acme) AS s, plain AS b, plain AS a WHERE b.run = 'before' AND a.run = 'after'}),
	'4|5|t', 'the summary is what plain SQL makes of the trades');

#----------------------------------------------------------------------
# Whose, and what is refused
#----------------------------------------------------------------------

# What a call complains about, as a role.
sub complaint
{
	my ($role, $call) = @_;
	my ($out, $err) = ('', '');
	$node->psql('postgres', "SET client_min_messages = error; SELECT count(*) FROM $call", stdout => \$out, stderr => \$err, extra_params => [ '-U', $role ]);
	return $err =~ /ERROR:\s+(.*)/ ? $1 : $out;
}

is(complaint('te_ann', "trading.what_if($range, '{\"min_confidence_threshold\": 0.8}')"), 2, 'a tenant sees what its own would have done');
is(complaint('te_eve', "trading.what_if_summary($range, '{\"min_confidence_threshold\": 0.8}')"), 1, 'each its own');
is(complaint('te_eve', "trading.what_if_trades($range, company_id => 'acme')"), 'invalid value for argument "company_id": there is no company "acme"',
	'another company is none');
is(complaint('te_eve', "trading.what_if($range, company_id => 'nowhere')"), 'invalid value for argument "company_id": there is no company "nowhere"',
	'in the words for one that isn\'t there');
is(complaint('te_ann', "trading.what_if_summary($range, user_id => 'bob')"), 'invalid value for argument "user_id": there is no user "bob"',
	'nor does a colleague exist for a trader');
like(complaint('te_ann', "trading.what_if($range, '{\"risk\": 1}')"), qr/unknown key "changes.risk"/, 'an unknown parameter');
like(complaint('te_ann', "trading.what_if($range, '{\"risk_percent\": 101}')"), qr/"changes.risk_percent"/, 'a value out of range');
like(complaint('te_ann', "trading.what_if($range, '{\"custom_rule\": \"\$.consensus > 0\"}')"), qr/tier PRO does not allow this value of "custom_rule"/,
	'what the tier doesn\'t allow');
like(complaint('te_ann', "trading.what_if_summary('2026-01-06Z', '2026-01-05Z')"), qr/"to_time" is before argument "from_time"/, 'a reversed range');
like(complaint('te_ann', "trading.what_if($range, outcomes => '{SIGNAL,LOSS}')"), qr/unknown outcome "LOSS"/, 'an unknown outcome');

$node->stop;
done_testing();
