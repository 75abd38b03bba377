/*
 * owner.c - who owns a lane.
 */
#include "postgres.h"

#include "engine/database.h"
#include "engine/owner.h"
#include "engine/query.h"

#include "access/xlog.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"

bool te_owner_lock(int lane)
{
	LOCKTAG tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId,
	                   get_extension_oid(TE_EXTENSION_NAME, false), (uint16)(lane + 1));
	/* Of all session locks, only those of this method are released by the end of the process. */
	tag.locktag_lockmethodid = USER_LOCKMETHOD;
	return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* Columns of the lane's row as its owner recorded them. */
typedef struct Recorded
{
	TeOwner *owner;
	bool found;
	int64 system_identifier;
	Oid database_oid;
	TimeLineID timeline;
	char data_directory[MAXPGPATH];
} Recorded;

static void read_lane(TeRow *row, void *arg)
{
	Recorded *r = arg;

	r->found = true;
	r->owner->lane_count = (int)te_row_int(row, "lane_count");
	r->owner->epoch = te_row_int(row, "epoch");
	r->owner->adopting = te_row_bool(row, "adopt_requested");
	r->owner->predecessor_epoch = te_row_int(row, "predecessor_epoch");
	r->owner->inherited.epoch = (uint64_t)te_row_int(row, "inherited_epoch");
	r->owner->inherited.seq = (uint64_t)te_row_int(row, "inherited_seq");
	strlcpy(r->owner->installation, te_row_text(row, "installation"),
	        sizeof(r->owner->installation));
	r->system_identifier = te_row_int(row, "system_identifier");
	r->database_oid = (Oid)te_row_int(row, "database_oid");
	r->timeline = (TimeLineID)te_row_int(row, "timeline");
	strlcpy(r->data_directory, te_row_text(row, "data_directory"), sizeof(r->data_directory));
}

static TeOwnership compare(const Recorded *r, char *reason, Size size)
{
	if (r->system_identifier != (int64)GetSystemIdentifier())
		strlcpy(reason, "the lane belongs to another cluster", size);
	else if (r->database_oid != MyDatabaseId)
		strlcpy(reason, "the lane belongs to the database that this one is a copy of", size);
	else if (GetWALInsertionTimeLine() > r->timeline) {
		strlcpy(reason, "the cluster was promoted or recovered since the lane last ran", size);
		return TE_OWNER_PROMOTED;
	} else if (strcmp(DataDir, r->data_directory) != 0)
		strlcpy(reason, "the data directory is a copy of the one that the lane belongs to", size);
	else
		return TE_OWNER_SAME;
	return TE_OWNER_FOREIGN;
}

void te_owner_read(int lane, TeOwner *owner)
{
	Oid types[] = {INT4OID};
	Datum values[] = {Int32GetDatum(lane)};
	TeQueryArgs args = {1, types, values, NULL};
	Recorded recorded = {.owner = owner};

	*owner = (TeOwner){0};
	te_query_each(
		"SELECT l.epoch, l.adopt_requested, l.predecessor_epoch, l.inherited_epoch,"
		"       l.inherited_seq, l.system_identifier,"
		"       l.database_oid::pg_catalog.int8 AS database_oid, l.timeline, l.data_directory,"
		"       (SELECT pg_catalog.count(*) FROM trading.lanes AS n) AS lane_count,"
		"       (SELECT i.installation_id::pg_catalog.text FROM trading.installation AS i) AS "
		"installation"
		"  FROM trading.lanes AS l WHERE l.lane OPERATOR(pg_catalog.=) $1",
		&args, read_lane, &recorded);
	if (!recorded.found)
		ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		        errmsg("lane %d is not in trading.lanes", lane));
	owner->ownership = compare(&recorded, owner->reason, sizeof(owner->reason));
	/* A standby that was promoted has the request from its primary, and nobody has asked it. */
	owner->adopting = owner->adopting && owner->ownership == TE_OWNER_SAME;
}

void te_owner_settle(int lane, const TeOwner *owner)
{
	Oid types[] = {INT4OID, INT8OID, INT8OID, INT8OID, INT4OID, TEXTOID, INT8OID, INT8OID, INT8OID};
	Datum values[] = {Int32GetDatum(lane),
	                  Int64GetDatum(owner->epoch),
	                  Int64GetDatum((int64)GetSystemIdentifier()),
	                  Int64GetDatum((int64)MyDatabaseId),
	                  Int32GetDatum((int32)GetWALInsertionTimeLine()),
	                  CStringGetTextDatum(DataDir),
	                  Int64GetDatum(owner->predecessor_epoch),
	                  Int64GetDatum((int64)owner->inherited.epoch),
	                  Int64GetDatum((int64)owner->inherited.seq)};
	TeQueryArgs args = {lengthof(types), types, values, NULL};

	if (te_query_run("UPDATE trading.lanes SET epoch = $2, system_identifier = $3,"
	                 "       database_oid = $4::pg_catalog.oid, timeline = $5, data_directory = $6,"
	                 "       adopt_requested = false, predecessor_epoch = $7,"
	                 "       inherited_epoch = $8, inherited_seq = $9"
	                 " WHERE lane OPERATOR(pg_catalog.=) $1",
	                 &args) != 1)
		elog(ERROR, "lane %d vanished", lane);
}
