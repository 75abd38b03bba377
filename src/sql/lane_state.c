/*
 * lane_state.c - trading.own_lane_state(): the part of a lane's state that is its own.
 *
 * After trading.set_lanes() every lane has the state of all companies, and only its
 * own companies' go on.  When lanes are cut anew, what a lane knows of companies
 * that it doesn't own is old, and must not win over what their owner knows.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "core/lane.h"
#include "sql/sql_arena.h"
#include "wire/identity.h"
#include "wire/state.h"

PG_FUNCTION_INFO_V1(te_sql_own_lane_state);

#define ARENA_BLOCK (64 * 1024)
#define ARENA_LIMIT ((size_t)1 << 30)

/* Broadcasts are applied by every lane, a company's messages by its owner. */
static bool owns(const char *company_id, uint32_t lane, uint32_t lanes)
{
	return strcmp(company_id, TE_ALL) == 0 || te_lane_of(company_id, lanes) == lane;
}

/* own_lane_state(state bytea, lane integer, lanes integer) */
Datum te_sql_own_lane_state(PG_FUNCTION_ARGS)
{
	bytea *packed = PG_GETARG_BYTEA_PP(0);
	int32 lane = PG_GETARG_INT32(1);
	int32 lanes = PG_GETARG_INT32(2);
	TeArena *arena = te_sql_arena(ARENA_BLOCK, ARENA_LIMIT);
	TeSavedState state;
	TeWireError err = {0};
	const uint8_t *data;
	size_t len, kept = 0;
	bytea *result;

	if (lanes < 1)
		ereport(ERROR,
		        (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("lanes must be at least 1")));
	if (!te_lane_state_unpack((const uint8_t *)VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed),
	                          arena, &state, &err))
		ereport(ERROR,
		        (errcode(ERRCODE_DATA_CORRUPTED), errmsg("state of lane %d can't be read", lane),
		         errdetail("%s: %s", err.field, err.detail)));
	for (size_t i = 0; i < state.producer_count; i++) {
		if (owns(state.producers[i].company_id, (uint32_t)lane, (uint32_t)lanes))
			state.producers[kept++] = state.producers[i];
	}
	state.producer_count = kept;
	if (!te_lane_state_pack(&state, arena, &data, &len, &err))
		elog(ERROR, "could not pack the state of lane %d: %s", lane, err.detail);
	result = palloc(VARHDRSZ + len);
	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), data, len);
	PG_RETURN_BYTEA_P(result);
}
