# Views over shared memory: what they count, who sees what, and how they begin anew.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;

my $node = engine('main', lanes => 1);
company($node, 'acme', users => ['ann'], producers => ['desk']);
$node->safe_psql('postgres', q{
	CREATE ROLE te_admin LOGIN;
	GRANT trading_admin TO te_admin;
	CREATE ROLE te_monitor LOGIN;
	GRANT pg_monitor TO te_monitor;
	CREATE ROLE te_ann LOGIN;
	GRANT trading_tenant TO te_ann;
	INSERT INTO trading.logins (role_name, company_id, user_id) VALUES ('te_ann', 'acme', 'ann');
});

# Predictions by SQL, each a message of its own.
my $submitted = 0;
sub submit
{
	my ($count) = @_;
	my ($first, $last) = ($submitted + 1, $submitted += $count);
	$node->safe_psql('postgres', qq{
		SELECT trading.submit(jsonb_build_object('batch_id', 'b' || n, 'producer_id', 'desk',
			'company_id', 'acme', 'user_id', 'ann', 'generated_at', now(),
			'predictions', jsonb_build_array(jsonb_build_object('prediction_id', 'p' || n, 'symbol', 'EURUSD',
				'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.1))))
		  FROM generate_series($first, $last) AS n}, extra_params => [ '-U', 'te_admin' ]);
	return;
}

# --- counting ----------------------------------------------------------------------

submit(5);
wait_for($node, 'SELECT predictions FROM trading.stat_workers', 5, 'predictions are counted');
wait_for_statistics($node);
is(value($node, 'SELECT messages FROM trading.stat_workers'), 5, 'so are messages');
is(value($node, "SELECT string_agg(outcome || ' ' || count, ', ') FROM trading.stat_decisions WHERE count > 0"),
	'LOW_CONFIDENCE 5', 'and decisions, by outcome');
is(value($node, 'SELECT batch_no = (SELECT max(batch_no) FROM trading.batches) FROM trading.stat_workers'),
	't', 'the position shown is the committed one');
is(value($node, "SELECT count FROM trading.stat_latency WHERE metric = 'commit' AND lane = 0"),
	value($node, 'SELECT batches FROM trading.stat_workers'), 'one commit is measured for each batch');
is(value($node, q{SELECT bool_and(0 < p50_ms AND p50_ms <= p90_ms AND p90_ms <= p99_ms AND p99_ms <= p999_ms
		AND p999_ms <= max_ms * 1.016) FROM trading.stat_latency WHERE metric = 'commit'}),
	't', 'percentiles are in order');
is(value($node, q{SELECT count(DISTINCT (count, p50_ms, max_ms)) FROM trading.stat_latency WHERE metric = 'commit'}),
	1, 'the sum over one lane is that lane');

# --- beginning anew --------------------------------------------------------------------

my $position = value($node, 'SELECT batch_no FROM trading.stat_workers');
$node->safe_psql('postgres', 'SELECT trading.stat_reset()', extra_params => [ '-U', 'te_admin' ]);
wait_for($node, "SELECT w.messages || ' ' || (SELECT sum(d.count) FROM trading.stat_decisions AS d) || ' '"
	  . " || (SELECT sum(l.count) FROM trading.stat_latency AS l WHERE l.metric NOT IN ('notify', 'refresh')) FROM trading.stat_workers AS w",
	'0 0 0', 'stat_reset clears counters, decisions and latencies');
is(value($node, 'SELECT batch_no FROM trading.stat_workers'), $position, 'positions stay');
submit(2);
wait_for($node, 'SELECT messages FROM trading.stat_workers', 2, 'counting goes on');

# --- who sees what ------------------------------------------------------------------------

$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second', 'CREATE EXTENSION trading_engine; SELECT trading.set_lanes(1)');
wait_for_lanes($node, 'second');

sub databases_seen_by
{
	my ($role, $view) = @_;
	my ($status, $out, $err) = $node->psql('postgres',
		"SELECT string_agg(DISTINCT datname, ',') FROM trading.$view", extra_params => [ '-U', $role ]);
	return $status == 0 ? $out : $err;
}

for my $view (qw(stat_workers stat_latency stat_transports stat_decisions stat_databases))
{
	is(databases_seen_by('te_admin', $view), 'postgres', "$view: an administrator sees his own database");
	is(databases_seen_by('te_monitor', $view), 'postgres,second', "$view: pg_monitor sees all databases");
	like(databases_seen_by('te_ann', $view), qr/permission denied for view $view/, "$view: a tenant sees nothing");
}
for my $function (qw(read_workers stat_reset request_check))
{
	my (undef, undef, $err) = $node->psql('postgres', "SELECT trading.$function()", extra_params => [ '-U', 'te_ann' ]);
	like($err, qr/permission denied for function $function/, "$function is not for tenants");
}
my (undef, undef, $err) = $node->psql('postgres', 'SELECT trading.stat_reset()', extra_params => [ '-U', 'te_monitor' ]);
like($err, qr/permission denied/, 'pg_monitor may look, not reset');

# --- settings ---------------------------------------------------------------------------------

is(value($node, "SELECT string_agg(name, ', ') FROM pg_settings WHERE name LIKE 'trading_engine.%' AND short_desc = ''"),
	'', 'every setting is described');
(undef, undef, $err) = $node->psql('postgres', 'SHOW trading_engine.nats_url', extra_params => [ '-U', 'te_ann' ]);
like($err, qr/ERROR:/, 'the address of the broker is hidden');
for my $setting (qw(company user role clock nats_url subject_prefix))
{
	(undef, undef, $err) = $node->psql('postgres', qq{SET trading_engine."$setting" = 'system'}, extra_params => [ '-U', 'te_ann' ]);
	like($err, qr/permission denied to set parameter/, "a tenant cannot set trading_engine.$setting");
}
for my $wrong ("subject_prefix = 'a..b'", "subject_prefix = '>'", "subject_prefix = ''", "input_stream = 'a.b'",
	"clock = 'sundial'", "batch_limit = 0", "databases = ','")
{
	(undef, undef, $err) = $node->psql('postgres', "ALTER SYSTEM SET trading_engine.$wrong");
	like($err, qr/ERROR:  (?:invalid value for parameter|0 is outside)/, "$wrong is refused");
}
(undef, undef, $err) = $node->psql('postgres', 'SET trading_engine.nonsense = 1');
like($err, qr/ERROR:  invalid configuration parameter name/, 'names are reserved');

$node->stop;
done_testing();
