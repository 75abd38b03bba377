# Figures of trades over rollups against plain SQL over the trades, however the trades came and
# changed; and scores of predictions against plain SQL over messages and bars.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;
use TradingEngineRun;

my $nats = TradingEngineNats->new('performance')->start;
my $node = engine('performance', nats => $nats, lanes => 2, conf => { 'trading_engine.clock' => 'input' });

sub sql { return $node->safe_psql('postgres', $_[0]); }

# A session beside the others, whose statements it doesn't have to be given: to be finished.
sub session
{
	my ($statements) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir('session') . '/sql';
	append_to_file($file, $statements);
	return IPC::Run::start([ $node->installed_command('psql'), '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', $file ],
		'<', \undef, '>', '/dev/null');
}

#----------------------------------------------------------------------
# Trades
#----------------------------------------------------------------------

sql(q{
	INSERT INTO trading.companies (company_id, tier) VALUES ('acme', 'ENTERPRISE'), ('beta', 'ENTERPRISE');
	INSERT INTO trading.users (company_id, user_id, role) VALUES ('acme', 'ann', 'admin'), ('acme', 'tom', 'trader'), ('beta', 'bob', 'admin');
	INSERT INTO trading.accounts (company_id, user_id, account_id, currency, equity)
	VALUES ('acme', 'ann', 'main', 'USD', 10000), ('acme', 'ann', 'euro', 'EUR', 7000), ('acme', 'tom', 'main', 'USD', 4000), ('beta', 'bob', 'main', 'USD', 500);
	INSERT INTO trading.strategies (company_id, user_id, strategy_id, account_id)
	VALUES ('acme', 'ann', 's1', 'main'), ('acme', 'ann', 's2', 'euro'), ('acme', 'tom', 's1', 'main'), ('beta', 'bob', 's1', 'main');
	CREATE ROLE te_ann LOGIN IN ROLE trading_tenant; CREATE ROLE te_tom LOGIN IN ROLE trading_tenant;
	INSERT INTO trading.logins (role_name, company_id, user_id) VALUES ('te_ann', 'acme', 'ann'), ('te_tom', 'acme', 'tom');

	-- Trades as the lanes would leave them; closes fall together now and then.
	CREATE FUNCTION make_trades(how_many integer) RETURNS void LANGUAGE sql AS $$
		INSERT INTO trading.trades (company_id, signal_id, user_id, account_id, strategy_id, symbol, side, prediction_id, simulated, generated_at,
			decided_at, confidence, position_size, risk, pip_size, lot_step, contract_size, base_currency, quote_currency, currency, state, filled, closed, entry_slippage_pips,
			profit, commission, r_multiple, latency_ms, closed_at, working, stopped_out, reports, lane, batch_no)
		SELECT s.company_id, gen_random_uuid(), s.user_id, s.account_id, s.strategy_id, (ARRAY['EURUSD', 'GBPUSD', 'USDJPY'])[1 + floor(random() * 3)::integer],
		       1, 'p', random() < 0.1, d.at, d.at, round(random()::numeric, 3)::float8, 1, 50, 0.0001, 0.01, 100000, 'EUR', 'USD', a.currency, t.state,
		       (t.state IN ('OPEN', 'CLOSED'))::integer, (t.state = 'CLOSED')::integer,
		       CASE WHEN t.state IN ('OPEN', 'CLOSED') AND random() < 0.9 THEN round((random() * 4 - 1)::numeric, 1)::float8 END,
		       CASE WHEN t.state = 'CLOSED' THEN t.profit END, 0, CASE WHEN t.state = 'CLOSED' AND random() < 0.8 THEN t.profit / 50 END,
		       CASE WHEN t.state IN ('OPEN', 'CLOSED') THEN random() * 400 END,
		       CASE WHEN t.state = 'CLOSED' THEN date_trunc('hour', d.at + random() * interval '3 days') END, false, false, 1, 0, 1
		  FROM generate_series(1, how_many) AS n
		 CROSS JOIN LATERAL (SELECT y.* FROM trading.strategies AS y WHERE n > 0 ORDER BY random() LIMIT 1) AS s
		  JOIN trading.accounts AS a USING (company_id, user_id, account_id)
		 CROSS JOIN LATERAL (SELECT timestamptz '2026-01-20Z' + random() * interval '45 days' AS at WHERE n > 0) AS d
		 CROSS JOIN LATERAL (SELECT (ARRAY['CLOSED', 'CLOSED', 'CLOSED', 'CLOSED', 'CLOSED', 'OPEN', 'REJECTED', 'CANCELLED'])[1 + floor(random() * 8)::integer] AS state,
			CASE WHEN random() < 0.1 THEN 0 ELSE round((random() * 100 - 49)::numeric, 2)::float8 END AS profit WHERE n > 0) AS t
	$$;

	-- A late execution changes what a trade made and when; some are opened again, some are gone.
	-- Of several writers each has its trades, as lanes do.
	CREATE FUNCTION change_trades(share float8, writer integer DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
		UPDATE trading.trades SET state = 'CLOSED', filled = 1, closed = 1, profit = COALESCE(profit, 0) - 1.5,
			closed_at = decided_at + random() * interval '4 days', r_multiple = NULL
		 WHERE random() < share AND (hashtext(signal_id::text) & 1 = writer) IS NOT FALSE;
		UPDATE trading.trades SET state = 'OPEN', closed = 0 WHERE state = 'CLOSED' AND random() < share / 2 AND (hashtext(signal_id::text) & 1 = writer) IS NOT FALSE;
		DELETE FROM trading.trades WHERE random() < share / 3 AND (hashtext(signal_id::text) & 1 = writer) IS NOT FALSE;
	$$;

	-- The same figures once more, from the trades alone and with what SQL has.
	CREATE VIEW closes AS
	SELECT t.company_id, l.*, t.simulated, t.currency, p.*, t.profit, t.r_multiple, t.confidence, t.closed_at, t.signal_id
	  FROM trading.trades AS t
	 CROSS JOIN LATERAL (VALUES ('company', '*', '*', '*'), ('symbol', '*', '*', t.symbol), ('user', t.user_id, '*', '*'),
		('strategy', t.user_id, t.strategy_id, '*'), ('strategy_symbol', t.user_id, t.strategy_id, t.symbol)) AS l (level, user_id, strategy_id, symbol)
	 CROSS JOIN LATERAL (VALUES ('all', NULL), ('year', date_trunc('year', t.closed_at AT TIME ZONE 'UTC')), ('quarter', date_trunc('quarter', t.closed_at AT TIME ZONE 'UTC')),
		('month', date_trunc('month', t.closed_at AT TIME ZONE 'UTC')), ('week', date_trunc('week', t.closed_at AT TIME ZONE 'UTC')),
		('day', date_trunc('day', t.closed_at AT TIME ZONE 'UTC'))) AS p (period, starts_on)
	 WHERE t.state = 'CLOSED';
	CREATE VIEW equities AS
	SELECT l.*, x.currency, sum(x.equity) AS equity
	  FROM trading.accounts AS x
	 CROSS JOIN LATERAL (SELECT 'company', x.company_id, '*', '*' UNION ALL SELECT 'symbol', x.company_id, '*', '*'
		UNION ALL SELECT 'user', x.company_id, x.user_id, '*'
		UNION ALL SELECT v.level, s.company_id, s.user_id, s.strategy_id FROM trading.strategies AS s, (VALUES ('strategy'), ('strategy_symbol')) AS v (level)
			WHERE (s.company_id, s.user_id, s.account_id) = (x.company_id, x.user_id, x.account_id)) AS l (level, company_id, user_id, strategy_id)
	 GROUP BY 1, 2, 3, 4, 5;
	CREATE VIEW plain AS
	WITH instants AS (
		SELECT c.company_id, c.level, c.user_id, c.strategy_id, c.symbol, c.simulated, c.currency, c.period, c.starts_on, c.closed_at, sum(c.profit::numeric) AS profit
		  FROM closes AS c GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
	spans AS (
		SELECT x.*, sum(x.profit) OVER (PARTITION BY x.company_id, x.level, x.user_id, x.strategy_id, x.symbol, x.simulated, x.currency, x.period
			ORDER BY x.starts_on ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS earlier
		  FROM (SELECT i.company_id, i.level, i.user_id, i.strategy_id, i.symbol, i.simulated, i.currency, i.period, i.starts_on, sum(i.profit) AS profit
			  FROM instants AS i GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9) AS x),
	before AS (
		SELECT i.*, s.earlier
		  FROM instants AS i
		  JOIN spans AS s ON (s.company_id, s.level, s.user_id, s.strategy_id, s.symbol, s.simulated, s.currency, s.period) = (i.company_id, i.level, i.user_id, i.strategy_id, i.symbol, i.simulated, i.currency, i.period)
			AND s.starts_on IS NOT DISTINCT FROM i.starts_on),
	levels AS (
		SELECT b.*, e.equity::numeric + COALESCE(b.earlier, 0) AS start,
		       e.equity::numeric + COALESCE(b.earlier, 0) + sum(b.profit) OVER w AS equity
		  FROM before AS b JOIN equities AS e USING (company_id, level, user_id, strategy_id, currency)
		WINDOW w AS (PARTITION BY b.company_id, b.level, b.user_id, b.strategy_id, b.symbol, b.simulated, b.currency, b.period, b.starts_on ORDER BY b.closed_at)),
	peaks AS (
		SELECT l.*, GREATEST(l.start, max(l.equity) OVER w) AS peak
		  FROM levels AS l
		WINDOW w AS (PARTITION BY l.company_id, l.level, l.user_id, l.strategy_id, l.symbol, l.simulated, l.currency, l.period, l.starts_on ORDER BY l.closed_at)),
	curve AS (
		SELECT p.company_id, p.level, p.user_id, p.strategy_id, p.symbol, p.simulated, p.currency, p.period, p.starts_on, max(p.start) AS start,
		       max((p.peak - p.equity) / p.peak)::float8 AS max_drawdown, max(p.peak - p.equity)::float8 AS max_drawdown_amount,
		       ((array_agg((p.peak - p.equity) / p.peak ORDER BY p.closed_at DESC))[1])::float8 AS drawdown
		  FROM peaks AS p GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9),
	returns AS (
		-- At the peak again: the instant before was below it.  Left last: the newest instant at a peak before.
		SELECT p.*, lag(p.equity < p.peak) OVER w AS was_below,
		       max(p.closed_at) FILTER (WHERE p.equity = p.peak) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS left_at, min(p.closed_at) OVER w AS first_at
		  FROM peaks AS p
		WINDOW w AS (PARTITION BY p.company_id, p.level, p.user_id, p.strategy_id, p.symbol, p.simulated, p.currency, p.period, p.starts_on ORDER BY p.closed_at)),
	recovery AS (
		SELECT r.company_id, r.level, r.user_id, r.strategy_id, r.symbol, r.simulated, r.currency, r.period, r.starts_on,
		       max(date_trunc('minute', r.closed_at) - date_trunc('minute', COALESCE(r.left_at, r.first_at))) AS recovery_time
		  FROM returns AS r WHERE r.equity = r.peak AND r.was_below GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9),
	runs AS (
		SELECT c.*, count(*) FILTER (WHERE c.profit > 0) OVER (PARTITION BY c.company_id, c.level, c.user_id, c.strategy_id, c.symbol, c.simulated, c.currency, c.period, c.starts_on
			ORDER BY c.closed_at, c.signal_id) AS run
		  FROM closes AS c),
	streaks AS (
		SELECT x.company_id, x.level, x.user_id, x.strategy_id, x.symbol, x.simulated, x.currency, x.period, x.starts_on, max(x.losses) AS losing_streak
		  FROM (SELECT r.company_id, r.level, r.user_id, r.strategy_id, r.symbol, r.simulated, r.currency, r.period, r.starts_on, r.run,
			       count(*) FILTER (WHERE r.profit < 0) AS losses FROM runs AS r GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10) AS x
		 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9),
	sums AS (
		SELECT c.company_id, c.level, c.user_id, c.strategy_id, c.symbol, c.simulated, c.currency, c.period, c.starts_on, count(*) AS trades,
		       count(*) FILTER (WHERE c.profit > 0) AS wins, count(*) FILTER (WHERE c.profit < 0) AS losses, sum(c.profit) AS profit,
		       sum(c.profit) FILTER (WHERE c.profit > 0) / -sum(c.profit) FILTER (WHERE c.profit < 0) AS profit_factor, avg(c.profit) AS expectancy,
		       avg(c.profit) / NULLIF(stddev_samp(c.profit), 0) AS sharpe_ratio,
		       avg(c.profit) / NULLIF(sqrt(avg(CASE WHEN c.profit < 0 THEN c.profit * c.profit ELSE 0 END)), 0) AS sortino_ratio,
		       sqrt(count(c.r_multiple)) * avg(c.r_multiple) / NULLIF(stddev_samp(c.r_multiple), 0) AS sqn,
		       avg((c.confidence - (c.profit > 0)::integer) ^ 2) FILTER (WHERE c.profit <> 0) AS brier_score, count(*) FILTER (WHERE c.profit <> 0) AS scored
		  FROM closes AS c GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9)
	SELECT s.company_id, s.level, s.user_id, s.strategy_id, s.symbol, s.simulated, s.currency, s.period, s.starts_on::date AS starts_on, s.trades, s.wins, s.losses,
	       CASE WHEN s.trades > 1 THEN s.wins::float8 / NULLIF(s.wins + s.losses, 0) END AS accuracy, s.profit,
	       CASE WHEN s.trades > 1 THEN CASE WHEN s.losses > 0 THEN COALESCE(s.profit_factor, 0) END END AS profit_factor,
	       CASE WHEN s.trades > 1 THEN s.expectancy END AS expectancy, s.sharpe_ratio, CASE WHEN s.trades > 1 THEN s.sortino_ratio END AS sortino_ratio, s.sqn,
	       CASE WHEN s.scored > 1 THEN s.brier_score END AS brier_score, v.start::float8 AS equity,
	       CASE WHEN s.trades > 1 THEN v.max_drawdown END AS max_drawdown, CASE WHEN s.trades > 1 THEN v.max_drawdown_amount END AS max_drawdown_amount,
	       CASE WHEN s.trades > 1 THEN v.drawdown END AS drawdown, CASE WHEN s.trades > 1 THEN s.profit / v.start::float8 / NULLIF(v.max_drawdown, 0) END AS calmar_ratio,
	       CASE WHEN s.trades > 1 THEN k.losing_streak END AS losing_streak, CASE WHEN s.trades > 1 THEN extract(epoch FROM r.recovery_time)::float8 END AS recovery_seconds
	  FROM sums AS s
	  JOIN curve AS v ON (v.company_id, v.level, v.user_id, v.strategy_id, v.symbol, v.simulated, v.currency, v.period) = (s.company_id, s.level, s.user_id, s.strategy_id, s.symbol, s.simulated, s.currency, s.period)
		AND v.starts_on IS NOT DISTINCT FROM s.starts_on
	  JOIN streaks AS k ON (k.company_id, k.level, k.user_id, k.strategy_id, k.symbol, k.simulated, k.currency, k.period) = (s.company_id, s.level, s.user_id, s.strategy_id, s.symbol, s.simulated, s.currency, s.period)
		AND k.starts_on IS NOT DISTINCT FROM s.starts_on
	  LEFT JOIN recovery AS r ON (r.company_id, r.level, r.user_id, r.strategy_id, r.symbol, r.simulated, r.currency, r.period) = (s.company_id, s.level, s.user_id, s.strategy_id, s.symbol, s.simulated, s.currency, s.period)
		AND r.starts_on IS NOT DISTINCT FROM s.starts_on;

	-- Figures that differ by more than rounding, as "figure: count"; and how many rows were compared.
	CREATE FUNCTION disagreements() RETURNS text LANGUAGE sql SET enable_nestloop = off SET jit = off AS $$
		WITH a AS MATERIALIZED (SELECT p.*, extract(epoch FROM p.recovery_time)::float8 AS recovery_seconds FROM trading.performance AS p WHERE p.trades > 0),
		b AS MATERIALIZED (SELECT * FROM plain),
		both_of AS (SELECT to_jsonb(a) AS ours, to_jsonb(b) AS theirs FROM a FULL JOIN b
			ON (a.company_id, a.level, a.user_id, a.strategy_id, a.symbol, a.simulated, a.currency, a.period, COALESCE(a.starts_on, '-infinity'))
			 = (b.company_id, b.level, b.user_id, b.strategy_id, b.symbol, b.simulated, b.currency, b.period, COALESCE(b.starts_on, '-infinity')))
		SELECT concat_ws(' ', CASE WHEN count(*) > 800 THEN 'many' END, string_agg(DISTINCT x.figure, ' '))
		  FROM both_of AS o
		  LEFT JOIN LATERAL (SELECT f.figure FROM unnest(ARRAY['trades', 'wins', 'losses', 'accuracy', 'profit', 'profit_factor', 'expectancy', 'sharpe_ratio', 'sortino_ratio',
			'sqn', 'brier_score', 'equity', 'max_drawdown', 'max_drawdown_amount', 'drawdown', 'calmar_ratio', 'losing_streak', 'recovery_seconds']) AS f (figure)
		  WHERE NOT COALESCE(abs((o.ours ->> f.figure)::float8 - (o.theirs ->> f.figure)::float8) <= 1e-9 * (1 + abs((o.theirs ->> f.figure)::float8)),
			(o.ours ->> f.figure) IS NULL AND (o.theirs ->> f.figure) IS NULL AND o.ours IS NOT NULL AND o.theirs IS NOT NULL)) AS x ON true
	$$;
});

sql('SELECT setseed(0.3); SELECT make_trades(350)');
is(sql('SELECT disagreements()'), 'many', 'nothing is rolled up: figures from trades agree with plain SQL');
sql('CREATE TABLE before AS SELECT * FROM trading.performance');
cmp_ok(sql('SELECT trading.roll_up()'), '>', 300, 'days are rolled up');
is(sql('SELECT count(*) FROM trading.performance_changes'), 0, 'all of them');
is(sql('SELECT disagreements()'), 'many', 'figures from rollups agree, too');
my $same = 'SELECT (SELECT count(*) FROM (TABLE before EXCEPT ALL SELECT * FROM trading.performance) AS x), (SELECT count(*) FROM (SELECT * FROM trading.performance EXCEPT ALL TABLE before) AS x)';
is(sql($same), '0|0', 'and are those from trades to the bit');
is(sql('SELECT trading.roll_up()'), 0, 'there is nothing left to do');
is(sql($same), '0|0', 'and nothing changed');

sql('SELECT setseed(0.4); SELECT change_trades(0.02), make_trades(50)');
is(sql('SELECT disagreements()'), 'many', 'late executions count at once, beside what is rolled up');
sql('CREATE TABLE mixed AS SELECT * FROM trading.performance; SELECT trading.roll_up()');
is(sql('SELECT (SELECT count(*) FROM (TABLE mixed EXCEPT ALL SELECT * FROM trading.performance) AS x), (SELECT count(*) FROM (SELECT * FROM trading.performance EXCEPT ALL TABLE mixed) AS x)'),
	'0|0', 'rolling them up changes no bit');
sql('CREATE TABLE pieces AS SELECT * FROM trading.performance_parts; TRUNCATE trading.performance_parts; UPDATE trading.trades SET lane = lane; SELECT trading.roll_up()');
is(sql('SELECT (SELECT count(*) FROM (TABLE pieces EXCEPT ALL TABLE trading.performance_parts) AS x), (SELECT count(*) FROM (TABLE trading.performance_parts EXCEPT ALL TABLE pieces) AS x)'),
	'0|0', 'rollups that grew are those made anew from all trades');

# Percentiles are within 1.6 % of the nearest rank.
is(sql(q{
	SELECT count(*) > 20, count(*) FILTER (WHERE NOT (abs(p.latency_p90_ms - q.l) <= 0.016 * q.l + 0.001 AND abs(p.slippage_p50_pips - q.s50) <= 0.016 * abs(q.s50) + 0.001
		AND abs(p.slippage_p99_pips - q.s99) <= 0.016 * abs(q.s99) + 0.001 AND p.filled = q.filled AND p.rejected = q.rejected AND p.cancelled = q.cancelled
		AND abs(p.fill_rate - q.filled::float8 / (q.filled + q.rejected + q.cancelled)) < 1e-12))
	  FROM trading.performance AS p
	  JOIN (SELECT company_id, user_id, strategy_id, symbol, simulated, currency, percentile_disc(0.9) WITHIN GROUP (ORDER BY latency_ms) AS l,
		       percentile_disc(0.5) WITHIN GROUP (ORDER BY entry_slippage_pips) AS s50, percentile_disc(0.99) WITHIN GROUP (ORDER BY entry_slippage_pips) AS s99,
		       count(*) FILTER (WHERE filled > 0) AS filled, count(*) FILTER (WHERE state = 'REJECTED') AS rejected, count(*) FILTER (WHERE state = 'CANCELLED') AS cancelled
		  FROM (SELECT company_id, user_id, strategy_id, symbol, simulated, currency, filled, state, CASE WHEN filled > 0 THEN latency_ms END AS latency_ms,
			       CASE WHEN filled > 0 THEN entry_slippage_pips END AS entry_slippage_pips FROM trading.trades) AS t
		 GROUP BY 1, 2, 3, 4, 5, 6) AS q USING (company_id, user_id, strategy_id, symbol, simulated, currency)
	 WHERE p.level = 'strategy_symbol' AND p.period = 'all'}), 't|0', 'percentiles and shares of orders are those of the trades');

# Writers and several roll_up at the same time.
{
	my @sessions = map { my $n = $_;
		session($n < 2 ? "SELECT trading.roll_up();\n" x 12
			: join '', map { "SELECT setseed(0.$n$_);\nSELECT make_trades(15), change_trades(0.003, $n & 1);\n" } 1 .. 9) } 0 .. 3;
	my $failed = grep { !$_->finish } @sessions;
	is($failed, 0, 'nobody who writes trades or rolls up fails');
	is(sql('SELECT disagreements()'), 'many', 'what they leave agrees with plain SQL');
	sql('SELECT trading.roll_up()');
	is(sql('SELECT disagreements()'), 'many', 'and once it is rolled up');
}

# The newest trades of a strategy.
is(sql(q{
	WITH closed AS (SELECT * FROM trading.trades WHERE (company_id, user_id, strategy_id) = ('acme', 'tom', 's1') AND state = 'CLOSED' AND simulated),
	curve AS (SELECT c.closed_at, 4000 + sum(sum(c.profit::numeric)) OVER (ORDER BY c.closed_at) AS equity FROM closed AS c GROUP BY c.closed_at),
	falls AS (SELECT c.closed_at, 1 - c.equity / GREATEST(4000, max(c.equity) OVER (ORDER BY c.closed_at)) AS fall FROM curve AS c)
	SELECT count(*), bool_and(f.trades = r.trades), bool_and(f.accuracy = r.accuracy),
	       bool_and(abs(f.max_drawdown - (SELECT max(x.fall) FROM falls AS x WHERE x.closed_at >= COALESCE((SELECT max(y.closed_at) FROM falls AS y WHERE y.closed_at < r.first), '-infinity'))) < 1e-12),
	       bool_and(abs(f.drawdown - (SELECT x.fall FROM falls AS x ORDER BY x.closed_at DESC LIMIT 1)) < 1e-12)
	  FROM (VALUES (5), (10), (20), (1000000)) AS n (newest)
	 CROSS JOIN LATERAL (SELECT count(*) AS trades, trading.win_rate(w.profit) AS accuracy, min(w.closed_at) AS first
		FROM (SELECT c.* FROM closed AS c ORDER BY c.closed_at DESC FETCH FIRST n.newest ROWS WITH TIES) AS w) AS r
	 CROSS JOIN LATERAL trading.strategy_figures('acme', 'tom', 's1', n.newest) AS f}),
	'4|t|t|t|t', 'the newest trades of a strategy by themselves, on the curve of them all');
is(sql(q{SELECT count(*) > 2, count(*) FILTER (WHERE (f.trades, f.accuracy, f.max_drawdown, f.drawdown) IS DISTINCT FROM (least(c.closed_trades, f.trades), c.accuracy, c.max_drawdown, c.drawdown))
	FROM trading.closed_trade_figures() AS c CROSS JOIN LATERAL trading.strategy_figures(c.company_id, c.user_id, c.strategy_id) AS f}), 't|0', 'and what adjusts strategies goes by the same figures');

# Each sees his own.
sub as { my ($role, $query) = @_; return $node->safe_psql('postgres', $query, extra_params => [ '-U', $role ]); }
for my $rolled (0, 1)
{
	sql($rolled ? 'SELECT trading.roll_up()' : 'SELECT setseed(0.9); SELECT make_trades(30)');
	my $when = $rolled ? 'rolled up' : 'not rolled up';
	is(as('te_ann', q{SELECT DISTINCT company_id, user_id FROM trading.performance ORDER BY 1, 2}), "acme|*\nacme|ann\nacme|tom", "an admin sees the company ($when)");
	is(as('te_tom', q{SELECT DISTINCT company_id, user_id FROM trading.performance ORDER BY 1, 2}), 'acme|tom', "a trader sees himself ($when)");
	is(as('te_tom', q{SELECT count(*) FROM (SELECT to_jsonb(p) FROM trading.performance AS p) AS x}),
		sql(q{SELECT count(*) FROM trading.performance WHERE company_id = 'acme' AND user_id = 'tom'}), "all of it ($when)");
}

#----------------------------------------------------------------------
# Scores of predictions
#----------------------------------------------------------------------

sql("INSERT INTO trading.producers (company_id, producer_id) VALUES ('acme', 'own'), ('_all', 'predictor')");
my $published = predict($nats, '--bars', 1500, '--seed', 5, '--start', '2025-03-03T00:00:00Z', 'GBPUSD', 'EURUSD');
wait_for_input($node, $nats, 200);

# One tenant's own: without a horizon, without quotes, the same prediction in three batches, one to hold.
my $at = sql("SELECT (extract(epoch FROM timestamptz '2025-03-03 06:00Z') * 1e6)::bigint");
my @own = map { +{ %{ $nats->prediction }, prediction_id => "own$_", symbol => 'GBPUSD', current_price => 1.25 + $_ / 1000, predicted_price => 1.3,
	direction => ('BUY', 'SELL', 'HOLD', 'WEAK_BUY')[ $_ % 4 ], confidence => $_ / 20, models => [ { model_id => 'm', direction => 'WEAK_SELL', confidence => 0.8 } ] } } 0 .. 19;
sub send_own { $nats->publish($nats->batch(company => 'acme', producer => 'own', generated_at => $at, seq => 0, predictions => \@own)); return wait_for_input($node, $nats); }
send_own() for 1, 2;

# In small slices, by two at a time, one of which is killed or rolls back.
for my $round (1 .. 4)
{
	my $other = session("BEGIN;\nSELECT trading.score_predictions(150);\nROLLBACK;\nSELECT trading.score_predictions(150);\nSELECT pg_terminate_backend(pg_backend_pid());\n");
	sql('SELECT trading.score_predictions(100)');
	$other->finish;
}
send_own();
1 while sql('SELECT trading.score_predictions()') > 0;
is(sql('SELECT count(*), count(*) - count(DISTINCT (company_id, user_id, producer_id, prediction_id, generated_at, model_id)) > 0 FROM trading.prediction_scores') =~ /\|f$/ ? 1 : 0, 1,
	'nothing is scored twice');

sql(q{
	-- Scores once more: messages as JSON, horizons by the hand of who wrote them, prices from bars.
	CREATE TABLE votes AS
	SELECT m.company_id, m.producer_id, d.prediction ->> 'prediction_id' AS prediction_id, d.prediction ->> 'symbol' AS symbol, v.model_id,
	       CASE m.company_id WHEN 'acme' THEN interval '1 hour' ELSE interval '15 minutes' END AS horizon,
	       (d.prediction ->> 'generated_at')::timestamptz AS generated_at, CASE WHEN v.direction ~ 'BUY' THEN 1 WHEN v.direction ~ 'SELL' THEN -1 ELSE 0 END AS side, v.confidence,
	       COALESCE(((d.prediction ->> 'bid')::float8 + (d.prediction ->> 'ask')::float8) / 2, (d.prediction ->> 'current_price')::float8) AS price,
	       COALESCE((d.prediction ->> 'ask')::float8 - (d.prediction ->> 'bid')::float8, 0.0001) AS band
	  FROM (SELECT DISTINCT company_id, user_id, producer_id, message FROM trading.prediction_batches) AS m
	 CROSS JOIN LATERAL trading.decode_predictions(m.message) AS d
	 CROSS JOIN LATERAL (SELECT '' AS model_id, d.prediction ->> 'direction' AS direction, (d.prediction ->> 'confidence')::float8 AS confidence
		UNION ALL SELECT x ->> 'model_id', x ->> 'direction', (x ->> 'confidence')::float8 FROM jsonb_array_elements(d.prediction -> 'models') AS x) AS v;
	CREATE TABLE judged AS
	SELECT DISTINCT v.*, b.close, CASE WHEN v.side * (b.close - v.price) > v.band + 1e-11 THEN true WHEN v.side * (b.close - v.price) < -v.band - 1e-11 THEN false END AS correct
	  FROM votes AS v
	  LEFT JOIN LATERAL (SELECT c.close FROM trading.market_bars AS c WHERE c.lane = 1 AND c.symbol = v.symbol AND c.bar_start < v.generated_at + v.horizon
		AND c.bar_start + interval '5 minutes' > v.generated_at ORDER BY c.bar_start DESC LIMIT 1) AS b ON true
	 WHERE v.side <> 0 AND v.generated_at + v.horizon <= (SELECT max(c.bar_start) FROM trading.market_bars AS c WHERE c.symbol = v.symbol);
});
cmp_ok(sql("SELECT count(*) FROM judged WHERE correct IS NOT NULL AND company_id = '_all'"), '>', 1000, 'there are broadcasts to be scored');
cmp_ok(sql("SELECT count(*) FROM judged WHERE correct IS NOT NULL AND company_id = 'acme'"), '>', 5, "and a tenant's own");
is(sql(q{
	WITH ours AS (SELECT company_id, producer_id, prediction_id, symbol, model_id, horizon, generated_at, side::integer, confidence, price, band, end_price, correct FROM trading.prediction_scores),
	theirs AS (SELECT company_id, producer_id, prediction_id, symbol, model_id, horizon, generated_at, side, confidence, price, band, close, correct FROM judged)
	SELECT (SELECT count(*) FROM ours) - (SELECT count(*) FROM theirs), (SELECT count(*) FROM (TABLE theirs EXCEPT TABLE ours) AS x), (SELECT count(*) FROM (TABLE ours EXCEPT TABLE theirs) AS x)}),
	'0|0|0', 'each prediction and vote is scored once, as plain SQL scores it');
is(sql(q{
	SELECT count(*) > 4, count(*) FILTER (WHERE NOT (p.votes = q.votes AND p.right_votes = q.r AND p.wrong_votes = q.w AND abs(p.accuracy - q.r::float8 / (q.r + q.w)) < 1e-12
		AND abs(p.brier_score - q.brier) < 1e-12 AND abs(p.mean_confidence - q.confidence) < 1e-12))
	  FROM trading.model_performance AS p
	  FULL JOIN (SELECT company_id, model_id, symbol, horizon, count(*) AS votes, count(*) FILTER (WHERE correct) AS r, count(*) FILTER (WHERE NOT correct) AS w,
		       avg((confidence - correct::integer) ^ 2) AS brier, avg(confidence) FILTER (WHERE correct IS NOT NULL) AS confidence FROM judged GROUP BY 1, 2, 3, 4) AS q
	    USING (company_id, model_id, symbol, horizon)
	 WHERE p.period = 'all' OR p.period IS NULL}), 't|0', 'model_performance adds them up');
is(sql(q{
	SELECT count(*) FROM (
		SELECT company_id, model_id, symbol, horizon, low, votes, round(hit_rate::numeric, 12), round(mean_confidence::numeric, 12) FROM trading.model_reliability WHERE period = 'all' AND votes > 0
		EXCEPT
		SELECT company_id, model_id, symbol, horizon, (r ->> 'low')::numeric, (r ->> 'count')::bigint, round((r ->> 'hit_rate')::numeric, 12), round((r ->> 'mean_confidence')::numeric, 12)
		  FROM (SELECT company_id, model_id, symbol, horizon, trading.reliability(confidence, correct) AS bins FROM judged GROUP BY 1, 2, 3, 4) AS j, jsonb_array_elements(j.bins) AS r) AS x}),
	'0', 'and model_reliability is the reliability diagram');
is(as('te_tom', "SELECT string_agg(DISTINCT company_id, ' ' ORDER BY company_id) FROM trading.model_performance"), '_all acme', 'a tenant sees broadcasts and its own');
sql("CREATE ROLE te_bob LOGIN IN ROLE trading_tenant; INSERT INTO trading.logins (role_name, company_id, user_id) VALUES ('te_bob', 'beta', 'bob')");
is(as('te_bob', "SELECT string_agg(DISTINCT company_id, ' ' ORDER BY company_id) FROM trading.model_performance"), '_all', "and nobody else's");

# Weights of models follow the days of the input, which are long ago by the system's clock.
cmp_ok(sql('SELECT trading.weigh_models()'), '>', 0, 'models are weighed by the days of the input');
is(sql(q{
	SELECT count(*) > 2, count(*) FILTER (WHERE w.votes = q.votes AND abs(w.accuracy - q.accuracy) < 1e-12) = count(*)
	  FROM trading.model_weights AS w
	  FULL JOIN (SELECT company_id, model_id, symbol, count(correct) AS votes, avg(correct::integer)::float8 AS accuracy
		       FROM judged WHERE model_id <> '' GROUP BY 1, 2, 3 HAVING count(correct) >= 30) AS q USING (company_id, model_id, symbol)
	 WHERE w.symbol <> '*' OR w.symbol IS NULL}), 't|t', 'as often as they were right');

# What confidence 0.8 meant last month is one query.
like(sql(q{SELECT votes, hit_rate FROM trading.model_reliability WHERE company_id = 'acme' AND model_id = 'm' AND period = 'month' AND starts_on = '2025-03-01' AND low = 0.8}),
	qr/^\d+\|/, 'what a confidence meant in a month is one query');

# Signals of the lanes are counted once, rolled up or not.
my $issued = q{SELECT sum(signals) FROM trading.performance WHERE level = 'company' AND period = 'all'};
sql(q{UPDATE trading.strategies SET allowed_regimes = trading.enum_labels('regime'), min_confidence_threshold = 0.6, min_consensus_score = 0, max_prediction_age_ms = 86400000});
predict($nats, '--bars', 700, '--seed', 6, '--start', '2025-03-10T00:00:00Z', '--epoch', 9000000000000000, 'GBPUSD');
wait_for_input($node, $nats, 200);
my $signals = sql("SELECT count(*) FROM trading.signals WHERE outcome = 'SIGNAL'");
cmp_ok($signals, '>', 0, 'there are signals');
is(sql($issued), $signals, 'signals are counted before they are rolled up');
sql('SELECT trading.roll_up()') for 1 .. 2;
is(sql($issued), $signals, 'and after');
is(sql(q{SELECT sum(signals) FROM trading.performance_signals WHERE level = 'strategy' AND grain = 'month'}), $signals, 'from the rollups');

$node->stop;
$nats->stop;
done_testing();
