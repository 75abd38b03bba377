/*
 * settings.h - settings that have to go together: those of the output's route, and of producers'
 * sequences.
 *
 * PostgreSQL looks at each setting by itself, in whatever order they are set; whether one
 * contradicts another shows only when all of them are.  So a worker doesn't start with settings
 * that contradict each other, and at a reload keeps those that it has; trading.health() says which
 * they are.
 */
#ifndef TE_ENGINE_SETTINGS_H
#define TE_ENGINE_SETTINGS_H

#include "postgres.h"

#include "core/route.h"
#include "core/sequence.h"

/* As they are set now; which transports there are is not among them. */
extern TeRouteSettings te_settings_route(void);
extern TeSequenceSettings te_settings_sequences(void);

/* Which settings contradict each other, in words; NULL: none do. */
extern char *te_settings_contradiction(void);

/* An error where some do. */
extern void te_settings_require(void);

#endif
