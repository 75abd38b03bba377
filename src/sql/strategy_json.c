/*
 * strategy_json.c - a strategy as jsonb, from the core's list of parameters.
 */
#include "sql/decision_json.h"

#include "sql/params.h"

static TeSymbols read_symbols(const char *path, const JsonbValue *value)
{
	JsonbContainer *array = te_jsonb_array(path, value);
	int count = JsonContainerSize(array);
	const char **symbols = palloc_array(const char *, Max(count, 1));
	const char *reason;
	TeSymbols result;

	for (int i = 0; i < count; i++)
		symbols[i] =
			te_jsonb_text(psprintf("%s[%d]", path, i), getIthJsonbValueFromContainer(array, i));
	reason = te_symbols_make(symbols, count, &result);
	if (reason != NULL)
		te_invalid_value(path, reason);
	return result;
}

static uint8 read_regimes(const char *path, const JsonbValue *value)
{
	JsonbContainer *array = te_jsonb_array(path, value);
	int count = JsonContainerSize(array);
	uint8 regimes = 0;

	for (int i = 0; i < count; i++)
		regimes |= 1 << te_jsonb_enum(psprintf("%s[%d]", path, i),
		                              getIthJsonbValueFromContainer(array, i), &te_regime_enum);
	return regimes;
}

static TeWeights read_weights(const char *path, const JsonbValue *value)
{
	JsonbContainer *array = te_jsonb_array(path, value);
	TeWeights weights;

	if (JsonContainerSize(array) != TE_WEIGHT_COUNT)
		te_invalid_value(path, psprintf("must have %d elements", TE_WEIGHT_COUNT));
	for (int i = 0; i < TE_WEIGHT_COUNT; i++)
		weights.w[i] =
			te_jsonb_number(psprintf("%s[%d]", path, i), getIthJsonbValueFromContainer(array, i));
	return weights;
}

/* An integer beyond 32 bits saturates: no parameter's range reaches that far, so the range check
 * names it. */
static int32 read_int32(const char *path, const JsonbValue *value)
{
	int64 number = te_jsonb_integer(path, value);

	return number > PG_INT32_MAX   ? PG_INT32_MAX
	       : number < PG_INT32_MIN ? PG_INT32_MIN
	                               : (int32)number;
}

static void read_param(const TeParamInfo *info, const char *path, const JsonbValue *value,
                       TeStrategy *s)
{
	switch (info->kind) {
	case TE_KIND_BOOL:
		te_param_field(info, s, bool) = te_jsonb_bool(path, value);
		break;
	case TE_KIND_INT:
		te_param_field(info, s, int32_t) = read_int32(path, value);
		break;
	case TE_KIND_NUMBER:
		te_param_field(info, s, double) = te_jsonb_number(path, value);
		break;
	case TE_KIND_ENUM:
		te_param_field(info, s, uint8_t) = te_jsonb_enum(path, value, info->labels);
		break;
	case TE_KIND_SYMBOLS:
		te_param_field(info, s, TeSymbols) = read_symbols(path, value);
		break;
	case TE_KIND_REGIMES:
		te_param_field(info, s, uint8_t) = read_regimes(path, value);
		break;
	case TE_KIND_RULE:
		te_param_field(info, s, const char *) = te_jsonb_text(path, value);
		break;
	case TE_KIND_WEIGHTS:
		te_param_field(info, s, TeWeights) = read_weights(path, value);
		break;
	}
}

/*
 * Read the parameters of an object; *unset gets those that are null, which only a caller
 * that asks for them allows.  Keys are called "within.key" in errors.
 */
static void read_params(const char *within, Jsonb *jsonb, TeParamSet *out, uint64 *unset)
{
	JsonbIterator *it = JsonbIteratorInit(te_jsonb_root_object(within, jsonb));
	JsonbValue key, value;

	(void)JsonbIteratorNext(&it, &key, true); /* the object's begin */
	while (JsonbIteratorNext(&it, &key, true) == WJB_KEY) {
		char *param = pnstrdup(key.val.string.val, key.val.string.len);
		char *path = psprintf("%s.%s", within, param);
		int p = te_param_find(param);

		if (p < 0)
			te_unknown_key(path);
		(void)JsonbIteratorNext(&it, &value, true);
		if (unset != NULL && value.type == jbvNull) {
			*unset |= TE_PARAM_BIT(p);
			continue;
		}
		read_param(&te_params[p], path, &value, &out->values);
		out->set |= TE_PARAM_BIT(p);
	}
}

void te_jsonb_read_strategy(Jsonb *jsonb, TeStrategy *out)
{
	TeParamSet set = {0};

	te_strategy_defaults(&set.values);
	read_params("strategy", jsonb, &set, NULL);
	*out = set.values;
}

void te_jsonb_read_changes(const char *argument, Jsonb *jsonb, TeParamSet *set, uint64 *unset)
{
	memset(set, 0, sizeof(*set));
	*unset = 0;
	read_params(argument, jsonb, set, unset);
}

static void put_param(TeJsonbWriter *w, const TeParamInfo *info, const TeStrategy *s)
{
	const TeSymbols *symbols;

	switch (info->kind) {
	case TE_KIND_BOOL:
		te_jsonb_put_bool(w, te_param_const_field(info, s, bool));
		break;
	case TE_KIND_INT:
		te_jsonb_put_integer(w, te_param_const_field(info, s, int32_t));
		break;
	case TE_KIND_NUMBER:
		te_jsonb_put_number(w, te_param_const_field(info, s, double));
		break;
	case TE_KIND_ENUM:
		te_jsonb_put_text(w, info->labels->labels[te_param_const_field(info, s, uint8_t)]);
		break;
	case TE_KIND_SYMBOLS:
		symbols = &te_param_const_field(info, s, TeSymbols);
		te_jsonb_begin_array(w);
		if (symbols->any)
			te_jsonb_put_text(w, "*");
		for (int i = 0; i < symbols->count; i++)
			te_jsonb_put_text(w, symbols->symbols[i]);
		te_jsonb_end_array(w);
		break;
	case TE_KIND_REGIMES:
		te_jsonb_put_regimes(w, te_param_const_field(info, s, uint8_t));
		break;
	case TE_KIND_RULE:
		te_jsonb_put_text(w, te_param_const_field(info, s, const char *));
		break;
	case TE_KIND_WEIGHTS:
		te_jsonb_begin_array(w);
		for (int i = 0; i < TE_WEIGHT_COUNT; i++)
			te_jsonb_put_number(w, te_param_const_field(info, s, TeWeights).w[i]);
		te_jsonb_end_array(w);
		break;
	}
}

void te_jsonb_put_strategy(TeJsonbWriter *w, const TeStrategy *s)
{
	te_jsonb_begin_object(w);
	for (int p = 0; p < TE_PARAM_COUNT; p++) {
		if (p == TE_PARAM_custom_rule && s->custom_rule == NULL)
			continue;
		te_jsonb_key(w, te_params[p].name);
		put_param(w, &te_params[p], s);
	}
	te_jsonb_end_object(w);
}
