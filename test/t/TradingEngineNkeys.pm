# TradingEngineNkeys - NKeys and JWTs of NATS, and certificates of the past, for a test, made with the
# openssl program.
#
#	my $operator = nkey('operator');                 # seed, public, and what signs with it
#	my $account = nkey('account');
#	my $jwt = jwt($operator, $account, 'account', limits => { ... });
#	spew($file, creds($user_jwt, $user));            # a file of credentials
#	expired($folder, 'server', '-extfile', 'names');  # server.csr becomes server.old.pem, by ca.pem and ca.key
#
# An NKey is base32 over a type byte, the 32 bytes of an Ed25519 key, and a CRC-16; a seed has two
# type bytes.  A JWT is signed by the key of whoever issues it.
# https://docs.nats.io/using-nats/developer/connecting/nkey, https://docs.nats.io/using-nats/developer/connecting/creds
package TradingEngineNkeys;

use strict;
use warnings;

use Exporter 'import';
use JSON::PP;
use MIME::Base64 ();
use PostgreSQL::Test::Utils;

our @EXPORT = qw(nkey jwt creds spew expired);

my %types = (operator => 14 << 3, account => 0, user => 20 << 3);
my $seed_type = 18 << 3;

# Replaces a file, readable by its owner alone.
sub spew
{
	my ($file, $text) = @_;
	my $mask = umask 0077;
	open my $out, '>', "$file.new" or die "$file: $!";
	print $out $text;
	close $out;
	umask $mask;
	rename "$file.new", $file or die "$file: $!";
	return $file;
}

sub base32
{
	my ($bytes) = @_;
	my $bits = unpack 'B*', $bytes;
	$bits .= '0' x (-length($bits) % 5);
	return join '', map { ('A' .. 'Z', 2 .. 7)[oct "0b$_"] } $bits =~ /(.{5})/g;
}

sub crc16
{
	my ($bytes) = @_;
	my $crc = 0;
	for my $byte (unpack 'C*', $bytes)
	{
		$crc ^= $byte << 8;
		$crc = ($crc << 1 ^ ($crc & 0x8000 ? 0x1021 : 0)) & 0xffff for 1 .. 8;
	}
	return $crc;
}

sub encode { my ($bytes) = @_; return base32($bytes . pack 'v', crc16($bytes)); }

sub slurp_command
{
	my ($command) = @_;
	my $out = `$command`;
	die "$command failed\n" if $? != 0;
	return $out;
}

# A new pair: of an operator, account or user.
sub nkey
{
	my ($type) = @_;
	my $file = PostgreSQL::Test::Utils::tempdir("nkey_$type") . '/key.pem';
	slurp_command("openssl genpkey -algorithm ed25519 -out '$file'");
	# The raw keys are the last bytes of what DER has.
	my $private = substr slurp_command("openssl pkey -in '$file' -outform DER"), -32;
	my $public = substr slurp_command("openssl pkey -in '$file' -pubout -outform DER"), -32;
	my $byte = $types{$type};
	return {
		file => $file,
		public => encode(pack('C', $byte) . $public),
		seed => encode(pack('CC', $seed_type | $byte >> 5, ($byte & 31) << 3) . $private) };
}

sub base64url { my ($bytes) = @_; return MIME::Base64::encode_base64url($bytes); }

# What `issuer` says about `subject`.  Options: expires (seconds from now); the rest is for its
# type.
sub jwt
{
	my ($issuer, $subject, $type, %nats) = @_;
	my $json = JSON::PP->new->canonical;
	my $expires = delete $nats{expires};
	my $text = join '.', map { base64url($json->encode($_)) } (
		{ typ => 'JWT', alg => 'ed25519-nkey' },
		{
			jti => base32(pack 'N*', map { int rand 2**32 } 1 .. 8),
			iat => time() - 60,
			iss => $issuer->{public},
			sub => $subject->{public},
			name => $type,
			(defined $expires ? (exp => time() + $expires) : ()),
			nats => { type => $type, version => 2, %nats } });
	my $unsigned = spew("$issuer->{file}.unsigned", $text);
	return "$text." . base64url(slurp_command("openssl pkeyutl -sign -inkey '$issuer->{file}' -rawin -in '$unsigned'"));
}

# Certificates that had expired long ago.  Only "openssl ca" makes them with every version of openssl.
sub expired
{
	my ($folder, $name, @options) = @_;
	spew("$folder/ca.conf", <<'CONF');
[ca]
database=index
rand_serial=yes
new_certs_dir=.
default_md=sha256
unique_subject=no
policy=p
[p]
commonName=supplied
CONF
	system("cd '$folder' && touch index && openssl ca -batch -config ca.conf -name ca -cert ca.pem -keyfile ca.key -in $name.csr @options "
		. "-startdate 20200101000000Z -enddate 20200102000000Z -out $name.old.pem >expired.log 2>&1") == 0
	  or die "no expired certificate\n" . slurp_file("$folder/expired.log");
	return;
}

# A file of credentials, as nsc writes it.
sub creds
{
	my ($jwt, $user) = @_;
	return <<"CREDS";
-----BEGIN NATS USER JWT-----
$jwt
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.
NKEYs are sensitive and should be treated as secrets.

-----BEGIN USER NKEY SEED-----
$user->{seed}
------END USER NKEY SEED------

*************************************************************
CREDS
}

1;
