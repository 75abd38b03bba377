/*
 * sim_engine.h - the simulated lane: the machines of the core, wired as a worker wires them.
 *
 * What it remembers is volatile; what it stores is the Database.  A mutation does
 * wrong in the wiring, never in the machines.
 */
#ifndef TE_TEST_SIM_ENGINE_H
#define TE_TEST_SIM_ENGINE_H

#include "sim_checker.h"

/* Reading of one source. */
typedef struct Reader
{
	bool connected;
	int64_t identity;  /* of the stream */
	uint64_t at;       /* last message taken */
	int64_t at_time;   /* its time */
	TeReading reading; /* as of the last commit, or as the anchor has it */
	bool rewound;      /* by an anchor, or a restart: the reading may be lower than stored */
	uint64_t from;     /* "at" as of the last commit */
} Reader;

typedef struct Engine
{
	bool running;
	TeTime starts_at;
	TeParking parking;
	TeParked *entries;
	uint32_t entry_count;
	InMessage *copies; /* of parked messages, by slot */
	struct Waiting
	{
		enum {
			WAITING_NOT,
			WAITING_YES,
			WAITING_TAKEN
		} state; /* TAKEN: by the transaction at hand */
		int source;
		int64_t identity;
		uint64_t position;
	} waiting[4096]; /* where they can be read again, by slot */
	TeSequence sequences[PRODUCERS];
	uint32_t status[PRODUCERS][MOST_SEQ];
	Reader readers[2];
	TeRoute route;
	uint64_t connection[2]; /* counts connections; 0: none */
	uint64_t connections;
	uint64_t expected; /* of NATS: the last sequence of the output stream */

	/* The transaction at hand. */
	Record records[MOST_RECORDS];
	int record_count;
	OutRow outs[MOST_BATCH_OUT];
	int out_count, inbox_taken;
	bool dirty;
} Engine;

static Engine *engine;
static TeSequenceSettings sequence_settings;
static TeRouteSettings route_settings;

static TePlace place(uint64_t seq)
{
	return (TePlace){1, seq};
}

/*----------------------------------------------------------------------
 * Life
 *----------------------------------------------------------------------*/

static void disconnect(int via)
{
	engine->readers[via].connected = false;
	if (engine->connection[via] == 0)
		return;
	engine->connection[via] = 0;
	cut_pipe(via);
	te_route_down(&engine->route, (TeVia)via, w->now);
	observe(&engine->route);
}

static void crash(void)
{
	for (int via = 0; via < 2; via++)
		if (engine->connection[via] != 0)
			cut_pipe(via);
	engine->running = false;
	engine->starts_at = w->now + pick(3000) * MSEC;
}

static void start_engine(void)
{
	uint64_t connections = engine->connections;
	TeParked *entries = engine->entries;
	InMessage *copies = engine->copies;
	uint32_t count = engine->entry_count;

	memset(engine, 0, sizeof(*engine));
	engine->entries = entries;
	engine->copies = copies;
	engine->entry_count = count;
	engine->connections = connections;
	engine->running = true;
	te_parking_init(&engine->parking, &sequence_settings, entries);
	if (mutate(MUTATE_park_without_bound, 1))
		engine->parking.settings.most_parked = engine->parking.settings.most_per_producer =
			sequence_settings.most_parked * 5 / 4;
	for (int n = 0; n < PRODUCERS; n++)
		engine->sequences[n].committed = engine->sequences[n].staged = db->sequences[n];
	if (w->halting >= 0)
		engine->sequences[w->halting].halts = true;
	memcpy(engine->status, db->status, sizeof(engine->status));
	for (int source = 0; source < 2; source++)
		engine->readers[source].rewound = true;
	te_route_init(&engine->route, &route_settings, db->route.version ? &db->route : NULL,
	              &db->cursors, place(db->out_last), w->seed, w->now);
}

/*----------------------------------------------------------------------
 * Anchors
 *----------------------------------------------------------------------*/

static TeAnchorSight look(const InLog *log, const TeAnchorPosition *p)
{
	if (p->identity != log->identity || p->seq < log->first || p->seq > log->last)
		return (TeAnchorSight){TE_SIGHT_MISSING, 0};
	return (TeAnchorSight){TE_SIGHT_THERE, log->entries[p->seq % LOG_SIZE].time};
}

/* Only between transactions: what the one at hand has read is stored, or read again. */
static void connect_input(int source)
{
	Reader *reader = &engine->readers[source];
	const InLog *log = &w->in[source];
	TeAnchorStream stream = {log->identity, log->first, log->last};
	TeAnchorSight sights[HISTORY] = {{0}};
	TeInputJudgement j;

	do {
		j = te_anchor_judge_input(db->history[source], sights, db->history_count[source],
		                          db->readings[source], &stream);
		if (j.outcome == TE_ANCHOR_INPUT_ASK)
			sights[j.ask] = look(log, &db->history[source][j.ask]);
	} while (j.outcome == TE_ANCHOR_INPUT_ASK);
	if (mutate(MUTATE_believe_position, 1))
		j = (TeInputJudgement){
			.outcome = TE_ANCHOR_INPUT_SAME,
			.matched = -1,
			.reading = db->readings[source],
		};
	reader->connected = true;
	reader->identity = log->identity;
	reader->reading = j.reading;
	reader->at = reader->rewound ? j.reading.resume : j.reading.done;
	if (j.new_incarnation || j.outcome == TE_ANCHOR_INPUT_FRESH) {
		te_parking_forget_source(&engine->parking, source);
		for (int slot = 0; slot < 4096; slot++)
			if (engine->waiting[slot].source == source)
				engine->waiting[slot].identity = 0;
		reader->at = j.reading.resume;
	}
	if (j.new_incarnation && source == 0)
		w->acked_input = 0;
	reader->from = reader->at;
	reader->at_time = j.matched >= 0 ? db->history[source][j.matched].time : 0;
	reader->rewound = false;
}

static void connect_output(int via)
{
	const OutLog *log = &w->out[via];
	TeOutputStored stored = {
		.installation = "lane",
		.identity = db->output_identity,
		.cursor = te_route_cursors(&engine->route).acked[via],
		.last = place(db->out_last),
		.oldest = place(0),
	};
	TeOutputSeen seen = {.identity = log->identity, .installation = "lane"};
	TeOutputJudgement j;

	if (log->last > 0) {
		seen.found = true;
		seen.place = place(log->entries[log->last - 1].seq);
		/* A late repeat may be Kafka's last: what is behind it was seen earlier. */
		if (via == TE_VIA_KAFKA)
			seen.place = place(log->newest);
		seen.hash = TE_HASH_SAME;
	}
	j = te_anchor_judge_output(&stored, &seen);
	if (j.outcome == TE_ANCHOR_OUTPUT_FOREIGN)
		violated("I7", "the lane is foreign to itself: %s", j.reason);
	if (via == TE_VIA_KAFKA && !seen.found)
		j.has = place(0);
	if (via == TE_VIA_NATS && mutate(MUTATE_believe_cursor, 1))
		j.has = stored.cursor;
	engine->connection[via] = ++engine->connections;
	if (via == TE_VIA_NATS)
		engine->expected = log->last;
	te_route_up(&engine->route, (TeVia)via, j.has, w->now);
}

static void connect_some(void)
{
	int via = pick(2);

	if (!moves(via))
		return;
	if (!engine->readers[via].connected && !engine->dirty)
		connect_input(via);
	if (engine->connection[via] == 0)
		connect_output(via);
}

/*----------------------------------------------------------------------
 * Reading
 *----------------------------------------------------------------------*/

static Record *add_record(int kind)
{
	Record *r = &engine->records[engine->record_count++];

	*r = (Record){.kind = kind};
	engine->dirty = true;
	return r;
}

static void add_output(uint64_t content)
{
	if (engine->out_count == MOST_BATCH_OUT)
		return;
	/* Another attempt at the same decision has other bytes: what was rolled back must not leave. */
	engine->outs[engine->out_count++] = (OutRow){
		.hash = mix(content, ++w->nonce),
		.expires_at = w->now + pick(20000) * MSEC,
	};
}

static void set_status(Record *r, uint64_t seq, uint32_t status)
{
	uint32_t *at = &engine->status[r->producer][seq];

	r->old_status = *at;
	*at = (uint32_t)r->epoch << 2 | status;
}

static void apply_message(const InMessage *m)
{
	Record *r = add_record(RECORD_APPLY);

	r->producer = m->producer;
	r->epoch = m->epoch;
	r->from = r->to = m->seq;
	r->version = m->version;
	set_status(r, m->seq, m->version ? STATUS_APPLIED_OTHER : STATUS_APPLIED);
	if (mix(content_hash(m), 5) & 1)
		add_output(content_hash(m));
}

/* Whatever isn't marked as applied counts as missed, so gaps need no mark. */
static void record_step(const TeSequenceStep *step)
{
	Record *r;

	if (step->kind == TE_STEP_GAP && mutate(MUTATE_hide_gap, 1))
		return;
	r = add_record(step->kind == TE_STEP_GAP ? RECORD_GAP : RECORD_EPOCH);
	r->producer = (int)(step->sequence - engine->sequences);
	r->epoch = step->epoch;
	r->from = step->from;
	r->to = step->to;
}

static void take_steps(int source, const InMessage *offered)
{
	TeSequenceStep step;

	while (te_parking_step(&engine->parking, &step)) {
		const InMessage *m = step.offered || step.slot == 0 ? offered : &engine->copies[step.slot];

		if (engine->record_count >= MOST_RECORDS - 2)
			violated("bound", "a transaction has %d records", engine->record_count);
		switch (step.kind) {
		case TE_STEP_APPLY:
			apply_message(m);
			engine->waiting[step.slot].state = WAITING_TAKEN;
			if (mutate(MUTATE_apply_twice, 50))
				apply_message(m);
			break;
		case TE_STEP_GAP:
		case TE_STEP_EPOCH:
			record_step(&step);
			break;
		case TE_STEP_PARK:
			if (mutate(MUTATE_apply_early, 1))
				apply_message(m);
			engine->copies[step.slot] = *offered;
			engine->waiting[step.slot] = (struct Waiting){
				.state = WAITING_YES,
				.source = source, /* what was offered by SQL never waits */
				.identity = engine->readers[source].identity,
				.position = engine->readers[source].at,
			};
			break;
		case TE_STEP_HALT:
			break;
		}
	}
}

/* False: there is no room for it, reading has to stop. */
static bool offer_message(int source, uint64_t position, const InMessage *m)
{
	TeSequence *s = &engine->sequences[m->producer];
	uint32_t status = engine->status[m->producer][m->seq];
	InMessage applied = *m;
	uint64_t stored;
	TeSequenceMessage message = {
		.epoch = m->epoch,
		.seq = m->seq,
		.hash = content_hash(m),
		.bytes = 100,
		.source = source,
		.position = position,
		.expires_at = TE_NO_TIME,
	};

	if (status >> 2 == m->epoch && (status & 3) >= STATUS_APPLIED) {
		applied.version = (status & 3) == STATUS_APPLIED_OTHER;
		stored = content_hash(&applied);
		message.stored = &stored;
	}
	TeAdmitVerdict verdict;

	engine->dirty = true;
	verdict = te_sequence_offer(&engine->parking, s, &message, w->now);
	if (te_admit_applies(verdict))
		take_steps(source, m);
	return verdict != TE_ADMIT_FULL;
}

static void take_plain(const InMessage *m)
{
	Record *r;

	if (db->done[m->id])
		return;
	for (int i = 0; i < engine->record_count; i++)
		if (engine->records[i].kind >= RECORD_PLAIN && engine->records[i].id == m->id)
			return;
	if (m->kind == IN_BAD && mutate(MUTATE_lose_dead_letter, 1))
		return;
	r = add_record(m->kind == IN_BAD ? RECORD_DEAD : RECORD_PLAIN);
	r->id = m->id;
	if (m->kind == IN_PLAIN)
		add_output(content_hash(m));
}

static bool read_one(int source)
{
	Reader *reader = &engine->readers[source];
	const InLog *log = &w->in[source];
	InMessage m;

	if (!reader->connected || !moves(source) || engine->record_count > MOST_RECORDS / 4)
		return false;
	if (reader->at + 1 < log->first)
		reader->at = log->first - 1; /* discarded: the hole is known by the stream's sequence */
	if (reader->at >= log->last)
		return false;
	reader->at++;
	m = log->entries[reader->at % LOG_SIZE].m;
	reader->at_time = log->entries[reader->at % LOG_SIZE].time;
	engine->dirty = true;
	if (m.kind == IN_SEQUENCED) {
		if (!offer_message(source, reader->at, &m)) {
			reader->at--;
			return false;
		}
	} else if (!te_reading_is_repeat(reader->reading, reader->at))
		take_plain(&m);
	return true;
}

static void read_inbox(void)
{
	if (engine->inbox_taken < w->inbox_count && engine->record_count <= MOST_RECORDS / 4 &&
	    offer_message(-1, 0, &w->inbox[engine->inbox_taken]))
		engine->inbox_taken++;
}

static bool caught_up(void)
{
	for (int source = 0; source < 2; source++)
		if (w->in[source].last > engine->readers[source].at || !engine->readers[source].connected)
			return false;
	return w->delayed_count == 0 && w->inbox_count == 0;
}

static void tick_sequences(void)
{
	TeResendRequest requests[16];
	int n;

	if (w->now < te_parking_deadline(&engine->parking) && !one_in(50))
		return;
	if (engine->record_count > MOST_RECORDS / 4)
		return;
	n = te_parking_tick(&engine->parking, w->now, caught_up(), requests, 16);
	for (int i = 0; i < n; i++)
		resend(&requests[i], (int)(requests[i].sequence - engine->sequences));
	engine->dirty = true;
	take_steps(-1, NULL);
}

/* In the end somebody looks after a sequence that has halted. */
static void release_halted(void)
{
	if (!w->calm || w->halting < 0 || !engine->sequences[w->halting].halted)
		return;
	te_sequence_release(&engine->parking, &engine->sequences[w->halting]);
	engine->dirty = true;
	take_steps(-1, NULL);
}

static void hear_heartbeat(void)
{
	int n = pick(PRODUCERS);
	const Producer *p = &w->producers[n];

	if (p->next > 1 && (w->link[0] || w->link[1]))
		te_sequence_heartbeat(&engine->parking, &engine->sequences[n], p->epoch, p->next - 1,
		                      w->now);
}

/*----------------------------------------------------------------------
 * The transaction
 *----------------------------------------------------------------------*/

static void remember_position(int source, const Reader *reader, TeReading reading)
{
	TeAnchorPosition *history = db->history[source];
	TeAnchorPosition p = {reader->identity, reading.done, reader->at_time};

	db->readings[source] = reading;
	if (reader->at != reading.done)
		return; /* the newest position that was read is known already */
	if (db->history_count[source] > 0 && history[0].seq == p.seq &&
	    history[0].identity == p.identity)
		return;
	if (db->history_count[source] < HISTORY)
		db->history_count[source]++;
	memmove(history + 1, history, sizeof(*history) * (size_t)(db->history_count[source] - 1));
	history[0] = p;
}

/* I6: what waits in memory only must be read again after a crash, if the broker still has it. */
static void check_waiting(const TeReading after[2])
{
	for (uint32_t slot = 1; slot <= engine->parking.capacity; slot++) {
		const struct Waiting *at = &engine->waiting[slot];

		if (at->state == WAITING_YES && at->identity == w->in[at->source].identity &&
		    at->position >= w->in[at->source].first && after[at->source].resume >= at->position &&
		    after[at->source].done >= at->position)
			violated("I6", "reading goes on behind %d, but %d of source %d still waits",
			         (int)after[at->source].resume, (int)at->position, at->source);
	}
}

static void settle_waiting(bool done)
{
	for (uint32_t slot = 1; slot <= engine->parking.capacity; slot++) {
		struct Waiting *at = &engine->waiting[slot];

		if (!te_parking_in_use(&engine->parking, slot))
			at->state = WAITING_NOT;
		else if (at->state == WAITING_TAKEN && !done)
			at->state = WAITING_YES;
	}
}

/* Everything in one go; nothing can come between. */
static void write_database(const TeReading after[2], TePlace released)
{
	for (int i = 0; i < engine->record_count; i++)
		check_record(&engine->records[i]);
	for (int n = 0; n < PRODUCERS; n++)
		db->sequences[n] = engine->sequences[n].staged;
	for (int i = 0; i < engine->record_count; i++) {
		const Record *r = &engine->records[i];

		if (r->kind == RECORD_APPLY)
			db->status[r->producer][r->from] =
				(uint32_t)r->epoch << 2 | (r->version ? STATUS_APPLIED_OTHER : STATUS_APPLIED);
	}
	for (int source = 0; source < 2; source++)
		if (engine->readers[source].identity > 0)
			remember_position(source, &engine->readers[source], after[source]);
	if (db->out_last + (uint64_t)engine->out_count + 1 >= MOST_OUT)
		violated("bound", "the outbox is full");
	for (int i = 0; i < engine->out_count; i++)
		db->out[++db->out_last] = engine->outs[i];
	db->cursors = te_route_cursors(&engine->route);
	db->cursors.released = released;
	db->output_identity = w->out[0].identity;
	w->inbox_count -= engine->inbox_taken;
	memmove(w->inbox, w->inbox + engine->inbox_taken, sizeof(w->inbox[0]) * (size_t)w->inbox_count);
	engine->inbox_taken = 0;
	db->batches++;
	check_sequences();
	if (engine->parking.parked > 0)
		check_waiting(after);
}

static void forget_transaction(void)
{
	engine->inbox_taken = 0;
	engine->record_count = engine->out_count = 0;
	engine->dirty = false;
}

static void committed(const TeReading after[2], TePlace released)
{
	te_parking_apply(&engine->parking);
	settle_waiting(true);
	te_route_committed(&engine->route, place(db->out_last));
	te_route_released(&engine->route, released);
	for (int source = 0; source < 2; source++) {
		Reader *reader = &engine->readers[source];

		reader->reading = after[source];
		reader->from = reader->at;
	}
	w->taken = db->readings[1].done;
	if (db->readings[0].resume > w->acked_input)
		w->acked_input = db->readings[0].resume;
	check_input_ack(w->acked_input);
	forget_transaction();
}

static void rolled_back(void)
{
	for (int i = engine->record_count - 1; i >= 0; i--) {
		const Record *r = &engine->records[i];

		if (r->kind == RECORD_APPLY)
			engine->status[r->producer][r->from] = r->old_status;
	}
	if (engine->record_count > 0 && mutate(MUTATE_forget_to_stage, 1))
		te_parking_apply(&engine->parking);
	else
		te_parking_discard(&engine->parking);
	settle_waiting(false);
	for (int source = 0; source < 2; source++)
		engine->readers[source].at = engine->readers[source].from;
	forget_transaction();
}

/* Hand over what isn't committed yet, as publish_before_commit does. */
static void leak_output(void);

static void store(void)
{
	TeReading after[2];
	TePlace last = place(db->out_last + (uint64_t)engine->out_count), released;
	bool fails = fault(FAULT_COMMIT, 20), dies = fault(FAULT_COMMIT, 400), before = one_in(2);

	if (!engine->dirty)
		return;
	for (int source = 0; source < 2; source++) {
		Reader *reader = &engine->readers[source];

		after[source] =
			mutate(MUTATE_pass_parked, 1)
				? (TeReading){reader->at, reader->at}
				: te_reading_after(&engine->parking, source, reader->reading, reader->at);
	}
	released = engine->out_count > 0 ? te_route_release_with(&engine->route, last)
	                                 : te_route_cursors(&engine->route).released;
	if (engine->readers[0].connected && mutate(MUTATE_ack_before_commit, 1))
		w->acked_input = after[0].resume;
	if (engine->out_count > 0 && mutate(MUTATE_publish_before_commit, 4))
		leak_output();
	if (dies && before) {
		crash();
		return;
	}
	if (fails || w->db_down) {
		check_input_ack(w->acked_input);
		rolled_back();
		return;
	}
	write_database(after, released);
	if (dies)
		crash();
	else
		committed(after, released);
}

/*----------------------------------------------------------------------
 * Sending
 *----------------------------------------------------------------------*/

static void hand_over(int via, uint64_t seq, uint64_t hash)
{
	OutPipe *pipe = &w->pipes[via];

	if (pipe->send_count == PIPE_SIZE)
		violated("I9", "the pipe of transport %d is full", via);
	pipe->sends[pipe->send_count++] = (OutSend){
		.seq = seq,
		.hash = hash,
		.expected = engine->expected,
		.connection = engine->connection[via],
	};
	if (via == TE_VIA_NATS)
		engine->expected++;
}

static void leak_output(void)
{
	if (engine->route.record.state == TE_ROUTE_NATS && engine->connection[0] != 0 &&
	    te_route_cursors(&engine->route).acked[0].seq == db->out_last)
		hand_over(TE_VIA_NATS, db->out_last + 1, engine->outs[0].hash);
}

/* What is sent for a message: its bytes, unless an engine does wrong. */
static uint64_t bytes_of(uint64_t seq)
{
	uint64_t hash = db->out[seq].hash;

	if (mutate(MUTATE_change_byte, 200))
		hash ^= 256;
	if (seq <= engine->route.peers[0].furthest.seq && mutate(MUTATE_encode_again, 5))
		hash = mix(hash, ++w->nonce);
	if (db->out[seq].expires_at <= w->now && !db->out[seq].replaced &&
	    mutate(MUTATE_replace_late, 1))
		hash = mix(hash, 4711);
	return hash;
}

static void send_messages(const TeRouteOrder *order)
{
	uint64_t seq = order->after.seq;
	int via = order->via;
	uint32_t room = order->room;

	if (engine->connection[via] == 0)
		violated("route", "order to send on transport %d, which is down", via);
	if (order->through.seq == 0) {
		te_route_nothing_until(&engine->route, order->via, order->through);
		return;
	}
	if (mutate(MUTATE_ignore_window, 1))
		room += 1000;
	for (int n = 1 + pick(20); n > 0 && room > 0 && seq < order->through.seq; n--, room--) {
		seq++;
		check_send(order->route_epoch, seq, &engine->route);
		if (mutate(MUTATE_drop_output, 100))
			;
		else if (seq < order->through.seq && room > 1 && mutate(MUTATE_swap_outputs, 100)) {
			hand_over(via, seq + 1, bytes_of(seq + 1));
			hand_over(via, seq, bytes_of(seq));
			seq++;
			room--;
		} else {
			hand_over(via, seq, bytes_of(seq));
			if (seq < db->out_last && mutate(MUTATE_double_output, 100))
				hand_over(via, seq + 1, bytes_of(seq));
		}
		te_route_sent(&engine->route, (TeVia)via, place(seq), w->now);
	}
}

/* Decide which messages of a backlog leave as they are, and store it. */
static void release_messages(const TeRouteOrder *order)
{
	uint64_t to = order->after.seq + order->room;

	if (w->db_down)
		return;
	if (to > order->through.seq)
		to = order->through.seq;
	for (uint64_t seq = order->after.seq + 1; seq <= to; seq++)
		if (db->out[seq].expires_at <= w->now) {
			db->out[seq].replaced = true;
			db->out[seq].hash = mix(db->out[seq].hash, 4711);
		}
	db->cursors = te_route_cursors(&engine->route);
	db->cursors.released = place(to);
	te_route_released(&engine->route, place(to));
}

static void store_route(void)
{
	if (w->db_down) {
		if (mutate(MUTATE_send_unstored, 1))
			te_route_stored(&engine->route, engine->route.record.version);
		return;
	}
	check_route_change(&engine->route.record, route_settings.dwell);
	db->route = engine->route.record;
	db->cursors = te_route_cursors(&engine->route);
	te_route_stored(&engine->route, engine->route.record.version);
}

static void follow_order(void)
{
	TeRouteOrder order;

	if (engine->route.record.state == TE_ROUTE_KAFKA && engine->connection[0] != 0 &&
	    mutate(MUTATE_switch_at_once, 20)) {
		engine->route.record.state = TE_ROUTE_NATS;
		engine->route.record.via = TE_VIA_NATS;
		engine->route.record.version++;
		engine->route.record.route_epoch++;
	}
	te_route_next(&engine->route, w->now, &order);
	switch (order.kind) {
	case TE_ORDER_NOTHING:
		break;
	case TE_ORDER_RECONNECT:
		disconnect(order.via);
		break;
	case TE_ORDER_STORE:
		store_route();
		break;
	case TE_ORDER_RELEASE:
		release_messages(&order);
		break;
	case TE_ORDER_SEND:
		send_messages(&order);
		break;
	case TE_ORDER_MARK:
		te_route_marked(&engine->route);
		break;
	case TE_ORDER_PROBE:
		te_route_probing(&engine->route, w->now);
		if (moves(0))
			te_route_probed(&engine->route, true, w->now);
		break;
	}
}

/* An acknowledgement that has arrived.  Those of older connections went with them. */
static void take_acks(int via)
{
	OutPipe *pipe = &w->pipes[via];

	for (int n = 1 + pick(10); n > 0 && pipe->ack_count > 0 && pipe->acks[0].at <= w->now; n--) {
		OutAck a = pipe->acks[0];

		memmove(pipe->acks, pipe->acks + 1, sizeof(a) * (size_t)--pipe->ack_count);
		if (a.connection != engine->connection[via] || engine->connection[via] == 0)
			continue;
		if (a.refused) {
			disconnect(via);
			return;
		}
		te_route_acked(&engine->route, (TeVia)via, place(a.seq), w->now);
		observe(&engine->route);
	}
}

#endif
