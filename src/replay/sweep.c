/*
 * sweep.c - trading.sweep(): many combinations of parameters over the same history in one run,
 * chosen in-sample and judged out-of-sample.
 *
 * Every process judges the signals that it decides, and sends them to the leader, who leaves out
 * those that repeat others, and does the rest when all have come.
 */
#include "postgres.h"

#include "replay/sweep.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "replay/arguments.h"
#include "replay/folds.h"
#include "replay/grid.h"
#include "replay/judge.h"
#include "replay/tuples.h"
#include "sql/decision_json.h"

PG_FUNCTION_INFO_V1(te_sql_sweep);

/* Trades that are kept in memory: about 1 GB of them. */
#define MOST_TRADES INT64CONST(20000000)

/* Signals that go to the leader together. */
#define SIGNALS_PER_PIECE 256

/* What the leader tells every process. */
typedef struct Parameters
{
	TeTime from, to;
	int32 folds;
	int32 combinations;
} Parameters;

/* Pieces begin with what they are. */
typedef enum { PIECE_SIGNALS, PIECE_ACCOUNT } PieceKind;

/* A signal, and what became of it; or a candidate that is none, for the leader's comparison. */
typedef struct Signal
{
	TeReplayCandidate candidate;
	TeResult result;
	TeSweepTrade trade;
} Signal;

typedef struct SignalsPiece
{
	int64 kind;
	Signal signals[SIGNALS_PER_PIECE];
} SignalsPiece;

#define ID_SIZE 65
#define CURRENCY_SIZE 64

typedef struct AccountKey
{
	char company[ID_SIZE], user[ID_SIZE], currency[CURRENCY_SIZE];
} AccountKey;

/* An account, with its equity at the first of its signals. */
typedef struct Account
{
	AccountKey key;
	TeTime decided_at;
	int64 batch_no;
	double equity;
} Account;

typedef struct AccountPiece
{
	int64 kind;
	Account account;
} AccountPiece;

static HTAB *make_accounts(MemoryContext context)
{
	HASHCTL control = {
		.keysize = sizeof(AccountKey), .entrysize = sizeof(Account), .hcxt = context};

	return hash_create("accounts of a sweep", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void note_account(HTAB *accounts, const Account *account)
{
	bool found;
	Account *entry = hash_search(accounts, &account->key, HASH_ENTER, &found);

	if (!found || account->decided_at < entry->decided_at ||
	    (account->decided_at == entry->decided_at && account->batch_no < entry->batch_no))
		*entry = *account;
}

/*----------------------------------------------------------------------
 * In every process
 *----------------------------------------------------------------------*/

/* Combinations that differ in a threshold alone have many a trade in common. */
#define REMEMBERED 256

typedef struct Remembered
{
	bool used;
	TeTrade trade;
	TeTradeOutcome outcome;
} Remembered;

typedef struct Sweep
{
	TeWalk walk; /* for its periods */
	TeJudge *judge;
	HTAB *accounts;
	Account noted; /* the last; its batch is 0 before the first */
	int signal_count;
	SignalsPiece *signals;
	Remembered remembered[REMEMBERED]; /* of the prediction at hand */
	bool any_remembered;
} Sweep;

static void begin(TeReplayProcess *process, const void *parameters, Size length)
{
	Sweep *sweep = MemoryContextAllocZero(process->context, sizeof(Sweep));
	Parameters p;

	Assert(length == sizeof(p));
	memcpy(&p, parameters, Min(length, sizeof(p)));
	sweep->walk =
		(TeWalk){.from = p.from, .to = p.to, .folds = p.folds, .combinations = p.combinations};
	sweep->judge = te_judge_create(process->context, p.from);
	sweep->accounts = make_accounts(process->context);
	sweep->signals = MemoryContextAlloc(process->context, sizeof(SignalsPiece));
	sweep->signals->kind = PIECE_SIGNALS;
	process->state = sweep;
}

static void send_signals(TeReplayProcess *process)
{
	Sweep *sweep = process->state;

	if (sweep->signal_count > 0)
		te_replay_send(process, sweep->signals,
		               offsetof(SignalsPiece, signals) + sizeof(Signal) * sweep->signal_count);
	sweep->signal_count = 0;
}

/* Nearly always the account is the one before, and what was noted of it is older. */
static bool already_noted(const Account *noted, const TeReplayDecision *d)
{
	return noted->batch_no > 0 && strcmp(noted->key.company, d->strategy->company_id) == 0 &&
	       strcmp(noted->key.user, d->strategy->user_id) == 0 &&
	       strcmp(noted->key.currency, d->in->account->currency) == 0 &&
	       noted->decided_at <= d->in->at && noted->batch_no <= d->message->batch_no;
}

static void note_decision(Sweep *sweep, const TeReplayDecision *d)
{
	Account *account = &sweep->noted;

	if (already_noted(account, d))
		return;
	memset(account, 0, sizeof(*account));
	strlcpy(account->key.company, d->strategy->company_id, ID_SIZE);
	strlcpy(account->key.user, d->strategy->user_id, ID_SIZE);
	strlcpy(account->key.currency, d->in->account->currency, CURRENCY_SIZE);
	account->decided_at = d->in->at;
	account->batch_no = d->message->batch_no;
	account->equity = d->in->account->equity;
	note_account(sweep->accounts, account);
}

static bool same_order(const TeLeg *a, const TeLeg *b)
{
	return a->order_type == b->order_type && a->entry_price == b->entry_price &&
	       a->stop_loss == b->stop_loss && a->take_profit == b->take_profit &&
	       a->position_size == b->position_size;
}

/* Of two trades on one prediction: times, spread and instrument are the same for both. */
static bool same_trade(const TeTrade *a, const TeTrade *b)
{
	bool same = a->sign == b->sign && a->expires_at == b->expires_at &&
	            (a->conversion_rate == b->conversion_rate ||
	             (isnan(a->conversion_rate) && isnan(b->conversion_rate))) &&
	            a->order_count == b->order_count;

	for (int i = 0; same && i < a->order_count; i++)
		same = same_order(&a->orders[i], &b->orders[i]);
	return same;
}

/* The outcome of a trade, which may have been asked for already. */
static const TeOrderOutcome *judge(Sweep *sweep, const TeReplayDecision *d)
{
	double prices[3];
	Remembered *r;
	TeTrade trade;

	te_trade_of(d->in, d->decision, &trade);
	prices[0] = trade.orders[0].entry_price;
	prices[1] = trade.orders[0].stop_loss;
	prices[2] = trade.orders[0].take_profit;
	r = &sweep->remembered[hash_bytes((const unsigned char *)prices, sizeof(prices)) % REMEMBERED];
	if (!r->used || !same_trade(&r->trade, &trade)) {
		te_judge(sweep->judge, d->message->lane, d->in->prediction->symbol, &trade, &r->outcome);
		r->trade = trade;
		r->used = sweep->any_remembered = true;
	}
	return &r->outcome.whole;
}

static void take(TeReplayProcess *process, const TeReplayDecision *d)
{
	Sweep *sweep = process->state;
	Signal *signal = &sweep->signals->signals[sweep->signal_count++];

	*signal = (Signal){.candidate = *d->candidate};
	if (d->decision->outcome == TE_OUTCOME_SIGNAL) {
		const TeOrderOutcome *outcome = judge(sweep, d);

		note_decision(sweep, d);
		signal->result = outcome->result;
		signal->trade = (TeSweepTrade){
			.combination = d->variant,
			.period = te_walk_period(&sweep->walk, d->in->at),
			.decided_at = d->in->at,
			.closed_at = outcome->closed_at,
			.profit = outcome->profit,
			.r_multiple = outcome->r_multiple,
		};
	}
	if (sweep->signal_count == SIGNALS_PER_PIECE)
		send_signals(process);
}

static void prediction_end(TeReplayProcess *process,
                           const TeReplayMessage *message pg_attribute_unused(),
                           int prediction pg_attribute_unused())
{
	Sweep *sweep = process->state;

	if (!sweep->any_remembered)
		return;
	for (int i = 0; i < REMEMBERED; i++)
		sweep->remembered[i].used = false;
	sweep->any_remembered = false;
}

static void chunk_end(TeReplayProcess *process)
{
	send_signals(process);
}

static void end(TeReplayProcess *process)
{
	Sweep *sweep = process->state;
	AccountPiece piece = {.kind = PIECE_ACCOUNT};
	HASH_SEQ_STATUS all;
	Account *account;

	hash_seq_init(&all, sweep->accounts);
	while ((account = hash_seq_search(&all)) != NULL) {
		piece.account = *account;
		te_replay_send(process, &piece, sizeof(piece));
	}
}

/*----------------------------------------------------------------------
 * In the leader
 *----------------------------------------------------------------------*/

typedef struct Leader
{
	MemoryContext context;
	TeWalk walk;
	int64 capacity;
	HTAB *accounts;
} Leader;

static void keep_trade(Leader *leader, const TeSweepTrade *trade)
{
	TeWalk *walk = &leader->walk;

	if (walk->trade_count == MOST_TRADES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
		                errmsg("the sweep makes more than " INT64_FORMAT " trades", MOST_TRADES),
		                errhint("Sweep a shorter range, fewer strategies or fewer combinations.")));
	if (walk->trade_count == leader->capacity) {
		leader->capacity *= 2;
		walk->trades = repalloc_huge(walk->trades, sizeof(TeSweepTrade) * leader->capacity);
	}
	walk->trades[walk->trade_count++] = *trade;
}

static void receive_signal(Leader *leader, TeRepeats *repeats, const Signal *signal)
{
	const TeSweepTrade *trade = &signal->trade;
	TeSweepCount *count;

	if (te_repeats_judge(repeats, &signal->candidate) ||
	    signal->candidate.outcome != TE_OUTCOME_SIGNAL)
		return;
	count =
		&leader->walk.counts[(int64)trade->combination * (leader->walk.folds + 1) + trade->period];
	count->signals++;
	if (signal->result == TE_RESULT_OPEN)
		count->open++;
	if (trade->closed_at != TE_NO_TIME)
		keep_trade(leader, trade);
}

static void receive(void *argument, TeRepeats *repeats, const void *data, Size length)
{
	Leader *leader = argument;
	const SignalsPiece *signals = data;
	const AccountPiece *account = data;
	Size size = length - offsetof(SignalsPiece, signals);

	switch ((PieceKind)signals->kind) {
	case PIECE_SIGNALS:
		for (Size i = 0; i < size / sizeof(Signal); i++)
			receive_signal(leader, repeats, &signals->signals[i]);
		break;
	case PIECE_ACCOUNT:
		note_account(leader->accounts, &account->account);
		break;
	}
}

const TeReplaySink te_replay_sweep_sink = {
	.name = "sweep",
	.begin = begin,
	.take = take,
	.prediction_end = prediction_end,
	.chunk_end = chunk_end,
	.end = end,
	.receive = receive,
};

static bool in_money(TeMetric metric)
{
	return metric != TE_METRIC_EXPECTANCY_R && metric != TE_METRIC_WIN_RATE &&
	       metric != TE_METRIC_SQN;
}

/* The equity of all accounts together, added in the order of their names; money can't be added
 * across currencies. */
static int compare_accounts(const void *a, const void *b)
{
	return memcmp(*(const Account *const *)a, *(const Account *const *)b, sizeof(AccountKey));
}

static void sum_accounts(Leader *leader)
{
	long count = hash_get_num_entries(leader->accounts);
	const Account **accounts = palloc(sizeof(Account *) * Max(count, 1));
	HASH_SEQ_STATUS all;
	const Account *account;
	int n = 0;

	hash_seq_init(&all, leader->accounts);
	while ((account = hash_seq_search(&all)) != NULL)
		accounts[n++] = account;
	qsort(accounts, n, sizeof(Account *), compare_accounts);
	leader->walk.equity = 0;
	leader->walk.one_currency = true;
	for (int i = 0; i < n; i++) {
		leader->walk.equity += accounts[i]->equity;
		if (strcmp(accounts[i]->key.currency, accounts[0]->key.currency) == 0)
			continue;
		leader->walk.one_currency = false;
		if (in_money(leader->walk.metric))
			ereport(ERROR,
			        (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			         errmsg("metric \"%s\" needs accounts of one currency, and there are %s and %s",
			                te_metric_enum.labels[leader->walk.metric], accounts[0]->key.currency,
			                accounts[i]->key.currency),
			         errhint("Name a strategy, or use metric => 'expectancy_r'.")));
	}
}

/*----------------------------------------------------------------------
 * The function
 *----------------------------------------------------------------------*/

static const TeReplayPositions positions = {
	.from_time = 1,
	.to_time = 2,
	.company_id = 5,
	.user_id = 6,
	.strategy_id = 7,
	.symbol = 8,
	.strategies = 9,
	.workers = 13,
};

enum { ARG_GRID = 2, ARG_FOLDS = 3, ARG_METRIC = 9, ARG_MIN_TRADES = 10, ARG_ANCHORED = 11 };

static void refuse(const char *argument, const char *reason)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
	                errmsg("invalid value for argument \"%s\": %s", argument, reason)));
}

static void read_walk(FunctionCallInfo fcinfo, const TeReplayRun *run, TeWalk *walk)
{
	int metric = -1;

	*walk = (TeWalk){.from = run->from, .to = run->to};
	if (PG_ARGISNULL(ARG_FOLDS) || PG_GETARG_INT32(ARG_FOLDS) < 1 ||
	    PG_GETARG_INT32(ARG_FOLDS) > TE_FOLDS_MOST)
		refuse("folds", psprintf("must be from 1 to %d", TE_FOLDS_MOST));
	walk->folds = PG_GETARG_INT32(ARG_FOLDS);
	if (!PG_ARGISNULL(ARG_METRIC))
		metric = te_enum_value(&te_metric_enum, text_to_cstring(PG_GETARG_TEXT_PP(ARG_METRIC)));
	if (metric < 0)
		refuse("metric", "must be expectancy, expectancy_r, total_profit, win_rate, profit_factor, "
		                 "sharpe_ratio, sortino_ratio, sqn or calmar_ratio");
	walk->metric = (TeMetric)metric;
	if (PG_ARGISNULL(ARG_MIN_TRADES) || PG_GETARG_INT32(ARG_MIN_TRADES) < 2)
		refuse("min_trades", "must be 2 or more");
	walk->min_trades = PG_GETARG_INT32(ARG_MIN_TRADES);
	if (PG_ARGISNULL(ARG_ANCHORED))
		refuse("anchored", "must not be NULL");
	walk->anchored = PG_GETARG_BOOL(ARG_ANCHORED);
	if (walk->to - walk->from < walk->folds + 1)
		refuse("to_time", "must leave time for every fold after from_time");
}

static void prepare(Leader *leader, const TeParameterGrid *grid)
{
	TeWalk *walk = &leader->walk;

	leader->context = CurrentMemoryContext;
	leader->capacity = SIGNALS_PER_PIECE;
	leader->accounts = make_accounts(leader->context);
	walk->combinations = grid->count;
	walk->trades = palloc(sizeof(TeSweepTrade) * leader->capacity);
	walk->counts =
		palloc_extended(sizeof(TeSweepCount) * (Size)grid->count * (Size)(walk->folds + 1),
	                    MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	walk->first = palloc(sizeof(int64) * (grid->count + 1));
}

/* trading.sweep(): see sql/57_what_if.sql. */
Datum te_sql_sweep(PG_FUNCTION_ARGS)
{
	Leader leader = {0};
	TeWalk *walk = &leader.walk;
	Parameters parameters;
	TeTupleResult result;
	TeParameterGrid grid;
	TeReplayRun run;

	te_sweep_result_begin(fcinfo, &result);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	te_replay_read_arguments(fcinfo, &positions, &run);
	read_walk(fcinfo, &run, walk);
	if (PG_ARGISNULL(ARG_GRID))
		refuse("grid", "must not be NULL");
	te_grid_read(PG_GETARG_JSONB_P_COPY(ARG_GRID), run.company, &grid);
	prepare(&leader, &grid);
	run.outcomes = TE_OUTCOME_BIT(TE_OUTCOME_SIGNAL);
	run.sources[0].variants = grid.combinations;
	run.sources[0].variant_count = grid.count;
	parameters = (Parameters){
		.from = walk->from, .to = walk->to, .folds = walk->folds, .combinations = grid.count};
	(void)te_replay_run(&run, &te_replay_sweep_sink, &parameters, sizeof(parameters), &leader);

	sum_accounts(&leader);
	te_walk_sort(walk);
	te_sweep_report(walk, &grid, &result);
	SPI_finish();
	te_tuple_result_end(&result);
	return (Datum)0;
}
