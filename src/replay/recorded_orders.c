/*
 * recorded_orders.c - see recorded_orders.h.
 *
 * An order is in the heap of times until its reservation ends or is replaced by a report, and in
 * that of batches until its last turn.
 */
#include "postgres.h"

#include "replay/recorded_orders.h"

#include "utils/memutils.h"

#define NEVER PG_INT64_MAX /* a batch that doesn't come */

typedef struct Order
{
	pairingheap_node by_time, by_batch;
	TeRecordedAccount *account;
	TeTime expires_at;
	bool counted, expires;
	int turn_count, turn; /* of turns, those that are done */
	int64 turns[FLEXIBLE_ARRAY_MEMBER];
} Order;

static int64 next_batch(const Order *o)
{
	int64 turn = o->turn < o->turn_count ? o->turns[o->turn] : NEVER;

	return turn < 0 ? -turn : turn;
}

/* The first one is on top. */
static int compare_times(const pairingheap_node *a, const pairingheap_node *b,
                         void *arg pg_attribute_unused())
{
	TeTime x = pairingheap_const_container(Order, by_time, a)->expires_at;
	TeTime y = pairingheap_const_container(Order, by_time, b)->expires_at;

	return x < y ? 1 : x > y ? -1 : 0;
}

static int compare_batches(const pairingheap_node *a, const pairingheap_node *b,
                           void *arg pg_attribute_unused())
{
	int64 x = next_batch(pairingheap_const_container(Order, by_batch, a));
	int64 y = next_batch(pairingheap_const_container(Order, by_batch, b));

	return x < y ? 1 : x > y ? -1 : 0;
}

void te_recorded_orders_begin(TeRecordedOrders *orders, MemoryContext memory)
{
	HASHCTL accounts = {.keysize = TE_RECORDED_ACCOUNT_SIZE,
	                    .entrysize = sizeof(TeRecordedAccount),
	                    .hcxt = memory};
	MemoryContext old = MemoryContextSwitchTo(memory);

	orders->memory = memory;
	orders->accounts =
		hash_create("recorded accounts", 64, &accounts, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	orders->by_time = pairingheap_allocate(compare_times, NULL);
	orders->by_batch = pairingheap_allocate(compare_batches, NULL);
	MemoryContextSwitchTo(old);
}

TeRecordedAccount *te_recorded_orders_account(TeRecordedOrders *orders, const char *company_id,
                                              const char *user_id, const char *account_id)
{
	char key[TE_RECORDED_ACCOUNT_SIZE];
	TeRecordedAccount *account;
	bool found;

	snprintf(key, sizeof(key), "%s/%s/%s", company_id, user_id, account_id);
	account = hash_search(orders->accounts, key, HASH_ENTER, &found);
	if (!found) {
		account->orders = 0;
		memset(&account->held, 0, sizeof(account->held));
		memset(account->histories, 0, sizeof(account->histories));
	}
	return account;
}

static void count_order(Order *o, bool counted)
{
	if (o->counted != counted)
		o->account->orders += counted ? 1 : -1;
	o->counted = counted;
}

/* Of an order that isn't in the heap of batches. */
static void wait_for_batch(TeRecordedOrders *orders, Order *o)
{
	if (next_batch(o) != NEVER)
		pairingheap_add(orders->by_batch, &o->by_batch);
	else if (!o->expires)
		pfree(o); /* it stays as it is to the end */
}

static void no_longer_expires(TeRecordedOrders *orders, Order *o)
{
	if (o->expires)
		pairingheap_remove(orders->by_time, &o->by_time);
	o->expires = false;
}

void te_recorded_orders_add(TeRecordedOrders *orders, const TeRecordedOrder *order)
{
	Size turns = sizeof(int64) * order->turn_count;
	Order *o = MemoryContextAllocZero(orders->memory, offsetof(Order, turns) + turns);

	o->account =
		te_recorded_orders_account(orders, order->company_id, order->user_id, order->account_id);
	o->expires_at = order->expires_at;
	o->expires = order->expires_at != TE_NO_TIME;
	o->turn_count = order->turn_count;
	if (turns > 0)
		memcpy(o->turns, order->turns, turns);
	count_order(o, true);
	if (o->expires)
		pairingheap_add(orders->by_time, &o->by_time);
	wait_for_batch(orders, o);
}

void te_recorded_orders_report(TeRecordedOrders *orders, int64 batch_no)
{
	while (!pairingheap_is_empty(orders->by_batch)) {
		Order *o = pairingheap_container(Order, by_batch, pairingheap_first(orders->by_batch));

		if (next_batch(o) >= batch_no)
			break;
		(void)pairingheap_remove_first(orders->by_batch);
		no_longer_expires(orders, o);
		/* Also one whose reservation had ended. */
		count_order(o, o->turns[o->turn++] > 0);
		wait_for_batch(orders, o);
	}
}

void te_recorded_orders_expire(TeRecordedOrders *orders, TeTime now)
{
	while (!pairingheap_is_empty(orders->by_time)) {
		Order *o = pairingheap_container(Order, by_time, pairingheap_first(orders->by_time));

		if (o->expires_at > now)
			break;
		no_longer_expires(orders, o);
		count_order(o, false);
		if (next_batch(o) == NEVER)
			pfree(o);
	}
}

void te_recorded_orders_hold(TeRecordedOrders *orders, const TeRecordedRow *row)
{
	const TeRecordedOrder *order = &row->order;
	TeRecordedHeld *held =
		&te_recorded_orders_account(orders, order->company_id, order->user_id, order->account_id)
			 ->held;

	if (held->batch_no != row->batch_no || held->group != row->group)
		held->count = 0;
	held->batch_no = row->batch_no;
	held->group = row->group;
	if (held->count == held->capacity) {
		held->capacity = Max(8, 2 * held->capacity);
		held->expire_at = held->expire_at != NULL
		                      ? repalloc(held->expire_at, sizeof(TeTime) * held->capacity)
		                      : MemoryContextAlloc(orders->memory, sizeof(TeTime) * held->capacity);
	}
	held->expire_at[held->count++] = order->expires_at;
}

int64 te_recorded_orders_held(const TeRecordedAccount *account, int64 batch_no, int32 assessed,
                              TeTime now)
{
	const TeRecordedHeld *held = &account->held;
	int64 count = 0;

	if (held->batch_no != batch_no || held->group < assessed)
		return 0;
	for (int i = 0; i < held->count; i++)
		count += held->expire_at[i] > now;
	return count;
}
