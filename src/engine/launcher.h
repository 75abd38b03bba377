/*
 * launcher.h - the one static worker, which starts all others.
 */
#ifndef TE_ENGINE_LAUNCHER_H
#define TE_ENGINE_LAUNCHER_H

#include "postgres.h"

/* Registers the launcher; from _PG_init while preloading. */
extern void te_launcher_init(void);

extern PGDLLEXPORT void te_launcher_main(Datum main_arg);

#endif
