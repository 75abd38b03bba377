-- Numbers and times of trading.decide() are exact, and depend on no setting.
\getenv here PG_ABS_SRCDIR
\set include :here '/include/decision.sql'
\set ECHO none
\i :include
\set ECHO all

-- A number is the double nearest to its decimal text, however long that is.
-- 1 - 2^-54 lies half way between 1 - 2^-53 and 1.
SELECT c.confidence, pg_temp.decision(jsonb_build_object('confidence', c.confidence)) -> 'consensus_score' AS read_as
  FROM (VALUES
	(0.9999999999999999444888487687421729788184165954589843749),
	(0.9999999999999999444888487687421729788184165954589843751),
	(0.99999999999999988897769753748434595763683319091796875),
	(0.9), (0.90000000000000002220446049250313080847263336181640625), (0.900000000000000079), (0.90000000000000008)) AS c (confidence);

-- What is written reads back as the same double: here 1000 of them, through every digit.
SELECT count(*) AS same
  FROM (SELECT 0.7 + 0.3 * ((n * 1103515245::bigint + 12345) % 2147483648) / 2147483648::float8 AS x FROM generate_series(1, 1000) AS n) AS d,
       LATERAL pg_temp.decision(jsonb_build_object('confidence', d.x)) AS once,
       LATERAL pg_temp.decision(jsonb_build_object('confidence', once -> 'consensus_score')) AS twice
 WHERE (once ->> 'consensus_score')::float8 = d.x AND once = twice;

-- Neither TimeZone nor DateStyle, extra_float_digits nor lc_numeric makes a difference.
CREATE TEMP TABLE plain AS SELECT pg_temp.decision('{"generated_at": "2026-01-05T10:00:00.000001Z", "confidence": 0.8333333333333334}', '{"position_sizing": "KELLY"}', account => '{"currency": "EUR"}') AS d;
SET timezone = 'Asia/Kolkata';
SET datestyle = 'SQL, DMY';
SET extra_float_digits = -15;
SET intervalstyle = 'sql_standard';
SELECT pg_temp.decision('{"generated_at": "2026-01-05T15:30:00.000001+05:30", "confidence": 0.8333333333333334}', '{"position_sizing": "KELLY"}', account => '{"currency": "EUR"}') = d AS same,
       d ->> 'expires_at' AS expires_at
  FROM plain;
RESET intervalstyle;
RESET extra_float_digits;
SET datestyle = 'ISO';
SET timezone = 'UTC';

-- The decision is a pure function for the planner too: folded into a constant, and safe in parallel workers.
SELECT p.provolatile, p.proparallel, p.proisstrict FROM pg_proc AS p WHERE p.oid = 'trading.decide(jsonb, jsonb, jsonb, jsonb, jsonb, timestamptz)'::regprocedure;

-- Order and spelling of keys and numbers don't matter.
SELECT pg_temp.decision('{"confidence": 9e-1, "current_price": 110.00e-2}') = pg_temp.decision() AS same;
