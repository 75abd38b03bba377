-- The three roles.  They belong to the cluster, so that a second database finds
-- them with our mark (a comment), with members, and uses them.  A role of one of
-- these names that somebody else made, and that already stands for somebody, is
-- refused: it would be given the keys to every tenant's data.
DO $roles$
DECLARE
	mark constant text := 'created by trading_engine';
	want record;
	have pg_catalog.pg_authid;
	ours boolean;
	wrong text[];
BEGIN
	FOR want IN
		SELECT w.name, w.login, w.purpose
		  FROM (VALUES
			('trading_admin', false, 'manages companies, users, strategies and lanes'),
			('trading_tenant', false, 'sees the rows of its own company'),
			('trading_worker', true, 'the background workers; nobody else logs in as it')
		  ) AS w (name, login, purpose)
	LOOP
		SELECT a.* INTO have FROM pg_catalog.pg_authid AS a WHERE a.rolname = want.name;
		IF NOT FOUND THEN
			EXECUTE pg_catalog.format(
				'CREATE ROLE %I %s NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT',
				want.name, CASE WHEN want.login THEN 'LOGIN' ELSE 'NOLOGIN' END);
		ELSE
			ours := COALESCE(pg_catalog.shobj_description(have.oid, 'pg_authid'), '')
				LIKE mark || '%';
			wrong := pg_catalog.array_remove(ARRAY[
				CASE WHEN have.rolsuper THEN 'is a superuser' END,
				CASE WHEN have.rolcreaterole THEN 'may create roles' END,
				CASE WHEN have.rolcreatedb THEN 'may create databases' END,
				CASE WHEN have.rolreplication THEN 'may replicate' END,
				CASE WHEN have.rolbypassrls THEN 'bypasses row-level security' END,
				CASE WHEN want.login AND NOT have.rolcanlogin THEN 'may not log in' END,
				CASE WHEN NOT want.login AND have.rolcanlogin AND NOT ours THEN 'may log in' END,
				CASE WHEN have.rolpassword IS NOT NULL AND (want.login OR NOT ours)
					THEN 'has a password' END,
				CASE WHEN (want.login OR NOT ours) AND EXISTS (
					SELECT FROM pg_catalog.pg_auth_members AS m WHERE m.roleid = have.oid)
					THEN 'has members' END,
				CASE WHEN (want.login OR NOT ours) AND EXISTS (
					SELECT FROM pg_catalog.pg_auth_members AS m WHERE m.member = have.oid)
					THEN 'is a member of other roles' END,
				CASE WHEN (want.login OR NOT ours) AND EXISTS (
					SELECT FROM pg_catalog.pg_db_role_setting AS s WHERE s.setrole = have.oid)
					THEN 'has settings of its own' END
			], NULL);
			IF wrong <> '{}' THEN
				RAISE EXCEPTION 'role "%" exists and %', want.name,
					pg_catalog.array_to_string(wrong, ', ')
					USING ERRCODE = 'duplicate_object',
					      DETAIL = 'trading_engine needs this role for itself.',
					      HINT = pg_catalog.format('Rename it (ALTER ROLE %I RENAME TO ...) or take these away from it.', want.name);
			END IF;
		END IF;
		EXECUTE pg_catalog.format('COMMENT ON ROLE %I IS %L', want.name, mark || ': ' || want.purpose);
	END LOOP;
	EXECUTE pg_catalog.format('GRANT CONNECT ON DATABASE %I TO trading_worker', pg_catalog.current_database());
	GRANT USAGE ON SCHEMA trading TO trading_admin, trading_tenant, trading_worker;
END
$roles$;

COMMENT ON SCHEMA trading IS 'trading_engine: predictions in, signals out, and the rows that decide';
