/*
 * hours.c - see hours.h.
 */
#include "postgres.h"

#include "engine/hours.h"

#include "nodes/pg_list.h"
#include "pgtime.h"
#include "utils/datetime.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "core/sessions.h"
#include "engine/query.h"
#include "sql/sqltime.h"

#define SYMBOL_SIZE 33
#define WEEK_USECS (7 * USECS_PER_DAY)

typedef struct Session
{
	int day;        /* 1 Monday .. 7 Sunday */
	int64 opens_at; /* since midnight */
	int64 length;   /* by the clocks of the zone; up to a week */
	pg_tz *zone;
} Session;

typedef struct SymbolHours
{
	char symbol[SYMBOL_SIZE];
	List *sessions;     /* of Session */
	List *holidays;     /* of TeClosure */
	TeTime from, until; /* the session that was found last */
} SymbolHours;

struct TeHours
{
	MemoryContext context;
	HTAB *symbols;
};

TeHours *te_hours_create(MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "trading hours", ALLOCSET_SMALL_SIZES);
	TeHours *hours = MemoryContextAllocZero(context, sizeof(TeHours));
	HASHCTL control = {.keysize = SYMBOL_SIZE, .entrysize = sizeof(SymbolHours), .hcxt = context};

	hours->context = context;
	hours->symbols =
		hash_create("trading hours", 64, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	return hours;
}

void te_hours_free(TeHours *hours)
{
	if (hours != NULL)
		MemoryContextDelete(hours->context);
}

/*----------------------------------------------------------------------
 * Reading
 *----------------------------------------------------------------------*/

static SymbolHours *hours_of(TeHours *hours, const char *symbol)
{
	bool found;
	SymbolHours *s = hash_search(hours->symbols, symbol, HASH_ENTER, &found);

	if (!found) {
		s->sessions = s->holidays = NIL;
		s->from = s->until = 0;
	}
	return s;
}

static void *append(TeHours *hours, List **list, Size size)
{
	MemoryContext old = MemoryContextSwitchTo(hours->context);
	void *item = palloc0(size);

	*list = lappend(*list, item);
	MemoryContextSwitchTo(old);
	return item;
}

static void read_session(TeRow *row, void *arg)
{
	TeHours *hours = arg;
	SymbolHours *symbol = hours_of(hours, te_row_text(row, "symbol"));
	Session *s = append(hours, &symbol->sessions, sizeof(Session));
	const char *zone = te_row_text(row, "time_zone");
	int64 closes_at = te_row_int(row, "close_us");

	s->day = (int)te_row_int(row, "open_day");
	s->opens_at = te_row_int(row, "open_us");
	s->length = (te_row_int(row, "close_day") - s->day) * USECS_PER_DAY + closes_at - s->opens_at;
	if (s->length <= 0)
		s->length += WEEK_USECS;
	s->zone = pg_tzset(zone);
	if (s->zone == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
		                errmsg("time zone \"%s\" of a session of \"%s\" is not known", zone,
		                       symbol->symbol)));
}

static void read_holiday(TeRow *row, void *arg)
{
	TeHours *hours = arg;
	SymbolHours *symbol = hours_of(hours, te_row_text(row, "symbol"));
	TeClosure *c = append(hours, &symbol->holidays, sizeof(TeClosure));

	*c = (TeClosure){te_row_time(row, "closed_from"), te_row_time(row, "closed_until")};
}

void te_hours_load(TeHours *hours)
{
	static const TeQueryArgs none = {0};

	te_query_each(
		"SELECT x.symbol, x.open_day, x.close_day, x.time_zone,"
		" (EXTRACT(EPOCH FROM x.open_time) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8"
		" AS open_us,"
		" (EXTRACT(EPOCH FROM x.close_time) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8"
		" AS close_us FROM trading.instrument_sessions AS x",
		&none, read_session, hours);
	te_query_each("SELECT x.symbol, x.closed_from, x.closed_until"
	              " FROM trading.market_holidays AS x",
	              &none, read_holiday, hours);
}

/*----------------------------------------------------------------------
 * Asking
 *----------------------------------------------------------------------*/

/* The instant at which the clocks of a zone show a time; false: none that can be told. */
static bool instant_of(Timestamp local, pg_tz *zone, TimestampTz *at)
{
	struct pg_tm tm;
	fsec_t fsec;
	int offset;

	if (timestamp2tm(local, NULL, &tm, &fsec, NULL, NULL) != 0)
		return false;
	offset = DetermineTimeZoneOffset(&tm, zone);
	return tm2timestamp(&tm, fsec, &offset, at) == 0;
}

/* The session of that row that begins on a day of the zone, if it holds the time. */
static bool holds(const Session *s, int day, TimestampTz at, TeTime *from, TeTime *until)
{
	Timestamp opens = (Timestamp)(day - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY + s->opens_at;
	TimestampTz opened, closes;

	if ((j2day(day) + 6) % 7 + 1 != s->day || !instant_of(opens, s->zone, &opened) ||
	    !instant_of(opens + s->length, s->zone, &closes) || at < opened || at >= closes)
		return false;
	*from = te_time_from_timestamptz(opened);
	*until = te_time_from_timestamptz(closes);
	return true;
}

/* A session goes on for a week at most. */
static bool is_within(const Session *s, TimestampTz at, TeTime *from, TeTime *until)
{
	struct pg_tm tm;
	fsec_t fsec;
	int offset, today;

	if (timestamp2tm(at, &offset, &tm, &fsec, NULL, s->zone) != 0)
		return false;
	today = date2j(tm.tm_year, tm.tm_mon, tm.tm_mday);
	for (int day = today - 8; day <= today + 1; day++)
		if (holds(s, day, at, from, until))
			return true;
	return false;
}

static bool is_holiday(const SymbolHours *symbol, TeTime at)
{
	ListCell *cell;

	foreach (cell, symbol->holidays) {
		const TeClosure *c = lfirst(cell);

		if (at >= c->from && at < c->until)
			return true;
	}
	return false;
}

bool te_hours_open(TeHours *hours, const char *symbol, TeTime at)
{
	SymbolHours *s = hash_search(hours->symbols, symbol, HASH_FIND, NULL);
	ListCell *cell;

	if (s == NULL)
		return true;
	if (is_holiday(s, at))
		return false;
	if (s->sessions == NIL || (at >= s->from && at < s->until))
		return true;
	foreach (cell, s->sessions)
		if (is_within(lfirst(cell), te_time_to_timestamptz(at), &s->from, &s->until))
			return true;
	return false;
}
