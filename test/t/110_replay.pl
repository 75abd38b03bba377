# Replay of a live run gives its decisions to the bit, whatever was changed while it ran.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;
use TradingEngineReplay;
use TradingEngineRun;

my $shared = shared_folder();
my $file = defined $shared ? "$shared/data/gbpusd_m1_2012-02.csv.gz" : undef;
my $real = defined $file && -e $file;
my @input = $real ? ('--file', $file, 'GBPUSD') : ('--start', '2012-02-01T00:00:00Z', '--bars', 4000, '--seed', 2, 'GBPUSD');
note($real ? 'real bars: GBPUSD, February 2012' : 'the real bars are not here (TE_SHARED): 4,000 made-up ones instead');

my $nats = TradingEngineNats->new('replay')->start;
my $node = engine('replay', nats => $nats, lanes => 2, conf => {
	'trading_engine.clock' => 'input',
	'trading_engine.restart_delay' => '100ms',
	'restart_after_crash' => 'on' });
trade($node);

sub change { my ($sql) = @_; return $node->safe_psql('postgres', "BEGIN;\n$sql;\nCOMMIT;"); }

#----------------------------------------------------------------------
# A month, undisturbed but for changes now and then
#----------------------------------------------------------------------

my $run = start_prediction($nats, @input);
# These come somewhere in the middle, wherever the lanes are by then.
my @on_the_way = (
	q{UPDATE trading.strategies SET min_confidence_threshold = 0.82 WHERE (company_id, user_id, strategy_id) = ('desk', 'carl', 's1')},
	q{UPDATE trading.accounts SET equity = 31000 WHERE (company_id, user_id) = ('fund', 'eve')},
	q{UPDATE trading.companies SET tier = 'PRO' WHERE company_id = 'small'},
	q{UPDATE trading.strategies SET risk_percent = 0.7, stop_loss_pips = 17 WHERE (company_id, user_id, strategy_id) = ('fund', 'eve', 's1')},
);
for my $sql (@on_the_way)
{
	change($sql);
	select undef, undef, undef, 0.4;
}
my $published = finish_prediction($run);
cmp_ok($published, '>', $real ? 30000 : 3000, 'there are predictions');
wait_for_input($node, $nats, 300);
cmp_ok(value($node, 'SELECT count(*) FROM trading.signals'), '>', $real ? 1000 : 300, 'and signals');
replay_is_live($node, 'month');

#----------------------------------------------------------------------
# Something is changed before every message
#----------------------------------------------------------------------

change(q{UPDATE trading.strategies SET allowed_regimes = trading.enum_labels('regime'), max_prediction_age_ms = 3600000});
my $clock = value($node, 'SELECT (extract(epoch FROM max(lane_clock)) * 1e6)::bigint FROM trading.batches');

# Predictions of several symbols, of which the second and the third can't be used; each moves the
# lane's clock, so that the next one is decided later.
sub predictions
{
	my ($n) = @_;
	my $at = $clock + $n * 60_000_000;
	return [
		$nats->prediction(symbol => 'GBPUSD', current_price => 1.58, predicted_price => 1.59, generated_at => $at + 1_000_000),
		$nats->prediction(symbol => 'XXXYYY', generated_at => $at + 9_000_000),
		$nats->prediction(confidence => 1.5, generated_at => $at + 9_000_000),
		$nats->prediction(direction => 'SELL', predicted_price => 1.094, generated_at => $at + 2_000_000,
			models => [ { model_id => 'm1', direction => 'SELL', confidence => 0.8 }, { model_id => 'm2', direction => 'BUY', confidence => 0.4 } ]),
		$nats->prediction(direction => 'HOLD', generated_at => $at + 3_000_000),
		$nats->prediction(symbol => 'USDJPY', current_price => 80.1, predicted_price => 80.9, confidence => 0.7 + ($n % 30) / 100,
			generated_at => $at + 4_000_000, valid_until => $at + 3_600_000_000),
	];
}

my $number = 0;

sub publish_to
{
	my ($company, $user) = @_;
	$number++;
	$nats->publish($nats->batch(company => $company, user => $user,
		generated_at => $clock + $number * 60_000_000, predictions => predictions($number)));
	return;
}

change(join ";\n", map { "INSERT INTO trading.producers (company_id, producer_id) VALUES ('$_', 'model')" } qw(small desk fund bank));
my $gus = q{(company_id, user_id, strategy_id) = ('bank', 'gus', 's1')};
my $fred = q{(company_id, user_id, strategy_id) = ('fund', 'fred', 's1')};
my @changes = (
	# a strategy: parameters, and NULL for "not set"
	qq{UPDATE trading.strategies SET min_confidence_threshold = 0.7, position_sizing = 'KELLY' WHERE $gus},
	qq{UPDATE trading.strategies SET min_confidence_threshold = NULL WHERE $gus},
	qq{UPDATE trading.strategies SET available_instruments = '{GBPUSD,USDJPY}' WHERE $gus},
	# numbers that no short decimal has
	qq{UPDATE trading.strategies SET risk_percent = 1.0 / 3, strength_weights = '{0.1,0.2,0.30000000000000004,0,0.1}' WHERE $fred},
	# custom rules: one that depends on the market, one that fails
	qq{UPDATE trading.strategies SET custom_rule = '\$.market.spread_pips < 2 || \$.prediction.symbol == "GBPUSD"' WHERE $fred},
	qq{UPDATE trading.strategies SET custom_rule = '\$.nothing / 0 > 1' WHERE $fred},
	qq{UPDATE trading.strategies SET custom_rule = NULL WHERE $fred},
	# gone, and made again under the same name
	qq{DELETE FROM trading.strategies WHERE $fred},
	q{INSERT INTO trading.strategies (company_id, user_id, strategy_id, min_confidence_threshold, allowed_regimes, max_prediction_age_ms)
		VALUES ('fund', 'fred', 's1', 0.65, trading.enum_labels('regime'), 3600000)},
	# the company's own row
	q{INSERT INTO trading.strategies (company_id, user_id, strategy_id, max_position_size, min_consensus_score) VALUES ('fund', '_all', '_all', 0.3, 0.55)},
	q{UPDATE trading.strategies SET max_position_size = 0.2, leg_spacing_pips = 3 WHERE (company_id, user_id) = ('fund', '_all')},
	q{DELETE FROM trading.strategies WHERE (company_id, user_id) = ('fund', '_all')},
	# what was measured of a strategy
	qq{UPDATE trading.strategies SET hit_rate = 0.61, position_size_multiplier = 0.8, position_sizing = 'KELLY' WHERE $fred},
	qq{UPDATE trading.strategies SET hit_rate = 0.62, position_sizing = NULL WHERE $fred},
	qq{UPDATE trading.strategies SET hit_rate = NULL, position_size_multiplier = 0.64 WHERE $fred},
	# models whose weight follows their accuracy, for whom follows it
	qq{UPDATE trading.strategies SET follow_model_accuracy = true WHERE $gus OR $fred},
	q{INSERT INTO trading.model_weights (company_id, model_id, factor) VALUES ('_all', 'm1', 0.5), ('_all', 'm2', 1.1), ('bank', 'm2', 1.5)},
	q{INSERT INTO trading.model_weights (company_id, model_id, symbol, factor) VALUES ('_all', 'm1', 'EURUSD', 1.25), ('fund', 'm1', 'GBPUSD', 0.8)},
	q{UPDATE trading.model_weights SET factor = 0.75 WHERE model_id = 'm2'},
	q{DELETE FROM trading.model_weights WHERE symbol = 'EURUSD'},
	qq{UPDATE trading.strategies SET follow_model_accuracy = false WHERE $fred},
	# accounts
	q{UPDATE trading.accounts SET equity = equity / 3, open_positions = 2 WHERE company_id = 'fund'},
	q{UPDATE trading.accounts SET position_size_multiplier = 0.9 WHERE company_id = 'desk'},
	q{UPDATE trading.accounts SET currency = 'EUR', conversion_rate = 0.77 WHERE (company_id, user_id) = ('bank', 'gus')},
	# rates: none, one from the prices of the lane itself, one from the table
	q{UPDATE trading.accounts SET currency = 'NZD', conversion_rate = NULL WHERE (company_id, user_id) = ('bank', 'gus')},
	q{UPDATE trading.accounts SET currency = 'EUR', conversion_rate = NULL WHERE (company_id, user_id) = ('bank', 'gus')},
	q{UPDATE trading.accounts SET currency = 'SEK', conversion_rate = NULL WHERE (company_id, user_id) = ('fund', 'eve')},
	q{INSERT INTO trading.rates (base_currency, quote_currency, rate, as_of, max_age) VALUES ('USD', 'SEK', 6.6, '2012-02-01Z', '1000 days')},
	# instruments
	q{UPDATE trading.instruments SET min_stop_pips = 25 WHERE symbol = 'GBPUSD'},
	q{UPDATE trading.instruments SET lot_max = 0.15 WHERE symbol = 'USDJPY'},
	# tiers: of a company, and a tier itself
	q{UPDATE trading.companies SET tier = 'FREE' WHERE company_id = 'desk'},
	q{UPDATE trading.companies SET tier = 'ENTERPRISE' WHERE company_id = 'desk'},
	q{UPDATE trading.tiers SET min_confidence_threshold = 0.75, max_position_count = 1 WHERE tier = 'ENTERPRISE'},
	q{UPDATE trading.tiers SET min_confidence_threshold = 0.6, max_position_count = 50 WHERE tier = 'ENTERPRISE'},
	# users and companies that come and go
	q{INSERT INTO trading.companies (company_id, tier) VALUES ('late', 'PRO'); INSERT INTO trading.users VALUES ('late', 'lea');
		INSERT INTO trading.accounts (company_id, user_id, currency, equity) VALUES ('late', 'lea', 'USD', 500);
		INSERT INTO trading.strategies (company_id, user_id, strategy_id, allowed_regimes, max_prediction_age_ms)
		VALUES ('late', 'lea', 'x', trading.enum_labels('regime'), 3600000)},
	q{DELETE FROM trading.strategies WHERE company_id = 'late'; DELETE FROM trading.accounts WHERE company_id = 'late';
		DELETE FROM trading.companies WHERE company_id = 'late'},
);
my @receivers = ([ '_all', '_all' ], [ 'fund', 'fred' ], [ 'bank', '_all' ], [ '_all', '_all' ], [ 'desk', 'carl' ]);
my $rolled_back = 0;
for my $sql (@changes)
{
	# What is rolled back is never seen.
	$node->safe_psql('postgres', 'BEGIN; UPDATE trading.strategies SET min_confidence_threshold = 0.99; ROLLBACK') if $rolled_back++ % 7 == 0;
	my ($status, undef, $err) = $node->psql('postgres', "BEGIN;\n$sql;\nCOMMIT;", on_error_stop => 1);
	is($status, 0, "changed: " . substr($sql, 0, 60)) or diag($err);
	publish_to(@{ $receivers[ $number % @receivers ] });
	publish_to('_all', '_all');
	wait_for_input($node, $nats);
}
cmp_ok(value($node, 'SELECT count(DISTINCT change_snapshot::text) FROM trading.batches'), '>=', scalar(@changes),
	'batches have seen many states of the strategies');
cmp_ok(value($node, 'SELECT count(*) FROM trading.dead_letters WHERE prediction_index IS NOT NULL'), '>', 0,
	'some predictions were refused');
cmp_ok(value($node, q{SELECT count(*) FROM trading.prediction_batches WHERE company_id <> '_all'}), '>', 0,
	'some messages were for one company');
cmp_ok(value($node, q{SELECT count(*) FROM trading.signals AS s JOIN trading.prediction_batches AS p USING (lane, batch_no, position)
	WHERE s.decided_at > p.decided_at}), '>', 0, 'within a message the clock has moved on');
cmp_ok(value($node, q{SELECT count(DISTINCT trading.decision_inputs(inputs) #>> '{account,conversion_rate}') FROM trading.signals
	WHERE trading.decision_inputs(inputs) #>> '{account,currency}' IN ('EUR', 'SEK')}), '>', 1, 'rates were looked up');
is(value($node, q{SELECT string_agg(DISTINCT trading.decision_inputs(inputs) #>> '{account,hit_rate}', ' ') FROM trading.signals}), '0.61 0.62',
	'a strategy decides with the hit rate that was measured of it');
cmp_ok(value($node, q{SELECT count(*) FROM trading.signals WHERE (trading.decision_inputs(inputs) #>> '{account,position_size_multiplier}')::float8 = 0.64}),
	'>', 0, "and with its own size");
like(value($node, q{SELECT string_agg(DISTINCT m ->> 'weight', ' ' ORDER BY m ->> 'weight') FROM trading.signals AS s,
	jsonb_array_elements(trading.decision_inputs(s.inputs) #> '{prediction,models}') AS m WHERE m ->> 'weight' IS NOT NULL}),
	qr/^(?=.*\b0\.5\b)(?=.*\b0\.75\b)(?=.*\b1\.1\b)(?=.*\b1\.25\b)/, 'who follows the accuracy of models decides with their weights');
replay_is_live($node, 'changes');

#----------------------------------------------------------------------
# Restarts, and another number of lanes
#----------------------------------------------------------------------

kill_worker($node, 0);
wait_for_lanes($node);
publish_to('_all', '_all');
wait_for_input($node, $nats);
change(qq{UPDATE trading.strategies SET min_confidence_threshold = 0.66 WHERE $gus});
publish_to('bank', 'gus');
wait_for_input($node, $nats);
wait_for_output($node, $nats);
$node->safe_psql('postgres', 'SELECT trading.set_lanes(3)');
wait_for_lanes($node);
publish_to(@$_) for @receivers;
wait_for_input($node, $nats);
is(value($node, 'SELECT count(DISTINCT lane_count) FROM trading.batches'), '2', 'the number of lanes has changed');
replay_is_live($node, 'lanes');
my $first = value($node, 'SELECT percentile_disc(0.4) WITHIN GROUP (ORDER BY decided_at) FROM trading.prediction_batches');
my $last = value($node, 'SELECT max(decided_at) FROM trading.prediction_batches');
my $range = sub { my ($condition) = @_;
	return "EXISTS (SELECT FROM trading.prediction_batches AS p WHERE (p.lane, p.batch_no, p.position) = (s.lane, s.batch_no, s.position) AND $condition)"; };
is(differences($node, $range->("p.decided_at >= '$first' AND p.decided_at < '$last'"), from_time => "'$first'", to_time => "'$last'"),
	'0|0', 'a range takes its begin and leaves its end out');
is(differences($node, 'false', from_time => "'$first'", to_time => "'$first'"), '0|0', 'an empty range is empty');

#----------------------------------------------------------------------
# Parts of it
#----------------------------------------------------------------------

is(differences($node, q{company_id = 'fund'}, company_id => q{'fund'}), '0|0', 'one company');
is(differences($node, q{(company_id, user_id) = ('fund', 'eve')}, company_id => q{'fund'}, user_id => q{'eve'}), '0|0', 'one user');
is(differences($node, q{(company_id, user_id, strategy_id) = ('fund', 'eve', 's1')},
	company_id => q{'fund'}, user_id => q{'eve'}, strategy_id => q{'s1'}), '0|0', 'one strategy');
is(differences($node, q{company_id = 'late'}, company_id => q{'late'}), '0|0', 'a company that is gone');
is(differences($node, q{symbol = 'USDJPY'}, symbol => q{'USDJPY'}), '0|0', 'one symbol');
is(differences($node, q{outcome = 'HOLD'}, outcomes => q{'{HOLD}'}), '0|0', 'one outcome');

#----------------------------------------------------------------------
# As it would be
#----------------------------------------------------------------------

my $day = q{from_time => '2012-02-01Z', to_time => '2100-01-01Z'};
is(value($node, <<"SQL"), 't|0|0', 'an uncommitted UPDATE is replayed like the same changes given as an argument');
BEGIN;
CREATE TEMP TABLE given ON COMMIT DROP AS SELECT * FROM trading.replay($day, strategies => 'current', user_id => 'eve', workers => 2,
	changes => '{"min_confidence_threshold": 0.9, "stop_loss_pips": 30, "take_profit_mode": null}', with_inputs => true);
UPDATE trading.strategies SET min_confidence_threshold = 0.9, stop_loss_pips = 30, take_profit_mode = NULL WHERE user_id = 'eve';
CREATE TEMP TABLE updated ON COMMIT DROP AS SELECT * FROM trading.replay($day, strategies => 'current', user_id => 'eve', workers => 2, with_inputs => true);
UPDATE given SET strategy_version = 0;
UPDATE updated SET strategy_version = 0;
SELECT (SELECT count(*) > 100 FROM given), (SELECT count(*) FROM (TABLE given EXCEPT ALL TABLE updated) AS x),
       (SELECT count(*) FROM (TABLE updated EXCEPT ALL TABLE given) AS x);
SQL
is(value($node, <<"SQL"), 't|0', 'what a threshold changes is what the inputs explain');
WITH before AS MATERIALIZED (SELECT r.*, trading.decision_inputs(r.inputs) AS i FROM trading.replay($day, user_id => 'eve', outcomes => '{SIGNAL}', with_inputs => true) AS r),
     after AS MATERIALIZED (SELECT r.signal_id FROM trading.replay($day, user_id => 'eve', outcomes => '{SIGNAL}', changes => '{"min_confidence_threshold": 0.9}') AS r)
SELECT count(*) FILTER (WHERE a.signal_id IS NULL) > 0,
       -- lost exactly those below the threshold
       count(*) FILTER (WHERE (a.signal_id IS NULL) IS DISTINCT FROM ((b.i #>> '{prediction,confidence}')::float8 < 0.9 - 1e-9))
  FROM before AS b LEFT JOIN after AS a USING (signal_id)
SQL

$node->stop;
$nats->stop;
done_testing();
