-- What hangs on the tables and depends on the extension: policies, privileges,
-- triggers, views.  trading.attach() makes them anew, so that tables which an earlier
-- installation left behind come back to life.

-- The policies of a role on a table: what it may read and, where it may write at all, what
-- it may write.  One policy does when the two are the same.
CREATE FUNCTION trading.create_policy(relation regclass, role_name name, readable text, writable text DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	policy record;
BEGIN
	FOR policy IN
		SELECT p.name, p.command, p.clause, p.about
		  FROM (VALUES
			(role_name::text, 'ALL', 'USING (%1$s) WITH CHECK (%2$s)', 'reads and writes'),
			(role_name || '_reads', 'SELECT', 'USING (%1$s)', 'reads'),
			(role_name || '_inserts', 'INSERT', 'WITH CHECK (%2$s)', 'inserts'),
			(role_name || '_updates', 'UPDATE', 'USING (%2$s) WITH CHECK (%2$s)', 'updates'),
			(role_name || '_deletes', 'DELETE', 'USING (%2$s)', 'deletes')
		  ) AS p (name, command, clause, about)
		 WHERE CASE WHEN readable = writable THEN p.command = 'ALL'
			    WHEN writable IS NULL THEN p.command = 'SELECT'
			    ELSE p.command <> 'ALL' END
	LOOP
		EXECUTE format('DROP POLICY IF EXISTS %I ON %s', policy.name, relation);
		EXECUTE format('CREATE POLICY %I ON %s FOR %s TO %I %s',
			policy.name, relation, policy.command, role_name, format(policy.clause, readable, writable));
		EXECUTE format('COMMENT ON POLICY %I ON %s IS %L', policy.name, relation,
			format('rows that %s %s, if its privileges let it', role_name, policy.about));
	END LOOP;
END
$$;
COMMENT ON FUNCTION trading.create_policy(regclass, name, text, text) IS 'makes the policies of a role on a table anew';

CREATE FUNCTION trading.create_policies() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	company constant text := 'company_id = (SELECT trading.current_company())';
	is_admin constant text := '(SELECT trading.current_role_in_company()) = ''admin''';
	may_write constant text := '(SELECT trading.current_role_in_company()) IN (''admin'', ''trader'')';
	is_user constant text := 'user_id = (SELECT trading.current_user_id())';
	own constant text := format('%s AND (%s OR %s)', company, is_user, is_admin);
	own_or_shared constant text := format('%s AND (%s OR user_id = ''_all'' OR %s)', company, is_user, is_admin);
	-- Versions of a row are for those who may see the row itself.
	own_history constant text := (
		SELECT format('kind = ANY (%L) OR %s AND (kind = ''company'' OR %s OR kind = ANY (%L) AND %s OR kind = ''strategy'' AND user_id = ''_all'')',
			array_agg(l.kind) FILTER (WHERE l.company_key = ''), company, is_admin, array_agg(l.kind) FILTER (WHERE l.owner_key <> ''), is_user)
		  FROM trading.logged_tables() AS l (relation, kind, company_key, owner_key));
	-- What is about all of a company, or about everybody, concerns each of its users.
	concerns constant text := format('company_id IS NULL OR %s AND (user_id IS NULL OR %s OR %s)', company, is_user, is_admin);
	own_authority constant text := format('%1$s AND (%2$s AND authority IN (''COMPANY'', ''USER'') OR %3$s AND %4$s AND authority = ''USER'')',
		company, is_admin, may_write, is_user);
	scoped_history constant text := format('(%s) AND kind IN (''limit'', ''protection'', ''lock'', ''switch'', ''news_rule'')', concerns);
	access record;
BEGIN
	-- What a tenant reads, and what it writes.  Tables that are not here are none of its business.
	FOR access IN
		SELECT t.name, t.readable, t.writable
		  FROM (VALUES
			('tiers', 'true', NULL),
			('instruments', 'true', NULL),
			('rates', 'true', NULL),
			('instrument_sessions', 'true', NULL),
			('market_holidays', 'true', NULL),
			('market_bars', 'true', NULL),
			('market_conditions', 'true', NULL),
			('companies', company, NULL),
			('users', own, NULL),
			('accounts', own, NULL),
			('producers', format('%s AND %s', company, is_admin), NULL),
			('strategies', own_or_shared, format('%s AND %s', own, may_write)),
			('strategy_changes', format('%s OR %s', own_history, scoped_history), NULL),
			('risk_limits', concerns, own_authority),
			('protections', concerns, own_authority),
			('protection_locks', concerns, own_authority),
			('trading_switches', concerns, own_authority),
			('news_rules', concerns, own_authority),
			('news_events', 'true', NULL),
			('news_calendar', 'true', NULL),
			('signals', own, NULL),
			('signal_legs', own, NULL),
			('executions', own, NULL),
			('trades', own, NULL),
			('position_history', own, NULL),
			('account_history', own, NULL),
			('performance_changes', own, NULL),
			('performance_parts', own, NULL),
			('performance_signals', own, NULL),
			('performance_marks', 'true', NULL),
			('prediction_scores', own_or_shared, NULL),
			('score_sums', format('company_id = ''_all'' OR %s', company), NULL),
			('decision_counts', own, NULL),
			('strategy_adjustments', own, NULL),
			('model_weights', format('(company_id = ''_all'' OR %s)', company), NULL),
			('prediction_batches', own_or_shared, NULL),
			('breaker_changes', company, NULL),
			('dead_letters', own, NULL)
		  ) AS t (name, readable, writable)
	LOOP
		PERFORM trading.create_policy(format('trading.%I', access.name)::regclass, 'trading_tenant',
			access.readable, access.writable);
	END LOOP;

	-- Of the others, privileges say which commands they may use, policies which rows: all.
	FOR access IN
		SELECT c.oid::regclass AS relation, r.name AS role_name
		  FROM pg_class AS c, (VALUES ('trading_admin'), ('trading_worker')) AS r (name)
		 WHERE c.oid IN (SELECT t.relation FROM trading.data_tables() AS t)
	LOOP
		PERFORM trading.create_policy(access.relation, access.role_name, 'true', 'true');
	END LOOP;
END
$$;
COMMENT ON FUNCTION trading.create_policies() IS 'part of trading.setup(): row-level security of all tables';

-- The tables of this version, partitions aside.
CREATE FUNCTION trading.data_tables() RETURNS TABLE (relation regclass)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('trading.%I', t.name)::regclass
	  FROM unnest(ARRAY['tiers', 'companies', 'users', 'logins', 'producers', 'accounts', 'strategies',
		'strategy_changes', 'instruments', 'rates', 'instrument_sessions', 'market_holidays',
		'risk_limits', 'protections', 'protection_locks', 'trading_switches', 'news_rules', 'news_events', 'news_calendar', 'market_bars', 'market_conditions', 'installation', 'lanes',
		'batches', 'prediction_batches', 'signals', 'signal_legs', 'outbox', 'gap_fills', 'routes', 'dead_letters', 'input_gaps', 'inbox',
		'strategy_adjustments', 'job_settings', 'job_runs', 'model_weights',
		'performance_changes', 'performance_parts', 'performance_signals', 'performance_marks', 'score_marks', 'pending_scores', 'prediction_scores', 'score_sums',
		'decision_counts', 'confidence_counts', 'breaker_changes', 'executions', 'trades', 'position_history', 'account_history']) AS t (name)
$$;
COMMENT ON FUNCTION trading.data_tables() IS 'the tables that trading.setup() makes, partitions aside';

-- Privileges: as few as will do.  Nobody gets TRUNCATE, REFERENCES or TRIGGER, and
-- nobody but the owner anything on a partition.
CREATE FUNCTION trading.grant_privileges() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	settable constant text := (
		SELECT string_agg(quote_ident(s.name), ', ')
		  FROM (SELECT unnest(ARRAY['name', 'account_id', 'auto_adjust', 'follow_model_accuracy'])
			UNION ALL SELECT p.name FROM trading.strategy_parameters() AS p) AS s (name));
	readable record;
BEGIN
	GRANT SELECT ON trading.tiers, trading.instruments, trading.rates, trading.instrument_sessions,
		trading.market_holidays, trading.market_bars, trading.market_conditions,
		trading.companies, trading.users, trading.accounts, trading.strategies, trading.signals,
		trading.signal_legs, trading.decision_counts,
		trading.executions, trading.trades, trading.position_history, trading.account_history
		TO trading_tenant;
	-- A message as it came in holds its producer's token.
	FOR readable IN
		SELECT a.attrelid::regclass AS relation, string_agg(quote_ident(a.attname), ', ') AS columns
		  FROM pg_attribute AS a
		 WHERE a.attrelid IN ('trading.prediction_batches'::regclass, 'trading.dead_letters'::regclass)
		   AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'message'
		 GROUP BY a.attrelid
	LOOP
		EXECUTE format('GRANT SELECT (%s) ON %s TO trading_tenant', readable.columns, readable.relation);
	END LOOP;
	GRANT SELECT ON trading.breaker_changes TO trading_tenant, trading_admin;
	GRANT SELECT (company_id, producer_id, enabled, on_gap, created_at) ON trading.producers TO trading_tenant;
	GRANT SELECT (change_id, kind, company_id, user_id, strategy_id, item, operation, version, row_data, changed_at, changed_by, changed_as)
		ON trading.strategy_changes TO trading_tenant;
	GRANT DELETE ON trading.strategies TO trading_tenant;
	EXECUTE format('GRANT INSERT (company_id, user_id, strategy_id, %1$s), UPDATE (%1$s) ON trading.strategies TO trading_tenant', settable);

	GRANT SELECT, INSERT, UPDATE, DELETE ON trading.risk_limits, trading.protections, trading.trading_switches, trading.news_rules
		TO trading_tenant, trading_admin;
	GRANT SELECT, UPDATE (lift_reason) ON trading.protection_locks TO trading_tenant, trading_admin;
	GRANT SELECT ON trading.news_events, trading.news_calendar TO trading_tenant;
	GRANT SELECT, INSERT, UPDATE, DELETE ON trading.news_events, trading.news_calendar TO trading_admin;
	GRANT SELECT ON trading.risk_limits, trading.protections, trading.protection_locks, trading.trading_switches, trading.news_rules,
		trading.news_events, trading.news_calendar, trading.instrument_sessions, trading.market_holidays TO trading_worker;
	GRANT INSERT ON trading.protection_locks TO trading_worker;

	GRANT SELECT ON trading.performance_changes, trading.performance_parts, trading.performance_signals, trading.performance_marks
		TO trading_tenant, trading_admin;
	GRANT INSERT ON trading.performance_changes TO trading_worker;
	GRANT SELECT ON trading.prediction_scores, trading.score_sums TO trading_tenant, trading_admin;
	GRANT SELECT ON trading.pending_scores, trading.score_marks TO trading_admin;

	GRANT SELECT ON trading.strategy_changes, trading.market_bars, trading.market_conditions, trading.lanes,
		trading.batches, trading.prediction_batches, trading.signals, trading.signal_legs, trading.outbox,
		trading.gap_fills, trading.routes, trading.dead_letters, trading.input_gaps, trading.inbox, trading.decision_counts, trading.confidence_counts,
		trading.executions, trading.trades, trading.position_history, trading.account_history
		TO trading_admin;
	GRANT SELECT (only_row, installation_id, schema_version, created_at) ON trading.installation TO trading_admin;
	GRANT SELECT, INSERT, UPDATE, DELETE ON trading.tiers, trading.companies, trading.users, trading.logins,
		trading.producers, trading.instruments, trading.rates, trading.instrument_sessions, trading.market_holidays,
		trading.accounts, trading.strategies
		TO trading_admin;

	GRANT SELECT ON trading.tiers, trading.companies, trading.users, trading.producers, trading.instruments,
		trading.rates, trading.accounts, trading.strategies, trading.installation TO trading_worker;
	GRANT SELECT, INSERT ON trading.batches, trading.prediction_batches, trading.signals, trading.signal_legs,
		trading.outbox, trading.gap_fills, trading.routes, trading.dead_letters, trading.input_gaps, trading.market_bars, trading.market_conditions,
		trading.breaker_changes
		TO trading_worker;
	GRANT SELECT, INSERT, UPDATE ON trading.decision_counts, trading.confidence_counts TO trading_worker;
	GRANT SELECT, INSERT ON trading.executions, trading.position_history, trading.account_history TO trading_worker;
	GRANT UPDATE (conflicts) ON trading.executions TO trading_worker;
	GRANT SELECT, INSERT, UPDATE ON trading.trades TO trading_worker;
	GRANT SELECT, UPDATE ON trading.lanes TO trading_worker;
	GRANT SELECT ON trading.strategy_changes, trading.inbox TO trading_worker;
	GRANT SELECT ON trading.strategy_adjustments TO trading_tenant, trading_admin;
	GRANT SELECT ON trading.model_weights TO trading_tenant, trading_admin, trading_worker;
	GRANT SELECT, INSERT, UPDATE ON trading.job_settings TO trading_admin;
	GRANT SELECT ON trading.job_runs TO trading_admin;
END
$$;
COMMENT ON FUNCTION trading.grant_privileges() IS 'part of trading.setup(): who may do what with the tables';

-- What another tenant's rows do to the planner's statistics shows in the row estimates
-- of EXPLAIN, which row-level security doesn't filter: so none are kept of these columns.
CREATE FUNCTION trading.hide_statistics() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	col record;
BEGIN
	FOR col IN
		SELECT a.attrelid::regclass AS relation, a.attname
		  FROM trading.data_tables() AS t
		  JOIN pg_attribute AS a ON a.attrelid = t.relation
		 WHERE a.attnum > 0 AND NOT a.attisdropped
		   AND EXISTS (SELECT FROM pg_attribute AS c WHERE c.attrelid = t.relation AND c.attname = 'company_id')
		   AND (a.atttypid IN ('text'::regtype, 'name'::regtype, 'uuid'::regtype, 'bytea'::regtype, 'jsonb'::regtype,
		       'text[]'::regtype, 'double precision'::regtype)
			OR t.relation = 'trading.account_history'::regclass AND a.attname = ANY (ARRAY['realised', 'peak', 'settled_peak', 'day_start']))
	LOOP
		EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS 0', col.relation, col.attname);
	END LOOP;
END
$$;
COMMENT ON FUNCTION trading.hide_statistics() IS 'part of trading.setup(): keeps tenants'' values out of the planner''s statistics';

CREATE FUNCTION trading.create_trigger(relation regclass, trigger_name name, clause text) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', trigger_name, relation);
	EXECUTE format('CREATE TRIGGER %I %s', trigger_name, replace(clause, '@', relation::text));
	EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', relation, trigger_name);
	EXECUTE format('COMMENT ON TRIGGER %I ON %s IS %L', trigger_name, relation,
		'trading_engine: keeps what the workers know of this table up to date and within the rules');
END
$$;
COMMENT ON FUNCTION trading.create_trigger(regclass, name, text) IS 'makes a trigger anew, so that it always fires; @ in the clause is the table';

CREATE FUNCTION trading.create_triggers() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	logged record;
BEGIN
	FOR logged IN
		SELECT l.relation, format('%L, %L, %L, %L, %L, %L', l.kind, l.company, l.owner, l.strategy, l.item, l.secret) AS arguments
		  FROM trading.logged_tables() AS l
	LOOP
		PERFORM trading.create_trigger(logged.relation, 'log_insert', format(
			'AFTER INSERT ON @ REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION trading.log_changes(%s)', logged.arguments));
		PERFORM trading.create_trigger(logged.relation, 'log_update', format(
			'AFTER UPDATE ON @ REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION trading.log_changes(%s)', logged.arguments));
		PERFORM trading.create_trigger(logged.relation, 'log_delete', format(
			'AFTER DELETE ON @ REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION trading.log_changes(%s)', logged.arguments));
		PERFORM trading.create_trigger(logged.relation, 'log_truncate', format(
			'BEFORE TRUNCATE ON @ FOR EACH STATEMENT EXECUTE FUNCTION trading.log_truncate(%s)', logged.arguments));
	END LOOP;
	PERFORM trading.create_trigger('trading.strategy_changes', 'announce',
		'AFTER INSERT ON @ FOR EACH STATEMENT EXECUTE FUNCTION trading.announce()');
	PERFORM trading.create_trigger('trading.inbox', 'announce',
		'AFTER INSERT ON @ FOR EACH STATEMENT EXECUTE FUNCTION trading.announce()');
	PERFORM trading.create_trigger('trading.lanes', 'announce',
		'AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON @ FOR EACH STATEMENT EXECUTE FUNCTION trading.announce()');
	PERFORM trading.create_trigger('trading.strategies', 'guard_insert',
		'BEFORE INSERT ON @ FOR EACH ROW EXECUTE FUNCTION trading.guard_new_strategy()');
	PERFORM trading.create_trigger('trading.strategies', 'bound',
		'AFTER INSERT ON @ REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION trading.bound_strategies()');
	PERFORM trading.create_trigger('trading.strategies', 'guard_update',
		'BEFORE UPDATE ON @ FOR EACH ROW EXECUTE FUNCTION trading.guard_strategy()');
	PERFORM trading.create_trigger('trading.strategies', 'check_parameters',
		'BEFORE INSERT OR UPDATE ON @ FOR EACH ROW EXECUTE FUNCTION trading.guard_parameters()');
	PERFORM trading.create_trigger('trading.tiers', 'check_parameters',
		'BEFORE INSERT OR UPDATE ON @ FOR EACH ROW EXECUTE FUNCTION trading.guard_parameters()');
	PERFORM trading.create_trigger('trading.strategies', 'check_tier_insert',
		'AFTER INSERT ON @ REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION trading.check_tier()');
	PERFORM trading.create_trigger('trading.strategies', 'check_tier_update',
		'AFTER UPDATE ON @ REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION trading.check_tier()');
	PERFORM trading.create_trigger('trading.companies', 'guard',
		'BEFORE INSERT OR UPDATE OF tier ON @ FOR EACH ROW EXECUTE FUNCTION trading.guard_company()');
	PERFORM trading.create_trigger('trading.tiers', 'guard',
		'BEFORE DELETE ON @ FOR EACH ROW EXECUTE FUNCTION trading.guard_tier()');
	PERFORM trading.create_trigger('trading.accounts', 'guard',
		'BEFORE UPDATE ON @ FOR EACH ROW EXECUTE FUNCTION trading.touch_account()');
	FOR logged IN
		SELECT t.name FROM unnest(ARRAY['risk_limits', 'protections', 'trading_switches', 'news_rules']) AS t (name)
	LOOP
		PERFORM trading.create_trigger(format('trading.%I', logged.name)::regclass, 'guard',
			'BEFORE INSERT OR UPDATE ON @ FOR EACH ROW EXECUTE FUNCTION trading.guard_scope()');
		PERFORM trading.create_trigger(format('trading.%I', logged.name)::regclass, 'bound',
			'AFTER INSERT ON @ REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION trading.bound_scoped_rows()');
	END LOOP;
	PERFORM trading.create_trigger('trading.trading_switches', 'hold',
		'AFTER INSERT OR UPDATE ON @ FOR EACH ROW EXECUTE FUNCTION trading.hold_switch()');
	PERFORM trading.create_trigger('trading.protection_locks', 'guard',
		'BEFORE UPDATE ON @ FOR EACH ROW EXECUTE FUNCTION trading.guard_lock()');
	PERFORM trading.create_trigger('trading.rates', 'touch',
		'BEFORE UPDATE OF rate ON @ FOR EACH ROW EXECUTE FUNCTION trading.touch_rate()');
END
$$;
COMMENT ON FUNCTION trading.create_triggers() IS 'part of trading.setup(): change log, wake-ups, guards';

-- Columns of a view that are named like a table's mean the same.
CREATE FUNCTION trading.describe_like(view regclass, relation regclass) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	col record;
BEGIN
	FOR col IN
		SELECT v.attname, col_description(relation, t.attnum) AS doc
		  FROM pg_attribute AS v JOIN pg_attribute AS t ON t.attname = v.attname
		 WHERE v.attrelid = view AND v.attnum > 0 AND t.attrelid = relation
	LOOP
		EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', view, col.attname, col.doc);
	END LOOP;
END
$$;
COMMENT ON FUNCTION trading.describe_like(regclass, regclass) IS 'comments on a view''s columns as on a table''s of the same names';

-- Views of tenants run as who reads them, so that policies apply.
CREATE FUNCTION trading.create_views() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	CREATE OR REPLACE VIEW trading.effective_strategies WITH (security_invoker) AS
	SELECT s.company_id, s.user_id, s.strategy_id, s.name, s.account_id, s.version, c.tier, m.*,
	       s.hit_rate, s.position_size_multiplier, s.auto_adjust, s.follow_model_accuracy
	  FROM trading.strategies AS s
	  JOIN trading.companies AS c ON c.company_id = s.company_id
	  JOIN trading.tiers AS t ON t.tier = c.tier
	  LEFT JOIN trading.strategies AS o ON o.company_id = s.company_id AND o.user_id = '_all'
	 CROSS JOIN LATERAL trading.merge_strategy(t, s, o, EXISTS (
	SELECT FROM trading.strategies AS f
	 WHERE f.company_id = s.company_id AND f.user_id = s.user_id
	   AND (f.created_at, f.strategy_id COLLATE "C") < (s.created_at, s.strategy_id COLLATE "C"))) AS m
	 WHERE s.user_id <> '_all';
	COMMENT ON VIEW trading.effective_strategies IS
		'strategies as they decide: the tier''s defaults, the user''s row, the company''s row and the tier''s ceilings made one';
	COMMENT ON COLUMN trading.effective_strategies.tier IS 'tier of the company';
	COMMENT ON COLUMN trading.effective_strategies.layers IS
		'where each parameter came from: DEFAULT, TIER, USER, COMPANY or CEILING';
	PERFORM trading.describe_like('trading.effective_strategies', 'trading.strategies');

	CREATE OR REPLACE VIEW trading.strategy_decisions WITH (security_invoker) AS
	SELECT d.company_id, d.user_id, d.strategy_id, d.outcome, sum(d.decisions)::bigint AS decisions, sum(d.rule_errors)::bigint AS rule_errors,
	       min(d.minute) AS first_minute, max(d.minute) AS last_minute
	  FROM trading.decision_counts AS d
	 GROUP BY d.company_id, d.user_id, d.strategy_id, d.outcome
	 ORDER BY d.company_id, d.user_id, d.strategy_id, array_position(trading.enum_labels('outcome'), d.outcome);
	COMMENT ON VIEW trading.strategy_decisions IS
		'how often each strategy came to each outcome: trading.decision_counts, added up';
	PERFORM trading.describe_like('trading.strategy_decisions', 'trading.decision_counts');
	COMMENT ON COLUMN trading.strategy_decisions.first_minute IS 'first minute that was counted';
	COMMENT ON COLUMN trading.strategy_decisions.last_minute IS 'last minute that was counted';

	-- Over tables alone, so that it outlives the extension as they do.
	DROP VIEW IF EXISTS trading.lane_output;
	CREATE VIEW trading.lane_output WITH (security_invoker) AS
	SELECT l.lane, b.epoch, b.last_out_seq AS last_seq, r.state, r.cause, r.via, r.route_epoch, r.changed_at, r.dwell,
	       b.publish_epoch AS nats_epoch, b.publish_seq AS nats_seq, b.kafka_epoch, b.kafka_seq, b.released_epoch, b.released_seq,
	       b.recorded_at
	  FROM trading.lanes AS l
	  LEFT JOIN LATERAL (SELECT n.* FROM trading.batches AS n WHERE n.lane = l.lane ORDER BY n.batch_no DESC LIMIT 1) AS b ON true
	  LEFT JOIN LATERAL (SELECT n.* FROM trading.routes AS n WHERE n.lane = l.lane ORDER BY n.version DESC LIMIT 1) AS r ON true
	 ORDER BY l.lane;
	COMMENT ON VIEW trading.lane_output IS
		'where the output of each lane stands, as stored: which way it takes, and how far each broker has it';
	PERFORM trading.describe_like('trading.lane_output', 'trading.routes');
	PERFORM trading.describe_like('trading.lane_output', 'trading.batches');
	COMMENT ON COLUMN trading.lane_output.epoch IS 'epoch of last_seq';
	COMMENT ON COLUMN trading.lane_output.last_seq IS 'last output sequence that was committed';
	COMMENT ON COLUMN trading.lane_output.nats_epoch IS 'epoch of nats_seq';
	COMMENT ON COLUMN trading.lane_output.nats_seq IS 'output sequence up to which NATS has acknowledged everything';
	COMMENT ON COLUMN trading.lane_output.recorded_at IS 'when the places were stored';

	PERFORM trading.revoke_all('trading.lane_output');
	GRANT SELECT ON trading.lane_output TO trading_admin;
	PERFORM trading.let_tenants_read('trading.effective_strategies', 'trading.strategy_decisions');
	PERFORM trading.create_history_view();
END
$$;
COMMENT ON FUNCTION trading.create_views() IS 'part of trading.setup(): views over the tables';
