/*
 * rule.c - custom rules, evaluated by PostgreSQL's own SQL/JSON path engine.
 *
 * What a rule may use is a list of what is allowed, not of what is forbidden, so
 * that a newer PostgreSQL's additions don't change what a rule can do: a rule has
 * to give the same answer in a worker, in a session and on another server.
 * Forbidden on purpose: like_regex and ** (cost), datetime() (session settings),
 * variables (there are none), and what could cost too much (rule_cost.h).
 */
#include "sql/rule.h"

#include <ctype.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonpath.h"
#include "utils/memutils.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "sql/decision_json.h"
#include "sql/rule_cost.h"

struct TeRule
{
	MemoryContext context;
	MemoryContext scratch; /* reset after each evaluation */
	JsonPath *path;
	Jsonb *no_variables;
};

/* What a rule must not have: the reason, and the token to show (NULL: it isn't one token). */
typedef struct Fault
{
	const char *reason, *token;
} Fault;

static const Fault like_regex_fault = {"must not use like_regex", "like_regex"};
static const Fault any_fault = {"must not use **", "**"};
static const Fault datetime_fault = {"must not use datetime()", "datetime"};
static const Fault variable_fault = {"must not use variables", "$"};
static const Fault other_fault = {"must use only what SQL/JSON paths of PostgreSQL 15 have", NULL};
static const Fault predicate_fault = {"must be a predicate, such as $.prediction.confidence > 0.8",
                                      NULL};

static const Fault *find_fault(JsonPathItem *item);

static const Fault *find_fault_in_operands(JsonPathItem *item)
{
	JsonPathItem operand;
	const Fault *fault;

	jspGetLeftArg(item, &operand);
	fault = find_fault(&operand);
	if (fault != NULL)
		return fault;
	jspGetRightArg(item, &operand);
	return find_fault(&operand);
}

static const Fault *find_fault_in_subscripts(JsonPathItem *item)
{
	for (int i = 0; i < item->content.array.nelems; i++) {
		JsonPathItem from, to;
		bool range = jspGetArraySubscript(item, &from, &to, i);
		const Fault *fault = find_fault(&from);

		if (fault == NULL && range)
			fault = find_fault(&to);
		if (fault != NULL)
			return fault;
	}
	return NULL;
}

/* The fault of one step of a path and of everything inside it, or NULL. */
static const Fault *find_fault_in_step(JsonPathItem *item)
{
	JsonPathItem operand;

	switch (item->type) {
	case jpiNull:
	case jpiString:
	case jpiNumeric:
	case jpiBool:
	case jpiRoot:
	case jpiCurrent:
	case jpiKey:
	case jpiAnyKey:
	case jpiAnyArray:
	case jpiLast:
	case jpiType:
	case jpiSize:
	case jpiAbs:
	case jpiFloor:
	case jpiCeiling:
	case jpiDouble:
	case jpiKeyValue:
		return NULL;
	case jpiIndexArray:
		return find_fault_in_subscripts(item);
	case jpiFilter:
	case jpiNot:
	case jpiIsUnknown:
	case jpiExists:
	case jpiPlus:
	case jpiMinus:
		jspGetArg(item, &operand);
		return find_fault(&operand);
	case jpiAnd:
	case jpiOr:
	case jpiEqual:
	case jpiNotEqual:
	case jpiLess:
	case jpiGreater:
	case jpiLessOrEqual:
	case jpiGreaterOrEqual:
	case jpiAdd:
	case jpiSub:
	case jpiMul:
	case jpiDiv:
	case jpiMod:
	case jpiStartsWith:
		return find_fault_in_operands(item);
	case jpiLikeRegex:
		return &like_regex_fault;
	case jpiAny:
		return &any_fault;
	case jpiDatetime:
		return &datetime_fault;
	case jpiVariable:
		return &variable_fault;
	default:
		return &other_fault;
	}
}

/* The fault of a path from this step to its end, or NULL. */
static const Fault *find_fault(JsonPathItem *item)
{
	JsonPathItem step = *item;

	check_stack_depth();
	for (;;) {
		JsonPathItem next;
		const Fault *fault = find_fault_in_step(&step);

		if (fault != NULL || !jspGetNext(&step, &next))
			return fault;
		step = next;
	}
}

/* Whether the whole path is one predicate, which is true, false or unknown. */
static bool is_predicate(JsonPathItem *root)
{
	switch (root->type) {
	case jpiAnd:
	case jpiOr:
	case jpiNot:
	case jpiIsUnknown:
	case jpiEqual:
	case jpiNotEqual:
	case jpiLess:
	case jpiGreater:
	case jpiLessOrEqual:
	case jpiGreaterOrEqual:
	case jpiExists:
	case jpiStartsWith:
		return !jspHasNext(root);
	default:
		return false;
	}
}

/*----------------------------------------------------------------------
 * Saying where it is
 *----------------------------------------------------------------------*/

/* The end of a string or comment that begins here, or the place itself. */
static const char *skip_quoted(const char *at)
{
	if (at[0] == '"') {
		for (at++; *at != '\0' && *at != '"'; at++)
			if (at[0] == '\\' && at[1] != '\0')
				at++;
		return *at == '"' ? at + 1 : at;
	}
	if (at[0] == '/' && at[1] == '*') {
		const char *end = strstr(at + 2, "*/");

		return end != NULL ? end + 2 : at + strlen(at);
	}
	return at;
}

/* A "$" alone is the input, followed by a name it is a variable; datetime is also a name. */
static bool is_token(const char *at, const char *token)
{
	const char *after = at + strlen(token);

	if (strncmp(at, token, strlen(token)) != 0)
		return false;
	if (strcmp(token, "$") == 0)
		return *after == '"' || *after == '_' || isalpha((unsigned char)*after);
	if (strcmp(token, "datetime") == 0)
		return after[strspn(after, " \t\n")] == '(';
	return true;
}

/* The next place of a token outside of strings and comments, or NULL. */
static const char *find_token(const char *at, const char *token)
{
	while (*at != '\0') {
		const char *after;

		if (is_token(at, token))
			return at;
		after = skip_quoted(at);
		at = after > at ? after : at + 1;
	}
	return NULL;
}

/* Counted in characters, from 1. */
static int position_of(const char *text, const char *at)
{
	return pg_mbstrlen_with_len(text, at - text) + 1;
}

static void invalid_rule(const char *text, const char *key, int sqlstate, const Fault *fault)
{
	const char *at = fault->token != NULL ? find_token(text, fault->token) : NULL;

	ereport(ERROR,
	        (errcode(sqlstate), errmsg("invalid value for \"%s\": %s", key, fault->reason),
	         at != NULL ? errdetail("It is at character %d.", position_of(text, at)) : 0,
	         errhint("A rule is an SQL/JSON path predicate over prediction, market, consensus, "
	                 "favorability and account, such as $.prediction.confidence > 0.8 && "
	                 "$.market.trend == \"UP\"."),
	         err_generic_string(PG_DIAG_COLUMN_NAME, "custom_rule")));
}

/*----------------------------------------------------------------------
 * Parsing
 *----------------------------------------------------------------------*/

/* Parse a path; or return what the parser says of it. */
static JsonPath *try_parse(const char *text, const char **complaint)
{
	MemoryContext caller = CurrentMemoryContext;
	JsonPath *volatile path = NULL;

	PG_TRY();
	{
		path = DatumGetJsonPathP(DirectFunctionCall1(jsonpath_in, CStringGetDatum(text)));
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) !=
		        ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION &&
		    ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		FlushErrorState();
		*complaint = error->message;
	}
	PG_END_TRY();
	return path;
}

/* Can something that begins like this be a path? */
static bool is_viable(const char *text, size_t length)
{
	const char *complaint = "";

	return try_parse(pnstrdup(text, length), &complaint) != NULL ||
	       strstr(complaint, "at end of") != NULL;
}

/*
 * Where the parser stopped: it names the token, not the place.  That is the first of this look
 * up to which the text can become a path, and with which it can't.
 */
static const char *stumbling_block(const char *text, const char *complaint)
{
	static const char near[] = "at or near \"";
	const char *token = strstr(complaint, near), *end;
	char *wanted;

	if (token == NULL)
		return NULL;
	token += strlen(near);
	end = strstr(token, "\" of jsonpath");
	if (end == NULL || end == token)
		return NULL;
	wanted = pnstrdup(token, end - token);
	for (const char *at = strstr(text, wanted); at != NULL; at = strstr(at + 1, wanted))
		if ((at == text || is_viable(text, at - text)) &&
		    !is_viable(text, at - text + strlen(wanted)))
			return at;
	return NULL;
}

static JsonPath *parse(const char *text, const char *key, int sqlstate)
{
	const char *complaint = "";
	JsonPath *path = try_parse(text, &complaint);
	const char *at;

	if (path != NULL)
		return path;
	at = stumbling_block(text, complaint);
	ereport(ERROR,
	        (errcode(sqlstate), errmsg("invalid value for \"%s\": must be an SQL/JSON path", key),
	         at != NULL ? errdetail("%s, at character %d.", complaint, position_of(text, at))
	                    : errdetail_internal("%s", complaint),
	         err_generic_string(PG_DIAG_COLUMN_NAME, "custom_rule")));
}

static void check_cost(const char *text, JsonPathItem *root, const char *key, int sqlstate)
{
	double cost = te_rule_cost(root);
	Fault fault = {NULL, NULL};

	if (cost <= TE_RULE_MAX_COST)
		return;
	fault.reason = psprintf("must not take more than %d steps for a prediction of many models and "
	                        "patterns; this may take %.3g",
	                        TE_RULE_MAX_COST, cost);
	invalid_rule(text, key, sqlstate, &fault);
}

static JsonPath *parse_and_check(const char *text, const char *key, int sqlstate)
{
	JsonPath *path;
	JsonPathItem root;
	const Fault *fault;

	if (strlen(text) > TE_RULE_MAX_BYTES) {
		Fault too_long = {psprintf("must have at most %d bytes", TE_RULE_MAX_BYTES), NULL};

		invalid_rule(text, key, sqlstate, &too_long);
	}
	path = parse(text, key, sqlstate);
	jspInit(&root, path);
	fault = find_fault(&root);
	if (fault == NULL && !is_predicate(&root))
		fault = &predicate_fault;
	if (fault != NULL)
		invalid_rule(text, key, sqlstate, fault);
	check_cost(text, &root, key, sqlstate);
	return path;
}

void te_rule_check(const char *text, const char *key, int sqlstate)
{
	pfree(parse_and_check(text, key, sqlstate));
}

static Jsonb *empty_object(void)
{
	TeJsonbWriter w = {0};

	te_jsonb_begin_object(&w);
	te_jsonb_end_object(&w);
	return JsonbValueToJsonb(w.result);
}

TeRule *te_rule_compile(const char *text, MemoryContext parent)
{
	MemoryContext context =
		AllocSetContextCreate(parent, "trading_engine rule", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	TeRule *rule = palloc(sizeof(TeRule));
	JsonPath *path;

	rule->context = context;
	rule->no_variables = empty_object();
	rule->scratch =
		AllocSetContextCreate(context, "trading_engine rule input", ALLOCSET_DEFAULT_SIZES);

	/* What the parser leaves behind goes with the scratch context. */
	MemoryContextSwitchTo(rule->scratch);
	path = parse_and_check(text, "strategy.custom_rule", ERRCODE_INVALID_PARAMETER_VALUE);
	rule->path = memcpy(MemoryContextAlloc(context, VARSIZE(path)), path, VARSIZE(path));
	MemoryContextSwitchTo(caller);
	MemoryContextReset(rule->scratch);
	return rule;
}

void te_rule_free(TeRule *rule)
{
	MemoryContextDelete(rule->context);
}

/* What a rule sees. */
static Jsonb *rule_input(const TeDecisionInput *in, double consensus, double favorability)
{
	TeMarket market = *in->market;
	TeJsonbWriter w = {0};

	market.spread_pips = te_spread_pips(in);
	te_jsonb_begin_object(&w);
	te_jsonb_key(&w, "prediction");
	te_jsonb_put_prediction(&w, in->prediction);
	te_jsonb_key(&w, "market");
	te_jsonb_put_market(&w, &market);
	te_jsonb_number_field(&w, "consensus", consensus);
	te_jsonb_number_field(&w, "favorability", favorability);
	te_jsonb_key(&w, "account");
	te_jsonb_put_account(&w, in->account);
	te_jsonb_end_object(&w);
	return JsonbValueToJsonb(w.result);
}

/*
 * jsonb_path_match() in silent mode gives NULL for a predicate that is unknown,
 * which is what every mistake inside of one becomes: a rule that can't be
 * evaluated.
 */
TeRuleResult te_rule_evaluate(void *rule_context, const TeDecisionInput *in, double consensus,
                              double favorability)
{
	TeRule *rule = rule_context;
	MemoryContext caller = MemoryContextSwitchTo(rule->scratch);
	LOCAL_FCINFO(fcinfo, 4);
	Datum match;
	bool unknown;

	InitFunctionCallInfoData(*fcinfo, NULL, 4, InvalidOid, NULL, NULL);
	fcinfo->args[0] =
		(NullableDatum){JsonbPGetDatum(rule_input(in, consensus, favorability)), false};
	fcinfo->args[1] = (NullableDatum){PointerGetDatum(rule->path), false};
	fcinfo->args[2] = (NullableDatum){JsonbPGetDatum(rule->no_variables), false};
	fcinfo->args[3] = (NullableDatum){BoolGetDatum(true), false};
	match = jsonb_path_match(fcinfo);
	unknown = fcinfo->isnull;

	MemoryContextSwitchTo(caller);
	MemoryContextReset(rule->scratch);
	if (unknown)
		return TE_RULE_ERROR;
	return DatumGetBool(match) ? TE_RULE_TRUE : TE_RULE_NOT_TRUE;
}
