/*
 * crash_marker.c - a mapped file, and the signals of faults.
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/crash_marker.h"
#include "transport/transport.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "pgstat.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#define MAGIC 0x54454d32 /* of this layout */

/* So many deaths at one place, with no fault noted, count as one. */
#define MOST_KILLS 3

#define STACK_SIZE 65536

/* Of database and lane.  Left out of base backups: it is about this process on this machine. */
#define FILE_NAME "trading_engine.%u.%d"

typedef enum { STATE_PEACE, STATE_UNDER_WAY, STATE_FAULT } State;

/* The file.  The place is that of the first message under way. */
typedef struct Record
{
	uint32 magic;
	volatile sig_atomic_t state;
	int32 messages;
	int32 kills;  /* at this place, before */
	bool suspect; /* it is tried again because of a fault before */
	bool read;    /* the message noted last */
	char source[TE_TRANSPORT_NAME_SIZE];
	int64 seq;
} Record;

struct TeCrashMarker
{
	Record *record;
	Record last;     /* what the last worker left */
	int suspects;    /* still to be taken one by one */
	bool is_suspect; /* the message at the last one's place, whenever its turn is */
	bool is_guilty;  /* it is to be given up */
	bool giving_up;  /* by the batch at hand */
};

static Record *mapped;

static void note_fault(int signal_number)
{
	if (mapped->state == STATE_UNDER_WAY)
		mapped->state = STATE_FAULT;
	/* The disposition is the default again: it ends the process. */
	raise(signal_number);
}

/* On a stack of its own, for a fault may be the want of one. */
static void watch_for_faults(void)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGABRT};
	stack_t stack = {.ss_sp = MemoryContextAlloc(TopMemoryContext, STACK_SIZE),
	                 .ss_size = STACK_SIZE};
	struct sigaction action = {.sa_handler = note_fault, .sa_flags = SA_ONSTACK | SA_RESETHAND};

	(void)sigaltstack(&stack, NULL);
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < lengthof(faults); i++)
		(void)sigaction(faults[i], &action, NULL);
}

static Record *map_file(int lane)
{
	char path[MAXPGPATH];
	Record *record = MAP_FAILED;
	int fd;

	snprintf(path, sizeof(path), PG_STAT_TMP_DIR "/" FILE_NAME, MyDatabaseId, lane);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	/* A mapped hole that the disk has no room for would end the worker by a signal. */
	if (fd >= 0 && (errno = posix_fallocate(fd, 0, sizeof(Record))) == 0)
		record = mmap(NULL, sizeof(Record), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (record == MAP_FAILED)
		ereport(WARNING, errcode_for_file_access(), errmsg("could not map file \"%s\": %m", path),
		        errdetail("A message that ends the worker will end it again."));
	if (fd >= 0)
		close(fd);
	return record == MAP_FAILED ? NULL : record;
}

/* Whoever ends by itself wasn't ended by a message. */
static void end_in_peace(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	mapped->state = STATE_PEACE;
}

TeCrashMarker *te_crash_marker_open(int lane, int *suspects)
{
	TeCrashMarker *marker;

	*suspects = 0;
	mapped = map_file(lane);
	if (mapped == NULL)
		return NULL;
	marker = MemoryContextAllocZero(TopMemoryContext, sizeof(TeCrashMarker));
	marker->record = mapped;
	marker->last = *mapped;
	marker->last.source[TE_TRANSPORT_NAME_SIZE - 1] = '\0';
	if (mapped->magic == MAGIC && mapped->state != STATE_PEACE && mapped->messages > 0) {
		bool fault = mapped->state == STATE_FAULT || mapped->kills + 1 >= MOST_KILLS;

		marker->is_suspect = fault && mapped->messages == 1;
		marker->is_guilty = marker->is_suspect && mapped->suspect;
		*suspects = marker->suspects = fault ? mapped->messages : 0;
	} else
		marker->last.messages = 0;
	*mapped = (Record){.magic = MAGIC};
	watch_for_faults();
	before_shmem_exit(end_in_peace, (Datum)0);
	return marker;
}

static bool is_last_place(const TeCrashMarker *marker, const char *source, int64 seq)
{
	return marker->last.messages > 0 && marker->last.seq == seq &&
	       strcmp(marker->last.source, source) == 0;
}

TeCrashVerdict te_crash_marker_note(TeCrashMarker *marker, const char *source, int64 seq)
{
	Record *r;
	bool last_place;

	if (marker == NULL)
		return TE_CRASH_INNOCENT;
	r = marker->record;
	last_place = is_last_place(marker, source, seq);
	if (r->messages == 0) {
		strlcpy(r->source, source, sizeof(r->source));
		r->seq = seq;
		r->suspect = marker->suspects > 0 || (last_place && marker->is_suspect);
		r->kills = last_place && marker->last.state == STATE_UNDER_WAY ? marker->last.kills + 1 : 0;
	}
	r->messages++;
	r->read = false;
	r->state = STATE_UNDER_WAY;
	if (!last_place || !marker->is_guilty)
		return TE_CRASH_INNOCENT;
	return marker->last.read ? TE_CRASH_GIVE_UP : TE_CRASH_GIVE_UP_UNREAD;
}

void te_crash_marker_read(TeCrashMarker *marker)
{
	if (marker != NULL)
		marker->record->read = true;
}

void te_crash_marker_give_up(TeCrashMarker *marker)
{
	marker->giving_up = true;
}

void te_crash_marker_end(TeCrashMarker *marker, bool stored, int messages)
{
	if (marker == NULL)
		return;
	marker->record->state = STATE_PEACE;
	marker->record->messages = 0;
	if (stored) {
		marker->suspects = Max(0, marker->suspects - messages);
		if (marker->giving_up)
			marker->is_guilty = marker->is_suspect = false;
	}
	marker->giving_up = false;
}

/* A file that some lane has, or had. */
typedef struct LaneFile
{
	Oid dboid;
	int lane;
} LaneFile;

static List *list_files(void)
{
	DIR *dir = AllocateDir(PG_STAT_TMP_DIR);
	struct dirent *entry;
	List *files = NIL;
	LaneFile file;
	int length;

	while ((entry = ReadDirExtended(dir, PG_STAT_TMP_DIR, LOG)) != NULL) {
		length = 0;
		if (sscanf(entry->d_name, FILE_NAME "%n", &file.dboid, &file.lane, &length) == 2 &&
		    entry->d_name[length] == '\0')
			files = lappend(files, memcpy(palloc(sizeof(file)), &file, sizeof(file)));
	}
	if (dir != NULL)
		FreeDir(dir);
	return files;
}

static void remove_file(const LaneFile *file)
{
	char path[MAXPGPATH];

	snprintf(path, sizeof(path), PG_STAT_TMP_DIR "/" FILE_NAME, file->dboid, file->lane);
	if (unlink(path) != 0 && errno != ENOENT)
		ereport(LOG, errcode_for_file_access(), errmsg("could not remove file \"%s\": %m", path));
}

void te_crash_marker_remove_strays(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "trading_engine crash markers",
	                                              ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	/* Before the transaction: it sees the database of every file that is there now. */
	List *files = list_files();
	ListCell *cell;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	foreach (cell, files) {
		const LaneFile *file = lfirst(cell);

		if (!SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(file->dboid)))
			remove_file(file);
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
