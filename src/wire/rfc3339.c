/*
 * rfc3339.c - see rfc3339.h.
 */
#include "rfc3339.h"

#include <inttypes.h>
#include <stdio.h>

#define SECONDS_PER_DAY 86400

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar. */
static int64_t days_of_date(int year, int month, int day)
{
	/* Years begin in March here, so that the leap day is the last of its year. */
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

	return era * 146097 + day_of_era - 719468;
}

static void date_of_days(int64_t days, int *year, int *month, int *day)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t day_of_era = z - era * 146097;
	int64_t year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t m = (5 * day_of_year + 2) / 153;

	*day = (int)(day_of_year - (153 * m + 2) / 5 + 1);
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*year = (int)(year_of_era + era * 400 + (*month <= 2));
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap);
}

/* Exactly "digits" digits within low..high. */
static bool number(const char **text, int digits, int low, int high, int *out)
{
	int value = 0;

	for (int i = 0; i < digits; i++, (*text)++) {
		if (**text < '0' || **text > '9')
			return false;
		value = value * 10 + (**text - '0');
	}
	*out = value;
	return value >= low && value <= high;
}

static bool character(const char **text, char a, char b)
{
	if (**text != a && **text != b)
		return false;
	(*text)++;
	return true;
}

/* Up to six digits behind a point. */
static bool fraction(const char **text, int *micros)
{
	int scale = 100000;

	*micros = 0;
	if (**text != '.')
		return true;
	(*text)++;
	if (**text < '0' || **text > '9')
		return false;
	for (; **text >= '0' && **text <= '9'; (*text)++, scale /= 10) {
		if (scale == 0)
			return false;
		*micros += (**text - '0') * scale;
	}
	return true;
}

/* Z or +hh:mm, in seconds. */
static bool offset(const char **text, int *seconds)
{
	int hours, minutes;
	char sign = **text;

	*seconds = 0;
	if (character(text, 'Z', 'z'))
		return true;
	if (!character(text, '+', '-') || !number(text, 2, 0, 23, &hours) ||
	    !character(text, ':', ':') || !number(text, 2, 0, 59, &minutes))
		return false;
	*seconds = (hours * 60 + minutes) * 60 * (sign == '-' ? -1 : 1);
	return true;
}

bool te_rfc3339_parse(const char *text, TeTime *out)
{
	int year, month, day, hour, minute, second, micros, zone;

	if (!number(&text, 4, 1, 9999, &year) || !character(&text, '-', '-') ||
	    !number(&text, 2, 1, 12, &month) || !character(&text, '-', '-') ||
	    !number(&text, 2, 1, days_in_month(year, month), &day) || !character(&text, 'T', 't') ||
	    !number(&text, 2, 0, 23, &hour) || !character(&text, ':', ':') ||
	    !number(&text, 2, 0, 59, &minute) || !character(&text, ':', ':') ||
	    !number(&text, 2, 0, 59, &second) || !fraction(&text, &micros) || !offset(&text, &zone) ||
	    *text != '\0')
		return false;
	*out = (days_of_date(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second -
	        zone) *
	           TE_USEC_PER_SEC +
	       micros;
	return true;
}

bool te_rfc3339_format(TeTime at, char text[TE_RFC3339_SIZE])
{
	const int64_t day_us = SECONDS_PER_DAY * TE_USEC_PER_SEC;
	int64_t days, rest;
	int year, month, day;

	text[0] = '\0';
	/* 0001-01-01 to 9999-12-31 */
	if (at < -719162 * day_us || at >= 2932897 * day_us)
		return false;
	days = at / day_us;
	rest = at % day_us;
	if (rest < 0) {
		days--;
		rest += day_us;
	}
	date_of_days(days, &year, &month, &day);
	snprintf(text, TE_RFC3339_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ", (unsigned)year % 10000,
	         (unsigned)month % 100, (unsigned)day % 100,
	         (unsigned)(rest / TE_USEC_PER_SEC / 3600) % 100,
	         (unsigned)(rest / TE_USEC_PER_SEC / 60 % 60), (unsigned)(rest / TE_USEC_PER_SEC % 60),
	         (unsigned)(rest % TE_USEC_PER_SEC));
	return true;
}
