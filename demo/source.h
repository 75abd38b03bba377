/*
 * source.h - what a source of bars provides; for bars.c and synthetic.c.
 */
#ifndef TE_DEMO_SOURCE_H
#define TE_DEMO_SOURCE_H

#include "bars.h"

struct BarSource
{
	bool (*next)(BarSource *source, Bar *bar);
	void (*close)(BarSource *source);
};

#endif
