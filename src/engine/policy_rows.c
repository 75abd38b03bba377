/*
 * policy_rows.c - reading and finding what is laid down; see policy_rows.h.
 */
#include "postgres.h"

#include "engine/policy_rows.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "core/lane.h"
#include "engine/guc.h"
#include "engine/hours.h"
#include "engine/query.h"

/* Rows by scope.  A scope's level: 0 everything, 1 company, 2 user, 3 strategy. */
typedef struct ScopeIndex
{
	uint32 scopes; /* bit level * 2 + (has a symbol): there are such rows */
	uint32 buckets;
	int count;
	TePolicyRow **heads;
} ScopeIndex;

/* Everything of one kind; a context of its own, so that it goes as a whole. */
typedef struct Part
{
	MemoryContext context;
	ScopeIndex index;
} Part;

typedef struct Calendar
{
	MemoryContext context;
	TeNewsEvent *events; /* by time */
	int count;
	TeClosure *known; /* spans, apart from each other, by time */
	int known_count;
} Calendar;

/* Kinds without a scope come behind those that have one. */
enum { KIND_NEWS = TE_POLICY_KIND_COUNT, KIND_HOURS, KIND_COUNT };

struct TePolicyRows
{
	MemoryContext context;
	int lane, lane_count;
	uint32 dirty, read; /* bits of kinds: to be read; read, and not shown yet */
	Part parts[TE_POLICY_KIND_COUNT], staged[TE_POLICY_KIND_COUNT];
	Calendar calendar, staged_calendar;
	TeHours *hours, *staged_hours;
};

TePolicyRows *te_policy_rows_create(MemoryContext parent, int lane, int lane_count)
{
	TePolicyRows *rows = MemoryContextAllocZero(parent, sizeof(TePolicyRows));

	rows->context = parent;
	rows->lane = lane;
	rows->lane_count = lane_count;
	rows->hours = te_hours_create(parent);
	return rows;
}

/*----------------------------------------------------------------------
 * What has to be read
 *----------------------------------------------------------------------*/

static int kind_of(const char *kind)
{
	static const struct
	{
		const char *name;
		int kind;
	} kinds[] = {
		{"limit", TE_POLICY_LIMIT},
		{"protection", TE_POLICY_PROTECTION},
		{"lock", TE_POLICY_LOCK},
		{"switch", TE_POLICY_SWITCH},
		{"news_rule", TE_POLICY_NEWS_RULE},
		{"news", KIND_NEWS},
		{"calendar", KIND_NEWS},
		{"session", KIND_HOURS},
		{"holiday", KIND_HOURS},
	};

	for (size_t i = 0; i < lengthof(kinds); i++)
		if (strcmp(kinds[i].name, kind) == 0)
			return kinds[i].kind;
	return -1;
}

void te_policy_rows_note(TePolicyRows *rows, const char *kind, const char *company_id)
{
	int k = kind_of(kind);

	if (k >= 0 && (company_id == NULL ||
	               te_lane_of(company_id, (uint32)rows->lane_count) == (uint32)rows->lane))
		rows->dirty |= 1u << k;
}

void te_policy_rows_note_all(TePolicyRows *rows)
{
	rows->dirty = (1u << KIND_COUNT) - 1;
}

/*----------------------------------------------------------------------
 * Scopes
 *----------------------------------------------------------------------*/

static uint32 hash_name(const char *name)
{
	return name != NULL ? hash_bytes((const unsigned char *)name, (int)strlen(name)) : 0;
}

TePolicyTarget te_policy_target(const TeScope *scope)
{
	return (TePolicyTarget){
		.scope = *scope,
		.hashes = {hash_name(scope->company), hash_name(scope->user), hash_name(scope->strategy),
	               hash_name(scope->symbol)},
	};
}

/* The part of a target that a scope of this level, with or without a symbol, names. */
static uint32 hash_scope(const TePolicyTarget *target, int level, bool with_symbol)
{
	uint32 hash = (uint32)level;

	for (int i = 0; i < level; i++)
		hash = hash_combine(hash, target->hashes[i]);
	return with_symbol ? hash_combine(hash, target->hashes[3]) : hash;
}

static int level_of(const TeScope *scope)
{
	return scope->strategy != NULL ? 3 : scope->user != NULL ? 2 : scope->company != NULL ? 1 : 0;
}

static void index_row(Part *part, TePolicyRow *row)
{
	TePolicyTarget target = te_policy_target(&row->scope);
	int level = level_of(&row->scope);
	bool with_symbol = row->scope.symbol != NULL;

	row->hash = hash_scope(&target, level, with_symbol);
	part->index.scopes |= 1u << (level * 2 + (with_symbol ? 1 : 0));
	part->index.count++;
}

static void build_index(Part *part, TePolicyRow *chain)
{
	ScopeIndex *index = &part->index;

	if (index->count == 0)
		return;
	index->buckets = pg_nextpower2_32((uint32)index->count * 2);
	index->heads =
		MemoryContextAllocZero(part->context, sizeof(TePolicyRow *) * (Size)index->buckets);
	while (chain != NULL) {
		TePolicyRow *row = chain, **head = &index->heads[row->hash & (index->buckets - 1)];

		chain = row->next;
		row->next = *head;
		*head = row;
	}
}

static bool is_found(const TePolicyRow *row, const TePolicySearch *search, uint32 hash)
{
	return row->hash == hash && (row->scope.symbol != NULL) == (search->scope & 1) &&
	       level_of(&row->scope) == search->scope / 2 &&
	       te_scope_covers(&row->scope, &search->target->scope);
}

const TePolicyRow *te_policy_next(const TePolicyRows *rows, TePolicySearch *search)
{
	const ScopeIndex *index = &rows->parts[search->kind].index;
	const TePolicyRow *row = search->row != NULL ? search->row->next : NULL;

	for (;;) {
		for (; row != NULL; row = row->next)
			if (is_found(row, search, search->hash)) {
				search->row = row;
				return row;
			}
		if (search->left == 0)
			return NULL;
		search->scope = pg_rightmost_one_pos32(search->left);
		search->left &= search->left - 1;
		search->hash = hash_scope(search->target, search->scope / 2, search->scope & 1);
		row = index->heads[search->hash & (index->buckets - 1)];
	}
}

const TePolicyRow *te_policy_first(const TePolicyRows *rows, TePolicyKind kind,
                                   const TePolicyTarget *target, TePolicySearch *search)
{
	uint32 scopes = rows->parts[kind].index.scopes;

	if (scopes == 0)
		return NULL;
	*search = (TePolicySearch){.target = target, .kind = kind, .left = scopes};
	return te_policy_next(rows, search);
}

bool te_policy_has(const TePolicyRows *rows, TePolicyKind kind)
{
	return rows->parts[kind].index.count > 0;
}

TeTradingState te_policy_state(const TePolicyRows *rows, const TePolicyTarget *target)
{
	TeTradingState strictest = TE_TRADING_ACTIVE;
	TePolicySearch search;

	for (const TePolicyRow *row = te_policy_first(rows, TE_POLICY_SWITCH, target, &search);
	     row != NULL; row = te_policy_next(rows, &search))
		strictest = Max(strictest, row->as.state);
	return strictest;
}

/*----------------------------------------------------------------------
 * Reading rows with a scope
 *----------------------------------------------------------------------*/

typedef struct PartReader
{
	Part *part;
	TePolicyKind kind;
	TePolicyRow *chain;
} PartReader;

/* A text of the row, kept with the part; NULL stays NULL. */
static const char *keep_text(const PartReader *reader, TeRow *row, const char *column)
{
	const char *text = te_row_text(row, column);

	return text != NULL ? MemoryContextStrdup(reader->part->context, text) : NULL;
}

static int label_value(const TeEnum *labels, TeRow *row, const char *column)
{
	const char *label = te_row_text(row, column);
	int value = te_enum_value(labels, label);

	if (value < 0)
		elog(ERROR, "unknown %s \"%s\"", labels->name, label);
	return value;
}

static int impact_of(const char *label)
{
	return strcmp(label, "HIGH") == 0 ? 3 : strcmp(label, "MEDIUM") == 0 ? 2 : 1;
}

static TeProtection read_protection(TeRow *row)
{
	double max_drawdown = te_row_double(row, "max_drawdown");

	return (TeProtection){
		.kind = (TeProtectionKind)label_value(&te_protection_enum, row, "kind"),
		.lookback = te_row_int(row, "lookback_us"),
		.lock = te_row_int(row, "lock_us"),
		.unlock_minute = (int)te_row_int(row, "unlock_minute"),
		.trade_limit = (int)te_row_int(row, "trade_limit"),
		.required_profit = te_row_double(row, "required_profit"),
		.max_drawdown = te_known(max_drawdown) ? max_drawdown : 0,
		.method = (TeDrawdownMethod)label_value(&te_drawdown_method_enum, row, "method"),
		.only_per_symbol = te_row_bool(row, "only_per_symbol"),
		.only_per_side = te_row_bool(row, "only_per_side"),
		.only_stops = te_row_bool(row, "only_stops"),
	};
}

static void read_limits(TeRow *row, TeLimits *limits)
{
	for (int i = 0; i < TE_LIMIT_COUNT; i++)
		*(double *)((char *)limits + te_limit_infos[i].offset) =
			te_row_double(row, te_limit_infos[i].name);
}

static void read_row(TeRow *row, void *arg)
{
	PartReader *reader = arg;
	TePolicyRow *r = MemoryContextAllocZero(reader->part->context, sizeof(TePolicyRow));

	r->scope = (TeScope){
		.company = keep_text(reader, row, "company_id"),
		.user = keep_text(reader, row, "user_id"),
		.strategy = keep_text(reader, row, "strategy_id"),
		.symbol = keep_text(reader, row, "symbol"),
	};
	switch (reader->kind) {
	case TE_POLICY_LIMIT:
		read_limits(row, &r->as.limits);
		break;
	case TE_POLICY_PROTECTION:
		r->as.protection =
			(TePolicyProtection){read_protection(row), keep_text(reader, row, "protection"),
		                         keep_text(reader, row, "authority")};
		break;
	case TE_POLICY_LOCK:
		r->scope.side = (int)te_row_int(row, "side");
		r->as.lock = (TeLock){
			.scope = r->scope,
			.cause = (TeProtectionKind)label_value(&te_protection_enum, row, "kind"),
			.until = te_row_time(row, "locked_until"),
			.value = te_row_double(row, "value"),
			.threshold = te_row_double(row, "threshold"),
		};
		break;
	case TE_POLICY_SWITCH:
		r->as.state = (TeTradingState)label_value(&te_trading_state_enum, row, "state");
		break;
	default:
		r->as.news = (TePolicyNews){
			.rule = {te_row_int(row, "before_us"), te_row_int(row, "after_us"),
		             impact_of(te_row_text(row, "least_impact"))},
			.required = te_row_bool(row, "required"),
		};
		break;
	}
	index_row(reader->part, r);
	r->next = reader->chain;
	reader->chain = r;
}

#define SCOPE "x.company_id, x.user_id, x.strategy_id, x.symbol, "
#define OF_LANE                                                                                    \
	" WHERE (x.company_id IS NULL"                                                                 \
	"        OR trading.lane_of(x.company_id, $2) OPERATOR(pg_catalog.=) $1)"

/* A lock that has ended by the server's clock is of no use, unless the lane's is another. */
static const char *const part_sql[TE_POLICY_KIND_COUNT] = {
	[TE_POLICY_LIMIT] = "SELECT x.* FROM trading.risk_limits AS x" OF_LANE,
	[TE_POLICY_PROTECTION] =
		"SELECT x.*, trading.microseconds(x.lookback) AS lookback_us,"
		" trading.microseconds(x.lock_for) AS lock_us,"
		" COALESCE((EXTRACT(EPOCH FROM x.unlock_at) OPERATOR(pg_catalog./) 60)::pg_catalog.int4,"
		"          -1) AS unlock_minute"
		" FROM trading.protections AS x" OF_LANE " AND x.enabled",
	[TE_POLICY_LOCK] = "SELECT " SCOPE "x.side, x.kind, x.locked_until, x.value, x.threshold"
					   " FROM trading.protection_locks AS x" OF_LANE " AND x.lifted_at IS NULL"
					   " AND ($3 OR x.locked_until OPERATOR(pg_catalog.>) pg_catalog.now())",
	[TE_POLICY_SWITCH] = "SELECT " SCOPE "x.state FROM trading.trading_switches AS x" OF_LANE
						 " AND x.state OPERATOR(pg_catalog.<>) 'ACTIVE'",
	[TE_POLICY_NEWS_RULE] =
		"SELECT " SCOPE "x.least_impact, x.required, trading.microseconds(x.before) AS before_us,"
		" trading.microseconds(x.after) AS after_us FROM trading.news_rules AS x" OF_LANE,
};

static void drop(MemoryContext *context)
{
	if (*context != NULL)
		MemoryContextDelete(*context);
	*context = NULL;
}

static void read_part(TePolicyRows *rows, TePolicyKind kind)
{
	Part *part = &rows->staged[kind];
	PartReader reader = {.part = part, .kind = kind};
	Oid types[] = {INT4OID, INT4OID, BOOLOID};
	Datum values[] = {Int32GetDatum(rows->lane), Int32GetDatum(rows->lane_count),
	                  BoolGetDatum(te_guc_clock == TE_CLOCK_INPUT)};
	TeQueryArgs args = {kind == TE_POLICY_LOCK ? 3 : 2, types, values, NULL};

	drop(&part->context);
	*part = (Part){
		.context = AllocSetContextCreate(rows->context, "rows of policy", ALLOCSET_SMALL_SIZES)};
	te_query_each(part_sql[kind], &args, read_row, &reader);
	build_index(part, reader.chain);
}

/*----------------------------------------------------------------------
 * News
 *----------------------------------------------------------------------*/

typedef struct NewsReader
{
	Calendar *calendar;
	int capacity;
} NewsReader;

static void read_event(TeRow *row, void *arg)
{
	NewsReader *reader = arg;
	Calendar *c = reader->calendar;
	Size size;

	if (c->count == reader->capacity) {
		reader->capacity = Max(64, 2 * reader->capacity);
		size = sizeof(TeNewsEvent) * (Size)reader->capacity;
		c->events =
			c->events ? repalloc_huge(c->events, size) : MemoryContextAlloc(c->context, size);
	}
	c->events[c->count++] = (TeNewsEvent){
		.at = te_row_time(row, "event_time"),
		.currency = MemoryContextStrdup(c->context, te_row_text(row, "currency")),
		.impact = impact_of(te_row_text(row, "impact")),
	};
}

/* Spans come by their beginning; those that touch are one. */
static void read_span(TeRow *row, void *arg)
{
	NewsReader *reader = arg;
	Calendar *c = reader->calendar;
	TeClosure span = {te_row_time(row, "known_from"), te_row_time(row, "known_until")};
	TeClosure *last = c->known_count > 0 ? &c->known[c->known_count - 1] : NULL;

	if (last != NULL && span.from <= last->until) {
		last->until = Max(last->until, span.until);
		return;
	}
	if (c->known == NULL || c->known_count == reader->capacity) {
		Size size;

		reader->capacity = Max(16, 2 * reader->capacity);
		size = sizeof(TeClosure) * (Size)reader->capacity;
		c->known = c->known ? repalloc(c->known, size) : MemoryContextAlloc(c->context, size);
	}
	c->known[c->known_count++] = span;
}

static void read_calendar(TePolicyRows *rows)
{
	Calendar *c = &rows->staged_calendar;
	static const TeQueryArgs none = {0};

	drop(&c->context);
	*c =
		(Calendar){.context = AllocSetContextCreate(rows->context, "news", ALLOCSET_DEFAULT_SIZES)};
	te_query_each("SELECT x.event_time, x.currency, x.impact FROM trading.news_events AS x"
	              " ORDER BY x.event_time, x.event_id",
	              &none, read_event, &(NewsReader){.calendar = c});
	te_query_each("SELECT x.known_from, x.known_until FROM trading.news_calendar AS x"
	              " ORDER BY x.known_from",
	              &none, read_span, &(NewsReader){.calendar = c});
}

/* The first event at that time or later. */
static int first_event(const Calendar *c, TeTime at)
{
	int low = 0, high = c->count;

	while (low < high) {
		int middle = low + (high - low) / 2;

		if (c->events[middle].at < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

TeNewsVerdict te_policy_news(const TePolicyRows *rows, const TeNewsRule *rule, const char *base,
                             const char *quote, TeTime at, const TeNewsEvent **event)
{
	const Calendar *c = &rows->calendar;
	int first = first_event(c, at - rule->after), end = first_event(c, at + rule->before + 1);
	TeNewsCalendar part = {.news = c->events + first, .count = end - first};

	for (int i = 0; i < c->known_count; i++)
		if (c->known[i].from <= at && at < c->known[i].until) {
			part.from = c->known[i].from;
			part.until = c->known[i].until;
		}
	return te_news_judge(&part, rule, base, quote, at, event);
}

/*----------------------------------------------------------------------
 * Reading, showing
 *----------------------------------------------------------------------*/

void te_policy_rows_read(TePolicyRows *rows)
{
	for (int k = 0; k < TE_POLICY_KIND_COUNT; k++)
		if (rows->dirty & (1u << k))
			read_part(rows, (TePolicyKind)k);
	if (rows->dirty & (1u << KIND_NEWS))
		read_calendar(rows);
	if (rows->dirty & (1u << KIND_HOURS)) {
		te_hours_free(rows->staged_hours);
		rows->staged_hours = NULL;
		rows->staged_hours = te_hours_create(rows->context);
		te_hours_load(rows->staged_hours);
	}
	rows->read |= rows->dirty;
	rows->dirty = 0;
}

void te_policy_rows_show(TePolicyRows *rows)
{
	for (int k = 0; k < TE_POLICY_KIND_COUNT; k++)
		if (rows->read & (1u << k)) {
			drop(&rows->parts[k].context);
			rows->parts[k] = rows->staged[k];
			rows->staged[k].context = NULL;
		}
	if (rows->read & (1u << KIND_NEWS)) {
		drop(&rows->calendar.context);
		rows->calendar = rows->staged_calendar;
		rows->staged_calendar.context = NULL;
	}
	if (rows->read & (1u << KIND_HOURS)) {
		te_hours_free(rows->hours);
		rows->hours = rows->staged_hours;
		rows->staged_hours = NULL;
	}
	rows->read = 0;
}

bool te_policy_in_session(TePolicyRows *rows, const char *symbol, TeTime at)
{
	return te_hours_open(rows->hours, symbol, at);
}
