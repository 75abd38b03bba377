-- Jobs: what has to be done again and again, how pg_cron is told to do it, and what became of
-- it.  Everything goes through trading.run_job(), whoever calls it, so that trading.jobs knows
-- of every run: pg_cron's own notes are in one database of the cluster, and crontab has none.

CREATE FUNCTION trading.create_job_tables() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	CREATE TABLE trading.job_settings (
		job text PRIMARY KEY,
		schedule text CONSTRAINT schedule_is_short CHECK (octet_length(schedule) <= 256),
		enabled boolean NOT NULL DEFAULT true,
		keep interval CONSTRAINT keep_is_a_day_or_more CHECK (keep >= '1 day'),
		keep_history interval CONSTRAINT keep_history_is_7_years_or_more CHECK (keep_history >= '7 years'),
		scheduled_at timestamptz
	);
	PERFORM trading.describe('trading.job_settings', 'how jobs differ from what they are at first: trading.schedule_jobs()', jsonb_build_object(
		'job', 'the job: trading.jobs',
		'schedule', 'minute, hour, day of month, month, day of week, as of cron; NULL: as it is at first',
		'enabled', 'whether it runs by itself',
		'keep', 'of retention: how long partitions are kept; NULL: 30 days',
		'keep_history', 'of retention: how long versions of strategies are kept that others followed; NULL: 7 years',
		'scheduled_at', 'since when it is expected to run; NULL: nobody has said so'));

	CREATE TABLE trading.job_runs (
		run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		job text NOT NULL,
		status text NOT NULL CHECK (status IN ('RUNNING', 'OK', 'FAILED', 'LOST', 'SKIPPED')),
		started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
		finished_at timestamptz,
		result text,
		run_by name NOT NULL DEFAULT session_user,
		pid integer NOT NULL DEFAULT pg_backend_pid(),
		backend_start timestamptz
	);
	CREATE INDEX ON trading.job_runs (job, run_id DESC);
	PERFORM trading.describe('trading.job_runs', 'runs of jobs', jsonb_build_object(
		'run_id', 'order of the runs',
		'job', 'the job: trading.jobs',
		'status', 'RUNNING, OK, FAILED, LOST (its session ended before it did) or SKIPPED (the run before was still on)',
		'started_at', 'when it began',
		'finished_at', 'when it ended; NULL: it hasn''t',
		'result', 'what it returned, or the error',
		'run_by', 'role that opened the session',
		'pid', 'process of the session',
		'backend_start', 'when that session began, which tells it from others of the same pid'));
END
$$;
COMMENT ON FUNCTION trading.create_job_tables() IS 'part of trading.setup(): settings and runs of jobs';

-- The jobs there are.  What each does is a query of one value.
CREATE FUNCTION trading.job_definitions() RETURNS TABLE (job text, schedule text, command text, about text)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT d.job, COALESCE(s.schedule, d.schedule), d.command, d.about
	  FROM (VALUES
		(1, 'partitions', '7 * * * *', 'trading.ensure_partitions(integer)',
			'SELECT trading.ensure_partitions()', 'makes partitions for the days ahead'),
		(2, 'retention', '17 3 * * *', 'trading.upkeep(interval,interval)',
			'SELECT trading.keep_for($1, $2)', 'drops partitions that are old enough, and prunes inbox, history and runs of jobs'),
		(3, 'rollup', '* * * * *', 'trading.roll_up()',
			'SELECT trading.roll_up()', 'brings the sums behind trading.performance up to date'),
		(4, 'score', '* * * * *', 'trading.score_predictions(bigint)',
			'SELECT trading.score_predictions()', 'compares predictions with what came of them'),
		(5, 'measure', '*/5 * * * *', 'trading.measure_strategies(timestamptz)',
			'SELECT trading.measure_strategies($3 - interval ''1 hour'')', 'measures hit rates of strategies whose trades have closed'),
		(6, 'weigh', '41 * * * *', 'trading.weigh_models(integer)',
			'SELECT trading.weigh_models()', 'lets the weights of models follow their accuracy'),
		(7, 'adjust', '47 * * * *', 'trading.adjust_strategies(boolean,text,text,text)',
			'SELECT count(*) FROM trading.adjust_strategies() AS a WHERE a.adjustment_id IS NOT NULL', 'adjusts strategies to their results')
	  ) AS d (n, job, schedule, does, command, about)
	  LEFT JOIN trading.job_settings AS s ON s.job = d.job
	 WHERE to_regprocedure(d.does) IS NOT NULL
	 ORDER BY d.n
$$;
COMMENT ON FUNCTION trading.job_definitions() IS 'jobs with their schedules as they are set, and what they do: $1, $2: how long retention keeps what; $3: start of the last run that was done';

CREATE FUNCTION trading.keep_for(keep interval, keep_history interval) RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM trading.upkeep(COALESCE(keep_for.keep, '30 days'), COALESCE(keep_for.keep_history, '7 years'));
	-- The last run of each job is what tells whether it is late.
	DELETE FROM trading.job_runs AS r
	 WHERE r.started_at < now() - interval '30 days'
	   AND EXISTS (SELECT FROM trading.job_runs AS n WHERE n.job = r.job AND n.run_id > r.run_id AND n.status <> 'SKIPPED');
END
$$;
COMMENT ON FUNCTION trading.keep_for(interval, interval) IS 'the job retention';

-- Schedules

CREATE FUNCTION trading.cron_field(field text, low integer, high integer) RETURNS integer[]
	LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	part text;
	m text[];
	first integer;
	last integer;
	found integer[] := '{}';
BEGIN
	FOREACH part IN ARRAY string_to_array(field, ',')
	LOOP
		m := regexp_match(part, '^(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?$');
		first := COALESCE(m[1]::integer, low);
		last := CASE WHEN m[1] IS NULL OR m[2] IS NULL AND m[3] IS NOT NULL THEN high ELSE COALESCE(m[2], m[1])::integer END;
		IF m IS NULL OR first < low OR last > high OR first > last OR m[3]::integer = 0 THEN
			RAISE EXCEPTION '"%" is not a part of a schedule', part
				USING ERRCODE = 'invalid_parameter_value',
				      HINT = format('Numbers from %s to %s, as in *, */5, 7, 1-5 or 0,30.', low, high);
		END IF;
		found := found || ARRAY(SELECT n FROM generate_series(first, last, COALESCE(m[3]::integer, 1)) AS g (n));
	END LOOP;
	RETURN found;
END
$$;
COMMENT ON FUNCTION trading.cron_field(text, integer, integer) IS 'numbers that a field of a schedule stands for';

-- As cron has it: where both days are restricted, either will do.
CREATE FUNCTION trading.next_run(schedule text, after timestamptz, zone text DEFAULT 'GMT') RETURNS timestamptz
	LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	parts constant text[] := regexp_split_to_array(btrim(schedule), '\s+');
	minutes integer[];
	hours integer[];
	days integer[];
	months integer[];
	weekdays integer[];
	day date;
	found timestamptz;
BEGIN
	IF array_length(parts, 1) IS DISTINCT FROM 5 THEN
		RAISE EXCEPTION '"%" is not a schedule', schedule
			USING ERRCODE = 'invalid_parameter_value',
			      HINT = 'Five fields: minute, hour, day of month, month, day of week; 17 3 * * * is daily at 03:17.';
	END IF;
	minutes := trading.cron_field(parts[1], 0, 59);
	hours := trading.cron_field(parts[2], 0, 23);
	days := trading.cron_field(parts[3], 1, 31);
	months := trading.cron_field(parts[4], 1, 12);
	weekdays := ARRAY(SELECT d % 7 FROM unnest(trading.cron_field(parts[5], 0, 7)) AS d);
	-- Four years hold every date there is, but for some centuries.
	FOR day IN SELECT d::date FROM generate_series((after AT TIME ZONE zone)::date, (after AT TIME ZONE zone)::date + 1461, interval '1 day') AS d
	LOOP
		CONTINUE WHEN extract(month FROM day)::integer <> ALL (months);
		CONTINUE WHEN CASE WHEN parts[3] ~ '^\*' OR parts[5] ~ '^\*'
			THEN NOT (extract(day FROM day)::integer = ANY (days) AND extract(dow FROM day)::integer = ANY (weekdays))
			ELSE NOT (extract(day FROM day)::integer = ANY (days) OR extract(dow FROM day)::integer = ANY (weekdays)) END;
		SELECT min(t.at) INTO found
		  FROM unnest(hours) AS h, unnest(minutes) AS m,
		       LATERAL (SELECT (day + make_interval(hours => h, mins => m)) AT TIME ZONE zone) AS t (at)
		 WHERE t.at > after;
		EXIT WHEN found IS NOT NULL;
	END LOOP;
	RETURN found;
END
$$;
COMMENT ON FUNCTION trading.next_run(text, timestamptz, text) IS 'when a schedule is next due after a time; NULL: within four years never';

-- Running

CREATE FUNCTION trading.is_session(pid integer, backend_start timestamptz) RETURNS boolean
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT EXISTS (SELECT FROM pg_stat_get_activity($1) AS a WHERE a.backend_start IS NOT DISTINCT FROM $2)
$$;
COMMENT ON FUNCTION trading.is_session(integer, timestamptz) IS 'whether the session of a run is still there';

CREATE FUNCTION trading.begin_job(job text) RETURNS bigint
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	busy integer;
	run bigint;
BEGIN
	IF NOT EXISTS (SELECT FROM trading.job_definitions() AS d WHERE d.job = begin_job.job) THEN
		RAISE EXCEPTION 'there is no job "%"', begin_job.job
			USING ERRCODE = 'invalid_parameter_value',
			      HINT = format('Jobs are: %s.', (SELECT string_agg(d.job, ', ') FROM trading.job_definitions() AS d));
	END IF;
	LOCK TABLE trading.job_runs IN SHARE ROW EXCLUSIVE MODE;
	UPDATE trading.job_runs AS r SET status = 'LOST', finished_at = clock_timestamp()
	 WHERE r.job = begin_job.job AND r.status = 'RUNNING'
	   AND (r.pid = pg_backend_pid() OR NOT trading.is_session(r.pid, r.backend_start));
	SELECT r.pid INTO busy FROM trading.job_runs AS r WHERE r.job = begin_job.job AND r.status = 'RUNNING';
	INSERT INTO trading.job_runs (job, status, backend_start, finished_at, result)
	SELECT begin_job.job, CASE WHEN busy IS NULL THEN 'RUNNING' ELSE 'SKIPPED' END, a.backend_start,
	       CASE WHEN busy IS NOT NULL THEN clock_timestamp() END, 'process ' || busy || ' is still running it'
	  FROM pg_stat_get_activity(pg_backend_pid()) AS a
	RETURNING run_id INTO run;
	RETURN CASE WHEN busy IS NULL THEN run END;
END
$$;
COMMENT ON FUNCTION trading.begin_job(text) IS 'part of trading.run_job(): notes that a job begins; NULL: it is running already';

CREATE FUNCTION trading.do_job(run_id bigint) RETURNS text
	LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	it record;
	settings record;
	last timestamptz;
	outcome text;
	failure text;
BEGIN
	SELECT d.job, d.command INTO it
	  FROM trading.job_runs AS r JOIN trading.job_definitions() AS d ON d.job = r.job
	 WHERE r.run_id = do_job.run_id AND r.status = 'RUNNING' AND r.pid = pg_backend_pid();
	IF NOT FOUND THEN
		RAISE EXCEPTION 'run % is not one of this session', COALESCE(do_job.run_id::text, 'NULL')
			USING ERRCODE = 'invalid_parameter_value', HINT = 'CALL trading.run_job(job).';
	END IF;
	SELECT s.keep, s.keep_history INTO settings FROM trading.job_settings AS s WHERE s.job = it.job;
	-- What was committed after that run looked may have begun before it: an hour's overlap.
	SELECT max(r.started_at) - interval '1 hour' INTO last FROM trading.job_runs AS r WHERE r.job = it.job AND r.status = 'OK';
	BEGIN
		EXECUTE it.command INTO outcome USING settings.keep, settings.keep_history, last;
	EXCEPTION WHEN OTHERS THEN
		failure := SQLERRM;
	END;
	UPDATE trading.job_runs AS r
	   SET status = CASE WHEN failure IS NULL THEN 'OK' ELSE 'FAILED' END, finished_at = clock_timestamp(),
	       result = COALESCE(failure, outcome)
	 WHERE r.run_id = do_job.run_id;
	RETURN failure;
END
$$;
COMMENT ON FUNCTION trading.do_job(bigint) IS 'part of trading.run_job(): does the job and notes what came of it; returns the error';

-- Commits between the steps, so that a run is seen while it goes on, and a failure is noted.  A
-- procedure that commits can have no search_path of its own: it uses no operator.
CREATE PROCEDURE trading.run_job(job text)
	LANGUAGE plpgsql
AS $$
DECLARE
	run bigint;
	failure text;
BEGIN
	run := trading.begin_job(job);
	COMMIT;
	IF run IS NULL THEN
		RETURN;
	END IF;
	failure := trading.do_job(run);
	COMMIT;
	IF failure IS NOT NULL THEN
		RAISE EXCEPTION 'job "%" failed: %', job, failure;
	END IF;
END
$$;
COMMENT ON PROCEDURE trading.run_job(text) IS 'does a job now, unless it is being done, and notes it in trading.job_runs; outside of a transaction block';

-- Scheduling

CREATE FUNCTION trading.cron_job_name(job text) RETURNS text
	LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$
	SELECT format('trading_engine %s %s', current_database(), $1)
$$;
COMMENT ON FUNCTION trading.cron_job_name(text) IS 'what pg_cron knows a job of this database by';

-- here: pg_cron is in this database; elsewhere: in the one that it names; else neither.
CREATE FUNCTION trading.cron_place(OUT is_here boolean, OUT database text, OUT zone text)
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT to_regclass('cron.job') IS NOT NULL AND EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'pg_cron'),
	       current_setting('cron.database_name', true),
	       COALESCE(NULLIF(current_setting('cron.timezone', true), ''), 'GMT')
$$;
COMMENT ON FUNCTION trading.cron_place() IS 'where pg_cron is: in this database, or the one that it runs from; NULL: not loaded by the server';

-- What pg_cron knows of the jobs of this database, as far as one can see from here.
CREATE FUNCTION trading.cron_jobs() RETURNS TABLE (jobid bigint, jobname text, schedule text, active boolean)
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF (SELECT p.is_here FROM trading.cron_place() AS p) THEN
		RETURN QUERY EXECUTE
			'SELECT j.jobid, j.jobname::text, j.schedule, j.active FROM cron.job AS j
			  WHERE j.database = current_database() AND starts_with(j.jobname::text, trading.cron_job_name(''''))';
	END IF;
END
$$;
COMMENT ON FUNCTION trading.cron_jobs() IS 'jobs of this database in pg_cron, where that is in this database';

-- How to schedule a job, or (schedule NULL) not to, in other words than calling it here.
CREATE FUNCTION trading.job_statement(job text, schedule text) RETURNS text
	LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT CASE
		WHEN p.database IS NULL AND schedule IS NULL THEN NULL
		WHEN p.database IS NULL THEN format('%s psql -Xqc "CALL trading.run_job(''%s'')" %s', schedule, job, current_database())
		WHEN schedule IS NULL THEN format('SELECT cron.unschedule(j.jobid) FROM cron.job AS j WHERE j.jobname = %L AND j.database = %L;',
			trading.cron_job_name(job), current_database())
		ELSE format('SELECT cron.schedule_in_database(%L, %L, %L, %L);', trading.cron_job_name(job), schedule,
			format('CALL trading.run_job(%L)', job), current_database()) END
	  FROM trading.cron_place() AS p
$$;
COMMENT ON FUNCTION trading.job_statement(text, text) IS 'statement for the database that pg_cron is in, or line for crontab';

CREATE FUNCTION trading.schedule_jobs(keep interval DEFAULT NULL, keep_history interval DEFAULT NULL, schedules jsonb DEFAULT '{}')
	RETURNS TABLE (job text, schedule text, state text, statement text)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	place record;
	wanted record;
	definition record;
	cron_job bigint;
BEGIN
	SELECT p.* INTO STRICT place FROM trading.cron_place() AS p;
	IF jsonb_typeof(schedules) IS DISTINCT FROM 'object' THEN
		RAISE EXCEPTION 'schedules must be an object: {"job": "schedule", ...}' USING ERRCODE = 'invalid_parameter_value';
	END IF;
	FOR wanted IN SELECT s.key AS job, s.value AS schedule FROM jsonb_each_text(schedules) AS s
	LOOP
		IF NOT EXISTS (SELECT FROM trading.job_definitions() AS d WHERE d.job = wanted.job) THEN
			RAISE EXCEPTION 'there is no job "%"', wanted.job
				USING ERRCODE = 'invalid_parameter_value',
				      HINT = format('Jobs are: %s.', (SELECT string_agg(d.job, ', ') FROM trading.job_definitions() AS d));
		END IF;
		PERFORM trading.next_run(wanted.schedule, now());
		INSERT INTO trading.job_settings AS s (job, schedule, enabled) VALUES (wanted.job, wanted.schedule, wanted.schedule IS NOT NULL)
		    ON CONFLICT ON CONSTRAINT job_settings_pkey DO UPDATE
		   SET schedule = COALESCE(excluded.schedule, s.schedule), enabled = excluded.enabled;
	END LOOP;
	INSERT INTO trading.job_settings AS s (job, keep, keep_history) VALUES ('retention', schedule_jobs.keep, schedule_jobs.keep_history)
	    ON CONFLICT ON CONSTRAINT job_settings_pkey DO UPDATE
	   SET keep = COALESCE(excluded.keep, s.keep), keep_history = COALESCE(excluded.keep_history, s.keep_history);
	INSERT INTO trading.job_settings AS s (job, scheduled_at) SELECT d.job, now() FROM trading.job_definitions() AS d
	    ON CONFLICT ON CONSTRAINT job_settings_pkey DO UPDATE SET scheduled_at = COALESCE(s.scheduled_at, excluded.scheduled_at);

	FOR definition IN
		SELECT d.job, d.schedule, s.enabled FROM trading.job_definitions() AS d JOIN trading.job_settings AS s ON s.job = d.job
	LOOP
		job := definition.job;
		schedule := CASE WHEN definition.enabled THEN definition.schedule END;
		statement := NULL;
		IF place.is_here THEN
			cron_job := NULL;
			SELECT c.jobid INTO cron_job FROM trading.cron_jobs() AS c WHERE c.jobname = trading.cron_job_name(definition.job);
			IF definition.enabled THEN
				EXECUTE 'SELECT cron.schedule($1, $2, $3)'
				  USING trading.cron_job_name(job), schedule, format('CALL trading.run_job(%L)', job);
			ELSIF cron_job IS NOT NULL THEN
				EXECUTE 'SELECT cron.unschedule($1)' USING cron_job;
			END IF;
			state := CASE WHEN definition.enabled THEN 'SCHEDULED' ELSE 'OFF' END;
		ELSE
			state := CASE WHEN definition.enabled THEN 'TO SCHEDULE' ELSE 'OFF' END;
			statement := trading.job_statement(job, schedule);
		END IF;
		RETURN NEXT;
	END LOOP;
	IF NOT place.is_here THEN
		RAISE NOTICE '%', CASE
			WHEN place.database IS NULL THEN 'pg_cron is not loaded: have something else run the lines of column "statement", such as crontab'
			WHEN place.database = current_database() THEN 'pg_cron is not installed in this database, which it runs from: CREATE EXTENSION pg_cron, and call this again'
			ELSE format('pg_cron runs from database "%s": run column "statement" there', place.database) END
			USING HINT = CASE WHEN place.database IS NULL THEN 'Or set shared_preload_libraries = ''trading_engine, pg_cron'', restart, CREATE EXTENSION pg_cron, and call this again.'
				ELSE format('psql -XAtc "SELECT statement FROM trading.schedule_jobs()" %s | psql %s', quote_ident(current_database()), quote_ident(place.database)) END;
	END IF;
END
$$;
COMMENT ON FUNCTION trading.schedule_jobs(interval, interval, jsonb) IS
	'has pg_cron run all jobs, or says what to run and when; again with the same effect. keep: how long partitions are kept (at first 30 days); schedules: {"job": "minute hour day month weekday", ...}, null: that one not';

CREATE FUNCTION trading.unschedule_jobs() RETURNS TABLE (job text, state text, statement text)
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	place record;
	it record;
BEGIN
	SELECT p.* INTO STRICT place FROM trading.cron_place() AS p;
	UPDATE trading.job_settings AS s SET scheduled_at = NULL WHERE s.scheduled_at IS NOT NULL;
	IF place.is_here THEN
		FOR it IN SELECT c.jobid, c.jobname FROM trading.cron_jobs() AS c ORDER BY c.jobid
		LOOP
			EXECUTE 'SELECT cron.unschedule($1)' USING it.jobid;
			job := substr(it.jobname, length(trading.cron_job_name('')) + 1);
			state := 'REMOVED';
			RETURN NEXT;
		END LOOP;
	ELSIF place.database IS NOT NULL THEN
		RETURN QUERY SELECT d.job, 'TO REMOVE', trading.job_statement(d.job, NULL) FROM trading.job_definitions() AS d;
		RAISE NOTICE 'pg_cron runs from database "%": run column "statement" there', place.database;
	ELSE
		RAISE NOTICE 'pg_cron is not loaded: take trading.run_job out of whatever calls it';
	END IF;
END
$$;
COMMENT ON FUNCTION trading.unschedule_jobs() IS 'takes the jobs of this database, and nothing else, out of pg_cron, or says what to run there; their runs stay';

-- What became of them

CREATE FUNCTION trading.read_jobs(OUT job text, OUT about text, OUT schedule text, OUT command text, OUT scheduled boolean, OUT scheduled_at timestamptz,
		OUT last_run timestamptz, OUT last_status text, OUT last_took interval, OUT last_result text, OUT next_due timestamptz, OUT late boolean, OUT failed boolean)
	RETURNS SETOF record
	LANGUAGE sql STABLE SECURITY DEFINER ROWS 10 SET search_path = pg_catalog, pg_temp
AS $$
	SELECT d.job, d.about, CASE WHEN s.enabled IS NOT FALSE THEN d.schedule END, format('CALL trading.run_job(%L)', d.job),
	       CASE WHEN p.is_here THEN EXISTS (
			SELECT FROM trading.cron_jobs() AS c WHERE c.jobname = trading.cron_job_name(d.job) AND c.active) END,
	       s.scheduled_at, r.started_at, r.status, r.finished_at - r.started_at, r.result, n.due,
	       COALESCE(n.due + interval '5 minutes' < now() AND r.status IS DISTINCT FROM 'RUNNING', false),
	       COALESCE(r.status IN ('FAILED', 'LOST'), false)
	  FROM trading.job_definitions() AS d
	 CROSS JOIN trading.cron_place() AS p
	  LEFT JOIN trading.job_settings AS s ON s.job = d.job
	  LEFT JOIN LATERAL (
		SELECT j.started_at, j.finished_at, j.result,
		       CASE WHEN j.status = 'RUNNING' AND NOT trading.is_session(j.pid, j.backend_start) THEN 'LOST' ELSE j.status END AS status
		  FROM trading.job_runs AS j WHERE j.job = d.job AND j.status <> 'SKIPPED' ORDER BY j.run_id DESC LIMIT 1) AS r ON true
	 CROSS JOIN LATERAL (
		SELECT CASE WHEN s.enabled AND s.scheduled_at IS NOT NULL THEN
			trading.next_run(d.schedule, GREATEST(r.started_at, s.scheduled_at), p.zone) END AS due) AS n
$$;
COMMENT ON FUNCTION trading.read_jobs() IS 'what trading.jobs shows';

CREATE FUNCTION trading.create_job_view() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	CREATE OR REPLACE VIEW trading.jobs AS SELECT * FROM trading.read_jobs();
	COMMENT ON VIEW trading.jobs IS 'what has to be done again and again, when it was done last, and when it is due';
	COMMENT ON COLUMN trading.jobs.job IS 'name, for trading.run_job()';
	COMMENT ON COLUMN trading.jobs.about IS 'what it does';
	COMMENT ON COLUMN trading.jobs.schedule IS 'minute, hour, day of month, month, day of week; NULL: switched off';
	COMMENT ON COLUMN trading.jobs.command IS 'how it is run, by pg_cron or anything else';
	COMMENT ON COLUMN trading.jobs.scheduled IS 'whether pg_cron runs it; NULL: pg_cron isn''t in this database';
	COMMENT ON COLUMN trading.jobs.scheduled_at IS 'since when it is expected to run: trading.schedule_jobs(); NULL: it isn''t';
	COMMENT ON COLUMN trading.jobs.last_run IS 'when it was last begun';
	COMMENT ON COLUMN trading.jobs.last_status IS 'RUNNING, OK, FAILED or LOST (its session ended before it did)';
	COMMENT ON COLUMN trading.jobs.last_took IS 'how long that took';
	COMMENT ON COLUMN trading.jobs.last_result IS 'what it returned, or the error';
	COMMENT ON COLUMN trading.jobs.next_due IS 'when it is due after that, in pg_cron''s time zone';
	COMMENT ON COLUMN trading.jobs.late IS 'whether that was more than 5 minutes ago';
	COMMENT ON COLUMN trading.jobs.failed IS 'whether the last run failed';
	PERFORM trading.revoke_all('trading.jobs');
	GRANT SELECT ON trading.jobs TO trading_admin, pg_monitor;
END
$$;
COMMENT ON FUNCTION trading.create_job_view() IS 'part of trading.setup(): the view trading.jobs';
