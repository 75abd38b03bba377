-- Included by the tests of trading.decide(): a plain decision, of which each case
-- changes what it is about.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS trading_engine;
RESET client_min_messages;
SET timezone = 'UTC';
SET datestyle = 'ISO';

-- EURUSD at 1.10000, BUY, confidence 0.9, one second old; every strategy parameter
-- has its default; 10,000 USD.  A null removes a key.
CREATE FUNCTION pg_temp.decision(
	prediction jsonb DEFAULT '{}', strategy jsonb DEFAULT '{}', market jsonb DEFAULT '{}',
	instrument jsonb DEFAULT '{}', account jsonb DEFAULT '{}',
	at timestamptz DEFAULT '2026-01-05T10:00:01Z') RETURNS jsonb
	LANGUAGE sql
AS $$
	SELECT trading.decide(
		jsonb_strip_nulls('{"prediction_id": "p-1", "symbol": "EURUSD", "generated_at": "2026-01-05T10:00:00Z",
			"current_price": 1.1, "predicted_price": 1.11, "direction": "BUY", "confidence": 0.9}'::jsonb || COALESCE(prediction, '{}')),
		COALESCE(strategy, '{}'),
		jsonb_strip_nulls('{"regime": "RANGING"}'::jsonb || COALESCE(market, '{}')),
		jsonb_strip_nulls('{"symbol": "EURUSD", "base_currency": "EUR", "quote_currency": "USD", "pip_size": 0.0001,
			"tick_size": 0.00001, "contract_size": 100000, "lot_min": 0.01, "lot_step": 0.01, "lot_max": 100}'::jsonb || COALESCE(instrument, '{}')),
		jsonb_strip_nulls('{"currency": "USD", "equity": 10000}'::jsonb || COALESCE(account, '{}')),
		at)
$$;

-- 'ok', or what differs.  Prices and sizes are the nearest double to the decimal, so they
-- must be equal; figures that are the result of divisions and sums may differ in the
-- last digits.  A null means that the key is absent.
CREATE FUNCTION pg_temp.verdict(actual jsonb, expected jsonb) RETURNS text
	LANGUAGE sql
AS $$
	SELECT COALESCE(string_agg(format('%s: %s instead of %s', e.key, COALESCE(actual -> e.key, 'null'), e.value), ', ' ORDER BY e.key), 'ok')
	  FROM jsonb_each(expected) AS e
	 WHERE CASE
		WHEN e.key IN ('signal_strength', 'consensus_score', 'market_favorability', 'reward_risk_ratio', 'max_loss')
			AND jsonb_typeof(e.value) = 'number' AND jsonb_typeof(actual -> e.key) = 'number'
		THEN abs((actual ->> e.key)::numeric - (e.value #>> '{}')::numeric) > 1e-12 * greatest(1, abs((e.value #>> '{}')::numeric))
		ELSE COALESCE(actual -> e.key, 'null') <> e.value
	 END
$$;

-- The gate that decided: its name, what was looked at, value and threshold.
CREATE FUNCTION pg_temp.last_step(decision jsonb) RETURNS jsonb
	LANGUAGE sql
AS $$ SELECT decision -> 'steps' -> -1 $$;

-- The error that a statement raises.
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

-- The error that a decision raises.
CREATE FUNCTION pg_temp.refusal(
	prediction jsonb DEFAULT '{}', strategy jsonb DEFAULT '{}', market jsonb DEFAULT '{}',
	instrument jsonb DEFAULT '{}', account jsonb DEFAULT '{}',
	at timestamptz DEFAULT '2026-01-05T10:00:01Z') RETURNS text
	LANGUAGE plpgsql
AS $$
BEGIN
	PERFORM pg_temp.decision(prediction, strategy, market, instrument, account, at);
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
