/*
 * shown.c - see shown.h.
 */
#include "postgres.h"

#include "replay/shown.h"

#include "utils/fmgroids.h"
#include "utils/memutils.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "sql/decision_json.h"

/* The variants of a source as the cache takes them; they live as long as the run. */
static TeVariant *read_variants(const TeReplaySource *source, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	TeVariant *variants = palloc0(sizeof(TeVariant) * Max(source->variant_count, 1));

	for (int v = 0; v < source->variant_count; v++)
		te_jsonb_read_changes("changes", source->variants[v], &variants[v].set, &variants[v].unset);
	MemoryContextSwitchTo(old);
	return variants;
}

void te_replay_check_variants(const TeReplayRun *run)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "variants of a replay", ALLOCSET_DEFAULT_SIZES);

	for (int i = 0; i < run->source_count; i++) {
		TeCacheScope scope = {
			.lane = -1,
			.company = run->company,
			.user = run->user,
			.strategy = run->strategy,
			.variant_count = run->sources[i].variant_count,
			.variants = read_variants(&run->sources[i], context),
			.parent = context,
		};

		if (scope.variant_count > 0)
			te_cache_load_current(te_cache_create(&scope));
	}
	MemoryContextDelete(context);
}

void te_replay_show_begin(TeReplayShown *shown, const TeReplayRun *run, MemoryContext context)
{
	*shown = (TeReplayShown){.run = run, .lane = -1};
	shown->memory = AllocSetContextCreate(context, "replayed strategies", ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < run->source_count; i++)
		shown->sources[i].variants = read_variants(&run->sources[i], context);
}

void te_replay_show_end(TeReplayShown *shown)
{
	MemoryContextDelete(shown->memory);
}

void te_replay_show_lane(TeReplayShown *shown, int lane, int lane_count)
{
	const TeReplayRun *run = shown->run;

	if (lane == shown->lane && lane_count == shown->lane_count)
		return;
	MemoryContextReset(shown->memory);
	shown->lane = -1;
	shown->snapshot = NULL;
	shown->has_snapshot = false;
	for (int i = 0; i < run->source_count; i++) {
		TeCacheScope scope = {
			.lane = lane,
			.lane_count = lane_count,
			.company = run->company,
			.user = run->user,
			.strategy = run->strategy,
			.variant_count = run->sources[i].variant_count,
			.variants = shown->sources[i].variants,
			.parent = shown->memory,
		};

		shown->sources[i].cache = te_cache_create(&scope);
		if (run->sources[i].strategies == TE_REPLAY_CURRENT)
			te_cache_load_current(shown->sources[i].cache);
	}
	if (run->strategy != NULL) {
		TeCacheScope scope = {
			.lane = lane,
			.lane_count = lane_count,
			.company = run->company,
			.user = run->user,
			.parent = shown->memory,
		};

		shown->others = te_cache_create(&scope);
	}
	shown->lane = lane;
	shown->lane_count = lane_count;
}

static bool same_snapshot(const TeReplayShown *shown, const struct varlena *snapshot, int64 system)
{
	return shown->has_snapshot && shown->system == system &&
	       VARSIZE_ANY(shown->snapshot) == VARSIZE_ANY(snapshot) &&
	       memcmp(shown->snapshot, snapshot, VARSIZE_ANY(snapshot)) == 0;
}

static void keep_snapshot(TeReplayShown *shown, const struct varlena *snapshot, int64 system)
{
	if (shown->snapshot != NULL)
		pfree(shown->snapshot);
	shown->snapshot = MemoryContextAlloc(shown->memory, VARSIZE_ANY(snapshot));
	memcpy(shown->snapshot, snapshot, VARSIZE_ANY(snapshot));
	shown->system = system;
	shown->has_snapshot = true;
}

void te_replay_show_snapshot(TeReplayShown *shown, struct varlena *snapshot, int64 system)
{
	char *text;

	if (same_snapshot(shown, snapshot, system))
		return;
	text = OidOutputFunctionCall(F_PG_SNAPSHOT_OUT, PointerGetDatum(snapshot));
	for (int i = 0; i < shown->run->source_count; i++)
		te_cache_refresh_at(shown->sources[i].cache, text, system);
	if (shown->others != NULL)
		te_cache_refresh_at(shown->others, text, system);
	keep_snapshot(shown, snapshot, system);
}

void te_replay_show_unknown(const TeReplayShown *shown, int64 batch_no)
{
	for (int i = 0; i < shown->run->source_count; i++)
		if (shown->run->sources[i].strategies == TE_REPLAY_RECORDED)
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			                errmsg("batch " INT64_FORMAT
			                       " of lane %d does not say which strategies it saw",
			                       batch_no, shown->lane),
			                errhint("Replay with strategies => 'current', or a later range.")));
}
