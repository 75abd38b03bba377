# The kill switch: nothing of a halted scope leaves above the place that trading.halt() returned,
# whatever was waiting, whoever dies, before the commit and after it; all others go on.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use TradingEngine;
use TradingEngineNats;

# Loose in time, so that a slow machine decides the same.
my %strategy = (
	allowed_regimes => "trading.enum_labels('regime')", max_position_count => 10000,
	max_prediction_age_ms => 600000, duplicate_window_seconds => 0);

my $nats = TradingEngineNats->new('halt')->start;
my $node = engine('halt', nats => $nats, lanes => 2, conf => { restart_after_crash => 'on' });
$node->safe_psql('postgres', "UPDATE trading.tiers SET max_position_count = 10000 WHERE tier = 'ENTERPRISE'");
company($node, 'acme', tier => 'ENTERPRISE', users => [ 'ann', 'bob' ], strategy => \%strategy);
company($node, 'beta', tier => 'ENTERPRISE', users => ['ben'], strategy => \%strategy);  # on acme's lane
company($node, 'north', tier => 'ENTERPRISE', users => ['nina'], strategy => \%strategy); # on the other one
$node->safe_psql('postgres', q{
	INSERT INTO trading.strategies (company_id, user_id, strategy_id, allowed_regimes, max_position_count, max_prediction_age_ms, duplicate_window_seconds)
	SELECT company_id, user_id, 'second', allowed_regimes, max_position_count, max_prediction_age_ms, duplicate_window_seconds
	  FROM trading.strategies WHERE user_id = 'ann'});
my %lane = map { $_ => value($node, "SELECT trading.lane_of('$_', 2)") } 'acme', 'beta', 'north';
is(join(' ', @lane{qw(acme beta north)}), "$lane{acme} $lane{acme} " . (1 - $lane{acme}), 'two companies share a lane');

sub sql { return $node->safe_psql('postgres', $_[0]); }

# trading.halt() in a session of its own: lane => [ epoch, sequence ].
sub halt
{
	my ($scope, $state) = @_;
	my $rows = sql("SELECT lane, epoch, sequence FROM trading.halt('$scope', 'tested', '" . ($state // 'HALTED') . "')");
	return map { my ($l, $e, $s) = split /\|/; ($l => [ $e, $s ]) } split /\n/, $rows;
}

sub resume { return sql("SELECT trading.resume('$_[0]', 'tested')"); }

# What a lane's stream holds: a hash per message, in its order.  What was read once isn't read again.
my @streams = ([], []);
sub stream
{
	my ($l) = @_;
	my $known = $streams[$l];
	my $from = @$known + 1;
	return @$known if $nats->messages("trading_output_$l") < $from;
	for ($nats->decode_lines($nats->te_nats_ok('', 'stream-dump', "trading_output_$l", '--from', $from)))
	{
		my $signal = $_->{envelope}{payload}{signals}[0];
		push @$known, {
			epoch => $_->{headers}{'te-epoch'}, seq => $_->{headers}{'te-seq'},
			type => $_->{envelope}{payload_type} // '', reason => $_->{envelope}{payload}{reason},
			company => $_->{envelope}{company_id}, user => $_->{envelope}{user_id},
			strategy => $signal->{strategy_id}, symbol => $signal->{symbol},
			prediction => $signal->{prediction_id}
		};
	}
	return @$known;
}

sub is_above
{
	my ($m, $place) = @_;
	return $m->{epoch} <=> $place->[0] || $m->{seq} <=> $place->[1];
}

# Signals that left above a place, of which a filter says that they are of the scope.
sub left_above
{
	my ($halted, $filter) = @_;
	my @left;
	for my $l (sort keys %$halted)
	{
		push @left, grep { $_->{type} eq 'TradingSignalBatch' && is_above($_, $halted->{$l}) > 0 && $filter->($_) } stream($l);
	}
	return scalar @left;
}

sub gap_fills { return scalar grep { ($_->{reason} // '') eq 'HALTED' } map { stream($_) } 0, 1; }

# Everything that is committed has been acknowledged.
sub all_sent
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for($node, q{
		SELECT count(*) FROM trading.stat_workers AS w
		  LEFT JOIN LATERAL (SELECT b.last_out_seq FROM trading.batches AS b WHERE b.lane = w.lane ORDER BY b.batch_no DESC LIMIT 1) AS b ON true
		 WHERE w.acked_seq = COALESCE(b.last_out_seq, 0) AND w.outbox_pending = 0}, '2', $_[0]);
}

sub clean
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	for my $l (0, 1)
	{
		my $verdict = $nats->check("trading_output_$l");
		ok($verdict->{clean}, "$_[0]: stream $l has no gap, conflict or disorder") or diag(explain($verdict));
	}
	return;
}

# A prediction for everybody (or a company), by SQL; every strategy of the lanes decides on it.
my $number = 0;
sub submit
{
	my ($symbol, $company, $direction) = @_;
	my $id = 'submitted-' . ++$number;
	my $target = ($direction //= 'BUY') eq 'BUY' ? 1.105 : 1.095;
	$symbol //= 'EURUSD';
	$company //= '_all';
	sql(<<"SQL");
SELECT trading.submit(jsonb_build_object('company_id', '$company', 'user_id', '_all', 'batch_id', '$id', 'producer_id', 'model',
	'generated_at', now(), 'predictions', jsonb_build_array(jsonb_build_object('prediction_id', '$id', 'symbol', '$symbol',
		'current_price', 1.1, 'predicted_price', $target, 'direction', '$direction', 'confidence', 0.9))));
SQL
	return $id;
}

sub decided
{
	my ($id, $rows) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return wait_for($node, "SELECT count(*) FROM trading.signals WHERE prediction_id = '$id'", $rows, "$id is decided");
}

# Whose signals of a prediction are on the streams.
sub receivers
{
	my ($id) = @_;
	return join ' ', sort map { "$_->{user}/$_->{strategy}" } grep { ($_->{prediction} // '') eq $id } map { stream($_) } 0, 1;
}

my $everybody = 'ann/main ann/second ben/main bob/main nina/main';

#----------------------------------------------------------------------
# Under load
#----------------------------------------------------------------------

for my $case ([ 'acme', sub { $_[0]{company} eq 'acme' } ], [ 'acme/ann', sub { $_[0]{user} eq 'ann' } ],
	[ 'acme/ann/second', sub { $_[0]{strategy} eq 'second' } ], [ '*/*/*/EURUSD', sub { $_[0]{symbol} eq 'EURUSD' } ],
	[ 'acme/*/*/GBPUSD', sub { $_[0]{company} eq 'acme' && $_[0]{symbol} eq 'GBPUSD' } ], [ '*', sub { 1 } ])
{
	my ($scope, $filter) = @$case;
	my $before = $nats->messages("trading_output_$lane{beta}");
	my $load = $nats->start_load('EURUSD,GBPUSD', '--rate', 200, '--count', 300, '--producer', 'model');
	$nats->wait_for_messages("trading_output_$lane{beta}", $before + 50);
	my %halted = halt($scope);
	my $lanes = $scope =~ /^acme/ ? $lane{acme} : '0 1';
	is(join(' ', sort keys %halted), $lanes, "$scope: the lanes that it concerns say where they stand");
	# The load may have been over before, on a slow machine.
	my @after = map { submit($_) } 'EURUSD', 'GBPUSD';
	$nats->finish_load($load);
	decided($_, 5) for @after;
	all_sent("$scope: everything is sent, or replaced");
	is(left_above(\%halted, $filter), 0, "$scope: nothing of it left above that");
	cmp_ok(left_above(\%halted, sub { !$filter->($_[0]) }), $scope eq '*' ? '==' : '>', 0, "$scope: what isn't of it went on");
	resume($scope);
	my $id = submit('GBPUSD');
	decided($id, 5);
	all_sent("$scope: and on");
	is(receivers($id), $everybody, "$scope: resumed, it leaves again");
}
clean('under load');

#----------------------------------------------------------------------
# A backlog after an outage, an outage of the lane, a crash
#----------------------------------------------------------------------

# Halted while nothing can be sent: what waits never leaves.
{
	my $filled = gap_fills();
	$nats->stop;
	wait_for($node, "SELECT count(*) FROM trading.stat_transports WHERE state <> 'ready'", '2', 'the broker is gone');
	my @waiting = map { my $id = submit(); decided($id, 5); $id } 1 .. 3;
	my %halted = halt('acme/ann');
	my ($committed) = sql("SELECT last_out_seq FROM trading.stat_workers WHERE lane = $lane{acme}");
	cmp_ok($halted{ $lane{acme} }[1], '<', $committed, 'the place is that of the last message that was handed over, not of the last one that waits');
	$nats->start;
	all_sent('the backlog is through');
	is(left_above(\%halted, sub { $_[0]{user} eq 'ann' }), 0, 'nothing of the scope left from it');
	is(receivers($_), 'ben/main bob/main nina/main', "but what others had: $_") for @waiting;
	is(gap_fills() - $filled, 6, 'there is a record in the place of each message');
	clean('backlog');
	resume('acme/ann');
}

# Halted while the lane doesn't run.
{
	$nats->stop;
	wait_for($node, "SELECT count(*) FROM trading.stat_transports WHERE state <> 'ready'", '2', 'the broker is gone');
	my $id = submit();
	decided($id, 5);
	sql('ALTER ROLE trading_worker NOLOGIN');
	sql("SELECT pg_terminate_backend(pid) FROM trading.stat_workers WHERE pid IS NOT NULL");
	wait_for($node, 'SELECT count(*) FROM trading.stat_workers WHERE pid IS NULL', '2', 'no lane runs');
	my %halted = halt('acme');
	is("@{ $halted{ $lane{acme} } }", sql("SELECT epoch, last_out_seq FROM trading.batches WHERE lane = $lane{acme} ORDER BY batch_no DESC LIMIT 1") =~ tr/|/ /r,
		'a lane that doesn\'t run: the last message that it has committed');
	$nats->start;
	sql('ALTER ROLE trading_worker LOGIN');
	wait_for_lanes($node);
	all_sent('the lanes are back');
	is(receivers($id), 'ben/main nina/main', 'what had waited is halted when the lane is back');
	resume('acme');
}

# Halted, then everything crashes before the backlog is sent.
{
	$nats->stop;
	wait_for($node, "SELECT count(*) FROM trading.stat_transports WHERE state <> 'ready'", '2', 'the broker is gone');
	my $id = submit();
	decided($id, 5);
	my %halted = halt('acme/bob');
	kill_worker($node, $lane{acme});
	$nats->start;
	wait_for_lanes($node);
	all_sent('the lanes are back after a crash');
	is(left_above(\%halted, sub { $_[0]{user} eq 'bob' }), 0, 'a crash lets nothing of the scope through');
	is(receivers($id), 'ann/main ann/second ben/main nina/main', 'and everything else');
	resume('acme/bob');
	clean('after the crash');
}

# Reducing: of what waits, what makes a position smaller leaves, but not if all of it together
# would turn it round.  Both strategies trade one account.
{
	sql("UPDATE trading.strategies SET position_sizing = 'FIXED_LOT', fixed_lot = CASE strategy_id WHEN 'main' THEN 0.2 ELSE 0.1 END WHERE user_id = 'ann'");
	for my $symbol ('USDCAD', 'AUDUSD')
	{
		my $id = submit($symbol);
		decided($id, 5);
		sql("SELECT trading.report_execution('fill-$symbol', (SELECT signal_id FROM trading.signals WHERE prediction_id = '$id' AND user_id = 'ann' AND strategy_id = 'main'), "
			  . "'FILLED', now(), 1.1, 0.2)");
		wait_for($node, "SELECT lots FROM trading.positions WHERE user_id = 'ann' AND symbol = '$symbol'", '0.2', "$symbol: a position is open");
	}
	all_sent('it was opened');
	$nats->stop;
	wait_for($node, "SELECT count(*) FROM trading.stat_transports WHERE state <> 'ready'", '2', 'the broker is gone');
	my $both = submit('AUDUSD', undef, 'SELL');
	decided($both, 5);
	sql("UPDATE trading.strategies SET enabled = false WHERE user_id = 'ann' AND strategy_id = 'second'");
	my $one = submit('USDCAD', undef, 'SELL');
	decided($one, 4);
	my $more = submit('USDCAD');
	decided($more, 4);
	halt('acme/ann', 'REDUCING');
	$nats->start;
	all_sent('what was decided before a position may only become smaller');
	is(receivers($one), 'ann/main ben/main bob/main nina/main', 'what closes it leaves');
	is(receivers($more), 'ben/main bob/main nina/main', 'what makes it larger does not');
	is(receivers($both), 'ben/main bob/main nina/main', 'nor do orders of which each would fit, and not both');
	resume('acme/ann');
	sql("UPDATE trading.strategies SET enabled = true WHERE user_id = 'ann' AND strategy_id = 'second'");
	clean('reducing');
}

#----------------------------------------------------------------------
# Before the commit, rolled back, by UPDATE
#----------------------------------------------------------------------

{
	my $session = $node->background_psql('postgres', on_error_stop => 1);

	# A prediction while a transaction holds it back, which then lets go.  Lanes are patient for two
	# seconds: where it took longer than that it isn't what is to be tested, and is done once more.
	my $held = sub {
		my ($hold, $pending, $let_go, $name) = @_;
		for (1 .. 20)
		{
			$session->query_safe($_) for 'BEGIN', @$hold;
			my $begun = time();
			my $id = submit();
			my $kept = 0;
			until ($kept || time() > $begun + 1.9)
			{
				$kept = (asked($node, "SELECT (SELECT count(*) FROM trading.signals WHERE prediction_id = '$id') = 5 AND ($pending)") // '') eq 't';
				sleep 0.01;
			}
			my $left = receivers($id);
			$session->query_safe($let_go);
			if (time() < $begun + 2)
			{
				ok($kept, $name);
				return ($id, $left);
			}
			note("$name: too slow");
			$session->query_safe('COMMIT') if $let_go ne 'ROLLBACK';
			all_sent('everything leaves');
		}
		die "$name: always too slow\n";
	};
	my ($id, $left) = $held->([ "SELECT trading.halt('acme', 'perhaps')" ], "SELECT outbox_pending > 0 FROM trading.stat_workers WHERE lane = $lane{acme}",
		'ROLLBACK', 'before the commit it is kept back');
	is($left =~ /ann|bob/ ? 'left' : 'held', 'held', 'nothing of the scope has left');
	all_sent('after the rollback everything leaves');
	is(receivers($id), $everybody, 'to everybody');

	($id) = $held->([ 'SAVEPOINT s', "UPDATE trading.trading_switches SET state = 'HALTED', reason = 'perhaps' WHERE company_id IS NULL AND symbol IS NULL" ],
		'SELECT min(outbox_pending) > 0 FROM trading.stat_workers', 'ROLLBACK TO s', 'an UPDATE of the switch of everything does so too');
	all_sent('rolled back to a savepoint it lets go');
	is(receivers($id), $everybody, 'to everybody, while the transaction goes on');
	$session->query_safe('COMMIT');

	# Whoever forgets to end the transaction halts: nobody else waits for long.
	$session->query_safe('BEGIN');
	$session->query_safe("SELECT trading.halt('acme', 'perhaps')");
	$id = submit();
	decided($id, 5);
	all_sent('a transaction that stays open holds up nobody else');
	is(receivers($id), 'ben/main nina/main', 'what it covers is halted');
	$session->query_safe('ROLLBACK');
	$id = submit();
	decided($id, 5);
	all_sent('and ends with it');
	is(receivers($id), $everybody, 'everybody is served');
	$session->quit;
}

# A company that fills the board of what is being halted: it is told so, and others still halt at once.
{
	sql("CREATE ROLE te_ann LOGIN; CREATE ROLE te_ben LOGIN; GRANT trading_tenant TO te_ann, te_ben;
		INSERT INTO trading.logins (role_name, company_id, user_id) VALUES ('te_ann', 'acme', 'ann'), ('te_ben', 'beta', 'ben')");
	my $halts = "SELECT count(*) FROM (SELECT symbol FROM trading.instruments WHERE symbol NOT LIKE 'EURUSD' ORDER BY symbol LIMIT %d) AS i, "
	  . "LATERAL trading.halt('acme/ann/*/' || i.symbol, 'greedy')";
	my $session = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'te_ann' ]);
	$session->query('BEGIN');
	is($session->query(sprintf $halts, 16), '16', 'a company halts sixteen scopes in one transaction');
	my (undef, $out, $error) = $node->psql('postgres', "SELECT trading.halt('acme/ann/main', 'greedy')", extra_params => [ '-U', 'te_ann' ]);
	like($error, qr/too many switches are being set/, 'and is told that there is no room for more');
	my (undef, $words) = $node->psql('postgres', "SELECT lane, epoch, sequence FROM trading.halt('beta/ben', 'tested')", extra_params => [ '-U', 'te_ben' ]);
	my %halted = map { my ($l, $e, $s) = split /\|/; ($l => [ $e, $s ]) } split /\n/, $words;
	my $id = submit();
	decided($id, 5);
	all_sent('the others go on');
	is(left_above(\%halted, sub { $_[0]{user} eq 'ben' }), 0, 'nothing of what another company halts meanwhile leaves above its place');
	$session->query('ROLLBACK');
	$session->query('BEGIN');
	is($session->query(sprintf $halts, 15), '15', 'fifteen scopes');
	$session->query('SAVEPOINT s');
	is($session->query("SELECT count(*) FROM trading.halt('acme/ann/main', 'greedy')"), '1', 'and a sixteenth');
	is($session->query("SELECT count(*) FROM trading.halt('acme/ann/second', 'greedy')"), '', 'and no more');
	$session->query('ROLLBACK TO s');
	is($session->query("SELECT count(*) FROM trading.halt('acme/ann/second', 'greedy')"), '1', 'rolled back to a savepoint, there is room again');
	$session->query('ROLLBACK');
	$session->quit;
	resume('beta/ben');
}
sql("UPDATE trading.trading_switches SET state = 'HALTED', reason = 'by hand' WHERE company_id IS NULL AND symbol IS NULL");
my $id = submit();
decided($id, 5);
all_sent('an UPDATE halts');
is(receivers($id), '', 'everything, as soon as it is committed');
sql("UPDATE trading.trading_switches SET state = 'ACTIVE', reason = 'by hand'");
$id = submit();
decided($id, 5);
all_sent('and resumes');
is(receivers($id), $everybody, 'everything');
#----------------------------------------------------------------------
# Killed in the middle
#----------------------------------------------------------------------

# Everything has been started again after a crash, the lane's worker that was there among it.
sub recovered
{
	my ($worker) = @_;
	comes_true($node, "count(*) = 2 FROM trading.stat_workers WHERE state = 'running' AND pid <> $worker") or die 'no recovery';
	return;
}

# A session that halts a company, up to its answer, which may have to be waited for.
sub start_halt
{
	my $s = { in => "SELECT pg_backend_pid();\n", out => '', err => '' };
	$s->{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ], '<', \$s->{in}, '>', \$s->{out}, '2>', \$s->{err});
	IPC::Run::pump($s->{run}) until $s->{out} =~ /^(\d+)\n/;
	$s->{pid} = $1;
	$s->{out} = '';
	$s->{in} .= "SELECT lane, epoch, sequence FROM trading.halt('acme', 'cut short');\n";
	IPC::Run::pump_nb($s->{run}) while $s->{in} ne '';
	return $s;
}

# Either all of it is there after a process was killed with kill -9 at some moment of it, or nothing.
for my $case ([ worker => 0 ], [ backend => 0.005 ], [ worker => 0.02 ], [ backend => 0.04 ], [ worker => 0.08 ], [ worker => 0.2 ])
{
	my ($victim, $after) = @$case;
	my $name = "$victim killed after $after s";
	my $before = $nats->messages("trading_output_$lane{acme}");
	my $load = $nats->start_load('EURUSD', '--rate', 100, '--count', 150, '--producer', 'model');
	$nats->wait_for_messages("trading_output_$lane{acme}", $before + 20);
	my ($worker) = sql("SELECT pid FROM trading.stat_workers WHERE lane = $lane{acme}");
	my $s = start_halt();
	sleep $after;
	kill 'KILL', $victim eq 'worker' ? $worker : $s->{pid};
	eval { IPC::Run::finish($s->{run}) };
	recovered($worker);
	my $halted = sql("SELECT count(*) FROM trading.trading_switches WHERE scope = 'OPERATOR acme/*/*/*' AND state = 'HALTED'");
	my ($place) = map { my (undef, @place) = split /\|/; \@place } grep { /^\d+\|/ } split /\n/, $s->{out};
	note("$name: halted $halted, " . ($place ? "told @$place" : 'told nothing'));
	ok(!$place || $halted, "$name: who is told of a halt has it");
	my $id = submit('GBPUSD');
	decided($id, 5);
	$nats->finish_load($load);
	all_sent("$name: everything is sent, or replaced");
	is(receivers($id), $halted ? 'ben/main nina/main' : $everybody, "$name: all of it is there, or nothing");
	is(left_above({ $lane{acme} => $place }, sub { $_[0]{company} eq 'acme' }), 0, "$name: nothing left above the place that was told") if $place;
	resume('acme') if $halted;
	clean($name);
}

# A lane that is killed while a session waits for its word takes the session along.
{
	my ($worker) = sql("SELECT pid FROM trading.stat_workers WHERE lane = $lane{acme}");
	kill 'STOP', $worker;
	my $s = start_halt();
	wait_for($node, "SELECT wait_event_type FROM pg_stat_activity WHERE pid = $s->{pid} AND query ~ 'halt'", 'Extension', 'a session waits for the word of a lane');
	kill 'KILL', $worker;
	eval { IPC::Run::finish($s->{run}) };
	recovered($worker);
	is($s->{out}, '', 'it is told nothing');
	is(sql("SELECT count(*) FROM trading.trading_switches WHERE state <> 'ACTIVE'"), '0', 'and nothing is halted');
	my $id = submit();
	decided($id, 5);
	all_sent('all goes on');
	is(receivers($id), $everybody, 'for everybody');
}
clean('at the end');
is(sql("SELECT count(*) FROM trading.strategy_history WHERE kind = 'switch' AND item = 'OPERATOR */*/*/*'"), '5',
	'the history of the switch shows what was committed');

$node->stop;
done_testing();
