# Fault 21 (doc/faults.md): the primary is lost, and a standby that lags behind is promoted.  The
# brokers know more than it does: it is silent until it is adopted, then goes on in an epoch of
# its own, and takes the input again from where it stands.  No place ever has two contents.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use TradingEngine;
use TradingEngineFaults;
use TradingEngineKafka;
use TradingEngineNats;
use TradingEngineRun;

plan skip_all => TradingEngineKafka::missing() if TradingEngineKafka::missing();
seeded();
my $nats = TradingEngineNats->new('lag')->start;
my $kafka = TradingEngineKafka->new('lag')->start;
my $node = engine('lag0', nats => $nats, lanes => 2, init => { allows_streaming => 1 }, conf => {
	$kafka->settings, quick_route() });
tenants_that_trade($node);
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
	wait_for($engine, 'SELECT min(n) FROM (SELECT count(DISTINCT producer_seq) AS n FROM trading.prediction_batches WHERE producer_seq > 0 GROUP BY lane) AS c', $predictions,
		"all $predictions predictions are applied");
	wait_for_settled($engine);
	return;
}

for my $round (1 .. rounds(2, 10))
{
	my $on_kafka = $round % 2 == 0;
	$node->backup("backup$round");
	my $standby = PostgreSQL::Test::Cluster->new("lag$round");
	$standby->init_from_backup($node, "backup$round", has_streaming => 1);
	$standby->start;
	predict_more();
	settled($node);
	$node->wait_for_catchup($standby, 'replay');
	$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
	# The standby gets no further than this: it loses its sender, too.
	$standby->stop;
	predict_more();
	settled($node);
	my $epoch = value($node, 'SELECT max(epoch) FROM trading.lanes');
	if ($on_kafka)
	{
		# What only Kafka has.
		$nats->pause;
		my $run = start_submitting($node);
		wait_for_route($node, 'KAFKA|HALF_OPEN', "round $round: output goes to Kafka");
		my $had = $kafka->messages('trading.signals');
		wait_until('Kafka has what NATS has not', sub { $kafka->messages('trading.signals') > $had + 5 });
		finish_submitting($run);
	}
	$node->stop('immediate');
	$nats->resume if $on_kafka;
	$standby->append_conf('postgresql.conf', "primary_conninfo = ''");
	$standby->start;
	$standby->promote;
	wait_for($standby, q{SELECT string_agg(state, ' ') FROM trading.stat_workers}, 'foreign foreign',
		"round $round: a standby that has missed something is silent");
	like(value($standby, 'SELECT string_agg(reason, $$ $$) FROM trading.stat_workers'), qr/\S/, "round $round: and says why");
	is(value($standby, 'SELECT trading.adopt()'), 2, "round $round: it is adopted");
	wait_for($standby, q{SELECT string_agg(state, ' ') FROM trading.stat_workers}, 'running running', "round $round: then it runs");
	cmp_ok(value($standby, 'SELECT min(epoch) FROM trading.lanes'), '>', $epoch, "round $round: in an epoch of its own");
	predict_more();
	settled($standby);
	wait_for_route($standby, 'NATS', "round $round: output is on NATS");
	wait_for_settled($standby);
	proven("round $round", $standby, nats => $nats, kafka => $kafka, lost_epochs => 1, nats_complete => 0);
	$node = $standby;
}
# One that has missed nothing goes on by itself, with what its primary could not send any more.
$node->backup('heir');
my $heir = PostgreSQL::Test::Cluster->new('heir');
$heir->init_from_backup($node, 'heir', has_streaming => 1);
$heir->start;
my ($epoch, $last) = split /\|/, value($node, 'SELECT epoch, last_out_seq FROM trading.stat_workers WHERE lane = 0');
$nats->pause;
my $run = start_submitting($node);
wait_for($node, "SELECT last_out_seq > $last + 3 FROM trading.stat_workers WHERE lane = 0", 't', 'what can not be sent is decided');
finish_submitting($run);
# The heir would miss what is decided after it has caught up, and Kafka may have that by now.
wait_for($node, q{SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query ~ 'trading.submit' AND pid <> pg_backend_pid()}, 0, 'nobody submits any more');
wait_for($node, q{SELECT count(*) FROM trading.inbox AS i, trading.lanes AS l WHERE i.company_id = '_all' AND NOT EXISTS (SELECT FROM trading.prediction_batches AS p
	WHERE (p.lane, p.source, p.input_seq) = (l.lane, 'inbox', i.inbox_id))}, 0, 'all that was submitted is decided');
$node->wait_for_catchup($heir, 'replay');
$node->stop('immediate');
$heir->promote;
$nats->resume;
wait_for($heir, q{SELECT string_agg(state, ' ') FROM trading.stat_workers}, 'running running', 'one that has missed nothing runs');
is(value($heir, 'SELECT epoch, inherited_epoch, inherited_seq > ' . ($last + 3) . ' FROM trading.lanes WHERE lane = 0'), $epoch + 1 . "|$epoch|t",
	'in an epoch of its own, and knows where the one before ended');
predict_more();
settled($heir);
wait_for_settled($heir);
proven('after a promotion', $heir, nats => $nats, kafka => $kafka, lost_epochs => 1, nats_complete => 0);
$node = $heir;
is(value($node, 'SELECT count(*) - count(DISTINCT (lane, producer_seq)) FROM trading.prediction_batches WHERE producer_seq > 0'), 0,
	'the input that was replayed took effect once');
$node->stop;
$kafka->stop;
$nats->stop;
done_testing();
