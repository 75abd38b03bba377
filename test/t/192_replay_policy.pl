# Replay of decisions that something stood in the way of: halts, closed markets, news, limits,
# protections, and a risk service that shrinks, turns down, is absent and comes back.  Everything
# changes while predictions flow, lanes are killed and their number changes; what is recorded is
# made again to the bit, with nobody to ask.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;
use TradingEngineReplay;
use TradingEngineRisk;
use TradingEngineRun;

# Minutes of one market, from a Thursday on; New York's week ends on Friday 22:00 UTC.
use constant { START => '2012-02-02T12:00:00Z', WEEK_ENDS => 34 * 60, WEEK_BEGINS => 82 * 60, RATE => 100 };

my $nats = TradingEngineNats->new('replay_policy')->start;
my $node = engine('replay_policy', nats => $nats, lanes => 2, repeats => 0, sessions => 1, conf => {
	'trading_engine.clock' => 'input',
	'trading_engine.restart_delay' => '100ms',
	'trading_engine.risk_service' => 'on',
	'trading_engine.risk_deadline' => '1s',
	'trading_engine.risk_breaker_failures' => 5,
	'trading_engine.risk_breaker_wait' => '100ms',
	'trading_engine.risk_breaker_wait_max' => '100ms',
	'restart_after_crash' => 'on',
	'wal_level' => 'replica' });
trade($node);
sub sql { return value($node, $_[0]); }
sql(q{
	UPDATE trading.tiers SET max_position_count = 60, duplicate_window_seconds = 240, duplicate_distance_pips = 2, signal_ttl_seconds = 600;
	UPDATE trading.strategies SET allowed_regimes = trading.enum_labels('regime') WHERE custom_rule IS NULL;
	UPDATE trading.strategies SET min_confidence_threshold = 0.7, trend_following_enabled = false WHERE (user_id, strategy_id) = ('eve', 's1')});

#----------------------------------------------------------------------
# Stages
#----------------------------------------------------------------------

my $epoch = 0;

# A minute of the market, as SQL.
sub instant { my ($minute) = @_; return "(timestamptz '" . START . "' + interval '1 minute' * $minute)"; }

# The market between two minutes.  What is given for a minute happens while what follows it flows,
# so that it has happened when the minute comes that is given next.
sub flow
{
	my ($from, $to, @meanwhile) = @_;
	while ($from < $to)
	{
		my ($until, $then) = $from == ($meanwhile[0] // -1) ? ($meanwhile[2] // $to, (splice @meanwhile, 0, 2)[1]) : ($meanwhile[0] // $to);
		my $run = start_prediction($nats, '--start', START, '--seed', 8, '--skip', $from, '--bars', $until - $from, '--epoch', ++$epoch,
			'--ticks', 1, '--rate', RATE, 'GBPUSD', 'EURUSD');
		$then->() if $then;
		finish_prediction($run);
		wait_for_input($node, $nats);
		$from = $until;
	}
	return;
}

# Orders that nobody has told of yet, the oldest first, are filled now; with a loss, they are stopped out.
sub report
{
	my ($user, $most, $loss) = @_;
	my $closes = defined $loss ? "trading.report_execution('c' || s.signal_id, s.signal_id, 'CLOSED', c.now + interval '1 second', s.stop_loss, s.position_size, -s.max_loss * $loss)" : 'NULL';
	sql(<<"SQL");
WITH clock AS (SELECT max(decided_at) AS now FROM trading.prediction_batches)
SELECT count(trading.report_execution('f' || s.signal_id, s.signal_id, 'FILLED', c.now, s.entry_price, s.position_size)), count($closes)
  FROM clock AS c, (
	SELECT * FROM trading.signals AS s
	 WHERE s.user_id = '$user' AND s.outcome = 'SIGNAL' AND NOT EXISTS (SELECT FROM trading.executions AS x WHERE x.signal_id = s.signal_id)
	 ORDER BY s.decided_at LIMIT $most) AS s
SQL
	return;
}

sub rows { my ($condition) = @_; return sql("SELECT count(*) FROM trading.signals AS s WHERE $condition"); }

# Signals that something was done to.
sub there_are { my ($least, $what, $condition) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; return cmp_ok(rows($condition), '>=', $least, "there are $what"); }

sub halt { my ($scope, @state) = @_; return sql("SELECT count(*) FROM trading.halt('$scope', 'tested'" . join('', map { ", '$_'" } @state) . ')'); }
sub resume { my ($scope) = @_; return sql("SELECT trading.resume('$scope', 'tested')"); }

sub service { my (@options) = @_; return sub { use_service($nats, @options) }; }
sub stopped { return sub { report($_, 50, 0.02) for qw(ann bob carl eve) }; }

flow(0, WEEK_ENDS + 120,
	# Nobody answers: the breakers open.  Then somebody does, who'd take more than there is: they close.
	160 => service('--level', 'LOW', '--size-share', 2, '--stop-share', 1.5),

	# Halted and let go.
	300 => sub { halt('desk') },
	340 => sub { halt('*/*/*/EURUSD') },
	380 => sub { resume('desk'); halt('fund/eve/s1') },
	420 => sub { resume('*/*/*/EURUSD'); resume('fund/eve/s1') },

	# The service shrinks, tightens and turns down, is gone in between, and now and then wrong.
	440 => service('--risk', 0.3, '--extreme', 0.9, '--stop', 0.1),
	500 => service('--level', 'HIGH', '--size-share', 0.5, '--stop-share', 0.7),
	540 => sub { },
	560 => sub { stop_service() },
	600 => service('--level', 'EXTREME'),
	640 => sub { },
	680 => service('--level', 'LOW', '--size-share', 0.7, '--stop-share', -1),
	740 => service('--level', 'MEDIUM', '--size-share', 0.8, '--wrong', 'nan', '--wrong-every', 3),
	800 => service('--level', 'MEDIUM', '--size-share', 0.8),

	# Limits that cut sizes, and a lane that dies under them.
	820 => sub { sql(q{
		INSERT INTO trading.risk_limits (company_id, max_open_risk_percent) VALUES ('desk', 0.5);
		INSERT INTO trading.risk_limits (company_id, max_open_positions) VALUES ('fund', 4);
		INSERT INTO trading.risk_limits (company_id, max_leverage) VALUES ('bank', 9), ('small', 9)}) },
	920 => sub { kill_worker($node, 0) },

	# Trades that go badly; what they lock is lifted in the end.
	1020 => sub { sql(q{
		DELETE FROM trading.risk_limits;
		INSERT INTO trading.risk_limits (company_id, user_id, max_daily_loss_percent) VALUES ('fund', 'eve', 0.3);
		INSERT INTO trading.protections (company_id, user_id, kind, lock_for) VALUES ('desk', 'carl', 'COOL_DOWN', '30 minutes');
		INSERT INTO trading.protections (company_id, kind, lookback, lock_for, trade_limit) VALUES ('small', 'STOP_LOSS_GUARD', '3 hours', '40 minutes', 2)}) },
	1060 => stopped(),
	1120 => stopped(),
	1180 => sub { kill_worker($node, 1) },
	1240 => stopped(),
	1260 => sub { sql(q{UPDATE trading.protection_locks SET lift_reason = 'tested' WHERE lifted_at IS NULL}) },

	# Positions that are open may only be reduced; these orders are filled long after they have expired.
	1300 => sub { sql('DELETE FROM trading.risk_limits; DELETE FROM trading.protections'); report($_, 6) for qw(gus fred) },
	1340 => sub { halt('bank', 'REDUCING'); halt('fund/fred', 'REDUCING') },
	1400 => sub { },
	1480 => sub { resume('bank'); resume('fund/fred') },

	# News that are due, and a calendar that ends.
	1500 => sub { sql(q{
		INSERT INTO trading.news_rules (company_id, symbol, before, after) VALUES ('fund', 'GBPUSD', '20 minutes', '20 minutes'), ('bank', 'GBPUSD', '0', '1 hour');
		INSERT INTO trading.news_calendar (known_from, known_until) VALUES ('2012-02-01Z', } . instant(1700) . q{);
		INSERT INTO trading.news_events (event_time, currency, impact, title) VALUES (} . instant(1600) . q{, 'USD', 'HIGH', 'tested')}) },
	1560 => sub { },
	1800 => sub { sql('UPDATE trading.news_rules SET required = false') });

# The next week begins, with a holiday.
sql(q{INSERT INTO trading.market_holidays (symbol, closed_from, closed_until, name) VALUES ('GBPUSD', } . instant(WEEK_BEGINS + 60) . ', ' . instant(WEEK_BEGINS + 120) . q{, 'tested')});
flow(WEEK_BEGINS - 120, WEEK_BEGINS + 200);

#----------------------------------------------------------------------
# What has happened
#----------------------------------------------------------------------

for my $reason ('Trading is halted', 'Only orders that reduce a position are let through', 'The market is closed', 'News are due or just out',
	'The calendar of news that is required is missing', 'Locked by a protection', 'Daily loss limit broken', 'Limit of open risk reached',
	'Limit of open positions reached', 'Extreme risk level detected')
{
	there_are(3, "rejections: $reason", "outcome = 'RISK_REJECTED' AND cancellation_reason = '$reason'");
}
there_are(3, "signals of which $_", "outcome = 'SIGNAL' AND array_to_string(risk_notes, '; ') ~ '$_'")
  for 'Position size reduced', 'Limit of open risk reached', 'Limit of leverage reached', 'Stop loss tightened', 'Recommended stop loss ignored: wider', 'Recommended stop loss ignored: on the wrong side';
there_are(10, "signals of status $_", "risk_status = '$_'") for 'ASSESSED', 'FALLBACK_USED', 'ERROR_FALLBACK';
there_are(3, 'signals with legs that are smaller now',
	q{s.outcome = 'SIGNAL' AND s.position_size < s.original_position_size AND (SELECT count(*) FROM trading.signal_legs AS l WHERE l.signal_id = s.signal_id) > 1});
is(rows(q{outcome = 'SIGNAL' AND (position_size > original_position_size OR abs(entry_price - stop_loss) > abs(entry_price - original_stop_loss) + 1e-9)}),
	'0', 'none is larger, or has a wider stop, than it was decided');
is(sql(q{SELECT string_agg(DISTINCT from_state || '-' || to_state, ' ' ORDER BY from_state || '-' || to_state) FROM trading.breaker_changes}),
	'CLOSED-OPEN HALF_OPEN-CLOSED HALF_OPEN-OPEN OPEN-HALF_OPEN', 'the breaker has been through all of its states');
cmp_ok(sql(q{SELECT count(*) FROM trading.trades WHERE stopped_out}), '>', 10, 'trades were stopped out');

#----------------------------------------------------------------------
# Once more
#----------------------------------------------------------------------

stop_service();
my $questions = sql('SELECT sum(risk_questions) FROM trading.stat_workers');
replay_is_live($node, 'under policy');

# What is laid down now is no matter.
halt('*');
sql(q{INSERT INTO trading.risk_limits (max_open_positions) VALUES (0);
	INSERT INTO trading.news_rules (before, after) VALUES ('1 day', '1 day');
	DELETE FROM trading.instrument_sessions;
	DELETE FROM trading.protection_locks});
replay_is_live($node, 'under another policy');
is(differences($node, q{(company_id, user_id) = ('fund', 'eve')}, company_id => q{'fund'}, user_id => q{'eve'}, workers => 2), '0|0', 'one user');
is(differences($node, q{(company_id, user_id, strategy_id) = ('desk', 'carl', 's1')},
	company_id => q{'desk'}, user_id => q{'carl'}, strategy_id => q{'s1'}), '0|0', 'one strategy, beside another of the same account');
my $of_range = sub { my ($condition) = @_;
	return "EXISTS (SELECT FROM trading.prediction_batches AS p WHERE (p.lane, p.batch_no, p.position) = (s.lane, s.batch_no, s.position) AND $condition)"; };
for my $percentile (0.1, 0.4, 0.6, 0.8)
{
	my $from = sql("SELECT percentile_disc($percentile) WITHIN GROUP (ORDER BY decided_at) FROM trading.signals");
	is(differences($node, $of_range->("p.decided_at >= '$from'"), from_time => "'$from'", workers => 2), '0|0', "from $percentile of the signals on");
}
is(sql('SELECT sum(risk_questions) FROM trading.stat_workers'), $questions, 'nobody was asked again');

#----------------------------------------------------------------------
# Another number of lanes, in the same policy
#----------------------------------------------------------------------

resume('*');
sql('DELETE FROM trading.news_rules; UPDATE trading.risk_limits SET max_open_positions = 6');
use_service($nats, '--level', 'LOW', '--size-share', 0.6);
sql('SELECT trading.set_lanes(3)');
wait_for_lanes($node);
flow(WEEK_BEGINS + 200, WEEK_BEGINS + 440, WEEK_BEGINS + 280 => sub { halt('fund') }, WEEK_BEGINS + 320 => sub { resume('fund') }, WEEK_BEGINS + 360 => sub { stop_service() });
is(sql('SELECT count(DISTINCT lane_count) FROM trading.batches WHERE signals > 0'), '2', 'the number of lanes has changed');
replay_is_live($node, 'other lanes');

$node->stop;
$nats->stop;
done_testing();
