/*
 * lock_guard.h - keeps tenants from locking tables that everybody needs.
 */
#ifndef TE_SQL_LOCK_GUARD_H
#define TE_SQL_LOCK_GUARD_H

/* From _PG_init of a preloaded library. */
extern void te_lock_guard_init(void);

#endif
