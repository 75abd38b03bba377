#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "kafka_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Largest message that is offered to a broker; its own limit is usually 1 MB. */
#define MESSAGE_BYTES_MAX (64 * 1024 * 1024)

/* Read ahead of the caller, per partition: enough to keep it busy, little where many are read. */
#define QUEUED_MESSAGES "1000"
#define QUEUED_KBYTES "4096"

const TeCredentialNames te_kafka_names = {
	.ca = "kafka_ca_file",
	.cert = "kafka_cert_file",
	.key = "kafka_key_file",
	.password = "kafka_sasl_password_file",
};

static const char *const output_words[TE_KAFKA_OUTPUTS] = {"commands", "signals"};
static const char *const input_words[TE_KAFKA_INPUTS] = {"executions", "market", "predictions"};

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

static const char *find_bad_setting(const TeTransportConfig *c)
{
	static const char *const protocols[] = {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl", NULL};
	static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", NULL};
	const char *bad = te_config_find_bad(c);
	const char *protocol = c->security_protocol != NULL ? c->security_protocol : "plaintext";

	if (bad != NULL)
		return bad;
	if (strpbrk(c->prefix, "/\\:\"'") != NULL)
		return "prefix can't be part of a topic's name";
	if (c->lanes < 1 || c->replicas < 0)
		return "lanes must be positive, and replicas not negative";
	if (!is_one_of(protocol, protocols))
		return "kafka_security_protocol must be plaintext, ssl, sasl_plaintext or sasl_ssl";
	if (c->sasl_mechanism != NULL && !is_one_of(c->sasl_mechanism, mechanisms))
		return "kafka_sasl_mechanism must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512";
	if (strncmp(protocol, "sasl", 4) == 0 && (c->user == NULL || c->password_file == NULL))
		return "kafka_security_protocol with SASL needs kafka_sasl_username and "
			   "kafka_sasl_password_file";
	if ((c->tls_cert_file == NULL) != (c->tls_key_file == NULL))
		return "kafka_cert_file and kafka_key_file need each other";
	if (strstr(protocol, "ssl") == NULL && (c->tls_ca_file != NULL || c->tls_cert_file != NULL))
		return "certificates are set, but kafka_security_protocol doesn't encrypt";
	return NULL;
}

static void name_topics(TeKafkaSettings *s)
{
	for (int i = 0; i < TE_KAFKA_OUTPUTS; i++)
		snprintf(s->outputs[i], sizeof(s->outputs[i]), "%s.%s", s->config.prefix, output_words[i]);
	for (int i = 0; i < TE_KAFKA_INPUTS; i++)
		snprintf(s->inputs[i], sizeof(s->inputs[i]), "%s.%s", s->config.prefix, input_words[i]);
	snprintf(s->control, sizeof(s->control), "%s.control", s->config.prefix);
	snprintf(s->resent, sizeof(s->resent), "%s.resent", s->config.prefix);
}

TeKafkaSettings *te_kafka_settings_create(const TeTransportConfig *config, char *error, size_t size)
{
	const char *bad = find_bad_setting(config);
	TeKafkaSettings *settings = bad == NULL ? calloc(1, sizeof(*settings)) : NULL;

	if (settings == NULL) {
		snprintf(error, size, "%s", bad != NULL ? bad : "out of memory");
		return NULL;
	}
	atomic_init(&settings->refs, 1);
	if (!te_config_copy(&settings->config, config)) {
		snprintf(error, size, "out of memory");
		te_kafka_settings_release(settings);
		return NULL;
	}
	name_topics(settings);
	return settings;
}

TeKafkaSettings *te_kafka_settings_ref(TeKafkaSettings *settings)
{
	atomic_fetch_add(&settings->refs, 1);
	return settings;
}

void te_kafka_settings_release(TeKafkaSettings *settings)
{
	if (settings == NULL || atomic_fetch_sub(&settings->refs, 1) > 1)
		return;
	te_config_free(&settings->config);
	free(settings);
}

/*
 * <prefix>.signals.<lane>.<company>..., the same with commands: key is the company, so that
 * whoever compacts or repartitions keeps a company's messages in order.
 * <prefix>.control...<name>: key is the name.
 */
bool te_kafka_address(const TeKafkaSettings *settings, const char *subject, TeKafkaAddress *out)
{
	size_t prefix_len = strlen(settings->config.prefix);
	const char *rest = subject + prefix_len + 1;

	if (strncmp(subject, settings->config.prefix, prefix_len) != 0 || subject[prefix_len] != '.')
		return false;
	for (int i = 0; i < TE_KAFKA_OUTPUTS; i++) {
		size_t len = strlen(output_words[i]);

		if (strncmp(rest, output_words[i], len) != 0 || rest[len] != '.')
			continue;
		rest += len + 1;
		rest += strcspn(rest, ".");
		rest += *rest == '.';
		*out = (TeKafkaAddress){settings->outputs[i], i, rest, strcspn(rest, ".")};
		return true;
	}
	if (strncmp(rest, "control.", 8) != 0)
		return false;
	rest = strrchr(rest, '.') + 1;
	*out = (TeKafkaAddress){settings->control, -1, rest, strlen(rest)};
	return true;
}

/*----------------------------------------------------------------------
 * librdkafka's configuration
 *----------------------------------------------------------------------*/

typedef struct Conf
{
	rd_kafka_conf_t *conf;
	char *error;
	size_t size;
	bool failed;
} Conf;

/* After the first failure nothing more is set.  Values may be secrets: they aren't repeated. */
static void set(Conf *c, const char *name, const char *value)
{
	char error[TE_TRANSPORT_ERROR_SIZE];

	if (c->failed || value == NULL)
		return;
	if (rd_kafka_conf_set(c->conf, name, value, error, sizeof(error)) == RD_KAFKA_CONF_OK)
		return;
	c->failed = true;
	snprintf(c->error, c->size, "librdkafka doesn't take the setting %s", name);
}

static void set_number(Conf *c, const char *name, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	set(c, name, text);
}

static void set_password(Conf *c, const TeTransportConfig *config)
{
	char password[TE_PASSWORD_SIZE];

	if (c->failed)
		return;
	if (te_credentials_read_password(config, &te_kafka_names, password, c->error, c->size))
		set(c, "sasl.password", password);
	else
		c->failed = true;
	explicit_bzero(password, sizeof(password));
}

static void set_common(Conf *c, const TeKafkaSettings *settings)
{
	const TeTransportConfig *config = &settings->config;
	int64_t connect_ms = config->connect_timeout / TE_MSEC;

	set(c, "bootstrap.servers", config->url);
	set(c, "client.id", config->client_name);
	set(c, "log.queue", "true");
	set(c, "log.connection.close", "false");
	set(c, "reconnect.backoff.ms", "100");
	set(c, "reconnect.backoff.max.ms", "500");
	set(c, "socket.keepalive.enable", "true");
	set(c, "socket.nagle.disable", "true");
	set_number(c, "socket.connection.setup.timeout.ms", connect_ms < 1000 ? 1000 : connect_ms);
	set(c, "security.protocol", config->security_protocol);
	set(c, "ssl.ca.location", config->tls_ca_file);
	set(c, "ssl.certificate.location", config->tls_cert_file);
	set(c, "ssl.key.location", config->tls_key_file);
	if (config->security_protocol == NULL || strncmp(config->security_protocol, "sasl", 4) != 0)
		return;
	set(c, "sasl.mechanism", config->sasl_mechanism);
	set(c, "sasl.username", config->user);
	set_password(c, config);
}

/* Idempotence brings acks=all, order under retries, and endless retries within the time limit. */
static void set_producer(Conf *c, const TeKafkaSettings *settings)
{
	const TeTransportConfig *config = &settings->config;
	int64_t ack_ms = config->ack_timeout / TE_MSEC;

	set(c, "enable.idempotence", "true");
	set(c, "linger.ms", "1");
	set_number(c, "message.timeout.ms", ack_ms);
	set_number(c, "request.timeout.ms", ack_ms);
	set_number(c, "socket.timeout.ms", ack_ms + 1000);
	set_number(c, "message.max.bytes", MESSAGE_BYTES_MAX);
	set_number(c, "queue.buffering.max.messages", 2 * (int64_t)config->output_window + 1000);
	set_number(c, "queue.buffering.max.kbytes", config->output_buffer_bytes / 1024 + 1);
}

/*
 * The group has no members and commits nothing: librdkafka only wants it to have a name.  An
 * offset that is gone must be told, not be replaced by another.
 */
static void set_consumer(Conf *c, const TeKafkaSettings *settings)
{
	const TeTransportConfig *config = &settings->config;
	char group[TE_TRANSPORT_NAME_SIZE];

	snprintf(group, sizeof(group), "trading_engine_%s_%d", config->installation, config->lane);
	set(c, "group.id", group);
	set(c, "enable.auto.commit", "false");
	set(c, "enable.auto.offset.store", "false");
	set(c, "auto.offset.reset", "error");
	set(c, "allow.auto.create.topics", "false");
	set(c, "enable.partition.eof", "true");
	set(c, "max.poll.interval.ms", "86400000");
	set(c, "check.crcs", "true");
	set(c, "queued.min.messages", QUEUED_MESSAGES);
	set(c, "queued.max.messages.kbytes", QUEUED_KBYTES);
	set_number(c, "socket.timeout.ms", 2 * config->heartbeat / TE_MSEC + 2000);
}

rd_kafka_conf_t *te_kafka_conf(const TeKafkaSettings *settings, rd_kafka_type_t type, char *error,
                               size_t size)
{
	Conf c = {.conf = rd_kafka_conf_new(), .error = error, .size = size};

	rd_kafka_conf_set_events(c.conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_FETCH |
	                                     RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG);
	set_common(&c, settings);
	if (type == RD_KAFKA_PRODUCER)
		set_producer(&c, settings);
	else
		set_consumer(&c, settings);
	if (!c.failed)
		return c.conf;
	rd_kafka_conf_destroy(c.conf);
	return NULL;
}
