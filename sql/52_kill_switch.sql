-- The kill switch, and locks lifted by hand.  doc/operations.md says what to do when.

-- At once, before the transaction commits: the lanes keep back what the switch is about.
CREATE FUNCTION trading.hold_switch() RETURNS trigger
	AS 'MODULE_PATHNAME', 'te_sql_hold_switch'
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.hold_switch() IS 'trigger: the lanes keep back what a switch is about while its transaction runs';

CREATE FUNCTION trading.held_lanes(company text DEFAULT NULL)
	RETURNS TABLE (lane integer, epoch bigint, sequence bigint)
	AS 'MODULE_PATHNAME', 'te_sql_held_lanes'
	LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 8 SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.held_lanes(text) IS
	'the last message that each lane (of a company: its own) had handed to a broker when it took note of the switches that this transaction has set; of a lane that doesn''t run, the last one committed';

CREATE FUNCTION trading.parse_scope(scope text, OUT company_id text, OUT user_id text, OUT strategy_id text, OUT symbol text)
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	parts constant text[] := string_to_array(scope, '/');
BEGIN
	IF scope IS NULL OR cardinality(parts) NOT BETWEEN 1 AND 4 OR '' = ANY (parts) THEN
		RAISE EXCEPTION 'scope must be "*" or company/user/strategy/symbol, where * is all and what is missing at the end is *'
			USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', COALESCE(quote_literal(scope), 'NULL'));
	END IF;
	company_id := NULLIF(parts[1], '*');
	user_id := NULLIF(parts[2], '*');
	strategy_id := NULLIF(parts[3], '*');
	symbol := NULLIF(parts[4], '*');
END
$$;
COMMENT ON FUNCTION trading.parse_scope(text) IS 'parts of a scope as in acme/*/*/EURUSD';

CREATE FUNCTION trading.check_reason(reason text) RETURNS void
	LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF COALESCE(btrim(reason), '') = '' THEN
		RAISE EXCEPTION 'reason must not be empty' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	IF octet_length(reason) > 1024 THEN
		RAISE EXCEPTION 'reason must not be longer than 1024 bytes' USING ERRCODE = 'invalid_parameter_value',
			DETAIL = format('It has %s.', octet_length(reason));
	END IF;
END
$$;
COMMENT ON FUNCTION trading.check_reason(text) IS 'raises an error when no reason is given, or a long one';

CREATE FUNCTION trading.halt(scope text, reason text, state text DEFAULT 'HALTED')
	RETURNS TABLE (lane integer, epoch bigint, sequence bigint)
	LANGUAGE plpgsql VOLATILE ROWS 8 SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	s record;
BEGIN
	PERFORM trading.check_reason(halt.reason);
	IF halt.state IS NULL OR halt.state NOT IN ('HALTED', 'REDUCING') THEN
		RAISE EXCEPTION 'state must be HALTED or REDUCING' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	SELECT p.* INTO s FROM trading.parse_scope(halt.scope) AS p;
	-- The table's policies say the same, in words that name no scope.
	IF trading.current_company() IS NOT NULL
		AND (s.company_id IS DISTINCT FROM trading.current_company()
			OR trading.current_role_in_company() <> 'admin'
				AND (trading.current_role_in_company() <> 'trader' OR s.user_id IS DISTINCT FROM trading.current_user_id()))
	THEN
		RAISE EXCEPTION 'permission denied for scope "%"', halt.scope
			USING ERRCODE = 'insufficient_privilege',
			      DETAIL = 'A trader halts its own trading, an admin that of the company and its users, trading_admin any.';
	END IF;
	INSERT INTO trading.trading_switches (authority, company_id, user_id, strategy_id, symbol, state, reason)
	VALUES (trading.session_authority(), s.company_id, s.user_id, s.strategy_id, s.symbol, halt.state, halt.reason)
	ON CONFLICT (scope) DO UPDATE SET state = EXCLUDED.state, reason = EXCLUDED.reason;
	RETURN QUERY SELECT h.lane, h.epoch, h.sequence FROM trading.held_lanes(s.company_id) AS h;
END
$$;
COMMENT ON FUNCTION trading.halt(text, text, text) IS
	'halts a scope (*, acme, acme/alice, acme/*/*/EURUSD, ...), or lets only through what reduces positions (state => REDUCING); returns per lane the message above which nothing of the scope leaves';

CREATE FUNCTION trading.resume(scope text, reason text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
	s record;
BEGIN
	PERFORM trading.check_reason(resume.reason);
	SELECT p.* INTO s FROM trading.parse_scope(resume.scope) AS p;
	UPDATE trading.trading_switches AS t SET state = 'ACTIVE', reason = resume.reason
	 WHERE (t.company_id, t.user_id, t.strategy_id, t.symbol) IS NOT DISTINCT FROM (s.company_id, s.user_id, s.strategy_id, s.symbol)
	   AND t.state <> 'ACTIVE';
	IF NOT FOUND THEN
		RAISE EXCEPTION 'nothing of scope "%" is halted that you may resume', resume.scope
			USING ERRCODE = 'no_data_found', HINT = 'trading.trading_switches shows which scopes are halted, and by whom.';
	END IF;
END
$$;
COMMENT ON FUNCTION trading.resume(text, text) IS 'lets a scope that was halted trade again; a larger or smaller scope that is halted stays so';

-- A lock is lifted once and for all, and says who did it.
CREATE FUNCTION trading.guard_lock() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF OLD.lifted_at IS NOT NULL THEN
		RAISE EXCEPTION 'lock % was lifted before', OLD.lock_id USING ERRCODE = 'object_not_in_prerequisite_state';
	END IF;
	PERFORM trading.check_reason(NEW.lift_reason);
	NEW.lifted_at := now();
	NEW.lifted_by := trading.session_name();
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION trading.guard_lock() IS 'trigger: who lifted a lock, and when';

CREATE FUNCTION trading.lift_lock(id bigint, reason text) RETURNS void
	LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM trading.check_reason(lift_lock.reason);
	UPDATE trading.protection_locks AS l SET lift_reason = lift_lock.reason WHERE l.lock_id = lift_lock.id;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'there is no lock % that you may lift', lift_lock.id USING ERRCODE = 'no_data_found';
	END IF;
END
$$;
COMMENT ON FUNCTION trading.lift_lock(bigint, text) IS 'lifts a lock of a protection before its time';
