/*
 * core_anchor.c - what a broker may have done to a stream while nobody looked, case by case.
 */
#include "core/anchor.h"

#include "tap.h"

#define CREATED 1000

/* Read up to 50 at time 550, batches before at 40 and 30; reading is done there. */
static TeAnchorPosition positions[3];
static TeAnchorSight sights[3];
static TeReading reading;
static TeAnchorStream stream;
static TeInputJudgement j;

static void start(void)
{
	positions[0] = (TeAnchorPosition){CREATED, 50, 550};
	positions[1] = (TeAnchorPosition){CREATED, 40, 540};
	positions[2] = (TeAnchorPosition){CREATED, 30, 530};
	memset(sights, 0, sizeof(sights));
	reading = (TeReading){50, 50};
	stream = (TeAnchorStream){CREATED, 1, 60};
}

/* The message at position n is there, of that time; 0: it isn't. */
static void see(int n, int64_t time)
{
	sights[n].kind = time ? TE_SIGHT_THERE : TE_SIGHT_MISSING;
	sights[n].time = time;
}

static const char *judge(int count)
{
	j = te_anchor_judge_input(positions, sights, count, reading, &stream);
	return te_anchor_input_enum.labels[j.outcome];
}

static bool goes_on(uint64_t resume, uint64_t done)
{
	return j.reading.resume == resume && j.reading.done == done;
}

static bool lost(uint64_t from, uint64_t to)
{
	return j.lost_from == from && j.lost_to == to;
}

static void same(void)
{
	start();
	is_text(judge(3), "ASK", "the message at the position has to be seen");
	ok(j.ask == 0, "the newest");
	see(0, 550);
	is_text(judge(3), "SAME", "it is the one that was read");
	ok(goes_on(50, 50) && lost(0, 0) && !j.new_incarnation, "go on behind it");
	see(0, 0);
	is_text(judge(3), "SAME", "one that was deleted proves nothing");
	positions[0].time = 0;
	sights[0].kind = TE_SIGHT_UNASKED;
	is_text(judge(3), "SAME", "nor does one whose time is not known");
	start();
	stream.first = 51;
	is_text(judge(3), "SAME", "nothing unread was discarded");
	ok(goes_on(50, 50), "go on");
	start();
	reading.resume = 45;
	see(0, 550);
	is_text(judge(3), "SAME", "with messages that wait");
	ok(goes_on(45, 50), "reading goes on before them");
}

static void fresh(void)
{
	start();
	is_text(judge(0), "FRESH", "nothing was ever read");
	ok(goes_on(0, 0) && !j.new_incarnation && lost(0, 0), "read from the start");
	stream.first = 7;
	(void)judge(0);
	ok(goes_on(6, 6) && lost(0, 0), "of what is kept");
	start();
	stream = (TeAnchorStream){CREATED + 1, 1, 60};
	is_text(judge(3), "FRESH", "another stream has the name");
	ok(goes_on(0, 0) && j.new_incarnation && lost(0, 0), "read all of it");
	stream.first = 4;
	(void)judge(3);
	ok(goes_on(3, 3) && lost(1, 3), "and say what it has discarded already");
	stream = (TeAnchorStream){CREATED + 1, 1, 0};
	(void)judge(3);
	ok(goes_on(0, 0), "it may be empty");
}

static void lost_tail(void)
{
	start();
	stream.last = 45;
	is_text(judge(3), "ASK", "the stream ends before the position");
	ok(j.ask == 1, "is an older one there?");
	see(1, 540);
	is_text(judge(3), "LOST_TAIL", "it is");
	ok(goes_on(40, 40) && j.new_incarnation && j.matched == 1, "go on behind it");

	start();
	see(0, 777);
	is_text(judge(3), "ASK", "another message has the number");
	see(1, 778);
	is_text(judge(3), "ASK", "and another that of the one before");
	ok(j.ask == 2, "further back");
	see(2, 530);
	is_text(judge(3), "LOST_TAIL", "until one is found");
	ok(goes_on(30, 30) && j.matched == 2, "go on behind it");
	see(2, 0);
	is_text(judge(3), "LOST_TAIL", "or none");
	ok(goes_on(0, 0) && j.matched == -1, "go on from the start");

	start();
	see(0, 777);
	see(1, 540);
	reading.resume = 35;
	(void)judge(3);
	ok(goes_on(35, 40), "messages that wait keep their place");
	stream = (TeAnchorStream){CREATED, 1, 0};
	is_text(judge(3), "LOST_TAIL", "an empty stream of the same age has lost everything");
	ok(goes_on(0, 0), "go on from its start");
}

static void gap(void)
{
	start();
	stream.first = 55;
	is_text(judge(3), "GAP", "messages were discarded unread");
	ok(goes_on(54, 54) && lost(51, 54), "these");
	start();
	reading.resume = 20;
	stream.first = 41;
	see(0, 550);
	is_text(judge(3), "GAP", "the first that waited is discarded too");
	ok(goes_on(40, 50) && lost(0, 0), "what was read is no loss of the stream");
	start();
	reading.resume = 20;
	stream.first = 58;
	(void)judge(3);
	ok(goes_on(57, 57) && lost(51, 57), "what was unread is");
}

static void kafka(void)
{
	int64_t a = te_anchor_kafka_identity("cluster", "trading.predictions", 0);

	ok(a > 0 && a == te_anchor_kafka_identity("cluster", "trading.predictions", 0),
	   "a partition has an identity");
	ok(a != te_anchor_kafka_identity("cluster", "trading.predictions", 1) &&
	       a != te_anchor_kafka_identity("cluste", "rtrading.predictions", 0) &&
	       a != te_anchor_kafka_identity("other", "trading.predictions", 0),
	   "of its own");
	stream = te_anchor_kafka_stream(a, 0, 0);
	ok(stream.first == 1 && stream.last == 0, "an empty partition");
	stream = te_anchor_kafka_stream(a, 5, 20);
	ok(stream.first == 6 && stream.last == 20, "offsets 5 to 19 are 6 to 20");
	positions[0] = (TeAnchorPosition){a, 25, 1};
	reading = (TeReading){25, 25};
	is_text(judge(1), "LOST_TAIL", "the high watermark is below the stored offset");
	ok(goes_on(5, 5), "go on from the low one");
	positions[0] = (TeAnchorPosition){a, 2, 1};
	reading = (TeReading){2, 2};
	is_text(judge(1), "GAP", "the low watermark is above it");
	ok(lost(3, 5), "these are gone");
}

static void consumers(void)
{
	TeAnchorConsumer c = {true, 50, 50};
	TeReading at = {50, 50};

	start();
	ok(te_anchor_consumer_is_good(&c, at, &stream), "a consumer where we are");
	c.ack_floor = 30;
	ok(te_anchor_consumer_is_good(&c, at, &stream), "or behind: acknowledgements get lost");
	c.ack_floor = 50;
	at.resume = 45;
	ok(!te_anchor_consumer_is_good(&c, at, &stream),
	   "one that has acknowledged what we need again");
	at = (TeReading){40, 40};
	c = (TeAnchorConsumer){true, 45, 30};
	ok(!te_anchor_consumer_is_good(&c, at, &stream), "one that is ahead of a restored database");
	c.delivered = UINT64_MAX;
	ok(!te_anchor_consumer_is_good(&c, at, &stream), "garbage");
	c = (TeAnchorConsumer){false, 0, 0};
	ok(!te_anchor_consumer_is_good(&c, at, &stream), "one that is gone");
}

static TeOutputStored stored;
static TeOutputSeen seen;
static TeOutputJudgement o;

static void start_output(void)
{
	stored = (TeOutputStored){
		.installation = "ours",
		.lane = 2,
		.identity = CREATED,
		.cursor = {3, 100},
		.last = {3, 120},
		.oldest = {2, 80},
		.predecessor_epoch = 1,
	};
	seen = (TeOutputSeen){
		.identity = CREATED,
		.found = true,
		.installation = "ours",
		.lane = 2,
		.place = {3, 100},
	};
}

static const char *judge_output(void)
{
	o = te_anchor_judge_output(&stored, &seen);
	return te_anchor_output_enum.labels[o.outcome];
}

static bool has(uint64_t epoch, uint64_t seq)
{
	return o.has.epoch == epoch && o.has.seq == seq && o.reason == NULL;
}

static void outputs(void)
{
	start_output();
	is_text(judge_output(), "SAME", "the stream ends where its acknowledgements end");
	ok(has(3, 100), "go on there");
	seen.place.seq = 110;
	is_text(judge_output(), "ACKS_LOST", "or later");
	ok(has(3, 110), "go on there");
	seen.place.seq = 90;
	is_text(judge_output(), "TAIL_LOST", "or before");
	ok(has(3, 90), "send again");
	seen.place = (TePlace){2, 100};
	is_text(judge_output(), "TAIL_LOST", "also in an epoch before");
	ok(has(2, 100), "send again");
	seen.found = false;
	is_text(judge_output(), "TAIL_LOST", "everything is gone");
	ok(has(2, 80), "send all that is kept");
	seen.identity = CREATED + 1;
	is_text(judge_output(), "RECREATED", "with the stream itself");
	ok(has(2, 80), "send all that is kept");
	stored.cursor = (TePlace){3, 0};
	is_text(judge_output(), "FIRST", "nothing was ever there");
	ok(has(3, 0), "begin");
}

static void foreign_outputs(void)
{
	start_output();
	seen.place.seq = 121;
	is_text(judge_output(), "FOREIGN", "the broker is ahead of the database");
	is_text(o.reason, "the broker has output that this database doesn't know", "it says so");
	start_output();
	seen.hash = TE_HASH_OTHER;
	is_text(judge_output(), "FOREIGN", "other content under our identity");
	seen.hash = TE_HASH_SAME;
	is_text(judge_output(), "SAME", "the same content");
	seen.lane = 1;
	is_text(judge_output(), "FOREIGN", "another lane");
	start_output();
	seen.found = false;
	seen.exhausted = true;
	is_text(judge_output(), "FOREIGN", "only others' messages");
	start_output();
	seen.installation = "theirs";
	seen.place.epoch = 2;
	is_text(judge_output(), "FOREIGN", "another installation");
	stored.predecessor_epoch = 2;
	is_text(judge_output(), "TAIL_LOST", "a predecessor, and none of ours behind it");
	ok(has(3, 0), "send our epoch again");
	stored.cursor.seq = 0;
	is_text(judge_output(), "FIRST", "or for the first time");
	seen.installation = "ours";
	seen.hash = TE_HASH_OTHER;
	is_text(judge_output(), "FIRST", "the predecessor may be what we are a copy of");
	ok(has(3, 0), "ours begin behind it");
	seen.place.epoch = 3;
	is_text(judge_output(), "FOREIGN", "but for what it writes in our epoch");
}

/* Epoch 3 was begun upon 2/100 when the cluster was promoted; its primary may live. */
static void promoted(void)
{
	start_output();
	stored.inherited = (TePlace){2, 100};
	is_text(judge_output(), "SAME", "a promoted standby in its own epoch");
	seen.place = (TePlace){2, 100};
	is_text(judge_output(), "TAIL_LOST", "what it inherited");
	ok(has(2, 100), "its own follows");
	seen.place.seq = 101;
	is_text(judge_output(), "FOREIGN", "what its primary wrote afterwards");
	is_text(o.reason, "the broker has output that this database doesn't know", "it says so");
	stored.inherited = (TePlace){1, 100};
	seen.place = (TePlace){2, 1};
	is_text(judge_output(), "FOREIGN", "or one that was promoted in between");
	stored.predecessor_epoch = 2;
	is_text(judge_output(), "TAIL_LOST", "all of which an adoption has settled");
	ok(has(3, 0), "its own follows");
	stored.predecessor_epoch = 0;
	stored.inherited = (TePlace){2, 0};
	is_text(judge_output(), "FOREIGN",
	        "or one whose first message came when nothing was inherited");
	start_output();
	stored.inherited = (TePlace){2, 100};
	seen.place = stored.last = stored.cursor = (TePlace){2, 100};
	is_text(judge_output(), "SAME", "before the new epoch's first message");
	seen.place = (TePlace){2, 101};
	is_text(judge_output(), "FOREIGN", "the primary may write, too");
}

static void adopting(void)
{
	start_output();
	stored.adopting = true;
	seen.installation = "theirs";
	seen.place = (TePlace){9, 5};
	is_text(judge_output(), "FIRST", "who adopts takes over from anybody");
	ok(has(3, 120), "what was left to send is of an epoch that ends");
	seen.installation = "ours";
	is_text(judge_output(), "SAME", "also from a copy of itself");
	ok(has(9, 5), "that was ahead");
	seen.place = (TePlace){3, 100};
	(void)judge_output();
	ok(has(3, 120), "or behind");
}

int main(void)
{
	same();
	fresh();
	lost_tail();
	gap();
	kafka();
	consumers();
	outputs();
	foreign_outputs();
	promoted();
	adopting();
	return done_testing();
}
