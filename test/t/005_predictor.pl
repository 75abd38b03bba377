# The predictor says the same about the same bars, and every message of it reaches
# the stream once and in order, whatever happens to the broker; and the client that
# the other tests trust sees what is wrong with a stream.
use strict;
use warnings;

use FindBin;
use lib $FindBin::Bin;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);
use TradingEngine;
use TradingEngineNats;

my $nats = TradingEngineNats->new('predictor')->start;

sub make_stream
{
	my ($name, @subjects) = @_;
	my $answer = $nats->js_api("\$JS.API.STREAM.CREATE.$name",
		{ name => $name, subjects => \@subjects, storage => 'file' });
	ok(!$answer->{error}, "stream $name is made") or diag(explain($answer));
	return;
}

sub predictor
{
	my (@arguments) = @_;
	return ('predictor', '--url', $nats->url, @arguments);
}

program_help_ok($_) for 'predictor', 'te_nats';
make_stream('one', 'one.>');
make_stream('two', 'two.>');

my @same = ('--seed', 7, '--bars', 200, '--epoch', 1, 'EURUSD', 'USDJPY');
command_ok([ predictor('--prefix', 'one', @same) ], 'first run is acknowledged');
command_ok([ predictor('--prefix', 'two', @same) ], 'second run is acknowledged');
my @one = $nats->dump('one');
my @two = $nats->dump('two');
is(scalar @one, 2 * 4 * 200 + 141, 'four prices a bar and symbol, a batch a bar after the warm-up');
is_deeply([ map { $_->{sha256} } @two ], [ map { $_->{sha256} } @one ],
	'the same seed and epoch give the same bytes');

my @batches = grep { $_->{envelope}{payload_type} eq 'MLPredictionBatch' } @one;
is_deeply([ map { $_->{envelope}{seq} } @batches ], [ 1 .. @batches ], 'batches are numbered without a gap');
my @predictions = map { @{ $_->{envelope}{payload}{predictions} } } @batches;
my %models = map { $_->{model_id} => 1 } map { @{ $_->{models} } } @predictions;
cmp_ok(scalar keys %models, '>=', 5, 'the ensemble has at least five models');
my %confidences = map { $_->{confidence} => 1 } @predictions;
cmp_ok(scalar keys %confidences, '>', @predictions * 0.9, 'confidences differ from bar to bar');
is(scalar(grep { $_->{confidence} < 0.5 || $_->{confidence} > 1 } @predictions),
	0, 'a confidence is the probability of the likelier direction');
ok((grep { @{ $_->{patterns} // [] } } @predictions) > 0, 'candle patterns are found');
is(scalar(grep { !defined $_->{volume_confirmation} } @predictions),
	0, 'made-up bars have volume, so every prediction says how it confirms');
is(scalar(grep { $_->{ask} < $_->{bid} } @predictions), 0, 'quotes are not crossed');

# The broker dies three times while messages are on their way.
make_stream('three', 'three.>');
my ($out, $err) = ('', '');
my $run = IPC::Run::start([ predictor('--prefix', 'three', '--bars', 1500, '--epoch', 2, '--rate', 400) ],
	'<', \undef, '>', \$out, '2>', \$err);
for my $round (1 .. 3)
{
	# Far from the end, however long the broker takes to start.
	$nats->wait_for_messages('three', 500 * $round);
	$nats->kill9;
	$nats->start;
}
ok(IPC::Run::finish($run), 'the predictor outlives a broker that is killed') or diag("$out$err");
is($nats->messages('three'), 3 * 4 * 1500 + 1441, 'every message is on the stream once');
is_deeply(
	[ map { $_->{envelope}{seq} } grep { $_->{envelope}{payload_type} eq 'MLPredictionBatch' } $nats->dump('three') ],
	[ 1 .. 1441 ],
	'and batches are in order');

SKIP:
{
	my $shared = shared_folder();
	skip 'no real bars here', 3 unless defined $shared && -e "$shared/data/gbpusd_m1_2012-02.csv.gz";
	my $bars = "$shared/data/gbpusd_m1_2012-02.csv.gz";
	my ($text, $errors) = run_command([ 'predictor', '--print', '--file', $bars, 'GBPUSD' ]);
	my @lines = split /\n/, $text;
	is(scalar @lines, 30117 - 59, 'every real bar after the warm-up has a prediction');
	cmp_ok(scalar(grep { (split)[3] >= 0.7 } @lines), '>', 1000, 'some of them are confident');
	cmp_ok(scalar(grep { (split)[3] < 0.7 } @lines), '>', 10000, 'most of them are not');
}

# A stream that isn't what an engine writes is called so.
my $verdict = $nats->check('one');
ok(!$verdict->{clean}, 'a stream without identities is not clean');
is($verdict->{bad_headers}, scalar @one, 'each of its messages is counted');

$nats->stop;
done_testing();
