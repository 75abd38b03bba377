# TradingEngineRun - tenants to trade with, input that is the same every time, and
# what is to be the same after it.
#
#	trade($node);                                    # three tiers, both lanes, many strategies
#	predict($nats, '--file', $bars, 'GBPUSD');
#	wait_for_input($node, $nats);                    # every lane has applied the whole stream
#	wait_for_output($node, $nats);                   # and the broker has all that came of it
#	my $result = results($node);                     # digests that depend on the input alone
package TradingEngineRun;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use TradingEngine;

our @EXPORT = qw(tenants trade predict start_prediction finish_prediction wait_for_input wait_for_output
  results is_recomputed streams_are_the_table wait_until);

# Companies of three tiers with several users, each of whom trades in a way of its own.
my @tenants = (
	[ 'small', 'FREE', { ann => [ {} ], bob => [ { min_confidence_threshold => 0.85 } ] } ],
	[
		'desk', 'PRO',
		{
			carl => [
				{ min_confidence_threshold => 0.8, trend_following_enabled => 'false' },
				{ stop_loss_mode => "'ATR'", position_sizing => "'RISK_PERCENT'", take_profit_mode => "'RISK_REWARD'" },
			],
			dora => [
				{ prefer_market_orders => 'false', min_confidence_threshold => 0.85,
					position_sizing => "'RISK_PERCENT'", risk_percent => 0.5 }
			],
		}
	],
	[
		'fund', 'ENTERPRISE',
		{
			eve => [
				{ enable_multi_leg_strategies => 'true', leg_count => 3, min_confidence_threshold => 0.8,
					position_sizing => "'RISK_PERCENT'" },
				{ position_sizing => "'KELLY'", min_confidence_threshold => 0.85, min_consensus_score => 0.4 },
			],
			fred => [
				{ custom_rule => q('$.prediction.confidence >= 0.7 && $.market.trend == "UP"') },
				{ execution_algorithm => "'TWAP'", min_confidence_threshold => 0.85, signal_ttl_seconds => 30 },
			],
		}
	],
	[
		'bank', 'ENTERPRISE',
		{
			gus => [
				{ advanced_timing => 'true', position_sizing => "'VOLATILITY_TARGET'",
					volatility_mode => "'CONSERVATIVE'", min_confidence_threshold => 0.85 },
				{ min_confidence_threshold => 0.9 },
			],
			hal => [ { enabled => 'false' } ],
		}
	],
);

sub strategy_sql
{
	my ($company, $user, $number, $parameters) = @_;
	my @names = sort keys %$parameters;
	return sprintf "INSERT INTO trading.strategies (%s) VALUES (%s);\n",
	  join(', ', qw(company_id user_id strategy_id), @names),
	  join(', ', "'$company'", "'$user'", "'s$number'", map { $parameters->{$_} } @names);
}

# Statements that make the tenants above; the producer of predict() may broadcast.
sub tenants
{
	my $sql = "INSERT INTO trading.producers (company_id, producer_id) VALUES ('_all', 'predictor'), ('_all', 'model');\n";
	for my $tenant (@tenants)
	{
		my ($company, $tier, $users) = @$tenant;
		$sql .= "INSERT INTO trading.companies (company_id, tier) VALUES ('$company', '$tier');\n";
		for my $user (sort keys %$users)
		{
			my $number = 0;
			$sql .= "INSERT INTO trading.users (company_id, user_id) VALUES ('$company', '$user');\n"
			  . "INSERT INTO trading.accounts (company_id, user_id, currency, equity) "
			  . "VALUES ('$company', '$user', 'USD', 25000);\n";
			$sql .= strategy_sql($company, $user, ++$number, $_) for @{ $users->{$user} };
		}
	}
	return $sql;
}

sub trade
{
	my ($node) = @_;
	$node->safe_psql('postgres', "BEGIN;\n" . tenants() . 'COMMIT;');
	return;
}

sub prediction_command
{
	my ($nats, @arguments) = @_;
	return [ 'predictor', '--url', $nats->url, '--epoch', 1, @arguments ];
}

# Publish predictions and prices; returns how many predictions the program says it has published.
sub predict
{
	my ($nats, @arguments) = @_;
	return finish_prediction(start_prediction($nats, @arguments));
}

sub start_prediction
{
	my ($nats, @arguments) = @_;
	my $run = { out => '', err => '' };
	$run->{process} = IPC::Run::start(prediction_command($nats, @arguments),
		'<', \undef, '>', \$run->{out}, '2>', \$run->{err});
	return $run;
}

sub finish_prediction
{
	my ($run) = @_;
	IPC::Run::finish($run->{process}) or die "predictor: $run->{err}$run->{out}\n";
	$run->{out} =~ /(\d+) predictions in/ or die "predictor said: $run->{out}\n";
	return $1;
}

# Wait until something is true, or die saying what it was.
sub wait_until
{
	my ($what, $condition, $seconds) = @_;
	my $end = time() + ($seconds // $PostgreSQL::Test::Utils::timeout_default);
	while (time() < $end)
	{
		return if $condition->();
		sleep 0.05;
	}
	die "waited in vain until $what\n";
}

# Every lane has committed its position at the end of the input stream, and counted what it stored.
sub wait_for_input
{
	my ($node, $nats, $seconds) = @_;
	my $last = $nats->stream_info('trading_input')->{state}{last_seq};
	my $query = "SELECT count(*) FROM trading.lanes AS l WHERE $last > COALESCE((SELECT b.input_seq "
	  . 'FROM trading.batches AS b WHERE b.lane = l.lane ORDER BY b.batch_no DESC LIMIT 1), 0)';
	wait_until("every lane has input $last",
		sub { (asked($node, $query) // '') eq '0' },
		$seconds);
	wait_for_statistics($node);
	return $last;
}

# The broker has acknowledged all that was committed.
sub wait_for_output
{
	my ($node, $nats, $seconds) = @_;
	my $query = "SELECT count(*) FROM trading.lanes AS l, LATERAL (SELECT b.last_out_seq, b.publish_seq, b.epoch, b.publish_epoch "
	  . 'FROM trading.batches AS b WHERE b.lane = l.lane ORDER BY b.batch_no DESC LIMIT 1) AS b '
	  . 'WHERE b.last_out_seq > 0 AND (b.publish_epoch, b.publish_seq) < (b.epoch, b.last_out_seq)';
	wait_until('all output is acknowledged',
		sub { (asked($node, $query) // '') eq '0' },
		$seconds);
	return;
}

# Digests of everything that follows from the input: not when it was stored, and in which batch.
sub results
{
	my ($node) = @_;
	my %query = (
		signals => q{SELECT (to_jsonb(s) - '{recorded_at,batch_no,position,ordinal}'::text[])::text
			FROM trading.signals AS s},
		legs => q{SELECT (to_jsonb(l) - 'recorded_at')::text FROM trading.signal_legs AS l},
		predictions => q{SELECT concat_ws('/', p.lane, p.input_seq, p.producer_seq, p.predictions,
			encode(p.payload_hash, 'hex'), encode(p.market, 'hex'), p.decided_at) FROM trading.prediction_batches AS p},
		bars => q{SELECT (to_jsonb(b) - 'recorded_at')::text FROM trading.market_bars AS b},
		conditions => q{SELECT (to_jsonb(c) - 'recorded_at')::text FROM trading.market_conditions AS c},
		dead_letters => q{SELECT concat_ws('/', d.lane, d.input_seq, d.reason, d.detail) FROM trading.dead_letters AS d},
		gaps => q{SELECT concat_ws('/', g.lane, g.scope, g.producer_id, g.epoch, g.from_seq, g.to_seq, g.reason)
			FROM trading.input_gaps AS g},
	);
	my %result;
	for my $name (sort keys %query)
	{
		$result{$name} = value($node,
			"SELECT count(*) || ' ' || COALESCE(md5(string_agg(t.row, E'\\n' ORDER BY t.row COLLATE \"C\")), '') "
			  . "FROM ($query{$name}) AS t (row)");
	}
	return \%result;
}

# A signal as it is on the stream, and as it is in the table, in the same words.
my $signals_on_stream = <<'SQL';
SELECT (e ->> 'epoch')::bigint, (e ->> 'out_seq')::bigint, m.line ->> 'subject', m.line #>> '{headers,te-lane}',
       m.line #>> '{headers,te-epoch}', m.line #>> '{headers,te-seq}', e ->> 'correlation_id',
       p ->> 'signal_id', p ->> 'company_id', p ->> 'user_id', p ->> 'strategy_id', (p ->> 'strategy_version')::bigint,
       p ->> 'prediction_id', p ->> 'batch_id', p ->> 'producer_id', p ->> 'symbol',
       (p ->> 'generated_at')::timestamptz, (p ->> 'decided_at')::timestamptz, (p ->> 'expires_at')::timestamptz,
       p ->> 'outcome', p ->> 'signal_type', (p ->> 'signal_strength')::float8, (p ->> 'consensus_score')::float8,
       (p ->> 'market_favorability')::float8, p #>> '{entry,order_type}', p #>> '{entry,execution_urgency}',
       (p #>> '{entry,entry_price}')::float8, (p #>> '{entry,limit_price}')::float8,
       p #>> '{entry,timing_strategy}', (p #>> '{entry,trigger_price}')::float8, p #>> '{entry,time_in_force}',
       (p ->> 'stop_loss')::float8, (p ->> 'take_profit')::float8, (p ->> 'reward_risk_ratio')::float8,
       (p #>> '{sizing,position_size}')::float8, (p #>> '{sizing,max_loss}')::float8,
       COALESCE((p #>> '{execution,auto_execute}')::boolean, false),
       COALESCE((p #>> '{execution,max_slippage_pips}')::float8, 0),
       p #>> '{execution,execution_algorithm}', COALESCE((p ->> 'simulated')::boolean, false),
       (p ->> 'core_version')::integer,
       (SELECT string_agg(concat_ws('/', COALESCE(l ->> 'leg', '0'), l ->> 'order_type',
			(l ->> 'entry_price')::float8, (l ->> 'stop_loss')::float8, (l ->> 'take_profit')::float8,
			(l ->> 'position_size')::float8), ' '
			ORDER BY (COALESCE(l ->> 'leg', '0'))::int) FROM jsonb_array_elements(p -> 'legs') AS l)
  FROM stream AS m, LATERAL (SELECT m.line -> 'envelope') AS x (e), LATERAL jsonb_array_elements(e #> '{payload,signals}') AS s (p)
 WHERE e ->> 'payload_type' = 'TradingSignalBatch'
SQL
my $signals_in_table = <<'SQL';
SELECT s.out_epoch, s.out_seq, concat_ws('.', 'trading.signals', s.lane, s.company_id, s.user_id, s.symbol), s.lane::text,
       s.out_epoch::text, s.out_seq::text, s.correlation_id,
       s.signal_id::text, s.company_id, s.user_id, s.strategy_id, s.strategy_version,
       s.prediction_id, s.batch_id, s.producer_id, s.symbol, s.generated_at, s.decided_at, s.expires_at,
       s.outcome, s.signal_type, s.signal_strength, s.consensus_score, s.market_favorability,
       s.order_type, s.execution_urgency, s.entry_price, s.limit_price, s.timing_strategy, s.trigger_price,
       s.time_in_force, s.stop_loss, s.take_profit, s.reward_risk_ratio, s.position_size, s.max_loss,
       s.auto_execute, s.max_slippage_pips, s.execution_algorithm, s.simulated, s.core_version,
       (SELECT string_agg(concat_ws('/', l.leg, l.order_type, l.entry_price, l.stop_loss, l.take_profit, l.position_size),
			' ' ORDER BY l.leg) FROM trading.signal_legs AS l WHERE l.signal_id = s.signal_id)
  FROM trading.signals AS s
 WHERE s.outcome = 'SIGNAL' OR s.out_seq IS NOT NULL
SQL

# Every signal in the table is on the streams exactly once, and the other way round, with the
# same content; and every stream is without a gap, conflict, disorder or damage.  Returns how
# many signals that are.
sub streams_are_the_table
{
	my ($node, $nats, $name) = @_;
	my @lanes = split /\n/, value($node, 'SELECT lane FROM trading.lanes ORDER BY 1');
	my $copy = '';
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	for my $lane (@lanes)
	{
		my $verdict = $nats->check("trading_output_$lane");
		ok($verdict->{clean} && $verdict->{duplicates} == 0, "$name: stream of lane $lane is clean")
		  or diag(explain($verdict));
		my $file = PostgreSQL::Test::Utils::tempdir('stream') . '/lines';
		append_to_file($file, $nats->te_nats_ok('', 'stream-dump', "trading_output_$lane"));
		# Neither delimiter nor quote occurs in JSON.
		$copy .= "\\copy stream FROM '$file' WITH (FORMAT csv, DELIMITER E'\\x01', QUOTE E'\\x02')\n";
	}
	my @difference = split /\n/, value($node, <<"SQL");
CREATE TEMP TABLE stream (line jsonb);
$copy
SELECT count(*) FROM ($signals_in_table) AS t;
(SELECT 'stream only: ' || x::text FROM ($signals_on_stream EXCEPT ALL $signals_in_table) AS x LIMIT 3)
UNION ALL
(SELECT 'table only: ' || x::text FROM ($signals_in_table EXCEPT ALL $signals_on_stream) AS x LIMIT 3);
SQL
	my $count = shift @difference;
	is(join("\n", @difference), '', "$name: the signals of the table are those of the streams, each once and to the bit");
	return $count;
}

# Every stored decision, computed again from its stored inputs: each column and leg to the bit.
# Of numbers jsonb keeps the shortest text that is that float8 and no other.
sub is_recomputed
{
	my ($node, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $columns = join ', ', map { "'$_'" } qw(outcome hold_reason signal_strength consensus_score market_favorability
	  order_type execution_urgency entry_price limit_price stop_loss take_profit reward_risk_ratio position_size
	  max_loss timing_strategy trigger_price);
	my $wrong = value($node, <<"SQL");
WITH stored AS MATERIALIZED (
	SELECT s.*, trading.decision_inputs(s.inputs) AS i,
	       (SELECT jsonb_agg(jsonb_build_object('leg', l.leg, 'order_type', l.order_type, 'entry_price', l.entry_price,
			'stop_loss', l.stop_loss, 'take_profit', l.take_profit, 'position_size', l.position_size) ORDER BY l.leg)
	          FROM trading.signal_legs AS l WHERE l.signal_id = s.signal_id) AS legs
	  FROM trading.signals AS s),
again AS MATERIALIZED (
	SELECT s.*, trading.decide(i -> 'prediction', i -> 'strategy', i -> 'market', i -> 'instrument', i -> 'account',
			(i ->> 'at')::timestamptz) AS d
	  FROM stored AS s),
compared AS MATERIALIZED (
	SELECT a.signal_id, a.d, a.signal_type, a.expires_at, a.legs, a.decided_at, a.i, a.prediction_id, a.symbol,
	       a.auto_execute, a.max_slippage_pips, a.time_in_force, a.execution_algorithm, a.outcome,
	       (SELECT jsonb_object_agg(e.key, e.value) FROM jsonb_each(to_jsonb(a)) AS e
		 WHERE e.key IN ($columns) AND e.value <> 'null') AS mine,
	       (SELECT jsonb_object_agg(e.key, e.value) FROM jsonb_each(a.d) AS e
		 WHERE e.key IN ($columns)
		   AND (a.outcome = 'SIGNAL' OR to_jsonb(a) -> e.key <> 'null')) AS its
	  FROM again AS a)
SELECT count(*) || ' ' || COALESCE(string_agg(c.signal_id::text, ' ' ORDER BY c.signal_id), '')
  FROM compared AS c
 WHERE c.mine IS DISTINCT FROM c.its
    OR c.legs IS DISTINCT FROM c.d -> 'legs'
    OR c.signal_type IS DISTINCT FROM COALESCE(c.d ->> 'signal_type', 'HOLD')
    OR c.expires_at IS DISTINCT FROM (c.d ->> 'expires_at')::timestamptz
    OR c.decided_at IS DISTINCT FROM (c.i ->> 'at')::timestamptz
    OR c.prediction_id IS DISTINCT FROM c.i #>> '{prediction,prediction_id}'
    OR c.symbol IS DISTINCT FROM c.i #>> '{prediction,symbol}'
    OR c.outcome = 'SIGNAL' AND jsonb_build_object('auto_execute', c.auto_execute, 'max_slippage_pips', c.max_slippage_pips,
		'time_in_force', c.time_in_force, 'execution_algorithm', c.execution_algorithm)
		IS DISTINCT FROM c.d -> 'execution'
SQL
	return is($wrong, '0 ', $name);
}

1;
