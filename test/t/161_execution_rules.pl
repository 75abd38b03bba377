# What decisions see of executions: reservations end, open trades count, equity moves sizes, a
# stopped-out prediction never comes back, what isn't filled of an order ends a day after its
# signal; also after a kill -9.  And what is turned away.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use Test::More;
use TradingEngine;
use TradingEngineNats;

my $nats = TradingEngineNats->new('rules')->start;
my $node = engine('rules', nats => $nats, lanes => 2, conf => {
	'trading_engine.clock' => 'input', 'restart_after_crash' => 'on', 'trading_engine.restart_delay' => '100ms' });
company($node, $_, users => ['ann'], strategy => { allowed_regimes => "trading.enum_labels('regime')", max_position_count => 2 }) for qw(acme beta);
$node->safe_psql('postgres', q{CREATE ROLE te_ann LOGIN IN ROLE trading_tenant; CREATE ROLE te_bea LOGIN IN ROLE trading_tenant;
	INSERT INTO trading.logins (role_name, company_id, user_id) VALUES ('te_ann', 'acme', 'ann'), ('te_bea', 'beta', 'ann')});

# Monday noon; the input's clock goes on by what is predicted.
my $noon = 1767614400;
my $lane = value($node, "SELECT trading.lane_of('acme', 2)");

sub all_read
{
	my ($name, $company) = @_;
	return wait_for($node, "SELECT input_seq FROM trading.batches WHERE lane = trading.lane_of('" . ($company // 'acme') . "', 2) ORDER BY batch_no DESC LIMIT 1",
		$nats->messages('trading_input'), $name);
}

# A prediction so many seconds after noon; gives the size of its signal, or nothing.
sub predict
{
	my ($seconds, $id, $company) = @_;
	$company //= 'acme';
	my $before = value($node, "SELECT count(*) FROM trading.signals WHERE company_id = '$company'");
	$nats->publish($nats->batch(company => $company, user => 'ann', generated_at => ($noon + $seconds) * 1_000_000,
		predictions => [ $nats->prediction(prediction_id => $id) ]));
	all_read("prediction $id is read", $company);
	return value($node, "SELECT position_size FROM trading.signals WHERE company_id = '$company' ORDER BY decided_at DESC, signal_id DESC OFFSET 0 LIMIT "
		. "((SELECT count(*) FROM trading.signals WHERE company_id = '$company') - $before)");
}

my $reports = 0;
sub report
{
	my ($id, $status, %o) = @_;
	my ($signal) = split /\n/, value($node, "SELECT signal_id FROM trading.signals WHERE company_id = 'acme' AND prediction_id = '$id' ORDER BY decided_at DESC LIMIT 1");
	my %envelope = (company_id => 'acme', user_id => 'ann', producer_id => 'model', %{ delete $o{envelope} // {} });
	my $subject = delete $o{subject} // 'trading.executions.acme.ann';
	$nats->publish({ subject => $subject, type => 'ExecutionResult', envelope => \%envelope,
		payload => { execution_id => 'x' . ++$reports, signal_id => $signal, company_id => 'acme', user_id => 'ann', symbol => 'EURUSD',
			status => $status, executed_at => ($noon + $reports) * 1_000_000, %o } });
	return;
}

is(predict(0, 'p1'), 0.5, 'a signal of 1 % of 10,000');
is(predict(1, 'p2'), 0.5, 'a second one');
is(predict(2, 'p3'), '', 'two are all that may be open or reserved');
report('p1', 'REJECTED', reason => 'no money');
is(predict(3, 'p4'), 0.5, 'a rejected order ends its reservation');
report('p2', 'PARTIALLY_FILLED', executed_price => 1.1, executed_size => 0.2);
report('p2', 'FILLED', executed_price => 1.1003, executed_size => 0.3);
is(predict(4, 'p5'), '', 'a filled one is open');
report('p2', 'CLOSED', executed_price => 0 + value($node, "SELECT stop_loss FROM trading.signals WHERE prediction_id = 'p2'"), profit => -100);
is(predict(10, 'p6'), 0.49, 'a closed one is not, and what it lost makes the next one smaller');
report('p4', 'CANCELLED');
report('p6', 'FILLED', executed_price => 1.1, executed_size => 0.49);
report('p6', 'CLOSED', executed_price => 1.15, profit => 10110, commission => 10);
is(predict(20, 'p7'), 1, 'what one gains makes it larger: 1 % of 20,000');
is(value($node, q{SELECT state || ' ' || average_price || ' ' || profit || ' ' || stopped_out FROM trading.trades WHERE prediction_id = 'p2'}),
	'CLOSED 1.10018 -100 true', 'the trade is the sum of its reports');
is(value($node, q{SELECT simulated, realised, equity, peak_equity, open_trades FROM trading.account_equity WHERE company_id = 'acme' AND simulated}),
	't|10000.0000|20000.0000|20000.0000|0', 'equity, simulated as its signals are');
is(predict(600, 'p1'), 1, 'a prediction that came to nothing may come again when it is forgotten');
is(predict(601, 'p2'), '', 'one that was stopped out may not');

my $killed = kill_worker($node, $lane);
wait_for($node, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'trading_engine lane $lane' AND pid <> $killed", 1, 'killed, and started again');
is(predict(1200, 'p2'), '', 'it may not after a restart, either');
is(predict(1201, 'p8'), 1, 'and equity is what it was');

# What has no effect, and what is turned away.
my $trades = value($node, 'SELECT md5(string_agg(t::text, \' \' ORDER BY signal_id)) FROM trading.trades AS t');
my %fill = (executed_price => 1.1, executed_size => 0.1);
report('p8', 'FILLED', %fill, symbol => 'GBPUSD');
report('p8', 'FILLED', %fill, signal_id => '018f0000-0000-7001-8002-030405060708');
report('p8', 'FILLED', %fill, execution_id => 'x1');
report('p8', 'FILLED', executed_price => 1.1);
report('p8', 'FILLED', %fill, envelope => { producer_id => 'stranger' });
report('p8', 'FILLED', %fill, subject => 'trading.executions.beta.ann');
report('p8', 'FILLED', %fill, subject => 'trading.executions.beta.ann', company_id => 'beta', envelope => { company_id => 'beta' });
all_read('bad reports are read');
wait_for($node, "SELECT count(*) FROM trading.executions WHERE company_id = 'beta'", 1, 'that of the other company, too');
is(value($node, 'SELECT md5(string_agg(t::text, \' \' ORDER BY signal_id)) FROM trading.trades AS t'), $trades, 'no trade has changed');
is(value($node, q{SELECT string_agg(company_id || ' ' || flag, ', ' ORDER BY recorded_at, company_id, flag) FROM trading.executions WHERE flag IS NOT NULL}),
	'acme OTHER_SYMBOL, acme UNKNOWN_SIGNAL, beta UNKNOWN_SIGNAL', 'kept and flagged; a signal of another company is unknown');
is(value($node, q{SELECT string_agg(reason || ' ' || detail, E'\n' ORDER BY reason) FROM trading.dead_letters WHERE reason <> 'MISMATCH'}),
	"CONFLICT execution_id: was used for other content\nMISSING_FIELD payload.executed_size: is missing\n"
	  . "NOT_AUTHORISED producer_id: is not an enabled producer of this company", 'turned away, with the field');
is(value($node, q{SELECT count(*) FROM trading.dead_letters WHERE reason = 'MISMATCH' AND detail LIKE 'company_id:%'}), 1, 'also for another company\'s subject');
is(value($node, "SELECT conflicts FROM trading.executions WHERE company_id = 'acme' AND execution_id = 'x1'"), 1, 'the conflict is counted where it is');

# Another tenant sees none of it, and can't report for it.
is($node->safe_psql('postgres', "SELECT (SELECT count(*) FROM trading.trades) || ' ' || (SELECT count(*) FROM trading.positions) || ' ' || "
		. "(SELECT count(DISTINCT company_id) FROM trading.executions)", extra_params => [ '-U', 'te_bea' ]), '0 0 1', 'another tenant sees only its own');
is($node->safe_psql('postgres', 'SELECT count(*) > 0 FROM trading.trades', extra_params => [ '-U', 'te_ann' ]), 't', 'the one that it belongs to sees it');
my ($status, undef, $err) = $node->psql('postgres',
	"SELECT trading.report_execution('x', gen_random_uuid(), 'CANCELLED', now(), symbol => 'EURUSD', company_id => 'acme', user_id => 'ann')",
	extra_params => [ '-U', 'te_bea' ]);
like($err, qr/permission denied for executions with company_id "acme"/, 'and can\'t report');

# Of an order of beta a fifth is filled, and nothing more is heard of it: 1.5 % of the equity may be
# at risk, and 1 % counts until a day after the signal's expiry, then 0.2 %.
$node->safe_psql('postgres', q{INSERT INTO trading.risk_limits (company_id, max_open_risk_percent) VALUES ('beta', 1.5)});
is(predict(2000, 'b1', 'beta'), 0.5, 'an order of another company');
my ($signal, $life) = split /\|/, value($node, q{SELECT signal_id, extract(epoch FROM expires_at - decided_at)::integer FROM trading.signals WHERE prediction_id = 'b1'});
$nats->publish({ subject => 'trading.executions.beta.ann', type => 'ExecutionResult', envelope => { company_id => 'beta', user_id => 'ann', producer_id => 'model' },
	payload => { execution_id => 'part', signal_id => $signal, company_id => 'beta', user_id => 'ann', symbol => 'EURUSD', status => 'PARTIALLY_FILLED',
		executed_at => ($noon + 2001) * 1_000_000, executed_price => 1.1, executed_size => 0.1 } });
my $end = 2000 + $life + 86400;
is(predict($end - 3600, 'b2', 'beta'), 0.25, 'for a day all that was asked for is at risk');
$killed = kill_worker($node, $lane);
wait_for($node, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'trading_engine lane $lane' AND pid <> $killed", 1, 'killed, and started again');
is(predict($end - 1800, 'b3', 'beta'), 0.25, 'after a restart, too');
is(predict($end, 'b4', 'beta'), 0.5, 'then what is filled');
is(value($node, q{SELECT state || ' ' || working FROM trading.trades WHERE prediction_id = 'b1'}), 'OPEN true', 'which is open, and may be filled up');

done_testing();
