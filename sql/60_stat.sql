-- Views over shared memory: who runs, how much, how fast.  They see the lanes of
-- their own database; a member of pg_monitor sees those of all.  Without the library
-- in shared_preload_libraries they say what to set.

CREATE FUNCTION trading.read_workers(
	OUT datname text, OUT lane integer, OUT pid integer, OUT state text, OUT since timestamptz,
	OUT reason text, OUT failures integer, OUT retry_at timestamptz,
	OUT epoch bigint, OUT batch_no bigint, OUT input_seq bigint, OUT input_pending bigint,
	OUT last_out_seq bigint, OUT published_seq bigint, OUT acked_seq bigint, OUT in_flight bigint,
	OUT outbox_pending bigint, OUT strategies bigint, OUT cache_bytes bigint, OUT memory_bytes bigint, OUT pending_changes bigint, OUT breakers bigint, OUT symbols bigint, OUT reserved bigint, OUT memory_lost bigint, OUT parked bigint,
	OUT last_input_at timestamptz, OUT last_batch_at timestamptz, OUT lane_clock timestamptz,
	OUT batches bigint, OUT messages bigint, OUT predictions bigint, OUT evaluations bigint,
	OUT signals bigint, OUT commands bigint, OUT executions bigint, OUT unknown_executions bigint, OUT ticks bigint, OUT bars bigint, OUT dead_letters bigint,
	OUT duplicates bigint, OUT stale bigint, OUT late bigint, OUT conflicts bigint, OUT resend_requests bigint, OUT gaps bigint,
	OUT dropped bigint, OUT published bigint, OUT acknowledged bigint,
	OUT republished bigint, OUT gap_fills bigint, OUT notifications bigint,
	OUT notify_errors bigint, OUT risk_questions bigint, OUT risk_waits bigint, OUT risk_strays bigint,
	OUT rule_errors bigint, OUT errors bigint, OUT news_missing bigint, OUT reloads bigint, OUT stats_reset timestamptz)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'te_sql_stat_workers'
	LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED ROWS 16 SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.read_workers() IS 'what trading.stat_workers shows';

CREATE FUNCTION trading.read_latency(
	OUT datname text, OUT lane integer, OUT metric text, OUT count bigint, OUT mean_ms double precision,
	OUT p50_ms double precision, OUT p90_ms double precision, OUT p99_ms double precision,
	OUT p999_ms double precision, OUT max_ms double precision)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'te_sql_stat_latency'
	LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED ROWS 100 SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.read_latency() IS 'what trading.stat_latency shows';

CREATE FUNCTION trading.read_transports(
	OUT datname text, OUT lane integer, OUT transport text, OUT state text, OUT since timestamptz,
	OUT server text, OUT connects bigint, OUT disconnects bigint, OUT errors bigint,
	OUT bytes_in bigint, OUT input_pending bigint, OUT input_stalled_since timestamptz, OUT input_stalls bigint, OUT published bigint, OUT acknowledged bigint, OUT in_flight bigint, OUT route text,
	OUT last_error text, OUT last_error_at timestamptz)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'te_sql_stat_transports'
	LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED ROWS 16 SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.read_transports() IS 'what trading.stat_transports shows';

CREATE FUNCTION trading.read_decisions(
	OUT datname text, OUT lane integer, OUT outcome text, OUT count bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'te_sql_stat_decisions'
	LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED ROWS 256 SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.read_decisions() IS 'what trading.stat_decisions shows';

CREATE FUNCTION trading.read_databases(
	OUT datname text, OUT state text, OUT since timestamptz, OUT reason text,
	OUT lanes integer, OUT running integer, OUT holder_pid integer)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'te_sql_stat_databases'
	LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED ROWS 4 SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.read_databases() IS 'what trading.stat_databases shows';

CREATE FUNCTION trading.read_breakers(
	OUT datname text, OUT lane integer, OUT company_id text, OUT state text, OUT since timestamptz,
	OUT cause text, OUT wait_until timestamptz, OUT calls bigint, OUT failures bigint,
	OUT failures_in_row bigint, OUT refused bigint, OUT opened bigint)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'te_sql_stat_breakers'
	LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED ROWS 16 SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.read_breakers() IS 'what trading.stat_breakers shows';

CREATE FUNCTION trading.read_launcher(
	OUT pid integer, OUT since timestamptz, OUT reason text, OUT max_lanes integer, OUT used_lanes integer)
	RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'te_sql_stat_launcher'
	LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED ROWS 1 SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.read_launcher() IS 'what trading.stat_launcher shows';

CREATE VIEW trading.stat_workers WITH (security_invoker) AS
	SELECT * FROM trading.read_workers() AS w ORDER BY w.datname, w.lane;
COMMENT ON VIEW trading.stat_workers IS 'one row per lane: its worker, state, positions and counters';
COMMENT ON COLUMN trading.stat_workers.pid IS 'process of the worker, NULL when none runs';
COMMENT ON COLUMN trading.stat_workers.state IS 'waiting (no worker), starting, running, draining, foreign (a copy: sends nothing until trading.adopt()), halted';
COMMENT ON COLUMN trading.stat_workers.reason IS 'why it is in this state, or what the last worker failed of';
COMMENT ON COLUMN trading.stat_workers.failures IS 'starts in a row that failed or ended soon';
COMMENT ON COLUMN trading.stat_workers.retry_at IS 'when a worker is started again';
COMMENT ON COLUMN trading.stat_workers.epoch IS 'epoch of the output sequence';
COMMENT ON COLUMN trading.stat_workers.batch_no IS 'number of the last batch';
COMMENT ON COLUMN trading.stat_workers.input_seq IS 'sequence of the input stream up to which everything is applied';
COMMENT ON COLUMN trading.stat_workers.input_pending IS 'messages of the input stream not yet applied, as far as the broker has told';
COMMENT ON COLUMN trading.stat_workers.last_out_seq IS 'last output sequence committed';
COMMENT ON COLUMN trading.stat_workers.published_seq IS 'last output sequence handed to the broker';
COMMENT ON COLUMN trading.stat_workers.acked_seq IS 'last output sequence up to which all are acknowledged';
COMMENT ON COLUMN trading.stat_workers.outbox_pending IS 'messages committed and not yet acknowledged';
COMMENT ON COLUMN trading.stat_workers.strategies IS 'strategies in the cache';
COMMENT ON COLUMN trading.stat_workers.cache_bytes IS 'memory that strategies, accounts, users and reference data take in the cache';
COMMENT ON COLUMN trading.stat_workers.memory_bytes IS 'memory that the worker has allocated and not freed, the cache included; the kernel has given it more, which is kept for what comes';
COMMENT ON COLUMN trading.stat_workers.pending_changes IS 'users, companies and tiers that a change of many rows has still to bring into the cache; until it is 0, the lane decides by what was before';
COMMENT ON COLUMN trading.stat_workers.breakers IS 'circuit breakers of the risk service that have seen failures of late';
COMMENT ON COLUMN trading.stat_workers.symbols IS 'symbols with market state';
COMMENT ON COLUMN trading.stat_workers.reserved IS 'open positions, and signals that have neither expired nor an outcome';
COMMENT ON COLUMN trading.stat_workers.memory_lost IS 'remembered signals, decisions and stop-outs that had to go while they were of interest: signal_memory or ban_memory is too small';
COMMENT ON COLUMN trading.stat_workers.messages IS 'messages that took effect';
COMMENT ON COLUMN trading.stat_workers.commands IS 'execution commands; they are among the messages published';
COMMENT ON COLUMN trading.stat_workers.lane_clock IS 'the lane''s time, with trading_engine.clock = input';
COMMENT ON COLUMN trading.stat_workers.evaluations IS 'pairs of strategy and prediction that were decided';
COMMENT ON COLUMN trading.stat_workers.executions IS 'reports of terminals, those that came again included';
COMMENT ON COLUMN trading.stat_workers.unknown_executions IS 'new ones that have no effect, because their signal isn''t known, is none to execute, or is of another symbol: trading.executions.flag';
COMMENT ON COLUMN trading.stat_workers.duplicates IS 'messages whose producer sequence was applied before, and executions that came again';
COMMENT ON COLUMN trading.stat_workers.stale IS 'messages of a producer''s older epoch';
COMMENT ON COLUMN trading.stat_workers.late IS 'messages that came after their numbers were given up: trading.input_gaps';
COMMENT ON COLUMN trading.stat_workers.resend_requests IS 'requests to producers for missing messages';
COMMENT ON COLUMN trading.stat_workers.parked IS 'messages that wait for missing ones before them';
COMMENT ON COLUMN trading.stat_workers.conflicts IS 'producer sequences that came again with other content';
COMMENT ON COLUMN trading.stat_workers.dropped IS 'messages of companies that other lanes own';
COMMENT ON COLUMN trading.stat_workers.gap_fills IS 'messages expired or halted before they were sent, replaced by a record of the gap';
COMMENT ON COLUMN trading.stat_workers.risk_questions IS 'signals that the risk service was asked about';
COMMENT ON COLUMN trading.stat_workers.risk_waits IS 'batches that waited for its answers; metric assess in trading.stat_latency says how long';
COMMENT ON COLUMN trading.stat_workers.risk_strays IS 'its answers that were late, came twice, or answered nothing: they are ignored';
COMMENT ON COLUMN trading.stat_workers.rule_errors IS 'custom rules that could not be evaluated, which counts as not true; trading.decision_counts has them per strategy';
COMMENT ON COLUMN trading.stat_workers.errors IS 'batches that failed and were tried again message by message';
COMMENT ON COLUMN trading.stat_workers.news_missing IS 'signals rejected because the calendar that trading.news_rules requires isn''t there: trading.missing_calendars';
COMMENT ON COLUMN trading.stat_workers.reloads IS 'loads of changed strategies and reference data';
COMMENT ON COLUMN trading.stat_workers.stats_reset IS 'when the counters began at 0';

CREATE VIEW trading.stat_latency WITH (security_invoker) AS
	SELECT * FROM trading.read_latency() AS l;
COMMENT ON VIEW trading.stat_latency IS 'latencies in milliseconds per lane and, where lane is NULL, over all lanes of a database';
COMMENT ON COLUMN trading.stat_latency.metric IS 'what was measured, from the moment that the message was read off the socket where it says "read"';
COMMENT ON COLUMN trading.stat_latency.p50_ms IS 'percentiles are within 1.6 % of the true value';
COMMENT ON COLUMN trading.stat_latency.p999_ms IS '99.9th percentile';
COMMENT ON COLUMN trading.stat_latency.max_ms IS 'greatest value, exact';

CREATE VIEW trading.stat_transports WITH (security_invoker) AS
	SELECT * FROM trading.read_transports() AS t ORDER BY t.datname, t.lane, t.transport;
COMMENT ON VIEW trading.stat_transports IS 'the lanes'' connections to brokers';
COMMENT ON COLUMN trading.stat_transports.server IS 'address, without user and password';
COMMENT ON COLUMN trading.stat_transports.bytes_in IS 'bytes of input that were received';
COMMENT ON COLUMN trading.stat_transports.input_pending IS 'messages of the input not yet applied, as far as the broker has told';
COMMENT ON COLUMN trading.stat_transports.input_stalled_since IS 'since when a stream has input that isn''t applied, and nothing of it was taken, where that is more than 30 s; NULL: it moves';
COMMENT ON COLUMN trading.stat_transports.input_stalls IS 'how often that has happened since the worker started';
COMMENT ON COLUMN trading.stat_transports.published IS 'messages of output handed over since the worker started, repetitions included';
COMMENT ON COLUMN trading.stat_transports.acknowledged IS 'messages of output that were acknowledged since the worker started';
COMMENT ON COLUMN trading.stat_transports.in_flight IS 'messages of output that wait for their acknowledgement';
COMMENT ON COLUMN trading.stat_transports.route IS 'state of the lane''s output, of both transports the same: trading.lane_output';
COMMENT ON COLUMN trading.stat_transports.last_error_at IS 'when this error came up; errors counts its repetitions';

CREATE VIEW trading.stat_decisions WITH (security_invoker) AS
	SELECT * FROM trading.read_decisions() AS d;
COMMENT ON VIEW trading.stat_decisions IS 'decisions per lane and outcome since the lane''s counters were reset; trading.decision_counts keeps them per strategy';

CREATE VIEW trading.stat_databases WITH (security_invoker) AS
	SELECT * FROM trading.read_databases() AS d ORDER BY d.datname;
COMMENT ON VIEW trading.stat_databases IS 'databases that have the extension, as the launcher sees them';
COMMENT ON COLUMN trading.stat_databases.state IS 'ready, held (lanes stopped by the session holder_pid), blocked';
COMMENT ON COLUMN trading.stat_databases.reason IS 'what blocks the workers';
COMMENT ON COLUMN trading.stat_databases.lanes IS 'lanes in trading.lanes';
COMMENT ON COLUMN trading.stat_databases.running IS 'lanes whose worker runs';

CREATE VIEW trading.stat_breakers WITH (security_invoker) AS
	SELECT * FROM trading.read_breakers() AS b ORDER BY b.datname, b.lane, b.company_id NULLS FIRST;
COMMENT ON VIEW trading.stat_breakers IS 'circuit breakers around the risk service: the lane''s, or with trading_engine.risk_breaker_scope = company those that have seen failures of late, at most 64 per lane (trading.stat_workers.breakers counts them all)';
COMMENT ON COLUMN trading.stat_breakers.company_id IS 'company whose breaker it is; NULL: the lane''s, for all its companies';
COMMENT ON COLUMN trading.stat_breakers.state IS 'CLOSED: the service is asked; OPEN: it isn''t, until a signal comes after wait_until; HALF_OPEN: it is asked about one signal at a time';
COMMENT ON COLUMN trading.stat_breakers.since IS 'when it came into this state';
COMMENT ON COLUMN trading.stat_breakers.cause IS 'why';
COMMENT ON COLUMN trading.stat_breakers.wait_until IS 'of OPEN: when the service is asked again';
COMMENT ON COLUMN trading.stat_breakers.calls IS 'signals that the service was asked about, since the worker started';
COMMENT ON COLUMN trading.stat_breakers.failures IS 'calls without a sound answer in time';
COMMENT ON COLUMN trading.stat_breakers.failures_in_row IS 'and since the last sound answer or change of state';
COMMENT ON COLUMN trading.stat_breakers.refused IS 'signals that the service was not asked about, because the breaker was open';
COMMENT ON COLUMN trading.stat_breakers.opened IS 'how often it has opened';

CREATE VIEW trading.stat_launcher WITH (security_invoker) AS
	SELECT * FROM trading.read_launcher() AS l;
COMMENT ON VIEW trading.stat_launcher IS 'the process that starts all workers';
COMMENT ON COLUMN trading.stat_launcher.reason IS 'what keeps it from starting workers';
COMMENT ON COLUMN trading.stat_launcher.max_lanes IS 'lanes that can run in the cluster: trading_engine.max_lanes';

CREATE FUNCTION trading.stat_reset() RETURNS void
	AS 'MODULE_PATHNAME', 'te_sql_stat_reset'
	LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.stat_reset() IS 'lets the counters and latencies of this database''s lanes begin anew; positions stay';

CREATE FUNCTION trading.request_check() RETURNS void
	AS 'MODULE_PATHNAME', 'te_sql_request_check'
	LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.request_check() IS 'asks the launcher to look at this database when the transaction has committed; install and upgrade scripts call it';

REVOKE ALL ON FUNCTION trading.read_workers(), trading.read_latency(), trading.read_transports(),
	trading.read_decisions(), trading.read_databases(), trading.read_breakers(), trading.read_launcher(),
	trading.stat_reset(), trading.request_check()
	FROM PUBLIC;
REVOKE ALL ON trading.stat_workers, trading.stat_latency, trading.stat_transports,
	trading.stat_decisions, trading.stat_databases, trading.stat_breakers, trading.stat_launcher
	FROM PUBLIC;
GRANT USAGE ON SCHEMA trading TO pg_monitor;
GRANT EXECUTE ON FUNCTION trading.read_workers(), trading.read_latency(), trading.read_transports(),
	trading.read_decisions(), trading.read_databases(), trading.read_breakers(), trading.read_launcher()
	TO trading_admin, pg_monitor;
GRANT SELECT ON trading.stat_workers, trading.stat_latency, trading.stat_transports,
	trading.stat_decisions, trading.stat_databases, trading.stat_breakers, trading.stat_launcher
	TO trading_admin, pg_monitor;
GRANT EXECUTE ON FUNCTION trading.stat_reset() TO trading_admin;

SELECT trading.request_check();
