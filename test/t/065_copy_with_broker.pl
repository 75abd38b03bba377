# A copy of a database sends nothing to the broker that the original writes to, until it is
# told that the original is gone; then it goes on where the copy was made, in an epoch of its own.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;
use TradingEngineRun;

my %strategy = (allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 3600000,
	signal_ttl_seconds => 3600, duplicate_window_seconds => 0);
my $nats = TradingEngineNats->new('copy')->start;
my $node = engine('original', nats => $nats, lanes => 2);
company($node, 'acme', users => [ 'ann', 'bob' ], strategy => \%strategy);
company($node, 'north', users => ['nina'], strategy => \%strategy);

sub predict_as
{
	my ($id) = @_;
	$nats->publish($nats->batch(predictions => [ $nats->prediction(prediction_id => $id) ]));
	return;
}

sub submit
{
	my ($node, $database, $id) = @_;
	$node->safe_psql($database, <<"SQL");
SELECT trading.submit(jsonb_build_object('company_id', '_all', 'user_id', '_all', 'batch_id', '$id', 'producer_id', 'model',
	'generated_at', now(), 'predictions', jsonb_build_array(jsonb_build_object('prediction_id', '$id', 'symbol', 'EURUSD',
		'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.9))));
SQL
	return;
}

my $ids = "SELECT COALESCE(string_agg(DISTINCT prediction_id, ' ' ORDER BY prediction_id), '') FROM trading.signals WHERE outcome = 'SIGNAL'";

sub on_streams
{
	my %seen;
	$seen{$_} = 1 for map { $nats->te_nats_ok('', 'stream-dump', "trading_output_$_") =~ /"prediction_id": *"(\w+)"/g } 0, 1;
	return join ' ', sort keys %seen;
}

sub sent { return join ' ', map { $nats->messages("trading_output_$_") } 0, 1; }

predict_as('p1');
submit($node, 'postgres', 's1');
wait_for($node, $ids, 'p1 s1', 'the original trades');
wait_for_output($node, $nats);

#----------------------------------------------------------------------
# A database copied in the same cluster
#----------------------------------------------------------------------

my ($status, undef, $err) = $node->psql('template1', 'CREATE DATABASE clone TEMPLATE postgres');
is($status, 0, 'CREATE DATABASE ... TEMPLATE works while the original trades') or diag($err);
is(join("\n", ($node->poll_query_until('clone',
			q{SELECT string_agg(state, ' ') FROM trading.stat_workers WHERE datname = 'clone'}, 'foreign foreign'))),
	1, 'the lanes of the copied database are foreign');
predict_as('p2');
submit($node, 'clone', 's2');
wait_for($node, $ids, 'p1 p2 s1', 'the original goes on');
wait_for_output($node, $nats);
is($node->safe_psql('clone', $ids), 'p1 s1', 'the copied database decides nothing');
is(on_streams(), 'p1 p2 s1', 'and sends nothing');
$node->safe_psql('postgres', 'DROP DATABASE clone WITH (FORCE)');

#----------------------------------------------------------------------
# A dump, restored in another cluster
#----------------------------------------------------------------------

$node->safe_psql('postgres', q{
	UPDATE trading.tiers SET max_position_count = 7 WHERE tier = 'PRO';
	SELECT trading.ensure_partitions(9);
	CREATE POLICY mine ON trading.signals FOR SELECT TO trading_tenant USING (symbol = 'NONE')});
my $kept = q{SELECT (SELECT max_position_count FROM trading.tiers WHERE tier = 'PRO'),
	(SELECT count(*) FROM pg_inherits WHERE inhparent = 'trading.signals'::regclass),
	(SELECT count(*) FROM pg_policy WHERE polname = 'mine')};
is(value($node, $kept), '7|10|1', 'a tier is edited, partitions and a policy are made');
my $folder = PostgreSQL::Test::Utils::tempdir('dump');
command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-Fc', '-f', "$folder/dump" ], 'pg_dump while it runs');

# What the original does after the dump, the copy doesn't know.
predict_as('p3');
wait_for($node, $ids, 'p1 p2 p3 s1', 'the original goes on');
wait_for_output($node, $nats);
my $original_epoch = value($node, 'SELECT max(epoch) FROM trading.batches');
$node->stop;
my $sent = sent();

my $copy = engine('copy', nats => $nats, extension => 0);
$copy->safe_psql('template1', 'DROP DATABASE postgres');
$copy->safe_psql('template1', 'CREATE DATABASE postgres TEMPLATE template0');
# The roles are made by the extension; the dump brings the rest.
command_ok([ 'pg_restore', '--exit-on-error', '-d', $copy->connstr('postgres'), "$folder/dump" ], 'it is restored');
is(value($copy, $kept), '7|10|1', 'with the tier, the partitions and the policy');
wait_for($copy, "SELECT string_agg(state, ' ') FROM trading.stat_workers", 'foreign foreign', 'its lanes are foreign');
predict_as('p4');
submit($copy, 'postgres', 's4');
is(value($copy, "SELECT bool_and(reason LIKE '%another cluster%') FROM trading.stat_workers"), 't', 'and say why');
is(value($copy, $ids), 'p1 p2 s1', 'it decides nothing');
is(sent(), $sent, 'and sends nothing');

is(value($copy, 'SELECT trading.adopt()'), '2', 'it is told that it is the owner now');
wait_for($copy, $ids, 'p1 p2 p3 p4 s1 s4', 'then it reads on where the dump was made, from the broker and by SQL');
wait_for($copy, q{SELECT count(*) FROM trading.signals WHERE prediction_id IN ('p3', 'p4', 's4')}, 9, 'each lane');
wait_for_output($copy, $nats);
is(value($copy, "SELECT min(epoch) > $original_epoch, count(*) FROM trading.lanes WHERE NOT adopt_requested"), 't|2',
	'in an epoch above the broker\'s');
is(on_streams(), 'p1 p2 p3 p4 s1 s4', 'and everything is on the streams');
is(value($copy, 'SELECT count(*) - count(DISTINCT signal_id) FROM trading.signals'), '0', 'nothing was decided twice');
for my $lane (0, 1)
{
	my $verdict = $nats->check("trading_output_$lane");
	ok($verdict->{clean}, "stream of lane $lane has no gap, conflict or disorder") or diag(explain($verdict));
}
is(value($copy, q{SELECT count(*) FROM (SELECT signal_id FROM trading.signals WHERE prediction_id IN ('p3', 'p4', 's4')) AS s}), 9,
	'each strategy has a signal of each prediction since');

#----------------------------------------------------------------------
# Taking it away while it runs
#----------------------------------------------------------------------

my $load = $nats->start_load('EURUSD', '--rate', 500, '--count', 2000, '--producer', 'model');
wait_until('the load is on its way', sub { value($copy, "SELECT count(*) FROM trading.prediction_batches WHERE batch_id LIKE 'load%' OR producer_epoch > 0") > 20 });
($status, undef, $err) = $copy->psql('postgres', 'DROP EXTENSION trading_engine');
isnt($status, 0, 'DROP EXTENSION is refused');
like($err, qr/CASCADE/, 'without CASCADE');
$copy->safe_psql('template1', 'DROP DATABASE postgres WITH (FORCE)');
pass('DROP DATABASE WITH (FORCE) works while it trades');
$nats->finish_load($load);
is($copy->safe_psql('template1', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'trading_engine lane'"),
	'0', 'no worker is left');

$copy->stop;
$nats->stop;
done_testing();
