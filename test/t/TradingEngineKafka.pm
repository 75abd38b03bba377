# TradingEngineKafka - a Kafka of a test's own, and what a test does with it.
#
#	my $kafka = TradingEngineKafka->new('main')->start;
#	my $node = engine('main', nats => $nats, conf => { $kafka->settings });
#	$kafka->publish($nats->batch(...), ...);         # the same messages as for NATS
#	my @messages = $kafka->dump('trading.signals');  # all partitions
#	$kafka->down; $kafka->up;                        # the log and the port stay
#	$kafka->pause; $kafka->resume;                   # neither answers nor closes its connections
#	$kafka->error('produce', 'REQUEST_TIMED_OUT', 3);
#
# It is librdkafka's mock cluster (test/tools/kafka_broker), in memory: kill9 and start
# give an empty one on another port.  With TE_KAFKA_HOME, which scripts/check-kafka sets, it is
# an Apache Kafka of one node, which keeps what it has, but has no rtt and no error (mock says
# so).  Publishing and reading is done by te_kafka (test/tools/te_kafka).
package TradingEngineKafka;

use strict;
use warnings;

use parent 'TradingEngineMessages';

use IPC::Open2 ();
use IPC::Run;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use TradingEngineNkeys ();

my @running;

# Why there is no Kafka to test with, for a test's plan; undef where there is one.
sub missing
{
	my $status = system('sh', '-c', 'command -v kafka_broker te_kafka >/dev/null');
	return $status == 0 ? undef : 'built without librdkafka';
}

# Options: brokers (1); prefix (trading), lanes (2): the engine's topics are made at the start, with
# input_partitions (1) for each of input, and a partition per lane of output.  topics => 0: none.
# secure (as $TE_KAFKA_SECURITY says): Apache Kafka wants TLS and SCRAM-SHA-512, and at another
# port a certificate: settings and certificate_settings.
sub new
{
	my ($class, $name, %options) = @_;
	my $self = bless {
		name => $name,
		folder => PostgreSQL::Test::Utils::tempdir("kafka_$name"),
		count => $options{brokers} // 1,
		prefix => $options{prefix} // 'trading',
		lanes => $options{lanes} // 2,
		input_partitions => $options{input_partitions} // 1,
		topics => $options{topics} // 1,
		secure => $options{secure} // ($ENV{TE_KAFKA_SECURITY} // 'plaintext') eq 'sasl_ssl',
	}, $class;
	return $self->init_messages;
}

# Is it the mock, which can be told to fail?
sub mock { return !$ENV{TE_KAFKA_HOME}; }

sub start
{
	my ($self) = @_;
	push @running, $self;
	$self->mock ? $self->start_mock : $self->start_apache;
	$self->make_topics if $self->{topics} && !$self->{made}++;
	return $self;
}

sub start_mock
{
	my ($self) = @_;
	$self->{made} = 0;
	$self->{pid} = IPC::Open2::open2($self->{answers}, $self->{commands},
		'kafka_broker', '--brokers', $self->{count});
	$self->{brokers} = readline $self->{answers};
	die "kafka_broker didn't start\n" unless defined $self->{brokers};
	chomp $self->{brokers};
	return;
}

#----------------------------------------------------------------------
# Apache Kafka
#----------------------------------------------------------------------

sub java
{
	my ($self, @arguments) = @_;
	return ('java', '-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', "-Dlog4j.configuration=file:$self->{folder}/log4j.properties",
		'-cp', "$ENV{TE_KAFKA_HOME}/libs/*", @arguments);
}

sub write_file
{
	my ($self, $name, $text) = @_;
	open my $file, '>', "$self->{folder}/$name" or die "$name: $!";
	print $file $text;
	close $file;
	return "$self->{folder}/$name";
}

# Two certificate authorities; of the first the server's certificate, with its key in one file, and
# the engine's, one of each for the past; of the other a stranger's.
sub make_certificates
{
	my ($self) = @_;
	my $folder = $self->{folder};
	PostgreSQL::Test::Utils::system_or_bail('sh', '-c', "cd '$folder' && { set -e
		for ca in ca other; do openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=\$ca -keyout \$ca.key -out \$ca.pem; done
		openssl req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout server.key -out server.csr
		printf 'subjectAltName=IP:127.0.0.1' > san
		openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out server.pem
		cat server.key server.pem ca.pem > keystore.pem
		openssl req -newkey rsa:2048 -nodes -subj /CN=engine -keyout engine.key -out engine.csr
		openssl x509 -req -in engine.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out engine.pem
		openssl x509 -req -in engine.csr -CA other.pem -CAkey other.key -CAcreateserial -days 2 -out stranger.pem; } > openssl.log 2>&1");
	TradingEngineNkeys::expired($folder, 'server', '-extfile', 'san');
	TradingEngineNkeys::expired($folder, 'engine');
	return;
}

sub prepare_apache
{
	my ($self) = @_;
	my ($port, $inner, $controller, $cert) = map { PostgreSQL::Test::Cluster::get_free_port() } 1 .. 4;
	my $protocol = $self->{secure} ? 'SASL_SSL' : 'PLAINTEXT';
	my $cert_listener = $self->{secure} ? ",CERT://127.0.0.1:$cert" : '';
	$self->{brokers} = "127.0.0.1:$port";
	$self->{password} = sprintf '%08x%08x', rand 2**32, rand 2**32;
	$self->write_file('log4j.properties', <<"LOG");
log4j.rootLogger=WARN, file
log4j.appender.file=org.apache.log4j.FileAppender
log4j.appender.file.File=$self->{folder}/kafka.log
log4j.appender.file.layout=org.apache.log4j.PatternLayout
log4j.appender.file.layout.ConversionPattern=%d %p %m (%c)%n
LOG
	my $security = '';
	if ($self->{secure})
	{
		$self->{cert_broker} = "127.0.0.1:$cert";
		$self->make_certificates;
		$security = <<"SECURITY";
ssl.keystore.type=PEM
ssl.keystore.location=$self->{folder}/keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location=$self->{folder}/ca.pem
listener.name.cert.ssl.client.auth=required
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.client.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
SECURITY
		$self->write_file('password', "$self->{password}\n");
		$self->{config} = $self->write_file('client.conf', <<"CLIENT");
security.protocol=SASL_SSL
ssl.ca.location=$self->{folder}/ca.pem
sasl.mechanism=SCRAM-SHA-512
sasl.username=engine
sasl.password=$self->{password}
CLIENT
	}
	$self->{properties} = $self->write_file('server.properties', <<"PROPERTIES");
process.roles=broker,controller
node.id=1
controller.quorum.voters=1\@127.0.0.1:$controller
listeners=CLIENT://127.0.0.1:$port,INNER://127.0.0.1:$inner,CONTROLLER://127.0.0.1:$controller$cert_listener
advertised.listeners=CLIENT://127.0.0.1:$port,INNER://127.0.0.1:$inner$cert_listener
listener.security.protocol.map=CLIENT:$protocol,INNER:PLAINTEXT,CONTROLLER:PLAINTEXT,CERT:SSL
inter.broker.listener.name=INNER
controller.listener.names=CONTROLLER
log.dirs=$self->{folder}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
message.max.bytes=33554432
replica.fetch.max.bytes=33554432
$security
PROPERTIES
	my @users = $self->{secure} ? ('--add-scram', "SCRAM-SHA-512=[name=engine,password=$self->{password}]") : ();
	PostgreSQL::Test::Utils::system_or_bail('sh', '-c', 'exec "$0" "$@" > ' . "'$self->{folder}/format.log' 2>&1",
		$self->java('kafka.tools.StorageTool', 'format', '--cluster-id', 'dHJhZGluZy1lbmdpbmUtMQ', '--config', $self->{properties}, @users));
	return;
}

sub start_apache
{
	my ($self) = @_;
	$self->prepare_apache unless $self->{properties};
	my @command = $self->java('kafka.Kafka', $self->{properties});
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		open STDIN, '<', '/dev/null';
		open STDOUT, '>>', "$self->{folder}/kafka.out";
		open STDERR, '>&', \*STDOUT;
		exec @command or POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	while (($self->te_kafka('', 'ready'))[0] != 0)
	{
		die "Apache Kafka ended at once, see $self->{folder}/kafka.out\n" if waitpid($pid, POSIX::WNOHANG()) != 0;
		die "Apache Kafka doesn't answer, see $self->{folder}/kafka.out\n" if time() > $end;
		sleep 0.2;
	}
	return;
}

sub brokers { my ($self) = @_; return $self->{brokers}; }

# The engine's settings for it.
sub settings
{
	my ($self) = @_;
	return (
		'trading_engine.kafka_brokers' => "'$self->{brokers}'",
		(!$self->{config} ? () : (
			'trading_engine.kafka_security_protocol' => 'sasl_ssl',
			'trading_engine.kafka_ca_file' => "'$self->{folder}/ca.pem'",
			'trading_engine.kafka_sasl_mechanism' => "'SCRAM-SHA-512'",
			'trading_engine.kafka_sasl_username' => 'engine',
			'trading_engine.kafka_sasl_password_file' => "'$self->{folder}/password'")));
}

# The same for the port that wants a certificate.
sub certificate_settings
{
	my ($self) = @_;
	return (
		'trading_engine.kafka_brokers' => "'$self->{cert_broker}'",
		'trading_engine.kafka_security_protocol' => 'ssl',
		'trading_engine.kafka_ca_file' => "'$self->{folder}/ca.pem'",
		'trading_engine.kafka_cert_file' => "'$self->{folder}/engine.pem'",
		'trading_engine.kafka_key_file' => "'$self->{folder}/engine.key'");
}

sub make_topics
{
	my ($self) = @_;
	$self->topic($_, $self->{input_partitions}) for qw(predictions market executions);
	$self->topic($_, $self->{lanes}) for qw(signals commands resent);
	$self->topic('control', 1);
	return;
}

# Make a topic, named without the prefix.
sub topic
{
	my ($self, $name, $partitions) = @_;
	return $self->command("topic $self->{prefix}.$name $partitions") if $self->mock;
	$self->te_kafka_ok('', 'topic', "$self->{prefix}.$name", $partitions);
	return;
}

# More partitions for a topic, or none of it any more; not with the mock cluster.
sub extend { my ($self, $name, $partitions) = @_; $self->te_kafka_ok('', 'extend', "$self->{prefix}.$name", $partitions); return; }
sub delete_topic { my ($self, $name) = @_; $self->te_kafka_ok('', 'delete', "$self->{prefix}.$name"); return; }

# A command of kafka_broker; dies where it refuses.
sub command
{
	my ($self, $line) = @_;
	print { $self->{commands} } "$line\n";
	$self->{commands}->flush;
	my $answer = readline $self->{answers};
	die "kafka_broker: $line: " . ($answer // "it is gone\n") unless defined $answer && $answer eq "ok\n";
	return;
}

# Without a broker's number: all of them.  Apache Kafka is killed for that, and started again.
sub down
{
	my ($self, @broker) = @_;
	return $self->mock ? $self->command("down @broker") : $self->kill9;
}

sub up
{
	my ($self, @broker) = @_;
	return $self->mock ? $self->command("up @broker") : $self->start;
}

sub rtt { my ($self, $milliseconds) = @_; return $self->command("rtt $milliseconds"); }
sub error { my ($self, @words) = @_; return $self->command("error @words"); }
sub clear { my ($self) = @_; return $self->command('clear'); }

sub pause { my ($self) = @_; kill 'STOP', $self->{pid}; $self->{paused} = 1; return; }
sub resume { my ($self) = @_; kill 'CONT', $self->{pid}; $self->{paused} = 0; return; }

sub reap
{
	my ($self) = @_;
	my $pid = $self->{pid} or return;
	close $self->{commands} if $self->{commands};
	close $self->{answers} if $self->{answers};
	delete @$self{qw(commands answers)};
	waitpid $pid, 0;
	$self->{pid} = undef;
	@running = grep { $_ != $self } @running;
	return;
}

sub stop
{
	my ($self) = @_;
	$self->resume if $self->{paused};
	kill 'TERM', $self->{pid} if $self->{pid} && !$self->mock;
	return $self->reap;
}

sub kill9 { my ($self) = @_; kill 'KILL', $self->{pid} if $self->{pid}; $self->{paused} = 0; return $self->reap; }

# Arguments that say where it is, for te_kafka and te_consumer.
sub client_arguments
{
	my ($self) = @_;
	return ('--brokers', $self->{brokers}, $self->{config} ? ('--config', $self->{config}) : ());
}


# te_kafka with arguments; returns (exit status, output, error output).
sub te_kafka
{
	my ($self, $input, @arguments) = @_;
	my ($out, $err) = ('', '');
	# Megabytes take minutes from a variable: IPC::Run copies what is left of it at every turn.
	my $from = "$self->{folder}/input";
	unlink $from;
	append_to_file($from, $input);
	IPC::Run::run([ 'te_kafka', $self->client_arguments, @arguments ],
		'<', $from, '>', \$out, '2>', \$err);
	return ($? >> 8, $out, $err);
}

sub te_kafka_ok
{
	my ($self, $input, @arguments) = @_;
	my ($status, $out, $err) = $self->te_kafka($input, @arguments);
	die "te_kafka @arguments: $err$out\n" if $status != 0;
	return $out;
}

# Publish messages (see test/tools/te_kafka/publish.c); returns the acknowledgements, dies when one is refused.
sub publish
{
	my ($self, @lines) = @_;
	return $self->decode_lines($self->te_kafka_ok($self->encode_lines(@lines), 'pub-json'));
}

# All messages of topics, decoded, one partition after the other.
sub dump
{
	my ($self, @topics) = @_;
	return $self->decode_lines($self->te_kafka_ok('', 'dump', @topics));
}

# What a careful consumer finds in the topics; "clean" says whether nothing is wrong.
sub check
{
	my ($self, @topics) = @_;
	my ($status, $out, $err) = $self->te_kafka('', 'check', @topics);
	die "te_kafka check @topics: $err\n" if $out eq '';
	return { %{ $self->{json}->decode($out) }, clean => $status == 0 };
}

sub info { my ($self, $topic) = @_; return ($self->decode_lines($self->te_kafka_ok('', 'info', $topic)))[0]; }
sub messages { my ($self, $topic) = @_; return $self->info($topic)->{messages}; }

sub wait_for_messages
{
	my ($self, $topic, $count, $seconds) = @_;
	$seconds //= $PostgreSQL::Test::Utils::timeout_default;
	return $self->te_kafka_ok('', 'wait', $topic, $count, '--seconds', $seconds);
}

# Predictions at a steady rate, in the background; finish_load() the handle for the summary.
sub start_load
{
	my ($self, @arguments) = @_;
	my $load = { out => '', err => '' };
	$load->{run} = IPC::Run::start([ 'te_kafka', $self->client_arguments, 'load', @arguments ],
		'<', \undef, '>', \$load->{out}, '2>', \$load->{err});
	return $load;
}

sub finish_load
{
	my ($self, $load) = @_;
	IPC::Run::finish($load->{run});
	die "te_kafka load: $load->{err}\n" if $load->{out} eq '';
	return $self->{json}->decode($load->{out});
}

# Whatever a test that died left running.
END
{
	my $status = $?;
	$_->kill9 for my @left = @running; # each takes itself off the list
	$? = $status;
}

1;
