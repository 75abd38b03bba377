# TradingEngineRisk - the reference risk service (demo/risk_service.c), started and stopped by tests.
#
#	use_service($nats, '--level', 'LOW', '--size-share', 0.5);   # instead of the one before
#	stop_service();
package TradingEngineRisk;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(use_service stop_service);

my $service;

sub stop_service
{
	return unless $service;
	IPC::Run::signal($service, 'TERM');
	IPC::Run::finish($service);
	$service = undef;
	return;
}

# Returns when it listens.
sub use_service
{
	my ($nats, @options) = @_;
	my ($out, $end) = ('', time() + $PostgreSQL::Test::Utils::timeout_default);
	stop_service();
	$service = IPC::Run::start([ 'risk_service', '--url', $nats->url, '--quiet', @options ],
		'<', \undef, '>', \$out, '2>&1');
	until ($out =~ /listening/)
	{
		die "the risk service does not start: $out" if time() > $end || !IPC::Run::pumpable($service);
		IPC::Run::pump_nb($service);
		sleep 0.01;
	}
	return;
}

# Whatever a test that died left running.
END
{
	my $status = $?;
	$service->kill_kill if $service;
	$? = $status;
}

1;
