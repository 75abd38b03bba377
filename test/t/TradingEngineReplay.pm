# TradingEngineReplay - what the tests of replay share.
#
#	replay_is_live($node, 'the month');              # every stored decision, to the bit, both ways
package TradingEngineReplay;

use strict;
use warnings;

use Exporter 'import';
use Test::More;
use TradingEngine;

our @EXPORT = qw(replay_is_live differences replay);

# Columns of trading.signals that a replay returns too, all but the legs.
my $columns = join ', ', qw(lane batch_no position signal_id company_id user_id strategy_id account_id symbol prediction_id batch_id
  producer_id correlation_id outcome hold_reason signal_type signal_strength consensus_score market_favorability order_type
  execution_urgency entry_price limit_price stop_loss take_profit reward_risk_ratio position_size max_loss timing_strategy
  trigger_price expires_at auto_execute max_slippage_pips time_in_force execution_algorithm risk_status risk_level cancellation_reason risk_notes
  original_position_size original_stop_loss generated_at decided_at
  strategy_version inputs);

# A call of trading.replay over all of time; options are its arguments as SQL.
sub replay
{
	my (%o) = @_;
	my %arguments = (from_time => q{'2000-01-01Z'}, to_time => q{'2100-01-01Z'}, %o);
	return 'trading.replay(' . join(', ', map { "$_ => $arguments{$_}" } sort keys %arguments) . ')';
}

# How many rows only the live engine has, and how many only the replay: "0|0" when they are the
# same.  "where" limits what the live engine did to what the arguments ask for.
sub differences
{
	my ($node, $where, %arguments) = @_;
	my $replay = replay(with_inputs => 'true', %arguments);
	return value($node, <<"SQL");
CREATE TEMP TABLE live AS
	SELECT $columns, (SELECT jsonb_agg(jsonb_build_object('leg', l.leg, 'order_type', l.order_type, 'entry_price', l.entry_price,
			'stop_loss', l.stop_loss, 'take_profit', l.take_profit, 'position_size', l.position_size) ORDER BY l.leg)
		FROM trading.signal_legs AS l WHERE l.signal_id = s.signal_id) AS legs
	  FROM trading.signals AS s WHERE $where;
CREATE TEMP TABLE again AS SELECT $columns, legs FROM $replay;
SELECT (SELECT count(*) FROM (TABLE live EXCEPT ALL TABLE again) AS x),
       (SELECT count(*) FROM (TABLE again EXCEPT ALL TABLE live) AS x)
SQL
}

# Replay makes what the live engine made, alone and with workers.
sub replay_is_live
{
	my ($node, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	for my $workers (0, 2)
	{
		is(differences($node, 'true', workers => $workers), '0|0',
			"$name: replay with $workers workers gives the live decisions, every column and input to the bit");
	}
	return;
}

1;
