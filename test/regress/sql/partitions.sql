-- Partitions: made ahead, closed, dropped without making anybody wait.
\set SHOW_CONTEXT never
\set superuser :USER
\set home :DBNAME
CREATE DATABASE trading_partitions;
\c trading_partitions
-- Days are UTC days, whatever the session's settings.
SET timezone = 'Asia/Tokyo';
SET datestyle = 'German';
-- No worker runs here, because its lanes aren't 0 to n: it would make partitions too.
BEGIN;
CREATE EXTENSION trading_engine;
UPDATE trading.lanes SET lane = lane + 100;
COMMIT;

-- A day each for today and three days ahead; two ranges of ten million batches; no default partition.
CREATE VIEW public.partitions AS
	SELECT i.inhparent::regclass::text AS parent, c.oid::regclass AS partition, c.relname, pg_get_expr(c.relpartbound, c.oid) AS bounds
	  FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
	 WHERE c.relnamespace = 'trading'::regnamespace AND c.relkind = 'r';
SELECT parent, count(*), bool_or(bounds = 'DEFAULT') AS has_default FROM public.partitions GROUP BY 1 ORDER BY 1;
SELECT partition, bounds FROM public.partitions WHERE parent = 'trading.batches' ORDER BY partition::text;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT count(*) FILTER (WHERE bounds <> format('FOR VALUES FROM (''%s 00:00:00+00'') TO (''%s 00:00:00+00'')', day, day + 1)) AS wrong,
       min(day) - (now() AT TIME ZONE 'UTC')::date AS first, max(day) - (now() AT TIME ZONE 'UTC')::date AS last
  FROM public.partitions, LATERAL (SELECT to_date(right(relname, 8), 'YYYYMMDD')) AS d (day)
 WHERE relname ~ '_p[0-9]{8}$';

-- Once made, there is nothing to do; looking further ahead makes what is missing.
SELECT trading.ensure_partitions();
SELECT trading.ensure_partitions(5);
SELECT trading.ensure_partitions(5);
SELECT trading.ensure_partitions(-1);
SELECT trading.ensure_partitions(NULL);
SELECT count(*) FROM public.partitions AS p JOIN pg_class AS c ON c.oid = p.partition
 WHERE NOT (c.relrowsecurity AND c.relforcerowsecurity)
    OR EXISTS (SELECT FROM aclexplode(c.relacl) AS a WHERE a.grantee <> c.relowner)
    OR obj_description(c.oid, 'pg_class') IS NULL;
-- A partition has its parent's indexes, and keeps what the planner must not know.
SELECT p.parent FROM public.partitions AS p
 WHERE (SELECT count(*) FROM pg_index AS i WHERE i.indrelid = p.partition)
    <> (SELECT count(*) FROM pg_index AS i WHERE i.indrelid = p.parent::regclass)
    OR EXISTS (SELECT FROM pg_attribute AS a JOIN pg_attribute AS b ON b.attname = a.attname
		WHERE a.attrelid = p.partition AND b.attrelid = p.parent::regclass
		  AND (a.attstattarget, a.attnotnull) IS DISTINCT FROM (b.attstattarget, b.attnotnull));

-- The worker makes them, though it owns nothing.
SET ROLE trading_worker;
SELECT trading.ensure_partitions(6);
CREATE TABLE trading.mine ();
RESET ROLE;

-- Batches: the range after that of the newest batch is always there.
INSERT INTO trading.batches (lane, batch_no, epoch) VALUES (100, 9999999, 1), (100, 10000000, 1), (101, 10000000, 1);
SELECT trading.ensure_partitions(0);
SELECT partition, bounds FROM public.partitions WHERE parent = 'trading.batches' ORDER BY partition::text;
INSERT INTO trading.batches (lane, batch_no, epoch) VALUES (100, 20000000, 1);
-- A second writer of a lane collides.
INSERT INTO trading.batches (lane, batch_no, epoch) VALUES (100, 20000000, 1);

-- Old days, as they would be by now.
CREATE FUNCTION public.age(parent text, days integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	day date := (now() AT TIME ZONE 'UTC')::date - days;
BEGIN
	PERFORM trading.create_partition(('trading.' || parent)::regclass, parent || '_p' || to_char(day, 'YYYYMMDD'),
		format('FROM (%L) TO (%L)', day || ' 00:00:00+00', day + 1 || ' 00:00:00+00'));
END $$;
SELECT public.age('signals', 40), public.age('signals', 31), public.age('signals', 29), public.age('outbox', 40), public.age('outbox', 39);
SELECT trading.drop_partitions('23 hours');
SELECT trading.drop_partitions(NULL);

-- Days that end 30 days ago or more are old.
SELECT count(*) FROM trading.old_partitions('30 days');
-- Of batches, that which every lane is past.
UPDATE trading.batches SET recorded_at = now() - interval '40 days';
SELECT partition FROM trading.old_partitions('30 days') WHERE parent = 'trading.batches'::regclass;
-- Messages that the broker hasn't acknowledged keep their partition: 2 of epoch 3, acknowledged up to 1.
INSERT INTO trading.batches (recorded_at, lane, batch_no, epoch, publish_epoch, publish_seq) VALUES (now() - interval '2 days', 7, 1, 3, 3, 1);
INSERT INTO trading.outbox (recorded_at, lane, batch_no, epoch, first_seq, last_seq, frames) VALUES
	(now() - interval '40 days', 7, 1, 3, 1, 2, '\x'), (now() - interval '39 days', 7, 1, 2, 1, 99, '\x');
SELECT parent, count(*) FROM trading.old_partitions('30 days') GROUP BY 1 ORDER BY 1;
SET ROLE trading_admin;
SELECT trading.drop_partitions('30 days');
SELECT trading.drop_partitions('30 days');
RESET ROLE;
SELECT count(*) FROM public.partitions WHERE relname ~ '^signals_p' AND to_date(right(relname, 8), 'YYYYMMDD') < now() - interval '2 days';
-- What was acknowledged just now is kept for a while, as the setting outbox_retention says.
INSERT INTO trading.batches (lane, batch_no, epoch, publish_epoch, publish_seq) VALUES (7, 2, 3, 3, 2);
SELECT trading.drop_partitions('30 days');
UPDATE trading.batches SET recorded_at = now() - interval '25 hours' WHERE lane = 7;
SELECT parent FROM trading.old_partitions('60 days');
SET trading_engine.outbox_retention = '2d';
SELECT parent FROM trading.old_partitions('60 days');
RESET trading_engine.outbox_retention;
-- A message that was replaced stays so as long as it may have to be sent again.
SELECT public.age('gap_fills', 40);
INSERT INTO trading.gap_fills (recorded_at, lane, batch_no, epoch, seq, reason) VALUES (now() - interval '40 days', 7, 1, 3, 3, 'EXPIRED');
SELECT parent FROM trading.old_partitions('30 days') ORDER BY 1;
UPDATE trading.gap_fills SET seq = 2;
SELECT parent FROM trading.old_partitions('30 days') ORDER BY 1;
SELECT trading.drop_partitions('30 days');
-- Of routes, the newest record of a lane stays.
INSERT INTO trading.routes (lane, version, route_epoch, state, cause, via, from_epoch, from_seq, cut_epoch, cut_seq, dwell, changed_at)
SELECT 7, n, 1, 'NATS', 'STARTED', 'NATS', 0, 0, 0, 0, '30 s', now() - interval '40 days' FROM generate_series(1, 3) AS n;
SELECT trading.prune_routes('30 days');
SELECT version FROM trading.routes;
-- Where there is no NATS, Kafka counts.
SELECT public.age('outbox', 40);
INSERT INTO trading.outbox (recorded_at, lane, batch_no, epoch, first_seq, last_seq, frames) VALUES (now() - interval '40 days', 7, 3, 3, 3, 9, '\x');
INSERT INTO trading.batches (recorded_at, lane, batch_no, epoch, publish_epoch, publish_seq, kafka_epoch, kafka_seq) VALUES (now() - interval '2 days', 7, 3, 3, 3, 2, 3, 9);
SELECT parent FROM trading.old_partitions('30 days');
SET trading_engine.nats_url = 'nats://127.0.0.1:1';
SELECT parent FROM trading.old_partitions('30 days');
RESET trading_engine.nats_url;

\c :home :superuser
DROP DATABASE trading_partitions WITH (FORCE);
