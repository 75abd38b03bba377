-- The tables.  They are made by functions, not by the script itself, because they
-- must not be members of the extension: see trading.setup() in 70_setup.sql.
--
-- No column has a type or a default of the extension, so that DROP EXTENSION CASCADE
-- takes policies, triggers and views with it, but never a column.

CREATE FUNCTION trading.enum_labels(enum text) RETURNS text[]
	AS 'MODULE_PATHNAME', 'te_sql_enum_labels'
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trading.enum_labels(text) IS 'labels of one of the engine''s enums (direction, outcome, regime, ...), in their order';

-- Take everything from everybody but the owner, whatever ALTER DEFAULT PRIVILEGES has given away.
CREATE FUNCTION trading.revoke_all(relation regclass) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	grantee text;
BEGIN
	FOR grantee IN
		SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
		  FROM pg_class AS c, aclexplode(c.relacl) AS a
		 WHERE c.oid = relation AND a.grantee <> c.relowner
	LOOP
		EXECUTE format('REVOKE ALL ON TABLE %s FROM %s', relation, grantee);
	END LOOP;
END
$$;
COMMENT ON FUNCTION trading.revoke_all(regclass) IS 'takes all privileges on a table or view away from everybody but its owner';

CREATE FUNCTION trading.let_tenants_read(VARIADIC views regclass[]) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	one regclass;
BEGIN
	FOREACH one IN ARRAY views
	LOOP
		PERFORM trading.revoke_all(one);
		EXECUTE format('GRANT SELECT ON %s TO trading_tenant, trading_admin', one);
	END LOOP;
END
$$;
COMMENT ON FUNCTION trading.let_tenants_read(regclass[]) IS 'lets tenants and administrators read views, and nobody else';

CREATE FUNCTION trading.close_relation(relation regclass) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', relation);
	PERFORM trading.revoke_all(relation);
END
$$;
COMMENT ON FUNCTION trading.close_relation(regclass) IS 'takes all privileges on a table away and forces row-level security on it';

-- Comment on a table and its columns.  What a column of several tables means is said
-- here once; a column without a comment is an error.
CREATE FUNCTION trading.describe(relation regclass, about text, columns jsonb DEFAULT '{}') RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	common constant jsonb := jsonb_build_object(
		'company_id', 'company that the row belongs to',
		'user_id', 'user of the company',
		'strategy_id', 'strategy of the user',
		'symbol', 'instrument',
		'lane', 'lane that wrote the row',
		'batch_no', 'batch of the lane: trading.batches',
		'epoch', 'epoch of the lane: a new one begins when an installation adopts the lane',
		'recorded_at', 'when the server stored the row (the batch''s transaction)',
		'decided_at', 'the lane''s clock when it decided',
		'created_at', 'when the row was made',
		'updated_at', 'when the row was last changed',
		'correlation_id', 'one id from prediction to signal to execution',
		'producer_id', 'service that made the prediction',
		'subject', 'subject that the message came in on');
	attribute record;
BEGIN
	EXECUTE format('COMMENT ON TABLE %s IS %L', relation, about);
	FOR attribute IN
		SELECT a.attname, COALESCE(columns ->> a.attname, p.doc, common ->> a.attname) AS doc
		  FROM pg_attribute AS a
		  LEFT JOIN trading.strategy_parameters() AS p ON p.name = a.attname
		 WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
	LOOP
		IF attribute.doc IS NULL THEN
			RAISE EXCEPTION 'column "%" of % has no description', attribute.attname, relation;
		END IF;
		EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', relation, attribute.attname, attribute.doc);
	END LOOP;
END
$$;
COMMENT ON FUNCTION trading.describe(regclass, text, jsonb) IS 'comments on a table and on every one of its columns';

-- One nullable column per strategy parameter, with its range.
CREATE FUNCTION trading.add_parameter_columns(relation regclass) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	parameter record;
BEGIN
	FOR parameter IN SELECT p.* FROM trading.strategy_parameters() WITH ORDINALITY AS p ORDER BY p.ordinality
	LOOP
		EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s CONSTRAINT %I CHECK (%s)',
			relation, parameter.name, parameter.sql_type, parameter.name || '_range', parameter.check_expression);
	END LOOP;
END
$$;
COMMENT ON FUNCTION trading.add_parameter_columns(regclass) IS 'adds a column for every strategy parameter to a table';

CREATE FUNCTION trading.create_tenant_tables() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	CREATE TABLE trading.tiers (
		tier text PRIMARY KEY CHECK (tier ~ '^[A-Za-z0-9_-]{1,64}$'),
		rank integer NOT NULL UNIQUE
	);
	PERFORM trading.add_parameter_columns('trading.tiers');
	PERFORM trading.describe('trading.tiers',
		'subscription tiers: defaults of every strategy (NULL: the engine''s own), and what a company of the tier may use at most',
		jsonb_build_object('tier', 'name of the tier', 'rank', 'order of the tiers, the smallest first'));

	CREATE TABLE trading.companies (
		company_id text PRIMARY KEY CHECK (company_id ~ '^[A-Za-z0-9_-]{1,64}$' AND company_id <> '_all'),
		name text NOT NULL DEFAULT '' CONSTRAINT name_is_short CHECK (octet_length(name) <= 1024),
		tier text NOT NULL REFERENCES trading.tiers ON UPDATE CASCADE,
		require_token boolean NOT NULL DEFAULT false,
		created_at timestamptz NOT NULL DEFAULT now()
	);
	PERFORM trading.describe('trading.companies', 'tenants', jsonb_build_object(
		'company_id', 'id of the company, as in subjects',
		'name', 'what people call it',
		'tier', 'its subscription',
		'require_token', 'whether its producers must sign their envelopes with a token'));

	CREATE TABLE trading.users (
		company_id text NOT NULL REFERENCES trading.companies ON DELETE CASCADE,
		user_id text NOT NULL CHECK (user_id ~ '^[A-Za-z0-9_-]{1,64}$' AND user_id <> '_all'),
		name text NOT NULL DEFAULT '' CONSTRAINT name_is_short CHECK (octet_length(name) <= 1024),
		role text NOT NULL DEFAULT 'trader' CHECK (role IN ('admin', 'trader', 'viewer')),
		created_at timestamptz NOT NULL DEFAULT now(),
		PRIMARY KEY (company_id, user_id)
	);
	PERFORM trading.describe('trading.users', 'users of companies', jsonb_build_object(
		'user_id', 'id of the user within the company, as in subjects',
		'name', 'what people call the user',
		'role', 'admin: sees and manages the company''s strategies; trader: its own; viewer: reads its own'));

	CREATE TABLE trading.logins (
		role_name name PRIMARY KEY,
		company_id text NOT NULL,
		user_id text NOT NULL,
		created_at timestamptz NOT NULL DEFAULT now(),
		FOREIGN KEY (company_id, user_id) REFERENCES trading.users ON DELETE CASCADE
	);
	CREATE INDEX ON trading.logins (company_id, user_id);
	PERFORM trading.describe('trading.logins', 'which user a database role is, judged by the role that opened the session',
		jsonb_build_object('role_name', 'database role; it must be a member of trading_tenant to see anything'));

	CREATE TABLE trading.producers (
		company_id text NOT NULL CHECK (company_id ~ '^[A-Za-z0-9_-]{1,64}$'),
		producer_id text NOT NULL CHECK (producer_id ~ '^[A-Za-z0-9_-]{1,64}$'),
		enabled boolean NOT NULL DEFAULT true,
		token_sha256 bytea CHECK (octet_length(token_sha256) = 32),
		on_gap text NOT NULL DEFAULT 'skip' CHECK (on_gap IN ('skip', 'halt')),
		company_ref text GENERATED ALWAYS AS (NULLIF(company_id, '_all')) STORED
			REFERENCES trading.companies (company_id) ON DELETE CASCADE,
		created_at timestamptz NOT NULL DEFAULT now(),
		PRIMARY KEY (company_id, producer_id)
	);
	CREATE INDEX ON trading.producers (company_ref);
	PERFORM trading.describe('trading.producers', 'services whose predictions are accepted', jsonb_build_object(
		'company_id', 'company that it predicts for, or _all: broadcasts',
		'producer_id', 'id of the service, as in its envelopes',
		'enabled', 'whether its predictions are accepted',
		'token_sha256', 'SHA-256 of the token in its envelopes; NULL: it has none',
		'on_gap', 'what becomes of a message that is missing for good: skip records it and goes on; halt lets all that follow wait until trading.release_gap()',
		'company_ref', 'company_id, or NULL for broadcasts: refers to trading.companies'));

	CREATE TABLE trading.accounts (
		company_id text NOT NULL,
		user_id text NOT NULL,
		account_id text NOT NULL DEFAULT 'main' CHECK (account_id ~ '^[A-Za-z0-9_-]{1,64}$'),
		currency text NOT NULL CHECK (currency ~ '^[A-Z0-9]{2,16}$'),
		equity float8 NOT NULL CHECK (equity >= 0 AND equity < 'Infinity'),
		open_positions integer NOT NULL DEFAULT 0 CHECK (open_positions >= 0),
		position_size_multiplier float8 NOT NULL DEFAULT 1
			CHECK (position_size_multiplier > 0 AND position_size_multiplier <= 1),
		conversion_rate float8 CHECK (conversion_rate > 0 AND conversion_rate < 'Infinity'),
		updated_at timestamptz NOT NULL DEFAULT now(),
		PRIMARY KEY (company_id, user_id, account_id),
		FOREIGN KEY (company_id, user_id) REFERENCES trading.users ON DELETE CASCADE
	);
	PERFORM trading.describe('trading.accounts', 'trading accounts of users', jsonb_build_object(
		'account_id', 'account of the user',
		'currency', 'currency that equity is in',
		'equity', 'equity in the account''s currency',
		'open_positions', 'positions that are open now',
		'position_size_multiplier', 'every size is multiplied by this, 0 < x <= 1',
		'conversion_rate', 'account currency per unit of quote currency; NULL: from current rates'));

	CREATE TABLE trading.strategies (
		company_id text NOT NULL REFERENCES trading.companies ON DELETE CASCADE,
		user_id text NOT NULL,
		strategy_id text NOT NULL CHECK (strategy_id ~ '^[A-Za-z0-9_-]{1,64}$'),
		name text NOT NULL DEFAULT '' CONSTRAINT name_is_short CHECK (octet_length(name) <= 1024),
		account_id text NOT NULL DEFAULT 'main',
		version bigint NOT NULL DEFAULT 1,
		hit_rate float8 CONSTRAINT hit_rate_is_a_share CHECK (hit_rate >= 0 AND hit_rate <= 1),
		position_size_multiplier float8 NOT NULL DEFAULT 1 CONSTRAINT position_size_multiplier_is_a_share
			CHECK (position_size_multiplier > 0 AND position_size_multiplier <= 1),
		auto_adjust boolean NOT NULL DEFAULT true,
		follow_model_accuracy boolean NOT NULL DEFAULT false,
		created_at timestamptz NOT NULL DEFAULT now(),
		updated_at timestamptz NOT NULL DEFAULT now(),
		owner_id text GENERATED ALWAYS AS (NULLIF(user_id, '_all')) STORED,
		PRIMARY KEY (company_id, user_id, strategy_id),
		CONSTRAINT company_override CHECK ((user_id = '_all') = (strategy_id = '_all')),
		FOREIGN KEY (company_id, owner_id) REFERENCES trading.users ON DELETE CASCADE,
		FOREIGN KEY (company_id, owner_id, account_id) REFERENCES trading.accounts
	);
	CREATE INDEX ON trading.strategies (company_id, owner_id, account_id);
	PERFORM trading.add_parameter_columns('trading.strategies');
	PERFORM trading.describe('trading.strategies',
		'strategies of users, and the company''s own row, which overrides them; a parameter that is NULL is not set',
		jsonb_build_object(
			'user_id', 'user of the company, or _all: the company''s row',
			'strategy_id', 'strategy of the user, or _all: the company''s row',
			'name', 'what people call it',
			'account_id', 'account that it trades',
			'version', 'counts the changes of the row',
			'hit_rate', 'share of its last closed trades that won, 0..1, as trading.measure_strategies() found it; NULL: too few',
			'position_size_multiplier', 'its account''s multiplier is multiplied by this, 0 < x <= 1: trading.adjust_strategies() moves it',
			'auto_adjust', 'whether trading.adjust_strategies() may change it',
			'follow_model_accuracy', 'whether models weigh as much as they were right of late: trading.model_weights',
			'owner_id', 'user_id, or NULL in the company''s row: refers to trading.users'));

	CREATE TABLE trading.strategy_changes (
		change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
		system_identifier bigint NOT NULL,
		kind text COLLATE "C" NOT NULL,
		company_id text COLLATE "C",
		user_id text COLLATE "C",
		strategy_id text COLLATE "C",
		item text COLLATE "C",
		operation text NOT NULL CHECK (operation IN ('INSERT', 'UPDATE', 'DELETE', 'RELOAD')),
		version bigint,
		row_data jsonb,
		changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		changed_by name NOT NULL DEFAULT session_user,
		changed_as text,
		CHECK ((row_data IS NULL) = (operation IN ('DELETE', 'RELOAD')))
	);
	CREATE INDEX ON trading.strategy_changes (system_identifier, xid, change_id);
	CREATE INDEX ON trading.strategy_changes (kind, company_id, user_id, strategy_id, item, change_id DESC)
		INCLUDE (system_identifier, xid);
	-- A version is one content for ever.
	CREATE UNIQUE INDEX strategy_changes_version ON trading.strategy_changes (company_id, user_id, strategy_id, version)
		WHERE kind = 'strategy' AND operation <> 'DELETE';
	PERFORM trading.describe('trading.strategy_changes',
		'the log of versions: every row of tiers, companies, users, producers, instruments, their rates, sessions and holidays, accounts, strategies, limits, protections, '
		'their locks, switches and news that was inserted, updated or deleted. Workers read what their previous snapshot couldn''t see', jsonb_build_object(
		'change_id', 'order of insertion; of one row''s versions, order of commits; says nothing about the order of other commits',
		'xid', 'transaction that made the change',
		'system_identifier', 'of the cluster that xid belongs to',
		'kind', 'tier, company, user, producer, instrument, rate, model_weight, session, holiday, account, strategy, limit, protection, lock, switch, news_rule, news, calendar; all: this cluster took the log over from another',
		'company_id', 'company that the row belongs to; NULL: none',
		'user_id', 'user of the company; _all: the company''s override; NULL: none',
		'strategy_id', 'strategy of the user; _all: the company''s override; NULL: none',
		'item', 'tier, producer, symbol, pair of currencies, session, holiday, account or scope; NULL: none',
		'operation', 'INSERT, UPDATE, DELETE (a change of the key is a DELETE and an INSERT); RELOAD, where kind is all',
		'version', 'version of a strategy''s row, of a deleted one the last; NULL for other kinds',
		'row_data', 'the row after the change, without secrets and NULLs; NULL: there is none',
		'changed_at', 'when the statement was done',
		'changed_by', 'role that opened the session',
		'changed_as', 'company/user that the session was; NULL: none'));
END
$$;
COMMENT ON FUNCTION trading.create_tenant_tables() IS 'part of trading.setup(): tiers, companies, users, strategies and what belongs to them';

CREATE FUNCTION trading.create_market_tables() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	CREATE TABLE trading.instruments (
		symbol text PRIMARY KEY CONSTRAINT symbol_is_a_name CHECK (symbol ~ '^[A-Za-z0-9_-]{1,32}$'),
		asset_class text NOT NULL CONSTRAINT asset_class_is_known
			CHECK (asset_class IN ('forex', 'metal', 'crypto', 'index', 'other')),
		base_currency text NOT NULL CONSTRAINT base_currency_is_a_code CHECK (base_currency ~ '^[A-Z0-9]{2,16}$'),
		quote_currency text NOT NULL CONSTRAINT quote_currency_is_a_code CHECK (quote_currency ~ '^[A-Z0-9]{2,16}$'),
		pip_size float8 NOT NULL CONSTRAINT pip_size_is_positive CHECK (pip_size > 0 AND pip_size < 'Infinity'),
		tick_size float8 NOT NULL CONSTRAINT "tick_size_is_at_least_1e-8" CHECK (tick_size >= 1e-8 AND tick_size < 'Infinity'),
		contract_size float8 NOT NULL CONSTRAINT contract_size_is_positive
			CHECK (contract_size > 0 AND contract_size < 'Infinity'),
		lot_min float8 NOT NULL CONSTRAINT lot_min_is_positive CHECK (lot_min > 0 AND lot_min < 'Infinity'),
		lot_step float8 NOT NULL CONSTRAINT "lot_step_is_at_least_1e-8" CHECK (lot_step >= 1e-8 AND lot_step < 'Infinity'),
		lot_max float8 NOT NULL CONSTRAINT lot_max_is_at_least_lot_min CHECK (lot_max >= lot_min)
			CONSTRAINT lot_max_is_at_most_1e12 CHECK (lot_max <= 1e12),
		min_stop_pips float8 NOT NULL DEFAULT 0 CONSTRAINT min_stop_pips_is_not_negative
			CHECK (min_stop_pips >= 0 AND min_stop_pips < 'Infinity'),
		margin_rate float8 NOT NULL DEFAULT 0.2 CONSTRAINT margin_rate_is_within_0_and_1 CHECK (margin_rate >= 0 AND margin_rate <= 1),
		CONSTRAINT currencies_differ CHECK (base_currency <> quote_currency),
		-- Those that aren't positive are reported as such.
		CONSTRAINT lot_min_is_a_multiple_of_lot_step CHECK (NOT (lot_step > 0 AND lot_min > 0)
			OR abs(lot_min / lot_step - round(lot_min / lot_step)) <= 1e-6 AND round(lot_min / lot_step) >= 1)
	);
	PERFORM trading.describe('trading.instruments', 'what can be traded', jsonb_build_object(
		'symbol', 'name of the instrument, as in subjects',
		'asset_class', 'forex, metal, crypto, index or other',
		'base_currency', 'what is bought and sold',
		'quote_currency', 'currency of the price',
		'pip_size', 'one pip in price units',
		'tick_size', 'smallest step of a price',
		'contract_size', 'units of base per lot',
		'lot_min', 'smallest size, lots',
		'lot_step', 'step of sizes, lots',
		'lot_max', 'largest size, lots',
		'min_stop_pips', 'least distance of stops that the broker takes, pips',
		'margin_rate', 'share of a position''s value that is bound as margin: 0.05 is a leverage of 20; for trading.risk_limits'));

	CREATE TABLE trading.market_bars (
		lane integer NOT NULL,
		symbol text NOT NULL,
		bar_start timestamptz NOT NULL,
		open float8 NOT NULL,
		high float8 NOT NULL,
		low float8 NOT NULL,
		close float8 NOT NULL,
		recorded_at timestamptz NOT NULL DEFAULT now(),
		PRIMARY KEY (lane, symbol, bar_start)
	);
	PERFORM trading.describe('trading.market_bars',
		'closed bars of the mid price; every lane builds its own from the same input', jsonb_build_object(
		'bar_start', 'time at which the bar begins; trading_engine.bar_length is its length',
		'open', 'first mid price of the bar',
		'high', 'greatest mid price of the bar',
		'low', 'least mid price of the bar',
		'close', 'last mid price of the bar'));

	EXECUTE format($table$
	CREATE TABLE trading.market_conditions (
		lane integer NOT NULL,
		symbol text NOT NULL,
		bar_start timestamptz NOT NULL,
		regime text NOT NULL CHECK (regime = ANY (%L)),
		trend text NOT NULL CHECK (trend = ANY (%L)),
		volatility_ratio float8 NOT NULL,
		bars bigint NOT NULL,
		last_close float8 NOT NULL,
		atr float8 NOT NULL,
		ema_fast float8 NOT NULL,
		ema_slow float8 NOT NULL,
		returns bigint NOT NULL,
		var_fast float8 NOT NULL,
		var_slow float8 NOT NULL,
		recorded_at timestamptz NOT NULL DEFAULT now(),
		PRIMARY KEY (lane, symbol, bar_start)
	)$table$, trading.enum_labels('regime'), trading.enum_labels('trend'));
	PERFORM trading.describe('trading.market_conditions', 'the complete market state of a symbol after a closed bar',
		jsonb_build_object(
		'bar_start', 'the bar that the state comes after',
		'regime', 'what kind of market it is',
		'trend', 'where the market goes',
		'volatility_ratio', 'fast over slow volatility',
		'bars', 'closed bars since the chain began',
		'last_close', 'close of the bar',
		'atr', 'average true range of 14 bars (Wilder); a sum of true ranges before the 14th bar',
		'ema_fast', 'exponential average of closes, 12 bars',
		'ema_slow', 'exponential average of closes, 26 bars',
		'returns', 'log returns seen',
		'var_fast', 'variance of returns, lambda 0.94; a sum of squares before the 20th return',
		'var_slow', 'variance of returns, lambda 0.99; a sum of squares before the 20th return'));
END
$$;
COMMENT ON FUNCTION trading.create_market_tables() IS 'part of trading.setup(): instruments and market state';

CREATE FUNCTION trading.create_lane_tables() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	CREATE TABLE trading.installation (
		only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
		installation_id uuid NOT NULL DEFAULT gen_random_uuid(),
		notify_key bytea NOT NULL,
		schema_version text NOT NULL,
		created_at timestamptz NOT NULL DEFAULT now()
	);
	PERFORM trading.describe('trading.installation', 'this installation', jsonb_build_object(
		'only_row', 'there is one row',
		'installation_id', 'part of the id of every message that is published',
		'notify_key', 'secret: names of the companies'' notification channels are made with it',
		'schema_version', 'version of the tables'));

	CREATE TABLE trading.lanes (
		lane integer PRIMARY KEY CHECK (lane >= 0),
		epoch bigint NOT NULL DEFAULT 1 CHECK (epoch > 0),
		first_batch_no bigint NOT NULL DEFAULT 0,
		system_identifier bigint NOT NULL,
		database_oid oid NOT NULL,
		timeline integer NOT NULL,
		data_directory text NOT NULL,
		adopt_requested boolean NOT NULL DEFAULT false,
		predecessor_epoch bigint NOT NULL DEFAULT 0,
		inherited_epoch bigint NOT NULL DEFAULT 0,
		inherited_seq bigint NOT NULL DEFAULT 0,
		adopted_at timestamptz NOT NULL DEFAULT now(),
		adopted_by name NOT NULL DEFAULT session_user
	);
	PERFORM trading.describe('trading.lanes',
		'lanes, and who owns them: a copy of the database isn''t the owner, and sends nothing until trading.adopt()', jsonb_build_object(
		'lane', 'number of the lane, from 0 without gaps',
		'epoch', 'epoch that the lane writes in',
		'first_batch_no', 'batches before this one are of the lanes that there were until trading.set_lanes() was called last; 0: it never was',
		'system_identifier', 'of the cluster that owns the lane',
		'database_oid', 'of the database that owns the lane',
		'timeline', 'of the cluster when it became the owner',
		'data_directory', 'of the cluster when it became the owner',
		'adopt_requested', 'trading.adopt() was called; the worker begins an epoch above the broker''s and clears it',
		'predecessor_epoch', 'epoch up to which all output at the brokers, whose ever, is behind us: the one before that which the last adoption began',
		'inherited_epoch', 'epoch of the last output before that epoch which a promotion or trading.set_lanes() began; 0: that isn''t known',
		'inherited_seq', 'its number: what a broker has between it and the new epoch is of another engine that went on',
		'adopted_at', 'when the owner became the owner',
		'adopted_by', 'who made it so'));

	CREATE TABLE trading.batches (
		lane integer NOT NULL,
		batch_no bigint NOT NULL,
		epoch bigint NOT NULL,
		lane_count integer,
		system_identifier bigint,
		recorded_at timestamptz NOT NULL DEFAULT now(),
		decided_at timestamptz,
		input_created timestamptz,
		input_incarnation bigint NOT NULL DEFAULT 0,
		input_seq bigint NOT NULL DEFAULT 0,
		input_resume bigint,
		input_time timestamptz,
		kafka_positions jsonb,
		first_out_seq bigint,
		last_out_seq bigint,
		publish_epoch bigint NOT NULL DEFAULT 0,
		publish_seq bigint NOT NULL DEFAULT 0,
		publish_created timestamptz,
		publish_stream_seq bigint NOT NULL DEFAULT 0,
		kafka_epoch bigint NOT NULL DEFAULT 0,
		kafka_seq bigint NOT NULL DEFAULT 0,
		released_epoch bigint NOT NULL DEFAULT 0,
		released_seq bigint NOT NULL DEFAULT 0,
		change_snapshot pg_snapshot,
		inbox_snapshot pg_snapshot,
		lane_clock timestamptz,
		messages integer NOT NULL DEFAULT 0,
		predictions integer NOT NULL DEFAULT 0,
		signals integer NOT NULL DEFAULT 0,
		state_full boolean NOT NULL DEFAULT false,
		state bytea,
		PRIMARY KEY (lane, batch_no)
	) PARTITION BY RANGE (batch_no);
	PERFORM trading.describe('trading.batches', 'one row per batch; the newest row of a lane is its state', jsonb_build_object(
		'batch_no', 'counts the lane''s batches; a second writer of the lane collides here',
		'lane_count', 'how many lanes there were: trading.lane_of() says which of them a company was on',
		'decided_at', 'the server''s clock when the batch was decided',
		'system_identifier', 'of the cluster that the snapshots belong to',
		'input_created', 'when the input stream was created, which tells it from another of the same name',
		'input_incarnation', 'counts the input streams, and losses of a stream''s tail, that the lane has seen',
		'input_seq', 'position in the input stream up to which everything was read',
		'input_resume', 'position behind which a restart reads again: right before the first message that waits for its turn; NULL: none does, it is input_seq',
		'input_time', 'time of the message at input_seq',
		'kafka_positions', 'the same of each partition of Kafka, a number being its offset + 1; NULL: as in the row before. See trading.input_positions',
		'first_out_seq', 'first sequence of the batch''s messages on the output stream; NULL: it sent none',
		'last_out_seq', 'last output sequence of the lane, in its epoch, after this batch',
		'publish_epoch', 'epoch of publish_seq',
		'publish_seq', 'output sequence up to which NATS has acknowledged everything',
		'publish_created', 'when the output stream on NATS was created',
		'publish_stream_seq', 'position of that message in it, or of a later one',
		'kafka_epoch', 'epoch of kafka_seq',
		'kafka_seq', 'output sequence up to which everything is on Kafka, or was acknowledged by NATS before Kafka took over',
		'released_epoch', 'epoch of released_seq',
		'released_seq', 'output sequence up to which it is settled what leaves: the bytes in trading.outbox, or a record of a gap for what is in trading.gap_fills',
		'change_snapshot', 'the changes in trading.strategy_changes that were applied: trading.rows_at(kind, change_snapshot, system_identifier)',
		'inbox_snapshot', 'the rows of trading.inbox that were read',
		'lane_clock', 'the lane''s clock: its greatest generated_at with trading_engine.clock = input',
		'messages', 'messages read, each counted once: one that waits for its turn with the batch that read it',
		'predictions', 'predictions of the messages that took effect',
		'signals', 'rows written to trading.signals',
		'state_full', 'whether state is complete, or a difference to the previous rows',
		'state', 'windows of producers, duplicates and reservations after the batch'));

	CREATE TABLE trading.prediction_batches (
		recorded_at timestamptz NOT NULL DEFAULT now(),
		lane integer NOT NULL,
		batch_no bigint NOT NULL,
		position integer NOT NULL,
		source text NOT NULL,
		input_seq bigint,
		subject text,
		company_id text NOT NULL,
		user_id text NOT NULL,
		batch_id text,
		producer_id text,
		producer_epoch bigint,
		producer_seq bigint,
		payload_hash bytea NOT NULL CHECK (octet_length(payload_hash) = 32),
		correlation_id text,
		predictions integer NOT NULL,
		decided_at timestamptz NOT NULL,
		message bytea NOT NULL,
		market bytea
	) PARTITION BY RANGE (recorded_at);
	CREATE INDEX ON trading.prediction_batches (lane, batch_no);
	CREATE INDEX ON trading.prediction_batches (company_id, recorded_at);
	CREATE INDEX ON trading.prediction_batches USING brin (decided_at); -- replay asks for a range of it
	PERFORM trading.describe('trading.prediction_batches', 'messages with predictions as they came in', jsonb_build_object(
		'company_id', 'company that the predictions are for, or _all',
		'user_id', 'user that the predictions are for, or _all',
		'position', 'order of the messages within the batch',
		'source', 'way that the message came: nats or inbox',
		'input_seq', 'position in the input stream, or id in trading.inbox',
		'batch_id', 'id that the producer gave the batch',
		'producer_epoch', 'grows when the producer has lost its counter',
		'producer_seq', 'the producer''s gapless counter',
		'payload_hash', 'SHA-256 of the payload, which tells a repeated message from a conflicting one',
		'predictions', 'predictions in the message',
		'decided_at', 'the lane''s clock before the first prediction; with trading_engine.clock = input each sound prediction moves it on to its generated_at',
		'message', 'the message, byte for byte',
		'market', 'market state of its symbols when it was decided: trading.MarketSnapshot'));

	PERFORM trading.create_signal_tables();

	CREATE TABLE trading.outbox (
		recorded_at timestamptz NOT NULL DEFAULT now(),
		lane integer NOT NULL,
		batch_no bigint NOT NULL,
		epoch bigint NOT NULL,
		first_seq bigint NOT NULL,
		last_seq bigint NOT NULL,
		frames bytea NOT NULL,
		expires_at timestamptz,
		CHECK (first_seq <= last_seq)
	) PARTITION BY RANGE (recorded_at);
	CREATE INDEX ON trading.outbox (lane, epoch, last_seq);
	-- Compressing them would cost more than the days that they are kept are worth.
	ALTER TABLE trading.outbox ALTER COLUMN frames SET STORAGE EXTERNAL;
	PERFORM trading.describe('trading.outbox', 'the exact bytes of every message that a batch sends', jsonb_build_object(
		'first_seq', 'output sequence of the first message',
		'last_seq', 'output sequence of the last message',
		'frames', 'subjects, headers and payloads, in order',
		'expires_at', 'when the last of the messages is of no more use'));

	CREATE TABLE trading.gap_fills (
		recorded_at timestamptz NOT NULL DEFAULT now(),
		lane integer NOT NULL,
		batch_no bigint NOT NULL,
		epoch bigint NOT NULL,
		seq bigint NOT NULL,
		reason text NOT NULL CHECK (reason IN ('EXPIRED', 'HALTED', 'TOO_LARGE'))
	) PARTITION BY RANGE (recorded_at);
	CREATE INDEX ON trading.gap_fills (lane, epoch, seq);
	PERFORM trading.describe('trading.gap_fills', 'messages that never left: a record of a gap took their place', jsonb_build_object(
		'batch_no', 'batch that decided it',
		'epoch', 'epoch of the message',
		'seq', 'output sequence of the message',
		'reason', 'EXPIRED or HALTED before any broker could have it, or TOO_LARGE for the broker'));

	CREATE TABLE trading.routes (
		lane integer NOT NULL,
		version bigint NOT NULL,
		route_epoch bigint NOT NULL,
		state text NOT NULL CHECK (state IN ('NATS', 'SUSPECT', 'KAFKA', 'HALF_OPEN', 'DRAIN_BACK', 'NONE')),
		cause text NOT NULL,
		via text NOT NULL CHECK (via IN ('NATS', 'KAFKA')),
		from_epoch bigint NOT NULL,
		from_seq bigint NOT NULL,
		cut_epoch bigint NOT NULL,
		cut_seq bigint NOT NULL,
		dwell interval NOT NULL,
		changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		PRIMARY KEY (lane, version)
	);
	PERFORM trading.describe('trading.routes', 'which way the output of a lane takes: one row per change, stored before anything is sent under it', jsonb_build_object(
		'version', 'counts the changes',
		'route_epoch', 'counts the switches of the transport that is sent to; header te-route of the messages',
		'state', 'what the lane does: doc/failover.md',
		'cause', 'why it came to that',
		'via', 'transport that messages of this route epoch take',
		'from_epoch', 'epoch of from_seq',
		'from_seq', 'the first message of the route epoch is behind this output sequence',
		'cut_epoch', 'epoch of cut_seq',
		'cut_seq', 'of DRAIN_BACK: the last message that ever went to Kafka',
		'dwell', 'least time on Kafka before NATS is tried again',
		'changed_at', 'when it changed'));

	CREATE TABLE trading.dead_letters (
		recorded_at timestamptz NOT NULL DEFAULT now(),
		lane integer NOT NULL,
		batch_no bigint NOT NULL,
		source text NOT NULL,
		input_seq bigint,
		subject text,
		company_id text,
		user_id text,
		producer_id text,
		reason text NOT NULL,
		detail text,
		prediction_index integer,
		message bytea,
		dead_letter_id uuid NOT NULL DEFAULT gen_random_uuid(),
		retried_at timestamptz
	) PARTITION BY RANGE (recorded_at);
	CREATE INDEX ON trading.dead_letters (lane, batch_no);
	CREATE INDEX ON trading.dead_letters (dead_letter_id);
	CREATE INDEX ON trading.dead_letters (company_id, recorded_at);
	PERFORM trading.describe('trading.dead_letters', 'input that could not be used, and why', jsonb_build_object(
		'company_id', 'company that the message names; NULL where it names none',
		'user_id', 'user that the message names; NULL where it names none',
		'source', 'way that the message came: nats or inbox',
		'input_seq', 'position in the input stream, or id in trading.inbox',
		'reason', 'what kind of fault it is',
		'detail', 'the field and what is wrong with it',
		'prediction_index', 'which prediction of the message, from 0; NULL: the message as a whole',
		'message', 'the message, byte for byte, or as much as was kept',
		'dead_letter_id', 'id for trading.retry_dead_letter()',
		'retried_at', 'when trading.retry_dead_letter() gave it to the lanes again'));

	EXECUTE format($table$
	CREATE TABLE trading.input_gaps (
		gap_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		recorded_at timestamptz NOT NULL DEFAULT now(),
		lane integer NOT NULL,
		batch_no bigint NOT NULL,
		source text NOT NULL,
		scope text,
		producer_id text,
		epoch bigint,
		from_seq bigint NOT NULL,
		to_seq bigint NOT NULL,
		reason text NOT NULL CHECK (reason = ANY (%L)),
		CHECK (from_seq <= to_seq)
	)$table$, array_replace(trading.enum_labels('gap_reason'), 'NONE', 'DISCARDED'));
	CREATE INDEX ON trading.input_gaps (lane, batch_no);
	PERFORM trading.describe('trading.input_gaps', 'input that was never seen', jsonb_build_object(
		'gap_id', 'order of recording',
		'source', 'input stream that the numbers are of (nats, or kafka: with topic and partition), or producer',
		'scope', 'company and user of the producer''s sequence; NULL: a range of the input stream itself',
		'producer_id', 'producer whose numbers are missing; NULL: a range of the input stream itself',
		'epoch', 'epoch of the producer',
		'from_seq', 'first missing number',
		'to_seq', 'last missing number; of ABANDONED, the producer didn''t say how many followed from_seq',
		'reason', 'DISCARDED: the broker dropped them; MISSING: waited and asked for in vain; ABANDONED: the producer began a new epoch; OVERFLOW: too much waited behind them; RELEASED: given up by trading.release_gap()'));

	CREATE TABLE trading.inbox (
		inbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
		kind text NOT NULL CHECK (kind IN ('predictions', 'execution', 'retry', 'release_gap')),
		company_id text NOT NULL,
		user_id text NOT NULL,
		producer_id text,
		subject text,
		authorised boolean NOT NULL DEFAULT true,
		payload bytea,
		CHECK ((kind = 'release_gap') = (payload IS NULL)),
		CHECK ((kind = 'release_gap') = (producer_id IS NOT NULL)),
		CHECK ((kind = 'retry') = (subject IS NOT NULL)),
		submitted_by name NOT NULL,
		submitted_at timestamptz NOT NULL DEFAULT now()
	);
	CREATE INDEX ON trading.inbox (xid);
	PERFORM trading.describe('trading.inbox', 'input that came by SQL, until every lane has read it', jsonb_build_object(
		'inbox_id', 'order of insertion; says nothing about the order of commits',
		'xid', 'transaction that put it here',
		'kind', 'what the payload is; retry: a message that was a dead letter; release_gap: there is none, the producer''s first missing messages are given up',
		'producer_id', 'of release_gap: producer whose messages are given up',
		'subject', 'of retry: subject that the message came in on; otherwise it follows from the kind',
		'authorised', 'whether the sender was authorised before; otherwise producer and token are looked at',
		'company_id', 'company that it is for, or _all',
		'user_id', 'user that it is for, or _all',
		'payload', 'an envelope, as it would come from a broker',
		'submitted_by', 'role that opened the session',
		'submitted_at', 'when that transaction began'));

	EXECUTE format($table$
	CREATE TABLE trading.decision_counts (
		company_id text NOT NULL,
		user_id text NOT NULL,
		strategy_id text NOT NULL,
		minute timestamptz NOT NULL,
		outcome text NOT NULL CHECK (outcome = ANY (%L)),
		lane integer NOT NULL,
		decisions bigint NOT NULL,
		rule_errors bigint NOT NULL DEFAULT 0,
		PRIMARY KEY (company_id, user_id, strategy_id, minute, outcome, lane)
	) PARTITION BY RANGE (minute)$table$, trading.enum_labels('outcome'));
	CREATE INDEX ON trading.decision_counts (minute);
	PERFORM trading.describe('trading.decision_counts',
		'how often a strategy came to an outcome; statistics, flushed each minute, outside the exactly-once promise', jsonb_build_object(
		'minute', 'minute that was counted',
		'outcome', 'how the decisions ended',
		'decisions', 'how many',
		'rule_errors', 'of CUSTOM_RULE: how many of them because the rule could not be evaluated'));

	CREATE TABLE trading.confidence_counts (
		company_id text NOT NULL DEFAULT '_all',
		user_id text NOT NULL DEFAULT '_all',
		symbol text NOT NULL,
		minute timestamptz NOT NULL,
		confidence smallint NOT NULL CHECK (confidence BETWEEN 0 AND 100),
		lane integer NOT NULL,
		predictions bigint NOT NULL,
		PRIMARY KEY (company_id, user_id, symbol, minute, confidence, lane)
	) PARTITION BY RANGE (minute);
	CREATE INDEX ON trading.confidence_counts (minute);
	PERFORM trading.describe('trading.confidence_counts',
		'predictions by confidence, from which the LOW_CONFIDENCE count of a strategy follows; statistics', jsonb_build_object(
		'company_id', 'company that the predictions were for, or _all',
		'user_id', 'user that the predictions were for, or _all',
		'minute', 'minute that was counted',
		'confidence', 'hundredths, rounded down',
		'predictions', 'how many'));
END
$$;
COMMENT ON FUNCTION trading.create_lane_tables() IS 'part of trading.setup(): lanes, batches, input and output';

CREATE FUNCTION trading.create_signal_tables() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format($table$
	CREATE TABLE trading.signals (
		recorded_at timestamptz NOT NULL DEFAULT now(),
		lane integer NOT NULL,
		batch_no bigint NOT NULL,
		position integer NOT NULL,
		ordinal integer NOT NULL,
		out_epoch bigint NOT NULL,
		out_seq bigint,
		command_seq bigint,
		signal_id uuid NOT NULL,
		company_id text NOT NULL,
		user_id text NOT NULL,
		account_id text NOT NULL,
		strategy_id text NOT NULL,
		symbol text NOT NULL,
		prediction_id text NOT NULL,
		batch_id text,
		producer_id text,
		correlation_id text,
		outcome text NOT NULL CHECK (outcome = ANY (%L)),
		hold_reason text CHECK (hold_reason = ANY (%L)),
		signal_type text CHECK (signal_type = ANY (%L)),
		signal_strength float8,
		consensus_score float8,
		market_favorability float8,
		order_type text CHECK (order_type = ANY (%L)),
		execution_urgency text CHECK (execution_urgency = ANY (%L)),
		entry_price float8,
		limit_price float8,
		stop_loss float8,
		take_profit float8,
		reward_risk_ratio float8,
		position_size float8,
		max_loss float8,
		timing_strategy text CHECK (timing_strategy = ANY (%L)),
		trigger_price float8,
		expires_at timestamptz,
		auto_execute boolean,
		max_slippage_pips float8,
		time_in_force text CHECK (time_in_force = ANY (%L)),
		execution_algorithm text CHECK (execution_algorithm = ANY (%L)),
		risk_status text CHECK (risk_status = ANY (%L)),
		risk_level text CHECK (risk_level = ANY (%L)),
		cancellation_reason text,
		risk_notes text[],
		original_position_size float8,
		original_stop_loss float8,
		assessment bytea,
		generated_at timestamptz NOT NULL,
		decided_at timestamptz NOT NULL,
		simulated boolean NOT NULL,
		strategy_version bigint NOT NULL,
		core_version integer NOT NULL,
		inputs bytea NOT NULL
	) PARTITION BY RANGE (recorded_at)$table$,
		trading.enum_labels('outcome'), trading.enum_labels('hold_reason'), trading.enum_labels('direction'),
		trading.enum_labels('order_type'), trading.enum_labels('urgency'), trading.enum_labels('timing'),
		trading.enum_labels('time_in_force'), trading.enum_labels('algorithm'),
		trading.enum_labels('risk_status'), trading.enum_labels('risk_level'));
	CREATE INDEX ON trading.signals (company_id, recorded_at);
	CREATE INDEX ON trading.signals (company_id, user_id, strategy_id, recorded_at);
	CREATE INDEX ON trading.signals (signal_id);
	CREATE INDEX ON trading.signals (lane, batch_no); -- a lane that starts reads the newest
	PERFORM trading.describe('trading.signals', 'signals, with everything that their decision was made from', jsonb_build_object(
		'position', 'message of the batch that it comes from: position in trading.prediction_batches',
		'ordinal', 'order of the signals within the batch, from 0',
		'out_epoch', 'epoch of the output sequence',
		'out_seq', 'place on the lane''s output stream; NULL: not published',
		'command_seq', 'place of its command on the lane''s output stream; NULL: it became none',
		'signal_id', 'derived from prediction and strategy: the same decision has the same id everywhere',
		'prediction_id', 'prediction that it comes from',
		'batch_id', 'id that the producer gave the prediction''s batch',
		'outcome', 'SIGNAL, HOLD or RISK_REJECTED',
		'hold_reason', 'why it is a HOLD',
		'signal_type', 'what to do, and how decidedly',
		'signal_strength', '0..1',
		'consensus_score', 'share of the models that agree, 0..1',
		'market_favorability', 'how well the market suits it, 0..1',
		'order_type', 'MARKET or LIMIT',
		'execution_urgency', 'IMMEDIATE or PATIENT',
		'entry_price', 'price that stops and size were computed from, quote currency per unit of base',
		'limit_price', 'limit of a LIMIT order',
		'stop_loss', 'stop loss price',
		'take_profit', 'take profit price',
		'reward_risk_ratio', 'reward over risk of the rounded prices',
		'position_size', 'lots',
		'max_loss', 'loss at the stop, in the account''s currency; NULL: no conversion rate is known',
		'timing_strategy', 'whether the order waits',
		'trigger_price', 'price that the order waits for',
		'expires_at', 'until when the signal is good',
		'auto_execute', 'whether it becomes a command',
		'max_slippage_pips', 'most slippage accepted, pips',
		'time_in_force', 'life of the order',
		'execution_algorithm', 'how a large order is worked',
		'generated_at', 'when the prediction was made',
		'simulated', 'decided by the input''s clock: never becomes a command',
		'account_id', 'account that it is for',
		'risk_status', 'who assessed it: ASSESSED (limits or risk service), FALLBACK_USED (service is avoided), ERROR_FALLBACK (service failed); NULL: nobody',
		'risk_level', 'what the risk service said; NULL: nothing',
		'cancellation_reason', 'why a signal was turned into a hold: outcome RISK_REJECTED',
		'risk_notes', 'what the assessment changed, a line each',
		'original_position_size', 'lots before the assessment; NULL: nobody assessed it',
		'original_stop_loss', 'stop loss before the assessment; NULL: nobody assessed it',
		'assessment', 'what was done to the decision: trading.StoredAssessment',
		'strategy_version', 'version of the strategy''s row',
		'core_version', 'version of the code that decided',
		'inputs', 'the six inputs of the decision: trading.DecisionInputs'));

	EXECUTE format($table$
	CREATE TABLE trading.signal_legs (
		recorded_at timestamptz NOT NULL DEFAULT now(),
		company_id text NOT NULL,
		user_id text NOT NULL,
		signal_id uuid NOT NULL,
		leg integer NOT NULL,
		order_type text NOT NULL CHECK (order_type = ANY (%L)),
		entry_price float8 NOT NULL,
		stop_loss float8 NOT NULL,
		take_profit float8 NOT NULL,
		position_size float8 NOT NULL
	) PARTITION BY RANGE (recorded_at)$table$, trading.enum_labels('order_type'));
	CREATE INDEX ON trading.signal_legs (signal_id);
	CREATE INDEX ON trading.signal_legs (company_id, recorded_at);
	PERFORM trading.describe('trading.signal_legs', 'legs of signals that are split', jsonb_build_object(
		'signal_id', 'the signal',
		'leg', 'from 0, which is the signal''s own order',
		'order_type', 'MARKET or LIMIT',
		'entry_price', 'price at which the leg enters',
		'stop_loss', 'stop loss price, that of the signal',
		'take_profit', 'take profit price of the leg',
		'position_size', 'lots; the legs add up to the signal''s size'));
END
$$;
COMMENT ON FUNCTION trading.create_signal_tables() IS 'part of trading.setup(): signals and legs';
