/*
 * rfc3339.c - strict RFC 3339 timestamps.
 */
#include "postgres.h"

#include "sql/rfc3339.h"

#define USEC_PER_MINUTE (60 * TE_USEC_PER_SEC)
#define SECONDS_PER_DAY 86400

typedef struct Cursor
{
	const char *at;
	const char *end;
} Cursor;

/* Read exactly "count" digits. */
static bool
read_digits(Cursor *c, int count, int *out)
{
	int value = 0;

	if (c->end - c->at < count)
		return false;
	for (int i = 0; i < count; i++)
	{
		char digit = c->at[i];

		if (digit < '0' || digit > '9')
			return false;
		value = value * 10 + (digit - '0');
	}
	c->at += count;
	*out = value;
	return true;
}

/* Read one of the characters in "accepted". */
static bool
read_one_of(Cursor *c, const char *accepted)
{
	if (c->at == c->end || *c->at == '\0' || strchr(accepted, *c->at) == NULL)
		return false;
	c->at++;
	return true;
}

/* Read ".123" as microseconds; no fraction at all is fine. */
static bool
read_fraction(Cursor *c, int *usec)
{
	int digits = 0;

	*usec = 0;
	if (!read_one_of(c, "."))
		return true;
	for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++, digits++)
	{
		if (digits < 6)
			*usec = *usec * 10 + (*c->at - '0');
	}
	for (int i = digits; i < 6; i++)
		*usec *= 10;
	return digits > 0;
}

/* Read "Z" or "+05:30" as minutes east of UTC. */
static bool
read_offset(Cursor *c, int *minutes_east)
{
	bool west;
	int hours, minutes;

	*minutes_east = 0;
	if (read_one_of(c, "Zz"))
		return true;
	if (c->at == c->end || (*c->at != '+' && *c->at != '-'))
		return false;
	west = *c->at++ == '-';
	if (!read_digits(c, 2, &hours) || !read_one_of(c, ":") || !read_digits(c, 2, &minutes))
		return false;
	if (hours > 23 || minutes > 59)
		return false;
	*minutes_east = (hours * 60 + minutes) * (west ? -1 : 1);
	return true;
}

static int
days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

/* Days from 1970-01-01, proleptic Gregorian; years run from March so that a leap day comes last. */
static int64
days_from_civil(int year, int month, int day)
{
	int64 y = month <= 2 ? year - 1 : year;
	int64 day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

bool
te_rfc3339_parse(const char *text, size_t length, TeTime *out)
{
	Cursor c = {text, text + length};
	int year, month, day, hour, minute, second, usec, minutes_east;
	TeTime local;

	if (!read_digits(&c, 4, &year) || !read_one_of(&c, "-") || !read_digits(&c, 2, &month) ||
	    !read_one_of(&c, "-") || !read_digits(&c, 2, &day) || !read_one_of(&c, "Tt") ||
	    !read_digits(&c, 2, &hour) || !read_one_of(&c, ":") || !read_digits(&c, 2, &minute) ||
	    !read_one_of(&c, ":") || !read_digits(&c, 2, &second) || !read_fraction(&c, &usec) ||
	    !read_offset(&c, &minutes_east) || c.at != c.end)
		return false;
	if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) ||
	    hour > 23 || minute > 59 || second > 59)
		return false;

	local = (days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second) *
			TE_USEC_PER_SEC +
		usec;
	*out = local - minutes_east * USEC_PER_MINUTE;
	return *out >= TE_RFC3339_FIRST && *out <= TE_RFC3339_LAST;
}

void
te_rfc3339_format(TeTime time, char out[TE_RFC3339_SIZE])
{
	/* Counted from 0000-03-01, so that every term below is positive. */
	int64 shifted = time + INT64CONST(719468) * SECONDS_PER_DAY * TE_USEC_PER_SEC;
	int64 usec = shifted % TE_USEC_PER_SEC;
	int64 second = shifted / TE_USEC_PER_SEC % SECONDS_PER_DAY;
	int64 days = shifted / TE_USEC_PER_SEC / SECONDS_PER_DAY;
	int64 era = days / 146097;
	int64 day_of_era = days % 146097;
	int64 year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64 day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64 month_from_march = (5 * day_of_year + 2) / 153;
	int64 day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
	int64 month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
	int64 year = era * 400 + year_of_era + (month <= 2 ? 1 : 0);

	Assert(time >= TE_RFC3339_FIRST && time <= TE_RFC3339_LAST);
	snprintf(out, TE_RFC3339_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", (int) year, (int) month, (int) day,
	         (int) (second / 3600), (int) (second / 60 % 60), (int) (second % 60), (int) usec);
}
