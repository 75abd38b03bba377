-- What became of signals: reports of terminals, trades, positions, equity.
--
-- trading.executions is the truth, a row per report for ever.  Trades, positions and
-- equity follow from the set of its rows, in whatever order they came; the lane that
-- stores a report brings them up to date in the same transaction.

CREATE FUNCTION trading.create_execution_tables() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	EXECUTE format($table$
	CREATE TABLE trading.executions (
		company_id text NOT NULL,
		user_id text NOT NULL,
		execution_id text NOT NULL,
		signal_id uuid NOT NULL,
		account_id text,
		symbol text NOT NULL,
		leg integer NOT NULL DEFAULT 0,
		status text NOT NULL CHECK (status = ANY (%L)),
		requested_price float8,
		executed_price float8,
		executed_size float8,
		profit float8,
		commission float8,
		executed_at timestamptz NOT NULL,
		reason text,
		broker_order_id text,
		side smallint CHECK (side IN (-1, 1)),
		conversion_rate float8,
		flag text CHECK (flag IN ('UNKNOWN_SIGNAL', 'NO_ORDER', 'OTHER_SYMBOL')),
		conflicts integer NOT NULL DEFAULT 0,
		simulated boolean NOT NULL,
		content_hash bytea NOT NULL CHECK (octet_length(content_hash) = 32),
		source text NOT NULL,
		input_seq bigint,
		producer_id text,
		correlation_id text,
		lane integer NOT NULL,
		batch_no bigint NOT NULL,
		position integer NOT NULL,
		recorded_at timestamptz NOT NULL DEFAULT now(),
		PRIMARY KEY (company_id, user_id, execution_id),
		CHECK ((flag IS NULL) = (account_id IS NOT NULL))
	)$table$, trading.enum_labels('execution_status'));
	CREATE INDEX ON trading.executions (company_id, signal_id);
	CREATE INDEX ON trading.executions (company_id, user_id, account_id, executed_at);
	CREATE INDEX ON trading.executions (company_id, recorded_at) WHERE flag IS NOT NULL OR conflicts > 0;
	PERFORM trading.describe('trading.executions',
		'reports of terminals, each execution_id once for ever: the first content that came stays', jsonb_build_object(
		'execution_id', 'identity of the report, given by the terminal',
		'signal_id', 'signal that it is about: trading.signals',
		'account_id', 'account of the signal; NULL: the report has no effect, flag says why',
		'leg', 'leg that it is about, 0 for a single order',
		'status', 'FILLED, PARTIALLY_FILLED, REJECTED, CANCELLED or CLOSED',
		'requested_price', 'price asked for; NULL: not told',
		'executed_price', 'price got; NULL: not told',
		'executed_size', 'lots filled by this report; of CLOSED lots closed, NULL: all that was left',
		'profit', 'account currency, told with CLOSED, commission not taken off',
		'commission', 'account currency, a cost is positive; NULL: none told',
		'executed_at', 'when it happened, by the terminal''s clock',
		'reason', 'the broker''s words',
		'broker_order_id', 'the broker''s id of the order',
		'side', 'what it did: 1 bought, -1 sold; NULL: nothing',
		'conversion_rate', 'account currency per unit of quote currency, as recorded with the signal; NULL: not known',
		'flag', 'why it has no effect: UNKNOWN_SIGNAL, NO_ORDER (the signal is a HOLD), OTHER_SYMBOL; NULL: it has',
		'conflicts', 'how often another content came under this id, and was turned away',
		'simulated', 'the signal was decided by the input''s clock',
		'content_hash', 'SHA-256 of the report, which tells a repeated one from a conflicting one',
		'source', 'way that the report came: nats or inbox',
		'input_seq', 'position in the input stream, or id in trading.inbox',
		'producer_id', 'terminal that reported',
		'position', 'order of the messages within the batch'));

	EXECUTE format($table$
	CREATE TABLE trading.trades (
		company_id text NOT NULL,
		signal_id uuid NOT NULL,
		user_id text NOT NULL,
		account_id text NOT NULL,
		strategy_id text NOT NULL,
		symbol text NOT NULL,
		side smallint NOT NULL CHECK (side IN (-1, 1)),
		prediction_id text NOT NULL,
		correlation_id text,
		simulated boolean NOT NULL,
		generated_at timestamptz NOT NULL,
		decided_at timestamptz NOT NULL,
		decided_batch_no bigint,
		expires_at timestamptz,
		confidence float8 NOT NULL,
		position_size float8 NOT NULL,
		entry_price float8,
		stop_loss float8,
		risk float8,
		max_slippage_pips float8,
		pip_size float8 NOT NULL,
		lot_step float8 NOT NULL,
		contract_size float8 NOT NULL,
		currency text NOT NULL,
		base_currency text NOT NULL,
		quote_currency text NOT NULL,
		conversion_rate float8,
		notional float8,
		state text NOT NULL CHECK (state = ANY (%L)),
		filled float8 NOT NULL,
		closed float8 NOT NULL,
		average_price float8,
		average_close float8,
		entry_slippage_pips float8,
		exit_slippage_pips float8,
		profit float8,
		commission float8 NOT NULL,
		r_multiple float8,
		profit_ratio float8,
		latency_ms float8,
		filled_at timestamptz,
		closed_at timestamptz,
		working boolean NOT NULL,
		stopped_out boolean NOT NULL,
		reports integer NOT NULL,
		lane integer NOT NULL,
		filled_batch_no bigint,
		ended_batch_no bigint,
		turns bigint[] NOT NULL DEFAULT '{}',
		stopped_at timestamptz,
		stopped_batch_no bigint,
		batch_no bigint NOT NULL,
		updated_at timestamptz NOT NULL DEFAULT now(),
		PRIMARY KEY (company_id, signal_id)
	)$table$, trading.enum_labels('trade_state'));
	CREATE INDEX ON trading.trades (company_id, user_id, strategy_id, closed_at);
	CREATE INDEX ON trading.trades (company_id, user_id, account_id) WHERE state = 'OPEN';
	CREATE INDEX ON trading.trades (company_id, closed_at); -- protections of a company
	PERFORM trading.describe('trading.trades',
		'what became of each signal that was reported about: the sum of its rows in trading.executions, in whatever order they came', jsonb_build_object(
		'signal_id', 'the signal',
		'account_id', 'account that it was traded on',
		'side', '1: bought, -1: sold',
		'prediction_id', 'prediction that the signal comes from',
		'simulated', 'decided by the input''s clock',
		'generated_at', 'when the prediction was made',
		'decided_at', 'the lane''s clock when the signal was decided',
		'decided_batch_no', 'batch of the signal',
		'expires_at', 'when the signal expires',
		'confidence', 'of the prediction',
		'position_size', 'lots that the signal asked for',
		'entry_price', 'entry price of the signal',
		'stop_loss', 'stop loss of the signal',
		'risk', 'loss at the stop if all is filled, account currency; NULL: no conversion rate was known',
		'max_slippage_pips', 'most slippage that the signal accepts',
		'pip_size', 'one pip in price units, when it was decided',
		'lot_step', 'step of sizes, when it was decided',
		'contract_size', 'units of base per lot, when it was decided',
		'currency', 'currency of the account, when it was decided',
		'base_currency', 'what is bought and sold',
		'quote_currency', 'currency of the price',
		'conversion_rate', 'account currency per unit of quote currency, when it was decided; NULL: not known',
		'notional', 'value of all that the signal asked for, account currency; NULL: no conversion rate was known',
		'state', 'PENDING, OPEN (filled, not all closed), CLOSED, REJECTED or CANCELLED (nothing was filled)',
		'filled', 'lots filled',
		'closed', 'lots closed',
		'average_price', 'of fills, weighted by volume',
		'average_close', 'of closes, weighted by volume',
		'entry_slippage_pips', 'executed less requested price of fills, weighted by volume; positive is worse for the trader',
		'exit_slippage_pips', 'the same of closes; positive is worse, too',
		'profit', 'account currency, as told by closes, all commission taken off; NULL: nothing is closed',
		'commission', 'account currency, of all reports',
		'r_multiple', 'profit over the risk of what was filled',
		'profit_ratio', 'profit over the value of what was filled, at its average price in account currency',
		'latency_ms', 'from generated_at to the first fill, milliseconds',
		'filled_at', 'first fill',
		'closed_at', 'last close',
		'working', 'more of it may still be filled: no report but PARTIALLY_FILLED came',
		'stopped_out', 'a close was at the stop loss or beyond it, or nearer to it than max_slippage_pips; where no close tells a price: all of the risk was lost',
		'reports', 'rows of trading.executions that it is the sum of',
		'lane', 'lane of the company',
		'filled_batch_no', 'batch in which it became open; NULL: it never was',
		'ended_batch_no', 'batch in which it was closed, rejected or cancelled; NULL: it isn''t',
		'turns', 'batches in which it began to count as an open position (> 0) or ceased to (< 0), in their order',
		'stopped_at', 'closed_at when it was first found stopped out: its strategy doesn''t take the prediction again',
		'stopped_batch_no', 'batch in which that was',
		'batch_no', 'batch of the last report',
		'updated_at', 'when the last report was stored'));

	CREATE TABLE trading.position_history (
		company_id text NOT NULL,
		user_id text NOT NULL,
		account_id text NOT NULL,
		symbol text NOT NULL,
		simulated boolean NOT NULL,
		batch_no bigint NOT NULL,
		lane integer NOT NULL,
		first boolean NOT NULL,
		side smallint NOT NULL CHECK (side IN (-1, 0, 1)),
		lots float8 NOT NULL,
		average_open float8,
		average_close float8,
		realised float8 NOT NULL,
		total_realised float8 NOT NULL,
		total_commission float8 NOT NULL,
		opened_at timestamptz,
		closed_at timestamptz,
		fills bigint NOT NULL,
		cycles bigint NOT NULL,
		steps float8 NOT NULL,
		closed_steps float8 NOT NULL,
		owed_steps float8 NOT NULL,
		lot_step float8 NOT NULL,
		recorded_at timestamptz NOT NULL DEFAULT now(),
		PRIMARY KEY (company_id, user_id, account_id, symbol, simulated, batch_no)
	);
	CREATE UNIQUE INDEX position_history_first ON trading.position_history (company_id, user_id, account_id, symbol, simulated) WHERE first;
	PERFORM trading.describe('trading.position_history',
		'netted positions per account and symbol, a row after each batch that touched one; the newest is the position: trading.positions', jsonb_build_object(
		'account_id', 'account that the position is in',
		'simulated', 'of signals decided by the input''s clock',
		'first', 'whether it is the position''s first row',
		'side', 'of the cycle: 1 long, -1 short, 0 before the first; a cycle ends flat or by turning round',
		'lots', 'what is open; below 0: short',
		'average_open', 'price at which the cycle was opened, weighted by volume',
		'average_close', 'price at which what is closed of the cycle was closed, weighted by volume',
		'realised', 'profit of the cycle, account currency, commissions taken off',
		'total_realised', 'profit of all cycles, account currency, commissions taken off',
		'total_commission', 'commissions of all cycles, account currency',
		'opened_at', 'when the cycle began',
		'closed_at', 'when the cycle ended flat; NULL: it is open',
		'fills', 'executions that it is the sum of',
		'cycles', 'how often it was opened from flat or turned round',
		'steps', 'what is open, lot steps',
		'closed_steps', 'what is closed of the cycle, lot steps',
		'owed_steps', 'closed before it was opened, lot steps; later fills settle it',
		'lot_step', 'lot step of steps: the smallest of its signals'''));

	CREATE TABLE trading.account_history (
		company_id text NOT NULL,
		user_id text NOT NULL,
		account_id text NOT NULL,
		simulated boolean NOT NULL,
		batch_no bigint NOT NULL,
		lane integer NOT NULL,
		realised bigint NOT NULL,
		peak bigint NOT NULL,
		settled_peak bigint NOT NULL,
		day date,
		day_start bigint NOT NULL,
		fills bigint NOT NULL,
		last_at timestamptz,
		last_id bytea CHECK (octet_length(last_id) = 16),
		recorded_at timestamptz NOT NULL DEFAULT now(),
		PRIMARY KEY (company_id, user_id, account_id, simulated, batch_no)
	);
	PERFORM trading.describe('trading.account_history',
		'what accounts have made, a row after each batch that touched one; amounts in 1/10,000 of the account''s currency', jsonb_build_object(
		'account_id', 'the account',
		'simulated', 'of signals decided by the input''s clock',
		'realised', 'sum of total_realised of its positions, each rounded to 1/10,000',
		'peak', 'the most that realised has been, in order of executed_at, what happened at one instant taken together; at least 0',
		'settled_peak', 'the same before the last instant',
		'day', 'day of the last execution, UTC',
		'day_start', 'realised when that day began',
		'fills', 'executions that it is the sum of',
		'last_at', 'executed_at of the last of them',
		'last_id', 'head of the SHA-256 of its execution_id, which orders executions of one instant'));
END
$$;
COMMENT ON FUNCTION trading.create_execution_tables() IS 'part of trading.setup(): executions, trades, positions, equity';

CREATE FUNCTION trading.create_execution_views() RETURNS void
	LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	-- They need nothing of the extension, so those of an earlier installation are still there, and are its own.
	IF to_regclass('trading.positions') IS NOT NULL THEN
		RETURN;
	END IF;
	CREATE VIEW trading.positions WITH (security_invoker) AS
	SELECT k.company_id, k.user_id, k.account_id, k.symbol, k.simulated, p.side, p.lots, p.average_open, p.average_close,
	       p.realised, p.total_realised, p.total_commission, p.opened_at, p.closed_at, p.fills, p.cycles, p.recorded_at
	  FROM trading.position_history AS k
	 CROSS JOIN LATERAL (
	SELECT h.side, h.lots, h.average_open, h.average_close, h.realised, h.total_realised, h.total_commission,
	       h.opened_at, h.closed_at, h.fills, h.cycles, h.recorded_at
	  FROM trading.position_history AS h
	 WHERE h.company_id = k.company_id AND h.user_id = k.user_id AND h.account_id = k.account_id
	   AND h.symbol = k.symbol AND h.simulated = k.simulated
	 ORDER BY h.batch_no DESC LIMIT 1) AS p
	 WHERE k.first;
	COMMENT ON VIEW trading.positions IS 'netted positions per account and symbol, as they are now; those that are flat, too';
	PERFORM trading.describe_like('trading.positions', 'trading.position_history');

	CREATE VIEW trading.account_equity WITH (security_invoker) AS
	SELECT a.company_id, a.user_id, a.account_id, s.simulated, a.currency,
	       a.equity AS starting_equity,
	       round(COALESCE(h.realised, 0) / 10000.0, 4) AS realised,
	       round(a.equity::numeric + COALESCE(h.realised, 0) / 10000.0, 4) AS equity,
	       round(a.equity::numeric + COALESCE(h.peak, 0) / 10000.0, 4) AS peak_equity,
	       CASE WHEN a.equity::numeric + h.peak / 10000.0 > 0
		    THEN ((h.peak - h.realised) / 10000.0 / (a.equity::numeric + h.peak / 10000.0))::float8 END AS drawdown,
	       round(a.equity::numeric + COALESCE(CASE WHEN h.day >= (now() AT TIME ZONE 'UTC')::date THEN h.day_start ELSE h.realised END, 0) / 10000.0, 4)
		AS day_start_equity,
	       o.trades AS open_trades, o.risk AS open_risk, h.last_at AS last_executed_at
	  FROM trading.accounts AS a
	 CROSS JOIN (VALUES (false), (true)) AS s (simulated)
	  LEFT JOIN LATERAL (
	SELECT n.realised, n.peak, n.day, n.day_start, n.last_at FROM trading.account_history AS n
	 WHERE n.company_id = a.company_id AND n.user_id = a.user_id AND n.account_id = a.account_id AND n.simulated = s.simulated
	 ORDER BY n.batch_no DESC LIMIT 1) AS h ON true
	 CROSS JOIN LATERAL (
	SELECT count(*) AS trades, COALESCE(sum(round((t.risk * (t.filled - t.closed) / t.position_size)::numeric, 4)), 0) AS risk FROM trading.trades AS t
	 WHERE t.company_id = a.company_id AND t.user_id = a.user_id AND t.account_id = a.account_id AND t.simulated = s.simulated
	   AND t.state = 'OPEN') AS o
	 WHERE NOT s.simulated OR h.realised IS NOT NULL OR o.trades > 0;
	COMMENT ON VIEW trading.account_equity IS 'accounts with what they have made: equity, its peak, drawdown, what is at risk; simulated trades apart';
	PERFORM trading.describe_like('trading.account_equity', 'trading.accounts');
	COMMENT ON COLUMN trading.account_equity.simulated IS 'whether it counts trades of signals decided by the input''s clock, or the others';
	COMMENT ON COLUMN trading.account_equity.starting_equity IS 'equity of the account''s row: what it began with; deposits change it';
	COMMENT ON COLUMN trading.account_equity.realised IS 'profit of all positions, commissions taken off, account currency';
	COMMENT ON COLUMN trading.account_equity.equity IS 'starting_equity + realised';
	COMMENT ON COLUMN trading.account_equity.peak_equity IS 'the most that equity has been, in order of executed_at';
	COMMENT ON COLUMN trading.account_equity.drawdown IS 'share of the peak that equity is below it; NULL: nothing was traded';
	COMMENT ON COLUMN trading.account_equity.day_start_equity IS 'equity when the day (UTC) began';
	COMMENT ON COLUMN trading.account_equity.open_trades IS 'trades that are open';
	COMMENT ON COLUMN trading.account_equity.open_risk IS 'loss of open trades at their stops, account currency, as far as it is known';
	COMMENT ON COLUMN trading.account_equity.last_executed_at IS 'newest execution';

	PERFORM trading.let_tenants_read('trading.positions', 'trading.account_equity');
END
$$;
COMMENT ON FUNCTION trading.create_execution_views() IS 'part of trading.setup(): positions and equity as they are now';

-- The doors: reports by SQL.
CREATE FUNCTION trading.report_execution(report jsonb) RETURNS void
	AS 'MODULE_PATHNAME', 'te_sql_report_execution'
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.report_execution(jsonb) IS
	'puts a report of a terminal (ExecutionResult as JSON) into the lanes'' inbox, in this transaction; what it leaves out of company_id, user_id and symbol is the signal''s';

CREATE FUNCTION trading.report_executions(reports jsonb) RETURNS integer
	AS 'MODULE_PATHNAME', 'te_sql_report_executions'
	LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
COMMENT ON FUNCTION trading.report_executions(jsonb) IS
	'the same for an array of reports, all or none; returns how many';

CREATE FUNCTION trading.report_execution(execution_id text, signal_id uuid, status text, executed_at timestamptz,
	executed_price float8 DEFAULT NULL, executed_size float8 DEFAULT NULL, profit float8 DEFAULT NULL,
	commission float8 DEFAULT NULL, requested_price float8 DEFAULT NULL, leg integer DEFAULT 0, reason text DEFAULT NULL,
	broker_order_id text DEFAULT NULL, symbol text DEFAULT NULL, user_id text DEFAULT NULL, company_id text DEFAULT NULL)
	RETURNS void
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET extra_float_digits = 1
AS $$
BEGIN
	PERFORM trading.report_execution(jsonb_strip_nulls(jsonb_build_object(
		'execution_id', execution_id, 'signal_id', signal_id, 'status', status,
		'executed_at', CASE WHEN isfinite(executed_at) AND executed_at >= '0001-01-01 00:00Z'
			THEN to_char(executed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') ELSE executed_at::text END,
		'executed_price', executed_price, 'executed_size', executed_size, 'profit', profit, 'commission', commission,
		'requested_price', requested_price, 'leg', NULLIF(leg, 0), 'reason', reason, 'broker_order_id', broker_order_id,
		'symbol', symbol, 'user_id', user_id, 'company_id', company_id)));
END
$$;
COMMENT ON FUNCTION trading.report_execution(text, uuid, text, timestamptz, float8, float8, float8, float8, float8, integer, text, text, text, text, text) IS
	'reports what became of a signal''s order: status is FILLED, PARTIALLY_FILLED, REJECTED, CANCELLED or CLOSED (with its profit); a report of the same execution_id counts once';
