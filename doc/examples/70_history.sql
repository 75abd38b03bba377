-- Who took more risk, and from what to what, with everything that had a say in it then?
-- Run as a company's admin: row-level security makes history that of the company.
-- as bea
UPDATE trading.strategies SET risk_percent = 0.5 WHERE strategy_id = 'trend';
UPDATE trading.strategies SET risk_percent = 1 WHERE strategy_id = 'trend';
SELECT string_agg(format('version %s by %s: %s to %s', a.version, h.changed_as, b.risk_percent, a.risk_percent), '; ' ORDER BY a.version)
  FROM trading.strategy_history AS h,
       trading.strategy_at('birch', 'bea', 'trend', lower(h.valid)) AS a,
       trading.strategy_at('birch', 'bea', 'trend', lower(h.valid) - interval '1 us') AS b
 WHERE h.kind = 'strategy' AND h.strategy_id = 'trend' AND h.operation = 'UPDATE' AND a.risk_percent > b.risk_percent;
-- gives: version 3 by birch/bea: 0.25 to 0.5; version 4 by birch/bea: 0.5 to 1
