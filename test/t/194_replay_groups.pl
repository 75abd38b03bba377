# A batch that makes more signals than are assessed together: what the risk service turns down of
# the first group counts for the rest of that group, and no longer for the next; and so in a replay.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use Test::More;
use TradingEngine;
use TradingEngineNats;
use TradingEngineReplay;
use TradingEngineRisk;

my $nats = TradingEngineNats->new('groups')->start;
my $node = engine('groups', nats => $nats, lanes => 1, repeats => 0, conf => { 'trading_engine.clock' => 'input',
	'trading_engine.risk_service' => 'on', 'trading_engine.risk_deadline' => '1s', 'trading_engine.risk_breaker_failures' => 0, 'trading_engine.risk_breaker_calls' => 0 });
my %strategy = (allowed_regimes => "trading.enum_labels('regime')", position_sizing => "'FIXED_LOT'", max_position_size => 100,
	stop_loss_mode => "'PIPS'", stop_loss_pips => 20, duplicate_window_seconds => 300, max_position_count => 3, signal_ttl_seconds => 3600);
company($node, 'acme', tier => 'ENTERPRISE', users => ['ann'], strategy => { %strategy, min_confidence_threshold => 0.6, fixed_lot => 50 });

# Strategies decide by their thresholds: ann's first one, which risks too much, before the crowd,
# which is more than a group; then her others.
my $names = join ', ', sort keys %strategy;
my $values = join ', ', map { $strategy{$_} } sort keys %strategy;
$node->safe_psql('postgres', <<"SQL");
INSERT INTO trading.users (company_id, user_id) SELECT 'acme', 'u' || n FROM generate_series(1, 5200) AS n;
INSERT INTO trading.accounts (company_id, user_id, currency, equity) SELECT 'acme', 'u' || n, 'USD', 10000 FROM generate_series(1, 5200) AS n;
INSERT INTO trading.strategies (company_id, user_id, strategy_id, min_confidence_threshold, fixed_lot, $names)
SELECT 'acme', 'u' || n, 'main', 0.65, 0.1, $values FROM generate_series(1, 5200) AS n
 UNION ALL SELECT 'acme', 'ann', s, 0.7, 0.1, $values FROM unnest('{second,third}'::text[]) AS s;
SQL
wait_for($node, "SELECT strategies || ' ' || pending_changes FROM trading.stat_workers", '5203 0', 'all strategies are in the cache');
use_service($nats);

# Monday noon; two predictions of which the second says the same as the first.  A risk service that isn't given
# the processor may not answer five thousand questions in a second: then once more, when all of that has expired.
my $noon = 1767614400;
my $try = 0;
my $of_try;
do
{
	$try++;
	$of_try = "prediction_id IN ('p1', 'p2') AND generated_at = to_timestamp($noon)";
	$nats->publish($nats->batch(generated_at => $noon * 1_000_000,
		predictions => [ map { $nats->prediction(prediction_id => $_, confidence => 0.9) } qw(p1 p2) ]));
	wait_for($node, 'SELECT input_seq FROM trading.batches ORDER BY batch_no DESC LIMIT 1', $nats->messages('trading_input'), 'the predictions are read', 300);
	$noon += 86400;
} until (value($node, "SELECT count(*) FROM trading.signals WHERE $of_try AND risk_status <> 'ASSESSED'") == 0 || $try == 10);
stop_service();

is(value($node, "SELECT count(DISTINCT batch_no), count(*) FROM trading.signals WHERE $of_try AND prediction_id = 'p1'"), '1|5203', 'a batch of more than one group');
is(value($node, qq{SELECT string_agg(strategy_id || ' ' || prediction_id || ' ' || outcome || ' ' || (ordinal / 5000), ', ' ORDER BY ordinal) FROM trading.signals WHERE user_id = 'ann' AND $of_try}),
	'main p1 RISK_REJECTED 0, second p1 SIGNAL 1, third p1 SIGNAL 1, main p2 RISK_REJECTED 1',
	'what was turned down is no longer there for the next group, and can be said again');
is(value($node, qq{SELECT string_agg(trading.decision_inputs(inputs) #>> '{account,open_positions}', ' ' ORDER BY ordinal) FROM trading.signals WHERE user_id = 'ann' AND $of_try}),
	'0 0 1 2', 'open positions as each of them saw them');
replay_is_live($node, 'two groups');
is(differences($node, q{user_id = 'ann'}, company_id => q{'acme'}, user_id => q{'ann'}), '0|0', 'of one user alone');
is(differences($node, q{(user_id, strategy_id) = ('ann', 'second')}, company_id => q{'acme'}, user_id => q{'ann'}, strategy_id => q{'second'}), '0|0', 'and of one strategy');

done_testing();
