# What is committed decides the next prediction, what is rolled back never does: for rows of every
# kind, one or a hundred thousand at a time.  Every batch says which snapshot it decided by.
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
use TradingEngineRun;

my $nats = TradingEngineNats->new('cache')->start;
my $node = engine('cache', nats => $nats, lanes => 1);
my %strategy = (allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 3600000,
	duplicate_window_seconds => 0, position_sizing => "'RISK_PERCENT'", max_position_size => 100);
company($node, 'acme', tier => 'PRO', users => [ 'ann', 'bob' ], strategy => \%strategy);
company($node, 'beta', tier => 'FREE', users => ['bea'], strategy => \%strategy);

my $number = 0;

sub sql { my ($sql) = @_; return $node->safe_psql('postgres', $sql); }

# Predict, and give the id.
sub ask
{
	my (%prediction) = @_;
	my $id = 'ask' . ++$number;
	my %batch = (producer => 'model', map { exists $prediction{$_} ? ($_ => delete $prediction{$_}) : () } qw(producer seq));
	$nats->publish($nats->batch(%batch, predictions => [ $nats->prediction(prediction_id => $id, %prediction) ]));
	return $id;
}

# What comes of a prediction that is published now: "user@column's value" of each signal.
sub signals
{
	my ($column, %prediction) = @_;
	my $id = ask(%prediction);
	wait_for_input($node, $nats);
	return value($node, "SELECT string_agg(s.user_id || '\@' || $column, ' ' ORDER BY s.company_id, s.user_id, s.strategy_id)"
		  . " FROM trading.signals AS s WHERE s.outcome = 'SIGNAL' AND s.prediction_id = '$id'");
}

sub decided { my (%prediction) = @_; return signals('s.strategy_version', %prediction); }

#----------------------------------------------------------------------
# Rows of every kind
#----------------------------------------------------------------------

is(decided(), 'ann@1 bob@1 bea@1', 'everybody trades');

sql(q{UPDATE trading.strategies SET enabled = false WHERE user_id = 'ann'});
is(decided(), 'bob@1 bea@1', 'a strategy that is switched off');
sql(q{BEGIN; UPDATE trading.strategies SET enabled = true; ROLLBACK});
is(decided(), 'bob@1 bea@1', 'a rollback');
sql(q{BEGIN; UPDATE trading.strategies SET enabled = true WHERE user_id = 'ann';
	SAVEPOINT s; UPDATE trading.strategies SET enabled = false WHERE user_id <> '_all'; ROLLBACK TO s; COMMIT});
is(decided(), 'ann@3 bob@1 bea@1', 'a rollback to a savepoint');
sql(q{BEGIN; SAVEPOINT s; UPDATE trading.strategies SET min_confidence_threshold = 0.95 WHERE user_id = 'bob'; RELEASE s; COMMIT});
is(decided(), 'ann@3 bea@1', 'a threshold that is raised in a subtransaction');
is(decided(confidence => 0.96), 'ann@3 bob@2 bea@1', 'and that is passed');
sql(q{UPDATE trading.strategies SET available_instruments = '{GBPUSD}' WHERE user_id = 'bea';
	UPDATE trading.strategies SET min_confidence_threshold = NULL WHERE user_id = 'bob'});
is(decided(), 'ann@3 bob@3', 'other symbols');
is(decided(symbol => 'GBPUSD'), 'ann@3 bob@3 bea@2', 'the new ones');
sql(q{UPDATE trading.strategies SET available_instruments = NULL WHERE user_id = 'bea'});
is(decided(), 'ann@3 bob@3 bea@3', 'the tier\'s again');
sql(q{INSERT INTO trading.strategies (company_id, user_id, strategy_id, allowed_regimes, max_prediction_age_ms)
	VALUES ('acme', 'ann', 'Second', trading.enum_labels('regime'), 3600000)});
is(decided(), 'ann@1 ann@3 bob@3 bea@3', 'a second strategy of a user');
sql(q{INSERT INTO trading.strategies (company_id, user_id, strategy_id, advanced_features_enabled) VALUES ('acme', '_all', '_all', false)});
is(decided(), 'ann@3 bob@3 bea@3', 'which only the advanced have');
sql(q{DELETE FROM trading.strategies WHERE user_id = '_all'});
sql(q{DELETE FROM trading.strategies WHERE strategy_id = 'Second'});
is(decided(), 'ann@3 bob@3 bea@3', 'a strategy that is deleted');

sql(q{INSERT INTO trading.strategies (company_id, user_id, strategy_id, max_position_size) VALUES ('acme', '_all', '_all', 0.02)});
is(signals('s.position_size', confidence => 0.99), 'ann@0.02 bob@0.02 bea@0.5', 'an override of the company');
sql(q{UPDATE trading.strategies SET enabled = false WHERE user_id = '_all'});
is(signals('s.position_size', confidence => 0.99), 'bea@0.5', 'a change of it');
sql(q{DELETE FROM trading.strategies WHERE user_id = '_all'});
is(signals('s.position_size', confidence => 0.99), 'ann@0.5 bob@0.5 bea@0.5', 'none any more');

sql(q{UPDATE trading.accounts SET equity = 20000 WHERE user_id = 'ann'});
is(signals('s.position_size', confidence => 0.99), 'ann@1 bob@0.5 bea@0.5', 'an account');
sql(q{BEGIN; UPDATE trading.accounts SET equity = 40000; ROLLBACK});
is(signals('s.position_size', confidence => 0.99), 'ann@1 bob@0.5 bea@0.5', 'not one that was rolled back');
sql(q{INSERT INTO trading.accounts (company_id, user_id, account_id, currency, equity) VALUES ('acme', 'bob', 'big', 'USD', 30000);
	UPDATE trading.strategies SET account_id = 'big' WHERE user_id = 'bob';
	DELETE FROM trading.accounts WHERE user_id = 'bob' AND account_id = 'main'});
is(signals('s.position_size', confidence => 0.99), 'ann@1 bob@1.5 bea@0.5', 'another account');

sql(q{UPDATE trading.tiers SET min_confidence_threshold = 0.95 WHERE tier = 'PRO'});
is(signals("'-'"), 'bea@-', 'a tier');
sql(q{BEGIN; UPDATE trading.tiers SET min_confidence_threshold = 0.95 WHERE tier = 'FREE'; ROLLBACK;
	UPDATE trading.companies SET tier = 'FREE' WHERE company_id = 'acme'});
is(signals("'-'"), 'ann@- bob@- bea@-', 'a company of another tier');
sql(q{UPDATE trading.companies SET tier = 'PRO' WHERE company_id = 'acme'; UPDATE trading.tiers SET min_confidence_threshold = 0.65 WHERE tier = 'PRO'});
is(signals("'-'"), 'ann@- bob@- bea@-', 'and both back');

company($node, 'coop', tier => 'PRO', users => ['cyd'], strategy => \%strategy);
is(signals("'-'"), 'ann@- bob@- bea@- cyd@-', 'a new company');
sql(q{DELETE FROM trading.companies WHERE company_id = 'coop'});
is(signals("'-'"), 'ann@- bob@- bea@-', 'gone');
sql(q{DELETE FROM trading.strategies WHERE user_id = 'bob'; DELETE FROM trading.users WHERE user_id = 'bob'});
is(signals("'-'"), 'ann@- bea@-', 'a user who is gone');

sql(q{UPDATE trading.instruments SET lot_max = 0.3 WHERE symbol = 'EURUSD'});
is(signals('s.position_size', confidence => 0.99), 'ann@0.3 bea@0.3', 'an instrument');
sql(q{UPDATE trading.instruments SET symbol = 'OTHER' WHERE symbol = 'EURUSD'});
is(signals("'-'"), '', 'an instrument that is no more');
is(value($node, 'SELECT reason FROM trading.dead_letters ORDER BY recorded_at DESC LIMIT 1'), 'UNKNOWN_SYMBOL', 'as the dead letter says');
sql(q{UPDATE trading.instruments SET symbol = 'EURUSD' WHERE symbol = 'OTHER'});
is(signals("'-'"), 'ann@- bea@-', 'back again');

# Without a number: one that is turned away before its producer is known would be waited for.
is(signals("'-'", producer => 'newcomer', seq => 0), '', 'a producer that nobody knows');
sql(q{INSERT INTO trading.producers (company_id, producer_id) VALUES ('_all', 'newcomer')});
is(signals("'-'", producer => 'newcomer'), 'ann@- bea@-', 'known');
sql(q{UPDATE trading.producers SET enabled = false WHERE producer_id = 'newcomer'});
is(signals("'-'", producer => 'newcomer'), '', 'disabled');

sql(q{BEGIN; TRUNCATE trading.strategies; ROLLBACK});
is(signals("'-'"), 'ann@- bea@-', 'a TRUNCATE that is rolled back');
sql(q{CREATE TABLE kept AS SELECT company_id, user_id, strategy_id, account_id, allowed_regimes, max_prediction_age_ms FROM trading.strategies;
	TRUNCATE trading.strategies});
is(signals("'-'"), '', 'a TRUNCATE');
is(value($node, 'SELECT strategies FROM trading.stat_workers'), 0, 'leaves no strategy in the cache');
sql(q{INSERT INTO trading.strategies (company_id, user_id, strategy_id, account_id, allowed_regimes, max_prediction_age_ms) TABLE kept});
is(signals("'-'"), 'ann@- bea@-', 'and what is inserted after it');

#----------------------------------------------------------------------
# Invalidations that say nothing
#----------------------------------------------------------------------

$node->safe_psql('postgres', $_) for 'ANALYZE trading.strategy_changes', 'VACUUM trading.strategy_changes', 'VACUUM FULL trading.strategy_changes';
is(signals("'-'"), 'ann@- bea@-', 'ANALYZE and VACUUM of the log change nothing');
sql(q{BEGIN; DO $$ BEGIN FOR i IN 1 .. 600 LOOP EXECUTE format('CREATE TABLE many_%s (a int PRIMARY KEY, b text, c text)', i); END LOOP; END $$; COMMIT});
sql(q{UPDATE trading.strategies SET enabled = false WHERE user_id = 'ann'});
is(signals("'-'"), 'bea@-', 'nor does an overflow of the queue of invalidations hide a change');
sql(q{UPDATE trading.strategies SET enabled = true WHERE user_id = 'ann'});

# The smaller xid of a transaction that commits last.
my $slow = $node->background_psql('postgres');
$slow->query_safe(q{BEGIN; UPDATE trading.strategies SET enabled = false WHERE user_id = 'bea'});
sql(q{UPDATE trading.accounts SET equity = equity + 1 WHERE user_id = 'ann'});
is(signals("'-'"), 'ann@- bea@-', 'a change that is not committed yet');
$slow->query_safe('COMMIT');
is(signals("'-'"), 'ann@-', 'is seen when it is, though later ones were seen before');
$slow->quit;
sql(q{UPDATE trading.strategies SET enabled = true WHERE user_id = 'bea'});

#----------------------------------------------------------------------
# A hundred thousand rows at once
#----------------------------------------------------------------------

my $bulk = 100_000;
sql(<<"SQL");
INSERT INTO trading.companies (company_id, tier) SELECT 'bulk-' || n, 'PRO' FROM generate_series(0, 99) AS n;
INSERT INTO trading.users (company_id, user_id) SELECT 'bulk-' || c, 'user-' || u FROM generate_series(0, 99) AS c, generate_series(1, $bulk / 100) AS u;
INSERT INTO trading.accounts (company_id, user_id, currency, equity) SELECT u.company_id, u.user_id, 'USD', 10000 FROM trading.users AS u WHERE u.company_id LIKE 'bulk%';
INSERT INTO trading.strategies (company_id, user_id, strategy_id, min_confidence_threshold, allowed_regimes, max_prediction_age_ms, duplicate_window_seconds, risk_percent, stop_loss_pips)
SELECT u.company_id, u.user_id, 'main', CASE u.user_id WHEN 'user-7' THEN 0.7 ELSE 0.99 END, trading.enum_labels('regime'), 3600000, 0, 0.5, 30
  FROM trading.users AS u WHERE u.company_id LIKE 'bulk%';
ANALYZE;
SQL
my $all = $bulk + 2;
wait_for($node, "SELECT strategies || ' ' || pending_changes FROM trading.stat_workers", "$all 0", 'all of them are in the cache');
cmp_ok(value($node, 'SELECT cache_bytes / strategies FROM trading.stat_workers'), '<=', 400, 'at most 400 bytes each');
wait_for($node, 'SELECT memory_bytes > cache_bytes FROM trading.stat_workers', 't', 'they are a part of what the worker has in use');

# Versions of the strategies that decided, e.g. "1:100": each prediction has a hundred signals.
my $versions = q{
	SELECT string_agg(v.version || ':' || v.n, ' ' ORDER BY v.version)
	  FROM (SELECT s.strategy_version AS version, count(*) AS n FROM trading.signals AS s
	         WHERE s.prediction_id = '%s' AND s.company_id LIKE 'bulk%%' AND s.outcome = 'SIGNAL' GROUP BY 1) AS v};

sub bulk_versions { my ($id) = @_; return value($node, sprintf $versions, $id); }

my $id = ask();
wait_for_input($node, $nats);
is(bulk_versions($id), '1:100', 'a hundred of them trade');

# The worker stands still as soon as it has begun to read, however fast it is.
my ($worker) = worker_pids($node);
my $watch = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', q{DO $$ BEGIN
		WHILE (SELECT pending_changes = 0 FROM trading.stat_workers) LOOP PERFORM pg_sleep(0.001); END LOOP; END $$} ], '<', \undef);
sql(q{UPDATE trading.strategies SET min_confidence_threshold = min_confidence_threshold - 0.01, stop_loss_pips = 25 WHERE company_id LIKE 'bulk%'});
IPC::Run::finish($watch) or die "nothing is read bit by bit\n";
kill 'STOP', $worker;
is(value($node, 'SELECT pending_changes > 0 FROM trading.stat_workers'), 't', 'an update of all of them is read bit by bit');
# A small change in the middle of the big one.
sql(q{UPDATE trading.strategies SET stop_loss_pips = 26 WHERE company_id = 'bulk-5' AND user_id = 'user-7'});
my @asked = ask();
kill 'CONT', $worker;
my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
do
{
	push @asked, ask();
	wait_for_input($node, $nats);
} until bulk_versions($asked[-1]) =~ /2:99/ || time() > $end;
note(scalar(@asked) . ' predictions meanwhile');
my %answers = map { $_ => 1 } map { bulk_versions($_) } @asked;
ok(delete $answers{'1:100'}, 'while predictions are decided by what was before');
ok(delete $answers{'2:99 3:1'}, 'until all is there');
is(join(', ', sort keys %answers), '', 'there is nothing in between');
wait_for($node, 'SELECT pending_changes FROM trading.stat_workers', 0, 'nothing is left to be read');
wait_for($node, 'SELECT cache_bytes / strategies <= 400 FROM trading.stat_workers', 't', 'what was replaced is given back');

sql(q{BEGIN; UPDATE trading.strategies SET min_confidence_threshold = 0.5 WHERE company_id LIKE 'bulk%'; ROLLBACK});
$id = ask();
wait_for_input($node, $nats);
is(bulk_versions($id), '2:99 3:1', 'an update of all of them that is rolled back');

sql(q{UPDATE trading.tiers SET max_spread_pips = 2.5 WHERE tier = 'PRO'});
wait_for($node, q{SELECT pending_changes = 0 AND reloads > 0 FROM trading.stat_workers}, 't', 'a change of their tier is read');
sql(q{DELETE FROM trading.companies WHERE company_id LIKE 'bulk%'});
wait_for($node, "SELECT strategies || ' ' || pending_changes FROM trading.stat_workers", '2 0', 'all of them go');
is(signals("'-'"), 'ann@- bea@-', 'the others trade on');

#----------------------------------------------------------------------
# The snapshot of each batch
#----------------------------------------------------------------------

is(value($node, q{
	SELECT count(*) > 100 AND bool_and(s.strategy_version = (
		SELECT max(c.version) FROM trading.strategy_changes AS c
		 WHERE c.kind = 'strategy' AND c.company_id = s.company_id AND c.user_id = s.user_id AND c.strategy_id = s.strategy_id
		   AND c.system_identifier = b.system_identifier AND pg_visible_in_snapshot(c.xid, b.change_snapshot)))
	  FROM trading.signals AS s JOIN trading.batches AS b USING (lane, batch_no)
	 WHERE s.company_id NOT LIKE 'bulk%' OR s.company_id IN ('bulk-5', 'bulk-6')}),
	't', 'every signal was decided by the version that its batch\'s snapshot shows');
is(value($node, 'SELECT errors FROM trading.stat_workers'), 0, 'no batch or refresh has failed');

done_testing();
