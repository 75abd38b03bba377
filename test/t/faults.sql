-- Does what the transports hold agree with the tables?  Run by TradingEngineFaults, which has
-- filled "outputs", "inputs" and "frames" (test/tools/te_consumer/te_consumer.h).  Gives one row
-- for each kind of violation: its name, how many, and the first of them.  Nothing: all is well.
--
-- Names begin with the invariant of doc/failover.md that they break.

-- Messages of other installations are none of ours.
CREATE TEMP VIEW ours AS
	SELECT o.* FROM outputs AS o, trading.installation AS i
	 WHERE o.kind <> 'MARKER' AND (o.installation = i.installation_id::text OR o.installation IS NULL);

-- Every place on a transport, gap-fills spread out.
CREATE TEMP TABLE places AS
	SELECT o.via, o.place, o.position, o.kind, o.lane, o.epoch, s.seq, o.hash, o.reason
	  FROM ours AS o, LATERAL generate_series(o.first, o.seq) AS s (seq)
	 WHERE o.kind IN ('MESSAGE', 'GAP_FILL');
CREATE INDEX ON places (lane, epoch, seq);

-- What the database has committed: of each lane and epoch the last number.
CREATE TEMP TABLE committed AS
	SELECT b.lane, b.epoch, max(b.last_out_seq) AS last
	  FROM trading.batches AS b
	 GROUP BY b.lane, b.epoch;

-- Signals and commands that the database has.
CREATE TEMP TABLE stored AS
	SELECT s.lane, s.out_epoch AS epoch, q.seq, s.signal_id::text AS signal_id
	  FROM trading.signals AS s, LATERAL (VALUES (s.out_seq), (s.command_seq)) AS q (seq)
	 WHERE q.seq IS NOT NULL;

CREATE TEMP TABLE dead AS
	SELECT DISTINCT encode(sha256(d.message), 'hex') AS message_hash
	  FROM trading.dead_letters AS d WHERE d.prediction_index IS NULL AND d.message IS NOT NULL;

-- Distinct messages that producers sent, and the lanes that they concern.  "what" identifies
-- them: sequenced ones by their number, others by their id, all by their content.
CREATE TEMP TABLE produced AS
	SELECT l.lane, i.company, i."user", i.producer, i.epoch, i.seq, i.kind, i.id,
	       concat_ws(' ', l.lane, i.company, i."user", i.producer, CASE WHEN i.seq > 0 THEN i.epoch || '/' || i.seq ELSE i.id END,
			 i.payload_hash) AS what,
	       bool_or(d.message_hash IS NOT NULL) AS dead
	  FROM inputs AS i
	  JOIN trading.lanes AS l ON i.company = '_all'
	    OR trading.lane_of(i.company, (SELECT count(*)::integer FROM trading.lanes)) = l.lane
	  LEFT JOIN dead AS d USING (message_hash)
	 WHERE i.kind IN ('predictions', 'executions') AND i.company IS NOT NULL
	 GROUP BY l.lane, i.company, i."user", i.producer, i.epoch, i.seq, i.payload_hash, i.kind, i.id,
	       -- What can't be read is told by its bytes.
	       CASE WHEN i.payload_hash IS NULL THEN i.message_hash END;

CREATE TEMP TABLE applied AS
	SELECT p.lane, p.company_id AS company, p.user_id AS "user", p.producer_id AS producer,
	       p.producer_epoch AS epoch, p.producer_seq AS seq, p.batch_id AS id, p.batch_no, p.position, p.source,
	       concat_ws(' ', p.lane, p.company_id, p.user_id, p.producer_id,
			 CASE WHEN p.producer_seq > 0 THEN p.producer_epoch || '/' || p.producer_seq ELSE p.batch_id END,
			 encode(p.payload_hash, 'hex')) AS what
	  FROM trading.prediction_batches AS p;

CREATE TEMP TABLE gaps AS
	SELECT g.lane, split_part(g.scope, '/', 1) AS company, split_part(g.scope, '/', 2) AS "user",
	       g.producer_id AS producer, g.epoch, g.from_seq,
	       -- Nobody knows how many an abandoned epoch still had.
	       CASE WHEN g.reason = 'ABANDONED' AND g.to_seq = g.from_seq THEN 9223372036854775807 ELSE g.to_seq END AS to_seq,
	       g.reason
	  FROM trading.input_gaps AS g WHERE g.scope IS NOT NULL;
CREATE INDEX ON gaps (lane, company, "user", producer, epoch);

CREATE TEMP TABLE newest AS
	SELECT a.lane, a.company, a."user", a.producer, max(a.epoch) AS epoch FROM applied AS a GROUP BY 1, 2, 3, 4;
ANALYZE outputs, inputs, frames, places, committed, stored, produced, applied, gaps, newest;

-- What became of each produced message, in each lane that it concerns.
CREATE TEMP TABLE fates AS
	SELECT p.*, COALESCE(a.times, 0) + (e.execution_id IS NOT NULL)::integer AS applied,
	       p.seq > 0 AND EXISTS (SELECT FROM gaps AS g
	         WHERE (g.lane, g.company, g."user", g.producer, g.epoch) = (p.lane, p.company, p."user", p.producer, p.epoch)
	           AND p.seq BETWEEN g.from_seq AND g.to_seq) AS gap,
	       p.seq > 0 AND p.epoch < n.epoch AS stale
	  FROM produced AS p
	  LEFT JOIN (SELECT a.what, count(*) AS times FROM applied AS a GROUP BY a.what) AS a USING (what)
	  LEFT JOIN trading.executions AS e
	    ON p.kind = 'executions' AND (e.company_id, e.user_id, e.execution_id) = (p.company, p."user", p.id)
	  LEFT JOIN newest AS n
	    ON (n.lane, n.company, n."user", n.producer) = (p.lane, p.company, p."user", p.producer);
CREATE INDEX ON fates (lane, company, "user", producer, epoch, seq);
ANALYZE fates;

-- Of the inbox, what the lanes have read: the newest batch says up to which commit.
CREATE TEMP TABLE taken AS
	SELECT l.lane, i.inbox_id, a.input_seq IS NOT NULL AS applied,
	       EXISTS (SELECT FROM trading.dead_letters AS d WHERE (d.source, d.input_seq) = ('inbox', i.inbox_id)) AS dead
	  FROM trading.inbox AS i
	  JOIN trading.lanes AS l ON i.company_id = '_all'
	    OR trading.lane_of(i.company_id, (SELECT count(*)::integer FROM trading.lanes)) = l.lane
	  JOIN (SELECT DISTINCT ON (b.lane) b.lane, b.inbox_snapshot FROM trading.batches AS b
		 ORDER BY b.lane, b.batch_no DESC) AS b ON b.lane = l.lane AND pg_visible_in_snapshot(i.xid, b.inbox_snapshot)
	  LEFT JOIN trading.prediction_batches AS a ON (a.lane, a.source, a.input_seq) = (l.lane, 'inbox', i.inbox_id)
	 WHERE i.kind = 'predictions';

CREATE TEMP VIEW violations (name, what) AS
	SELECT 'I2 one place, two contents', format('%s/%s/%s: %s', p.lane, p.epoch, p.seq, string_agg(DISTINCT p.via || ' ' || p.hash, ', '))
	  FROM places AS p GROUP BY p.lane, p.epoch, p.seq HAVING count(DISTINCT p.hash) > 1
	UNION ALL
	SELECT 'I2 not the bytes of the outbox', format('%s %s at %s: %s/%s/%s', o.via, o.place, o.position, o.lane, o.epoch, o.seq)
	  FROM ours AS o JOIN frames AS f ON (f.lane, f.epoch, f.seq) = (o.lane, o.epoch, o.seq)
	 WHERE o.kind = 'MESSAGE' AND o.hash <> f.hash
	UNION ALL
	SELECT 'I2 not what its header says', format('%s %s at %s', o.via, o.place, o.position)
	  FROM ours AS o WHERE o.kind = 'NONE' OR NOT o.stated
	UNION ALL
	SELECT 'I3 disorder', format('%s %s at %s: %s/%s/%s behind %s', t.via, t.place, t.position, t.lane, t.epoch, t.seq, t.before)
	  FROM (SELECT f.*, max(f.seq) OVER (PARTITION BY f.via, f.place, f.lane, f.epoch ORDER BY f.position
	                                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
	          FROM (SELECT o.*, row_number() OVER (PARTITION BY o.via, o.place, o.lane, o.epoch, o.seq ORDER BY o.position) AS occurrence
	                  FROM ours AS o WHERE o.kind <> 'NONE') AS f
	         WHERE f.occurrence = 1) AS t
	 WHERE t.seq < t.before
	UNION ALL
	SELECT 'I3 an epoch behind a later one', format('%s %s at %s: %s/%s/%s', t.via, t.place, t.position, t.lane, t.epoch, t.seq)
	  FROM (SELECT f.*, max(f.epoch) OVER (PARTITION BY f.via, f.place, f.lane ORDER BY f.position) AS newest
	          FROM (SELECT o.*, row_number() OVER (PARTITION BY o.via, o.place, o.lane, o.epoch, o.seq ORDER BY o.position) AS occurrence
	                  FROM ours AS o WHERE o.kind <> 'NONE') AS f
	         WHERE f.occurrence = 1) AS t
	 WHERE t.epoch < t.newest
	UNION ALL
	SELECT 'I3 twice on NATS', format('%s at %s: %s/%s/%s', t.place, t.position, t.lane, t.epoch, t.seq)
	  FROM (SELECT p.*, row_number() OVER (PARTITION BY p.place, p.lane, p.epoch, p.seq ORDER BY p.position) AS occurrence
	          FROM places AS p WHERE p.via = 'nats') AS t
	 WHERE t.occurrence > 1
	UNION ALL
	SELECT 'I4 published and not committed', format('%s %s at %s: %s/%s/%s', p.via, p.place, p.position, p.lane, p.epoch, p.seq)
	  FROM places AS p LEFT JOIN committed AS c USING (lane, epoch)
	 WHERE p.seq > COALESCE(c.last, 0)
	   -- What the database had lost before it was adopted is in an epoch that has ended.
	   AND NOT (:'lost_epochs'::boolean AND p.epoch < (SELECT l.epoch FROM trading.lanes AS l WHERE l.lane = p.lane))
	UNION ALL
	SELECT 'I1 lost', format('%s/%s/%s', c.lane, c.epoch, s.seq)
	  FROM committed AS c, LATERAL generate_series(1, c.last) AS s (seq)
	 WHERE NOT EXISTS (SELECT FROM places AS p WHERE (p.lane, p.epoch, p.seq) = (c.lane, c.epoch, s.seq))
	UNION ALL
	SELECT 'I1 not in NATS', format('%s/%s/%s', c.lane, c.epoch, s.seq)
	  FROM committed AS c, LATERAL generate_series(1, c.last) AS s (seq)
	 WHERE :'nats_complete'::boolean AND NOT EXISTS (
		SELECT FROM places AS p WHERE (p.lane, p.epoch, p.seq, p.via) = (c.lane, c.epoch, s.seq, 'nats'))
	UNION ALL
	SELECT 'I1 a signal that is not what the table has', format('%s %s at %s: %s/%s/%s %s', o.via, o.place, o.position, o.lane, o.epoch, o.seq, o.signal_id)
	  FROM ours AS o
	 WHERE o.kind = 'MESSAGE' AND NOT EXISTS (
		SELECT FROM stored AS s WHERE (s.lane, s.epoch, s.seq, s.signal_id) = (o.lane, o.epoch, o.seq, o.signal_id))
	   AND NOT (:'lost_epochs'::boolean AND o.epoch < (SELECT l.epoch FROM trading.lanes AS l WHERE l.lane = o.lane))
	UNION ALL
	SELECT 'I5 applied twice', format('lane %s: %s/%s %s %s/%s, %s times', a.lane, a.company, a."user", a.producer, a.epoch, a.seq, count(*))
	  FROM applied AS a WHERE a.seq > 0
	 GROUP BY a.lane, a.company, a."user", a.producer, a.epoch, a.seq HAVING count(*) > 1
	UNION ALL
	SELECT 'I5 applied twice', format('lane %s: %s/%s %s %s, %s times', a.lane, a.company, a."user", a.producer, a.id, count(*))
	  FROM applied AS a WHERE a.seq = 0
	 GROUP BY a.lane, a.company, a."user", a.producer, a.id HAVING count(*) > 1
	UNION ALL
	SELECT 'I5 applied out of order', format('lane %s: %s/%s %s %s/%s behind %s', t.lane, t.company, t."user", t.producer, t.epoch, t.seq, t.before)
	  FROM (SELECT a.*, max(a.seq) OVER (PARTITION BY a.lane, a.company, a."user", a.producer, a.epoch ORDER BY a.batch_no, a.position
	                                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
	          FROM applied AS a WHERE a.seq > 0) AS t
	 WHERE t.seq <= t.before
	UNION ALL
	SELECT 'I5 applied, and recorded as a gap', format('lane %s: %s/%s %s %s/%s', a.lane, a.company, a."user", a.producer, a.epoch, a.seq)
	  FROM applied AS a JOIN gaps AS g USING (lane, company, "user", producer, epoch)
	 WHERE a.seq BETWEEN g.from_seq AND g.to_seq AND g.reason <> 'ABANDONED'
	UNION ALL
	SELECT 'I5 a hole that is no gap', format('lane %s: %s/%s %s %s/%s to %s', t.lane, t.company, t."user", t.producer, t.epoch, t.before + 1, t.seq - 1)
	  FROM (SELECT a.*, COALESCE(lag(a.seq) OVER (PARTITION BY a.lane, a.company, a."user", a.producer, a.epoch ORDER BY a.seq), 0) AS before
	          FROM applied AS a WHERE a.seq > 0) AS t
	 WHERE t.seq > t.before + 1
	   AND EXISTS (SELECT FROM generate_series(t.before + 1, t.seq - 1) AS m (seq)
		    WHERE NOT EXISTS (SELECT FROM gaps AS g
			WHERE (g.lane, g.company, g."user", g.producer, g.epoch) = (t.lane, t.company, t."user", t.producer, t.epoch)
			  AND m.seq BETWEEN g.from_seq AND g.to_seq)
		      -- A refused one has its number.
		      AND NOT EXISTS (SELECT FROM fates AS f
			WHERE (f.lane, f.company, f."user", f.producer, f.epoch, f.seq) = (t.lane, t.company, t."user", t.producer, t.epoch, m.seq)
			  AND (f.dead OR f.applied > 0)))
	UNION ALL
	SELECT 'I8 vanished', format('lane %s: %s %s/%s %s %s/%s %s', f.lane, f.kind, f.company, f."user", f.producer, f.epoch, f.seq, f.id)
	  FROM fates AS f WHERE f.applied = 0 AND NOT f.dead AND NOT f.gap AND f.stale IS NOT TRUE
	UNION ALL
	SELECT 'I8 vanished from the inbox', format('lane %s: %s', t.lane, t.inbox_id)
	  FROM taken AS t WHERE NOT t.applied AND NOT t.dead
	UNION ALL
	SELECT 'I8 applied, but nobody sent it', format('lane %s: %s/%s %s %s/%s %s', a.lane, a.company, a."user", a.producer, a.epoch, a.seq, a.id)
	  FROM applied AS a
	 WHERE :'input_complete'::boolean AND a.source <> 'inbox' AND NOT EXISTS (SELECT FROM produced AS p WHERE p.what = a.what);

SELECT name, count(*), min(what) FROM violations GROUP BY name ORDER BY name;

-- The accounts: each produced message counts once per lane that it concerns.
SELECT json_build_object(
	'produced', count(*),
	'applied', count(*) FILTER (WHERE f.applied > 0),
	'dead_letters', count(*) FILTER (WHERE f.applied = 0 AND f.dead),
	'gaps', count(*) FILTER (WHERE f.applied = 0 AND NOT f.dead AND f.gap),
	'stale', count(*) FILTER (WHERE f.applied = 0 AND NOT f.dead AND NOT f.gap AND f.stale),
	'submitted', (SELECT count(*) FROM taken),
	'inputs', (SELECT count(*) FROM inputs),
	'outputs', (SELECT count(*) FROM ours),
	'places', (SELECT count(DISTINCT (p.lane, p.epoch, p.seq)) FROM places AS p),
	'frames', (SELECT count(*) FROM frames))
  FROM fates AS f;
