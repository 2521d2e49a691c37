/* SPDX-License-Identifier: ISC */
#include "master/porter/pressure.h"

bool pressure_begins(struct pressure *p, size_t held, size_t most)
{
	bool was = p->on;

	p->on = held >= most - most / 4 || (was && held >= most / 2);
	return p->on && !was;
}
