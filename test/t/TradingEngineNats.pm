# TradingEngineNats - a nats-server of a test's own, and what a test does with it.
#
#	my $nats = TradingEngineNats->new('main');       # a free port, an empty store
#	$nats->start;
#	$nats->publish({ subject => ..., type => ..., payload => {...} }, ...);
#	my @messages = $nats->dump('trading_output_0');
#	my $verdict = $nats->check('trading_output_0');
#	$nats->kill9; $nats->start;                      # the store stays
#
# Publishing and reading is done by te_nats (test/tools/te_nats); TradingEngineMessages
# makes messages to publish.
package TradingEngineNats;

use strict;
use warnings;

use parent 'TradingEngineMessages';

use HTTP::Tiny;
use IPC::Run;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my @running;

# A link to the server that can be bad: proxy() gives an object whose url the engine is told, with
#	delay(MIN, MAX)  milliseconds for whatever the server says
#	drop('in'|'out'|'both'), heal, cut      see test/tools/tcp_proxy
sub proxy { my ($self) = @_; return TradingEngineProxy->start($self->{port}); }

# Does the kernel let this user mount, in a namespace of its own?
sub can_mount { return system('unshare --user --map-current-user --keep-caps --mount true 2>/dev/null') == 0; }

# Options: disk => "12m": the store is a memory file system of that size, empty at each start;
# config => lines for nats-server's configuration file, js => lines for its jetstream block,
# tls => 1: clients reach it by TLS, as localhost; their authority is that of $SSL_CERT_FILE;
# login => 'user:password': of the test itself, where the server asks who it is; see te_nats.
sub new
{
	my ($class, $name, %options) = @_;
	my $folder = PostgreSQL::Test::Utils::tempdir("nats_$name");
	my $self = bless {
		name => $name,
		folder => $folder,
		port => PostgreSQL::Test::Cluster::get_free_port(),
		config => $options{config} // '',
		disk => $options{disk},
		js => $options{js} // '',
		tls => $options{tls},
		login => defined $options{login} ? "$options{login}\@" : '',
	}, $class;
	return $self->init_messages;
}

sub address { my ($self, $login) = @_; return ($self->{tls} ? "tls://${login}localhost" : "nats://${login}127.0.0.1") . ":$self->{port}"; }
sub url { my ($self) = @_; return $self->address(''); }
sub own_url { my ($self) = @_; return $self->address($self->{login}); }
sub port { return $_[0]->{port}; }
sub store { return "$_[0]->{folder}/store"; }
sub log_file { return "$_[0]->{folder}/nats.log"; }

# Options: wait (0: not until it answers).
sub start
{
	my ($self, %options) = @_;
	my $config = "$self->{folder}/nats.conf";
	$self->{monitor} //= PostgreSQL::Test::Cluster::get_free_port();
	open my $file, '>', $config or die "$config: $!";
	print $file <<"CONFIG";
listen: "127.0.0.1:$self->{port}"
http: "127.0.0.1:$self->{monitor}"
server_name: "$self->{name}"
pid_file: "$self->{folder}/nats.pid"
log_file: "$self->{folder}/nats.log"
jetstream {
	store_dir: "$self->{folder}/store"
	max_memory_store: 256MB
	max_file_store: 64GB
	$self->{js}
}
$self->{config}
CONFIG
	close $file;

	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		open STDIN, '<', '/dev/null';
		open STDOUT, '>>', "$self->{folder}/nats.out";
		open STDERR, '>&', \*STDOUT;
		mkdir $self->store;
		my @mounted = ('unshare', '--user', '--map-current-user', '--keep-caps', '--mount', 'sh', '-c',
			'mount -t tmpfs -o size="$0" tmpfs "$1" && shift && exec "$@"', $self->{disk} // '', $self->store)
		  if defined $self->{disk};
		exec @mounted, 'nats-server', '-c', $config or POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	push @running, $self;
	$self->wait_until_ready if $options{wait} // 1;
	return $self;
}

# JetStream answers: listening alone is not enough after a crash.
sub wait_until_ready
{
	my ($self) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	while (time() < $end)
	{
		my ($out, $err);
		return
		  if IPC::Run::run([ 'te_nats', '--url', $self->own_url, 'js-api', '$JS.API.INFO' ],
			'>', \$out, '2>', \$err);
		if (waitpid($self->{pid}, POSIX::WNOHANG()) != 0)
		{
			$self->{pid} = undef;
			die "nats-server ended at once, see " . $self->log_file . "\n"
			  . PostgreSQL::Test::Utils::slurp_file($self->log_file);
		}
		sleep 0.05;
	}
	die "nats-server on port $self->{port} does not answer\n";
}

sub signal_and_reap
{
	my ($self, $signal) = @_;
	my $pid = $self->{pid} or return;
	kill $signal, $pid;
	waitpid $pid, 0;
	$self->{pid} = undef;
	@running = grep { $_ != $self } @running;
	return;
}

sub stop { my ($self) = @_; $self->resume if $self->{paused}; return $self->signal_and_reap('TERM'); }
sub kill9 { my ($self) = @_; $self->{paused} = 0; return $self->signal_and_reap('KILL'); }
sub restart { my ($self) = @_; $self->stop; return $self->start; }

# A server that neither answers nor closes its sockets.
sub pause { my ($self) = @_; kill 'STOP', $self->{pid}; $self->{paused} = 1; return; }
sub resume { my ($self) = @_; kill 'CONT', $self->{pid}; $self->{paused} = 0; return; }

# What the server knows of its clients, such as how they have proved who they are.
sub connections
{
	my ($self) = @_;
	my $answer = HTTP::Tiny->new->get("http://127.0.0.1:$self->{monitor}/connz?auth=1");
	return $self->{json}->decode($answer->{content})->{connections};
}

# Throw away everything that the broker has stored.
sub wipe
{
	my ($self) = @_;
	die "stop the server first" if $self->{pid};
	system('rm', '-rf', $self->store) == 0 or die "rm failed";
	return;
}

# te_nats with arguments; returns (exit status, output, error output).
sub te_nats
{
	my ($self, $input, @arguments) = @_;
	my ($out, $err) = ('', '');
	# Megabytes take minutes from a variable: IPC::Run copies what is left of it at every turn.
	my $from = "$self->{folder}/input";
	unlink $from;
	append_to_file($from, $input);
	IPC::Run::run([ 'te_nats', '--url', $self->own_url, @arguments ], '<', $from, '>', \$out, '2>', \$err);
	return ($? >> 8, $out, $err);
}

sub te_nats_ok
{
	my ($self, $input, @arguments) = @_;
	my ($status, $out, $err) = $self->te_nats($input, @arguments);
	die "te_nats @arguments: $err$out\n" if $status != 0;
	return $out;
}

# Publish messages (see test/tools/common/message.h); returns the acknowledgements, dies when one is refused.
sub publish
{
	my ($self, @lines) = @_;
	my $input = $self->encode_lines(@lines);
	return $self->decode_lines($self->te_nats_ok($input, 'pub-json'));
}

# All messages of a stream, decoded.
sub dump
{
	my ($self, $stream) = @_;
	return $self->decode_lines($self->te_nats_ok('', 'stream-dump', $stream));
}

# What a careful consumer finds in a stream; "clean" says whether nothing is wrong.
sub check
{
	my ($self, $stream) = @_;
	my ($status, $out, $err) = $self->te_nats('', 'stream-check', $stream);
	die "te_nats stream-check $stream: $err\n" if $out eq '';
	return { %{ $self->{json}->decode($out) }, clean => $status == 0 };
}

sub stream_info
{
	my ($self, $stream) = @_;
	my ($status, $out, $err) = $self->te_nats('', 'stream-info', $stream);
	die "te_nats stream-info $stream: $err\n" if $out eq '';
	return $self->{json}->decode($out);
}

# Messages in a stream, 0 where there is no such stream.
sub messages
{
	my ($self, $stream) = @_;
	return $self->stream_info($stream)->{state}{messages} // 0;
}

sub wait_for_messages
{
	my ($self, $stream, $count, $seconds) = @_;
	$seconds //= $PostgreSQL::Test::Utils::timeout_default;
	return $self->te_nats_ok('', 'wait', $stream, $count, '--seconds', $seconds);
}

sub js_api
{
	my ($self, $subject, $body) = @_;
	my ($status, $out, $err) =
	  $self->te_nats('', 'js-api', $subject, defined $body ? $self->{json}->encode($body) : ());
	die "te_nats js-api $subject: $err\n" if $out eq '';
	return $self->{json}->decode($out);
}

# Predictions at a steady rate, in the background; finish() the handle for the summary.
sub start_load
{
	my ($self, @arguments) = @_;
	my $load = { out => '', err => '' };
	$load->{run} = IPC::Run::start([ 'te_nats', '--url', $self->own_url, 'load', @arguments ],
		'<', \undef, '>', \$load->{out}, '2>', \$load->{err});
	return $load;
}

sub finish_load
{
	my ($self, $load) = @_;
	IPC::Run::finish($load->{run});
	die "te_nats load: $load->{err}\n" if $load->{out} eq '';
	return $self->{json}->decode($load->{out});
}

package TradingEngineProxy;

use IPC::Open2 ();

sub start
{
	my ($class, $port) = @_;
	my $self = bless {}, $class;
	$self->{pid} = IPC::Open2::open2($self->{answers}, $self->{commands}, 'tcp_proxy', '--to', $port);
	chomp($self->{port} = readline $self->{answers});
	return $self;
}

sub url { my ($self) = @_; return "nats://127.0.0.1:$self->{port}"; }

sub command
{
	my ($self, $line) = @_;
	print { $self->{commands} } "$line\n";
	$self->{commands}->flush;
	my $answer = readline $self->{answers};
	die "tcp_proxy: $line: " . ($answer // "it is gone\n") unless defined $answer && $answer eq "ok\n";
	return;
}

sub delay { my ($self, $least, $most) = @_; return $self->command("delay $least $most"); }
sub drop { my ($self, $way) = @_; return $self->command("drop $way"); }
sub heal { my ($self) = @_; return $self->command('heal'); }
sub cut { my ($self) = @_; return $self->command('cut'); }

sub stop
{
	my ($self) = @_;
	close $self->{commands};
	close $self->{answers};
	waitpid $self->{pid}, 0;
	return;
}

package TradingEngineNats;

# Whatever a test that died left running.
END
{
	my $status = $?;
	$_->kill9 for my @left = @running; # each takes itself off the list
	$? = $status;
}

1;
