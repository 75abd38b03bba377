-- History for people: the log of versions with the time that each was valid, and a
-- strategy as it was.

-- The view is no member of the extension, as it depends on a table that isn't one.  Times
-- come from a clock that may be set back, the order of a row's versions doesn't: a version
-- begins no earlier than the one before it.
CREATE FUNCTION trading.create_history_view() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- Nothing in it belongs to the extension, so that DROP EXTENSION leaves it behind.
	IF to_regclass('trading.strategy_history') IS NULL THEN
		CREATE VIEW trading.strategy_history WITH (security_invoker) AS
		SELECT c.kind, c.company_id, c.user_id, c.strategy_id, c.item, c.version, c.operation,
		       tstzrange(c.since, lead(c.since) OVER (PARTITION BY c.kind, c.company_id, c.user_id, c.strategy_id, c.item
							      ORDER BY c.change_id)) AS valid,
		       c.changed_at, c.changed_by, c.changed_as, c.change_id, c.row_data
		  FROM (SELECT v.change_id, v.kind, v.company_id, v.user_id, v.strategy_id, v.item, v.operation, v.version,
			       v.row_data, v.changed_at, v.changed_by, v.changed_as,
			       max(v.changed_at) OVER (PARTITION BY v.kind, v.company_id, v.user_id, v.strategy_id, v.item
						       ORDER BY v.change_id) AS since
			  FROM trading.strategy_changes AS v
			 WHERE v.operation <> 'RELOAD') AS c;
	END IF;
	COMMENT ON VIEW trading.strategy_history IS
		'every version of every tier, company, user, producer, instrument, session, holiday, rate, account, strategy, limit, protection, lock, switch and news: when it was valid, who made it';
	PERFORM trading.describe_like('trading.strategy_history', 'trading.strategy_changes');
	COMMENT ON COLUMN trading.strategy_history.operation IS
		'INSERT, UPDATE or DELETE; a change of the key is a DELETE and an INSERT';
	COMMENT ON COLUMN trading.strategy_history.valid IS
		'from when to when this was the version (of a DELETE: there was no such row); empty where the next one came in the same moment';
	PERFORM trading.revoke_all('trading.strategy_history');
	GRANT SELECT ON trading.strategy_history TO trading_tenant, trading_admin;
END
$$;
COMMENT ON FUNCTION trading.create_history_view() IS 'part of trading.setup(): the view trading.strategy_history';

-- The rows that a strategy was made of at a time, as far as policies let the caller see them;
-- what it can't see and what wasn't there are the same error.
CREATE FUNCTION trading.layers_at(company text, "user" text, strategy text, ts timestamptz,
		OUT own jsonb, OUT company_override jsonb, OUT tier jsonb, OUT extra boolean, OUT valid tstzrange,
		OUT change_id bigint, OUT override_change_id bigint, OUT company_change_id bigint, OUT tier_change_id bigint)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	layer record;
	too_old boolean;
BEGIN
	IF ts IS NULL THEN
		RAISE EXCEPTION 'ts must not be NULL' USING ERRCODE = 'null_value_not_allowed';
	END IF;
	SELECT h.row_data, h.change_id, h.valid INTO own, change_id, valid
	  FROM trading.strategy_history AS h
	 WHERE h.kind = 'strategy' AND h.company_id = company AND h.user_id = "user" AND h.strategy_id = strategy
	   AND h.user_id <> '_all' AND h.valid @> ts;
	SELECT h.row_data, h.change_id, h.valid INTO layer
	  FROM trading.strategy_history AS h
	 WHERE h.kind = 'company' AND h.company_id = company AND h.valid @> ts;
	IF own IS NULL OR layer.row_data IS NULL THEN
		RAISE EXCEPTION 'company "%", user "%" had no strategy "%" at %', company, "user", strategy, ts
			USING ERRCODE = 'no_data_found';
	END IF;
	company_change_id := layer.change_id;
	valid := valid * layer.valid;

	-- While a tier is renamed, which is one statement, companies have its old name a moment longer.
	SELECT h.row_data, h.change_id,
	       tstzrange(lower(h.valid), CASE WHEN upper(h.valid) > ts THEN upper(h.valid) END) AS valid
	  INTO layer
	  FROM trading.strategy_history AS h
	 WHERE h.kind = 'tier' AND h.item = layer.row_data ->> 'tier' AND h.row_data IS NOT NULL AND lower(h.valid) <= ts
	 ORDER BY h.change_id DESC LIMIT 1;
	too_old := NOT FOUND;
	tier := layer.row_data;
	tier_change_id := layer.change_id;
	valid := valid * layer.valid;

	SELECT h.row_data, h.change_id, h.valid INTO layer
	  FROM trading.strategy_history AS h
	 WHERE h.kind = 'strategy' AND h.company_id = company AND h.user_id = '_all' AND h.valid @> ts;
	IF FOUND THEN
		company_override := layer.row_data;
		override_change_id := CASE WHEN layer.row_data IS NOT NULL THEN layer.change_id END;
		valid := valid * layer.valid;
	ELSE
		SELECT lower(h.valid) AS since, h.operation INTO layer
		  FROM trading.strategy_history AS h
		 WHERE h.kind = 'strategy' AND h.company_id = company AND h.user_id = '_all'
		 ORDER BY h.change_id LIMIT 1;
		too_old := too_old OR FOUND AND layer.operation <> 'INSERT';
		valid := valid * tstzrange(NULL, layer.since);
	END IF;

	-- Where a company may have one strategy per user, the others depend on which is the first.
	SELECT COALESCE(bool_or(h.valid @> ts AND ((h.row_data ->> 'created_at')::timestamptz, h.strategy_id)
				< ((own ->> 'created_at')::timestamptz, strategy COLLATE "C")), false) AS extra,
	       tstzrange(max(lower(h.valid)) FILTER (WHERE h.operation <> 'UPDATE' AND lower(h.valid) <= ts),
			 min(lower(h.valid)) FILTER (WHERE h.operation <> 'UPDATE' AND lower(h.valid) > ts)) AS valid,
	       bool_or(h.is_first AND h.operation <> 'INSERT' AND lower(h.valid) > ts) AS too_old
	  INTO layer
	  FROM (SELECT v.*, v.change_id = min(v.change_id) OVER (PARTITION BY v.kind, v.company_id, v.user_id, v.strategy_id, v.item) AS is_first
		  FROM trading.strategy_history AS v) AS h
	 WHERE h.kind = 'strategy' AND h.company_id = company AND h.user_id = "user" AND h.strategy_id <> strategy;
	extra := layer.extra;
	IF (tier ->> 'advanced_features_enabled')::boolean IS NOT TRUE
		OR (company_override ->> 'advanced_features_enabled')::boolean IS FALSE
	THEN
		valid := valid * layer.valid;
		too_old := too_old OR COALESCE(layer.too_old, false);
	END IF;
	-- What was pruned isn't taken for what never was.
	IF too_old THEN
		RAISE EXCEPTION 'the history of company "%" doesn''t go back to %', company, ts
			USING ERRCODE = 'no_data_found', HINT = 'trading.prune() has deleted it.';
	END IF;
END
$$;
COMMENT ON FUNCTION trading.layers_at(text, text, text, timestamptz) IS
	'the rows that a strategy was made of at a time, with their places in the log and the time in which all of them were valid';

DO $do$
DECLARE
	columns text;
	results text;
BEGIN
	SELECT pg_catalog.string_agg(pg_catalog.format('OUT %I %s', p.name, p.sql_type), ', ' ORDER BY p.ordinality),
	       pg_catalog.string_agg(pg_catalog.format('m.%I', p.name), ', ' ORDER BY p.ordinality)
	  INTO STRICT columns, results
	  FROM trading.strategy_parameters() WITH ORDINALITY AS p;
	EXECUTE pg_catalog.format(
		$create$CREATE FUNCTION trading.strategy_at(company text, "user" text, strategy text, ts timestamptz DEFAULT now(),
			OUT company_id text, OUT user_id text, OUT strategy_id text, OUT name text, OUT account_id text, OUT version bigint,
			OUT tier text, %s, OUT layers jsonb,
			OUT hit_rate float8, OUT position_size_multiplier float8, OUT auto_adjust boolean, OUT follow_model_accuracy boolean, OUT valid tstzrange,
			OUT change_id bigint, OUT override_change_id bigint, OUT company_change_id bigint, OUT tier_change_id bigint)
			RETURNS record
			LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
		AS $body$
			SELECT s.company_id, s.user_id, s.strategy_id, s.name, s.account_id, s.version, t.tier, %s, m.layers,
			       s.hit_rate, COALESCE(s.position_size_multiplier, 1), COALESCE(s.auto_adjust, true), COALESCE(s.follow_model_accuracy, false),
			       l.valid, l.change_id, l.override_change_id, l.company_change_id, l.tier_change_id
			  FROM trading.layers_at($1, $2, $3, $4) AS l
			 CROSS JOIN LATERAL jsonb_populate_record(NULL::trading.tiers, l.tier) AS t
			 CROSS JOIN LATERAL jsonb_populate_record(NULL::trading.strategies, l.own) AS s
			 CROSS JOIN LATERAL jsonb_populate_record(NULL::trading.strategies, COALESCE(l.company_override, '{}')) AS o
			 CROSS JOIN LATERAL trading.merge_strategy(t, s, o, l.extra) AS m
		$body$$create$, columns, results);
END
$do$;
COMMENT ON FUNCTION trading.strategy_at(text, text, text, timestamptz) IS
	'the effective strategy as it was at a time, like a row of trading.effective_strategies, with the rows of the log that gave it (change_id: the user''s own) and the time in which it was so';
