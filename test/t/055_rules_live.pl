# Strategies in a running engine: custom rules that can't be evaluated are counted where they
# belong, and a change of tier counts from the next prediction on.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;

my $node = engine('rules', lanes => 1);
my %strategy = (allowed_regimes => "trading.enum_labels('regime')", max_prediction_age_ms => 3600000,
	duplicate_window_seconds => 0, max_position_count => 50);
company($node, $_, tier => 'ENTERPRISE', users => ['ann'], producers => ['desk'], strategy => \%strategy) for qw(acme beta);
$node->safe_psql('postgres', q{
	INSERT INTO trading.strategies (company_id, user_id, strategy_id, allowed_regimes, duplicate_window_seconds)
	VALUES ('acme', 'ann', 'other', trading.enum_labels('regime'), 0);
	CREATE ROLE te_ann LOGIN;
	CREATE ROLE te_beta LOGIN;
	GRANT trading_tenant TO te_ann, te_beta;
	INSERT INTO trading.logins (role_name, company_id, user_id) VALUES ('te_ann', 'acme', 'ann'), ('te_beta', 'beta', 'ann')});

# One prediction for each company, and wait until it is decided.
my $submitted = 0;

sub submit
{
	my ($name) = @_;
	$submitted++;
	$node->safe_psql('postgres', qq{
		SELECT trading.submit(jsonb_build_object('batch_id', '$name', 'producer_id', 'desk', 'company_id', c, 'user_id', 'ann',
			'generated_at', now(), 'predictions', jsonb_build_array(jsonb_build_object('prediction_id', '$name', 'symbol', 'EURUSD',
				'current_price', 1.1, 'predicted_price', 1.11, 'direction', 'BUY', 'confidence', 0.9))))
		  FROM unnest('{acme,beta}'::text[]) AS c});
	wait_for($node, 'SELECT predictions FROM trading.stat_workers', 2 * $submitted, "$name is decided");
	wait_for_statistics($node);
	return value($node, qq{SELECT COALESCE(string_agg(company_id || '/' || strategy_id || ' ' || outcome, ', ' ORDER BY 1, company_id, strategy_id), '')
		FROM trading.signals WHERE prediction_id = '$name'});
}

is(submit('before'), 'acme/main SIGNAL, acme/other SIGNAL, beta/main SIGNAL', 'three strategies decide');

# --- rules that fail ---------------------------------------------------------------------

$node->safe_psql('postgres',
	q{UPDATE trading.strategies SET custom_rule = '$.prediction.confidence / ($.market.volatility_ratio - 1) > 0.5' WHERE company_id = 'acme' AND strategy_id = 'main'});
$node->safe_psql('postgres', q{UPDATE trading.strategies SET custom_rule = '$.consensus < 0.5' WHERE company_id = 'beta'});
is(submit("divided$_"), 'acme/other SIGNAL', 'a rule that divides by zero is not true, and nobody else is concerned') for 1 .. 3;
is(value($node, 'SELECT rule_errors FROM trading.stat_workers'), 3, 'rules that fail are counted at once');
is(value($node, "SELECT count FROM trading.stat_decisions WHERE outcome = 'CUSTOM_RULE'"), 6, 'apart from those that are not true');
is(value($node, 'SELECT errors FROM trading.stat_workers'), 0, 'and are no errors of the worker');

# --- tiers -------------------------------------------------------------------------------

$node->safe_psql('postgres', q{UPDATE trading.companies SET tier = 'PRO' WHERE company_id = 'acme'});
is(submit('pro'), 'acme/main SIGNAL, acme/other SIGNAL', 'PRO has no rules: the strategy decides as if it had none');
$node->safe_psql('postgres', q{UPDATE trading.companies SET tier = 'FREE' WHERE company_id = 'acme'});
is(submit('free'), 'acme/main SIGNAL', 'FREE has one strategy per user');
$node->safe_psql('postgres', q{UPDATE trading.companies SET tier = 'ENTERPRISE' WHERE company_id = 'acme'});
is(submit('again'), 'acme/other SIGNAL', 'a higher tier brings both back');
$node->safe_psql('postgres', q{UPDATE trading.tiers SET advanced_features_enabled = false WHERE tier = 'ENTERPRISE'});
is(submit('narrow'), '', 'so does what a tier has');

# --- counts per strategy --------------------------------------------------------------------

$node->safe_psql('postgres', 'SELECT trading.set_lanes(2)'); # a worker that is asked to stop writes its counts
my $counts = q{SELECT string_agg(concat_ws(' ', company_id, strategy_id, outcome, decisions, rule_errors), ', ' ORDER BY company_id, strategy_id, outcome)
	FROM trading.strategy_decisions};
is($node->safe_psql('postgres', $counts, extra_params => [ '-U', 'te_ann' ]),
	'acme main CUSTOM_RULE 5 5, acme main SIGNAL 3 0, acme other DISABLED 2 0, acme other SIGNAL 6 0',
	'counts per strategy tell rules that failed');
is($node->safe_psql('postgres', $counts, extra_params => [ '-U', 'te_beta' ]),
	'beta main CUSTOM_RULE 7 0, beta main SIGNAL 1 0', 'from those that were not true; each tenant sees its own');

done_testing();
