# Fault 22 (doc/faults.md): two engines on one broker.  A clone of the running cluster, started
# beside it, and a standby promoted while its primary lives: only one of them is heard, on NATS and on
# Kafka; the other's lanes are foreign and say why.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineFaults;
use TradingEngineKafka;
use TradingEngineNats;
use TradingEngineRun;

my %strategy = (allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 600000, signal_ttl_seconds => 3600);
plan skip_all => TradingEngineKafka::missing() if TradingEngineKafka::missing();
seeded();
my $nats = TradingEngineNats->new('split')->start;
my $kafka = TradingEngineKafka->new('split')->start;
my $node = engine('split', nats => $nats, lanes => 2, init => { allows_streaming => 1 }, conf => { $kafka->settings, quick_route() });
company($node, 'acme', users => [ 'ann', 'bob' ], strategy => \%strategy);
company($node, 'north', users => ['nina'], strategy => \%strategy);
my $predictions = 0;

sub predict_more
{
	$nats->publish(map { $nats->batch } 1 .. 10);
	$predictions += 10;
	return;
}

sub settled
{
	my ($engine) = @_;
	wait_for($engine, "SELECT min(n) FROM (SELECT count(*) AS n FROM trading.prediction_batches GROUP BY lane) AS c", $predictions,
		"all $predictions predictions are applied");
	wait_for_output($engine, $nats);
	return;
}

predict_more();
settled($node);

#----------------------------------------------------------------------
# A clone
#----------------------------------------------------------------------

$node->backup('copy');
predict_more();
my $clone = PostgreSQL::Test::Cluster->new('clone');
$clone->init_from_backup($node, 'copy');
$clone->start;
predict_more();
wait_for($clone, q{SELECT string_agg(state, ' ') FROM trading.stat_workers}, 'foreign foreign', 'the lanes of a clone are foreign');
like(value($clone, 'SELECT DISTINCT reason FROM trading.stat_workers'), qr/data directory/, 'and say why');
predict_more();
settled($node);
is(value($clone, 'SELECT count(*) FROM trading.prediction_batches'), 20, 'it has decided nothing');
proven('beside a clone', $node, nats => $nats, kafka => $kafka);

# Where NATS fails, it is the first one that goes on with Kafka.
$nats->pause;
$kafka->publish(map { $nats->batch } 1 .. 10);
$predictions += 10;
wait_for_route($node, 'KAFKA|HALF_OPEN', 'without NATS, the first sends to Kafka');
wait_until('its signals are on Kafka', sub { $kafka->messages('trading.signals') > 0 });
is(value($clone, 'SELECT count(*) FROM trading.prediction_batches'), 20, 'and the clone still decides nothing');
is(value($clone, 'SELECT sum(published) FROM trading.stat_transports'), 0, 'nor has it sent anything, by whatever way');
$nats->resume;
wait_for_route($node, 'NATS', 'NATS is back');
settled($node);
proven('beside a clone, by Kafka', $node, nats => $nats, kafka => $kafka);

# It says yes to being the owner, while the other one lives: from here on that one is the second.
my $epochs = value($node, 'SELECT max(epoch) FROM trading.lanes');
is(value($clone, 'SELECT trading.adopt()'), 2, 'the clone is told to be the owner');
wait_for($clone, q{SELECT string_agg(state, ' ') FROM trading.stat_workers}, 'running running', 'then it runs');
# That one finds out by what it sends: at once, or the next time if it was faster than the clone.
wait_until('the lanes of the first are foreign', sub {
	predict_more();
	settled($clone);
	return (asked($node, q{SELECT string_agg(state, ' ') FROM trading.stat_workers}) // '') eq 'foreign foreign';
});
like(value($node, 'SELECT DISTINCT reason FROM trading.stat_workers'), qr/\S/, 'and say why');
predict_more();
settled($clone);
cmp_ok(value($clone, 'SELECT min(epoch) FROM trading.lanes'), '>', $epochs, 'the clone writes in an epoch of its own');
is(scalar(grep { !$nats->check("trading_output_$_")->{clean} } 0, 1), 0, 'the streams are clean');
proven('after the adoption', $clone, nats => $nats, kafka => $kafka, lost_epochs => 1, nats_complete => 0);
is(value($node, 'SELECT count(*) - count(DISTINCT (lane, producer_seq)) FROM trading.prediction_batches'), 0, 'nothing was decided twice');
$clone->stop;

#----------------------------------------------------------------------
# A standby that is promoted while the primary lives
#----------------------------------------------------------------------

$node->stop;
$nats->stop;
$nats->wipe;
$kafka->stop;
$nats = TradingEngineNats->new('primary')->start;
$kafka = TradingEngineKafka->new('primary')->start;
# One lane: each is fought for by itself, so that of two each engine might get one.  Whichever is
# the first to be heard: the standby writes in an epoch of its own, so the broker refuses the other.
$node = engine('primary', nats => $nats, lanes => 1, init => { allows_streaming => 1 }, conf => { $kafka->settings, quick_route() });
company($node, 'acme', users => [ 'ann', 'bob' ], strategy => \%strategy);
company($node, 'north', users => ['nina'], strategy => \%strategy);
$predictions = 0;
predict_more();
settled($node);
$node->backup('standby');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'standby', has_streaming => 1);
$standby->start;
predict_more();
settled($node);
$node->wait_for_catchup($standby, 'replay');
$standby->promote;
predict_more();
wait_until('one of them has given up', sub {
	predict_more();
	my ($a, $b) = map { asked($_, q{SELECT string_agg(state, ' ') FROM trading.stat_workers}) // '' } $node, $standby;
	return ($a eq 'foreign') + ($b eq 'foreign') == 1;
});
predict_more();
my ($winner, $loser) = asked($node, q{SELECT min(state) FROM trading.stat_workers}) eq 'foreign' ? ($standby, $node) : ($node, $standby);
note('heard is ' . $winner->name);
settled($winner);
proven('beside a promoted standby', $winner, nats => $nats, kafka => $kafka);
like(value($loser, 'SELECT DISTINCT reason FROM trading.stat_workers'), qr/\S/, 'the other one says why it is silent');
$_->stop for $standby, $node;

#----------------------------------------------------------------------
# A copy that nothing tells from the original
#----------------------------------------------------------------------

$kafka->stop;
$nats->stop;
$nats = TradingEngineNats->new('twin')->start;
$node = engine('original', nats => $nats, lanes => 1, init => { allows_streaming => 1 });
company($node, 'north', users => ['nina'], strategy => \%strategy);
$predictions = 0;
predict_more();
settled($node);
$node->backup('twin');
my $twin = PostgreSQL::Test::Cluster->new('twin');
$twin->init_from_backup($node, 'twin');
$twin->start;
# As on a machine of its own, where the path is the same.
value($twin, q{UPDATE trading.lanes SET data_directory = current_setting('data_directory')});
$twin->restart;
wait_for($twin, q{SELECT string_agg(state, ' ') FROM trading.stat_workers}, 'running', 'the copy runs');
# One at a time: of several under way, each could have the broker take one, and both were to stop.
my %state;
wait_until('one of them has given up', sub {
	$nats->publish($nats->batch(company => 'north'));
	$predictions++;
	wait_until('both have decided', sub {
		%state = map { $_->name => asked($_, q{SELECT string_agg(state, ' ') FROM trading.stat_workers}) // '' } $node, $twin;
		return (grep { $_ eq 'foreign' } values %state)
		  || 2 == grep { (asked($_, 'SELECT count(*) FROM trading.prediction_batches') // '') eq "$predictions" } $node, $twin;
	});
	return grep { $_ eq 'foreign' } values %state;
});
($winner, $loser) = $state{ $node->name } eq 'foreign' ? ($twin, $node) : ($node, $twin);
like(value($loser, 'SELECT reason FROM trading.stat_workers'), qr/^another engine writes as this one: output \d+\/\d+ was there before it was sent$/,
	'it says why');
is(value($winner, 'SELECT state FROM trading.stat_workers'), 'running', 'the other one runs');
predict_more();
settled($winner);
proven('beside a copy of the same identity', $winner, nats => $nats);
$_->stop for $twin, $node;
$nats->stop;
done_testing();
