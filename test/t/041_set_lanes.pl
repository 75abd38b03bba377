# The number of lanes changes without losing or repeating anything: every company's
# producers, wherever they are now, go on where they were.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;

my @companies = map { "company$_" } 1 .. 8;
my $nats = TradingEngineNats->new('lanes')->start;
my $node = engine('lanes', nats => $nats, lanes => 2);
company($node, $_, users => ['ann'],
	strategy => { max_prediction_age_ms => 86400000, duplicate_window_seconds => 0, allowed_regimes => q{'{UNKNOWN}'} })
  for @companies;
value($node, q{UPDATE trading.tiers SET max_position_count = 1000});

my $round = 0;

# One numbered batch for every company, one broadcast, and one batch by SQL.
sub one_round
{
	my ($messages) = @_;
	$round++;
	my @batches = map { $nats->batch(company => $_, batch_id => "r$round", predictions => [ $nats->prediction(prediction_id => "r$round") ]) } @companies;
	push @batches, $nats->batch(company => '_all', batch_id => "b$round", predictions => [ $nats->prediction(prediction_id => "b$round") ]);
	$nats->publish(@batches);
	value($node, <<"SQL");
SELECT trading.submit(jsonb_build_object('company_id', 'company1', 'user_id', 'ann', 'batch_id', 's$round',
	'generated_at', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
	'predictions', jsonb_build_array(jsonb_build_object('prediction_id', 's$round', 'symbol', 'EURUSD',
		'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.9))))
SQL
	return @batches;
}

# Each round gives every company two signals, and company1 one more.
sub check_rounds
{
	my ($name) = @_;
	wait_for($node, 'SELECT count(*) FROM trading.signals', $round * (2 * @companies + 1), "$name: every signal is there");
	is(value($node, 'SELECT count(*) - count(DISTINCT signal_id) FROM trading.signals'), 0, "$name: none twice");
	return;
}

# Everything is read by all, and acknowledged.
sub wait_until_drained
{
	my ($name) = @_;
	wait_for($node, <<'SQL', 't', "$name: lanes have come equally far");
WITH newest AS (
	SELECT b.* FROM trading.lanes AS l,
	       LATERAL (SELECT n.* FROM trading.batches AS n WHERE n.lane = l.lane ORDER BY n.batch_no DESC LIMIT 1) AS b)
SELECT count(*) = (SELECT count(*) FROM trading.lanes) AND count(DISTINCT input_seq) = 1
       AND bool_and(last_out_seq = 0 OR (publish_epoch, publish_seq) = (epoch, last_out_seq)) FROM newest
SQL
	return;
}

# Input by SQL is nothing that the lane of other companies would store anything of.
value($node, q{SELECT trading.submit(jsonb_build_object('company_id', 'company1', 'user_id', 'ann', 'batch_id', 'alone', 'generated_at', now(),
	'predictions', jsonb_build_array(jsonb_build_object('prediction_id', 'alone', 'symbol', 'EURUSD', 'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.1))))});
wait_for($node, 'SELECT count(DISTINCT lane), count(input_created) > 0 FROM trading.batches', '1|t', 'one lane has had something to do');
value($node, 'SELECT trading.set_lanes(4)');
wait_for($node, q{SELECT count(*) FROM trading.stat_workers WHERE state = 'running'}, 4, 'which keeps nobody from other lanes');
value($node, 'SELECT trading.set_lanes(2)');
wait_for($node, q{SELECT count(*) FROM trading.stat_workers WHERE state = 'running'}, 2, 'and back');

# Without numbers, and too weak to become signals.
my @unnumbered = map { $nats->batch(company => $_, seq => 0, batch_id => "id$_", predictions => [ $nats->prediction(prediction_id => "id$_", confidence => 0.1) ]) } @companies, '_all';
my @submitted = map { <<"SQL" } @companies;
SELECT trading.submit(jsonb_build_object('company_id', '$_', 'user_id', 'ann', 'batch_id', 'sql$_', 'generated_at', now(),
	'predictions', jsonb_build_array(jsonb_build_object('prediction_id', 'sql$_', 'symbol', 'EURUSD', 'current_price', 1.1,
		'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.1))))
SQL
$nats->publish(@unnumbered);
value($node, $_) for @submitted;
my @old = one_round();
check_rounds('two lanes');
my $applied = q{SELECT count(*), count(*) FILTER (WHERE company_id = '_all') FROM trading.prediction_batches WHERE batch_id ~ '^(id|sql)'};
wait_for($node, $applied, 2 * @companies + 2 . '|2', 'two lanes: messages without a number are applied');
for my $lanes (5, 1, 3)
{
	wait_until_drained("before $lanes");
	value($node, "SELECT trading.set_lanes($lanes)");
	wait_for($node, "SELECT count(*) FROM trading.stat_workers WHERE state = 'running'", $lanes, "$lanes lanes run");
	# What comes again has no effect, whichever lane it meets: by its number, or by its id.
	$nats->publish(@old, @unnumbered);
	value($node, $_) for @submitted;
	@old = one_round();
	check_rounds("$lanes lanes");
}
wait_until_drained('then');
is(value($node, $applied), 2 * @companies + 2 . '|2', 'what came again without a number has no effect');
is(value($node, q{SELECT count(*) FROM trading.dead_letters}), 0, 'and nothing was turned away');
is(value($node, q{SELECT count(*) FROM trading.input_gaps}), 0, 'no gap');
wait_until_drained('at the end');
is(value($node, q{SELECT count(DISTINCT (company_id, out_epoch, lane)) = count(DISTINCT (company_id, out_epoch)) FROM trading.signals}), 't',
	'in an epoch, a company has one lane');
streams_match_table($node, $nats, 'at the end');

# While lanes stand still nobody's open transaction keeps them waiting for ever.
my $lanes = value($node, 'SELECT count(*) FROM trading.lanes');
my $session = $node->background_psql('postgres');
$session->query_safe(q{BEGIN; SELECT trading.submit(jsonb_build_object('company_id', 'company1', 'user_id', 'ann', 'batch_id', 'open',
	'generated_at', now(), 'predictions', jsonb_build_array(jsonb_build_object('prediction_id', 'open', 'symbol', 'EURUSD',
		'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.9))))});
my ($status, undef, $error) = $node->psql('postgres', 'SELECT trading.set_lanes(2)');
isnt($status, 0, 'set_lanes gives up when somebody submits without an end');
like($error, qr/lock timeout/, 'and says why');
wait_for($node, "SELECT count(*) FROM trading.stat_workers WHERE state = 'running'", $lanes, 'the lanes run again');
$session->query_safe('COMMIT');
$session->quit;
done_testing();
