/*
 * wire_identity.c - hashes, ids of signals and messages, and times as text.
 */
#include "wire/identity.h"

#include "tap.h"
#include "wire/rfc3339.h"

#define AT INT64_C(1767268800123456)

static void hashes_as_the_standard_says(void)
{
	char text[TE_HASH_TEXT_SIZE];

	/* FIPS 180-2, appendix B.1, and the hash of nothing. */
	te_hash_text(te_hash64("abc", 3), text);
	is_text(text, "ba7816bf8f01cfea", "SHA-256 of abc");
	te_hash_text(te_hash64("", 0), text);
	is_text(text, "e3b0c44298fc1c14", "SHA-256 of nothing");
	te_hash_text(1, text);
	is_text(text, "0000000000000001", "a hash always has 16 digits");
}

static const char *signal_id(const char *producer, const char *prediction, TeTime at,
                             const char *company, const char *user, const char *strategy)
{
	static char text[TE_UUID_TEXT_SIZE];
	uint8_t id[TE_UUID_BYTES];

	te_signal_id(producer, prediction, at, company, user, strategy, id);
	te_uuid_text(id, text);
	return text;
}

static void signal_ids_follow_from_their_content(void)
{
	char first[TE_UUID_TEXT_SIZE];

	/* Computed by Python's hashlib from the rule in identity.h. */
	is_text(signal_id("models-1", "p1", AT, "acme", "ann", "default"),
	        "019b796d-d67b-7a4a-b1ea-6fd9018717f4", "the id that another program computes");
	is_text(signal_id("models-1p", "1", AT, "acme", "ann", "default"),
	        "019b796d-d67b-7ffa-8b7e-74cbbca6a119", "texts don't run into each other");
	strcpy(first, signal_id("models-1", "p1", AT, "acme", "ann", "default"));
	ok(first[14] == '7', "version 7");
	ok(strchr("89ab", first[19]) != NULL, "the variant of RFC 9562");
	ok(strcmp(first, signal_id("models-1", "p1", AT + 1, "acme", "ann", "default")) != 0,
	   "a microsecond makes another id");
	ok(strcmp(first, signal_id("models-1", "p1", AT, "acme", "bob", "default")) != 0,
	   "another user has another id");
	ok(strcmp(first, signal_id("models-1", "p1", AT, "acme", "ann", "other")) != 0,
	   "another strategy has another id");
	ok(strcmp(first, signal_id("models-1", "p1", AT + 1000, "acme", "ann", "default")) < 0,
	   "ids are in order of time");
	ok(strncmp(signal_id("m", "p", -5, "a", "b", "c"), "00000000-0000-7", 15) == 0,
	   "a time before 1970 has the first prefix");
}

static void reads_and_writes_uuids(void)
{
	static const char *const bad[] = {"",
	                                  "018f0000-0000-7001-8002-03040506070",
	                                  "018f0000-0000-7001-8002-0304050607089",
	                                  "018f0000-0000-7001-8002_030405060708",
	                                  "018f00000000-7001-8002-030405060708",
	                                  "018f0000-0000-7001-8002-03040506070g"};
	uint8_t id[TE_UUID_BYTES];
	char text[TE_UUID_TEXT_SIZE];

	ok(te_uuid_parse("018F0000-0000-7001-8002-030405060708", id), "a UUID in capitals is read");
	te_uuid_text(id, text);
	is_text(text, "018f0000-0000-7001-8002-030405060708", "and written in small letters");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!te_uuid_parse(bad[i], id), bad[i]);
}

static void message_ids_name_installation_lane_epoch_and_sequence(void)
{
	static const uint8_t installation[TE_UUID_BYTES] = {1, 2,  3,  4,  5,  6,  7,  8,
	                                                    9, 10, 11, 12, 13, 14, 15, 16};
	char text[TE_MSG_ID_SIZE];

	te_msg_id(installation, 3, 2, 17, text);
	is_text(text, "01020304-0506-0708-090a-0b0c0d0e0f10/3/2/17", "a message id");
	te_msg_id(installation, UINT32_MAX, UINT64_MAX, UINT64_MAX, text);
	is_text(text,
	        "01020304-0506-0708-090a-0b0c0d0e0f10/4294967295/18446744073709551615/"
	        "18446744073709551615",
	        "the longest message id fits");
}

static void knows_ids_and_symbols(void)
{
	char longest[TE_ID_MAX + 2];

	memset(longest, 'x', sizeof(longest));
	longest[TE_ID_MAX + 1] = '\0';
	ok(!te_id_valid(longest), "65 characters are too many");
	longest[TE_ID_MAX] = '\0';
	ok(te_id_valid(longest), "64 characters are an id");
	ok(te_id_valid("a") && te_id_valid("_all") && te_id_valid("A-9_z"), "ids");
	ok(!te_id_valid("") && !te_id_valid("a.b") && !te_id_valid("a b") && !te_id_valid("a*") &&
	       !te_id_valid(">") && !te_id_valid("\xc3\xa4"),
	   "not ids");
	ok(te_symbol_valid("EURUSD") && !te_symbol_valid("EUR/USD") && !te_symbol_valid("EUR.USD"),
	   "symbols have no dot and no slash");
}

static const struct
{
	const char *text;
	int64_t at;
	const char *written; /* NULL: as it was read */
} times[] = {
	{"1970-01-01T00:00:00.000000Z", 0, NULL},
	{"2000-02-29T12:34:56.789012Z", INT64_C(951827696789012), NULL},
	{"2026-01-01T12:00:00Z", INT64_C(1767268800000000), "2026-01-01T12:00:00.000000Z"},
	{"2026-01-01t12:00:00.5z", INT64_C(1767268800500000), "2026-01-01T12:00:00.500000Z"},
	{"2026-01-01T14:30:00+02:30", INT64_C(1767268800000000), "2026-01-01T12:00:00.000000Z"},
	{"2025-12-31T23:00:00-13:00", INT64_C(1767268800000000), "2026-01-01T12:00:00.000000Z"},
	{"1969-12-31T23:59:59.999999Z", -1, NULL},
	{"0001-01-01T00:00:00.000000Z", INT64_C(-62135596800000000), NULL},
	{"9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999), NULL},
	{"1900-03-01T00:00:00.000000Z", INT64_C(-2203891200000000), NULL},
};

static const char *const bad_times[] = {
	"",
	"now",
	"infinity",
	"2026-01-01",
	"2026-01-01T12:00:00",
	"2026-01-01 12:00:00Z",
	"2026-01-01T12:00:00.Z",
	"2026-01-01T12:00:00.1234567Z",
	"2026-01-01T24:00:00Z",
	"2026-01-01T12:60:00Z",
	"2026-01-01T12:00:60Z",
	"2026-13-01T12:00:00Z",
	"2026-00-01T12:00:00Z",
	"2026-02-29T12:00:00Z",
	"1900-02-29T12:00:00Z",
	"2026-04-31T12:00:00Z",
	"0000-01-01T00:00:00Z",
	"2026-01-01T12:00:00+24:00",
	"2026-01-01T12:00:00+0200",
	"2026-01-01T12:00:00Zx",
	"+2026-01-01T12:00:00Z",
	"2026-1-01T12:00:00Z",
};

static void times_are_rfc_3339(void)
{
	char text[TE_RFC3339_SIZE];
	TeTime at;

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		ok(te_rfc3339_parse(times[i].text, &at) && at == times[i].at, times[i].text);
		te_rfc3339_format(times[i].at, text);
		is_text(text, times[i].written != NULL ? times[i].written : times[i].text, "is written");
	}
	for (size_t i = 0; i < sizeof(bad_times) / sizeof(bad_times[0]); i++)
		ok(!te_rfc3339_parse(bad_times[i], &at), bad_times[i]);
	ok(!te_rfc3339_format(INT64_MIN, text) && !te_rfc3339_format(INT64_MAX, text) &&
	       !te_rfc3339_format(INT64_C(253402300800000000), text) &&
	       !te_rfc3339_format(INT64_C(-62135596800000001), text),
	   "times beyond the years 1 to 9999 have no text");
}

int main(void)
{
	hashes_as_the_standard_says();
	signal_ids_follow_from_their_content();
	reads_and_writes_uuids();
	message_ids_name_installation_lane_epoch_and_sequence();
	knows_ids_and_symbols();
	times_are_rfc_3339();
	return done_testing();
}
