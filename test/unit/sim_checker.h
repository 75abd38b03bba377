/*
 * sim_checker.h - the database of the simulated lane, and what must always hold.
 *
 * The checker reads what was committed and what reached the brokers, and knows what
 * was produced; it shares no code with the machines that it judges.
 */
#ifndef TE_TEST_SIM_CHECKER_H
#define TE_TEST_SIM_CHECKER_H

#include "sim_world.h"

#define HISTORY 8
#define MOST_RECORDS 4096
#define MOST_BATCH_OUT 4096

/* What became of a producer's number, in the database. */
enum { STATUS_NONE, STATUS_GAP, STATUS_APPLIED, STATUS_APPLIED_OTHER };

/* What a transaction says about input. */
typedef struct Record
{
	enum { RECORD_APPLY, RECORD_GAP, RECORD_EPOCH, RECORD_PLAIN, RECORD_DEAD } kind;
	int producer;
	uint64_t epoch, from, to;
	int version;
	uint32_t id;
	uint32_t old_status; /* for the lane's memory, to take it back */
} Record;

typedef struct OutRow
{
	uint64_t hash; /* as committed, or of the record that replaces it */
	TeTime expires_at;
	bool replaced;
} OutRow;

/* All that survives a crash. */
typedef struct Database
{
	TeProducerState sequences[PRODUCERS];
	uint32_t status[PRODUCERS][MOST_SEQ]; /* epoch << 2 | status */
	TeReading readings[2];
	TeAnchorPosition history[2][HISTORY]; /* newest first */
	int history_count[2];
	bool done[MOST_IDS]; /* messages without a sequence */
	TeRouteRecord route;
	TeRouteCursors cursors;
	int64_t output_identity;
	uint64_t out_last;
	OutRow out[MOST_OUT]; /* the outbox, by seq */
	uint64_t batches;
} Database;

static Database *db;

/* The checker's own books. */
typedef struct Checker
{
	struct
	{
		uint64_t epoch, next;
		bool ended;
	} sequences[PRODUCERS];
	bool known[PRODUCERS][EPOCHS]; /* epochs that the database has heard of */
	uint64_t applied, gaps, abandoned, dead, plain;
	TeTime route_since; /* the last switch */
	uint64_t route_in;  /* its step */
	bool kafka_lost;    /* since the last switch */
	uint64_t switches, drained;
	uint64_t sent_epoch; /* greatest route epoch of a message that was sent */
} Checker;

static Checker *checker;

/*----------------------------------------------------------------------
 * Input: I5, I8
 *----------------------------------------------------------------------*/

static void expect_number(const Record *r)
{
	uint64_t epoch = checker->sequences[r->producer].epoch;
	uint64_t next = checker->sequences[r->producer].next;
	bool ended = checker->sequences[r->producer].ended || next == 0;

	if (ended ? r->epoch <= epoch && next > 0 : r->epoch != epoch)
		violated("I5", "producer %d: epoch %d after %d", r->producer, (int)r->epoch, (int)epoch);
	if (ended)
		next = 1;
	if (r->from != next)
		violated("I5", "producer %d: %d:%d, expected was %d", r->producer, (int)r->epoch,
		         (int)r->from, (int)next);
	checker->sequences[r->producer].epoch = r->epoch;
	checker->sequences[r->producer].ended = false;
	checker->known[r->producer][r->epoch] = true;
}

static void check_record(const Record *r)
{
	uint64_t produced = r->kind <= RECORD_EPOCH && r->epoch < EPOCHS
	                        ? w->producers[r->producer].produced[r->epoch]
	                        : 0;

	switch (r->kind) {
	case RECORD_APPLY:
		expect_number(r);
		if (r->from > produced)
			violated("I8", "producer %d: %d:%d was never produced", r->producer, (int)r->epoch,
			         (int)r->from);
		checker->sequences[r->producer].next = r->from + 1;
		checker->applied++;
		break;
	case RECORD_GAP:
		expect_number(r);
		if (r->to < r->from || r->to > produced)
			violated("I8", "producer %d: gap %d:%d-%d, produced were %d", r->producer,
			         (int)r->epoch, (int)r->from, (int)r->to, (int)produced);
		checker->sequences[r->producer].next = r->to + 1;
		checker->gaps += r->to - r->from + 1;
		break;
	case RECORD_EPOCH:
		/* One of which nothing was applied may end too: its messages wait, or were told of. */
		if (checker->sequences[r->producer].ended || checker->sequences[r->producer].next == 0
		        ? r->from != 1 || r->epoch < checker->sequences[r->producer].epoch
		        : r->epoch != checker->sequences[r->producer].epoch ||
		              r->from != checker->sequences[r->producer].next)
			violated("I5", "producer %d: epoch %d ended at %d, expected was %d:%d", r->producer,
			         (int)r->epoch, (int)r->from, (int)checker->sequences[r->producer].epoch,
			         (int)checker->sequences[r->producer].next);
		checker->sequences[r->producer].epoch = r->epoch;
		checker->sequences[r->producer].next = r->from;
		checker->known[r->producer][r->epoch] = true;
		checker->sequences[r->producer].ended = true;
		checker->abandoned += produced + 1 - r->from;
		break;
	default:
		if (db->done[r->id])
			violated("I5", "message %d has an effect twice", (int)r->id);
		db->done[r->id] = true;
		*(r->kind == RECORD_DEAD ? &checker->dead : &checker->plain) += 1;
	}
}

/* The stored sequence is what the records add up to. */
static void check_sequences(void)
{
	for (int n = 0; n < PRODUCERS; n++) {
		const TeProducerState *s = &db->sequences[n];
		uint64_t next = checker->sequences[n].ended ? 1 : checker->sequences[n].next;

		if (s->next_seq == 0 && next == 0)
			continue;
		if (s->next_seq != (next ? next : 1) ||
		    (!checker->sequences[n].ended && next > 0 && s->epoch != checker->sequences[n].epoch))
			violated("I5", "producer %d: stored is %d:%d, the records end before %d:%d", n,
			         (int)s->epoch, (int)s->next_seq, (int)checker->sequences[n].epoch, (int)next);
	}
}

/* I6: what a broker was told to be done is done. */
static void check_input_ack(uint64_t position)
{
	if (position > db->readings[0].resume)
		violated("I6", "NATS was told %d, stored is %d", (int)position,
		         (int)db->readings[0].resume);
}

/*----------------------------------------------------------------------
 * Output: I1 to I4, I7, I9, I10
 *----------------------------------------------------------------------*/

static void check_output_append(int via, uint64_t seq, uint64_t hash)
{
	const OutLog *log = &w->out[via];

	if (seq == 0 || seq > db->out_last)
		violated("I4", "message %d on transport %d isn't in the database", (int)seq, via);
	if (hash != db->out[seq].hash)
		violated("I2", "message %d on transport %d has other content%s", (int)seq, via,
		         db->out[seq].replaced ? " (replaced)" : "");
	if (via == 0 && seq != (log->last ? log->entries[log->last - 1].seq : 0) + 1)
		violated("I3", "message %d on NATS follows %d", (int)seq,
		         log->last ? (int)log->entries[log->last - 1].seq : 0);
	if (!log->seen[seq] && seq <= log->newest)
		violated("I3", "message %d comes on transport %d for the first time after %d", (int)seq,
		         via, (int)log->newest);
}

/* A message is handed over under this epoch. */
static void check_send(uint64_t route_epoch, uint64_t seq, const TeRoute *route)
{
	if (route->record.state == TE_ROUTE_DRAIN_BACK && seq > route->record.cut.seq)
		violated("route", "message %d is sent before NATS has all up to %d", (int)seq,
		         (int)route->record.cut.seq);
	if (route_epoch != db->route.route_epoch)
		violated("I7", "sent in route epoch %d, stored is %d", (int)route_epoch,
		         (int)db->route.route_epoch);
	if (db->route.via != route->record.via || db->route.state != route->record.state)
		violated("I7", "sent before the change of state is stored");
	if (route_epoch < checker->sent_epoch)
		violated("I7", "sent in route epoch %d after %d", (int)route_epoch,
		         (int)checker->sent_epoch);
	checker->sent_epoch = route_epoch;
}

/* I10, and the states that must lie between. */
static void check_route_change(const TeRouteRecord *r, TeTime dwell)
{
	if (r->version <= db->route.version || r->route_epoch < db->route.route_epoch)
		violated("I7", "route %d/%d is stored after %d/%d", (int)r->version, (int)r->route_epoch,
		         (int)db->route.version, (int)db->route.route_epoch);
	if (db->route.version > 0 && r->via != db->route.via && r->route_epoch == db->route.route_epoch)
		violated("I7", "another transport in the same route epoch %d", (int)r->route_epoch);
	if (db->route.version == 0 || r->route_epoch == db->route.route_epoch) {
		checker->drained += r->state == TE_ROUTE_NATS && db->route.state == TE_ROUTE_DRAIN_BACK;
		return;
	}
	checker->switches++;
	if (r->via == TE_VIA_NATS && !checker->kafka_lost && w->jumped_in < checker->route_in) {
		if (w->now - checker->route_since < dwell)
			violated("I10", "back on NATS after %d ms on Kafka",
			         (int)((w->now - checker->route_since) / MSEC));
		if (w->out[0].newest < w->out[1].newest && w->tail_lost_in < checker->route_in)
			violated("I1", "back on NATS, which has %d of the %d that Kafka has",
			         (int)w->out[0].newest, (int)w->out[1].newest);
		checker->drained++;
	}
	checker->route_since = w->now;
	checker->route_in = w->step;
	checker->kafka_lost = false;
}

/* States that come and go between two stores count too. */
static void observe(const TeRoute *route)
{
	if (route->record.state == TE_ROUTE_NONE)
		checker->kafka_lost = true;
}

static void check_bounds(const TeRoute *route, const TeParking *parking, uint32_t most_parked)
{
	for (int via = 0; via < TE_VIA_COUNT; via++)
		if (te_route_in_flight(route, (TeVia)via) > route->settings.window)
			violated("I9", "%d messages under way", (int)te_route_in_flight(route, (TeVia)via));
	if (parking->parked > most_parked)
		violated("I9", "%d messages are parked", (int)parking->parked);
}

/*----------------------------------------------------------------------
 * The end: nothing vanished
 *----------------------------------------------------------------------*/

/*
 * Every number of every epoch that the lane ever heard of is applied, in a gap, or abandoned with
 * its epoch; every message without number that a broker still has was taken.
 */
static void check_all_input(void)
{
	uint64_t produced = 0, open = 0;

	for (int n = 0; n < PRODUCERS; n++) {
		const Producer *p = &w->producers[n];
		uint64_t newest = checker->sequences[n].epoch;

		/* A producer that began an epoch and has sent nothing in it: the old one's end is open. */
		if (newest < p->epoch && checker->sequences[n].next > 0 && !checker->sequences[n].ended)
			open += p->produced[newest] + 1 - checker->sequences[n].next;

		for (uint32_t epoch = 0; epoch <= p->epoch; epoch++)
			produced += checker->known[n][epoch] ? p->produced[epoch] : 0;
		if (p->produced[p->epoch] > 0 &&
		    (checker->sequences[n].epoch != p->epoch || checker->sequences[n].next != p->next))
			violated("I8", "producer %d ends with %d:%d, the database with %d:%d", n, (int)p->epoch,
			         (int)p->next - 1, (int)checker->sequences[n].epoch,
			         (int)checker->sequences[n].next - 1);
	}
	if (produced != checker->applied + checker->gaps + checker->abandoned + open)
		violated("I8", "%d produced, %d applied + %d in gaps + %d abandoned", (int)produced,
		         (int)checker->applied, (int)checker->gaps, (int)checker->abandoned);
	for (int source = 0; source < 2; source++) {
		if (db->readings[source].resume != db->readings[source].done)
			violated("I9", "nothing waits, but reading of source %d is held at %d", source,
			         (int)db->readings[source].resume);
		for (uint64_t seq = w->in[source].first; seq <= w->in[source].last; seq++) {
			const InMessage *m = &w->in[source].entries[seq % LOG_SIZE].m;

			if (m->kind != IN_SEQUENCED && !db->done[m->id])
				violated("I8", "message %d of source %d at %d has vanished", (int)m->id, source,
				         (int)seq);
		}
	}
}

static void check_all_output(void)
{
	for (uint64_t seq = 1; seq <= db->out_last; seq++)
		if (!w->out[0].seen[seq])
			violated("I1", "message %d of %d isn't on NATS%s", (int)seq, (int)db->out_last,
			         w->out[1].seen[seq] ? " (Kafka has it)" : "");
}

#endif
