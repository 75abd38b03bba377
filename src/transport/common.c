#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "common.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* The strings of the configuration, so that copying and freeing can't miss one. */
#define CONFIG_STRINGS(X)                                                                          \
	X(url)                                                                                         \
	X(user)                                                                                        \
	X(password_file)                                                                               \
	X(security_protocol)                                                                           \
	X(sasl_mechanism)                                                                              \
	X(credentials_file)                                                                            \
	X(nkey_seed_file)                                                                              \
	X(tls_ca_file)                                                                                 \
	X(tls_cert_file)                                                                               \
	X(tls_key_file)                                                                                \
	X(client_name)                                                                                 \
	X(inbox_prefix)                                                                                \
	X(installation)                                                                                \
	X(prefix)                                                                                      \
	X(input_stream)                                                                                \
	X(output_stream)

bool te_config_copy(TeTransportConfig *copy, const TeTransportConfig *config)
{
	bool complete = true;

	*copy = *config;
#define COPY_STRING(name)                                                                          \
	if (config->name != NULL && (copy->name = strdup(config->name)) == NULL)                       \
		complete = false;
	CONFIG_STRINGS(COPY_STRING)
#undef COPY_STRING
	return complete;
}

void te_config_free(TeTransportConfig *copy)
{
#define FREE_STRING(name) free((void *)copy->name);
	CONFIG_STRINGS(FREE_STRING)
#undef FREE_STRING
}

bool te_valid_subject(const char *text)
{
	size_t len = text != NULL ? strlen(text) : 0;

	return len > 0 && len < TE_TRANSPORT_NAME_SIZE / 2 && text[0] != '.' && text[len - 1] != '.' &&
	       strpbrk(text, " \t\r\n*>") == NULL && strstr(text, "..") == NULL;
}

bool te_valid_name(const char *text)
{
	return te_valid_subject(text) && strpbrk(text, "./\\") == NULL;
}

const char *te_config_find_bad(const TeTransportConfig *c)
{
	if (c->url == NULL || c->url[strspn(c->url, ", ")] == '\0')
		return "url is empty";
	if (!te_valid_name(c->installation) ||
	    strlen(c->installation) >= TE_TRANSPORT_INSTALLATION_SIZE)
		return "installation must be one word shorter than 40 characters";
	if (!te_valid_subject(c->prefix))
		return "prefix must be one or more subject tokens";
	if (c->lane < 0)
		return "lane must not be negative";
	if (c->input_ring < 4 || c->output_window < 1 || c->input_buffer_bytes < 1 ||
	    c->output_buffer_bytes < 1)
		return "input_ring, output_window and buffer sizes must be positive";
	if (c->connect_timeout < TE_MSEC || c->request_timeout < TE_MSEC || c->ack_timeout < TE_MSEC ||
	    c->heartbeat < 100 * TE_MSEC || c->backoff_min < TE_MSEC || c->backoff_max < c->backoff_min)
		return "a timeout is too short, or backoff_max is below backoff_min";
	return NULL;
}

int te_thread_start(pthread_t *thread, void *(*start)(void *), void *argument)
{
	sigset_t all, old;
	pthread_t ignored;
	int failed;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	failed = pthread_create(thread != NULL ? thread : &ignored, NULL, start, argument);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (failed == 0 && thread == NULL)
		pthread_detach(ignored);
	return failed;
}

uint64_t te_random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

int64_t te_backoff(const TeTransportConfig *config, unsigned rounds, uint64_t *random)
{
	int64_t delay = config->backoff_min;

	while (rounds-- > 0 && delay < config->backoff_max)
		delay *= 2;
	if (delay > config->backoff_max)
		delay = config->backoff_max;
	return delay / 2 + (int64_t)(te_random_next(random) % (uint64_t)(delay / 2 + 1));
}
