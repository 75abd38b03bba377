-- Position size of trading.decide(): each way of sizing, each limit.
\getenv here PG_ABS_SRCDIR
\set include :here '/include/decision.sql'
\set ECHO none
\i :include
\set ECHO all

-- 10,000 USD; a loss per lot of 0.002 * 100000 = 200 USD.
SELECT c.about, pg_temp.verdict(d.d, '{"outcome": "SIGNAL"}'::jsonb || c.expected)
  FROM (VALUES
	-- RISK_PERCENT: 10000 * risk / 100 / 200
	('1 %', NULL::jsonb, '{}'::jsonb, NULL::jsonb, NULL::jsonb, '{"position_size": 0.5, "max_loss": 100}'::jsonb),
	('2.5 %', NULL, '{"risk_percent": 2.5}', NULL, NULL, '{"position_size": 1.25, "max_loss": 250}'),
	('0.33 %: 0.165, down', NULL, '{"risk_percent": 0.33}', NULL, NULL, '{"position_size": 0.16, "max_loss": 32}'),
	('0.3 %: 0.15 is 15 steps', NULL, '{"risk_percent": 0.3}', NULL, NULL, '{"position_size": 0.15, "max_loss": 30}'),
	('a cent less than 10000: 0.4999995, down', NULL, '{}', NULL, '{"equity": 9999.99}', '{"position_size": 0.49, "max_loss": 98}'),
	('100 %: 50 lots, at most 10', NULL, '{"risk_percent": 100}', NULL, NULL, '{"position_size": 10, "max_loss": 2000}'),
	('multiplier', NULL, '{}', NULL, '{"position_size_multiplier": 0.5}', '{"position_size": 0.25}'),
	-- WEAK: half
	('weak', '{"direction": "WEAK_BUY"}', '{}', NULL, NULL, '{"position_size": 0.25, "max_loss": 50}'),
	('weak, 0.3', '{"direction": "WEAK_SELL"}', '{"weak_signal_size_factor": 0.3}', NULL, NULL, '{"position_size": 0.15}'),
	('weak, and a multiplier: 0.5 * 0.5 * 0.3', '{"direction": "WEAK_BUY"}', '{"weak_signal_size_factor": 0.3}', NULL, '{"position_size_multiplier": 0.5}', '{"position_size": 0.07}'),
	('weakened by volatility', NULL, '{"volatility_mode": "CONSERVATIVE"}', '{"regime": "HIGH_VOLATILITY"}', NULL, '{"signal_type": "WEAK_BUY", "position_size": 0.25}'),
	('made strong by volatility: size of a weak one', '{"direction": "WEAK_BUY"}', '{"volatility_mode": "AGGRESSIVE"}', '{"regime": "HIGH_VOLATILITY"}', NULL, '{"signal_type": "BUY", "position_size": 0.25}'),
	('made strong by a pattern: strong', '{"direction": "WEAK_BUY", "patterns": [{"name": "a", "direction": "BULLISH", "probability": 0.9}]}', '{"pattern_trading_enabled": true}', NULL, NULL, '{"signal_type": "BUY", "position_size": 0.5}'),
	-- FIXED_LOT
	('fixed', NULL, '{"position_sizing": "FIXED_LOT", "fixed_lot": 0.37}', NULL, NULL, '{"position_size": 0.37, "max_loss": 74}'),
	('fixed by default: 0.01', NULL, '{"position_sizing": "FIXED_LOT"}', NULL, NULL, '{"position_size": 0.01}'),
	('fixed, weak: the same', '{"direction": "WEAK_BUY"}', '{"position_sizing": "FIXED_LOT", "fixed_lot": 0.37}', NULL, NULL, '{"position_size": 0.37}'),
	('fixed, multiplier: 0.185, down', NULL, '{"position_sizing": "FIXED_LOT", "fixed_lot": 0.37}', NULL, '{"position_size_multiplier": 0.5}', '{"position_size": 0.18}'),
	('fixed, no equity', NULL, '{"position_sizing": "FIXED_LOT", "fixed_lot": 0.37}', NULL, '{"equity": 0}', '{"position_size": 0.37}'),
	('fixed, no rate: no maximal loss', NULL, '{"position_sizing": "FIXED_LOT", "fixed_lot": 0.37}', NULL, '{"currency": "GBP"}', '{"position_size": 0.37, "max_loss": null}'),
	-- VOLATILITY_TARGET: 100 / (atr * 100000), not more than 0.5
	('volatility: 100 / 400', NULL, '{"position_sizing": "VOLATILITY_TARGET"}', '{"atr": 0.004}', NULL, '{"position_size": 0.25, "max_loss": 50}'),
	('volatility, 1.5 %: 150 / 400, down', NULL, '{"position_sizing": "VOLATILITY_TARGET", "target_volatility_percent": 1.5}', '{"atr": 0.004}', NULL, '{"position_size": 0.37}'),
	('volatility: 100 / 100, but not more than by risk', NULL, '{"position_sizing": "VOLATILITY_TARGET"}', '{"atr": 0.001}', NULL, '{"position_size": 0.5}'),
	('volatility, ATR of 0: by risk', NULL, '{"position_sizing": "VOLATILITY_TARGET"}', '{"atr": 0}', NULL, '{"position_size": 0.5}'),
	('volatility, no ATR: by risk', NULL, '{"position_sizing": "VOLATILITY_TARGET"}', NULL, NULL, '{"position_size": 0.5}'),
	('volatility, at a rate of 0.5: 100 / 200, and 1 by risk', NULL, '{"position_sizing": "VOLATILITY_TARGET"}', '{"atr": 0.004}', '{"currency": "GBP", "conversion_rate": 0.5}', '{"position_size": 0.5, "max_loss": 50}'),
	-- KELLY, R = 2: f = p - (1 - p) / 2; 10000 * min(0.25 f, 2 %) / 200
	('kelly by confidence 0.9: f = 0.85, 2 % at most', NULL, '{"position_sizing": "KELLY"}', NULL, NULL, '{"position_size": 1, "max_loss": 200}'),
	('kelly by hit rate 0.34: f = 0.01, 0.25 % of equity, 0.125', NULL, '{"position_sizing": "KELLY"}', NULL, '{"hit_rate": 0.34}', '{"position_size": 0.12}'),
	('kelly by hit rate 0.4: f = 0.1, 2 % at most', NULL, '{"position_sizing": "KELLY"}', NULL, '{"hit_rate": 0.4}', '{"position_size": 1}'),
	('5 % at most: 2.5 %', NULL, '{"position_sizing": "KELLY", "kelly_max_percent": 5}', NULL, '{"hit_rate": 0.4}', '{"position_size": 1.25}'),
	('the whole of Kelly: 10 %', NULL, '{"position_sizing": "KELLY", "kelly_max_percent": 100, "kelly_fraction": 1}', NULL, '{"hit_rate": 0.4}', '{"position_size": 5}'),
	-- Currencies.  EUR: the loss is made at the stop, 1 / 1.0978 EUR per USD: 10000 * 1 % / (200 / 1.0978) = 0.5489; 0.54 * 200 / 1.0978
	('base currency', NULL, '{}', NULL, '{"currency": "EUR"}', '{"position_size": 0.54, "max_loss": 98.37857533248315}'),
	('a rate: 100 / 160', NULL, '{}', NULL, '{"currency": "GBP", "conversion_rate": 0.8}', '{"position_size": 0.62, "max_loss": 99.2}'),
	('a rate wins over quote currency', NULL, '{}', NULL, '{"conversion_rate": 2}', '{"position_size": 0.25, "max_loss": 100}'),
	('a rate wins over base currency', NULL, '{}', NULL, '{"currency": "EUR", "conversion_rate": 2}', '{"position_size": 0.25}')) AS c (about, prediction, strategy, market, account, expected),
	LATERAL pg_temp.decision(c.prediction, c.strategy, c.market, account => c.account) AS d (d);

-- Limits of the strategy and of the instrument.
SELECT c.about, pg_temp.verdict(d.d, c.expected)
  FROM (VALUES
	('max_position_size', '{"max_position_size": 0.3}'::jsonb, '{}'::jsonb, 10000, '{"outcome": "SIGNAL", "position_size": 0.3}'::jsonb),
	('max_position_size between steps: down', '{"max_position_size": 0.259}', '{}', 10000, '{"outcome": "SIGNAL", "position_size": 0.25}'),
	('lot_max', '{}', '{"lot_max": 0.2}', 10000, '{"outcome": "SIGNAL", "position_size": 0.2}'),
	('fixed lot, lot_max', '{"position_sizing": "FIXED_LOT", "fixed_lot": 5}', '{"lot_max": 0.2}', 10000, '{"outcome": "SIGNAL", "position_size": 0.2}'),
	-- 0.5 is 16.67 steps of 0.03
	('steps of 0.03', '{}', '{"lot_step": 0.03, "lot_min": 0.03}', 10000, '{"outcome": "SIGNAL", "position_size": 0.48}'),
	('whole lots', '{}', '{"lot_step": 1, "lot_min": 1}', 119999, '{"outcome": "SIGNAL", "position_size": 5}'),
	('lot_min, exactly', '{}', '{}', 200, '{"outcome": "SIGNAL", "position_size": 0.01}'),
	('less than lot_min', '{}', '{}', 199.9, '{"outcome": "POSITION_TOO_SMALL", "position_size": 0, "max_loss": 0, "entry_price": 1.0998, "execution": null, "expires_at": null}'),
	('lot_min 0.1, exactly', '{}', '{"lot_min": 0.1}', 2000, '{"outcome": "SIGNAL", "position_size": 0.1}'),
	('a step less', '{}', '{"lot_min": 0.1}', 1999, '{"outcome": "POSITION_TOO_SMALL", "position_size": 0.09}'),
	('no equity', '{}', '{}', 0, '{"outcome": "POSITION_TOO_SMALL", "position_size": 0}')) AS c (about, strategy, instrument, equity, expected),
	LATERAL pg_temp.decision(strategy => c.strategy, instrument => c.instrument, account => jsonb_build_object('equity', c.equity)) AS d (d);
SELECT pg_temp.last_step(pg_temp.decision(account => '{"equity": 199.9}'));

-- NO_CONVERSION_RATE: neither quote nor base currency, and no rate. Names are compared as they are.
SELECT c.currency, pg_temp.verdict(d.d, c.expected), pg_temp.last_step(d.d)
  FROM (VALUES
	('USD', '{"outcome": "SIGNAL"}'::jsonb), ('EUR', '{"outcome": "SIGNAL"}'),
	('GBP', '{"outcome": "NO_CONVERSION_RATE", "take_profit": 1.1038, "position_size": null, "max_loss": null}'),
	('usd', '{"outcome": "NO_CONVERSION_RATE"}')) AS c (currency, expected),
	LATERAL pg_temp.decision(account => jsonb_build_object('currency', c.currency)) AS d (d);

-- NEGATIVE_EXPECTANCY: f = p - (1 - p) / 2 is 0 at a third.
SELECT c.hit_rate, pg_temp.verdict(d.d, c.expected), pg_temp.last_step(d.d) ->> 'gate' AS gate
  FROM (VALUES
	(0.3333333333333333, '{"outcome": "NEGATIVE_EXPECTANCY", "take_profit": 1.1038, "position_size": null}'::jsonb),
	(0.3, '{"outcome": "NEGATIVE_EXPECTANCY"}'),
	(0, '{"outcome": "NEGATIVE_EXPECTANCY"}'),
	-- f = 0.0005: 10000 * 0.000125 / 200 = 0.00625, less than a step
	(0.333666666666667, '{"outcome": "POSITION_TOO_SMALL"}'),
	(0.35, '{"outcome": "SIGNAL", "position_size": 0.31}')) AS c (hit_rate, expected),
	LATERAL pg_temp.decision(strategy => '{"position_sizing": "KELLY"}', account => jsonb_build_object('hit_rate', c.hit_rate)) AS d (d);
