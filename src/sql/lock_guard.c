/*
 * lock_guard.c - keeps tenants from locking tables that everybody needs.
 *
 * DELETE has no privilege by column, and whoever may delete from a table may LOCK it in any
 * mode, row-level security or not: one tenant's session would stop the lanes, all other tenants
 * and the kill switch.  So LOCK is refused to tenants where it is stronger than what their own
 * statements take.  Of views, too: LOCK goes on to the tables behind them.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

#include "engine/database.h"
#include "sql/lock_guard.h"
#include "sql/tenant.h"

static ProcessUtility_hook_type next_hook = NULL;

/* Not so where a function runs as its owner. */
static bool is_tenant(void)
{
	Oid tenant = get_role_oid(TE_TENANT_ROLE, true);
	Oid admin = get_role_oid(TE_ADMIN_ROLE, true);

	return OidIsValid(tenant) && !superuser() && has_privs_of_role(GetUserId(), tenant) &&
	       !(OidIsValid(admin) && has_privs_of_role(GetUserId(), admin));
}

static bool is_ours(Oid relation)
{
	return get_rel_namespace(relation) == get_namespace_oid(TE_SCHEMA_NAME, true) ||
	       get_rel_relkind(relation) == RELKIND_VIEW;
}

static void check_lock(const LockStmt *lock)
{
	ListCell *cell;

	if (lock->mode <= RowExclusiveLock || !is_tenant())
		return;
	foreach (cell, lock->relations) {
		const RangeVar *name = lfirst_node(RangeVar, cell);
		Oid relation = RangeVarGetRelid(name, NoLock, true);

		if (OidIsValid(relation) && is_ours(relation))
			ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			                errmsg("permission denied to lock \"%s\"", name->relname),
			                errdetail("A tenant's LOCK would stop others, ROW EXCLUSIVE and weaker "
			                          "modes excepted.")));
	}
}

static void guard_utility(PlannedStmt *statement, const char *text, bool read_only_tree,
                          ProcessUtilityContext context, ParamListInfo params,
                          QueryEnvironment *environment, DestReceiver *receiver,
                          QueryCompletion *completion)
{
	if (IsA(statement->utilityStmt, LockStmt))
		check_lock((const LockStmt *)statement->utilityStmt);
	(next_hook != NULL ? next_hook : standard_ProcessUtility)(
		statement, text, read_only_tree, context, params, environment, receiver, completion);
}

void te_lock_guard_init(void)
{
	next_hook = ProcessUtility_hook;
	ProcessUtility_hook = guard_utility;
}
