-- Circuit breakers around the risk service: how they changed.  trading.stat_breakers says what they are now.

CREATE FUNCTION trading.create_breaker_tables() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format($table$
	CREATE TABLE trading.breaker_changes (
		recorded_at timestamptz NOT NULL DEFAULT now(),
		lane integer NOT NULL,
		batch_no bigint NOT NULL,
		company_id text,
		changed_at timestamptz NOT NULL,
		from_state text NOT NULL CHECK (from_state = ANY (%1$L)),
		to_state text NOT NULL CHECK (to_state = ANY (%1$L)),
		cause text NOT NULL CHECK (cause = ANY (%2$L)),
		wait_until timestamptz,
		CHECK ((to_state = 'OPEN') = (wait_until IS NOT NULL))
	) PARTITION BY RANGE (recorded_at)$table$,
		trading.enum_labels('breaker_state'), trading.enum_labels('breaker_cause'));
	CREATE INDEX ON trading.breaker_changes (lane, batch_no);
	CREATE INDEX ON trading.breaker_changes (company_id, recorded_at);
	PERFORM trading.describe('trading.breaker_changes',
		'every change of state of a circuit breaker around the risk service', jsonb_build_object(
		'batch_no', 'batch that was assessed, and that stored the row',
		'company_id', 'company whose breaker it is; NULL: the lane''s, for all its companies',
		'changed_at', 'when, by the system''s clock',
		'from_state', 'state that was left: CLOSED, OPEN or HALF_OPEN',
		'to_state', 'state since: CLOSED asks, OPEN doesn''t, HALF_OPEN asks now and then',
		'cause', 'CONSECUTIVE_FAILURES, FAILURE_RATE, WAITED, PROBE_FAILED, PROBE_LOST or PROBES_SUCCEEDED',
		'wait_until', 'of OPEN: when the service is asked again'));
END
$$;
COMMENT ON FUNCTION trading.create_breaker_tables() IS 'part of trading.setup(): changes of circuit breakers';
