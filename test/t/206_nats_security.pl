# NATS with TLS, client certificates, NKeys, passwords and credentials of a JWT: the engine works with
# each; whatever is wrong with a file is said, in the log and in a view, by the name of its setting,
# and is over as soon as the file is mended; and no secret is ever shown.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;
use TradingEngineNkeys;
use TradingEngineRun;

plan skip_all => 'no openssl program to make keys and certificates' if system('command -v openssl >/dev/null 2>&1') != 0;

my $folder = PostgreSQL::Test::Utils::tempdir('security');
system(<<"SHELL") == 0 or die "no certificates\n" . slurp_file("$folder/log");
cd '$folder' && exec >log 2>&1 && set -e
for ca in ca other; do openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=\$ca -keyout \$ca.key -out \$ca.pem; done
printf 'subjectAltName=DNS:localhost' >names
for name in server engine tester; do
	subject=\$name
	[ \$name != server ] || subject=localhost
	openssl req -newkey rsa:2048 -nodes -subj /CN=\$subject -keyout \$name.key -out \$name.csr
	openssl x509 -req -in \$name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out \$name.pem
done
cp server.pem in_use.pem
SHELL
expired($folder, $_, '-extfile', 'names') for qw(server engine tester);
$ENV{SSL_CERT_FILE} = "$folder/ca.pem"; # of what the test itself does
@ENV{qw(NATS_CERT NATS_KEY)} = ("$folder/tester.pem", "$folder/tester.key");

my ($user, $stranger) = (nkey('user'), nkey('user'));
my $nats = TradingEngineNats->new('security', tls => 1, login => 'tester:as-a-test', config => <<"CONFIG")->start;
tls { cert_file: "$folder/in_use.pem", key_file: "$folder/server.key", ca_file: "$folder/ca.pem", verify: true, timeout: 10 }
authorization { timeout: 10, users: [ { nkey: $user->{public} }, { user: engine, password: "open-sesame" }, { user: tester, password: "as-a-test" } ] }
CONFIG

# What the engine is told: files of its own, so that one can be spoilt and mended.
my %file = map { $_ => "$folder/engine_$_" } qw(ca cert key nkey password credentials);
my %good = (
	ca => slurp_file("$folder/ca.pem"), cert => slurp_file("$folder/engine.pem"), key => slurp_file("$folder/engine.key"),
	nkey => "$user->{seed}\n", password => "open-sesame\n");
spew($file{$_}, $good{$_}) for keys %good;
my %tls = map { ("trading_engine.nats_${_}_file" => "'$file{$_}'") } qw(ca cert key);
# The server must know the authority by its setting alone.
my $authority = delete $ENV{SSL_CERT_FILE};
my $node = engine('security', nats => $nats, lanes => 1, conf => {
	%tls, 'trading_engine.nats_nkey_file' => "'$file{nkey}'", 'trading_engine.restart_delay' => '100ms', 'trading_engine.restart_delay_max' => '1s',
	log_min_messages => 'debug5' });
$ENV{SSL_CERT_FILE} = $authority;
company($node, 'acme', users => ['ann'], equity => 1e9, strategy => {
	allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 600000 });

# A prediction becomes a signal on the stream.
my $signals = 0;
sub works
{
	my ($broker, $name) = @_;
	$broker->publish($broker->batch(company => 'acme', user => 'ann'));
	$signals++;
	wait_for($node, 'SELECT count(*) FROM trading.signals', $signals, "$name: a prediction becomes a signal") or die;
	wait_for($node, q{SELECT (o.nats_epoch, o.nats_seq) = (o.epoch, o.last_seq), t.state FROM trading.lane_output AS o JOIN trading.stat_transports AS t USING (lane)
		WHERE t.transport = 'nats'}, 't|ready', "$name: which is acknowledged");
	return;
}

# The broker's connection is cut; then the view says `pattern`, and the log says it too, though not
# again what it said a moment ago.
sub fails
{
	my ($broker, $pattern, $name, %start) = @_;
	$broker->stop;
	$broker->start(%start);
	wait_for($node, "SELECT last_error ~ '$pattern' AND state <> 'ready' FROM trading.stat_transports WHERE transport = 'nats'", 't', "$name is said by the view")
	  or diag(value($node, 'SELECT * FROM trading.stat_transports'));
	wait_until("$name is said by the log", sub { slurp_file($node->logfile) =~ /LOG: .*lane 0 has trouble with NATS\n.*DETAIL: .*$pattern/ });
	pass('and by the log');
	return;
}

works($nats, 'certificate and NKey');
my $connections = $nats->connections;
is_deeply([ map { [ $_->{authorized_user}, !!$_->{tls_version} ] } grep { $_->{name} eq 'trading_engine' } @$connections ], [ [ $user->{public}, 1 ] ],
	'the broker knows the engine by its NKey, through TLS') or diag(explain($connections));

# Files that are spoilt, and what is said.
my $unreadable = sub { chmod 0000, $_[0] or die };
my @spoilt = (
	[ nkey => "$stranger->{seed}\n", 'check nats_nkey_file: .*uthorization', 'another NKey' ],
	[ nkey => "$user->{public}\n", 'nats_nkey_file has no line that is a user\'s seed', 'a file without a seed' ],
	[ nkey => $unreadable, 'cannot read nats_nkey_file: Permission denied', 'a seed that can\'t be read' ],
	[ ca => slurp_file("$folder/other.pem"), 'check nats_ca_file, nats_cert_file and nats_key_file: .*issuer', 'another authority' ],
	[ cert => slurp_file("$folder/engine.old.pem"), 'the certificate in nats_cert_file expired at 2020-01-02', 'an old certificate' ],
	[ key => slurp_file("$folder/tester.key"), 'the key in nats_key_file is not that of the certificate in nats_cert_file', 'another key' ],
	[ key => undef, 'cannot read nats_key_file: No such file', 'no key' ]);
for my $case (@spoilt)
{
	my ($what, $how, $pattern, $name) = @$case;
	$pattern =~ s/'/./g;
	if (!defined $how) { unlink $file{$what} }
	elsif (ref $how) { $how->($file{$what}) }
	else { spew($file{$what}, $how) }
	fails($nats, $pattern, $name);
	spew($file{$what}, $good{$what});
	works($nats, "$name, mended");
}

# The server's own certificate.
system('cp', "$folder/server.old.pem", "$folder/in_use.pem") == 0 or die;
fails($nats, 'check nats_ca_file, nats_cert_file and nats_key_file: .*expired', 'an old certificate of the server', wait => 0);
system('cp', "$folder/server.pem", "$folder/in_use.pem") == 0 or die;
$nats->restart;
works($nats, 'the server\'s certificate, mended');

# User and password.
configure($node, 'trading_engine.nats_nkey_file' => "''", 'trading_engine.nats_username' => 'engine',
	'trading_engine.nats_password_file' => "'$file{password}'");
$node->reload;
wait_for($node, q{SELECT server LIKE 'tls://%' AND state = 'ready' FROM trading.stat_transports WHERE transport = 'nats'}, 't', 'password: connected');
works($nats, 'password');
ok((grep { ($_->{authorized_user} // '') eq 'engine' } @{ $nats->connections }), 'the broker knows the engine by its name');
spew($file{password}, "open-barley\n");
fails($nats, 'check nats_username and nats_password_file: .*uthorization', 'a wrong password');
spew($file{password}, $good{password});
works($nats, 'the password, mended');
streams_match_table($node, $nats, 'after it all');

# Contradictory settings are refused, for the lane can't guess which to take.
configure($node, 'trading_engine.nats_nkey_file' => "'$file{nkey}'");
$node->reload;
wait_for($node, q{SELECT reason FROM trading.stat_workers}, "the link to NATS can't be set up: of nats_password_file, nats_nkey_file and nats_credentials_file only one can be set",
	'two kinds of credentials: the lane says what is wrong');
configure($node, 'trading_engine.nats_nkey_file' => "''");
$node->reload;
wait_for($node, q{SELECT state FROM trading.stat_transports WHERE transport = 'nats'}, 'ready', 'one kind again: connected');
works($nats, 'one kind again');

# A broker whose users are known by JWTs: an operator vouches for an account, the account for users.
my ($operator, $system, $account, $other_account) = (nkey('operator'), map { nkey('account') } 1 .. 3);
my %limits = (map({ $_ => -1 } qw(subs data payload imports exports conn leaf)), wildcards => JSON::PP::true);
my %rights = (pub => {}, sub => {}, subs => -1, data => -1, payload => -1);
my $operator_jwt = jwt($operator, $operator, 'operator');
my $system_jwt = jwt($operator, $system, 'account', limits => \%limits);
my $account_jwt = jwt($operator, $account, 'account', limits => { %limits, map { $_ => -1 } qw(mem_storage disk_storage streams consumer) });
$good{credentials} = creds(jwt($account, $user, 'user', %rights), $user);
spew($file{credentials}, $good{credentials});
delete @ENV{qw(NATS_CERT NATS_KEY)};
my $tester = nkey('user');
local $ENV{NATS_CREDS} = spew("$folder/tester.creds", creds(jwt($account, $tester, 'user', %rights), $tester));
my $jwts = TradingEngineNats->new('jwts', tls => 1, config => <<"CONFIG")->start;
tls { cert_file: "$folder/in_use.pem", key_file: "$folder/server.key", timeout: 10 }
operator: "$operator_jwt"
resolver: MEMORY
resolver_preload: { $system->{public}: "$system_jwt", $account->{public}: "$account_jwt" }
system_account: $system->{public}
CONFIG
configure($node, map({ ("trading_engine.nats_$_" => "''") } qw(username password_file cert_file key_file)),
	'trading_engine.nats_url' => "'" . $jwts->url . "'", 'trading_engine.nats_credentials_file' => "'$file{credentials}'");
$node->reload;
wait_for($node, "SELECT server, state FROM trading.stat_transports WHERE transport = 'nats'", $jwts->url . '|ready', 'credentials: connected');
works($jwts, 'credentials');
ok((grep { ($_->{jwt} // '') ne '' && $_->{name} =~ /trading_engine|lane/ } @{ $jwts->connections }), 'the broker knows the engine by its JWT');
for my $case (
	[ creds(jwt($other_account, $user, 'user', %rights), $user), 'a JWT of an unknown account' ],
	[ creds(jwt($account, $user, 'user', %rights, expires => -60), $user), 'an expired JWT' ],
	[ creds(jwt($account, $stranger, 'user', %rights), $user), 'another\'s JWT' ])
{
	my ($text, $name) = @$case;
	spew($file{credentials}, $text);
	fails($jwts, 'check nats_credentials_file: .*uth', $name);
	spew($file{credentials}, $good{credentials});
	works($jwts, "$name, mended");
}
unlink $file{credentials};
fails($jwts, 'cannot read nats_credentials_file: No such file', 'no credentials');
spew($file{credentials}, $good{credentials});
works($jwts, 'credentials, mended');

# Nothing of it was ever shown.
my @secrets = ('open-sesame', 'open-barley', map { $_->{seed} } $user, $stranger);
push @secrets, (split /\n/, $good{key})[1], ($good{credentials} =~ /^(eyJ.*)$/m);
my $log = slurp_file($node->logfile);
my $shown = join '', map { value($node, "SELECT COALESCE(string_agg(t::text, ' '), '') FROM $_ AS t") }
  qw(pg_stat_activity pg_settings pg_db_role_setting trading.stat_transports trading.stat_workers trading.health());
for my $secret (@secrets)
{
	my $name = substr($secret, 0, 6) . '...';
	unlike($log, qr/\Q$secret\E/, "the log at debug5 has no secret ($name)");
	unlike($shown, qr/\Q$secret\E/, "nor have the views, even for a superuser ($name)");
}

# Who isn't a superuser isn't even told where the files are; nor are tenants told of brokers.
value($node, 'CREATE ROLE tenant LOGIN IN ROLE trading_tenant; CREATE ROLE nobody_at_all LOGIN');
my @settings = qw(nats_url nats_username nats_password_file nats_nkey_file nats_credentials_file nats_ca_file nats_cert_file nats_key_file
  kafka_brokers kafka_sasl_username kafka_sasl_password_file kafka_ca_file kafka_cert_file kafka_key_file);
for my $role ('tenant', 'nobody_at_all')
{
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_settings WHERE name IN (" . join(', ', map { "'trading_engine.$_'" } @settings) . ')',
		connstr => $node->connstr('postgres') . " user=$role"), 0, "$role sees none of the settings");
	for my $setting (@settings)
	{
		my (undef, undef, $err) = $node->psql('postgres', "SHOW trading_engine.$setting", connstr => $node->connstr('postgres') . " user=$role");
		like($err, qr/must be superuser|permission denied/, "$role can't show $setting");
	}
	for my $statement ('SELECT * FROM trading.stat_transports', 'SELECT * FROM trading.read_transports()', 'SELECT * FROM trading.health()',
		'SET trading_engine.nats_password_file = \'/etc/passwd\'')
	{
		my (undef, undef, $err) = $node->psql('postgres', $statement, connstr => $node->connstr('postgres') . " user=$role");
		like($err, qr/permission denied/, "$role: $statement");
	}
}

$node->stop;
$jwts->stop;
$nats->stop;
done_testing();
