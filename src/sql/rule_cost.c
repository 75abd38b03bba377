/*
 * rule_cost.c - a bound for the cost of a custom rule, from its text.
 *
 * A rule sees objects with members that are few and known, and two arrays: models and
 * patterns.  So what multiplies are these arrays, once for every path through one, members
 * taken all together (.*, keyvalue()), and lists of subscripts.  Filters repeat their predicate
 * for every item, comparisons look at every pair of items of their operands.
 */
#include "sql/rule_cost.h"

#include "miscadmin.h"

/* Models, and patterns, of one prediction: the limit of the wire. */
#define MOST_ELEMENTS 256

/* Members of an object, the prediction having the most of them. */
#define MOST_MEMBERS 16

/* Items that a path gives, and steps to get there. */
typedef struct RuleCost
{
	double items, work;
} RuleCost;

/* Members that are arrays, and members without one inside. */
static const char *const arrays[] = {"models", "patterns", NULL};
static const char *const plain[] = {"market", "account", "consensus", "favorability", NULL};

static RuleCost path_cost(JsonPathItem *item);

static RuleCost operand_cost(JsonPathItem *item)
{
	JsonPathItem operand;

	jspGetArg(item, &operand);
	return path_cost(&operand);
}

/* Of two operands; "pairs": every item of one meets every item of the other. */
static RuleCost operands_cost(JsonPathItem *item, bool pairs)
{
	JsonPathItem operand;
	RuleCost left, right;

	jspGetLeftArg(item, &operand);
	left = path_cost(&operand);
	jspGetRightArg(item, &operand);
	right = path_cost(&operand);
	return (RuleCost){1, left.work + right.work + (pairs ? left.items * right.items : 1)};
}

/* What a path begins with. */
static RuleCost head_cost(JsonPathItem *item)
{
	RuleCost cost;

	switch (item->type) {
	case jpiAnd:
	case jpiOr:
	case jpiAdd:
	case jpiSub:
	case jpiMul:
	case jpiDiv:
	case jpiMod:
		return operands_cost(item, false);
	case jpiEqual:
	case jpiNotEqual:
	case jpiLess:
	case jpiGreater:
	case jpiLessOrEqual:
	case jpiGreaterOrEqual:
	case jpiStartsWith:
		return operands_cost(item, true);
	case jpiNot:
	case jpiIsUnknown:
	case jpiExists:
		return (RuleCost){1, operand_cost(item).work + 1};
	case jpiPlus:
	case jpiMinus:
		cost = operand_cost(item);
		return (RuleCost){cost.items, cost.work + cost.items};
	default:
		return (RuleCost){1, 1};
	}
}

static bool is_key(JsonPathItem *item, const char *const *names)
{
	int32 length;
	const char *key = jspGetString(item, &length);

	for (; *names != NULL; names++)
		if (strlen(*names) == (size_t)length && memcmp(*names, key, length) == 0)
			return true;
	return false;
}

static void subscripts_cost(JsonPathItem *item, RuleCost *cost, bool *iterates)
{
	double each = 0;

	for (int i = 0; i < item->content.array.nelems; i++) {
		JsonPathItem from, to;
		bool range = jspGetArraySubscript(item, &from, &to, i);

		each += path_cost(&from).work;
		if (range) {
			each += path_cost(&to).work;
			*iterates = true;
		}
	}
	cost->work += cost->items * each;
	cost->items *= item->content.array.nelems;
}

static RuleCost path_cost(JsonPathItem *item)
{
	RuleCost cost = head_cost(item);
	JsonPathItem step = *item, next;
	bool iterated = false; /* there is no array ahead: none is inside of an element of one */

	check_stack_depth();
	while (jspGetNext(&step, &next)) {
		bool iterates = false;

		step = next;
		switch (step.type) {
		case jpiKey:
			iterates = is_key(&step, arrays);
			if (is_key(&step, plain))
				iterated = true;
			break;
		case jpiAnyKey:
		case jpiKeyValue:
			cost.items *= MOST_MEMBERS;
			iterates = true;
			break;
		case jpiAnyArray:
			iterates = true;
			break;
		case jpiIndexArray:
			subscripts_cost(&step, &cost, &iterates);
			break;
		case jpiFilter:
			cost.work += cost.items * operand_cost(&step).work;
			break;
		default:
			break;
		}
		if (iterates && !iterated) {
			cost.items *= MOST_ELEMENTS;
			iterated = true;
		}
		cost.work += cost.items;
	}
	return cost;
}

double te_rule_cost(JsonPathItem *root)
{
	return path_cost(root).work;
}
