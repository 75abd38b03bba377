# Fault 24 (doc/faults.md): all kinds of faults, mixed at random, for a while (an hour in the full
# form, TE_SOAK_SECONDS for another time).  In the end everything is accounted for, and no process
# has grown.  In the first half anything may happen; in the second nothing that ends a worker, so
# that it shows what a worker holds after hundreds of faults.
#
# The plan is made from the seed before anything happens: the same seed gives the same faults in the
# same order, however fast the machine is.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use TradingEngine;
use TradingEngineFaults;
use TradingEngineKafka;
use TradingEngineNats;
use TradingEngineRun;
use TradingEngineSoak;

plan skip_all => TradingEngineKafka::missing() if TradingEngineKafka::missing();
seeded();
my $seconds = $ENV{TE_SOAK_SECONDS} // rounds(30, 3600);
my $long = $seconds >= 300;
my @companies = qw(_all acme north);
# On a busy machine recovery takes its time.
$ENV{PGCTLTIMEOUT} = 300;

#----------------------------------------------------------------------
# The plan
#----------------------------------------------------------------------

# Faults that workers survive, and those that they don't.
my @gentle = ('nats frozen', 'nats killed', 'nats restarted', 'link dropped', 'link slow', 'link cut', 'kafka frozen',
	'kafka down', 'kafka errors', 'both gone', 'strategies changed', 'backends terminated');
# Workers begin anew with settings of the transports that have changed.
my @harsh = ('settings reloaded', 'worker terminated', 'all workers terminated', 'worker killed', 'server killed', 'server stopped at once',
	'server stopped', ($long ? ('lanes recut', 'lanes adopted') : ()));

# Input that comes: from whom, by which transports (both: as copies), and what is wrong with it.
sub planned_input
{
	return [ map {
		my $way = int rand 5;
		{ company => $companies[ rand @companies ],
			ways => [ [ 'nats' ], ['kafka'], [ 'nats', 'kafka' ], [ 'kafka', 'nats', 'nats' ], [ 'nats', 'kafka' ] ]->[$way],
			kind => (qw(good good good good good good good good good good good good good good good good good good bad lost))[ rand 20 ] }
	} 1 .. 1 + int rand 4 ];
}

sub planned
{
	my (@faults) = @_;
	return [ map { {
		fault => $faults[ rand @faults ], pause => 0.2 + rand($long ? 8 : 1.5), rest => rand($long ? 3 : 1),
		choice => int rand 1_000_000, before => planned_input(), meanwhile => planned_input() } } 1 .. 5000 ];
}
my ($anything, $survived) = (planned(@gentle, @harsh), planned(@gentle));
note('first faults: ' . join ', ', map { $_->{fault} } @$anything[ 0 .. 9 ]);

#----------------------------------------------------------------------
# What it happens to
#----------------------------------------------------------------------

my $nats = TradingEngineNats->new('soak')->start;
my $link = $nats->proxy;
my $kafka = TradingEngineKafka->new('soak', lanes => 3, input_partitions => 2)->start;
my $node = engine('soak', nats => $nats, lanes => 2, conf => {
	'trading_engine.nats_url' => "'" . $link->url . "'", $kafka->settings,
	# There and back in seconds, hundreds of times, also where NATS never lasts.
	'trading_engine.route_suspect_limit' => $long ? '1s' : '300ms',
	'trading_engine.route_dwell' => '2s', 'trading_engine.route_dwell_max' => '4s',
	'trading_engine.route_probe_wait' => '300ms', 'trading_engine.route_probe_wait_max' => '1s',
	'trading_engine.route_probe_span' => '1s', 'trading_engine.route_probe_successes' => 3,
	'trading_engine.gap_wait' => '3s',
	# So little that it is used up soon: memory that is still filling would look like a leak.
	'trading_engine.signal_memory' => 2048, 'trading_engine.ban_memory' => 1024,
	'restart_after_crash' => 'on', 'trading_engine.restart_delay' => '100ms', 'log_statement' => 'none' });
tenants_that_trade($node, signal_ttl_seconds => 5);
wait_for_route($node, 'NATS', 'output begins on NATS');

my (%waiting, %gone);
my $produced = 0;

# Producers send by the transports that are there, and later what they couldn't.  What a broker
# doesn't acknowledge in time it may have or not, so it is sent again.
sub deliver
{
	my %by = (nats => $nats, kafka => $kafka);
	for my $way (grep { !$gone{$_} && @{ $waiting{$_} // [] } } sort keys %by)
	{
		wait_until("$way takes what producers send", sub {
			my $sent = eval { $by{$way}->publish(@{ $waiting{$way} }); 1 };
			note("$way: $@") unless $sent;
			return $sent;
		});
		$waiting{$way} = [];
	}
	return;
}

sub produce
{
	my ($inputs) = @_;
	for my $input (@$inputs)
	{
		$produced++;
		my $message = $input->{kind} eq 'bad'
		  ? { subject => "trading.predictions.$input->{company}._all", hex => unpack 'H*', "bad $produced" }
		  # The bytes are made once, so that a copy is one.
		  : $nats->batch(company => $input->{company}, envelope => { timestamp => int(time() * 1_000_000) });
		next if $input->{kind} eq 'lost';
		push @{ $waiting{$_} }, $message for @{ $input->{ways} };
	}
	return deliver();
}

# While it is gone, input comes by the other one.
sub without
{
	my ($step, $away, $back, @ways) = @_;
	@gone{@ways} = (1) x @ways;
	$away->();
	my $end = time() + $step->{pause};
	produce($step->{meanwhile});
	sleep $end - time() if time() < $end;
	$back->();
	delete @gone{@ways};
	return;
}

sub answers { return wait_until('the server answers', sub { defined asked($node, 'SELECT 1') }); }
sub some_worker { my ($step) = @_; my @pids = split /\n/, asked($node, 'SELECT pid FROM trading.stat_workers WHERE pid > 0 ORDER BY lane') // ''; return @pids ? $pids[ $step->{choice} % @pids ] : undef; }
sub wait_for_workers
{
	my ($count) = @_;
	return wait_until("$count lanes run", sub { (asked($node, q{SELECT count(*) FROM trading.stat_workers WHERE state = 'running'}) // '') eq $count });
}

my $submitted;
sub submitting { $submitted //= start_submitting($node, every => $long ? 0.5 : 0.2, predictions => 2); return; }
sub stop_submitting { finish_submitting($submitted) if $submitted; $submitted = undef; return; }

my $positions = q{SELECT count(*) FROM trading.lanes AS l WHERE %s > COALESCE((SELECT sum(p.done) FROM trading.input_positions AS p WHERE p.lane = l.lane AND p.source ~ '%s'), 0)};

# Nothing is under way: all input is read and has taken effect or is given up, all output is on NATS.
sub quiet
{
	stop_submitting();
	produce([ map { { company => $_, ways => [ 'nats', 'kafka' ], kind => 'good' } } @companies ]);
	my $limit = 600;
	wait_until('output is on NATS', sub { route_state($node) =~ /^NATS(?: NATS)*$/ }, $limit);
	wait_for_settled($node, $limit);
	my %end = ('^nats$' => $nats->stream_info('trading_input')->{state}{last_seq}, '^kafka:trading.predictions/' => $kafka->messages('trading.predictions'));
	wait_until("input is read up to $end{$_} ($_)", sub { (asked($node, sprintf $positions, $end{$_}, $_) // '') eq '0' }, $limit) for sort keys %end;
	wait_until('nothing waits for its turn', sub { (asked($node, 'SELECT sum(parked) FROM trading.stat_workers') // '') eq '0' }, $limit);
	wait_for_settled($node, $limit);
	return;
}

my %fault = (
	'nats frozen' => sub { without($_[0], sub { $nats->pause }, sub { $nats->resume }, 'nats') },
	'nats killed' => sub { without($_[0], sub { $nats->kill9 }, sub { $nats->start }, 'nats') },
	'nats restarted' => sub { $nats->restart },
	# The producers' links are others.
	'link dropped' => sub { my ($step) = @_; without($step, sub { $link->drop((qw(in out both))[ $step->{choice} % 3 ]) }, sub { $link->heal }) },
	'link slow' => sub { my ($step) = @_; without($step, sub { $link->delay(0, $step->{choice} % 3000) }, sub { $link->delay(0, 0) }) },
	'link cut' => sub { $link->cut },
	'kafka frozen' => sub { without($_[0], sub { $kafka->pause }, sub { $kafka->resume }, 'kafka') },
	'kafka down' => sub { without($_[0], sub { $kafka->down }, sub { $kafka->up }, 'kafka') },
	'kafka errors' => sub { my ($step) = @_; $kafka->error('produce', 'REQUEST_TIMED_OUT', 1 + $step->{choice} % 5) if $kafka->mock },
	'both gone' => sub { without($_[0], sub { $kafka->down; $nats->pause }, sub { $nats->resume; $kafka->up }, 'nats', 'kafka') },
	'settings reloaded' => sub {
		my ($step) = @_;
		my ($name, @values) = @{ ([ publish_window => 16, 512 ], [ batch_limit => 20, 500 ], [ gap_request_after => 50, 200 ])[ $step->{choice} % 3 ] };
		value($node, "ALTER SYSTEM SET trading_engine.$name = $values[ $step->{choice} / 3 % 2 ]");
		value($node, 'SELECT pg_reload_conf()');
	},
	'strategies changed' => sub { my ($step) = @_; value($node, 'UPDATE trading.strategies SET signal_ttl_seconds = ' . (3 + $step->{choice} % 5)) },
	'backends terminated' => sub { asked($node, q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()}) },
	'worker terminated' => sub { my $pid = some_worker($_[0]); asked($node, "SELECT pg_terminate_backend($pid)") if $pid },
	'all workers terminated' => sub { asked($node, q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type ~ '^trading_engine'}) },
	'worker killed' => sub { my $pid = some_worker($_[0]); kill 'KILL', $pid and wait_for_end($pid) if $pid; answers() },
	'server killed' => sub { kill_server($node); $node->start },
	'server stopped at once' => sub { $node->stop('immediate'); $node->start },
	'server stopped' => sub { $node->stop('fast'); $node->start },
	'lanes recut' => sub {
		quiet();
		for my $lanes (3, 2)
		{
			wait_until("there are $lanes lanes", sub { defined asked($node, "SELECT trading.set_lanes($lanes)") });
			wait_for_workers($lanes);
		}
	},
	'lanes adopted' => sub {
		quiet();
		value($node, 'UPDATE trading.lanes SET system_identifier = 1');
		asked($node, q{SELECT pg_terminate_backend(pid) FROM trading.stat_workers WHERE pid > 0});
		wait_until('the lanes are foreign', sub { (asked($node, q{SELECT count(*) FROM trading.stat_workers WHERE state = 'foreign'}) // '') eq '2' });
		value($node, 'SELECT trading.adopt()');
		wait_for_workers(2);
	},
);

#----------------------------------------------------------------------
# The soak
#----------------------------------------------------------------------

my $begun = time();
my ($faults, %done) = (0);
my $held = TradingEngineSoak->new(warm_up => $long ? $seconds / 6 : 0);

sub measure
{
	quiet();
	my $text = $held->sample($node);
	note(sprintf '%.0f s: %s', time() - $begun, $text);
	return;
}

sub happen
{
	my ($steps) = @_;
	my $measured = time();
	my $end = $measured + $seconds / 2;
	while (time() < $end)
	{
		my $step = shift @$steps;
		# It ends when the server starts anew.
		stop_submitting() if $submitted && !$submitted->{process}->pumpable;
		submitting();
		produce($step->{before});
		note(sprintf '%.1f s: %s', time() - $begun, $step->{fault});
		$fault{ $step->{fault} }->($step);
		$done{ $step->{fault} }++;
		$faults++;
		deliver();
		sleep $step->{rest};
		next if !$long || time() < $measured + 60;
		measure();
		$measured = time();
	}
	return;
}

# However few faults there is time for, Kafka has a part, of input and of output.
produce([ map { { company => 'acme', ways => [$_], kind => 'good' } } 'nats', 'kafka' ]);
submitting();
$nats->pause;
wait_for_route($node, 'KAFKA|HALF_OPEN', 'output goes to Kafka');
wait_until('Kafka has it', sub { $kafka->messages('trading.signals') > 5 });
$nats->resume;

happen($anything);
measure();
my @workers = worker_pids($node);
happen($survived);
measure();
is_deeply([ worker_pids($node) ], \@workers, 'no worker has ended in the second half');
stop_submitting();
note(explain(\%done));
cmp_ok(scalar(keys %done), '>=', $seconds >= 3600 ? keys(%fault) - 2 : 2, 'many kinds of faults happened');
note(sprintf '%d faults, %d messages, in %.0f s', $faults, $produced, time() - $begun);
my $accounts = proven('soak', $node, nats => $nats, kafka => $kafka);
cmp_ok($accounts->{places}, '>', 50, 'signals were sent');
cmp_ok($accounts->{consumer}{read}{kafka}, '>', 0, 'Kafka has a part of them');
my $sources = value($node, q{SELECT json_object_agg(source, n) FROM (SELECT split_part(source, ':', 1) AS source, count(*) AS n FROM trading.prediction_batches GROUP BY 1) AS s});
note("input that took effect: $sources");
like($sources, qr/"$_"/, "input took effect by $_") for qw(inbox kafka nats);

# What is killed here is killed by signal 9; whatever else a process ends by is its own fault.
my @crashes = grep { /was terminated by signal (?!9\b)|PANIC:|TRAP: / } split /\n/, slurp_file($node->logfile);
is(join("\n", @crashes), '', 'nothing crashed by itself');

# librdkafka has one or two connections per client, as it likes.
my %may_vary = (descriptors => 4, threads => 0);
for my $what (sort keys %may_vary)
{
	my ($least, $most) = $held->range($what);
	cmp_ok($most - $least, '<=', $may_vary{$what}, "every worker has $least to $most $what whenever nothing is under way");
}
my $growth = $held->growth('in_use');
my ($before, $after) = $held->widest('memory');
my $most = ($held->range('in_use'))[1];
note(sprintf 'in use by a worker: %.0f kB more per hour (standard error %.0f) by %d samples of %d workers, at most %d kB; of the kernel it had %d kB, later %d',
	@$growth{qw(slope error samples workers)}, $most, $before, $after) if $growth;
SKIP:
{
	skip 'growth takes an hour to be told from caches that fill, and no sanitizers', 2 if $seconds < 3600 || $ENV{TE_SANITIZED};
	cmp_ok($growth->{slope}, '<', 1024, 'no worker uses a megabyte more in an hour');
	cmp_ok($after, '<', $most + 16 * 1024, 'a worker has of the kernel what it uses, and what the heap keeps');
}
$node->stop;
$link->stop;
$kafka->stop;
$nats->stop;
done_testing();
