-- Weights of models: in the consensus of strategies that follow it (follow_model_accuracy), a
-- model weighs as much more or less as it was right.

CREATE FUNCTION trading.create_weight_tables() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	CREATE TABLE trading.model_weights (
		company_id text NOT NULL CONSTRAINT company_id_is_a_name CHECK (company_id ~ '^[A-Za-z0-9_-]{1,64}$'),
		model_id text NOT NULL CONSTRAINT model_id_is_short CHECK (octet_length(model_id) BETWEEN 1 AND 256),
		symbol text NOT NULL DEFAULT '*' CONSTRAINT symbol_is_a_name_or_any CHECK (symbol ~ '^([A-Za-z0-9_-]{1,32}|\*)$'),
		factor float8 NOT NULL CONSTRAINT factor_is_positive CHECK (factor > 0 AND factor <= 100),
		votes bigint NOT NULL DEFAULT 0 CONSTRAINT votes_is_not_negative CHECK (votes >= 0),
		accuracy float8 CONSTRAINT accuracy_is_a_share CHECK (accuracy >= 0 AND accuracy <= 1),
		weighed_at timestamptz NOT NULL DEFAULT now(),
		company_ref text GENERATED ALWAYS AS (NULLIF(company_id, '_all')) STORED
			REFERENCES trading.companies (company_id) ON DELETE CASCADE,
		model text GENERATED ALWAYS AS (symbol || ' ' || model_id) STORED,
		PRIMARY KEY (company_id, model_id, symbol)
	);
	CREATE INDEX ON trading.model_weights (company_ref);
	PERFORM trading.describe('trading.model_weights',
		'what the weight of a model is multiplied by for strategies with follow_model_accuracy: trading.weigh_models() keeps it', jsonb_build_object(
		'company_id', 'company that the predictions are for, or _all: broadcasts',
		'model_id', 'id of the model, as in predictions',
		'symbol', 'instrument, or *: those without a row of their own',
		'factor', 'accuracy / 0.5, within trading_engine.adjust_least_weight and adjust_most_weight',
		'votes', 'resolved votes that it comes from',
		'accuracy', 'share of these votes that were right',
		'weighed_at', 'when the factor was last changed',
		'company_ref', 'company_id, or NULL for broadcasts: refers to trading.companies',
		'model', 'key of the row in the log of changes'));
END
$$;
COMMENT ON FUNCTION trading.create_weight_tables() IS 'part of trading.setup(): weights of models';

CREATE FUNCTION trading.model_weight(right_votes bigint, wrong_votes bigint) RETURNS float8
	AS 'MODULE_PATHNAME', 'te_sql_model_weight'
	LANGUAGE c STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.model_weight(bigint, bigint) IS
	'what a model''s weight is multiplied by: its accuracy / 0.5, bounded; 1 with fewer votes than trading_engine.adjust_least_model_votes';

-- A factor is rounded to hundredths, so that it moves when there is a reason, not with every vote.
CREATE FUNCTION trading.weigh_models(days integer DEFAULT 90) RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET jit = off
AS $$
DECLARE
	-- With trading_engine.clock = input days are those of the input.
	today constant date := COALESCE(
		(SELECT b.lane_clock FROM trading.batches AS b WHERE b.lane = 0 ORDER BY b.batch_no DESC LIMIT 1), now()) AT TIME ZONE 'UTC';
	changes bigint;
BEGIN
	IF weigh_models.days IS NULL OR weigh_models.days NOT BETWEEN 1 AND 36500 THEN
		RAISE EXCEPTION 'days must be between 1 and 36500' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	LOCK TABLE trading.model_weights IN SHARE ROW EXCLUSIVE MODE;
	WITH weighed AS MATERIALIZED (
		SELECT v.company_id, v.model_id, v.symbol, v.votes, v.right_votes::float8 / v.votes AS accuracy,
		       round(trading.model_weight(v.right_votes, v.votes - v.right_votes)::numeric, 2)::float8 AS factor
		  FROM (SELECT d.company_id, d.model_id, COALESCE(d.symbol, '*') AS symbol,
			       sum(d.right_votes)::bigint AS right_votes, sum(d.right_votes + d.wrong_votes)::bigint AS votes
			  FROM trading.score_sums AS d
			 WHERE d.grain = 'day' AND d.model_id <> '' AND d.starts_on > today - weigh_models.days
			   AND (d.company_id = '_all' OR EXISTS (SELECT FROM trading.companies AS c WHERE c.company_id = d.company_id))
			 GROUP BY GROUPING SETS ((d.company_id, d.model_id, d.symbol), (d.company_id, d.model_id))) AS v
		 WHERE v.votes >= current_setting('trading_engine.adjust_least_model_votes')::bigint),
	gone AS (
		DELETE FROM trading.model_weights AS m
		 WHERE NOT EXISTS (SELECT FROM weighed AS w
			WHERE w.company_id = m.company_id AND w.model_id = m.model_id AND w.symbol = m.symbol)
		RETURNING 1),
	changed AS (
		INSERT INTO trading.model_weights AS m (company_id, model_id, symbol, factor, votes, accuracy)
		SELECT w.company_id, w.model_id, w.symbol, w.factor, w.votes, w.accuracy FROM weighed AS w
		    ON CONFLICT ON CONSTRAINT model_weights_pkey DO UPDATE
		   SET factor = excluded.factor, votes = excluded.votes, accuracy = excluded.accuracy, weighed_at = now()
		 WHERE m.factor <> excluded.factor
		RETURNING 1)
	SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM changed) INTO changes;
	RETURN changes;
END
$$;
COMMENT ON FUNCTION trading.weigh_models(integer) IS
	'sets trading.model_weights to what trading.score_sums says of the last days; returns how many changed. A model without enough votes has no row, and weighs what its prediction says';

-- A prediction as a strategy saw it that follows its models' accuracy.
CREATE FUNCTION trading.weighed_prediction(prediction jsonb, company text, snapshot pg_snapshot, system bigint) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1
AS $$
	WITH weights AS MATERIALIZED (
		SELECT w.row_data ->> 'model_id' AS model_id, w.row_data ->> 'symbol' AS symbol, (w.row_data ->> 'factor')::float8 AS factor
		  FROM trading.rows_at('model_weight', $3, $4, ARRAY[$2]) AS w (row_data))
	SELECT CASE WHEN NOT prediction ? 'models' OR NOT EXISTS (SELECT FROM weights) THEN prediction
		ELSE jsonb_set(prediction, '{models}', (
			SELECT jsonb_agg(m.vote || jsonb_build_object('weight', COALESCE((m.vote ->> 'weight')::float8, 1) * COALESCE(f.factor, 1)) ORDER BY m.n)
			  FROM jsonb_array_elements(prediction -> 'models') WITH ORDINALITY AS m (vote, n)
			  LEFT JOIN LATERAL (
				SELECT w.factor FROM weights AS w
				 WHERE w.model_id = m.vote ->> 'model_id' AND w.symbol IN (prediction ->> 'symbol', '*')
				 ORDER BY w.symbol = '*' LIMIT 1) AS f ON true)) END
$$;
COMMENT ON FUNCTION trading.weighed_prediction(jsonb, text, pg_snapshot, bigint) IS
	'a prediction for a company or _all with the weights that its models had in a snapshot; part of trading.explain_json()';
