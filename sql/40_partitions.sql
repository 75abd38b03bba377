-- Partitions.  High-volume tables have one per day (UTC) of recorded_at, batches one
-- per ten million batch numbers.  There is no default partition: its rows would
-- stand in the way of the partition that they belong to.

-- Make one partition: apart from its parent, closed, then attached, which takes no
-- lock that a reader or writer of the parent would wait for.
CREATE FUNCTION trading.create_partition(parent regclass, partition name, bounds text) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	attribute name;
BEGIN
	EXECUTE format('CREATE TABLE trading.%I (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMMENTS)',
		partition, parent);
	PERFORM trading.close_relation(format('trading.%I', partition)::regclass);
	FOR attribute IN
		SELECT a.attname FROM pg_attribute AS a
		 WHERE a.attrelid = parent AND a.attnum > 0 AND NOT a.attisdropped AND a.attstattarget = 0
	LOOP
		EXECUTE format('ALTER TABLE trading.%I ALTER COLUMN %I SET STATISTICS 0', partition, attribute);
	END LOOP;
	EXECUTE format('ALTER TABLE %s ATTACH PARTITION trading.%I FOR VALUES %s', parent, partition, bounds);
	EXECUTE format('COMMENT ON TABLE trading.%I IS %L', partition, format('partition of %s %s', parent, lower(bounds)));
END
$$;
COMMENT ON FUNCTION trading.create_partition(regclass, name, text) IS 'makes a closed partition and attaches it';

-- Where every lane stands; 0 for one that never had a batch, and as long as there is no lane.
CREATE FUNCTION trading.newest_batches() RETURNS TABLE (lane integer, batch_no bigint, recorded_at timestamptz)
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT l.lane, COALESCE(b.batch_no, 0), b.recorded_at
	  FROM trading.lanes AS l
	  LEFT JOIN LATERAL (SELECT n.batch_no, n.recorded_at FROM trading.batches AS n
			      WHERE n.lane = l.lane ORDER BY n.batch_no DESC LIMIT 1) AS b ON true
	UNION ALL
	SELECT 0, 0, NULL WHERE NOT EXISTS (SELECT FROM trading.lanes)
$$;
COMMENT ON FUNCTION trading.newest_batches() IS 'the newest batch of every lane';

-- The partitions that there should be, by parent, with name and bounds.
CREATE FUNCTION trading.wanted_partitions(days_ahead integer)
	RETURNS TABLE (parent regclass, partition name, bounds text)
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	WITH today (day) AS (SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date),
	parents AS (
		SELECT c.oid, c.relname, a.atttypid AS key_type
		  FROM pg_partitioned_table AS p
		  JOIN pg_class AS c ON c.oid = p.partrelid
		  JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]
		 WHERE c.relnamespace = 'trading'::regnamespace AND p.partstrat = 'r' AND p.partnatts = 1)
	SELECT p.oid, format('%s_p%s', p.relname, to_char(t.day + n, 'YYYYMMDD')),
	       format('FROM (%L) TO (%L)', to_char(t.day + n, 'YYYY-MM-DD 00:00:00+00'), to_char(t.day + n + 1, 'YYYY-MM-DD 00:00:00+00'))
	  FROM parents AS p, today AS t, generate_series(0, days_ahead) AS n
	 WHERE p.key_type = 'timestamptz'::regtype
	UNION
	SELECT p.oid, format('%s_n%s', p.relname, n),
	       format('FROM (%s) TO (%s)', n * 10000000, (n + 1) * 10000000)
	  FROM parents AS p, trading.newest_batches() AS b,
	       generate_series(b.batch_no / 10000000, b.batch_no / 10000000 + 1) AS n
	 WHERE p.key_type = 'bigint'::regtype
$$;
COMMENT ON FUNCTION trading.wanted_partitions(integer) IS 'partitions that there should be';

-- A lane that calls this has better things to do than to wait for a lock: it tries again.
CREATE FUNCTION trading.ensure_partitions(days_ahead integer DEFAULT 3) RETURNS integer
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5s'
AS $$
DECLARE
	wanted record;
	made integer := 0;
BEGIN
	IF days_ahead IS NULL OR days_ahead NOT BETWEEN 0 AND 366 THEN
		RAISE EXCEPTION 'days_ahead must be between 0 and 366' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	FOR wanted IN SELECT w.* FROM trading.wanted_partitions(days_ahead) AS w
	LOOP
		CONTINUE WHEN to_regclass(format('trading.%I', wanted.partition)) IS NOT NULL;
		-- One at a time; who waited here finds that it is done.
		EXECUTE format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE', wanted.parent);
		CONTINUE WHEN to_regclass(format('trading.%I', wanted.partition)) IS NOT NULL;
		PERFORM trading.create_partition(wanted.parent, wanted.partition, wanted.bounds);
		made := made + 1;
	END LOOP;
	RETURN made;
END
$$;
COMMENT ON FUNCTION trading.ensure_partitions(integer) IS 'makes the partitions of today and the days ahead; returns how many were missing';

-- NATS gets everything, what went to Kafka too; Kafka alone counts where there is no NATS.
CREATE FUNCTION trading.acknowledged_output(lane integer, at timestamptz, OUT epoch bigint, OUT seq bigint)
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN c.nats THEN b.publish_epoch ELSE b.kafka_epoch END, CASE WHEN c.nats THEN b.publish_seq ELSE b.kafka_seq END
	  FROM trading.batches AS b,
	       LATERAL (SELECT COALESCE(current_setting('trading_engine.nats_url', true), '') <> ''
			    OR (b.publish_epoch, b.publish_seq) >= (b.kafka_epoch, b.kafka_seq)) AS c (nats)
	 WHERE b.lane = acknowledged_output.lane AND b.recorded_at <= acknowledged_output.at
	 ORDER BY b.batch_no DESC LIMIT 1
$$;
COMMENT ON FUNCTION trading.acknowledged_output(integer, timestamptz) IS 'the last message of a lane that was acknowledged at a time, as stored by then';

CREATE FUNCTION trading.outbox_retention() RETURNS interval
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT make_interval(secs => COALESCE(extract(epoch FROM current_setting('trading_engine.outbox_retention', true)::interval), 86400))
$$;
COMMENT ON FUNCTION trading.outbox_retention() IS 'how long messages are kept after they were acknowledged: setting outbox_retention';

-- Has a day of the outbox, or of gap_fills, something that may have to be sent again?
CREATE FUNCTION trading.needs_output(parent name, day timestamptz, next_day timestamptz) RETURNS boolean
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (
		SELECT FROM (
			SELECT o.lane, o.epoch, max(o.last_seq) AS seq FROM trading.outbox AS o
			 WHERE needs_output.parent = 'outbox' AND o.recorded_at >= needs_output.day AND o.recorded_at < needs_output.next_day
			 GROUP BY o.lane, o.epoch
			UNION ALL
			SELECT g.lane, g.epoch, max(g.seq) FROM trading.gap_fills AS g
			 WHERE needs_output.parent = 'gap_fills' AND g.recorded_at >= needs_output.day AND g.recorded_at < needs_output.next_day
			 GROUP BY g.lane, g.epoch) AS n
		  LEFT JOIN LATERAL trading.acknowledged_output(n.lane, clock_timestamp() - trading.outbox_retention()) AS a ON true
		 WHERE ((n.epoch, n.seq) <= (a.epoch, a.seq)) IS NOT TRUE)
$$;
COMMENT ON FUNCTION trading.needs_output(name, timestamptz, timestamptz) IS 'whether a day of trading.outbox or trading.gap_fills has messages that may have to be sent again';

-- Partitions whose rows are all older than that, oldest first.  The outbox goes by its own
-- setting: counted from when its messages were acknowledged.
CREATE FUNCTION trading.old_partitions(keep interval)
	RETURNS TABLE (parent regclass, partition regclass, ends timestamptz)
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT i.inhparent::regclass, c.oid::regclass, e.ends
	  FROM pg_class AS parent
	  JOIN pg_inherits AS i ON i.inhparent = parent.oid
	  JOIN pg_class AS c ON c.oid = i.inhrelid,
	       LATERAL (SELECT (to_date(substring(c.relname FROM '_p([0-9]{8})$'), 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC') AS e (ends)
	 WHERE parent.relnamespace = 'trading'::regnamespace AND parent.relkind = 'p' AND c.relkind = 'r'
	   AND c.relname ~ '_p[0-9]{8}$'
	   AND e.ends <= clock_timestamp() - CASE parent.relname WHEN 'outbox' THEN trading.outbox_retention() ELSE keep END
	   AND NOT (parent.relname IN ('outbox', 'gap_fills') AND trading.needs_output(parent.relname, e.ends - interval '1 day', e.ends))
	UNION ALL
	-- Of batches: no lane stands in it or before it, and its newest row is old enough.
	SELECT i.inhparent::regclass, c.oid::regclass, e.ends
	  FROM pg_inherits AS i
	  JOIN pg_class AS c ON c.oid = i.inhrelid,
	       LATERAL (SELECT (substring(c.relname FROM '_n([0-9]+)$')::bigint + 1) * 10000000) AS u (upper),
	       LATERAL (SELECT max(b.recorded_at) FROM trading.batches AS b
			 WHERE b.batch_no >= u.upper - 10000000 AND b.batch_no < u.upper) AS e (ends)
	 WHERE i.inhparent = 'trading.batches'::regclass AND c.relname ~ '_n[0-9]+$'
	   AND u.upper <= (SELECT min(n.batch_no) FROM trading.newest_batches() AS n)
	   AND e.ends <= clock_timestamp() - keep
	 ORDER BY 3, 2
$$;
COMMENT ON FUNCTION trading.old_partitions(interval) IS 'partitions that trading.drop_partitions would drop';

CREATE FUNCTION trading.drop_partitions(keep interval, attempts integer DEFAULT 5) RETURNS integer
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
	old record;
	tries integer;
	dropped integer := 0;
BEGIN
	IF keep IS NULL OR keep < interval '1 day' THEN
		RAISE EXCEPTION 'keep must be at least one day' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF attempts IS NULL OR attempts NOT BETWEEN 1 AND 1000 THEN
		RAISE EXCEPTION 'attempts must be between 1 and 1000' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	FOR old IN SELECT o.* FROM trading.old_partitions(keep) AS o
	LOOP
		-- The parent stays locked until the end of the transaction: once something is
		-- dropped, nobody is made to wait for our patience.
		tries := CASE WHEN dropped = 0 THEN attempts ELSE 1 END;
		WHILE tries > 0 LOOP
			BEGIN
				EXECUTE format('DROP TABLE %s', old.partition);
				dropped := dropped + 1;
				EXIT;
			EXCEPTION
				WHEN lock_not_available OR deadlock_detected THEN
					tries := tries - 1;
					IF tries > 0 THEN
						PERFORM pg_sleep(0.05);
					ELSE
						RAISE NOTICE 'partition % is in use and stays', old.partition
							USING HINT = 'Call trading.drop_partitions again later.';
					END IF;
			END;
		END LOOP;
	END LOOP;
	RETURN dropped;
END
$$;
COMMENT ON FUNCTION trading.drop_partitions(interval, integer) IS 'drops partitions whose rows are all older than that, under a short lock_timeout; returns how many; call it again for those that were in use';
