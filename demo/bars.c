/*
 * bars.c - bars from CSV files.
 */
#include "bars.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "source.h"
#include "wire/rfc3339.h"

#define MAX_COLUMNS 32
#define LINE_SIZE 4096

/* Columns that mean something, by name; NONE for all others. */
typedef enum {
	TIMESTAMP,
	OPEN,
	HIGH,
	LOW,
	CLOSE,
	BID_OPEN,
	BID_HIGH,
	BID_LOW,
	BID_CLOSE,
	ASK_OPEN,
	ASK_HIGH,
	ASK_LOW,
	ASK_CLOSE,
	VOLUME,
	NONE
} Column;

static const char *const column_names[NONE] = {
	"timestamp", "open",      "high",     "low",      "close",   "bid_open",  "bid_high",
	"bid_low",   "bid_close", "ask_open", "ask_high", "ask_low", "ask_close", "volume",
};

typedef struct CsvSource
{
	BarSource source;
	const char *path;
	gzFile file;
	long line;
	Column columns[MAX_COLUMNS];
	int column_count;
	bool has[NONE];
	TeTime last_start;
} CsvSource;

static void wrong(const CsvSource *csv, const char *what) __attribute__((noreturn));

static void wrong(const CsvSource *csv, const char *what)
{
	fprintf(stderr, "predictor: %s, line %ld: %s\n", csv->path, csv->line, what);
	exit(1);
}

/* Splits a line at its commas, in place. */
static int split_line(CsvSource *csv, char *line, char *fields[MAX_COLUMNS])
{
	int count = 0;

	line[strcspn(line, "\r\n")] = '\0';
	for (char *at = line; at != NULL;) {
		char *comma = strchr(at, ',');

		if (count == MAX_COLUMNS)
			wrong(csv, "too many columns");
		fields[count++] = at;
		if (comma != NULL)
			*comma++ = '\0';
		at = comma;
	}
	return count;
}

static bool read_line(CsvSource *csv, char line[LINE_SIZE])
{
	if (gzgets(csv->file, line, LINE_SIZE) == NULL) {
		int status;

		gzerror(csv->file, &status);
		if (status != Z_OK && status != Z_STREAM_END)
			wrong(csv, "the file is damaged");
		return false;
	}
	csv->line++;
	if (strchr(line, '\n') == NULL && !gzeof(csv->file))
		wrong(csv, "the line is too long");
	return true;
}

static void read_header(CsvSource *csv)
{
	char line[LINE_SIZE];
	char *fields[MAX_COLUMNS];

	if (!read_line(csv, line))
		wrong(csv, "there is no header");
	csv->column_count = split_line(csv, line, fields);
	for (int i = 0; i < csv->column_count; i++) {
		csv->columns[i] = NONE;
		for (int c = 0; c < NONE; c++)
			if (strcmp(fields[i], column_names[c]) == 0) {
				csv->columns[i] = (Column)c;
				csv->has[c] = true;
			}
	}
	if (!csv->has[TIMESTAMP])
		wrong(csv, "there is no column timestamp");
	for (int i = 0; i < 4; i++)
		if (!csv->has[OPEN + i] && !(csv->has[BID_OPEN + i] && csv->has[ASK_OPEN + i]))
			wrong(csv, "there is neither open, high, low, close nor bid_open to ask_close");
}

/* A price of the mid: its own column, or between bid and ask. */
static double mid_price(const CsvSource *csv, const double values[NONE], int i)
{
	return csv->has[OPEN + i] ? values[OPEN + i]
	                          : (values[BID_OPEN + i] + values[ASK_OPEN + i]) / 2;
}

static bool csv_next(BarSource *source, Bar *bar)
{
	CsvSource *csv = (CsvSource *)source;
	char line[LINE_SIZE];
	char *fields[MAX_COLUMNS];
	double values[NONE] = {0};

	if (!read_line(csv, line))
		return false;
	if (split_line(csv, line, fields) != csv->column_count)
		wrong(csv, "the number of columns is not that of the header");
	for (int i = 0; i < csv->column_count; i++) {
		char *end;

		if (csv->columns[i] == NONE)
			continue;
		if (csv->columns[i] == TIMESTAMP) {
			if (!te_rfc3339_parse(fields[i], &bar->start))
				wrong(csv, "timestamp is not RFC 3339");
			continue;
		}
		values[csv->columns[i]] = strtod(fields[i], &end);
		if (end == fields[i] || *end != '\0' || !isfinite(values[csv->columns[i]]))
			wrong(csv, "a value is not a number");
	}
	bar->open = mid_price(csv, values, 0);
	bar->high = mid_price(csv, values, 1);
	bar->low = mid_price(csv, values, 2);
	bar->close = mid_price(csv, values, 3);
	bar->spread =
		csv->has[BID_CLOSE] && csv->has[ASK_CLOSE] ? values[ASK_CLOSE] - values[BID_CLOSE] : NAN;
	bar->volume = csv->has[VOLUME] ? values[VOLUME] : NAN;
	/* Averages of bid and ask can leave the mid's open or close a hair outside. */
	bar->high = fmax(bar->high, fmax(bar->open, bar->close));
	bar->low = fmin(bar->low, fmin(bar->open, bar->close));
	if (bar->low <= 0)
		wrong(csv, "prices are not above 0");
	/* Real feeds cross for a moment now and then: then nobody knows the spread. */
	if (bar->spread < 0)
		bar->spread = NAN;
	if (bar->start <= csv->last_start)
		wrong(csv, "bars are not in the order of time");
	csv->last_start = bar->start;
	return true;
}

static void csv_close(BarSource *source)
{
	CsvSource *csv = (CsvSource *)source;

	gzclose(csv->file);
	free(csv);
}

BarSource *bar_source_open(const char *path)
{
	CsvSource *csv = calloc(1, sizeof(*csv));

	if (csv == NULL || (csv->file = gzopen(path, "rb")) == NULL) {
		fprintf(stderr, "predictor: %s can't be read\n", path);
		exit(1);
	}
	csv->source.next = csv_next;
	csv->source.close = csv_close;
	csv->path = path;
	csv->last_start = TE_NO_TIME;
	read_header(csv);
	return &csv->source;
}

bool bar_source_next(BarSource *source, Bar *bar)
{
	return source->next(source, bar);
}

void bar_source_close(BarSource *source)
{
	source->close(source);
}
