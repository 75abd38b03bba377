/*
 * door.h - what the functions have in common that put messages into trading.inbox.
 *
 * What comes in is turned into the very bytes that a broker would have brought, and read
 * back by the lanes' own decoder, so that whatever a lane would make a dead letter of is an
 * error here and now.  The rows belong to the caller's transaction.
 *
 * The functions run as the owner of the extension: it may write to the inbox, tenants may not.
 */
#ifndef TE_SQL_DOOR_H
#define TE_SQL_DOOR_H

#include "postgres.h"

#include "sql/tenant.h"
#include "wire/decode.h"

/* Says where a message came from, and who made it where it doesn't say. */
#define TE_DOOR_SOURCE "sql"

typedef struct TeDoor
{
	const char *what;    /* "predictions", for errors */
	const char *message; /* "batch of predictions" */
	int index;           /* which of several messages is at hand, for errors; -1: there is one */
	bool is_admin, is_tenant;
	TeIdentity identity; /* of a tenant */
} TeDoor;

/* Who comes; error for a session that is neither an administrator nor a tenant. */
extern void te_door_open(TeDoor *door, const char *what, const char *message);

/* A message that can't be used; fields are named as its sender knows them. */
extern void te_door_refuse(const TeDoor *door, const TeWireError *err) pg_attribute_noreturn();

extern void te_door_forbid(const TeDoor *door, const char *field, const char *value,
                           const char *why) pg_attribute_noreturn();

/*
 * A tenant speaks for its own company, and for itself unless it is the company's admin; a
 * viewer doesn't.  The words say that for this kind of message.
 */
typedef struct TeDoorWords
{
	const char *own_company, *no_viewer, *own_user;
} TeDoorWords;
extern void te_door_authorise(const TeDoor *door, const char *company_id, const char *user_id,
                              const TeDoorWords *words);

/* Error unless there is such a company and user; _all is one.  SPI is connected. */
extern void te_door_check_addressee(const TeDoor *door, const char *company_id,
                                    const char *user_id);

/*
 * Pack the envelope, whose payload is set, and read it back into "message", so that its faults
 * are errors now.
 */
extern bytea *te_door_pack(const TeDoor *door, TeEnvelope *envelope, TeArena *arena,
                           TeMessage *message);

/*
 * Put messages of a kind into trading.inbox, in this order; company, user and envelope of each.
 * SPI is connected.
 */
extern void te_door_insert(const char *kind, int count, Datum *companies, Datum *users,
                           Datum *envelopes);

#endif
