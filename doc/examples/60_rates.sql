-- A rate that no stream has, what a pip is worth in an account's currency over which way, and whether the market is open.
-- gives: 8|{USD,EUR}|t
INSERT INTO trading.rates (base_currency, quote_currency, rate, source) VALUES ('EUR', 'USD', 1.25, 'the treasurer')
    ON CONFLICT (base_currency, quote_currency) DO UPDATE SET rate = excluded.rate, as_of = excluded.as_of;
SELECT trading.pip_value('GBPUSD', 1, 'EUR') AS pip_value, c.path, trading.in_session('EURUSD', '2026-03-04 12:00Z') AS open
  FROM trading.conversion('USD', 'EUR') AS c;
