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
	my ($node, $database, $id) = @_;
	$node->safe_psql($database, <<"SQL");
SELECT trading.submit(jsonb_build_object('company_id', 'acme', 'user_id', '_all', 'batch_id', '$id',
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

# Of every signal, the version that decided it, and what the log says that its batch saw, and when.
my $versions = q{
	SELECT string_agg(concat_ws('/', s.prediction_id, s.strategy_version, r.row ->> 'version', a.version), ' ' ORDER BY s.prediction_id)
	  FROM trading.signals AS s
	  JOIN trading.batches AS b USING (lane, batch_no),
	       trading.rows_at('strategy', b.change_snapshot, b.system_identifier, ARRAY[s.company_id]) AS r (row),
	       trading.strategy_at(s.company_id, s.user_id, s.strategy_id, s.decided_at) AS a
	 WHERE r.row ->> 'user_id' = s.user_id AND r.row ->> 'strategy_id' = s.strategy_id};

my $node = engine('original', lanes => 2, sessions => 1);
company($node, 'acme', tier => 'PRO', users => ['ann'],
	strategy => { max_prediction_age_ms => 60000, duplicate_window_seconds => 0, allowed_regimes => q{'{UNKNOWN}'} });
submit($node, 'postgres', 'p1');
poll($node, 'postgres', 'SELECT count(*) FROM trading.signals', 1, 'a prediction by SQL becomes a signal');
$node->safe_psql('postgres', q{
	UPDATE trading.strategies SET name = 'changed after the signal';
	UPDATE trading.tiers SET max_position_count = 7 WHERE tier = 'PRO';
	INSERT INTO trading.rates (base_currency, quote_currency, rate, max_age) VALUES ('EUR', 'CZK', 25.1, '1 day');
	UPDATE trading.instrument_sessions SET close_time = '16:59' WHERE symbol = 'EURUSD';
	INSERT INTO trading.market_holidays VALUES ('EURUSD', '2026-12-24T22:00Z', '2026-12-27T22:00Z', 'Christmas');
	SELECT trading.ensure_partitions(9);
	CREATE POLICY mine ON trading.signals FOR SELECT TO trading_tenant USING (symbol = 'NONE');
	GRANT SELECT ON trading.signals TO pg_monitor;
	CREATE ROLE te_bob LOGIN IN ROLE trading_tenant});

# Dumps are taken while the lanes rest, so that all of them show the same.
my $dump = PostgreSQL::Test::Utils::tempdir;
my $before = $node->safe_psql('postgres', $contents);
command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-f', "$dump/plain.sql" ], 'pg_dump, plain');
command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-Fc', '-f', "$dump/custom" ], 'pg_dump -Fc');
is($node->safe_psql('postgres', $contents), $before, 'nothing has moved meanwhile');
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
is($copy->safe_psql('plain', 'SELECT count(*) FROM trading.signals'), 1, 'a foreign lane decides nothing');
is($copy->safe_psql('plain', 'SELECT trading.adopt()'), 2, 'both lanes are adopted');
poll($copy, 'plain', 'SELECT count(*) FROM trading.signals', 2, 'then what was submitted is decided, once');
is($copy->safe_psql('plain', 'SELECT bool_and(epoch > 1 AND NOT adopt_requested) FROM trading.lanes'), 't',
	'in a new epoch');
$copy->safe_psql('plain', q{UPDATE trading.strategies SET name = 'changed in the copy'});
submit($copy, 'plain', 'p3');
poll($copy, 'plain', 'SELECT count(*) FROM trading.signals', 3, 'and it goes on');
is($copy->safe_psql('plain', 'SELECT count(*) - count(DISTINCT signal_id) FROM trading.signals'), 0, 'nothing is decided twice');
is($copy->safe_psql('plain', $versions), 'p1/1/1/1 p2/2/2/2 p3/3/3/3', 'the log says what batches of both saw');

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
