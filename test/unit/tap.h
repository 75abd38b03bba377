/*
 * tap.h - the little that a C program needs to speak TAP, for prove.
 */
#ifndef TE_TEST_TAP_H
#define TE_TEST_TAP_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_count, tap_failed;

static inline bool tap_result(bool passed, const char *name, const char *file, int line)
{
	printf("%sok %d - %s\n", passed ? "" : "not ", ++tap_count, name);
	if (!passed) {
		tap_failed++;
		printf("# failed at %s line %d\n", file, line);
	}
	return passed;
}

/* Two numbers within a tolerance; two NANs are equal, and so are two infinities. */
static inline bool tap_near(double got, double want, double tolerance, const char *name,
                            const char *file, int line)
{
	bool same = got == want || (isnan(got) && isnan(want)) || fabs(got - want) <= tolerance;

	if (!tap_result(same, name, file, line))
		printf("# got %.17g, want %.17g\n", got, want);
	return same;
}

static inline bool tap_text(const char *got, const char *want, const char *name, const char *file,
                            int line)
{
	bool same = got == NULL || want == NULL ? got == want : strcmp(got, want) == 0;

	if (!tap_result(same, name, file, line))
		printf("# got %s, want %s\n", got ? got : "NULL", want ? want : "NULL");
	return same;
}

#define ok(condition, name) tap_result((condition), (name), __FILE__, __LINE__)
#define is_near(got, want, tolerance, name)                                                        \
	tap_near((got), (want), (tolerance), (name), __FILE__, __LINE__)
#define is_exactly(got, want, name) tap_near((got), (want), 0, (name), __FILE__, __LINE__)
#define is_text(got, want, name) tap_text((got), (want), (name), __FILE__, __LINE__)
#define skip(reason) printf("ok %d # SKIP %s\n", ++tap_count, (reason))

/* The last line of main. */
static inline int done_testing(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed > 0;
}

#endif
