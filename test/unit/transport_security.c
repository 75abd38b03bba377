/*
 * Who may connect, and what TLS changes: credentials of every kind, certificates, and a broker
 * that falls silent in the middle of an encrypted record.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "nats_fixture.h"

#include "transport/nats_private.h"

/* The pair that NATS' documentation shows: docs.nats.io, "NKeys", server configuration. */
#define SEED "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
#define PUBLIC "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"

static Server server;
static char seed_file[300], secret_file[300], acme_file[300], ca_file[300], other_ca_file[300],
	url[128];
static char cert_file[300], old_cert_file[300], key_file[300], other_key_file[300];

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (f == NULL || fputs(text, f) < 0)
		bail_out("cannot write %s", path);
	fclose(f);
}

static void test_nkey(void)
{
	char got[TE_NKEY_SIZE] = "";
	char wrong[] = SEED;

	ok(te_nkey_public(SEED, got), "a seed is read");
	is_text(got, PUBLIC, "its public key is the documented one");
	wrong[20] = wrong[20] == 'A' ? 'B' : 'A';
	ok(!te_nkey_public(wrong, got), "a seed with a changed letter is refused");
	ok(!te_nkey_public(PUBLIC, got), "a public key is no seed");
	ok(!te_nkey_public("", got), "nothing is no seed");
}

/* Runs a transport against a server with this configuration; true when it gets to work. */
static bool works(const char *configuration, void (*change)(TeTransportConfig *config), char *error)
{
	Caller c;
	int64_t until;
	bool running;

	server.extra = configuration;
	server_start(&server);
	caller_init(&c, make_transport(&server, change));
	until = now_us() + 20000000;
	do
		caller_turn(&c, 20);
	while (!(running = caller_running(&c)) && te_transport_stats(c.t)->connect_failures < 2 &&
	       now_us() < until);
	snprintf(error, TE_TRANSPORT_ERROR_SIZE, "%s", te_transport_stats(c.t)->last_error);
	te_transport_destroy(c.t);
	server_kill(&server);
	return running;
}

static void with_password(TeTransportConfig *config)
{
	config->user = "engine";
	config->password_file = secret_file;
	write_file(secret_file, "open-sesame\n");
}

static void with_wrong_password(TeTransportConfig *config)
{
	with_password(config);
	write_file(secret_file, "open-barley\n");
}

static void with_token(TeTransportConfig *config)
{
	config->password_file = secret_file;
	write_file(secret_file, "tok-3n");
}

static void with_token_in_url(TeTransportConfig *config)
{
	snprintf(url, sizeof(url), "nats://tok-3n@127.0.0.1:%d", server.port);
	config->url = url;
}

static void with_nkey(TeTransportConfig *config)
{
	config->nkey_seed_file = seed_file;
}

static void with_missing_nkey(TeTransportConfig *config)
{
	config->nkey_seed_file = "/nonexistent/seed";
}

static void with_public_key(TeTransportConfig *config)
{
	config->nkey_seed_file = secret_file;
	write_file(secret_file, PUBLIC "\n");
}

static void with_empty_password(TeTransportConfig *config)
{
	with_password(config);
	write_file(secret_file, "\nopen-sesame\n");
}

static void with_folder(TeTransportConfig *config)
{
	with_password(config);
	config->password_file = server.folder;
}

static void with_second_url(TeTransportConfig *config)
{
	snprintf(url, sizeof(url), "nats://127.0.0.1:%d, nats://127.0.0.1:%d", free_port(),
	         server.port);
	config->url = url;
}

static void test_credentials(void)
{
	char error[TE_TRANSPORT_ERROR_SIZE];
	const char *users = "authorization { user: engine, password: \"open-sesame\" }";
	const char *token = "authorization { token: \"tok-3n\" }";
	const char *nkeys = "authorization { users = [ { nkey: " PUBLIC " } ] }";

	ok(works(users, with_password, error), "user and password");
	ok(!works(users, NULL, error), "nobody without them");
	ok(!works(users, with_wrong_password, error), "a wrong password is refused");
	ok(strstr(error, "uthorization") != NULL, "and the error says so");
	ok(strstr(error, "check nats_username and nats_password_file") != NULL, "with the settings");
	ok(strstr(error, "barley") == NULL, "without the password");
	printf("# %s\n", error);
	ok(works(token, with_token, error), "a token");
	ok(works(token, with_token_in_url, error), "a token in the URL");
	ok(works(nkeys, with_nkey, error), "an NKey seed file");
	ok(!works(nkeys, with_missing_nkey, error), "no seed file");
	is_text(error, "cannot read nats_nkey_file: No such file or directory",
	        "and the error names the setting");
	ok(!works(nkeys, with_public_key, error), "no seed in the seed file");
	is_text(error, "nats_nkey_file has no line that is a user's seed", "and it names the setting");
	ok(!works(users, with_empty_password, error), "no password in the password file");
	is_text(error, "nats_password_file has no password, or one that is too long, in its first line",
	        "it names the setting");
	ok(!works(users, with_folder, error), "a folder for a password file");
	is_text(error, "cannot read nats_password_file: it is not a file", "it names the setting");
	ok(works(NULL, with_second_url, error), "the second of two URLs");
}

/* Settings that can't work are refused before anything is tried. */
static void refused(void (*change)(TeTransportConfig *config), const char *expected)
{
	TeTransportConfig config;
	char error[TE_TRANSPORT_ERROR_SIZE] = "";
	TeTransport *t;

	te_transport_config_init(&config);
	config.url = "nats://127.0.0.1:1";
	config.installation = "i";
	change(&config);
	t = te_nats_create(&config, error, sizeof(error));
	is_text(t == NULL ? error : "", expected, expected);
	te_transport_destroy(t);
}

static void with_user_alone(TeTransportConfig *config)
{
	config->user = "engine";
}

static void with_two_kinds(TeTransportConfig *config)
{
	with_nkey(config);
	with_token(config);
}

static void with_certificate_alone(TeTransportConfig *config)
{
	config->tls_cert_file = ca_file;
}

static void test_refused(void)
{
	refused(with_user_alone, "nats_username needs nats_password_file");
	refused(with_two_kinds,
	        "of nats_password_file, nats_nkey_file and nats_credentials_file only one can be set");
	refused(with_certificate_alone, "nats_cert_file and nats_key_file need each other");
}

/* The rights that doc/transports.md gives to an engine and to a company. */
#define PERMISSIONS                                                                                \
	"authorization { users = [ { user: engine, password: \"open-sesame\", permissions: {"          \
	" publish: [ \"$JS.API.STREAM.INFO.*\", \"$JS.API.STREAM.CREATE.*\","                          \
	" \"$JS.API.STREAM.MSG.GET.*\", \"$JS.API.CONSUMER.CREATE.trading_input.>\","                  \
	" \"$JS.API.CONSUMER.INFO.trading_input.*\", \"$JS.API.CONSUMER.DELETE.trading_input.*\","     \
	" \"$JS.API.CONSUMER.MSG.NEXT.trading_input.*\", \"trading.signals.>\","                       \
	" \"trading.commands.>\" ], subscribe: [ \"_INBOX.>\" ] } },"                                  \
	" { user: acme, password: \"acme\", permissions: {"                                            \
	" publish: [ \"trading.predictions.acme.>\", \"trading.executions.acme.>\" ],"                 \
	" subscribe: [ \"trading.signals.*.acme.>\", \"_INBOX_acme.>\" ] } } ] }"

static void with_acme(TeTransportConfig *config)
{
	config->user = "acme";
	config->password_file = acme_file;
	write_file(acme_file, "acme\n");
	config->inbox_prefix = "_INBOX_acme";
}

static void test_permissions(void)
{
	Caller c, tenant;

	server.extra = PERMISSIONS;
	server_start(&server);
	caller_init(&c, make_transport(&server, with_password));
	CALLER_UNTIL(&c, 10, caller_running(&c));
	c.publish_to = 10;
	CALLER_UNTIL(&c, 10, caller_acked(&c) == 10);

	/* A tenant gets no answer from the API, but its messages reach the stream. */
	caller_init(&tenant, make_transport(&server, with_acme));
	CALLER_UNTIL(&tenant, 10, caller_state(&tenant) == TE_TRANSPORT_CHECKING);
	te_transport_publish_plain(tenant.t, "trading.predictions.other.u1", "in 1", 4);
	te_transport_publish_plain(tenant.t, "trading.predictions.acme.u1", "in 1", 4);
	te_transport_flush(tenant.t, now_us());
	CALLER_UNTIL(&c, 10, c.inputs == 1);
	is_exactly((double)c.position.seq, 1, "only what a tenant may publish came through");
	te_transport_reconnect(c.t, "asked to", now_us());
	CALLER_UNTIL(&c, 10, caller_running(&c));
	is_text(te_input_outcome_text(c.last_input_anchor.outcome), "same",
	        "the engine's rights suffice to check its anchors");
	is_exactly((double)c.last_output_anchor.seq, 10, "both of them");
	te_transport_destroy(tenant.t);
	te_transport_destroy(c.t);
	server_remove(&server);
	server_init(&server);
}

static void test_redact(void)
{
	char text[128];

	snprintf(text, sizeof(text), "bad nats://u:p@w@h:1, tls://tok@h2 and nats://h3:4");
	te_nats_redact(text);
	is_text(text, "bad nats://h:1, tls://h2 and nats://h3:4", "user, password and token are cut");
	snprintf(text, sizeof(text), "nats://u:p/w;x@h:1,u:p@h2,h3:4 closed: @ nats://h5/a");
	te_nats_redact(text);
	is_text(text, "nats://h:1,h2,h3:4 closed:  nats://h5/a", "whatever they are made of");
}

/*
 * Certificates by the openssl program: of two authorities, of the server, valid for "localhost",
 * and of a client, one of them for the past.
 */
static bool make_certificates(void)
{
	char command[4096];

	snprintf(command, sizeof(command),
	         "cd '%s' && exec >openssl.log 2>&1 && for ca in ca other; do"
	         " openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$ca -keyout $ca.key"
	         " -out $ca.pem || exit 1; done;"
	         " openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key"
	         " -out server.csr &&"
	         " printf 'subjectAltName=DNS:localhost' >san &&"
	         " openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2"
	         " -extfile san -out server.pem &&"
	         " openssl req -newkey rsa:2048 -nodes -subj /CN=engine -keyout client.key"
	         " -out client.csr &&"
	         " openssl x509 -req -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2"
	         " -out client.pem &&"
	         " mkdir made && touch index && cp ca.srl serial &&"
	         " printf '[ca]\ndatabase=index\nserial=serial\nnew_certs_dir=made\ndefault_md=sha256\n"
	         "policy=p\n[p]\ncommonName=supplied\n' >ca.conf &&"
	         " openssl ca -batch -config ca.conf -name ca -cert ca.pem -keyfile ca.key"
	         " -in client.csr -startdate 20200101000000Z -enddate 20200102000000Z -out old.pem",
	         server.folder);
	snprintf(seed_file, sizeof(seed_file), "%s/seed", server.folder);
	write_file(seed_file, SEED "\n");
	snprintf(cert_file, sizeof(cert_file), "%s/client.pem", server.folder);
	snprintf(old_cert_file, sizeof(old_cert_file), "%s/old.pem", server.folder);
	snprintf(key_file, sizeof(key_file), "%s/client.key", server.folder);
	snprintf(other_key_file, sizeof(other_key_file), "%s/server.key", server.folder);
	snprintf(ca_file, sizeof(ca_file), "%s/ca.pem", server.folder);
	snprintf(other_ca_file, sizeof(other_ca_file), "%s/other.pem", server.folder);
	return system(command) == 0;
}

static void with_tls(TeTransportConfig *config)
{
	snprintf(url, sizeof(url), "tls://localhost:%d", server.port);
	config->url = url;
	config->tls_ca_file = ca_file;
}

static void with_other_ca(TeTransportConfig *config)
{
	with_tls(config);
	config->tls_ca_file = other_ca_file;
}

static void with_other_name(TeTransportConfig *config)
{
	with_tls(config);
	snprintf(url, sizeof(url), "tls://127.0.0.1:%d", server.port);
}

static void with_certificate(TeTransportConfig *config)
{
	with_tls(config);
	config->tls_cert_file = cert_file;
	config->tls_key_file = key_file;
}

static void with_old_certificate(TeTransportConfig *config)
{
	with_certificate(config);
	config->tls_cert_file = old_cert_file;
}

static void with_other_key(TeTransportConfig *config)
{
	with_certificate(config);
	config->tls_key_file = other_key_file;
}

static void with_seed_for_key(TeTransportConfig *config)
{
	with_certificate(config);
	config->tls_key_file = seed_file;
}

static void with_seed_for_ca(TeTransportConfig *config)
{
	with_tls(config);
	config->tls_ca_file = seed_file;
}

static void fails(const char *extra, void (*change)(TeTransportConfig *config),
                  const char *expected, const char *name)
{
	char error[TE_TRANSPORT_ERROR_SIZE];

	ok(!works(extra, change, error) && strstr(error, expected) != NULL, name);
	printf("# %s\n", error);
}

static void test_client_certificate(const char *tls)
{
	char error[TE_TRANSPORT_ERROR_SIZE], extra[1024];

	snprintf(extra, sizeof(extra), "tls { %s, ca_file: \"%s\", verify: true }", tls, ca_file);
	ok(works(extra, with_certificate, error), "TLS with a client certificate");
	printf("# %s\n", error);
	fails(extra, with_tls, "perhaps it wants nats_cert_file", "not without one");
	fails(extra, with_old_certificate,
	      "the certificate in nats_cert_file expired at 2020-01-02 00:00:00 UTC", "nor an old one");
	fails(extra, with_other_key,
	      "the key in nats_key_file is not that of the certificate in nats_cert_file",
	      "nor with another's key");
	fails(extra, with_seed_for_key, "nats_key_file has no private key in PEM format",
	      "nor without a key");
	fails(extra, with_seed_for_ca, "nats_ca_file has no certificate in PEM format",
	      "nor without an authority");
}

static void with_patient_tls(TeTransportConfig *config)
{
	with_tls(config);
	be_patient(config);
}

static void test_tls_flow(void)
{
	enum { COUNT = 20000 };
	const char *with_tls_only = server.extra;
	Caller c;

	server_start(&server);
	caller_init(&c, make_transport(&server, with_patient_tls));
	CALLER_UNTIL(&c, 10, caller_running(&c));
	for (int i = 1; i <= COUNT; i++) {
		char text[32];
		int len = snprintf(text, sizeof(text), "in %d", i);

		te_transport_publish_plain(c.t, "trading.predictions.acme.u1", text, (size_t)len);
		if (i % 100 == 0)
			caller_turn(&c, 0);
	}
	c.publish_to = COUNT;
	c.padding = 1000;
	CALLER_UNTIL(&c, 100, c.inputs == COUNT && caller_acked(&c) == COUNT);
	is_exactly(c.in_out_of_order, 0, "everything comes through TLS in order");
	is_exactly((double)te_transport_stats(c.t)->disconnects, 0, "on one connection");
	te_transport_destroy(c.t);
	server_kill(&server);
	server.extra = NULL; /* the plain client can't do TLS */
	server_start(&server);
	ok(output_is_exactly(&server, COUNT, 1000), "every output is there once, in order");
	server_kill(&server);
	server.extra = with_tls_only;
}

/*
 * A proxy in a process of its own.  When something is in its pipe it lets ten more bytes pass to
 * the client, less than a TLS record, and then nothing.
 */
static void proxy_bytes(int from, int to, size_t limit)
{
	char buffer[16384];
	ssize_t got = read(from, buffer, limit < sizeof(buffer) ? limit : sizeof(buffer));

	if (got <= 0 || write(to, buffer, (size_t)got) != got)
		_exit(0);
}

static void proxy_main(int listener, int stop)
{
	int client = accept(listener, NULL, NULL), broker = plain_connect_once(&server);
	bool stopped = false;

	while (!stopped) {
		struct pollfd p[3] = {{.fd = client, .events = POLLIN},
		                      {.fd = broker, .events = POLLIN},
		                      {.fd = stop, .events = POLLIN}};

		if (poll(p, 2, 50) < 0 || poll(&p[2], 1, 0) < 0)
			continue;
		if (p[0].revents != 0)
			proxy_bytes(client, broker, SIZE_MAX);
		if (p[1].revents != 0) {
			stopped = p[2].revents != 0;
			proxy_bytes(broker, client, stopped ? 10 : SIZE_MAX);
		}
	}
	for (;;)
		pause();
}

static pid_t start_proxy(int *port, int *stop)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	int stopping[2];
	pid_t pid;

	*port = free_port();
	if (pipe2(stopping, O_CLOEXEC) != 0)
		bail_out("no pipe");
	*stop = stopping[1];
	address.sin_port = htons((uint16_t)*port);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(listener, 8) != 0)
		bail_out("the proxy cannot listen");
	fflush(stdout);
	if ((pid = fork()) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		proxy_main(listener, stopping[0]);
	}
	close(stopping[0]);
	close(listener);
	return pid;
}

static void test_tls_stall(void)
{
	Caller c;
	Server through;
	int64_t start;
	pid_t proxy;
	int stop;

	server_start(&server);
	through = server;
	proxy = start_proxy(&through.port, &stop);
	{
		int port = server.port;

		server.port = through.port; /* what with_tls() puts into the URL */
		caller_init(&c, make_transport(&server, with_tls));
		server.port = port;
	}
	CALLER_UNTIL(&c, 10, caller_running(&c));
	ok(write(stop, "", 1) == 1, "the proxy is told to stop");
	close(stop);
	sleep_ms(100);
	c.publish_to = 10; /* their acknowledgements are what is cut */
	c.events = 0;
	c.slowest = 0;
	start = now_us();
	while (!(c.events & TE_EVENT_DISCONNECTED) && now_us() < start + 10000000)
		caller_turn(&c, 20);
	printf("# noticed after %lld ms, slowest call %lld ms\n", (long long)(now_us() - start) / 1000,
	       (long long)c.slowest / 1000);
	ok(c.events & TE_EVENT_DISCONNECTED, "a record that never ends ends the connection");
	ok(c.slowest < 1500000, "and holds the caller for a moment only");
	te_transport_destroy(c.t);
	kill(proxy, SIGKILL);
	waitpid(proxy, NULL, 0);
	server_kill(&server);
}

static void test_tls(void)
{
	char error[TE_TRANSPORT_ERROR_SIZE], pair[512], extra[1024];

	if (!make_certificates()) {
		skip("no openssl program to make certificates");
		return;
	}
	snprintf(pair, sizeof(pair), "cert_file: \"%s/server.pem\", key_file: \"%s/server.key\"",
	         server.folder, server.folder);
	snprintf(extra, sizeof(extra), "tls { %s }", pair);
	ok(works(extra, with_tls, error), "TLS with the right authority");
	printf("# %s\n", error);
	fails(extra, with_other_ca, "check nats_url and nats_ca_file", "not with another authority");
	ok(!works(extra, with_other_name, error), "not under another name");
	printf("# %s\n", error);
	test_client_certificate(pair);
	server.extra = extra;
	test_tls_flow();
	test_tls_stall();
	server.extra = NULL;
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	server_init(&server);
	snprintf(seed_file, sizeof(seed_file), "%s/seed", server.folder);
	snprintf(secret_file, sizeof(secret_file), "%s/secret", server.folder);
	snprintf(acme_file, sizeof(acme_file), "%s/acme", server.folder);
	write_file(seed_file, "# the engine's key\n" SEED "\n");
	test_nkey();
	test_redact();
	test_credentials();
	test_refused();
	test_permissions();
	test_tls();
	server_remove(&server);
	/* No nats_Close(): after TLS, libnats 3.4 frees what OpenSSL frees again at exit. */
	return done_testing();
}
