/*
 * wire_subject.c - subjects, taken apart and put together.
 */
#include "wire/subject.h"

#include "tap.h"

static const struct
{
	const char *subject;
	TeSubjectKind kind;
	uint32_t lane;
	const char *company, *user, *symbol;
} sound[] = {
	{"trading.predictions.acme.ann", TE_SUBJECT_PREDICTIONS, 0, "acme", "ann", ""},
	{"trading.predictions.acme._all", TE_SUBJECT_PREDICTIONS, 0, "acme", "_all", ""},
	{"trading.predictions._all._all", TE_SUBJECT_PREDICTIONS, 0, "_all", "_all", ""},
	{"trading.market.EURUSD", TE_SUBJECT_MARKET, 0, "", "", "EURUSD"},
	{"trading.executions.acme.ann", TE_SUBJECT_EXECUTIONS, 0, "acme", "ann", ""},
	{"trading.signals.3.acme.ann.EURUSD", TE_SUBJECT_SIGNALS, 3, "acme", "ann", "EURUSD"},
	{"trading.commands.0.acme.ann", TE_SUBJECT_COMMANDS, 0, "acme", "ann", ""},
	{"trading.risk.assess", TE_SUBJECT_RISK, 0, "", "", ""},
};

static const char *const bad[] = {
	"",
	"trading",
	"trading.",
	"other.predictions.acme.ann",
	"tradingx.predictions.acme.ann",
	"trading.nonsense.acme.ann",
	"trading.predictions",
	"trading.predictions.",
	"trading.predictions.acme",
	"trading.predictions.acme.",
	"trading.predictions..ann",
	"trading.predictions.acme.ann.",
	"trading.predictions.acme.ann.more",
	"trading.predictions.ac*me.ann",
	"trading.predictions.acme.>",
	"trading.predictions._all.ann",
	"trading.predictions.abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcde.ann",
	"trading.market",
	"trading.market.EUR.USD",
	"trading.market.ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456",
	"trading.executions._all._all",
	"trading.executions.acme._all",
	"trading.signals.acme.ann.EURUSD",
	"trading.signals.-1.acme.ann.EURUSD",
	"trading.signals.03.acme.ann.EURUSD",
	"trading.signals.2147483648.acme.ann.EURUSD",
	"trading.signals.99999999999.acme.ann.EURUSD",
	"trading.signals.3.acme.ann",
	"trading.risk",
	"trading.risk.other",
	"trading.risk.assess.more",
};

static void reads_and_writes_every_kind(void)
{
	for (size_t i = 0; i < sizeof(sound) / sizeof(sound[0]); i++) {
		TeSubject s;
		char text[TE_SUBJECT_MAX];

		ok(te_subject_parse("trading", sound[i].subject, strlen(sound[i].subject), &s, NULL),
		   sound[i].subject);
		ok(s.kind == sound[i].kind && s.lane == sound[i].lane, "kind and lane");
		is_text(s.company, sound[i].company, "company");
		is_text(s.user, sound[i].user, "user");
		is_text(s.symbol, sound[i].symbol, "symbol");
		ok(te_subject_format("trading", &s, text), "can be written");
		is_text(text, sound[i].subject, "and is the same");
	}
}

static void refuses_everything_else(void)
{
	TeSubject s;
	TeWireError err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.code = TE_WIRE_OK;
		ok(!te_subject_parse("trading", bad[i], strlen(bad[i]), &s, &err) &&
		       err.code == TE_WIRE_INVALID_SUBJECT,
		   bad[i]);
	}
	ok(!te_subject_parse("trading", "trading.market.EUR\0USD", 22, &s, &err), "a zero byte");
	/* Only the bytes that are the subject count, not what happens to stand behind them. */
	ok(te_subject_parse("trading", "trading.market.EURUSDxxx", 21, &s, &err),
	   "a subject without end");
	is_text(s.symbol, "EURUSD", "ends where its length says");
}

static void a_prefix_may_have_tokens(void)
{
	TeSubject s;
	char text[TE_SUBJECT_MAX];

	ok(te_subject_parse("prod.eu", "prod.eu.market.EURUSD", 21, &s, NULL),
	   "a prefix of two tokens");
	te_subject_format("prod.eu", &s, text);
	is_text(text, "prod.eu.market.EURUSD", "is written again");
	ok(te_subject_prefix_valid("trading") && te_subject_prefix_valid("a.b.c"), "sound prefixes");
	ok(!te_subject_prefix_valid("") && !te_subject_prefix_valid(".a") &&
	       !te_subject_prefix_valid("a.") && !te_subject_prefix_valid("a..b") &&
	       !te_subject_prefix_valid("a.*") && !te_subject_prefix_valid("a b"),
	   "prefixes that aren't");
	ok(te_subject_parse("trading", "trading.control.resend.models-1", 31, &s, NULL) &&
	       s.kind == TE_SUBJECT_CONTROL,
	   "anything may follow control");
	ok(!te_subject_format("trading", &s, text), "which has no form of its own");
}

static void output_is_known_under_any_prefix(void)
{
	static const char *const none[] = {
		"",
		"signals.0.acme.ann.EURUSD",
		"x.signals.0.acme.ann",
		"x.commands.0.acme.ann.EURUSD",
		"x.predictions.acme.ann",
		"x..commands.0.acme.ann",
	};
	TeSubject s;

	ok(te_subject_parse_output("trading.signals.3.acme.ann.EURUSD", &s, NULL) &&
	       s.kind == TE_SUBJECT_SIGNALS && s.lane == 3,
	   "a signal");
	is_text(s.symbol, "EURUSD", "with its symbol");
	ok(te_subject_parse_output("prod.signals.0.commands.1.acme.commands", &s, NULL) &&
	       s.kind == TE_SUBJECT_COMMANDS && s.lane == 1,
	   "a command, under an odd prefix");
	is_text(s.user, "commands", "with its user");
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		ok(!te_subject_parse_output(none[i], &s, NULL), none[i]);
}

static void writes_only_what_is_valid(void)
{
	TeSubject s = {TE_SUBJECT_SIGNALS, 1, "acme", "ann", "EURUSD"};
	char text[TE_SUBJECT_MAX];

	ok(te_subject_format("trading", &s, text), "a sound subject");
	strcpy(s.symbol, "EUR.USD");
	ok(!te_subject_format("trading", &s, text), "a dot in the symbol");
	strcpy(s.symbol, "EURUSD");
	strcpy(s.user, "*");
	ok(!te_subject_format("trading", &s, text), "a wildcard as user");
	strcpy(s.user, "_all");
	ok(!te_subject_format("trading", &s, text), "a signal for everybody");
}

int main(void)
{
	reads_and_writes_every_kind();
	refuses_everything_else();
	a_prefix_may_have_tokens();
	output_is_known_under_any_prefix();
	writes_only_what_is_valid();
	return done_testing();
}
