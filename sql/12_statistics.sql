-- Figures of trades and of predictions, as aggregates for any table.  doc/statistics.md
-- has the formulas.  Rows whose figure is NULL (a trade that is still open) are left out;
-- a figure without enough data is NULL.

-- Sums over trades: exact until they are read, so that neither order nor parallel workers
-- change a bit of them.

CREATE FUNCTION trading.trades_add(state internal, profit float8) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_trades_add';
COMMENT ON FUNCTION trading.trades_add(internal, float8) IS 'transition function of figures of trades';

CREATE FUNCTION trading.trades_merge(internal, internal) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_trades_merge';
COMMENT ON FUNCTION trading.trades_merge(internal, internal) IS 'combine function of aggregates';

CREATE FUNCTION trading.trades_pack(internal) RETURNS bytea
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_trades_pack';
COMMENT ON FUNCTION trading.trades_pack(internal) IS 'serialization function of aggregates';

CREATE FUNCTION trading.trades_unpack(bytea, internal) RETURNS internal
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_trades_unpack';
COMMENT ON FUNCTION trading.trades_unpack(bytea, internal) IS 'deserialization function of aggregates';

CREATE FUNCTION trading.trades_win_rate(internal) RETURNS float8
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_trades_win_rate';
COMMENT ON FUNCTION trading.trades_win_rate(internal) IS 'final function of win_rate';

CREATE AGGREGATE trading.win_rate(profit float8) (
	SFUNC = trading.trades_add,
	STYPE = internal,
	SSPACE = 2304,
	FINALFUNC = trading.trades_win_rate,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = trading.trades_merge,
	SERIALFUNC = trading.trades_pack,
	DESERIALFUNC = trading.trades_unpack,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE trading.win_rate(float8) IS
	'wins / (wins + losses), break-even trades left out; NULL with fewer than 2 trades, or none that won or lost';

CREATE FUNCTION trading.trades_profit_factor(internal) RETURNS float8
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_trades_profit_factor';
COMMENT ON FUNCTION trading.trades_profit_factor(internal) IS 'final function of profit_factor';

CREATE AGGREGATE trading.profit_factor(profit float8) (
	SFUNC = trading.trades_add,
	STYPE = internal,
	SSPACE = 2304,
	FINALFUNC = trading.trades_profit_factor,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = trading.trades_merge,
	SERIALFUNC = trading.trades_pack,
	DESERIALFUNC = trading.trades_unpack,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE trading.profit_factor(float8) IS
	'gross profit / gross loss; NULL with fewer than 2 trades or no loss';

CREATE FUNCTION trading.trades_payoff_ratio(internal) RETURNS float8
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_trades_payoff_ratio';
COMMENT ON FUNCTION trading.trades_payoff_ratio(internal) IS 'final function of payoff_ratio';

CREATE AGGREGATE trading.payoff_ratio(profit float8) (
	SFUNC = trading.trades_add,
	STYPE = internal,
	SSPACE = 2304,
	FINALFUNC = trading.trades_payoff_ratio,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = trading.trades_merge,
	SERIALFUNC = trading.trades_pack,
	DESERIALFUNC = trading.trades_unpack,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE trading.payoff_ratio(float8) IS
	'mean win / mean loss; NULL with fewer than 2 trades, no win or no loss';

CREATE FUNCTION trading.trades_expectancy(internal) RETURNS float8
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_trades_expectancy';
COMMENT ON FUNCTION trading.trades_expectancy(internal) IS 'final function of expectancy';

CREATE AGGREGATE trading.expectancy(profit float8) (
	SFUNC = trading.trades_add,
	STYPE = internal,
	SSPACE = 2304,
	FINALFUNC = trading.trades_expectancy,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = trading.trades_merge,
	SERIALFUNC = trading.trades_pack,
	DESERIALFUNC = trading.trades_unpack,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE trading.expectancy(float8) IS
	'mean profit per trade, break-even trades included; NULL with fewer than 2 trades';

CREATE FUNCTION trading.trades_sharpe(internal) RETURNS float8
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_trades_sharpe';
COMMENT ON FUNCTION trading.trades_sharpe(internal) IS 'final function of sharpe_ratio';

CREATE AGGREGATE trading.sharpe_ratio(result float8) (
	SFUNC = trading.trades_add,
	STYPE = internal,
	SSPACE = 2304,
	FINALFUNC = trading.trades_sharpe,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = trading.trades_merge,
	SERIALFUNC = trading.trades_pack,
	DESERIALFUNC = trading.trades_unpack,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE trading.sharpe_ratio(float8) IS
	'mean / sample standard deviation of per-trade results (profits, returns or R multiples), not annualised; NULL with fewer than 2 trades or no variance';

CREATE FUNCTION trading.trades_sortino(internal) RETURNS float8
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_trades_sortino';
COMMENT ON FUNCTION trading.trades_sortino(internal) IS 'final function of sortino_ratio';

CREATE AGGREGATE trading.sortino_ratio(result float8) (
	SFUNC = trading.trades_add,
	STYPE = internal,
	SSPACE = 2304,
	FINALFUNC = trading.trades_sortino,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = trading.trades_merge,
	SERIALFUNC = trading.trades_pack,
	DESERIALFUNC = trading.trades_unpack,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE trading.sortino_ratio(float8) IS
	'mean / sqrt(mean of min(result, 0)^2) of per-trade results, not annualised; NULL with fewer than 2 trades or no loss';

CREATE FUNCTION trading.trades_sqn(internal) RETURNS float8
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_trades_sqn';
COMMENT ON FUNCTION trading.trades_sqn(internal) IS 'final function of sqn';

CREATE AGGREGATE trading.sqn(r_multiple float8) (
	SFUNC = trading.trades_add,
	STYPE = internal,
	SSPACE = 2304,
	FINALFUNC = trading.trades_sqn,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = trading.trades_merge,
	SERIALFUNC = trading.trades_pack,
	DESERIALFUNC = trading.trades_unpack,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE trading.sqn(float8) IS
	'system quality number: sqrt(trades) * mean / sample standard deviation of R multiples; NULL with fewer than 2 trades or no variance';

-- The equity curve: starts at the given equity, goes from close to close, with all closes of
-- one instant summed first, from left to right.

CREATE FUNCTION trading.equity_add(state internal, profit float8, closed_at timestamptz, equity float8) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_equity_add';
COMMENT ON FUNCTION trading.equity_add(internal, float8, timestamptz, float8) IS 'transition function of figures of the equity curve';

CREATE FUNCTION trading.equity_max_drawdown(internal) RETURNS float8
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_equity_max_drawdown';
COMMENT ON FUNCTION trading.equity_max_drawdown(internal) IS 'final function of max_drawdown';

CREATE AGGREGATE trading.max_drawdown(profit float8, closed_at timestamptz, equity float8) (
	SFUNC = trading.equity_add,
	STYPE = internal,
	SSPACE = 160,
	FINALFUNC = trading.equity_max_drawdown,
	FINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE trading.max_drawdown(float8, timestamptz, float8) IS
	'largest (peak - equity) / peak of the equity curve that starts at equity, closes of one instant summed first; call with ORDER BY closed_at; NULL with fewer than 2 trades';

CREATE FUNCTION trading.equity_max_drawdown_amount(internal) RETURNS float8
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_equity_max_drawdown_amount';
COMMENT ON FUNCTION trading.equity_max_drawdown_amount(internal) IS 'final function of max_drawdown_amount';

CREATE AGGREGATE trading.max_drawdown_amount(profit float8, closed_at timestamptz, equity float8) (
	SFUNC = trading.equity_add,
	STYPE = internal,
	SSPACE = 160,
	FINALFUNC = trading.equity_max_drawdown_amount,
	FINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE trading.max_drawdown_amount(float8, timestamptz, float8) IS
	'largest peak - equity of the equity curve, in money; call with ORDER BY closed_at; NULL with fewer than 2 trades';

CREATE FUNCTION trading.equity_calmar(internal) RETURNS float8
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_equity_calmar';
COMMENT ON FUNCTION trading.equity_calmar(internal) IS 'final function of calmar_ratio';

CREATE AGGREGATE trading.calmar_ratio(profit float8, closed_at timestamptz, equity float8) (
	SFUNC = trading.equity_add,
	STYPE = internal,
	SSPACE = 160,
	FINALFUNC = trading.equity_calmar,
	FINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE trading.calmar_ratio(float8, timestamptz, float8) IS
	'total profit / equity / max_drawdown, over the time that the trades span, not annualised; call with ORDER BY closed_at; NULL with fewer than 2 trades or no drawdown';

CREATE FUNCTION trading.equity_recovery_time(internal) RETURNS interval
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_equity_recovery_time';
COMMENT ON FUNCTION trading.equity_recovery_time(internal) IS 'final function of recovery_time';

CREATE AGGREGATE trading.recovery_time(profit float8, closed_at timestamptz, equity float8) (
	SFUNC = trading.equity_add,
	STYPE = internal,
	SSPACE = 160,
	FINALFUNC = trading.equity_recovery_time,
	FINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE trading.recovery_time(float8, timestamptz, float8) IS
	'longest time from a peak of the equity curve until it is reached again, of drawdowns that have recovered; call with ORDER BY closed_at; NULL with fewer than 2 trades, or when none has';

CREATE FUNCTION trading.streak_add(state internal, profit float8) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_streak_add';
COMMENT ON FUNCTION trading.streak_add(internal, float8) IS 'transition function of losing_streak';

CREATE FUNCTION trading.streak_longest(internal) RETURNS bigint
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_streak_longest';
COMMENT ON FUNCTION trading.streak_longest(internal) IS 'final function of losing_streak';

CREATE AGGREGATE trading.losing_streak(profit float8) (
	SFUNC = trading.streak_add,
	STYPE = internal,
	SSPACE = 64,
	FINALFUNC = trading.streak_longest,
	FINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE trading.losing_streak(float8) IS
	'most losses in a row; a break-even trade neither ends nor lengthens a streak; call with ORDER BY closed_at; NULL with fewer than 2 trades';

-- Probabilities against what happened.

CREATE FUNCTION trading.brier_add(state internal, confidence float8, correct boolean) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_brier_add';
COMMENT ON FUNCTION trading.brier_add(internal, float8, boolean) IS 'transition function of brier_score';

CREATE FUNCTION trading.brier_merge(internal, internal) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_brier_merge';
COMMENT ON FUNCTION trading.brier_merge(internal, internal) IS 'combine function of aggregates';

CREATE FUNCTION trading.brier_pack(internal) RETURNS bytea
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_brier_pack';
COMMENT ON FUNCTION trading.brier_pack(internal) IS 'serialization function of aggregates';

CREATE FUNCTION trading.brier_unpack(bytea, internal) RETURNS internal
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_brier_unpack';
COMMENT ON FUNCTION trading.brier_unpack(bytea, internal) IS 'deserialization function of aggregates';

CREATE FUNCTION trading.brier_read(internal) RETURNS float8
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_brier_brier_score';
COMMENT ON FUNCTION trading.brier_read(internal) IS 'final function of brier_score';

CREATE AGGREGATE trading.brier_score(confidence float8, correct boolean) (
	SFUNC = trading.brier_add,
	STYPE = internal,
	SSPACE = 640,
	FINALFUNC = trading.brier_read,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = trading.brier_merge,
	SERIALFUNC = trading.brier_pack,
	DESERIALFUNC = trading.brier_unpack,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE trading.brier_score(float8, boolean) IS
	'mean of (confidence - (1 if correct, else 0))^2: 0 is perfect, 0.25 is what a constant 0.5 gets';

CREATE FUNCTION trading.reliability_add(state internal, confidence float8, correct boolean) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_reliability_add';
COMMENT ON FUNCTION trading.reliability_add(internal, float8, boolean) IS 'transition function of reliability';

CREATE FUNCTION trading.reliability_add(state internal, confidence float8, correct boolean, bins integer) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_reliability_add';
COMMENT ON FUNCTION trading.reliability_add(internal, float8, boolean, integer) IS 'transition function of reliability with a number of bins';

CREATE FUNCTION trading.reliability_merge(internal, internal) RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_reliability_merge';
COMMENT ON FUNCTION trading.reliability_merge(internal, internal) IS 'combine function of aggregates';

CREATE FUNCTION trading.reliability_pack(internal) RETURNS bytea
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_reliability_pack';
COMMENT ON FUNCTION trading.reliability_pack(internal) IS 'serialization function of aggregates';

CREATE FUNCTION trading.reliability_unpack(bytea, internal) RETURNS internal
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_reliability_unpack';
COMMENT ON FUNCTION trading.reliability_unpack(bytea, internal) IS 'deserialization function of aggregates';

CREATE FUNCTION trading.reliability_read(internal) RETURNS jsonb
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_reliability_read';
COMMENT ON FUNCTION trading.reliability_read(internal) IS 'final function of reliability';

CREATE AGGREGATE trading.reliability(confidence float8, correct boolean) (
	SFUNC = trading.reliability_add,
	STYPE = internal,
	SSPACE = 6144,
	FINALFUNC = trading.reliability_read,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = trading.reliability_merge,
	SERIALFUNC = trading.reliability_pack,
	DESERIALFUNC = trading.reliability_unpack,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE trading.reliability(float8, boolean) IS
	'reliability diagram in ten bins of equal width, [low, high) but the last: an array of low, high, count, mean_confidence, hit_rate, without empty bins';

CREATE AGGREGATE trading.reliability(confidence float8, correct boolean, bins integer) (
	SFUNC = trading.reliability_add,
	STYPE = internal,
	SSPACE = 6144,
	FINALFUNC = trading.reliability_read,
	FINALFUNC_MODIFY = READ_ONLY,
	COMBINEFUNC = trading.reliability_merge,
	SERIALFUNC = trading.reliability_pack,
	DESERIALFUNC = trading.reliability_unpack,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE trading.reliability(float8, boolean, integer) IS
	'reliability diagram in so many bins of equal width, [low, high) but the last: an array of low, high, count, mean_confidence, hit_rate, without empty bins';
