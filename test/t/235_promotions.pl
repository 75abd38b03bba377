# Epochs of promoted standbys: a lane that never sent anything, several promotions, output that waits,
# lanes that are cut anew.  Whoever is the first to be heard, the other engine isn't: input by SQL lets
# the test say who that is.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Cluster;
use Test::More;
use TradingEngine;
use TradingEngineFaults;
use TradingEngineKafka;
use TradingEngineNats;
use TradingEngineReplay;
use TradingEngineRun;

my %strategy = (allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 600000, signal_ttl_seconds => 3600);
my $brokers = 0;
my $submitted = 0;

# A prediction, which becomes a signal, or none when nobody is confident.
sub submit
{
	my ($node, $confidence) = @_;
	$submitted++;
	value($node, "SELECT trading.submit(jsonb_build_object('company_id', 'acme', 'user_id', 'ann', 'batch_id', 'b$submitted',"
		  . " 'generated_at', now(), 'predictions', jsonb_build_array(jsonb_build_object('prediction_id', 'p$submitted',"
		  . " 'symbol', 'EURUSD', 'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', " . ($confidence // 0.9) . '))))');
	return;
}

sub decided { my ($node) = @_; return wait_for($node, 'SELECT count(*) FROM trading.inbox AS i WHERE NOT EXISTS (SELECT FROM trading.prediction_batches AS p WHERE p.source = $$inbox$$ AND p.input_seq = i.inbox_id)', '0', $node->name . ' has decided'); }

# A primary of one lane, with a broker of its own.
sub primary
{
	my ($name, %o) = @_;
	my $nats = TradingEngineNats->new("broker" . ++$brokers)->start;
	my $node = engine($name, nats => $nats, lanes => $o{lanes} // 1, init => { allows_streaming => 1 }, conf => $o{conf} // {});
	company($node, 'acme', users => ['ann'], strategy => \%strategy);
	return ($node, $nats);
}

sub standby
{
	my ($node, $name) = @_;
	my $standby = PostgreSQL::Test::Cluster->new($name);
	$node->backup($name);
	$standby->init_from_backup($node, $name, has_streaming => 1);
	$standby->start;
	$node->wait_for_catchup($standby, 'replay');
	return $standby;
}

sub promote
{
	my ($node, $standby) = @_;
	$node->wait_for_catchup($standby, 'replay');
	$standby->promote;
	return runs($standby);
}

sub runs { my ($node) = @_; return wait_for($node, q{SELECT string_agg(DISTINCT state, ' ') FROM trading.stat_workers}, 'running', $node->name . ' runs'); }
sub takes { my ($node, $states, $what) = @_; return wait_for($node, "SELECT state ~ '^($states)\$' FROM trading.lane_output", 't', $what); }
sub heard { my ($nats, $number) = @_; return wait_until("$number messages at the broker", sub { $nats->messages('trading_output_0') == $number }); }

# The first is heard, the second decides the same, finds out and is silent.
sub first_is_heard
{
	my ($first, $second, $nats, $name) = @_;
	my $before = $nats->messages('trading_output_0');
	submit($first);
	heard($nats, $before + 1);
	$submitted--;
	submit($second);
	wait_for($second, q{SELECT string_agg(DISTINCT state, ' ') FROM trading.stat_workers}, 'foreign', "$name: the second is foreign");
	is(value($second, 'SELECT count(*) FROM trading.signals'), value($first, 'SELECT count(*) FROM trading.signals'), "$name: it had decided the same");
	submit($first);
	heard($nats, $before + 2);
	wait_until('the first has heard so', sub { value($first, 'SELECT sum(outbox_pending) FROM trading.stat_workers') eq '0' });
	is(value($first, q{SELECT string_agg(DISTINCT state, ' ') FROM trading.stat_workers}), 'running', "$name: the first runs");
	return;
}

sub ended { $_->stop for @_; return; }

#----------------------------------------------------------------------
# A lane that never sent anything
#----------------------------------------------------------------------

{
	my ($node, $nats) = primary('silent');
	my $standby = standby($node, 'heir');
	promote($node, $standby);
	first_is_heard($node, $standby, $nats, 'a silent lane, the primary first');
	ended($standby, $node, $nats);

	($node, $nats) = primary('silent2');
	$standby = standby($node, 'heir2');
	# As if the primary were about to be adopted: nobody has asked that of the standby.
	value($node, 'UPDATE trading.lanes SET adopt_requested = true');
	promote($node, $standby);
	value($node, 'UPDATE trading.lanes SET adopt_requested = false');
	is(value($standby, 'SELECT predecessor_epoch, adopt_requested FROM trading.lanes'), '0|f', 'its primary\'s request is not the standby\'s');
	first_is_heard($standby, $node, $nats, 'a silent lane, the standby first');
	ended($standby, $node, $nats);
}

#----------------------------------------------------------------------
# Lanes that are cut anew after a promotion that nothing was sent since
#----------------------------------------------------------------------

{
	my ($node, $nats) = primary('cut');
	submit($node);
	heard($nats, 1);
	decided($node);
	my $standby = standby($node, 'cut_heir');
	promote($node, $standby);
	wait_for($standby, 'SELECT (nats_epoch, nats_seq) = (epoch, last_seq) FROM trading.lane_output', 't', 'what it has inherited is at the broker, and so far nothing of its own');
	is(value($standby, 'SELECT trading.set_lanes(1)'), '', 'the lanes of the promoted standby are cut anew');
	runs($standby);
	is(value($standby, 'SELECT inherited_epoch, inherited_seq, epoch > inherited_epoch + 1 FROM trading.lanes'), '2|1|t', 'it knows where the output ended');
	first_is_heard($node, $standby, $nats, 'cut anew, the primary first');
	my (undef, undef, $error) = $standby->psql('postgres', 'SELECT trading.set_lanes(2)');
	like($error, qr/the lanes belong to another installation/, 'a foreign lane can not be cut anew');
	ended($standby);

	# A clone has the same system identifier.
	$node->backup('cut_clone');
	my $clone = PostgreSQL::Test::Cluster->new('cut_clone');
	$clone->init_from_backup($node, 'cut_clone');
	$clone->start;
	wait_for($clone, 'SELECT state FROM trading.stat_workers', 'foreign', 'the lane of a clone is foreign');
	(undef, undef, $error) = $clone->psql('postgres', 'SELECT trading.set_lanes(2)');
	like($error, qr/the lanes belong to another installation/, 'a clone can not give itself another lane');
	ended($clone, $node, $nats);
}

#----------------------------------------------------------------------
# Output that waits, and promotions in a row
#----------------------------------------------------------------------

{
	my ($node, $nats) = primary('waiting');
	submit($node);
	heard($nats, 1);
	my $second = standby($node, 'waiting2');
	my $backlog = 5;
	$nats->pause;
	submit($node) for 1 .. $backlog;
	decided($node);
	$node->wait_for_catchup($second, 'replay');
	$node->stop('immediate');
	$second->promote;
	wait_for($second, q{SELECT state FROM trading.stat_workers}, 'starting', 'promoted without a broker, the lane waits');
	my (undef, undef, $error) = $second->psql('postgres', 'SELECT trading.set_lanes(2)');
	like($error, qr/the lanes haven't run since the cluster was promoted/, 'and can not be cut anew, which would give up what waits');
	$nats->resume;
	runs($second);
	heard($nats, 1 + $backlog);
	pass('what waited is sent');

	# Nothing that is decided is a signal, so that the newest batch is of an epoch without output.
	$nats->pause;
	submit($second) for 1 .. $backlog;
	decided($second);
	my $third = standby($second, 'waiting3');
	$second->stop('immediate');
	$third->promote;
	$nats->resume;
	wait_for($third, 'SELECT count(*) FROM trading.stat_workers WHERE state = $$running$$', '1', 'promoted again, it runs');
	heard($nats, 1 + 2 * $backlog);
	submit($third, 0.01);
	decided($third);
	$nats->pause;
	my $fourth = standby($third, 'waiting4');
	$third->stop('immediate');
	$fourth->promote;
	$nats->resume;
	runs($fourth);
	is(value($fourth, 'SELECT l.epoch - l.inherited_epoch FROM trading.lanes AS l'), '2', 'an epoch without output is nothing to inherit');
	submit($fourth);
	heard($nats, 2 + 2 * $backlog);
	replay_is_live($fourth, 'replay over three promotions');
	proven('after promotions in a row', $fourth, nats => $nats);

	# As if the broker were away since two messages before the end of the epoch that it has inherited.
	wait_for($fourth, 'SELECT (nats_epoch, nats_seq) = (epoch, last_seq) FROM trading.lane_output', 't', 'how far the broker has it is stored, and not once more');
	$nats->pause;
	value($fourth, q{UPDATE trading.batches AS b SET publish_epoch = l.inherited_epoch, publish_seq = l.inherited_seq - 2 FROM trading.lanes AS l
		WHERE b.batch_no = (SELECT max(batch_no) FROM trading.batches)});
	my ($pid) = worker_pids($fourth);
	value($fourth, "SELECT pg_terminate_backend($pid)");
	wait_for($fourth, "SELECT state, outbox_pending - last_out_seq FROM trading.stat_workers WHERE pid <> $pid", 'running|2', 'what waits of two epochs is counted');
	ended($fourth, $nats);
}

#----------------------------------------------------------------------
# Output that goes to Kafka
#----------------------------------------------------------------------

SKIP:
{
	skip TradingEngineKafka::missing(), 1 if TradingEngineKafka::missing();
	my $kafka = TradingEngineKafka->new('promotions')->start;
	my ($node, $nats) = primary('by_kafka', conf => { $kafka->settings, quick_route() });
	submit($node);
	heard($nats, 1);
	my $standby = standby($node, 'by_kafka2');
	$nats->pause;
	takes($node, 'KAFKA|HALF_OPEN', 'without NATS, the primary sends to Kafka');
	submit($node) for 1 .. 5;
	decided($node);
	wait_until('Kafka has it', sub { $kafka->messages('trading.signals') >= 5 });
	$node->wait_for_catchup($standby, 'replay');
	$node->stop('immediate');
	$standby->promote;
	runs($standby);
	submit($standby) for 1 .. 5;
	decided($standby);
	wait_until('Kafka has that, too', sub { $kafka->messages('trading.signals') >= 10 });
	takes($standby, 'KAFKA|HALF_OPEN', 'by the same way as the primary');
	$nats->resume;
	takes($standby, 'NATS', 'NATS is back');
	heard($nats, 11);
	proven('after a promotion on Kafka', $standby, nats => $nats, kafka => $kafka);
	is(value($standby, 'SELECT count(*) FROM (SELECT route_epoch, lag(route_epoch) OVER (PARTITION BY lane ORDER BY version) AS before FROM trading.routes) AS r WHERE route_epoch < before'), '0',
		'route epochs go on');
	ended($standby, $nats, $kafka);
}

done_testing();
