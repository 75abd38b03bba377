-- Who the session is: a company, a user of it, and that user's role there.
--
-- The settings trading_engine.company, .user and .role hold the identity of a
-- session that has logged in; only trading.login() writes them.  Without them the
-- table trading.logins says who the role is that the session was opened by.  The
-- functions are in C so that calling one loads the library: until then PostgreSQL doesn't
-- know these settings, and lets anybody write a setting that it doesn't know.

CREATE FUNCTION trading.current_company() RETURNS text
	AS 'MODULE_PATHNAME', 'te_sql_current_company'
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.current_company() IS 'company of the session, or NULL';

CREATE FUNCTION trading.current_user_id() RETURNS text
	AS 'MODULE_PATHNAME', 'te_sql_current_user_id'
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.current_user_id() IS 'user of the session within its company, or NULL';

CREATE FUNCTION trading.current_role_in_company() RETURNS text
	AS 'MODULE_PATHNAME', 'te_sql_current_role_in_company'
	LANGUAGE c STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.current_role_in_company() IS 'admin, trader or viewer: role of the session''s user in its company, or NULL';

CREATE FUNCTION trading.login() RETURNS void
	AS 'MODULE_PATHNAME', 'te_sql_login'
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.login() IS 'sets the session''s identity to what trading.logins says of the role that opened it; later queries need not look it up; gone with DISCARD ALL or ROLLBACK';

CREATE FUNCTION trading.logout() RETURNS void
	AS 'MODULE_PATHNAME', 'te_sql_logout'
	LANGUAGE c VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.logout() IS 'forgets what trading.login() has set';
