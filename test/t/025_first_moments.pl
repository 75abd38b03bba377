# What is committed while a lane starts is not overlooked, wherever between its first snapshot and
# its listening for changes the commit falls.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;

my $node = engine('first', lanes => 1, conf => { 'trading_engine.restart_delay' => "'100ms'", 'trading_engine.restart_delay_max' => "'100ms'" });
company($node, 'acme');

# One strategy more in each round, committed so many milliseconds after the lane's worker was started anew.
my $strategies = 1;
for my $delay (0, 2, 4, 6, 8, 10, 12, 15, 20, 25, 30, 40)
{
	$node->safe_psql('postgres', qq{
		SELECT pg_terminate_backend(pid) FROM trading.stat_workers;
		DO \$\$
		BEGIN
			INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('acme', 'user', 's$delay');
			FOR n IN 1 .. 10000 LOOP
				EXIT WHEN (SELECT state = 'starting' FROM trading.stat_workers);
				PERFORM pg_sleep(0.001);
			END LOOP;
			PERFORM pg_sleep($delay / 1000.0);
		END
		\$\$});
	$strategies++;
	wait_for($node, 'SELECT state, strategies FROM trading.stat_workers', "running|$strategies",
		"a strategy committed $delay ms after the start is seen");
}

$node->stop;
done_testing();
