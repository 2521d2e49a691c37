/* SPDX-License-Identifier: ISC */
#include "master/porter/pressure.h"

#include "t/tap.h"

int main(void)
{
	struct pressure p = { 0 };

	ok(!pressure_begins(&p, 74, 100) && !p.on, "below three quarters there is none");
	ok(pressure_begins(&p, 75, 100) && p.on, "from three quarters on there is");
	ok(!pressure_begins(&p, 100, 100) && p.on, "it begins once");
	ok(!pressure_begins(&p, 50, 100) && p.on, "and lasts");
	ok(!pressure_begins(&p, 49, 100) && !p.on, "until less than half is held");
	ok(pressure_begins(&p, 75, 100), "it may begin again");
	p = (struct pressure){ 0 };
	ok(!pressure_begins(&p, 0, 1) && pressure_begins(&p, 1, 1), "of one");
	return tap_done();
}
