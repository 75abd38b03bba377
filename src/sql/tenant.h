/*
 * tenant.h - who the session is.
 */
#ifndef TE_SQL_TENANT_H
#define TE_SQL_TENANT_H

#include "postgres.h"

#define TE_ADMIN_ROLE "trading_admin"
#define TE_TENANT_ROLE "trading_tenant"

typedef struct TeIdentity
{
	const char *company;
	const char *user;
	const char *role; /* admin, trader or viewer */
} TeIdentity;

/*
 * Identity of the session's tenant: the one that logged in, else what
 * trading.logins says of the role that opened the session.  False when it is nobody.
 * The caller runs with the rights to read that table.
 */
extern bool te_session_identity(TeIdentity *out);

/* Has the session, by the role that it opened or has SET, the privileges of trading_admin? */
extern bool te_session_is_admin(void);

#endif
