# TradingEngineSoak - what processes hold over time, for the soak (240_fault_soak.pl).
#
#	my $held = TradingEngineSoak->new(warm_up => 120);
#	$held->sample($node);                # whenever nothing is going on
#	my $growth = $held->growth('in_use'); # { slope, error, samples, workers }, kB per hour
#	my ($least, $most) = $held->range('threads');
#	my ($first, $last) = $held->widest('memory');
#
# Workers come and go, so memory is fitted with one slope for all and a level for each worker;
# a worker's first seconds, while its caches fill, don't count.
#
# Memory is looked at in two ways.  "in_use" is what the worker has allocated and not freed, as it says
# itself: whatever is lost stays in it.  "memory" is what the kernel has given: the most that was
# in use at once, as far as its pages were ever touched.  That goes on rising, more and more slowly, for
# as long as there are untouched pages in rooms that were reserved long ago, and says nothing
# of a loss before it is larger than what is free.
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

# What a process holds: memory of its own that the kernel has given (kB), descriptors and threads.  Files of tables come and
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
	my (@pids, %least);
	for my $look (1 .. 3)
	{
		# Not less, or a worker wouldn't have looked anew what it uses.
		sleep 1.1 if $look > 1;
		my %in_use = map { split /\|/ } split /\n/, value($node, 'SELECT pid, memory_bytes / 1024 FROM trading.stat_workers WHERE pid > 0 ORDER BY lane');
		@pids = sort { $a <=> $b } keys %in_use;
		for my $pid (@pids)
		{
			my $held = { %{ held($pid) }, in_use => $in_use{$pid} };
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
	return join '; ', map { "$_: $least{$_}{in_use} kB in use of $least{$_}{memory} kB, $least{$_}{descriptors} descriptors, $least{$_}{threads} threads" } @pids;
}

sub counted
{
	my ($self) = @_;
	return grep { $_->{at} - $self->{begun}{ $_->{pid} } >= $self->{warm_up} } @{ $self->{samples} };
}

# The samples of each worker that has more than one.
sub of_workers
{
	my ($self) = @_;
	my %of;
	push @{ $of{ $_->{pid} } }, $_ for $self->counted;
	return grep { @$_ > 1 } values %of;
}

# Least squares: kB per hour, its standard error, and what it was taken from.
sub growth
{
	my ($self, $what) = @_;
	my ($tt, $tm, $mm, $samples, $workers) = (0, 0, 0, 0, 0);
	for my $own ($self->of_workers)
	{
		my ($at, $level) = (0, 0);
		$at += $_->{at} / @$own, $level += $_->{$what} / @$own for @$own;
		for my $sample (@$own)
		{
			my ($t, $m) = (($sample->{at} - $at) / 3600, $sample->{$what} - $level);
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

# What that worker held first and last that has come the farthest, in proportion.
sub widest
{
	my ($self, $what) = @_;
	my ($widest) = sort { $b->[1] / $b->[0] <=> $a->[1] / $a->[0] } map { [ map { $_->{$what} } @$_[ 0, -1 ] ] } $self->of_workers;
	return $widest ? @$widest : ();
}

# The least and the most that any worker held of something.
sub range
{
	my ($self, $what) = @_;
	my @values = sort { $a <=> $b } map { $_->{$what} } $self->counted;
	return @values[ 0, -1 ];
}

1;
