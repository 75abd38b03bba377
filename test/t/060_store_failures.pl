# What can't be stored, and what can't be read: neighbours are kept, nothing is decided blindly.
use strict;
use warnings;

use Test::More;
use TradingEngine;

# A batch of one prediction as trading.submit() takes it.
sub submission
{
	my ($symbol, $id) = @_;
	return "SELECT trading.submit(jsonb_build_object('company_id', 'acme', 'user_id', 'ann', 'batch_id', '$id',"
	  . " 'generated_at', now(), 'predictions', jsonb_build_array(jsonb_build_object("
	  . " 'prediction_id', '$id', 'symbol', '$symbol', 'current_price', 1.1, 'predicted_price', 1.105,"
	  . " 'direction', 'BUY', 'confidence', 0.9))));\n";
}

my $node = engine('main', lanes => 1);
company($node, 'acme', users => ['ann'], strategy => { allowed_regimes => q{'{UNKNOWN}'}, max_prediction_age_ms => 600000 });
my ($worker) = worker_pids($node);

# --- one message that the database refuses ------------------------------------------

$node->safe_psql('postgres', "ALTER TABLE trading.signals ADD CONSTRAINT no_pound CHECK (symbol <> 'GBPUSD')");
$node->safe_psql('postgres',
	'BEGIN;' . submission('EURUSD', 'before') . submission('GBPUSD', 'refused') . submission('EURUSD', 'after') . 'COMMIT');
wait_for($node, 'SELECT string_agg(prediction_id, chr(32) ORDER BY batch_no) FROM trading.signals', 'before after',
	'the neighbours of a message that cannot be stored are decided, in order');
wait_for($node, "SELECT reason, detail LIKE '%no_pound%', company_id, user_id FROM trading.dead_letters",
	'STORE_FAILED|t|acme|ann', 'that message alone becomes a dead letter, which says why');
$node->safe_psql('postgres', submission('EURUSD', 'later'));
wait_for($node, "SELECT count(*) FROM trading.signals WHERE prediction_id = 'later'", '1', 'the lane goes on');
wait_for($node, 'SELECT state, reason FROM trading.stat_workers', 'running|', 'and is shown to be well');

# --- a database that refuses everything -----------------------------------------------

my $health = q{SELECT status, detail LIKE '%permission denied%' FROM trading.health() WHERE "check" = 'lane 0'};
$node->safe_psql('postgres', 'REVOKE USAGE ON SCHEMA trading FROM trading_worker');
$node->safe_psql('postgres', submission('EURUSD', 'unread'));
wait_for($node, $health, 'WARN|t', 'a lane that may not read what has changed says so');
$node->safe_psql('postgres', 'GRANT USAGE ON SCHEMA trading TO trading_worker');
wait_for($node, "SELECT count(*) FROM trading.signals WHERE prediction_id = 'unread'", '1', 'and goes on when it may');
wait_for($node, $health, 'OK|f', 'as it says');
is((worker_pids($node))[0], $worker, 'its worker has seen to all that without a restart');

$node->stop;
done_testing();
