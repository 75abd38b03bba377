/*
 * identity.h - hashes, and the identities that follow from content.
 */
#ifndef TE_WIRE_IDENTITY_H
#define TE_WIRE_IDENTITY_H

#include <stddef.h>
#include <stdint.h>

#include "core/recall.h"

#define TE_UUID_BYTES 16
#define TE_UUID_TEXT_SIZE 37 /* with terminator */
#define TE_SHA256_BYTES 32
#define TE_HASH_TEXT_SIZE 17 /* 16 lower-case hex digits and terminator */
#define TE_MSG_ID_SIZE 112

/* The ids that appear in subjects: companies, users, strategies, producers. */
#define TE_ID_MAX 64
#define TE_SYMBOL_MAX 32
#define TE_NAME_MAX 128 /* batch_id, model_id, correlation_id ... in bytes */
#define TE_ALL "_all"   /* every company, or every user of a company */

/* ^[A-Za-z0-9_-]{1,64}$ */
extern bool te_id_valid(const char *id);

/* ^[A-Za-z0-9_-]{1,32}$: a symbol is a token of subjects, so it has no dot. */
extern bool te_symbol_valid(const char *symbol);

/*
 * Id of a signal: a UUID of version 7 whose first 48 bits are the milliseconds of
 * generated_at, and whose other bits come from the SHA-256 of all arguments, each
 * preceded by its length.  The same decision has the same id wherever and whenever
 * it is computed.
 */
extern void te_signal_id(const char *producer_id, const char *prediction_id, TeTime generated_at,
                         const char *company_id, const char *user_id, const char *strategy_id,
                         uint8_t id[TE_UUID_BYTES]);

/* 8-4-4-4-12 lower-case hex digits. */
extern void te_uuid_text(const uint8_t id[TE_UUID_BYTES], char text[TE_UUID_TEXT_SIZE]);

/* Read that form, upper case too. */
extern bool te_uuid_parse(const char *text, uint8_t id[TE_UUID_BYTES]);

extern void te_sha256(const void *data, size_t len, uint8_t digest[TE_SHA256_BYTES]);

/* First 16 bytes of the SHA-256. */
extern TeKey te_key_of(const void *data, size_t len);

/* First 8 bytes of the SHA-256, as a big-endian number. */
extern uint64_t te_hash64(const void *data, size_t len);

/* The same of a digest that is known. */
extern uint64_t te_sha256_head(const uint8_t digest[TE_SHA256_BYTES]);

/* As header te-hash carries it: the first 16 hex digits of the SHA-256. */
extern void te_hash_text(uint64_t hash, char text[TE_HASH_TEXT_SIZE]);

/* "<installation uuid>/<lane>/<epoch>/<seq>", the Nats-Msg-Id of an output message. */
extern void te_msg_id(const uint8_t installation[TE_UUID_BYTES], uint32_t lane, uint64_t epoch,
                      uint64_t seq, char text[TE_MSG_ID_SIZE]);

#endif
