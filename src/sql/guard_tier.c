/*
 * guard_tier.c - the trigger that keeps strategies within what their tiers have.
 *
 * After the statement, when row-level security has let every row through, the tiers are asked:
 * each company and each tier once, however many rows there are.  Both are locked against change
 * until the end of the transaction, so that what was checked is what holds at commit.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "engine/cache.h"
#include "sql/check_strategy.h"
#include "sql/params.h"
#include "sql/tenant.h"
#include "sql/trigger.h"

PG_FUNCTION_INFO_V1(te_sql_check_tier);

typedef struct Tier
{
	char name[TE_ID_SIZE]; /* hash key */
	TeParamSet has;
} Tier;

typedef struct Company
{
	char company_id[TE_ID_SIZE]; /* hash key */
	const Tier *tier;            /* NULL: there is no such company, as its foreign key says */
} Company;

/* A set of texts or of pairs of them, which becomes arrays for a query. */
typedef struct TextSet
{
	HTAB *table;
	ArrayBuildState *first, *second;
} TextSet;

typedef struct Check
{
	Relation relation;
	AttrNumber company_id, user_id, instruments;
	TeParamColumns columns;
	HTAB *companies, *tiers;
	TextSet users;         /* company and user of inserted rows, where a user may have one */
	TextSet symbols;       /* that rows name anew */
	MemoryContext context; /* of all this */
	MemoryContext per_row;
} Check;

static HTAB *string_table(const char *name, Size key_size, Size entry_size)
{
	HASHCTL control = {.keysize = key_size, .entrysize = entry_size, .hcxt = CurrentMemoryContext};

	return hash_create(name, 64, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

/* Longer texts are told apart by their beginning only: they are neither ids nor symbols. */
#define SET_KEY_SIZE (2 * TE_ID_SIZE)

static void set_init(TextSet *set)
{
	set->table = string_table("texts", SET_KEY_SIZE, SET_KEY_SIZE);
	set->first = initArrayResult(TEXTOID, CurrentMemoryContext, false);
	set->second = initArrayResult(TEXTOID, CurrentMemoryContext, false);
}

/* Add a pair; "second" may be empty. */
static void set_add(const Check *check, TextSet *set, const char *first, const char *second)
{
	char key[SET_KEY_SIZE];
	bool found;

	snprintf(key, sizeof(key), "%s/%s", first, second);
	(void)hash_search(set->table, key, HASH_ENTER, &found);
	if (found)
		return;
	set->first =
		accumArrayResult(set->first, CStringGetTextDatum(first), false, TEXTOID, check->context);
	set->second =
		accumArrayResult(set->second, CStringGetTextDatum(second), false, TEXTOID, check->context);
}

static bool set_is_empty(const TextSet *set)
{
	return hash_get_num_entries(set->table) == 0;
}

static Datum array_of(ArrayBuildState *elements)
{
	return makeArrayResult(elements, CurrentMemoryContext);
}

/* Run a query whose parameters are arrays of texts; rows are in SPI_tuptable. */
static void query(const char *sql, int count, Datum *arrays)
{
	static Oid types[] = {TEXTARRAYOID, TEXTARRAYOID};
	int status = SPI_execute_with_args(sql, count, types, arrays, NULL, false, 0);

	if (status != SPI_OK_SELECT)
		elog(ERROR, "%s: %s", SPI_result_code_string(status), sql);
}

static char *text_at(uint64 row, int number)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number);
}

/* Scan a transition table from its beginning, whoever else reads it. */
static TupleTableSlot *begin_scan(const Check *check, Tuplestorestate *rows)
{
	tuplestore_select_read_pointer(rows, tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND));
	tuplestore_rescan(rows);
	return MakeSingleTupleTableSlot(RelationGetDescr(check->relation), &TTSOpsMinimalTuple);
}

static const char *text_of(TupleTableSlot *slot, AttrNumber number)
{
	return TextDatumGetCString(slot->tts_values[number - 1]); /* keys aren't NULL */
}

/* The companies of the rows, each once. */
static Datum companies_of(Check *check, Tuplestorestate *rows)
{
	TupleTableSlot *slot = begin_scan(check, rows);
	TextSet ids;

	set_init(&ids);
	while (tuplestore_gettupleslot(rows, true, false, slot)) {
		MemoryContextSwitchTo(check->per_row);
		slot_getsomeattrs(slot, check->company_id);
		set_add(check, &ids, text_of(slot, check->company_id), "");
		MemoryContextSwitchTo(check->context);
		MemoryContextReset(check->per_row);
	}
	ExecDropSingleTupleTableSlot(slot);
	return array_of(ids.first);
}

/*
 * Lock companies and tiers, in an order that is the same for everybody.  One after the other:
 * a join would see the old tier of a company that it had to wait for.
 */
static void lock_tiers(Check *check, Datum company_ids)
{
	TextSet names;
	Datum array;
	SPITupleTable *companies;
	uint64 count;

	set_init(&names);
	query("SELECT c.company_id, c.tier FROM trading.companies AS c"
	      " WHERE c.company_id OPERATOR(pg_catalog.=) ANY ($1)"
	      " ORDER BY c.company_id COLLATE \"C\" FOR SHARE",
	      1, &company_ids);
	companies = SPI_tuptable;
	count = SPI_processed;
	for (uint64 i = 0; i < count; i++)
		set_add(check, &names, text_at(i, 2), "");

	array = array_of(names.first);
	query("SELECT t.* FROM trading.tiers AS t WHERE t.tier OPERATOR(pg_catalog.=) ANY ($1)"
	      " ORDER BY t.tier COLLATE \"C\" FOR SHARE",
	      1, &array);
	for (uint64 i = 0; i < SPI_processed; i++) {
		TupleDesc desc = SPI_tuptable->tupdesc;
		Tier *tier =
			hash_search(check->tiers, text_at(i, SPI_fnumber(desc, "tier")), HASH_ENTER, NULL);
		TeParamColumns columns;

		te_param_columns_resolve(desc, &columns);
		te_param_set_from_tuple(SPI_tuptable->vals[i], desc, &columns, &tier->has);
	}

	SPI_tuptable = companies;
	for (uint64 i = 0; i < count; i++) {
		Company *company = hash_search(check->companies, text_at(i, 1), HASH_ENTER, NULL);

		company->tier = hash_search(check->tiers, text_at(i, 2), HASH_FIND, NULL);
	}
}

/* "PRO, ENTERPRISE": the tiers that allow one parameter's value, by rank, or "none". */
static char *tiers_that_allow(const TeParamSet *own, int p)
{
	TeParamSet one = {.set = TE_PARAM_BIT(p), .values = own->values};
	StringInfoData names;

	initStringInfo(&names);
	query("SELECT t.* FROM trading.tiers AS t ORDER BY t.rank", 0, NULL);
	for (uint64 i = 0; i < SPI_processed; i++) {
		TupleDesc desc = SPI_tuptable->tupdesc;
		TeParamColumns columns;
		TeParamSet has;

		te_param_columns_resolve(desc, &columns);
		te_param_set_from_tuple(SPI_tuptable->vals[i], desc, &columns, &has);
		if (te_strategy_beyond_tier(&has, &one) < 0)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
			                 text_at(i, SPI_fnumber(desc, "tier")));
	}
	return names.len > 0 ? names.data : pstrdup("none");
}

/* What the tier allows to every row; "fresh": its symbols weren't in the row before. */
static void check_row(Check *check, TupleTableSlot *slot, const Tier *tier, bool fresh)
{
	TeParamSet own;
	int p;

	te_param_set_from_values(slot->tts_values, slot->tts_isnull, &check->columns, &own);
	p = te_strategy_beyond_tier(&tier->has, &own);
	if (p >= 0)
		te_refuse_beyond_tier(tier->name, &tier->has, &own, p, tiers_that_allow(&own, p));
	if (fresh)
		for (int i = 0; i < own.values.available_instruments.count; i++)
			set_add(check, &check->symbols, own.values.available_instruments.symbols[i], "");
}

/* Does the tier have one strategy per user only? */
static bool one_per_user(const Tier *tier)
{
	TeStrategy values;

	te_tier_values(&tier->has, &values);
	return !values.advanced_features_enabled;
}

static bool same_symbols(const Check *check, TupleTableSlot *before, TupleTableSlot *after)
{
	int i = check->instruments - 1;

	return before->tts_isnull[i] == after->tts_isnull[i] &&
	       (before->tts_isnull[i] ||
	        datum_image_eq(before->tts_values[i], after->tts_values[i], false, -1));
}

/*
 * Whether only what isn't a parameter has changed, as where a strategy is measured: a tier that
 * has come to be smaller may not allow its parameters any more, but nobody asks for them now.
 */
static bool same_parameters(const Check *check, TupleTableSlot *before, TupleTableSlot *after)
{
	for (int p = 0; p < TE_PARAM_COUNT; p++) {
		int i = check->columns.attnum[p] - 1;
		Form_pg_attribute attribute = TupleDescAttr(after->tts_tupleDescriptor, i);

		if (before->tts_isnull[i] != after->tts_isnull[i] ||
		    (!after->tts_isnull[i] && !datum_image_eq(before->tts_values[i], after->tts_values[i],
		                                              attribute->attbyval, attribute->attlen)))
			return false;
	}
	return true;
}

/* Both transition tables of an UPDATE have the same rows in the same order. */
static void check_rows(Check *check, Tuplestorestate *old_rows, Tuplestorestate *new_rows)
{
	TupleTableSlot *after = begin_scan(check, new_rows);
	TupleTableSlot *before = old_rows != NULL ? begin_scan(check, old_rows) : NULL;

	while (tuplestore_gettupleslot(new_rows, true, false, after)) {
		bool fresh = true, unasked = false;
		const Company *company;

		/* Slots own their rows, which mustn't be in the context that is reset. */
		if (before != NULL && !tuplestore_gettupleslot(old_rows, true, false, before))
			elog(ERROR, "an update has more new rows than old ones");
		MemoryContextSwitchTo(check->per_row);
		slot_getallattrs(after);
		if (before != NULL) {
			slot_getallattrs(before);
			fresh = !same_symbols(check, before, after);
			unasked = same_parameters(check, before, after);
		}
		company = hash_search(check->companies, text_of(after, check->company_id), HASH_FIND, NULL);
		if (company != NULL && company->tier != NULL && !unasked) {
			const char *user_id = text_of(after, check->user_id);

			check_row(check, after, company->tier, fresh);
			if (old_rows == NULL && strcmp(user_id, "_all") != 0 && one_per_user(company->tier))
				set_add(check, &check->users, company->company_id, user_id);
		}
		MemoryContextSwitchTo(check->context);
		MemoryContextReset(check->per_row);
	}
	ExecDropSingleTupleTableSlot(after);
	if (before != NULL)
		ExecDropSingleTupleTableSlot(before);
}

static void refuse_further_strategy(const Tier *tier, const char *user_id)
{
	TeParamSet asked = {.set = TE_PARAM_BIT(TE_PARAM_advanced_features_enabled)};

	asked.values.advanced_features_enabled = true;
	ereport(
		ERROR,
		(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
	     errmsg("tier %s does not allow more than one strategy per user; tiers that do: %s",
	            tier->name, tiers_that_allow(&asked, TE_PARAM_advanced_features_enabled)),
	     errdetail("User \"%s\" has another one. It needs advanced_features_enabled, which tier "
	               "%s does not have.",
	               user_id, tier->name)));
}

/*
 * Users whom the tier allows one strategy, and who have got another.  They are locked, so that
 * of two inserts at once the second sees the first.
 */
static void check_users(Check *check)
{
	Datum arrays[2];
	Company *company;

	if (set_is_empty(&check->users))
		return;
	arrays[0] = array_of(check->users.first);
	arrays[1] = array_of(check->users.second);
	query("SELECT FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS k (company_id, "
	      "user_id)"
	      "  JOIN trading.users AS u ON u.company_id OPERATOR(pg_catalog.=) k.company_id"
	      "   AND u.user_id OPERATOR(pg_catalog.=) k.user_id"
	      " ORDER BY u.company_id COLLATE \"C\", u.user_id COLLATE \"C\" FOR NO KEY UPDATE OF u",
	      2, arrays);
	query(
		"SELECT s.company_id, s.user_id"
		"  FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS k (company_id, user_id)"
		"  JOIN trading.strategies AS s ON s.company_id OPERATOR(pg_catalog.=) k.company_id"
		"   AND s.user_id OPERATOR(pg_catalog.=) k.user_id"
		" GROUP BY s.company_id, s.user_id"
		" HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1"
		" ORDER BY s.company_id COLLATE \"C\", s.user_id COLLATE \"C\" LIMIT 1",
		2, arrays);
	if (SPI_processed == 0)
		return;
	company = hash_search(check->companies, text_at(0, 1), HASH_FIND, NULL);
	refuse_further_strategy(company->tier, text_at(0, 2));
}

/* Symbols that nobody trades are a slip of the pen; instruments may go later, rows stay. */
static void check_symbols(Check *check)
{
	Datum array;

	if (set_is_empty(&check->symbols))
		return;
	array = array_of(check->symbols.first);
	query("SELECT pg_catalog.string_agg(s.symbol, ', ' ORDER BY s.symbol COLLATE \"C\"),"
	      "       (SELECT pg_catalog.string_agg(k.symbol, ', ' ORDER BY k.symbol COLLATE \"C\")"
	      "          FROM (SELECT i.symbol FROM trading.instruments AS i"
	      "                 ORDER BY i.symbol COLLATE \"C\" LIMIT 50) AS k)"
	      "  FROM pg_catalog.unnest($1) AS s (symbol)"
	      " WHERE NOT EXISTS (SELECT FROM trading.instruments AS i"
	      "                    WHERE i.symbol OPERATOR(pg_catalog.=) s.symbol)",
	      1, &array);
	if (text_at(0, 1) != NULL)
		ereport(ERROR,
		        (errcode(ERRCODE_CHECK_VIOLATION),
		         errmsg("invalid value for parameter \"available_instruments\": must be symbols of "
		                "trading.instruments"),
		         errdetail("There is no %s.", text_at(0, 1)),
		         errhint("Symbols are: %s.", text_at(0, 2) != NULL ? text_at(0, 2) : "none yet"),
		         err_generic_string(PG_DIAG_COLUMN_NAME, "available_instruments")));
}

static void begin_check(Check *check, Relation relation)
{
	SPI_connect();
	check->relation = relation;
	check->company_id = te_trigger_column(relation, "company_id");
	check->user_id = te_trigger_column(relation, "user_id");
	te_param_columns_resolve(RelationGetDescr(relation), &check->columns);
	check->instruments = check->columns.attnum[TE_PARAM_available_instruments];
	check->context = CurrentMemoryContext;
	check->per_row = AllocSetContextCreate(check->context, "row", ALLOCSET_DEFAULT_SIZES);
	check->companies = string_table("companies", TE_ID_SIZE, sizeof(Company));
	check->tiers = string_table("tiers", TE_ID_SIZE, sizeof(Tier));
	set_init(&check->users);
	set_init(&check->symbols);
}

/* AFTER INSERT or UPDATE FOR EACH STATEMENT, with transition tables. */
Datum te_sql_check_tier(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = te_trigger_data(fcinfo, "check_tier");
	Tuplestorestate *rows = trigger->tg_newtable;
	Check check;

	if (rows == NULL)
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
		                errmsg("trading.check_tier() needs the transition table of new rows")));
	if (tuplestore_tuple_count(rows) == 0)
		return PointerGetDatum(NULL);
	begin_check(&check, trigger->tg_relation);
	lock_tiers(&check, companies_of(&check, rows));
	check_rows(&check, trigger->tg_oldtable, rows);
	check_users(&check);
	check_symbols(&check);
	SPI_finish();
	return PointerGetDatum(NULL);
}
