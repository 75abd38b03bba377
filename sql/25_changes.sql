-- The log of versions.  Every row of a logged table that a statement inserts, updates or
-- deletes leaves a row in trading.strategy_changes: history for people, and news for the
-- workers, who keep copies.  Inserting there sends a relcache invalidation, which every
-- backend receives at commit, so that nobody polls.

CREATE FUNCTION trading.announce() RETURNS trigger
	AS 'MODULE_PATHNAME', 'te_sql_announce'
	LANGUAGE c;
COMMENT ON FUNCTION trading.announce() IS 'trigger: at commit, tells the workers that the table has news';

-- What is logged as text is text as these settings have it.
CREATE FUNCTION trading.log_changes() RETURNS trigger
	AS 'MODULE_PATHNAME', 'te_sql_log_changes'
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp
	SET extra_float_digits = 1 SET datestyle = 'ISO, YMD' SET intervalstyle = 'iso_8601' SET timezone = 'UTC';
COMMENT ON FUNCTION trading.log_changes() IS 'trigger: writes the rows that a statement changed to trading.strategy_changes';

CREATE FUNCTION trading.log_truncate() RETURNS trigger
	AS 'MODULE_PATHNAME', 'te_sql_log_truncate'
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.log_truncate() IS 'trigger: writes to trading.strategy_changes that all rows of a table are deleted';

CREATE FUNCTION trading.row_image(r record, secret name) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'te_sql_row_image'
	LANGUAGE c STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
	SET extra_float_digits = 1 SET datestyle = 'ISO, YMD' SET intervalstyle = 'iso_8601' SET timezone = 'UTC';
COMMENT ON FUNCTION trading.row_image(record, name) IS
	'a row as the log has it: without NULLs and without that column; reading it gives the same bits';

-- The tables whose rows are logged, with the columns that a row's key consists of ('' for
-- none), and the one that is secret.  Rows of no company are for everybody to read.
CREATE FUNCTION trading.logged_tables()
	RETURNS TABLE (relation regclass, kind text, company name, owner name, strategy name, item name, secret name)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('trading.%I', l.name)::regclass, l.kind, l.company, l.owner, l.strategy, l.item, l.secret
	  FROM (VALUES
		('tiers', 'tier', '', '', '', 'tier', ''),
		('companies', 'company', 'company_id', '', '', '', ''),
		('users', 'user', 'company_id', 'user_id', '', '', ''),
		('producers', 'producer', 'company_id', '', '', 'producer_id', 'token_sha256'),
		('instruments', 'instrument', '', '', '', 'symbol', ''),
		('rates', 'rate', '', '', '', 'pair', ''),
		('model_weights', 'model_weight', 'company_id', '', '', 'model', ''),
		('instrument_sessions', 'session', '', '', '', 'session', ''),
		('market_holidays', 'holiday', '', '', '', 'holiday', ''),
		('accounts', 'account', 'company_id', 'user_id', '', 'account_id', ''),
		('strategies', 'strategy', 'company_id', 'user_id', 'strategy_id', '', ''),
		('risk_limits', 'limit', 'company_id', 'user_id', '', 'scope', ''),
		('protections', 'protection', 'company_id', 'user_id', '', 'protection', ''),
		('protection_locks', 'lock', 'company_id', 'user_id', '', 'item', ''),
		('trading_switches', 'switch', 'company_id', 'user_id', '', 'scope', ''),
		('news_rules', 'news_rule', 'company_id', 'user_id', '', 'scope', ''),
		('news_events', 'news', '', '', '', 'event_id', ''),
		('news_calendar', 'calendar', '', '', '', 'span', '')
	  ) AS l (name, kind, company, owner, strategy, item, secret)
$$;
COMMENT ON FUNCTION trading.logged_tables() IS 'the tables whose rows are logged';

-- Where, in the log, the time of a cluster begins that a snapshot belongs to: what other
-- clusters wrote before is the past, as a restored dump brings it.  trading.adopt() leaves
-- the mark.
CREATE FUNCTION trading.log_begin(snapshot pg_snapshot, system bigint) RETURNS bigint
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT COALESCE(
		(SELECT max(c.change_id) FROM trading.strategy_changes AS c
		  WHERE c.kind = 'all' AND c.system_identifier = log_begin.system AND pg_visible_in_snapshot(c.xid, log_begin.snapshot)),
		(SELECT min(c.change_id) FROM trading.strategy_changes AS c WHERE c.system_identifier = log_begin.system),
		9223372036854775807)
$$;
COMMENT ON FUNCTION trading.log_begin(pg_snapshot, bigint) IS
	'smallest change_id that the cluster of a snapshot can have written; what others wrote before it is visible in the snapshot';

CREATE FUNCTION trading.rows_at(kind text, snapshot pg_snapshot, system bigint, companies text[] DEFAULT NULL)
	RETURNS SETOF jsonb
	LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10000 SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	log_begin constant bigint := trading.log_begin(rows_at.snapshot, rows_at.system);
BEGIN
	-- Two queries, because only one that names companies can look for them in the index.
	IF rows_at.companies IS NULL THEN
		RETURN QUERY
		SELECT c.row_data
		  FROM (SELECT DISTINCT ON (v.company_id, v.user_id, v.strategy_id, v.item) v.change_id
			  FROM trading.strategy_changes AS v
			 WHERE v.kind = rows_at.kind
			   AND CASE WHEN v.system_identifier = rows_at.system THEN pg_visible_in_snapshot(v.xid, rows_at.snapshot)
				    ELSE v.change_id < log_begin END
			 ORDER BY v.company_id, v.user_id, v.strategy_id, v.item, v.change_id DESC) AS newest
		  JOIN trading.strategy_changes AS c ON c.change_id = newest.change_id
		 WHERE c.row_data IS NOT NULL;
	ELSE
		RETURN QUERY
		SELECT c.row_data
		  FROM (SELECT DISTINCT ON (v.company_id, v.user_id, v.strategy_id, v.item) v.change_id
			  FROM trading.strategy_changes AS v
			 WHERE v.kind = rows_at.kind AND v.company_id = ANY (rows_at.companies)
			   AND CASE WHEN v.system_identifier = rows_at.system THEN pg_visible_in_snapshot(v.xid, rows_at.snapshot)
				    ELSE v.change_id < log_begin END
			 ORDER BY v.company_id, v.user_id, v.strategy_id, v.item, v.change_id DESC) AS newest
		  JOIN trading.strategy_changes AS c ON c.change_id = newest.change_id
		 WHERE c.row_data IS NOT NULL;
	END IF;
END
$$;
COMMENT ON FUNCTION trading.rows_at(text, pg_snapshot, bigint, text[]) IS
	'rows of a kind (tier, company, user, producer, instrument, rate, session, holiday, account, strategy, limit, protection, lock, switch, news_rule, news, calendar) as a snapshot of that cluster shows them, of some companies or of all; from the log';

-- Rows whose newest version in the log isn't what the table has: tables that were changed while
-- the extension was gone, or that come from a dump without a log.  Triggers of strategies are not
-- there yet; those that are go away, and are made anew afterwards.
CREATE FUNCTION trading.log_unlogged() RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	ours record;
	logged record;
	one bigint;
	total bigint := 0;
BEGIN
	-- A version is one content for ever: what was changed without being counted is counted now.
	LOCK TABLE trading.strategies IN SHARE ROW EXCLUSIVE MODE;
	FOR ours IN
		SELECT t.tgname AS name FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
		 WHERE t.tgrelid = 'trading.strategies'::regclass AND NOT t.tgisinternal AND p.pronamespace = 'trading'::regnamespace
	LOOP
		EXECUTE format('DROP TRIGGER %I ON trading.strategies', ours.name);
	END LOOP;
	UPDATE trading.strategies AS s SET version = c.version + 1
	  FROM (SELECT DISTINCT ON (v.company_id, v.user_id, v.strategy_id) v.company_id, v.user_id, v.strategy_id, v.version, v.row_data
		  FROM trading.strategy_changes AS v WHERE v.kind = 'strategy'
		 ORDER BY v.company_id, v.user_id, v.strategy_id, v.change_id DESC) AS c
	 WHERE c.company_id = s.company_id AND c.user_id = s.user_id AND c.strategy_id = s.strategy_id
	   AND s.version <= c.version AND trading.row_image(s, '') IS DISTINCT FROM c.row_data;

	FOR logged IN
		SELECT l.relation, l.kind, l.secret,
		       CASE l.company WHEN '' THEN 'NULL::text' ELSE format('r.%I', l.company) END AS company,
		       CASE l.owner WHEN '' THEN 'NULL::text' ELSE format('r.%I', l.owner) END AS owner,
		       CASE l.strategy WHEN '' THEN 'NULL::text' ELSE format('r.%I', l.strategy) END AS strategy,
		       CASE l.item WHEN '' THEN 'NULL::text' ELSE format('r.%I', l.item) END AS item,
		       CASE WHEN l.strategy <> '' THEN 'r.version' ELSE 'NULL::bigint' END AS version
		  FROM trading.logged_tables() AS l
	LOOP
		EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', logged.relation);
		EXECUTE format($query$
			WITH in_log AS (
				SELECT DISTINCT ON (v.company_id, v.user_id, v.strategy_id, v.item)
				       v.company_id, v.user_id, v.strategy_id, v.item, v.version, v.row_data
				  FROM trading.strategy_changes AS v WHERE v.kind = %1$L
				 ORDER BY v.company_id, v.user_id, v.strategy_id, v.item, v.change_id DESC),
			in_table AS (
				SELECT %2$s AS company_id, %3$s AS user_id, %4$s AS strategy_id, %5$s AS item, %6$s AS version,
				       trading.row_image(r, %7$L) AS row_data
				  FROM %8$s AS r)
			INSERT INTO trading.strategy_changes (system_identifier, kind, company_id, user_id, strategy_id, item,
				operation, version, row_data)
			SELECT (SELECT s.system_identifier FROM pg_control_system() AS s), %1$L,
			       COALESCE(t.company_id, l.company_id), COALESCE(t.user_id, l.user_id),
			       COALESCE(t.strategy_id, l.strategy_id), COALESCE(t.item, l.item),
			       CASE WHEN t.row_data IS NULL THEN 'DELETE' WHEN l.row_data IS NULL THEN 'INSERT' ELSE 'UPDATE' END,
			       COALESCE(t.version, l.version), t.row_data
			  FROM in_log AS l
			  FULL JOIN in_table AS t
			    ON COALESCE(t.company_id, '') = COALESCE(l.company_id, '') AND COALESCE(t.user_id, '') = COALESCE(l.user_id, '')
			   AND COALESCE(t.strategy_id, '') = COALESCE(l.strategy_id, '') AND COALESCE(t.item, '') = COALESCE(l.item, '')
			 WHERE t.row_data IS DISTINCT FROM l.row_data$query$,
			logged.kind, logged.company, logged.owner, logged.strategy, logged.item, logged.version, logged.secret, logged.relation);
		GET DIAGNOSTICS one = ROW_COUNT;
		total := total + one;
	END LOOP;
	RETURN total;
END
$$;
COMMENT ON FUNCTION trading.log_unlogged() IS 'part of trading.setup(): writes to the log what has changed without it; returns how many rows';

-- A version that another one followed may go when that was long ago, and every lane has read the
-- other one since: before its oldest stored prediction, so that this can be replayed.  The newest
-- version of a row stays, and so does a deletion: versions of strategies are counted on from it.
CREATE FUNCTION trading.delete_old_history(before timestamptz) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	deleted bigint;
BEGIN
	-- The log grows at its end.
	IF (SELECT c.changed_at FROM trading.strategy_changes AS c ORDER BY c.change_id LIMIT 1) > before THEN
		RETURN 0;
	END IF;
	WITH seen AS MATERIALIZED (
		SELECT b.change_snapshot AS snapshot, b.system_identifier,
		       trading.log_begin(b.change_snapshot, b.system_identifier) AS log_begin
		  FROM (SELECT n.lane, (SELECT p.batch_no FROM trading.prediction_batches AS p
					 WHERE p.lane = n.lane ORDER BY p.batch_no LIMIT 1) AS oldest,
			       EXISTS (SELECT FROM trading.lanes AS l WHERE l.lane = n.lane) AS is_there
			  FROM generate_series(0, GREATEST(
				(SELECT max(l.lane) FROM trading.lanes AS l), (SELECT max(p.lane) FROM trading.prediction_batches AS p))) AS n (lane)) AS o
		  LEFT JOIN LATERAL (SELECT b.change_snapshot, b.system_identifier FROM trading.batches AS b
				      WHERE b.lane = o.lane AND (b.batch_no = o.oldest OR o.oldest IS NULL)
				      ORDER BY b.batch_no DESC LIMIT 1) AS b ON true
		 WHERE o.is_there OR o.oldest IS NOT NULL),
	versions AS (
		SELECT c.change_id, lead(c.change_id) OVER version AS next_id, lead(c.changed_at) OVER version AS next_at,
		       lead(c.system_identifier) OVER version AS next_system, lead(c.xid) OVER version AS next_xid
		  FROM trading.strategy_changes AS c
		 WHERE c.operation <> 'RELOAD'
		WINDOW version AS (PARTITION BY c.kind, c.company_id, c.user_id, c.strategy_id, c.item ORDER BY c.change_id))
	DELETE FROM trading.strategy_changes AS c
	 USING versions AS v
	 WHERE c.change_id = v.change_id AND v.next_at <= before
	   AND NOT EXISTS (SELECT FROM seen AS s
		WHERE (CASE WHEN s.snapshot IS NULL THEN false
			    WHEN v.next_system = s.system_identifier THEN pg_visible_in_snapshot(v.next_xid, s.snapshot)
			    ELSE v.next_id < s.log_begin END) IS NOT TRUE);
	GET DIAGNOSTICS deleted = ROW_COUNT;
	RETURN deleted;
END
$$;
COMMENT ON FUNCTION trading.delete_old_history(timestamptz) IS
	'deletes versions that were followed by others before that time, and that no lane and no stored prediction needs; returns how many';
