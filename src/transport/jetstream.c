#include "jetstream.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define USEC INT64_C(1000000)

/* JetStream counts durations in nanoseconds. */
static json_t *duration(int64_t microseconds)
{
	if (microseconds <= 0)
		return json_integer(0);
	if (microseconds > INT64_MAX / 1000)
		return json_integer(INT64_MAX);
	return json_integer(microseconds * 1000);
}

static char *dump_and_free(json_t *json)
{
	char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	return text;
}

char *te_js_build_stream(const TeJsStreamSpec *spec)
{
	json_t *subjects = json_array();

	for (int i = 0; i < 3 && spec->subjects[i] != NULL; i++)
		json_array_append_new(subjects, json_string(spec->subjects[i]));
	return dump_and_free(
		json_pack("{s:s, s:o, s:s, s:s, s:s, s:i, s:I, s:o, s:I, s:i, s:o}", "name", spec->name,
	              "subjects", subjects, "retention", "limits", "storage", "file", "discard",
	              spec->discard_new ? "new" : "old", "max_msgs", -1, "max_msgs_per_subject",
	              (json_int_t)(spec->max_per_subject > 0 ? spec->max_per_subject : -1), "max_age",
	              duration(spec->max_age), "max_bytes", (json_int_t)spec->max_bytes, "num_replicas",
	              spec->replicas, "duplicate_window", duration(spec->duplicate_window)));
}

/*
 * The consumer lives in memory and for one connection: the position is the
 * caller's, so acknowledgements would only cost the broker work.
 */
char *te_js_build_consumer(const char *stream, const char *name, uint64_t start_seq)
{
	return dump_and_free(json_pack(
		"{s:s, s:{s:s, s:s, s:I, s:s, s:s, s:b, s:i, s:I, s:i}}", "stream_name", stream, "config",
		"name", name, "deliver_policy", "by_start_sequence", "opt_start_seq", (json_int_t)start_seq,
		"ack_policy", "none", "replay_policy", "instant", "mem_storage", 1, "num_replicas", 1,
		"inactive_threshold", (json_int_t)(60 * USEC * 1000), "max_waiting", 32));
}

/* The whole of data as one JSON object; NULL when it isn't. */
static json_t *load_object(const char *data, size_t len)
{
	json_t *json = json_loadb(data, len, JSON_ALLOW_NUL, NULL);

	if (json != NULL && !json_is_object(json)) {
		json_decref(json);
		return NULL;
	}
	return json;
}

static bool get_u64(const json_t *object, const char *key, uint64_t *out)
{
	const json_t *value = json_object_get(object, key);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*out = (uint64_t)json_integer_value(value);
	return true;
}

static bool get_time(const json_t *object, const char *key, int64_t *out)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL && te_js_parse_time(text, out);
}

/* Reads "error": true when there is one. */
static bool get_error(const json_t *object, TeJsError *error)
{
	const json_t *value = json_object_get(object, "error");
	const char *description;

	memset(error, 0, sizeof(*error));
	if (!json_is_object(value))
		return false;
	error->code = (int)json_integer_value(json_object_get(value, "code"));
	if (error->code == 0)
		error->code = 500;
	error->err_code = (int)json_integer_value(json_object_get(value, "err_code"));
	description = json_string_value(json_object_get(value, "description"));
	snprintf(error->description, sizeof(error->description), "%s",
	         description != NULL ? description : "no description");
	return true;
}

static bool has_subject(const json_t *subjects, const char *wanted)
{
	size_t i;
	json_t *subject;

	json_array_foreach(subjects, i,
	                   subject) if (json_is_string(subject) &&
	                                strcmp(json_string_value(subject), wanted) == 0) return true;
	return false;
}

static bool read_stream(const json_t *json, const TeJsStreamSpec *spec, TeJsStream *out)
{
	const json_t *config = json_object_get(json, "config");
	const json_t *state = json_object_get(json, "state");
	const char *retention = json_string_value(json_object_get(config, "retention"));

	if (!get_time(json, "created", &out->created) || retention == NULL ||
	    !get_u64(state, "messages", &out->messages) ||
	    !get_u64(state, "first_seq", &out->first_seq) ||
	    !get_u64(state, "last_seq", &out->last_seq))
		return false;
	(void)get_u64(state, "num_deleted", &out->deleted); /* left out where there are none */
	if (out->messages == 0)
		out->first_seq = out->last_seq + 1;
	if (out->first_seq == 0 || out->first_seq > out->last_seq + 1)
		return false;
	out->keeps_by_limits = strcmp(retention, "limits") == 0;
	out->has_subjects = true;
	for (int i = 0; i < 3 && spec->subjects[i] != NULL; i++)
		if (!has_subject(json_object_get(config, "subjects"), spec->subjects[i]))
			out->has_subjects = false;
	return true;
}

bool te_js_parse_stream(const char *data, size_t len, const TeJsStreamSpec *spec, TeJsStream *out)
{
	json_t *json = load_object(data, len);
	bool ok;

	memset(out, 0, sizeof(*out));
	if (json == NULL)
		return false;
	ok = get_error(json, &out->error) || read_stream(json, spec, out);
	json_decref(json);
	return ok;
}

static int base64_value(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Standard alphabet with padding, as Go writes it.  The result is terminated; NULL on nonsense. */
static char *decode_base64(const char *text)
{
	size_t len = strlen(text), used = 0;
	unsigned bits = 0, have = 0;
	char *out;

	while (len > 0 && text[len - 1] == '=')
		len--;
	if ((out = malloc(len / 4 * 3 + 4)) == NULL)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		int value = base64_value((unsigned char)text[i]);

		if (value < 0) {
			free(out);
			return NULL;
		}
		bits = (bits << 6 | (unsigned)value) & 0xffff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[used++] = (char)(bits >> have & 0xff);
		}
	}
	out[used] = '\0';
	return out;
}

/* The value of a header in a block "NATS/1.0\r\nKey: value\r\n...", or NULL. */
static const char *find_header(const char *block, const char *key, size_t *len)
{
	size_t key_len = strlen(key);

	for (const char *line = strstr(block, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, key, key_len) == 0 && line[key_len] == ':') {
			line += key_len + 1;
			line += strspn(line, " \t");
			*len = strcspn(line, "\r\n");
			return line;
		}
	}
	return NULL;
}

static bool header_u64(const char *block, const char *key, uint64_t *out)
{
	size_t len;
	const char *value = find_header(block, key, &len);

	return value != NULL && te_js_parse_u64(value, len, out);
}

/* Copies a piece of text; false when it is empty or does not fit. */
static bool copy_text(char *out, size_t size, const char *text, size_t len)
{
	if (len == 0 || len >= size)
		return false;
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

/* Reads what the engine writes; an incomplete or malformed set is somebody else's message. */
static bool read_engine_headers(const char *block, TeJsMessage *out)
{
	uint64_t lane;
	size_t len;
	const char *value, *slash;

	if (!header_u64(block, "te-lane", &lane) || lane > INT32_MAX ||
	    !header_u64(block, "te-epoch", &out->out_epoch) ||
	    !header_u64(block, "te-seq", &out->out_seq))
		return false;
	out->lane = (int)lane;
	value = find_header(block, "te-hash", &len);
	if (value == NULL || !copy_text(out->hash, sizeof(out->hash), value, len))
		return false;
	value = find_header(block, "Nats-Msg-Id", &len);
	slash = value != NULL ? memchr(value, '/', len) : NULL;
	return slash != NULL &&
	       copy_text(out->installation, sizeof(out->installation), value, (size_t)(slash - value));
}

static bool read_message(const json_t *message, TeJsMessage *out)
{
	const char *encoded = json_string_value(json_object_get(message, "hdrs"));
	char *block;

	if (!get_u64(message, "seq", &out->seq) || !get_time(message, "time", &out->time))
		return false;
	if (encoded == NULL)
		return true;
	if ((block = decode_base64(encoded)) == NULL)
		return false;
	out->from_engine = read_engine_headers(block, out);
	free(block);
	return true;
}

bool te_js_parse_message(const char *data, size_t len, TeJsMessage *out)
{
	json_t *json = load_object(data, len);
	bool ok;

	memset(out, 0, sizeof(*out));
	if (json == NULL)
		return false;
	ok = get_error(json, &out->error) || read_message(json_object_get(json, "message"), out);
	json_decref(json);
	return ok;
}

bool te_js_parse_pub_ack(const char *data, size_t len, TeJsPubAck *out)
{
	json_t *json = load_object(data, len);
	const char *stream;
	bool ok = true;

	memset(out, 0, sizeof(*out));
	if (json == NULL)
		return false;
	if (!get_error(json, &out->error)) {
		stream = json_string_value(json_object_get(json, "stream"));
		ok = stream != NULL &&
		     copy_text(out->stream, sizeof(out->stream), stream, strlen(stream)) &&
		     get_u64(json, "seq", &out->seq) && out->seq > 0;
		out->duplicate = json_is_true(json_object_get(json, "duplicate"));
	}
	json_decref(json);
	return ok;
}

bool te_js_parse_consumer(const char *data, size_t len, TeJsConsumer *out)
{
	json_t *json = load_object(data, len);
	bool ok;

	memset(out, 0, sizeof(*out));
	if (json == NULL)
		return false;
	ok = get_error(json, &out->error) || (json_is_string(json_object_get(json, "name")) &&
	                                      get_u64(json, "num_waiting", &out->waiting));
	json_decref(json);
	return ok;
}

bool te_js_parse_u64(const char *text, size_t len, uint64_t *out)
{
	uint64_t value = 0;

	if (len == 0 || len > 20)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned digit = (unsigned char)text[i] - (unsigned)'0';

		if (digit > 9 || value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*out = value;
	return true;
}

/*
 * $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<ns>.<pending>, or
 * $JS.ACK.<domain>.<account>.<stream>... with possibly one more token at the end.
 */
bool te_js_parse_delivery(const char *reply_subject, TeJsDelivery *out)
{
	const char *token[12];
	size_t len[12];
	int count = 0, base;
	uint64_t ns;

	for (const char *p = reply_subject;; p++) {
		if (count == 12)
			return false;
		token[count] = p;
		len[count] = strcspn(p, ".");
		p += len[count++];
		if (*p == '\0')
			break;
	}
	if (count < 9 || count == 10 || len[0] != 3 || memcmp(token[0], "$JS", 3) != 0 || len[1] != 3 ||
	    memcmp(token[1], "ACK", 3) != 0)
		return false;
	base = count == 9 ? 2 : 4;
	out->consumer = token[base + 1];
	out->consumer_len = len[base + 1];
	if (out->consumer_len == 0 ||
	    !te_js_parse_u64(token[base + 3], len[base + 3], &out->stream_seq) ||
	    !te_js_parse_u64(token[base + 4], len[base + 4], &out->consumer_seq) ||
	    !te_js_parse_u64(token[base + 5], len[base + 5], &ns) || ns > INT64_MAX ||
	    !te_js_parse_u64(token[base + 6], len[base + 6], &out->pending) || out->stream_seq == 0 ||
	    out->consumer_seq == 0)
		return false;
	out->time = (int64_t)(ns / 1000);
	return true;
}

/* Days since 1970-01-01 of a proleptic Gregorian date (years from 0). */
static int64_t days_from_civil(int64_t year, int month, int day)
{
	int64_t era, year_of_era, day_of_year;

	year -= month <= 2;
	era = year / 400;
	year_of_era = year - era * 400;
	day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
	       719468;
}

/* Exactly `digits` digits at *text, moved over; -1 when there are fewer. */
static int take_digits(const char **text, int digits)
{
	int value = 0;

	while (digits-- > 0) {
		if (**text < '0' || **text > '9')
			return -1;
		value = value * 10 + *(*text)++ - '0';
	}
	return value;
}

static bool take_char(const char **text, char wanted)
{
	if (**text != wanted)
		return false;
	(*text)++;
	return true;
}

/* Decimals of a second, as microseconds, truncated; no decimals are 0. */
static bool take_fraction(const char **text, int64_t *out)
{
	int64_t unit = USEC / 10;

	*out = 0;
	if (!take_char(text, '.'))
		return true;
	if (**text < '0' || **text > '9')
		return false;
	for (; **text >= '0' && **text <= '9'; (*text)++, unit /= 10)
		*out += (**text - '0') * unit;
	return true;
}

/* Z or +hh:mm, in minutes. */
static bool take_offset(const char **text, int *out)
{
	int sign, hours, minutes;

	*out = 0;
	if (take_char(text, 'Z'))
		return true;
	if (**text != '+' && **text != '-')
		return false;
	sign = *(*text)++ == '-' ? -1 : 1;
	hours = take_digits(text, 2);
	if (hours < 0 || hours > 23 || !take_char(text, ':'))
		return false;
	minutes = take_digits(text, 2);
	*out = sign * (hours * 60 + minutes);
	return minutes >= 0 && minutes <= 59;
}

bool te_js_parse_time(const char *text, int64_t *out)
{
	int year, month, day, hour, minute, second, offset;
	int64_t fraction;

	if ((year = take_digits(&text, 4)) < 0 || !take_char(&text, '-') ||
	    (month = take_digits(&text, 2)) < 1 || month > 12 || !take_char(&text, '-') ||
	    (day = take_digits(&text, 2)) < 1 || day > 31 || !take_char(&text, 'T') ||
	    (hour = take_digits(&text, 2)) < 0 || hour > 23 || !take_char(&text, ':') ||
	    (minute = take_digits(&text, 2)) < 0 || minute > 59 || !take_char(&text, ':') ||
	    (second = take_digits(&text, 2)) < 0 || second > 60 || !take_fraction(&text, &fraction) ||
	    !take_offset(&text, &offset) || *text != '\0')
		return false;
	*out = ((days_from_civil(year, month, day) * 24 + hour) * 60 + minute - offset) * 60 * USEC +
	       second * USEC + fraction;
	return true;
}
