/*
 * tcp_proxy.c - a link that can be bad: between a client and a server, on loopback.
 *
 *	tcp_proxy --to PORT
 *
 * Listens on a port of 127.0.0.1 that the system chooses, and prints it on its first line.
 * Ends with its standard input.  Commands, a line each, answered by "ok" or "error: ...":
 *
 *	delay MIN MAX      what the server says takes so many milliseconds more; each piece a
 *	                   time of its own, but never before the one in front of it
 *	drop in|out|both   what is said to the client, to the server, or both gets nowhere;
 *	                   nothing is closed, and connections that are made meanwhile wait
 *	heal               it goes on, with everything that was held back
 *	cut                half of what is on the way arrives, then all connections end
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/tool.h"

#define MAX_CONNECTIONS 128
#define PIECE_BYTES 16384
#define MAX_HELD (8 << 20) /* bytes of a direction; more stay with the sender */

const char *const program_name = "tcp_proxy";

typedef struct Piece
{
	struct Piece *next;
	double due;
	size_t length, sent;
	char bytes[PIECE_BYTES];
} Piece;

typedef enum { TO_SERVER, TO_CLIENT, DIRECTIONS } Direction;

typedef struct Connection
{
	int sockets[DIRECTIONS]; /* that this direction writes to; -1: no connection */
	Piece *first[DIRECTIONS], *last[DIRECTIONS];
	size_t held[DIRECTIONS];
	bool ended[DIRECTIONS]; /* its source says no more */
} Connection;

typedef struct Proxy
{
	int listener, port;
	double least_delay, most_delay; /* seconds, to the client */
	bool dropped[DIRECTIONS];
	Connection connections[MAX_CONNECTIONS];
} Proxy;

static bool is_open(const Connection *connection)
{
	return connection->sockets[TO_SERVER] >= 0;
}

static void close_connection(Connection *connection)
{
	for (Direction d = 0; d < DIRECTIONS; d++) {
		while (connection->first[d] != NULL) {
			Piece *piece = connection->first[d];

			connection->first[d] = piece->next;
			free(piece);
		}
		close(connection->sockets[d]);
	}
	*connection = (Connection){.sockets = {-1, -1}};
}

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
	                            .sin_port = htons((uint16_t)port),
	                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void accept_client(Proxy *proxy)
{
	int client = accept4(proxy->listener, NULL, NULL, SOCK_NONBLOCK);
	struct sockaddr_in address = loopback(proxy->port);
	Connection *connection = proxy->connections;
	int server, on = 1;

	if (client < 0)
		return;
	while (connection < proxy->connections + MAX_CONNECTIONS && is_open(connection))
		connection++;
	server = socket(AF_INET, SOCK_STREAM, 0);
	if (connection == proxy->connections + MAX_CONNECTIONS || server < 0 ||
	    connect(server, (struct sockaddr *)&address, sizeof(address)) != 0) {
		close(client);
		if (server >= 0)
			close(server);
		return;
	}
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	connection->sockets[TO_SERVER] = server;
	connection->sockets[TO_CLIENT] = client;
}

/* Take what the source of a direction says; false when the connection is broken. */
static bool receive(Proxy *proxy, Connection *connection, Direction d)
{
	int source = connection->sockets[d == TO_SERVER ? TO_CLIENT : TO_SERVER];
	Piece *piece = need_memory(malloc(sizeof(Piece)));
	ssize_t count = recv(source, piece->bytes, sizeof(piece->bytes), MSG_DONTWAIT);

	if (count <= 0) {
		bool again = count < 0 && (errno == EAGAIN || errno == EINTR);

		free(piece);
		connection->ended[d] = connection->ended[d] || count == 0;
		return again || count == 0;
	}
	piece->next = NULL;
	piece->length = (size_t)count;
	piece->sent = 0;
	piece->due = seconds_now();
	if (d == TO_CLIENT)
		piece->due += proxy->least_delay + (proxy->most_delay - proxy->least_delay) *
		                                       ((double)rand() / (double)RAND_MAX);
	if (connection->last[d] == NULL)
		connection->first[d] = piece;
	else {
		if (connection->last[d]->due > piece->due)
			piece->due = connection->last[d]->due;
		connection->last[d]->next = piece;
	}
	connection->last[d] = piece;
	connection->held[d] += piece->length;
	return true;
}

/* Pass on what is due; false when the connection is broken. */
static bool pass_on(Connection *connection, Direction d, double now)
{
	while (connection->first[d] != NULL && connection->first[d]->due <= now) {
		Piece *piece = connection->first[d];
		ssize_t count = send(connection->sockets[d], piece->bytes + piece->sent,
		                     piece->length - piece->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (count < 0)
			return errno == EAGAIN || errno == EINTR;
		piece->sent += (size_t)count;
		connection->held[d] -= (size_t)count;
		if (piece->sent < piece->length)
			return true;
		connection->first[d] = piece->next;
		if (piece->next == NULL)
			connection->last[d] = NULL;
		free(piece);
	}
	/* The source has ended, and everything that it said has arrived. */
	return !(connection->ended[d] && connection->first[d] == NULL);
}

/* Half of what is on the way arrives: in the middle of a message, as likely as not. */
static void cut(Proxy *proxy)
{
	for (Connection *c = proxy->connections; c < proxy->connections + MAX_CONNECTIONS; c++) {
		if (!is_open(c))
			continue;
		for (Direction d = 0; d < DIRECTIONS; d++)
			if (c->first[d] != NULL)
				(void)!send(c->sockets[d], c->first[d]->bytes + c->first[d]->sent,
				            (c->first[d]->length - c->first[d]->sent) / 2,
				            MSG_DONTWAIT | MSG_NOSIGNAL);
		close_connection(c);
	}
}

static const char *obey(Proxy *proxy, char *line)
{
	const char *command = strtok(line, " \n"), *first = strtok(NULL, " \n");
	const char *second = strtok(NULL, " \n");

	if (command == NULL)
		return "an empty line";
	if (strcmp(command, "delay") == 0 && first != NULL && second != NULL) {
		proxy->least_delay = number_of(first, "delay", 0) / 1000;
		proxy->most_delay = number_of(second, "delay", 0) / 1000;
		return NULL;
	}
	if (strcmp(command, "drop") == 0 && first != NULL) {
		proxy->dropped[TO_CLIENT] = strcmp(first, "out") != 0;
		proxy->dropped[TO_SERVER] = strcmp(first, "in") != 0;
		return NULL;
	}
	if (strcmp(command, "heal") == 0) {
		proxy->dropped[TO_CLIENT] = proxy->dropped[TO_SERVER] = false;
		return NULL;
	}
	if (strcmp(command, "cut") == 0) {
		cut(proxy);
		return NULL;
	}
	return "unknown command, or a wrong number of words";
}

/* Lines of standard input as they come; false at its end. */
static bool obey_input(Proxy *proxy)
{
	static char buffer[1024];
	static size_t length;
	ssize_t count = read(STDIN_FILENO, buffer + length, sizeof(buffer) - 1 - length);
	char *end;

	if (count <= 0)
		return false;
	length += (size_t)count;
	buffer[length] = '\0';
	while ((end = strchr(buffer, '\n')) != NULL) {
		const char *problem;

		*end = '\0';
		problem = obey(proxy, buffer);
		printf("%s%s\n", problem != NULL ? "error: " : "ok", problem != NULL ? problem : "");
		fflush(stdout);
		length -= (size_t)(end + 1 - buffer);
		memmove(buffer, end + 1, length + 1);
	}
	return length < sizeof(buffer) - 1;
}

/* One round over all connections. */
static void work(Proxy *proxy, const struct pollfd *polled)
{
	double now = seconds_now();

	for (int i = 0; i < MAX_CONNECTIONS; i++) {
		Connection *connection = &proxy->connections[i];
		bool good = true;

		if (!is_open(connection))
			continue;
		for (Direction d = 0; d < DIRECTIONS && good; d++) {
			int source = d == TO_SERVER ? TO_CLIENT : TO_SERVER;

			if (polled[2 * i + source].fd == connection->sockets[source] &&
			    (polled[2 * i + source].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
				good = receive(proxy, connection, d);
			if (good && !proxy->dropped[d])
				good = pass_on(connection, d, now);
		}
		if (!good)
			close_connection(connection);
	}
}

static void serve(Proxy *proxy)
{
	struct pollfd polled[2 + 2 * MAX_CONNECTIONS];

	for (;;) {
		bool silent = proxy->dropped[TO_CLIENT] && proxy->dropped[TO_SERVER];

		polled[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
		polled[1] = (struct pollfd){.fd = silent ? -1 : proxy->listener, .events = POLLIN};
		for (int i = 0; i < MAX_CONNECTIONS; i++)
			for (Direction d = 0; d < DIRECTIONS; d++) {
				Connection *connection = &proxy->connections[i];
				Direction other = d == TO_SERVER ? TO_CLIENT : TO_SERVER;
				/* What comes from this socket goes the other way. */
				bool full = connection->ended[other] || connection->held[other] >= MAX_HELD;

				polled[2 + 2 * i + (int)d] = (struct pollfd){
					.fd = is_open(connection) && !full ? connection->sockets[d] : -1,
					.events = POLLIN};
			}
		/* Delays are kept to the millisecond. */
		if (poll(polled, 2 + 2 * MAX_CONNECTIONS, 1) < 0 && errno != EINTR)
			fail("poll: %s", strerror(errno));
		if (polled[0].revents != 0 && !obey_input(proxy))
			return;
		work(proxy, polled + 2);
		if (polled[1].revents != 0)
			accept_client(proxy);
	}
}

int main(int count, char **values)
{
	static Proxy proxy;
	Arguments arguments = {count - 1, values + 1};
	struct sockaddr_in address = loopback(0);
	socklen_t size = sizeof(address);

	proxy.port = (int)number_of(take_option(&arguments, "to"), "--to", 0);
	check_all_taken(&arguments);
	if (proxy.port < 1 || proxy.port > 65535)
		usage_error("--to is the server's port");
	for (int i = 0; i < MAX_CONNECTIONS; i++)
		proxy.connections[i] = (Connection){.sockets = {-1, -1}};
	proxy.listener = socket(AF_INET, SOCK_STREAM, 0);
	if (proxy.listener < 0 ||
	    bind(proxy.listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(proxy.listener, 64) != 0 ||
	    getsockname(proxy.listener, (struct sockaddr *)&address, &size) != 0)
		fail("listening: %s", strerror(errno));
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	serve(&proxy);
	return 0;
}
