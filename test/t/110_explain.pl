# EXPLAIN against a live engine: for every way in which a decision can end, what is explained from
# stored rows is what the worker did, and stays so whatever is changed or deleted afterwards.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;

my $node = engine('explain', lanes => 2, conf => { 'trading_engine.clock' => 'input', 'trading_engine.min_bars' => 20 });

#----------------------------------------------------------------------
# Tenants: a strategy for every outcome
#----------------------------------------------------------------------

my $every_regime = q('{UNKNOWN,RANGING,TRENDING,LOW_VOLATILITY,HIGH_VOLATILITY}');
my %common = (
	allowed_regimes => $every_regime, max_prediction_age_ms => 60000, max_position_count => 50, risk_percent => 0.5,
	trend_following_enabled => 'false', min_confidence_threshold => 0.6, min_consensus_score => 0.5);
# What each does on prediction "buy".
my %strategies = (
	disabled => [ 'DISABLED', enabled => 'false' ],
	instrument => [ 'INSTRUMENT_NOT_ALLOWED', available_instruments => "'{GBPUSD,USDJPY}'" ],
	stale => [ 'STALE', max_prediction_age_ms => 1000 ],
	confidence => [ 'LOW_CONFIDENCE', min_confidence_threshold => 0.95 ],
	consensus => [ 'LOW_CONSENSUS', min_consensus_score => 0.99 ],
	regime => [ 'UNFAVORABLE_MARKET', allowed_regimes => "'{HIGH_VOLATILITY}'" ],
	spread => [ 'UNFAVORABLE_MARKET', max_spread_pips => 0.5 ],
	favorability => [ 'UNFAVORABLE_MARKET', min_market_favorability => 1 ],
	rule => [ 'CUSTOM_RULE', custom_rule => q('$.prediction.confidence > 0.99') ],
	type => [ 'HOLD', pattern_trading_enabled => 'true', min_pattern_probability => 0.5, volatility_mode => "'NEUTRAL'" ],
	poor => [ 'POOR_REWARD_RISK', min_reward_risk_ratio => 10 ],
	near => [ 'POOR_REWARD_RISK', take_profit_mode => "'PREDICTED_PRICE'", limit_order_discount_pips => 0 ],
	kelly => [ 'NEGATIVE_EXPECTANCY', position_sizing => "'KELLY'", min_reward_risk_ratio => 0, take_profit_mode => "'PIPS'", take_profit_pips => 2 ],
	small => [ 'POSITION_TOO_SMALL', risk_percent => 0.001 ],
	positions => [ 'MAX_POSITIONS', max_position_count => 3 ],
	plain => [ 'SIGNAL' ],
	market => [ 'SIGNAL', prefer_market_orders => 'true' ],
	legs => [ 'SIGNAL', enable_multi_leg_strategies => 'true', leg_count => 3 ],
	atr => [ 'SIGNAL', stop_loss_mode => "'ATR'", position_sizing => "'VOLATILITY_TARGET'" ],
	bet => [ 'SIGNAL', position_sizing => "'KELLY'" ],
	fixed => [ 'SIGNAL', position_sizing => "'FIXED_LOT'" ],
	timing => [ 'SIGNAL', advanced_timing => 'true', timing_extension_atr => 0.1 ],
	trend => [ 'SIGNAL', trend_following_enabled => 'true', counter_trend_confidence_threshold => 0.9 ],
);

sub insert_strategy
{
	my ($company, $user, $name, %changes) = @_;
	my %values = (%common, %changes);
	my @names = sort keys %values;
	return sprintf "INSERT INTO trading.strategies (company_id, user_id, strategy_id, %s) VALUES ('%s', '%s', '%s', %s);\n",
	  join(', ', @names), $company, $user, $name, join(', ', map { $values{$_} } @names);
}

my $sql = <<'SQL';
INSERT INTO trading.companies (company_id, tier) VALUES ('acme', 'ENTERPRISE'), ('beta', 'FREE');
INSERT INTO trading.users (company_id, user_id, role) VALUES ('acme', 'ann', 'admin'), ('acme', 'tom', 'trader'),
	('acme', 'eve', 'trader'), ('beta', 'bob', 'trader');
INSERT INTO trading.accounts (company_id, user_id, currency, equity, open_positions) VALUES
	('acme', 'ann', 'USD', 5000, 0), ('acme', 'tom', 'USD', 20000, 3), ('acme', 'eve', 'CHF', 30000, 0), ('beta', 'bob', 'USD', 1000, 0);
INSERT INTO trading.strategies (company_id, user_id, strategy_id, name, max_prediction_age_ms) VALUES ('acme', '_all', '_all', 'house rules', 50000);
CREATE ROLE te_ann LOGIN IN ROLE trading_tenant;
CREATE ROLE te_tom LOGIN IN ROLE trading_tenant;
CREATE ROLE te_bob LOGIN IN ROLE trading_tenant;
CREATE ROLE te_nobody LOGIN IN ROLE trading_tenant;
INSERT INTO trading.logins (role_name, company_id, user_id) VALUES ('te_ann', 'acme', 'ann'), ('te_tom', 'acme', 'tom'), ('te_bob', 'beta', 'bob');
SQL
for my $name (sort keys %strategies)
{
	my (undef, %changes) = @{ $strategies{$name} };
	$sql .= insert_strategy('acme', 'tom', $name, %changes);
}
$sql .= insert_strategy('acme', 'eve', 'francs') . insert_strategy('acme', 'ann', 'main');
$sql .= "INSERT INTO trading.strategies (company_id, user_id, strategy_id) VALUES ('beta', 'bob', 'main');\n";
$node->safe_psql('postgres', "BEGIN;\n$sql COMMIT;");

#----------------------------------------------------------------------
# Input: prices for everybody, then predictions
#----------------------------------------------------------------------

my $batches = 0;

# Submit a batch; times are seconds after the beginning of the test's history.
sub submit
{
	my ($company, $user, $at, $predictions, $role) = @_;
	$batches++;
	$node->safe_psql('postgres', <<"SQL", extra_params => defined $role ? [ '-U', $role ] : []);
SELECT trading.submit(jsonb_build_object('batch_id', 'b$batches', 'producer_id', 'test', 'company_id', '$company', 'user_id', '$user',
	'generated_at', timestamptz '2026-01-05 08:00Z' + $at * interval '1 second', 'predictions', ($predictions)))
SQL
	return;
}

# A prediction at seconds after the beginning; more as JSON.
sub prediction
{
	my ($id, $at, $more) = @_;
	$more //= '{}';
	return <<"SQL";
jsonb_build_object('prediction_id', '$id', 'symbol', 'EURUSD', 'direction', 'BUY', 'confidence', 0.85,
	'generated_at', timestamptz '2026-01-05 08:00Z' + $at * interval '1 second',
	'current_price', 1.13, 'predicted_price', 1.1301, 'bid', 1.1299, 'ask', 1.1301,
	'models', '[{"model_id": "lstm", "direction": "BUY", "confidence": 0.9}, {"model_id": "arima", "direction": "SELL", "confidence": 0.2}]'::jsonb,
	'patterns', '[{"name": "HAMMER", "direction": "NEUTRAL", "probability": 0.4}]'::jsonb) || '$more'::jsonb
SQL
}

sub settle
{
	$node->poll_query_until('postgres', q{
		SELECT NOT EXISTS (SELECT FROM trading.lanes AS l, trading.inbox AS i
			WHERE (i.company_id = '_all' OR l.lane = trading.lane_of(i.company_id, (SELECT count(*)::int FROM trading.lanes)))
			  AND pg_visible_in_snapshot(i.xid, (SELECT b.inbox_snapshot FROM trading.batches AS b
				WHERE b.lane = l.lane ORDER BY b.batch_no DESC LIMIT 1)) IS NOT TRUE)}) or die "not everything is decided";
	return;
}

# 60 bars that rise.  Their confidence is below every threshold.
submit('_all', '_all', 0, <<'SQL');
SELECT jsonb_agg(jsonb_build_object('prediction_id', 'price' || n, 'symbol', 'EURUSD', 'direction', 'BUY', 'confidence', 0.01,
	'generated_at', timestamptz '2026-01-05 08:00Z' + n * interval '100 seconds', 'current_price', 1.1 + n * 0.00015,
	'predicted_price', 1.2) ORDER BY n) FROM generate_series(0, 200) AS n
SQL
settle();
wait_for($node, "SELECT string_agg(DISTINCT c.trend, ',') FROM (SELECT DISTINCT ON (lane) * FROM trading.market_conditions ORDER BY lane, bar_start DESC) AS c",
	'UP', 'the market rises');

# The clock stands at 20000.  Of one message, each prediction is decided at its own time.
my $all = join ', ', prediction('buy', 19995), prediction('sell', 20001, '{"direction": "SELL", "models": []}'),
  prediction('weak', 20002, '{"direction": "WEAK_BUY", "patterns": [{"name": "CROW", "direction": "BEARISH", "probability": 0.9}]}'),
  prediction('hold', 20003, '{"direction": "HOLD"}'),
  prediction('unsure', 20004, '{"confidence": 0.3}'),
  prediction('unknown_symbol', 20005, '{"symbol": "NOSUCH"}');
# A symbol that nobody knows is refused where predictions are submitted; a message with one comes from elsewhere.
$node->safe_psql('postgres', q{INSERT INTO trading.instruments SELECT (jsonb_populate_record(i, '{"symbol": "NOSUCH"}')).*
	FROM trading.instruments AS i WHERE symbol = 'EURUSD'});
$node->safe_psql('postgres', "BEGIN; SELECT trading.submit(jsonb_build_object('batch_id', 'mixed', 'producer_id', 'test', 'company_id', 'acme',
	'user_id', '_all', 'generated_at', timestamptz '2026-01-05 08:00Z', 'predictions', jsonb_build_array($all)));
	DELETE FROM trading.instruments WHERE symbol = 'NOSUCH'; COMMIT;");
settle();
submit('acme', 'tom', 20010, 'jsonb_build_array(' . prediction('expired', 20000, '{"valid_until": "2026-01-05T13:00:00Z"}') . ')');
submit('_all', '_all', 20020, 'jsonb_build_array(' . prediction('broadcast', 20020) . ')');
submit('beta', 'bob', 20030, 'jsonb_build_array(' . prediction('betas', 20030) . ')');
settle();
# A rate, by way of a third currency.
$node->safe_psql('postgres', "INSERT INTO trading.rates (base_currency, quote_currency, rate, as_of, max_age)
	VALUES ('EUR', 'CHF', 0.94, '2026-01-05 08:00Z', '0')");
submit('acme', 'eve', 20040, 'jsonb_build_array(' . prediction('converted', 20040) . ')');
settle();

#----------------------------------------------------------------------
# Explain is what the worker did
#----------------------------------------------------------------------

# Every prediction, and every strategy that it was for.
my @pairs = (
	(map { [ $_, 'acme', 'tom' ], [ $_, 'acme', 'eve' ], [ $_, 'acme', 'ann' ], } qw(buy sell weak hold unsure broadcast)),
	[ 'expired', 'acme', 'tom' ], [ 'converted', 'acme', 'eve' ], [ 'betas', 'beta', 'bob' ], [ 'broadcast', 'beta', 'bob' ]);
my $pairs = join ', ', map { "('$_->[0]', '$_->[1]', '$_->[2]')" } @pairs;

sub documents
{
	my ($table) = @_;
	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE public.$table AS
SELECT p.prediction_id, p.company_id, p.user_id, s.strategy_id,
       trading.explain_json(p.prediction_id, p.company_id, p.user_id, s.strategy_id) AS document
  FROM (VALUES $pairs) AS p (prediction_id, company_id, user_id)
  JOIN public.strategies AS s USING (company_id, user_id);
SQL
	return;
}

$node->safe_psql('postgres', "CREATE TABLE public.strategies AS SELECT company_id, user_id, strategy_id FROM trading.strategies WHERE user_id <> '_all'");
documents('before');
for my $name (sort keys %strategies)
{
	my $outcome = $strategies{$name}[0];
	my ($prediction) = $name eq 'type' ? 'weak' : 'buy';
	is(value($node, "SELECT e.outcome || ' ' || e.gate || ' ' || e.passed FROM trading.explain('$prediction', 'acme', 'tom', '$name') AS e
			ORDER BY e.step DESC LIMIT 1"),
		"$outcome " . ($outcome eq 'SIGNAL' ? 'MAX_POSITIONS true' : "$outcome false"), "$name: $outcome");
}
is(value($node, "SELECT document ->> 'outcome' || ' ' || (document #>> '{gates,-1,quantity}') FROM public.before
		WHERE prediction_id = 'sell' AND strategy_id = 'trend'"), 'HOLD confidence against the trend', 'a SELL in a rising market');
is(value($node, "SELECT string_agg(DISTINCT document ->> 'outcome', ' ') FROM public.before WHERE prediction_id = 'hold'"),
	'DISABLED HOLD INSTRUMENT_NOT_ALLOWED', 'a prediction to hold');
is(value($node, "SELECT string_agg(DISTINCT document #>> '{gates,-1,quantity}', ' ') FROM public.before WHERE prediction_id = 'expired'
		AND document ->> 'outcome' = 'STALE'"), 'at', 'an expired prediction');
is(value($node, "SELECT string_agg(prediction_id || ' ' || (document ->> 'outcome') || ' ' || COALESCE(round((document #>> '{inputs,account,conversion_rate}')::numeric, 12)::text, 'none'), ', ' ORDER BY prediction_id)
		FROM public.before WHERE user_id = 'eve' AND prediction_id IN ('buy', 'converted')"),
	'buy NO_CONVERSION_RATE none, converted SIGNAL ' . value($node, 'SELECT round(0.94 / 1.13, 12)'), 'with the rate that was known at the time');

# Rejections are only counted, and the counts are written when the workers end.
my $unlike = <<'SQL';
SELECT string_agg(concat_ws(' ', company_id, user_id, strategy_id, outcome, n), ', ')
  FROM ((SELECT company_id, user_id, strategy_id, document ->> 'outcome' AS outcome, count(*) AS n FROM public.before
	  WHERE NOT (prediction_id = 'broadcast' AND document ->> 'outcome' IN ('LOW_CONFIDENCE', 'INSTRUMENT_NOT_ALLOWED'))
	  GROUP BY 1, 2, 3, 4
	 %s
	 SELECT company_id, user_id, strategy_id, outcome, sum(decisions) FROM trading.decision_counts GROUP BY 1, 2, 3, 4)) AS x
SQL
$node->safe_psql('postgres', 'SELECT trading.stop_lanes()');
wait_for_lanes($node);
is(value($node, sprintf $unlike, 'EXCEPT'), '', 'every explained outcome was counted');
is(value($node, q{SELECT sum(decisions) FROM trading.decision_counts}),
	value($node, q{SELECT count(*) FROM public.before WHERE NOT (prediction_id = 'broadcast' AND document ->> 'outcome' IN ('LOW_CONFIDENCE', 'INSTRUMENT_NOT_ALLOWED'))}),
	'and every count is explained');
is(value($node, q{SELECT count(DISTINCT document ->> 'outcome') FROM public.before}), 14, 'all outcomes that the gates can give');

# Signals and holds: from what they hold themselves, and from the message and the log: the same.
is(value($node, q{SELECT count(*) || ' ' || bool_and((trading.explain_json(signal_id) ->> 'agrees')::boolean) FROM trading.signals}),
	value($node, q{SELECT count(*) FROM public.before WHERE document ->> 'outcome' IN ('SIGNAL', 'HOLD')}) . ' true',
	'every signal is explained by what is stored in it');
is(value($node, q{SELECT string_agg(concat_ws('/', b.prediction_id, b.user_id, b.strategy_id, (SELECT string_agg(k.key || (document -> k.key)::text || k.value::text, ' ') FROM jsonb_each(trading.explain_json(s.signal_id)) AS k WHERE k.value IS DISTINCT FROM document -> k.key AND k.key NOT IN ('signal_id', 'agrees', 'simulated'))), ' ') FROM public.before AS b
	LEFT JOIN trading.signals AS s USING (prediction_id, company_id, user_id, strategy_id)
	 WHERE (document ->> 'outcome' IN ('SIGNAL', 'HOLD')) <> (s.signal_id IS NOT NULL)
	    OR s.signal_id IS NOT NULL AND (trading.explain_json(s.signal_id) - '{signal_id,agrees,simulated}'::text[]) <> document - 'for'}),
	'', 'and explained in the same way by the stored message and the log of versions');
is(value($node, q{SELECT string_agg(DISTINCT l #>> '{}', ' ') FROM public.before, jsonb_path_query(document, '$.gates[*].layer') AS x (l)}),
	'COMPANY DEFAULT INSTRUMENT PREDICTION TIER USER', 'thresholds of every layer')
  or diag(value($node, q{SELECT DISTINCT g FROM public.before, jsonb_path_query(document, '$.gates[*]') AS g WHERE g ->> 'layer' IN ('COMPANY', 'TIER')}));

# And decided again by replay.
is(value($node, q{SELECT count(*) > 100, string_agg(concat_ws('/', r.prediction_id, r.user_id, r.strategy_id, r.outcome, b.document ->> 'outcome'), ' ')
		FILTER (WHERE (r.outcome, r.decided_at, r.strategy_version) IS DISTINCT FROM
			(b.document ->> 'outcome', (b.document ->> 'decided_at')::timestamptz, (b.document ->> 'strategy_version')::bigint))
	  FROM trading.replay('2026-01-05', '2026-01-06', outcomes => trading.enum_labels('outcome')) AS r
	  LEFT JOIN public.before AS b USING (prediction_id, company_id, user_id, strategy_id) WHERE r.prediction_id !~ '^price'}), 't|',
	'replay comes to the same outcomes');

# Every threshold that is a parameter is that parameter of the strategy that decided.
is(value($node, q{SELECT count(*) > 500, string_agg(DISTINCT g ->> 'gate', ' ') FILTER (WHERE g -> 'threshold' IS DISTINCT FROM document #> ARRAY['inputs', 'strategy', g ->> 'parameter'])
	  FROM public.before, jsonb_array_elements(document -> 'gates') AS g WHERE g ->> 'layer' IN ('DEFAULT', 'TIER', 'USER', 'COMPANY', 'CEILING')
	   AND g ->> 'gate' <> 'DISABLED'}), 't|', 'thresholds are those of the strategy');
is(value($node, q{SELECT count(*) FROM public.before, jsonb_array_elements((document -> 'gates') || (document -> 'derivation')) AS g
	 WHERE g ->> 'layer' IN ('DEFAULT', 'TIER', 'USER', 'COMPANY', 'CEILING') AND g ->> 'parameter' NOT IN (SELECT name FROM trading.strategy_parameters())}), '0',
	'and every parameter that is named is one');

#----------------------------------------------------------------------
# What is changed later doesn't change the past
#----------------------------------------------------------------------

$node->safe_psql('postgres', q{
	BEGIN;
	UPDATE trading.strategies SET min_confidence_threshold = 0.99, risk_percent = 2, stop_loss_pips = 55, enabled = true WHERE user_id <> '_all';
	UPDATE trading.strategies SET max_prediction_age_ms = 2 WHERE user_id = '_all';
	UPDATE trading.accounts SET equity = 1, open_positions = 0;
	UPDATE trading.instruments SET lot_min = 1, lot_step = 1, tick_size = 0.0001 WHERE symbol = 'EURUSD';
	UPDATE trading.tiers SET max_prediction_age_ms = 1 WHERE tier = 'FREE';
	UPDATE trading.rates SET rate = 5;
	COMMIT;});
submit('acme', 'tom', 20050, 'jsonb_build_array(' . prediction('late', 20050) . ')');
settle();
documents('updated');
my $differ = q{SELECT count(*) FROM public.before AS b FULL JOIN public.%s AS a USING (prediction_id, company_id, user_id, strategy_id) WHERE a.document IS DISTINCT FROM b.document};
is(value($node, sprintf $differ, 'updated'), '0', 'after updates of everything, the past is explained as before');
is(value($node, q{SELECT outcome || ' ' || strategy_version || ' ' || threshold || ' ' || layer FROM trading.explain('late', 'acme', 'tom', 'plain') ORDER BY step DESC LIMIT 1}),
	'LOW_CONFIDENCE 2 0.99 USER', 'and the present by the new version');
is(value($node, q{SELECT outcome || ' ' || strategy_version FROM trading.explain('buy', 'acme', 'tom', 'plain') LIMIT 1}), 'SIGNAL 1', 'the past by the old one');

# A tier that has one strategy per user.
$node->safe_psql('postgres', q{UPDATE trading.companies SET tier = 'FREE' WHERE company_id = 'acme'});
submit('acme', 'tom', 20055, 'jsonb_build_array(' . prediction('demoted', 20055) . ')');
settle();
is(value($node, q{SELECT string_agg(DISTINCT x.o, ', ' ORDER BY x.o) FROM (
		SELECT concat_ws(' ', CASE s.strategy_id WHEN 'atr' THEN 'first' ELSE 'extra' END, e.outcome, e.layer) AS o
		  FROM trading.strategies AS s, LATERAL (SELECT * FROM trading.explain('demoted', s.company_id, s.user_id, s.strategy_id) ORDER BY step DESC LIMIT 1) AS e
		 WHERE s.user_id = 'tom') AS x}), 'extra DISABLED CEILING, first LOW_CONFIDENCE USER', 'what the tier takes away is said to be the ceiling');

$node->safe_psql('postgres', q{
	BEGIN;
	DELETE FROM trading.strategies WHERE user_id = 'tom';
	DELETE FROM trading.accounts WHERE user_id = 'tom';
	COMMIT;
	SELECT trading.set_lanes(3);});
wait_for_lanes($node);
documents('deleted');
is(value($node, sprintf $differ, 'deleted'), '0', 'after strategies are deleted and the lanes are cut anew, too');
submit('acme', 'tom', 20060, 'jsonb_build_array(' . prediction('orphan', 20060) . ')');
settle();
is(value($node, q{SELECT e.gate || ' ' || e.quantity || ': ' || (e.value #>> '{}') FROM trading.explain('orphan', 'acme', 'tom', 'plain') AS e}),
	'NOT_DECIDED no strategy: there was no strategy "plain" of user "tom" when the prediction was decided', 'a strategy that was not there any more');
is(value($node, q{SELECT e.gate || ' ' || e.quantity || ': ' || (e.value #>> '{}') FROM trading.explain('unknown_symbol', 'acme', 'tom', 'plain') AS e}),
	'NOT_DECIDED prediction refused: UNKNOWN_SYMBOL: predictions[5].symbol: "NOSUCH" is not in trading.instruments', 'a prediction that was refused');

#----------------------------------------------------------------------
# Who may ask for what
#----------------------------------------------------------------------

sub ask
{
	my ($role, $sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-U', $role ]);
	return $status == 0 ? $out : $err =~ /ERROR:  (.*)/ ? $1 : $err;
}
sub outcome { my ($role, @key) = @_; return ask($role, "SELECT outcome FROM trading.explain('$key[0]', '$key[1]', '$key[2]', '$key[3]') LIMIT 1"); }

is(outcome('te_tom', 'buy', 'acme', 'tom', 'plain'), 'SIGNAL', 'a trader sees its own');
is(outcome('te_tom', 'broadcast', 'acme', 'tom', 'plain'), 'SIGNAL', 'and what broadcasts did to it');
is(outcome('te_ann', 'buy', 'acme', 'tom', 'plain'), 'SIGNAL', 'an admin of the company sees those of its users');
is(outcome('te_tom', 'buy', 'acme', 'eve', 'francs'), 'there is no prediction "buy" for user "eve" of company "acme"', 'a trader sees no colleague');
is(outcome('te_tom', 'nonsense', 'acme', 'eve', 'francs'), 'there is no prediction "nonsense" for user "eve" of company "acme"', 'which is said as of what does not exist');
is(outcome('te_bob', 'buy', 'acme', 'tom', 'plain'), 'there is no prediction "buy" for user "tom" of company "acme"', 'another company sees nothing');
is(outcome('te_bob', 'buy', 'beta', 'bob', 'main'), 'there is no prediction "buy" for user "bob" of company "beta"', 'and not what was for others');
is(outcome('te_tom', 'expired', 'acme', 'tom', 'plain'), 'STALE', 'a message for one user is there for that user');
is(outcome('te_ann', 'expired', 'acme', 'ann', 'main'), 'there is no prediction "expired" for user "ann" of company "acme"', 'and for nobody else');
is(outcome('te_nobody', 'broadcast', 'acme', 'tom', 'plain'), 'there is no prediction "broadcast" for user "tom" of company "acme"', 'who is nobody sees nothing');
my $tom = value($node, "SELECT signal_id FROM trading.signals WHERE user_id = 'tom' ORDER BY signal_id LIMIT 1");
is(ask('te_tom', "SELECT count(*) > 1 FROM trading.explain('$tom'::uuid)"), 't', 'signals too: its own');
is(ask('te_bob', "SELECT * FROM trading.explain('$tom'::uuid)"), "there is no signal $tom", 'not those of others');
is(ask('te_tom', "SELECT * FROM trading.explain('00000000-0000-7000-8000-000000000000'::uuid)"), 'there is no signal 00000000-0000-7000-8000-000000000000', 'in the words for what does not exist');
like(ask('te_tom', "SELECT trading.decided_with('acme', 'tom', 'plain', 'EURUSD', pg_current_snapshot(), 1)"), qr/permission denied/, 'the parts are not for tenants');
like(ask('te_tom', "SELECT trading.find_prediction('betas', 'beta', 'bob', NULL, NULL)"), qr/permission denied/, 'none of them');

$node->stop;
done_testing();
