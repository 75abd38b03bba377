# A walk-forward test over a grid of parameters, on a history where everything is worked out by
# hand; what nobody could know at the end of a sample doesn't choose.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;

my $node = engine('sweep', lanes => 1, conf => { 'trading_engine.clock' => 'input' });
# A market order at 1.1 wins 200 where the market goes up and loses 100 where it goes down: see 120_what_if.pl.
my %strategy = (allowed_regimes => "trading.enum_labels('regime')", prefer_market_orders => 'true', min_confidence_threshold => 0.75);
company($node, 'acme', users => ['ann'], producers => ['desk'], strategy => \%strategy);
company($node, 'other', users => ['eve'], producers => ['desk'], currency => 'EUR', strategy => \%strategy);
$node->safe_psql('postgres', q{
	CREATE ROLE te_ann LOGIN; CREATE ROLE te_eve LOGIN;
	GRANT trading_tenant TO te_ann, te_eve;
	INSERT INTO trading.logins (role_name, company_id, user_id) VALUES ('te_ann', 'acme', 'ann'), ('te_eve', 'other', 'eve')});

# An hour each: confidence high (0.85) or low (0.75), and how the market goes on five minutes later.  Those of GBPUSD
# go nowhere until 05:05, when they go up.  Four periods of five hours.
my @hours = (
	qw(low:down high:up low:GBPUSD high:down low:GBPUSD), qw(low:up high:down high:down high:up low:up),
	qw(low:down high:up high:up high:down low:nowhere), qw(low:down high:up low:down high:up high:nowhere));
my %bar = (up => '1.1, 1.1041, 1.0995, 1.1', down => '1.1, 1.1005, 1.0979, 1.1', nowhere => '1.1, 1.1005, 1.0995, 1.1');
my $sql = '';
for my $hour (0 .. $#hours)
{
	my ($confidence, $way) = split /:/, $hours[$hour];
	my $symbol = $way eq 'GBPUSD' ? $way : 'EURUSD';
	my $at = sprintf '2026-01-05T%02d:00:30Z', $hour;
	$confidence = $confidence eq 'low' ? 0.75 : 0.85;
	$sql .= qq{
		SELECT trading.submit(jsonb_build_object('batch_id', 'h$hour', 'producer_id', 'desk', 'company_id', c, 'user_id', '_all',
			'generated_at', '$at', 'predictions', jsonb_build_array(jsonb_build_object('prediction_id', 'h$hour', 'symbol', '$symbol',
				'current_price', 1.1, 'predicted_price', 1.11, 'direction', 'BUY', 'confidence', $confidence)))) FROM unnest('{acme,other}'::text[]) AS c;};
	$sql .= qq{
		INSERT INTO trading.market_bars (lane, symbol, bar_start, open, high, low, close)
			VALUES (0, 'EURUSD', timestamptz '$at' - interval '30 s', $bar{nowhere}), (0, 'EURUSD', timestamptz '$at' + interval '4 min 30 s', $bar{$way});}
	  if $symbol eq 'EURUSD';
}
$sql .= "INSERT INTO trading.market_bars (lane, symbol, bar_start, open, high, low, close) VALUES (0, 'GBPUSD', '2026-01-05 05:05Z', $bar{up});";
$node->safe_psql('postgres', $sql);
wait_for($node, 'SELECT sum(predictions) FROM trading.stat_workers', 40, 'the predictions are decided');

my $range = "'2026-01-05 00:00Z', '2026-01-05 20:00Z'";
my $thresholds = qq('{"min_confidence_threshold": [0.7, 0.8]}');
my $acme = "company_id => 'acme', min_trades => 2";

#----------------------------------------------------------------------
# By hand
#----------------------------------------------------------------------

# Fold 1: of the five that 0.7 takes, two were still open at 05:00 and made 200 each later: knowing that, 0.7 made 80 a
# trade in the sample; not knowing it, 0 (-100, +200, -100).  0.8 made 50 (+200, -100), and is chosen.
is(value($node, qq{SELECT fold, combination, parameters ->> 'min_confidence_threshold', chosen, in_signals, in_left_out, in_trades, round(in_expectancy::numeric, 4),
			out_signals, out_left_out, out_trades, round(out_expectancy::numeric, 4)
		  FROM trading.sweep($range, $thresholds, 3, $acme)}), join("\n",
		'1|1|0.7|f|5|2|3|0.0000|5|0|5|80.0000',
		'1|2|0.8|t|2|0|2|50.0000|3|0|3|0.0000',
		# 0.7: 800 of ten trades; 0.8: 100 of five.
		'2|1|0.7|t|10|0|10|80.0000|5|0|5|20.0000',
		'2|2|0.8|f|5|0|5|20.0000|3|0|3|100.0000',
		# The last trade of period 2 is closed at 15:10, with the first of period 3.  0.7: 1000 of fourteen; 0.8: 400 of eight.
		'3|1|0.7|t|15|1|14|71.4286|5|1|4|50.0000',
		'3|2|0.8|f|8|0|8|50.0000|3|1|2|200.0000',
		# Chained: 0 of three by 0.8, then 100 of five and 200 of four by 0.7.  In hindsight 0.8 made 700 of eight.
		'|2|0.8||9|1|8|87.5000|13|1|12|25.0000'), 'each fold in and out of its sample, and what the chosen ones made');
# 5 of 12 won, 1000 against 700.  Equity: 9900, 9800, 10000; 9900, 10100, 10300, 10200, then -100 and -100 together: 10000; 10200, 10100, 10300.
is(value($node, qq{SELECT out_from, out_to, round(out_win_rate::numeric, 6), round(out_profit_factor::numeric, 6), round(out_expectancy_r::numeric, 6), round(out_total_profit::numeric, 6),
			round(out_max_drawdown::numeric, 8), round(out_score::numeric, 6), round(in_total_profit::numeric, 6) FROM trading.sweep($range, $thresholds, 3, $acme) WHERE fold IS NULL}),
	'2026-01-05 05:00:00+00|2026-01-05 20:00:00+00|0.416667|1.428571|0.250000|300.000000|0.02912621|25.000000|700.000000', 'the honest total');
is(value($node, qq{SELECT fold, combination, in_from, in_to, out_to, in_trades, round(in_expectancy::numeric, 4), chosen
		  FROM trading.sweep($range, $thresholds, 3, $acme, anchored => false) WHERE fold = 2}), join("\n",
		'2|1|2026-01-05 05:00:00+00|2026-01-05 10:00:00+00|2026-01-05 15:00:00+00|5|80.0000|t',
		'2|2|2026-01-05 05:00:00+00|2026-01-05 10:00:00+00|2026-01-05 15:00:00+00|3|0.0000|f'), 'a sample that is not anchored is the period before');
is(value($node, qq{SELECT fold, chosen, combination FROM trading.sweep($range, $thresholds, 3, company_id => 'acme', min_trades => 6) WHERE chosen IS NOT false}),
	"2|t|1\n3|t|1\n||2", 'who has too few trades in the sample isn\'t chosen');
is(value($node, qq{SELECT out_trades, out_signals, out_expectancy IS NULL, combination IS NULL FROM trading.sweep($range, $thresholds, 3, company_id => 'acme', min_trades => 100) WHERE fold IS NULL}),
	'0|0|t|t', 'and where nobody has enough there is no total');

#----------------------------------------------------------------------
# Against what_if_trades
#----------------------------------------------------------------------

my $grid = qq('{"stop_loss_pips": [15, 20, 25], "reward_risk_ratio": [1, 1.5, 2], "min_confidence_threshold": [0.7, 0.8], "risk_percent": [0.5, 1]}');
my $compare = qq{
	CREATE TEMP TABLE swept AS SELECT * FROM trading.sweep($range, $grid, 4, company_id => 'acme', workers => WORKERS);
	SELECT count(*), count(DISTINCT parameters), bool_and(
		s.out_signals = t.out_signals AND s.out_trades = t.out_trades AND s.in_signals = t.in_signals AND s.in_trades = t.in_trades
		AND s.out_expectancy IS NOT DISTINCT FROM t.out_expectancy AND s.in_expectancy IS NOT DISTINCT FROM t.in_expectancy
		AND s.out_profit_factor IS NOT DISTINCT FROM t.out_factor AND s.in_win_rate IS NOT DISTINCT FROM t.in_win_rate
		AND s.in_max_drawdown IS NOT DISTINCT FROM t.in_drawdown AND s.out_max_drawdown IS NOT DISTINCT FROM t.out_drawdown
		AND s.in_expectancy_r IS NOT DISTINCT FROM t.in_r AND s.out_left_out = t.out_open)
	  FROM swept AS s,
	       LATERAL (SELECT count(*) FILTER (WHERE o) AS out_signals, count(profit) FILTER (WHERE o) AS out_trades, count(*) FILTER (WHERE i) AS in_signals, count(profit) FILTER (WHERE k) AS in_trades,
			trading.expectancy(profit) FILTER (WHERE o) AS out_expectancy, trading.expectancy(profit) FILTER (WHERE k) AS in_expectancy, trading.profit_factor(profit) FILTER (WHERE o) AS out_factor,
			trading.win_rate(profit) FILTER (WHERE k) AS in_win_rate, trading.max_drawdown(profit, closed_at, 10000 ORDER BY closed_at, decided_at) FILTER (WHERE k) AS in_drawdown,
			trading.max_drawdown(profit, closed_at, 10000 ORDER BY closed_at, decided_at) FILTER (WHERE o) AS out_drawdown, trading.expectancy(r_multiple) FILTER (WHERE k) AS in_r,
			count(*) FILTER (WHERE o AND result = 'OPEN') AS out_open
		  FROM (SELECT t.*, decided_at >= s.out_from AND decided_at < s.out_to AS o, decided_at >= s.in_from AND decided_at < s.in_to AS i,
				decided_at >= s.in_from AND decided_at < s.in_to AND closed_at <= s.in_to AS k
			  FROM trading.what_if_trades($range, s.parameters, 'acme') AS t WHERE run = 'after') AS t) AS t
	 WHERE s.fold IS NOT NULL};
is(value($node, $compare =~ s/WORKERS/0/r), '144|36|t', 'figures of 36 combinations are those of what_if_trades()');
is(value($node, $compare =~ s/WORKERS/3/r), '144|36|t', 'with workers too');
is(value($node, qq{SELECT count(*) FROM (SELECT fold, max(in_expectancy) AS best FROM swept WHERE in_trades >= 10 GROUP BY fold) AS b JOIN swept AS s USING (fold)
		WHERE s.chosen AND s.in_expectancy = b.best} =~ s/^/CREATE TEMP TABLE swept AS SELECT * FROM trading.sweep($range, $grid, 4, company_id => 'acme');\n/r), 2,
	'the chosen one is the best of its sample, in the two folds whose sample has ten trades');
for my $metric (qw(expectancy expectancy_r total_profit win_rate profit_factor))
{
	is(value($node, qq{SELECT bool_and(in_score IS NOT DISTINCT FROM in_$metric AND out_score IS NOT DISTINCT FROM out_$metric) AND
			count(*) FILTER (WHERE chosen) = 3 FROM trading.sweep($range, $thresholds, 3, $acme, metric => '$metric')}), 't', "chosen by $metric");
}
for my $metric ([ sharpe_ratio => 'trading.sharpe_ratio(profit)' ], [ sortino_ratio => 'trading.sortino_ratio(profit)' ], [ sqn => 'trading.sqn(r_multiple)' ],
	[ calmar_ratio => 'trading.calmar_ratio(profit, closed_at, 10000 ORDER BY closed_at, decided_at)' ])
{
	is(value($node, qq{SELECT s.out_score = (SELECT $metric->[1] FROM trading.what_if_trades($range, s.parameters, 'acme') AS t
				WHERE run = 'after' AND decided_at >= s.out_from AND decided_at < s.out_to)
		  FROM trading.sweep($range, $thresholds, 3, $acme, metric => '$metric->[0]') AS s WHERE fold = 2 AND combination = 1}), 't', "chosen by $metric->[0]");
}

# As many combinations as there may be.
my $many = q{(SELECT jsonb_build_object('stop_loss_pips', jsonb_agg(10 + n / 10.0), 'reward_risk_ratio', jsonb_agg(1 + n / 50.0)) FROM generate_series(0, 99) AS n)};
is(value($node, qq{SELECT count(*), count(DISTINCT combination), count(DISTINCT parameters) FROM trading.sweep($range, $many, 3, $acme) WHERE fold IS NOT NULL}),
	'30000|10000|10000', '10,000 combinations');
# What is cancelled leaves nothing behind.
like(($node->psql('postgres', qq{SET statement_timeout = '50ms'; SELECT count(*) FROM trading.sweep($range, $many, 3, $acme)}))[2], qr/canceling statement due to statement timeout/,
	'a sweep can be cancelled');
is(value($node, 'SELECT count(*) FROM trading.stat_progress_replay'), '0', 'and is gone then');

#----------------------------------------------------------------------
# What is refused
#----------------------------------------------------------------------

sub complaint
{
	my ($arguments, $role) = @_;
	my ($out, $err) = ('', '');
	$node->psql('postgres', "SET client_min_messages = error; SELECT count(*) FROM trading.sweep($range, $arguments)", stdout => \$out, stderr => \$err,
		extra_params => [ '-U', $role // 'te_ann' ]);
	return $err =~ /ERROR:\s+(.*)/ ? $1 : $out;
}

is(complaint(qq('{"risk_percent": [0.5, 1]}', min_trades => 2)), '9', 'a tenant sweeps its own');
is(complaint(q('{"risk": [1]}')), 'unknown key "grid.risk"', 'a parameter that is none');
is(complaint(q('[]')), 'invalid value for "grid": must be an object, not an array', 'no object');
is(complaint(q('{}')), 'invalid value for "grid": must name at least one parameter', 'an empty one');
is(complaint(q(NULL)), 'invalid value for argument "grid": must not be NULL', 'none at all');
is(complaint(q('{"risk_percent": 1}')), 'invalid value for "grid.risk_percent": must be an array of values', 'no array');
is(complaint(q('{"risk_percent": []}')), 'invalid value for "grid.risk_percent": must have at least one value', 'an empty array');
like(complaint(q('{"risk_percent": [1, 2, 1.00]}')), qr/"grid.risk_percent": has value 1(.00)? twice/, 'a value twice');
like(complaint(q('{"risk_percent": ["NaN"]}')), qr/"grid.risk_percent": must be a number/, 'NaN');
like(complaint(q('{"risk_percent": [1, 101]}')), qr/"grid.risk_percent": /, 'a value out of range');
like(complaint(q('{"time_in_force": ["GTC", "IOC"], "prefer_market_orders": [false]}')), qr/"grid.time_in_force": /, 'values that don\'t go together');
$node->safe_psql('postgres', q{UPDATE trading.tiers SET max_position_count = 10 WHERE tier = 'PRO'});
is(complaint(q('{"max_position_count": [5, 11], "risk_percent": [1]}')), 'tier PRO does not allow value 11 of "grid.max_position_count"', 'what the tier doesn\'t allow');
is(complaint(q('{"execution_algorithm": ["NONE", "TWAP"]}')), 'tier PRO does not allow value "TWAP" of "grid.execution_algorithm"', 'a feature of another tier');
is(value($node, q{SELECT jsonb_build_object('risk_percent', jsonb_agg(n / 100.0), 'stop_loss_pips', jsonb_agg(n)) FROM generate_series(1, 101) AS n})
	=~ /^(.*)$/ && complaint("'$1'"), 'the grid has more than 10000 combinations', 'too many combinations');
is(complaint(qq($thresholds, 0)), 'invalid value for argument "folds": must be from 1 to 100', 'no fold');
is(complaint(qq($thresholds, metric => 'luck')), 'invalid value for argument "metric": must be expectancy, expectancy_r, total_profit, win_rate, profit_factor, '
	. 'sharpe_ratio, sortino_ratio, sqn or calmar_ratio', 'an unknown metric');
is(complaint(qq($thresholds, min_trades => 1)), 'invalid value for argument "min_trades": must be 2 or more', 'too few trades');
is(complaint(qq($thresholds, company_id => 'acme'), 'te_eve'), 'invalid value for argument "company_id": there is no company "acme"', 'another tenant\'s strategies');
like(value($node, 'SELECT current_user') && complaint($thresholds, scalar getpwuid($>)), qr/metric "expectancy" needs accounts of one currency, and there are USD and EUR/,
	'money of two currencies');
is(complaint(qq($thresholds, 3, metric => 'expectancy_r', min_trades => 2), scalar getpwuid($>)), '7', 'R multiples of two currencies are fine');

$node->stop;
done_testing();
