# TradingEngineFaults - what the fault tests share: the checker, and how much is done.
#
#	my $accounts = proven('after it all', $node, nats => $nats, kafka => $kafka);
#	for my $round (1 .. rounds(5, 200)) { ... }      # 200 in the full form: TE_FAULTS=full
#
# The checker reads the whole of both transports as the reference consumer does
# (test/tools/te_consumer), and the tables (faults.sql), and proves the invariants that
# doc/failover.md names: nothing lost, nothing twice, one content per identity, order per
# lane, nothing published that the database lost, every input accounted for.
package TradingEngineFaults;

use strict;
use warnings;

use Cwd ();
use Exporter 'import';
use File::Basename;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use TradingEngine;

our @EXPORT = qw(full rounds within seeded proven violations consumed quick_route
  tenants_that_trade engine_with_link start_submitting finish_submitting wait_for_route route_state seconds_to_route longest_pause on_kafka
  wait_for_settled own_memory kill_server);

my $sql = dirname(Cwd::abs_path(__FILE__)) . '/faults.sql';
my $json = JSON::PP->new->utf8;

# Is this the full form of the fault tests?
sub full { return ($ENV{TE_FAULTS} // '') eq 'full'; }

# How often, or how long: in the short form, and in the full one.
sub rounds { my ($short, $full) = @_; return full() ? $full : $short; }

# How long something took.  The limit is that of a machine that does nothing else: in the full form
# it is a test, in the short form it is only said, because other work may slow everything down.
sub within
{
	my ($took, $limit, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $text = sprintf '%s: %.3f s of %g s', $name, $took, $limit;
	return full() ? ok($took < $limit, $text) : note($text);
}

# Random numbers that can be had again: says the seed, which TE_SEED sets.
sub seeded
{
	my $seed = $ENV{TE_SEED} // int(time() * 1000) % 1_000_000_007;
	srand $seed;
	note("TE_SEED=$seed");
	return $seed;
}

sub te_consumer
{
	my ($input, @arguments) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'te_consumer', @arguments ], '<', $input, '>', \$out, '2>', \$err);
	die "te_consumer @arguments: $err\n" if $out eq '' && $err ne '';
	return $out;
}

sub places
{
	my ($node, %o) = @_;
	return (
		'--lanes', value($node, 'SELECT count(*) FROM trading.lanes'),
		($o{nats} ? ('--url', $o{nats}->url) : ()),
		($o{kafka} ? $o{kafka}->client_arguments : ()),
		(defined $o{output} ? ('--output', $o{output}) : ()),
		(defined $o{prefix} ? ('--prefix', $o{prefix}) : ()));
}

# What the reference consumer gets from both transports; with "lines", a folder for them.
sub consumed
{
	my ($node, %o) = @_;
	return $json->decode(te_consumer(\'', places($node, %o), ($o{lines} ? ('--lines', $o{lines}) : ())));
}

sub write_frames
{
	my ($node, $folder) = @_;
	my $query = "SELECT lane, epoch, encode(frames, 'hex') FROM trading.outbox ORDER BY lane, epoch, first_seq";
	$node->safe_psql('postgres', "\\copy ($query) TO '$folder/outbox.tsv'");
	my $frames = te_consumer("$folder/outbox.tsv", '--frames');
	append_to_file("$folder/frames.tsv", $frames);
	return;
}

# Every violation that there is, as text, and the accounts.  Options: nats, kafka (brokers of the
# test), output (trading_output), prefix (trading), nats_complete (1: everything is on NATS, too),
# input_complete (1: nothing was discarded by a broker), lost_epochs (0; 1: what is of an epoch
# before the last adoption need not be in the database).
sub violations
{
	my ($node, %o) = @_;
	my $folder = PostgreSQL::Test::Utils::tempdir('checked');
	my @found;
	my $result = consumed($node, %o, lines => $folder);
	push @found, "consumer: $_: $result->{$_}" for grep { $result->{$_} } qw(conflicts refused);
	push @found, 'consumer: hole: ' . join '/', @$_ for @{ $result->{holes} };
	push @found, 'consumer: the order of reading makes a difference' unless $result->{same};
	write_frames($node, $folder);
	my $variables = join "\n", map { "\\set $_ " . ($o{$_} ? 't' : 'f') } qw(nats_complete input_complete lost_epochs);
	my $out = $node->safe_psql('postgres', <<"SQL");
$variables
SET client_min_messages = warning;
CREATE TEMP TABLE outputs (via text, place text, position bigint, kind text, lane integer, epoch bigint, first bigint,
	seq bigint, hash text, stated boolean, reason text, signal_id text, installation text, route text, backfill text);
CREATE TEMP TABLE inputs (via text, place text, position bigint, subject text, kind text, company text, "user" text,
	producer text, epoch numeric, seq numeric, payload_hash text, id text, message_hash text);
CREATE TEMP TABLE frames (lane integer, epoch bigint, seq bigint, hash text);
\\copy outputs FROM '$folder/outputs.tsv'
\\copy inputs FROM '$folder/inputs.tsv'
\\copy frames FROM '$folder/frames.tsv'
\\i $sql
SQL
	my @lines = split /\n/, $out;
	my $accounts = $json->decode(pop @lines);
	return ([ @found, @lines ], { %$accounts, consumer => $result });
}

# A test: all invariants hold.  Gives the accounts.
sub proven
{
	my ($name, $node, %o) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($found, $accounts) =
	  violations($node, nats_complete => $o{nats} ? 1 : 0, input_complete => 1, %o);
	is(join("\n", @$found), '', "$name: nothing is lost, doubled, changed, out of order or unaccounted for");
	is($accounts->{produced}, $accounts->{applied} + $accounts->{dead_letters} + $accounts->{gaps} + $accounts->{stale},
		"$name: produced = applied + dead letters + gaps + stale ("
		  . join(' + ', map { $accounts->{$_} } qw(applied dead_letters gaps stale)) . ')');
	note(explain($accounts));
	return $accounts;
}

#----------------------------------------------------------------------
# Failover
#----------------------------------------------------------------------

# Settings that let a lane return from Kafka in seconds: in the full form those of doc/settings.md,
# but that the dwell time is never doubled, so that one failure may follow soon upon another.
sub quick_route
{
	return ('trading_engine.route_dwell_max' => '30s') if full();
	return (
		'trading_engine.route_dwell' => '2s', 'trading_engine.route_probe_wait' => '300ms',
		'trading_engine.route_probe_span' => '1s', 'trading_engine.route_probe_successes' => 3,
		'trading_engine.route_drain_limit' => '30s');
}

# Two companies, one in each of two lanes, whose every prediction becomes signals.  What is given
# replaces parameters of their strategies.
sub tenants_that_trade
{
	my ($node, %o) = @_;
	my %strategy = (allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 600000,
		signal_ttl_seconds => 30, auto_execute => 'true', %o);
	company($node, 'acme', users => [ 'ann', 'bob' ], strategy => \%strategy);
	company($node, 'north', users => ['nina'], strategy => \%strategy);
	$node->safe_psql('postgres', q{INSERT INTO trading.producers (company_id, producer_id) VALUES ('_all', 'load')});
	return;
}

# An engine of two lanes that trade, with Kafka and, by a link that can be cut, NATS.
sub engine_with_link
{
	my ($name, $nats, $link, $kafka) = @_;
	my $node = engine($name, nats => $nats, lanes => 2, conf => {
		'trading_engine.nats_url' => "'" . $link->url . "'",
		$kafka->settings, quick_route() });
	tenants_that_trade($node);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	wait_for($node, q{SELECT count(*) FROM trading.stat_transports WHERE state = 'ready'}, 4, 'both transports are ready');
	wait_for_route($node, 'NATS', 'output begins on NATS');
	return $node;
}

# Predictions by SQL, whatever becomes of the brokers: a batch every so many seconds after the one
# before (every), of so many (predictions), for one company or all (company), of a symbol (symbol).
# The handle is for finish_submitting.
sub start_submitting
{
	my ($node, %o) = @_;
	my $every = $o{every} // 0.05;
	my $count = $o{predictions} // 1;
	my $company = $o{company} // '_all';
	my $symbol = $o{symbol} // 'EURUSD';
	my $sql = <<"SQL";
SELECT trading.submit(jsonb_build_object('company_id', '$company', 'user_id', '_all', 'producer_id', 'load', 'generated_at', clock_timestamp(),
	'batch_id', 'sql-' || gen_random_uuid(), 'predictions', (SELECT jsonb_agg(jsonb_build_object('prediction_id', gen_random_uuid(),
		'symbol', '$symbol', 'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.9))
	FROM generate_series(1, $count)))) IS NOT NULL \\watch $every
SQL
	my $file = PostgreSQL::Test::Utils::tempdir('submit') . '/sql';
	append_to_file($file, $sql);
	return { process => IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-f', $file ],
			'<', \undef, '>', '/dev/null', '2>', "$file.errors") };
}

sub finish_submitting
{
	my ($run) = @_;
	$run->{process}->kill_kill;
	return;
}

# States of the lanes' outputs, by lane: of those that there are.
sub route_state
{
	my ($node) = @_;
	return asked($node, q{SELECT string_agg(state, ' ' ORDER BY lane) FROM (
		SELECT DISTINCT ON (r.lane) r.lane, r.state FROM trading.routes AS r JOIN trading.lanes USING (lane) ORDER BY r.lane, r.version DESC) AS r}) // '';
}

# Wait until every lane's output is in one of the states (a regular expression).
sub wait_for_route
{
	my ($node, $states, $what, $seconds) = @_;
	my $end = time() + ($seconds // $PostgreSQL::Test::Utils::timeout_default);
	my $state = '';
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	while (time() < $end)
	{
		$state = route_state($node);
		return pass($what) if $state ne '' && !grep { !/^(?:$states)$/ } split / /, $state;
		sleep 0.05;
	}
	return is($state, $states, $what);
}

# Seconds from a time until the last of the lanes was in a state for the first time.
sub seconds_to_route
{
	my ($node, $start, $state) = @_;
	return value($node, "SELECT max(s) FROM (SELECT min(extract(epoch FROM changed_at)) - $start AS s FROM trading.routes "
		. "WHERE state = '$state' AND changed_at > to_timestamp($start) GROUP BY lane) AS r");
}

# Longest time, in seconds, in which a lane has decided nothing since then.
sub longest_pause
{
	my ($node, $start) = @_;
	return value($node, 'SELECT max(gap) FROM (SELECT extract(epoch FROM recorded_at - lag(recorded_at) OVER (PARTITION BY lane ORDER BY batch_no)) AS gap '
		. "FROM trading.batches WHERE recorded_at BETWEEN to_timestamp($start) AND now()) AS g");
}

# Messages of output that Kafka has acknowledged.
sub on_kafka
{
	my ($node) = @_;
	return asked($node, q{SELECT sum(acknowledged) FROM trading.stat_transports WHERE transport = 'kafka'}) // 0;
}

# Everything submitted is decided, and NATS has all that came of it.
sub wait_for_settled
{
	my ($node, $seconds) = @_;
	my $end = time() + ($seconds // $PostgreSQL::Test::Utils::timeout_default);
	my $text = '?';
	while (time() < $end)
	{
		$text = asked($node, q{SELECT count(*) FROM trading.inbox AS i JOIN trading.lanes AS l
				ON i.company_id = '_all' OR trading.lane_of(i.company_id, (SELECT count(*)::integer FROM trading.lanes)) = l.lane
			 WHERE NOT EXISTS (SELECT FROM trading.prediction_batches AS p
				WHERE p.lane = l.lane AND p.source = 'inbox' AND p.input_seq = i.inbox_id)}) // '?';
		my $output = asked($node, q{SELECT count(*) FROM trading.lanes AS l, LATERAL (
			SELECT b.last_out_seq, b.publish_seq, b.epoch, b.publish_epoch FROM trading.batches AS b
			 WHERE b.lane = l.lane ORDER BY b.batch_no DESC LIMIT 1) AS b
			WHERE b.last_out_seq > 0 AND (b.publish_epoch, b.publish_seq) < (b.epoch, b.last_out_seq)}) // '?';
		return if $text eq '0' && $output eq '0';
		$text = "$text inputs, $output lanes";
		sleep 0.1;
	}
	die "not settled: $text are left\n";
}

# Memory of a process that is neither a file's nor shared memory (so no shared buffers), swapped out or
# not, kB.  Counted page by page: the numbers of /proc/PID/status are estimates.
sub own_memory
{
	my ($pid) = @_;
	my $text = eval { slurp_file("/proc/$pid/smaps_rollup") } // '';
	my $sum = 0;
	$sum += $1 while $text =~ /^(?:Anonymous|Swap):\s+(\d+)/mg;
	return $sum;
}

# kill -9 of the server with all its processes; what they held is free when this returns.
sub kill_server
{
	my ($node) = @_;
	my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	my @children = split ' ', `ps -o pid= --ppid $postmaster`;
	$node->kill9;
	kill 'KILL', @children;
	wait_for_end(@children);
	return;
}

1;
