-- What is refused, by whom, and what the error says: of the row itself, never of anybody else.
\getenv here PG_ABS_SRCDIR
\set companies :here '/include/companies.sql'
\set no_companies :here '/include/no_companies.sql'
\set SHOW_CONTEXT never
\set superuser :USER
\set home :DBNAME
CREATE DATABASE trading_guards;
\c trading_guards
\set ECHO none
\i :companies
\set ECHO all
-- What a statement does: rows, or the whole error.
CREATE FUNCTION public.attempt(statement text) RETURNS text
	LANGUAGE plpgsql
AS $$
DECLARE
	n bigint;
	d text;
	h text;
	t text;
	c text;
BEGIN
	EXECUTE statement;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n || ' rows';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT, t = TABLE_NAME, c = COLUMN_NAME;
	RETURN concat_ws(E'\n  ', SQLSTATE || ' ' || SQLERRM, NULLIF(d, ''), NULLIF(h, ''), NULLIF(concat_ws('.', NULLIF(t, ''), NULLIF(c, '')), ''));
END
$$;
-- One change of one's own strategy after the other.
CREATE FUNCTION public.changes(VARIADIC sets text[]) RETURNS TABLE (change text, result text)
	LANGUAGE sql
AS $$ SELECT s.s, public.attempt('UPDATE trading.strategies SET ' || s.s || ' WHERE strategy_id = ''main'' AND user_id = trading.current_user_id()') FROM unnest(sets) AS s (s) $$;

\c - te_bob
\pset format unaligned
-- Out of range: ahead of the columns' own checks.
SELECT * FROM changes('risk_percent = 0', 'risk_percent = ''NaN''', 'max_spread_pips = ''Infinity''', 'min_confidence_threshold = 1.5', 'leg_count = 6', 'max_prediction_age_ms = 0',
	'volatility_mode = ''aggressive''', 'time_in_force = ''''', 'allowed_regimes = ''{TRENDING,SIDEWAYS}''', 'allowed_regimes = ''{TRENDING,NULL}''',
	'available_instruments = ''{EURUSD,NULL}''', 'available_instruments = ''{EURUSD,*}''', 'available_instruments = ''{""}''', 'available_instruments = ''{{EURUSD},{GBPUSD}}''',
	'strength_weights = ''{0,0,0,0,0}''', 'strength_weights = ''{1,1,1,1}''', 'strength_weights = ''{1,1,1,1,NaN}''', 'strength_weights = ''{1,1,1,1,-1}''',
	'custom_rule = ''''', 'custom_rule = ''$.consensus > > 1''', 'custom_rule = ''$.** > 1''');
-- A long value is cut.
SELECT length(attempt('UPDATE trading.strategies SET available_instruments = ARRAY[repeat(''x'', 5000), NULL]')) < 500 AS short;
-- A set is a set: order and repetition don't matter, and the empty one trades nothing.
SELECT * FROM changes('available_instruments = ''{GBPUSD,EURUSD,GBPUSD}''', 'available_instruments = ''{}''', 'allowed_regimes = ''{RANGING,RANGING}''', 'allowed_regimes = ''{}''');
SELECT available_instruments, allowed_regimes FROM trading.effective_strategies;
-- What doesn't go together, within the row.
SELECT * FROM changes('time_in_force = ''IOC''', 'time_in_force = ''FOK'', prefer_market_orders = false', 'time_in_force = ''IOC'', prefer_market_orders = true', 'prefer_market_orders = NULL',
	'time_in_force = NULL, prefer_market_orders = NULL');
-- Beyond the tier: what it has, and who has more.
SELECT * FROM changes('max_position_count = 4', 'max_position_count = 51', 'available_instruments = ''{EURUSD,USDJPY}''', 'available_instruments = ''{*}''', 'pattern_trading_enabled = true',
	'enable_multi_leg_strategies = true', 'custom_rule = ''$.consensus > 0.5''', 'execution_algorithm = ''TWAP''');
SELECT attempt('INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES (''beta'', ''bob'', ''second'')');
SELECT attempt('INSERT INTO trading.strategies (company_id, user_id, strategy_id) SELECT ''beta'', ''bob'', ''s'' || n FROM generate_series(1, 2) AS n');

-- Of others, nothing: the same errors for rows that are there, that are of another tier, and that aren't there.
SELECT w.who, attempt(format('INSERT INTO trading.strategies (company_id, user_id, strategy_id, max_position_count) VALUES (%s, 9999)', w.who))
  FROM (VALUES ('''acme'', ''ann'', ''main'''), ('''acme'', ''ann'', ''new'''), ('''acme'', ''nobody'', ''main'''), ('''nowhere'', ''nobody'', ''main'''), ('''acme'', ''_all'', ''_all''')) AS w (who);
SELECT w.who, attempt(format('INSERT INTO trading.strategies (company_id, user_id, strategy_id, max_position_count) VALUES (%s, 9999) ON CONFLICT DO NOTHING', w.who))
  FROM (VALUES ('''acme'', ''ann'', ''main'''), ('''nowhere'', ''nobody'', ''main''')) AS w (who);
SELECT attempt('UPDATE trading.strategies SET max_position_count = 9999 WHERE company_id = ''acme''') AS acme, attempt('UPDATE trading.strategies SET max_position_count = 9999 WHERE company_id = ''nowhere''') AS nowhere,
       attempt('UPDATE trading.strategies SET risk_percent = -1 WHERE company_id = ''acme''') AS out_of_range, attempt('DELETE FROM trading.strategies WHERE company_id = ''acme''') AS deleted;
SELECT attempt('UPDATE trading.companies SET tier = ''ENTERPRISE''') AS company, attempt('UPDATE trading.tiers SET max_position_count = 100') AS tier, attempt('UPDATE trading.strategies SET version = 1') AS version,
       attempt('UPDATE trading.strategies SET company_id = ''acme''') AS moved;

-- A trader changes its own, and not the company's row; an administrator both; a viewer nothing.
\c - te_tom
\pset format unaligned
SELECT attempt('UPDATE trading.strategies SET risk_percent = 0.5'), count(*) AS sees FROM trading.strategies;
SELECT attempt('UPDATE trading.strategies SET risk_percent = 0.5 WHERE user_id = ''_all''') AS company_row, attempt('DELETE FROM trading.strategies WHERE user_id = ''_all''') AS deleted,
       attempt('INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES (''acme'', ''ann'', ''toms'')') AS for_ann;
\c - te_ann
\pset format unaligned
SELECT attempt('UPDATE trading.strategies SET risk_percent = 0.5'), count(*) AS sees FROM trading.strategies;
SELECT attempt('UPDATE trading.strategies SET max_position_count = 11 WHERE user_id = ''_all''') AS beyond, attempt('DELETE FROM trading.strategies WHERE user_id = ''_all''') AS deleted,
       attempt('INSERT INTO trading.strategies (company_id, user_id, strategy_id, prefer_market_orders) VALUES (''acme'', ''_all'', ''_all'', false)') AS inserted,
       attempt('INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES (''acme'', ''tom'', ''anns'')') AS for_tom;
-- What the company takes away isn't refused in a row, it is merged: the row may be kept for later.
SELECT attempt('UPDATE trading.strategies SET time_in_force = ''IOC'', prefer_market_orders = true WHERE user_id = ''ann''');
SELECT time_in_force, prefer_market_orders, layers ->> 'time_in_force' AS layer FROM trading.effective_strategies WHERE user_id = 'ann';
\c - te_vic
\pset format unaligned
SELECT attempt('UPDATE trading.strategies SET risk_percent = 0.5') AS updated, attempt('DELETE FROM trading.strategies') AS deleted, attempt('INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES (''acme'', ''vic'', ''new'')') AS inserted;
\c - te_nobody
\pset format unaligned
SELECT attempt('UPDATE trading.strategies SET risk_percent = 0.5') AS updated, attempt('INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES (''acme'', ''vic'', ''new'')') AS inserted;
\c - te_stranger
\pset format unaligned
SELECT attempt('UPDATE trading.strategies SET risk_percent = 0.5') AS updated;

-- trading_admin changes all, within the same rules.
\c - te_admin
\pset format unaligned
SELECT attempt('UPDATE trading.strategies SET risk_percent = 0.4') AS all_of_them, attempt('UPDATE trading.strategies SET max_position_count = 5') AS too_much_for_one;
SELECT count(*) AS changed FROM trading.strategies WHERE max_position_count = 5;
-- Symbols are those that there are, when they are named; an instrument may go, and the row stays.
UPDATE trading.companies SET tier = 'ENTERPRISE' WHERE company_id = 'acme';
SELECT attempt('UPDATE trading.strategies SET available_instruments = ''{EURUDS,EURUSD,GOLD}'' WHERE user_id = ''ann''');
SELECT attempt('UPDATE trading.strategies SET available_instruments = ''{ETHUSD,EURUSD}'' WHERE user_id = ''ann''');
DELETE FROM trading.instruments WHERE symbol = 'ETHUSD';
SELECT attempt('UPDATE trading.strategies SET name = ''still'' WHERE user_id = ''ann''') AS named_before, attempt('UPDATE trading.strategies SET available_instruments = ''{ETHUSD}'' WHERE user_id = ''ann''') AS named_anew;
-- Tiers: their values are judged like those of strategies; companies have one that there is.
SELECT attempt('UPDATE trading.tiers SET risk_percent = 101 WHERE tier = ''PRO''') AS range, attempt('UPDATE trading.tiers SET custom_rule = ''$.**''') AS rule;
SELECT attempt('UPDATE trading.companies SET tier = ''GOLD'' WHERE company_id = ''acme''') AS no_such_tier, attempt('INSERT INTO trading.companies (company_id, tier) VALUES (''new'', ''pro'')') AS nor_this,
       attempt('UPDATE trading.companies SET tier = NULL WHERE company_id = ''acme''') AS none, attempt('DELETE FROM trading.tiers WHERE tier = ''ENTERPRISE''') AS in_use, attempt('DELETE FROM trading.tiers WHERE tier = ''PRO''') AS not_in_use;
SELECT attempt('UPDATE trading.tiers SET tier = ''TOP'' WHERE tier = ''ENTERPRISE''') AS renamed;
SELECT company_id, tier FROM trading.companies ORDER BY 1;
-- A strategy that is made again goes on counting, in one statement of many rows too.
SELECT user_id, strategy_id, version FROM trading.strategies WHERE company_id = 'acme' ORDER BY 1, 2;
DELETE FROM trading.strategies WHERE company_id = 'acme' AND strategy_id = 'main';
INSERT INTO trading.strategies (company_id, user_id, strategy_id) SELECT company_id, user_id, s FROM trading.users, unnest('{main,other}'::text[]) AS s WHERE company_id = 'acme';
SELECT user_id, strategy_id, version FROM trading.strategies WHERE company_id = 'acme' ORDER BY 1, 2;

\c :home :superuser
\pset format aligned
DROP DATABASE trading_guards WITH (FORCE);
\set ECHO none
\i :no_companies
