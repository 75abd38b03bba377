-- Functions that read no table: decisions, market state, parameters, rules, lanes.

CREATE FUNCTION trading.decide(prediction jsonb, strategy jsonb, market jsonb, instrument jsonb, account jsonb, at timestamptz)
	RETURNS jsonb
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_decide';
COMMENT ON FUNCTION trading.decide(jsonb, jsonb, jsonb, jsonb, jsonb, timestamptz) IS
	'the decision of one strategy on one prediction: what the workers compute; a bad input (or NULL) is an error that names the key';

CREATE FUNCTION trading.market_state_add(state internal, ts timestamptz, open float8, high float8, low float8, close float8)
	RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_market_state_add';
COMMENT ON FUNCTION trading.market_state_add(internal, timestamptz, float8, float8, float8, float8) IS
	'transition function of market_state';

CREATE FUNCTION trading.market_state_add(state internal, ts timestamptz, open float8, high float8, low float8, close float8, max_gap interval)
	RETURNS internal
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_market_state_add';
COMMENT ON FUNCTION trading.market_state_add(internal, timestamptz, float8, float8, float8, float8, interval) IS
	'transition function of market_state with the gap rule';

CREATE FUNCTION trading.market_state_read(state internal)
	RETURNS jsonb
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_market_state_read';
COMMENT ON FUNCTION trading.market_state_read(internal) IS 'final function of market_state';

CREATE AGGREGATE trading.market_state(ts timestamptz, open float8, high float8, low float8, close float8) (
	SFUNC = trading.market_state_add,
	STYPE = internal,
	SSPACE = 256,
	FINALFUNC = trading.market_state_read,
	FINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE trading.market_state(timestamptz, float8, float8, float8, float8) IS
	'market state over closed bars, to be called with ORDER BY ts: the keys of a decision''s market, and bars and ema_slow';

CREATE AGGREGATE trading.market_state(ts timestamptz, open float8, high float8, low float8, close float8, max_gap interval) (
	SFUNC = trading.market_state_add,
	STYPE = internal,
	SSPACE = 256,
	FINALFUNC = trading.market_state_read,
	FINALFUNC_MODIFY = READ_ONLY,
	PARALLEL = SAFE
);
COMMENT ON AGGREGATE trading.market_state(timestamptz, float8, float8, float8, float8, interval) IS
	'market state over closed bars, where a gap between bars that is longer than max_gap breaks the chain';

CREATE FUNCTION trading.strategy_parameters(
		OUT name text, OUT sql_type text, OUT default_value text,
		OUT low float8, OUT low_open boolean, OUT high float8, OUT labels text[],
		OUT merge text, OUT entitlement text, OUT free text, OUT pro text, OUT enterprise text,
		OUT check_expression text, OUT doc text)
	RETURNS SETOF record
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	ROWS 60
	AS 'MODULE_PATHNAME', 'te_sql_strategy_parameters';
COMMENT ON FUNCTION trading.strategy_parameters() IS
	'every strategy parameter: type, default, range, how a company''s value meets a user''s (merge), what the tier has to say (entitlement), the tiers'' values, and the check of its column';

-- The effective strategy has a column for every parameter.
DO $do$
DECLARE
	parameters text;
BEGIN
	SELECT pg_catalog.string_agg(pg_catalog.format('OUT %I %s', p.name, p.sql_type), ', ' ORDER BY p.ordinality)
	  INTO STRICT parameters
	  FROM trading.strategy_parameters() WITH ORDINALITY AS p;
	EXECUTE pg_catalog.format(
		$$CREATE FUNCTION trading.merge_strategy(tier record, own record, company record, extra boolean DEFAULT false, %s, OUT layers jsonb)
			RETURNS record
			LANGUAGE c STABLE PARALLEL SAFE
			AS 'MODULE_PATHNAME', 'te_sql_merge_strategy'$$, parameters);
END
$do$;
COMMENT ON FUNCTION trading.merge_strategy(record, record, record, boolean) IS
	'the effective strategy out of rows of trading.tiers and trading.strategies (the user''s own, the company''s; NULL: none); extra: not the user''s first; layers says where each parameter came from';

CREATE FUNCTION trading.check_strategy(tier record, own record, tiers record[])
	RETURNS void
	LANGUAGE c STABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_check_strategy';
COMMENT ON FUNCTION trading.check_strategy(record, record, record[]) IS
	'an error if a strategy''s row has a value out of range, or one that its tier doesn''t allow; tiers are those to name in the message';

CREATE FUNCTION trading.check_rule(rule text)
	RETURNS boolean
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_check_rule';
COMMENT ON FUNCTION trading.check_rule(text) IS 'true, or an error that says why the text can''t be a custom_rule';

CREATE FUNCTION trading.lane_of(company text, lanes integer)
	RETURNS integer
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_lane_of';
COMMENT ON FUNCTION trading.lane_of(text, integer) IS 'lane that owns a company, when there are so many lanes';

CREATE FUNCTION trading.decision_inputs(inputs bytea)
	RETURNS jsonb
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_decision_inputs';
COMMENT ON FUNCTION trading.decision_inputs(bytea) IS
	'what a signal was decided from (trading.signals.inputs): the arguments of trading.decide, by name, to the last bit';
