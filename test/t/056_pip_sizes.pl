# Pip sizes of the instruments that come with the extension are OANDA's.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TradingEngine;

my $shared = shared_folder();
my $file = defined $shared ? "$shared/vectors/oanda_instruments.csv" : undef;
plan skip_all => 'OANDA\'s list of instruments is not here (TE_SHARED)' unless defined $file && -e $file;

# What OANDA calls otherwise.
my %ours = (SPX500_USD => 'US500', US30_USD => 'US30', NAS100_USD => 'NAS100', DE30_EUR => 'GER40', UK100_GBP => 'UK100',
	JP225Y_JPY => 'JPN225');
my %pip;
for my $line (grep { !/^(#|name,)/ } split /\n/, slurp_file($file))
{
	my ($name, undef, undef, $size) = split /,/, $line;
	my $symbol = $ours{$name} // $name =~ s/_//r;
	$pip{$symbol} = $size;
}

my $node = engine('pips', preload => 0);
my %seeded = map { split /\|/ } split /\n/, value($node, 'SELECT symbol, pip_size FROM trading.instruments');
my @common = sort grep { exists $pip{$_} } keys %seeded;
is(scalar @common, 36, 'OANDA has all of them but crypto currencies');
is_deeply([ grep { $seeded{$_} != $pip{$_} } @common ], [], 'their pip sizes are the same');
is_deeply([ grep { !exists $pip{$_} } sort keys %seeded ], [ 'BTCUSD', 'ETHUSD' ], 'which are the two that are left');
done_testing();
