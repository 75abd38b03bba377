#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "nats_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* Threads that hang in a name lookup, say.  More than this many and we wait for one to return. */
#define LEFTOVERS_MAX 4
#define IO_BUFFER_SIZE (128 * 1024)
#define TLS_WRITE_DEADLINE_MS 500

static const TeCredentialNames names = {
	.ca = "nats_ca_file",
	.cert = "nats_cert_file",
	.key = "nats_key_file",
	.password = "nats_password_file",
	.nkey = "nats_nkey_file",
	.credentials = "nats_credentials_file",
};

struct TeNatsSettings
{
	atomic_int refs;
	TeTransportConfig config;
	char *urls[TE_NATS_URLS_MAX];
	int url_count;
};

const TeTransportConfig *te_nats_settings_config(const TeNatsSettings *settings)
{
	return &settings->config;
}

int te_nats_settings_urls(const TeNatsSettings *settings)
{
	return settings->url_count;
}

void te_nats_settings_release(TeNatsSettings *settings)
{
	if (settings == NULL || atomic_fetch_sub(&settings->refs, 1) > 1)
		return;
	te_config_free(&settings->config);
	for (int i = 0; i < settings->url_count; i++)
		free(settings->urls[i]);
	free(settings);
}

/* Cuts the list of URLs at its commas. */
static bool split_urls(TeNatsSettings *settings)
{
	const char *p = settings->config.url;

	while (*p != '\0' && settings->url_count < TE_NATS_URLS_MAX) {
		size_t len;

		p += strspn(p, ", ");
		len = strcspn(p, ", ");
		if (len == 0)
			break;
		settings->urls[settings->url_count] = strndup(p, len);
		if (settings->urls[settings->url_count] == NULL)
			return false;
		settings->url_count++;
		p += len;
	}
	return settings->url_count > 0;
}

/* The first setting that can't work, or NULL. */
static const char *find_bad_setting(const TeTransportConfig *c)
{
	const char *bad = te_config_find_bad(c);

	if (bad != NULL)
		return bad;
	if (!te_valid_subject(c->inbox_prefix))
		return "inbox_prefix must be one or more subject tokens";
	if (c->input_stream != NULL && !te_valid_name(c->input_stream))
		return "input_stream must be one word";
	if (c->output_stream != NULL && !te_valid_name(c->output_stream))
		return "output_stream must be one word";
	if ((c->tls_cert_file == NULL) != (c->tls_key_file == NULL))
		return "nats_cert_file and nats_key_file need each other";
	if (c->user != NULL && c->password_file == NULL)
		return "nats_username needs nats_password_file";
	if ((c->password_file != NULL) + (c->nkey_seed_file != NULL) + (c->credentials_file != NULL) >
	    1)
		return "of nats_password_file, nats_nkey_file and nats_credentials_file only one can be "
			   "set";
	return NULL;
}

TeNatsSettings *te_nats_settings_create(const TeTransportConfig *config, char *error, size_t size)
{
	const char *bad = find_bad_setting(config);
	TeNatsSettings *settings;

	if (bad != NULL) {
		snprintf(error, size, "%s", bad);
		return NULL;
	}
	if ((settings = calloc(1, sizeof(*settings))) == NULL) {
		snprintf(error, size, "out of memory");
		return NULL;
	}
	atomic_init(&settings->refs, 1);
	if (!te_config_copy(&settings->config, config) || !split_urls(settings)) {
		snprintf(error, size, "out of memory");
		te_nats_settings_release(settings);
		return NULL;
	}
	return settings;
}

/* Whatever stands before the last @ of a word: libnats takes URLs without a scheme, too. */
void te_nats_redact(char *text)
{
	static const char separators[] = " \t,";

	for (char *word = text; *(word += strspn(word, separators)) != '\0';
	     word += strcspn(word, separators)) {
		size_t len = strcspn(word, separators);
		char *at = memrchr(word, '@', len), *scheme = memmem(word, len, "://", 3);
		char *secret = scheme != NULL && scheme < at ? scheme + 3 : word;

		if (at != NULL)
			memmove(secret, at + 1, strlen(at + 1) + 1);
	}
}

/*
 * The adapter.  libnats calls these from the thread that connects, later from the one that
 * reads and writes.  They only note what it wants; the loop asks.
 */

static natsStatus on_attach(void **user_data, void *loop, natsConnection *nc, natsSock socket)
{
	TeNatsLink *link = loop;

	(void)nc;
	*user_data = link;
	link->fd = (int)socket;
	link->want_write = false;
	return NATS_OK;
}

static natsStatus on_read(void *user_data, bool add)
{
	TeNatsLink *link = user_data;

	if (!add && link->fd >= 0) {
		te_nats_guard_forget(link->guard);
		link->close_fd = link->fd;
		link->fd = -1;
	}
	return NATS_OK;
}

static natsStatus on_write(void *user_data, bool add)
{
	((TeNatsLink *)user_data)->want_write = add;
	return NATS_OK;
}

/* Up to 3.9 libnats closed the socket itself; since 3.10 that is the adapter's part. */
static natsStatus on_detach(void *user_data)
{
	TeNatsLink *link = user_data;

#if NATS_VERSION_NUMBER >= 0x030A00
	natsSock socket = link->close_fd;

	if (link->close_fd >= 0)
		natsConnection_ProcessCloseEvent(&socket);
#endif
	link->close_fd = -1;
	link->want_write = false;
	return NATS_OK;
}

/* What it would report reaches us as a closed connection or a missing answer; 3.10 prints it. */
static void on_error(natsConnection *nc, natsSubscription *sub, natsStatus status, void *closure)
{
	(void)nc;
	(void)sub;
	(void)status;
	(void)closure;
}

/* Without a user it is a token. */
static natsStatus set_password(natsOptions *options, const TeTransportConfig *c, char *error,
                               size_t size)
{
	char password[TE_PASSWORD_SIZE];
	natsStatus s = NATS_ERR;

	if (te_credentials_read_password(c, &names, password, error, size))
		s = c->user != NULL ? natsOptions_SetUserInfo(options, c->user, password)
		                    : natsOptions_SetToken(options, password);
	explicit_bzero(password, sizeof(password));
	return s;
}

/* libnats wants the public key beside the seed file, and says little about a file that's wrong. */
static natsStatus set_credentials(natsOptions *options, const TeTransportConfig *c, char *error,
                                  size_t size)
{
	char public_key[TE_NKEY_SIZE];

	if (c->password_file != NULL)
		return set_password(options, c, error, size);
	if (c->nkey_seed_file != NULL)
		return te_nkey_read(c->nkey_seed_file, names.nkey, public_key, error, size)
		           ? natsOptions_SetNKeyFromSeed(options, public_key, c->nkey_seed_file)
		           : NATS_ERR;
	if (c->credentials_file != NULL)
		return te_nkey_read(c->credentials_file, names.credentials, public_key, error, size)
		           ? natsOptions_SetUserCredentialsFromFiles(options, c->credentials_file, NULL)
		           : NATS_ERR;
	return NATS_OK;
}

static natsStatus set_tls(natsOptions *options, const TeTransportConfig *c, bool wanted)
{
	natsStatus s = NATS_OK;

	if (wanted)
		s = natsOptions_SetSecure(options, true);
	if (s == NATS_OK && c->tls_ca_file != NULL)
		s = natsOptions_LoadCATrustedCertificates(options, c->tls_ca_file);
	if (s == NATS_OK && c->tls_cert_file != NULL)
		s = natsOptions_LoadCertificatesChain(options, c->tls_cert_file, c->tls_key_file);
	return s;
}

/*
 * Reconnecting, pinging and buffering by libnats would run on threads of its own, and its
 * reconnect buffer would send later what the caller has long sent elsewhere: all off.
 */
static natsStatus set_options(natsOptions *options, const TeTransportConfig *c, const char *url,
                              TeNatsLink *link)
{
	natsStatus s = natsOptions_SetURL(options, url);

	if (s == NATS_OK)
		s = natsOptions_SetAllowReconnect(options, false);
	if (s == NATS_OK)
		s = natsOptions_SetSendAsap(options, true);
	if (s == NATS_OK)
		s = natsOptions_SetPingInterval(options, 0);
	if (s == NATS_OK)
		s = natsOptions_SetReconnectBufSize(options, 0);
	if (s == NATS_OK)
		s = natsOptions_SetTimeout(options, c->connect_timeout * 3 / 4 / TE_MSEC);
	if (s == NATS_OK)
		s = natsOptions_SetIOBufSize(options, IO_BUFFER_SIZE);
	if (s == NATS_OK && link->tls)
		s = natsOptions_SetWriteDeadline(options, TLS_WRITE_DEADLINE_MS);
	if (s == NATS_OK && c->client_name != NULL)
		s = natsOptions_SetName(options, c->client_name);
	if (s == NATS_OK)
		s = natsOptions_SetErrorHandler(options, on_error, NULL);
	if (s == NATS_OK)
		s = natsOptions_SetEventLoop(options, link, on_attach, on_read, on_write, on_detach);
	return s == NATS_OK ? set_tls(options, c, link->tls) : s;
}

/* Replies that may wait to be looked at; more are dropped, and their questions time out. */
#define REPLIES_MAX 16384
#define REPLIES_BYTES_MAX (16 * 1024 * 1024)

/* An inbox that nobody else can guess: its messages steer the engine. */
static natsStatus subscribe_inbox(natsConnection *nc, const TeTransportConfig *c,
                                  char inbox[TE_TRANSPORT_NAME_SIZE], size_t *inbox_len,
                                  natsSubscription **sub)
{
	unsigned char random[16];
	char subject[TE_TRANSPORT_NAME_SIZE + 2];
	int len;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return NATS_SYS_ERROR;
	len = snprintf(inbox, TE_TRANSPORT_NAME_SIZE, "%s.", c->inbox_prefix);
	for (size_t i = 0; i < sizeof(random); i++)
		len += snprintf(inbox + len, TE_TRANSPORT_NAME_SIZE - (size_t)len, "%02x", random[i]);
	*inbox_len = (size_t)len;
	snprintf(subject, sizeof(subject), "%s.*", inbox);
	return natsConnection_SubscribeSync(sub, nc, subject);
}

static natsStatus subscribe_inboxes(TeNatsLink *link, const TeTransportConfig *c)
{
	natsStatus s = subscribe_inbox(link->nc, c, link->inbox, &link->inbox_len, &link->sub);

	/* Credit and window bound what can arrive; a limit here would only lose messages. */
	if (s == NATS_OK)
		s = natsSubscription_SetPendingLimits(link->sub, -1, -1);
	if (s == NATS_OK)
		s = subscribe_inbox(link->nc, c, link->reply_inbox, &link->reply_inbox_len, &link->replies);
	/* Of replies there can be any number: a service may repeat itself. */
	return s == NATS_OK
	           ? natsSubscription_SetPendingLimits(link->replies, REPLIES_MAX, REPLIES_BYTES_MAX)
	           : s;
}

void te_nats_link_close(TeNatsLink *link)
{
	if (link == NULL)
		return;
	/* These leave farewells to be written. */
	natsSubscription_Destroy(link->sub);
	natsSubscription_Destroy(link->replies);
	/*
	 * With something left to write, destroying the connection would wait half a second for an
	 * answer that nobody reads.  A write that fails closes it without that.
	 */
	if (link->nc != NULL && link->fd >= 0) {
		shutdown(link->fd, SHUT_RDWR);
		if (natsConnection_Buffered(link->nc) > 0)
			natsConnection_ProcessWriteEvent(link->nc);
	}
	natsConnection_Destroy(link->nc);
	te_nats_guard_stop(link->guard);
	free(link);
}

void te_nats_link_read(TeNatsLink *link)
{
	te_nats_guard_enter(link->guard);
	natsConnection_ProcessReadEvent(link->nc);
	te_nats_guard_leave(link->guard);
}

void te_nats_link_write(TeNatsLink *link)
{
	te_nats_guard_enter(link->guard);
	natsConnection_ProcessWriteEvent(link->nc);
	te_nats_guard_leave(link->guard);
}

struct TeNatsAttempt
{
	TeAttempt base;
	TeNatsSettings *settings;
	const char *url;
	TeNatsLink *link;
};

TeLeftovers te_nats_leftovers = TE_LEFTOVERS_NONE;

static void release_attempt(TeAttempt *base)
{
	TeNatsAttempt *attempt = (TeNatsAttempt *)base;

	te_nats_link_close(attempt->link);
	te_nats_settings_release(attempt->settings);
	free(attempt);
}

static natsStatus connect_link(TeNatsAttempt *attempt, TeNatsLink *link, natsOptions *options)
{
	const TeTransportConfig *c = &attempt->settings->config;
	natsStatus s = NATS_ERR;

	if (te_credentials_check_tls(c, &names, attempt->base.error, sizeof(attempt->base.error)))
		s = set_options(options, c, attempt->url, link);
	if (s == NATS_OK)
		s = set_credentials(options, c, attempt->base.error, sizeof(attempt->base.error));
	if (s == NATS_OK)
		s = natsConnection_Connect(&link->nc, options);
	if (s == NATS_OK)
		s = subscribe_inboxes(link, c);
	if (s == NATS_OK && link->tls && (link->guard = te_nats_guard_start(link->fd)) == NULL)
		s = NATS_NO_MEMORY;
	if (s == NATS_OK)
		link->max_payload = natsConnection_GetMaxPayload(link->nc);
	if (s == NATS_OK)
		s = natsConnection_GetConnectedServerId(link->nc, link->server_id, sizeof(link->server_id));
	return s;
}

/* The settings that such a failure may come from, or empty. */
static const char *name_settings(natsStatus s, const TeTransportConfig *c, bool tls)
{
	switch (s) {
	case NATS_SSL_ERROR:
	case NATS_SECURE_CONNECTION_REQUIRED:
	case NATS_SECURE_CONNECTION_WANTED:
		return c->tls_cert_file != NULL ? ", check nats_ca_file, nats_cert_file and nats_key_file"
		                                : ", check nats_url and nats_ca_file";
	case NATS_CONNECTION_AUTH_FAILED:
		if (c->credentials_file != NULL)
			return ", check nats_credentials_file";
		if (c->nkey_seed_file != NULL)
			return ", check nats_nkey_file";
		if (c->password_file == NULL)
			return ", perhaps it wants nats_username, nats_nkey_file or nats_credentials_file";
		return c->user != NULL ? ", check nats_username and nats_password_file"
		                       : ", check nats_password_file";
	case NATS_PROTOCOL_ERROR:
	case NATS_CONNECTION_CLOSED:
		/* With TLS 1.3 a client's certificate is judged after the handshake. */
		if (tls)
			return c->tls_cert_file != NULL ? ", check nats_cert_file"
			                                : ", perhaps it wants nats_cert_file";
		return "";
	default:
		return "";
	}
}

static void explain(TeNatsAttempt *attempt, natsStatus s, bool tls)
{
	char server[TE_TRANSPORT_NAME_SIZE];
	natsStatus last = NATS_OK;
	const char *detail = nats_GetLastError(&last);

	if (detail == NULL || last != s)
		detail = "";
	snprintf(server, sizeof(server), "%s", attempt->url);
	te_nats_redact(server);
	te_attempt_fail(&attempt->base, "cannot connect to %s%s: %s%s%s", server,
	                name_settings(s, &attempt->settings->config, tls), natsStatus_GetText(s),
	                detail[0] != '\0' ? ": " : "", detail);
	te_nats_redact(attempt->base.error);
}

/* Fills in the link, or the error. */
static void make_link(TeNatsAttempt *attempt)
{
	TeNatsLink *link = calloc(1, sizeof(*link));
	natsOptions *options = NULL;
	natsStatus s = NATS_NO_MEMORY;

	if (link != NULL) {
		link->fd = link->close_fd = -1;
		link->tls = strncmp(attempt->url, "tls://", 6) == 0 ||
		            attempt->settings->config.tls_ca_file != NULL ||
		            attempt->settings->config.tls_cert_file != NULL;
		snprintf(link->server_url, sizeof(link->server_url), "%s", attempt->url);
		te_nats_redact(link->server_url);
		s = natsOptions_Create(&options);
	}
	if (s == NATS_OK)
		s = connect_link(attempt, link, options);
	if (s != NATS_OK && attempt->base.error[0] == '\0')
		explain(attempt, s, link != NULL && link->tls);
	natsOptions_Destroy(options);
	if (s == NATS_OK)
		attempt->link = link;
	else
		te_nats_link_close(link);
}

/* A thread that libnats starts inherits this thread's mask: everything blocked. */
static void run_attempt(TeAttempt *base)
{
	nats_Open(-1);
	make_link((TeNatsAttempt *)base);
	nats_ReleaseThreadMemory();
}

TeNatsAttempt *te_nats_attempt_start(TeNatsSettings *settings, int url, int wake_fd, char *error,
                                     size_t size)
{
	TeNatsAttempt *attempt;

	if (te_leftovers_count(&te_nats_leftovers) >= LEFTOVERS_MAX) {
		snprintf(error, size, "%d earlier connection attempts still hang", LEFTOVERS_MAX);
		return NULL;
	}
	if ((attempt = calloc(1, sizeof(*attempt))) == NULL) {
		snprintf(error, size, "out of memory");
		return NULL;
	}
	attempt->base.run = run_attempt;
	attempt->base.release = release_attempt;
	attempt->base.leftovers = &te_nats_leftovers;
	atomic_fetch_add(&settings->refs, 1);
	attempt->settings = settings;
	attempt->url = settings->urls[url];
	return te_attempt_start(&attempt->base, wake_fd, error, size) ? attempt : NULL;
}

bool te_nats_attempt_finish(TeNatsAttempt *attempt, TeNatsLink **link, char *error, size_t size)
{
	if (!te_attempt_is_done(&attempt->base))
		return false;
	*link = attempt->link;
	attempt->link = NULL;
	snprintf(error, size, "%s", attempt->base.error);
	release_attempt(&attempt->base);
	return true;
}
