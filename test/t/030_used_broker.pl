# A new database on a broker that another installation has used: silent until it is adopted, then
# it writes behind the other in an epoch of its own, and what it was silent about comes too.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;

sub submit
{
	my ($node, $id) = @_;
	return $node->safe_psql('postgres', qq{
		SELECT trading.submit(jsonb_build_object('batch_id', '$id', 'company_id', 'acme', 'user_id', '_all', 'generated_at', now(),
			'predictions', jsonb_build_array(jsonb_build_object('prediction_id', '$id', 'symbol', 'EURUSD', 'direction', 'BUY',
				'confidence', 0.9, 'current_price', 1.1, 'predicted_price', 1.11))))});
}

sub started
{
	my ($name, $nats) = @_;
	my $node = engine($name, nats => $nats, lanes => 1, used_broker => 1);
	company($node, 'acme', strategy => { allowed_regimes => "'{UNKNOWN}'", max_prediction_age_ms => 600000 });
	return $node;
}

# Epochs and installations of the stream's signals, in order.
sub written
{
	my ($nats) = @_;
	return map { $_->{headers}{'te-epoch'} . ' ' . substr($_->{headers}{'Nats-Msg-Id'}, 0, 36) } $nats->dump('trading_output_0');
}

sub installation { return value($_[0], 'SELECT installation_id FROM trading.installation'); }

my $nats = TradingEngineNats->new('used')->start;
my $old = started('old', $nats);
submit($old, 'p1');
$nats->wait_for_messages('trading_output_0', 1);
my $old_id = installation($old);
$old->stop;

my $new = started('new', $nats);
my $new_id = installation($new);
wait_for($new, "SELECT state || ': ' || reason FROM trading.stat_workers",
	q{foreign: another installation writes to this lane's output stream (NATS has 2/1, the database 0/0)}, 'a new database is silent on a used broker');
submit($new, 'p2');
is(value($new, 'SELECT trading.adopt()'), 1, 'it is adopted');
wait_for($new, 'SELECT state, published FROM trading.stat_workers', 'running|1', 'it runs, and sends what waited');
is_deeply([ written($nats) ], [ "2 $old_id", "3 $new_id" ], 'in an epoch above the other');

# Adopted, then restarted and cut off before anything was sent: it goes on.
my $third = do { $new->stop; started('third', $nats) };
wait_for($third, 'SELECT state FROM trading.stat_workers', 'foreign', 'another new database is silent too');
value($third, 'SELECT trading.adopt()');
wait_for($third, 'SELECT state FROM trading.stat_workers', 'running', 'until it is adopted');
value($third, "SELECT pg_terminate_backend(pid) FROM trading.stat_workers");
$nats->kill9;
$nats->start;
submit($third, 'p3');
wait_for($third, 'SELECT state, published FROM trading.stat_workers', 'running|1', 'and still runs');
is((written($nats))[-1], '4 ' . installation($third), 'in an epoch above both');

$third->stop;
$nats->stop;
done_testing();
