# Without shared_preload_libraries: what only computes works; what needs workers says what to set.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;

my $node = engine('bare', preload => 0, extension => 0);
$node->safe_psql('postgres', 'SET client_min_messages = error; CREATE EXTENSION trading_engine');
company($node, 'acme', users => ['ann']);

is(value($node, q{
	SELECT trading.decide(jsonb_build_object('prediction_id', 'p', 'symbol', 'EURUSD', 'direction', 'BUY', 'confidence', 0.9,
			'current_price', 1.1, 'predicted_price', 1.105, 'generated_at', now()),
		(SELECT to_jsonb(p) FROM (SELECT '{UNKNOWN}'::text[] AS allowed_regimes) AS p), '{}',
		to_jsonb(i) - '{asset_class, margin_rate}'::text[], '{"currency": "USD", "equity": 10000}', now()) ->> 'outcome'
	  FROM trading.instruments AS i WHERE i.symbol = 'EURUSD'}), 'SIGNAL', 'trading.decide decides');
is(value($node, q{SELECT trading.market_state(t, 1, 1.2, 0.9, 1.1) ->> 'bars' FROM generate_series(now(), now() + '1 hour', '5 minutes') AS t}),
	'13', 'trading.market_state adds up bars');
is(value($node, q{SELECT trading.lane_of('acme', 2)}), '0', 'trading.lane_of tells lanes');
is(value($node, q{SELECT count(*) > 50 FROM trading.strategy_parameters()}), 't', 'trading.strategy_parameters lists parameters');
is(value($node, q{SELECT count(*) FROM trading.effective_strategies}), '1', 'strategies can be made, and are merged');

my %needs = (
	'trading.submit' => q{SELECT trading.submit(jsonb_build_object('company_id', 'acme', 'user_id', '_all', 'batch_id', 'b', 'generated_at', now(),
		'predictions', jsonb_build_array(jsonb_build_object('prediction_id', 'p', 'symbol', 'EURUSD', 'direction', 'BUY',
			'confidence', 0.9, 'current_price', 1.1, 'predicted_price', 1.105))))},
	'trading.stat_reset' => 'SELECT trading.stat_reset()',
	map({ ("trading.$_" => "SELECT * FROM trading.$_") }
		split /\n/, value($node, q{SELECT relname FROM pg_class WHERE relnamespace = 'trading'::regnamespace AND relname LIKE 'stat\_%'})));
for my $what (sort keys %needs)
{
	my ($status, undef, $err) = $node->psql('postgres', $needs{$what});
	isnt($status, 0, "$what needs the library preloaded");
	like($err, qr/shared_preload_libraries/, "$what says what to set");
}
is(value($node, 'SELECT count(*) FROM trading.inbox'), '0', 'nothing waits for workers that are not there');
$node->stop;

done_testing();
