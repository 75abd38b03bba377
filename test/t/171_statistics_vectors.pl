# The aggregates of doc/statistics.md against other projects' published numbers, each under its own
# definition; where ours differs, the test says how and takes theirs from ours.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;

my $shared = shared_folder();
plan skip_all => 'no external vectors here (TE_SHARED)' unless defined $shared && -d "$shared/vectors";

my $node = engine('vectors', preload => 0, repeats => 0, sessions => 1);
$node->safe_psql('postgres', q{
	CREATE TABLE vectors (name text, vector jsonb);
	-- Equal, or as near as a double is to a printed number.
	CREATE FUNCTION near(a float8, b float8) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT abs(a - b) <= 1e-12 * (1 + abs(b))';
});

# The named file, in the table; false (and the tests skipped) where it isn't there.
sub vectors
{
	my ($name) = @_;
	my $file = "$shared/vectors/$name.json";
	if (!-e $file)
	{
		SKIP: { skip "no $name.json", 1; }
		return 0;
	}
	my $text = slurp_file($file);
	$node->safe_psql('postgres', "INSERT INTO vectors VALUES ('$name', \$json\$$text\$json\$)");
	return 1;
}

# What a query of vectors says: "cases | what differs".
sub agrees
{
	my ($cases, $what, $query) = @_;
	is($node->safe_psql('postgres', $query), "$cases|", $what);
	return;
}

# Lean: per trade, not annualised; 0 where there is too little data, and 10 for a profit factor
# without losses.  Its Sortino ratio divides by the deviation of the losing trades about their own
# mean, its drawdown takes trades one after the other, even if they close together.
if (vectors('lean_trade_statistics'))
{
	agrees(6, 'Lean\'s trade statistics', q{
		WITH cases AS (SELECT c ->> 'name' AS name, c -> 'trades' AS trades, c -> 'expected' AS want FROM vectors, jsonb_array_elements(vector -> 'cases') AS c WHERE vectors.name = 'lean_trade_statistics'),
		trades AS (SELECT c.name, t.n, (t.trade ->> 'ProfitLoss')::float8 AS profit FROM cases AS c, jsonb_array_elements(c.trades) WITH ORDINALITY AS t (trade, n)),
		ours AS (
			SELECT c.name, c.want, count(t.profit) AS trades, count(*) FILTER (WHERE t.profit < 0) AS losses, trading.win_rate(t.profit) AS win_rate, trading.profit_factor(t.profit) AS profit_factor,
			       trading.payoff_ratio(t.profit) AS payoff_ratio, trading.expectancy(t.profit) AS expectancy, trading.sharpe_ratio(t.profit) AS sharpe,
			       trading.expectancy(t.profit) / NULLIF(stddev_samp(t.profit) FILTER (WHERE t.profit < 0), 0) AS lean_sortino,
			       trading.max_drawdown_amount(t.profit, to_timestamp(t.n), 1e6 ORDER BY t.n) AS fall, trading.losing_streak(t.profit ORDER BY t.n) AS streak, sum(t.profit) AS profit
			  FROM cases AS c LEFT JOIN trades AS t ON t.name = c.name GROUP BY c.name, c.want),
		figures AS (
			SELECT o.name, o.trades, f.* FROM ours AS o
			 CROSS JOIN LATERAL (VALUES
				('WinRate', o.win_rate, 0), ('AverageProfitLoss', o.expectancy, CASE o.trades WHEN 1 THEN o.profit ELSE 0 END),
				('ProfitFactor', o.profit_factor, CASE WHEN o.trades > 0 THEN 10 ELSE 0 END), ('ProfitLossRatio', o.payoff_ratio, 0), ('SharpeRatio', o.sharpe, 0), ('SortinoRatio', o.lean_sortino, 0),
				('MaximumClosedTradeDrawdown', -o.fall, 0), ('MaxConsecutiveLosingTrades', o.streak, o.losses), ('ProfitToMaxDrawdownRatio', o.profit / NULLIF(o.fall, 0), NULL)) AS v (key, got, without)
			 CROSS JOIN LATERAL (SELECT v.key, COALESCE(v.got, v.without) AS got, (o.want ->> v.key)::float8 AS want) AS f)
		SELECT (SELECT count(*) FROM ours), string_agg(concat_ws(' ', f.name, f.key, f.got, 'is not', f.want), E'\n') FILTER (WHERE f.got IS NOT NULL AND near(f.got, f.want) IS NOT TRUE) FROM figures AS f});
	cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM vectors, jsonb_array_elements(vector -> 'cases') AS c, jsonb_array_elements(c -> 'trades')}), '>=', 15, 'over enough trades');
}

# Lean: days from a peak until it is reached again, of daily equity; 0 where it never is.
if (vectors('lean_drawdown_recovery'))
{
	agrees(13, 'Lean\'s recovery from drawdowns', q{
		WITH cases AS (SELECT c ->> 'name' AS name, c -> 'daily_equity' AS equity, (c ->> 'expected_recovery_days')::float8 AS want FROM vectors, jsonb_array_elements(vector -> 'cases') AS c WHERE vectors.name = 'lean_drawdown_recovery'),
		days AS (SELECT c.name, d.n, d.equity::float8 - lag(d.equity::float8, 1, d.equity::float8) OVER (PARTITION BY c.name ORDER BY d.n) AS profit, (c.equity ->> 0)::float8 AS starts
			FROM cases AS c, jsonb_array_elements_text(c.equity) WITH ORDINALITY AS d (equity, n)),
		ours AS (SELECT c.name, c.want, COALESCE(extract(epoch FROM (SELECT trading.recovery_time(d.profit, timestamptz '2026-01-01Z' + d.n * interval '24 hours', d.starts ORDER BY d.n) FROM days AS d WHERE d.name = c.name))::float8 / 86400, 0) AS got FROM cases AS c)
		SELECT count(*), string_agg(concat_ws(' ', o.name, o.got, 'is not', o.want), E'\n') FILTER (WHERE o.got <> o.want) FROM ours AS o});
	# The same by pieces, which the rollups are made of: one a day, joined.
	agrees(13, 'and so by joined pieces', q{
		WITH cases AS (SELECT c ->> 'name' AS name, c -> 'daily_equity' AS equity, (c ->> 'expected_recovery_days')::float8 AS want FROM vectors, jsonb_array_elements(vector -> 'cases') AS c WHERE vectors.name = 'lean_drawdown_recovery'),
		days AS (SELECT c.name, d.n, trading.performance_piece(timestamptz '2026-01-01Z' + d.n * interval '24 hours', d.equity::float8 - COALESCE((c.equity ->> (d.n - 2)::integer)::float8, (c.equity ->> 0)::float8), NULL, NULL, NULL, NULL, NULL) AS piece
			FROM cases AS c, jsonb_array_elements_text(c.equity) WITH ORDINALITY AS d (equity, n) GROUP BY c.name, c.equity, d.n, d.equity),
		ours AS (SELECT c.name, c.want, COALESCE(extract(epoch FROM (SELECT (trading.performance_figures(trading.performance_joined(d.piece ORDER BY d.n), 100)).recovery_time FROM days AS d WHERE d.name = c.name))::float8 / 86400, 0) AS got FROM cases AS c)
		SELECT count(*), string_agg(concat_ws(' ', o.name, o.got, 'is not', o.want), E'\n') FILTER (WHERE o.got <> o.want) FROM ours AS o});
}

# Lean's limit of a portfolio's drawdown: broken beyond it, not at it.
if (vectors('lean_max_drawdown_portfolio'))
{
	agrees(4, 'Lean\'s limit of drawdown', q{
		WITH cases AS (SELECT c ->> 'pnl' AS pnl, (c ->> 'liquidate')::boolean AS want, (v.vector ->> 'limit')::float8 AS most,
				(SELECT trading.max_drawdown(p, to_timestamp(n), (v.vector ->> 'start_value')::float8 ORDER BY n) FROM (VALUES (1, 0), (2, (c ->> 'pnl')::float8)) AS t (n, p)) AS fall
			FROM vectors AS v, jsonb_array_elements(v.vector -> 'cases') AS c WHERE v.name = 'lean_max_drawdown_portfolio')
		SELECT count(*), string_agg(concat_ws(' ', c.pnl, c.fall), E'\n') FILTER (WHERE (c.fall > c.most + 1e-9) <> c.want) FROM cases AS c});
}

# scikit-learn: mean of squared differences.  Its bins take the upper edge, ours the lower one; the
# vectors have no probability on an inner edge.
if (vectors('sklearn_brier_calibration'))
{
	agrees(5, 'scikit-learn\'s Brier score', q{
		WITH cases AS (SELECT c.n, c.v, COALESCE(substring(c.v ->> 'expected' FROM '= ([0-9.]+[0-9])')::float8, (c.v ->> 'expected')::float8) AS want,
				CASE jsonb_typeof(c.v -> 'expected') WHEN 'string' THEN 1e-8 ELSE 1e-12 END AS near
			FROM vectors, jsonb_array_elements(vector -> 'cases') WITH ORDINALITY AS c (v, n) WHERE vectors.name = 'sklearn_brier_calibration' AND c.v ->> 'stat' = 'brier'),
		ours AS (SELECT c.*, (SELECT trading.brier_score(p::float8, (c.v -> 'y' ->> (i - 1)::integer) = '1') FROM jsonb_array_elements_text(c.v -> 'p') WITH ORDINALITY AS p (p, i)) AS got FROM cases AS c)
		SELECT count(*), string_agg(concat_ws(' ', o.n, o.got, 'is not', o.want), E'\n') FILTER (WHERE (abs(o.got - o.want) <= o.near) IS NOT TRUE) FROM ours AS o});
	agrees(2, 'scikit-learn\'s reliability bins', q{
		WITH cases AS (SELECT c.n, c.v FROM vectors, jsonb_array_elements(vector -> 'cases') WITH ORDINALITY AS c (v, n) WHERE vectors.name = 'sklearn_brier_calibration' AND c.v ->> 'stat' = 'reliability_uniform'),
		ours AS (SELECT c.*, (SELECT trading.reliability(p::float8, (c.v -> 'y' ->> (i - 1)::integer) = '1', (c.v ->> 'bins')::integer) FROM jsonb_array_elements_text(c.v -> 'p') WITH ORDINALITY AS p (p, i)) AS got FROM cases AS c),
		bins AS (SELECT o.n, b.i, (b.bin ->> 'hit_rate')::float8 AS hit_rate, (b.bin ->> 'mean_confidence')::float8 AS confidence, (o.v -> 'frac_pos' ->> (b.i - 1)::integer)::float8 AS want_rate,
				(o.v -> 'mean_pred' ->> (b.i - 1)::integer)::float8 AS want_confidence
			FROM ours AS o, jsonb_array_elements(o.got) WITH ORDINALITY AS b (bin, i))
		SELECT (SELECT count(*) FROM ours AS o WHERE jsonb_array_length(o.got) = jsonb_array_length(o.v -> 'frac_pos')),
		       string_agg(concat_ws(' ', b.n, b.i, b.hit_rate, b.confidence), E'\n') FILTER (WHERE (near(b.hit_rate, b.want_rate) AND near(b.confidence, b.want_confidence)) IS NOT TRUE) FROM bins AS b});
	# A probability beyond 0..1 is an error there, too.
	my (undef, undef, $err) = $node->psql('postgres', 'SELECT trading.brier_score(1.1, true)');
	like($err, qr/confidence/, 'a confidence beyond 1 is an error that names it');
}

$node->stop;
done_testing();
