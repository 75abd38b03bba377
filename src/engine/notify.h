/*
 * notify.h - notifications of a committed batch.
 */
#ifndef TE_ENGINE_NOTIFY_H
#define TE_ENGINE_NOTIFY_H

#include "engine/batch.h"

/*
 * Channel trading_signals gets lane and batch number, each company's own channel the
 * ids of its signals.  In a transaction of its own that doesn't wait for the disk; when
 * it fails, that is counted, and the signals are where they were.
 */
extern void te_notify_batch(const TeBatch *batch, int64 batch_no);

#endif
