-- Makes settings.md: psql -XAt -f doc/settings.sql > doc/settings.md, in a server that has the library preloaded.
SELECT '# Settings

Made from the server''s own list by `doc/settings.sql`; a test compares the two. How to set them is in [operations.md](operations.md#settings).

- **superuser**: `postgresql.conf` or `ALTER SYSTEM` (a reload is enough), or by a superuser for one database by `ALTER DATABASE … SET` (its workers read that when they start).
- **sighup**: `postgresql.conf` or `ALTER SYSTEM`, a reload is enough. **postmaster**: needs a restart.

All names begin with `trading_engine.`.

| setting | default | unit | range | context | what it is |
|---|---|---|---|---|---|';

SELECT format('| %s |', array_to_string(ARRAY[
	format('`%s`', substr(s.name, length('trading_engine.') + 1)),
	CASE WHEN s.boot_val = '' THEN 'empty' ELSE format('`%s`', s.boot_val) END,
	COALESCE(s.unit, ''),
	CASE WHEN s.enumvals IS NOT NULL THEN array_to_string(s.enumvals, ', ')
	     WHEN s.min_val IS NOT NULL THEN format('%s..%s', s.min_val, s.max_val) ELSE '' END,
	s.context, s.short_desc], ' | '))
  FROM pg_catalog.pg_settings AS s
 WHERE s.name LIKE 'trading_engine.%'
 ORDER BY s.name;
