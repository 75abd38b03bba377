#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "nats_private.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/*
 * An NKey is base32 without padding over a type byte, 32 bytes, and a CRC-16 (little endian); a
 * seed has two type bytes.  https://docs.nats.io/using-nats/developer/connecting/nkey
 */
#define KEY_BYTES 32
#define SEED_BYTES (2 + KEY_BYTES + 2)
#define PUBLIC_BYTES (1 + KEY_BYTES + 2)
#define TYPE_SEED (18 << 3) /* S */
#define TYPE_USER (20 << 3) /* U */

static const char base32_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* CRC-16/XMODEM. */
static unsigned crc16(const unsigned char *data, size_t len)
{
	unsigned crc = 0;

	for (size_t i = 0; i < len; i++) {
		crc ^= (unsigned)data[i] << 8;
		for (int bit = 0; bit < 8; bit++)
			crc = (crc << 1 ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
	}
	return crc;
}

/* Exactly `size` bytes, or false. */
static bool decode_base32(const char *text, unsigned char *out, size_t size)
{
	unsigned bits = 0, have = 0;
	size_t used = 0;

	for (; *text != '\0'; text++) {
		const char *digit = strchr(base32_digits, *text);

		if (digit == NULL)
			return false;
		bits = (bits << 5 | (unsigned)(digit - base32_digits)) & 0xfff;
		have += 5;
		if (have >= 8) {
			have -= 8;
			if (used == size)
				return false;
			out[used++] = (unsigned char)(bits >> have);
		}
	}
	return used == size;
}

static void encode_base32(const unsigned char *data, size_t len, char *out)
{
	unsigned bits = 0, have = 0;

	for (size_t i = 0; i < len; i++) {
		bits = (bits << 8 | data[i]) & 0xfff;
		for (have += 8; have >= 5; have -= 5)
			*out++ = base32_digits[bits >> (have - 5) & 31];
	}
	if (have > 0)
		*out++ = base32_digits[bits << (5 - have) & 31];
	*out = '\0';
}

bool te_nkey_public(const char *seed, char public_key[TE_NKEY_SIZE])
{
	unsigned char raw[SEED_BYTES], public[PUBLIC_BYTES];
	size_t len = KEY_BYTES;
	EVP_PKEY *key;
	unsigned crc;
	bool ok;

	if (!decode_base32(seed, raw, sizeof(raw)) || (raw[0] & 0xf8) != TYPE_SEED ||
	    ((raw[0] & 7) << 5 | raw[1] >> 3) != TYPE_USER ||
	    crc16(raw, SEED_BYTES - 2) != (raw[SEED_BYTES - 2] | (unsigned)raw[SEED_BYTES - 1] << 8))
		return false;
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw + 2, KEY_BYTES);
	explicit_bzero(raw, sizeof(raw));
	public[0] = TYPE_USER;
	ok = key != NULL && EVP_PKEY_get_raw_public_key(key, public + 1, &len) == 1 && len == KEY_BYTES;
	EVP_PKEY_free(key);
	if (!ok)
		return false;
	crc = crc16(public, PUBLIC_BYTES - 2);
	public[PUBLIC_BYTES - 2] = (unsigned char)(crc & 0xff);
	public[PUBLIC_BYTES - 1] = (unsigned char)(crc >> 8);
	encode_base32(public, sizeof(public), public_key);
	return true;
}

/* A file of credentials has a JWT of some kilobytes before the seed. */
bool te_nkey_read(const char *file_name, const char *setting, char public_key[TE_NKEY_SIZE],
                  char *error, size_t size)
{
	FILE *f = te_credentials_open(file_name, setting, error, size);
	char *line = NULL;
	size_t room = 0;
	bool found = false;

	if (f == NULL)
		return false;
	setvbuf(f, NULL, _IONBF, 0);
	while (!found && getline(&line, &room, f) > 0) {
		line[strcspn(line, " \t\r\n")] = '\0';
		found = te_nkey_public(line, public_key);
	}
	if (line != NULL)
		explicit_bzero(line, room);
	free(line);
	fclose(f);
	if (!found)
		snprintf(error, size, "%s has no line that is a user's seed", setting);
	return found;
}
