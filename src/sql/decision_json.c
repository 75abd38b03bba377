/*
 * decision_json.c - prediction, market, instrument and account as jsonb.
 *
 * One table of fields per object serves reading, writing and the custom rule's
 * view of the inputs.
 */
#include "sql/decision_json.h"

typedef enum {
	FIELD_TEXT,    /* const char *, NULL when absent */
	FIELD_TIME,    /* TeTime, TE_NO_TIME when absent */
	FIELD_NUMBER,  /* double, NAN when absent */
	FIELD_INTEGER, /* int64 */
	FIELD_ENUM,    /* a C enum */
	FIELD_LIST     /* pointer to an array of structs, and an int count */
} FieldKind;

typedef struct Object Object;

typedef struct Field
{
	const char *key;
	FieldKind kind;
	bool required;
	size_t offset;
	const TeEnum *labels; /* of an ENUM */
	const Object *item;   /* of a LIST */
	size_t count_offset;  /* of a LIST */
} Field;

struct Object
{
	const char *name;
	const Field *fields;
	int field_count;
	size_t size;
	const void *defaults; /* the struct without any key */
};

/* Enum fields are written through one type; every enum of the core starts at 0. */
typedef unsigned int EnumValue;

StaticAssertDecl(sizeof(TeDirection) == sizeof(EnumValue), "enums are unsigned int");

#define SCALAR(type, member, field_kind, needed)                                                   \
	{                                                                                              \
		.key = #member, .kind = (field_kind), .required = (needed),                                \
		.offset = offsetof(type, member)                                                           \
	}
#define TEXT(type, member, needed) SCALAR(type, member, FIELD_TEXT, needed)
#define TIME(type, member, needed) SCALAR(type, member, FIELD_TIME, needed)
#define NUMBER(type, member, needed) SCALAR(type, member, FIELD_NUMBER, needed)
#define INTEGER(type, member, needed) SCALAR(type, member, FIELD_INTEGER, needed)
#define ENUM(type, member, needed, enum_labels)                                                    \
	{                                                                                              \
		.key = #member, .kind = FIELD_ENUM, .required = (needed),                                  \
		.offset = offsetof(type, member), .labels = &(enum_labels)                                 \
	}
#define LIST(type, member, count, object)                                                          \
	{                                                                                              \
		.key = #member, .kind = FIELD_LIST, .offset = offsetof(type, member), .item = &(object),   \
		.count_offset = offsetof(type, count)                                                      \
	}

#define OBJECT(object_name, type, field_table, default_value)                                      \
	{                                                                                              \
		.name = (object_name), .fields = (field_table), .field_count = lengthof(field_table),      \
		.size = sizeof(type), .defaults = &(default_value)                                         \
	}

static const TeModelVote model_defaults = {.weight = 1};
static const Field model_fields[] = {
	TEXT(TeModelVote, model_id, true),
	ENUM(TeModelVote, direction, true, te_direction_enum),
	NUMBER(TeModelVote, confidence, true),
	NUMBER(TeModelVote, weight, false),
};
static const Object model_object = OBJECT("model", TeModelVote, model_fields, model_defaults);

static const TePattern pattern_defaults = {.name = NULL};
static const Field pattern_fields[] = {
	TEXT(TePattern, name, true),
	ENUM(TePattern, direction, true, te_bias_enum),
	NUMBER(TePattern, probability, true),
};
static const Object pattern_object = OBJECT("pattern", TePattern, pattern_fields, pattern_defaults);

static const TePrediction prediction_defaults = {.generated_at = TE_NO_TIME,
                                                 .valid_until = TE_NO_TIME,
                                                 .bid = NAN,
                                                 .ask = NAN,
                                                 .volume_confirmation = NAN};
static const Field prediction_fields[] = {
	TEXT(TePrediction, prediction_id, true),
	TEXT(TePrediction, symbol, true),
	TIME(TePrediction, generated_at, true),
	TIME(TePrediction, valid_until, false),
	NUMBER(TePrediction, current_price, true),
	NUMBER(TePrediction, predicted_price, true),
	NUMBER(TePrediction, bid, false),
	NUMBER(TePrediction, ask, false),
	ENUM(TePrediction, direction, true, te_direction_enum),
	NUMBER(TePrediction, confidence, true),
	LIST(TePrediction, models, model_count, model_object),
	LIST(TePrediction, patterns, pattern_count, pattern_object),
	NUMBER(TePrediction, volume_confirmation, false),
};
static const Object prediction_object =
	OBJECT("prediction", TePrediction, prediction_fields, prediction_defaults);

static const TeMarket market_defaults = {.regime = TE_REGIME_UNKNOWN,
                                         .trend = TE_TREND_FLAT,
                                         .volatility_ratio = 1,
                                         .atr = NAN,
                                         .ema = NAN,
                                         .spread_pips = NAN};
static const Field market_fields[] = {
	ENUM(TeMarket, regime, false, te_regime_enum),
	ENUM(TeMarket, trend, false, te_trend_enum),
	NUMBER(TeMarket, volatility_ratio, false),
	NUMBER(TeMarket, atr, false),
	NUMBER(TeMarket, ema, false),
	NUMBER(TeMarket, spread_pips, false),
};
static const Object market_object = OBJECT("market", TeMarket, market_fields, market_defaults);

static const TeInstrument instrument_defaults = {.min_stop_pips = 0};
static const Field instrument_fields[] = {
	TEXT(TeInstrument, symbol, true),         TEXT(TeInstrument, base_currency, true),
	TEXT(TeInstrument, quote_currency, true), NUMBER(TeInstrument, pip_size, true),
	NUMBER(TeInstrument, tick_size, true),    NUMBER(TeInstrument, contract_size, true),
	NUMBER(TeInstrument, lot_min, true),      NUMBER(TeInstrument, lot_step, true),
	NUMBER(TeInstrument, lot_max, true),      NUMBER(TeInstrument, min_stop_pips, false),
};
static const Object instrument_object =
	OBJECT("instrument", TeInstrument, instrument_fields, instrument_defaults);

static const TeAccount account_defaults = {
	.hit_rate = NAN, .position_size_multiplier = 1, .conversion_rate = NAN};
static const Field account_fields[] = {
	TEXT(TeAccount, currency, true),
	NUMBER(TeAccount, equity, true),
	INTEGER(TeAccount, open_positions, false),
	NUMBER(TeAccount, hit_rate, false),
	NUMBER(TeAccount, position_size_multiplier, false),
	NUMBER(TeAccount, conversion_rate, false),
};
static const Object account_object = OBJECT("account", TeAccount, account_fields, account_defaults);

static void read_object(const Object *object, const char *path, JsonbContainer *container,
                        void *out);

static void read_list(const Field *field, const char *path, const JsonbValue *value, void *out)
{
	JsonbContainer *array = te_jsonb_array(path, value);
	int count = JsonContainerSize(array);
	char *items = palloc_array(char, Max(count, 1) * field->item->size);

	for (int i = 0; i < count; i++) {
		char *item_path = psprintf("%s[%d]", path, i);
		JsonbValue *element = getIthJsonbValueFromContainer(array, i);

		read_object(field->item, item_path, te_jsonb_object(item_path, element),
		            items + i * field->item->size);
	}
	*(const void **)((char *)out + field->offset) = items;
	*(int *)((char *)out + field->count_offset) = count;
}

static void read_field(const Field *field, const char *path, const JsonbValue *value, void *out)
{
	void *target = (char *)out + field->offset;

	switch (field->kind) {
	case FIELD_TEXT:
		*(const char **)target = te_jsonb_text(path, value);
		break;
	case FIELD_TIME:
		*(TeTime *)target = te_jsonb_time(path, value);
		break;
	case FIELD_NUMBER:
		*(double *)target = te_jsonb_number(path, value);
		break;
	case FIELD_INTEGER:
		*(int64_t *)target = te_jsonb_integer(path, value);
		break;
	case FIELD_ENUM:
		*(EnumValue *)target = te_jsonb_enum(path, value, field->labels);
		break;
	case FIELD_LIST:
		read_list(field, path, value, out);
		break;
	}
}

static int find_field(const Object *object, const JsonbValue *key)
{
	for (int i = 0; i < object->field_count; i++) {
		const char *name = object->fields[i].key;

		if (strlen(name) == (size_t)key->val.string.len &&
		    memcmp(name, key->val.string.val, key->val.string.len) == 0)
			return i;
	}
	return -1;
}

/* Read an object over its defaults; "path" is its name in messages. */
static void read_object(const Object *object, const char *path, JsonbContainer *container,
                        void *out)
{
	JsonbIterator *it = JsonbIteratorInit(container);
	JsonbValue key, value;
	uint32 seen = 0;

	memcpy(out, object->defaults, object->size);
	(void)JsonbIteratorNext(&it, &key, true); /* the object's begin */
	while (JsonbIteratorNext(&it, &key, true) == WJB_KEY) {
		int i = find_field(object, &key);
		char *key_path = psprintf("%s.%.*s", path, key.val.string.len, key.val.string.val);

		if (i < 0)
			te_unknown_key(key_path);
		(void)JsonbIteratorNext(&it, &value, true);
		read_field(&object->fields[i], key_path, &value, out);
		seen |= 1u << i;
	}
	for (int i = 0; i < object->field_count; i++) {
		if (object->fields[i].required && !(seen & 1u << i))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			                errmsg("missing key \"%s.%s\"", path, object->fields[i].key)));
	}
}

static void read_root(const Object *object, Jsonb *jsonb, void *out)
{
	read_object(object, object->name, te_jsonb_root_object(object->name, jsonb), out);
}

void te_jsonb_read_prediction(Jsonb *jsonb, TePrediction *out)
{
	read_root(&prediction_object, jsonb, out);
}

void te_jsonb_read_market(Jsonb *jsonb, TeMarket *out)
{
	read_root(&market_object, jsonb, out);
}

void te_jsonb_read_instrument(Jsonb *jsonb, TeInstrument *out)
{
	read_root(&instrument_object, jsonb, out);
}

void te_jsonb_read_account(Jsonb *jsonb, TeAccount *out)
{
	read_root(&account_object, jsonb, out);
}

static void put_object(TeJsonbWriter *w, const Object *object, const void *in);

static void put_field(TeJsonbWriter *w, const Field *field, const void *in)
{
	const void *source = (const char *)in + field->offset;

	switch (field->kind) {
	case FIELD_TEXT:
		te_jsonb_text_field(w, field->key, *(const char *const *)source);
		break;
	case FIELD_TIME:
		te_jsonb_time_field(w, field->key, *(const TeTime *)source);
		break;
	case FIELD_NUMBER:
		te_jsonb_number_field(w, field->key, *(const double *)source);
		break;
	case FIELD_INTEGER:
		te_jsonb_key(w, field->key);
		te_jsonb_put_integer(w, *(const int64_t *)source);
		break;
	case FIELD_ENUM:
		te_jsonb_text_field(w, field->key, field->labels->labels[*(const EnumValue *)source]);
		break;
	case FIELD_LIST: {
		const char *items = *(const char *const *)source;
		int count = *(const int *)((const char *)in + field->count_offset);

		te_jsonb_key(w, field->key);
		te_jsonb_begin_array(w);
		for (int i = 0; i < count; i++)
			put_object(w, field->item, items + i * field->item->size);
		te_jsonb_end_array(w);
		break;
	}
	}
}

static void put_fields(TeJsonbWriter *w, const Object *object, const void *in)
{
	for (int i = 0; i < object->field_count; i++)
		put_field(w, &object->fields[i], in);
}

static void put_object(TeJsonbWriter *w, const Object *object, const void *in)
{
	te_jsonb_begin_object(w);
	put_fields(w, object, in);
	te_jsonb_end_object(w);
}

void te_jsonb_put_prediction(TeJsonbWriter *w, const TePrediction *p)
{
	put_object(w, &prediction_object, p);
}

void te_jsonb_put_market(TeJsonbWriter *w, const TeMarket *m)
{
	put_object(w, &market_object, m);
}

void te_jsonb_put_market_fields(TeJsonbWriter *w, const TeMarket *m)
{
	put_fields(w, &market_object, m);
}

void te_jsonb_put_instrument(TeJsonbWriter *w, const TeInstrument *i)
{
	put_object(w, &instrument_object, i);
}

void te_jsonb_put_account(TeJsonbWriter *w, const TeAccount *a)
{
	put_object(w, &account_object, a);
}
