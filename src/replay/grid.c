/*
 * grid.c - the combinations of parameter values that a sweep tries.
 */
#include "postgres.h"

#include "replay/grid.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "engine/query.h"
#include "replay/arguments.h"
#include "sql/decision_json.h"

/* The values of one parameter. */
typedef struct Axis
{
	char *name;
	int count;
	JsonbValue *values;
} Axis;

typedef struct Axes
{
	int count;
	Axis *axes;
} Axes;

static char *value_text(const JsonbValue *value)
{
	Jsonb *jsonb = JsonbValueToJsonb((JsonbValue *)value);

	return JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
}

static char *object_text(Jsonb *object)
{
	return JsonbToCString(NULL, &object->root, VARSIZE(object));
}

/* An object of one combination: of every axis the value at its place; -1: without it. */
static Jsonb *combine(const Axes *axes, const int *places)
{
	JsonbParseState *state = NULL;
	JsonbValue *object;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < axes->count; i++) {
		JsonbValue key = {.type = jbvString};

		if (places[i] < 0)
			continue;
		key.val.string.val = axes->axes[i].name;
		key.val.string.len = (int)strlen(axes->axes[i].name);
		pushJsonbValue(&state, WJB_KEY, &key);
		pushJsonbValue(&state, WJB_VALUE, &axes->axes[i].values[places[i]]);
	}
	object = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbValueToJsonb(object);
}

/*----------------------------------------------------------------------
 * Reading
 *----------------------------------------------------------------------*/

static void refuse(const char *name, const char *reason)
{
	te_invalid_value(name != NULL ? psprintf("grid.%s", name) : "grid", reason);
}

/* What a value is worth: numbers are equal however they are written. */
static int compare_values(const void *a, const void *b)
{
	return compareJsonbContainers(&(*(Jsonb *const *)a)->root, &(*(Jsonb *const *)b)->root);
}

static void refuse_duplicates(const Axis *axis)
{
	Jsonb **values = palloc(sizeof(Jsonb *) * axis->count);

	for (int i = 0; i < axis->count; i++)
		values[i] = JsonbValueToJsonb(&axis->values[i]);
	qsort(values, axis->count, sizeof(Jsonb *), compare_values);
	for (int i = 1; i < axis->count; i++)
		if (compare_values(&values[i - 1], &values[i]) == 0)
			refuse(axis->name, psprintf("has value %s twice", JsonbToCString(NULL, &values[i]->root,
			                                                                 VARSIZE(values[i]))));
}

static void read_axis(const JsonbValue *key, const JsonbValue *value, Axis *axis)
{
	JsonbContainer *array;

	axis->name = pnstrdup(key->val.string.val, key->val.string.len);
	if (te_param_find(axis->name) < 0)
		te_unknown_key(psprintf("grid.%s", axis->name));
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		refuse(axis->name, "must be an array of values");
	array = value->val.binary.data;
	axis->count = (int)JsonContainerSize(array);
	if (axis->count == 0)
		refuse(axis->name, "must have at least one value");
	if (axis->count > TE_GRID_MOST)
		refuse(axis->name, psprintf("must not have more than %d values", TE_GRID_MOST));
	axis->values = palloc(sizeof(JsonbValue) * axis->count);
	for (int i = 0; i < axis->count; i++)
		axis->values[i] = *getIthJsonbValueFromContainer(array, (uint32)i);
	refuse_duplicates(axis);
}

static void read_axes(Jsonb *grid, Axes *axes)
{
	JsonbIterator *it;
	JsonbValue key, value;

	(void)te_jsonb_root_object("grid", grid);
	if (JB_ROOT_COUNT(grid) == 0)
		refuse(NULL, "must name at least one parameter");
	axes->count = 0;
	axes->axes = palloc(sizeof(Axis) * JB_ROOT_COUNT(grid));
	it = JsonbIteratorInit(&grid->root);
	(void)JsonbIteratorNext(&it, &key, true);
	while (JsonbIteratorNext(&it, &key, true) == WJB_KEY) {
		(void)JsonbIteratorNext(&it, &value, true);
		read_axis(&key, &value, &axes->axes[axes->count++]);
	}
}

static int count_combinations(const Axes *axes)
{
	int64 count = 1;

	for (int i = 0; i < axes->count; i++) {
		count *= axes->axes[i].count;
		if (count > TE_GRID_MOST)
			ereport(ERROR,
			        (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			         errmsg("the grid has more than %d combinations", TE_GRID_MOST),
			         errhint("Give fewer values to some of its %d parameters.", axes->count)));
	}
	return (int)count;
}

/*----------------------------------------------------------------------
 * Checking
 *----------------------------------------------------------------------*/

static void show_combination(void *arg)
{
	errcontext("combination %s of argument \"grid\"", object_text(arg));
}

/* Ranges, and what doesn't go together. */
static void check_combination(Jsonb *combination)
{
	ErrorContextCallback callback = {error_context_stack, show_combination, combination};

	error_context_stack = &callback;
	te_replay_check_changes("grid", combination);
	error_context_stack = callback.previous;
}

/* Each value by itself, so that it is the one that the message is about. */
static void check_values(const Axes *axes)
{
	int *places = palloc(sizeof(int) * axes->count);

	memset(places, -1, sizeof(int) * axes->count);
	for (int i = 0; i < axes->count; i++) {
		for (places[i] = 0; places[i] < axes->axes[i].count; places[i]++)
			check_combination(combine(axes, places));
		places[i] = -1;
	}
}

/* A tier that has to allow every value. */
static void check_tier(TeRow *row, void *arg)
{
	const Axes *axes = arg;
	TeParamSet tier;
	int *places = palloc(sizeof(int) * axes->count);

	te_param_set_from_tuple(row->tuple, row->columns->descriptor, &row->columns->params, &tier);
	memset(places, -1, sizeof(int) * axes->count);
	for (int i = 0; i < axes->count; i++) {
		const Axis *axis = &axes->axes[i];

		for (places[i] = 0; places[i] < axis->count; places[i]++) {
			TeParamSet one;
			uint64 unset;

			te_jsonb_read_changes("grid", combine(axes, places), &one, &unset);
			if (te_strategy_beyond_tier(&tier, &one) >= 0)
				ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				                errmsg("tier %s does not allow value %s of \"grid.%s\"",
				                       te_row_text(row, "tier"),
				                       value_text(&axis->values[places[i]]), axis->name)));
		}
		places[i] = -1;
	}
}

static void check_tiers(Axes *axes, const char *company)
{
	static const char sql[] =
		"SELECT t.* FROM trading.tiers AS t"
		" WHERE EXISTS (SELECT FROM trading.companies AS c WHERE c.tier OPERATOR(pg_catalog.=) "
		"t.tier"
		"                  AND ($1 IS NULL OR c.company_id OPERATOR(pg_catalog.=) $1))"
		" ORDER BY t.rank";
	Oid type = TEXTOID;
	Datum value = company != NULL ? CStringGetTextDatum(company) : (Datum)0;
	TeQueryArgs args = {1, &type, &value, company != NULL ? " " : "n"};

	te_query_each(sql, &args, check_tier, axes);
}

void te_grid_read(Jsonb *grid, const char *company, TeParameterGrid *out)
{
	Axes axes;
	int *places;

	read_axes(grid, &axes);
	out->count = count_combinations(&axes);
	check_values(&axes);
	check_tiers(&axes, company);

	out->combinations = palloc(sizeof(Jsonb *) * out->count);
	places = palloc0(sizeof(int) * axes.count);
	for (int n = 0; n < out->count; n++) {
		CHECK_FOR_INTERRUPTS();
		out->combinations[n] = combine(&axes, places);
		check_combination(out->combinations[n]);
		for (int i = axes.count - 1; i >= 0 && ++places[i] == axes.axes[i].count; i--)
			places[i] = 0;
	}
}
