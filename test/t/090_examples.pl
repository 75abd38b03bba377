# Every SQL statement of README.md, of the pages in doc/ and of doc/examples works as it is written, and the pages that
# are made from the declarations in the code are up to date.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;

my $top = $ENV{TE_TOP};

# [ line, role, statements, what the page shows below ] of every block of SQL in a page; "-- as NAME"
# says who runs it, "-- refused" that it fails with what is shown.
sub blocks
{
	my ($file) = @_;
	my $page = slurp_file($file);
	my @blocks;
	while ($page =~ /^```sql\n((?:(?!```).*\n)+)```\n(?:```text\n((?:(?!```).*\n)+)```\n)?/mg)
	{
		my ($text, $shown, $start) = ($1, $2, $-[0]);
		my $line = 1 + (() = substr($page, 0, $start) =~ /\n/g);
		my ($role) = $text =~ /^-- as (\w+)$/m;
		push @blocks, [ $line, $role, $text, $shown ];
	}
	return @blocks;
}

# Until every lane has decided what was submitted.
sub settle
{
	my ($node) = @_;
	$node->poll_query_until('trading', q{
		SELECT NOT EXISTS (SELECT FROM trading.lanes AS l, trading.inbox AS i
			WHERE (i.company_id = '_all' OR l.lane = trading.lane_of(i.company_id, (SELECT count(*)::int FROM trading.lanes)))
			  AND pg_visible_in_snapshot(i.xid, (SELECT b.inbox_snapshot FROM trading.batches AS b
				WHERE b.lane = l.lane ORDER BY b.batch_no DESC LIMIT 1)) IS NOT TRUE)}) or die "a submitted batch is not decided";
	return;
}

# Run one block as its role; a test.
sub run
{
	my ($node, $name, $role, $text, $shown) = @_;
	my ($out, $err) = ('', '');
	my $status = $node->psql('trading', $text, stdout => \$out, stderr => \$err, on_error_stop => 1,
		extra_params => defined $role ? [ '-U', $role ] : []);
	if ($text =~ /^-- refused$/m)
	{
		$err =~ s/^psql:<stdin>:\d+: //mg;
		is("$err\n", $shown, "$name is refused as it says");
		return $err;
	}
	is($status, 0, $name) or diag($err);
	settle($node) if $text =~ /trading\.(submit|report_execution)/;
	return $out;
}

# A text without what differs from run to run.
sub timeless
{
	my ($text) = @_;
	$text =~ s/\d{4}-\d\d-\d\dT[\d:.]+Z/TIME/g;
	$text =~ s/\b(change|lane|batch) \d+/$1 N/g;
	$text =~ s/(age_ms +)[\d.]+ +/$1/g;
	chomp $text;
	return $text;
}

my $node = engine('examples', extension => 0, conf => {
	'shared_preload_libraries' => "'trading_engine, pg_cron'",
	'cron.database_name' => "'trading'" });
$node->safe_psql('postgres', "CREATE DATABASE trading TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'");

my @readme = blocks("$top/README.md");
cmp_ok(scalar @readme, '>', 15, 'README.md has examples');
for my $block (@readme)
{
	my ($line, $role, $text, $shown) = @$block;
	run($node, "README.md, line $line", $role, $text, $shown);
	# The pages are read on weekdays; the tests run on any day.
	$node->safe_psql('trading', q{UPDATE trading.instrument_sessions SET close_day = open_day, close_time = open_time
		WHERE symbol IN (SELECT symbol FROM trading.instrument_sessions GROUP BY symbol HAVING count(*) = 1)}) if $text =~ /CREATE EXTENSION/;
}

# The first signal is the one that the page shows.
is($node->safe_psql('trading', "SELECT signal_type, order_type, entry_price, stop_loss, take_profit, position_size, max_loss, outcome
	FROM trading.signals WHERE prediction_id = 'first'"), 'BUY|LIMIT|1.0997|1.0977|1.1037|0.25|50|SIGNAL', 'the first signal');

sub run_page
{
	my ($node, $page) = @_;
	for my $block (blocks("$top/doc/$page.md"))
	{
		my ($line, $role, $text, $shown) = @$block;
		my $out = run($node, "doc/$page.md, line $line", $role, $text, $shown);
		# Explanations are shown in full.
		is(timeless($out), timeless($shown), "doc/$page.md shows what line $line gives") if $page eq 'explain' && defined $shown;
	}
	return;
}

# What examples of their own are about comes from the first; the last have signals and tenants of their own.
my @first = qw(operations rates history explain replay what_if performance adjustment statistics);
my @last = qw(executions schema);
is(join(' ', sort map { m{([^/]+)\.md$} } grep { blocks($_) } glob "$top/doc/*.md"), join(' ', sort @first, @last), 'no page with examples is left out');
run_page($node, $_) for @first;

# Examples of their own, each in a transaction of its own making, in the order of their names.
my @examples = sort glob "$top/doc/examples/*.sql";
cmp_ok(scalar @examples, '>', 2, 'doc/examples has examples');
for my $file (@examples)
{
	my ($name) = $file =~ m{([^/]+)$};
	my $text = slurp_file($file);
	my ($role) = $text =~ /^-- as (\w+)$/m;
	my $out = run($node, "doc/examples/$name", $role, $text);
	settle($node);
	# What a line "-- gives: ..." promises is the last line of the output.
	next unless $text =~ /^-- gives: (.*)$/m;
	is((split /\n/, $out)[-1], $1, "doc/examples/$name gives what it says");
}

run_page($node, $_) for @last;
is($node->safe_psql('trading', q{SELECT state, filled, average_price, profit FROM trading.trades WHERE symbol = 'GBPUSD'}), 'CLOSED|0.25|1.24982|95', 'the trade of doc/executions.md');
is($node->safe_psql('trading', 'SELECT count(*) FROM trading.effective_strategies', extra_params => [ '-U', 'dina' ]), 2, 'the tenant of doc/schema.md');

# Tables that are made, not written.
for my $page ('parameters', 'settings')
{
	my ($status, $out, $err) = $node->psql('trading', slurp_file("$top/doc/$page.sql"));
	is("$out\n", slurp_file("$top/doc/$page.md"), "doc/$page.md is what doc/$page.sql makes") or diag($err);
}

$node->stop;
done_testing();
