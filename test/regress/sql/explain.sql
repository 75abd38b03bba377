-- EXPLAIN for decisions: gates and derivation of a decision, of stored predictions, as rows and as text.
\getenv here PG_ABS_SRCDIR
\set companies :here '/include/companies.sql'
\set no_companies :here '/include/no_companies.sql'
\set SHOW_CONTEXT never
\set superuser :USER
\set home :DBNAME
CREATE DATABASE trading_explain;
\c trading_explain
\set ECHO none
\i :companies
\set ECHO all
SET timezone = 'UTC';
SET datestyle = 'ISO';

-- A decision with something changed.
CREATE FUNCTION public.explained(prediction jsonb DEFAULT '{}', strategy jsonb DEFAULT '{}', market jsonb DEFAULT '{}', account jsonb DEFAULT '{}')
	RETURNS jsonb LANGUAGE sql AS $$
	SELECT trading.explain_decision(
		'{"prediction_id": "p", "symbol": "EURUSD", "generated_at": "2026-01-05T10:00:00Z", "current_price": 1.1, "predicted_price": 1.11,
		  "direction": "BUY", "confidence": 0.9, "bid": 1.09993, "ask": 1.10007}'::jsonb || prediction,
		strategy, '{"regime": "RANGING", "atr": 0.0011}'::jsonb || market,
		'{"symbol": "EURUSD", "base_currency": "EUR", "quote_currency": "USD", "pip_size": 0.0001, "tick_size": 0.00001,
		  "contract_size": 100000, "lot_min": 0.01, "lot_step": 0.01, "lot_max": 100}',
		'{"currency": "USD", "equity": 10000}'::jsonb || account, '2026-01-05T10:00:01Z')
$$;
CREATE FUNCTION public.notes(explained jsonb, parts text[]) RETURNS TABLE (part text, item text, value jsonb, weight jsonb, source text, remark text)
	LANGUAGE sql AS $$
	SELECT n ->> 'part', n ->> 'item', CASE jsonb_typeof(n -> 'value') WHEN 'number' THEN to_jsonb(trim_scale(round((n -> 'value')::numeric, 9))) ELSE n -> 'value' END,
	       n -> 'weight', n ->> 'source', n ->> 'remark'
	  FROM jsonb_array_elements(explained -> 'derivation') AS n WHERE n ->> 'part' = ANY (parts)
$$;

-- The decision is that of trading.decide, and its steps are the gates.
SELECT (e -> 'decision') - 'steps' = trading.decide(
		'{"prediction_id": "p", "symbol": "EURUSD", "generated_at": "2026-01-05T10:00:00Z", "current_price": 1.1, "predicted_price": 1.11,
		  "direction": "BUY", "confidence": 0.9, "bid": 1.09993, "ask": 1.10007}', '{}', '{"regime": "RANGING", "atr": 0.0011}',
		'{"symbol": "EURUSD", "base_currency": "EUR", "quote_currency": "USD", "pip_size": 0.0001, "tick_size": 0.00001,
		  "contract_size": 100000, "lot_min": 0.01, "lot_step": 0.01, "lot_max": 100}',
		'{"currency": "USD", "equity": 10000}', '2026-01-05T10:00:01Z') - 'steps' AS same,
       jsonb_array_length(e -> 'gates') = jsonb_array_length(e #> '{decision,steps}') AS every_step
  FROM public.explained() AS e;
SELECT g ->> 'gate' AS gate, g ->> 'quantity' AS quantity, g -> 'value' AS value, g -> 'threshold' AS threshold, g ->> 'source' AS source
  FROM jsonb_array_elements(public.explained(strategy => '{"custom_rule": "$.consensus > 0.5"}') -> 'gates') AS g;

-- Consensus and strength: votes and factors with their weights; what is absent is said to be.
SELECT n.* FROM public.notes(public.explained('{"models": [{"model_id": "a", "direction": "BUY", "confidence": 0.8, "weight": 2},
	{"model_id": "b", "direction": "SELL", "confidence": 0.4}], "volume_confirmation": 0.5}'), '{CONSENSUS,STRENGTH}') AS n;
-- The level: a pattern moves it, volatility weakens it.
SELECT n.* FROM public.notes(public.explained('{"direction": "WEAK_BUY", "patterns": [{"name": "HAMMER", "direction": "BULLISH", "probability": 0.8}]}',
	'{"pattern_trading_enabled": true}', '{"regime": "HIGH_VOLATILITY", "trend": "UP"}'), '{LEVEL}') AS n;
-- Prices of a limit order, and of a market order with a stop by ATR that the spread widens.
SELECT n.* FROM public.notes(public.explained(), '{ENTRY,STOP_LOSS,TAKE_PROFIT}') AS n;
SELECT n.* FROM public.notes(public.explained(strategy => '{"prefer_market_orders": true, "stop_loss_mode": "ATR", "stop_loss_atr_multiple": 0.1,
	"take_profit_mode": "PREDICTED_PRICE"}'), '{ENTRY,STOP_LOSS,TAKE_PROFIT}') AS n;
-- A price that has run away.
SELECT n.* FROM public.notes(public.explained(strategy => '{"advanced_timing": true, "timing_extension_atr": 1}', market => '{"ema": 1.095}'), '{ENTRY}') AS n;
-- Sizes: by risk, by volatility (weak, and with less than the whole multiplier), by Kelly, at most.
SELECT n.* FROM public.notes(public.explained(), '{SIZE}') AS n;
SELECT n.* FROM public.notes(public.explained('{"direction": "WEAK_BUY"}', '{"position_sizing": "VOLATILITY_TARGET"}', account => '{"position_size_multiplier": 0.8}'), '{SIZE}') AS n;
SELECT n.* FROM public.notes(public.explained(strategy => '{"position_sizing": "KELLY", "max_position_size": 0.3}', account => '{"hit_rate": 0.55}'), '{SIZE}') AS n;
-- A currency without a rate ends there; one with a rate goes on.
SELECT n.* FROM public.notes(public.explained(account => '{"currency": "JPY"}'), '{SIZE}') AS n;
SELECT n.item, n.value, n.source, n.remark FROM public.notes(public.explained(account => '{"currency": "EUR"}'), '{SIZE}') AS n WHERE n.item = 'conversion_rate';
-- Legs, as many as there can be.
SELECT n.* FROM public.notes(public.explained(strategy => '{"enable_multi_leg_strategies": true, "leg_count": 5, "leg_spacing_pips": 6}'), '{LEGS}') AS n;
SELECT n.* FROM public.notes(public.explained(strategy => '{"enable_multi_leg_strategies": true, "max_position_size": 0.01}'), '{LEGS}') AS n;

-- Stored: what lane and batch would have written of two messages for tom and one for bob.
SET SESSION AUTHORIZATION te_admin;
CREATE FUNCTION pg_temp.submit(company text, owner text, batch text, predictions jsonb) RETURNS uuid LANGUAGE sql AS $$
	SELECT trading.submit(jsonb_build_object('batch_id', batch, 'producer_id', 'desk', 'company_id', company, 'user_id', owner,
		'generated_at', '2026-01-05T10:00:00Z', 'predictions', predictions))
$$;
SELECT count(pg_temp.submit('acme', 'tom', 'one', '[
	{"prediction_id": "good", "symbol": "EURUSD", "direction": "BUY", "confidence": 0.9, "current_price": 1.1, "predicted_price": 1.11},
	{"prediction_id": "unsure", "symbol": "EURUSD", "direction": "BUY", "confidence": 0.6, "current_price": 1.1, "predicted_price": 1.11},
	{"prediction_id": "refused", "symbol": "EURUSD", "direction": "BUY", "confidence": 0.6, "current_price": 1.1, "predicted_price": 1.11}]')) AS submitted;
SELECT count(pg_temp.submit('acme', 'tom', 'two', '[
	{"prediction_id": "good", "symbol": "EURUSD", "direction": "SELL", "confidence": 0.75, "current_price": 1.2, "predicted_price": 1.19}]')) AS submitted;
SELECT count(pg_temp.submit('beta', 'bob', 'three', '[
	{"prediction_id": "bobs", "symbol": "EURUSD", "direction": "SELL", "confidence": 0.75, "current_price": 1.2, "predicted_price": 1.19}]')) AS submitted;
RESET SESSION AUTHORIZATION;
DELETE FROM trading.prediction_batches;
DELETE FROM trading.dead_letters;
INSERT INTO trading.batches (lane, batch_no, epoch, lane_count, decided_at, change_snapshot, system_identifier)
SELECT trading.lane_of(c, 2), 10 + n, 1, 2, timestamptz '2026-01-05 10:00:01Z' + n * interval '1 s', pg_current_snapshot(), s.system_identifier
  FROM unnest('{acme,beta}'::text[]) AS c, generate_series(0, 2) AS n, trading.this_system() AS s ON CONFLICT DO NOTHING;
-- MarketStates: RANGING, FLAT, ratio 1, for each prediction but the third.
CREATE FUNCTION pg_temp.batch_of(message bytea) RETURNS integer LANGUAGE sql AS $$
	SELECT CASE WHEN position('one'::bytea IN message) > 0 THEN 0 WHEN position('two'::bytea IN message) > 0 THEN 1 ELSE 2 END $$;
INSERT INTO trading.prediction_batches (recorded_at, lane, batch_no, position, source, input_seq, company_id, user_id, payload_hash, predictions, decided_at, message, market)
SELECT now() + pg_temp.batch_of(i.payload) * interval '1 hour', trading.lane_of(i.company_id, 2), 10 + pg_temp.batch_of(i.payload), 0, 'inbox', i.inbox_id,
       i.company_id, i.user_id, sha256(i.payload), 1, timestamptz '2026-01-05 10:00:01Z' + pg_temp.batch_of(i.payload) * interval '1 s', i.payload,
       CASE pg_temp.batch_of(i.payload) WHEN 0 THEN '\x0a03010100'::bytea ELSE '\x0a0101' END || '\x120d0802100319000000000000f03f'
  FROM trading.inbox AS i WHERE position('desk'::bytea IN i.payload) > 0;
SELECT p.company_id, d.index, d.prediction_id, d.prediction - '{prediction_id,symbol,models,patterns}'::text[] AS prediction, d.fault
  FROM trading.prediction_batches AS p, trading.decode_predictions(p.message) AS d ORDER BY 1, p.recorded_at, 2;
DROP FUNCTION pg_temp.batch_of(bytea);
SELECT p.company_id, m.* FROM trading.prediction_batches AS p, trading.decode_markets(p.market) AS m ORDER BY 1, p.recorded_at, 2;
INSERT INTO trading.dead_letters (lane, batch_no, source, input_seq, company_id, user_id, reason, detail, prediction_index, message)
SELECT p.lane, p.batch_no, 'inbox', p.input_seq, 'acme', 'tom', 'UNKNOWN_SYMBOL', 'predictions[2].symbol: "EURUSD" is not in trading.instruments', 2, p.message
  FROM trading.prediction_batches AS p WHERE p.batch_no = 10;
INSERT INTO trading.dead_letters (lane, batch_no, source, input_seq, company_id, user_id, reason, detail, message) VALUES
	(0, 1, 'nats', 5, 'acme', '_all', 'NOT_AUTHORISED', 'producer_id: "ghost" is not a producer of company "acme"', '\x0a08' || 'lettered'::bytea),
	(0, 1, 'nats', 6, '_all', '_all', 'NOT_AUTHORISED', 'producer_id: "ghost" may not broadcast', '\x0a0c' || 'to everybody'::bytea);
INSERT INTO trading.signals (lane, batch_no, position, ordinal, out_epoch, signal_id, company_id, user_id, account_id, strategy_id, symbol, prediction_id,
	outcome, generated_at, decided_at, simulated, strategy_version, core_version, inputs)
SELECT 0, 1, 0, 0, 1, '01a00000-0000-7000-8000-000000000001', 'acme', 'tom', 'main', 'main', 'EURUSD', 'good', 'SIGNAL', now(), now(), false, 1, 1, '\x0a00';

\c - te_tom
SET timezone = 'UTC';
SET datestyle = 'ISO';
-- Rows: of two predictions of that id, the newer; between two times, the one from there.
SELECT step, gate, quantity, passed, value, threshold, parameter, layer FROM trading.explain('good', 'acme', 'tom', 'main');
SELECT DISTINCT outcome, decided_at, strategy_version, tier, market, core_version, lane, batch_no FROM trading.explain('good', 'acme', 'tom', 'main');
SELECT DISTINCT outcome, batch_no FROM trading.explain('good', 'acme', 'tom', 'main', to_time => now() + interval '30 minutes');
SELECT v ->> 'kind' AS kind, v ->> 'name' AS name, v ->> 'version' AS version, v ? 'change_id' AS change, v ? 'changed_at' AS at
  FROM (SELECT versions FROM trading.explain('good', 'acme', 'tom', 'main') LIMIT 1) AS e, jsonb_array_elements(e.versions) AS v;
SELECT part, item, value, weight, parameter, setting, layer FROM trading.explain_derivation('good', 'acme', 'tom', 'main');
-- Text.
SELECT regexp_replace("EXPLAIN", 'change \d+', 'change', 'g') AS "EXPLAIN" FROM trading.explain_text('good', 'acme', 'tom', 'main');
SELECT regexp_replace("EXPLAIN", 'change \d+', 'change', 'g') AS "EXPLAIN" FROM trading.explain_text('unsure', 'acme', 'tom', 'main');
-- What was not decided.
SELECT "EXPLAIN" FROM trading.explain_text('refused', 'acme', 'tom', 'main') WHERE "EXPLAIN" !~ 'versions';
SELECT "EXPLAIN" FROM trading.explain_text('good', 'acme', 'tom', 'other') WHERE "EXPLAIN" !~ 'versions';
SELECT "EXPLAIN" FROM trading.explain_text('lettered', 'acme', 'tom', 'main');
SELECT * FROM trading.explain_text('to everybody', 'acme', 'tom', 'main');

-- What there is nothing of, and what is of others: the same words, no word more.
\set VERBOSITY terse
SELECT * FROM trading.explain('nonsense', 'acme', 'tom', 'main');
SELECT * FROM trading.explain('goo', 'acme', 'tom', 'main');
SELECT * FROM trading.explain('bobs', 'acme', 'tom', 'main');
SELECT * FROM trading.explain('bobs', 'beta', 'bob', 'main');
SELECT * FROM trading.explain('good', 'acme', 'ann', 'main');
SELECT * FROM trading.explain('good', 'acme', 'nobody', 'main');
SELECT * FROM trading.explain('good', 'acme', 'tom', 'main', from_time => now() + interval '1 day');
SELECT * FROM trading.explain('01a00000-0000-7000-8000-000000000002');
SELECT * FROM trading.explain('01a00000-0000-7000-8000-000000000001');
SELECT * FROM trading.explain(NULL::uuid);
SELECT * FROM trading.explain('good', NULL, 'tom', 'main');
SELECT * FROM trading.explain('', 'acme', 'tom', 'main');
SELECT * FROM trading.explain('good', 'acme', 'tom', 'main', '2026-01-02', '2026-01-01');
SELECT trading.decode_predictions('\x0102');
SELECT trading.decode_predictions('');
SELECT trading.decode_markets('\x0a');
SELECT message FROM trading.prediction_batches;
\c - te_vic
\set VERBOSITY terse
SELECT * FROM trading.explain('good', 'acme', 'tom', 'main');
\c - te_bob
\set VERBOSITY terse
SELECT * FROM trading.explain('good', 'acme', 'tom', 'main');
SELECT * FROM trading.explain('01a00000-0000-7000-8000-000000000001');
SELECT DISTINCT outcome FROM trading.explain('bobs', 'beta', 'bob', 'main');
\c - te_nobody
\set VERBOSITY terse
SELECT * FROM trading.explain('bobs', 'beta', 'bob', 'main');
\c - te_stranger
\set VERBOSITY terse
SELECT * FROM trading.explain('bobs', 'beta', 'bob', 'main');
\c - te_ann
SELECT DISTINCT outcome FROM trading.explain('good', 'acme', 'tom', 'main');
\c - te_admin
SELECT DISTINCT outcome FROM trading.explain('bobs', 'beta', 'bob', 'main');
SELECT "EXPLAIN" FROM trading.explain_text('to everybody', 'acme', 'tom', 'main') LIMIT 1;

\c :home :superuser
DROP DATABASE trading_explain WITH (FORCE);
\set ECHO none
\i :no_companies
