-- A company whose model service must sign its envelopes with a token: only the token's hash is stored.
UPDATE trading.companies SET require_token = true WHERE company_id = 'acme';
INSERT INTO trading.producers (company_id, producer_id, token_sha256) VALUES ('acme', 'signed', sha256('the token'))
    ON CONFLICT (company_id, producer_id) DO UPDATE SET token_sha256 = excluded.token_sha256;
-- Stop one producer without forgetting it.
UPDATE trading.producers SET enabled = false WHERE company_id = 'acme' AND producer_id = 'models';
SELECT string_agg(format('%s %s %s', producer_id, enabled, token_sha256 IS NOT NULL), ', ' ORDER BY producer_id)
  FROM trading.producers WHERE company_id = 'acme';
-- gives: models f f, signed t t
