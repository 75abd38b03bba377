-- How workers learn of changes.  Every statement that changes a row of which the
-- workers keep a copy writes its keys to trading.strategy_changes; that insert sends
-- a relcache invalidation, which every backend receives at commit, so that nobody polls.

CREATE FUNCTION trading.announce() RETURNS trigger
	AS 'MODULE_PATHNAME', 'te_sql_announce'
	LANGUAGE c;
COMMENT ON FUNCTION trading.announce() IS 'trigger: at commit, tells the workers that the table has news';

CREATE FUNCTION trading.log_changes() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- TG_ARGV: kind, then the columns (or '' for none) of company, user, strategy and item
	keys constant text := (
		SELECT string_agg(CASE k.name WHEN '' THEN 'NULL::text' ELSE format('r.%I', k.name) END, ', ' ORDER BY k.n)
		  FROM unnest(TG_ARGV[1:4]) WITH ORDINALITY AS k (name, n));
	changed text;
BEGIN
	changed := CASE TG_OP
		WHEN 'INSERT' THEN format('SELECT %s FROM new_rows AS r', keys)
		WHEN 'DELETE' THEN format('SELECT %s FROM old_rows AS r', keys)
		ELSE format('SELECT %1$s FROM old_rows AS r UNION SELECT %1$s FROM new_rows AS r', keys) END;
	EXECUTE 'INSERT INTO trading.strategy_changes (kind, company_id, user_id, strategy_id, item) '
		'SELECT $1, c.* FROM (' || changed || ') AS c' USING TG_ARGV[0];
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION trading.log_changes() IS 'trigger: writes the keys of the rows that a statement changed to trading.strategy_changes';

CREATE FUNCTION trading.log_truncate() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO trading.strategy_changes (kind, item) VALUES ('all', TG_TABLE_NAME);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION trading.log_truncate() IS 'trigger: tells the workers to read everything again after a TRUNCATE';
