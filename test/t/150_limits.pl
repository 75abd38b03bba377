# Limits, trading hours and news by real decisions: at, below and beyond each boundary, and bursts
# that don't overshoot.  By the input's clock, so that every instant is what the test says it is.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;

# A lot at 1.1 is worth 110,000 USD, loses 200 at its stop and binds 3,663; equity is 10,000.
my %strategy = (
	allowed_regimes => "trading.enum_labels('regime')", duplicate_window_seconds => 0, prefer_market_orders => 'true',
	position_sizing => "'FIXED_LOT'", fixed_lot => 1, stop_loss_pips => 20, max_position_size => 1, signal_ttl_seconds => 600);

my $node = engine('limits', lanes => 1, sessions => 1, conf => { 'trading_engine.clock' => 'input' });
company($node, 'acme', tier => 'ENTERPRISE', users => [ 'ann', 'bob' ], strategy => \%strategy);
company($node, 'beta', tier => 'ENTERPRISE', users => ['ben'], strategy => \%strategy);

sub sql { return $node->safe_psql('postgres', $_[0]); }

# The lane's clock; it only goes forwards.  A Wednesday.
my $now = sql("SELECT extract(epoch FROM timestamptz '2026-03-04 12:00Z')") * 1_000_000;
my ($second, $minute, $hour, $day) = (1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000);
sub at { return sql("SELECT (extract(epoch FROM timestamptz '$_[0]') * 1000000)::bigint"); }

my ($batches, $predictions) = (0, 0);

# Submit a message of predictions and wait until it is decided; the ids of the predictions.
sub submit
{
	my ($company, $user, @fields) = @_;
	my $batch = 'b' . ++$batches;
	my (@ids, @list);
	for my $f (@fields)
	{
		my %f = (symbol => 'EURUSD', price => 1.1, direction => 'BUY', %$f);
		my $target = $f{price} * ($f{direction} eq 'BUY' ? 1.01 : 0.99);
		push @ids, 'p' . ++$predictions;
		push @list, "jsonb_build_object('prediction_id', '$ids[-1]', 'symbol', '$f{symbol}', 'current_price', $f{price}, "
		  . "'predicted_price', $target, 'direction', '$f{direction}', 'confidence', 0.9, 'generated_at', to_timestamp($now / 1e6))";
	}
	sql("SELECT trading.submit(jsonb_build_object('company_id', '$company', 'user_id', '$user', 'batch_id', '$batch', 'producer_id', 'model', "
		  . "'generated_at', to_timestamp($now / 1e6), 'predictions', jsonb_build_array(" . join(', ', @list) . ')))');
	comes_true($node, "EXISTS (SELECT FROM trading.prediction_batches WHERE batch_id = '$batch')") or die 'not decided';
	return @ids;
}

# What became of predictions: "SIGNAL <lots>" or the reason of the rejection.
sub outcomes
{
	my $ids = join ', ', map { "'$_'" } @_;
	return split /\n/, sql("SELECT CASE outcome WHEN 'SIGNAL' THEN 'SIGNAL ' || position_size ELSE COALESCE(cancellation_reason, outcome) END "
		  . "FROM trading.signals WHERE prediction_id IN ($ids) ORDER BY ordinal, batch_no");
}

sub decided { my ($user, %fields) = @_; return join ' ', outcomes(submit('acme', $user, \%fields)); }

# Reservations of earlier cases are gone, and so are their limits.
sub fresh
{
	$now += 1000 * $second;
	sql('DELETE FROM trading.risk_limits');
	return;
}

sub limit
{
	my ($columns, $values) = @_;
	return sql("INSERT INTO trading.risk_limits ($columns) VALUES ($values)");
}

is(decided('ann'), 'SIGNAL 1', 'without a limit');

#----------------------------------------------------------------------
# Each limit: at it, where it lets a part through, and where nothing fits
#----------------------------------------------------------------------

for my $case (
	[ 'max_open_risk_percent', 2, 1, 0.4, 'Limit of open risk reached' ],
	[ 'max_leverage', 11, 5.5, 0.1, 'Limit of leverage reached' ],
	[ 'min_free_margin_percent', 63.37, 81.685, 99.9, 'Not enough free margin' ],
	[ 'max_currency_exposure_percent', 1100, 550, 10, 'Limit of exposure to a currency reached' ])
{
	my ($name, $whole, $half, $none, $reason) = @$case;
	fresh();
	limit($name, $whole);
	is(decided('ann'), 'SIGNAL 1', "$name: as much as it allows");
	is(decided('ann'), $reason, "$name: and nothing more, while that is reserved");
	is(decided('bob'), 'SIGNAL 1', "$name: another account has a share of its own");
	fresh();
	limit($name, $half);
	is(decided('ann'), 'SIGNAL 0.5', "$name: as much as fits is taken");
	like(sql("SELECT risk_notes FROM trading.signals WHERE prediction_id = 'p$predictions'"), qr/$reason/, "$name: and noted");
	is(sql("SELECT original_position_size, risk_status FROM trading.signals WHERE prediction_id = 'p$predictions'"), '1|ASSESSED',
		"$name: beside what it would have been");
	fresh();
	limit($name, $none =~ /99/ ? 99.9 : $none / 100);
	is(decided('ann'), $reason, "$name: less than the smallest lot isn't taken");
	is(sql("SELECT outcome, signal_type, position_size IS NULL, entry_price IS NULL FROM trading.signals WHERE prediction_id = 'p$predictions'"),
		'RISK_REJECTED|HOLD|t|t', "$name: and leaves no order");
}

# Positions are counted in the scope.
fresh();
limit('max_open_positions', 1);
is(decided('ann'), 'SIGNAL 1', 'max_open_positions: the last one');
is(decided('ann'), 'Limit of open positions reached', 'max_open_positions: one too many');
is(decided('bob'), 'Limit of open positions reached', 'max_open_positions: of all users of a company');
is(join(' ', outcomes(submit('beta', 'ben', {}))), 'SIGNAL 1', 'max_open_positions: other companies have theirs');
$now += 600 * $second - 1;
is(decided('ann'), 'Limit of open positions reached', 'a reservation counts until it expires');
$now += 1;
is(decided('ann'), 'SIGNAL 1', 'and not at that instant any more');
fresh();
limit('max_open_positions', 0);
is(decided('ann'), 'Limit of open positions reached', 'max_open_positions: none at all');
fresh();
sql("UPDATE trading.accounts SET open_positions = 2 WHERE user_id = 'ann'");
limit('max_open_positions', 3);
is(decided('ann'), 'SIGNAL 1', 'positions that the engine doesn\'t know of count, too');
is(decided('ann'), 'Limit of open positions reached', 'with those that it does');
sql("UPDATE trading.accounts SET open_positions = 0 WHERE user_id = 'ann'");

# Against an exposure is always allowed, up to the limit on the other side.
fresh();
limit('max_currency_exposure_percent', 1100);
is(decided('ann'), 'SIGNAL 1', 'exposure: long up to the limit');
is(decided('ann', direction => 'SELL'), 'SIGNAL 1', 'exposure: back to none');
is(decided('ann', direction => 'SELL'), 'SIGNAL 1', 'exposure: short up to the limit');
is(decided('ann', direction => 'SELL'), 'Limit of exposure to a currency reached', 'exposure: no further');
is(decided('ann'), 'SIGNAL 1', 'exposure: and back');

# Several rows: the strictest wins, whatever its scope and authority.
my @scopes = ([ 'company_id', "'acme'" ], [ 'company_id, user_id', "'acme', 'ann'" ],
	[ 'company_id, user_id, strategy_id', "'acme', 'ann', 'main'" ], [ 'symbol', "'EURUSD'" ],
	[ 'company_id, symbol', "'acme', 'EURUSD'" ], [ 'company_id, user_id, symbol', "'acme', 'ann', 'EURUSD'" ],
	[ 'company_id, user_id, strategy_id, symbol', "'acme', 'ann', 'main', 'EURUSD'" ],
	[ 'authority, company_id, user_id', "'USER', 'acme', 'ann'" ]);
for my $strict (@scopes)
{
	fresh();
	limit('max_leverage', 11);
	limit("$_->[0], max_leverage", "$_->[1], " . ($_ == $strict ? 3.3 : 5.5)) for @scopes;
	is(decided('ann'), 'SIGNAL 0.3', "the strictest wins: that of $strict->[0]");
}
fresh();
limit('company_id, user_id, max_leverage', "'acme', 'bob', 0");
limit('company_id, symbol, max_leverage', "'acme', 'GBPUSD', 0");
limit('company_id, max_leverage', "'beta', 0");
is(decided('ann'), 'SIGNAL 1', 'limits of others are none');

# A symbol's own limit counts what is open in it.
fresh();
limit('company_id, symbol, max_open_positions', "'acme', 'GBPUSD', 1");
is(decided('ann', symbol => 'GBPUSD'), 'SIGNAL 1', 'of a symbol: one');
is(decided('ann', symbol => 'GBPUSD'), 'Limit of open positions reached', 'of a symbol: no second one');
is(decided('ann'), 'SIGNAL 1', 'of a symbol: others are free');

# A burst in one message, decided in one batch.
fresh();
limit('max_open_positions', 5);
is(join(',', outcomes(submit('acme', 'ann', map { {} } 1 .. 20))),
	join(',', ('SIGNAL 1') x 5, ('Limit of open positions reached') x 15), 'a burst takes five positions, and no sixth');
fresh();
limit('max_open_risk_percent', 9);
is(join(',', outcomes(submit('acme', 'ann', map { {} } 1 .. 20))),
	join(',', ('SIGNAL 1') x 4, 'SIGNAL 0.5', ('Limit of open risk reached') x 15), 'nor more risk than there may be, to the lot');

#----------------------------------------------------------------------
# Trading hours
#----------------------------------------------------------------------

fresh();
$now = at('2026-03-06 21:59:59.999999Z');
is(decided('ann'), 'SIGNAL 1', 'New York in winter: the market is open until Friday 22:00 UTC');
$now += 1;
is(decided('ann'), 'The market is closed', 'and closed from that instant on');
is(decided('ann', symbol => 'BTCUSD', price => 60000), 'SIGNAL 1', 'others trade on the weekend');
$now = at('2026-03-08 20:59:59.999999Z');
is(decided('ann'), 'The market is closed', 'summer begins that Sunday');
$now += 1;
is(decided('ann'), 'SIGNAL 1', 'so it opens at 21:00 UTC');
$now = at('2026-03-13 20:59:59.999999Z');
is(decided('ann'), 'SIGNAL 1', 'and closes');
$now += 1;
is(decided('ann'), 'The market is closed', 'an hour earlier');
is(sql("SELECT trading.in_session('EURUSD', to_timestamp($now / 1e6)), trading.in_session('EURUSD', to_timestamp($now / 1e6) - interval '1 microsecond')"),
	'f|t', 'as trading.in_session() has it');
sql("DELETE FROM trading.instrument_sessions WHERE symbol = 'GBPUSD'");
is(decided('ann', symbol => 'GBPUSD'), 'SIGNAL 1', 'an instrument without hours always trades');
sql("INSERT INTO trading.market_holidays VALUES ('GBPUSD', '2026-03-17 10:00Z', '2026-03-17 12:00Z', 'St. Patrick')");
for my $time ([ '09:59:59.999999Z', 'SIGNAL 1' ], [ '10:00Z', 'The market is closed' ], [ '11:59:59.999999Z', 'The market is closed' ], [ '12:00Z', 'SIGNAL 1' ])
{
	$now = at("2026-03-17 $time->[0]");
	is(decided('ann', symbol => 'GBPUSD'), $time->[1], "a holiday from 10:00 to 12:00 at $time->[0]");
	is(decided('ann'), 'SIGNAL 1', 'of that instrument alone') if $time->[0] eq '10:00Z';
}

# Every instrument, every hour of two weeks around a change of clocks: as trading.in_session() says.
{
	my (@asked, $right);
	for my $symbol ('US500', 'GER40', 'XAUUSD', 'EURUSD')
	{
		sql("UPDATE trading.instruments SET min_stop_pips = 0 WHERE symbol = '$symbol'");
	}
	my $begin = at('2026-03-20 00:00Z');
	for my $step (0 .. 59)
	{
		$now = $begin + $step * 6 * $hour;
		my @symbols = ('US500', 'GER40', 'XAUUSD', 'EURUSD');
		my $open = join ',', split /\n/, sql('SELECT trading.in_session(s, to_timestamp(' . "$now / 1e6)) FROM unnest(ARRAY['" . join("','", @symbols) . "']) AS s");
		my @ids = submit('acme', 'ann', map { { symbol => $_, price => /EUR/ ? 1.1 : 5000 } } @symbols);
		my $ids = join ', ', map { "'$_'" } @ids;
		my $closed = join ',', split /\n/, sql("SELECT s.cancellation_reason IS DISTINCT FROM 'The market is closed' FROM unnest(ARRAY[$ids]) WITH ORDINALITY AS i (id, n) "
			. 'LEFT JOIN trading.signals AS s ON s.prediction_id = i.id ORDER BY i.n');
		push @asked, "$step: $open, $closed" if $open ne $closed;
	}
	is_deeply(\@asked, [], 'the lane agrees with trading.in_session()');
}

#----------------------------------------------------------------------
# News
#----------------------------------------------------------------------

$now = at('2026-05-06 10:00Z');
my ($event, $missing) = (at('2026-05-06 12:30Z'), 'The calendar of news that is required is missing');
sql("INSERT INTO trading.news_rules (before, after) VALUES ('30 min', '15 min')");
is(decided('ann'), $missing, 'no calendar isn\'t no news');
wait_for($node, 'SELECT news_missing FROM trading.stat_workers', '1', 'it is counted');
is(sql('SELECT scope, known_until FROM trading.missing_calendars'), 'OPERATOR */*/*/*|', 'and shown');
sql('UPDATE trading.news_rules SET required = false');
is(decided('ann'), 'SIGNAL 1', 'where none is required, none is missed');
is(sql('SELECT count(*) FROM trading.missing_calendars'), '0', 'nor shown');
sql(q{
	UPDATE trading.news_rules SET required = true;
	INSERT INTO trading.news_calendar (known_from, known_until) VALUES ('2026-05-06 00:00Z', '2026-05-06 13:00Z'), ('2026-05-06 13:00Z', '2026-05-06 18:00Z');
	INSERT INTO trading.news_events (event_id, event_time, currency, impact, title) VALUES
		('nfp', '2026-05-06 12:30Z', 'USD', 'HIGH', 'Non-farm payrolls'), ('pmi', '2026-05-06 15:00Z', 'EUR', 'MEDIUM', 'PMI'),
		('boj', '2026-05-06 16:00Z', 'JPY', 'HIGH', 'Bank of Japan')});
my $news = 'News are due or just out';
for my $case ([ $event - 30 * $minute - 1, 'SIGNAL 1', 'right before the window' ], [ $event - 30 * $minute, $news, 'from its beginning' ],
	[ $event, $news, 'at the event' ], [ $event + 15 * $minute - 1, $news, 'to its end' ], [ $event + 15 * $minute, 'SIGNAL 1', 'at its end' ],
	[ at('2026-05-06 15:00Z'), 'SIGNAL 1', 'at an event of less impact' ], [ at('2026-05-06 16:00Z'), 'SIGNAL 1', 'at an event of another currency' ],
	[ at('2026-05-06 17:29:59.999999Z'), 'SIGNAL 1', 'as long as the calendar reaches' ], [ at('2026-05-06 17:30Z'), $missing, 'and when it ends within what the rule looks at' ])
{
	$now = $case->[0];
	is(decided('ann'), $case->[1], "news: $case->[2]");
	is(decided('ann', symbol => 'USDJPY', price => 110), $news, 'news: the other currency counts, too') if $now == at('2026-05-06 16:00Z');
}
sql("UPDATE trading.news_rules SET symbol = 'USDCHF'");
is(decided('ann'), 'SIGNAL 1', 'a rule of another symbol is none');

$node->stop;
done_testing();
