-- Makes parameters.md: psql -XAt -f doc/parameters.sql > doc/parameters.md
SELECT '# Strategy parameters

Made from the declaration in the code by `doc/parameters.sql`; a test compares the two. How a parameter works is in [decisions.md](decisions.md).

- **Columns.** Each is a column of `trading.strategies` and `trading.tiers`, and a key of the strategy in `trading.decide`. NULL means "not set".
- **Default** holds where neither the tier nor a row says otherwise; FREE, PRO and ENTERPRISE are what the tiers say as delivered.
- **Two rows**: what holds where both the user''s row and the company''s (`_all`) set the parameter: the larger (max) or the smaller (min) of the two, what is in
  both (intersection), true only if both say so (both), else the company''s value.
- **Tier**: "ceiling": no row gets beyond the tier''s value. The name of a flag: only where the tier''s flag is true.

| parameter | type | range | default | FREE | PRO | ENTERPRISE | two rows | tier | what it is |
|---|---|---|---|---|---|---|---|---|---|';

SELECT format('| %s |', array_to_string(ARRAY[
	format('`%s`', p.name),
	CASE p.sql_type WHEN 'double precision' THEN 'number' WHEN 'double precision[]' THEN 'numbers' WHEN 'text[]' THEN 'texts' ELSE p.sql_type END,
	CASE WHEN p.labels IS NOT NULL THEN array_to_string(p.labels, ', ')
	     WHEN p.low IS NULL THEN ''
	     WHEN p.high IS NULL THEN format('%s %s', CASE WHEN p.low_open THEN '>' ELSE '≥' END, p.low)
	     WHEN p.low_open THEN format('%s < x ≤ %s', p.low, p.high)
	     ELSE format('%s..%s', p.low, p.high) END,
	COALESCE(p.default_value, ''), COALESCE(p.free, ''), COALESCE(p.pro, ''), COALESCE(p.enterprise, ''),
	CASE p.merge WHEN 'MAX' THEN 'max' WHEN 'MIN' THEN 'min' WHEN 'INTERSECT' THEN 'intersection' WHEN 'AND' THEN 'both' ELSE '' END,
	CASE p.entitlement WHEN 'CEILING' THEN 'ceiling' WHEN 'ADVANCED' THEN '`advanced_features_enabled`'
	     WHEN 'CUSTOM' THEN '`custom_strategies_enabled`' WHEN 'ALGORITHMIC' THEN '`algorithmic_execution_enabled`' ELSE '' END,
	p.doc], ' | '))
  FROM trading.strategy_parameters() WITH ORDINALITY AS p
 ORDER BY p.ordinality;
