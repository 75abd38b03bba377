/*
 * tool.h - what the test programs share: command lines, complaints, JSON lines.
 */
#ifndef TE_TEST_TOOL_H
#define TE_TEST_TOOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is left of the command line. */
typedef struct Arguments
{
	int count;
	char **values;
} Arguments;

/* Each program says who it is, for its complaints. */
extern const char *const program_name;

/* Message and exit: tests see status 1 and the reason; a usage error is status 2. */
extern void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
extern void usage_error(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* The next positional argument, or a usage error that names it. */
extern char *take_argument(Arguments *arguments, const char *name);
/* The value of --NAME, removed from the arguments, or NULL; take_flag for one without a value. */
extern char *take_option(Arguments *arguments, const char *name);
extern bool take_flag(Arguments *arguments, const char *name);
extern double number_of(const char *text, const char *name, double otherwise);
/* A usage error that names what nobody has taken. */
extern void check_all_taken(const Arguments *arguments);

/* Monotonic seconds. */
extern double seconds_now(void);
/* Wall clock, microseconds since 1970. */
extern int64_t wall_clock_us(void);
extern void sleep_seconds(double seconds);

/* Memory, or the end. */
extern void *need_memory(void *memory);

/* One line of JSON on standard output; the reference is stolen. */
extern void print_json(json_t *value);
/* SHA-256 as lower-case hex, with its zero. */
extern void sha256_hex(const void *data, size_t length, char hex[65]);

#endif
