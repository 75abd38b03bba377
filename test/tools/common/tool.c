/*
 * tool.c - what the test programs share: command lines, complaints, JSON lines.
 */
#include "common/tool.h"

#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void complain(const char *format, va_list values) __attribute__((format(printf, 1, 0)));

static void complain(const char *format, va_list values)
{
	fprintf(stderr, "%s: ", program_name);
	vfprintf(stderr, format, values);
	fputc('\n', stderr);
}

void fail(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	complain(format, values);
	va_end(values);
	exit(1);
}

void usage_error(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	complain(format, values);
	va_end(values);
	exit(2);
}

static void remove_arguments(Arguments *arguments, int from, int count)
{
	memmove(arguments->values + from, arguments->values + from + count,
	        sizeof(char *) * (size_t)(arguments->count - from - count));
	arguments->count -= count;
}

char *take_argument(Arguments *arguments, const char *name)
{
	char *value;

	if (arguments->count == 0)
		usage_error("%s is missing", name);
	value = arguments->values[0];
	remove_arguments(arguments, 0, 1);
	return value;
}

static int find_option(Arguments *arguments, const char *name)
{
	for (int i = 0; i < arguments->count; i++)
		if (strncmp(arguments->values[i], "--", 2) == 0 &&
		    strcmp(arguments->values[i] + 2, name) == 0)
			return i;
	return -1;
}

char *take_option(Arguments *arguments, const char *name)
{
	int at = find_option(arguments, name);
	char *value;

	if (at < 0)
		return NULL;
	if (at + 1 >= arguments->count)
		usage_error("--%s needs a value", name);
	value = arguments->values[at + 1];
	remove_arguments(arguments, at, 2);
	return value;
}

bool take_flag(Arguments *arguments, const char *name)
{
	int at = find_option(arguments, name);

	if (at >= 0)
		remove_arguments(arguments, at, 1);
	return at >= 0;
}

double number_of(const char *text, const char *name, double otherwise)
{
	char *end;
	double value;

	if (text == NULL)
		return otherwise;
	value = strtod(text, &end);
	if (end == text || *end != '\0' || value < 0)
		usage_error("%s: \"%s\" is not a number >= 0", name, text);
	return value;
}

void check_all_taken(const Arguments *arguments)
{
	if (arguments->count > 0)
		usage_error("what is \"%s\"?", arguments->values[0]);
}

double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int64_t wall_clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void sleep_seconds(double seconds)
{
	struct timespec left = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};

	while (nanosleep(&left, &left) != 0)
		continue;
}

void *need_memory(void *memory)
{
	if (memory == NULL)
		fail("out of memory");
	return memory;
}

void sha256_hex(const void *data, size_t length, char hex[65])
{
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (EVP_Digest(data, length, digest, NULL, EVP_sha256(), NULL) != 1)
		fail("SHA-256 failed");
	for (int i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

void print_json(json_t *value)
{
	if (value == NULL || json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
		fail("can't print JSON");
	fputc('\n', stdout);
	fflush(stdout);
	json_decref(value);
}
