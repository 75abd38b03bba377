-- Limits, protections and their locks, the kill switch, news: what stands between a decision
-- and an order.  doc/risk.md has the rules.
--
-- A row has a scope: a company, a user of it, a strategy of his, a symbol, or a combination;
-- what is NULL is all.  It has an authority too, so that nobody softens what somebody above
-- has laid down: of all rows that concern a signal the strictest counts, and a row is changed
-- only by its own authority or one above.

CREATE FUNCTION trading.limit_columns()
	RETURNS TABLE (name text, doc text)
	AS 'MODULE_PATHNAME', 'te_sql_limit_columns'
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE ROWS 7;
COMMENT ON FUNCTION trading.limit_columns() IS 'the limits that there are: columns of trading.risk_limits';

-- The columns of a scope, with the key that they make together.
CREATE FUNCTION trading.scope_columns() RETURNS text
	LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT $columns$
		authority text NOT NULL CONSTRAINT authority_is_known CHECK (authority IN ('OPERATOR', 'COMPANY', 'USER')),
		company_id text REFERENCES trading.companies ON DELETE CASCADE,
		user_id text,
		strategy_id text CONSTRAINT strategy_id_is_a_name CHECK (strategy_id ~ '^[A-Za-z0-9_-]{1,64}$'),
		symbol text REFERENCES trading.instruments ON UPDATE CASCADE,
		scope text NOT NULL GENERATED ALWAYS AS (authority || ' ' || COALESCE(company_id, '*') || '/' || COALESCE(user_id, '*')
			|| '/' || COALESCE(strategy_id, '*') || '/' || COALESCE(symbol, '*')) STORED,
		changed_at timestamptz NOT NULL DEFAULT now(),
		changed_by text NOT NULL DEFAULT session_user,
		CONSTRAINT user_id_needs_company_id CHECK (user_id IS NULL OR company_id IS NOT NULL),
		CONSTRAINT strategy_id_needs_user_id CHECK (strategy_id IS NULL OR user_id IS NOT NULL),
		CONSTRAINT company_authority_needs_company_id CHECK (authority = 'OPERATOR' OR company_id IS NOT NULL),
		CONSTRAINT user_authority_needs_user_id CHECK (authority <> 'USER' OR user_id IS NOT NULL),
		FOREIGN KEY (company_id, user_id) REFERENCES trading.users ON DELETE CASCADE$columns$
$$;
COMMENT ON FUNCTION trading.scope_columns() IS 'part of trading.setup(): columns of tables whose rows have a scope';

CREATE FUNCTION trading.describe_scoped(relation regclass, about text, columns jsonb) RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
	SELECT trading.describe(relation, about, jsonb_build_object(
		'authority', 'who laid it down: OPERATOR (trading_admin), COMPANY (an admin of the company), USER; may be changed by the same or one above',
		'company_id', 'company that it is about; NULL: each',
		'user_id', 'user that it is about; NULL: all',
		'strategy_id', 'strategy that it is about, whether there is one of that name now or not; NULL: all',
		'symbol', 'instrument that it is about; NULL: all',
		'scope', 'authority and scope in one, as in OPERATOR acme/*/*/EURUSD',
		'changed_at', 'when the row was made or last changed',
		'changed_by', 'who did so: role, or company/user') || columns)
$$;
COMMENT ON FUNCTION trading.describe_scoped(regclass, text, jsonb) IS 'part of trading.setup(): comments on a table whose rows have a scope';

CREATE FUNCTION trading.create_limit_tables() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	scope_columns constant text := trading.scope_columns();
	limit_columns constant text := (
		SELECT string_agg(format('%1$I float8 CONSTRAINT %2$I CHECK (%1$I >= 0 AND %1$I < ''Infinity'')', l.name, l.name || '_is_not_negative'), ', ')
		  FROM trading.limit_columns() AS l);
BEGIN
	EXECUTE format('CREATE TABLE trading.risk_limits (%s, %s, PRIMARY KEY (scope),
		CONSTRAINT min_free_margin_percent_is_at_most_100 CHECK (min_free_margin_percent <= 100))', scope_columns, limit_columns);
	CREATE INDEX ON trading.risk_limits (company_id, user_id);
	PERFORM trading.describe_scoped('trading.risk_limits',
		'limits: what is open within the scope, reserved signals included, stays within them; NULL: no such limit. A row of no company is for each company by itself',
		(SELECT jsonb_object_agg(l.name, l.doc) FROM trading.limit_columns() AS l));

	EXECUTE format($table$
	CREATE TABLE trading.protections (
		%s,
		name text NOT NULL DEFAULT '' CONSTRAINT name_is_short CHECK (name ~ '^[A-Za-z0-9_-]{0,64}$'),
		kind text NOT NULL CONSTRAINT kind_is_known CHECK (kind = ANY (%L)),
		enabled boolean NOT NULL DEFAULT true,
		lookback interval NOT NULL DEFAULT '1 day' CONSTRAINT lookback_is_positive CHECK (lookback > '0' AND lookback <= '366 days'),
		lock_for interval NOT NULL DEFAULT '1 hour' CONSTRAINT lock_for_is_positive CHECK (lock_for > '0' AND lock_for <= '366 days'),
		unlock_at time CONSTRAINT unlock_at_is_a_minute CHECK (EXTRACT(SECOND FROM unlock_at) = 0),
		trade_limit integer NOT NULL DEFAULT 1 CONSTRAINT trade_limit_is_positive CHECK (trade_limit > 0),
		required_profit float8 NOT NULL DEFAULT 0 CONSTRAINT required_profit_is_finite
			CHECK (required_profit > '-Infinity' AND required_profit < 'Infinity'),
		max_drawdown float8 CONSTRAINT max_drawdown_is_not_negative CHECK (max_drawdown >= 0 AND max_drawdown < 'Infinity'),
		method text NOT NULL DEFAULT 'EQUITY' CONSTRAINT method_is_known CHECK (method = ANY (%L)),
		only_per_symbol boolean NOT NULL DEFAULT false,
		only_per_side boolean NOT NULL DEFAULT false,
		only_stops boolean NOT NULL DEFAULT false,
		protection text NOT NULL GENERATED ALWAYS AS (authority || ' ' || COALESCE(company_id, '*') || '/' || COALESCE(user_id, '*')
			|| '/' || COALESCE(strategy_id, '*') || '/' || COALESCE(symbol, '*') || ' ' || kind || ' ' || name) STORED PRIMARY KEY,
		CONSTRAINT max_drawdown_is_given CHECK (kind <> 'MAX_DRAWDOWN' OR max_drawdown IS NOT NULL)
	)$table$, scope_columns, trading.enum_labels('protection'), trading.enum_labels('drawdown_method'));
	CREATE INDEX ON trading.protections (company_id, user_id);
	PERFORM trading.describe_scoped('trading.protections',
		'protections: when trades went badly, they lock trading for a while (trading.protection_locks). A row of no company is for each company by itself',
		jsonb_build_object(
		'name', 'tells protections of one kind and scope apart',
		'kind', 'COOL_DOWN: a symbol after its last trade; STOP_LOSS_GUARD: after so many stop-outs; LOW_PROFIT: a symbol that made too little; MAX_DRAWDOWN: after a fall of profits',
		'enabled', 'whether it locks; locks that are there stay',
		'lookback', 'only trades closed within it count; a month has 30 days; not of COOL_DOWN',
		'lock_for', 'how long it locks, from the close of the last trade that counts',
		'unlock_at', 'instead of lock_for: locks until this time of day, in whole minutes of UTC',
		'trade_limit', 'trades that it takes; not of COOL_DOWN',
		'required_profit', 'trades with less count (STOP_LOSS_GUARD), or trades that sum to less lock (LOW_PROFIT); in profit_ratio of trading.trades',
		'max_drawdown', 'MAX_DRAWDOWN: locks beyond it; EQUITY: share of the peak, SUM_OF_RATIOS: in the unit of required_profit',
		'method', 'how MAX_DRAWDOWN measures: EQUITY or SUM_OF_RATIOS',
		'only_per_symbol', 'STOP_LOSS_GUARD: locks symbols alone, never everything',
		'only_per_side', 'locks only the side that went badly',
		'only_stops', 'COOL_DOWN: only after a stop-out',
		'protection', 'authority, scope, kind and name in one'));

	EXECUTE format($table$
	CREATE TABLE trading.protection_locks (
		lock_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		authority text NOT NULL CONSTRAINT authority_is_known CHECK (authority IN ('OPERATOR', 'COMPANY', 'USER')),
		company_id text NOT NULL REFERENCES trading.companies ON DELETE CASCADE,
		user_id text,
		strategy_id text,
		symbol text,
		side integer NOT NULL DEFAULT 0 CONSTRAINT side_is_known CHECK (side IN (-1, 0, 1)),
		protection text NOT NULL,
		kind text NOT NULL CONSTRAINT kind_is_known CHECK (kind = ANY (%L)),
		locked_at timestamptz NOT NULL,
		locked_until timestamptz NOT NULL,
		value float8,
		threshold float8,
		lifted_at timestamptz,
		lifted_by text,
		lift_reason text CONSTRAINT lift_reason_is_short CHECK (octet_length(lift_reason) <= 1024),
		item text NOT NULL GENERATED ALWAYS AS (lock_id::text) STORED,
		CONSTRAINT lifted_with_a_reason CHECK ((lifted_at IS NULL) = (lifted_by IS NULL) AND (lifted_at IS NULL) = (lift_reason IS NULL)),
		FOREIGN KEY (company_id, user_id) REFERENCES trading.users ON DELETE CASCADE
	)$table$, trading.enum_labels('protection'));
	CREATE INDEX ON trading.protection_locks (company_id, protection, locked_until);
	CREATE INDEX ON trading.protection_locks (company_id, user_id);
	CREATE INDEX ON trading.protection_locks (locked_until) WHERE lifted_at IS NULL;
	PERFORM trading.describe('trading.protection_locks',
		'what protections have locked; trading.lift_lock() lifts a lock before its time', jsonb_build_object(
		'lock_id', 'number of the lock',
		'authority', 'of the protection: the same or one above may lift the lock',
		'user_id', 'user that is locked; NULL: all of the company',
		'strategy_id', 'strategy that is locked; NULL: all',
		'symbol', 'instrument that is locked; NULL: all',
		'side', '1: buying, -1: selling, 0: both',
		'protection', 'protection that locks: authority, scope, kind and name',
		'kind', 'what it is',
		'locked_at', 'the lane''s clock when it locked',
		'locked_until', 'locked before this time',
		'value', 'what was measured: trades, ratio or drawdown',
		'threshold', 'what it was measured against',
		'lifted_at', 'when it was lifted; NULL: it wasn''t',
		'lifted_by', 'who lifted it: role, or company/user',
		'lift_reason', 'why it was lifted',
		'item', 'key of the row in the log of changes'));

	EXECUTE format($table$
	CREATE TABLE trading.trading_switches (
		%s,
		state text NOT NULL DEFAULT 'ACTIVE' CONSTRAINT state_is_known CHECK (state = ANY (%L)),
		reason text NOT NULL DEFAULT '' CONSTRAINT reason_is_short CHECK (octet_length(reason) <= 1024),
		PRIMARY KEY (scope)
	)$table$, scope_columns, trading.enum_labels('trading_state'));
	CREATE INDEX ON trading.trading_switches (company_id, user_id);
	PERFORM trading.describe_scoped('trading.trading_switches',
		'the kill switch: the strictest state of all rows that cover a signal counts; see trading.halt()', jsonb_build_object(
		'company_id', 'company that it is about; NULL: everybody',
		'state', 'ACTIVE: all may leave; REDUCING: only what makes an open position smaller; HALTED: nothing',
		'reason', 'why'));

	EXECUTE format($table$
	CREATE TABLE trading.news_rules (
		%s,
		before interval NOT NULL DEFAULT '30 minutes' CONSTRAINT before_is_not_negative CHECK (before >= '0' AND before <= '30 days'),
		after interval NOT NULL DEFAULT '30 minutes' CONSTRAINT after_is_not_negative CHECK (after >= '0' AND after <= '30 days'),
		least_impact text NOT NULL DEFAULT 'HIGH' CONSTRAINT least_impact_is_known CHECK (least_impact IN ('LOW', 'MEDIUM', 'HIGH')),
		required boolean NOT NULL DEFAULT true,
		PRIMARY KEY (scope)
	)$table$, scope_columns);
	CREATE INDEX ON trading.news_rules (company_id, user_id);
	PERFORM trading.describe_scoped('trading.news_rules',
		'no trading around news of the currencies of an instrument (trading.news_events); every rule that covers a signal holds', jsonb_build_object(
		'before', 'from so long before an event',
		'after', 'until so long after it; that instant trades again',
		'least_impact', 'events of this impact or more: LOW, MEDIUM or HIGH',
		'required', 'whether a signal is rejected, too, where no calendar is known that reaches as far as the rule looks'));

	CREATE TABLE trading.news_events (
		event_id text PRIMARY KEY DEFAULT gen_random_uuid()::text CONSTRAINT event_id_is_short CHECK (octet_length(event_id) BETWEEN 1 AND 128),
		event_time timestamptz NOT NULL CONSTRAINT event_time_is_finite CHECK (isfinite(event_time)),
		currency text NOT NULL CONSTRAINT currency_is_a_code CHECK (currency ~ '^[A-Z0-9]{2,16}$'),
		impact text NOT NULL CONSTRAINT impact_is_known CHECK (impact IN ('LOW', 'MEDIUM', 'HIGH')),
		title text NOT NULL DEFAULT '' CONSTRAINT title_is_short CHECK (octet_length(title) <= 1024)
	);
	CREATE INDEX ON trading.news_events (event_time);
	PERFORM trading.describe('trading.news_events', 'the economic calendar: events that move prices', jsonb_build_object(
		'event_id', 'id of the event at its source, so that it can be moved',
		'event_time', 'when the news are out',
		'currency', 'currency that they are about',
		'impact', 'how much they move it: LOW, MEDIUM or HIGH',
		'title', 'what people call it'));

	CREATE TABLE trading.news_calendar (
		known_from timestamptz NOT NULL CONSTRAINT known_from_is_finite CHECK (isfinite(known_from)),
		known_until timestamptz NOT NULL CONSTRAINT known_until_is_finite CHECK (isfinite(known_until)),
		source text NOT NULL DEFAULT '' CONSTRAINT source_is_short CHECK (octet_length(source) <= 1024),
		loaded_at timestamptz NOT NULL DEFAULT now(),
		span text NOT NULL GENERATED ALWAYS AS (EXTRACT(EPOCH FROM known_from AT TIME ZONE 'UTC')::text || ' ' || source) STORED PRIMARY KEY,
		CONSTRAINT known_until_is_later CHECK (known_until > known_from)
	);
	PERFORM trading.describe('trading.news_calendar',
		'spans of time whose events are in trading.news_events, all of them; outside of them the calendar is missing, which isn''t the same as no news', jsonb_build_object(
		'known_from', 'from when all events are known',
		'known_until', 'until when',
		'source', 'where they come from',
		'loaded_at', 'when they were loaded',
		'span', 'key of the row in the log of changes'));
END
$$;
COMMENT ON FUNCTION trading.create_limit_tables() IS 'part of trading.setup(): limits, protections, the kill switch and news';

-- For whoever watches: a rule that requires a calendar rejects all signals without one.
CREATE FUNCTION trading.create_limit_views() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- Nothing in it belongs to the extension, so that DROP EXTENSION leaves it behind.
	IF to_regclass('trading.missing_calendars') IS NULL THEN
		CREATE VIEW trading.missing_calendars WITH (security_invoker) AS
			WITH known AS (
				SELECT range_agg(tstzrange(c.known_from, c.known_until)) AS spans FROM trading.news_calendar AS c)
			SELECT r.scope, r.authority, r.company_id, r.user_id, r.strategy_id, r.symbol, now() + r.before AS looks_until,
			       (SELECT max(upper(s.span)) FROM known AS k, unnest(k.spans) AS s (span) WHERE lower(s.span) <= now()) AS known_until
			  FROM trading.news_rules AS r
			 WHERE r.required
			   AND NOT EXISTS (SELECT FROM known AS k
				WHERE k.spans @> tstzrange(now() - r.after + interval '1 microsecond', now() + r.before, '[]'));
	END IF;
	COMMENT ON VIEW trading.missing_calendars IS
		'rules of trading.news_rules that reject every signal now, because the calendar that they require (trading.news_calendar) doesn''t reach as far as they look';
	PERFORM trading.describe_like('trading.missing_calendars', 'trading.news_rules');
	COMMENT ON COLUMN trading.missing_calendars.looks_until IS 'how far the rule looks now';
	COMMENT ON COLUMN trading.missing_calendars.known_until IS 'how far the calendar reaches; NULL: there is none';
	PERFORM trading.let_tenants_read('trading.missing_calendars');
END
$$;
COMMENT ON FUNCTION trading.create_limit_views() IS 'part of trading.setup(): trading.missing_calendars';

-- A switch that is there, so that one UPDATE of it stops everything.
CREATE FUNCTION trading.seed_switches() RETURNS void
	LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$ INSERT INTO trading.trading_switches (authority, state) VALUES ('OPERATOR', 'ACTIVE') $$;
COMMENT ON FUNCTION trading.seed_switches() IS 'part of trading.setup(): the switch of everything';

CREATE FUNCTION trading.session_authority() RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE WHEN trading.current_role_in_company() = 'admin' THEN 'COMPANY'
		    WHEN trading.current_company() IS NOT NULL THEN 'USER'
		    ELSE 'OPERATOR' END
$$;
COMMENT ON FUNCTION trading.session_authority() IS 'authority of the rows that the session makes: OPERATOR, COMPANY or USER';

CREATE FUNCTION trading.session_name() RETURNS text
	LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT COALESCE(trading.current_company() || '/' || trading.current_user_id(), session_user::text) $$;
COMMENT ON FUNCTION trading.session_name() IS 'who the session is: company/user, or the role that opened it';

-- Fills in what the session is, and refuses a strategy that isn't there: a slip of the pen
-- in the kill switch would go unnoticed.  It may be deleted later; the row stays.
CREATE FUNCTION trading.guard_scope() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	most integer;
BEGIN
	NEW.authority := COALESCE(NEW.authority, trading.session_authority());
	-- Of protections any number could have one scope, and a lane goes through them for each closed trade, while others wait.
	IF TG_OP = 'INSERT' AND TG_TABLE_NAME = 'protections' AND trading.current_company() IS NOT NULL THEN
		most := CASE NEW.authority WHEN 'USER' THEN 50 ELSE 500 END;
		IF (SELECT count(*) FROM trading.protections AS p
		     WHERE p.company_id = NEW.company_id AND p.authority = NEW.authority AND (NEW.authority <> 'USER' OR p.user_id = NEW.user_id)) >= most
		THEN
			RAISE EXCEPTION 'there are % protections of authority %, as many as there may be', most, NEW.authority
				USING ERRCODE = 'program_limit_exceeded', HINT = 'Delete what isn''t needed any more, or use larger scopes.';
		END IF;
	END IF;
	NEW.changed_at := now();
	NEW.changed_by := trading.session_name();
	IF NEW.strategy_id IS NOT NULL AND NEW.user_id IS NOT NULL
		AND (TG_OP = 'INSERT' OR (NEW.company_id, NEW.user_id, NEW.strategy_id) IS DISTINCT FROM (OLD.company_id, OLD.user_id, OLD.strategy_id))
		AND NOT EXISTS (SELECT FROM trading.strategies AS s
			WHERE s.company_id = NEW.company_id AND s.user_id = NEW.user_id AND s.strategy_id = NEW.strategy_id)
	THEN
		RAISE EXCEPTION 'strategy_id: there is no strategy "%" of user "%" of company "%"', NEW.strategy_id, NEW.user_id, NEW.company_id
			USING ERRCODE = 'foreign_key_violation', COLUMN = 'strategy_id', TABLE = TG_TABLE_NAME, SCHEMA = 'trading';
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION trading.guard_scope() IS 'trigger: who made a row with a scope, whether there is what it is about, and that nobody has too many';

-- A lane reads all rows of a kind again when one has changed, and decides for every strategy, while
-- its other tenants wait: so tenants have only so many.  Administrators have any number.
CREATE FUNCTION trading.refuse_more(what text, there_are bigint, most bigint) RETURNS void
	LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF there_are > most THEN
		RAISE EXCEPTION 'there would be % %, and % may be', there_are, what, most
			USING ERRCODE = 'program_limit_exceeded', HINT = 'Delete what isn''t needed any more.';
	END IF;
END
$$;
COMMENT ON FUNCTION trading.refuse_more(text, bigint, bigint) IS 'raises an error when there would be more than there may be';

CREATE FUNCTION trading.bound_scoped_rows() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	s record;
	there_are bigint;
BEGIN
	IF trading.current_company() IS NULL THEN
		RETURN NULL;
	END IF;
	FOR s IN SELECT DISTINCT n.authority, n.company_id, CASE n.authority WHEN 'USER' THEN n.user_id END AS user_id FROM new_rows AS n
	LOOP
		EXECUTE format('SELECT count(*) FROM %I.%I AS x WHERE x.company_id = $1 AND x.authority = $2 AND ($3 IS NULL OR x.user_id = $3)',
			TG_TABLE_SCHEMA, TG_TABLE_NAME) INTO there_are USING s.company_id, s.authority, s.user_id;
		PERFORM trading.refuse_more(format('%s of authority %s', replace(TG_TABLE_NAME, '_', ' '), s.authority), there_are,
			CASE s.authority WHEN 'USER' THEN 500 ELSE 5000 END);
	END LOOP;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION trading.bound_scoped_rows() IS 'trigger: a tenant lays down only so many rows that have a scope';

CREATE FUNCTION trading.bound_strategies() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF trading.current_company() IS NOT NULL THEN
		PERFORM trading.refuse_more(format('strategies of user "%s"', u.user_id),
			(SELECT count(*) FROM trading.strategies AS s WHERE s.company_id = u.company_id AND s.user_id = u.user_id), 1000)
		   FROM (SELECT DISTINCT n.company_id, n.user_id FROM new_rows AS n) AS u;
	END IF;
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION trading.bound_strategies() IS 'trigger: a user has only so many strategies';
