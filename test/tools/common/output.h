/*
 * output.h - an engine's output message: which place in its lane's sequence it has.
 */
#ifndef TE_TEST_OUTPUT_H
#define TE_TEST_OUTPUT_H

#include "common/message.h"
#include "wire/identity.h"

typedef enum {
	OUTPUT_NONE,     /* no identity, or headers and envelope disagree */
	OUTPUT_MESSAGE,  /* a signal or a command */
	OUTPUT_GAP_FILL, /* stands for the places "first" to "seq" */
	OUTPUT_MARKER    /* between outputs; has no place */
} OutputKind;

typedef struct Output
{
	OutputKind kind;
	uint64_t lane, epoch, seq;
	uint64_t first;                    /* of a gap-fill; else seq */
	char hash[TE_HASH_TEXT_SIZE];      /* of the content as it is */
	bool hash_stated;                  /* header te-hash says the same */
	char reason[32];                   /* of a gap-fill */
	char signal_id[TE_UUID_TEXT_SIZE]; /* of a signal, or of a command's; else empty */
} Output;

extern Output output_of(const Message *message);

/* A header that is a number, digits only. */
extern bool message_number(const Message *message, const char *name, uint64_t *value);

#endif
