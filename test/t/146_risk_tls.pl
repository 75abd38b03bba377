# Questions to the risk service through a broker that speaks TLS: asked and answered all the same,
# many at once too, and no batch waits for a broker that has fallen silent.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;
use TradingEngineRisk;
use TradingEngineRun;

plan skip_all => 'no openssl program to make certificates' if system('command -v openssl >/dev/null 2>&1') != 0;

my $folder = PostgreSQL::Test::Utils::tempdir('tls');
system(<<"SHELL") == 0 or die "no certificates\n" . slurp_file("$folder/log");
cd '$folder' && exec >log 2>&1 && set -e
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr
printf 'subjectAltName=DNS:localhost' >names
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem
SHELL

$ENV{SSL_CERT_FILE} = "$folder/ca.pem"; # of the risk service, and of what the test itself does
my $nats = TradingEngineNats->new('tls', tls => 1, config => <<"CONFIG")->start;
tls { cert_file: "$folder/server.pem", key_file: "$folder/server.key" }
CONFIG
my $node = engine('tls', nats => $nats, lanes => 1, conf => {
	'trading_engine.nats_ca_file' => "'$folder/ca.pem'",
	'trading_engine.risk_service' => 'on',
	'trading_engine.risk_deadline' => '1s',
	'trading_engine.risk_breaker_failures' => 1000000,
	'trading_engine.risk_breaker_calls' => 0 });
company($node, 'acme', tier => 'ENTERPRISE', users => ['ann'], equity => 1e9, strategy => {
	allowed_regimes => "trading.enum_labels('regime')",
	max_prediction_age_ms => 600000,
	duplicate_window_seconds => 0,
	max_position_count => 10000,
	position_sizing => "'FIXED_LOT'",
	fixed_lot => 1 });

# What became of so many predictions in one message: "status size, count".
my $message = 0;
sub assessed
{
	my ($count) = @_;
	$message++;
	$nats->publish($nats->batch(company => 'acme', predictions => [ map { $nats->prediction(prediction_id => "m$message-$_") } 1 .. $count ]));
	$node->poll_query_until('postgres', "SELECT count(*) = $count FROM trading.signals WHERE prediction_id LIKE 'm$message-%'")
	  or die "message $message is not decided\n";
	return value($node, "SELECT DISTINCT risk_status, position_size, count(*) OVER () FROM trading.signals WHERE prediction_id LIKE 'm$message-%'");
}

use_service($nats, '--level', 'LOW', '--size-share', 0.3);
is(assessed(1), 'ASSESSED|0.3|1', 'a question is answered');

my @of_lane = grep { ($_->{name} // '') =~ /trading_engine|lane/ } @{ $nats->connections };
cmp_ok(scalar @of_lane, '>=', 1, 'the lane is connected') or diag(explain($nats->connections));
is_deeply([ grep { !$_->{tls_version} } @of_lane ], [], 'through TLS');

is(assessed($_), "ASSESSED|0.3|$_", "$_ questions at once are answered") for 60, 3000;
wait_for($node, 'SELECT sum(risk_questions), sum(risk_waits) FROM trading.stat_workers', '3061|3', 'each message waited once');

# The service says nothing.
configure($node, 'trading_engine.risk_deadline' => '20ms', 'trading_engine.risk_memory_life' => 0);
$node->reload;
use_service($nats, '--wrong', 'silent');
wait_until('the settings count', sub { assessed(1) eq 'ERROR_FALLBACK|0.5|1' });
is(assessed(100), 'ERROR_FALLBACK|0.5|100', 'answers that do not come are not waited for');

# The broker says nothing, in the middle of it all.
$nats->pause;
my @ids = map { "sql$_" } 1 .. 5;
for my $id (@ids)
{
	$node->safe_psql('postgres', <<"SQL");
SELECT trading.submit(jsonb_build_object('company_id', 'acme', 'user_id', '_all', 'batch_id', '$id', 'producer_id', 'model',
	'generated_at', now(), 'predictions', jsonb_build_array(jsonb_build_object('prediction_id', '$id', 'symbol', 'EURUSD',
		'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.9))));
SQL
	wait_for($node, "SELECT risk_status, position_size FROM trading.signals WHERE prediction_id = '$id'", 'ERROR_FALLBACK|0.5',
		"a broker that hangs: $id is decided, conservatively");
}
$nats->resume;
configure($node, 'trading_engine.risk_deadline' => '1s');
$node->reload;
use_service($nats, '--level', 'LOW', '--size-share', 0.4);
$node->poll_query_until('postgres', q{SELECT bool_and(state = 'ready') FROM trading.stat_transports}) or die "the lane does not go on with its broker\n";
wait_until('the setting counts', sub { assessed(1) eq 'ASSESSED|0.4|1' });
is(assessed(60), 'ASSESSED|0.4|60', 'it goes on as before');
streams_match_table($node, $nats, 'through TLS');

stop_service();
$node->stop;
$nats->stop;
done_testing();
