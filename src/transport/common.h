/*
 * common.h - what the transports share.
 */
#ifndef TE_TRANSPORT_COMMON_H
#define TE_TRANSPORT_COMMON_H

#include <pthread.h>

#include "transport.h"

#define TE_MSEC INT64_C(1000)
#define TE_SEC INT64_C(1000000)

/* A copy that owns its strings; false when memory ran out.  Free it in either case. */
bool te_config_copy(TeTransportConfig *copy, const TeTransportConfig *config);
void te_config_free(TeTransportConfig *copy);

/* The first setting that no transport can work with, or NULL. */
const char *te_config_find_bad(const TeTransportConfig *config);

/* One or more tokens of a subject; one that can be part of a name. */
bool te_valid_subject(const char *text);
bool te_valid_name(const char *text);

/* A thread with all signals blocked, detached when nobody wants its handle; 0 or an errno. */
int te_thread_start(pthread_t *thread, void *(*start)(void *), void *argument);

/* xorshift64*: names and jitter need no better. */
uint64_t te_random_next(uint64_t *state);

/* Doubles with each round of failures; the random half keeps engines from marching in step. */
int64_t te_backoff(const TeTransportConfig *config, unsigned rounds, uint64_t *random);

#endif
