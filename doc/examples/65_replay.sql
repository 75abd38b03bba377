-- Is every stored decision of today what the stored prediction leads to?  Both ways, legs aside.
WITH live AS (
	SELECT signal_id, outcome, signal_type, signal_strength, entry_price, stop_loss, take_profit, position_size, max_loss, strategy_version
	  FROM trading.signals),
again AS MATERIALIZED (
	SELECT signal_id, outcome, signal_type, signal_strength, entry_price, stop_loss, take_profit, position_size, max_loss, strategy_version
	  FROM trading.replay(now() - interval '1 day', now() + interval '1 day'))
SELECT (SELECT count(*) > 0 FROM again) AS replayed,
       (SELECT count(*) FROM (TABLE live EXCEPT ALL TABLE again) AS lost) AS lost,
       (SELECT count(*) FROM (TABLE again EXCEPT ALL TABLE live) AS gained) AS gained;
-- gives: t|0|0
