/*
 * sweep_report.c - the rows of trading.sweep(): figures of every combination in and out of each
 * fold's sample, and the total.
 */
#include "postgres.h"

#include "replay/sweep.h"

#include "catalog/pg_type.h"
#include "utils/jsonb.h"

/* X(name, TYPE); FIGURES are there twice, in_ and out_. */
#define SWEEP_COLUMNS(X)                                                                           \
	X(fold, INT4)                                                                                  \
	X(combination, INT4)                                                                           \
	X(parameters, JSONB)                                                                           \
	X(chosen, BOOL)                                                                                \
	X(in_from, TIMESTAMPTZ)                                                                        \
	X(in_to, TIMESTAMPTZ)                                                                          \
	X(in_signals, INT8)                                                                            \
	X(in_left_out, INT8)                                                                           \
	X(in_trades, INT8)                                                                             \
	X(in_win_rate, FLOAT8)                                                                         \
	X(in_profit_factor, FLOAT8)                                                                    \
	X(in_expectancy, FLOAT8)                                                                       \
	X(in_expectancy_r, FLOAT8)                                                                     \
	X(in_total_profit, FLOAT8)                                                                     \
	X(in_max_drawdown, FLOAT8)                                                                     \
	X(in_score, FLOAT8)                                                                            \
	X(out_from, TIMESTAMPTZ)                                                                       \
	X(out_to, TIMESTAMPTZ)                                                                         \
	X(out_signals, INT8)                                                                           \
	X(out_left_out, INT8)                                                                          \
	X(out_trades, INT8)                                                                            \
	X(out_win_rate, FLOAT8)                                                                        \
	X(out_profit_factor, FLOAT8)                                                                   \
	X(out_expectancy, FLOAT8)                                                                      \
	X(out_expectancy_r, FLOAT8)                                                                    \
	X(out_total_profit, FLOAT8)                                                                    \
	X(out_max_drawdown, FLOAT8)                                                                    \
	X(out_score, FLOAT8)

enum { SWEEP_COLUMNS(TE_COLUMN_MEMBER) COLUMN_COUNT };
static const TeColumn columns[] = {SWEEP_COLUMNS(TE_COLUMN_SPEC)};

/* Where the figures of a side begin, in the order of COLUMN_in_signals and those after it. */
static void put_figures(TeTupleWriter *w, int first, const TeSweepFigures *f)
{
	int64 counts[] = {f->signals, f->left_out, f->trades};
	double figures[] = {f->win_rate,     f->profit_factor, f->expectancy, f->expectancy_r,
	                    f->total_profit, f->max_drawdown,  f->score};

	for (int i = 0; i < (int)lengthof(counts); i++)
		te_tuple_put(w, first++, Int64GetDatum(counts[i]));
	for (int i = 0; i < (int)lengthof(figures); i++)
		te_tuple_number(w, first++, figures[i]);
}

/* What the rows are made of. */
typedef struct Report
{
	const TeWalk *walk;
	const TeParameterGrid *grid;
	TeTupleWriter *writer;
	TeTupleResult *result;
} Report;

static void put_combination(const Report *r, int combination)
{
	te_tuple_put(r->writer, COLUMN_combination, Int32GetDatum(combination + 1));
	te_tuple_put(r->writer, COLUMN_parameters, JsonbPGetDatum(r->grid->combinations[combination]));
}

static void report_fold_row(const Report *r, int fold, int combination, bool chosen,
                            const TeSweepFigures *in_sample)
{
	const TeWalk *walk = r->walk;
	MemoryContext old = te_tuple_begin(r->writer);
	TeSweepFigures out_of_sample;

	te_walk_out_of_sample(walk, fold, combination, &out_of_sample);
	te_tuple_put(r->writer, COLUMN_fold, Int32GetDatum(fold));
	put_combination(r, combination);
	te_tuple_put(r->writer, COLUMN_chosen, BoolGetDatum(chosen));
	te_tuple_time(r->writer, COLUMN_in_from, te_walk_boundary(walk, walk->anchored ? 0 : fold - 1));
	te_tuple_time(r->writer, COLUMN_in_to, te_walk_boundary(walk, fold));
	put_figures(r->writer, COLUMN_in_signals, in_sample);
	te_tuple_time(r->writer, COLUMN_out_from, te_walk_boundary(walk, fold));
	te_tuple_time(r->writer, COLUMN_out_to, te_walk_boundary(walk, fold + 1));
	put_figures(r->writer, COLUMN_out_signals, &out_of_sample);
	te_tuple_keep(r->result, te_tuple_form(r->writer));
	te_tuple_end(r->writer, old);
}

/* The combinations of a fold; returns the one that its sample chooses, or -1. */
static int report_fold(const Report *r, int fold)
{
	const TeWalk *walk = r->walk;
	TeSweepFigures *in_sample = palloc(sizeof(TeSweepFigures) * walk->combinations);
	double best = NAN;
	int chosen = -1;

	for (int c = 0; c < walk->combinations; c++) {
		te_walk_in_sample(walk, fold, c, &in_sample[c]);
		if (te_walk_better(walk, &in_sample[c], best)) {
			best = in_sample[c].score;
			chosen = c;
		}
	}
	for (int c = 0; c < walk->combinations; c++)
		report_fold_row(r, fold, c, c == chosen, &in_sample[c]);
	pfree(in_sample);
	return chosen;
}

/* What the chosen ones made, beside what the best would have made that only hindsight knows. */
static void report_total(const Report *r, const int *chosen)
{
	const TeWalk *walk = r->walk;
	MemoryContext old = te_tuple_begin(r->writer);
	TeSweepFigures chained, best, figures;
	int combination = -1;

	for (int c = 0; c < walk->combinations; c++) {
		te_walk_hindsight(walk, c, &figures);
		if (te_walk_better(walk, &figures, combination < 0 ? NAN : best.score)) {
			best = figures;
			combination = c;
		}
	}
	te_walk_chained(walk, chosen, &chained);
	te_tuple_time(r->writer, COLUMN_in_from, te_walk_boundary(walk, 1));
	te_tuple_time(r->writer, COLUMN_in_to, walk->to);
	te_tuple_time(r->writer, COLUMN_out_from, te_walk_boundary(walk, 1));
	te_tuple_time(r->writer, COLUMN_out_to, walk->to);
	if (combination >= 0) {
		put_combination(r, combination);
		put_figures(r->writer, COLUMN_in_signals, &best);
	}
	put_figures(r->writer, COLUMN_out_signals, &chained);
	te_tuple_keep(r->result, te_tuple_form(r->writer));
	te_tuple_end(r->writer, old);
}

void te_sweep_result_begin(FunctionCallInfo fcinfo, TeTupleResult *result)
{
	te_tuple_result_begin(fcinfo, columns, COLUMN_COUNT, result);
}

void te_sweep_report(const TeWalk *walk, const TeParameterGrid *grid, TeTupleResult *result)
{
	Report report = {walk, grid, te_tuple_writer(CurrentMemoryContext, columns, COLUMN_COUNT),
	                 result};
	int chosen[TE_FOLDS_MOST + 1];

	for (int fold = 1; fold <= walk->folds; fold++)
		chosen[fold] = report_fold(&report, fold);
	report_total(&report, chosen);
}
