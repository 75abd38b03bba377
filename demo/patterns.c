/*
 * patterns.c - candle patterns by geometry.
 *
 * Each shape is measured by how far it is beyond the least that makes it one, in
 * units of that shape, and a logistic function turns the excess into a probability.
 * Definitions follow Nison, "Japanese Candlestick Charting Techniques".
 */
#include "patterns.h"

/* A shape that just qualifies is a toss-up; one of double the size is at 0.88. */
static double clarity(double excess)
{
	return 1 / (1 + exp(-2 * fmax(0, excess)));
}

static double body(const Bar *bar)
{
	return fabs(bar->close - bar->open);
}

static double range(const Bar *bar)
{
	return bar->high - bar->low;
}

static double upper_shadow(const Bar *bar)
{
	return bar->high - fmax(bar->open, bar->close);
}

static double lower_shadow(const Bar *bar)
{
	return fmin(bar->open, bar->close) - bar->low;
}

static bool is_up(const Bar *bar)
{
	return bar->close > bar->open;
}

/* The body covers the previous one's, and goes the other way. */
static bool engulfing(const Bar *last, const Bar *before, double atr, TePattern *out)
{
	if (is_up(last) == is_up(before) || body(before) <= 0 || body(last) < 0.5 * atr)
		return false;
	if (fmax(last->open, last->close) < fmax(before->open, before->close) ||
	    fmin(last->open, last->close) > fmin(before->open, before->close))
		return false;
	*out = (TePattern){is_up(last) ? "BULLISH_ENGULFING" : "BEARISH_ENGULFING",
	                   is_up(last) ? TE_BIAS_BULLISH : TE_BIAS_BEARISH,
	                   clarity(body(last) / atr - 0.5)};
	return true;
}

/* A long shadow on one side, at least two thirds of the range, after a move to that side. */
static bool pin_bar(const Bar *last, const Bar *before, double atr, TePattern *out)
{
	double lower = lower_shadow(last), upper = upper_shadow(last);
	bool hammer = lower > upper;
	double share = range(last) > 0 ? fmax(lower, upper) / range(last) : 0;

	if (range(last) < 0.8 * atr || share < 2.0 / 3)
		return false;
	if (hammer ? last->low > before->low : last->high < before->high)
		return false;
	*out =
		(TePattern){hammer ? "HAMMER" : "SHOOTING_STAR", hammer ? TE_BIAS_BULLISH : TE_BIAS_BEARISH,
	                clarity(3 * (share - 2.0 / 3) + range(last) / atr - 0.8)};
	return true;
}

/* The whole bar lies within the previous one: the market waits. */
static bool inside_bar(const Bar *last, const Bar *before, double atr, TePattern *out)
{
	if (range(before) < atr || last->high >= before->high || last->low <= before->low)
		return false;
	*out = (TePattern){"INSIDE_BAR", TE_BIAS_NEUTRAL, clarity(range(before) / atr - 1)};
	return true;
}

/* Open and close are the same though the bar moved. */
static bool doji(const Bar *last, const Bar *before, double atr, TePattern *out)
{
	(void)before;
	if (range(last) < 0.8 * atr || body(last) > 0.1 * range(last))
		return false;
	*out = (TePattern){"DOJI", TE_BIAS_NEUTRAL,
	                   clarity(range(last) / atr - 0.8 + 1 - 10 * body(last) / range(last))};
	return true;
}

/* Three strong bodies in one direction, each closing beyond the one before. */
static bool three_in_a_row(const Bar *bars, double atr, TePattern *out)
{
	bool up = is_up(&bars[2]);
	double least = fmin(body(&bars[0]), fmin(body(&bars[1]), body(&bars[2])));

	if (is_up(&bars[0]) != up || is_up(&bars[1]) != up || least < 0.4 * atr)
		return false;
	for (int i = 1; i < 3; i++)
		if (up ? bars[i].close <= bars[i - 1].close : bars[i].close >= bars[i - 1].close)
			return false;
	*out = (TePattern){up ? "THREE_WHITE_SOLDIERS" : "THREE_BLACK_CROWS",
	                   up ? TE_BIAS_BULLISH : TE_BIAS_BEARISH, clarity(least / atr - 0.2)};
	return true;
}

/* A strong bar, a pause, and a strong bar back beyond the middle of the first. */
static bool star(const Bar *bars, double atr, TePattern *out)
{
	bool up = is_up(&bars[2]);
	double middle = (bars[0].open + bars[0].close) / 2;

	if (is_up(&bars[0]) == up || body(&bars[0]) < 0.7 * atr || body(&bars[1]) > 0.3 * atr ||
	    body(&bars[2]) < 0.7 * atr)
		return false;
	if (up ? bars[2].close < middle : bars[2].close > middle)
		return false;
	*out = (TePattern){up ? "MORNING_STAR" : "EVENING_STAR", up ? TE_BIAS_BULLISH : TE_BIAS_BEARISH,
	                   clarity(fmin(body(&bars[0]), body(&bars[2])) / atr - 0.4)};
	return true;
}

int find_patterns(const Bar *bars, int count, double atr, TePattern found[MAX_PATTERNS])
{
	static bool (*const of_two[])(const Bar *, const Bar *, double,
	                              TePattern *) = {engulfing, pin_bar, inside_bar, doji};
	static bool (*const of_three[])(const Bar *, double, TePattern *) = {three_in_a_row, star};
	int n = 0;

	if (count < 3 || !(atr > 0))
		return 0;
	for (size_t i = 0; i < sizeof(of_two) / sizeof(of_two[0]); i++)
		n += of_two[i](&bars[count - 1], &bars[count - 2], atr, &found[n]);
	for (size_t i = 0; i < sizeof(of_three) / sizeof(of_three[0]); i++)
		n += of_three[i](&bars[count - 3], atr, &found[n]);
	return n;
}
