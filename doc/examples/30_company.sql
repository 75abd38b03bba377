-- A company with two traders: its own row caps what they may risk, whatever they set.
BEGIN;
INSERT INTO trading.companies (company_id, name, tier) VALUES ('cedar', 'Cedar Capital', 'ENTERPRISE');
INSERT INTO trading.users (company_id, user_id, role) VALUES ('cedar', 'cid', 'admin'), ('cedar', 'cleo', 'trader');
INSERT INTO trading.accounts (company_id, user_id, currency, equity) VALUES ('cedar', 'cid', 'USD', 200000), ('cedar', 'cleo', 'USD', 60000);
INSERT INTO trading.strategies (company_id, user_id, strategy_id, risk_percent, custom_rule) VALUES
	('cedar', 'cid', 'bold', 3, NULL),
	('cedar', 'cleo', 'tight', 0.5, '$.consensus >= 0.8 && $.market.spread_pips < 2');
INSERT INTO trading.strategies (company_id, user_id, strategy_id, name, risk_percent) VALUES ('cedar', '_all', '_all', 'house rules', 1);
COMMIT;
SELECT string_agg(format('%s %s %s', strategy_id, risk_percent, layers ->> 'risk_percent'), ', ' ORDER BY strategy_id)
  FROM trading.effective_strategies WHERE company_id = 'cedar';
-- gives: bold 1 COMPANY, tight 0.5 USER
