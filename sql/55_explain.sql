-- Why a signal, and why not: decisions explained from what is stored of them.

CREATE FUNCTION trading.explain_decision(prediction jsonb, strategy jsonb, market jsonb, instrument jsonb, account jsonb, at timestamptz)
	RETURNS jsonb
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_explain_decision';
COMMENT ON FUNCTION trading.explain_decision(jsonb, jsonb, jsonb, jsonb, jsonb, timestamptz) IS
	'a decision (as trading.decide returns it) with its gates, the inputs that set their thresholds, and every number on the way to strength, prices and size';
