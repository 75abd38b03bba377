/*
 * book.h - what is open and what is reserved, added up per scope.
 *
 * Limits count open positions, and signals that have neither expired nor an outcome
 * yet (reserved), so that a burst can't overshoot them.  An entry is one of these: it
 * is put under its tags (its user, its company, its company's symbol, its user's
 * exposure to a currency, ...), each of which has totals.  A tag is a key that the caller
 * makes of the scope's names.
 *
 * Amounts are whole numbers of 1/10,000 of a unit of account currency, and lots of
 * 1e-8, so that totals are exact: they depend on the entries alone, not on what came and went.
 *
 * What a batch does is undone by te_book_discard.  The caller gives the memory.
 */
#ifndef TE_CORE_BOOK_H
#define TE_CORE_BOOK_H

#include "recall.h"

#define TE_BOOK_UNIT 1e-4
#define TE_BOOK_MOST 1e11 /* account currency; an amount beyond it counts as this */
#define TE_BOOK_LOT 1e-8  /* unit of lots */
#define TE_BOOK_MOST_LOTS 1e10
#define TE_BOOK_TAGS 12

/* A tag of an entry.  net: the entry's notional counts for (+1), against (-1), or not (0). */
typedef struct TeBookTag
{
	TeKey key;
	int8_t net;
} TeBookTag;

typedef struct TeBookEntry
{
	TeKey id;          /* of the signal or position */
	TeTime expires_at; /* TE_NO_TIME: never, as of a position */
	int64_t risk, notional, margin;
	int64_t pending; /* lots that aren't filled yet and still may be */
	bool stays;      /* it doesn't go when it expires: these amounts are left of it, for good */
	int64_t left_risk, left_notional, left_margin;
	int tag_count;
	TeBookTag tags[TE_BOOK_TAGS]; /* no key twice */
} TeBookEntry;

/* Exact; a total beyond 2^61 counts as that. */
typedef struct TeBookTotals
{
	int64_t entries;
	int64_t risk, notional, margin;
	int64_t pending;
	int64_t net; /* of a currency: long less short */
} TeBookTotals;

typedef struct TeBookLimits
{
	uint32_t entries; /* open and reserved */
	uint32_t totals;  /* tags in use */
	uint32_t changes; /* that a batch may make */
} TeBookLimits;

struct TeBookSlot;
struct TeBookSum;

typedef struct TeBook
{
	TeBookLimits limits;
	uint32_t count; /* entries in the book */
	struct TeBookSlot *slots;
	uint32_t *slot_heads; /* by id; 0: none, else slot + 1 */
	uint32_t free_slot;
	struct TeBookSum *sums;
	uint32_t *sum_heads; /* by tag */
	uint32_t free_sum, sums_used;
	uint32_t *heap; /* slots that expire, the first one on top */
	uint32_t heap_count;
	TeBookEntry *journal; /* what to do to undo the batch, from the last to the first */
	uint32_t changes;
} TeBook;

/* An amount of account currency as the book counts it; NAN (not known) counts as the most. */
extern int64_t te_book_amount(double currency);
static inline double te_book_currency(int64_t amount)
{
	return (double)amount * TE_BOOK_UNIT;
}

/* The same of lots. */
extern int64_t te_book_lots(double lots);
static inline double te_book_in_lots(int64_t count)
{
	return (double)count * TE_BOOK_LOT;
}

extern size_t te_book_size(const TeBookLimits *limits);

/* Lay out an empty book in that memory, aligned as for uint64_t; limits are at least 1. */
extern void te_book_init(TeBook *b, void *memory, const TeBookLimits *limits);

/*
 * Move everything, the batch's changes too, to other memory laid out for other limits, which
 * hold what there is.  Pointers to entries end.
 */
extern void te_book_move(TeBook *b, void *memory, const TeBookLimits *limits);

/* NO_CHANGES: the batch has to end before this.  FULL: there is no room for the entry or its tags.
 */
typedef enum { TE_BOOK_DONE, TE_BOOK_NO_CHANGES, TE_BOOK_FULL } TeBookResult;

/* Put an entry, in place of the one of its id if there is one; FULL leaves the book as it was. */
extern TeBookResult te_book_put(TeBook *b, const TeBookEntry *entry);

/* Take an entry out; DONE too where there is none. */
extern TeBookResult te_book_remove(TeBook *b, TeKey id);

extern const TeBookEntry *te_book_find(const TeBook *b, TeKey id);

/*
 * Take out what has expired (expires_at <= now), or of what stays the part that doesn't.
 * NO_CHANGES: there is more; when the batch has done nothing else yet, apply and go on.
 */
extern TeBookResult te_book_expire(TeBook *b, TeTime now);

/* Totals of a tag, zeros where nothing is under it. */
extern TeBookTotals te_book_totals(const TeBook *b, TeKey tag);

/* After the commit, and after an abort. */
extern void te_book_apply(TeBook *b);
extern void te_book_discard(TeBook *b);

#endif
