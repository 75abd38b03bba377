-- Were the predictions right?  Scores of models, apart from trades.
--
-- trading.score_predictions() reads the messages that the lanes have stored since it last
-- looked, puts every prediction and every vote of a model aside until its horizon has ended,
-- then compares with the price of the bar in which it ended.  All of it in one transaction
-- with the marks of how far it has read, so each is scored once.

CREATE FUNCTION trading.decode_votes(message bytea, OUT prediction_id text, OUT symbol text, OUT generated_at timestamptz,
	OUT horizon_us bigint, OUT price float8, OUT spread float8, OUT model_id text, OUT side integer, OUT confidence float8)
	RETURNS SETOF record
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 10
	AS 'MODULE_PATHNAME', 'te_sql_decode_votes';
COMMENT ON FUNCTION trading.decode_votes(bytea) IS
	'sound predictions of a message (trading.prediction_batches.message) and the votes of their models; model_id is empty for the prediction as a whole. spread is that of its quotes, side 1, 0 or -1';

CREATE FUNCTION trading.create_scoring_tables() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	votes constant text := 'company_id text NOT NULL, user_id text NOT NULL, producer_id text NOT NULL, prediction_id text NOT NULL,
		generated_at timestamptz NOT NULL, model_id text NOT NULL, symbol text NOT NULL, horizon interval NOT NULL,
		side smallint NOT NULL CHECK (side IN (-1, 1)), confidence float8 NOT NULL, price float8 NOT NULL, band float8 NOT NULL,
		ends_at timestamptz NOT NULL';
	vote constant jsonb := jsonb_build_object(
		'company_id', 'company that the prediction was for, or _all',
		'user_id', 'user that the prediction was for, or _all',
		'producer_id', 'who made the prediction; empty: not said',
		'prediction_id', 'the prediction',
		'generated_at', 'when it was made',
		'model_id', 'model that voted; empty: the prediction as a whole',
		'horizon', 'time after which the price was to be there; trading_engine.score_horizon if the prediction didn''t say',
		'side', '1: up, -1: down',
		'confidence', 'of the vote, 0..1',
		'price', 'mid price when it was made',
		'band', 'move that is needed either way, price units',
		'ends_at', 'end of the horizon');
BEGIN
	CREATE TABLE trading.score_marks (
		lane integer PRIMARY KEY,
		batch_no bigint NOT NULL
	);
	PERFORM trading.describe('trading.score_marks', 'how far trading.score_predictions() has read each lane', jsonb_build_object(
		'batch_no', 'newest batch that is read'));

	EXECUTE format('CREATE TABLE trading.pending_scores (%s,
		PRIMARY KEY (company_id, user_id, producer_id, prediction_id, generated_at, model_id))', votes);
	CREATE INDEX ON trading.pending_scores (symbol, ends_at);
	PERFORM trading.describe('trading.pending_scores', 'votes whose horizon hasn''t ended', vote);

	EXECUTE format('CREATE TABLE trading.prediction_scores (recorded_at timestamptz NOT NULL DEFAULT now(), %s,
		end_price float8, correct boolean) PARTITION BY RANGE (recorded_at)', votes);
	CREATE INDEX ON trading.prediction_scores (company_id, prediction_id);
	PERFORM trading.describe('trading.prediction_scores', 'votes that are scored', vote || jsonb_build_object(
		'recorded_at', 'when it was scored',
		'end_price', 'mid price at the end of the horizon; NULL: there was none',
		'correct', 'whether the price moved its way by more than band; NULL: unresolved, it moved by no more either way'));

	CREATE TABLE trading.score_sums (
		company_id text NOT NULL,
		grain text NOT NULL CHECK (grain IN ('day', 'month')),
		model_id text NOT NULL,
		symbol text NOT NULL,
		horizon interval NOT NULL,
		starts_on date NOT NULL,
		bin smallint NOT NULL CHECK (bin BETWEEN 0 AND 9),
		right_votes bigint NOT NULL,
		wrong_votes bigint NOT NULL,
		unresolved_votes bigint NOT NULL,
		confidence_sum numeric NOT NULL,
		brier_sum numeric NOT NULL,
		PRIMARY KEY (company_id, grain, model_id, symbol, horizon, starts_on, bin)
	);
	CREATE INDEX ON trading.score_sums (company_id, grain, starts_on);
	PERFORM trading.describe('trading.score_sums',
		'scores of a model in a day or month added up; they stay when trading.prediction_scores is dropped', vote || jsonb_build_object(
		'grain', 'day or month, in UTC',
		'starts_on', 'first day; votes count by when the predictions were made',
		'bin', 'tenth of confidence, 0 to 9; an edge belongs to the bin above it, 1 to the last',
		'right_votes', 'the price moved their way',
		'wrong_votes', 'the price moved the other way',
		'unresolved_votes', 'the price didn''t move by more than the band',
		'confidence_sum', 'sum of the confidences of right and wrong votes',
		'brier_sum', 'sum of (confidence - (1 if right, else 0))^2 of right and wrong votes'));
END
$$;
COMMENT ON FUNCTION trading.create_scoring_tables() IS 'part of trading.setup(): scores of predictions';

-- Read messages.  A broadcast comes to every lane, and counts on lane 0, which there always is.
-- What is from the future, or is to end beyond a year, isn't a prediction to be scored.
CREATE FUNCTION trading.collect_votes(lane integer, after bigint, upto bigint, recorded_from timestamptz, recorded_to timestamptz) RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	collected bigint;
BEGIN
	INSERT INTO trading.pending_scores AS s
		(company_id, user_id, producer_id, prediction_id, generated_at, model_id, symbol, horizon, side, confidence, price, band, ends_at)
	SELECT p.company_id, p.user_id, COALESCE(p.producer_id, ''), v.prediction_id, v.generated_at, v.model_id, v.symbol, h.horizon,
	       v.side, v.confidence, v.price,
	       current_setting('trading_engine.score_band')::float8
		* COALESCE(v.spread, current_setting('trading_engine.score_spread_pips')::float8 * i.pip_size, 0),
	       v.generated_at + h.horizon
	  FROM trading.prediction_batches AS p
	 CROSS JOIN LATERAL trading.decode_votes(p.message) WITH ORDINALITY AS v
	  LEFT JOIN trading.instruments AS i ON i.symbol = v.symbol
	 CROSS JOIN LATERAL (SELECT CASE v.horizon_us WHEN 0 THEN current_setting('trading_engine.score_horizon')::interval
				    ELSE v.horizon_us * interval '1 microsecond' END) AS h (horizon)
	 WHERE p.lane = collect_votes.lane AND p.batch_no > after AND p.batch_no <= upto
	   AND p.recorded_at >= collect_votes.recorded_from AND p.recorded_at <= collect_votes.recorded_to
	   AND (p.company_id <> '_all' OR p.lane = 0)
	   AND v.side <> 0 AND v.generated_at <= p.decided_at + interval '1 second' AND h.horizon <= interval '366 days'
	   AND NOT EXISTS (
		SELECT FROM trading.prediction_scores AS d
		 WHERE d.company_id = p.company_id AND d.prediction_id = v.prediction_id AND d.user_id = p.user_id
		   AND d.producer_id = COALESCE(p.producer_id, '') AND d.generated_at = v.generated_at AND d.model_id = v.model_id)
	 ORDER BY p.batch_no, p.position, v.ordinality
	    ON CONFLICT DO NOTHING;
	GET DIAGNOSTICS collected = ROW_COUNT;
	RETURN collected;
END
$$;
COMMENT ON FUNCTION trading.collect_votes(integer, bigint, bigint, timestamptz, timestamptz) IS
	'part of trading.score_predictions(): puts the votes of a lane''s batches aside';

-- Judge votes whose horizon has ended: a later bar of the symbol has begun, so the one in which it
-- ended is there, if there is one.  A symbol that gets no bar for a week is given up.  Every lane
-- builds the same bars; those of lane 0 are taken.
CREATE FUNCTION trading.judge_votes() RETURNS bigint
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	bar_length constant interval := current_setting('trading_engine.bar_length')::interval;
	lane_time constant timestamptz := COALESCE(
		(SELECT b.lane_clock FROM trading.batches AS b WHERE b.lane = 0 ORDER BY b.batch_no DESC LIMIT 1), now());
	judged bigint;
BEGIN
	WITH newest AS MATERIALIZED (
		SELECT s.symbol, (SELECT max(b.bar_start) FROM trading.market_bars AS b WHERE b.lane = 0 AND b.symbol = s.symbol) AS bar_start
		  FROM (SELECT DISTINCT p.symbol FROM trading.pending_scores AS p) AS s),
	ended AS (
		DELETE FROM trading.pending_scores AS p
		 USING newest AS n
		 WHERE n.symbol = p.symbol AND (p.ends_at <= n.bar_start OR p.ends_at <= lane_time - interval '7 days')
		RETURNING p.*),
	scored AS (
		INSERT INTO trading.prediction_scores (company_id, user_id, producer_id, prediction_id, generated_at, model_id, symbol, horizon,
			side, confidence, price, band, ends_at, end_price, correct)
		SELECT e.company_id, e.user_id, e.producer_id, e.prediction_id, e.generated_at, e.model_id, e.symbol, e.horizon,
		       e.side, e.confidence, e.price, e.band, e.ends_at, b.close,
		       CASE WHEN e.side * (b.close - e.price) > e.band + t.tolerance THEN true
			    WHEN e.side * (b.close - e.price) < -e.band - t.tolerance THEN false END
		  FROM ended AS e
		  LEFT JOIN trading.instruments AS i ON i.symbol = e.symbol
		 CROSS JOIN LATERAL (SELECT 1e-6 * COALESCE(i.tick_size, 0) AS tolerance) AS t
		  LEFT JOIN LATERAL (
			SELECT m.close FROM trading.market_bars AS m
			 WHERE m.lane = 0 AND m.symbol = e.symbol AND m.bar_start < e.ends_at AND m.bar_start > e.generated_at - bar_length
			 ORDER BY m.bar_start DESC LIMIT 1) AS b ON true
		RETURNING company_id, model_id, symbol, horizon, generated_at, confidence, correct)
	INSERT INTO trading.score_sums AS d
		(company_id, grain, model_id, symbol, horizon, starts_on, bin, right_votes, wrong_votes, unresolved_votes, confidence_sum, brier_sum)
	SELECT s.company_id, g.grain, s.model_id, s.symbol, s.horizon, date_trunc(g.grain, s.generated_at AT TIME ZONE 'UTC')::date,
	       LEAST(floor(s.confidence * 10 + 1e-9), 9)::smallint,
	       count(*) FILTER (WHERE s.correct), count(*) FILTER (WHERE NOT s.correct), count(*) FILTER (WHERE s.correct IS NULL),
	       COALESCE(sum(s.confidence::numeric) FILTER (WHERE s.correct IS NOT NULL), 0),
	       COALESCE(sum((s.confidence::numeric - s.correct::integer) * (s.confidence::numeric - s.correct::integer)), 0)
	  FROM scored AS s, (VALUES ('day'), ('month')) AS g (grain)
	 GROUP BY 1, 2, 3, 4, 5, 6, 7
	    ON CONFLICT (company_id, grain, model_id, symbol, horizon, starts_on, bin) DO UPDATE
	   SET right_votes = d.right_votes + excluded.right_votes, wrong_votes = d.wrong_votes + excluded.wrong_votes,
	       unresolved_votes = d.unresolved_votes + excluded.unresolved_votes,
	       confidence_sum = d.confidence_sum + excluded.confidence_sum, brier_sum = d.brier_sum + excluded.brier_sum;
	GET DIAGNOSTICS judged = ROW_COUNT;
	RETURN judged;
END
$$;
COMMENT ON FUNCTION trading.judge_votes() IS 'part of trading.score_predictions(): scores votes whose horizon has ended';

CREATE FUNCTION trading.score_predictions(most_messages bigint DEFAULT 100000) RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	span record;
	done bigint := 0;
BEGIN
	IF most_messages IS NULL OR most_messages < 1 THEN
		RAISE EXCEPTION 'most_messages must be at least 1' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	LOCK TABLE trading.pending_scores IN SHARE UPDATE EXCLUSIVE MODE; -- one at a time
	PERFORM trading.ensure_partitions();
	FOR span IN
		SELECT l.lane, m.after, u.upto, b.recorded_from, b.recorded_to
		  FROM trading.lanes_with_batches() AS l
		 CROSS JOIN LATERAL (SELECT COALESCE((SELECT k.batch_no FROM trading.score_marks AS k WHERE k.lane = l.lane), -1) AS after) AS m
		 CROSS JOIN LATERAL (
			-- The whole of a batch is read; where there are more messages than asked for, the rest waits.
			SELECT CASE WHEN count(*) < most_messages THEN l.newest ELSE max(p.batch_no) END AS upto
			  FROM (SELECT p.batch_no FROM trading.prediction_batches AS p
				 WHERE p.lane = l.lane AND p.batch_no > m.after AND p.batch_no <= l.newest
				 ORDER BY p.batch_no LIMIT most_messages) AS p) AS u
		 CROSS JOIN LATERAL (
			SELECT min(b.recorded_at) AS recorded_from, max(b.recorded_at) AS recorded_to FROM trading.batches AS b
			 WHERE b.lane = l.lane AND b.batch_no > m.after AND b.batch_no <= u.upto) AS b
		 WHERE l.newest > m.after
	LOOP
		done := done + trading.collect_votes(span.lane, span.after, span.upto, span.recorded_from, span.recorded_to);
		INSERT INTO trading.score_marks AS k (lane, batch_no) VALUES (span.lane, span.upto)
		    ON CONFLICT (lane) DO UPDATE SET batch_no = excluded.batch_no;
	END LOOP;
	RETURN done + trading.judge_votes();
END
$$;
COMMENT ON FUNCTION trading.score_predictions(bigint) IS
	'scores predictions and votes of models whose horizon has ended; of each lane at most so many messages are read. Returns how much there was to do. Run it every minute';

-- One arm per period, so that a query for one period looks at no other.
CREATE FUNCTION trading.score_arms(figures text, keys text DEFAULT '') RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT string_agg(format(
		'SELECT d.company_id, d.model_id, d.symbol, d.horizon, %L AS period, %s AS starts_on, %s FROM trading.score_sums AS d WHERE d.grain = %L'
		' GROUP BY d.company_id, d.model_id, d.symbol, d.horizon%s%s',
		a.period, a.starts_on, figures, a.grain, CASE a.period WHEN 'all' THEN '' ELSE ', d.starts_on' END, keys), ' UNION ALL ' ORDER BY a.n)
	  FROM (VALUES (1, 'all', 'NULL::date', 'month'), (2, 'month', 'd.starts_on', 'month'), (3, 'day', 'd.starts_on', 'day')) AS a (n, period, starts_on, grain)
$$;
COMMENT ON FUNCTION trading.score_arms(text, text) IS 'part of trading.setup(): a query of trading.score_sums for each period';

CREATE FUNCTION trading.create_score_views() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	resolved constant text := 'sum(d.right_votes + d.wrong_votes)';
	ratio constant text := 'CASE WHEN %1$s >= 2 THEN (sum(d.%2$s) / %1$s)::float8 END AS %3$s';
BEGIN
	-- They need nothing of the extension, so those of an earlier installation are still there, and are its own.
	IF to_regclass('trading.model_performance') IS NOT NULL THEN
		RETURN;
	END IF;
	EXECUTE 'CREATE VIEW trading.model_performance WITH (security_invoker) AS ' || trading.score_arms(concat_ws(', ',
		'sum(d.right_votes + d.wrong_votes + d.unresolved_votes)::bigint AS votes', 'sum(d.right_votes)::bigint AS right_votes',
		'sum(d.wrong_votes)::bigint AS wrong_votes', 'sum(d.unresolved_votes)::bigint AS unresolved_votes',
		format(ratio, resolved, 'right_votes', 'accuracy'), format(ratio, resolved, 'brier_sum', 'brier_score'),
		format(ratio, resolved, 'confidence_sum', 'mean_confidence')));
	COMMENT ON VIEW trading.model_performance IS
		'how often models were right, per symbol, horizon and period (all, month, day in UTC); model_id is empty for predictions as a whole, company_id _all for broadcasts. NULL: fewer than 2 votes that are resolved';
	PERFORM trading.describe_like('trading.model_performance', 'trading.score_sums');
	COMMENT ON COLUMN trading.model_performance.period IS 'all, month or day in UTC, of when predictions were made';
	COMMENT ON COLUMN trading.model_performance.starts_on IS 'first day; NULL: from the first prediction on';
	COMMENT ON COLUMN trading.model_performance.votes IS 'votes for up or down whose horizon has ended';
	COMMENT ON COLUMN trading.model_performance.accuracy IS 'right_votes / (right_votes + wrong_votes)';
	COMMENT ON COLUMN trading.model_performance.brier_score IS 'mean of (confidence - (1 if right, else 0))^2 of resolved votes; 0.25 is what a constant 0.5 gets';
	COMMENT ON COLUMN trading.model_performance.mean_confidence IS 'of resolved votes; to be compared with accuracy';

	EXECUTE 'CREATE VIEW trading.model_reliability WITH (security_invoker) AS ' || trading.score_arms(concat_ws(', ',
		'd.bin / 10.0 AS low', '(d.bin + 1) / 10.0 AS high', resolved || '::bigint AS votes', 'sum(d.unresolved_votes)::bigint AS unresolved_votes',
		format('(sum(d.confidence_sum) / NULLIF(%s, 0))::float8 AS mean_confidence', resolved),
		format('(sum(d.right_votes) / NULLIF(%s, 0))::float8 AS hit_rate', resolved)), ', d.bin');
	COMMENT ON VIEW trading.model_reliability IS
		'what a confidence meant: mean confidence against hit rate in ten bins, per model, symbol, horizon and period (all, month, day in UTC)';
	PERFORM trading.describe_like('trading.model_reliability', 'trading.model_performance');
	COMMENT ON COLUMN trading.model_reliability.low IS 'least confidence of the bin';
	COMMENT ON COLUMN trading.model_reliability.high IS 'confidences of the bin are below it; the last has 1, too';
	COMMENT ON COLUMN trading.model_reliability.votes IS 'votes in the bin that are resolved';
	COMMENT ON COLUMN trading.model_reliability.mean_confidence IS 'of these votes';
	COMMENT ON COLUMN trading.model_reliability.hit_rate IS 'share of these votes that were right';

	PERFORM trading.let_tenants_read('trading.model_performance', 'trading.model_reliability');
END
$$;
COMMENT ON FUNCTION trading.create_score_views() IS 'part of trading.setup(): trading.model_performance, trading.model_reliability';
