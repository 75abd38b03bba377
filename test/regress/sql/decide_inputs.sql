-- trading.decision_inputs(): what a stored signal was decided from.
\getenv here PG_ABS_SRCDIR
\set include :here '/include/decision.sql'
\set ECHO none
\i :include
\set ECHO all

-- Inputs as a worker packs them, with numbers that need every digit.
CREATE TEMP TABLE stored AS
	SELECT '\x0aa8010a03702d3112064555525553441881d088fa91f491032080ded69692f49103299b9999999999f13f31c3f5285c8fc2f13f3929ed0dbe3099f13f410b462575029af13f480551cdccccccccccec3f5a1f0a09656d615f63726f7373100519343333333333d33f21000000000000f03f5a190a03727369100219000000000000d03f21555555555555d53f62130a0668616d6d6572100119666666666666e63f69555555555555d53f1282011210120645555255534412065553444a5059219a9999999999b93f300150018201040a0201029801e0d403a20111242e636f6e73656e737573203e20302e35aa012d09333333333333d33f11000000000000d03f199a9999999999c93f21333333333333c33f29fca9f1d24d62503fa102922449922449c23fd00205f80202c03e011a160802100119010000000000f03f21d7868a71fe26543f22510a0645555255534412034555521a03555344212d431cebe2361a3f29f168e388b5f8e43e3100000000006af840397b14ae47e17a843f417b14ae47e17a843f4900000000000059405100000000000000002a190a0345555211d7533ce6d61cc8401803297b14ae47e17ae43f30ffd882fb91f49103'::bytea AS inputs;
SELECT e.key, e.value FROM stored AS s, jsonb_each(trading.decision_inputs(s.inputs)) AS e WHERE e.key <> 'strategy' ORDER BY e.key;
-- Every parameter is there; these differ from the default.
SELECT count(*) AS parameters FROM stored AS s, jsonb_object_keys(trading.decision_inputs(s.inputs) -> 'strategy');
SELECT e.key, e.value FROM stored AS s, jsonb_each(trading.decision_inputs(s.inputs) -> 'strategy') AS e JOIN trading.strategy_parameters() AS p ON p.name = e.key
 WHERE e.value IS DISTINCT FROM CASE WHEN p.sql_type IN ('boolean', 'integer', 'double precision') THEN p.default_value::jsonb WHEN p.sql_type = 'text[]' THEN to_jsonb(p.default_value::text[])
	WHEN p.sql_type = 'double precision[]' THEN to_jsonb(p.default_value::float8[]) ELSE to_jsonb(p.default_value) END ORDER BY e.key;

-- Its parts are the arguments of decide().
-- Consensus: 0.30000000000000004 of 0.30000000000000004 + 0.25 / 3: 0.3 / 0.38333, rounded here.
SELECT d.d ->> 'outcome' AS outcome, round((d.d -> 'consensus_score')::numeric, 12) AS consensus, d.d -> 'entry_price' AS entry, d.d #>> '{execution,time_in_force}' AS time_in_force,
       d.d ->> 'expires_at' AS expires_at, jsonb_array_length(d.d -> 'legs') AS legs
  FROM (SELECT trading.decision_inputs(s.inputs) AS i FROM stored AS s) AS i,
       LATERAL trading.decide(i.i -> 'prediction', i.i -> 'strategy', i.i -> 'market', i.i -> 'instrument', i.i -> 'account', (i.i ->> 'at')::timestamptz) AS d (d);
-- Unpacked under other settings it is the same.
SET timezone = 'Asia/Kathmandu';
SET datestyle = 'SQL, DMY';
SET extra_float_digits = -15;
CREATE TEMP TABLE other AS SELECT trading.decision_inputs(s.inputs) AS i FROM stored AS s;
RESET extra_float_digits;
SET datestyle = 'ISO';
SET timezone = 'UTC';
SELECT o.i = trading.decision_inputs(s.inputs) AS same, (o.i ->> 'at')::timestamptz AS at FROM stored AS s, other AS o;

-- What is cut off, empty or something else is refused, and says so.
SELECT pg_temp.complaint($$SELECT trading.decision_inputs('')$$), pg_temp.complaint($$SELECT trading.decision_inputs('\xff')$$), pg_temp.complaint($$SELECT trading.decision_inputs('nonsense')$$);
SELECT DISTINCT left(pg_temp.complaint(format('SELECT trading.decision_inputs(%L)', substr(s.inputs, 1, n))), 30) FROM stored AS s, generate_series(1, octet_length(s.inputs) - 1) AS n;
-- The symbol's first byte is no text, and the version of the defaults is none that is known.
SELECT pg_temp.complaint(format('SELECT trading.decision_inputs(%L)', set_byte(s.inputs, 10, 255))) FROM stored AS s;
SELECT pg_temp.complaint(format('SELECT trading.decision_inputs(%L)', set_byte(s.inputs, position('\xc03e01'::bytea IN s.inputs) + 1, 9))) FROM stored AS s;
SELECT trading.decision_inputs(NULL) IS NULL AS nothing;
