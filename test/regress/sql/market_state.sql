-- The aggregate trading.market_state().
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS trading_engine;
RESET client_min_messages;
SET timezone = 'UTC';
SET intervalstyle = 'postgres';

CREATE FUNCTION pg_temp.complaint(statement text) RETURNS text
	LANGUAGE plpgsql
AS $$
BEGIN
	EXECUTE statement;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;

-- No bars.
SELECT trading.market_state(t, 1, 1, 1, 1 ORDER BY t) FROM (SELECT now() AS t LIMIT 0) AS none;

-- Quiet bars, each 0.001 high around 1.1: every true range is 0.001.  ATR and EMA are known from 14 bars on, the regime from 50.
CREATE TEMP TABLE quiet AS
	SELECT n, timestamptz '2026-01-05T00:00:00Z' + n * interval '5 min' AS ts, 1.1::float8 AS open, 1.1005::float8 AS high, 1.0995::float8 AS low, 1.1::float8 AS close
	  FROM generate_series(1, 60) AS n;
SELECT count(*) AS bars, m.state - 'bars' - 'atr' AS state, (m.state -> 'bars')::int = count(*) AS counted, abs((m.state -> 'atr')::float8 - 0.001) < 1e-15 AS atr
  FROM unnest('{1,13,14,49,50,60}'::int[]) AS most,
       LATERAL (SELECT trading.market_state(q.ts, q.open, q.high, q.low, q.close ORDER BY q.ts) AS state FROM quiet AS q WHERE q.n <= most) AS m,
       quiet AS q WHERE q.n <= most GROUP BY most, m.state ORDER BY most;

-- A steady rise of 0.01 a bar.  The EMA of n bars lags behind by (n - 1) / 2 steps in the end: 5.5 and 12.5.
-- True range: 0.005 above the close to the close before: 0.015.  The averages are 0.07 apart, more than an ATR.
-- Returns shrink slowly, so the ratio stays near 1.
SELECT m.state ->> 'regime' AS regime, m.state ->> 'trend' AS trend, round((m.state -> 'atr')::numeric, 9) AS atr,
       round(104.0 - (m.state -> 'ema')::numeric, 5) AS behind, round(104.0 - (m.state -> 'ema_slow')::numeric, 5) AS farther_behind
  FROM (SELECT trading.market_state(timestamptz '2026-01-05T00:00:00Z' + n * interval '5 min', 100 + n * 0.01 - 0.005, 100 + n * 0.01 + 0.005, 100 + n * 0.01 - 0.005, 100 + n * 0.01 ORDER BY n) AS state
	  FROM generate_series(1, 400) AS n) AS m;
SELECT m.state ->> 'regime' AS regime, m.state ->> 'trend' AS trend
  FROM (SELECT trading.market_state(timestamptz '2026-01-05T00:00:00Z' + n * interval '5 min', 100 - n * 0.01 + 0.005, 100 - n * 0.01 + 0.005, 100 - n * 0.01 - 0.005, 100 - n * 0.01 ORDER BY n) AS state
	  FROM generate_series(1, 400) AS n) AS m;

-- The same formulas once more, in SQL, as written in the specification.
CREATE FUNCTION pg_temp.oracle(bars jsonb, max_gap interval DEFAULT NULL) RETURNS jsonb
	LANGUAGE plpgsql
AS $$
DECLARE
	bar record;
	last_ts timestamptz;
	last_close float8;
	ranges float8[] := '{}';
	squares float8[] := '{}';
	n int := 0;
	tr float8; r2 float8; atr float8; fast float8; slow float8; v_fast float8; v_slow float8; ratio float8 := 1;
	trend text := 'FLAT';
	chained boolean;
BEGIN
	FOR bar IN SELECT * FROM jsonb_to_recordset(bars) AS b (ts timestamptz, open float8, high float8, low float8, close float8) ORDER BY b.ts LOOP
		n := n + 1;
		chained := n > 1 AND (max_gap IS NULL OR bar.ts - last_ts <= max_gap);
		tr := bar.high - bar.low;
		IF chained THEN
			tr := greatest(tr, abs(bar.high - last_close), abs(bar.low - last_close));
			r2 := ln(bar.close / last_close) ^ 2;
			squares := squares || r2;
			IF cardinality(squares) = 20 THEN
				v_fast := (SELECT avg(s) FROM unnest(squares) AS s);
				v_slow := v_fast;
			ELSIF cardinality(squares) > 20 THEN
				v_fast := 0.94 * v_fast + 0.06 * r2;
				v_slow := 0.99 * v_slow + 0.01 * r2;
			END IF;
		END IF;
		ranges := ranges || tr;
		IF n = 14 THEN
			atr := (SELECT avg(x) FROM unnest(ranges) AS x);
		ELSIF n > 14 THEN
			atr := (13 * atr + tr) / 14;
		END IF;
		fast := CASE WHEN n = 1 THEN bar.close ELSE fast + 2.0 / 13 * (bar.close - fast) END;
		slow := CASE WHEN n = 1 THEN bar.close ELSE slow + 2.0 / 27 * (bar.close - slow) END;
		last_ts := bar.ts;
		last_close := bar.close;
	END LOOP;
	IF v_slow > 0 THEN
		ratio := least(greatest(sqrt(v_fast / v_slow), 0.01), 100);
	END IF;
	IF atr > 0 THEN
		trend := CASE WHEN fast - slow > atr THEN 'UP' WHEN fast - slow < -atr THEN 'DOWN' ELSE 'FLAT' END;
	END IF;
	RETURN jsonb_strip_nulls(jsonb_build_object('bars', n, 'trend', trend, 'volatility_ratio', ratio, 'atr', atr,
		'ema', CASE WHEN atr IS NOT NULL THEN fast END, 'ema_slow', CASE WHEN atr IS NOT NULL THEN slow END,
		'regime', CASE WHEN n < 50 THEN 'UNKNOWN' WHEN ratio >= 1.3 THEN 'HIGH_VOLATILITY' WHEN ratio <= 0.7 THEN 'LOW_VOLATILITY' WHEN trend <> 'FLAT' THEN 'TRENDING' ELSE 'RANGING' END));
END
$$;

-- Equal, but for the last digits of the figures.
CREATE FUNCTION pg_temp.same(a jsonb, b jsonb) RETURNS boolean
	LANGUAGE sql
AS $$
	SELECT bool_and(CASE WHEN jsonb_typeof(x.value) = 'number' AND jsonb_typeof(y.value) = 'number'
		THEN abs((x.value #>> '{}')::float8 - (y.value #>> '{}')::float8) <= 1e-9 * greatest(1e-3, abs((y.value #>> '{}')::float8))
		ELSE x.value IS NOT DISTINCT FROM y.value END)
	  FROM jsonb_each(a) AS x FULL JOIN jsonb_each(b) AS y USING (key)
$$;

-- 300 bars of a random walk: calm, wild, calm again, with a drift at the end, and gaps of 30, 60 and 61 minutes, a day, and two days.
CREATE TEMP TABLE walk AS
	WITH RECURSIVE random (n, seed) AS (
		SELECT 0, 20260105::bigint
		UNION ALL
		SELECT n + 1, (seed * 1103515245 + 12345) % 2147483648 FROM random WHERE n < 900
	), steps AS (
		SELECT n / 3 AS bar, n % 3 AS part, (seed / 65536) % 1001 AS dice FROM random WHERE n < 900
	), bars AS (
		SELECT bar, CASE WHEN bar BETWEEN 100 AND 150 THEN 8 ELSE 1 END * (max(dice) FILTER (WHERE part = 0) - 500) + CASE WHEN bar > 240 THEN 500 ELSE 0 END AS move,
		       max(dice) FILTER (WHERE part = 1) AS above, max(dice) FILTER (WHERE part = 2) AS below
		  FROM steps GROUP BY bar
	), closes AS (
		SELECT bar, 110000000 + sum(move) OVER (ORDER BY bar) AS close, move, above, below FROM bars
	)
	SELECT bar + 1 AS n,
	       timestamptz '2026-01-05T00:00:00Z' + bar * interval '5 min' + CASE WHEN bar >= 60 THEN interval '25 min' ELSE '0' END
			+ CASE WHEN bar >= 90 THEN interval '55 min' ELSE '0' END + CASE WHEN bar >= 120 THEN interval '56 min' ELSE '0' END
			+ CASE WHEN bar >= 180 THEN interval '1 day' ELSE '0' END + CASE WHEN bar >= 181 THEN interval '2 days' ELSE '0' END AS ts,
	       (close - move) / 1e8::float8 AS open, (greatest(close, close - move) + above) / 1e8::float8 AS high,
	       (least(close, close - move) - below) / 1e8::float8 AS low, close / 1e8::float8 AS close
	  FROM closes;
CREATE TEMP TABLE judged AS
	SELECT w.n, trading.market_state(w.ts, w.open, w.high, w.low, w.close) OVER past AS state,
	       trading.market_state(w.ts, w.open, w.high, w.low, w.close, interval '60 min') OVER past AS gapped,
	       jsonb_agg(to_jsonb(w)) OVER past AS bars
	  FROM walk AS w WINDOW past AS (ORDER BY w.ts);
SELECT count(*) AS bars, count(*) FILTER (WHERE pg_temp.same(j.state, pg_temp.oracle(j.bars))) AS as_specified,
       count(*) FILTER (WHERE pg_temp.same(j.gapped, pg_temp.oracle(j.bars, '60 min'))) AS with_gaps_as_specified,
       min(j.n) FILTER (WHERE NOT pg_temp.same(j.state, j.gapped)) AS first_that_differs
  FROM judged AS j;
-- What the walk went through.
SELECT array_agg(DISTINCT j.gapped ->> 'regime' ORDER BY j.gapped ->> 'regime') AS regimes, array_agg(DISTINCT j.gapped ->> 'trend' ORDER BY j.gapped ->> 'trend') AS trends FROM judged AS j;

-- The gap rule by hand: 13 quiet bars, then one at 1.2 after a gap.
-- A chain: true range 1.2005 - 1.1 = 0.1005, so ATR = (13 * 0.001 + 0.1005) / 14 = 0.1135 / 14. Broken: 0.001.
SELECT g.gap, g.max_gap, round((m.state -> 'atr')::numeric, 12) AS atr, g.expected
  FROM (VALUES
	('60 min'::interval, '60 min'::interval, 0.008107142857), ('60 min 0.000001 s', '60 min', 0.001), ('5 min', '5 min', 0.008107142857), ('1 day', '1 day', 0.008107142857), ('1 day 1 s', '24 hours', 0.001)) AS g (gap, max_gap, expected),
       LATERAL (SELECT trading.market_state(b.ts, b.open, b.high, b.low, b.close, g.max_gap ORDER BY b.ts) AS state
		  FROM (SELECT q.ts, q.open, q.high, q.low, q.close FROM quiet AS q WHERE q.n <= 13
			UNION ALL SELECT max(q.ts) + g.gap, 1.2, 1.2005, 1.1995, 1.2 FROM quiet AS q WHERE q.n <= 13) AS b) AS m;

-- Its keys are those of a decision's market, and two more.
SELECT trading.decide('{"prediction_id": "p-1", "symbol": "EURUSD", "generated_at": "2026-01-05T10:00:00Z", "current_price": 1.1, "predicted_price": 1.11, "direction": "BUY", "confidence": 0.9}',
	'{}', m.state - 'bars' - 'ema_slow',
	'{"symbol": "EURUSD", "base_currency": "EUR", "quote_currency": "USD", "pip_size": 0.0001, "tick_size": 0.00001, "contract_size": 100000, "lot_min": 0.01, "lot_step": 0.01, "lot_max": 100}',
	'{"currency": "USD", "equity": 10000}', '2026-01-05T10:00:01Z') ->> 'outcome' AS outcome
  FROM (SELECT trading.market_state(q.ts, q.open, q.high, q.low, q.close ORDER BY q.ts) AS state FROM quiet AS q) AS m;

-- Bars that are none, by their time; nothing is skipped silently.
SELECT b.about, pg_temp.complaint('SELECT trading.market_state(ts, open, high, low, close ORDER BY ts) FROM (VALUES ' || b.bar || ') AS b (ts, open, high, low, close)')
  FROM (VALUES
	('a bar', $$('2026-01-05T00:00:00Z'::timestamptz, 1.1::float8, 1.2::float8, 1.0::float8, 1.1::float8)$$),
	('a line', $$('2026-01-05T00:00:00Z'::timestamptz, 1.1::float8, 1.1::float8, 1.1::float8, 1.1::float8)$$),
	('ts', $$(NULL::timestamptz, 1.1::float8, 1.2::float8, 1.0::float8, 1.1::float8)$$),
	('ts', $$('infinity'::timestamptz, 1.1::float8, 1.2::float8, 1.0::float8, 1.1::float8)$$),
	('open', $$('2026-01-05T00:00:00Z'::timestamptz, NULL::float8, 1.2::float8, 1.0::float8, 1.1::float8)$$),
	('high', $$('2026-01-05T00:00:00Z'::timestamptz, 1.1::float8, NULL::float8, 1.0::float8, 1.1::float8)$$),
	('low', $$('2026-01-05T00:00:00Z'::timestamptz, 1.1::float8, 1.2::float8, NULL::float8, 1.1::float8)$$),
	('close', $$('2026-01-05T00:00:00Z'::timestamptz, 1.1::float8, 1.2::float8, 1.0::float8, NULL::float8)$$),
	('NaN', $$('2026-01-05T00:00:00Z'::timestamptz, 1.1::float8, 'NaN'::float8, 1.0::float8, 1.1::float8)$$),
	('infinity', $$('2026-01-05T00:00:00Z'::timestamptz, 1.1::float8, 'infinity'::float8, 1.0::float8, 1.1::float8)$$),
	('zero', $$('2026-01-05T00:00:00Z'::timestamptz, 1.1::float8, 1.2::float8, 0::float8, 1.1::float8)$$),
	('negative', $$('2026-01-05T00:00:00Z'::timestamptz, -1.1::float8, 1.2::float8, 1.0::float8, 1.1::float8)$$),
	('high below low', $$('2026-01-05T00:00:00Z'::timestamptz, 1.1::float8, 1.0::float8, 1.2::float8, 1.1::float8)$$),
	('open above high', $$('2026-01-05T00:00:00Z'::timestamptz, 1.3::float8, 1.2::float8, 1.0::float8, 1.1::float8)$$),
	('close below low', $$('2026-01-05T00:00:00Z'::timestamptz, 1.1::float8, 1.2::float8, 1.0::float8, 0.9::float8)$$),
	('one time twice', $$('2026-01-05T00:00:00Z'::timestamptz, 1.1::float8, 1.2::float8, 1.0::float8, 1.1::float8), ('2026-01-05T00:00:00Z', 1.1, 1.2, 1.0, 1.1)$$)) AS b (about, bar);
-- Out of order.
SELECT trading.market_state(q.ts, q.open, q.high, q.low, q.close ORDER BY q.ts DESC) FROM quiet AS q;
-- Gaps that are none.
SELECT g.gap, pg_temp.complaint(format('SELECT trading.market_state(ts, open, high, low, close, %L ORDER BY ts) FROM quiet', g.gap::text))
  FROM unnest('{0,-1 min,1 month,1 day -1 hour,1 day -25 hours}'::text[]) AS g (gap);
SELECT trading.market_state(q.ts, q.open, q.high, q.low, q.close, NULL ORDER BY q.ts) FROM quiet AS q;
