/* SPDX-License-Identifier: ISC */
/*
 * The queue's states, explored: every sequence of events that can befall one or two messages, up to
 * a depth, through queued's own code (messages.c and all below it, agents.c with the schedule,
 * recover.c), in a world that is made of t/unit/queueworld.h. States that have been seen are not
 * gone on from. After every event queued is judged, and from every state the message must come to
 * its end when all goes well.
 *
 * A state is reached by living through its sequence again from the beginning: queued keeps its
 * state where it likes, and nothing needs to be copied.
 *
 *	POSTHOUSE_EXPLORE=STATES    so many states of each scenario instead of STATES_MAX
 *	POSTHOUSE_EXPLORE_ONLY=NAME one scenario
 */
#include "t/unit/queueworld.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/wire/envelope.h"
#include "t/tap.h"
#include "t/unit/queuefakes.h"

enum { STATES_MAX = 6000 /* of each scenario */, POSSIBLE_MAX = 128, SEQUENCE_MAX = 256 };

/* Memory that the fakes do not forget: the search's own. */
void *__real_realloc(void *old, size_t size);
void __real_free(void *p);

struct state {
	uint32_t before; /* the state it came from */
	struct world_event event;
	uint8_t depth;
};

static struct search {
	const struct world_scenario *scenario;
	enum world_fault fault;
	struct state *states;
	uint64_t *seen; /* hashes, open addressing; 0: free */
	size_t count, room, seen_size, max;
	unsigned long lived;
	bool whole; /* nothing is left to go on from */
	char wrong[256];
	bool well; /* how the last life came to its end */
	struct world_event sequence[SEQUENCE_MAX];
	unsigned sequence_len;
} search;

static const struct world_scenario scenarios[] = {
#include "t/unit/queuestates.def"
};

enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

/* ---- states that have been seen ---- */

static void *room_for(void *old, size_t size)
{
	void *p = __real_realloc(old, size);

	if (p == NULL) {
		printf("Bail out! no memory\n");
		exit(1);
	}
	return p;
}

static bool is_new(struct search *s, uint64_t hash)
{
	size_t i = hash & (s->seen_size - 1);

	hash += hash == 0;
	for (; s->seen[i]; i = (i + 1) & (s->seen_size - 1))
		if (s->seen[i] == hash)
			return false;
	s->seen[i] = hash;
	return true;
}

static void search_begin(struct search *s, const struct world_scenario *scenario,
                         enum world_fault fault, size_t max)
{
	*s = (struct search){ .scenario = scenario, .fault = fault, .max = max, .seen_size = 1024 };
	while (s->seen_size < 4 * max)
		s->seen_size *= 2;
	s->seen = room_for(NULL, s->seen_size * sizeof *s->seen);
	memset(s->seen, 0, s->seen_size * sizeof *s->seen);
	s->states = room_for(NULL, max * sizeof *s->states);
	s->states[s->count++] = (struct state){ 0 };
}

static void search_end(struct search *s)
{
	__real_free(s->seen);
	__real_free(s->states);
}

/* ---- lives ---- */

static void take_sequence(struct search *s, uint32_t state)
{
	s->sequence_len = s->states[state].depth;
	for (unsigned i = s->sequence_len; i > 0; i--) {
		s->sequence[i - 1] = s->states[state].event;
		state = s->states[state].before;
	}
}

static void live(struct search *s)
{
	world_begin(s->scenario, s->fault);
	s->lived++;
	for (unsigned i = 0; i < s->sequence_len && !world_wrong(); i++)
		world_do(s->sequence[i]);
}

/* The sequence of the search, and what queued logs at each step. */
static void tell(struct search *s, bool to_the_end)
{
	char text[128];

	printf("# %s: %s; the shortest way there:\n", s->scenario->name, s->wrong);
	fakes_log_shown = true;
	world_begin(s->scenario, s->fault);
	for (unsigned i = 0; i < s->sequence_len; i++) {
		world_tell(text, sizeof text, s->sequence[i]);
		printf("# %3u. %s\n", i + 1, text);
		world_do(s->sequence[i]);
	}
	if (to_the_end) {
		printf("#      and then %s\n", s->well ? "all goes well" : "no delivery succeeds");
		world_finish(s->well);
	}
	fakes_log_shown = false;
}

static bool finish(struct search *s, bool well)
{
	s->well = well;
	world_finish(well);
	return world_wrong() == NULL;
}

/* One more event: a state that is new is kept. false: something is wrong. */
static bool go_on(struct search *s, uint32_t from, struct world_event e)
{
	s->sequence[s->sequence_len++] = e;
	live(s);
	if (!world_wrong() && is_new(s, world_hash())) {
		if (s->count < s->max)
			s->states[s->count++] = (struct state){ from, e, (uint8_t)s->sequence_len };
		if (finish(s, true)) {
			live(s);
			finish(s, false);
		}
	}
	if (world_wrong()) {
		snprintf(s->wrong, sizeof s->wrong, "%s", world_wrong());
		return false;
	}
	s->sequence_len--;
	return true;
}

/* Breadth first: the first wrong that is found has a shortest sequence. */
static bool explore(struct search *s)
{
	struct world_event possible[POSSIBLE_MAX];

	for (uint32_t from = 0; from < s->count; from++) {
		take_sequence(s, from);
		live(s);
		unsigned count = world_possible(possible, POSSIBLE_MAX);

		for (unsigned i = 0; i < count; i++)
			if (!go_on(s, from, possible[i]))
				return false;
		if (s->count == s->max)
			return true;
	}
	s->whole = true;
	return true;
}

static double seconds(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

static bool run(const struct world_scenario *scenario, enum world_fault fault, size_t max)
{
	struct search *s = &search;
	double begun = seconds();

	search_begin(s, scenario, fault, max);
	bool right = explore(s);

	printf("# %s: %zu states%s, %lu lives, longest sequence %u, %.1f s\n", scenario->name,
	       s->count, s->whole ? " (all)" : "", s->lived, s->states[s->count - 1].depth,
	       seconds() - begun);
	if (!right)
		tell(s, true);
	search_end(s);
	return right;
}

/* ---- the test ---- */

static const struct world_scenario *scenario_of(const char *name)
{
	for (unsigned i = 0; i < SCENARIOS; i++)
		if (strcmp(scenarios[i].name, name) == 0)
			return &scenarios[i];
	return NULL;
}

static void controls(size_t max)
{
	const struct {
		enum world_fault fault;
		const char *scenario, *what;
	} wrongs[] = {
		{ WORLD_DONE_UNWRITTEN, "together", "a record that is not written" },
		{ WORLD_RESULT_TURNED, "together", "a result that is taken for another" },
		{ WORLD_QUESTION_LOST, "together", "a question without an answer" },
		{ WORLD_NEW_UNWRITTEN, "alias", "a target that is not written" },
	};

	for (unsigned i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++) {
		bool right = run(scenario_of(wrongs[i].scenario), wrongs[i].fault, max);

		ok(!right, "control: %s is found: %s", wrongs[i].what, search.wrong);
	}
}

int main(void)
{
	const char *states = getenv("POSTHOUSE_EXPLORE"), *only = getenv("POSTHOUSE_EXPLORE_ONLY");
	size_t max = states ? strtoul(states, NULL, 10) : STATES_MAX;

	setvbuf(stdout, NULL, _IOLBF, 0);
	fakes_no_random();
	/* Files keep their buffers: these must not be of a life that is forgotten. */
	fakes_memory_permanent();
	for (unsigned i = 0; i < SCENARIOS; i++)
		world_warm_up(&scenarios[i]);
	for (unsigned i = 0; i < SCENARIOS; i++)
		if (only == NULL || strcmp(only, scenarios[i].name) == 0)
			ok(run(&scenarios[i], WORLD_RIGHT, max), "%s", scenarios[i].name);
	if (only == NULL)
		controls(max);
	return tap_done();
}
