# A month of real bars under changed strategies: every difference is explained, and what became of
# each signal is what plain SQL finds in the bars.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use TradingEngine;
use TradingEngineNats;
use TradingEngineRun;

my $shared = shared_folder();
my $file = defined $shared ? "$shared/data/gbpusd_m1_2012-02.csv.gz" : undef;
plan skip_all => 'the month of real bars is not here (TE_SHARED)' unless defined $file && -e $file;

my $nats = TradingEngineNats->new('month')->start;
my $node = engine('month', nats => $nats, lanes => 2, conf => { 'trading_engine.clock' => 'input' });
trade($node);
predict($nats, '--file', $file, 'GBPUSD');
wait_for_input($node, $nats, 300);
wait_for_output($node, $nats);

my $range = "'2012-02-01Z', '2012-03-02Z'";

# Strategies with their threshold, and the confidence that every signal was decided on.
$node->safe_psql('postgres', q{
	CREATE TABLE public.threshold AS
		SELECT e.company_id, e.user_id, e.strategy_id, e.min_confidence_threshold AS t FROM trading.effective_strategies AS e;
	CREATE TABLE public.live AS
		SELECT s.company_id, s.user_id, s.strategy_id, s.prediction_id, s.entry_price, s.position_size,
		       (trading.decision_inputs(s.inputs) -> 'prediction' ->> 'confidence')::float8 AS confidence
		  FROM trading.signals AS s WHERE s.outcome = 'SIGNAL'});
cmp_ok(value($node, 'SELECT count(*) FROM public.live'), '>', 500, 'there are signals');

#----------------------------------------------------------------------
# Every difference is explained
#----------------------------------------------------------------------

for my $threshold (0.87, 0.75)
{
	$node->safe_psql('postgres', qq{
		DROP TABLE IF EXISTS public.difference;
		CREATE TABLE public.difference AS SELECT * FROM trading.what_if($range, '{"min_confidence_threshold": $threshold}')});
	cmp_ok(value($node, 'SELECT count(*) FROM public.difference'), '>', 50, "a threshold of $threshold makes differences");
	note(value($node, "SELECT string_agg(difference || ' ' || n, ', ') FROM (SELECT difference, count(*) AS n FROM public.difference GROUP BY 1 ORDER BY 1) AS d"));
	is(value($node, qq{
		SELECT count(*) FROM public.difference AS d JOIN public.threshold AS e USING (company_id, user_id, strategy_id)
		 WHERE CASE d.difference WHEN 'LOST' THEN d.confidence >= e.t - 1e-9 AND d.confidence < $threshold
		            WHEN 'GAINED' THEN d.confidence >= $threshold - 1e-9 AND d.confidence < e.t END IS NOT TRUE}), '0',
		'the confidence of each lies between the thresholds');
	is(value($node, qq{
		SELECT count(*) FROM public.difference AS d JOIN public.threshold AS e USING (company_id, user_id, strategy_id)
		 WHERE (d.gate ->> 'gate' = 'LOW_CONFIDENCE' AND (d.gate ->> 'value')::float8 = d.confidence
		        AND (d.gate ->> 'threshold')::float8 = CASE d.difference WHEN 'LOST' THEN $threshold ELSE e.t END
		        AND CASE d.difference WHEN 'LOST' THEN d.outcome_after ELSE d.outcome_before END = 'LOW_CONFIDENCE') IS NOT TRUE}), '0',
		'and the gate says so');
	is(value($node, qq{
		SELECT count(*) FROM ((SELECT company_id, user_id, strategy_id, prediction_id FROM public.live JOIN public.threshold USING (company_id, user_id, strategy_id) WHERE confidence < $threshold - 1e-9
			EXCEPT SELECT company_id, user_id, strategy_id, prediction_id FROM public.difference WHERE difference = 'LOST')
			UNION ALL (SELECT company_id, user_id, strategy_id, prediction_id FROM public.difference WHERE difference = 'LOST'
			EXCEPT SELECT company_id, user_id, strategy_id, prediction_id FROM public.live WHERE confidence < $threshold - 1e-9)) AS x}), '0',
		'what is lost is exactly what was decided below the threshold');
}

#----------------------------------------------------------------------
# What became of each
#----------------------------------------------------------------------

$node->safe_psql('postgres', qq{CREATE TABLE public.trade AS SELECT * FROM trading.what_if_trades($range, '{"min_confidence_threshold": 0.75}')});
is(value($node, q{
	SELECT count(*) FROM (SELECT company_id, user_id, strategy_id, prediction_id, entry_price, position_size FROM public.live
		EXCEPT SELECT company_id, user_id, strategy_id, prediction_id, entry_price, position_size FROM public.trade WHERE run = 'before') AS x}), '0',
	'the trades before are those of the signals');
is(value($node, q{SELECT count(*) FILTER (WHERE run = 'before') = (SELECT count(*) FROM public.live) FROM public.trade}), 't', 'all of them and no other');
note(value($node, q{SELECT string_agg(run || ' ' || result || ' ' || n, ', ') FROM (SELECT run, result, count(*) AS n FROM public.trade GROUP BY 1, 2 ORDER BY 1, 2) AS t}));

# The rules of doc/what_if.md once more, for a single order, in SQL: the first bar that stops it out, the first that takes
# the profit, and the earlier of the two.
is(value($node, q{
	WITH t AS (
		SELECT t.*, CASE WHEN t.signal_type LIKE '%BUY' THEN 1 ELSE -1 END AS s, COALESCE(t.spread_pips, 0) * 0.0001 / 2 AS half, interval '5 min' AS len
		  FROM public.trade AS t WHERE t.user_id NOT IN ('eve')
	), filled AS (
		SELECT t.*, CASE WHEN t.order_type = 'MARKET' THEN t.decided_at ELSE f.bar_start END AS fill, o.bar_start AS opening
		  FROM t
		  LEFT JOIN LATERAL (SELECT b.bar_start FROM trading.market_bars AS b
			 WHERE b.lane = t.lane AND b.symbol = t.symbol AND b.bar_start > t.decided_at AND b.bar_start < t.expires_at
			   AND CASE WHEN t.s > 0 THEN b.low + t.half <= t.entry_price + 1e-11 ELSE b.high - t.half >= t.entry_price - 1e-11 END
			 ORDER BY b.bar_start LIMIT 1) AS f ON true
		  LEFT JOIN LATERAL (SELECT max(b.bar_start) AS bar_start FROM trading.market_bars AS b
			 WHERE b.lane = t.lane AND b.symbol = t.symbol AND b.bar_start <= t.decided_at AND b.bar_start + t.len > t.decided_at) AS o ON true
	), judged AS (
		SELECT f.*, l.bar_start AS stopped, l.open AS stop_open, p.bar_start AS profited
		  FROM filled AS f
		  LEFT JOIN LATERAL (SELECT b.bar_start, b.open FROM trading.market_bars AS b
			 WHERE b.lane = f.lane AND b.symbol = f.symbol AND b.bar_start >= CASE WHEN f.order_type = 'MARKET' THEN COALESCE(f.opening, f.fill) ELSE f.fill END
			   AND CASE WHEN f.s > 0 THEN b.low - f.half <= f.stop_loss + 1e-11 ELSE b.high + f.half >= f.stop_loss - 1e-11 END
			 ORDER BY b.bar_start LIMIT 1) AS l ON true
		  LEFT JOIN LATERAL (SELECT b.bar_start FROM trading.market_bars AS b
			 WHERE b.lane = f.lane AND b.symbol = f.symbol AND b.bar_start > f.fill
			   AND CASE WHEN f.s > 0 THEN b.high - f.half >= f.take_profit - 1e-11 ELSE b.low + f.half <= f.take_profit + 1e-11 END
			 ORDER BY b.bar_start LIMIT 1) AS p ON true
	), said AS (
		SELECT j.*, CASE WHEN fill IS NULL AND EXISTS (SELECT FROM trading.market_bars AS b WHERE b.lane = j.lane AND b.symbol = j.symbol AND b.bar_start >= j.expires_at) THEN 'NOT_FILLED'
			WHEN fill IS NULL THEN 'OPEN' WHEN stopped IS NULL AND profited IS NULL THEN 'OPEN'
			WHEN profited IS NULL OR stopped <= profited THEN 'STOP_LOSS' ELSE 'TAKE_PROFIT' END AS want
		  FROM judged AS j
	), priced AS (
		SELECT s.*, CASE want WHEN 'TAKE_PROFIT' THEN take_profit WHEN 'STOP_LOSS' THEN CASE
				WHEN stopped > COALESCE(CASE WHEN order_type = 'MARKET' THEN opening END, fill) AND s.s * (stop_open - s.s * half - stop_loss) < 0 THEN stop_open - s.s * half ELSE stop_loss END END AS price
		  FROM said AS s
	)
	SELECT count(*) > 1000, count(DISTINCT result) >= 3, count(*) FILTER (WHERE result <> want OR (fill IS DISTINCT FROM filled_at AND want <> 'NOT_FILLED')
			OR CASE WHEN want IN ('STOP_LOSS', 'TAKE_PROFIT') THEN abs(price - exit_price) > 1e-11 OR abs(pips - s * (price - entry_price) / 0.0001) > 1e-6
				OR closed_at <> CASE want WHEN 'STOP_LOSS' THEN stopped ELSE profited END + len OR abs(profit - s * (price - entry_price) * position_size * 100000) > 1e-6 END)
	  FROM priced}), 't|t|0', 'every result, price and profit is what SQL finds in the bars');

is(value($node, qq{
	WITH plain AS (
		SELECT company_id, user_id, strategy_id, run, count(*) AS signals, count(profit) AS n, sum(profit) AS total, avg(profit) AS expectancy, avg(r_multiple) AS expectancy_r,
		       count(*) FILTER (WHERE profit > 0)::float8 / nullif(count(*) FILTER (WHERE profit <> 0), 0) AS win_rate
		  FROM public.trade GROUP BY GROUPING SETS ((company_id, user_id, strategy_id, run), (run)))
	SELECT count(*) > 8, count(*) FILTER (WHERE s.company_id IS NULL), bool_and(
		s.signals_before = COALESCE(b.signals, 0) AND s.signals_after = COALESCE(a.signals, 0) AND s.sample_size_before = COALESCE(b.n, 0) AND s.sample_size_after = COALESCE(a.n, 0)
		AND (SELECT bool_and((ours IS NULL AND (plain IS NULL OR few < 2)) OR abs(ours - plain) < 1e-6 * greatest(1, abs(plain))) FROM (VALUES
			(s.total_profit_before, b.total, 2), (s.total_profit_after, a.total, 2), (s.expectancy_before, b.expectancy, b.n), (s.expectancy_after, a.expectancy, a.n),
			(s.expectancy_r_before, b.expectancy_r, b.n), (s.win_rate_after, a.win_rate, a.n)) AS x (ours, plain, few)))
	  FROM trading.what_if_summary($range, '{"min_confidence_threshold": 0.75}') AS s
	  LEFT JOIN plain AS b ON b.run = 'before' AND ROW(b.company_id, b.user_id, b.strategy_id) IS NOT DISTINCT FROM ROW(s.company_id, s.user_id, s.strategy_id)
	  LEFT JOIN plain AS a ON a.run = 'after' AND ROW(a.company_id, a.user_id, a.strategy_id) IS NOT DISTINCT FROM ROW(s.company_id, s.user_id, s.strategy_id)}),
	't|1|t', 'the summary is what plain SQL makes of the trades');

#----------------------------------------------------------------------
# A grid over the month
#----------------------------------------------------------------------

my $grid = q('{"min_confidence_threshold": [0.70, 0.72, 0.74, 0.76, 0.78, 0.80, 0.82, 0.84, 0.86, 0.88], "stop_loss_pips": [10, 15, 20, 25, 30], "reward_risk_ratio": [1, 1.25, 1.5, 2, 3]}');
my $carl = "company_id => 'desk', user_id => 'carl', strategy_id => 's1'";
my $start = time;
is(value($node, qq{SELECT count(*), count(DISTINCT combination), count(*) FILTER (WHERE chosen) BETWEEN 1 AND 4, count(*) FILTER (WHERE fold IS NULL) FROM trading.sweep($range, $grid, $carl, workers => 0)}),
	'1001|250|t|1', '250 combinations over a month');
note(sprintf 'in %.1f s', time - $start);
# What is out of the sample is never in it, and figures out of it don't depend on what is tried besides.
is(value($node, qq{SELECT bool_and(in_to = out_from AND in_from = '2012-02-01Z' AND out_to > out_from) FROM trading.sweep($range, '{"stop_loss_pips": [20]}', $carl) WHERE fold IS NOT NULL}), 't', 'the sample ends where the test begins');
is(value($node, qq{SELECT count(*) FROM trading.sweep($range, $grid, $carl) AS a JOIN trading.sweep($range, '{"reward_risk_ratio": [1.5], "stop_loss_pips": [15], "min_confidence_threshold": [0.8]}', $carl) AS b USING (fold, parameters)
		WHERE to_jsonb(a) - '{combination,chosen}'::text[] = to_jsonb(b) - '{combination,chosen}'::text[]}), '4', 'a combination alone has the figures that it has among others');

$node->stop;
$nats->stop;
done_testing();
