# TradingEngineMessages - messages for a broker, of whichever transport: base class of
# TradingEngineNats and TradingEngineKafka.
#
#	my $message = $nats->batch(predictions => [ $nats->prediction(confidence => 0.8) ]);
#	$nats->publish($message);
#	$kafka->publish($message);       # the same on both
#
# What a message is: test/tools/common/message.h.
package TradingEngineMessages;

use strict;
use warnings;

use JSON::PP;
use Time::HiRes qw(time);

# The object's own counters: epoch of its producers, their sequences, and numbers for ids.
sub init_messages
{
	my ($self) = @_;
	$self->{json} = JSON::PP->new->utf8->canonical;
	$self->{epoch} = int(time() * 1_000_000);
	$self->{seq} = {};
	return $self;
}

sub encode_lines { my ($self, @lines) = @_; return join '', map { $self->{json}->encode($_) . "\n" } @lines; }
sub decode_lines { my ($self, $text) = @_; return map { $self->{json}->decode($_) } split /\n/, $text; }

# A message with predictions.  Options: company, user (_all), producer (model), seq (next; 0: none),
# epoch, batch_id, id (Nats-Msg-Id), bare, prefix (trading), generated_at, and predictions.
sub batch
{
	my ($self, %o) = @_;
	my $company = $o{company} // '_all';
	my $user = $o{user} // '_all';
	my $producer = $o{producer} // 'model';
	my $epoch = $o{epoch} // $self->{epoch};
	my $key = "$company/$user/$producer/$epoch";
	my $seq = $o{seq} // ++$self->{seq}{$key};
	my $generated_at = $o{generated_at} // int(time() * 1_000_000);
	my $number = ++$self->{batches};
	my $batch_id = $o{batch_id} // "batch-$self->{epoch}-$number";
	my %envelope = (company_id => $company, user_id => $user, producer_id => $producer,
		correlation_id => $o{correlation_id} // $batch_id);
	%envelope = (%envelope, producer_epoch => $epoch, seq => $seq) if $seq;
	%envelope = (%envelope, %{ $o{envelope} }) if $o{envelope};
	return {
		subject => $o{subject} // ($o{prefix} // 'trading') . ".predictions.$company.$user",
		type => 'MLPredictionBatch',
		($o{bare} ? (bare => JSON::PP::true) : (envelope => \%envelope)),
		(defined $o{id} ? (id => $o{id}) : ()),
		payload => {
			batch_id => $batch_id, producer_id => $producer, company_id => $company,
			user_id => $user, generated_at => $generated_at,
			predictions => $o{predictions} // [ $self->prediction ],
			%{ $o{payload} // {} },
		},
	};
}

# A prediction that a default strategy accepts; whatever is given replaces a field.
sub prediction
{
	my ($self, %fields) = @_;
	my $number = ++$self->{predictions};
	return {
		prediction_id => "p-$self->{epoch}-$number", symbol => 'EURUSD',
		current_price => 1.1, predicted_price => 1.105, direction => 'BUY', confidence => 0.9,
		%fields,
	};
}

# A message with a price.
sub tick
{
	my ($self, %o) = @_;
	my $symbol = $o{symbol} // 'EURUSD';
	return {
		subject => $o{subject} // ($o{prefix} // 'trading') . ".market.$symbol",
		type => 'MarketTick',
		envelope => { company_id => '_all', user_id => '_all', %{ $o{envelope} // {} } },
		payload => {
			symbol => $symbol, at => $o{at} // int(time() * 1_000_000),
			(defined $o{bid} ? (bid => $o{bid}, ask => $o{ask}) : (price => $o{price} // 1.1)),
		},
	};
}

1;
