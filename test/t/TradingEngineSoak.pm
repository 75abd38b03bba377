# TradingEngineSoak - what processes hold over time, for the soak (240_fault_soak.pl).
#
#	my $held = TradingEngineSoak->new(warm_up => 120);
#	$held->sample($node);                # whenever nothing is going on
#	my $growth = $held->growth;          # { slope, error, samples, workers } of memory, kB per hour
#	my ($least, $most) = $held->range('threads');
#
# Workers come and go, so memory is fitted with one slope for all and a level for each worker;
# a worker's first seconds, while its caches fill, don't count.
package TradingEngineSoak;

use strict;
use warnings;

use Time::HiRes qw(sleep time);
use TradingEngine;
use TradingEngineFaults;

sub new
{
	my ($class, %o) = @_;
	return bless { warm_up => $o{warm_up}, begun => {}, samples => [] }, $class;
}

# What a process holds: memory of its own (kB), descriptors and threads.  Files of tables come and
# go; sockets and the like must not.
sub held
{
	my ($pid) = @_;
	return {
		memory => own_memory($pid),
		descriptors => scalar(grep { (readlink // '') =~ /^(?:socket|pipe|anon_inode):/ } glob "/proc/$pid/fd/*"),
		threads => scalar(my @tasks = glob "/proc/$pid/task/*") };
}

# What every worker holds now, as text too.  Threads that make or free a connection end by
# themselves, so the least of three looks counts.
sub sample
{
	my ($self, $node) = @_;
	my @pids = split /\n/, value($node, 'SELECT pid FROM trading.stat_workers WHERE pid > 0 ORDER BY lane');
	my %least;
	for my $look (1 .. 3)
	{
		sleep 1 if $look > 1;
		for my $pid (@pids)
		{
			my $held = held($pid);
			for my $what (keys %$held)
			{
				$least{$pid}{$what} = $held->{$what} if !defined $least{$pid}{$what} || $held->{$what} < $least{$pid}{$what};
			}
		}
	}
	my $now = time();
	for my $pid (@pids)
	{
		$self->{begun}{$pid} //= $now;
		push @{ $self->{samples} }, { %{ $least{$pid} }, pid => $pid, at => $now };
	}
	return join '; ', map { "$_: $least{$_}{memory} kB, $least{$_}{descriptors} descriptors, $least{$_}{threads} threads" } @pids;
}

sub counted
{
	my ($self) = @_;
	return grep { $_->{at} - $self->{begun}{ $_->{pid} } >= $self->{warm_up} } @{ $self->{samples} };
}

# Least squares: kB per hour, its standard error, and what it was taken from.
sub growth
{
	my ($self) = @_;
	my %of;
	push @{ $of{ $_->{pid} } }, $_ for $self->counted;
	my ($tt, $tm, $mm, $samples, $workers) = (0, 0, 0, 0, 0);
	for my $own (grep { @$_ > 1 } values %of)
	{
		my ($at, $memory) = (0, 0);
		$at += $_->{at} / @$own, $memory += $_->{memory} / @$own for @$own;
		for my $sample (@$own)
		{
			my ($t, $m) = (($sample->{at} - $at) / 3600, $sample->{memory} - $memory);
			$tt += $t * $t;
			$tm += $t * $m;
			$mm += $m * $m;
		}
		$samples += @$own;
		$workers++;
	}
	my $free = $samples - $workers - 1;
	return undef if $free < 1;
	my $slope = $tm / $tt;
	my $rest = $mm - $slope * $tm;
	return { slope => $slope, error => sqrt(($rest > 0 ? $rest : 0) / $free / $tt), samples => $samples, workers => $workers };
}

# The least and the most that any worker held of something.
sub range
{
	my ($self, $what) = @_;
	my @values = sort { $a <=> $b } map { $_->{$what} } $self->counted;
	return @values[ 0, -1 ];
}

1;
