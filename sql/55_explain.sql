-- Why a signal, and why not: decisions explained from what is stored of them, by the core
-- that decided them.
--
-- A signal holds its six inputs.  Of a prediction that came to nothing there is the message,
-- the market state and the rates that it was decided on, the lane's clock, and the snapshot of
-- the log of versions; tier, strategy, account and instrument are what the log has for that.

CREATE FUNCTION trading.explain_decision(prediction jsonb, strategy jsonb, market jsonb, instrument jsonb, account jsonb, at timestamptz)
	RETURNS jsonb
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_explain_decision';
COMMENT ON FUNCTION trading.explain_decision(jsonb, jsonb, jsonb, jsonb, jsonb, timestamptz) IS
	'a decision (as trading.decide returns it) with its gates, the inputs that set their thresholds, and every number on the way to strength, prices and size';

CREATE FUNCTION trading.assessed_decision(inputs bytea, assessment bytea) RETURNS jsonb
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'te_sql_assessed_decision';
COMMENT ON FUNCTION trading.assessed_decision(bytea, bytea) IS
	'columns inputs and assessment of trading.signals made into the signal again: the decision after what was done to it, as trading.decide() writes it, and what that was';

CREATE FUNCTION trading.decode_predictions(message bytea, OUT index integer, OUT prediction_id text, OUT prediction jsonb, OUT fault text)
	RETURNS SETOF record
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 10
	AS 'MODULE_PATHNAME', 'te_sql_decode_predictions';
COMMENT ON FUNCTION trading.decode_predictions(bytea) IS
	'predictions of a message (trading.prediction_batches.message), as trading.decide takes them; of one that is unsound, what is wrong with it';

CREATE FUNCTION trading.decode_markets(market bytea, OUT index integer, OUT market jsonb, OUT rates jsonb)
	RETURNS SETOF record
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 10
	AS 'MODULE_PATHNAME', 'te_sql_decode_markets';
COMMENT ON FUNCTION trading.decode_markets(bytea) IS
	'what each prediction of a message was decided on (trading.prediction_batches.market): market, NULL if it was refused, and by account currency the units of it per unit of quote currency';

CREATE FUNCTION trading.session_is_admin() RETURNS boolean
	AS 'MODULE_PATHNAME', 'te_sql_session_is_admin'
	LANGUAGE c STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.session_is_admin() IS 'whether the session has the privileges of trading_admin';

-- The rule of the tenants' policies, for functions that read as the extension's owner.
CREATE FUNCTION trading.is_own_strategy(company text, user_id text) RETURNS boolean
	LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	SELECT trading.session_is_admin()
	    OR COALESCE(company = trading.current_company()
		AND (user_id = trading.current_user_id() OR trading.current_role_in_company() = 'admin'), false)
$$;
COMMENT ON FUNCTION trading.is_own_strategy(text, text) IS 'whether the session may see what a user''s strategies decide';

-- Newest version of one row that a snapshot of a cluster shows; none: it wasn't there.
-- log_begin is trading.log_begin() of both.
CREATE FUNCTION trading.version_at(kind text, company text, owner text, strategy text, item text, snapshot pg_snapshot, system bigint, log_begin bigint)
	RETURNS TABLE (change_id bigint, version bigint, changed_at timestamptz, row_data jsonb)
	LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- Only "= value" and "IS NULL" are found in the index.
	keys constant text := (
		SELECT string_agg(CASE WHEN k.value IS NULL THEN format('c.%I IS NULL', k.name) ELSE format('c.%I = %L', k.name, k.value) END, ' AND ')
		  FROM (VALUES ('kind', kind), ('company_id', company), ('user_id', owner), ('strategy_id', strategy), ('item', item)) AS k (name, value));
BEGIN
	RETURN QUERY EXECUTE
		'SELECT c.change_id, c.version, c.changed_at, c.row_data FROM trading.strategy_changes AS c WHERE ' || keys ||
		'   AND CASE WHEN c.system_identifier = $2 THEN pg_visible_in_snapshot(c.xid, $1) ELSE c.change_id < $3 END'
		' ORDER BY c.change_id DESC LIMIT 1'
	  USING version_at.snapshot, version_at.system, version_at.log_begin;
END
$$;
COMMENT ON FUNCTION trading.version_at(text, text, text, text, text, pg_snapshot, bigint, bigint) IS
	'newest version of a row that a snapshot of that cluster shows, from the log; row_data is NULL when it had been deleted';

-- Whether a user had a strategy before this one, by creation and then by id.
CREATE FUNCTION trading.is_extra_strategy(company text, owner text, strategy text, created_at timestamptz, snapshot pg_snapshot, system bigint, log_begin bigint)
	RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (
		SELECT FROM (
			SELECT DISTINCT ON (c.strategy_id) c.strategy_id, c.row_data
			  FROM trading.strategy_changes AS c
			 WHERE c.kind = 'strategy' AND c.company_id = company AND c.user_id = owner
			   AND CASE WHEN c.system_identifier = system THEN pg_visible_in_snapshot(c.xid, snapshot) ELSE c.change_id < log_begin END
			 ORDER BY c.strategy_id, c.change_id DESC) AS o
		 WHERE o.row_data IS NOT NULL
		   AND ((o.row_data ->> 'created_at')::timestamptz, o.strategy_id) < (is_extra_strategy.created_at, strategy COLLATE "C"))
$$;
COMMENT ON FUNCTION trading.is_extra_strategy(text, text, text, timestamptz, pg_snapshot, bigint, bigint) IS
	'whether a snapshot shows an earlier strategy of the user; part of trading.explain_json()';

CREATE FUNCTION trading.json_time(at timestamptz) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;
COMMENT ON FUNCTION trading.json_time(timestamptz) IS 'a time as trading.decide() writes it';

-- What a strategy decided with when the workers' copy of the rows was of that snapshot: the
-- inputs strategy, account and instrument, the layers of its parameters, and which versions of
-- which rows that were.  missing: what wasn't there, so that nothing was decided.
CREATE FUNCTION trading.decided_with(company text, owner text, strategy text, symbol text, snapshot pg_snapshot, system bigint,
		OUT strategy_input jsonb, OUT account_input jsonb, OUT instrument_input jsonb,
		OUT layers jsonb, OUT versions jsonb, OUT tier text, OUT version bigint, OUT missing text, OUT follows boolean)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1 SET timezone = 'UTC'
AS $$
DECLARE
	of_company record;
	of_tier record;
	own record;
	override record;
	of_account record;
	of_instrument record;
	merged record;
	log_begin constant bigint := trading.log_begin(snapshot, system);
BEGIN
	SELECT v.* INTO of_company FROM trading.version_at('company', company, NULL, NULL, NULL, snapshot, system, log_begin) AS v;
	tier := of_company.row_data ->> 'tier';
	SELECT v.* INTO of_tier FROM trading.version_at('tier', NULL, NULL, NULL, tier, snapshot, system, log_begin) AS v;
	SELECT v.* INTO own FROM trading.version_at('strategy', company, owner, strategy, NULL, snapshot, system, log_begin) AS v;
	SELECT v.* INTO override FROM trading.version_at('strategy', company, '_all', '_all', NULL, snapshot, system, log_begin) AS v;
	SELECT v.* INTO of_account
	  FROM trading.version_at('account', company, owner, NULL, own.row_data ->> 'account_id', snapshot, system, log_begin) AS v;
	SELECT v.* INTO of_instrument FROM trading.version_at('instrument', NULL, NULL, NULL, symbol, snapshot, system, log_begin) AS v;
	version := own.version;
	versions := (
		SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('kind', r.kind, 'name', r.name, 'change_id', r.change_id,
				'version', r.version, 'changed_at', trading.json_time(r.changed_at))) ORDER BY r.n)
		  FROM (VALUES
			(1, 'tier', tier, of_tier.change_id, NULL::bigint, of_tier.changed_at, of_tier.row_data),
			(2, 'company', company, of_company.change_id, NULL, of_company.changed_at, of_company.row_data),
			(3, 'strategy', owner || '/' || strategy, own.change_id, own.version, own.changed_at, own.row_data),
			(4, 'override', '_all', override.change_id, override.version, override.changed_at, override.row_data),
			(5, 'account', owner || '/' || (own.row_data ->> 'account_id'), of_account.change_id, NULL, of_account.changed_at, of_account.row_data),
			(6, 'instrument', symbol, of_instrument.change_id, NULL, of_instrument.changed_at, of_instrument.row_data)
		  ) AS r (n, kind, name, change_id, version, changed_at, row_data)
		 WHERE r.row_data IS NOT NULL);
	missing := CASE
		WHEN of_tier.row_data IS NULL OR of_company.row_data IS NULL THEN 'company'
		WHEN own.row_data IS NULL THEN 'strategy'
		WHEN of_account.row_data IS NULL THEN 'account'
		WHEN of_instrument.row_data IS NULL THEN 'instrument' END;
	IF missing IS NOT NULL THEN
		RETURN;
	END IF;

	SELECT m.* INTO merged
	  FROM trading.merge_strategy(
		jsonb_populate_record(NULL::trading.tiers, of_tier.row_data),
		jsonb_populate_record(NULL::trading.strategies, own.row_data),
		jsonb_populate_record(NULL::trading.strategies, override.row_data),
		trading.is_extra_strategy(company, owner, strategy, (own.row_data ->> 'created_at')::timestamptz, snapshot, system, log_begin)) AS m;
	follows := COALESCE((own.row_data ->> 'follow_model_accuracy')::boolean, false);
	layers := merged.layers;
	strategy_input := jsonb_strip_nulls(to_jsonb(merged) - 'layers');
	account_input := jsonb_strip_nulls(jsonb_build_object(
		'currency', of_account.row_data -> 'currency', 'equity', of_account.row_data -> 'equity',
		'open_positions', of_account.row_data -> 'open_positions',
		'hit_rate', own.row_data -> 'hit_rate',
		'position_size_multiplier', (of_account.row_data ->> 'position_size_multiplier')::float8
			* COALESCE((own.row_data ->> 'position_size_multiplier')::float8, 1),
		'conversion_rate', of_account.row_data -> 'conversion_rate'));
	instrument_input := (
		SELECT jsonb_object_agg(k.name, of_instrument.row_data -> k.name)
		  FROM unnest(ARRAY['symbol', 'base_currency', 'quote_currency', 'pip_size', 'tick_size', 'contract_size',
			'lot_min', 'lot_step', 'lot_max', 'min_stop_pips']) AS k (name));
END
$$;
COMMENT ON FUNCTION trading.decided_with(text, text, text, text, pg_snapshot, bigint) IS
	'what a strategy decided with when the rows were as that snapshot shows them; part of trading.explain_json()';

-- A rate that isn't the account's own is of the market.
CREATE FUNCTION trading.layers_of(layers jsonb, own_account jsonb, used_account jsonb) RETURNS jsonb
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN used_account ? 'conversion_rate' AND NOT own_account ? 'conversion_rate'
		THEN layers || '{"account.conversion_rate": "RATES"}' ELSE layers END
$$;
COMMENT ON FUNCTION trading.layers_of(jsonb, jsonb, jsonb) IS 'part of trading.explain_json(): layers of the parameters, and of the conversion rate where it came from the market';

-- The document that all forms of EXPLAIN show: facts, and the decision made again.
CREATE FUNCTION trading.explanation(facts jsonb, inputs jsonb, layers jsonb) RETURNS jsonb
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT facts || jsonb_build_object(
			'outcome', d #> '{decision,outcome}',
			'market', inputs -> 'market',
			'inputs', inputs,
			'decision', (d -> 'decision') - 'steps',
			'gates', (SELECT jsonb_agg(jsonb_strip_nulls((g.gate - 'source') || jsonb_build_object(
					'step', g.n,
					'threshold', COALESCE(g.gate -> 'threshold', inputs #> s.path),
					'parameter', s.path[2],
					'layer', CASE s.path[1] WHEN 'strategy' THEN layers ->> s.path[2]
						ELSE COALESCE(layers ->> array_to_string(s.path, '.'), upper(s.path[1])) END)) ORDER BY g.n)
				    FROM jsonb_array_elements(d -> 'gates') WITH ORDINALITY AS g (gate, n),
					 LATERAL (SELECT string_to_array(g.gate ->> 'source', '.')) AS s (path)),
			'derivation', (SELECT COALESCE(jsonb_agg(jsonb_strip_nulls((e.note - 'source') || jsonb_build_object(
					'step', e.n,
					'parameter', s.path[2],
					'setting', inputs #> s.path,
					'layer', CASE s.path[1] WHEN 'strategy' THEN layers ->> s.path[2]
						ELSE COALESCE(layers ->> array_to_string(s.path, '.'), upper(s.path[1])) END)) ORDER BY e.n), '[]')
				    FROM jsonb_array_elements((d -> 'derivation') || COALESCE((
						SELECT jsonb_agg(jsonb_build_object('part', 'LEGS', 'item', 'leg ' || (l ->> 'leg'), 'value', l - 'leg'))
						  FROM jsonb_array_elements(d #> '{decision,legs}') AS l), '[]')) WITH ORDINALITY AS e (note, n),
					 LATERAL (SELECT string_to_array(e.note ->> 'source', '.')) AS s (path)))
	       || CASE WHEN facts ? 'core_version' THEN '{}' ELSE jsonb_build_object('core_version', d -> 'core_version') END
	  FROM trading.explain_decision(inputs -> 'prediction', inputs -> 'strategy', inputs -> 'market', inputs -> 'instrument',
		inputs -> 'account', (inputs ->> 'at')::timestamptz) AS d
$$;
COMMENT ON FUNCTION trading.explanation(jsonb, jsonb, jsonb) IS 'part of trading.explain_json(): a decision made again, with the layer of each parameter';

-- Further gates at the end of a document, with the layers of their parameters.
CREATE FUNCTION trading.add_gates(document jsonb, gates jsonb, layers jsonb) RETURNS jsonb
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT document || jsonb_build_object('gates', (document -> 'gates') || COALESCE((
		SELECT jsonb_agg(jsonb_strip_nulls((g.gate - 'source') || jsonb_build_object(
				'step', jsonb_array_length(document -> 'gates') + g.n,
				'parameter', s.path[2],
				'layer', CASE s.path[1] WHEN 'strategy' THEN layers ->> s.path[2] ELSE upper(s.path[1]) END)) ORDER BY g.n)
		  FROM jsonb_array_elements(gates) WITH ORDINALITY AS g (gate, n),
		       LATERAL (SELECT string_to_array(g.gate ->> 'source', '.')) AS s (path)), '[]'))
$$;
COMMENT ON FUNCTION trading.add_gates(jsonb, jsonb, jsonb) IS 'part of trading.explain_json(): gates that come after the decision''s own';

-- What limits and risk services did to a signal: the gates that it met, and each thing that was
-- done, with what was before, what was advised and what was taken.
CREATE FUNCTION trading.add_assessment(document jsonb, inputs bytea, assessment bytea, layers jsonb) RETURNS jsonb
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT trading.add_gates(document, a -> 'gates', layers) || jsonb_build_object(
			'outcome', a #> '{decision,outcome}',
			'decision', (a -> 'decision') - 'steps',
			'decision_before', document -> 'decision',
			'assessment', a -> 'assessment',
			'derivation', (document -> 'derivation') || (
				SELECT jsonb_agg(jsonb_strip_nulls(e.note || jsonb_build_object(
						'step', jsonb_array_length(document -> 'derivation') + e.n, 'part', 'RISK')) ORDER BY e.n)
				  FROM (
					SELECT 0, jsonb_build_object('item', 'risk_status', 'value', a #> '{assessment,risk_status}',
						'remark', 'risk level ' || (a #>> '{assessment,risk_level}'))
					UNION ALL
					SELECT n.n, jsonb_build_object('item', lower(n.note ->> 'note'), 'value', n.note -> 'after',
						'remark', concat_ws('; ', n.note ->> 'text', 'before ' || (n.note ->> 'before'),
							'advised ' || (n.note ->> 'advised'), 'leg ' || (n.note ->> 'leg')))
					  FROM jsonb_array_elements(a #> '{assessment,notes}') WITH ORDINALITY AS n (note, n)
				  ) AS e (n, note)))
	  FROM trading.assessed_decision(inputs, assessment) AS a
$$;
COMMENT ON FUNCTION trading.add_assessment(jsonb, bytea, bytea, jsonb) IS 'part of trading.explain_json(): what was done to a signal after its gates';

-- Which signal, hold or stop-out a decision repeats.  The newest that fits; of the same message,
-- whose signals are recorded in order, the first.
CREATE FUNCTION trading.repeated_signal(decision trading.replayed_decision, inputs jsonb)
	RETURNS TABLE (gate jsonb)
	LANGUAGE sql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1
AS $$
	WITH rule AS (
		SELECT (inputs #>> '{strategy,duplicate_window_seconds}')::integer AS seconds,
		       (inputs #>> '{strategy,duplicate_distance_pips}')::float8 AS pips,
		       (inputs #>> '{instrument,pip_size}')::float8 AS pip),
	earlier AS (
		SELECT s.*, extract(epoch FROM decision.decided_at - s.decided_at)::float8 AS age,
		       (s.batch_no, s.position) < (decision.batch_no, decision.position) AS before
		  FROM trading.signals AS s
		 WHERE (s.company_id, s.user_id, s.strategy_id) = (decision.company_id, decision.user_id, decision.strategy_id)
		   AND (s.batch_no, s.position) <= (decision.batch_no, decision.position)
		   AND s.decided_at > decision.decided_at - interval '1 day'),
	kinds AS (
		SELECT 1 AS rank, e.before, e.batch_no, e.position, e.ordinal, jsonb_build_object('quantity', 'prediction decided',
			'value', jsonb_build_object('signal_id', e.signal_id, 'seconds', e.age),
			'threshold', jsonb_build_object('seconds', GREATEST(30, floor(COALESCE(e.signal_strength, 0) * 120 + 1e-6)))) AS gate
		  FROM earlier AS e
		 WHERE e.prediction_id = decision.prediction_id AND e.age < GREATEST(30, floor(COALESCE(e.signal_strength, 0) * 120 + 1e-6))
		UNION ALL
		SELECT 2, true, t.stopped_batch_no, 0, 0, jsonb_build_object('quantity', 'stopped out',
			'value', jsonb_build_object('signal_id', t.signal_id, 'seconds', extract(epoch FROM decision.decided_at - t.stopped_at)),
			'threshold', jsonb_build_object('seconds', 86400))
		  FROM trading.trades AS t
		 WHERE (t.company_id, t.user_id, t.strategy_id, t.prediction_id)
		       = (decision.company_id, decision.user_id, decision.strategy_id, decision.prediction_id)
		   AND t.stopped_batch_no < decision.batch_no
		   AND decision.decided_at < t.stopped_at + interval '1 day'
		UNION ALL
		SELECT 3, e.before, e.batch_no, e.position, e.ordinal, jsonb_build_object('source', 'strategy.duplicate_window_seconds',
			'quantity', CASE e.outcome WHEN 'HOLD' THEN 'like hold' ELSE 'like signal' END,
			'value', jsonb_strip_nulls(jsonb_build_object('signal_id', e.signal_id, 'seconds', e.age,
				'pips', abs(e.entry_price - decision.entry_price) / r.pip)),
			'threshold', jsonb_strip_nulls(jsonb_build_object('seconds', r.seconds,
				'pips', CASE WHEN e.outcome = 'SIGNAL' THEN r.pips END)))
		  FROM earlier AS e, rule AS r
		 WHERE e.symbol = decision.symbol AND e.age < r.seconds AND e.age > -r.seconds
		   AND CASE WHEN decision.signal_type = 'HOLD' THEN e.outcome = 'HOLD' AND e.hold_reason = decision.hold_reason
			    ELSE e.outcome = 'SIGNAL' AND (e.signal_type ~ 'BUY') = (decision.signal_type ~ 'BUY')
				 AND abs(e.entry_price - decision.entry_price) / r.pip <= r.pips + 1e-6 END)
	SELECT jsonb_build_object('gate', 'DUPLICATE', 'passed', false) || k.gate
	  FROM kinds AS k
	 ORDER BY k.rank, k.before DESC, CASE WHEN k.before THEN -k.batch_no ELSE k.batch_no END,
	       CASE WHEN k.before THEN -k.position ELSE k.position END, CASE WHEN k.before THEN -k.ordinal ELSE k.ordinal END
	 LIMIT 1
$$;
COMMENT ON FUNCTION trading.repeated_signal(trading.replayed_decision, jsonb) IS
	'part of trading.explain_json(): the earlier signal that a decision of outcome DUPLICATE repeats, how far it is and how long ago';

CREATE FUNCTION trading.explain_json(signal_id uuid) RETURNS jsonb
	LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1 SET timezone = 'UTC'
AS $$
DECLARE
	signal record;
	batch record;
	inputs jsonb;
	as_of record;
	stored jsonb;
	layers jsonb;
	result jsonb;
BEGIN
	SELECT s.* INTO signal FROM trading.signals AS s
	 WHERE s.signal_id = explain_json.signal_id AND trading.is_own_strategy(s.company_id, s.user_id)
	 ORDER BY s.recorded_at DESC LIMIT 1;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no signal %', COALESCE(explain_json.signal_id::text, 'NULL')
			USING ERRCODE = 'no_data_found',
			      HINT = 'A tenant sees its own signals, as long as trading.signals keeps them.';
	END IF;
	inputs := trading.decision_inputs(signal.inputs);
	SELECT b.change_snapshot, b.system_identifier INTO batch FROM trading.batches AS b
	 WHERE b.lane = signal.lane AND b.batch_no = signal.batch_no;
	SELECT w.* INTO as_of FROM trading.decided_with(signal.company_id, signal.user_id, signal.strategy_id, signal.symbol,
		batch.change_snapshot, batch.system_identifier) AS w;

	-- What the signal holds counts.  Where the log no longer has that, it has no layers to tell.
	IF as_of.strategy_input = inputs -> 'strategy' THEN
		layers := trading.layers_of(as_of.layers, as_of.account_input, inputs -> 'account');
	END IF;
	result := trading.explanation(jsonb_strip_nulls(jsonb_build_object(
			'signal_id', signal.signal_id, 'prediction_id', signal.prediction_id, 'symbol', signal.symbol,
			'company_id', signal.company_id, 'user_id', signal.user_id, 'strategy_id', signal.strategy_id,
			'strategy_version', signal.strategy_version, 'generated_at', inputs #> '{prediction,generated_at}', 'decided_at', inputs -> 'at',
			'lane', signal.lane, 'batch_no', signal.batch_no, 'core_version', signal.core_version,
			'simulated', signal.simulated,
			'tier', CASE WHEN as_of.strategy_input = inputs -> 'strategy' THEN as_of.tier END,
			'versions', CASE WHEN as_of.strategy_input = inputs -> 'strategy' THEN as_of.versions END)),
		inputs, layers);
	IF signal.assessment IS NOT NULL THEN
		result := trading.add_assessment(result, signal.inputs, signal.assessment, layers);
	END IF;

	-- Another version of the code may decide otherwise than what was stored.
	SELECT jsonb_object_agg(e.key, e.value) INTO stored
	  FROM jsonb_each(to_jsonb(signal)) AS e
	 WHERE e.key IN ('outcome', 'hold_reason', 'signal_type', 'entry_price', 'stop_loss', 'take_profit', 'position_size', 'signal_strength')
	   AND e.value <> 'null'
	   AND (e.key <> 'signal_type' OR result -> 'decision' ? 'signal_type');
	RETURN result || jsonb_build_object('agrees', result -> 'decision' @> stored);
END
$$;
COMMENT ON FUNCTION trading.explain_json(uuid) IS
	'everything that is known of how a signal came about, as one document: facts, inputs, gates, derivation, versions, what was done to it';

-- A signal made again from its row alone.
CREATE FUNCTION trading.recompute(signal_id uuid) RETURNS jsonb
	LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	signal record;
BEGIN
	SELECT s.inputs, s.assessment INTO signal FROM trading.signals AS s
	 WHERE s.signal_id = recompute.signal_id AND trading.is_own_strategy(s.company_id, s.user_id)
	 ORDER BY s.recorded_at DESC LIMIT 1;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no signal %', COALESCE(recompute.signal_id::text, 'NULL') USING ERRCODE = 'no_data_found';
	END IF;
	RETURN trading.assessed_decision(signal.inputs, signal.assessment) -> 'decision';
END
$$;
COMMENT ON FUNCTION trading.recompute(uuid) IS
	'a signal made again from its row: decided from its inputs, with what was done to it then, as trading.decide() writes it';

-- One stored decision again, with what earlier ones have to do with it.
CREATE FUNCTION trading.decided_again(lane integer, batch_no bigint, "position" integer, index integer, decided_at timestamptz,
		company text, owner text, strategy text)
	RETURNS trading.replayed_decision
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT r FROM trading.replay(decided_at, decided_at + interval '1 microsecond', company_id => company, user_id => owner,
		strategy_id => strategy, outcomes => trading.enum_labels('outcome'), workers => 0, with_inputs => true) AS r
	 WHERE (r.lane, r.batch_no, r.position, r.prediction_index)
	       = (decided_again.lane, decided_again.batch_no, decided_again."position", decided_again.index)
$$;
COMMENT ON FUNCTION trading.decided_again(integer, bigint, integer, integer, timestamptz, text, text, text) IS
	'part of trading.explain_json(): a replay of one stored decision';

-- The newest stored message that holds a prediction for a user, and which of its predictions
-- that is: the message of the user, of its whole company or of everybody.  Newest first,
-- through the index on (company_id, recorded_at), so that what is recent is found soon.
CREATE FUNCTION trading.find_prediction(prediction_id text, company text, owner text, from_time timestamptz, to_time timestamptz,
		OUT lane integer, OUT batch_no bigint, OUT "position" integer, OUT source text, OUT input_seq bigint, OUT decided_at timestamptz, OUT for_company text, OUT for_user text,
		OUT index integer, OUT prediction jsonb, OUT fault text, OUT market jsonb, OUT rates jsonb, OUT at timestamptz,
		OUT snapshot pg_snapshot, OUT system bigint)
	RETURNS SETOF record
	LANGUAGE sql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1
AS $$
	SELECT p.lane, p.batch_no, p.position, p.source, p.input_seq, p.decided_at, p.company_id, p.user_id, p.index, p.prediction, p.fault, m.market, m.rates,
	       -- With trading_engine.clock = input every sound prediction moves the clock on; else it is the batch's.
	       CASE WHEN p.decided_at = b.decided_at THEN p.decided_at
		    ELSE GREATEST(p.decided_at, (
			SELECT max((d.prediction ->> 'generated_at')::timestamptz)
			  FROM trading.decode_predictions(p.message) AS d JOIN trading.decode_markets(p.market) AS o ON o.index = d.index
			 WHERE d.index <= p.index AND o.market IS NOT NULL)) END,
	       b.change_snapshot, b.system_identifier
	  FROM (VALUES (company), ('_all')) AS c (company_id)
	 CROSS JOIN LATERAL (
		SELECT q.*, d.index, d.prediction, d.fault
		  FROM trading.prediction_batches AS q
		 CROSS JOIN LATERAL trading.decode_predictions(q.message) AS d
		 WHERE q.company_id = c.company_id AND q.user_id IN ('_all', owner)
		   AND q.recorded_at >= COALESCE(from_time, '-infinity') AND q.recorded_at < COALESCE(to_time, 'infinity')
		   AND position(convert_to(find_prediction.prediction_id, 'UTF8') IN q.message) > 0
		   AND d.prediction_id = find_prediction.prediction_id
		   -- Every lane keeps the broadcasts that it has read: the company's own lane decided.
		   AND q.lane = trading.lane_of(company, (SELECT COALESCE(n.lane_count, (SELECT count(*)::integer FROM trading.lanes))
			  FROM trading.batches AS n WHERE n.lane = q.lane AND n.batch_no = q.batch_no))
		 ORDER BY q.recorded_at DESC, q.batch_no DESC, q.position DESC, d.index DESC
		 LIMIT 1) AS p
	  JOIN trading.batches AS b ON b.lane = p.lane AND b.batch_no = p.batch_no
	  LEFT JOIN trading.decode_markets(p.market) AS m ON m.index = p.index
	 ORDER BY p.recorded_at DESC LIMIT 1
$$;
COMMENT ON FUNCTION trading.find_prediction(text, text, text, timestamptz, timestamptz) IS
	'newest stored prediction of that id that was for a user, with what it was decided on; part of trading.explain_json()';

-- Protobuf writes an id as its field's tag, its length and its bytes: a message that can't be
-- read is searched for that.
CREATE FUNCTION trading.prediction_key(prediction_id text) RETURNS bytea
	LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$
	SELECT '\x0a'::bytea || CASE WHEN octet_length(b.id) < 128 THEN set_byte('\x00', 0, octet_length(b.id)) ELSE '\x8001' END || b.id
	  FROM convert_to(prediction_id, 'UTF8') AS b (id)
$$;
COMMENT ON FUNCTION trading.prediction_key(text) IS 'bytes that a message has in it, if it has a prediction of that id';

-- Why a message was turned away, or NULL: what trading.dead_letters says.
CREATE FUNCTION trading.refusal(prediction_id text, company text, owner text, from_time timestamptz, to_time timestamptz) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('%s: %s', d.reason, d.detail)
	  FROM trading.dead_letters AS d
	 WHERE (d.company_id = company OR d.company_id = '_all' AND trading.session_is_admin()) AND d.user_id IN ('_all', owner)
	   AND d.recorded_at >= COALESCE(from_time, '-infinity') AND d.recorded_at < COALESCE(to_time, 'infinity')
	   AND d.prediction_index IS NULL AND position(trading.prediction_key(refusal.prediction_id) IN d.message) > 0
	 ORDER BY d.recorded_at DESC LIMIT 1
$$;
COMMENT ON FUNCTION trading.refusal(text, text, text, timestamptz, timestamptz) IS
	'why the newest message with that prediction that was turned away was turned away; part of trading.explain_json()';

CREATE FUNCTION trading.explain_json(prediction_id text, company_id text, user_id text, strategy_id text,
		from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL)
	RETURNS jsonb
	LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1 SET timezone = 'UTC'
AS $$
#variable_conflict use_variable
DECLARE
	it record;
	as_of record;
	account jsonb;
	facts jsonb;
	layers jsonb;
	result jsonb;
	again trading.replayed_decision;
	recorded record;
	reason text;
	why text;
	may_see constant boolean := trading.is_own_strategy(company_id, user_id);
BEGIN
	IF NULLIF(prediction_id, '') IS NULL OR company_id IS NULL OR user_id IS NULL OR strategy_id IS NULL THEN
		RAISE EXCEPTION 'prediction_id, company_id, user_id and strategy_id must be given' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF from_time >= to_time THEN
		RAISE EXCEPTION 'from_time must be before to_time' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	SELECT f.* INTO it FROM trading.find_prediction(prediction_id, company_id, user_id, from_time, to_time) AS f WHERE may_see;
	IF may_see AND it.index IS NULL THEN
		reason := trading.refusal(prediction_id, company_id, user_id, from_time, to_time);
	END IF;
	IF reason IS NOT NULL THEN
		why := 'message refused';
		facts := '{}';
	ELSIF it.index IS NULL THEN
		RAISE EXCEPTION 'there is no prediction "%" for user "%" of company "%"', prediction_id, user_id, company_id
			USING ERRCODE = 'no_data_found',
			      HINT = 'A tenant sees its own predictions and broadcasts, as long as trading.prediction_batches keeps them.';
	ELSE
		SELECT w.* INTO as_of
		  FROM trading.decided_with(company_id, user_id, strategy_id, it.prediction ->> 'symbol', it.snapshot, it.system) AS w;
		facts := jsonb_build_object('lane', it.lane, 'batch_no', it.batch_no, 'decided_at', trading.json_time(it.at), 'market', it.market,
			'for', it.for_company || '/' || it.for_user, 'tier', as_of.tier, 'strategy_version', as_of.version,
			'versions', as_of.versions, 'symbol', it.prediction ->> 'symbol',
			'generated_at', it.prediction -> 'generated_at');
		-- A refused prediction was decided for nobody; else only a strategy that wasn't there has no decision.
		IF it.fault IS NOT NULL THEN
			why := 'prediction refused';
			reason := it.fault;
		ELSIF it.market IS NULL THEN
			why := 'prediction refused';
			reason := (
				SELECT format('%s: %s', d.reason, d.detail) FROM trading.dead_letters AS d
				 WHERE d.source = it.source AND d.input_seq = it.input_seq AND d.prediction_index = it.index
				   AND d.company_id = it.for_company
				 ORDER BY d.recorded_at DESC LIMIT 1);
		ELSIF as_of.missing IS NOT NULL THEN
			why := 'no ' || as_of.missing;
			reason := format('there was no %s when the prediction was decided', CASE as_of.missing
				WHEN 'company' THEN format('company "%s"', company_id)
				WHEN 'strategy' THEN format('strategy "%s" of user "%s"', strategy_id, user_id)
				WHEN 'account' THEN 'account of the strategy'
				ELSE format('instrument "%s"', it.prediction ->> 'symbol') END);
		END IF;
	END IF;
	facts := jsonb_strip_nulls(facts || jsonb_build_object('prediction_id', prediction_id, 'company_id', company_id,
		'user_id', user_id, 'strategy_id', strategy_id));
	IF why IS NOT NULL THEN
		RETURN facts || jsonb_build_object('outcome', 'NOT_DECIDED', 'derivation', '[]'::jsonb,
			'gates', jsonb_build_array(jsonb_strip_nulls(jsonb_build_object('step', 0, 'gate', 'NOT_DECIDED', 'quantity', why,
				'passed', false, 'value', reason))));
	END IF;
	-- A rate of its own wins over one from the market.
	account := jsonb_strip_nulls(jsonb_build_object('conversion_rate', it.rates -> (as_of.account_input ->> 'currency')))
		|| as_of.account_input;
	-- What earlier decisions and their results have to do with it, a replay of that message knows.
	IF it.snapshot IS NOT NULL THEN
		again := trading.decided_again(it.lane, it.batch_no, it.position, it.index, it.decided_at, company_id, user_id, strategy_id);
	END IF;
	IF again.inputs IS NOT NULL THEN
		account := trading.decision_inputs(again.inputs) -> 'account';
	END IF;
	layers := trading.layers_of(as_of.layers, as_of.account_input, account);
	result := trading.explanation(facts, jsonb_build_object(
			'prediction', CASE WHEN as_of.follows THEN trading.weighed_prediction(it.prediction, it.for_company, it.snapshot, it.system)
				ELSE it.prediction END, 'strategy', as_of.strategy_input, 'market', it.market,
			'instrument', as_of.instrument_input, 'account', account, 'at', trading.json_time(it.at)), layers);
	IF again.outcome = 'DUPLICATE' THEN
		RETURN trading.add_gates(result, jsonb_build_array(COALESCE((SELECT d.gate FROM trading.repeated_signal(again, result -> 'inputs') AS d),
			'{"gate": "DUPLICATE", "passed": false, "quantity": "repetition"}')), layers) || '{"outcome": "DUPLICATE"}';
	END IF;
	SELECT s.inputs, s.assessment INTO recorded FROM trading.signals AS s
	 WHERE s.signal_id = again.signal_id AND (s.lane, s.batch_no, s.position) = (again.lane, again.batch_no, again.position);
	IF recorded.assessment IS NOT NULL THEN
		result := trading.add_assessment(result, recorded.inputs, recorded.assessment, layers);
	END IF;
	RETURN result;
END
$$;
COMMENT ON FUNCTION trading.explain_json(text, text, text, text, timestamptz, timestamptz) IS
	'everything that is known of what a strategy decided on a prediction, as one document; the newest of that id that was stored in [from_time, to_time)';

-- The same as rows.
CREATE FUNCTION trading.explain_gates(document jsonb)
	RETURNS TABLE (step integer, gate text, quantity text, passed boolean, value jsonb, threshold jsonb, parameter text, layer text,
		outcome text, decided_at timestamptz, strategy_version bigint, tier text, market jsonb, versions jsonb,
		core_version integer, lane integer, batch_no bigint)
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT g.step, g.gate, g.quantity, g.passed, g.value, g.threshold, g.parameter, g.layer,
	       document ->> 'outcome', f.decided_at, f.strategy_version, f.tier, f.market, f.versions,
	       f.core_version, f.lane, f.batch_no
	  FROM jsonb_to_recordset(document -> 'gates') AS g (step integer, gate text, quantity text, passed boolean, value jsonb,
		threshold jsonb, parameter text, layer text),
	       jsonb_to_record(document) AS f (decided_at timestamptz, strategy_version bigint, tier text, market jsonb, versions jsonb,
		core_version integer, lane integer, batch_no bigint)
	 ORDER BY g.step
$$;
COMMENT ON FUNCTION trading.explain_gates(jsonb) IS 'the gates of a document of trading.explain_json() as rows';

CREATE FUNCTION trading.explain(signal_id uuid)
	RETURNS TABLE (step integer, gate text, quantity text, passed boolean, value jsonb, threshold jsonb, parameter text, layer text,
		outcome text, decided_at timestamptz, strategy_version bigint, tier text, market jsonb, versions jsonb,
		core_version integer, lane integer, batch_no bigint)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT g.* FROM trading.explain_gates(trading.explain_json(explain.signal_id)) AS g
$$;
COMMENT ON FUNCTION trading.explain(uuid) IS
	'why a signal: every gate that ran, in order, with value and threshold, the parameter that is the threshold and the layer that set it';

CREATE FUNCTION trading.explain(prediction_id text, company_id text, user_id text, strategy_id text,
		from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL)
	RETURNS TABLE (step integer, gate text, quantity text, passed boolean, value jsonb, threshold jsonb, parameter text, layer text,
		outcome text, decided_at timestamptz, strategy_version bigint, tier text, market jsonb, versions jsonb,
		core_version integer, lane integer, batch_no bigint)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT g.* FROM trading.explain_gates(trading.explain_json(prediction_id, company_id, user_id, strategy_id, from_time, to_time)) AS g
$$;
COMMENT ON FUNCTION trading.explain(text, text, text, text, timestamptz, timestamptz) IS
	'why a strategy made a signal of a prediction, or why not: every gate that ran; the last one decided. Of several predictions of that id the newest that was stored in [from_time, to_time)';

CREATE FUNCTION trading.explain_notes(document jsonb)
	RETURNS TABLE (step integer, part text, item text, value jsonb, weight float8, parameter text, setting jsonb, layer text, remark text)
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT n.step, n.part, n.item, n.value, n.weight, n.parameter, n.setting, n.layer, n.remark
	  FROM jsonb_to_recordset(document -> 'derivation') AS n (step integer, part text, item text, value jsonb, weight float8,
		parameter text, setting jsonb, layer text, remark text)
	 ORDER BY n.step
$$;
COMMENT ON FUNCTION trading.explain_notes(jsonb) IS 'the derivation of a document of trading.explain_json() as rows';

CREATE FUNCTION trading.explain_derivation(signal_id uuid)
	RETURNS TABLE (step integer, part text, item text, value jsonb, weight float8, parameter text, setting jsonb, layer text, remark text)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT n.* FROM trading.explain_notes(trading.explain_json(explain_derivation.signal_id)) AS n
$$;
COMMENT ON FUNCTION trading.explain_derivation(uuid) IS
	'why this price, why this size: every number on the way to consensus, strength, entry, stop loss, take profit, size and legs of a signal, rounded and unrounded';

CREATE FUNCTION trading.explain_derivation(prediction_id text, company_id text, user_id text, strategy_id text,
		from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL)
	RETURNS TABLE (step integer, part text, item text, value jsonb, weight float8, parameter text, setting jsonb, layer text, remark text)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT n.* FROM trading.explain_notes(trading.explain_json(prediction_id, company_id, user_id, strategy_id, from_time, to_time)) AS n
$$;
COMMENT ON FUNCTION trading.explain_derivation(text, text, text, text, timestamptz, timestamptz) IS
	'the same for what a strategy decided on a prediction, as far as it came';

-- The same for people.

-- A value as people write it; digits beyond the eighth decimal are noise to them.
CREATE FUNCTION trading.plain_text(value jsonb) RETURNS text
	LANGUAGE sql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE jsonb_typeof(value)
		WHEN 'number' THEN trim_scale(round(value::numeric, 8))::text
		WHEN 'array' THEN (SELECT '{' || string_agg(trading.plain_text(a.element), ',' ORDER BY a.n) || '}'
				     FROM jsonb_array_elements(value) WITH ORDINALITY AS a (element, n))
		WHEN 'object' THEN (SELECT string_agg(o.key || ' ' || trading.plain_text(o.value), ', ' ORDER BY o.key) FROM jsonb_each(value) AS o)
		ELSE value #>> '{}' END
$$;
COMMENT ON FUNCTION trading.plain_text(jsonb) IS 'a JSON value as people write it';

CREATE FUNCTION trading.explain_headline(document jsonb) RETURNS text
	LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT concat_ws(' ', document ->> 'outcome', document ->> 'symbol') || CASE document ->> 'outcome'
		WHEN 'SIGNAL' THEN format(': %s %s lots, %s at %s, stop loss %s, take profit %s', d ->> 'signal_type',
			trading.plain_text(d -> 'position_size'), d ->> 'order_type', trading.plain_text(d -> 'entry_price'),
			trading.plain_text(d -> 'stop_loss'), trading.plain_text(d -> 'take_profit'))
		WHEN 'HOLD' THEN ': ' || (d ->> 'hold_reason')
		WHEN 'NOT_DECIDED' THEN concat_ws(': ', '', gate ->> 'quantity', gate ->> 'value')
		ELSE format(': %s %s', gate ->> 'quantity', trading.plain_text(gate -> 'value'))
			|| COALESCE(' against ' || trading.plain_text(gate -> 'threshold'), '')
			|| COALESCE(format(' (%s, %s)', gate ->> 'parameter', gate ->> 'layer'), '') END
	  FROM (SELECT document -> 'decision', document #> '{gates,-1}') AS x (d, gate)
$$;
COMMENT ON FUNCTION trading.explain_headline(jsonb) IS 'part of trading.explain_text(): the outcome and what decided it';

CREATE FUNCTION trading.explain_lines(document jsonb) RETURNS SETOF text
	LANGUAGE sql IMMUTABLE ROWS 60 SET search_path = pg_catalog, pg_temp
AS $$
	SELECT rtrim(l.line)
	  FROM (
		SELECT 1, 0, trading.explain_headline(document)
		UNION ALL
		SELECT 1, f.n, '  ' || f.name || ' ' || f.text
		  FROM (VALUES
			(1, 'strategy', format('%s/%s/%s', document ->> 'company_id', document ->> 'user_id', document ->> 'strategy_id')
				|| COALESCE(', version ' || (document ->> 'strategy_version'), '') || COALESCE(', tier ' || (document ->> 'tier'), '')),
			(2, 'prediction', (document ->> 'prediction_id') || COALESCE(', made ' || (document ->> 'generated_at'), '')),
			(3, 'decided', document ->> 'decided_at' || format(', lane %s, batch %s', document ->> 'lane', document ->> 'batch_no')
				|| COALESCE(', core version ' || (document ->> 'core_version'), '')),
			(4, 'market', trading.plain_text(document -> 'market')),
			(5, 'versions', (SELECT string_agg(format('%s %s%s (change %s)', v ->> 'kind', v ->> 'name',
					COALESCE(' version ' || (v ->> 'version'), ''), v ->> 'change_id'), ', ' ORDER BY n)
					   FROM jsonb_array_elements(document -> 'versions') WITH ORDINALITY AS v (v, n))),
			(6, 'WARNING:', CASE WHEN document ->> 'agrees' = 'false' THEN 'this version of the code decides otherwise than what was stored' END)
		  ) AS f (n, name, text)
		 WHERE f.text IS NOT NULL
		UNION ALL
		SELECT 2, 0, '  gates'
		UNION ALL
		SELECT 2, g.step, format('    %-4s %-22s %-18s %-12s %-12s %s', CASE WHEN g.passed THEN 'ok' ELSE 'NO' END, g.gate, g.quantity,
			trading.plain_text(g.value), trading.plain_text(g.threshold),
			g.parameter || COALESCE(' (' || g.layer || ')', ''))
		  FROM trading.explain_gates(document) AS g
		UNION ALL
		SELECT 3, n.step * 2 - 1, '  ' || lower(replace(n.part, '_', ' '))
		  FROM (SELECT min(m.step) AS step, m.part FROM trading.explain_notes(document) AS m GROUP BY m.part) AS n
		UNION ALL
		SELECT 3, n.step * 2, format('    %-18s %-14s ', n.item, COALESCE(trading.plain_text(n.value), 'none'))
			|| concat_ws('; ', 'weight ' || n.weight,
				NULLIF(concat_ws(' ', n.parameter, trading.plain_text(n.setting), '(' || n.layer || ')'), ''), n.remark)
		  FROM (SELECT m.step, m.item, m.value, trading.plain_text(to_jsonb(m.weight)) AS weight, m.parameter, m.setting, m.layer, m.remark
			  FROM trading.explain_notes(document) AS m) AS n
	  ) AS l (section, n, line)
	 ORDER BY l.section, l.n
$$;
COMMENT ON FUNCTION trading.explain_lines(jsonb) IS 'a document of trading.explain_json() as text';

CREATE FUNCTION trading.explain_text(signal_id uuid) RETURNS TABLE ("EXPLAIN" text)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT trading.explain_lines(trading.explain_json(explain_text.signal_id))
$$;
COMMENT ON FUNCTION trading.explain_text(uuid) IS 'how a signal came about, as text for people';

CREATE FUNCTION trading.explain_text(prediction_id text, company_id text, user_id text, strategy_id text,
		from_time timestamptz DEFAULT NULL, to_time timestamptz DEFAULT NULL)
	RETURNS TABLE ("EXPLAIN" text)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT trading.explain_lines(trading.explain_json(prediction_id, company_id, user_id, strategy_id, from_time, to_time))
$$;
COMMENT ON FUNCTION trading.explain_text(text, text, text, text, timestamptz, timestamptz) IS 'what a strategy decided on a prediction and why, as text for people';
