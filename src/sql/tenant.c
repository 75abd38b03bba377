/*
 * tenant.c - the identity of a session: company, user, role in the company.
 *
 * Three settings hold it; they are PGC_SUSET, so that a tenant can neither SET nor
 * RESET them, DISCARD ALL and ROLLBACK undo them, and parallel workers inherit
 * them.  Only trading.login() writes them.  While they are empty, the identity is
 * what trading.logins says of the role that opened the session.
 *
 * The functions here run as the owner of the extension (SECURITY DEFINER), with a
 * search_path of their own, and read the C variables rather than the settings by
 * name: calling them loads the library, which turns away whatever somebody wrote to
 * a setting of that name while PostgreSQL didn't know it.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "engine/guc.h"
#include "sql/tenant.h"

PG_FUNCTION_INFO_V1(te_sql_current_company);
PG_FUNCTION_INFO_V1(te_sql_current_user_id);
PG_FUNCTION_INFO_V1(te_sql_current_role_in_company);
PG_FUNCTION_INFO_V1(te_sql_session_is_admin);
PG_FUNCTION_INFO_V1(te_sql_login);
PG_FUNCTION_INFO_V1(te_sql_logout);

/* What trading.logins says of the role that opened the session. */
static bool look_up_login(TeIdentity *out)
{
	static const char query[] = "SELECT l.company_id, l.user_id, u.role"
								"  FROM trading.logins AS l JOIN trading.users AS u"
								"    ON u.company_id OPERATOR(pg_catalog.=) l.company_id"
								"   AND u.user_id OPERATOR(pg_catalog.=) l.user_id"
								" WHERE l.role_name OPERATOR(pg_catalog.=) $1::pg_catalog.name";
	MemoryContext caller = CurrentMemoryContext;
	Oid type = NAMEOID;
	NameData session_user;
	Datum argument = NameGetDatum(&session_user);
	const char *values[3];
	bool found;

	namestrcpy(&session_user, GetUserNameFromId(GetSessionUserId(), false));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(query, 1, &type, &argument, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read trading.logins");
	found = SPI_processed == 1;
	for (int i = 0; found && i < 3; i++)
		values[i] = MemoryContextStrdup(
			caller, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1));
	SPI_finish();
	if (found)
		*out = (TeIdentity){values[0], values[1], values[2]};
	return found;
}

bool te_session_identity(TeIdentity *out)
{
	if (te_guc_company != NULL && te_guc_company[0] != '\0') {
		*out = (TeIdentity){te_guc_company, te_guc_user, te_guc_role};
		return true;
	}
	return look_up_login(out);
}

bool te_session_is_admin(void)
{
	/* Not GetUserId(): inside of a SECURITY DEFINER function that is its owner. */
	return has_privs_of_role(GetOuterUserId(), get_role_oid(TE_ADMIN_ROLE, false));
}

Datum te_sql_current_company(PG_FUNCTION_ARGS)
{
	TeIdentity id;

	if (!te_session_identity(&id))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(id.company));
}

Datum te_sql_current_user_id(PG_FUNCTION_ARGS)
{
	TeIdentity id;

	if (!te_session_identity(&id))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(id.user));
}

Datum te_sql_current_role_in_company(PG_FUNCTION_ARGS)
{
	TeIdentity id;

	if (!te_session_identity(&id))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(id.role));
}

Datum te_sql_session_is_admin(PG_FUNCTION_ARGS pg_attribute_unused())
{
	PG_RETURN_BOOL(te_session_is_admin());
}

/* Write one of the three settings, with the rights of a superuser. */
static void set_identity(const char *setting, const char *value)
{
	if (set_config_option(setting, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SET, true, 0,
	                      false) <= 0)
		elog(ERROR, "could not set \"%s\"", setting);
}

static void set_identities(const TeIdentity *id)
{
	set_identity("trading_engine.company", id->company);
	set_identity("trading_engine.user", id->user);
	set_identity("trading_engine.role", id->role);
}

Datum te_sql_login(PG_FUNCTION_ARGS pg_attribute_unused())
{
	TeIdentity id;

	if (!look_up_login(&id))
		ereport(ERROR, (errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
		                errmsg("role \"%s\" is no user of a company",
		                       GetUserNameFromId(GetSessionUserId(), false)),
		                errhint("An administrator maps roles to users in trading.logins.")));
	set_identities(&id);
	PG_RETURN_VOID();
}

Datum te_sql_logout(PG_FUNCTION_ARGS pg_attribute_unused())
{
	set_identities(&(TeIdentity){"", "", ""});
	PG_RETURN_VOID();
}
