-- Custom rules: what is a rule, and what rules say.
\getenv here PG_ABS_SRCDIR
\set include :here '/include/decision.sql'
\set ECHO none
\i :include
\set ECHO all

-- A rule is an SQL/JSON path predicate.
SELECT r.rule, trading.check_rule(r.rule)
  FROM (VALUES
	('$.prediction.confidence > 0.8'), ('$.consensus >= 0.6 && ($.favorability > 0.4 || $.market.trend == "UP")'), ('!($.market.regime == "UNKNOWN")'),
	('exists($.prediction.models[*] ? (@.confidence > 0.9 && @.direction starts with "B"))'), ('($.market.atr > 0) is unknown'), ('$.prediction.models.size() >= 3'),
	('strict $.account.equity / 2 - 1 + 3 * 4 % 5 > -1'), ('$.prediction.models[0 to last].weight.double() > 0.5'), ('$.prediction.symbol starts with "EUR"'),
	('$.account.*.type() != "null"'), ('$.account.keyvalue().key == "hit_rate"'), ('$.prediction.current_price.ceiling().abs().floor() == 2'),
	('exists($.prediction.models[*] ? (exists(@ ? (@.weight > 1))))')) AS r (rule);
SELECT r.about, pg_temp.complaint(format('SELECT trading.check_rule(%L)', r.rule))
  FROM (VALUES
	('no predicate', '$.prediction.confidence'), ('a constant', 'true'), ('a method of a predicate', '($.consensus > 1).type()'), ('a filter', '$ ? (@.consensus > 1)'),
	('like_regex', '$.prediction.symbol like_regex "^EUR"'), ('like_regex inside', 'exists($.prediction.models[*] ? (!(@.model_id like_regex "x")))'),
	('**', '$.** > 1'), ('** with levels', '$.prediction.**{1 to 2}.confidence > 1'), ('datetime()', '$.prediction.generated_at.datetime() > 1'),
	('datetime() in a subscript', '$.prediction.models[$.prediction.generated_at.datetime()].weight > 1'), ('datetime() in a range', '$.prediction.models[0 to $.prediction.generated_at.datetime()].weight > 1'),
	('a variable', '$.consensus > $limit'), ('all models with all, in all', 'exists($.prediction.models ? (exists($.prediction.models ? (exists($.prediction.models ? (@.weight > 1))))))'),
	('pairs of models with pairs', 'exists($.prediction.models[*] ? ($.prediction.models[*].weight > $.prediction.models[*].weight))'),
	('no path', 'confidence > 0.8'), ('half a path', '$.prediction.confidence >'), ('empty', ''), ('blank', '  '), ('SQL', 'SELECT 1')) AS r (about, rule);
-- 1024 bytes at most: '$.a == "' and '"' are 9 of them.
SELECT trading.check_rule('$.a == "' || repeat('x', 1015) || '"') AS at_the_limit,
       pg_temp.complaint(format('SELECT trading.check_rule(%L)', '$.a == "' || repeat('x', 1016) || '"')) AS beyond,
       pg_temp.complaint(format('SELECT trading.check_rule(%L)', '$.a == "' || repeat('é', 508) || '"')) AS beyond_in_bytes;
-- Steps that make several items of one mustn't do so again and again: a rule would never end.
SELECT r.about, pg_temp.complaint(format('SELECT trading.check_rule(%L)', r.rule))
  FROM (VALUES
	('lists of subscripts', '$' || repeat('[0,0]', 20) || '.consensus > 2'), ('keyvalue()', '$.account' || repeat('.keyvalue()', 7) || '.key == "x"'),
	('both, in and out of a filter', 'exists($' || repeat('[0,0]', 5) || ' ? (@' || repeat('.keyvalue()', 4) || '.key == "x"))'),
	('one after a sign', '-(-($' || repeat('[0,0]', 10) || ')' || repeat('[0,0]', 10) || ') > 2'),
	('one long list', '$[' || repeat('0,', 490) || '0]' || '[0 to 2].consensus > 2'),
	('in a subscript', '$[$.account' || repeat('.keyvalue()', 7) || '.id] == 1')) AS r (about, rule);
SELECT trading.check_rule('$' || repeat('[0,0]', 9) || '.consensus > 2') AS often_enough,
       trading.check_rule('exists($.prediction.models[*] ? (@.weight > $.prediction.models[*].confidence))') AS all_models_with_all,
       trading.check_rule('exists($.prediction.models ? (exists(@ ? (exists(@ ? (@.weight > 1))))))') AS deep_but_cheap,
       trading.check_rule('$.account.keyvalue().key == "a" && $.market.keyvalue().key == "b" && $.prediction.models[0,1].weight > 1') AS side_by_side,
       trading.check_rule('$.prediction.models' || repeat('[0]', 300) || '.weight > 1') AS nothing_is_copied;
-- As deep as 1024 bytes can nest.
SELECT trading.check_rule(repeat('!(', 330) || '$.a == 1' || repeat(')', 330)) AS deep;
SELECT trading.check_rule(NULL) IS NULL AS nothing_to_check;

-- What a rule says: true, not true, or that it can't be evaluated, which counts as not true and is said.
SELECT r.rule, d.d ->> 'outcome' AS outcome, d.d #> '{steps,6,gate}' AS gate, d.d #> '{steps,6,passed}' AS passed, d.d #> '{steps,6,check}' AS looked_at, d.d #> '{steps,6,value}' AS value
  FROM (VALUES
	('$.prediction.confidence == 0.9'), ('$.prediction.confidence > 0.9'), ('$.consensus == 1'), ('$.favorability == 0.75'),
	('$.prediction.prediction_id == "p-1"'), ('$.prediction.symbol == "EURUSD"'), ('$.prediction.direction == "BUY"'), ('$.prediction.generated_at == "2026-01-05T10:00:00.000000Z"'),
	('$.prediction.current_price == 1.1'), ('$.prediction.predicted_price == 1.11'), ('$.prediction.models.size() == 1'), ('$.prediction.models[0].model_id == "m"'),
	('$.prediction.models[0].weight == 1'), ('$.prediction.patterns.size() == 0'),
	('$.market.regime == "RANGING"'), ('$.market.trend == "FLAT"'), ('$.market.volatility_ratio == 1'), ('$.market.ema == 1.1'),
	('$.account.currency == "USD"'), ('$.account.equity == 10000'), ('$.account.open_positions == 0'), ('$.account.position_size_multiplier == 1'),
	-- What isn't known is absent: lax paths find nothing, strict ones fail.
	('exists($.market.atr)'), ('$.market.atr > 0'), ('!exists($.prediction.valid_until)'), ('exists($.account.hit_rate)'), ('strict $.market.atr > 0'),
	-- Mistakes.
	('$.prediction.symbol > 1'), ('$.market.ema / 0 > 1'), ('$.prediction.symbol.double() > 1'), ('($.market.ema / 0 > 1) is unknown'), ('$.consensus > 0.5 || $.market.ema / 0 > 1'),
	-- The rest of the input isn't there.
	('exists($.strategy)'), ('exists($.instrument)'), ('exists($.at)')) AS r (rule),
	LATERAL pg_temp.decision('{"models": [{"model_id": "m", "direction": "BUY", "confidence": 0.9}]}', jsonb_build_object('custom_rule', r.rule), '{"ema": 1.1}') AS d (d);
SELECT pg_temp.last_step(pg_temp.decision(strategy => '{"custom_rule": "$.consensus < 0.5"}'));

-- The spread is what the gate sees: of the quotes unless given.
SELECT pg_temp.decision('{"bid": 1.1, "ask": 1.1001}', '{"custom_rule": "$.market.spread_pips > 0.99 && $.market.spread_pips < 1.01"}') ->> 'outcome' AS of_the_quotes,
       pg_temp.decision('{"bid": 1.1, "ask": 1.1001}', '{"custom_rule": "$.market.spread_pips == 2"}', '{"spread_pips": 2}') ->> 'outcome' AS given,
       pg_temp.decision(strategy => '{"custom_rule": "exists($.market.spread_pips)"}') ->> 'outcome' AS unknown;

-- A rule is asked after the market and before the signal's type, and the outcome has what was computed by then.
SELECT pg_temp.verdict(pg_temp.decision(strategy => '{"custom_rule": "1 == 2"}'),
	'{"outcome": "CUSTOM_RULE", "consensus_score": 0.9, "market_favorability": 0.75, "signal_type": null, "signal_strength": null, "expires_at": null}'),
       pg_temp.decision(strategy => '{"custom_rule": "1 == 2", "max_spread_pips": 0.1}', market => '{"spread_pips": 1}') ->> 'outcome' AS market_first;

-- decide() trusts the strategy as effective, but not its rule.
SELECT pg_temp.refusal(strategy => '{"custom_rule": "$.** > 1"}'), pg_temp.refusal(strategy => '{"custom_rule": "$.prediction.symbol like_regex \"E\""}');

-- What is wrong, and where.
CREATE FUNCTION pg_temp.report(statement text) RETURNS text
	LANGUAGE plpgsql
AS $$
DECLARE
	message text;
	detail text;
	hint text;
	col text;
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, col = COLUMN_NAME;
	RETURN concat_ws(' | ', SQLSTATE, message, NULLIF(detail, ''), CASE WHEN hint <> '' THEN '(hint)' END, NULLIF(col, ''));
END
$$;
SELECT r.rule, pg_temp.report(format('SELECT trading.check_rule(%L)', r.rule))
  FROM (VALUES
	('$.prediction.symbol like_regex "^EUR"'), ('$.prediction.symbol == "like_regex" && $.a like_regex "x"'), ('$.é.** > 1'), ('/* ** */ $.** > 1'),
	('$.datetime > 1 && $.b.datetime() > 1'), ('$.consensus > $limit'), ('$.consensus > $"limit"'), ('$.a == "\" $x" && $.b > $y'),
	('$.consensus > 1 && > 2'), ('$.consensus > > 2'), ('$.consensus >'), ('confidence > 0.8'), ('$.a ! 1'), ('$.a[ > 1'), ('$.prediction.confidence')) AS r (rule);

-- The same answer whatever the session's settings are.
CREATE FUNCTION pg_temp.answers() RETURNS text
	LANGUAGE sql
AS $$
	SELECT string_agg(pg_temp.decision('{"current_price": 1.1000000000000003, "valid_until": "2026-07-05T10:00:09.123456Z"}', jsonb_build_object('custom_rule', r.rule), '{"ema": 0.30000000000000004}') ->> 'outcome', ' ')
	  FROM (VALUES ('$.prediction.generated_at == "2026-01-05T10:00:00.000000Z"'), ('$.prediction.valid_until == "2026-07-05T10:00:09.123456Z"'), ('$.prediction.current_price == 1.1000000000000003'),
		('$.market.ema == 0.30000000000000004'), ('$.market.ema == 0.3'), ('$.prediction.symbol < "a"'), ('$.account.keyvalue().id == $.account.keyvalue().id')) AS r (rule)
$$;
CREATE TEMP TABLE plain AS SELECT pg_temp.answers() AS answers;
SELECT answers FROM plain;
SET timezone = 'Asia/Kathmandu';
SET datestyle = 'German, DMY';
SET intervalstyle = 'sql_standard';
SET extra_float_digits = -15;
SET bytea_output = 'escape';
SET standard_conforming_strings = off;
SET lc_numeric = 'C';
SET lc_messages = 'C';
SELECT pg_temp.answers() = answers AS same FROM plain;
RESET ALL;
SET timezone = 'UTC';
SET datestyle = 'ISO';
