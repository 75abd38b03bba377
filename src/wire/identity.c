/*
 * identity.c - see identity.h.
 */
#include "identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

static bool token_valid(const char *text, size_t max)
{
	size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");

	return len >= 1 && len <= max && text[len] == '\0';
}

bool te_id_valid(const char *id)
{
	return token_valid(id, TE_ID_MAX);
}

bool te_symbol_valid(const char *symbol)
{
	return token_valid(symbol, TE_SYMBOL_MAX);
}

/*
 * A digest in progress.  Context and algorithm are fetched once per thread: a
 * fetch for each message would take longer than the hash.  Without them nothing
 * can be identified, and a library that can't give SHA-256 is broken beyond use.
 */
static EVP_MD_CTX *digest_begin(void)
{
	static _Thread_local EVP_MD_CTX *context;
	static _Thread_local EVP_MD *algorithm;

	if (context == NULL) {
		algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
		context = EVP_MD_CTX_new();
	}
	if (algorithm == NULL || context == NULL || EVP_DigestInit_ex2(context, algorithm, NULL) != 1)
		abort();
	return context;
}

static void digest_add(EVP_MD_CTX *context, const void *data, size_t len)
{
	if (len > 0 && EVP_DigestUpdate(context, data, len) != 1)
		abort();
}

static void digest_end(EVP_MD_CTX *context, uint8_t digest[TE_SHA256_BYTES])
{
	unsigned int len = TE_SHA256_BYTES;

	if (EVP_DigestFinal_ex(context, digest, &len) != 1 || len != TE_SHA256_BYTES)
		abort();
}

static void put_be64(uint8_t out[8], uint64_t value)
{
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(value >> (56 - 8 * i));
}

static void digest_add_text(EVP_MD_CTX *context, const char *text)
{
	size_t len = strlen(text);
	uint8_t prefix[8];

	put_be64(prefix, len);
	digest_add(context, prefix, sizeof(prefix));
	digest_add(context, text, len);
}

void te_sha256(const void *data, size_t len, uint8_t digest[TE_SHA256_BYTES])
{
	EVP_MD_CTX *context = digest_begin();

	digest_add(context, data, len);
	digest_end(context, digest);
}

/* Eight bytes as a big-endian number. */
static uint64_t number_of(const uint8_t *bytes)
{
	uint64_t number = 0;

	for (int i = 0; i < 8; i++)
		number = number << 8 | bytes[i];
	return number;
}

TeKey te_key_of(const void *data, size_t len)
{
	uint8_t digest[TE_SHA256_BYTES];

	te_sha256(data, len, digest);
	return (TeKey){number_of(digest), number_of(digest + 8)};
}

uint64_t te_hash64(const void *data, size_t len)
{
	return te_key_of(data, len).hi;
}

uint64_t te_sha256_head(const uint8_t digest[TE_SHA256_BYTES])
{
	return number_of(digest);
}

void te_hash_text(uint64_t hash, char text[TE_HASH_TEXT_SIZE])
{
	snprintf(text, TE_HASH_TEXT_SIZE, "%016" PRIx64, hash);
}

void te_signal_id(const char *producer_id, const char *prediction_id, TeTime generated_at,
                  const char *company_id, const char *user_id, const char *strategy_id,
                  uint8_t id[TE_UUID_BYTES])
{
	EVP_MD_CTX *context = digest_begin();
	uint8_t digest[TE_SHA256_BYTES];
	uint8_t at[8];
	/* Times before 1970 have no place in a UUID of version 7; the hash still tells them apart. */
	uint64_t ms = generated_at > 0 ? (uint64_t)generated_at / 1000 : 0;

	digest_add_text(context, producer_id);
	digest_add_text(context, prediction_id);
	put_be64(at, (uint64_t)generated_at);
	digest_add(context, at, sizeof(at));
	digest_add_text(context, company_id);
	digest_add_text(context, user_id);
	digest_add_text(context, strategy_id);
	digest_end(context, digest);

	for (int i = 0; i < 6; i++)
		id[i] = (uint8_t)(ms >> (40 - 8 * i));
	memcpy(id + 6, digest, TE_UUID_BYTES - 6);
	id[6] = (uint8_t)((id[6] & 0x0F) | 0x70); /* version 7 */
	id[8] = (uint8_t)((id[8] & 0x3F) | 0x80); /* variant of RFC 9562 */
}

void te_uuid_text(const uint8_t id[TE_UUID_BYTES], char text[TE_UUID_TEXT_SIZE])
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < TE_UUID_BYTES; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*text++ = '-';
		*text++ = digits[id[i] >> 4];
		*text++ = digits[id[i] & 15];
	}
	*text = '\0';
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool te_uuid_parse(const char *text, uint8_t id[TE_UUID_BYTES])
{
	for (int i = 0; i < TE_UUID_BYTES; i++) {
		int high, low;

		if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
			return false;
		if ((high = hex_digit(text[0])) < 0 || (low = hex_digit(text[1])) < 0)
			return false;
		id[i] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	return *text == '\0';
}

void te_msg_id(const uint8_t installation[TE_UUID_BYTES], uint32_t lane, uint64_t epoch,
               uint64_t seq, char text[TE_MSG_ID_SIZE])
{
	char uuid[TE_UUID_TEXT_SIZE];

	te_uuid_text(installation, uuid);
	snprintf(text, TE_MSG_ID_SIZE, "%s/%" PRIu32 "/%" PRIu64 "/%" PRIu64, uuid, lane, epoch, seq);
}
