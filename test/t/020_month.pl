# A month of bars through the whole way, from JetStream to tables and to JetStream:
# nothing is lost, nothing is there twice, and everything can be computed again.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;
use TradingEngineRun;

my $shared = shared_folder();
my $file = defined $shared ? "$shared/data/gbpusd_m1_2012-02.csv.gz" : undef;
my $real = defined $file && -e $file;
my @input = $real ? ('--file', $file, 'GBPUSD') : ('--bars', 4000, '--seed', 2, 'GBPUSD');
note($real
	? 'real bars: GBPUSD, February 2012'
	: 'the real bars are not here (TE_SHARED): 4,000 made-up ones instead');

my $nats = TradingEngineNats->new('month')->start;
my %conf = ('trading_engine.clock' => 'input');
my $node = engine('month', nats => $nats, lanes => 2, conf => \%conf, repeats => 0, sessions => 1);
trade($node);

my $published = predict($nats, @input);
wait_for_input($node, $nats, 300);
wait_for_output($node, $nats);

#----------------------------------------------------------------------
# Nothing is lost, nothing is there twice
#----------------------------------------------------------------------

cmp_ok($published, '>', $real ? 30000 : 3000, 'there are predictions');
is(value($node, 'SELECT lane, sum(predictions), count(DISTINCT producer_seq) FROM trading.prediction_batches GROUP BY 1 ORDER BY 1'),
	"0|$published|$published\n1|$published|$published",
	'every lane has recorded each prediction that was published once');
is(value($node, 'SELECT count(*) FROM trading.dead_letters'), '0', 'none of the input was turned away');
is(value($node, 'SELECT count(*) FROM trading.input_gaps'), '0', 'none of the input is missing');

my $signals = streams_are_the_table($node, $nats, 'month');
cmp_ok($signals, '>=', $real ? 1000 : 300, 'there are hundreds of signals at least');
is(value($node, 'SELECT count(*) - count(DISTINCT signal_id) FROM trading.signals'),
	'0', 'no two decisions have the same id');
is(value($node, 'SELECT count(*) FROM trading.signals WHERE NOT simulated'),
	'0', 'signals of the input\'s clock are marked as simulated');
is(value($node, "SELECT count(DISTINCT lane), count(DISTINCT company_id) >= 4, count(DISTINCT strategy_id || user_id) >= 7 "
		. "FROM trading.signals WHERE outcome = 'SIGNAL'"),
	'2|t|t', 'strategies of every tier and both lanes have signals');
is(value($node, "SELECT count(*) FROM trading.signals WHERE user_id = 'hal'"),
	'0', 'a disabled strategy has none');
is(value($node, q{SELECT count(*) FROM trading.signals AS s WHERE trading.lane_of(s.company_id, 2) <> s.lane}),
	'0', 'every company is traded by its own lane');
is(value($node, q{
	SELECT count(*) FROM (
		SELECT d.lane, d.outcome, d.count FROM trading.stat_decisions AS d WHERE d.outcome IN ('SIGNAL', 'HOLD')
		EXCEPT SELECT s.lane, s.outcome, count(*) FROM trading.signals AS s GROUP BY 1, 2) AS x}),
	'0', 'the counters of outcomes say how many rows there are');

#----------------------------------------------------------------------
# Everything can be computed again
#----------------------------------------------------------------------

is_recomputed($node, 'every stored decision comes out the same to the bit when it is computed again');

# As a window function the aggregate gives the state after each bar.
is(value($node, q{
	SELECT count(*) > 100, count(*) FILTER (WHERE
	         (c.regime, c.trend, c.volatility_ratio, c.bars)
	         IS DISTINCT FROM (m.state ->> 'regime', m.state ->> 'trend', (m.state ->> 'volatility_ratio')::float8,
			(m.state ->> 'bars')::bigint)
	         -- Before the 14th bar averages are not told.
	         OR CASE WHEN c.bars >= 14 THEN ROW(c.atr, c.ema_fast, c.ema_slow) END
	         IS DISTINCT FROM CASE WHEN m.state ? 'atr' THEN
			ROW((m.state ->> 'atr')::float8, (m.state ->> 'ema')::float8, (m.state ->> 'ema_slow')::float8) END)
	  FROM (SELECT b.lane, b.symbol, b.bar_start, trading.market_state(b.bar_start, b.open, b.high, b.low, b.close, interval '1 hour')
			OVER (PARTITION BY b.lane, b.symbol ORDER BY b.bar_start) AS state FROM trading.market_bars AS b) AS m
	  FULL JOIN trading.market_conditions AS c USING (lane, symbol, bar_start)}),
	't|0', 'the stored market state is that of the aggregate over the stored bars');
is(value($node, q{
	SELECT count(*) FROM (
		SELECT symbol, bar_start, open, high, low, close FROM trading.market_bars WHERE lane = 0
		EXCEPT SELECT symbol, bar_start, open, high, low, close FROM trading.market_bars WHERE lane = 1) AS x}),
	'0', 'both lanes have built the same bars');

SKIP:
{
	skip 'no real bars here', 1 unless $real;
	my $csv = PostgreSQL::Test::Utils::tempdir('bars') . '/bars.csv';
	IPC::Run::run([ 'gzip', '-dc', $file ], '>', $csv) or die "gzip failed";
	# Quotes are rounded to the tick on their way, so a mid price may be off by half of one.
	is(value($node, <<"SQL"), 't|0', 'the stored bars are those of the real prices');
CREATE TEMP TABLE minute (start timestamptz, bo float8, bh float8, bl float8, bc float8, ao float8, ah float8, al float8, ac float8);
\\copy minute FROM '$csv' WITH (FORMAT csv, HEADER)
SELECT count(*) > 5000, count(*) FILTER (WHERE b.bar_start IS NULL
         OR NOT (abs(b.close - r.close) <= 1e-5 AND b.high >= r.high - 1e-5 AND b.low <= r.low + 1e-5))
  FROM (SELECT date_bin('5 minutes', m.start, '2012-01-01Z') AS bar_start, max((m.bh + m.ah) / 2) AS high, min((m.bl + m.al) / 2) AS low,
               (array_agg((m.bc + m.ac) / 2 ORDER BY m.start DESC))[1] AS close
          FROM minute AS m GROUP BY 1 HAVING date_bin('5 minutes', max(m.start), '2012-01-01Z') < '2012-03-01Z') AS r
  LEFT JOIN trading.market_bars AS b ON b.lane = 0 AND b.symbol = 'GBPUSD' AND b.bar_start = r.bar_start;
SQL
}

#----------------------------------------------------------------------
# The same input gives the same output
#----------------------------------------------------------------------

# Contents of the messages of both streams, in order.
sub hashes
{
	return map { [ $nats->te_nats_ok('', 'stream-dump', "trading_output_$_") =~ /"sha256": *"(\w+)"/g ] } 0, 1;
}

my $first = results($node);
my @first = hashes();
$node->stop;
for my $lane (0, 1)
{
	my $answer = $nats->js_api("\$JS.API.STREAM.DELETE.trading_output_$lane");
	die "stream of lane $lane was not deleted" unless $answer->{success};
}

# Strategies are there before the first of the input is read.
$node = engine('again', nats => $nats, extension => 0, conf => \%conf);
$node->safe_psql('postgres', "BEGIN;\nCREATE EXTENSION trading_engine;\nSELECT trading.set_lanes(2);\n" . tenants() . 'COMMIT;');
wait_for_lanes($node);
wait_for_input($node, $nats, 300);
wait_for_output($node, $nats);
is_deeply(results($node), $first, 'the same input from the beginning gives the same rows to the bit');
is_deeply([ hashes() ], \@first, 'and the same messages in the same order');

#----------------------------------------------------------------------
# A committed UPDATE governs the next prediction
#----------------------------------------------------------------------

my $at = value($node, 'SELECT (extract(epoch FROM max(lane_clock)) * 1e6)::bigint + 3600000000 FROM trading.batches');
my @expected;
$node->safe_psql('postgres', "UPDATE trading.strategies SET allowed_regimes = trading.enum_labels('regime'), duplicate_window_seconds = 0, "
	. "max_position_count = NULL WHERE (company_id, user_id, strategy_id) = ('fund', 'eve', 's1')");
for my $round (1 .. 20)
{
	my $threshold = $round % 2 ? 0.95 : 0.5;
	$node->safe_psql('postgres', "UPDATE trading.strategies SET min_confidence_threshold = $threshold "
		. "WHERE (company_id, user_id, strategy_id) = ('fund', 'eve', 's1')");
	$nats->publish($nats->batch(generated_at => $at + $round * 1_000_000,
		predictions => [ $nats->prediction(prediction_id => "update-$round") ]));
	# A later update would govern it, too, if it came before the decision.
	wait_for_input($node, $nats);
	push @expected, sprintf '%d|%d', $round, $round + 2 if $threshold < 0.9;
}
is(value($node, q{SELECT substring(prediction_id FROM 8), strategy_version FROM trading.signals
	WHERE prediction_id LIKE 'update-%' AND (company_id, user_id, strategy_id) = ('fund', 'eve', 's1')
	ORDER BY substring(prediction_id FROM 8)::int}),
	join("\n", @expected), 'each of 20 updates governed the prediction published right after it');

$node->stop;
$nats->stop;
done_testing();
