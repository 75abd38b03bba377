# A lane that was adopted reads the inbox from where it was, whatever transaction ids the cluster
# had that it was copied from, and also when its worker ends before it has written a batch.
use strict;
use warnings;

use Test::More;
use TradingEngine;

sub submit
{
	my ($node, $id) = @_;
	$node->safe_psql('postgres',
		"SELECT trading.submit(jsonb_build_object('company_id', 'acme', 'user_id', 'ann', 'batch_id', '$id',"
		  . " 'generated_at', now(), 'predictions', jsonb_build_array(jsonb_build_object('prediction_id', '$id',"
		  . " 'symbol', 'EURUSD', 'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.9))))");
	return;
}

# End the lane's worker, and wait for what the next one says.
sub restart_worker
{
	my ($node, $state, $name) = @_;
	my ($pid) = worker_pids($node);
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for($node, "SELECT state FROM trading.stat_workers WHERE pid <> $pid", $state, $name);
}

my $node = engine('main', lanes => 1);
company($node, 'acme', users => ['ann'], strategy => { allowed_regimes => q{'{UNKNOWN}'} });
submit($node, 'original');
wait_for($node, 'SELECT count(*) FROM trading.signals', '1', 'the original decides');

# What a restored dump looks like: rows of another cluster, which had come much further.
$node->safe_psql('postgres', q{
	UPDATE trading.lanes SET system_identifier = 1;
	UPDATE trading.batches SET inbox_snapshot = '1000000000:1000000000:';
	UPDATE trading.inbox SET xid = '999999999'});
restart_worker($node, 'foreign', 'the copy is foreign');
is($node->safe_psql('postgres', 'SELECT trading.adopt()'), '1', 'it is adopted');
wait_for($node, 'SELECT state, adopt_requested FROM trading.stat_workers JOIN trading.lanes USING (lane)', 'running|f',
	'its worker begins a new epoch');
restart_worker($node, 'running', 'and ends before it has had anything to do');
submit($node, 'copy');
wait_for($node, 'SELECT string_agg(prediction_id, chr(32) ORDER BY batch_no) FROM trading.signals', 'original copy',
	'the next one reads what is submitted then, and nothing twice');

is(value($node, 'SELECT trading.adopt()'), '0', 'what is ours can not be adopted');
$node->append_conf('postgresql.conf', "trading_engine.route_dwell = '2min'\ntrading_engine.route_dwell_max = '1min'");
$node->restart;
is(value($node, 'SELECT trading.adopt()'), '0', 'right after a start neither');
wait_for($node, 'SELECT reason LIKE $$%route_dwell%$$ FROM trading.stat_workers', 't', 'also when its worker does not start');
is(value($node, 'SELECT trading.adopt()'), '0', 'which would give up what it has not sent');

$node->stop;
done_testing();
