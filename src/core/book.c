/*
 * book.c - entries and totals in chained hash tables, a heap of what expires, a journal.
 */
#include "book.h"

#include <string.h>

#define NONE UINT32_MAX

typedef struct TeBookSlot
{
	TeBookEntry entry;
	uint32_t next;    /* in its chain or in the free list: slot + 1; 0: the end */
	uint32_t in_heap; /* place in the heap, or NONE */
} Slot;

/* A sum of amounts, exact for as many as there can be: high * 2^32 + low. */
typedef struct Wide
{
	int64_t high, low;
} Wide;

typedef struct TeBookSum
{
	TeKey tag;
	int64_t entries;
	Wide risk, notional, margin, pending, net;
	uint32_t next;
} Sum;

/* Beyond this a total is as good as without end. */
#define MOST_TOTAL (INT64_C(1) << 61)

static void wide_add(Wide *w, int direction, int64_t amount)
{
	int64_t low = amount & 0xffffffff;

	w->high += direction * ((amount - low) / (INT64_C(1) << 32));
	w->low += direction * low;
}

static int64_t wide_value(const Wide *w)
{
	double about = (double)w->high * 0x1p32 + (double)w->low;

	if (fabs(about) >= (double)MOST_TOTAL)
		return about > 0 ? MOST_TOTAL : -MOST_TOTAL;
	return w->high * (INT64_C(1) << 32) + w->low;
}

/* A journal entry with so many tags says: there was no such entry. */
#define WAS_ABSENT (-1)

int64_t te_book_amount(double currency)
{
	if (isnan(currency))
		currency = TE_BOOK_MOST;
	return (int64_t)round(fmin(fmax(currency, -TE_BOOK_MOST), TE_BOOK_MOST) / TE_BOOK_UNIT);
}

int64_t te_book_lots(double lots)
{
	if (isnan(lots))
		lots = TE_BOOK_MOST_LOTS;
	return (int64_t)round(fmin(fmax(lots, 0), TE_BOOK_MOST_LOTS) / TE_BOOK_LOT);
}

static uint32_t buckets_for(uint32_t count)
{
	uint32_t n = 16;

	while (n < count && n < UINT32_C(1) << 31)
		n *= 2;
	return n;
}

static size_t aligned(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

size_t te_book_size(const TeBookLimits *l)
{
	return aligned(l->entries * sizeof(Slot)) + aligned(l->totals * sizeof(Sum)) +
	       aligned(l->changes * sizeof(TeBookEntry)) +
	       aligned(buckets_for(l->entries) * sizeof(uint32_t)) +
	       aligned(buckets_for(l->totals) * sizeof(uint32_t)) +
	       aligned(l->entries * sizeof(uint32_t));
}

static void *take(char **at, size_t size)
{
	void *taken = *at;

	*at += aligned(size);
	return taken;
}

void te_book_init(TeBook *b, void *memory, const TeBookLimits *l)
{
	char *at = memory;

	memset(memory, 0, te_book_size(l));
	*b = (TeBook){.limits = *l};
	b->slots = take(&at, l->entries * sizeof(Slot));
	b->sums = take(&at, l->totals * sizeof(Sum));
	b->journal = take(&at, l->changes * sizeof(TeBookEntry));
	b->slot_heads = take(&at, buckets_for(l->entries) * sizeof(uint32_t));
	b->sum_heads = take(&at, buckets_for(l->totals) * sizeof(uint32_t));
	b->heap = take(&at, l->entries * sizeof(uint32_t));
	for (uint32_t i = 0; i < l->entries; i++)
		b->slots[i].next = i + 1 < l->entries ? i + 2 : 0;
	for (uint32_t i = 0; i < l->totals; i++)
		b->sums[i].next = i + 1 < l->totals ? i + 2 : 0;
	b->free_slot = b->free_sum = 1;
}

static uint32_t bucket(TeKey key, uint32_t count)
{
	return (uint32_t)(key.lo ^ (key.hi >> 32)) & (buckets_for(count) - 1);
}

/* --- totals --- */

/* The link that leads to a tag's sum, or to the end of its chain. */
static uint32_t *sum_link(const TeBook *b, TeKey tag)
{
	uint32_t *link = &b->sum_heads[bucket(tag, b->limits.totals)];

	while (*link != 0 && !te_key_equal(b->sums[*link - 1].tag, tag))
		link = &b->sums[*link - 1].next;
	return link;
}

TeBookTotals te_book_totals(const TeBook *b, TeKey tag)
{
	uint32_t link = *sum_link(b, tag);

	const Sum *s;

	if (link == 0)
		return (TeBookTotals){0, 0, 0, 0, 0, 0};
	s = &b->sums[link - 1];
	return (TeBookTotals){
		.entries = s->entries,
		.risk = wide_value(&s->risk),
		.notional = wide_value(&s->notional),
		.margin = wide_value(&s->margin),
		.pending = wide_value(&s->pending),
		.net = wide_value(&s->net),
	};
}

/* How many tags of an entry have no sum yet. */
static uint32_t new_tags(const TeBook *b, const TeBookEntry *e)
{
	uint32_t count = 0;

	for (int i = 0; i < e->tag_count; i++)
		count += *sum_link(b, e->tags[i].key) == 0;
	return count;
}

/* Count an entry in (+1) or out (-1) under one of its tags. */
static void post(TeBook *b, const TeBookEntry *e, const TeBookTag *tag, int direction)
{
	uint32_t *link = sum_link(b, tag->key), found = *link;
	Sum *s;

	if (found == 0) {
		found = *link = b->free_sum;
		s = &b->sums[found - 1];
		b->free_sum = s->next;
		*s = (Sum){.tag = tag->key};
		b->sums_used++;
	}
	s = &b->sums[found - 1];
	s->entries += direction;
	wide_add(&s->risk, direction, e->risk);
	wide_add(&s->notional, direction, e->notional);
	wide_add(&s->margin, direction, e->margin);
	wide_add(&s->pending, direction, e->pending);
	wide_add(&s->net, direction * tag->net, e->notional);
	if (s->entries == 0) {
		*link = s->next;
		s->next = b->free_sum;
		b->free_sum = found;
		b->sums_used--;
	}
}

/* --- the heap --- */

static TeTime expiry_at(const TeBook *b, uint32_t place)
{
	return b->slots[b->heap[place]].entry.expires_at;
}

static void set_heap(TeBook *b, uint32_t place, uint32_t slot)
{
	b->heap[place] = slot;
	b->slots[slot].in_heap = place;
}

/* Bring what stands at a place to where it belongs. */
static void settle_heap(TeBook *b, uint32_t place)
{
	uint32_t slot = b->heap[place];
	TeTime expires_at = b->slots[slot].entry.expires_at;

	for (uint32_t up; place > 0; place = up) {
		up = (place - 1) / 2;
		if (expiry_at(b, up) <= expires_at)
			break;
		set_heap(b, place, b->heap[up]);
	}
	for (uint32_t down; (down = 2 * place + 1) < b->heap_count; place = down) {
		if (down + 1 < b->heap_count && expiry_at(b, down + 1) < expiry_at(b, down))
			down++;
		if (expires_at <= expiry_at(b, down))
			break;
		set_heap(b, place, b->heap[down]);
	}
	set_heap(b, place, slot);
}

static void leave_heap(TeBook *b, uint32_t place)
{
	uint32_t last = b->heap[--b->heap_count];

	if (place == b->heap_count)
		return;
	set_heap(b, place, last);
	settle_heap(b, place);
}

/* --- entries --- */

static uint32_t *slot_link(const TeBook *b, TeKey id)
{
	uint32_t *link = &b->slot_heads[bucket(id, b->limits.entries)];

	while (*link != 0 && !te_key_equal(b->slots[*link - 1].entry.id, id))
		link = &b->slots[*link - 1].next;
	return link;
}

const TeBookEntry *te_book_find(const TeBook *b, TeKey id)
{
	uint32_t link = *slot_link(b, id);

	return link != 0 ? &b->slots[link - 1].entry : NULL;
}

static void insert(TeBook *b, const TeBookEntry *e)
{
	uint32_t *link = slot_link(b, e->id);
	uint32_t slot = b->free_slot - 1;
	Slot *s = &b->slots[slot];

	b->free_slot = s->next;
	*s = (Slot){.entry = *e, .in_heap = NONE};
	*link = slot + 1;
	b->count++;
	for (int i = 0; i < e->tag_count; i++)
		post(b, e, &e->tags[i], 1);
	if (e->expires_at == TE_NO_TIME)
		return;
	set_heap(b, b->heap_count++, slot);
	settle_heap(b, s->in_heap);
}

static void take_out(TeBook *b, TeKey id)
{
	uint32_t *link = slot_link(b, id), found = *link;
	Slot *s;

	if (found == 0)
		return;
	s = &b->slots[found - 1];
	for (int i = 0; i < s->entry.tag_count; i++)
		post(b, &s->entry, &s->entry.tags[i], -1);
	if (s->in_heap != NONE)
		leave_heap(b, s->in_heap);
	*link = s->next;
	s->next = b->free_slot;
	b->free_slot = found;
	b->count--;
}

void te_book_move(TeBook *b, void *memory, const TeBookLimits *limits)
{
	TeBook from = *b;

	te_book_init(b, memory, limits);
	for (uint32_t i = 0; i < buckets_for(from.limits.entries); i++)
		for (uint32_t link = from.slot_heads[i]; link != 0; link = from.slots[link - 1].next)
			insert(b, &from.slots[link - 1].entry);
	memcpy(b->journal, from.journal, from.changes * sizeof(TeBookEntry));
	b->changes = from.changes;
}

/* Write down how it was, before it is changed. */
static void remember(TeBook *b, TeKey id)
{
	const TeBookEntry *was = te_book_find(b, id);
	TeBookEntry *note = &b->journal[b->changes++];

	if (was != NULL)
		*note = *was;
	else
		*note = (TeBookEntry){.id = id, .tag_count = WAS_ABSENT};
}

TeBookResult te_book_put(TeBook *b, const TeBookEntry *entry)
{
	bool known = te_book_find(b, entry->id) != NULL;

	if (b->changes >= b->limits.changes)
		return TE_BOOK_NO_CHANGES;
	/* Discarding must find room for what is replaced, so its tags don't count as free. */
	if ((!known && b->count >= b->limits.entries) ||
	    b->sums_used + new_tags(b, entry) > b->limits.totals)
		return TE_BOOK_FULL;
	remember(b, entry->id);
	take_out(b, entry->id);
	insert(b, entry);
	return TE_BOOK_DONE;
}

TeBookResult te_book_remove(TeBook *b, TeKey id)
{
	if (te_book_find(b, id) == NULL)
		return TE_BOOK_DONE;
	if (b->changes >= b->limits.changes)
		return TE_BOOK_NO_CHANGES;
	remember(b, id);
	take_out(b, id);
	return TE_BOOK_DONE;
}

static TeBookResult expire(TeBook *b, const TeBookEntry *entry)
{
	TeBookEntry left = *entry;

	if (!entry->stays)
		return te_book_remove(b, left.id);
	left.expires_at = TE_NO_TIME;
	left.stays = false;
	left.risk = left.left_risk;
	left.notional = left.left_notional;
	left.margin = left.left_margin;
	left.pending = 0;
	return te_book_put(b, &left);
}

TeBookResult te_book_expire(TeBook *b, TeTime now)
{
	while (b->heap_count > 0 && expiry_at(b, 0) <= now) {
		TeBookResult result = expire(b, &b->slots[b->heap[0]].entry);

		if (result != TE_BOOK_DONE)
			return result;
	}
	return TE_BOOK_DONE;
}

void te_book_apply(TeBook *b)
{
	b->changes = 0;
}

void te_book_discard(TeBook *b)
{
	while (b->changes > 0) {
		const TeBookEntry *was = &b->journal[--b->changes];

		take_out(b, was->id);
		if (was->tag_count != WAS_ABSENT)
			insert(b, was);
	}
}
