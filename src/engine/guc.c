/*
 * guc.c - definition of the settings from the table in guc.h.
 */
#include "engine/guc.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

#define TE_GUC_PREFIX "trading_engine"

/* Longest prefix: subjects stay far below the broker's limit of a control line (4 kB). */
#define SUBJECT_PREFIX_MAX 128
/* JetStream makes a directory of the name; the lane's number and an underscore are appended. */
#define STREAM_NAME_MAX 64

static const struct config_enum_entry te_clock_labels[] = {
	{"system", TE_CLOCK_SYSTEM, false},
	{"input", TE_CLOCK_INPUT, false},
	{NULL, 0, false},
};

static const struct config_enum_entry te_breaker_scope_labels[] = {
	{"global", TE_BREAKER_SCOPE_GLOBAL, false},
	{"company", TE_BREAKER_SCOPE_COMPANY, false},
	{NULL, 0, false},
};

static const struct config_enum_entry te_kafka_protocols[] = {
	{"plaintext", TE_KAFKA_PLAINTEXT, false},
	{"ssl", TE_KAFKA_SSL, false},
	{"sasl_plaintext", TE_KAFKA_SASL_PLAINTEXT, false},
	{"sasl_ssl", TE_KAFKA_SASL_SSL, false},
	{NULL, 0, false},
};

static const struct config_enum_entry te_kafka_mechanisms[] = {
	{"PLAIN", TE_KAFKA_PLAIN, false},
	{"SCRAM-SHA-256", TE_KAFKA_SCRAM_SHA_256, false},
	{"SCRAM-SHA-512", TE_KAFKA_SCRAM_SHA_512, false},
	{NULL, 0, false},
};

#define VARIABLE_BOOL(name, boot, ...) bool te_guc_##name = boot;
#define VARIABLE_INT(name, boot, ...) int te_guc_##name = boot;
#define VARIABLE_REAL(name, boot, ...) double te_guc_##name = boot;
#define VARIABLE_TEXT(name, boot, ...) char *te_guc_##name = boot;
TE_SETTINGS(VARIABLE_BOOL, VARIABLE_INT, VARIABLE_REAL, VARIABLE_INT, VARIABLE_TEXT)

static const char *label_of(const struct config_enum_entry *labels, int value)
{
	while (labels->val != value)
		labels++;
	return labels->name;
}

const char *te_guc_kafka_protocol_text(void)
{
	return label_of(te_kafka_protocols, te_guc_kafka_security_protocol);
}

const char *te_guc_kafka_mechanism_text(void)
{
	return label_of(te_kafka_mechanisms, te_guc_kafka_sasl_mechanism);
}

/* Characters that a subject's token and a stream's name may have in any tool. */
static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '-';
}

/* A subject prefix is one or more tokens, separated by dots. */
static bool te_check_subject_prefix(char **newval, void **extra pg_attribute_unused(),
                                    GucSource source pg_attribute_unused())
{
	const char *s = *newval;
	bool token = false;

	for (; *s != '\0' && (is_name_char(*s) || (*s == '.' && token)); s++)
		token = *s != '.';
	if (token && *s == '\0' && s - *newval <= SUBJECT_PREFIX_MAX)
		return true;
	GUC_check_errdetail(
		"A prefix has 1 to %d letters, digits, \"_\" and \"-\", in tokens separated by \".\".",
		SUBJECT_PREFIX_MAX);
	return false;
}

static bool te_check_stream_name(char **newval, void **extra pg_attribute_unused(),
                                 GucSource source pg_attribute_unused())
{
	const char *s = *newval;

	while (is_name_char(*s))
		s++;
	if (*s == '\0' && s > *newval && s - *newval <= STREAM_NAME_MAX)
		return true;
	GUC_check_errdetail("A stream's name has 1 to %d letters, digits, \"_\" and \"-\".",
	                    STREAM_NAME_MAX);
	return false;
}

static bool te_check_database_list(char **newval, void **extra pg_attribute_unused(),
                                   GucSource source pg_attribute_unused())
{
	char *copy = pstrdup(*newval);
	List *names;
	bool ok = SplitIdentifierString(copy, ',', &names);

	if (ok)
		list_free(names);
	else
		GUC_check_errdetail("List syntax is invalid.");
	pfree(copy);
	return ok;
}

#define IF_DEFINABLE(context)                                                                      \
	if (TE_GUC_##context != TE_GUC_START || process_shared_preload_libraries_in_progress)
#define DEFINE_BOOL(name, boot, context, flags, doc)                                               \
	IF_DEFINABLE(context)                                                                          \
	DefineCustomBoolVariable(TE_GUC_PREFIX "." #name, doc, NULL, &te_guc_##name, boot,             \
	                         TE_GUC_##context, flags, NULL, NULL, NULL);
#define DEFINE_INT(name, boot, least, most, context, flags, doc)                                   \
	IF_DEFINABLE(context)                                                                          \
	DefineCustomIntVariable(TE_GUC_PREFIX "." #name, doc, NULL, &te_guc_##name, boot, least, most, \
	                        TE_GUC_##context, flags, NULL, NULL, NULL);
#define DEFINE_REAL(name, boot, least, most, context, flags, doc)                                  \
	IF_DEFINABLE(context)                                                                          \
	DefineCustomRealVariable(TE_GUC_PREFIX "." #name, doc, NULL, &te_guc_##name, boot, least,      \
	                         most, TE_GUC_##context, flags, NULL, NULL, NULL);
#define DEFINE_ENUM(name, boot, labels, context, flags, doc)                                       \
	IF_DEFINABLE(context)                                                                          \
	DefineCustomEnumVariable(TE_GUC_PREFIX "." #name, doc, NULL, &te_guc_##name, boot, labels,     \
	                         TE_GUC_##context, flags, NULL, NULL, NULL);
#define DEFINE_TEXT(name, boot, check, context, flags, doc)                                        \
	IF_DEFINABLE(context)                                                                          \
	DefineCustomStringVariable(TE_GUC_PREFIX "." #name, doc, NULL, &te_guc_##name, boot,           \
	                           TE_GUC_##context, flags, check, NULL, NULL);

void te_guc_init(void)
{
	TE_SETTINGS(DEFINE_BOOL, DEFINE_INT, DEFINE_REAL, DEFINE_ENUM, DEFINE_TEXT)
	MarkGUCPrefixReserved(TE_GUC_PREFIX);
}
