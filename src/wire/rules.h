/*
 * rules.h - checks that several messages share.  Each names the field and returns
 * false when it is broken.
 */
#ifndef TE_WIRE_RULES_H
#define TE_WIRE_RULES_H

#include "core/types.h"
#include "error.h"

/* ^[A-Za-z0-9_-]{1,64}$; empty is MISSING_FIELD. */
extern bool te_rule_id(const char *field, const char *value, TeWireError *err);

/* ^[A-Za-z0-9_-]{1,32}$ */
extern bool te_rule_symbol(const char *field, const char *value, TeWireError *err);

/* 1 to TE_NAME_MAX bytes. */
extern bool te_rule_name(const char *field, const char *value, TeWireError *err);

/* At most max bytes. */
extern bool te_rule_text(const char *field, const char *value, size_t max, TeWireError *err);

/* Company and user: ids, and no user of its own where the company is "_all". */
extern bool te_rule_tenant(const char *company_id, const char *user_id, TeWireError *err);

/* A time that has to be there: after 1970, before the year 10000. */
extern bool te_rule_time(const char *field, TeTime value, TeWireError *err);

/* The same, or 0 for none. */
extern bool te_rule_optional_time(const char *field, TeTime value, TeWireError *err);

/* A number within low..high. */
extern bool te_rule_range(const char *field, double value, double low, double high,
                          TeWireError *err);

/* Finite and > 0. */
extern bool te_rule_above_zero(const char *field, double value, TeWireError *err);

/* A value that a message has to have; "present" says whether it does. */
extern bool te_rule_present(const char *field, bool present, TeWireError *err);

#endif
