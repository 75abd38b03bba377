-- What changes of strategies would have meant: decisions that differ, trades judged against
-- the bars that followed, and figures of both.

CREATE TYPE trading.decision_difference AS (
	difference text, changed text[], gate jsonb,
	lane integer, batch_no bigint, position integer, prediction_index integer, decided_at timestamptz,
	company_id text, user_id text, strategy_id text, symbol text, prediction_id text,
	confidence float8, currency text,
	outcome_before text, outcome_after text,
	signal_type_before text, signal_type_after text,
	order_type_before text, order_type_after text,
	entry_price_before float8, entry_price_after float8,
	stop_loss_before float8, stop_loss_after float8,
	take_profit_before float8, take_profit_after float8,
	position_size_before float8, position_size_after float8,
	result_before text, result_after text,
	closed_at_before timestamptz, closed_at_after timestamptz,
	pips_before float8, pips_after float8,
	r_multiple_before float8, r_multiple_after float8,
	profit_before float8, profit_after float8);
COMMENT ON TYPE trading.decision_difference IS
	'a decision that differs between two runs: trading.what_if(); doc/what_if.md has the rules of results';
COMMENT ON COLUMN trading.decision_difference.difference IS 'GAINED, LOST or CHANGED';
COMMENT ON COLUMN trading.decision_difference.changed IS 'columns in which the two decisions differ';
COMMENT ON COLUMN trading.decision_difference.gate IS
	'of a decision gained or lost, the gate that the other one did not pass: gate, check, value, threshold';
COMMENT ON COLUMN trading.decision_difference.outcome_before IS
	'outcome as it was; NULL: the strategy was not there, or did not trade the symbol';
COMMENT ON COLUMN trading.decision_difference.outcome_after IS
	'outcome as it would be; NULL: the strategy is not there, or does not trade the symbol';
COMMENT ON COLUMN trading.decision_difference.result_before IS
	'what became of it by the bars of its lane: NOT_FILLED, STOP_LOSS, TAKE_PROFIT or OPEN (no end by the last bar)';
COMMENT ON COLUMN trading.decision_difference.result_after IS 'what would have become of it';
COMMENT ON COLUMN trading.decision_difference.r_multiple_before IS 'profit over what the stop loss would have cost';
COMMENT ON COLUMN trading.decision_difference.profit_before IS 'in the account''s currency';
COMMENT ON COLUMN trading.decision_difference.profit_after IS 'in the account''s currency';

CREATE FUNCTION trading.what_if(from_time timestamptz, to_time timestamptz, changes jsonb DEFAULT '{}',
		company_id text DEFAULT NULL, user_id text DEFAULT NULL, strategy_id text DEFAULT NULL,
		symbol text DEFAULT NULL, strategies text DEFAULT 'recorded',
		outcomes text[] DEFAULT '{SIGNAL}', workers integer DEFAULT NULL)
	RETURNS SETOF trading.decision_difference
	AS 'MODULE_PATHNAME', 'te_sql_what_if'
	LANGUAGE c STABLE PARALLEL UNSAFE SECURITY DEFINER COST 1000000 ROWS 1000
	SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.what_if(timestamptz, timestamptz, jsonb, text, text, text, text, text, text[], integer) IS
	'decisions on stored predictions of [from_time, to_time) that differ between the strategies as they were and as they would be: with changes laid over the users'' own rows, or (strategies => current) as this transaction has them; signals gained, lost and changed, and what would have become of them';

CREATE TYPE trading.judged_signal AS (
	run text, lane integer, batch_no bigint, position integer, prediction_index integer, decided_at timestamptz,
	company_id text, user_id text, strategy_id text, strategy_version bigint, symbol text, prediction_id text,
	confidence float8, signal_type text, order_type text,
	entry_price float8, stop_loss float8, take_profit float8, position_size float8, expires_at timestamptz, spread_pips float8,
	currency text, equity float8,
	result text, filled_at timestamptz, closed_at timestamptz, filled_size float8,
	fill_price float8, exit_price float8, pips float8, r_multiple float8, profit float8);
COMMENT ON TYPE trading.judged_signal IS
	'a signal and what would have become of it: trading.what_if_trades(); doc/what_if.md has the rules';
COMMENT ON COLUMN trading.judged_signal.run IS 'before: strategies as they were; after: as they would be';
COMMENT ON COLUMN trading.judged_signal.spread_pips IS 'of the decision; NULL: not known, and taken as 0';
COMMENT ON COLUMN trading.judged_signal.equity IS 'of the account when it was decided, in currency';
COMMENT ON COLUMN trading.judged_signal.result IS 'NOT_FILLED, STOP_LOSS, TAKE_PROFIT or OPEN (no end by the last bar)';
COMMENT ON COLUMN trading.judged_signal.filled_at IS 'of a limit order, the start of the bar that fills it';
COMMENT ON COLUMN trading.judged_signal.closed_at IS 'end of the bar that closes it';
COMMENT ON COLUMN trading.judged_signal.filled_size IS 'lots; of several legs, those that are filled';
COMMENT ON COLUMN trading.judged_signal.fill_price IS 'of several legs, their mean by size';
COMMENT ON COLUMN trading.judged_signal.exit_price IS 'of several legs, their mean by size';
COMMENT ON COLUMN trading.judged_signal.pips IS 'of several legs, their mean by size';
COMMENT ON COLUMN trading.judged_signal.r_multiple IS 'profit over what the stop loss would have cost';
COMMENT ON COLUMN trading.judged_signal.profit IS 'in currency; NULL: open, not filled, or no conversion rate is known';

CREATE FUNCTION trading.what_if_trades(from_time timestamptz, to_time timestamptz, changes jsonb DEFAULT '{}',
		company_id text DEFAULT NULL, user_id text DEFAULT NULL, strategy_id text DEFAULT NULL,
		symbol text DEFAULT NULL, strategies text DEFAULT 'recorded', workers integer DEFAULT NULL)
	RETURNS SETOF trading.judged_signal
	AS 'MODULE_PATHNAME', 'te_sql_what_if_trades'
	LANGUAGE c STABLE PARALLEL UNSAFE SECURITY DEFINER COST 1000000 ROWS 10000
	SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.what_if_trades(timestamptz, timestamptz, jsonb, text, text, text, text, text, integer) IS
	'every signal of stored predictions, before and after the changes, and what would have become of it: what trading.what_if_summary() sums up';

-- Figures of each strategy, and of all of one currency together where there are several.

CREATE TYPE trading.what_if_figures AS (
	company_id text, user_id text, strategy_id text, currency text,
	signals_before bigint, signals_after bigint,
	filled_before bigint, filled_after bigint,
	open_before bigint, open_after bigint,
	closed_before bigint, closed_after bigint,
	sample_size_before bigint, sample_size_after bigint,
	win_rate_before float8, win_rate_after float8,
	profit_factor_before float8, profit_factor_after float8,
	expectancy_before float8, expectancy_after float8,
	expectancy_r_before float8, expectancy_r_after float8,
	total_profit_before float8, total_profit_after float8,
	max_drawdown_before float8, max_drawdown_after float8);
COMMENT ON TYPE trading.what_if_figures IS 'figures before and after, of one strategy or (strategy_id NULL) of all that have accounts in one currency: trading.what_if_summary()';
COMMENT ON COLUMN trading.what_if_figures.signals_before IS 'decisions of outcome SIGNAL';
COMMENT ON COLUMN trading.what_if_figures.filled_before IS 'signals that were filled, at least in part';
COMMENT ON COLUMN trading.what_if_figures.open_before IS 'signals without an end by the last bar: left out of the figures';
COMMENT ON COLUMN trading.what_if_figures.closed_before IS 'signals that ended at stop loss or take profit';
COMMENT ON COLUMN trading.what_if_figures.sample_size_before IS 'trades that the figures are made from: closed ones whose profit is known';
COMMENT ON COLUMN trading.what_if_figures.win_rate_before IS 'wins / (wins + losses)';
COMMENT ON COLUMN trading.what_if_figures.profit_factor_before IS 'gross profit / gross loss';
COMMENT ON COLUMN trading.what_if_figures.expectancy_before IS 'mean profit per trade, in currency';
COMMENT ON COLUMN trading.what_if_figures.expectancy_r_before IS 'mean R multiple of closed trades';
COMMENT ON COLUMN trading.what_if_figures.total_profit_before IS 'in currency';
COMMENT ON COLUMN trading.what_if_figures.max_drawdown_before IS 'largest fall of the equity curve as a fraction of its peak; it starts with the account''s equity at the first signal';

CREATE FUNCTION trading.what_if_summary(from_time timestamptz, to_time timestamptz, changes jsonb DEFAULT '{}',
		company_id text DEFAULT NULL, user_id text DEFAULT NULL, strategy_id text DEFAULT NULL,
		symbol text DEFAULT NULL, strategies text DEFAULT 'recorded', workers integer DEFAULT NULL)
	RETURNS SETOF trading.what_if_figures
	LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 10
	SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
	WITH trades AS MATERIALIZED (
		SELECT t.* FROM trading.what_if_trades($1, $2, $3, $4, $5, $6, $7, $8, $9) AS t
	), accounts AS MATERIALIZED (
		SELECT DISTINCT ON (t.company_id, t.user_id, t.currency) t.company_id, t.user_id, t.currency, t.equity
		  FROM trades AS t
		 ORDER BY t.company_id, t.user_id, t.currency, t.decided_at, t.lane, t.batch_no, t.position, t.prediction_index, t.strategy_id
	), strategies AS MATERIALIZED (
		SELECT DISTINCT t.company_id, t.user_id, t.strategy_id, t.currency FROM trades AS t
	), several AS MATERIALIZED (
		SELECT s.currency, (SELECT sum(a.equity) FROM accounts AS a WHERE a.currency = s.currency) AS equity
		  FROM strategies AS s GROUP BY s.currency HAVING count(*) > 1
	), scoped AS (
		SELECT t.company_id AS company, t.user_id AS owner, t.strategy_id AS strategy, a.equity AS start_equity, t.*
		  FROM trades AS t
		  JOIN accounts AS a ON a.company_id = t.company_id AND a.user_id = t.user_id AND a.currency = t.currency
		UNION ALL
		SELECT NULL, NULL, NULL, s.equity, t.* FROM trades AS t JOIN several AS s ON s.currency = t.currency
	), figures AS MATERIALIZED (
		SELECT t.company, t.owner, t.strategy, t.currency, t.run,
		       count(*) AS signals,
		       count(t.filled_at) AS filled,
		       count(*) FILTER (WHERE t.result = 'OPEN') AS open,
		       count(*) FILTER (WHERE t.result IN ('STOP_LOSS', 'TAKE_PROFIT')) AS closed,
		       count(t.profit) AS sample_size,
		       trading.win_rate(t.profit) AS win_rate,
		       trading.profit_factor(t.profit) AS profit_factor,
		       trading.expectancy(t.profit) AS expectancy,
		       trading.expectancy(t.r_multiple) AS expectancy_r,
		       sum(t.profit ORDER BY t.closed_at, t.decided_at, t.lane, t.batch_no, t.position, t.prediction_index) AS total_profit,
		       trading.max_drawdown(t.profit, t.closed_at, t.start_equity ORDER BY t.closed_at, t.decided_at, t.lane, t.batch_no, t.position, t.prediction_index) FILTER (WHERE t.start_equity > 0) AS max_drawdown
		  FROM scoped AS t GROUP BY 1, 2, 3, 4, 5
	)
	SELECT k.company, k.owner, k.strategy, k.currency,
	       COALESCE(b.signals, 0), COALESCE(a.signals, 0),
	       COALESCE(b.filled, 0), COALESCE(a.filled, 0),
	       COALESCE(b.open, 0), COALESCE(a.open, 0),
	       COALESCE(b.closed, 0), COALESCE(a.closed, 0),
	       COALESCE(b.sample_size, 0), COALESCE(a.sample_size, 0),
	       b.win_rate, a.win_rate,
	       b.profit_factor, a.profit_factor,
	       b.expectancy, a.expectancy,
	       b.expectancy_r, a.expectancy_r,
	       b.total_profit, a.total_profit,
	       b.max_drawdown, a.max_drawdown
	  FROM (SELECT DISTINCT f.company, f.owner, f.strategy, f.currency FROM figures AS f) AS k
	  LEFT JOIN figures AS b ON b.run = 'before' AND b.currency = k.currency
	   AND ROW(b.company, b.owner, b.strategy) IS NOT DISTINCT FROM ROW(k.company, k.owner, k.strategy)
	  LEFT JOIN figures AS a ON a.run = 'after' AND a.currency = k.currency
	   AND ROW(a.company, a.owner, a.strategy) IS NOT DISTINCT FROM ROW(k.company, k.owner, k.strategy)
	 ORDER BY k.currency, k.company NULLS LAST, k.owner, k.strategy
$$;
COMMENT ON FUNCTION trading.what_if_summary(timestamptz, timestamptz, jsonb, text, text, text, text, text, integer) IS
	'figures of the signals of trading.what_if_trades(), before and after, side by side: a row per strategy, and one per currency where it has several strategies';

-- Many combinations of parameters, chosen in-sample and judged out-of-sample.

CREATE TYPE trading.sweep_figures AS (
	fold integer, combination integer, parameters jsonb, chosen boolean,
	in_from timestamptz, in_to timestamptz,
	in_signals bigint, in_left_out bigint, in_trades bigint, in_win_rate float8, in_profit_factor float8, in_expectancy float8, in_expectancy_r float8, in_total_profit float8, in_max_drawdown float8, in_score float8,
	out_from timestamptz, out_to timestamptz,
	out_signals bigint, out_left_out bigint, out_trades bigint, out_win_rate float8, out_profit_factor float8, out_expectancy float8, out_expectancy_r float8, out_total_profit float8, out_max_drawdown float8, out_score float8);
COMMENT ON TYPE trading.sweep_figures IS
	'a combination of parameters in a fold of a walk-forward test, in and out of the sample: trading.sweep(); doc/what_if.md has the rules';
COMMENT ON COLUMN trading.sweep_figures.fold IS
	'from 1; NULL: the total. Its out_ columns are what the chosen combinations made one after the other; combination and in_ columns are what the best one made in the same time, which only hindsight knows';
COMMENT ON COLUMN trading.sweep_figures.combination IS 'from 1, in the order of the grid, the last parameter changing fastest';
COMMENT ON COLUMN trading.sweep_figures.parameters IS 'the combination, as argument changes of trading.replay() and trading.what_if() takes it';
COMMENT ON COLUMN trading.sweep_figures.chosen IS 'it has the best score of the fold''s sample, of those with min_trades trades in it';
COMMENT ON COLUMN trading.sweep_figures.in_signals IS 'decided in the sample';
COMMENT ON COLUMN trading.sweep_figures.in_left_out IS 'of those, filled or waiting and not closed by the sample''s end: what became of them nobody could know then';
COMMENT ON COLUMN trading.sweep_figures.in_trades IS 'closed by the sample''s end: what the figures are made from';
COMMENT ON COLUMN trading.sweep_figures.in_score IS 'the metric';
COMMENT ON COLUMN trading.sweep_figures.out_signals IS 'decided in the time after the sample';
COMMENT ON COLUMN trading.sweep_figures.out_left_out IS 'of those, without an end by the last bar';
COMMENT ON COLUMN trading.sweep_figures.out_trades IS 'closed, whenever: what the figures are made from';
COMMENT ON COLUMN trading.sweep_figures.out_score IS 'the metric';

CREATE FUNCTION trading.sweep(from_time timestamptz, to_time timestamptz, grid jsonb, folds integer DEFAULT 4,
		company_id text DEFAULT NULL, user_id text DEFAULT NULL, strategy_id text DEFAULT NULL,
		symbol text DEFAULT NULL, strategies text DEFAULT 'recorded', metric text DEFAULT 'expectancy',
		min_trades integer DEFAULT 10, anchored boolean DEFAULT true, workers integer DEFAULT NULL)
	RETURNS SETOF trading.sweep_figures
	AS 'MODULE_PATHNAME', 'te_sql_sweep'
	LANGUAGE c STABLE PARALLEL UNSAFE SECURITY DEFINER COST 10000000 ROWS 1000
	SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.sweep(timestamptz, timestamptz, jsonb, integer, text, text, text, text, text, text, integer, boolean, integer) IS
	'every combination of a grid, an object like {"stop_loss_pips": [15, 20], "min_confidence_threshold": [0.7, 0.8]}, over stored predictions of [from_time, to_time), in a walk-forward test: figures in and out of the sample of each fold, which combination the sample chooses by the metric, and what the chosen ones made';

REVOKE ALL ON FUNCTION trading.what_if(timestamptz, timestamptz, jsonb, text, text, text, text, text, text[], integer),
	trading.what_if_trades(timestamptz, timestamptz, jsonb, text, text, text, text, text, integer),
	trading.what_if_summary(timestamptz, timestamptz, jsonb, text, text, text, text, text, integer),
	trading.sweep(timestamptz, timestamptz, jsonb, integer, text, text, text, text, text, text, integer, boolean, integer)
	FROM PUBLIC;
GRANT EXECUTE ON FUNCTION trading.what_if(timestamptz, timestamptz, jsonb, text, text, text, text, text, text[], integer),
	trading.what_if_trades(timestamptz, timestamptz, jsonb, text, text, text, text, text, integer),
	trading.what_if_summary(timestamptz, timestamptz, jsonb, text, text, text, text, text, integer),
	trading.sweep(timestamptz, timestamptz, jsonb, integer, text, text, text, text, text, text, integer, boolean, integer)
	TO trading_admin, trading_tenant;
