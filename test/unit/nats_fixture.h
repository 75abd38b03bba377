/*
 * nats_fixture.h - a nats-server of the test's own, a plain client that shares no code with the
 * transport, and a caller's loop around a transport that keeps account of what went in and out.
 */
#ifndef TE_TEST_NATS_FIXTURE_H
#define TE_TEST_NATS_FIXTURE_H

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "transport/transport.h"

#include "clock.h"
#include "tap.h"

static void bail_out(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void bail_out(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	printf("Bail out! ");
	vprintf(format, arguments);
	printf("\n");
	va_end(arguments);
	exit(1);
}

/* The server. */
typedef struct Server
{
	pid_t pid;
	int port;
	char folder[256];
	char url[64];
	const char *extra; /* lines for its configuration */
} Server;

static inline bool can_bind(int type, int port, int *kept)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_port = htons((uint16_t)port),
	                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	bool bound = bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;

	if (bound && kept != NULL)
		*kept = fd;
	else
		close(fd);
	return bound;
}

/*
 * A port that is ours for as long as this process lives, also while no server listens: its twin of
 * UDP is held against other tests, and the kernel gives none below 32768 to a connection, which
 * could take it from a server that is down, or connect to itself there.
 */
static inline int free_port(void)
{
	enum { LOWEST = 10200, COUNT = 22000 };
	int start = (int)((unsigned)getpid() * 7919u % COUNT), held;

	for (int i = 0; i < COUNT; i++) {
		int port = LOWEST + (start + i) % COUNT;

		if (can_bind(SOCK_STREAM, port, NULL) && can_bind(SOCK_DGRAM, port, &held))
			return port;
	}
	bail_out("no free port");
}

static inline int plain_connect_once(const Server *server)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	                              .sin_port = htons((uint16_t)server->port),
	                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* Starts it without waiting until it listens. */
static inline void server_launch(Server *server)
{
	char config[300], log[300], pid_file[300];
	FILE *f;

	snprintf(config, sizeof(config), "%s/nats.conf", server->folder);
	snprintf(log, sizeof(log), "%s/nats.log", server->folder);
	snprintf(pid_file, sizeof(pid_file), "%s/nats.pid", server->folder);
	if ((f = fopen(config, "w")) == NULL)
		bail_out("cannot write %s", config);
	fprintf(f,
	        "host: 127.0.0.1\nport: %d\nserver_name: fixture\npid_file: \"%s\"\nmax_payload: 8MB\n"
	        "max_pending: 128MB\njetstream { store_dir: \"%s/store\" }\n%s\n",
	        server->port, pid_file, server->folder, server->extra ? server->extra : "");
	fclose(f);
	fflush(stdout);
	if ((server->pid = fork()) == 0) {
		int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
		sigset_t none;

		dup2(fd, 1);
		dup2(fd, 2);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("nats-server", "nats-server", "-c", config, (char *)NULL);
		execl("/usr/sbin/nats-server", "nats-server", "-c", config, (char *)NULL);
		_exit(127);
	}
}

static inline void server_await(const Server *server)
{
	int64_t until = now_us() + 20000000;

	for (;;) {
		int fd = plain_connect_once(server);

		if (fd >= 0) {
			close(fd);
			return;
		}
		if (now_us() > until || waitpid(server->pid, NULL, WNOHANG) == server->pid)
			bail_out("nats-server does not start, see %s/nats.log", server->folder);
		sleep_ms(5);
	}
}

static inline void server_start(Server *server)
{
	server_launch(server);
	server_await(server);
}

static inline void server_kill(Server *server)
{
	if (server->pid > 0) {
		kill(server->pid, SIGKILL);
		waitpid(server->pid, NULL, 0);
	}
	server->pid = 0;
}

static inline void server_init(Server *server)
{
	const char *scratch = getenv("SCRATCH");

	memset(server, 0, sizeof(*server));
	snprintf(server->folder, sizeof(server->folder), "%s/te_nats_XXXXXX",
	         scratch != NULL ? scratch : "/tmp");
	if (mkdtemp(server->folder) == NULL)
		bail_out("no scratch folder: %s", strerror(errno));
	server->port = free_port();
	snprintf(server->url, sizeof(server->url), "nats://127.0.0.1:%d", server->port);
}

static inline void server_remove(Server *server)
{
	pid_t pid;

	server_kill(server);
	if ((pid = fork()) == 0) {
		execlp("rm", "rm", "-rf", server->folder, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

/* A blocking client that speaks the protocol by hand. */
typedef struct Plain
{
	int fd;
	char *buffer;
	size_t size, start, end;
} Plain;

static inline void plain_fill(Plain *p)
{
	ssize_t got;

	if (p->start > 0) {
		memmove(p->buffer, p->buffer + p->start, p->end - p->start);
		p->end -= p->start;
		p->start = 0;
	}
	if (p->end == p->size && (p->buffer = realloc(p->buffer, p->size *= 2)) == NULL)
		bail_out("out of memory");
	got = read(p->fd, p->buffer + p->end, p->size - p->end);
	if (got <= 0)
		bail_out("the plain client lost its connection");
	p->end += (size_t)got;
}

/* One line without its end; valid until the next read. */
static inline char *plain_line(Plain *p)
{
	for (;;) {
		char *start = p->buffer + p->start, *end = memchr(start, '\n', p->end - p->start);

		if (end != NULL) {
			p->start += (size_t)(end - start) + 1;
			end[end > start && end[-1] == '\r' ? -1 : 0] = '\0';
			return start;
		}
		plain_fill(p);
	}
}

static inline void plain_write(Plain *p, const void *data, size_t len)
{
	const char *from = data;

	while (len > 0) {
		ssize_t put = write(p->fd, from, len);

		if (put <= 0)
			bail_out("the plain client cannot write");
		from += put;
		len -= (size_t)put;
	}
}

static inline void plain_text(Plain *p, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static inline void plain_text(Plain *p, const char *format, ...)
{
	char line[4096];
	va_list arguments;
	int len;

	va_start(arguments, format);
	len = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	plain_write(p, line, (size_t)len);
}

static inline void plain_open(Plain *p, const Server *server)
{
	p->fd = plain_connect_once(server);
	p->start = p->end = 0;
	p->size = 65536;
	p->buffer = malloc(p->size);
	if (p->fd < 0)
		bail_out("the plain client cannot connect");
	plain_line(p);
	plain_text(p, "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n"
	              "SUB plain.> 1\r\n");
}

static inline void plain_close(Plain *p)
{
	close(p->fd);
	free(p->buffer);
}

/*
 * The next message's header block and data together; *header_len is 0 without headers.  The reply
 * subject is not looked at.
 */
static inline char *plain_message(Plain *p, size_t *header_len, size_t *len)
{
	for (;;) {
		char *line = plain_line(p), *word, *last[2] = {NULL, NULL}, *save = NULL;
		bool headers = strncmp(line, "HMSG ", 5) == 0;

		if (strcmp(line, "PING") == 0)
			plain_text(p, "PONG\r\n");
		if (strncmp(line, "MSG ", 4) != 0 && !headers)
			continue;
		for (word = strtok_r(line, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
			last[0] = last[1];
			last[1] = word;
		}
		if (last[0] == NULL || last[1] == NULL)
			bail_out("the server sent a message without lengths");
		*len = (size_t)atol(last[1]);
		*header_len = headers ? (size_t)atol(last[0]) : 0;
		while (p->end - p->start < *len + 2)
			plain_fill(p);
		p->start += *len + 2;
		return p->buffer + p->start - *len - 2;
	}
}

/* A request to JetStream's API; the answer is valid until the next read, and terminated. */
static inline const char *plain_request(Plain *p, const char *subject, const char *body)
{
	size_t header_len, len;
	char *answer;

	plain_text(p, "PUB %s plain.r %zu\r\n%s\r\n", subject, strlen(body), body);
	answer = plain_message(p, &header_len, &len);
	answer[len] = '\0';
	return answer;
}

/* Publishes texts "<word> <from>".."<word> <to>" to a stream, all acknowledged at return. */
static inline void plain_produce(Plain *p, const char *subject, const char *word, int from, int to)
{
	enum { WINDOW = 500 };
	int acked = from - 1;

	for (int i = from; i <= to; i++) {
		char data[64];
		int len = snprintf(data, sizeof(data), "%s %d", word, i);

		plain_text(p, "PUB %s plain.a %d\r\n%s\r\n", subject, len, data);
		while (acked < i && (i == to || i - acked >= WINDOW)) {
			size_t header_len, answer_len;
			char *answer = plain_message(p, &header_len, &answer_len);

			answer[answer_len] = '\0';
			if (strstr(answer, "\"seq\":") == NULL || strstr(answer, "error") != NULL)
				bail_out("the plain client's message was refused: %s", answer);
			acked++;
		}
	}
}

/* Calls visit for every message of a stream, in order. */
static inline void plain_read_stream(Plain *p, const char *stream, uint64_t messages,
                                     void (*visit)(void *closure, char *message, size_t header_len,
                                                   size_t len),
                                     void *closure)
{
	static unsigned long long readers;
	char subject[128], body[256];
	size_t header_len, len;

	if (messages == 0)
		return;
	snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.CREATE.%s.plain_%llu", stream, ++readers);
	snprintf(body, sizeof(body),
	         "{\"stream_name\":\"%s\",\"config\":{\"name\":\"plain_%llu\","
	         "\"deliver_policy\":\"all\",\"ack_policy\":\"none\"}}",
	         stream, readers);
	plain_request(p, subject, body);
	snprintf(subject, sizeof(subject), "$JS.API.CONSUMER.MSG.NEXT.%s.plain_%llu", stream, readers);
	plain_text(p, "PUB %s plain.m 52\r\n{\"batch\":%20llu,\"expires\":20000000000}\r\n", subject,
	           (unsigned long long)messages);
	for (uint64_t seen = 0; seen < messages; seen++) {
		char *message = plain_message(p, &header_len, &len);

		if (header_len == len && strncmp(message, "NATS/1.0 4", 10) == 0)
			bail_out("stream %s has fewer messages than it says", stream);
		visit(closure, message, header_len, len);
	}
}

static inline uint64_t plain_last_seq(Plain *p, const char *stream)
{
	char subject[128];
	const char *state;

	snprintf(subject, sizeof(subject), "$JS.API.STREAM.INFO.%s", stream);
	state = strstr(plain_request(p, subject, ""), "\"last_seq\":");
	return state != NULL ? strtoull(state + 11, NULL, 10) : 0;
}

/* The caller: reads inputs "in <n>", writes outputs "out <n>", and keeps account. */
typedef struct Caller
{
	TeTransport *t;
	unsigned events; /* all that were seen */
	uint64_t polled; /* generation of the descriptors */

	bool read_inputs, auto_resume;
	int in_last;         /* highest input number seen */
	int in_out_of_order; /* inputs that weren't the successor of the one before */
	int inputs;
	TeInputPosition position;
	TeInputAnchor last_input_anchor;
	int input_anchors;
	uint64_t lost_from, lost_to; /* of the last message that said so */

	uint64_t publish_to, publish_next; /* outputs up to here; the next one */
	uint64_t furthest;                 /* of those that were sent, on whatever connection */
	uint64_t epoch;
	size_t padding; /* bytes added to each output */
	TeOutputAnchor last_output_anchor;
	int output_anchors;

	int64_t slowest; /* longest wait inside the transport, per call */
} Caller;

static inline void caller_init(Caller *c, TeTransport *t)
{
	memset(c, 0, sizeof(*c));
	c->t = t;
	c->read_inputs = c->auto_resume = true;
	c->publish_next = 1;
	c->epoch = 1;
}

static inline void caller_anchors(Caller *c, unsigned events)
{
	if (events & TE_EVENT_INPUT_ANCHOR && c->auto_resume) {
		c->last_input_anchor = *te_transport_input_anchor(c->t);
		c->input_anchors++;
		te_transport_resume_input(c->t, c->last_input_anchor.stream, c->last_input_anchor.start_seq,
		                          now_us());
	}
	if (events & TE_EVENT_OUTPUT_ANCHOR && c->auto_resume) {
		c->last_output_anchor = *te_transport_output_anchor(c->t);
		c->output_anchors++;
		c->publish_next = c->last_output_anchor.found ? c->last_output_anchor.seq + 1 : 1;
		te_transport_resume_output(c->t, c->last_output_anchor.last_stream_seq, now_us());
	}
}

static inline void caller_read(Caller *c)
{
	TeInputMessage m;
	unsigned count = 0;

	for (; count < 500 && te_transport_next_input(c->t, &m); count++) {
		char text[64];
		int number;

		snprintf(text, sizeof(text), "%.*s", (int)(m.len < 60 ? m.len : 60), (const char *)m.data);
		number = atoi(strchr(text, ' ') != NULL ? strchr(text, ' ') : "0");
		if (number != c->in_last + 1)
			c->in_out_of_order++;
		c->in_last = number;
		c->inputs++;
		c->position = (TeInputPosition){m.stream_created, m.seq, m.message_time};
		if (m.lost_from != 0) {
			c->lost_from = m.lost_from;
			c->lost_to = m.lost_to;
		}
	}
	te_transport_release_input(c->t, count);
}

static inline TePublishResult caller_publish_one(Caller *c)
{
	static char data[2 * 1024 * 1024];
	int len = snprintf(data, sizeof(data), "out %llu", (unsigned long long)c->publish_next);
	TeOutputMessage m = {.subject = "trading.signals.0.acme.u1.EURUSD",
	                     .data = data,
	                     .len = (size_t)len + c->padding,
	                     .epoch = c->epoch,
	                     .seq = c->publish_next,
	                     .hash = "abcdef0123456789",
	                     .traceparent = NULL,
	                     .maybe_sent = c->publish_next <= c->furthest};
	TePublishResult result = te_transport_publish(c->t, &m, now_us());

	if (result == TE_PUBLISH_OK) {
		c->publish_next++;
		if (m.seq > c->furthest)
			c->furthest = m.seq;
	}
	return result;
}

static inline void caller_note_time(Caller *c, int64_t since)
{
	int64_t took = waited_us() - since;

	if (took > c->slowest)
		c->slowest = took;
}

/* One turn: waits at most `ms`, then does everything that can be done. */
static inline void caller_turn(Caller *c, int ms)
{
	TeTransportFds fds;
	struct pollfd set[2];
	int64_t now = now_us(), deadline = te_transport_deadline(c->t), waited;
	int64_t wait = deadline <= now ? 0 : (deadline - now) / 1000 + 1;
	unsigned events;

	te_transport_poll(c->t, &fds);
	c->polled = fds.generation;
	set[0] = (struct pollfd){.fd = fds.wake_fd, .events = POLLIN};
	set[1] =
		(struct pollfd){.fd = fds.fd, .events = (short)(POLLIN | (fds.want_write ? POLLOUT : 0))};
	poll(set, 2, wait < ms ? (int)wait : ms);

	waited = waited_us();
	events =
		te_transport_process(c->t, now_us(), (set[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0,
	                         (set[1].revents & POLLOUT) != 0);
	c->events |= events;
	caller_anchors(c, events);
	if (c->read_inputs)
		caller_read(c);
	while (c->publish_next <= c->publish_to && caller_publish_one(c) == TE_PUBLISH_OK)
		;
	te_transport_flush(c->t, now_us());
	caller_note_time(c, waited);
}

/* Turns until the condition holds; false when it doesn't within `seconds`. */
#define CALLER_UNTIL(c, seconds, condition)                                                        \
	caller_until_((c), (seconds));                                                                 \
	while (!(condition) && now_us() < caller_deadline_)                                            \
		caller_turn((c), 20);                                                                      \
	ok((condition), #condition)

static int64_t caller_deadline_;

static inline void caller_until_(Caller *c, int seconds)
{
	(void)c;
	caller_deadline_ = now_us() + (int64_t)seconds * 1000000;
}

static inline TeTransportState caller_state(Caller *c)
{
	return te_transport_stats(c->t)->state;
}

static inline bool caller_running(Caller *c)
{
	const TeTransportStats *stats = te_transport_stats(c->t);

	return stats->state == TE_TRANSPORT_READY && stats->input_resumed && stats->output_resumed;
}

static inline uint64_t caller_acked(Caller *c)
{
	return te_transport_acked(c->t).seq;
}

static inline TeTransport *make_transport(const Server *server,
                                          void (*change)(TeTransportConfig *config))
{
	TeTransportConfig config;
	char error[TE_TRANSPORT_ERROR_SIZE] = "";
	TeTransport *t;

	te_transport_config_init(&config);
	config.url = server->url;
	config.installation = "0b5a6b0e-7a31-4f4b-9a53-1a2b3c4d5e6f";
	config.lane = 0;
	if (change != NULL)
		change(&config);
	t = te_nats_create(&config, error, sizeof(error));
	if (t == NULL)
		bail_out("no transport: %s", error);
	return t;
}

/* A connection that a server which is given little time to run doesn't lose. */
static inline void be_patient(TeTransportConfig *config)
{
	config->heartbeat = 20000000;
	config->request_timeout = 20000000;
	config->ack_timeout = 60000000;
}

/* Checks that a stream holds "out 1".."out n" and their headers, each once and in order. */
typedef struct OutputCheck
{
	uint64_t next, wrong;
	size_t padding;
} OutputCheck;

static inline void visit_output(void *closure, char *message, size_t header_len, size_t len)
{
	OutputCheck *check = closure;
	char want[64], id[96];
	int want_len = snprintf(want, sizeof(want), "out %llu", (unsigned long long)check->next);

	snprintf(id, sizeof(id), "\r\nNats-Msg-Id: 0b5a6b0e-7a31-4f4b-9a53-1a2b3c4d5e6f/0/1/%llu\r\n",
	         (unsigned long long)check->next);
	if (len - header_len != (size_t)want_len + check->padding ||
	    memcmp(message + header_len, want, (size_t)want_len) != 0 ||
	    memmem(message, header_len, id, strlen(id)) == NULL ||
	    memmem(message, header_len, "\r\nte-hash: abcdef0123456789\r\n", 27) == NULL)
		check->wrong++;
	check->next++;
}

static inline bool output_is_exactly(const Server *server, uint64_t count, size_t padding)
{
	OutputCheck check = {.next = 1, .padding = padding};
	uint64_t last;
	Plain p;

	plain_open(&p, server);
	last = plain_last_seq(&p, "trading_output_0");
	plain_read_stream(&p, "trading_output_0", last, visit_output, &check);
	plain_close(&p);
	if (last != count || check.wrong != 0)
		printf("# %llu messages, %llu wrong\n", (unsigned long long)last,
		       (unsigned long long)check.wrong);
	return last == count && check.wrong == 0;
}

/* Entries of a folder of /proc: descriptors or threads of this process. */
static inline int count_entries(const char *path)
{
	DIR *folder = opendir(path);
	int count = 0;

	while (readdir(folder) != NULL)
		count++;
	closedir(folder);
	return count;
}

/* Entries of /proc/self/task while a transport idles: ours, three threads of libnats, and both
 * dots. */
#ifdef __SANITIZE_THREAD__
#define IDLE_TASKS 7 /* the sanitizer's own */
#else
#define IDLE_TASKS 6
#endif

/* Waits until it has no more than that: threads live on for a moment after their work, and so do
 * the descriptors that they hold.  Gives what it has then. */
static inline int entries_in_the_end(const char *path, int expected)
{
	for (int64_t until = now_us() + 10000000; count_entries(path) > expected && now_us() < until;)
		sleep_ms(5);
	return count_entries(path);
}

#endif
