/*
 * te_nats.c - a NATS client for tests and the demo: publish, dump, wait, check.
 *
 * te_nats --help lists the commands.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "te_nats.h"

const char *const program_name = "te_nats";

static const struct Command
{
	const char *name, *arguments, *purpose;
	int (*run)(Client *client, Arguments *arguments_left);
} commands[] = {
	{"pub", "SUBJECT [--hex HEX | --file FILE | --text TEXT] [--id ID] [--core]",
     "publish one message (default: standard input), print the acknowledgement", command_pub},
	{"pub-json", "", "publish one message per line of standard input, see common/message.h",
     command_pub_json},
	{"sub", "SUBJECT [--count N] [--seconds S]", "print messages as they come, as JSON lines",
     command_sub},
	{"stream-info", "STREAM", "what the broker says about a stream", command_stream_info},
	{"stream-dump", "STREAM [--from SEQ] [--hex]",
     "every message of a stream as JSON lines; with its bytes", command_stream_dump},
	{"stream-check", "STREAM", "what a careful consumer would find, see common/check.h",
     command_stream_check},
	{"wait", "STREAM COUNT [--seconds S]", "until a stream holds that many messages", command_wait},
	{"js-api", "SUBJECT [JSON]", "one request to the broker's API, its answer", command_js_api},
	{"load", "SYMBOL[,SYMBOL] --rate N --count N [--batch N] [--company C] [--user U]",
     "publish generated predictions at a steady rate, see common/load.h", command_load},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void help(void)
{
	puts("te_nats - a NATS client for tests: publish, dump, wait, check.\n\n"
	     "  te_nats [--url URL] COMMAND ...\n");
	for (size_t i = 0; i < COMMANDS; i++)
		printf("  %s %s\n        %s\n", commands[i].name, commands[i].arguments,
		       commands[i].purpose);
	puts("\nExit status 0: done; 1: it failed, or the check found something; 2: usage.\n"
	     "The URL is also taken from NATS_URL, a file of credentials from NATS_CREDS, a\n"
	     "certificate and its key from NATS_CERT and NATS_KEY.");
}

int command_stream_info(Client *client, Arguments *arguments)
{
	json_t *info = stream_info(client, take_argument(arguments, "STREAM"));
	int status = json_object_get(info, "error") != NULL;

	print_json(info);
	return status;
}

int command_js_api(Client *client, Arguments *arguments)
{
	const char *subject = take_argument(arguments, "SUBJECT");
	json_t *body = NULL;
	json_error_t error;
	json_t *answer;
	int status;

	if (arguments->count > 0 &&
	    (body = json_loads(take_argument(arguments, "JSON"), 0, &error)) == NULL)
		usage_error("JSON: %s", error.text);
	answer = request_api(client, subject, body);
	status = json_object_get(answer, "error") != NULL;
	print_json(answer);
	return status;
}

int command_wait(Client *client, Arguments *arguments)
{
	double seconds = number_of(take_option(arguments, "seconds"), "--seconds", 60);
	const char *stream = take_argument(arguments, "STREAM");
	uint64_t wanted = (uint64_t)number_of(take_argument(arguments, "COUNT"), "COUNT", 0);
	double end = seconds_now() + seconds;
	uint64_t found;

	for (;;) {
		json_t *info = stream_info(client, stream);

		found = stream_number(info, "messages");
		json_decref(info);
		if (found >= wanted) {
			printf("%llu\n", (unsigned long long)found);
			return 0;
		}
		if (seconds_now() > end)
			fail("stream %s holds %llu messages after %g s, not %llu", stream,
			     (unsigned long long)found, seconds, (unsigned long long)wanted);
		nats_Sleep(20);
	}
}

int main(int count, char **values)
{
	Arguments arguments = {count - 1, values + 1};
	Client client = {NULL, NULL};
	const char *url, *name;

	if (take_flag(&arguments, "help")) {
		help();
		return 0;
	}
	url = take_option(&arguments, "url");
	name = take_argument(&arguments, "COMMAND");
	if (url == NULL && (url = getenv("NATS_URL")) == NULL)
		url = NATS_DEFAULT_URL;
	for (size_t i = 0; i < COMMANDS; i++) {
		int status;

		if (strcmp(commands[i].name, name) != 0)
			continue;
		connect_client(&client, url);
		status = commands[i].run(&client, &arguments);
		check_all_taken(&arguments);
		close_client(&client);
		return status;
	}
	usage_error("there is no command \"%s\"; --help lists them", name);
}
