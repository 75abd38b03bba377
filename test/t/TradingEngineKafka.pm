# TradingEngineKafka - a Kafka of a test's own, and what a test does with it.
#
#	my $kafka = TradingEngineKafka->new('main')->start;
#	my $node = engine('main', nats => $nats, conf => { 'trading_engine.kafka_brokers' => "'" . $kafka->brokers . "'" });
#	$kafka->publish($nats->batch(...), ...);         # the same messages as for NATS
#	my @messages = $kafka->dump('trading.signals');  # all partitions
#	$kafka->down; $kafka->up;                        # the log and the port stay
#	$kafka->pause; $kafka->resume;                   # neither answers nor closes its connections
#	$kafka->error('produce', 'REQUEST_TIMED_OUT', 3);
#
# It is librdkafka's mock cluster (test/tools/kafka_broker), in memory: kill9 and start
# give an empty one on another port.  Publishing and reading is done by te_kafka
# (test/tools/te_kafka).
package TradingEngineKafka;

use strict;
use warnings;

use parent 'TradingEngineMessages';

use IPC::Open2 ();
use IPC::Run;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my @running;

# Why there is no Kafka to test with, for a test's plan; undef where there is one.
sub missing
{
	my $status = system('sh', '-c', 'command -v kafka_broker te_kafka >/dev/null');
	return $status == 0 ? undef : 'built without librdkafka';
}

# Options: brokers (1); prefix (trading), lanes (2): the engine's topics are made at the start, with
# input_partitions (1) for each of input, and a partition per lane of output.  topics => 0: none.
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
	}, $class;
	return $self->init_messages;
}

sub start
{
	my ($self) = @_;
	$self->{pid} = IPC::Open2::open2($self->{answers}, $self->{commands},
		'kafka_broker', '--brokers', $self->{count});
	push @running, $self;
	$self->{brokers} = readline $self->{answers};
	die "kafka_broker didn't start\n" unless defined $self->{brokers};
	chomp $self->{brokers};
	$self->make_topics if $self->{topics};
	return $self;
}

sub brokers { my ($self) = @_; return $self->{brokers}; }

sub make_topics
{
	my ($self) = @_;
	$self->topic($_, $self->{input_partitions}) for qw(predictions market executions);
	$self->topic($_, $self->{lanes}) for qw(signals commands);
	$self->topic('control', 1);
	return;
}

# Make a topic, named without the prefix.
sub topic
{
	my ($self, $name, $partitions) = @_;
	return $self->command("topic $self->{prefix}.$name $partitions");
}

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

# Without a broker's number: all of them.
sub down { my ($self, @broker) = @_; return $self->command("down @broker"); }
sub up { my ($self, @broker) = @_; return $self->command("up @broker"); }
sub rtt { my ($self, $milliseconds) = @_; return $self->command("rtt $milliseconds"); }
sub error { my ($self, @words) = @_; return $self->command("error @words"); }
sub clear { my ($self) = @_; return $self->command('clear'); }

sub pause { my ($self) = @_; kill 'STOP', $self->{pid}; $self->{paused} = 1; return; }
sub resume { my ($self) = @_; kill 'CONT', $self->{pid}; $self->{paused} = 0; return; }

sub reap
{
	my ($self) = @_;
	my $pid = $self->{pid} or return;
	close $self->{commands};
	close $self->{answers};
	waitpid $pid, 0;
	$self->{pid} = undef;
	@running = grep { $_ != $self } @running;
	return;
}

sub stop { my ($self) = @_; $self->resume if $self->{paused}; return $self->reap; }
sub kill9 { my ($self) = @_; kill 'KILL', $self->{pid} if $self->{pid}; $self->{paused} = 0; return $self->reap; }

# Arguments that say where it is, for te_kafka and te_consumer.
sub client_arguments { my ($self) = @_; return ('--brokers', $self->{brokers}); }

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
	$_->kill9 for @running;
	$? = $status;
}

1;
