/*
 * rules.c - see rules.h.
 */
#include "rules.h"

#include <string.h>

#include "identity.h"

#define LAST_TIME INT64_C(253402300799999999) /* 9999-12-31T23:59:59.999999Z */

bool te_rule_present(const char *field, bool present, TeWireError *err)
{
	return present || te_wire_fail(err, TE_WIRE_MISSING_FIELD, field, "is missing");
}

bool te_rule_id(const char *field, const char *value, TeWireError *err)
{
	return te_rule_present(field, value[0] != '\0', err) &&
	       (te_id_valid(value) ||
	        te_wire_fail(err, TE_WIRE_INVALID_FIELD, field,
	                     "must be 1 to %d letters, digits, \"_\" or \"-\"", TE_ID_MAX));
}

bool te_rule_symbol(const char *field, const char *value, TeWireError *err)
{
	return te_rule_present(field, value[0] != '\0', err) &&
	       (te_symbol_valid(value) ||
	        te_wire_fail(err, TE_WIRE_INVALID_FIELD, field,
	                     "must be 1 to %d letters, digits, \"_\" or \"-\"", TE_SYMBOL_MAX));
}

bool te_rule_text(const char *field, const char *value, size_t max, TeWireError *err)
{
	size_t len = strlen(value);

	return len <= max || te_wire_fail(err, TE_WIRE_INVALID_FIELD, field,
	                                  "has %zu bytes, at most %zu are allowed", len, max);
}

bool te_rule_name(const char *field, const char *value, TeWireError *err)
{
	return te_rule_present(field, value[0] != '\0', err) &&
	       te_rule_text(field, value, TE_NAME_MAX, err);
}

bool te_rule_tenant(const char *company_id, const char *user_id, TeWireError *err)
{
	if (!te_rule_id("company_id", company_id, err) || !te_rule_id("user_id", user_id, err))
		return false;
	return strcmp(company_id, TE_ALL) != 0 || strcmp(user_id, TE_ALL) == 0 ||
	       te_wire_fail(err, TE_WIRE_INVALID_FIELD, "user_id",
	                    "must be \"" TE_ALL "\" where company_id is");
}

bool te_rule_optional_time(const char *field, TeTime value, TeWireError *err)
{
	return (value >= 0 && value <= LAST_TIME) ||
	       te_wire_fail(err, TE_WIRE_INVALID_FIELD, field,
	                    "must be microseconds since 1970, before the year 10000");
}

bool te_rule_time(const char *field, TeTime value, TeWireError *err)
{
	return te_rule_present(field, value != 0, err) && te_rule_optional_time(field, value, err);
}

bool te_rule_range(const char *field, double value, double low, double high, TeWireError *err)
{
	return (value >= low && value <= high) ||
	       te_wire_fail(err, TE_WIRE_INVALID_FIELD, field, "must be from %g to %g", low, high);
}

bool te_rule_above_zero(const char *field, double value, TeWireError *err)
{
	return (isfinite(value) && value > 0) ||
	       te_wire_fail(err, TE_WIRE_INVALID_FIELD, field, "must be finite and > 0");
}
