# TradingEngine - what the tests with real servers share.
#
#	my $nats = TradingEngineNats->new('main')->start;
#	my $node = engine('main', nats => $nats, conf => { 'trading_engine.clock' => 'input' });
#	company($node, 'acme', tier => 'PRO', users => ['ann', 'bob']);
#	wait_for($node, 'SELECT count(*) FROM trading.signals', 3, 'three signals');
package TradingEngine;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use TradingEngineNats;

our @EXPORT = qw(engine configure company wait_for wait_for_log comes_true wait_for_lanes wait_for_statistics value asked shared_folder
  worker_pids wait_for_end kill_worker streams_match_table);

# The folder with data/ and vectors/, or undef.
sub shared_folder
{
	my $folder = $ENV{TE_SHARED};
	return defined $folder && -d $folder ? $folder : undef;
}

# A running cluster with the extension in database postgres.  Options: nats (its broker; none: SQL
# only), conf (settings), extension (0: don't create it), preload (0: leave it out), lanes, used_broker
# (1: lanes are there from the start, for a broker with output of another database), init,
# repeats (0: tiers keep their duplicate window and number of positions; else like predictions, as
# most tests send them, become as many signals).
sub engine
{
	my ($name, %o) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(%{ $o{init} // {} });
	my %conf = (
		'timezone' => "'UTC'",
		'max_connections' => 50,
		'max_worker_processes' => 32,
		($o{preload} // 1 ? ('shared_preload_libraries' => "'trading_engine'") : ()),
		($o{preload} // 1 ? ('trading_engine.launcher_naptime' => '1s') : ()),
		($o{nats} ? ('trading_engine.nats_url' => "'" . $o{nats}->url . "'") : ()),
		%{ $o{conf} // {} });
	configure($node, %conf);
	$node->start;
	if ($o{extension} // 1)
	{
		# On a broker that has somebody else's output, lanes are foreign before they can be cut anew.
		my $lanes = $o{used_broker} ? "SELECT trading.set_lanes($o{lanes});" : '';
		$node->safe_psql('postgres', "BEGIN; CREATE EXTENSION trading_engine; $lanes COMMIT");
		$node->safe_psql('postgres', 'DELETE FROM trading.instrument_sessions') unless $o{sessions};
		$node->safe_psql('postgres', 'UPDATE trading.tiers SET duplicate_window_seconds = 0, max_position_count = 10000')
		  if $o{repeats} // 1;
		$node->safe_psql('postgres', "SELECT trading.set_lanes($o{lanes})") if defined $o{lanes} && !$o{used_broker};
		wait_for_lanes($node) if $o{preload} // 1;
		wait_for_streams($node) if $o{nats} && $o{nats}{pid};
	}
	return $node;
}

# Append settings; reload the server for them to count.
sub configure
{
	my ($node, %conf) = @_;
	$node->append_conf('postgresql.conf', join "\n", map { "$_ = $conf{$_}" } sort keys %conf);
	return;
}

sub value { my ($node, $sql) = @_; return $node->safe_psql('postgres', $sql); }

# What a query gives, or undef where it can't be asked, such as while the server starts.  Not by
# standard input, which psql doesn't read when it has no connection.
sub asked
{
	my ($node, $sql, $error, $database) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database // 'postgres'), '-c', $sql ],
		'<', \undef, '>', \$out, '2>', \$err);
	$$error = $err if $error;
	return undef if $? != 0;
	chomp $out;
	return $out;
}

# Wait until a query gives what is expected (text, as psql -At prints it), and make it a test.
# Fails with what it gave last.
sub wait_for
{
	my ($node, $sql, $expected, $name, $seconds) = @_;
	my $end = time() + ($seconds // $PostgreSQL::Test::Utils::timeout_default);
	my ($out, $err);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	do
	{
		$out = asked($node, $sql, \$err);
		return pass($name) if defined $out && $out eq $expected;
		sleep 0.05;
	} while (time() < $end);
	is($out // "error: $err", $expected, $name);
	return 0;
}

# Wait until a server's log, from an offset on, matches so many times (1), and make it a test: what it writes about
# may be seen before it is written.
sub wait_for_log
{
	my ($node, $pattern, $name, %o) = @_;
	my $times = $o{times} // 1;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	my $found = 0;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	do
	{
		$found = () = slurp_file($node->logfile, $o{offset} // 0) =~ /$pattern/g;
		return pass($name) if $found == $times;
		sleep 0.05;
	} while ($found < $times && time() < $end);
	return is($found, $times, "$name: $pattern");
}

# Wait until a condition is true, also while the server isn't there: poll_query_until may end by a
# broken pipe then.
sub comes_true
{
	my ($node, $condition) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	while (time() < $end)
	{
		return 1 if (asked($node, "SELECT $condition") // '') eq 't';
		sleep 0.05;
	}
	return 0;
}

# Every lane of a database has a worker that is connected to it.
sub wait_for_lanes
{
	my ($node, $database, $seconds) = @_;
	my $end = time() + ($seconds // $PostgreSQL::Test::Utils::timeout_default);
	my ($lanes, $workers) = ('?', '?');
	while (time() < $end)
	{
		my $found = asked($node, q{SELECT count(*), (SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND backend_type = 'trading_engine lane') FROM trading.lanes}, undef, $database);
		($lanes, $workers) = split /\|/, $found if defined $found;
		return if $lanes ne '?' && $lanes > 0 && $workers == $lanes;
		sleep 0.05;
	}
	die "$workers workers for $lanes lanes of database " . ($database // 'postgres') . "\n";
}

# What trading.stat_workers and the like say is of every batch that has been stored: a worker counts what
# it has committed a moment after others can see it, and shows the batch's number last.
sub wait_for_statistics
{
	my ($node) = @_;
	comes_true($node, q{NOT EXISTS (SELECT FROM trading.stat_workers AS w, LATERAL (
			SELECT b.batch_no FROM trading.batches AS b WHERE b.lane = w.lane ORDER BY b.batch_no DESC LIMIT 1) AS b
		 WHERE w.datname = current_database() AND w.state IN ('running', 'halted') AND w.batch_no < b.batch_no)})
	  or die "a worker doesn't count what it has stored\n";
	return;
}

# Every lane that isn't foreign has found or made its streams.
sub wait_for_streams
{
	my ($node) = @_;
	comes_true($node, q{
		NOT EXISTS (
			SELECT FROM trading.lanes AS l
			  LEFT JOIN trading.stat_workers AS w ON w.lane = l.lane AND w.datname = current_database()
			  LEFT JOIN trading.stat_transports AS t ON t.lane = l.lane AND t.datname = current_database()
			 WHERE w.state IS DISTINCT FROM 'foreign' AND t.state IS DISTINCT FROM 'ready')})
	  or die "the lanes' streams aren't there\n";
	return;
}

# Process ids of the workers of a database, by lane.
sub worker_pids
{
	my ($node, $database) = @_;
	$database //= 'postgres';
	my $pids = $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE datname = '$database' "
		  . "AND backend_type = 'trading_engine lane' ORDER BY substring(application_name FROM '[0-9]+')::int");
	return split /\n/, $pids;
}

# Wait until processes of servers are gone: their postmaster knows, if it lives.
sub wait_for_end
{
	my (@pids) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	while (grep { kill 0, $_ } @pids)
	{
		die "processes @pids don't end\n" if time() > $end;
		sleep 0.01;
	}
	return;
}

# kill -9 a lane's worker, once there is one; PostgreSQL restarts itself, as after any crash of a process.  It has begun
# to when this returns, so that an answer to a query is one of afterwards.
sub kill_worker
{
	my ($node, $lane) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	my $pid = '';
	until ($pid =~ /^\d+$/ && kill 'KILL', $pid)
	{
		die "no worker for lane $lane\n" if time() > $end;
		sleep 0.05 if $pid ne '';
		$pid = asked($node, "SELECT pid FROM pg_stat_activity WHERE datname = 'postgres' AND application_name = 'trading_engine lane $lane'") // 'none';
	}
	wait_for_end($pid);
	return $pid;
}

# A company with users, each with an account and a strategy "main".  Options: tier (PRO), users
# (['user']), currency (USD), equity (10000), producers (['model'], for this company), and
# strategy: { parameter => SQL literal }.
sub company
{
	my ($node, $company, %o) = @_;
	my $tier = $o{tier} // 'PRO';
	my $currency = $o{currency} // 'USD';
	my $equity = $o{equity} // 10000;
	my %strategy = %{ $o{strategy} // {} };
	my @names = sort keys %strategy;
	my $columns = join '', map { ", $_" } @names;
	my $values = join '', map { ", $strategy{$_}" } @names;
	my $sql = "INSERT INTO trading.companies (company_id, tier) VALUES ('$company', '$tier');\n";
	for my $user (@{ $o{users} // ['user'] })
	{
		$sql .= "INSERT INTO trading.users (company_id, user_id) VALUES ('$company', '$user');\n"
		  . "INSERT INTO trading.accounts (company_id, user_id, currency, equity) "
		  . "VALUES ('$company', '$user', '$currency', $equity);\n"
		  . "INSERT INTO trading.strategies (company_id, user_id, strategy_id$columns) "
		  . "VALUES ('$company', '$user', 'main'$values);\n";
	}
	$sql .= "INSERT INTO trading.producers (company_id, producer_id) VALUES ('$company', '$_');\n"
	  for @{ $o{producers} // ['model'] };
	$sql .= "INSERT INTO trading.producers (company_id, producer_id) VALUES ('_all', 'model') "
	  . "ON CONFLICT DO NOTHING;\n";
	$node->safe_psql('postgres', "BEGIN;\n${sql}COMMIT;");
	return;
}

# Every published row of trading.signals is on its lane's stream exactly once, and the other way
# round; commands have their own sequence numbers and no row.  Two tests per lane.
sub streams_match_table
{
	my ($node, $nats, $name, $stream) = @_;
	$stream //= 'trading_output';
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	for my $lane (split /\n/, value($node, 'SELECT lane FROM trading.lanes ORDER BY 1'))
	{
		my $verdict = $nats->check("${stream}_$lane");
		ok($verdict->{clean}, "$name: stream of lane $lane has no gap, conflict or disorder")
		  or diag(explain($verdict));
		my %seen;
		my @on_stream = grep { !$seen{$_}++ }
		  map { "$_->{headers}{'te-epoch'}/$_->{headers}{'te-seq'} $_->{envelope}{payload}{signals}[0]{signal_id}" }
		  grep { ($_->{envelope}{payload_type} // '') eq 'TradingSignalBatch' } $nats->dump("${stream}_$lane");
		my @in_table = split /\n/, value($node,
			"SELECT out_epoch || '/' || out_seq || ' ' || signal_id FROM trading.signals "
			  . "WHERE lane = $lane AND out_seq IS NOT NULL");
		is_deeply([ sort @on_stream ], [ sort @in_table ],
			"$name: signals of lane $lane in the table are those on the stream");
	}
	return;
}

1;
