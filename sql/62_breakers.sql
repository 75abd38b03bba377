-- Circuit breakers around the risk service: what they are now, and how they changed.

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

CREATE FUNCTION trading.read_breakers(
	OUT datname text, OUT lane integer, OUT company_id text, OUT state text, OUT since timestamptz,
	OUT cause text, OUT wait_until timestamptz, OUT calls bigint, OUT failures bigint,
	OUT failures_in_row bigint, OUT refused bigint, OUT opened bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'te_sql_stat_breakers'
	LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED ROWS 16 SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.read_breakers() IS 'what trading.stat_breakers shows';

CREATE VIEW trading.stat_breakers WITH (security_invoker) AS
	SELECT * FROM trading.read_breakers() AS b ORDER BY b.datname, b.lane, b.company_id NULLS FIRST;
COMMENT ON VIEW trading.stat_breakers IS 'circuit breakers around the risk service: the lane''s, or with trading_engine.risk_breaker_scope = company those that have seen failures of late, at most 64 per lane (trading.stat_workers.breakers counts them all)';
COMMENT ON COLUMN trading.stat_breakers.company_id IS 'company whose breaker it is; NULL: the lane''s, for all its companies';
COMMENT ON COLUMN trading.stat_breakers.state IS 'CLOSED: the service is asked; OPEN: it isn''t, until a signal comes after wait_until; HALF_OPEN: it is asked about one signal at a time';
COMMENT ON COLUMN trading.stat_breakers.since IS 'when it came into this state';
COMMENT ON COLUMN trading.stat_breakers.cause IS 'why';
COMMENT ON COLUMN trading.stat_breakers.wait_until IS 'of OPEN: when the service is asked again';
COMMENT ON COLUMN trading.stat_breakers.calls IS 'signals that the service was asked about, since the worker started';
COMMENT ON COLUMN trading.stat_breakers.failures IS 'calls without a sound answer in time';
COMMENT ON COLUMN trading.stat_breakers.failures_in_row IS 'and since the last sound answer or change of state';
COMMENT ON COLUMN trading.stat_breakers.refused IS 'signals that the service was not asked about, because the breaker was open';
COMMENT ON COLUMN trading.stat_breakers.opened IS 'how often it has opened';

REVOKE ALL ON FUNCTION trading.read_breakers() FROM PUBLIC;
REVOKE ALL ON trading.stat_breakers FROM PUBLIC;
GRANT EXECUTE ON FUNCTION trading.read_breakers() TO trading_admin, pg_monitor;
GRANT SELECT ON trading.stat_breakers TO trading_admin, pg_monitor;
