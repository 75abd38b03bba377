# A dump brings everything back: rows, edited tiers, partitions made at run time, a user's
# own policy.  What is restored belongs to another cluster and waits for trading.adopt().
# And without the library preloaded, a tenant's forged settings are turned away all the same.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;

# Submit a prediction, made now, that a strategy without tight gates turns into a signal.
sub submit
{
	my ($node, $database, $id, $company) = @_;
	$company //= 'acme';
	$node->safe_psql($database, <<"SQL");
SELECT trading.submit(jsonb_build_object('company_id', '$company', 'user_id', '_all', 'batch_id', '$id',
	'generated_at', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
	'predictions', jsonb_build_array(jsonb_build_object('prediction_id', '$id', 'symbol', 'EURUSD',
		'current_price', 1.1, 'predicted_price', 1.105, 'direction', 'BUY', 'confidence', 0.9))));
SQL
	return;
}

sub poll
{
	my ($node, $database, $sql, $expected, $name) = @_;
	return ok($node->poll_query_until($database, $sql, $expected), $name);
}

# What is in the tables, without what belongs to a moment or to a cluster.
my $contents = q{
	SELECT 'signal', signal_id::text, company_id, out_seq::text FROM trading.signals
	UNION ALL SELECT 'message', batch_id, company_id, encode(sha256(message), 'hex') FROM trading.prediction_batches
	UNION ALL SELECT 'strategy', strategy_id, user_id, version::text FROM trading.strategies
	UNION ALL SELECT 'tier', tier, max_position_count::text, NULL FROM trading.tiers
	UNION ALL SELECT 'rate', pair, rate::text, concat_ws(' ', as_of, max_age) FROM trading.rates
	UNION ALL SELECT 'session', session, close_day::text, concat_ws(' ', close_time, time_zone) FROM trading.instrument_sessions
	UNION ALL SELECT 'holiday', holiday, closed_until::text, name FROM trading.market_holidays
	UNION ALL SELECT 'installation', installation_id::text, encode(notify_key, 'hex'), NULL FROM trading.installation
	UNION ALL SELECT 'lane', lane::text, epoch::text, system_identifier::text FROM trading.lanes
	UNION ALL SELECT 'version', change_id::text, concat_ws(' ', kind, company_id, user_id, strategy_id, item, operation, version),
	                 concat_ws(' ', changed_at, changed_by, xid, system_identifier, row_data) FROM trading.strategy_changes
	UNION ALL SELECT 'inbox', inbox_id::text, xid::text, NULL FROM trading.inbox
	UNION ALL SELECT 'partition', inhrelid::regclass::text, inhparent::regclass::text, NULL FROM pg_inherits
	UNION ALL SELECT 'policy', polname, polrelid::regclass::text, pg_get_expr(polqual, polrelid) FROM pg_policy
	UNION ALL SELECT 'trigger', tgname, tgrelid::regclass::text, tgenabled::text FROM pg_trigger WHERE NOT tgisinternal
	UNION ALL SELECT 'privilege', relname, unnest(relacl)::text, NULL FROM pg_class
	           WHERE relnamespace = 'trading'::regnamespace AND relkind IN ('r', 'p', 'v')
	UNION ALL SELECT 'closed', oid::regclass::text, relrowsecurity::text, relforcerowsecurity::text FROM pg_class
	           WHERE relnamespace = 'trading'::regnamespace AND relkind IN ('r', 'p')
	ORDER BY 1, 2, 3, 4};

# How many rows each table has, and a digest of them.  Counts of decisions are left out: lanes write
# them when a minute is over.
sub rows
{
	my ($node, $database) = @_;
	my $tables = $node->safe_psql($database, q{
		SELECT string_agg(format('SELECT %L, count(*), md5(COALESCE(string_agg(t::text, chr(10) ORDER BY t::text COLLATE "C"), %L)) FROM %s AS t',
			d.relation, '', d.relation), ' UNION ALL ') FROM trading.data_tables() AS d WHERE d.relation::text !~ '_counts$'});
	return { map { my ($relation, $rows) = split /\|/, $_, 2; ($relation => $rows) } split /\n/, $node->safe_psql($database, $tables) };
}

# Of every signal of acme, the version that decided it, and what the log says that its batch saw, and when.
my $versions = q{
	SELECT string_agg(concat_ws('/', s.prediction_id, s.strategy_version, r.row ->> 'version', a.version), ' ' ORDER BY s.prediction_id)
	  FROM trading.signals AS s
	  JOIN trading.batches AS b USING (lane, batch_no),
	       trading.rows_at('strategy', b.change_snapshot, b.system_identifier, ARRAY[s.company_id]) AS r (row),
	       trading.strategy_at(s.company_id, s.user_id, s.strategy_id, s.decided_at) AS a
	 WHERE s.company_id = 'acme' AND r.row ->> 'user_id' = s.user_id AND r.row ->> 'strategy_id' = s.strategy_id};
my $positions = q{SELECT * FROM trading.positions ORDER BY company_id, user_id, account_id, symbol};
my $signals = q{SELECT count(*) FROM trading.signals WHERE company_id = 'acme'};

my $node = engine('original', lanes => 2, sessions => 1);
company($node, 'acme', tier => 'PRO', users => ['ann'],
	strategy => { max_prediction_age_ms => 60000, duplicate_window_seconds => 0, allowed_regimes => q{'{UNKNOWN}'} });
company($node, 'beta', tier => 'PRO', users => ['ben'],
	strategy => { max_prediction_age_ms => 60000, duplicate_window_seconds => 0, allowed_regimes => q{'{UNKNOWN}'} });
submit($node, 'postgres', 'p1');
poll($node, 'postgres', $signals, 1, 'a prediction by SQL becomes a signal');

# What is laid down, and what came of an order.
$node->safe_psql('postgres', q{
	DELETE FROM trading.instrument_sessions WHERE symbol = 'EURUSD';
	INSERT INTO trading.risk_limits (company_id, user_id, max_open_positions, max_leverage) VALUES ('beta', 'ben', 1000, 1e6);
	INSERT INTO trading.protections (company_id, kind, lock_for) VALUES ('beta', 'COOL_DOWN', '30 days');
	INSERT INTO trading.news_rules (company_id, symbol, least_impact) VALUES ('beta', 'GBPUSD', 'LOW');
	INSERT INTO trading.news_calendar (known_from, known_until, source) VALUES ('2026-01-01Z', '2026-02-01Z', 'by hand');
	INSERT INTO trading.news_events (event_id, event_time, currency, impact, title) VALUES ('nfp', '2026-01-02 13:30Z', 'USD', 'HIGH', 'Payrolls');
	SELECT trading.halt('*/*/*/GBPUSD', 'kept');
	SELECT trading.halt('beta/ben/main/USDJPY', 'let go', 'REDUCING');
	SELECT trading.resume('beta/ben/main/USDJPY', 'let go');
	INSERT INTO trading.model_weights (company_id, model_id, symbol, factor, votes, accuracy) VALUES ('beta', 'net', '*', 1.1, 40, 0.55);
	INSERT INTO trading.strategy_adjustments (company_id, user_id, strategy_id, adjusted_at, version, threshold_before, threshold_after, threshold_reason, closed_trades, new_trades, accuracy)
		VALUES ('beta', 'ben', 'main', '2026-01-02Z', 1, 0.7, 0.75, 'LOW_ACCURACY', 30, 30, 1.0 / 3);
	INSERT INTO trading.breaker_changes (lane, batch_no, changed_at, from_state, to_state, cause) VALUES (0, 1, '2026-01-02Z', 'OPEN', 'HALF_OPEN', 'WAITED')});
submit($node, 'postgres', 'b1', 'beta');
poll($node, 'postgres', q{SELECT count(*) FROM trading.signals WHERE company_id = 'beta' AND outcome = 'SIGNAL'}, 1, 'another company trades');
$node->safe_psql('postgres', q{
	SELECT trading.report_execution('f1', signal_id, 'FILLED', now(), entry_price, position_size, NULL, 0.7),
	       trading.report_execution('c1', signal_id, 'CLOSED', now() + interval '1 millisecond', stop_loss, position_size, -10.1)
	  FROM trading.signals WHERE company_id = 'beta'});
poll($node, 'postgres', q{SELECT count(*) FROM trading.protection_locks WHERE company_id = 'beta' AND symbol = 'EURUSD'}, 1, 'its loss locks its symbol');
$node->safe_psql('postgres', 'SELECT trading.roll_up()');
$node->safe_psql('postgres', q{
	UPDATE trading.strategies SET name = 'changed after the signal';
	UPDATE trading.tiers SET max_position_count = 7 WHERE tier = 'PRO';
	INSERT INTO trading.rates (base_currency, quote_currency, rate, max_age) VALUES ('EUR', 'CZK', 25.1, '1 day');
	UPDATE trading.instrument_sessions SET close_time = '16:59' WHERE symbol = 'GBPUSD';
	INSERT INTO trading.market_holidays VALUES ('EURUSD', '2026-12-24T22:00Z', '2026-12-27T22:00Z', 'Christmas');
	SELECT trading.ensure_partitions(9);
	CREATE POLICY mine ON trading.signals FOR SELECT TO trading_tenant USING (symbol = 'NONE');
	GRANT SELECT ON trading.signals TO pg_monitor;
	CREATE ROLE te_bob LOGIN IN ROLE trading_tenant});

# Dumps are taken while the lanes rest, having read what they are told, so that all of them show the same.
poll($node, 'postgres', q{SELECT NOT EXISTS (SELECT FROM trading.lanes AS l, trading.inbox AS i
	WHERE (i.company_id = '_all' OR l.lane = trading.lane_of(i.company_id, 2))
	  AND pg_visible_in_snapshot(i.xid, (SELECT b.inbox_snapshot FROM trading.batches AS b
		WHERE b.lane = l.lane ORDER BY b.batch_no DESC LIMIT 1)) IS NOT TRUE)}, 't', 'the lanes rest');
my $dump = PostgreSQL::Test::Utils::tempdir;
my $before = $node->safe_psql('postgres', $contents);
my $rows = rows($node, 'postgres');
for my $table (qw(risk_limits protections protection_locks trading_switches news_rules news_events news_calendar instrument_sessions market_holidays
	strategy_adjustments model_weights breaker_changes executions trades position_history account_history performance_signals))
{
	like($rows->{"trading.$table"}, qr/^[1-9]/, "there are rows of $table");
}
command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', "$dump/plain.sql" ], 'pg_dump, plain');
command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-Fc', '-f', "$dump/custom" ], 'pg_dump -Fc');
is($node->safe_psql('postgres', $contents), $before, 'nothing has moved meanwhile');
is_deeply(rows($node, 'postgres'), $rows, 'in no table');
command_ok([ 'pg_dumpall', '-d', $node->connstr('postgres'), '--globals-only', '--no-role-passwords', '-f', "$dump/globals.sql" ],
	'pg_dumpall --globals-only');

# --- another cluster -----------------------------------------------------------------

my $copy = engine('copy', extension => 0);
$copy->safe_psql('postgres', 'CREATE DATABASE plain');
$copy->safe_psql('postgres', 'CREATE DATABASE custom');
# Globals name the superuser that exists already; its error is of no interest.
$copy->psql('postgres', slurp_file("$dump/globals.sql"));
command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $copy->connstr('plain'), '-f', "$dump/plain.sql" ],
	'a plain dump is restored without an error');
command_ok([ 'pg_restore', '--exit-on-error', '-j', '3', '-d', $copy->connstr('custom'), "$dump/custom" ],
	'pg_restore -j 3 restores without an error');
for my $database ('plain', 'custom')
{
	is($copy->safe_psql($database, $contents), $before, "$database: everything is back");
	is_deeply(rows($copy, $database), $rows, "$database: every row of every table, to the letter");
	is($copy->safe_psql($database, $positions), $node->safe_psql('postgres', $positions), "$database: positions are those of the original");
	is($copy->safe_psql($database,
		q{SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
		   AND classid = 'pg_class'::regclass AND objid IN (SELECT relation FROM trading.data_tables())}),
		0, "$database: tables are no members");
	is($copy->safe_psql($database, $versions), 'p1/1/1/1', "$database: the log says what the original's batch saw");
}

# Nothing happens in the copy, until it is told to.
poll($copy, 'plain', q{SELECT count(*) FROM trading.stat_workers WHERE datname = 'plain' AND state = 'foreign'}, 2,
	'both lanes of the copy are foreign');
submit($copy, 'plain', 'p2');
$copy->safe_psql('plain', 'SELECT pg_sleep(1)');
is($copy->safe_psql('plain', $signals), 1, 'a foreign lane decides nothing');
is($copy->safe_psql('plain', 'SELECT trading.adopt()'), 2, 'both lanes are adopted');
poll($copy, 'plain', $signals, 2, 'then what was submitted is decided, once');
poll($copy, 'plain', 'SELECT bool_and(epoch > 1 AND NOT adopt_requested) FROM trading.lanes', 't', 'in a new epoch');
$copy->safe_psql('plain', q{UPDATE trading.strategies SET name = 'changed in the copy'});
submit($copy, 'plain', 'p3');
poll($copy, 'plain', $signals, 3, 'and it goes on');
is($copy->safe_psql('plain', 'SELECT count(*) - count(DISTINCT signal_id) FROM trading.signals'), 0, 'nothing is decided twice');
is($copy->safe_psql('plain', $versions), 'p1/1/1/1 p2/2/2/2 p3/3/3/3', 'the log says what batches of both saw');

# What is laid down holds there, too.
submit($copy, 'plain', 'b2', 'beta');
poll($copy, 'plain', q{SELECT cancellation_reason FROM trading.signals WHERE prediction_id = 'b2'}, 'Locked by a protection', 'a lock is one in the copy');
$copy->safe_psql('plain', q{SELECT trading.lift_lock(lock_id, 'restored') FROM trading.protection_locks});
submit($copy, 'plain', 'b3', 'beta');
poll($copy, 'plain', q{SELECT outcome FROM trading.signals WHERE prediction_id = 'b3'}, 'SIGNAL', 'and lifted like any');
is($copy->safe_psql('plain', q{SELECT count(*) FROM trading.halt('beta', 'restored')}), 1, 'what is halted there');
submit($copy, 'plain', 'b4', 'beta');
poll($copy, 'plain', q{SELECT cancellation_reason FROM trading.signals WHERE prediction_id = 'b4'}, 'Trading is halted', 'is halted');

# --- a template ------------------------------------------------------------------------

$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION trading_engine');
wait_for_lanes($node, 'other');
$node->safe_psql('postgres', 'CREATE DATABASE clone TEMPLATE other');
poll($node, 'clone', q{SELECT count(*) FROM trading.stat_workers WHERE datname = 'clone' AND state = 'foreign'}, 2,
	'CREATE DATABASE ... TEMPLATE is not blocked, and the lanes of the clone are foreign');

# --- without the library ----------------------------------------------------------------

my $bare = engine('bare', preload => 0);
$bare->safe_psql('postgres', q{
	SET client_min_messages = error;
	INSERT INTO trading.companies (company_id, tier) VALUES ('acme', 'PRO'), ('beta', 'FREE');
	INSERT INTO trading.users (company_id, user_id, role) VALUES ('acme', 'ann', 'admin'), ('beta', 'bob', 'trader');
	CREATE ROLE te_bob LOGIN IN ROLE trading_tenant;
	INSERT INTO trading.logins (role_name, company_id, user_id) VALUES ('te_bob', 'beta', 'bob')});
my $who = q{SELECT concat_ws(' ', trading.current_company(), trading.current_user_id(), trading.current_role_in_company(),
	(SELECT string_agg(company_id, ' ') FROM trading.companies))};
my %forgeries = (
	'SET' => q{SET trading_engine.company = 'acme'; SET trading_engine."user" = 'ann'; SET trading_engine.role = 'admin'},
	'set_config' => q{DO $$ BEGIN PERFORM set_config('trading_engine.company', 'acme', false),
		set_config('trading_engine.role', 'admin', false); END $$},
	'SET LOCAL' => q{BEGIN; SET LOCAL trading_engine.company = 'acme'});
for my $way (sort keys %forgeries)
{
	my ($status, $out) = $bare->psql('postgres', "$forgeries{$way};\n$who;", extra_params => [ '-U', 'te_bob' ]);
	is($out, 'beta bob trader beta', "a setting that nobody knows yet forges nothing: $way");
}
{
	local $ENV{PGOPTIONS} = '-c trading_engine.company=acme -c trading_engine.role=admin';
	my ($status, $out) = $bare->psql('postgres', $who, extra_params => [ '-U', 'te_bob' ]);
	is($out, 'beta bob trader beta', 'nor do options of the connection');
}
my ($status, $out, $err) = $bare->psql('postgres', q{ALTER ROLE te_bob SET trading_engine.company = 'acme'},
	extra_params => [ '-U', 'te_bob' ]);
isnt($status, 0, 'nor can a role set it for its next session');
($status, $out) = $bare->psql('postgres', $who, extra_params => [ '-U', 'te_bob' ]);
is($out, 'beta bob trader beta', 'which sees its own');

done_testing();
