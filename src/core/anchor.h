/*
 * anchor.h - is a broker's stream still what we remember of it?
 *
 * At each start and reconnect, before anything is read or written, facts about the
 * stream are compared with what is stored.  Brokers lose the ends of their files and
 * reuse the numbers (JetStream keeps a stream's time of creation then), streams are
 * deleted and made again, databases are restored from backups: all of it must be
 * seen here, for afterwards the numbers look right.
 *
 * Streams are those of JetStream, or partitions of Kafka: a message's seq is
 * its stream sequence, or its offset + 1, so that 0 is before the first; a stream's
 * identity is its time of creation, or te_anchor_kafka_identity().
 */
#ifndef TE_CORE_ANCHOR_H
#define TE_CORE_ANCHOR_H

#include "route.h"
#include "sequence.h"
#include "types.h"

/* A stream as it is.  Nothing in it: first is last + 1. */
typedef struct TeAnchorStream
{
	int64_t identity; /* > 0 */
	uint64_t first, last;
} TeAnchorStream;

/* A cluster's topic and partition.  Topics that are deleted and made again have the same: their
 * messages' times tell. */
extern int64_t te_anchor_kafka_identity(const char *cluster_id, const char *topic,
                                        int32_t partition);

/* From Kafka's low and high watermark: the first offset kept, and the next to be given out. */
extern TeAnchorStream te_anchor_kafka_stream(int64_t identity, int64_t low, int64_t high);

/*----------------------------------------------------------------------
 * Input
 *----------------------------------------------------------------------*/

/* A message that was read; identity 0: nothing was ever. */
typedef struct TeAnchorPosition
{
	int64_t identity;
	uint64_t seq;
	int64_t time; /* the broker's, of the message; <= 0: not known */
} TeAnchorPosition;

/* What the broker says of the message at a stored position. */
typedef struct TeAnchorSight
{
	enum { TE_SIGHT_UNASKED, TE_SIGHT_MISSING, TE_SIGHT_THERE } kind;
	int64_t time; /* THERE */
} TeAnchorSight;

#define TE_ANCHOR_INPUTS(X)                                                                        \
	X(ASK)       /* look at the message at position "ask", judge again */                          \
	X(SAME)      /* all is as remembered */                                                        \
	X(FRESH)     /* nothing was stored, or another stream has the place of the one that was */     \
	X(LOST_TAIL) /* the stream ends before, or has another message at, the newest position */      \
	X(GAP)       /* messages were discarded before they were read */
#define TE_ANCHOR_INPUT_MEMBER(label) TE_ENUM_MEMBER_(TE_ANCHOR_INPUT_, label)
typedef enum { TE_ANCHOR_INPUTS(TE_ANCHOR_INPUT_MEMBER) TE_ANCHOR_INPUT_COUNT } TeAnchorInput;
extern const TeEnum te_anchor_input_enum;

typedef struct TeInputJudgement
{
	TeAnchorInput outcome;
	int ask;                     /* ASK: index of the position to look at */
	int matched;                 /* LOST_TAIL: the newest position that is still there, or -1 */
	bool new_incarnation;        /* numbers mean other messages than before */
	uint64_t lost_from, lost_to; /* never to be read any more; 0: nothing */
	TeReading reading;           /* to go on with: read from resume + 1 */
} TeInputJudgement;

/*
 * newest_first: positions up to which everything was read, of committed batches, with what the
 * broker says of them; the newest is that of reading.done.
 */
extern TeInputJudgement te_anchor_judge_input(const TeAnchorPosition *newest_first,
                                              const TeAnchorSight *sights, int count,
                                              TeReading reading, const TeAnchorStream *stream);

/* A durable consumer, which only controls the flow. */
typedef struct TeAnchorConsumer
{
	bool exists;
	uint64_t delivered, ack_floor; /* stream sequences */
} TeAnchorConsumer;

/* Can it go on, for a reader that wants resume + 1 next?  Otherwise: delete it, make it there. */
extern bool te_anchor_consumer_is_good(const TeAnchorConsumer *consumer, TeReading reading,
                                       const TeAnchorStream *stream);

/*----------------------------------------------------------------------
 * Output
 *----------------------------------------------------------------------*/

/* What the lane knows about one output stream. */
typedef struct TeOutputStored
{
	const char *installation;
	int lane;
	int64_t identity;           /* of the stream when the cursor was stored; 0: never had one */
	TePlace cursor;             /* acknowledged there */
	TePlace last;               /* committed */
	TePlace oldest;             /* right before the first message that the outbox still has */
	uint64_t predecessor_epoch; /* up to it all output, whose ever, is behind us; 0: none is */
	TePlace inherited;          /* where the epochs before ours ended; epoch 0: that isn't known */
	bool adopting;              /* a new epoch above everybody's is about to begin */
} TeOutputStored;

/* The end of the stream: the newest message that an engine wrote for the lane. */
typedef struct TeOutputSeen
{
	int64_t identity;
	bool found;
	bool exhausted; /* not found, though not all of it was looked through */
	const char *installation;
	int lane;
	TePlace place;
	enum { TE_HASH_UNCHECKED, TE_HASH_SAME, TE_HASH_OTHER } hash; /* against the outbox */
} TeOutputSeen;

#define TE_ANCHOR_OUTPUTS(X)                                                                       \
	X(SAME)                                                                                        \
	X(FIRST)     /* nothing was ever sent there */                                                 \
	X(ACKS_LOST) /* the broker has more than it could tell us */                                   \
	X(TAIL_LOST) /* it has less than it acknowledged: send that again */                           \
	X(RECREATED) /* another, empty stream: send again all that is kept */                          \
	X(FOREIGN)   /* somebody else writes here, or we are a copy: send nothing */
#define TE_ANCHOR_OUTPUT_MEMBER(label) TE_ENUM_MEMBER_(TE_ANCHOR_OUTPUT_, label)
typedef enum { TE_ANCHOR_OUTPUTS(TE_ANCHOR_OUTPUT_MEMBER) TE_ANCHOR_OUTPUT_COUNT } TeAnchorOutput;
extern const TeEnum te_anchor_output_enum;

typedef struct TeOutputJudgement
{
	TeAnchorOutput outcome;
	TePlace has;        /* for te_route_up() */
	const char *reason; /* FOREIGN: lower-case text */
} TeOutputJudgement;

extern TeOutputJudgement te_anchor_judge_output(const TeOutputStored *stored,
                                                const TeOutputSeen *seen);

#endif
