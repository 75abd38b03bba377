-- Health: everything that an operator should look at, in one place.  Each function is about one
-- thing and gives a row at least, so that silence is no answer.

CREATE FUNCTION trading.health_of_library() RETURNS TABLE ("check" text, status text, detail text)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT 'library', CASE WHEN l.loaded THEN 'OK' ELSE 'FAIL' END,
	       CASE WHEN l.loaded THEN 'loaded by the server' ELSE 'not in shared_preload_libraries: no lane runs' END
	  FROM (SELECT current_setting('trading_engine.max_lanes', true) IS NOT NULL AS loaded) AS l
$$;
COMMENT ON FUNCTION trading.health_of_library() IS 'part of trading.health(): the shared library';

CREATE FUNCTION trading.settings_contradiction() RETURNS text
	AS 'MODULE_PATHNAME', 'te_sql_settings_contradiction'
	LANGUAGE c STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.settings_contradiction() IS
	'settings of lanes that contradict each other, with their values; NULL: none do. Lanes that run keep those that they have, and none starts with these';

CREATE FUNCTION trading.health_of_settings() RETURNS TABLE ("check" text, status text, detail text)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT 'settings', CASE WHEN c.contradiction IS NULL THEN 'OK' ELSE 'FAIL' END,
	       COALESCE(c.contradiction || ': lanes keep what they have, and none starts with these', 'none contradicts another')
	  FROM trading.settings_contradiction() AS c (contradiction)
$$;
COMMENT ON FUNCTION trading.health_of_settings() IS 'part of trading.health(): settings that are not taken because they contradict each other';

-- What shared memory tells, which is nothing where the library isn't loaded.  A standby has no lanes to run.
CREATE FUNCTION trading.health_of_lanes() RETURNS TABLE ("check" text, status text, detail text)
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF current_setting('trading_engine.max_lanes', true) IS NULL THEN
		RETURN;
	END IF;
	IF pg_is_in_recovery() THEN
		RETURN QUERY SELECT 'lanes', 'OK', 'a standby: they run at the primary';
		RETURN;
	END IF;
	RETURN QUERY
	SELECT format('lane %s', l.lane),
	       CASE WHEN w.state = 'running' AND w.reason IS NULL AND w.outbox_pending < 100000 THEN 'OK'
		    WHEN w.state IN ('running', 'starting', 'draining') THEN 'WARN' ELSE 'FAIL' END,
	       concat_ws(', ', COALESCE(w.state, 'no worker'), w.reason, w.failures || ' failures in a row',
		CASE WHEN w.outbox_pending > 0 THEN w.outbox_pending || ' messages wait for the broker' END)
	  FROM trading.lanes AS l
	  LEFT JOIN LATERAL (
		SELECT r.state, NULLIF(r.reason, '') AS reason, NULLIF(r.failures, 0) AS failures, r.outbox_pending
		  FROM trading.read_workers() AS r WHERE r.datname = current_database() AND r.lane = l.lane) AS w ON true
	 ORDER BY l.lane;
	RETURN QUERY
	SELECT format('%s of lane %s', t.transport, t.lane),
	       CASE t.state WHEN 'ready' THEN 'OK' WHEN 'not configured' THEN 'WARN' ELSE 'FAIL' END,
	       CASE WHEN t.state = 'not configured' THEN 'not configured: input comes by SQL alone, and signals stay in their table'
		    ELSE concat_ws(', ', t.state, 'since ' || t.since::timestamptz(0), CASE WHEN t.state <> 'ready' THEN t.last_error END) END
	  FROM (SELECT r.*, bool_and(r.state = 'not configured') OVER (PARTITION BY r.lane) AS alone
		  FROM trading.read_transports() AS r WHERE r.datname = current_database()) AS t
	 WHERE t.state <> 'not configured' OR t.alone AND t.transport = 'nats'
	 ORDER BY t.lane, t.transport;
	RETURN QUERY
	SELECT format('input of lane %s', t.lane), CASE WHEN min(t.input_stalled_since) IS NULL THEN 'OK' ELSE 'FAIL' END,
	       CASE WHEN min(t.input_stalled_since) IS NULL THEN format('it moves; messages not yet applied: %s', sum(t.input_pending))
		    ELSE format('does not move since %s: %s', min(t.input_stalled_since)::timestamptz(0),
			string_agg(format('%s of %s are not applied', t.input_pending, t.transport), ', ' ORDER BY t.transport) FILTER (WHERE t.input_stalled_since IS NOT NULL)) END
	  FROM trading.read_transports() AS t WHERE t.datname = current_database() AND t.state <> 'not configured'
	 GROUP BY t.lane ORDER BY t.lane;
	RETURN QUERY
	SELECT 'risk service', CASE WHEN b.open > 0 THEN 'FAIL' WHEN b.half > 0 THEN 'WARN' ELSE 'OK' END,
	       CASE WHEN b.open + b.half = 0 THEN 'no circuit breaker is open'
		    ELSE format('circuit breakers that aren''t closed: %s; fallbacks decide (trading.stat_breakers)', b.open + b.half) END
	  FROM (SELECT count(*) FILTER (WHERE s.state = 'OPEN') AS open, count(*) FILTER (WHERE s.state = 'HALF_OPEN') AS half
		  FROM trading.read_breakers() AS s WHERE s.datname = current_database()) AS b;
	RETURN QUERY
	SELECT 'memory', CASE WHEN m.lost > 0 THEN 'WARN' ELSE 'OK' END,
	       CASE WHEN m.lost > 0 THEN format('lanes forgot %s signals, decisions or stop-outs that were still of interest: '
			'trading_engine.signal_memory or ban_memory is too small', m.lost)
		    ELSE 'nothing of interest was forgotten' END
	  FROM (SELECT COALESCE(sum(r.memory_lost), 0) AS lost FROM trading.read_workers() AS r WHERE r.datname = current_database()) AS m;
END
$$;
COMMENT ON FUNCTION trading.health_of_lanes() IS
	'part of trading.health(): workers that are down or foreign, what waits for the broker, connections to brokers, input that does not move, circuit breakers of the risk service, memory of repetitions';

CREATE FUNCTION trading.health_of_output() RETURNS TABLE ("check" text, status text, detail text)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('output of lane %s', r.lane),
	       CASE WHEN r.state = 'NATS' OR r.state = 'KAFKA' AND c.nats = '' THEN 'OK' WHEN r.state = 'NONE' THEN 'FAIL' ELSE 'WARN' END,
	       format('%s since %s: %s', r.state, r.changed_at::timestamptz(0), r.cause)
	  FROM (SELECT COALESCE(current_setting('trading_engine.nats_url', true), '') AS nats,
		       COALESCE(current_setting('trading_engine.kafka_brokers', true), '') AS kafka) AS c,
	       trading.lanes AS l,
	       LATERAL (SELECT n.* FROM trading.routes AS n WHERE n.lane = l.lane ORDER BY n.version DESC LIMIT 1) AS r
	 WHERE c.nats <> '' OR c.kafka <> ''
	 ORDER BY r.lane
$$;
COMMENT ON FUNCTION trading.health_of_output() IS 'part of trading.health(): lanes whose output takes another way than NATS, or none';

CREATE FUNCTION trading.health_of_partitions() RETURNS TABLE ("check" text, status text, detail text)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT 'partitions', CASE WHEN m.today > 0 THEN 'FAIL' WHEN m.ahead > 0 THEN 'WARN' ELSE 'OK' END,
	       CASE WHEN m.ahead = 0 THEN 'made until tomorrow or later'
		    ELSE format('missing: %s of today, %s of tomorrow: SELECT trading.ensure_partitions()', m.today, m.ahead - m.today) END
	  FROM (SELECT count(*) AS ahead, count(*) FILTER (WHERE w.partition IN (SELECT n.partition FROM trading.wanted_partitions(0) AS n)) AS today
		  FROM trading.wanted_partitions(1) AS w WHERE to_regclass(format('trading.%I', w.partition)) IS NULL) AS m
$$;
COMMENT ON FUNCTION trading.health_of_partitions() IS 'part of trading.health(): partitions that there should be';

CREATE FUNCTION trading.health_of_jobs() RETURNS TABLE ("check" text, status text, detail text)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('job %s', j.job),
	       CASE WHEN j.failed THEN 'FAIL' WHEN j.late OR j.scheduled_at IS NULL AND j.last_run IS NULL OR j.scheduled IS FALSE AND j.scheduled_at IS NOT NULL AND j.schedule IS NOT NULL THEN 'WARN'
		    ELSE 'OK' END,
	       CASE WHEN j.failed THEN format('%s at %s: %s', j.last_status, j.last_run::timestamptz(0), COALESCE(j.last_result, 'its session ended'))
		    WHEN j.late THEN format('late: it was due at %s, and last run at %s', j.next_due, COALESCE(j.last_run::timestamptz(0)::text, 'no time'))
		    WHEN j.schedule IS NULL THEN 'switched off'
		    WHEN j.scheduled_at IS NULL AND j.last_run IS NULL THEN 'never run: SELECT trading.schedule_jobs()'
		    WHEN j.scheduled IS FALSE AND j.scheduled_at IS NOT NULL THEN 'pg_cron doesn''t know it any more: SELECT trading.schedule_jobs()'
		    ELSE concat_ws(', ', j.last_status || ' at ' || j.last_run::timestamptz(0), 'due at ' || j.next_due) END
	  FROM trading.read_jobs() AS j
$$;
COMMENT ON FUNCTION trading.health_of_jobs() IS 'part of trading.health(): jobs that are late, have failed, or never run';

CREATE FUNCTION trading.health_of_input() RETURNS TABLE ("check" text, status text, detail text)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT 'dead letters', CASE WHEN d.n > 0 THEN 'WARN' ELSE 'OK' END,
	       CASE WHEN d.n > 0 THEN format('%s messages were turned away in the last day, the last of them at %s: trading.dead_letters', d.n, d.last::timestamptz(0))
		    ELSE 'none in the last day' END
	  FROM (SELECT count(*) AS n, max(l.recorded_at) AS last FROM trading.dead_letters AS l WHERE l.recorded_at > now() - interval '1 day') AS d
	UNION ALL
	SELECT 'executions', CASE WHEN e.n > 0 THEN 'WARN' ELSE 'OK' END,
	       CASE WHEN e.n > 0 THEN format('%s reports in the last day are about no order of ours, or contradict earlier ones: trading.executions', e.n)
		    ELSE 'all reports of the last day are about our orders' END
	  FROM (SELECT count(*) AS n FROM trading.executions AS x
		 WHERE x.recorded_at > now() - interval '1 day' AND (x.flag IS NOT NULL OR x.conflicts > 0)) AS e
$$;
COMMENT ON FUNCTION trading.health_of_input() IS 'part of trading.health(): messages that were turned away, reports that fit no order';

CREATE FUNCTION trading.health_of_calendar() RETURNS TABLE ("check" text, status text, detail text)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT 'news calendar', CASE WHEN r.required = 0 OR c.until > now() + interval '1 day' THEN 'OK' WHEN c.until > now() THEN 'WARN' ELSE 'FAIL' END,
	       CASE WHEN r.required = 0 THEN 'no rule requires one'
		    WHEN c.until IS NULL THEN format('missing, and rules require it: %s; their signals are rejected: trading.news_calendar', r.required)
		    ELSE format('known until %s', c.until::timestamptz(0)) END
	  FROM (SELECT count(*) AS required FROM trading.news_rules AS n WHERE n.required) AS r,
	       (SELECT max(n.known_until) AS until FROM trading.news_calendar AS n WHERE n.known_from <= now() AND n.known_until > now()) AS c
	UNION ALL
	SELECT 'kill switch', CASE WHEN s.n > 0 THEN 'WARN' ELSE 'OK' END,
	       CASE WHEN s.n > 0 THEN format('scopes that are REDUCING or HALTED: %s: trading.trading_switches', s.n) ELSE 'everything is ACTIVE' END
	  FROM (SELECT count(*) AS n FROM trading.trading_switches AS t WHERE t.state <> 'ACTIVE') AS s
$$;
COMMENT ON FUNCTION trading.health_of_calendar() IS 'part of trading.health(): news calendar and kill switches';

CREATE FUNCTION trading.health() RETURNS TABLE ("check" text, status text, detail text)
	LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 30 SET search_path = pg_catalog, pg_temp
AS $$
	SELECT h.* FROM trading.health_of_library() AS h
	UNION ALL SELECT h.* FROM trading.health_of_settings() AS h
	UNION ALL SELECT h.* FROM trading.health_of_lanes() AS h
	UNION ALL SELECT h.* FROM trading.health_of_output() AS h
	UNION ALL SELECT h.* FROM trading.health_of_calendar() AS h
	UNION ALL SELECT h.* FROM trading.health_of_input() AS h
	UNION ALL SELECT h.* FROM trading.health_of_partitions() AS h
	UNION ALL SELECT h.* FROM trading.health_of_jobs() AS h
$$;
COMMENT ON FUNCTION trading.health() IS 'everything that an operator should look at: OK, WARN or FAIL with what it is about; SELECT * FROM trading.health() WHERE status <> ''OK''';
