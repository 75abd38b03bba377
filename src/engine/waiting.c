/*
 * waiting.c - copies of messages, by slot of the parking.
 */
#include "postgres.h"

#include "engine/batch.h"
#include "engine/waiting.h"

#include "utils/memutils.h"

/* One allocation: texts and bytes follow the struct. */
typedef struct Copy
{
	TeInput input;
	char bytes[FLEXIBLE_ARRAY_MEMBER];
} Copy;

struct TeWaiting
{
	const TeParking *parking;
	MemoryContext context;
	Copy **copies;  /* by slot - 1 */
	List *changed;  /* slots that the transaction at hand has kept or taken */
	List *replaced; /* copies that it still needs, though their slots have others */
};

TeWaiting *te_waiting_create(const TeParking *parking)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "trading_engine waiting input",
	                                              ALLOCSET_DEFAULT_SIZES);
	TeWaiting *w = MemoryContextAllocZero(context, sizeof(TeWaiting));

	w->parking = parking;
	w->context = context;
	w->copies = MemoryContextAllocExtended(context, sizeof(Copy *) * parking->capacity,
	                                       MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	return w;
}

static const char *keep_text(const char *text, char **at)
{
	char *copy = *at;

	if (text == NULL)
		return NULL;
	strcpy(copy, text);
	*at += strlen(text) + 1;
	return copy;
}

static Copy *copy_of(const TeInput *input)
{
	size_t texts = (input->subject ? strlen(input->subject) + 1 : 0) +
	               (input->traceparent ? strlen(input->traceparent) + 1 : 0);
	Copy *copy = palloc(offsetof(Copy, bytes) + texts + input->len);
	char *at = copy->bytes;

	copy->input = *input;
	copy->input.subject = keep_text(input->subject, &at);
	copy->input.traceparent = keep_text(input->traceparent, &at);
	memcpy(at, input->data, input->len);
	copy->input.data = (const uint8_t *)at;
	return copy;
}

void te_waiting_keep(TeWaiting *w, uint32 slot, const TeInput *input)
{
	MemoryContext old = MemoryContextSwitchTo(w->context);
	Copy **place = &w->copies[slot - 1];

	if (*place != NULL)
		w->replaced = lappend(w->replaced, *place);
	*place = copy_of(input);
	w->changed = lappend_int(w->changed, (int)slot);
	MemoryContextSwitchTo(old);
}

const TeInput *te_waiting_at(const TeWaiting *w, uint32 slot)
{
	return &w->copies[slot - 1]->input;
}

void te_waiting_take(TeWaiting *w, uint32 slot)
{
	MemoryContext old = MemoryContextSwitchTo(w->context);

	w->changed = lappend_int(w->changed, (int)slot);
	MemoryContextSwitchTo(old);
}

void te_waiting_settle(TeWaiting *w)
{
	ListCell *cell;

	foreach (cell, w->changed) {
		Copy **place = &w->copies[lfirst_int(cell) - 1];

		if (*place != NULL && !te_parking_in_use(w->parking, (uint32)lfirst_int(cell))) {
			pfree(*place);
			*place = NULL;
		}
	}
	list_free(w->changed);
	list_free_deep(w->replaced);
	w->changed = w->replaced = NIL;
}
