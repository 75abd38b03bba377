/*
 * route.h - which transport a lane's output takes, and from where.
 *
 *	          trouble             T_suspect over, Kafka there
 *	   NATS ----------> SUSPECT ------------------------------> KAFKA <-------------+
 *	    ^  <----------    |                                     |   ^               |
 *	    |   acks resume   | Kafka dead too    Kafka dead        |   | a probe fails |
 *	    |                 +-------> NONE <----------------------+   |               | fails, or
 *	    |   NATS first      ________/  \___ Kafka first             | dwell over    | too long
 *	    +-----------------/             \----------> KAFKA     HALF_OPEN            |
 *	    |                                                           |               |
 *	    |    all that went to Kafka is in NATS as well              | probes enough |
 *	    +------------------------------------------------------ DRAIN_BACK ---------+
 *
 * The caller reports what happens (committed, up, down, acked, refused, probed, tick)
 * and does what te_route_next() orders.  Nothing is sent before the change of state
 * that allows it is stored: STORE.  A switch of the sending transport begins a route
 * epoch, which every message under it carries.
 *
 * One identity, one content.  Whether a message goes out as it is or is replaced
 * by a record of a gap (expired, halted) is decided once, for both transports and for ever, and
 * stored before it is handed to one: that is its release.  RELEASE orders it
 * for a backlog; a fresh batch is released by its own row (te_route_release_with()).
 * What is released is sent with these bytes even if it expires meanwhile: a
 * broker may have it already, though nobody knows.
 *
 * Plain data, no clock: "now" is monotonic microseconds; should it run back, waiting
 * starts anew.  Source: shared protocol of output, invariants I1 to I10.
 */
#ifndef TE_CORE_ROUTE_H
#define TE_CORE_ROUTE_H

#include "types.h"

#define TE_ROUTE_STATES(X) X(NATS) X(SUSPECT) X(KAFKA) X(HALF_OPEN) X(DRAIN_BACK) X(NONE)
#define TE_ROUTE_STATE_MEMBER(label) TE_ENUM_MEMBER_(TE_ROUTE_, label)
typedef enum { TE_ROUTE_STATES(TE_ROUTE_STATE_MEMBER) TE_ROUTE_STATE_COUNT } TeRouteState;
extern const TeEnum te_route_state_enum;

/* Why a state was entered. */
#define TE_ROUTE_CAUSES(X)                                                                         \
	X(STARTED)                                                                                     \
	X(DISCONNECTED)                                                                                \
	X(NO_ACK)                                                                                      \
	X(REFUSED)                                                                                     \
	X(PROBES_FAILED)                                                                               \
	X(ACKS_RESUMED)                                                                                \
	X(SUSPECT_TOO_LONG)                                                                            \
	X(KAFKA_LOST)                                                                                  \
	X(DWELL_OVER)                                                                                  \
	X(PROBE_FAILED) X(PROBES_SUCCEEDED) X(DRAINED) X(DRAIN_FAILED) X(DRAIN_TOO_LONG) X(FIRST_UP)
#define TE_ROUTE_CAUSE_MEMBER(label) TE_ENUM_MEMBER_(TE_ROUTE_CAUSE_, label)
typedef enum { TE_ROUTE_CAUSES(TE_ROUTE_CAUSE_MEMBER) TE_ROUTE_CAUSE_COUNT } TeRouteCause;
extern const TeEnum te_route_cause_enum;

#define TE_VIAS(X) X(NATS) X(KAFKA)
#define TE_VIA_MEMBER(label) TE_ENUM_MEMBER_(TE_VIA_, label)
typedef enum { TE_VIAS(TE_VIA_MEMBER) TE_VIA_COUNT } TeVia;
extern const TeEnum te_via_enum;

/* A place in the lane's output: the message, or right behind it. */
typedef struct TePlace
{
	uint64_t epoch, seq;
} TePlace;

static inline int te_place_compare(TePlace a, TePlace b)
{
	if (a.epoch != b.epoch)
		return a.epoch < b.epoch ? -1 : 1;
	return a.seq < b.seq ? -1 : a.seq > b.seq;
}

typedef struct TeRouteSettings
{
	bool has_via[TE_VIA_COUNT]; /* which transports are configured */
	uint32_t window;            /* messages under way on one transport (1000) */
	uint32_t release_ahead;     /* messages released at once from a backlog (4000) */
	TeTime ack_limit;           /* T_ack: NATS must acknowledge within (1 s) */
	TeTime suspect_limit;       /* T_suspect (3 s) */
	TeTime kafka_limit;         /* Kafka must deliver, or come back, within (5 s) */
	int failed_probes;          /* in a row that make NATS suspect (2) */
	TeTime dwell;               /* on Kafka before NATS is probed (30 s) */
	TeTime dwell_most;          /* it is doubled where NATS doesn't last (10 min) */
	TeTime probe_wait;          /* between probes (5 s); doubled after a failure */
	TeTime probe_wait_most;     /* (60 s) */
	TeTime probe_limit;         /* a probe is answered within (2 s) */
	int probe_successes;        /* in a row ... (5) */
	TeTime probe_span;          /* ... over so long (30 s) */
	TeTime drain_limit;         /* (30 s) */
} TeRouteSettings;

extern const TeRouteSettings te_route_settings_default;

/*
 * The first setting out of its range, or NULL.  The reason is lower-case; "than" is the setting
 * that it compares with, or NULL.
 */
extern const char *te_route_settings_check(const TeRouteSettings *s, const char **reason,
                                           const char **than);

/* A change of state, to be stored: one row, key (lane, version). */
typedef struct TeRouteRecord
{
	uint64_t version;     /* 1, 2, ... with every change */
	uint64_t route_epoch; /* 1, 2, ... with every switch of the sending transport */
	TeRouteState state;
	TeRouteCause cause;
	TeVia via;    /* that messages of this route epoch take */
	TePlace from; /* the first message of the route epoch is behind this place */
	TePlace cut;  /* the last that Kafka was handed, while it isn't sent to; DRAIN_BACK's end */
	TeTime dwell; /* in force */
} TeRouteRecord;

/* What is stored with each batch, or within a second. */
typedef struct TeRouteCursors
{
	TePlace acked[TE_VIA_COUNT]; /* NATS: everything up to it is there.  Kafka: there, or in NATS */
	TePlace released;
} TeRouteCursors;

#define TE_ROUTE_MARKS 10

/* One transport, as the route sees it. */
typedef struct TeRoutePeer
{
	bool up;      /* connected, anchors judged: takes messages */
	bool stalled; /* NATS: something went wrong; only progress or another "up" redeems it */
	TeTime down_since;
	TePlace acked;
	TePlace sent;     /* last handed over, since it came up */
	TePlace furthest; /* last ever handed over */
	struct
	{
		TePlace place;
		TeTime at;
	} marks[TE_ROUTE_MARKS]; /* when some of those under way were sent, oldest first */
	int mark_count;
} TeRoutePeer;

/* A notice to consumers of Kafka: a segment begins behind "from", or ended with "cut". */
typedef struct TeRouteMarker
{
	uint64_t route_epoch;
	TeVia from_via, to_via;
	TePlace place; /* to Kafka: it begins behind; to NATS: it ended with */
} TeRouteMarker;

typedef struct TeRoute
{
	TeRouteSettings settings;
	TeRouteRecord record;
	uint64_t stored_version;
	TeRoutePeer peers[TE_VIA_COUNT];
	TePlace last;     /* committed */
	TePlace released; /* content is settled, and stored so */
	TeTime since;     /* of the state */
	TeTime switched_at;
	TeTime trouble_since; /* NATS hasn't been well since; INT64_MIN: it is well */
	int probe_failures, probe_successes;
	TeTime probe_at, probe_wait, first_success_at, probing_since;
	bool probing;
	bool marker_due;
	TeRouteMarker marker;
	uint64_t random;
	uint64_t switches; /* of the sending transport, since the start */
} TeRoute;

/*
 * Start: stored is the newest record, or NULL for a lane that never had one.  Both transports
 * count as down.  seed is for the jitter of probes.
 */
extern void te_route_init(TeRoute *r, const TeRouteSettings *s, const TeRouteRecord *stored,
                          const TeRouteCursors *cursors, TePlace last, uint64_t seed, TeTime now);

/* Other times and numbers from here on: whatever is under way goes by them. */
extern void te_route_configure(TeRoute *r, const TeRouteSettings *s, TeTime now);

/*----------------------------------------------------------------------
 * What happens
 *----------------------------------------------------------------------*/

/* Messages up to here are durable. */
extern void te_route_committed(TeRoute *r, TePlace last);

/*
 * A transport is connected, and its output anchor was judged to be ours: the broker has
 * everything up to this place and nothing behind it (Kafka, where the end can't be read: the
 * stored cursor, with the producer's queue purged).  What was under way is to be sent again.
 */
extern void te_route_up(TeRoute *r, TeVia via, TePlace has, TeTime now);

extern void te_route_down(TeRoute *r, TeVia via, TeTime now);

/* Everything up to here is acknowledged.  May come late, repeated, for an older connection. */
extern void te_route_acked(TeRoute *r, TeVia via, TePlace place, TeTime now);

/* It is too small for what comes next, which the other one may have: that must stay as it is. */
extern void te_route_refused(TeRoute *r, TeVia via, TeTime now);

/* A probe of NATS was answered (publish to a subject of its own, acknowledged) or not. */
extern void te_route_probed(TeRoute *r, bool success, TeTime now);

/* Time passes; call when te_route_deadline() is reached, or more often. */
extern void te_route_tick(TeRoute *r, TeTime now);

extern TeTime te_route_deadline(const TeRoute *r);

/*----------------------------------------------------------------------
 * What to do
 *----------------------------------------------------------------------*/

typedef enum {
	TE_ORDER_NOTHING,   /* until something happens */
	TE_ORDER_RECONNECT, /* drop the connection (Kafka: purge the producer's queue), make it anew:
	                       te_route_down(), then te_route_up() */
	TE_ORDER_STORE,     /* store te_route_record(), then te_route_stored() */
	TE_ORDER_RELEASE,   /* decide about messages behind "after", at most "room", store what is
	                       replaced together with the place, then te_route_released() */
	TE_ORDER_SEND, /* hand over messages behind "after" up to "through", at most "room"; after each
	                  te_route_sent() */
	TE_ORDER_MARK, /* send the marker to Kafka, then te_route_marked() */
	TE_ORDER_PROBE /* send a probe to NATS, then te_route_probing() */
} TeRouteOrderKind;

typedef struct TeRouteOrder
{
	TeRouteOrderKind kind;
	TeVia via;
	uint64_t route_epoch;
	TePlace after, through;
	uint32_t room;
	bool alone;    /* SEND: a message of a later epoch than "after" has to wait */
	bool backfill; /* SEND: Kafka has had these; they fill NATS */
	TeRouteMarker marker;
} TeRouteOrder;

/*
 * The order of the moment; doing it, even partly (a full transport), and reporting it is
 * what changes it.  Within an epoch messages are 1, 2, ...; SEND follows that without gaps.
 */
extern void te_route_next(const TeRoute *r, TeTime now, TeRouteOrder *order);

extern void te_route_stored(TeRoute *r, uint64_t version);
extern void te_route_released(TeRoute *r, TePlace place);
extern void te_route_sent(TeRoute *r, TeVia via, TePlace place, TeTime now);

/*
 * Ordered to send, but no message lies behind "after" up to this place: an epoch that ended there,
 * or one that has nothing yet.  Only where "alone" was false.
 */
extern void te_route_nothing_until(TeRoute *r, TeVia via, TePlace place);

extern void te_route_marked(TeRoute *r);
extern void te_route_probing(TeRoute *r, TeTime now);

/*
 * What a batch that ends with "last" should store as released: itself where it will be sent at
 * once, otherwise no more than before.  After its commit: te_route_committed(),
 * te_route_released().
 */
extern TePlace te_route_release_with(const TeRoute *r, TePlace last);

extern TeRouteCursors te_route_cursors(const TeRoute *r);

/* Does a transport take messages, as far as is known? */
extern bool te_route_is_well(const TeRoute *r, TeVia via);

/* Messages under way on a transport. */
extern uint64_t te_route_in_flight(const TeRoute *r, TeVia via);

#endif
