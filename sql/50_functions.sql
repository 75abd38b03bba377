-- What people call: submit, channels, lanes; and the guards of strategies.

CREATE FUNCTION trading.version() RETURNS text
	AS 'MODULE_PATHNAME', 'te_sql_version'
	LANGUAGE c IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION trading.version() IS 'version of the loaded library, and whether it was built without Kafka';

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
COMMENT ON FUNCTION trading.signal_channel() IS 'channel to LISTEN on for the ids of your company''s signals, and of those whose trades changed by a report; NULL without a company';

-- The guards are in C: an update of all strategies fires them for every row.
CREATE FUNCTION trading.guard_parameters() RETURNS trigger
	AS 'MODULE_PATHNAME', 'te_sql_guard_parameters'
	LANGUAGE c;
COMMENT ON FUNCTION trading.guard_parameters() IS 'trigger: refuses values that no strategy may have, and says what is allowed';

CREATE FUNCTION trading.guard_strategy() RETURNS trigger
	AS 'MODULE_PATHNAME', 'te_sql_guard_strategy'
	LANGUAGE c;
COMMENT ON FUNCTION trading.guard_strategy() IS 'trigger: keeps the key of a strategy and counts its versions';

-- The log knows the versions that a deleted strategy of the same name has had.  It is asked
-- for every row by a plan that may date from when the tables were empty.
CREATE FUNCTION trading.guard_new_strategy() RETURNS trigger
	AS 'MODULE_PATHNAME', 'te_sql_guard_strategy'
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off;
COMMENT ON FUNCTION trading.guard_new_strategy() IS 'trigger: numbers the first version of a strategy';

CREATE FUNCTION trading.check_tier() RETURNS trigger
	AS 'MODULE_PATHNAME', 'te_sql_check_tier'
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.check_tier() IS 'trigger: refuses what the company''s tier doesn''t allow';

CREATE FUNCTION trading.guard_company() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NEW.tier IS NOT NULL AND NOT EXISTS (SELECT FROM trading.tiers AS t WHERE t.tier = NEW.tier) THEN
		RAISE EXCEPTION 'there is no tier "%"', NEW.tier
			USING ERRCODE = 'foreign_key_violation', SCHEMA = 'trading', TABLE = 'companies', COLUMN = 'tier',
			      HINT = format('Tiers are: %s.', COALESCE((SELECT string_agg(t.tier, ', ' ORDER BY t.rank) FROM trading.tiers AS t), 'none'));
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION trading.guard_company() IS 'trigger: says which tiers there are';

CREATE FUNCTION trading.guard_tier() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	companies constant bigint := (SELECT count(*) FROM trading.companies AS c WHERE c.tier = OLD.tier);
BEGIN
	IF companies > 0 THEN
		RAISE EXCEPTION 'tier "%" is in use', OLD.tier
			USING ERRCODE = 'foreign_key_violation', SCHEMA = 'trading', TABLE = 'tiers', COLUMN = 'tier',
			      DETAIL = format('Companies that have it: %s.', companies),
			      HINT = 'Give them another tier first: UPDATE trading.companies SET tier = ...';
	END IF;
	RETURN OLD;
END
$$;
COMMENT ON FUNCTION trading.guard_tier() IS 'trigger: keeps the tiers that companies have';

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

-- A lane's newest batch says what it has read, so that a lane which never had a batch keeps everything.
CREATE FUNCTION trading.delete_read_inbox(before timestamptz) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	lane_count constant integer := (SELECT count(*) FROM trading.lanes);
	deleted bigint;
BEGIN
	WITH seen AS MATERIALIZED (
		SELECT l.lane, b.inbox_snapshot AS snapshot FROM trading.lanes AS l
		  LEFT JOIN LATERAL (SELECT n.inbox_snapshot FROM trading.batches AS n
				      WHERE n.lane = l.lane ORDER BY n.batch_no DESC LIMIT 1) AS b ON true)
	DELETE FROM trading.inbox AS i
	 WHERE i.submitted_at <= before
	   AND NOT EXISTS (SELECT FROM seen AS s
		WHERE (i.company_id = '_all' OR trading.lane_of(i.company_id, lane_count) = s.lane)
		  AND pg_visible_in_snapshot(i.xid, s.snapshot) IS NOT TRUE);
	GET DIAGNOSTICS deleted = ROW_COUNT;
	RETURN deleted;
END
$$;
COMMENT ON FUNCTION trading.delete_read_inbox(timestamptz) IS 'deletes rows of trading.inbox, submitted until then, that every lane which they concern has read; returns how many';

CREATE FUNCTION trading.adopt(lane integer DEFAULT NULL) RETURNS integer
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	here record;
	adopted integer;
	ours integer[] := '{}';
BEGIN
	IF adopt.lane IS NOT NULL AND NOT EXISTS (SELECT FROM trading.lanes AS l WHERE l.lane = adopt.lane) THEN
		RAISE EXCEPTION 'there is no lane %', adopt.lane USING ERRCODE = 'invalid_parameter_value';
	END IF;
	SELECT s.* INTO STRICT here FROM trading.this_system() AS s;
	-- What runs is ours already, and so is what is about to run and that no broker has called foreign:
	-- adopting it would give up what it hasn't sent. Without the library preloaded, nothing runs.
	IF current_setting('trading_engine.max_lanes', true) IS NOT NULL THEN
		ours := ARRAY(SELECT l.lane FROM trading.lanes AS l
				LEFT JOIN trading.read_workers() AS w ON w.datname = current_database() AND w.lane = l.lane
			       WHERE w.state IN ('running', 'halted') OR w.state IS DISTINCT FROM 'foreign' AND NOT l.adopt_requested
				 AND (l.system_identifier, l.database_oid, l.timeline, l.data_directory)
				   = (here.system_identifier, here.database_oid, here.timeline, here.data_directory));
	END IF;
	IF NOT EXISTS (SELECT FROM trading.lanes AS l WHERE l.system_identifier = here.system_identifier) THEN
		-- Rows from another cluster carry its transaction ids, which mean nothing here.
		-- Caches are built anew; what every lane has read goes, and the rest is read again.
		-- The log of versions goes on: a mark tells which of its rows were there before.
		INSERT INTO trading.strategy_changes (system_identifier, kind, operation)
		VALUES (here.system_identifier, 'all', 'RELOAD');
		PERFORM trading.delete_read_inbox('infinity');
		UPDATE trading.inbox SET xid = pg_current_xact_id();
		UPDATE trading.batches AS b SET inbox_snapshot = NULL
		  FROM trading.lanes AS l
		 WHERE b.lane = l.lane
		   AND b.batch_no = (SELECT max(n.batch_no) FROM trading.batches AS n WHERE n.lane = l.lane);
	END IF;
	UPDATE trading.lanes AS l
	   SET system_identifier = here.system_identifier, database_oid = here.database_oid,
	       timeline = here.timeline, data_directory = here.data_directory,
	       adopt_requested = true, adopted_at = now(), adopted_by = session_user
	 WHERE (adopt.lane IS NULL OR l.lane = adopt.lane) AND l.lane <> ALL (ours);
	GET DIAGNOSTICS adopted = ROW_COUNT;
	RETURN adopted;
END
$$;
COMMENT ON FUNCTION trading.adopt(integer) IS 'makes this installation the owner of a lane, or of all that aren''t its own; returns how many. Their workers begin an epoch above the broker''s. Call it on a restored copy only when the original is gone for good';

CREATE FUNCTION trading.resend(lane integer, from_seq bigint, to_seq bigint, epoch bigint DEFAULT NULL,
	OUT sent integer, OUT missing integer, OUT transport text)
	AS 'MODULE_PATHNAME', 'te_sql_resend'
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.resend(integer, bigint, bigint, bigint) IS
	'sends messages of a lane''s epoch (NULL: that of now) again, byte for byte and with their identity, for a consumer that has lost them: outside of the stream, on NATS on their subjects with "resent" behind the prefix, on Kafka in the topic <prefix>.resent, by that which the output takes or else by the other; returns how many the broker has taken, how many of them the outbox doesn''t have (any more, or yet), and which broker it was. An error where none takes them';

-- What is missing of a producer is given up by hand, also where its policy is to halt.
CREATE FUNCTION trading.release_gap(company_id text, user_id text, producer_id text) RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	field record;
BEGIN
	FOR field IN SELECT f.* FROM (VALUES ('company_id', release_gap.company_id), ('user_id', release_gap.user_id), ('producer_id', release_gap.producer_id)) AS f (name, value)
	LOOP
		IF field.value IS NULL OR field.value !~ '^[A-Za-z0-9_-]{1,64}$' THEN
			RAISE EXCEPTION '% must be 1 to 64 letters, digits, "_" or "-"', field.name USING ERRCODE = 'invalid_parameter_value';
		END IF;
	END LOOP;
	INSERT INTO trading.inbox (kind, company_id, user_id, producer_id, submitted_by)
	VALUES ('release_gap', release_gap.company_id, release_gap.user_id, release_gap.producer_id, session_user);
END
$$;
COMMENT ON FUNCTION trading.release_gap(text, text, text) IS 'gives up the first missing messages of a producer''s sequence for a company and user (_all: for all of them), so that what waits behind them takes effect: trading.input_gaps shows them as RELEASED. Without any missing it does nothing';

CREATE FUNCTION trading.one_prediction(message bytea, index integer) RETURNS bytea
	AS 'MODULE_PATHNAME', 'te_sql_one_prediction'
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trading.one_prediction(bytea, integer) IS 'a message with predictions, reduced to one of them, counted from 0: without a number, and with the batch id "<id>#<index>"';

-- A message comes in again as it came first, and is judged anew.  It takes effect though its
-- number was used up; if it has taken effect meanwhile, nothing happens.  Who wrote it by SQL was
-- known by his session, which the inbox tells; of what trading.prune() has deleted there, and of
-- what came from a broker, however often it was tried again, producer and token are looked at.
CREATE FUNCTION trading.retry_dead_letter(dead_letter_id uuid) RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	letter record;
BEGIN
	SELECT d.* INTO letter FROM trading.dead_letters AS d
	 WHERE d.dead_letter_id = retry_dead_letter.dead_letter_id FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no dead letter %', retry_dead_letter.dead_letter_id USING ERRCODE = 'no_data_found';
	END IF;
	IF letter.retried_at IS NOT NULL THEN
		RAISE EXCEPTION 'dead letter % was tried again at %', letter.dead_letter_id, letter.retried_at
			USING ERRCODE = 'object_not_in_prerequisite_state',
			      HINT = 'If it failed again, there is another dead letter of it.';
	END IF;
	IF letter.subject IS NULL OR letter.message IS NULL THEN
		RAISE EXCEPTION 'of dead letter % there is no message to try again', letter.dead_letter_id
			USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	INSERT INTO trading.inbox (kind, company_id, user_id, subject, authorised, payload, submitted_by)
	VALUES ('retry', COALESCE(letter.company_id, '_all'), COALESCE(letter.user_id, '_all'), letter.subject,
		letter.source = 'inbox' AND COALESCE((SELECT i.authorised FROM trading.inbox AS i WHERE i.inbox_id = letter.input_seq), false),
		CASE WHEN letter.prediction_index IS NULL THEN letter.message
		     ELSE trading.one_prediction(letter.message, letter.prediction_index) END, session_user);
	UPDATE trading.dead_letters AS d SET retried_at = now()
	 WHERE d.dead_letter_id = letter.dead_letter_id AND d.recorded_at = letter.recorded_at;
END
$$;
COMMENT ON FUNCTION trading.retry_dead_letter(uuid) IS 'gives a message, or a prediction, that became a dead letter to the lanes again, in this transaction: after what was wrong (an unknown symbol, a producer that wasn''t on the list) was put right';

-- Where each lane stands in each input stream.  The positions in Kafka's partitions are in the
-- newest row that moved one.  The view is no member of the extension, as it depends on tables that
-- aren't.
CREATE FUNCTION trading.create_position_view() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF to_regclass('trading.input_positions') IS NULL THEN
		CREATE VIEW trading.input_positions WITH (security_invoker) AS
		SELECT l.lane, 'nats' AS source, (extract(epoch FROM b.input_created) * 1000000)::bigint AS identity, b.input_incarnation AS incarnation,
		       b.input_seq AS done, COALESCE(b.input_resume, b.input_seq) AS resume, b.input_time AS message_time
		  FROM trading.lanes AS l,
		       LATERAL (SELECT n.* FROM trading.batches AS n WHERE n.lane = l.lane ORDER BY n.batch_no DESC LIMIT 1) AS b
		 WHERE b.input_created IS NOT NULL
		UNION ALL
		SELECT l.lane, p.source, p.identity, p.incarnation, p.done, p.resume,
		       CASE WHEN p.message_time > 0 THEN timestamptz 'epoch' + p.message_time * interval '1 microsecond' END
		  FROM trading.lanes AS l,
		       LATERAL (SELECT m.kafka_positions
				  FROM (SELECT n.batch_no, n.kafka_positions FROM trading.batches AS n WHERE n.lane = l.lane ORDER BY n.batch_no DESC LIMIT 256) AS m
				 WHERE m.kafka_positions IS NOT NULL ORDER BY m.batch_no DESC LIMIT 1) AS b,
		       LATERAL jsonb_to_recordset(b.kafka_positions)
			AS p (source text, identity bigint, incarnation bigint, done bigint, resume bigint, message_time bigint)
		 ORDER BY 1, 2;
	END IF;
	COMMENT ON VIEW trading.input_positions IS 'how far each lane has read each input stream';
	COMMENT ON COLUMN trading.input_positions.lane IS 'lane that reads';
	COMMENT ON COLUMN trading.input_positions.source IS 'input stream: nats, or kafka: with topic and partition, whose numbers are offset + 1';
	COMMENT ON COLUMN trading.input_positions.identity IS 'tells the stream from another of the same name: of nats, its time of creation in microseconds since 1970';
	COMMENT ON COLUMN trading.input_positions.incarnation IS 'counts the streams of this name, and losses of a stream''s tail, that the lane has seen';
	COMMENT ON COLUMN trading.input_positions.done IS 'everything up to it was read';
	COMMENT ON COLUMN trading.input_positions.resume IS 'a restart reads again from behind it: right before the first message that waits for its turn';
	COMMENT ON COLUMN trading.input_positions.message_time IS 'the broker''s time of the message at done';
	PERFORM trading.revoke_all('trading.input_positions');
	GRANT SELECT ON trading.input_positions TO trading_admin;
END
$$;
COMMENT ON FUNCTION trading.create_position_view() IS 'part of trading.setup(): trading.input_positions';

-- Lanes can be cut anew only where all have come equally far: a broadcast that one lane
-- has applied and another hasn't would else be lost or applied twice.  A position without a
-- message's time is where reading begins; a lane that has had nothing to store has none.
CREATE FUNCTION trading.check_drained() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	lane record;
	first_seq bigint;
	first_created timestamptz;
	first_positions jsonb;
	positions jsonb;
BEGIN
	FOR lane IN
		SELECT l.lane, l.inherited_epoch, l.inherited_seq, b.* FROM trading.lanes AS l
		  LEFT JOIN LATERAL (SELECT n.epoch, n.last_out_seq, n.publish_epoch, n.publish_seq,
					    CASE WHEN n.input_time IS NOT NULL THEN n.input_created END AS input_created,
					    CASE WHEN n.input_time IS NOT NULL THEN n.input_seq END AS input_seq, n.inbox_snapshot
				       FROM trading.batches AS n WHERE n.lane = l.lane ORDER BY n.batch_no DESC LIMIT 1) AS b ON true
		 ORDER BY l.lane
	LOOP
		SELECT jsonb_agg(jsonb_build_array(p.source, p.identity, p.done) ORDER BY p.source) INTO positions
		  FROM trading.input_positions AS p WHERE p.lane = lane.lane AND p.source <> 'nats' AND p.message_time IS NOT NULL;
		IF EXISTS (SELECT FROM trading.input_positions AS p WHERE p.lane = lane.lane AND p.resume < p.done) THEN
			RAISE EXCEPTION 'messages wait in lane % for missing ones before them', lane.lane
				USING ERRCODE = 'object_not_in_prerequisite_state',
				      HINT = 'Wait until these have come or were given up (trading.release_gap() does it at once), and try again.';
		END IF;
		IF lane.lane = 0 THEN
			first_seq := COALESCE(lane.input_seq, 0);
			first_created := lane.input_created;
			first_positions := positions;
		ELSIF positions IS DISTINCT FROM first_positions THEN
			RAISE EXCEPTION 'lanes haven''t read equally far'
				USING ERRCODE = 'object_not_in_prerequisite_state',
				      DETAIL = format('Lane 0 has read other messages of Kafka''s partitions than lane %s: trading.input_positions.', lane.lane),
				      HINT = 'Stop the producers, wait until every lane has read everything, and try again.';
		ELSIF (COALESCE(lane.input_seq, 0), lane.input_created) IS DISTINCT FROM (first_seq, first_created) THEN
			RAISE EXCEPTION 'lanes haven''t read equally far'
				USING ERRCODE = 'object_not_in_prerequisite_state',
				      DETAIL = format('Lane 0 has read up to message %s of the input stream, lane %s up to %s.',
					first_seq, lane.lane, COALESCE(lane.input_seq, 0)),
				      HINT = 'Stop the producers, wait until every lane has read everything, and try again.';
		END IF;
		IF concat(current_setting('trading_engine.nats_url', true), current_setting('trading_engine.kafka_brokers', true)) <> ''
			AND (SELECT lane.last_out_seq > 0 AND (a.epoch, a.seq) < (lane.epoch, lane.last_out_seq)
				 OR lane.inherited_seq > 0 AND (a.epoch, a.seq) < (lane.inherited_epoch, lane.inherited_seq)
			       FROM trading.acknowledged_output(lane.lane, 'infinity') AS a)
		THEN
			RAISE EXCEPTION 'lane % has messages that the broker hasn''t acknowledged', lane.lane
				USING ERRCODE = 'object_not_in_prerequisite_state',
				      HINT = 'Wait until they are, and try again.';
		END IF;
		IF EXISTS (SELECT FROM trading.inbox AS i
			    WHERE (i.company_id = '_all' OR trading.lane_of(i.company_id, (SELECT count(*)::integer FROM trading.lanes)) = lane.lane)
			      AND pg_visible_in_snapshot(i.xid, lane.inbox_snapshot) IS NOT TRUE)
		THEN
			RAISE EXCEPTION 'lane % hasn''t read everything in trading.inbox', lane.lane
				USING ERRCODE = 'object_not_in_prerequisite_state',
				      HINT = 'Try again.';
		END IF;
	END LOOP;
END
$$;
COMMENT ON FUNCTION trading.check_drained() IS 'error unless all lanes, whose workers are stopped, have read and sent everything';

CREATE FUNCTION trading.own_lane_state(state bytea, lane integer, lanes integer) RETURNS bytea
	AS 'MODULE_PATHNAME', 'te_sql_own_lane_state'
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trading.own_lane_state(bytea, integer, integer) IS 'the part of a lane''s state that is about broadcasts and its own companies';

-- A lane's state is in its newest rows of trading.batches: the last complete one and the
-- differences since.  Every new lane gets those of all old ones, as far as they owned what
-- they are about, because it may become the owner of any company.
CREATE FUNCTION trading.hand_over_state(lanes integer, new_epoch bigint) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
	WITH pieces AS (
		SELECT trading.own_lane_state(b.state, l.lane, (SELECT count(*)::integer FROM trading.lanes)) AS state,
		       row_number() OVER (ORDER BY b.lane, b.batch_no) AS n
		  FROM trading.lanes AS l
		  JOIN trading.batches AS b ON b.lane = l.lane
		 WHERE b.batch_no >= (SELECT f.batch_no FROM trading.batches AS f
				       WHERE f.lane = l.lane AND f.state_full ORDER BY f.batch_no DESC LIMIT 1)),
	place AS (
		SELECT max(b.input_created) AS input_created, max(b.input_incarnation) AS input_incarnation,
		       max(b.input_seq) AS input_seq, max(b.input_time) AS input_time, max(b.lane_clock) AS lane_clock,
		       (SELECT jsonb_agg(jsonb_build_object('source', p.source, 'identity', p.identity, 'incarnation', p.incarnation, 'done', p.done,
				'resume', p.resume, 'message_time', COALESCE((extract(epoch FROM p.message_time) * 1000000)::bigint, 0)) ORDER BY p.source)
			  FROM trading.input_positions AS p WHERE p.lane = 0 AND p.source <> 'nats') AS kafka_positions
		  FROM trading.lanes AS l,
		       LATERAL (SELECT n.* FROM trading.batches AS n WHERE n.lane = l.lane ORDER BY n.batch_no DESC LIMIT 1) AS b)
	INSERT INTO trading.batches (lane, batch_no, epoch, lane_count, decided_at, input_created, input_incarnation, input_seq, input_time, kafka_positions,
		last_out_seq, publish_epoch, publish_seq, kafka_epoch, kafka_seq, released_epoch, released_seq, system_identifier, change_snapshot, inbox_snapshot, lane_clock, state_full, state)
	SELECT new.lane, (SELECT max(b.batch_no) FROM trading.batches AS b) + p.n,
	       new_epoch, hand_over_state.lanes, COALESCE(o.lane_clock, now()), o.input_created, o.input_incarnation, o.input_seq, o.input_time, o.kafka_positions,
	       0, new_epoch, 0, new_epoch, 0, new_epoch, 0, s.system_identifier, pg_current_snapshot(), pg_current_snapshot(), o.lane_clock, p.n = 1, p.state
	  FROM generate_series(0, lanes - 1) AS new (lane), pieces AS p, place AS o, trading.this_system() AS s;

	INSERT INTO trading.market_conditions (lane, symbol, bar_start, regime, trend, volatility_ratio, bars, last_close, atr,
		ema_fast, ema_slow, returns, var_fast, var_slow)
	SELECT DISTINCT ON (new.lane, c.symbol) new.lane, c.symbol, c.bar_start, c.regime, c.trend, c.volatility_ratio, c.bars,
	       c.last_close, c.atr, c.ema_fast, c.ema_slow, c.returns, c.var_fast, c.var_slow
	  FROM trading.market_conditions AS c, generate_series(1, lanes - 1) AS new (lane)
	 WHERE c.lane = 0
	 ORDER BY new.lane, c.symbol, c.bar_start DESC
	    ON CONFLICT (lane, symbol, bar_start) DO NOTHING;
$$;
COMMENT ON FUNCTION trading.hand_over_state(integer, bigint) IS 'gives the state of all lanes to every lane of a new number of lanes';

-- The lanes stand still meanwhile, so nobody's open transaction keeps it waiting for long.
CREATE FUNCTION trading.set_lanes(lanes integer) RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '10s'
AS $$
DECLARE
	here record;
	new_epoch bigint;
	newest_batch_no bigint;
	called_foreign boolean;
BEGIN
	IF set_lanes.lanes IS NULL OR set_lanes.lanes NOT BETWEEN 1 AND 1024 THEN
		RAISE EXCEPTION 'the number of lanes must be between 1 and 1024' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	called_foreign := current_setting('trading_engine.max_lanes', true) IS NOT NULL
		AND EXISTS (SELECT FROM trading.read_workers() AS w WHERE w.datname = current_database() AND w.state = 'foreign');
	PERFORM trading.stop_lanes();
	LOCK TABLE trading.lanes IN ACCESS EXCLUSIVE MODE;
	LOCK TABLE trading.inbox IN SHARE ROW EXCLUSIVE MODE; -- whoever is submitting comes before or after
	-- A lane that isn't ours beyond doubt would go on in another epoch, beside the engine whose it is.
	SELECT s.* INTO STRICT here FROM trading.this_system() AS s;
	IF called_foreign OR EXISTS (SELECT FROM trading.lanes AS l WHERE l.adopt_requested
		OR (l.system_identifier, l.database_oid) <> (here.system_identifier, here.database_oid)
		OR l.timeline >= here.timeline AND l.data_directory <> here.data_directory)
	THEN
		RAISE EXCEPTION 'the lanes belong to another installation'
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'See trading.adopt().';
	END IF;
	IF EXISTS (SELECT FROM trading.lanes AS l WHERE l.timeline < here.timeline) THEN
		RAISE EXCEPTION 'the lanes haven''t run since the cluster was promoted or recovered'
			USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Wait until they run, and try again: trading.stat_workers says what they wait for.';
	END IF;
	SELECT GREATEST(max(l.epoch), (SELECT max(b.epoch) FROM trading.batches AS b)) + 1 INTO new_epoch FROM trading.lanes AS l;
	SELECT max(b.batch_no) INTO newest_batch_no FROM trading.batches AS b;
	IF newest_batch_no IS NOT NULL THEN
		PERFORM trading.check_drained();
		UPDATE trading.lanes AS l SET inherited_epoch = b.epoch, inherited_seq = b.last_out_seq
		  FROM (SELECT i.lane, n.* FROM trading.lanes AS i,
			       LATERAL (SELECT b.epoch, b.last_out_seq FROM trading.batches AS b WHERE b.lane = i.lane ORDER BY b.batch_no DESC LIMIT 1) AS n) AS b
		 WHERE b.lane = l.lane AND b.last_out_seq > 0 AND b.epoch > l.predecessor_epoch;
		PERFORM trading.hand_over_state(set_lanes.lanes, new_epoch);
	END IF;
	DELETE FROM trading.lanes AS l WHERE l.lane >= set_lanes.lanes;
	INSERT INTO trading.lanes (lane, epoch, first_batch_no, system_identifier, database_oid, timeline, data_directory)
	SELECT n, COALESCE(new_epoch, 1), COALESCE(newest_batch_no + 1, 0), s.system_identifier, s.database_oid, s.timeline, s.data_directory
	  FROM trading.this_system() AS s, generate_series(0, set_lanes.lanes - 1) AS n
	    ON CONFLICT (lane) DO UPDATE SET (epoch, first_batch_no) = (excluded.epoch, excluded.first_batch_no);
END
$$;
COMMENT ON FUNCTION trading.set_lanes(integer) IS 'changes the number of lanes: stops their workers, and lets the new ones go on from where all of them were, in a new epoch';

-- Rows that every lane has read are of no more use to the engine; history is for people, too.
CREATE FUNCTION trading.prune(keep interval DEFAULT '7 days', keep_history interval DEFAULT '7 years') RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF prune.keep IS NULL OR prune.keep < interval '0' THEN
		RAISE EXCEPTION 'keep must not be negative' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF prune.keep_history IS NULL OR prune.keep_history < interval '0' THEN
		RAISE EXCEPTION 'keep_history must not be negative' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	-- Administrators can't delete the traces of what they have done.
	IF prune.keep_history < interval '7 years' AND NOT (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = session_user) THEN
		RAISE EXCEPTION 'keep_history must be at least 7 years, unless a superuser says otherwise'
			USING ERRCODE = 'insufficient_privilege';
	END IF;
	RETURN trading.delete_read_inbox(now() - prune.keep) + trading.delete_old_history(now() - prune.keep_history);
END
$$;
COMMENT ON FUNCTION trading.prune(interval, interval) IS
	'deletes rows of trading.inbox that are older than keep and that every lane has read, and versions that were followed by others longer than keep_history ago and that no stored prediction needs; returns how many';

-- The newest record of a lane is what it goes on from.
CREATE FUNCTION trading.prune_routes(keep interval) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	deleted bigint;
BEGIN
	DELETE FROM trading.routes AS r
	 WHERE r.changed_at < now() - keep
	   AND EXISTS (SELECT FROM trading.routes AS n WHERE n.lane = r.lane AND n.version > r.version);
	GET DIAGNOSTICS deleted = ROW_COUNT;
	RETURN deleted;
END
$$;
COMMENT ON FUNCTION trading.prune_routes(interval) IS 'part of trading.upkeep(): deletes changes of routes that were followed by others and are older; returns how many';

-- Bars and market state as old as the predictions that were decided on them.  The newest state
-- of a symbol is what a lane goes on from, and what newer bars follow.
CREATE FUNCTION trading.prune_market(keep interval) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	states bigint;
	bars bigint;
BEGIN
	WITH newest AS (SELECT c.lane, c.symbol, max(c.bar_start) AS bar_start FROM trading.market_conditions AS c GROUP BY c.lane, c.symbol)
	DELETE FROM trading.market_conditions AS c USING newest AS n
	 WHERE n.lane = c.lane AND n.symbol = c.symbol AND c.bar_start < n.bar_start AND c.recorded_at < now() - keep;
	GET DIAGNOSTICS states = ROW_COUNT;
	WITH newest AS (SELECT b.lane, b.symbol, max(b.bar_start) AS bar_start FROM trading.market_bars AS b GROUP BY b.lane, b.symbol)
	DELETE FROM trading.market_bars AS b USING newest AS n
	 WHERE n.lane = b.lane AND n.symbol = b.symbol AND b.bar_start < n.bar_start AND b.recorded_at < now() - keep;
	GET DIAGNOSTICS bars = ROW_COUNT;
	RETURN states + bars;
END
$$;
COMMENT ON FUNCTION trading.prune_market(interval) IS 'part of trading.upkeep(): deletes bars and market states recorded longer ago, but the newest of each symbol; returns how many';

CREATE FUNCTION trading.upkeep(keep interval DEFAULT '30 days', keep_history interval DEFAULT '7 years') RETURNS void
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM trading.ensure_partitions();
	PERFORM trading.roll_up(); -- counts what is dropped now
	PERFORM trading.score_predictions();
	PERFORM trading.drop_partitions(upkeep.keep);
	PERFORM trading.prune_market(upkeep.keep);
	PERFORM trading.prune_routes(upkeep.keep);
	PERFORM trading.prune(keep_history => upkeep.keep_history);
END
$$;
COMMENT ON FUNCTION trading.upkeep(interval, interval) IS 'makes partitions, drops those older than keep, prunes. The job retention runs it daily: trading.schedule_jobs()';
