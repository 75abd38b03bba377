/*
 * sim_failover.c - whole lanes in a simulated world, millions of steps, every step checked.
 *
 *	sim_failover [--steps N] [--seed N] [--episode N] [--mutation NAME] [--verbose]
 *
 * Without arguments: ten million steps over many episodes, then every mutation of the
 * engine, each of which must be noticed.  An episode is a world of its own with its
 * seed; a failure prints what broke, the seed, and the least set of faults and steps
 * that still breaks it.  --episode SEED runs that one alone.
 */
#include <time.h>

#include "sim_engine.h"

#include "tap.h"

#define EPISODE_STEPS 20000
#define SETTLE_STEPS 400000
#define DEFAULT_STEPS INT64_C(10000000)
#define ALL_FAULTS ((UINT64_C(1) << FAULT_COUNT) - 1)

#define NAME(name) #name,
static const char *const fault_names[] = {FAULTS(NAME)};
static const char *const mutation_names[] = {MUTATIONS(NAME)};
#undef NAME

/* What all episodes came to. */
static struct
{
	uint64_t episodes, steps, applied, gaps, abandoned, dead, plain, outputs, on_kafka, batches;
	uint64_t switches, drained, faults, settling;
} total;

/*----------------------------------------------------------------------
 * Faults
 *----------------------------------------------------------------------*/

/* Down for a moment, or long enough to be left. */
static TeTime some_time(void)
{
	switch (pick(3)) {
	case 0:
		return w->now + pick(1000) * MSEC;
	case 1:
		return w->now + pick(10) * SEC;
	default:
		return w->now + pick(100) * SEC;
	}
}

static void cut_link(int via)
{
	w->link[via] = false;
	w->link_until[via] = some_time();
	if (engine->running)
		disconnect(via);
}

static void lose_input_tail(void)
{
	InLog *log = &w->in[0];
	uint64_t lost = (uint64_t)pick(one_in(4) ? 300 : 30);

	cut_link(0);
	if (log->last + 1 - log->first < lost)
		lost = log->last + 1 - log->first;
	log->last -= lost;
}

static void renew_input(void)
{
	int source = pick(2);

	cut_link(source);
	w->in[source].identity = ++w->broker_time;
	w->in[source].first = 1;
	w->in[source].last = 0;
}

static void discard_input(void)
{
	InLog *log = &w->in[pick(2)];

	log->first += (uint64_t)pick((int)(log->last + 2 - log->first));
}

static void jump_clock(void)
{
	static const TeTime jumps[] = {-86400 * SEC, -3600 * SEC, 3600 * SEC, 86400 * SEC};

	w->now += jumps[pick(4)];
	w->jumped_in = w->step;
	for (int via = 0; via < 2; via++) {
		w->link_until[via] = w->now + pick(5000) * MSEC;
		for (int i = 0; i < w->pipes[via].ack_count; i++)
			w->pipes[via].acks[i].at = w->now;
	}
	w->frozen_until = w->db_until = w->now + pick(5000) * MSEC;
	w->frozen_since = w->now;
	engine->starts_at = w->now;
}

static void freeze(void)
{
	w->frozen = true;
	w->frozen_since = w->now;
	w->frozen_until = some_time();
}

static void do_fault(void)
{
	Fault kind = (Fault)pick(FAULT_COUNT);

	if (w->calm || !(w->fault_mask >> kind & 1))
		return;
	w->faults_done++;
	switch (kind) {
	case FAULT_CRASH:
		if (engine->running)
			crash();
		break;
	case FAULT_NATS_DOWN:
		cut_link(0);
		break;
	case FAULT_KAFKA_DOWN:
		cut_link(1);
		break;
	case FAULT_FREEZE:
		freeze();
		break;
	case FAULT_COMMIT:
		w->db_down = true;
		w->db_until = w->now + pick(3000) * MSEC;
		break;
	case FAULT_INPUT_TAIL:
		lose_input_tail();
		break;
	case FAULT_INPUT_NEW:
		renew_input();
		break;
	case FAULT_DISCARD:
		discard_input();
		break;
	case FAULT_OUTPUT_TAIL:
		cut_link(0);
		lose_output_tail();
		break;
	case FAULT_OUTPUT_NEW:
		if (one_in(5)) {
			cut_link(0);
			renew_output();
		}
		break;
	case FAULT_CLOCK:
		jump_clock();
		break;
	case FAULT_NEW_EPOCH:
		begin_producer_epoch();
		break;
	default:
		break;
	}
}

static void end_faults(void)
{
	for (int via = 0; via < 2; via++)
		if (!w->link[via] && w->now >= w->link_until[via])
			w->link[via] = true;
	if (w->frozen && w->now >= w->frozen_until)
		w->frozen = false;
	if (w->db_down && w->now >= w->db_until)
		w->db_down = false;
	/* The input's heartbeats stop: the transport gives the connection up after two seconds. */
	if (w->frozen && engine->running && engine->connection[0] != 0 &&
	    w->now - w->frozen_since > 2 * SEC)
		disconnect(0);
	if (!engine->running && w->now >= engine->starts_at)
		start_engine();
}

/*----------------------------------------------------------------------
 * A step
 *----------------------------------------------------------------------*/

static void engine_step(void)
{
	int what = pick(100);

	if (w->now >= te_route_deadline(&engine->route) || one_in(20))
		te_route_tick(&engine->route, w->now);
	observe(&engine->route);
	if (what < 30) {
		int source = pick(2);

		for (int n = 1 + pick(50); n > 0 && read_one(source); n--)
			;
	} else if (what < 45)
		store();
	else if (what < 75)
		follow_order();
	else if (what < 87)
		take_acks(pick(2));
	else if (what < 92)
		tick_sequences();
	else if (what < 98)
		connect_some();
	else if (what < 99)
		hear_heartbeat();
	else {
		read_inbox();
		release_halted();
	}
	observe(&engine->route);
	check_bounds(&engine->route, &engine->parking, sequence_settings.most_parked);
}

static void world_step(void)
{
	int what = pick(100);

	if (what < 45 && !w->calm)
		produce();
	else if (what < 49 && !w->calm)
		produce_plain();
	else if (what < 50 && !w->calm && !patient)
		produce_by_sql();
	else if (what < 90)
		deliver_some(pick(2));
	else if (what < 97)
		deliver_delayed();
	else if (fault(FAULT_BAD, 2))
		produce_bad();
}

static void step(void)
{
	w->random = mix(w->seed, w->step++);
	w->now += pick(2 * w->pace);
	if (one_in(w->fault_odds))
		do_fault();
	end_faults();
	if (one_in(2))
		world_step();
	else if (engine->running)
		engine_step();
}

/*----------------------------------------------------------------------
 * An episode
 *----------------------------------------------------------------------*/

/* Sometimes tight bounds, sometimes short times: both happen often enough to matter. */
static void choose_settings(void)
{
	TeTime scale = one_in(3) ? 1 : 10;

	w->random = mix(w->seed, UINT64_MAX);
	w->fault_odds = (int[]){50, 300, 1000, 4000}[pick(4)];
	w->pace = (int[]){500, 5000, 20000}[pick(3)];
	w->halting = one_in(3) ? pick(PRODUCERS) : -1;
	sequence_settings = te_sequence_settings_default;
	sequence_settings.most_parked = (uint32_t[]){8, 100, 1000}[pick(3)];
	sequence_settings.most_per_producer =
		sequence_settings.most_parked * (2 + (uint32_t)pick(3)) / 4;
	if (patient) {
		sequence_settings.most_parked = sequence_settings.most_per_producer = 2000;
		sequence_settings.give_up_after = 30 * 86400 * SEC;
	}
	route_settings = te_route_settings_default;
	route_settings.window = 10 + (uint32_t)pick(200);
	route_settings.release_ahead = 1 + (uint32_t)pick(500);
	route_settings.dwell /= scale;
	route_settings.dwell_most /= scale;
	route_settings.probe_wait /= scale;
	route_settings.probe_wait_most /= scale;
	route_settings.probe_span /= scale;
}

static void begin_episode(uint64_t seed, uint64_t mask, Mutation mutation)
{
	TeParked *entries = engine->entries;
	InMessage *copies = engine->copies;

	memset(w, 0, sizeof(*w));
	memset(db, 0, sizeof(*db));
	memset(checker, 0, sizeof(*checker));
	memset(engine, 0, sizeof(*engine));
	engine->entries = entries;
	engine->copies = copies;
	w->seed = seed;
	w->fault_mask = mask;
	w->mutation = mutation;
	w->now = 1000000 * SEC;
	w->link[0] = w->link[1] = true;
	choose_settings();
	for (int i = 0; i < 2; i++) {
		w->in[i].identity = ++w->broker_time;
		w->in[i].first = 1;
		w->out[i].identity = ++w->broker_time;
	}
	for (int n = 0; n < PRODUCERS; n++)
		w->producers[n] = (Producer){.epoch = 1, .next = 1};
	start_engine();
}

static bool is_settled(void)
{
	if (!engine->running || engine->dirty || engine->parking.open || !caught_up() ||
	    engine->route.record.state != TE_ROUTE_NATS ||
	    te_route_cursors(&engine->route).acked[0].seq != db->out_last)
		return false;
	for (int n = 0; n < PRODUCERS; n++)
		if (w->producers[n].next > 1 && (db->sequences[n].epoch != w->producers[n].epoch ||
		                                 db->sequences[n].next_seq != w->producers[n].next))
			return false;
	return true;
}

/* No more faults: everything must come to its end. */
static void settle(void)
{
	w->calm = true;
	w->link_until[0] = w->link_until[1] = w->frozen_until = w->db_until = w->now;
	w->pace = 50 * (int)MSEC;
	for (int n = 0; n < SETTLE_STEPS; n++) {
		step();
		if (n % 16 == 0 && is_settled())
			return;
	}
	violated("end", "the lane doesn't settle: route %s, %d of %d on NATS, %d parked",
	         te_route_state_enum.labels[engine->route.record.state],
	         (int)te_route_cursors(&engine->route).acked[0].seq, (int)db->out_last,
	         (int)engine->parking.parked);
}

/* True: nothing was violated in so many steps. */
static bool run_episode(uint64_t seed, uint64_t mask, Mutation mutation, uint64_t steps)
{
	begin_episode(seed, mask, mutation);
	if (setjmp(w->failed) != 0)
		return false;
	while (w->step < steps)
		step();
	settle();
	check_all_input();
	check_all_output();
	return true;
}

static void add_up(void)
{
	total.episodes++;
	total.steps += w->step < EPISODE_STEPS ? w->step : EPISODE_STEPS; /* those with faults */
	total.settling += w->step - (w->step < EPISODE_STEPS ? w->step : EPISODE_STEPS);
	total.applied += checker->applied;
	total.gaps += checker->gaps;
	total.abandoned += checker->abandoned;
	total.dead += checker->dead;
	total.plain += checker->plain;
	total.outputs += db->out_last;
	total.on_kafka += w->out[1].last;
	total.batches += db->batches;
	total.switches += checker->switches;
	total.drained += checker->drained;
	total.faults += w->faults_done;
}

/*----------------------------------------------------------------------
 * Failures
 *----------------------------------------------------------------------*/

/* Fewer kinds of faults, then fewer steps, as long as it still fails. */
static void shrink(uint64_t seed, Mutation mutation)
{
	uint64_t mask = ALL_FAULTS, steps = w->step < EPISODE_STEPS ? w->step : EPISODE_STEPS;
	char why[sizeof(w->why)];

	printf("# seed %llu, step %llu: %s\n", (unsigned long long)seed, (unsigned long long)w->step,
	       w->why);
	for (int kind = 0; kind < FAULT_COUNT; kind++)
		if (!run_episode(seed, mask & ~(UINT64_C(1) << kind), mutation, steps))
			mask &= ~(UINT64_C(1) << kind);
	for (uint64_t less = EPISODE_STEPS / 2; less > 0; less /= 2)
		while (steps > less && !run_episode(seed, mask, mutation, steps - less))
			steps -= less;
	(void)run_episode(seed, mask, mutation, steps);
	snprintf(why, sizeof(why), "%s", w->why);
	printf("# least: %llu steps, faults", (unsigned long long)steps);
	for (int kind = 0; kind < FAULT_COUNT; kind++)
		if (mask >> kind & 1)
			printf(" %s", fault_names[kind]);
	printf(": %s\n", why);
}

/* Does some schedule show what the mutated engine does wrong? */
static bool is_caught(Mutation mutation, uint64_t seed, int episodes, bool verbose)
{
	for (int n = 0; n < episodes; n++) {
		if (run_episode(mix(seed, (uint64_t)n), ALL_FAULTS, mutation, EPISODE_STEPS))
			continue;
		printf("# %s: after %d episodes: %s\n", mutation_names[mutation], n, w->why);
		if (verbose)
			shrink(mix(seed, (uint64_t)n), mutation);
		return w->mutated;
	}
	return false;
}

/* With Kafka's input whole, room and patience, whatever else happens: nothing is given up. */
static bool loses_nothing(uint64_t seed, int episodes)
{
	uint64_t mask = UINT64_C(1) << FAULT_CRASH | UINT64_C(1) << FAULT_COMMIT |
	                UINT64_C(1) << FAULT_NATS_DOWN | UINT64_C(1) << FAULT_FREEZE |
	                UINT64_C(1) << FAULT_REPEAT | UINT64_C(1) << FAULT_DELAY |
	                UINT64_C(1) << FAULT_INPUT_TAIL | UINT64_C(1) << FAULT_OUTPUT_TAIL |
	                UINT64_C(1) << FAULT_ACKS;

	patient = true;
	for (int n = 0; n < episodes; n++) {
		if (run_episode(mix(seed, (uint64_t)n), mask, MUTATE_none, EPISODE_STEPS) &&
		    checker->gaps + checker->abandoned == 0)
			continue;
		printf("# seed %llu: %d in gaps, %d abandoned %s\n",
		       (unsigned long long)mix(seed, (uint64_t)n), (int)checker->gaps,
		       (int)checker->abandoned, w->why);
		return false;
	}
	patient = false;
	return true;
}

static bool run_steps(uint64_t seed, int64_t steps)
{
	for (uint64_t n = 0; (int64_t)total.steps < steps; n++) {
		uint64_t episode = mix(seed, n);
		bool good = run_episode(episode, ALL_FAULTS, MUTATE_none, EPISODE_STEPS);

		add_up();
		if (!good) {
			shrink(episode, MUTATE_none);
			printf("# again: sim_failover --episode %llu\n", (unsigned long long)episode);
			return false;
		}
	}
	return true;
}

static void report(void)
{
	printf("# %llu episodes, %llu steps and %llu to settle, %llu faults, %llu batches\n",
	       (unsigned long long)total.episodes, (unsigned long long)total.steps,
	       (unsigned long long)total.settling, (unsigned long long)total.faults,
	       (unsigned long long)total.batches);
	printf("# input: %llu applied, %llu in gaps, %llu abandoned, %llu plain, %llu dead\n",
	       (unsigned long long)total.applied, (unsigned long long)total.gaps,
	       (unsigned long long)total.abandoned, (unsigned long long)total.plain,
	       (unsigned long long)total.dead);
	printf("# output: %llu messages, %llu on Kafka, %llu switches, %llu times drained back\n",
	       (unsigned long long)total.outputs, (unsigned long long)total.on_kafka,
	       (unsigned long long)total.switches, (unsigned long long)total.drained);
}

static void allocate(void)
{
	w = calloc(1, sizeof(*w));
	db = calloc(1, sizeof(*db));
	checker = calloc(1, sizeof(*checker));
	engine = calloc(1, sizeof(*engine));
	if (w && db && checker && engine) {
		engine->entries = calloc(4096, sizeof(*engine->entries));
		engine->copies = calloc(4096, sizeof(*engine->copies));
	}
	if (!engine || !engine->entries || !engine->copies) {
		printf("Bail out! out of memory\n");
		exit(1);
	}
}

static Mutation mutation_named(const char *name)
{
	for (int m = 0; m < MUTATION_COUNT; m++)
		if (strcmp(mutation_names[m], name) == 0)
			return (Mutation)m;
	fprintf(stderr, "no mutation is called %s\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	int64_t steps = DEFAULT_STEPS;
	uint64_t seed = 20120201;
	bool verbose = false;
	Mutation only = MUTATE_none;

	allocate();
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "0";

		if (strcmp(argv[i], "--verbose") == 0)
			verbose = true;
		else if (strcmp(argv[i], "--steps") == 0)
			steps = strtoll(value, NULL, 10), i++;
		else if (strcmp(argv[i], "--seed") == 0)
			seed = strtoull(value, NULL, 10), i++;
		else if (strcmp(argv[i], "--mutation") == 0)
			only = mutation_named(value), i++;
		else if (strcmp(argv[i], "--episode") == 0) {
			seed = strtoull(value, NULL, 10);
			if (run_episode(seed, ALL_FAULTS, MUTATE_none, EPISODE_STEPS))
				printf("# nothing is violated\n");
			else
				shrink(seed, MUTATE_none);
			return 0;
		} else {
			fprintf(stderr, "unknown argument %s\n", argv[i]);
			return 2;
		}
	}
	if (only == MUTATE_none) {
		printf("# seed %llu\n", (unsigned long long)seed);
		ok(run_steps(seed, steps), "the invariants hold at every step");
		report();
		ok(total.drained * 200 > total.episodes, "the schedules get to the rare states");
		ok(loses_nothing(seed, 50), "what is on Kafka is never given up, whatever happens else");
	}
	for (int m = 1; m < MUTATION_COUNT; m++)
		if (only == MUTATE_none || only == (Mutation)m)
			ok(is_caught((Mutation)m, seed, 100, verbose), mutation_names[m]);
	return done_testing();
}
