-- Rates between currencies, and when instruments trade.

CREATE FUNCTION trading.touch_rate() RETURNS trigger
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NEW.as_of = OLD.as_of THEN
		NEW.as_of := now();
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION trading.touch_rate() IS 'trigger: a rate that is set without a time is as of now';

CREATE FUNCTION trading.create_rate_tables() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	CREATE TABLE trading.rates (
		base_currency text NOT NULL CONSTRAINT base_currency_is_a_code CHECK (base_currency ~ '^[A-Z0-9]{2,16}$'),
		quote_currency text NOT NULL CONSTRAINT quote_currency_is_a_code CHECK (quote_currency ~ '^[A-Z0-9]{2,16}$'),
		pair text GENERATED ALWAYS AS (base_currency || '/' || quote_currency) STORED,
		rate float8 NOT NULL CONSTRAINT rate_is_positive CHECK (rate > 0 AND rate < 'Infinity'),
		as_of timestamptz NOT NULL DEFAULT now() CONSTRAINT as_of_is_finite CHECK (isfinite(as_of)),
		max_age interval CONSTRAINT max_age_is_not_negative CHECK (max_age >= '0'),
		source text NOT NULL DEFAULT '' CONSTRAINT source_is_short CHECK (octet_length(source) <= 1024),
		PRIMARY KEY (base_currency, quote_currency),
		CONSTRAINT currencies_differ CHECK (base_currency <> quote_currency)
	);
	PERFORM trading.describe('trading.rates', 'exchange rates of pairs that no stream has prices of', jsonb_build_object(
		'base_currency', 'currency that the rate is the price of',
		'quote_currency', 'currency of the rate',
		'pair', 'both, as in EUR/USD',
		'rate', 'units of quote currency per unit of base currency',
		'as_of', 'when it was the price; an UPDATE of the rate that doesn''t say sets now()',
		'max_age', 'age up to which it is used, 0: no limit; NULL: trading_engine.rate_max_age',
		'source', 'where it comes from'));

	-- A zone must have a name, because an abbreviation has no summer: EST is 5 hours all year.
	CREATE TABLE trading.instrument_sessions (
		symbol text NOT NULL REFERENCES trading.instruments ON UPDATE CASCADE ON DELETE CASCADE,
		open_day integer NOT NULL CONSTRAINT open_day_is_1_to_7 CHECK (open_day BETWEEN 1 AND 7),
		open_time time NOT NULL,
		close_day integer NOT NULL CONSTRAINT close_day_is_1_to_7 CHECK (close_day BETWEEN 1 AND 7),
		close_time time NOT NULL,
		time_zone text NOT NULL CONSTRAINT time_zone_is_named CHECK (time_zone = 'UTC' OR time_zone LIKE '%/%')
			CONSTRAINT time_zone_exists CHECK ('epoch'::timestamptz AT TIME ZONE time_zone IS NOT NULL),
		session text GENERATED ALWAYS AS (symbol || ' ' || open_day::text || ' ' || open_time::text) STORED,
		PRIMARY KEY (symbol, open_day, open_time)
	);
	PERFORM trading.describe('trading.instrument_sessions',
		'weekly trading hours: each row is one session; an instrument without rows has unknown hours', jsonb_build_object(
		'open_day', 'day on which it opens, 1 Monday to 7 Sunday',
		'open_time', 'time at which it opens, by the clocks of time_zone',
		'close_day', 'day on which it closes',
		'close_time', 'time at which it closes; day and time of the opening: the whole week',
		'time_zone', 'name of the zone of both times, as America/New_York; daylight saving follows from it',
		'session', 'key of the row in the log of changes'));

	CREATE TABLE trading.market_holidays (
		symbol text NOT NULL REFERENCES trading.instruments ON UPDATE CASCADE ON DELETE CASCADE,
		closed_from timestamptz NOT NULL CONSTRAINT closed_from_is_finite CHECK (isfinite(closed_from)),
		closed_until timestamptz NOT NULL CONSTRAINT closed_until_is_finite CHECK (isfinite(closed_until)),
		name text NOT NULL DEFAULT '' CONSTRAINT name_is_short CHECK (octet_length(name) <= 1024),
		holiday text GENERATED ALWAYS AS (symbol || ' ' || EXTRACT(EPOCH FROM closed_from AT TIME ZONE 'UTC')::text) STORED,
		PRIMARY KEY (symbol, closed_from),
		CONSTRAINT closed_until_is_later CHECK (closed_until > closed_from)
	);
	PERFORM trading.describe('trading.market_holidays', 'times without trading within the weekly hours', jsonb_build_object(
		'closed_from', 'from when there is no trading',
		'closed_until', 'when trading goes on, if the weekly hours say so',
		'name', 'what people call it',
		'holiday', 'key of the row in the log of changes'));
END
$$;
COMMENT ON FUNCTION trading.create_rate_tables() IS 'part of trading.setup(): rates, trading hours and holidays';

-- The usual hours; those of a broker may differ by minutes.  New York's evening is where
-- the week of currencies turns; metals and the futures behind indices pause for an hour.
CREATE FUNCTION trading.seed_sessions() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	INSERT INTO trading.instrument_sessions (symbol, open_day, open_time, close_day, close_time, time_zone)
	SELECT i.symbol, d.day, h.opens::time, (d.day + h.nights - 1) % 7 + 1, h.closes::time, h.zone
	  FROM (VALUES
		('forex', NULL::text[], ARRAY[7], 5, '17:00', '17:00', 'America/New_York'),
		('crypto', NULL, ARRAY[7], 7, '00:00', '00:00', 'UTC'),
		('metal', NULL, ARRAY[7, 1, 2, 3, 4], 1, '18:00', '17:00', 'America/New_York'),
		('index', ARRAY['US30', 'US500', 'NAS100', 'JPN225'], ARRAY[7, 1, 2, 3, 4], 1, '18:00', '17:00', 'America/New_York'),
		('index', ARRAY['GER40'], ARRAY[1, 2, 3, 4, 5], 0, '01:15', '22:00', 'Europe/Berlin'),
		('index', ARRAY['UK100'], ARRAY[1, 2, 3, 4, 5], 0, '01:00', '21:00', 'Europe/London')
	  ) AS h (asset_class, symbols, days, nights, opens, closes, zone)
	 CROSS JOIN unnest(h.days) AS d (day)
	  JOIN trading.instruments AS i
	    ON i.asset_class = h.asset_class AND (h.symbols IS NULL OR i.symbol = ANY (h.symbols));
END
$$;
COMMENT ON FUNCTION trading.seed_sessions() IS 'part of trading.setup(): usual trading hours of the instruments that come with it';

-- Weekly hours are local: each session is reckoned by the clocks of its zone, then made an
-- instant.  Sessions that touch are one.  Looking two weeks around finds every session that
-- is under way; what goes on for more than a week has no end that anybody asks for.
CREATE FUNCTION trading.sessions(symbol text, from_time timestamptz, until_time timestamptz)
	RETURNS TABLE (opens_at timestamptz, closes_at timestamptz)
	LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE ROWS 10 SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- Every day of the span is looked at.
	IF NOT isfinite(from_time) OR NOT isfinite(until_time) OR until_time - from_time > interval '36525 days' THEN
		RAISE EXCEPTION 'trading hours are known for up to 100 years at a time, not from % to %', from_time, until_time
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	RETURN QUERY
		WITH opening AS (
			SELECT s.time_zone, d.day + s.open_time AS opens,
			       d.day + s.open_time + CASE WHEN l.length > '0' THEN l.length ELSE l.length + '7 days' END AS closes
			  FROM trading.instrument_sessions AS s
			 CROSS JOIN LATERAL (SELECT (s.close_day - s.open_day) * interval '1 day' + (s.close_time - s.open_time)) AS l (length)
			 CROSS JOIN LATERAL generate_series((sessions.from_time AT TIME ZONE s.time_zone)::date - 15,
				(sessions.until_time AT TIME ZONE s.time_zone)::date + 15, '1 day') AS g (at)
			 CROSS JOIN LATERAL (SELECT g.at::date) AS d (day)
			 WHERE s.symbol = sessions.symbol AND EXTRACT(isodow FROM d.day) = s.open_day),
		trading AS (
			SELECT COALESCE(range_agg(tstzrange(o.opens AT TIME ZONE o.time_zone, o.closes AT TIME ZONE o.time_zone)), '{}')
			       - (SELECT COALESCE(range_agg(tstzrange(h.closed_from, h.closed_until)), '{}')
				    FROM trading.market_holidays AS h WHERE h.symbol = sessions.symbol) AS times
			  FROM opening AS o)
		SELECT CASE WHEN lower(t.session) < sessions.from_time - interval '8 days' THEN '-infinity' ELSE lower(t.session) END,
		       CASE WHEN upper(t.session) > sessions.until_time + interval '8 days' THEN 'infinity' ELSE upper(t.session) END
		  FROM (SELECT unnest(trading.times) FROM trading) AS t (session)
		 WHERE t.session && tstzrange(sessions.from_time, sessions.until_time, '[]')
		 ORDER BY t.session;
END
$$;
COMMENT ON FUNCTION trading.sessions(text, timestamptz, timestamptz) IS
	'sessions of an instrument that meet a span of time, without holidays, of up to 100 years; infinity: it opened or closes more than a week away';

CREATE FUNCTION trading.check_symbol(symbol text) RETURNS void
	LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM trading.instruments AS i WHERE i.symbol = check_symbol.symbol) THEN
		RAISE EXCEPTION 'there is no instrument "%"', symbol USING ERRCODE = 'invalid_parameter_value';
	END IF;
END
$$;
COMMENT ON FUNCTION trading.check_symbol(text) IS 'raises an error unless there is an instrument of that name';

CREATE FUNCTION trading.in_session(symbol text, at timestamptz DEFAULT now()) RETURNS boolean
	LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM trading.check_symbol(symbol);
	IF NOT EXISTS (SELECT FROM trading.instrument_sessions AS s WHERE s.symbol = in_session.symbol) THEN
		RETURN NULL;
	END IF;
	RETURN EXISTS (SELECT FROM trading.sessions(symbol, at, at));
END
$$;
COMMENT ON FUNCTION trading.in_session(text, timestamptz) IS
	'does the instrument trade at that time? The instant of opening is in the session, that of closing isn''t. NULL: its hours are unknown';

CREATE FUNCTION trading.next_session(symbol text, at timestamptz DEFAULT now(), OUT opens_at timestamptz, OUT closes_at timestamptz)
	LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM trading.check_symbol(symbol);
	SELECT s.opens_at, s.closes_at INTO next_session.opens_at, next_session.closes_at
	  FROM trading.sessions(symbol, at, at + interval '60 days') AS s
	 WHERE s.opens_at > at
	 ORDER BY s.opens_at LIMIT 1;
END
$$;
COMMENT ON FUNCTION trading.next_session(text, timestamptz) IS
	'the first session that opens after that time; NULL: none within 60 days, as when the instrument always trades';

-- Conversion for people.  The lanes convert at the newest price of each symbol, which their
-- memory has; here it is the close of the newest closed bar, which everybody can read, now
-- and later.
CREATE FUNCTION trading.find_rate(from_currency text, to_currency text, at timestamptz,
	base_currencies text[], quote_currencies text[], rates float8[], times timestamptz[], max_ages bigint[],
	OUT rate float8, OUT path text[], OUT steps integer[], OUT as_of timestamptz)
	AS 'MODULE_PATHNAME', 'te_sql_find_rate'
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION trading.find_rate(text, text, timestamptz, text[], text[], float8[], timestamptz[], bigint[]) IS
	'converts as the lanes do, over the rates in the arrays (max_ages in microseconds, 0: no limit); path: the currencies passed, steps: which of the rates, as_of: time of the oldest; NULLs: there is no way';

CREATE FUNCTION trading.microseconds(span interval) RETURNS bigint
	LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT (EXTRACT(EPOCH FROM span) * 1000000)::bigint $$;
COMMENT ON FUNCTION trading.microseconds(interval) IS 'length of an interval; a month has 30 days';

-- A bar is closed when a later one begins, and its close may be as old as its beginning: a
-- bar's length is added to the age that the setting allows.  All lanes see the same prices.
-- Rows of trading.rates that are history come from the log: the version that was there at
-- that time, or a later one that says that it is as of then.
CREATE FUNCTION trading.rates_at(at timestamptz DEFAULT now())
	RETURNS TABLE (base_currency text, quote_currency text, rate float8, as_of timestamptz, max_age interval, source text)
	LANGUAGE sql STABLE STRICT PARALLEL SAFE ROWS 50 SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
	WITH RECURSIVE setting AS (
		SELECT current_setting('trading_engine.bar_length')::interval AS bar_length,
		       current_setting('trading_engine.rate_max_age')::interval AS max_age
		 WHERE trading.version() IS NOT NULL), -- loads the library, which brings the settings
	lanes (lane) AS ( -- those that have bars; the index skips from one to the next
		SELECT min(b.lane) FROM trading.market_bars AS b
		UNION ALL
		SELECT (SELECT min(b.lane) FROM trading.market_bars AS b WHERE b.lane > l.lane)
		  FROM lanes AS l WHERE l.lane IS NOT NULL),
	logged AS (
		SELECT c.item, c.change_id, c.changed_at, r.base_currency, r.quote_currency, r.rate, r.as_of, r.max_age,
		       max(c.change_id) FILTER (WHERE c.changed_at <= rates_at.at) OVER (PARTITION BY c.item) AS newest
		  FROM trading.strategy_changes AS c
		 CROSS JOIN LATERAL jsonb_populate_record(NULL::trading.rates, c.row_data) AS r
		 WHERE c.kind = 'rate' AND rates_at.at < now()),
	versions AS (
		(SELECT DISTINCT ON (l.item) l.base_currency, l.quote_currency, l.rate, l.as_of, l.max_age
		   FROM logged AS l
		  WHERE l.as_of <= rates_at.at AND (l.change_id = l.newest OR l.changed_at > rates_at.at)
		  ORDER BY l.item, l.as_of DESC, l.change_id DESC)
		UNION ALL
		SELECT r.base_currency, r.quote_currency, r.rate, r.as_of, r.max_age
		  FROM trading.rates AS r WHERE rates_at.at >= now())
	SELECT i.base_currency, i.quote_currency, b.close, b.bar_start + s.bar_length,
	       CASE s.max_age WHEN '0' THEN s.max_age ELSE s.max_age + s.bar_length END, i.symbol
	  FROM trading.instruments AS i
	 CROSS JOIN setting AS s
	 CROSS JOIN LATERAL (
		SELECT n.close, n.bar_start
		  FROM lanes AS l
		 CROSS JOIN LATERAL (
			SELECT m.close, m.bar_start FROM trading.market_bars AS m
			 WHERE m.lane = l.lane AND m.symbol = i.symbol AND m.bar_start <= rates_at.at - s.bar_length
			 ORDER BY m.bar_start DESC LIMIT 1) AS n
		 ORDER BY n.bar_start DESC, l.lane LIMIT 1) AS b
	 WHERE i.asset_class IN ('forex', 'metal', 'crypto')
	UNION ALL
	SELECT v.base_currency, v.quote_currency, v.rate, v.as_of, COALESCE(v.max_age, s.max_age), 'trading.rates'
	  FROM versions AS v CROSS JOIN setting AS s
$$;
COMMENT ON FUNCTION trading.rates_at(timestamptz) IS
	'rates at a time, stale ones too: closes of the newest closed bars, as of the end of the bar, and rows of trading.rates; max_age 0: no limit';

CREATE FUNCTION trading.conversion(from_currency text, to_currency text, at timestamptz DEFAULT now(),
	OUT rate float8, OUT path text[], OUT sources text[], OUT as_of timestamptz, OUT age interval)
	LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
	SELECT f.rate, f.path, ARRAY(SELECT a.sources[s.step] FROM unnest(f.steps) WITH ORDINALITY AS s (step, n) ORDER BY s.n),
	       f.as_of, conversion.at - f.as_of
	  FROM (SELECT array_agg(r.base_currency), array_agg(r.quote_currency), array_agg(r.rate), array_agg(r.as_of),
		       array_agg(trading.microseconds(r.max_age)), array_agg(r.source)
		  FROM trading.rates_at(conversion.at) AS r) AS a (bases, quotes, rates, times, ages, sources)
	 CROSS JOIN LATERAL trading.find_rate(conversion.from_currency, conversion.to_currency, conversion.at,
		COALESCE(a.bases, '{}'), COALESCE(a.quotes, '{}'), COALESCE(a.rates, '{}'), COALESCE(a.times, '{}'), COALESCE(a.ages, '{}')) AS f
	 WHERE f.rate IS NOT NULL
$$;
COMMENT ON FUNCTION trading.conversion(text, text, timestamptz) IS
	'units of to_currency per unit of from_currency at a time, the currencies passed, where the rates come from, and the time and age of the oldest; NULLs: no rate is known that is young enough';

CREATE FUNCTION trading.conversion_rate(from_currency text, to_currency text, at timestamptz DEFAULT now()) RETURNS float8
	LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$ SELECT c.rate FROM trading.conversion(from_currency, to_currency, at) AS c $$;
COMMENT ON FUNCTION trading.conversion_rate(text, text, timestamptz) IS
	'units of to_currency per unit of from_currency at a time; NULL: no rate is known that is young enough, never 1 for want of one';

CREATE FUNCTION trading.pip_value(symbol text, lots float8, currency text, at timestamptz DEFAULT now()) RETURNS float8
	LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	PERFORM trading.check_symbol(symbol);
	RETURN (SELECT i.pip_size * i.contract_size * lots * trading.conversion_rate(i.quote_currency, currency, at)
		  FROM trading.instruments AS i WHERE i.symbol = pip_value.symbol);
END
$$;
COMMENT ON FUNCTION trading.pip_value(text, float8, text, timestamptz) IS
	'what a pip of so many lots is worth in a currency; NULL: there is no rate';

-- Over tables, like all views that trading.setup() makes.
CREATE FUNCTION trading.create_rate_view() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	CREATE OR REPLACE VIEW trading.current_rates WITH (security_invoker) AS
		SELECT r.base_currency, r.quote_currency, r.rate, r.as_of, now() - r.as_of AS age, r.max_age,
		       r.max_age = '0' OR now() - r.as_of <= r.max_age AS usable, r.source
		  FROM trading.rates_at(now()) AS r
		 ORDER BY r.base_currency, r.quote_currency, r.as_of DESC;
	COMMENT ON VIEW trading.current_rates IS 'rates of now that conversions go over; the lanes have newer prices of their own';
	COMMENT ON COLUMN trading.current_rates.base_currency IS 'currency that the rate is the price of';
	COMMENT ON COLUMN trading.current_rates.quote_currency IS 'currency of the rate';
	COMMENT ON COLUMN trading.current_rates.rate IS 'units of quote currency per unit of base currency';
	COMMENT ON COLUMN trading.current_rates.as_of IS 'end of the bar, or as_of of the row';
	COMMENT ON COLUMN trading.current_rates.age IS 'how long ago that was';
	COMMENT ON COLUMN trading.current_rates.max_age IS 'age up to which it is used, 0: no limit';
	COMMENT ON COLUMN trading.current_rates.usable IS 'whether it is young enough';
	COMMENT ON COLUMN trading.current_rates.source IS 'the symbol whose bar it is, or trading.rates';
	PERFORM trading.let_tenants_read('trading.current_rates');
END
$$;
COMMENT ON FUNCTION trading.create_rate_view() IS 'part of trading.setup(): trading.current_rates';
