/*
 * exposure.c - memories, book and results of a lane.
 *
 * Names become keys by SHA-256, each part with its length before it.
 */
#include "postgres.h"

#include "core/lane.h"
#include "core/limits.h"
#include "core/work.h"
#include "engine/exposure.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"

#define BATCH_AT_FIRST 1024
#define ENTRIES_AT_FIRST 1024

/* What a key is of; it comes before the names. */
typedef enum {
	KEY_SIGNALS = 'd',
	KEY_PREDICTION = 'p',
	KEY_ACCOUNT = 'a',
	KEY_SCOPE = 's',
	KEY_CURRENCY = 'c',
	KEY_POSITION = 'n',
	KEY_BUYING = 'b',
	KEY_SELLING = 'v',
} KeyKind;

typedef struct ResultsEntry
{
	TeKey key;
	TeAccountResults results;
} ResultsEntry;

typedef struct PositionEntry
{
	TeKey key;
	double lots;
} PositionEntry;

struct TeExposure
{
	MemoryContext context;
	TeDuplicateLimits limits;
	void *duplicate_memory;
	TeDuplicates duplicates;
	void *book_memory;
	TeBook book;
	HTAB *results, *positions;
};

/*----------------------------------------------------------------------
 * Keys
 *----------------------------------------------------------------------*/

#define KEY_PARTS 4

/* The key of up to four names; NULL counts as another name than the empty one. */
static TeKey key_of(KeyKind kind, const char *const names[KEY_PARTS])
{
	uint8_t digest[TE_SHA256_BYTES];
	char text[1 + KEY_PARTS * (TE_NAME_MAX + 2)];
	Size length = 0;
	TeKey key;

	text[length++] = (char)kind;
	for (int i = 0; i < KEY_PARTS; i++) {
		Size part = names[i] != NULL ? Min(strlen(names[i]), TE_NAME_MAX) : 0;

		text[length++] = names[i] != NULL ? (char)part : (char)0xff;
		memcpy(text + length, names[i] != NULL ? names[i] : "", part);
		length += part;
	}
	te_sha256(text, length, digest);
	memcpy(&key, digest, sizeof(key));
	return key;
}

#define KEY(kind, ...) key_of(kind, (const char *const[KEY_PARTS]){__VA_ARGS__})

static TeKey signal_key(const uint8_t signal_id[TE_UUID_BYTES])
{
	TeKey key;

	memcpy(&key, signal_id, sizeof(key));
	return key;
}

/*----------------------------------------------------------------------
 * Life
 *----------------------------------------------------------------------*/

static HTAB *make_table(MemoryContext context, const char *name, Size entry_size)
{
	HASHCTL control = {.keysize = sizeof(TeKey), .entrysize = entry_size, .hcxt = context};

	return hash_create(name, 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

TeExposure *te_exposure_create(MemoryContext context, uint32 signals, uint32 bans)
{
	TeExposure *e = MemoryContextAllocZero(context, sizeof(TeExposure));
	TeBookLimits book = {ENTRIES_AT_FIRST, ENTRIES_AT_FIRST * 4, BATCH_AT_FIRST};

	e->context = context;
	e->limits = (TeDuplicateLimits){
		.signals = signals, .decisions = signals, .bans = bans, .batch = BATCH_AT_FIRST};
	e->duplicate_memory = MemoryContextAllocHuge(context, te_duplicates_size(&e->limits));
	te_duplicates_init(&e->duplicates, e->duplicate_memory, &e->limits);
	e->book_memory = MemoryContextAllocHuge(context, te_book_size(&book));
	te_book_init(&e->book, e->book_memory, &book);
	e->results = make_table(context, "results of accounts", sizeof(ResultsEntry));
	e->positions = make_table(context, "net positions", sizeof(PositionEntry));
	return e;
}

uint32 te_exposure_capacity(const TeExposure *e)
{
	return e->limits.signals;
}

static uint32 twice(uint32 n)
{
	if (n > PG_INT32_MAX / 2)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
		                errmsg("a batch makes more signals than a lane can hold")));
	return n * 2;
}

/* Room for twice the batch. */
static void grow_duplicates(TeExposure *e)
{
	void *old = e->duplicate_memory;
	TeDuplicateLimits limits = e->limits;

	limits.batch = twice(limits.batch);
	e->duplicate_memory = MemoryContextAllocHuge(e->context, te_duplicates_size(&limits));
	te_duplicates_move(&e->duplicates, e->duplicate_memory, &limits);
	e->limits = limits;
	pfree(old);
}

static void grow_book(TeExposure *e, TeBookResult why)
{
	void *old = e->book_memory;
	TeBookLimits limits = e->book.limits;

	if (why == TE_BOOK_NO_CHANGES)
		limits.changes = twice(limits.changes);
	else {
		if (e->book.count >= limits.entries / 2)
			limits.entries = twice(limits.entries);
		limits.totals = twice(limits.totals);
	}
	e->book_memory = MemoryContextAllocHuge(e->context, te_book_size(&limits));
	te_book_move(&e->book, e->book_memory, &limits);
	pfree(old);
}

/*----------------------------------------------------------------------
 * What a decision sees
 *----------------------------------------------------------------------*/

static const TeAccountResults no_results = {.day_starts_at = TE_NO_TIME};

static TeAccountResults results_of(const TeExposure *e, TeKey key)
{
	const ResultsEntry *entry = NULL;

	if (hash_get_num_entries(e->results) > 0)
		entry = hash_search(e->results, &key, HASH_FIND, NULL);
	return entry != NULL ? entry->results : no_results;
}

void te_exposure_account(const TeExposure *e, const TeCachedStrategy *s, TeAccount *out)
{
	TeKey *key = s->account_key;

	te_strategy_account(s, out);
	/* Names become a key once for as long as the account is cached. */
	if (key->hi == 0 && key->lo == 0)
		*key = KEY(KEY_ACCOUNT, s->company_id, s->user_id, s->account_id);
	te_account_add(out, results_of(e, *key).realised, te_book_totals(&e->book, *key).entries);
}

/*----------------------------------------------------------------------
 * Repetitions
 *----------------------------------------------------------------------*/

static int side_of(const TeDecision *d)
{
	return d->outcome == TE_OUTCOME_SIGNAL ? te_direction_sign(d->signal_type) : 0;
}

static TeKey prediction_key(const char *company_id, const char *user_id, const char *strategy_id,
                            const char *prediction_id)
{
	return KEY(KEY_PREDICTION, company_id, user_id, strategy_id, prediction_id);
}

static TeDuplicateSignal duplicate_signal(const TeCandidate *c)
{
	const TeCachedStrategy *s = &c->of;

	return (TeDuplicateSignal){
		.key =
			KEY(KEY_SIGNALS, s->company_id, s->user_id, s->strategy_id, c->in.instrument->symbol),
		.at = c->in.at,
		.side = side_of(&c->decision),
		.entry_price = c->decision.entry_price,
		.hold_reason = (uint8_t)c->decision.hold_reason,
	};
}

static TeDuplicateRule duplicate_rule(const TeCandidate *c)
{
	return (TeDuplicateRule){
		.window_seconds = c->strategy.duplicate_window_seconds,
		.distance_pips = c->strategy.duplicate_distance_pips,
		.pip_size = c->in.instrument->pip_size,
	};
}

bool te_exposure_repeats(const TeExposure *e, const TeCandidate *c)
{
	TeKey prediction = prediction_key(c->of.company_id, c->of.user_id, c->of.strategy_id,
	                                  c->in.prediction->prediction_id);
	TeDuplicateSignal signal = duplicate_signal(c);
	TeDuplicateRule rule = duplicate_rule(c);
	TeOutcome outcome;

	return te_duplicates_has_decision(&e->duplicates, prediction, c->in.at, &outcome) ||
	       te_duplicates_has_ban(&e->duplicates, prediction, c->in.at) ||
	       te_duplicates_has_signal(&e->duplicates, &signal, &rule);
}

/* Remember a signal or hold; its number in the memory. */
static uint64 add_signal(TeExposure *e, const TeDuplicateSignal *signal, int32 window_seconds)
{
	TeDuplicateRule rule = {.window_seconds = window_seconds};

	while (te_duplicates_add_signal(&e->duplicates, signal, &rule) == NULL)
		grow_duplicates(e);
	return e->duplicates.signals.newest;
}

static void add_decision(TeExposure *e, TeKey prediction, TeTime at, TeOutcome outcome,
                         double strength)
{
	while (!te_duplicates_add_decision(&e->duplicates, prediction, at, outcome, strength))
		grow_duplicates(e);
}

void te_exposure_ban(TeExposure *e, const char *company_id, const char *user_id,
                     const char *strategy_id, const char *prediction_id, TeTime stopped_at)
{
	TeKey prediction = prediction_key(company_id, user_id, strategy_id, prediction_id);

	while (!te_duplicates_add_ban(&e->duplicates, prediction, stopped_at))
		grow_duplicates(e);
}

void te_exposure_remember(TeExposure *e, const TeExposureSignal *s)
{
	TeDuplicateSignal signal = {
		.key = KEY(KEY_SIGNALS, s->company_id, s->user_id, s->strategy_id, s->symbol),
		.at = s->decided_at,
		.side = s->side,
		.entry_price = s->entry_price,
		.hold_reason = (uint8_t)s->hold_reason,
	};

	if (s->outcome != TE_OUTCOME_RISK_REJECTED)
		(void)add_signal(e, &signal, s->window_seconds);
	add_decision(e, prediction_key(s->company_id, s->user_id, s->strategy_id, s->prediction_id),
	             s->decided_at, s->outcome, s->signal_strength);
}

/*----------------------------------------------------------------------
 * The book
 *----------------------------------------------------------------------*/

static TeKey scope_key(const TeExposureScope *s)
{
	if (s->account_id != NULL)
		return KEY(KEY_ACCOUNT, s->company_id, s->user_id, s->account_id);
	if (s->currency != NULL)
		return KEY(KEY_CURRENCY, s->company_id, s->user_id, s->currency);
	return KEY(KEY_SCOPE, s->company_id, s->user_id, s->strategy_id, s->symbol);
}

TeBookTotals te_exposure_totals(const TeExposure *e, const TeExposureScope *scope)
{
	return te_book_totals(&e->book, scope_key(scope));
}

static KeyKind kind_of_side(int side)
{
	return side > 0 ? KEY_BUYING : KEY_SELLING;
}

static void add_tag(TeBookEntry *entry, TeKey key, int net)
{
	entry->tags[entry->tag_count++] = (TeBookTag){key, (int8_t)net};
}

/* The scopes that te_exposure_totals can be asked about. */
static void add_tags(TeBookEntry *entry, const TeExposureOrder *o)
{
	const char *company = o->company_id, *user = o->user_id, *strategy = o->strategy_id;

	add_tag(entry, KEY(KEY_ACCOUNT, company, user, o->account_id), 0);
	add_tag(entry, KEY(kind_of_side(o->side), company, user, o->account_id, o->symbol), 0);
	add_tag(entry, KEY(KEY_SCOPE, company), 0);
	add_tag(entry, KEY(KEY_SCOPE, company, user), 0);
	add_tag(entry, KEY(KEY_SCOPE, company, user, strategy), 0);
	add_tag(entry, KEY(KEY_SCOPE, company, NULL, NULL, o->symbol), 0);
	add_tag(entry, KEY(KEY_SCOPE, company, user, NULL, o->symbol), 0);
	add_tag(entry, KEY(KEY_SCOPE, company, user, strategy, o->symbol), 0);
	add_tag(entry, KEY(KEY_CURRENCY, company, NULL, o->base_currency), o->side);
	add_tag(entry, KEY(KEY_CURRENCY, company, user, o->base_currency), o->side);
	if (strcmp(o->base_currency, o->quote_currency) == 0)
		return;
	add_tag(entry, KEY(KEY_CURRENCY, company, NULL, o->quote_currency), -o->side);
	add_tag(entry, KEY(KEY_CURRENCY, company, user, o->quote_currency), -o->side);
}

static void put(TeExposure *e, const TeBookEntry *entry)
{
	TeBookResult result;

	while ((result = te_book_put(&e->book, entry)) != TE_BOOK_DONE)
		grow_book(e, result);
}

void te_exposure_put(TeExposure *e, const uint8_t signal_id[TE_UUID_BYTES],
                     const TeExposureOrder *o)
{
	TeBookEntry entry = {
		.id = signal_key(signal_id),
		.expires_at = o->expires_at,
		.risk = te_book_amount(o->risk),
		.notional = te_book_amount(o->notional),
		.margin = te_book_amount(o->margin),
		.pending = te_book_lots(o->pending_lots),
		.stays = o->left > 0,
		.left_risk = te_book_amount(o->risk * o->left),
		.left_notional = te_book_amount(o->notional * o->left),
		.left_margin = te_book_amount(o->margin * o->left),
	};

	add_tags(&entry, o);
	put(e, &entry);
}

void te_exposure_remove(TeExposure *e, const uint8_t signal_id[TE_UUID_BYTES])
{
	TeBookResult result;

	while ((result = te_book_remove(&e->book, signal_key(signal_id))) != TE_BOOK_DONE)
		grow_book(e, result);
}

const TeBookEntry *te_exposure_find(const TeExposure *e, const uint8_t signal_id[TE_UUID_BYTES])
{
	return te_book_find(&e->book, signal_key(signal_id));
}

void te_exposure_expire(TeExposure *e, TeTime now)
{
	TeBookResult result;

	while ((result = te_book_expire(&e->book, now)) != TE_BOOK_DONE)
		grow_book(e, result);
}

void te_exposure_order(const TeDecisionInput *in, const TeDecision *d, double margin_rate,
                       TeExposureOrder *out)
{
	const TeInstrument *i = in->instrument;
	TeLotCost lot = te_lot_cost(in, d, margin_rate);

	*out = (TeExposureOrder){
		.symbol = i->symbol,
		.base_currency = i->base_currency,
		.quote_currency = i->quote_currency,
		.account_currency = in->account->currency,
		.side = lot.side,
		.risk = d->max_loss,
		.notional = lot.notional * d->position_size,
		.margin = lot.margin * d->position_size,
		.pending_lots = d->position_size,
		.expires_at = d->expires_at,
	};
}

static void reserve(TeExposure *e, const TeCandidate *c)
{
	TeExposureOrder order;

	te_exposure_order(&c->in, &c->decision, c->margin_rate, &order);
	order.company_id = c->of.company_id;
	order.user_id = c->of.user_id;
	order.strategy_id = c->of.strategy_id;
	order.account_id = c->of.account_id;
	te_exposure_put(e, c->signal_id, &order);
}

/*----------------------------------------------------------------------
 * Candidates
 *----------------------------------------------------------------------*/

void te_exposure_take(TeExposure *e, TeCandidate *c)
{
	const TeDecision *d = &c->decision;
	TeDuplicateSignal signal = duplicate_signal(c);

	if (d->outcome != TE_OUTCOME_RISK_REJECTED)
		c->memo = add_signal(e, &signal, c->strategy.duplicate_window_seconds);
	add_decision(e,
	             prediction_key(c->of.company_id, c->of.user_id, c->of.strategy_id,
	                            c->in.prediction->prediction_id),
	             c->in.at, d->outcome, d->signal_strength);
	if (d->outcome != TE_OUTCOME_SIGNAL)
		return;
	reserve(e, c);
	c->reserved = true;
}

void te_exposure_amend(TeExposure *e, TeCandidate *c)
{
	TeMemo *memo;

	if (!c->reserved)
		return;
	if (c->decision.outcome == TE_OUTCOME_SIGNAL) {
		reserve(e, c);
		return;
	}
	te_exposure_remove(e, c->signal_id);
	c->reserved = false;
	/* It was never said, so that the next one like it isn't a repetition. */
	memo = te_recall_entry(&e->duplicates.signals, c->memo);
	if (memo != NULL)
		te_duplicates_retype(memo, 0, TE_HOLD_REASON_NONE);
}

/*----------------------------------------------------------------------
 * Results
 *----------------------------------------------------------------------*/

TeAccountResults te_exposure_results(const TeExposure *e, const char *company_id,
                                     const char *user_id, const char *account_id)
{
	return results_of(e, KEY(KEY_ACCOUNT, company_id, user_id, account_id));
}

void te_exposure_set_results(TeExposure *e, const char *company_id, const char *user_id,
                             const char *account_id, const TeAccountResults *results)
{
	TeKey key = KEY(KEY_ACCOUNT, company_id, user_id, account_id);
	ResultsEntry *entry = hash_search(e->results, &key, HASH_ENTER, NULL);

	entry->results = *results;
}

double te_exposure_position(const TeExposure *e, const char *company_id, const char *user_id,
                            const char *account_id, const char *symbol)
{
	TeKey key = KEY(KEY_POSITION, company_id, user_id, account_id, symbol);
	const PositionEntry *entry = hash_search(e->positions, &key, HASH_FIND, NULL);

	return entry != NULL ? entry->lots : 0;
}

void te_exposure_set_position(TeExposure *e, const char *company_id, const char *user_id,
                              const char *account_id, const char *symbol, double lots)
{
	TeKey key = KEY(KEY_POSITION, company_id, user_id, account_id, symbol);

	if (lots != 0)
		((PositionEntry *)hash_search(e->positions, &key, HASH_ENTER, NULL))->lots = lots;
	else
		(void)hash_search(e->positions, &key, HASH_REMOVE, NULL);
}

double te_exposure_pending(const TeExposure *e, const char *company_id, const char *user_id,
                           const char *account_id, const char *symbol, int side)
{
	TeKey key = KEY(kind_of_side(side), company_id, user_id, account_id, symbol);

	return te_book_in_lots(te_book_totals(&e->book, key).pending);
}

/*----------------------------------------------------------------------
 * Staging
 *----------------------------------------------------------------------*/

void te_exposure_apply(TeExposure *e, TeTime now)
{
	te_duplicates_apply(&e->duplicates, now);
	te_book_apply(&e->book);
}

void te_exposure_discard(TeExposure *e)
{
	te_duplicates_discard(&e->duplicates);
	te_book_discard(&e->book);
}

TeExposureFigures te_exposure_figures(const TeExposure *e)
{
	const TeDuplicates *d = &e->duplicates;

	return (TeExposureFigures){
		.reserved = e->book.count,
		.lost = (int64)(d->signals.lost + d->decisions.lost + d->bans.lost),
		.bytes = (int64)(te_duplicates_size(&e->limits) + te_book_size(&e->book.limits)),
	};
}
