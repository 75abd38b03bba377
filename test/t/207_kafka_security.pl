# Kafka with TLS, SCRAM and client certificates: the engine works with each; whatever is wrong is
# said, in the log and in a view, by the name of its setting, and is over as soon as it is mended;
# and no secret is ever shown.  The mock cluster speaks neither TLS nor SASL: with it only what is
# found before, and that nothing is sent to a broker that isn't the right one.  Whose certificate has
# expired is found in the handshake, before Kafka's protocol: with openssl's server.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineKafka;
use TradingEngineNkeys;
use TradingEngineRun;

if (my $why = TradingEngineKafka::missing()) { plan skip_all => $why }

my $kafka = TradingEngineKafka->new('security', lanes => 1, secure => 1)->start;
my $mock = $kafka->mock;
my $node = engine('security', lanes => 1, conf => {
	$kafka->settings, log_min_messages => 'debug5',
	'trading_engine.restart_delay' => '100ms', 'trading_engine.restart_delay_max' => '1s' });
company($node, 'acme', users => ['ann'], equity => 1e9, strategy => {
	allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 600000 });

# The lane starts anew with other settings, and connects anew.
my $timeout = 5000;
sub with
{
	my (%conf) = @_;
	configure($node, %conf, 'trading_engine.kafka_ack_timeout' => ++$timeout);
	$node->reload;
	return;
}

my $signals = 0;
sub works
{
	my ($name) = @_;
	wait_for($node, q{SELECT state FROM trading.stat_transports WHERE transport = 'kafka'}, 'ready', "$name: connected") or die;
	$kafka->publish($kafka->batch(company => 'acme', user => 'ann'));
	$signals++;
	wait_for($node, 'SELECT count(*) FROM trading.signals', $signals, "$name: a prediction becomes a signal") or die;
	wait_for($node, 'SELECT (kafka_epoch, kafka_seq) = (epoch, last_seq) FROM trading.lane_output', 't', "$name: which is acknowledged");
	return;
}

sub fails
{
	my ($pattern, $name, %conf) = @_;
	my $offset = -s $node->logfile;
	with(%conf);
	wait_for($node, "SELECT last_error ~ '$pattern' AND state <> 'ready' FROM trading.stat_transports WHERE transport = 'kafka'", 't', "$name is said by the view")
	  or diag(value($node, 'SELECT * FROM trading.stat_transports'));
	wait_until("$name is said by the log", sub { slurp_file($node->logfile, $offset)
		=~ /(?:LOG|WARNING): .*(?:lane 0 has trouble with Kafka|the link of lane 0 to Kafka can't be set up)\n.*DETAIL: .*$pattern/ });
	pass('and by the log');
	return;
}

works('as it should be');

my $folder = $kafka->{folder};
$kafka->make_certificates if $mock;
# The second is no Kafka either, but nothing is wrong with its certificate.
for my $server ([ 'server.old.pem', ', check kafka_security_protocol and kafka_ca_file: .*certificate verify failed', 'a server whose certificate has expired' ],
	[ 'server.pem', '(?!,)', 'a server that says nothing' ])
{
	my ($certificate, $complaint, $name) = @$server;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $said = '';
	my $run = IPC::Run::start([ 'openssl', 's_server', '-accept', "127.0.0.1:$port", '-cert', "$folder/$certificate", '-key', "$folder/server.key" ],
		'<', \undef, '>', \$said, '2>', \$said);
	fails("cannot connect to 127.0.0.1:$port$complaint", $name, 'trading_engine.kafka_brokers' => "'127.0.0.1:$port'", 'trading_engine.kafka_security_protocol' => 'ssl',
		'trading_engine.kafka_ca_file' => "'$folder/ca.pem'");
	$run->kill_kill;
}
with('trading_engine.kafka_security_protocol' => 'plaintext', 'trading_engine.kafka_ca_file' => "''", $kafka->settings);
works('the right server');

my $password = spew("$folder/engine.password", "open-sesame\n");
my $kept = "trading_engine.kafka_sasl_password_file";
if ($mock)
{
	my %tls = ('trading_engine.kafka_security_protocol' => 'sasl_ssl', 'trading_engine.kafka_sasl_username' => 'engine',
		'trading_engine.kafka_sasl_password_file' => "'$password'");
	fails('check kafka_security_protocol and kafka_ca_file: .*SSL', 'a broker without TLS', %tls);
	fails('cannot read kafka_sasl_password_file: No such file', 'no password file', $kept => "'$folder/none'");
	fails('kafka_ca_file has no certificate in PEM format', 'a CA file that is none', $kept => "'$password'",
		'trading_engine.kafka_ca_file' => "'$password'");
	fails('certificates are set, but kafka_security_protocol doesn.t encrypt', 'a contradiction', 'trading_engine.kafka_security_protocol' => 'plaintext');
	fails('kafka_security_protocol with SASL needs kafka_sasl_username and kafka_sasl_password_file', 'SASL without a user',
		'trading_engine.kafka_security_protocol' => 'sasl_ssl', 'trading_engine.kafka_sasl_username' => "''", 'trading_engine.kafka_ca_file' => "''");
	with('trading_engine.kafka_security_protocol' => 'plaintext');
	works('mended');
}
else
{
	my ($good) = slurp_file("$folder/password") =~ /(.*)/;
	spew($password, "$good\n");
	with($kept => "'$password'");
	works('another file with the password');

	# Files are spoilt and mended, and nothing else.
	spew($password, "open-sesame\n");
	fails('check kafka_sasl_mechanism, kafka_sasl_username and kafka_sasl_password_file: ', 'a wrong password');
	spew($password, "$good\n");
	works('the password, mended');
	my $authorities = spew("$folder/engine.ca", slurp_file("$folder/other.pem"));
	fails('check kafka_security_protocol and kafka_ca_file: .*certificate verify failed', 'another authority', 'trading_engine.kafka_ca_file' => "'$authorities'");
	spew($authorities, slurp_file("$folder/ca.pem"));
	works('the authority, mended');
	unlink $password;
	fails('cannot read kafka_sasl_password_file: No such file', 'no password');
	spew($password, "$good\n");
	works('the password, there again');

	# By certificate.
	my %file = map { $_ => spew("$folder/engine_in_use.$_", slurp_file("$folder/engine.$_")) } qw(pem key);
	with($kafka->certificate_settings, 'trading_engine.kafka_cert_file' => "'$file{pem}'", 'trading_engine.kafka_key_file' => "'$file{key}'");
	works('a client certificate');
	spew($file{pem}, slurp_file("$folder/engine.old.pem"));
	fails('the certificate in kafka_cert_file expired at', 'an old certificate');
	spew($file{pem}, slurp_file("$folder/server.pem"));
	fails('the key in kafka_key_file is not that of the certificate in kafka_cert_file', 'another certificate');
	spew($file{pem}, slurp_file("$folder/stranger.pem"));
	fails('check kafka_ca_file, kafka_cert_file and kafka_key_file: ', 'a certificate of an unknown authority');
	spew($file{pem}, slurp_file("$folder/engine.pem"));
	works('the certificate, mended');
}

# Nothing of it was ever shown.
my @secrets = ('open-sesame', $mock ? () : ($kafka->{password}, (split /\n/, slurp_file("$folder/engine.key"))[1]));
my $log = slurp_file($node->logfile);
my $shown = join '', map { value($node, "SELECT COALESCE(string_agg(t::text, ' '), '') FROM $_ AS t") }
  qw(pg_stat_activity pg_settings pg_db_role_setting trading.stat_transports trading.stat_workers trading.health());
for my $secret (@secrets)
{
	my $name = substr($secret, 0, 4) . '...';
	unlike($log, qr/\Q$secret\E/, "the log at debug5 has no secret ($name)");
	unlike($shown, qr/\Q$secret\E/, "nor have the views, even for a superuser ($name)");
}

$node->stop;
$kafka->stop;
done_testing();
