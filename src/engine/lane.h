/*
 * lane.h - a lane's worker.
 */
#ifndef TE_ENGINE_LANE_H
#define TE_ENGINE_LANE_H

#include "postgres.h"

/* Entry point: arg is the index of the lane's slot in shared memory. */
extern PGDLLEXPORT void te_lane_main(Datum main_arg);

#endif
