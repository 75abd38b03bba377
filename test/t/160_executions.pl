# 100,000 random reports of terminals (or as many as TE_EXECUTIONS says), repeated, shuffled, partial, late, with rejected,
# cancelled and unknown ones, by NATS and by SQL, with a kill -9 on the way: executions, trades, positions,
# equity and statistics are those of the list in order, each report once; to the bit.  An
# independent formulation in SQL comes to the same.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use JSON::PP ();
use List::Util qw(shuffle);
use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;
use TradingEngineNats;

my $events = $ENV{TE_EXECUTIONS} // 100_000;
my $patience = 900;
my @users = qw(ann bob cat dan);
my %price = (EURUSD => 1.1, GBPUSD => 1.3, USDJPY => 150);
my %pip = (EURUSD => 0.0001, GBPUSD => 0.0001, USDJPY => 0.01);
my $json = JSON::PP->new->canonical;
my $generated_at = int(time()) * 1_000_000;
srand(4711);

#----------------------------------------------------------------------
# Two engines with the same signals
#----------------------------------------------------------------------

# Predictions for all users, the same for every engine.
my @predictions = map {
	my $symbol = (sort keys %price)[ int(rand(3)) ];
	my $buy = rand() < 0.5;
	my $away = 60 * $pip{$symbol};
	{
		prediction_id => "p$_", symbol => $symbol, current_price => $price{$symbol},
		predicted_price => $price{$symbol} + ($buy ? $away : -$away), direction => $buy ? 'BUY' : 'SELL',
		confidence => 0.7 + int(rand(30)) / 100,
	}
} 1 .. $events / 20;

sub start
{
	my ($name, %o) = @_;
	my $node = engine($name, lanes => 2, %o, conf => {
		'restart_after_crash' => 'on', 'log_statement' => 'none', 'trading_engine.restart_delay' => '100ms' });
	company($node, 'acme', tier => 'ENTERPRISE', users => \@users, strategy => {
		allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 86400000, signal_ttl_seconds => 86400,
		position_sizing => "'FIXED_LOT'", fixed_lot => 1 });
	my @left = @predictions;
	while (my @part = splice @left, 0, 500)
	{
		my $batch = $json->encode({ company_id => 'acme', user_id => '_all', producer_id => 'model',
			batch_id => $part[0]{prediction_id}, generated_at => $generated_at, predictions => \@part });
		$node->safe_psql('postgres', "SELECT trading.submit(\$json\$$batch\$json\$)");
	}
	wait_for($node, "SELECT count(*) FROM trading.signals WHERE outcome = 'SIGNAL'", @users * @predictions,
		"$name: there are signals", $patience);
	return $node;
}

# What a signal is, for those who make reports about it.
sub signals
{
	my ($node) = @_;
	return value($node, "SELECT signal_id || ' ' || user_id || ' ' || symbol || ' ' || signal_type || ' ' || position_size || ' ' || entry_price "
		. 'FROM trading.signals ORDER BY signal_id');
}

my $nats = TradingEngineNats->new('executions')->start;
my $shuffled = start('shuffled', nats => $nats);
my $ordered = start('ordered');
my $signals = signals($shuffled);
ok($signals eq signals($ordered), 'both engines have the same signals') or BAIL_OUT('nothing to compare');

#----------------------------------------------------------------------
# Reports
#----------------------------------------------------------------------

# Times collide now and then.
my $first = $generated_at - 2 * 86400 * 1_000_000;
sub some_time { return $first + int(rand(1.9 * 86400 * 10)) * 100_000; }
sub lots { return 0 + sprintf '%.2f', (1 + int rand 30) / 100; }
sub near { my ($symbol) = @_; return 0 + sprintf '%.5f', $price{$symbol} + (int(rand 61) - 30) * $pip{$symbol}; }
sub money { my ($most) = @_; return 0 + sprintf '%.2f', (rand() - 0.5) * 2 * $most; }

my @reports;
sub report
{
	my ($signal, $status, %fields) = @_;
	push @reports, { execution_id => 'x' . @reports, signal_id => $signal->{id}, company_id => 'acme', user_id => $signal->{user},
		symbol => $signal->{symbol}, status => $status, executed_at => some_time(), %fields };
	return;
}

sub trade
{
	my ($s) = @_;
	my $fate = rand();
	return report($s, 'REJECTED', reason => 'no money') if $fate < 0.06;
	return report($s, 'CANCELLED') if $fate < 0.1;
	my $fills = 1 + int rand 4;
	for my $n (1 .. $fills)
	{
		report($s, $n == $fills && $fate < 0.9 ? 'FILLED' : 'PARTIALLY_FILLED', executed_price => near($s->{symbol}), executed_size => lots(),
			(rand() < 0.8 ? (requested_price => 0 + $s->{entry}) : ()), (rand() < 0.7 ? (commission => money(3)) : ()));
	}
	report($s, 'CANCELLED', commission => 0.5) if $fate >= 0.9;
	return if $fate < 0.3;
	my $closes = 1 + int rand 3;
	for my $n (1 .. $closes)
	{
		# One that says no size closes all that is left.
		report($s, 'CLOSED', profit => money(200), ($n < $closes || rand() < 0.5 ? (executed_size => lots()) : ()),
			(rand() < 0.8 ? (executed_price => near($s->{symbol})) : ()), (rand() < 0.5 ? (commission => money(2)) : ()));
	}
	return;
}

my @known = map { my %s; @s{qw(id user symbol type size entry)} = split ' '; \%s } split /\n/, $signals;
trade($_) for shuffle @known;
report({ id => sprintf('018f0000-0000-7001-8002-%012d', $_), user => $users[ $_ % 4 ], symbol => 'EURUSD' }, 'FILLED',
	executed_price => 1.1, executed_size => 0.1) for 1 .. $events / 50;
my $distinct = @reports;
my @all = (@reports, map { $reports[ int rand $distinct ] } 1 .. $events - $distinct);
note scalar(@all) . " reports, $distinct of them different";

# In chunks, alternately by NATS and by SQL.
sub by_sql
{
	my ($node, @part) = @_;
	my $list = $json->encode(\@part);
	is(value($node, "SELECT trading.report_executions(\$json\$$list\$json\$)"), @part, 'reports by SQL') if @part;
	return;
}

sub by_nats
{
	my (@part) = @_;
	my $text = join '', map { $json->encode({ subject => "trading.executions.acme.$_->{user_id}", type => 'ExecutionResult',
		envelope => { company_id => 'acme', user_id => $_->{user_id}, producer_id => 'model' }, payload => $_ }) . "\n" } @part;
	$nats->te_nats_ok($text, 'pub-json');
	return;
}

sub answers
{
	my ($node) = @_;
	my ($status, $out) = $node->psql('postgres', 'SELECT count(*) FROM trading.executions');
	return defined $status && $status == 0 ? $out : -1;
}

my @mixed = shuffle @all;
my $part = int(@mixed / 8) + 1;
for my $round (0 .. 7)
{
	my @now = splice @mixed, 0, $part;
	$round % 2 ? by_sql($shuffled, @now) : by_nats(@now);
	next if $round != 3;
	my $lane = value($shuffled, "SELECT trading.lane_of('acme', 2)");
	my $before = answers($shuffled);
	my $killed = kill_worker($shuffled, $lane);
	wait_for($shuffled, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'trading_engine lane $lane' AND pid <> $killed", 1,
		'another worker has taken over', $patience);
	cmp_ok($before, '<', $distinct, "killed after $before of $distinct reports");
}
my @in_order = sort { $a->{executed_at} <=> $b->{executed_at} } @reports;
while (my @now = splice @in_order, 0, 5000) { by_sql($ordered, @now); }

# Everything is read when nobody reports any more and nothing is left in inbox and stream.
my $inbox = <<'SQL';
SELECT count(*) FROM trading.inbox AS i
 WHERE NOT pg_visible_in_snapshot(i.xid, (SELECT b.inbox_snapshot FROM trading.batches AS b
	WHERE b.lane = trading.lane_of('acme', 2) ORDER BY b.batch_no DESC LIMIT 1))
SQL
wait_for($_, $inbox, 0, $_->name . ': all reports by SQL are read', $patience) for $shuffled, $ordered;
wait_for($shuffled, "SELECT input_seq FROM trading.batches WHERE lane = trading.lane_of('acme', 2) ORDER BY batch_no DESC LIMIT 1",
	$nats->messages('trading_input'), 'all reports by NATS are read', $patience);
is(value($_, 'SELECT count(*) FROM trading.executions'), $distinct, $_->name . ': each report is there once') for $shuffled, $ordered;
note $_->name . ': batches, latency of storing: ' . value($_, "SELECT (SELECT count(DISTINCT batch_no) FROM trading.executions), l.* FROM trading.stat_latency AS l WHERE metric = 'store'") for $shuffled, $ordered;
is(value($_, 'SELECT count(*) FROM trading.dead_letters'), 0, $_->name . ': nothing was turned away') for $shuffled, $ordered;

#----------------------------------------------------------------------
# The same, to the bit
#----------------------------------------------------------------------

my %same = (
	executions => q{SELECT md5(string_agg(e::text, E'\n' ORDER BY e.execution_id)) FROM (
		SELECT company_id, user_id, execution_id, signal_id, account_id, symbol, leg, status, requested_price, executed_price, executed_size,
		       profit, commission, executed_at, reason, side, conversion_rate, flag, conflicts, simulated, content_hash FROM trading.executions) AS e},
	trades => q{SELECT md5(string_agg((to_jsonb(t) - '{decided_at,decided_batch_no,expires_at,correlation_id,lane,batch_no,filled_batch_no,ended_batch_no,turns,stopped_at,stopped_batch_no,updated_at}'::text[])::text,
		E'\n' ORDER BY t.signal_id)) FROM trading.trades AS t},
	positions => q{SELECT string_agg((to_jsonb(p) - 'recorded_at')::text, E'\n' ORDER BY p.user_id, p.symbol) FROM trading.positions AS p},
	accounts => q{SELECT string_agg(a::text, E'\n' ORDER BY a.user_id) FROM (
		SELECT DISTINCT ON (user_id) user_id, account_id, simulated, realised, peak, settled_peak, day, day_start, fills, last_at, last_id
		  FROM trading.account_history ORDER BY user_id, batch_no DESC) AS a},
	equity => q{SELECT string_agg(e::text, E'\n' ORDER BY e.user_id) FROM trading.account_equity AS e},
	statistics => q{SELECT string_agg(s::text, E'\n' ORDER BY s.user_id) FROM (
		SELECT user_id, count(*), trading.profit_factor(profit), trading.expectancy(profit), trading.win_rate(profit),
		       trading.max_drawdown(profit, closed_at, 10000 ORDER BY closed_at, signal_id), percentile_cont(0.9) WITHIN GROUP (ORDER BY latency_ms),
		       percentile_cont(0.9) WITHIN GROUP (ORDER BY entry_slippage_pips)
		  FROM trading.trades WHERE state = 'CLOSED' GROUP BY user_id) AS s});
for my $what (sort keys %same)
{
	my ($one, $other) = map { value($_, $same{$what}) } $shuffled, $ordered;
	isnt($one, '', "there are $what");
	ok($one eq $other, "$what are the same") or diag("shuffled:\n$one\nordered:\n$other");
}
like(value($shuffled, q{SELECT string_agg(DISTINCT state, ' ' ORDER BY state) FROM trading.trades}), qr/^CANCELLED CLOSED OPEN REJECTED$/,
	'trades of every kind');
is(value($shuffled, "SELECT count(*) FROM trading.executions WHERE flag = 'UNKNOWN_SIGNAL'"), int($events / 50), 'unknown signals are flagged');

#----------------------------------------------------------------------
# An independent formulation
#----------------------------------------------------------------------

# Tables that have grown this fast may have no statistics yet.
$ordered->safe_psql('postgres', 'ANALYZE trading.executions, trading.trades');
$ordered->safe_psql('postgres', <<'SQL');
CREATE VIEW public.effects AS
WITH reports AS (
	SELECT e.*, substring(sha256(convert_to(e.execution_id, 'UTF8')) FOR 16) AS id, e.status LIKE '%FILLED' AS fill
	  FROM trading.executions AS e WHERE e.flag IS NULL),
sizes AS (
	SELECT r.signal_id, COALESCE(sum(r.executed_size::numeric) FILTER (WHERE r.fill), 0) AS filled,
	       sum(r.executed_size::numeric * r.executed_price::numeric) FILTER (WHERE r.fill)
		/ sum(r.executed_size::numeric) FILTER (WHERE r.fill) AS opened,
	       COALESCE(sum(r.executed_size::numeric) FILTER (WHERE r.status = 'CLOSED'), 0) AS sized
	  FROM reports AS r GROUP BY r.signal_id),
wants AS (
	SELECT r.*, s.filled, s.opened, t.side AS trade_side, COALESCE(r.conversion_rate::numeric, 0) * t.contract_size::numeric AS value,
	       CASE WHEN r.status <> 'CLOSED' THEN 0 WHEN r.executed_size IS NOT NULL THEN r.executed_size::numeric
		    WHEN row_number() OVER (PARTITION BY r.signal_id, r.status, r.executed_size IS NULL ORDER BY r.executed_at, r.id) = 1
		    THEN GREATEST(s.filled - s.sized, 0) ELSE 0 END AS wants
	  FROM reports AS r JOIN trading.trades AS t USING (company_id, signal_id) JOIN sizes AS s USING (signal_id)
	 WHERE r.status NOT IN ('REJECTED', 'CANCELLED') OR r.commission <> 0),
closes AS (
	SELECT w.*, sum(w.wants) OVER (PARTITION BY w.signal_id ORDER BY w.executed_at, w.id) AS wanted FROM wants AS w),
lots AS (
	SELECT c.*, CASE WHEN c.fill THEN c.executed_size::numeric ELSE LEAST(c.filled, c.wanted) - LEAST(c.filled, c.wanted - c.wants) END AS lots,
	       COALESCE(c.executed_price::numeric, c.opened) AS price FROM closes AS c)
SELECT l.user_id, l.symbol, l.executed_at, l.id, CASE WHEN l.fill THEN 1 ELSE -1 END * l.trade_side AS side, l.lots, l.price, l.value,
       COALESCE(l.commission, 0)::numeric AS commission,
       CASE WHEN l.status <> 'CLOSED' THEN 0 WHEN l.lots = 0 THEN l.profit::numeric
	    ELSE l.profit::numeric - l.trade_side * (l.price - l.opened) * l.lots * l.value END AS difference
  FROM lots AS l;

CREATE FUNCTION public.fold(OUT user_id text, OUT symbol text, OUT lots numeric, OUT realised numeric) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
	e record;
	average numeric := 0;
	remains numeric;
	part numeric;
BEGIN
	FOR e IN SELECT f.*, row_number() OVER w = 1 AS first, row_number() OVER (PARTITION BY f.user_id, f.symbol ORDER BY f.executed_at DESC, f.id DESC) = 1 AS last
		   FROM public.effects AS f WINDOW w AS (PARTITION BY f.user_id, f.symbol ORDER BY f.executed_at, f.id)
		  ORDER BY f.user_id, f.symbol, f.executed_at, f.id
	LOOP
		IF e.first THEN
			lots := 0; realised := 0;
		END IF;
		realised := realised + e.difference - e.commission;
		remains := e.lots;
		IF lots * e.side < 0 THEN
			part := LEAST(abs(lots), remains);
			realised := realised + sign(lots) * (e.price - average) * part * e.value;
			lots := lots + e.side * part;
			remains := remains - part;
		END IF;
		IF remains > 0 THEN
			average := (abs(lots) * average * (lots <> 0)::int + remains * e.price) / (abs(lots) + remains);
			lots := lots + e.side * remains;
		END IF;
		IF e.last THEN
			user_id := e.user_id; symbol := e.symbol;
			RETURN NEXT;
		END IF;
	END LOOP;
END $$;
SQL
is(value($ordered, 'SELECT count(*) FROM trading.positions'), @users * keys %price, 'a position per user and symbol');
is(value($ordered, <<'SQL'), '', 'positions are those of the independent formulation');
SELECT user_id, symbol, p.lots, f.lots, p.total_realised, f.realised FROM trading.positions AS p FULL JOIN public.fold() AS f USING (user_id, symbol)
 WHERE (abs(p.lots - f.lots) < 1e-9 AND abs(p.total_realised - f.realised) < 1e-4) IS NOT TRUE
SQL
is(value($ordered, <<'SQL'), '', 'and so is equity');
SELECT e.user_id, e.equity, f.equity FROM trading.account_equity AS e
  JOIN (SELECT user_id, 10000 + sum(realised) AS equity FROM public.fold() GROUP BY user_id) AS f USING (user_id)
 WHERE (abs(e.equity - f.equity) < 1e-3) IS NOT TRUE
SQL
is(value($ordered, <<'SQL'), '', 'and so are trades');
WITH sums AS (
	SELECT e.signal_id,
	       COALESCE(sum(e.executed_size::numeric) FILTER (WHERE fill), 0) AS filled,
	       sum((e.executed_size * e.executed_price)::numeric) FILTER (WHERE fill) / sum(e.executed_size::numeric) FILTER (WHERE fill) AS price,
	       sum((t.side * (e.executed_price - e.requested_price) / t.pip_size * e.executed_size)::numeric) FILTER (WHERE fill)
		/ sum(e.executed_size::numeric) FILTER (WHERE fill AND e.requested_price IS NOT NULL) AS slippage,
	       COALESCE(sum(e.executed_size::numeric) FILTER (WHERE e.status = 'CLOSED'), 0) AS closed,
	       bool_or(e.status = 'CLOSED') AS any_close, bool_or(e.status = 'CLOSED' AND e.executed_size IS NULL) AS closed_all,
	       bool_or(e.status = 'REJECTED') AS rejected,
	       sum(e.profit::numeric) - COALESCE(sum(e.commission::numeric), 0) AS profit,
	       extract(epoch FROM min(e.executed_at) FILTER (WHERE fill) - min(t.generated_at)) * 1000 AS latency
	  FROM trading.executions AS e JOIN trading.trades AS t USING (company_id, signal_id), LATERAL (SELECT e.status LIKE '%FILLED') AS f (fill)
	 WHERE e.flag IS NULL GROUP BY e.signal_id)
SELECT t.signal_id, t.state, s.* FROM trading.trades AS t FULL JOIN sums AS s USING (signal_id)
 WHERE (abs(t.filled - s.filled) < 1e-9 AND (t.average_price IS NULL AND s.price IS NULL OR abs(t.average_price - s.price) < 1e-9)
	AND (t.entry_slippage_pips IS NULL AND s.slippage IS NULL OR abs(t.entry_slippage_pips - s.slippage) < 1e-6)
	AND (t.profit IS NULL AND s.profit IS NULL OR abs(t.profit - s.profit) < 1e-6)
	AND (t.latency_ms IS NULL AND s.latency IS NULL OR abs(t.latency_ms - s.latency) < 1e-3)
	AND t.state = CASE WHEN s.any_close AND (s.closed_all OR s.closed >= s.filled) THEN 'CLOSED' WHEN s.filled > 0 OR s.any_close THEN 'OPEN'
			   WHEN s.rejected THEN 'REJECTED' ELSE 'CANCELLED' END) IS NOT TRUE
 LIMIT 5
SQL

done_testing();
