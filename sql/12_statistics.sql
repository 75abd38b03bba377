-- Figures of trades and of predictions, as aggregates for any table.  doc/statistics.md
-- has the formulas.  Rows whose figure is NULL (a trade that is still open) are left out;
-- a figure without enough data is NULL.
--
-- A family of them shares a state in C.  Sums over trades and probabilities are exact until they
-- are read, so that neither order nor parallel workers change a bit of them.  The equity curve
-- starts at the given equity and goes from close to close, with all closes of one instant summed
-- first, from left to right; so it, and runs of losses, take their rows in order.

DO $functions$
DECLARE
	f record;
BEGIN
	FOR f IN
		SELECT v.name, v.arguments, v.result, 'PARALLEL SAFE' AS properties, v.about
		  FROM (VALUES
			('trades_add', 'state internal, profit float8', 'internal', 'transition function of figures of trades'),
			('equity_add', 'state internal, profit float8, closed_at timestamptz, equity float8', 'internal', 'transition function of figures of the equity curve'),
			('streak_add', 'state internal, profit float8', 'internal', 'transition function of losing_streak'),
			('brier_add', 'state internal, confidence float8, correct boolean', 'internal', 'transition function of brier_score'),
			('reliability_add', 'state internal, confidence float8, correct boolean', 'internal', 'transition function of reliability'),
			('reliability_add', 'state internal, confidence float8, correct boolean, bins integer', 'internal', 'transition function of reliability with a number of bins'),
			('streak_longest', 'internal', 'bigint', 'final function of losing_streak'),
			('equity_recovery_time', 'internal', 'interval', 'final function of recovery_time'),
			('brier_brier_score', 'internal', 'float8', 'final function of brier_score'),
			('reliability_read', 'internal', 'jsonb', 'final function of reliability')) AS v (name, arguments, result, about)
		UNION ALL
		SELECT v.family || '_' || figure, 'internal', 'float8', 'PARALLEL SAFE', 'final function of ' || figure
		  FROM (VALUES ('trades', ARRAY['win_rate', 'profit_factor', 'payoff_ratio', 'expectancy', 'sharpe', 'sortino', 'sqn']),
			('equity', ARRAY['max_drawdown', 'max_drawdown_amount', 'present_drawdown', 'calmar'])) AS v (family, figures), unnest(v.figures) AS figure
		UNION ALL
		SELECT family || '_' || v.name, v.arguments, v.result, v.properties, v.about
		  FROM unnest(ARRAY['trades', 'brier', 'reliability']) AS family,
		       (VALUES ('merge', 'internal, internal', 'internal', 'PARALLEL SAFE', 'combine function of aggregates'),
			('pack', 'internal', 'bytea', 'STRICT PARALLEL SAFE', 'serialization function of aggregates'),
			('unpack', 'bytea, internal', 'internal', 'STRICT PARALLEL SAFE', 'deserialization function of aggregates')) AS v (name, arguments, result, properties, about)
	LOOP
		EXECUTE pg_catalog.format('CREATE FUNCTION trading.%I(%s) RETURNS %s LANGUAGE c IMMUTABLE %s AS %L, %L',
			f.name, f.arguments, f.result, f.properties, 'MODULE_PATHNAME', 'te_sql_' || f.name);
		EXECUTE pg_catalog.format('COMMENT ON FUNCTION trading.%I(%s) IS %L', f.name, f.arguments, f.about);
	END LOOP;
END
$functions$;

DO $aggregates$
DECLARE
	a record;
BEGIN
	FOR a IN
		SELECT v.*, v.family IN ('trades', 'brier', 'reliability') AS in_parallel FROM (VALUES
			('win_rate', 'profit float8', 'trades', 'trades_win_rate', 2304,
				'wins / (wins + losses), break-even trades left out; NULL with fewer than 2 trades, or none that won or lost'),
			('profit_factor', 'profit float8', 'trades', 'trades_profit_factor', 2304,
				'gross profit / gross loss; NULL with fewer than 2 trades or no loss'),
			('payoff_ratio', 'profit float8', 'trades', 'trades_payoff_ratio', 2304,
				'mean win / mean loss; NULL with fewer than 2 trades, no win or no loss'),
			('expectancy', 'profit float8', 'trades', 'trades_expectancy', 2304,
				'mean profit per trade, break-even trades included; NULL with fewer than 2 trades'),
			('sharpe_ratio', 'result float8', 'trades', 'trades_sharpe', 2304,
				'mean / sample standard deviation of per-trade results (profits, returns or R multiples), not annualised; NULL with fewer than 2 trades or no variance'),
			('sortino_ratio', 'result float8', 'trades', 'trades_sortino', 2304,
				'mean / sqrt(mean of min(result, 0)^2) of per-trade results, not annualised; NULL with fewer than 2 trades or no loss'),
			('sqn', 'r_multiple float8', 'trades', 'trades_sqn', 2304,
				'system quality number: sqrt(trades) * mean / sample standard deviation of R multiples; NULL with fewer than 2 trades or no variance'),
			('max_drawdown', 'profit float8, closed_at timestamptz, equity float8', 'equity', 'equity_max_drawdown', 160,
				'largest (peak - equity) / peak of the equity curve that starts at equity, closes of one instant summed first; call with ORDER BY closed_at; NULL with fewer than 2 trades'),
			('max_drawdown_amount', 'profit float8, closed_at timestamptz, equity float8', 'equity', 'equity_max_drawdown_amount', 160,
				'largest peak - equity of the equity curve, in money; call with ORDER BY closed_at; NULL with fewer than 2 trades'),
			('present_drawdown', 'profit float8, closed_at timestamptz, equity float8', 'equity', 'equity_present_drawdown', 160,
				'(peak - equity) / peak at the end of the equity curve that starts at equity, closes of one instant summed first; call with ORDER BY closed_at; NULL with fewer than 2 trades'),
			('calmar_ratio', 'profit float8, closed_at timestamptz, equity float8', 'equity', 'equity_calmar', 160,
				'total profit / equity / max_drawdown, over the time that the trades span, not annualised; call with ORDER BY closed_at; NULL with fewer than 2 trades or no drawdown'),
			('recovery_time', 'profit float8, closed_at timestamptz, equity float8', 'equity', 'equity_recovery_time', 160,
				'longest time from a peak of the equity curve until it is reached again, of drawdowns that have recovered; call with ORDER BY closed_at; NULL with fewer than 2 trades, or when none has'),
			('losing_streak', 'profit float8', 'streak', 'streak_longest', 64,
				'most losses in a row; a break-even trade neither ends nor lengthens a streak; call with ORDER BY closed_at; NULL with fewer than 2 trades'),
			('brier_score', 'confidence float8, correct boolean', 'brier', 'brier_brier_score', 640,
				'mean of (confidence - (1 if correct, else 0))^2: 0 is perfect, 0.25 is what a constant 0.5 gets'),
			('reliability', 'confidence float8, correct boolean', 'reliability', 'reliability_read', 6144,
				'reliability diagram in ten bins of equal width, [low, high) but the last: an array of low, high, count, mean_confidence, hit_rate, without empty bins'),
			('reliability', 'confidence float8, correct boolean, bins integer', 'reliability', 'reliability_read', 6144,
				'reliability diagram in so many bins of equal width, [low, high) but the last: an array of low, high, count, mean_confidence, hit_rate, without empty bins')) AS v (name, arguments, family, final, space, about)
	LOOP
		EXECUTE pg_catalog.format('CREATE AGGREGATE trading.%I(%s) (SFUNC = trading.%I, STYPE = internal, SSPACE = %s, FINALFUNC = trading.%I,
			FINALFUNC_MODIFY = READ_ONLY%s, PARALLEL = SAFE)', a.name, a.arguments, a.family || '_add', a.space, a.final,
			CASE WHEN a.in_parallel THEN pg_catalog.format(', COMBINEFUNC = trading.%I, SERIALFUNC = trading.%I, DESERIALFUNC = trading.%I',
				a.family || '_merge', a.family || '_pack', a.family || '_unpack') END);
		EXECUTE pg_catalog.format('COMMENT ON AGGREGATE trading.%I(%s) IS %L', a.name, a.arguments, a.about);
	END LOOP;
END
$aggregates$;
