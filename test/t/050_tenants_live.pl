# Tenants over a running engine: each sees and hears its own, and predictions reach those
# that they are for.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use IPC::Run;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;
use TradingEngineRun;

my $nats = TradingEngineNats->new('tenants')->start;
my $node = engine('tenants', nats => $nats, lanes => 2);
my %strategy = (allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 3600000, duplicate_window_seconds => 0);
my %legs = (enable_multi_leg_strategies => 'true', leg_count => 2, max_position_size => 1);
company($node, 'acme', tier => 'ENTERPRISE', users => [ 'ann', 'bob' ], strategy => { %strategy, %legs });
company($node, 'beta', tier => 'FREE', users => ['bea'], strategy => \%strategy);
company($node, 'north', tier => 'PRO', users => ['nina'], strategy => { %strategy, %legs });
$node->safe_psql('postgres', <<'SQL');
UPDATE trading.users SET role = 'admin' WHERE user_id IN ('ann', 'nina', 'bea');
CREATE ROLE te_ann LOGIN IN ROLE trading_tenant;
CREATE ROLE te_bob LOGIN IN ROLE trading_tenant;
CREATE ROLE te_bea LOGIN IN ROLE trading_tenant;
CREATE ROLE te_nina LOGIN IN ROLE trading_tenant;
INSERT INTO trading.logins (role_name, company_id, user_id)
VALUES ('te_ann', 'acme', 'ann'), ('te_bob', 'acme', 'bob'), ('te_bea', 'beta', 'bea'), ('te_nina', 'north', 'nina');
SQL
is(value($node, q{SELECT string_agg(trading.lane_of(c, 2)::text, '' ORDER BY c) FROM unnest('{acme,beta,north}'::text[]) AS c}),
	'001', 'two of the tenants share a lane');

sub as_role
{
	my ($role, $sql) = @_;
	return $node->safe_psql('postgres', $sql, extra_params => [ '-U', $role ]);
}

#----------------------------------------------------------------------
# Who listens
#----------------------------------------------------------------------

# A session that listens; heard() gives what it has heard so far.
sub listener
{
	my ($role, @channels) = @_;
	my $self = { in => '', out => '', err => '', pings => 0 };
	$self->{session} = IPC::Run::start(
		[ 'psql', '-XAtq', '-U', $role, '-d', $node->connstr('postgres') ],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err});
	$self->{in} = join '', map { qq{LISTEN "$_";\n} } @channels;
	heard($self);
	return $self;
}

sub heard
{
	my ($self) = @_;
	my $ping = 'ping' . ++$self->{pings} . '.';
	# psql looks for notifications after each command.
	$self->{in} .= "SELECT 1 WHERE false;\n\\echo $ping\n";
	IPC::Run::pump($self->{session}) until $self->{out} =~ /\Q$ping\E/;
	my @heard;
	push @heard, { channel => $1, payload => JSON::PP::decode_json($2), length => length $2 }
	  while $self->{out} =~ /Asynchronous notification "([^"]+)" with payload "(.*?)" received from server/g;
	return @heard;
}

my %channel = map { $_ => as_role($_, 'SELECT trading.signal_channel()') } qw(te_ann te_bob te_bea te_nina);
is($channel{te_ann}, $channel{te_bob}, 'users of a company have one channel');
is(scalar(keys %{ { reverse %channel } }), 3, 'companies have channels of their own');
like($channel{$_}, qr/^trading_[0-9a-f]{48}$/, "the channel of $_ has a name that can't be guessed") for sort keys %channel;
for my $secret ('SELECT notify_key FROM trading.installation', "SELECT trading.channel_of('north')")
{
	my ($status, undef, $err) = $node->psql('postgres', $secret, extra_params => [ '-U', 'te_ann' ]);
	like($err, qr/permission denied/, "a tenant can't: $secret");
}

my %listener = map { $_ => listener($_, 'trading_signals', $channel{$_}) } sort keys %channel;
# Whoever knows no more than names listens to these.
my $nosy = listener('te_ann', qw(trading_signals trading trading_acme trading_north north nina trading_engine signals));

#----------------------------------------------------------------------
# Who gets what
#----------------------------------------------------------------------

my %for = (all => [], acme => [ company => 'acme' ], ann => [ company => 'acme', user => 'ann' ], north => [ company => 'north' ]);
$nats->publish($nats->batch(@{ $for{$_} }, predictions => [ $nats->prediction(prediction_id => $_) ])) for qw(all acme ann north);
wait_for_input($node, $nats);
my $who = q{SELECT string_agg(s.user_id, ' ' ORDER BY s.user_id) FROM trading.signals AS s WHERE s.outcome = 'SIGNAL' AND s.prediction_id = };
is(value($node, "$who 'all'"), 'ann bea bob nina', 'a broadcast reaches everybody');
is(value($node, "$who 'acme'"), 'ann bob', 'a batch for a company reaches its users');
is(value($node, "$who 'ann'"), 'ann', 'a batch for a user reaches the user');
is(value($node, "$who 'north'"), 'nina', 'in the other lane, too');

sub submit
{
	my ($role, $id, $company, $user) = @_;
	return $node->psql('postgres', <<"SQL", extra_params => [ '-U', $role ]);
SELECT trading.submit(jsonb_build_object('company_id', '$company', 'user_id', '$user', 'batch_id', '$id', 'producer_id', 'by-hand',
	'generated_at', now(), 'predictions', jsonb_build_array(jsonb_build_object('prediction_id', '$id', 'symbol', 'EURUSD',
		'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.9))));
SQL
}
my ($status, undef, $err) = submit('te_ann', 'sql-company', 'acme', '_all');
is($status, 0, 'an admin of a company submits for it') or diag($err);
wait_for($node, "$who 'sql-company'", 'ann bob', 'which reaches its users');
($status, undef, $err) = submit('te_bob', 'sql-user', 'acme', 'bob');
is($status, 0, 'a trader submits for himself') or diag($err);
wait_for($node, "$who 'sql-user'", 'bob', 'which reaches nobody else');
for my $forbidden ([ 'te_ann', 'north', '_all' ], [ 'te_ann', '_all', '_all' ], [ 'te_bob', 'acme', 'ann' ], [ 'te_bob', 'acme', '_all' ])
{
	($status, undef, $err) = submit($forbidden->[0], 'sql-forbidden', @$forbidden[ 1, 2 ]);
	isnt($status, 0, "$forbidden->[0] can't submit for $forbidden->[1]/$forbidden->[2]");
}

#----------------------------------------------------------------------
# Who hears what
#----------------------------------------------------------------------

# What each has heard on its own channel, as ids.
sub ids
{
	my ($role) = @_;
	my @ids = sort map { @{ $_->{payload}{signals} } } grep { $_->{channel} eq $channel{$role} } heard($listener{$role});
	return @ids;
}
my %company = (te_ann => 'acme', te_bob => 'acme', te_bea => 'beta', te_nina => 'north');
for my $role (sort keys %company)
{
	my @expected = split /\n/, value($node, "SELECT signal_id FROM trading.signals WHERE company_id = '$company{$role}' ORDER BY 1");
	wait_until("$role has heard of its signals", sub { scalar(ids($role)) >= @expected });
	is_deeply([ ids($role) ], \@expected, "$role hears the ids of its company's signals, each once, and of no other");
	is(scalar(grep { $_->{channel} ne $channel{$role} && $_->{channel} ne 'trading_signals' } heard($listener{$role})),
		0, "$role hears nothing else");
}
my @announced = sort split /\n/, value($node, q{SELECT DISTINCT lane || '/' || batch_no FROM trading.signals});
my @common;
wait_until('te_bea has heard of all batches', sub {
	@common = grep { $_->{channel} eq 'trading_signals' } heard($listener{te_bea});
	return @common >= @announced;
});
is(join(' ', sort map { "$_->{payload}{lane}/$_->{payload}{batch_no}" } @common), join(' ', @announced), 'everybody may hear that there are signals');
is_deeply([ grep { join(' ', sort keys %{ $_->{payload} }) ne 'batch_no lane' } @common ], [],
	'the common channel tells lane and batch number, and nothing of a tenant');
is(scalar(grep { $_->{channel} ne 'trading_signals' } heard($nosy)), 0, 'names that one can think of tell nothing');

# A large batch: the notification stays small, and says that there is more.
$nats->publish($nats->batch(company => 'north', predictions => [ map { $nats->prediction(prediction_id => "many-$_") } 1 .. 500 ]));
my @large;
wait_until('the large batch is announced', sub { @large = grep { $_->{payload}{more} } heard($listener{te_nina}) });
cmp_ok($large[0]{length}, '<', 8000, 'a notification of many signals fits');
cmp_ok(scalar @{ $large[0]{payload}{signals} }, '>', 10, 'and names some of them');
is(value($node, "SELECT count(*) FROM trading.signals WHERE lane = $large[0]{payload}{lane} AND batch_no = $large[0]{payload}{batch_no}"),
	500, 'lane and batch number lead to the rest');

# What is reported about a signal is announced on the same channel.
my $reported = value($node, q{SELECT signal_id FROM trading.signals WHERE user_id = 'bob' AND outcome = 'SIGNAL' ORDER BY signal_id LIMIT 1});
as_role('te_bob', "SELECT trading.report_execution('n1', '$reported', 'FILLED', now(), executed_price => 1.1, executed_size => 0.1)");
my @trades;
wait_until('a trade is announced', sub { @trades = grep { $_->{payload}{trades} } heard($listener{te_ann}) });
is_deeply([ map { [ $_->{channel}, $_->{payload}{trades}, $_->{payload}{signals} ] } @trades ], [ [ $channel{te_ann}, [$reported], [] ] ],
	'by its signal, to its company');
is(value($node, "SELECT state FROM trading.trades WHERE signal_id = '$reported'"), 'OPEN', 'which is there');
is(scalar(grep { $_->{payload}{trades} } map { heard($listener{$_}) } qw(te_bea te_nina)), 0, 'and to no other');
is_deeply([ grep { join(' ', sort keys %{ $_->{payload} }) ne 'batch_no lane' } grep { $_->{channel} eq 'trading_signals' } heard($listener{te_bea}) ], [],
	'the common channel still tells lane and batch number alone');

# Switched off, and on again.
$node->append_conf('postgresql.conf', 'trading_engine.notify = off');
$node->reload;
wait_until('it is off', sub {
	my $before = value($node, 'SELECT sum(notifications) FROM trading.stat_workers');
	$nats->publish($nats->batch(company => 'beta', predictions => [ $nats->prediction ]));
	wait_for_input($node, $nats);
	return value($node, 'SELECT sum(notifications) FROM trading.stat_workers') == $before;
});
my $heard = ids('te_bea');
$nats->publish($nats->batch(company => 'beta', predictions => [ $nats->prediction(prediction_id => 'silent') ]));
wait_for($node, "$who 'silent'", 'bea', 'without notifications, signals are made all the same');
$node->append_conf('postgresql.conf', 'trading_engine.notify = on');
$node->reload;
wait_until('it is on', sub {
	$nats->publish($nats->batch(company => 'beta', predictions => [ $nats->prediction(prediction_id => 'loud') ]));
	return ids('te_bea') > $heard;
});
my $silent = value($node, "SELECT signal_id FROM trading.signals WHERE prediction_id = 'silent'");
is(scalar(grep { $_ eq $silent } ids('te_bea')), 0, 'trading_engine.notify switches them off and on');

#----------------------------------------------------------------------
# Who sees what
#----------------------------------------------------------------------

wait_for_input($node, $nats);
for my $table (qw(signals signal_legs))
{
	for my $role (qw(te_ann te_bea te_nina))
	{
		my $all = value($node, "SELECT count(*) FROM trading.$table WHERE company_id = '$company{$role}'");
		is(as_role($role, "SELECT count(*), count(*) FILTER (WHERE company_id <> '$company{$role}') FROM trading.$table"), "$all|0",
			"$role, an admin, sees the company's $table, and no other");
	}
	my $own = value($node, "SELECT count(*) FROM trading.$table WHERE (company_id, user_id) = ('acme', 'bob')");
	cmp_ok($own, '>', 0, "bob has $table");
	is(as_role('te_bob', "SELECT count(*), count(*) FILTER (WHERE user_id <> 'bob') FROM trading.$table"), "$own|0",
		"te_bob, a trader, sees his own $table");
}

# Every relation that a tenant may read and that has a company: whose rows are there.
my $foreign = <<'SQL';
SET client_min_messages = warning;
CREATE TEMP TABLE seen (relation text, company_id text);
DO $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT c.oid::regclass AS relation FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
		  WHERE c.relnamespace = 'trading'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND a.attname = 'company_id'
		    AND has_column_privilege(c.oid, a.attnum, 'SELECT')
	LOOP
		EXECUTE format('INSERT INTO seen SELECT DISTINCT %L, company_id FROM %s', r.relation, r.relation);
	END LOOP;
END $$;
SELECT count(DISTINCT relation) > 5, string_agg(DISTINCT company_id, ' ' ORDER BY company_id) FROM seen WHERE company_id IS NOT NULL;
SQL
for my $role (sort keys %company)
{
	my $seen = as_role($role, $foreign);
	like($seen, qr/^t\|(_all )?\Q$company{$role}\E$/, "$role sees rows of its own company in every table and view");
}
for my $view (split /\n/, value($node, q{SELECT relname FROM pg_class WHERE relnamespace = 'trading'::regnamespace AND relname LIKE 'stat\_%' AND relname <> 'stat_progress_replay' ORDER BY 1}))
{
	($status, undef, $err) = $node->psql('postgres', "SELECT * FROM trading.$view", extra_params => [ '-U', 'te_ann' ]);
	like($err, qr/permission denied/, "trading.$view is closed to tenants");
}
is(as_role('te_ann', 'SELECT count(*) FROM trading.stat_progress_replay'), '0',
	"tenants may read how far their replays are");
for my $partition (split /\n/, value($node, q{SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'trading.signals'::regclass ORDER BY 1 LIMIT 1}))
{
	($status, undef, $err) = $node->psql('postgres', "SELECT * FROM $partition", extra_params => [ '-U', 'te_ann' ]);
	like($err, qr/permission denied/, 'a partition can\'t be read past its table');
}

IPC::Run::kill_kill($_->{session}) for values %listener, $nosy;
$node->stop;
$nats->stop;
done_testing();
