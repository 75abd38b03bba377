/*
 * subject.c - see subject.h.
 */
#include "subject.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What follows the word that names a kind: c(ompany), u(ser), s(ymbol), l(ane), a(nything). */
static const struct
{
	const char *word;
	const char *tokens;
} kinds[] = {
	[TE_SUBJECT_PREDICTIONS] = {"predictions", "cu"}, [TE_SUBJECT_MARKET] = {"market", "s"},
	[TE_SUBJECT_EXECUTIONS] = {"executions", "cu"},   [TE_SUBJECT_SIGNALS] = {"signals", "lcus"},
	[TE_SUBJECT_COMMANDS] = {"commands", "lcu"},      [TE_SUBJECT_RISK] = {"risk", "r"},
	[TE_SUBJECT_CONTROL] = {"control", "a"},
};

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))
#define RISK_WORD "assess"

bool te_subject_prefix_valid(const char *prefix)
{
	size_t len = strlen(prefix);
	size_t token = 0;

	if (len < 1 || len > TE_SUBJECT_PREFIX_MAX)
		return false;
	for (size_t i = 0; i <= len; i++) {
		char c = prefix[i];

		if (c == '.' || c == '\0') {
			if (token == 0)
				return false;
			token = 0;
		} else {
			const char one[2] = {c, '\0'};

			if (!te_id_valid(one))
				return false;
			token++;
		}
	}
	return true;
}

/* Take the next token off; false when there is none or it has more than max bytes. */
static bool next_token(const char **at, const char *end, char *out, size_t max)
{
	const char *dot = memchr(*at, '.', (size_t)(end - *at));
	size_t len = (size_t)((dot != NULL ? dot : end) - *at);

	if (len == 0 || len > max || memchr(*at, '\0', len) != NULL)
		return false;
	memcpy(out, *at, len);
	out[len] = '\0';
	/* Behind the last token "at" stands one past the end, so that "a." is seen to lack a token. */
	*at = dot != NULL ? dot + 1 : end + 1;
	return true;
}

static bool parse_lane(const char *text, uint32_t *lane)
{
	uint64_t value = 0;

	if (text[0] == '0' && text[1] != '\0')
		return false;
	for (const char *c = text; *c != '\0'; c++) {
		if (*c < '0' || *c > '9')
			return false;
		value = value * 10 + (uint64_t)(*c - '0');
		if (value > INT32_MAX)
			return false;
	}
	*lane = (uint32_t)value;
	return true;
}

/* "_all" stands for a tenant in predictions only, and never for a company with a user of its own.
 */
static bool scope_valid(const TeSubject *s)
{
	if (!te_id_valid(s->company) || !te_id_valid(s->user))
		return false;
	if (s->kind != TE_SUBJECT_PREDICTIONS)
		return strcmp(s->company, TE_ALL) != 0 && strcmp(s->user, TE_ALL) != 0;
	return strcmp(s->company, TE_ALL) != 0 || strcmp(s->user, TE_ALL) == 0;
}

static bool parse_token(char what, const char **at, const char *end, TeSubject *out)
{
	char text[TE_ID_MAX + 1];

	switch (what) {
	case 'c':
		return next_token(at, end, out->company, TE_ID_MAX);
	case 'u':
		return next_token(at, end, out->user, TE_ID_MAX) && scope_valid(out);
	case 's':
		return next_token(at, end, out->symbol, TE_SYMBOL_MAX) && te_symbol_valid(out->symbol);
	case 'l':
		return next_token(at, end, text, 10) && parse_lane(text, &out->lane);
	case 'r':
		return next_token(at, end, text, TE_ID_MAX) && strcmp(text, RISK_WORD) == 0;
	default:
		*at = end + 1;
		return true;
	}
}

bool te_subject_parse(const char *prefix, const char *subject, size_t len, TeSubject *out,
                      TeWireError *err)
{
	size_t prefix_len = strlen(prefix);
	const char *at = subject + prefix_len + 1;
	const char *end = subject + len;
	char word[TE_ID_MAX + 1];

	memset(out, 0, sizeof(*out));
	if (len >= TE_SUBJECT_MAX)
		return te_wire_fail(err, TE_WIRE_INVALID_SUBJECT, NULL, "the subject has %zu bytes", len);
	if (len <= prefix_len || memcmp(subject, prefix, prefix_len) != 0 || subject[prefix_len] != '.')
		return te_wire_fail(err, TE_WIRE_INVALID_SUBJECT, NULL,
		                    "the subject doesn't begin with \"%s.\"", prefix);
	if (!next_token(&at, end, word, TE_ID_MAX))
		return te_wire_fail(err, TE_WIRE_INVALID_SUBJECT, NULL, "nothing follows \"%s.\"", prefix);
	for (size_t k = 0; k < KIND_COUNT; k++) {
		if (strcmp(word, kinds[k].word) != 0)
			continue;
		out->kind = (TeSubjectKind)k;
		for (const char *what = kinds[k].tokens; *what != '\0'; what++)
			if (at > end || !parse_token(*what, &at, end, out))
				return te_wire_fail(err, TE_WIRE_INVALID_SUBJECT, NULL,
				                    "\"%s\" isn't followed by what belongs there", word);
		if (at <= end)
			return te_wire_fail(err, TE_WIRE_INVALID_SUBJECT, NULL, "too many tokens after \"%s\"",
			                    word);
		return true;
	}
	return te_wire_fail(err, TE_WIRE_INVALID_SUBJECT, NULL, "unknown kind of subject \"%s\"", word);
}

/* Kinds have a fixed number of tokens, the first of which is a word: so they are found from behind.
 */
bool te_subject_parse_output(const char *subject, TeSubject *out, TeWireError *err)
{
	static const TeSubjectKind outputs[] = {TE_SUBJECT_COMMANDS, TE_SUBJECT_SIGNALS};
	size_t len = strlen(subject), at = len;
	char prefix[TE_SUBJECT_MAX];
	size_t tokens = 0;

	for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]) && len < sizeof(prefix); i++) {
		for (; at > 0 && tokens <= strlen(kinds[outputs[i]].tokens); tokens++)
			do
				at--;
			while (at > 0 && subject[at] != '.');
		memcpy(prefix, subject, at);
		prefix[at] = '\0';
		if (te_subject_prefix_valid(prefix) && te_subject_parse(prefix, subject, len, out, err) &&
		    out->kind == outputs[i])
			return true;
	}
	return te_wire_fail(err, TE_WIRE_INVALID_SUBJECT, NULL, "the subject is not one of output");
}

bool te_subject_format(const char *prefix, const TeSubject *parts, char out[TE_SUBJECT_MAX])
{
	const char *tokens;
	size_t len;

	out[0] = '\0';
	if ((unsigned)parts->kind >= KIND_COUNT || parts->kind == TE_SUBJECT_CONTROL ||
	    !te_subject_prefix_valid(prefix))
		return false;
	tokens = kinds[parts->kind].tokens;
	if ((strchr(tokens, 'u') != NULL && !scope_valid(parts)) ||
	    (strchr(tokens, 's') != NULL && !te_symbol_valid(parts->symbol)) || parts->lane > INT32_MAX)
		return false;
	len = (size_t)snprintf(out, TE_SUBJECT_MAX, "%s.%s", prefix, kinds[parts->kind].word);
	for (const char *what = tokens; *what != '\0'; what++) {
		char *rest = out + len;
		size_t room = TE_SUBJECT_MAX - len;

		if (*what == 'l')
			len += (size_t)snprintf(rest, room, ".%" PRIu32, parts->lane);
		else
			len += (size_t)snprintf(rest, room, ".%s",
			                        *what == 'c'   ? parts->company
			                        : *what == 'u' ? parts->user
			                        : *what == 's' ? parts->symbol
			                                       : RISK_WORD);
	}
	return true;
}
