/*
 * notify.h - notifications of a committed batch.
 */
#ifndef TE_ENGINE_NOTIFY_H
#define TE_ENGINE_NOTIFY_H

#include "engine/batch.h"

/*
 * What of a company a batch has to tell: ids of signals, and of signals whose trades have changed
 * because something was reported about them.
 */
typedef enum { TE_NOTICE_SIGNAL, TE_NOTICE_TRADE, TE_NOTICE_KINDS } TeNoticeKind;
extern void te_notify_add(TeBatch *batch, TeCachedCompany *company, TeNoticeKind kind,
                          const uint8_t signal_id[TE_UUID_BYTES]);

/*
 * Channel trading_signals gets lane and batch number, each company's own channel those
 * ids.  In a transaction of its own that doesn't wait for the disk; when
 * it fails, that is counted, and the signals are where they were.
 */
extern void te_notify_batch(const TeBatch *batch, int64 batch_no);

#endif
