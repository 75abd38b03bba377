/*
 * cache_records.c - the records of the cache: how they are made, kept small and freed.
 *
 * Sets of symbols and rules are long and few: one copy of each, counted.  Everything else that
 * belongs to a record stands in the record.
 */
#include "postgres.h"

#include "core/pack.h"
#include "engine/cache_private.h"

#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "utils/memutils.h"

#define SET_BITS (TE_PARAM_BIT(TE_PARAM_available_instruments) | TE_PARAM_BIT(TE_PARAM_custom_rule))

/*----------------------------------------------------------------------
 * Hash tables
 *----------------------------------------------------------------------*/

static uint32 hash_text(const void *key, Size size pg_attribute_unused())
{
	const char *text = *(const char *const *)key;

	return DatumGetUInt32(hash_any((const unsigned char *)text, (int)strlen(text)));
}

static int match_text(const void *left, const void *right, Size size pg_attribute_unused())
{
	return strcmp(*(const char *const *)left, *(const char *const *)right);
}

HTAB *te_cache_text_table(const char *name, Size entry_size, MemoryContext context)
{
	HASHCTL control = {
		.keysize = sizeof(char *),
		.entrysize = entry_size,
		.hash = hash_text,
		.match = match_text,
		.hcxt = context,
	};

	return hash_create(name, 64, &control, HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

HTAB *te_cache_key_table(const char *name, Size key_size, Size entry_size, MemoryContext context)
{
	HASHCTL control = {.keysize = key_size, .entrysize = entry_size, .hcxt = context};

	return hash_create(name, 64, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

/*----------------------------------------------------------------------
 * Shared values
 *----------------------------------------------------------------------*/

typedef struct SetEntry
{
	const char *key;
	CacheSymbols *set;
} SetEntry;

typedef struct RuleEntry
{
	const char *key;
	CacheRule *rule;
} RuleEntry;

HTAB *te_cache_set_table(MemoryContext context)
{
	return te_cache_text_table("sets of symbols", sizeof(SetEntry), context);
}

HTAB *te_cache_rule_table(MemoryContext context)
{
	return te_cache_text_table("rules", sizeof(RuleEntry), context);
}

/* Pointers, then the joined key, then the symbols one by one. */
static CacheSymbols *make_set(TeCache *cache, const TeSymbols *symbols, const char *key)
{
	Size length = strlen(key) + 1;
	Size pointers = offsetof(CacheSymbols, symbols) + sizeof(char *) * symbols->count;
	CacheSymbols *set = te_pool_alloc(&cache->pool, pointers + 2 * length);
	char *text = (char *)set + pointers;

	set->references = 0;
	set->count = symbols->count;
	set->key = memcpy(text, key, length);
	text += length;
	for (int i = 0; i < symbols->count; i++) {
		Size n = strlen(symbols->symbols[i]) + 1;

		set->symbols[i] = memcpy(text, symbols->symbols[i], n);
		text += n;
	}
	return set;
}

static void own_symbols(TeCache *cache, TeSymbols *symbols)
{
	StringInfoData joined;
	SetEntry *entry;
	const char *key;

	if (symbols->any || symbols->count == 0) {
		symbols->symbols = NULL;
		return;
	}
	initStringInfo(&joined);
	for (int i = 0; i < symbols->count; i++)
		appendStringInfo(&joined, "%s%s", i > 0 ? "," : "", symbols->symbols[i]);
	key = joined.data;
	entry = hash_search(cache->sets, &key, HASH_FIND, NULL);
	if (entry == NULL) {
		CacheSymbols *set = make_set(cache, symbols, key);

		entry = hash_search(cache->sets, &set->key, HASH_ENTER, NULL);
		entry->set = set;
	}
	entry->set->references++;
	symbols->symbols = entry->set->symbols;
	pfree(joined.data);
}

static void disown_symbols(TeCache *cache, const TeSymbols *symbols)
{
	CacheSymbols *set;

	if (symbols->symbols == NULL)
		return;
	set = (CacheSymbols *)((char *)symbols->symbols - offsetof(CacheSymbols, symbols));
	if (--set->references > 0)
		return;
	(void)hash_search(cache->sets, &set->key, HASH_REMOVE, NULL);
	pfree(set);
}

static CacheRule *rule_of(const char *text)
{
	return (CacheRule *)((char *)text - offsetof(CacheRule, text));
}

TeRule *te_cache_rule_of(const char *text)
{
	return text != NULL ? rule_of(text)->rule : NULL;
}

static void own_rule(TeCache *cache, const char **text)
{
	RuleEntry *entry;

	if (*text == NULL)
		return;
	entry = hash_search(cache->rules, text, HASH_FIND, NULL);
	if (entry == NULL) {
		TeRule *compiled = te_rule_compile(*text, cache->data);
		Size length = strlen(*text) + 1;
		CacheRule *rule = te_pool_alloc(&cache->pool, offsetof(CacheRule, text) + length);
		const char *key = memcpy(rule->text, *text, length);

		rule->rule = compiled;
		rule->references = 0;
		entry = hash_search(cache->rules, &key, HASH_ENTER, NULL);
		entry->rule = rule;
	}
	entry->rule->references++;
	*text = entry->rule->text;
}

static void disown_rule(TeCache *cache, const char *text)
{
	CacheRule *rule;

	if (text == NULL)
		return;
	rule = rule_of(text);
	if (--rule->references > 0)
		return;
	(void)hash_search(cache->rules, &text, HASH_REMOVE, NULL);
	te_rule_free(rule->rule);
	pfree(rule);
}

/* The symbols and the rule of a set of parameters become the cache's. */
void te_cache_own_params(TeCache *cache, TeParamSet *params)
{
	if (params->set & TE_PARAM_BIT(TE_PARAM_available_instruments))
		own_symbols(cache, &params->values.available_instruments);
	if (params->set & TE_PARAM_BIT(TE_PARAM_custom_rule))
		own_rule(cache, &params->values.custom_rule);
}

void te_cache_disown_params(TeCache *cache, uint64 mask, const TeStrategy *values)
{
	if (mask & TE_PARAM_BIT(TE_PARAM_available_instruments))
		disown_symbols(cache, &values->available_instruments);
	if (mask & TE_PARAM_BIT(TE_PARAM_custom_rule))
		disown_rule(cache, values->custom_rule);
}

static void disown_packed(TeCache *cache, const uint8 *packed)
{
	uint64 mask = te_params_packed_mask(packed);
	TeStrategy values;

	if ((mask & SET_BITS) == 0)
		return;
	te_params_overlay(packed, &values);
	te_cache_disown_params(cache, mask, &values);
}

/* A copy that the cache owns. */
uint8 *te_cache_pack(TeCache *cache, const TeParamSet *params)
{
	TeParamSet own = *params;
	uint8 *packed;

	te_cache_own_params(cache, &own);
	packed = te_pool_alloc(&cache->pool, te_params_packed_size(&own));
	te_params_pack(&own, packed);
	return packed;
}

void te_cache_free_packed(TeCache *cache, uint8 *packed)
{
	if (packed == NULL)
		return;
	disown_packed(cache, packed);
	pfree(packed);
}

/*----------------------------------------------------------------------
 * Tiers and companies
 *----------------------------------------------------------------------*/

CacheTier *te_cache_make_tier(TeCache *cache, const char *name, const TeParamSet *params)
{
	static const TeParamSet nothing = {0};
	CacheTier *tier = MemoryContextAllocZero(cache->data, sizeof(CacheTier));

	strlcpy(tier->name, name, sizeof(tier->name));
	tier->params = *params;
	te_cache_own_params(cache, &tier->params);
	te_strategy_merge(&tier->params, &nothing, &nothing, false, NULL, &tier->base, NULL);
	return tier;
}

void te_cache_free_tier(TeCache *cache, CacheTier *tier)
{
	te_cache_disown_params(cache, tier->params.set, &tier->params.values);
	pfree(tier);
}

TeCachedCompany *te_cache_make_company(TeCache *cache, const char *company_id)
{
	Size length = strlen(company_id) + 1;
	TeCachedCompany *c =
		te_pool_alloc(&cache->pool, offsetof(TeCachedCompany, company_id) + length);

	memset(c, 0, offsetof(TeCachedCompany, company_id));
	memcpy(c->company_id, company_id, length);
	return c;
}

/* Its users are gone already. */
void te_cache_free_company(TeCache *cache, TeCachedCompany *c)
{
	te_cache_free_packed(cache, c->override);
	if (c->channel != NULL)
		pfree(c->channel);
	if (c->users != NULL)
		pfree(c->users);
	pfree(c);
}

/*----------------------------------------------------------------------
 * Users, accounts, strategies
 *----------------------------------------------------------------------*/

CacheUser *te_cache_make_user(TeCache *cache, const char *user_id)
{
	Size length = strlen(user_id) + 1;
	CacheUser *user = te_pool_alloc(&cache->pool, offsetof(CacheUser, user_id) + length);

	user->company = NULL;
	user->accounts = NULL;
	user->strategies = NULL;
	memcpy(user->user_id, user_id, length);
	return user;
}

CacheAccount *te_cache_add_account(TeCache *cache, CacheUser *user, const char *account_id,
                                   const TeAccount *account)
{
	Size id_length = strlen(account_id) + 1, currency_length = strlen(account->currency) + 1;
	CacheAccount *a =
		te_pool_alloc(&cache->pool, offsetof(CacheAccount, text) + id_length + currency_length);

	a->account = *account;
	a->key = (TeKey){0};
	memcpy(a->text, account_id, id_length);
	a->account.currency = memcpy(a->text + id_length, account->currency, currency_length);
	a->next = user->accounts;
	user->accounts = a;
	return a;
}

CacheAccount *te_cache_find_account(const CacheUser *user, const char *account_id)
{
	for (CacheAccount *a = user->accounts; a != NULL; a = a->next)
		if (strcmp(te_cache_account_id(a), account_id) == 0)
			return a;
	return NULL;
}

void te_cache_remove_account(CacheUser *user, CacheAccount *account)
{
	CacheAccount **place = &user->accounts;

	while (*place != account)
		place = &(*place)->next;
	*place = account->next;
	pfree(account);
}

static void free_accounts(CacheUser *user)
{
	CacheAccount *next;

	for (CacheAccount *a = user->accounts; a != NULL; a = next) {
		next = a->next;
		pfree(a);
	}
	user->accounts = NULL;
}

static Size strategy_size(Size id_offset, const char *strategy_id)
{
	return offsetof(CacheStrategy, data) + id_offset + strlen(strategy_id) + 1;
}

/* By id, then by variant. */
static void link_strategy(CacheUser *user, CacheStrategy *s)
{
	CacheStrategy **place = &user->strategies;

	for (; *place != NULL; place = &(*place)->next) {
		int order = strcmp(te_cache_strategy_id(*place), te_cache_strategy_id(s));

		if (order > 0 || (order == 0 && (*place)->variant > s->variant))
			break;
	}
	s->next = *place;
	*place = s;
}

/* Bits of a strategy's results that are not what they are without any; those with numbers first. */
#define HAS_HIT_RATE 1
#define HAS_SIZE_MULTIPLIER 2
#define FOLLOWS_ACCURACY 4
#define RESULT_NUMBERS 2

static uint8 results_of(const TeStrategyResults *results)
{
	return (te_known(results->hit_rate) ? HAS_HIT_RATE : 0) |
	       (results->position_size_multiplier != 1 ? HAS_SIZE_MULTIPLIER : 0) |
	       (results->follow_model_accuracy ? FOLLOWS_ACCURACY : 0);
}

/* Write the numbers that there are, unaligned; returns how many bytes they take. */
static Size put_results(uint8 bits, const TeStrategyResults *results, uint8 *out)
{
	const double numbers[RESULT_NUMBERS] = {results->hit_rate, results->position_size_multiplier};
	Size size = 0;

	for (int i = 0; i < RESULT_NUMBERS; i++)
		if (bits & (1 << i)) {
			if (out != NULL)
				memcpy(out + size, &numbers[i], sizeof(double));
			size += sizeof(double);
		}
	return size;
}

/* The numbers stand just before the id. */
TeStrategyResults te_cache_results(const CacheStrategy *s)
{
	double numbers[RESULT_NUMBERS] = {NAN, 1};
	const uint8 *place = s->data + s->id_offset;

	for (int i = RESULT_NUMBERS - 1; i >= 0; i--)
		if (s->results & (1 << i))
			memcpy(&numbers[i], place -= sizeof(double), sizeof(double));
	return (TeStrategyResults){numbers[0], numbers[1], (s->results & FOLLOWS_ACCURACY) != 0};
}

void te_cache_add_strategy(TeCache *cache, CacheUser *user, const CacheTier *tier,
                           const char *strategy_id, int variant, int64 version,
                           CacheAccount *account, const TeStrategyResults *results,
                           const TeStrategy *effective)
{
	uint8 bits = results_of(results);
	TeParamSet difference;
	Size packed_size, id_offset;
	CacheStrategy *s;

	te_params_difference(&tier->base, effective, &difference);
	te_cache_own_params(cache, &difference);
	packed_size = te_params_packed_size(&difference);
	id_offset = packed_size + put_results(bits, results, NULL);
	s = te_pool_alloc(&cache->pool, strategy_size(id_offset, strategy_id));
	s->user = user;
	s->account = account;
	s->tally = NULL;
	s->version = version;
	s->slot = PG_UINT32_MAX; /* until it is applied */
	s->variant = (uint16)variant;
	s->id_offset = (uint16)id_offset;
	s->results = bits;
	te_params_pack(&difference, s->data);
	(void)put_results(bits, results, s->data + packed_size);
	strcpy((char *)s->data + id_offset, strategy_id);
	link_strategy(user, s);
}

void te_cache_free_strategy(TeCache *cache, CacheStrategy *s)
{
	disown_packed(cache, s->data);
	pfree(s);
}

void te_cache_free_user(TeCache *cache, CacheUser *user)
{
	CacheStrategy *next;

	for (CacheStrategy *s = user->strategies; s != NULL; s = next) {
		next = s->next;
		te_cache_free_strategy(cache, s);
	}
	free_accounts(user);
	pfree(user);
}

void te_cache_expand(const CacheTier *tier, const CacheStrategy *strategy, TeStrategy *out)
{
	*out = tier->base;
	te_params_overlay(strategy->data, out);
}
