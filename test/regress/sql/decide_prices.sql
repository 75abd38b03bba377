-- Entry, stop loss, take profit and timing of trading.decide().
\getenv here PG_ABS_SRCDIR
\set include :here '/include/decision.sql'
\set ECHO none
\i :include
\set ECHO all

-- Entry.  BUY limits are rounded down and SELL limits up; market prices against the trader.
SELECT c.about, c.prediction ->> 'direction' AS direction, pg_temp.verdict(d.d, c.expected || '{"outcome": "SIGNAL"}')
  FROM (VALUES
	('market', '{"direction": "BUY"}'::jsonb, '{"prefer_market_orders": true}'::jsonb,
		'{"order_type": "MARKET", "execution_urgency": "IMMEDIATE", "entry_price": 1.1, "limit_price": null, "stop_loss": 1.098, "take_profit": 1.104}'::jsonb),
	('market', '{"direction": "SELL"}', '{"prefer_market_orders": true}',
		'{"order_type": "MARKET", "execution_urgency": "IMMEDIATE", "entry_price": 1.1, "limit_price": null, "stop_loss": 1.102, "take_profit": 1.096}'),
	('market, quotes: buys at the ask', '{"direction": "BUY", "bid": 1.0999, "ask": 1.1001}', '{"prefer_market_orders": true}', '{"entry_price": 1.1001, "stop_loss": 1.0981, "take_profit": 1.1041}'),
	('market, quotes: sells at the bid', '{"direction": "SELL", "bid": 1.0999, "ask": 1.1001}', '{"prefer_market_orders": true}', '{"entry_price": 1.0999, "stop_loss": 1.1019, "take_profit": 1.0959}'),
	('market, between ticks: up', '{"direction": "BUY", "current_price": 1.100001}', '{"prefer_market_orders": true}', '{"entry_price": 1.10001}'),
	('market, between ticks: down', '{"direction": "SELL", "current_price": 1.099999}', '{"prefer_market_orders": true}', '{"entry_price": 1.09999}'),
	-- 1.1000000000001 is 110000.00000001 ticks: a quotient within 1e-6 of a whole number is that number.
	('market, as good as on a tick', '{"direction": "BUY", "current_price": 1.1000000000001}', '{"prefer_market_orders": true}', '{"entry_price": 1.1}'),
	-- 110000.000002 ticks aren't.
	('market, not quite on a tick', '{"direction": "BUY", "current_price": 1.10000000002}', '{"prefer_market_orders": true}', '{"entry_price": 1.10001}'),
	('limit', '{"direction": "BUY"}', '{"limit_order_discount_pips": 3, "limit_order_premium_pips": 4}',
		'{"order_type": "LIMIT", "execution_urgency": "PATIENT", "entry_price": 1.0997, "limit_price": 1.0997}'),
	('limit', '{"direction": "SELL"}', '{"limit_order_discount_pips": 3, "limit_order_premium_pips": 4}',
		'{"order_type": "LIMIT", "execution_urgency": "PATIENT", "entry_price": 1.1004, "limit_price": 1.1004}'),
	('limit, no discount', '{"direction": "BUY"}', '{"limit_order_discount_pips": 0}', '{"entry_price": 1.1}'),
	('limit, not too far away', '{"direction": "BUY"}', '{"limit_order_discount_pips": 20}', '{"entry_price": 1.099}'),
	('limit, not too far away', '{"direction": "SELL"}', '{"limit_order_premium_pips": 20, "max_limit_deviation_pips": 5.5}', '{"entry_price": 1.10055}'),
	('limit, quotes: below the bid', '{"direction": "BUY", "bid": 1.0999, "ask": 1.1001}', '{}', '{"entry_price": 1.0997}'),
	('limit, quotes: above the ask', '{"direction": "SELL", "bid": 1.0999, "ask": 1.1001}', '{}', '{"entry_price": 1.1003}'),
	-- 0.25 pips are 2.5 ticks
	('limit, between ticks: down', '{"direction": "BUY"}', '{"limit_order_discount_pips": 0.25}', '{"entry_price": 1.09997}'),
	('limit, between ticks: up', '{"direction": "SELL"}', '{"limit_order_premium_pips": 0.25}', '{"entry_price": 1.10003}')) AS c (about, prediction, strategy, expected),
	LATERAL pg_temp.decision(c.prediction, c.strategy) AS d (d);

-- Pips and ticks are the instrument's.
SELECT c.about, pg_temp.verdict(d.d, c.expected || '{"outcome": "SIGNAL"}')
  FROM (VALUES
	('pip 0.01, tick 0.001', '{"current_price": 150.123}'::jsonb, '{"pip_size": 0.01, "tick_size": 0.001, "contract_size": 1000}'::jsonb, '{"entry_price": 150.103, "stop_loss": 149.903, "take_profit": 150.503}'::jsonb),
	-- 5000.1 - 2 = 4998.1, down to 4998
	('pip 1, tick 0.25', '{"current_price": 5000.1}', '{"pip_size": 1, "tick_size": 0.25, "contract_size": 1}', '{"entry_price": 4998, "stop_loss": 4978, "take_profit": 5038}'),
	-- 64123.4 - 20 = 64103.4 is 21367.8 ticks, down to 21367; 200 are 66.7 ticks, towards entry 66; twice that is 396
	('pip 10, tick 3 (no whole part of 1)', '{"current_price": 64123.4}', '{"pip_size": 10, "tick_size": 3, "contract_size": 0.1}', '{"entry_price": 64101, "stop_loss": 63903, "take_profit": 64497}')) AS c (about, prediction, instrument, expected),
	LATERAL pg_temp.decision(c.prediction, instrument => c.instrument) AS d (d);

-- An entry must be above 0: 0.0003 less 2 pips is, 0.0002 isn't.
SELECT c.price, pg_temp.verdict(d.d, c.expected), pg_temp.last_step(d.d)
  FROM (VALUES
	(0.0003, '{"outcome": "SIGNAL", "entry_price": 0.0001, "stop_loss": 0.00009, "take_profit": 0.00012}'::jsonb),
	(0.0002, '{"outcome": "POOR_REWARD_RISK", "entry_price": null, "order_type": null, "limit_price": null, "stop_loss": null, "signal_type": "BUY"}'),
	(0.0001, '{"outcome": "POOR_REWARD_RISK", "entry_price": null}')) AS c (price, expected),
	LATERAL pg_temp.decision(jsonb_build_object('current_price', c.price), '{"stop_loss_pips": 0.1}') AS d (d);

-- Stop loss, for a BUY limit at 1.0998 and a SELL limit at 1.1002.
SELECT c.about, c.direction, pg_temp.verdict(d.d, c.expected || '{"outcome": "SIGNAL"}')
  FROM (VALUES
	-- 12.34 pips are 123.4 ticks: 123, towards entry; the take profit is 246 away
	('towards entry', 'BUY', NULL::jsonb, '{"stop_loss_pips": 12.34}'::jsonb, NULL::jsonb, NULL::jsonb, '{"stop_loss": 1.09857, "take_profit": 1.10226, "reward_risk_ratio": 2}'::jsonb),
	('towards entry', 'SELL', NULL, '{"stop_loss_pips": 12.34}', NULL, NULL, '{"stop_loss": 1.10143, "take_profit": 1.09774}'),
	('ATR: 1.5 * 0.0012', 'BUY', NULL, '{"stop_loss_mode": "ATR"}', '{"atr": 0.0012}', NULL, '{"stop_loss": 1.098, "take_profit": 1.1034}'),
	('ATR of 0: as PIPS', 'BUY', NULL, '{"stop_loss_mode": "ATR"}', '{"atr": 0}', NULL, '{"stop_loss": 1.0978}'),
	('no ATR: as PIPS', 'BUY', NULL, '{"stop_loss_mode": "ATR"}', NULL, NULL, '{"stop_loss": 1.0978}'),
	('PIPS don''t look at ATR', 'BUY', NULL, '{"stop_loss_mode": "PIPS"}', '{"atr": 0.0012}', NULL, '{"stop_loss": 1.0978}'),
	('at least min_stop_pips', 'BUY', NULL, NULL, NULL, '{"min_stop_pips": 25}', '{"stop_loss": 1.0973, "take_profit": 1.1048}'),
	('at least twice the spread', 'BUY', NULL, '{"stop_loss_pips": 5}', '{"spread_pips": 3}', NULL, '{"stop_loss": 1.0992, "take_profit": 1.101}'),
	('at least 1.5 times the spread', 'SELL', NULL, '{"stop_loss_pips": 4, "min_stop_spread_multiple": 1.5}', '{"spread_pips": 3}', NULL, '{"stop_loss": 1.10065}'),
	-- 5.55 pips are 55.5 ticks: 55 are less than that, so 56
	('at least, between ticks: further out', 'BUY', NULL, '{"stop_loss_pips": 1}', NULL, '{"min_stop_pips": 5.55}', '{"stop_loss": 1.09924, "take_profit": 1.10092}'),
	('at least one tick', 'BUY', NULL, '{"stop_loss_pips": 0.01}', NULL, NULL, '{"stop_loss": 1.09979, "take_profit": 1.09982}'),
	-- limit at bid - 2 pips; the quotes are 2 pips apart, twice that is 4, less than 5
	('limit, quotes', 'BUY', '{"bid": 1.0999, "ask": 1.1001}', '{"stop_loss_pips": 5}', NULL, NULL, '{"entry_price": 1.0997, "stop_loss": 1.0992}'),
	-- market: 4 pips, and the spread of 2 once more
	('market, quotes', 'BUY', '{"bid": 1.0999, "ask": 1.1001}', '{"stop_loss_pips": 5, "prefer_market_orders": true}', NULL, NULL, '{"entry_price": 1.1001, "stop_loss": 1.0995, "take_profit": 1.1013}'),
	('market, quotes', 'SELL', '{"bid": 1.0999, "ask": 1.1001}', '{"stop_loss_pips": 5, "prefer_market_orders": true}', NULL, NULL, '{"entry_price": 1.0999, "stop_loss": 1.1005, "take_profit": 1.0987}'),
	-- an explicit spread of 1: 2 + 2 = 4 pips, less than 5
	('market, quotes, explicit spread', 'BUY', '{"bid": 1.0999, "ask": 1.1001}', '{"stop_loss_pips": 5, "prefer_market_orders": true}', '{"spread_pips": 1}', NULL, '{"stop_loss": 1.0996}')) AS c (about, direction, prediction, strategy, market, instrument, expected),
	LATERAL pg_temp.decision(jsonb_build_object('direction', c.direction) || COALESCE(c.prediction, '{}'), c.strategy, c.market, c.instrument) AS d (d);

-- A stop must be above 0: entry at 0.0018.
SELECT c.pips, pg_temp.verdict(d.d, c.expected), pg_temp.last_step(d.d) ->> 'check' AS looked_at
  FROM (VALUES
	(17.9, '{"outcome": "SIGNAL", "entry_price": 0.0018, "stop_loss": 0.00001}'::jsonb),
	(18, '{"outcome": "POOR_REWARD_RISK", "order_type": "LIMIT", "entry_price": 0.0018, "stop_loss": null, "take_profit": null}'),
	(20, '{"outcome": "POOR_REWARD_RISK", "entry_price": 0.0018, "stop_loss": null}')) AS c (pips, expected),
	LATERAL pg_temp.decision('{"current_price": 0.002}', jsonb_build_object('stop_loss_pips', c.pips)) AS d (d);

-- Take profit.  The risk is 200 ticks unless said otherwise.
SELECT c.about, pg_temp.verdict(d.d, c.expected), pg_temp.last_step(d.d) ->> 'check' AS looked_at
  FROM (VALUES
	('PIPS', '{}'::jsonb, '{"take_profit_mode": "PIPS"}'::jsonb, NULL::jsonb, '{"take_profit": 1.1038, "reward_risk_ratio": 2, "outcome": "SIGNAL"}'::jsonb),
	('PIPS, 300.7 ticks: towards entry', '{}', '{"take_profit_mode": "PIPS", "take_profit_pips": 30.07}', NULL, '{"take_profit": 1.1028, "reward_risk_ratio": 1.5, "outcome": "SIGNAL"}'),
	('PIPS, SELL', '{"direction": "SELL"}', '{"take_profit_mode": "PIPS", "take_profit_pips": 30.07}', NULL, '{"take_profit": 1.0972, "outcome": "SIGNAL"}'),
	-- 1.5 * 123 = 184.5, and 184 / 123 is what it comes to
	('RISK_REWARD', '{}', '{"stop_loss_pips": 12.34, "reward_risk_ratio": 1.5}', NULL, '{"take_profit": 1.10164, "reward_risk_ratio": 1.4959349593495934, "outcome": "SIGNAL"}'),
	-- (1.11 - 1.0998) / 0.002
	('PREDICTED_PRICE', '{"predicted_price": 1.11}', '{"take_profit_mode": "PREDICTED_PRICE"}', NULL, '{"take_profit": 1.11, "reward_risk_ratio": 5.1, "outcome": "SIGNAL"}'),
	('PREDICTED_PRICE between ticks', '{"predicted_price": 1.105557}', '{"take_profit_mode": "PREDICTED_PRICE"}', NULL, '{"take_profit": 1.10555, "outcome": "SIGNAL"}'),
	('PREDICTED_PRICE between ticks, SELL', '{"direction": "SELL", "predicted_price": 1.094443}', '{"take_profit_mode": "PREDICTED_PRICE"}', NULL, '{"take_profit": 1.09445, "outcome": "SIGNAL"}'),
	('PREDICTED_PRICE behind the entry', '{"predicted_price": 1.09}', '{"take_profit_mode": "PREDICTED_PRICE", "min_reward_risk_ratio": 0}', NULL, '{"outcome": "POOR_REWARD_RISK", "take_profit": 1.09, "position_size": null}'),
	('PREDICTED_PRICE at the entry', '{"predicted_price": 1.0998}', '{"take_profit_mode": "PREDICTED_PRICE", "min_reward_risk_ratio": 0}', NULL, '{"outcome": "POOR_REWARD_RISK", "take_profit": 1.0998}'),
	('PREDICTED_PRICE less than a tick beyond', '{"predicted_price": 1.099809}', '{"take_profit_mode": "PREDICTED_PRICE", "min_reward_risk_ratio": 0}', NULL, '{"outcome": "POOR_REWARD_RISK"}'),
	('PREDICTED_PRICE a tick beyond', '{"predicted_price": 1.09981}', '{"take_profit_mode": "PREDICTED_PRICE", "min_reward_risk_ratio": 0}', NULL, '{"outcome": "SIGNAL", "take_profit": 1.09981}'),
	('min_stop_pips, exactly', '{}', '{"take_profit_mode": "PIPS", "take_profit_pips": 5, "min_reward_risk_ratio": 0}', '{"min_stop_pips": 5}', '{"outcome": "SIGNAL", "take_profit": 1.1003}'),
	('a tick less', '{}', '{"take_profit_mode": "PIPS", "take_profit_pips": 4.9, "min_reward_risk_ratio": 0}', '{"min_stop_pips": 5}', '{"outcome": "POOR_REWARD_RISK", "take_profit": 1.10029}'),
	('min_reward_risk_ratio, exactly', '{}', '{"take_profit_mode": "PIPS", "take_profit_pips": 20}', NULL, '{"outcome": "SIGNAL", "reward_risk_ratio": 1}'),
	('a tick less is forgiven', '{}', '{"take_profit_mode": "PIPS", "take_profit_pips": 19.9}', NULL, '{"outcome": "SIGNAL", "reward_risk_ratio": 0.995}'),
	('two ticks less', '{}', '{"take_profit_mode": "PIPS", "take_profit_pips": 19.8}', NULL, '{"outcome": "POOR_REWARD_RISK", "reward_risk_ratio": 0.99, "stop_loss": 1.0978, "take_profit": 1.10178, "position_size": null, "expires_at": null}'),
	('a ratio of 2.5 is asked for', '{}', '{"reward_risk_ratio": 2.49, "min_reward_risk_ratio": 2.5}', NULL, '{"outcome": "POOR_REWARD_RISK"}'),
	('SELL, below 0', '{"direction": "SELL", "current_price": 0.01}', '{"take_profit_mode": "PIPS", "take_profit_pips": 102}', NULL, '{"outcome": "POOR_REWARD_RISK", "entry_price": 0.0102, "stop_loss": 0.0122, "take_profit": null}'),
	('SELL, a tick above 0', '{"direction": "SELL", "current_price": 0.01}', '{"take_profit_mode": "PIPS", "take_profit_pips": 101.9}', NULL, '{"outcome": "SIGNAL", "take_profit": 0.00001}')) AS c (about, prediction, strategy, instrument, expected),
	LATERAL pg_temp.decision(c.prediction, c.strategy, instrument => c.instrument) AS d (d);
SELECT pg_temp.last_step(pg_temp.decision(strategy => '{"take_profit_mode": "PIPS", "take_profit_pips": 19.8}')),
       pg_temp.last_step(pg_temp.decision('{"predicted_price": 1.0998}', '{"take_profit_mode": "PREDICTED_PRICE"}'));

-- Timing: an ATR of 10 pips, and 2 of them from the average are too far.
SELECT c.about, pg_temp.verdict(d.d, c.expected || '{"outcome": "SIGNAL"}')
  FROM (VALUES
	('run away by 21 pips: waits for 20', '{}'::jsonb, '{}'::jsonb, '{"atr": 0.001, "ema": 1.0979}'::jsonb,
		'{"timing_strategy": "WAIT_PULLBACK", "order_type": "LIMIT", "execution_urgency": "PATIENT", "entry_price": 1.0999, "limit_price": 1.0999, "trigger_price": 1.0999, "stop_loss": 1.0979, "take_profit": 1.1039}'::jsonb),
	('20 pips aren''t more than 20', '{}', '{}', '{"atr": 0.001, "ema": 1.098}', '{"timing_strategy": "IMMEDIATE", "trigger_price": null, "entry_price": 1.0998}'),
	('a tick more is', '{}', '{}', '{"atr": 0.001, "ema": 1.09799}', '{"timing_strategy": "WAIT_PULLBACK", "entry_price": 1.09999}'),
	('SELL', '{"direction": "SELL"}', '{}', '{"atr": 0.001, "ema": 1.1021}', '{"timing_strategy": "WAIT_PULLBACK", "trigger_price": 1.1001, "entry_price": 1.1001, "stop_loss": 1.1021}'),
	('rounded like a limit', '{}', '{}', '{"atr": 0.001, "ema": 1.097904}', '{"trigger_price": 1.0999}'),
	('rounded like a limit, SELL', '{"direction": "SELL"}', '{}', '{"atr": 0.001, "ema": 1.102104}', '{"trigger_price": 1.10011}'),
	('run away the other way', '{}', '{}', '{"atr": 0.001, "ema": 1.11}', '{"timing_strategy": "IMMEDIATE"}'),
	('off', '{}', '{"advanced_timing": false}', '{"atr": 0.001, "ema": 1.09}', '{"timing_strategy": "IMMEDIATE"}'),
	('no ATR', '{}', '{}', '{"ema": 1.09}', '{"timing_strategy": "IMMEDIATE"}'),
	('ATR of 0', '{}', '{}', '{"atr": 0, "ema": 1.09}', '{"timing_strategy": "IMMEDIATE"}'),
	('no EMA', '{}', '{}', '{"atr": 0.001}', '{"timing_strategy": "IMMEDIATE"}'),
	('another extension', '{}', '{"timing_extension_atr": 2.2}', '{"atr": 0.001, "ema": 1.0979}', '{"timing_strategy": "IMMEDIATE"}'),
	('a market order becomes a limit, IOC becomes GTC', '{}', '{"prefer_market_orders": true, "time_in_force": "IOC"}', '{"atr": 0.001, "ema": 1.0979}',
		'{"order_type": "LIMIT", "entry_price": 1.0999, "execution": {"auto_execute": false, "max_slippage_pips": 2, "time_in_force": "GTC", "execution_algorithm": "NONE"}}'),
	('FOK too', '{}', '{"prefer_market_orders": true, "time_in_force": "FOK"}', '{"atr": 0.001, "ema": 1.0979}',
		'{"execution": {"auto_execute": false, "max_slippage_pips": 2, "time_in_force": "GTC", "execution_algorithm": "NONE"}}'),
	('DAY stays', '{}', '{"time_in_force": "DAY"}', '{"atr": 0.001, "ema": 1.0979}',
		'{"execution": {"auto_execute": false, "max_slippage_pips": 2, "time_in_force": "DAY", "execution_algorithm": "NONE"}}')) AS c (about, prediction, strategy, market, expected),
	LATERAL pg_temp.decision(c.prediction, '{"advanced_timing": true}'::jsonb || c.strategy, c.market) AS d (d);
