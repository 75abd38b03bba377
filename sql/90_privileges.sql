-- PUBLIC gets nothing, nor does anybody else whom nothing here names, whatever ALTER
-- DEFAULT PRIVILEGES says.  Pure functions, which see no table, are for all three roles.
DO $grants$
DECLARE
	member record;
BEGIN
	FOR member IN
		SELECT m.object, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(r.rolname) END AS grantee
		  FROM (SELECT 'ROUTINE ' || p.oid::pg_catalog.regprocedure::text AS object, p.proowner AS owner, d.deptype,
			       COALESCE(p.proacl, pg_catalog.acldefault('f', p.proowner)) AS acl, d.refobjid, d.refclassid
			  FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_proc AS p ON p.oid = d.objid
			 WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
			UNION ALL
			SELECT 'TABLE ' || c.oid::pg_catalog.regclass::text, c.relowner, d.deptype, c.relacl, d.refobjid, d.refclassid
			  FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_class AS c ON c.oid = d.objid
			 WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass) AS m
		  JOIN pg_catalog.pg_extension AS e ON e.oid = m.refobjid
		 CROSS JOIN LATERAL pg_catalog.aclexplode(m.acl) AS a
		  LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.grantee
		 WHERE e.extname = 'trading_engine' AND m.deptype = 'e'
		   AND m.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
		   AND a.grantee <> m.owner
		   AND COALESCE(r.rolname NOT IN ('trading_admin', 'trading_tenant', 'trading_worker', 'pg_monitor'), true)
		 GROUP BY 1, 2
	LOOP
		EXECUTE pg_catalog.format('REVOKE ALL ON %s FROM %s', member.object, member.grantee);
	END LOOP;
	FOR member IN
		SELECT p.oid::pg_catalog.regprocedure AS object
		  FROM pg_catalog.pg_depend AS d
		  JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
		  JOIN pg_catalog.pg_proc AS p ON p.oid = d.objid
		 WHERE e.extname = 'trading_engine' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
		   AND d.deptype = 'e' AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
		   AND p.provolatile = 'i' AND NOT p.prosecdef
	LOOP
		EXECUTE pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO trading_admin, trading_tenant, trading_worker', member.object);
	END LOOP;
END
$grants$;

GRANT EXECUTE ON FUNCTION trading.session_authority(), trading.session_name(), trading.held_lanes(text),
	trading.halt(text, text, text), trading.resume(text, text), trading.lift_lock(bigint, text)
	TO trading_admin, trading_tenant;
GRANT EXECUTE ON FUNCTION trading.explain(uuid), trading.explain(text, text, text, text, timestamptz, timestamptz),
	trading.explain_derivation(uuid), trading.explain_derivation(text, text, text, text, timestamptz, timestamptz),
	trading.recompute(uuid), trading.explain_text(uuid), trading.explain_text(text, text, text, text, timestamptz, timestamptz),
	trading.explain_json(uuid), trading.explain_json(text, text, text, text, timestamptz, timestamptz)
	TO trading_admin, trading_tenant;
GRANT EXECUTE ON FUNCTION trading.current_company(), trading.current_user_id(),
	trading.current_role_in_company(), trading.login(), trading.logout(), trading.submit(jsonb),
	trading.report_execution(jsonb), trading.report_executions(jsonb), trading.report_execution(text, uuid, text, timestamptz, float8, float8, float8, float8, float8, integer, text, text, text, text, text),
	trading.signal_channel(), trading.merge_strategy(record, record, record, boolean),
	trading.layers_at(text, text, text, timestamptz), trading.strategy_at(text, text, text, timestamptz)
	TO trading_admin, trading_tenant;
GRANT EXECUTE ON FUNCTION trading.current_company(), trading.current_user_id(),
	trading.current_role_in_company(), trading.channel_of(text), trading.ensure_partitions(integer),
	trading.this_system(), trading.rows_at(text, pg_snapshot, bigint, text[]), trading.log_begin(pg_snapshot, bigint)
	TO trading_worker;
GRANT EXECUTE ON FUNCTION trading.ensure_partitions(integer), trading.old_partitions(interval),
	trading.drop_partitions(interval, integer), trading.adopt(integer), trading.set_lanes(integer),
	trading.resend(integer, bigint, bigint, bigint),
	trading.release_gap(text, text, text), trading.retry_dead_letter(uuid),
	trading.prune(interval, interval), trading.upkeep(interval, interval), trading.rows_at(text, pg_snapshot, bigint, text[]),
	trading.log_begin(pg_snapshot, bigint)
	TO trading_admin;
GRANT EXECUTE ON FUNCTION trading.sessions(text, timestamptz, timestamptz), trading.check_symbol(text),
	trading.in_session(text, timestamptz), trading.next_session(text, timestamptz), trading.rates_at(timestamptz),
	trading.conversion(text, text, timestamptz), trading.conversion_rate(text, text, timestamptz),
	trading.pip_value(text, float8, text, timestamptz)
	TO trading_admin, trading_tenant;
GRANT EXECUTE ON FUNCTION trading.adjust_strategies(boolean, text, text, text), trading.undo_adjustment(bigint, text)
	TO trading_admin, trading_tenant;
GRANT EXECUTE ON FUNCTION trading.measure_strategies(timestamptz), trading.weigh_models(integer) TO trading_admin;
GRANT EXECUTE ON FUNCTION trading.strategy_figures(text, text, text, integer, boolean), trading.sees_all_users(), trading.newest_trades(text, text, text, bigint, boolean),
	trading.performance_of(text, timestamptz, timestamptz, text, text, text, text, boolean) TO trading_admin, trading_tenant;
GRANT EXECUTE ON FUNCTION trading.roll_up(), trading.score_predictions(bigint) TO trading_admin;
GRANT EXECUTE ON FUNCTION trading.job_definitions(), trading.cron_jobs(), trading.cron_place(), trading.cron_job_name(text),
	trading.job_statement(text, text), trading.next_run(text, timestamptz, text), trading.schedule_jobs(interval, interval, jsonb),
	trading.unschedule_jobs(), trading.begin_job(text), trading.do_job(bigint)
	TO trading_admin;
GRANT EXECUTE ON PROCEDURE trading.run_job(text) TO trading_admin;
GRANT EXECUTE ON FUNCTION trading.read_jobs(), trading.health(), trading.settings_contradiction() TO trading_admin, pg_monitor;
