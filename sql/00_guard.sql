-- The schema has to be in trusted hands before anything is created in it: whoever
-- owns it, or may create objects in it, could put a look-alike in our way.
DO $guard$
DECLARE
	stranger text;
BEGIN
	SELECT pg_catalog.quote_ident(r.rolname) INTO stranger
	  FROM pg_catalog.pg_namespace AS n
	  JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) n.nspowner
	 WHERE n.nspname OPERATOR(pg_catalog.=) 'trading' AND NOT r.rolsuper;
	IF FOUND THEN
		RAISE EXCEPTION 'schema "trading" belongs to %, who is not a superuser', stranger
			USING ERRCODE = 'insufficient_privilege',
			      HINT = 'ALTER SCHEMA trading OWNER TO a superuser, after looking at what is in it.';
	END IF;

	SELECT CASE WHEN r.oid IS NULL THEN 'PUBLIC' ELSE pg_catalog.quote_ident(r.rolname) END
	  INTO stranger
	  FROM pg_catalog.pg_namespace AS n
	 CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) AS a
	  LEFT JOIN pg_catalog.pg_roles AS r ON r.oid OPERATOR(pg_catalog.=) a.grantee
	 WHERE n.nspname OPERATOR(pg_catalog.=) 'trading'
	   AND a.privilege_type OPERATOR(pg_catalog.=) 'CREATE'
	   AND r.rolsuper IS NOT TRUE;
	IF FOUND THEN
		RAISE EXCEPTION 'schema "trading" lets % create objects in it', stranger
			USING ERRCODE = 'insufficient_privilege',
			      HINT = 'REVOKE CREATE ON SCHEMA trading, after looking at what is in it.';
	END IF;

	-- Texts of messages are stored as they come, and rules compare them byte by byte.
	IF pg_catalog.getdatabaseencoding() OPERATOR(pg_catalog.<>) ALL (ARRAY['UTF8'::name, 'SQL_ASCII'::name]) THEN
		RAISE EXCEPTION 'trading_engine needs a database with encoding UTF8, not %', pg_catalog.getdatabaseencoding()
			USING ERRCODE = 'feature_not_supported';
	END IF;
END
$guard$;
