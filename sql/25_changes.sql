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
		('accounts', 'account', 'company_id', 'user_id', '', 'account_id', ''),
		('strategies', 'strategy', 'company_id', 'user_id', 'strategy_id', '', '')
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
	'rows of a kind (tier, company, user, producer, instrument, rate, account, strategy) as a snapshot of that cluster shows them, of some companies or of all; from the log';
