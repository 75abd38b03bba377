-- A strategy's row is changed and committed, then a prediction for its user comes in: how long
-- after the commit was it decided, and by the changed row?  Milliseconds, p50 and p99 and greatest.
CREATE TEMP TABLE visible (ms float8, by_the_new boolean);
DO $$
DECLARE
	changed bigint;
	committed timestamptz;
	decided record;
BEGIN
	FOR i IN 1 .. 200 LOOP
		UPDATE trading.strategies AS s SET risk_percent = 0.5 + i * 0.001
		 WHERE s.company_id = 'bench-0' AND s.user_id = 'trader-0' RETURNING s.version INTO changed;
		COMMIT;
		committed := clock_timestamp();
		PERFORM trading.submit(jsonb_build_object('batch_id', 'v' || i, 'producer_id', 'bench', 'company_id', 'bench-0',
			'user_id', 'trader-0', 'generated_at', clock_timestamp(), 'predictions', jsonb_build_array(jsonb_build_object(
			'prediction_id', 'v' || i, 'symbol', 'EURUSD', 'current_price', 1.1, 'predicted_price', 1.105,
			'direction', 'BUY', 'confidence', 0.8))));
		COMMIT;
		LOOP
			SELECT s.decided_at, s.strategy_version INTO decided FROM trading.signals AS s WHERE s.prediction_id = 'v' || i;
			EXIT WHEN FOUND;
			IF clock_timestamp() > committed + interval '60 s' THEN
				RAISE EXCEPTION 'prediction % has not become a signal', i
					USING DETAIL = (SELECT string_agg(d.outcome || ' ' || d.count, ', ') FROM trading.stat_decisions AS d WHERE d.count > 0);
			END IF;
			PERFORM pg_sleep(0.002);
			COMMIT;
		END LOOP;
		INSERT INTO visible VALUES (EXTRACT(EPOCH FROM decided.decided_at - committed) * 1000, decided.strategy_version = changed);
		COMMIT;
	END LOOP;
END
$$;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY v.ms), percentile_cont(0.99) WITHIN GROUP (ORDER BY v.ms), max(v.ms),
       bool_and(v.by_the_new)
  FROM visible AS v;
