-- What people call: submit, channels, lanes; and the guards of strategies.

CREATE FUNCTION trading.version() RETURNS text
	AS 'MODULE_PATHNAME', 'te_sql_version'
	LANGUAGE c IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION trading.version() IS 'version of the loaded library';

CREATE FUNCTION trading.submit(batch jsonb) RETURNS uuid
	AS 'MODULE_PATHNAME', 'te_sql_submit'
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.submit(jsonb) IS 'puts a batch of predictions (MLPredictionBatch as JSON) into the lanes'' inbox, in this transaction; returns the correlation id of what comes of it';

-- Names of channels are keyed hashes, so that they can't be guessed: anybody may LISTEN.
-- The body is a string because a parsed one would depend on a table.
CREATE FUNCTION trading.channel_of(company_id text) RETURNS text
	LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$
	SELECT 'trading_' || left(encode(sha256(i.notify_key || convert_to(channel_of.company_id, 'UTF8')), 'hex'), 48)
	  FROM trading.installation AS i
$$;
COMMENT ON FUNCTION trading.channel_of(text) IS 'notification channel of a company; for the workers';

CREATE FUNCTION trading.signal_channel() RETURNS text
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT trading.channel_of(trading.current_company())
$$;
COMMENT ON FUNCTION trading.signal_channel() IS 'channel to LISTEN on for the ids of your company''s signals; NULL without a company';

-- Keeps the key and counts versions.
CREATE FUNCTION trading.guard_strategy() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF TG_OP = 'INSERT' THEN
		NEW.created_at := now();
		NEW.version := 1;
	ELSIF (NEW.company_id, NEW.user_id, NEW.strategy_id) IS DISTINCT FROM (OLD.company_id, OLD.user_id, OLD.strategy_id) THEN
		RAISE EXCEPTION 'company_id, user_id and strategy_id of a strategy can''t be changed'
			USING ERRCODE = 'integrity_constraint_violation',
			      HINT = 'Insert a new strategy and delete this one.';
	ELSE
		NEW.created_at := OLD.created_at;
		NEW.version := OLD.version + 1;
	END IF;
	NEW.updated_at := now();
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION trading.guard_strategy() IS 'trigger: keeps the key of a strategy and counts its versions';

-- Refuses what the company's tier doesn't have.  It fires after row-level security has
-- let the row through, so that its errors tell nobody about another company.  The company
-- and its tier are locked against change until the end of the transaction: what was
-- checked is what holds when the row is committed.
CREATE FUNCTION trading.check_tier() RETURNS trigger
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	tier record;
BEGIN
	SELECT t.* INTO tier
	  FROM trading.companies AS c JOIN trading.tiers AS t ON t.tier = c.tier
	 WHERE c.company_id = NEW.company_id
	   FOR SHARE;
	IF NOT FOUND THEN
		RETURN NULL; -- the foreign key says it better
	END IF;
	PERFORM trading.check_strategy(tier, NEW, ARRAY(SELECT t FROM trading.tiers AS t ORDER BY t.rank));

	IF TG_OP = 'INSERT' AND NEW.user_id <> '_all' AND tier.advanced_features_enabled IS NOT TRUE THEN
		-- Two inserts at once must not both find that there is none.
		PERFORM FROM trading.users AS u
		  WHERE u.company_id = NEW.company_id AND u.user_id = NEW.user_id FOR NO KEY UPDATE;
		IF EXISTS (SELECT FROM trading.strategies AS s
			    WHERE s.company_id = NEW.company_id AND s.user_id = NEW.user_id AND s.strategy_id <> NEW.strategy_id)
		THEN
			RAISE EXCEPTION 'more than one strategy per user is not available in tier %', tier.tier
				USING ERRCODE = 'check_violation',
				      HINT = format('Tiers that have it (advanced_features_enabled): %s.', COALESCE((
				SELECT string_agg(t.tier, ', ' ORDER BY t.rank) FROM trading.tiers AS t
				 WHERE t.advanced_features_enabled), 'none'));
		END IF;
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION trading.check_tier() IS 'trigger: refuses what the company''s tier doesn''t allow';

CREATE FUNCTION trading.touch_account() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	NEW.updated_at := now();
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION trading.touch_account() IS 'trigger: notes when an account was last changed';

CREATE FUNCTION trading.stop_lanes() RETURNS void
	AS 'MODULE_PATHNAME', 'te_sql_stop_lanes'
	LANGUAGE c VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION trading.stop_lanes() IS 'stops the lanes'' workers of this database until the end of the transaction';

-- What identifies this installation, to be compared with what a lane has recorded.
CREATE FUNCTION trading.this_system()
	RETURNS TABLE (system_identifier bigint, database_oid oid, timeline integer, data_directory text)
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT s.system_identifier, d.oid,
	       ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer, -- a file's name begins with the timeline
	       current_setting('data_directory')
	  FROM pg_control_system() AS s, pg_database AS d
	 WHERE d.datname = current_database()
$$;
COMMENT ON FUNCTION trading.this_system() IS 'identity of this cluster and database';

CREATE FUNCTION trading.adopt(lane integer DEFAULT NULL) RETURNS integer
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	here record;
	adopted integer;
BEGIN
	SELECT s.* INTO STRICT here FROM trading.this_system() AS s;
	IF NOT EXISTS (SELECT FROM trading.lanes AS l WHERE l.system_identifier = here.system_identifier) THEN
		-- Rows from another cluster carry its transaction ids, which mean nothing here.
		-- Caches are built anew; what no lane has left to read is read.
		DELETE FROM trading.strategy_changes;
		DELETE FROM trading.inbox AS i
		 WHERE NOT EXISTS (
			SELECT FROM trading.lanes AS l
			 WHERE NOT COALESCE((SELECT pg_visible_in_snapshot(i.xid, b.inbox_snapshot)
					       FROM trading.batches AS b WHERE b.lane = l.lane
					      ORDER BY b.batch_no DESC LIMIT 1), false));
		UPDATE trading.inbox SET xid = pg_current_xact_id();
	END IF;
	UPDATE trading.lanes AS l
	   SET system_identifier = here.system_identifier, database_oid = here.database_oid,
	       timeline = here.timeline, data_directory = here.data_directory,
	       adopt_requested = true, adopted_at = now(), adopted_by = session_user
	 WHERE adopt.lane IS NULL OR l.lane = adopt.lane;
	GET DIAGNOSTICS adopted = ROW_COUNT;
	IF adopted = 0 THEN
		RAISE EXCEPTION 'there is no lane %', adopt.lane USING ERRCODE = 'invalid_parameter_value';
	END IF;
	RETURN adopted;
END
$$;
COMMENT ON FUNCTION trading.adopt(integer) IS 'makes this installation the owner of a lane, or of all; its worker begins an epoch above the broker''s. Call it on a restored copy only when the original is gone for good';

CREATE FUNCTION trading.set_lanes(lanes integer) RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF set_lanes.lanes IS NULL OR set_lanes.lanes NOT BETWEEN 1 AND 1024 THEN
		RAISE EXCEPTION 'the number of lanes must be between 1 and 1024' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM trading.stop_lanes();
	LOCK TABLE trading.lanes IN ACCESS EXCLUSIVE MODE;
	IF EXISTS (SELECT FROM trading.batches) THEN
		RAISE EXCEPTION 'the number of lanes can''t be changed once a lane has taken input'
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      DETAIL = 'The windows of duplicates and reserved positions of a company would stay behind in its old lane.';
	END IF;
	DELETE FROM trading.lanes AS l WHERE l.lane >= set_lanes.lanes;
	INSERT INTO trading.lanes (lane, system_identifier, database_oid, timeline, data_directory)
	SELECT n, s.system_identifier, s.database_oid, s.timeline, s.data_directory
	  FROM trading.this_system() AS s, generate_series(0, set_lanes.lanes - 1) AS n
	    ON CONFLICT (lane) DO NOTHING;
END
$$;
COMMENT ON FUNCTION trading.set_lanes(integer) IS 'changes the number of lanes, with their workers stopped';
