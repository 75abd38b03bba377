-- Weights of models follow their scored votes: within bounds, from enough votes on, logged, per company.
\getenv here PG_ABS_SRCDIR
\set companies :here '/include/companies.sql'
\set no_companies :here '/include/no_companies.sql'
\set SHOW_CONTEXT never
\set superuser :USER
\set home :DBNAME
CREATE DATABASE trading_weights;
\c trading_weights
\set ECHO none
\i :companies
DELETE FROM trading.model_weights;
DELETE FROM trading.score_sums;
\set ECHO all

SELECT v.rights, v.wrongs, trading.model_weight(v.rights, v.wrongs) AS factor
  FROM (VALUES (0, 0), (29, 0), (30, 0), (0, 30), (15, 15), (18, 12), (23, 7), (600, 400)) AS v (rights, wrongs);
SELECT trading.model_weight(-1, 3);
SET trading_engine.adjust_most_weight = 1.1;
SELECT trading.model_weight(30, 0);
RESET trading_engine.adjust_most_weight;

-- Votes of two models on two symbols, of broadcasts and of one company; some too few, some too long ago, and predictions as a whole.
CREATE FUNCTION votes(company text, model text, symbol text, age integer, rights bigint, wrongs bigint) RETURNS void LANGUAGE sql AS $$
	INSERT INTO trading.score_sums (company_id, grain, model_id, symbol, horizon, starts_on, bin, right_votes, wrong_votes, unresolved_votes, confidence_sum, brier_sum)
	VALUES (company, 'day', model, symbol, '1 hour', (now() AT TIME ZONE 'UTC')::date - age, 5, rights, wrongs, 7, 1, 1)
$$;
SELECT votes('_all', 'good', 'EURUSD', 1, 40, 20), votes('_all', 'good', 'EURUSD', 2, 20, 0), votes('_all', 'good', 'USDJPY', 0, 20, 5),
       votes('_all', 'bad', 'EURUSD', 3, 10, 90), votes('_all', '', 'EURUSD', 3, 100, 0), votes('acme', 'own', 'EURUSD', 0, 16, 14),
       votes('acme', 'old', 'EURUSD', 91, 100, 0), votes('gone', 'of nobody', 'EURUSD', 0, 100, 0);
SELECT trading.weigh_models();
SELECT company_id, model_id, symbol, factor, votes, round(accuracy::numeric, 4) AS accuracy FROM trading.model_weights ORDER BY 1, 2, 3;
SELECT trading.weigh_models();
SELECT trading.weigh_models(1000);
SELECT company_id, model_id, symbol, factor FROM trading.model_weights WHERE model_id = 'old' ORDER BY 3;
SELECT trading.weigh_models();
-- A few votes more don't move it, many do.
SELECT votes('_all', 'bad', 'USDJPY', 0, 1, 0), votes('acme', 'own', 'EURUSD', 1, 30, 0);
SELECT trading.weigh_models();
SELECT trading.weigh_models(0);
SELECT kind, company_id, item, operation, row_data ->> 'factor' AS factor, row_data ->> 'votes' AS votes
  FROM trading.strategy_history WHERE kind = 'model_weight' AND company_id = 'acme' AND item LIKE '%own' ORDER BY item, change_id;

-- What a strategy that follows sees of a prediction: the row of the symbol, or else that of all; votes of other models as they are.
SELECT jsonb_pretty(trading.weighed_prediction('{"symbol": "USDJPY", "models": [{"model_id": "good", "weight": 2}, {"model_id": "bad"}, {"model_id": "new", "weight": 3}]}',
	'_all', pg_current_snapshot(), (SELECT system_identifier FROM pg_control_system())));
SELECT trading.weighed_prediction('{"symbol": "USDJPY", "models": [{"model_id": "good"}]}', 'beta', pg_current_snapshot(), (SELECT system_identifier FROM pg_control_system()));

-- A company's weights go with it, and are nobody else's business.
\c - te_tom
SELECT company_id, model_id, symbol FROM trading.model_weights ORDER BY 1, 2, 3;
UPDATE trading.model_weights SET factor = 1;
SELECT trading.weigh_models();
\c - te_bob
SELECT DISTINCT company_id FROM trading.model_weights;
\c - :superuser
\set VERBOSITY terse
INSERT INTO trading.model_weights (company_id, model_id, factor) VALUES ('beta', 'm', 0);
INSERT INTO trading.model_weights (company_id, model_id, factor) VALUES ('nobody', 'm', 1);
INSERT INTO trading.model_weights (company_id, model_id, factor) VALUES ('beta', 'm', 1);
DELETE FROM trading.strategies WHERE company_id = 'beta';
DELETE FROM trading.accounts WHERE company_id = 'beta';
DELETE FROM trading.companies WHERE company_id = 'beta';
SELECT count(*) FROM trading.model_weights WHERE company_id = 'beta';

\c :home :superuser
DROP DATABASE trading_weights WITH (FORCE);
\set ECHO none
\i :no_companies
