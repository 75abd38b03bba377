/*
 * position.h - positions from fills, whatever the order in which they are told.
 *
 * A position nets: fills of one side add to it at the volume-weighted average
 * price, fills of the other reduce it, close it, or turn it round.  A position is
 * the fold of its fills in order of time (then of id), from the first to the last;
 * a ledger keeps them in that order, counts each id once, and folds anew from
 * where a late one belongs.  So every order of arrival gives the same bits.
 */
#ifndef TE_CORE_POSITION_H
#define TE_CORE_POSITION_H

#include "recall.h"
#include "ticks.h"

/* What a terminal reports.  Amounts are in account currency. */
typedef struct TeFill
{
	TeKey id;          /* of the execution_id */
	TeTime at;         /* executed */
	int side;          /* +1 bought, -1 sold; what closes a long position is sold */
	double lots;       /* > 0 */
	double price;      /* > 0; NAN only where the profit is told */
	double profit;     /* told by the terminal, as of a close; NAN: follows from prices */
	double commission; /* a cost is positive */
	double rate;       /* account currency per unit of quote currency; NAN only with a profit */
	double difference; /* what the terminal's profit is above that of prices, 0: nothing is told */
} TeFill;

/* The first field that isn't sound, with a lower-case reason, or NULL. */
extern const char *te_fill_check(const TeFill *f, const char **reason);

typedef struct TePositionTerms
{
	double contract_size; /* units of base per lot */
	TeGrid lot;           /* of lot_step */
} TePositionTerms;

/*
 * A position.  A cycle begins when it opens from flat and ends when it is flat again
 * or turns round.  Sizes are in lot steps, so that what is flat is 0.
 */
typedef struct TePosition
{
	double steps;        /* open; < 0: short */
	double average_open; /* of the cycle; NAN before the first */
	double average_close;
	double closed_steps;   /* of the cycle */
	int side;              /* of the cycle; 0 before the first */
	double realised;       /* of the cycle, commissions taken off */
	double total_realised; /* of all cycles, commissions taken off */
	double total_commission;
	TeTime opened_at; /* of the cycle */
	TeTime closed_at; /* TE_NO_TIME: it isn't closed */
	int64_t fills, cycles;
	double owed_steps; /* closed before they were opened; later fills settle it. < 0: sold */
} TePosition;

extern void te_position_init(TePosition *p);

/*
 * Add a sound fill that is later than all others.  One whose profit is told closes
 * and never opens: it takes the told profit for what it closes, and what it closes
 * beyond the position is owed by fills to come.
 */
extern void te_position_add(TePosition *p, const TePositionTerms *terms, const TeFill *f);

extern double te_position_lots(const TePosition *p, const TePositionTerms *terms);

/* Profit of what is open at a price, in account currency; 0 when flat. */
extern double te_position_unrealised(const TePosition *p, const TePositionTerms *terms,
                                     double price, double rate);

/* (average_close - average_open) / average_open, signed by side; NAN before a close. */
extern double te_position_return(const TePosition *p);

typedef struct TeLedgerEntry
{
	TeFill fill;
	bool staged;
} TeLedgerEntry;

/* The fills of one position.  The caller gives the memory of the entries. */
typedef struct TeLedger
{
	TePositionTerms terms;
	uint32_t capacity, count;
	TeLedgerEntry *entries; /* in order */
	TePosition base;        /* of the fills that were folded away */
	TeFill last;            /* of these; at TE_NO_TIME: none */
	TePosition position;    /* after the first "folded" entries */
	uint32_t folded;
} TeLedger;

extern void te_ledger_init(TeLedger *l, const TePositionTerms *terms, TeLedgerEntry *memory,
                           uint32_t capacity);

typedef enum {
	TE_FILL_ADDED,
	TE_FILL_REPEATED, /* known, with the same content: no effect */
	TE_FILL_CONFLICT, /* known, with another content: no effect; the first one counts */
	TE_FILL_TOO_LATE, /* belongs before what was folded away, or is of it: look into the rows */
	TE_FILL_NO_ROOM   /* fold away first */
} TeFillVerdict;

/* Stage a sound fill. */
extern TeFillVerdict te_ledger_add(TeLedger *l, const TeFill *f);

/* The position with everything that was added, staged fills included. */
extern const TePosition *te_ledger_position(TeLedger *l);

/* After the commit, and after an abort. */
extern void te_ledger_apply(TeLedger *l);
extern void te_ledger_discard(TeLedger *l);

/*
 * Make room: fold away what was executed before "horizon" and is committed.  Fills
 * before that are then too late for memory; the position changes by nothing.
 */
extern void te_ledger_fold(TeLedger *l, TeTime horizon);

#endif
