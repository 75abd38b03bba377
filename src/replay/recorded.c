/*
 * recorded.c - see recorded.h.
 *
 * A signal counts from the one after it on.  One that the risk service turned down counts until the
 * group of candidates that it was in is assessed: of a batch, 5,000 at a time.  Where a
 * strategy's own row tells its group, or rows before it do, that is known; else all that was held
 * counts, as before the group was assessed.
 *
 * Nothing is read before somebody asks: where no decision comes as far as a position's size, a
 * chunk costs nothing.
 */
#include "postgres.h"

#include "replay/recorded.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "engine/exposure.h"
#include "replay/recorded_orders.h"

/* What a series has passed on the prediction at hand: of an account, or (NULL) of all. */
typedef struct PassKey
{
	TeRecordedAccount *account;
	uint64 series;
} PassKey;

typedef struct Pass
{
	PassKey key;
	int64 count;    /* signals that count */
	int32 group;    /* of those that were turned down, the last group with */
	int64 held;     /* so many of them */
	int32 assessed; /* groups that must have been assessed by then */
	bool done;      /* of OTHERS: what comes now comes later */
} Pass;

/* Signals of strategies that the run isn't about; a series of their own. */
#define OTHERS 0

struct TeRecorded
{
	const TeReplayRun *run;
	MemoryContext context, of_lane, of_chunk;
	TeRecordedReader reader;

	/* How far it is read. */
	bool pending; /* the range at hand isn't read yet */
	TeRecordedRange range;
	bool begun; /* something of this lane and epoch is read, up to: */
	int64 read_to;

	/* The lane at hand. */
	TeRecordedOrders orders;
	HTAB *passes;

	/* The chunk at hand. */
	TeRecordedRow *rows;
	int64 row_count, row_capacity;
	int64 put; /* rows before this one are in the orders */
	const TeRecordedRow **sorted;
	int sorted_count, sorted_capacity; /* of the prediction at hand, by names */

	/* The place at hand. */
	int64 batch_no;
	int32 position;
	int32 assessed; /* groups of the batch that must have been by now */
	const TePredictionBatch *predictions;
	bool simulated;
	int prediction;
	TeTime at;
};

/*----------------------------------------------------------------------
 * Reading
 *----------------------------------------------------------------------*/

static void take_order(const TeRecordedOrder *order, void *arg)
{
	TeRecorded *r = arg;

	te_recorded_orders_add(&r->orders, order);
}

/* How many groups of its batch must have been assessed after a row. */
static int32 assessed_after(const TeRecordedRow *row)
{
	return row->group + (row->ends_group ? 1 : 0);
}

static void put_row(TeRecorded *r, const TeRecordedRow *row)
{
	if (row->signal.turned_down)
		te_recorded_orders_hold(&r->orders, row);
	else if (row->signal.reserved)
		te_recorded_orders_add(&r->orders, &row->order);
	if (row->batch_no == r->batch_no)
		r->assessed = Max(r->assessed, assessed_after(row));
}

static void take_row(const TeRecordedRow *row, void *arg)
{
	TeRecorded *r = arg;

	if (row->batch_no < r->range.first_batch) {
		put_row(r, row);
		return;
	}
	if (r->row_count == r->row_capacity) {
		r->row_capacity = Max(256, 2 * r->row_capacity);
		r->rows = r->rows != NULL
		              ? repalloc_huge(r->rows, sizeof(TeRecordedRow) * r->row_capacity)
		              : palloc_extended(sizeof(TeRecordedRow) * r->row_capacity, MCXT_ALLOC_HUGE);
	}
	r->rows[r->row_count++] = *row;
}

/* Begin a lane: what was there before the range. */
static void begin_lane(TeRecorded *r)
{
	HASHCTL passes = {.keysize = sizeof(PassKey), .entrysize = sizeof(Pass), .hcxt = r->of_lane};

	te_recorded_orders_begin(&r->orders, r->of_lane);
	r->passes = hash_create("passed signals", 16, &passes, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	te_recorded_read_first(&r->reader, &r->range, take_order, r);
	r->begun = true;
	r->read_to = r->range.first_batch - 1;
}

static void read_range(TeRecorded *r)
{
	MemoryContext old;

	MemoryContextReset(r->of_chunk);
	r->rows = NULL;
	r->row_count = r->row_capacity = r->put = 0;
	r->sorted_count = r->sorted_capacity = 0;
	r->sorted = NULL;
	old = MemoryContextSwitchTo(r->of_chunk);
	if (!r->begun)
		begin_lane(r);
	te_recorded_read_next(&r->reader, &r->range, r->read_to, take_row, r);
	r->read_to = r->range.last_batch;
	te_recorded_orders_report(&r->orders, r->range.first_batch);
	MemoryContextSwitchTo(old);
}

/*----------------------------------------------------------------------
 * The place
 *----------------------------------------------------------------------*/

static void forget_passes(TeRecorded *r)
{
	HASH_SEQ_STATUS all;
	Pass *pass;

	if (hash_get_num_entries(r->passes) == 0)
		return;
	hash_seq_init(&all, r->passes);
	while ((pass = hash_seq_search(&all)) != NULL)
		(void)hash_search(r->passes, &pass->key, HASH_REMOVE, NULL);
}

/* Find the predictions of a message's rows, which are in their order. */
static void match_rows(TeRecorded *r)
{
	const TePredictionBatch *batch = r->predictions;
	size_t next = 0;

	for (int64 i = r->put; i < r->row_count; i++) {
		TeRecordedRow *row = &r->rows[i];
		size_t found = next;

		if (row->batch_no != r->batch_no || row->position != r->position)
			break;
		while (found < batch->count &&
		       (batch->faults[found].code != TE_WIRE_OK ||
		        strcmp(batch->predictions[found].prediction_id, row->prediction_id) != 0))
			found++;
		if (found == batch->count)
			continue;
		row->prediction = (int)found;
		next = found;
	}
}

static void go_to_message(TeRecorded *r)
{
	forget_passes(r);
	for (; r->put < r->row_count; r->put++) {
		const TeRecordedRow *row = &r->rows[r->put];

		if (row->batch_no > r->batch_no ||
		    (row->batch_no == r->batch_no && row->position >= r->position))
			break;
		put_row(r, row);
	}
	te_recorded_orders_report(&r->orders, r->batch_no);
	match_rows(r);
}

static int compare_names(const TeRecordedRow *row, const char *company_id, const char *user_id,
                         const char *strategy_id)
{
	int order = strcmp(row->order.company_id, company_id);

	if (order == 0)
		order = strcmp(row->order.user_id, user_id);
	return order != 0 ? order : strcmp(row->strategy_id, strategy_id);
}

static int compare_rows(const void *a, const void *b)
{
	const TeRecordedRow *x = *(const TeRecordedRow *const *)a,
						*y = *(const TeRecordedRow *const *)b;

	return compare_names(x, y->order.company_id, y->order.user_id, y->strategy_id);
}

static void go_to_prediction(TeRecorded *r)
{
	forget_passes(r);
	r->sorted_count = 0;
	for (int64 i = r->put; i < r->row_count; i++) {
		const TeRecordedRow *row = &r->rows[i];

		if (row->batch_no != r->batch_no || row->position != r->position ||
		    row->prediction > r->prediction)
			break;
		if (row->prediction < r->prediction) {
			put_row(r, row);
			r->put = i + 1;
			continue;
		}
		if (r->sorted_count == r->sorted_capacity) {
			r->sorted_capacity = Max(64, 2 * r->sorted_capacity);
			r->sorted = r->sorted != NULL
			                ? repalloc_huge(r->sorted, sizeof(TeRecordedRow *) * r->sorted_capacity)
			                : MemoryContextAllocHuge(r->of_chunk,
			                                         sizeof(TeRecordedRow *) * r->sorted_capacity);
		}
		r->sorted[r->sorted_count++] = row;
	}
	if (r->sorted_count > 1)
		qsort(r->sorted, r->sorted_count, sizeof(TeRecordedRow *), compare_rows);
	te_recorded_orders_expire(&r->orders, r->at);
}

/* Read what is at hand, if it isn't, and go to the place. */
static void be_there(TeRecorded *r)
{
	if (!r->pending)
		return;
	r->pending = false;
	read_range(r);
	go_to_message(r);
	go_to_prediction(r);
}

void te_recorded_open(TeRecorded *r, const TeRecordedRange *range)
{
	for (; r->put < r->row_count; r->put++)
		put_row(r, &r->rows[r->put]);
	if (r->begun && (r->range.epoch != range->epoch || r->range.lane != range->lane)) {
		MemoryContextReset(r->of_lane);
		r->begun = false;
	}
	r->range = *range;
	r->pending = true;
}

void te_recorded_message(TeRecorded *r, int64 batch_no, int32 position,
                         const TePredictionBatch *predictions, bool simulated)
{
	if (r->batch_no != batch_no)
		r->assessed = 0;
	r->batch_no = batch_no;
	r->position = position;
	r->predictions = predictions;
	r->simulated = simulated;
	r->prediction = 0;
	if (!r->pending)
		go_to_message(r);
}

void te_recorded_prediction(TeRecorded *r, int prediction, TeTime at)
{
	r->prediction = prediction;
	r->at = at;
	if (!r->pending)
		go_to_prediction(r);
}

/*----------------------------------------------------------------------
 * What was
 *----------------------------------------------------------------------*/

typedef struct MadeReading
{
	TeRecorded *r;
	TeRecordedHistory *history;
} MadeReading;

static void take_made(int64 batch_no, int64 realised, void *arg)
{
	const MadeReading *reading = arg;
	TeRecordedHistory *h = reading->history;

	if (h->count == h->capacity) {
		h->capacity = Max(16, 2 * h->capacity);
		h->made = h->made != NULL ? repalloc_huge(h->made, sizeof(TeRecordedMade) * h->capacity)
		                          : MemoryContextAllocHuge(reading->r->of_lane,
		                                                   sizeof(TeRecordedMade) * h->capacity);
	}
	h->made[h->count++] = (TeRecordedMade){batch_no, realised};
}

static int64 realised(TeRecorded *r, TeRecordedAccount *account, const TeCachedStrategy *s)
{
	TeRecordedHistory *h = &account->histories[r->simulated];

	if (!h->read) {
		MadeReading reading = {r, h};

		h->read = true;
		te_recorded_read_history(&r->reader, s, r->simulated, take_made, &reading);
	}
	while (h->at < h->count && h->made[h->at].batch_no < r->batch_no)
		h->at++;
	return h->at > 0 ? h->made[h->at - 1].realised : 0;
}

static const TeRecordedRow *find_row(const TeRecorded *r, const TeCachedStrategy *s)
{
	int low = 0, high = r->sorted_count;

	while (low < high) {
		int middle = low + (high - low) / 2;
		int order = compare_names(r->sorted[middle], s->company_id, s->user_id, s->strategy_id);

		if (order == 0)
			return r->sorted[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static const Pass *look_for_pass(const TeRecorded *r, TeRecordedAccount *account, uint32 series)
{
	PassKey key = {account, series};

	if (hash_get_num_entries(r->passes) == 0)
		return NULL;
	return hash_search(r->passes, &key, HASH_FIND, NULL);
}

/* Groups of the batch that were assessed before a strategy decided. */
static int32 assessed_before(const TeRecorded *r, const TeCachedStrategy *s, uint32 series)
{
	const TeRecordedRow *row = find_row(r, s);
	const Pass *pass;

	if (row != NULL)
		return row->group;
	pass = look_for_pass(r, NULL, series);
	return pass != NULL ? Max(r->assessed, pass->assessed) : r->assessed;
}

static int64 passed(const TeRecorded *r, TeRecordedAccount *account, uint32 series, int32 assessed)
{
	const Pass *pass = look_for_pass(r, account, series);

	if (pass == NULL)
		return 0;
	return pass->count + (pass->group >= assessed ? pass->held : 0);
}

void te_recorded_account(TeRecorded *r, const TeCachedStrategy *s, uint32 series, TeAccount *out)
{
	TeRecordedAccount *account;
	int32 assessed;

	be_there(r);
	account = te_recorded_orders_account(&r->orders, s->company_id, s->user_id, s->account_id);
	assessed = assessed_before(r, s, series);
	te_strategy_account(s, out);
	te_account_add(out, realised(r, account, s),
	               account->orders +
	                   te_recorded_orders_held(account, r->batch_no, assessed, r->at) +
	                   passed(r, account, OTHERS, assessed) + passed(r, account, series, assessed));
}

const TeRecordedSignal *te_recorded_signal(TeRecorded *r, const TeCachedStrategy *s)
{
	const TeRecordedRow *row;

	be_there(r);
	row = find_row(r, s);
	return row != NULL ? &row->signal : NULL;
}

static Pass *find_pass(TeRecorded *r, TeRecordedAccount *account, uint32 series)
{
	PassKey key = {account, series};
	bool found;
	Pass *pass = hash_search(r->passes, &key, HASH_ENTER, &found);

	if (!found)
		*pass = (Pass){.key = key};
	return pass;
}

static Pass *find_pass_of(TeRecorded *r, const TeRecordedRow *row, uint32 series)
{
	const TeRecordedOrder *o = &row->order;

	return find_pass(
		r, te_recorded_orders_account(&r->orders, o->company_id, o->user_id, o->account_id),
		series);
}

static void count_pass(Pass *pass, const TeRecordedRow *row)
{
	if (!row->signal.turned_down) {
		pass->count++;
		return;
	}
	if (pass->group != row->group)
		pass->held = 0;
	pass->group = row->group;
	pass->held++;
}

void te_recorded_pass(TeRecorded *r, const TeCachedStrategy *s, uint32 series)
{
	const TeRecordedRow *row = find_row(r, s);
	Pass *all;

	if (row == NULL)
		return;
	all = find_pass(r, NULL, series);
	all->assessed = Max(all->assessed, assessed_after(row));
	if (row->signal.reserved)
		count_pass(find_pass_of(r, row, series), row);
}

bool te_recorded_has_others(TeRecorded *r)
{
	be_there(r);
	for (int i = 0; i < r->sorted_count; i++)
		if (strcmp(r->sorted[i]->strategy_id, r->run->strategy) != 0)
			return true;
	return false;
}

void te_recorded_pass_other(TeRecorded *r, const TeCachedStrategy *s)
{
	const TeRecordedRow *row = find_row(r, s);
	Pass *pass;

	if (row == NULL || !row->signal.reserved)
		return;
	pass = find_pass_of(r, row, OTHERS);
	if (!pass->done)
		count_pass(pass, row);
}

void te_recorded_own_turn(TeRecorded *r, const TeCachedStrategy *s)
{
	find_pass(r, te_recorded_orders_account(&r->orders, s->company_id, s->user_id, s->account_id),
	          OTHERS)
		->done = true;
}

TeRecorded *te_recorded_create(MemoryContext context, const TeReplayRun *run)
{
	TeRecorded *r = MemoryContextAllocZero(context, sizeof(TeRecorded));

	r->run = run;
	r->context = context;
	r->of_lane = AllocSetContextCreate(context, "recorded orders", ALLOCSET_DEFAULT_SIZES);
	r->of_chunk = AllocSetContextCreate(context, "recorded signals", ALLOCSET_DEFAULT_SIZES);
	te_recorded_reader_begin(&r->reader, run);
	return r;
}
