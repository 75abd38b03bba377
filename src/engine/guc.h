/*
 * guc.h - the settings trading_engine.*, one table from which everything follows.
 *
 * TE_SETTINGS is sorted by name.  A row becomes the variable te_guc_<name>, the
 * setting trading_engine.<name>, and its line in pg_settings.
 *
 * Context DATABASE: postgresql.conf, or ALTER DATABASE by a superuser, so that two
 * databases of one cluster can use different brokers, prefixes and clocks.  A
 * worker reads what is set for its database when it starts, and postgresql.conf
 * at every reload.
 * Context CLUSTER: postgresql.conf, read by the launcher for all databases.
 * Context LOGIN: belongs to a session.
 * Context START: postgresql.conf, needs a restart of the server.
 */
#ifndef TE_ENGINE_GUC_H
#define TE_ENGINE_GUC_H

#include "postgres.h"

#include "utils/guc.h"

typedef enum { TE_CLOCK_SYSTEM, TE_CLOCK_INPUT } TeClock;

/* What shares a breaker: the lane, or a company. */
typedef enum { TE_BREAKER_SCOPE_GLOBAL, TE_BREAKER_SCOPE_COMPANY } TeBreakerScope;

typedef enum {
	TE_KAFKA_PLAINTEXT,
	TE_KAFKA_SSL,
	TE_KAFKA_SASL_PLAINTEXT,
	TE_KAFKA_SASL_SSL
} TeKafkaProtocol;

typedef enum { TE_KAFKA_PLAIN, TE_KAFKA_SCRAM_SHA_256, TE_KAFKA_SCRAM_SHA_512 } TeKafkaMechanism;

#define TE_GUC_DATABASE PGC_SUSET
#define TE_GUC_CLUSTER PGC_SIGHUP
#define TE_GUC_LOGIN PGC_SUSET
#define TE_GUC_START PGC_POSTMASTER

/* Only who may read all settings sees it: addresses with passwords, names of key files. */
#define TE_GUC_SECRET GUC_SUPERUSER_ONLY
/* Written by the login functions alone; a setting because it must end with the session or
 * transaction. */
#define TE_GUC_IDENTITY (GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE)

/*
 * BOOL(name, default, context, flags, description)
 * INT(name, default, least, most, context, flags with unit, description)
 * REAL(name, default, least, most, context, flags, description)
 * ENUM(name, default, labels, context, flags, description)
 * TEXT(name, default, check hook, context, flags, description)
 */
/* clang-format off */
#define TE_SETTINGS(BOOL, INT, REAL, ENUM, TEXT) \
	REAL(adjust_below_default, 0.1, 0, 1, DATABASE, 0, "How far below its tier's default self-adjustment takes a confidence threshold at most.") \
	REAL(adjust_ceiling, 0.95, 0, 1, DATABASE, 0, "Highest confidence threshold that self-adjustment sets.") \
	REAL(adjust_floor, 0.5, 0, 1, DATABASE, 0, "Lowest confidence threshold that self-adjustment sets.") \
	REAL(adjust_high_accuracy, 0.8, 0, 1, DATABASE, 0, "Accuracy above which self-adjustment lowers the confidence threshold.") \
	REAL(adjust_high_drawdown, 0.1, 0, 1, DATABASE, 0, "Maximum drawdown above which self-adjustment reduces sizes.") \
	INT(adjust_least_model_votes, 30, 1, 1000000, DATABASE, 0, "Scored votes of a model before its weight follows its accuracy.") \
	INT(adjust_least_new_trades, 10, 1, 1000000, DATABASE, 0, "Trades closed since the last self-adjustment of a strategy before the next one.") \
	INT(adjust_least_trades, 30, 1, 1000000, DATABASE, 0, "Closed trades of a strategy before it has a hit rate, and adjusts itself.") \
	REAL(adjust_least_weight, 0.5, 0, 1, DATABASE, 0, "Least weight of a model that follows its accuracy, as a multiple of its own.") \
	REAL(adjust_low_accuracy, 0.6, 0, 1, DATABASE, 0, "Accuracy below which self-adjustment raises the confidence threshold.") \
	REAL(adjust_low_drawdown, 0.05, 0, 1, DATABASE, 0, "Drawdown under which self-adjustment lets sizes grow again.") \
	REAL(adjust_lower, 0.02, 0, 1, DATABASE, 0, "Step by which self-adjustment lowers a confidence threshold.") \
	REAL(adjust_most_weight, 1.5, 1, 100, DATABASE, 0, "Most weight of a model that follows its accuracy, as a multiple of its own.") \
	INT(adjust_pause, 86400, 1, INT_MAX, DATABASE, GUC_UNIT_S, "Least time between two self-adjustments of a strategy.") \
	REAL(adjust_raise, 0.05, 0, 1, DATABASE, 0, "Step by which self-adjustment raises a confidence threshold.") \
	REAL(adjust_size_factor, 0.8, 0.01, 0.99, DATABASE, 0, "Factor by which self-adjustment reduces a size; it grows by dividing by it.") \
	REAL(adjust_size_floor, 0.2, 0.001, 1, DATABASE, 0, "Smallest size multiplier that self-adjustment sets.") \
	INT(adjust_trades, 100, 2, 1000000, DATABASE, 0, "Newest closed trades of a strategy that hit rate and accuracy are taken from.") \
	INT(bar_length, 300, 1, 86400, DATABASE, GUC_UNIT_S, "Length of the bars that market state is built from.") \
	INT(batch_limit, 500, 1, 100000, DATABASE, 0, "Most messages that one transaction takes.") \
	ENUM(clock, TE_CLOCK_SYSTEM, te_clock_labels, DATABASE, 0, "Time of decisions: the system's, or that of the input, whose signals are simulated.") \
	TEXT(company, "", NULL, LOGIN, TE_GUC_IDENTITY, "Company of the session, set by trading.login.") \
	TEXT(databases, "", te_check_database_list, CLUSTER, GUC_LIST_INPUT, "Databases that workers run in; empty: all that have the extension.") \
	INT(ban_memory, 65536, 1024, 100000000, DATABASE, 0, "Stopped-out predictions that a lane remembers, so that none is entered again.") \
	INT(gap_request_after, 200, 1, 3600000, DATABASE, GUC_UNIT_MS, "Time that a missing message is waited for before its producer is asked to send it again.") \
	INT(gap_request_again, 1000, 1, 3600000, DATABASE, GUC_UNIT_MS, "Time until the producer is asked again; doubled each time.") \
	INT(gap_request_rate, 20, 1, 1000000, DATABASE, 0, "Most requests for missing messages of a lane in a second.") \
	INT(gap_requests, 3, 0, 20, DATABASE, 0, "Requests for one range of missing messages.") \
	INT(gap_wait, 10000, 1, 86400000, DATABASE, GUC_UNIT_MS, "Time after which missing messages are given up, or halt their producer's sequence.") \
	REAL(high_volatility, 1.3, 0, 1000, DATABASE, 0, "Ratio of fast to slow volatility from which the regime is HIGH_VOLATILITY.") \
	INT(input_max_age, 604800, 0, INT_MAX, DATABASE, GUC_UNIT_S, "Age limit of an input stream that the engine creates; 0: none.") \
	INT(input_max_bytes, 1024, 0, INT_MAX, DATABASE, GUC_UNIT_MB, "Size limit of an input stream that the engine creates; 0: none.") \
	TEXT(input_stream, "trading_input", te_check_stream_name, DATABASE, 0, "JetStream stream of predictions, prices and executions; created if missing.") \
	INT(kafka_ack_timeout, 5000, 100, 600000, DATABASE, GUC_UNIT_MS, "Time after which Kafka counts as lost when it acknowledges nothing.") \
	TEXT(kafka_brokers, "", NULL, DATABASE, TE_GUC_SECRET, "Addresses of Kafka brokers, host:port separated by commas; empty: no Kafka.") \
	TEXT(kafka_ca_file, "", NULL, DATABASE, TE_GUC_SECRET, "File of the certificate authorities that Kafka is verified by; empty: the system's.") \
	TEXT(kafka_cert_file, "", NULL, DATABASE, TE_GUC_SECRET, "File of the client certificate for Kafka.") \
	TEXT(kafka_key_file, "", NULL, DATABASE, TE_GUC_SECRET, "File of the key of the client certificate for Kafka.") \
	INT(kafka_replication_factor, 0, 0, 32767, DATABASE, 0, "Replicas of topics that the engine creates; 0: as the brokers are set.") \
	ENUM(kafka_sasl_mechanism, TE_KAFKA_SCRAM_SHA_512, te_kafka_mechanisms, DATABASE, 0, "How the engine proves to Kafka who it is, with security protocol sasl_plaintext or sasl_ssl.") \
	TEXT(kafka_sasl_password_file, "", NULL, DATABASE, TE_GUC_SECRET, "File whose first line is the password for Kafka.") \
	TEXT(kafka_sasl_username, "", NULL, DATABASE, TE_GUC_SECRET, "Name of the engine's user in Kafka.") \
	ENUM(kafka_security_protocol, TE_KAFKA_PLAINTEXT, te_kafka_protocols, DATABASE, 0, "Whether the connection to Kafka is encrypted, and the engine proves who it is by SASL.") \
	INT(launcher_naptime, 60, 1, 3600, CLUSTER, GUC_UNIT_S, "Time between looks at the list of databases.") \
	REAL(low_volatility, 0.7, 0, 1000, DATABASE, 0, "Ratio of fast to slow volatility up to which the regime is LOW_VOLATILITY.") \
	INT(market_max_age, 60000, 0, INT_MAX, DATABASE, GUC_UNIT_MS, "Age of the newest price from which market state counts as unknown; 0: never.") \
	INT(market_max_gap, 3600, 0, INT_MAX, DATABASE, GUC_UNIT_S, "A longer gap between bars breaks the chain of true ranges and returns; 0: never.") \
	INT(max_lanes, 16, 1, 1024, START, 0, "Lanes that can run at the same time, in all databases together.") \
	INT(max_message_bytes, 8 * 1024 * 1024, 1024, 64 * 1024 * 1024, DATABASE, GUC_UNIT_BYTE, "Largest input message; a larger one becomes a dead letter.") \
	INT(max_predictions_per_batch, 10000, 1, 1000000, DATABASE, 0, "Most predictions of one message; a larger batch becomes a dead letter.") \
	INT(min_bars, 50, 1, 100000, DATABASE, 0, "Closed bars of a symbol before its regime is known.") \
	TEXT(nats_ca_file, "", NULL, DATABASE, TE_GUC_SECRET, "File of certificate authorities that the broker is verified by, besides the system's.") \
	TEXT(nats_cert_file, "", NULL, DATABASE, TE_GUC_SECRET, "File of the client certificate.") \
	TEXT(nats_credentials_file, "", NULL, DATABASE, TE_GUC_SECRET, "File of the user JWT and its seed.") \
	TEXT(nats_key_file, "", NULL, DATABASE, TE_GUC_SECRET, "File of the client certificate's key.") \
	TEXT(nats_nkey_file, "", NULL, DATABASE, TE_GUC_SECRET, "File of the NKey seed.") \
	TEXT(nats_password_file, "", NULL, DATABASE, TE_GUC_SECRET, "File whose first line is the password for the broker, or, without nats_username, a token.") \
	TEXT(nats_url, "", NULL, DATABASE, TE_GUC_SECRET, "Addresses of the NATS servers, separated by commas; empty: no broker.") \
	TEXT(nats_username, "", NULL, DATABASE, TE_GUC_SECRET, "Name of the engine's user at the broker, where it has a password.") \
	BOOL(notify, true, DATABASE, 0, "Send a notification after a batch that made signals or took reports.") \
	INT(outbox_retention, 86400, 0, INT_MAX, DATABASE, GUC_UNIT_S, "Time that messages are kept after they were acknowledged, to be sent again should a broker lose them.") \
	INT(output_max_age, 604800, 0, INT_MAX, DATABASE, GUC_UNIT_S, "Age limit of an output stream that the engine creates; 0: none.") \
	INT(output_max_bytes, 1024, 0, INT_MAX, DATABASE, GUC_UNIT_MB, "Size limit of an output stream that the engine creates; 0: none.") \
	TEXT(output_stream, "trading_output", te_check_stream_name, DATABASE, 0, "JetStream stream of signals and commands: this, an underscore and the lane's number.") \
	INT(parked_bytes, 65536, 0, INT_MAX, DATABASE, GUC_UNIT_KB, "Most memory of messages that wait in a lane for missing ones before them.") \
	INT(parked_bytes_per_producer, 16384, 0, INT_MAX, DATABASE, GUC_UNIT_KB, "Most memory of messages of one producer that wait.") \
	INT(parked_messages, 4096, 0, 1000000, DATABASE, 0, "Most messages that wait in a lane for missing ones before them; 0: none waits, what is missing is skipped at once.") \
	INT(parked_messages_per_producer, 1024, 0, 1000000, DATABASE, 0, "Most messages of one producer that wait.") \
	INT(publish_ack_timeout, 1000, 10, 600000, DATABASE, GUC_UNIT_MS, "Time after which an unacknowledged message is sent again.") \
	BOOL(publish_holds, false, DATABASE, 0, "Publish decisions to hold; they are recorded in any case.") \
	INT(publish_window, 512, 1, 100000, DATABASE, 0, "Messages that may be on their way without acknowledgement.") \
	INT(rate_max_age, 300000, 0, INT_MAX, DATABASE, GUC_UNIT_MS, "Age up to which a price converts between currencies; 0: no limit.") \
	INT(restart_delay, 1000, 100, 60000, CLUSTER, GUC_UNIT_MS, "Wait before the first restart of a worker that failed.") \
	INT(restart_delay_max, 10000, 100, 600000, CLUSTER, GUC_UNIT_MS, "Longest wait before a restart of a worker that keeps failing.") \
	INT(risk_breaker_calls, 20, 0, 64, DATABASE, 0, "Calls that the failure rate of the risk service is taken over; 0: no rate.") \
	REAL(risk_breaker_failure_rate, 0.5, 0.01, 1, DATABASE, 0, "Failure rate from which the risk service isn't asked for a while.") \
	INT(risk_breaker_failures, 5, 0, 1000000, DATABASE, 0, "Failures in a row from which the risk service isn't asked for a while; 0: none are too many.") \
	INT(risk_breaker_interval, 0, 0, INT_MAX, DATABASE, GUC_UNIT_MS, "Time after which a closed circuit breaker counts failures anew; 0: never.") \
	INT(risk_breaker_probe_limit, 30000, 1, INT_MAX, DATABASE, GUC_UNIT_MS, "Time after which a signal asked about as a probe counts as a failure without an answer.") \
	INT(risk_breaker_probes, 1, 1, 1000, DATABASE, 0, "Signals that the risk service is asked about at a time, to see whether it answers again.") \
	ENUM(risk_breaker_scope, TE_BREAKER_SCOPE_GLOBAL, te_breaker_scope_labels, DATABASE, 0, "What shares a circuit breaker: all signals of a lane, or those of a company.") \
	INT(risk_breaker_successes, 3, 1, 1000, DATABASE, 0, "Answers in a row after which the risk service is asked about every signal again.") \
	INT(risk_breaker_wait, 30000, 1, INT_MAX, DATABASE, GUC_UNIT_MS, "Time that the risk service isn't asked for.") \
	REAL(risk_breaker_wait_factor, 2, 1, 1000, DATABASE, 0, "Factor of that time with each probe that fails.") \
	INT(risk_breaker_wait_max, 300000, 1, INT_MAX, DATABASE, GUC_UNIT_MS, "Longest time that the risk service isn't asked for.") \
	REAL(risk_conservative_share, 0.5, 0, 1, DATABASE, 0, "Share of its size that a signal leaves with when the risk service can't be asked.") \
	REAL(risk_deadline, 2, 0.05, 1000, DATABASE, GUC_UNIT_MS, "Longest time that a batch waits for the risk service.") \
	INT(risk_memory_life, 600, 0, INT_MAX, DATABASE, GUC_UNIT_S, "Time for which the last answer about a company counts when the risk service can't be asked.") \
	BOOL(risk_service, false, DATABASE, 0, "Ask the risk service about every signal.") \
	TEXT(role, "", NULL, LOGIN, TE_GUC_IDENTITY, "Role of the session's user in the company, set by trading.login.") \
	INT(route_drain_limit, 30000, 100, INT_MAX, DATABASE, GUC_UNIT_MS, "Time within which NATS has to get what went to Kafka, before it is given up again.") \
	INT(route_dwell, 30000, 10, INT_MAX, DATABASE, GUC_UNIT_MS, "Least time on Kafka before NATS is tried again; doubled where NATS doesn't last.") \
	INT(route_dwell_max, 600000, 10, INT_MAX, DATABASE, GUC_UNIT_MS, "Longest time on Kafka before NATS is tried again.") \
	INT(route_failed_probes, 2, 1, 1000, DATABASE, 0, "Probes of NATS in a row, without an answer, after which output isn't sent to it while there is Kafka.") \
	INT(route_probe_limit, 2000, 10, 600000, DATABASE, GUC_UNIT_MS, "Time within which NATS has to acknowledge a probe.") \
	INT(route_probe_span, 30000, 0, INT_MAX, DATABASE, GUC_UNIT_MS, "Least time over which probes have to succeed before output returns to NATS.") \
	INT(route_probe_successes, 5, 1, 1000, DATABASE, 0, "Probes in a row that have to succeed before output returns to NATS.") \
	INT(route_probe_wait, 5000, 10, INT_MAX, DATABASE, GUC_UNIT_MS, "Time between probes of NATS; doubled where they fail.") \
	INT(route_probe_wait_max, 60000, 10, INT_MAX, DATABASE, GUC_UNIT_MS, "Longest time between probes of NATS.") \
	INT(route_suspect_limit, 3000, 10, 600000, DATABASE, GUC_UNIT_MS, "Time without acknowledgements after which output goes to Kafka instead of NATS.") \
	REAL(score_band, 1, 0, 1000, DATABASE, 0, "Spreads that a price has to move for a prediction to be right, or wrong; less is unresolved.") \
	INT(score_horizon, 3600, 1, 31536000, DATABASE, GUC_UNIT_S, "Horizon of a prediction that doesn't say one.") \
	REAL(score_spread_pips, 1, 0, 10000, DATABASE, 0, "Spread of a prediction without quotes.") \
	INT(signal_memory, 262144, 1024, 100000000, DATABASE, 0, "Signals, and decided predictions, that a lane remembers to recognise what repeats itself.") \
	INT(stream_replicas, 1, 1, 5, DATABASE, 0, "Replicas of the streams that the engine creates.") \
	TEXT(subject_prefix, "trading", te_check_subject_prefix, DATABASE, 0, "First token or tokens of all subjects.") \
	REAL(trend_atr, 1, 0, 1000, DATABASE, 0, "EMA 12 and 26 are a trend when they are this many ATR apart.") \
	TEXT(user, "", NULL, LOGIN, TE_GUC_IDENTITY, "User of the session, set by trading.login.")
/* clang-format on */

#define TE_GUC_EXTERN_BOOL(name, ...) extern PGDLLEXPORT bool te_guc_##name;
#define TE_GUC_EXTERN_INT(name, ...) extern PGDLLEXPORT int te_guc_##name;
#define TE_GUC_EXTERN_REAL(name, ...) extern PGDLLEXPORT double te_guc_##name;
#define TE_GUC_EXTERN_TEXT(name, ...) extern PGDLLEXPORT char *te_guc_##name;
TE_SETTINGS(TE_GUC_EXTERN_BOOL, TE_GUC_EXTERN_INT, TE_GUC_EXTERN_REAL, TE_GUC_EXTERN_INT,
            TE_GUC_EXTERN_TEXT)
#undef TE_GUC_EXTERN_BOOL
#undef TE_GUC_EXTERN_INT
#undef TE_GUC_EXTERN_REAL
#undef TE_GUC_EXTERN_TEXT

/* The values' names, as librdkafka has them. */
extern const char *te_guc_kafka_protocol_text(void);
extern const char *te_guc_kafka_mechanism_text(void);

/* Defines the settings; in a library that was not preloaded those of context START are left out. */
extern void te_guc_init(void);

#endif
