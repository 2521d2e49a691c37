/* SPDX-License-Identifier: ISC */
/* Who owes an answer to a round of maps, and what becomes of those that do not give it. */
#include "master/readers.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/conf/maptable.h"
#include "lib/wire/master.h"
#include "master/master.h"
#include "master/reload.h"
#include "master/residents.h"
#include "t/tap.h"

enum { PATIENCE_MS = 60000 };

struct master master = { .generation = -1 };

static struct instance resolved;
static unsigned done, replaced, forgotten;
static int verified = -1; /* an overlay that there was */

/* ---- master, as far as it is asked ---- */

void residents_replace_one(struct instance *i)
{
	(void)i;
	replaced++;
}

void reload_forget_maps(enum house_program program)
{
	(void)program;
	forgotten++;
}

bool reload_has_file(int file)
{
	return file == verified;
}

bool instance_may_complain(struct instance *i, unsigned *more)
{
	(void)i;
	*more = 0;
	return true;
}

/* ---- a clock that the test turns ---- */

struct loop {
	struct timer *timer;
	struct deferred *deferred;
	int64_t timer_ms, now_ms;
};

int64_t loop_now_ms(const struct loop *l)
{
	return l->now_ms;
}

void loop_timer_set(struct loop *l, struct timer *t, int64_t at_ms)
{
	l->timer = t;
	l->timer_ms = at_ms;
}

void loop_timer_clear(struct loop *l, struct timer *t)
{
	if (l->timer == t)
		l->timer = NULL;
}

void loop_defer(struct loop *l, struct deferred *d)
{
	l->deferred = d;
}

static void turn(struct loop *l, int64_t now_ms)
{
	struct timer *t = l->timer;
	struct deferred *d;

	l->now_ms = now_ms;
	if (t != NULL && l->timer_ms <= now_ms) {
		l->timer = NULL;
		t->due(t);
	}
	d = l->deferred;
	l->deferred = NULL;
	if (d != NULL)
		d->run(d);
}

/* ---- */

static int peer; /* resolved's end */

static void all_done(void)
{
	done++;
}

/* One that never says a word. */
static void start(void)
{
	int ends[2];

	if (wire_pair(ends) < 0)
		abort();
	resolved = (struct instance){ .row = &house[HOUSE_RESOLVED], .wire.fd = ends[0] };
	peer = ends[1];
	resolved.pid = fork();
	if (resolved.pid == 0)
		for (;;)
			pause();
	done = replaced = forgotten = 0;
}

static void stop(void)
{
	close(peer);
	close(resolved.wire.fd);
}

static void begin(void)
{
	readers_begin();
	readers_give(&resolved);
	readers_wait(all_done);
}

static void answer(bool taken)
{
	struct wire_out out = { 0 };
	struct wire_in in;
	uint32_t round;
	int pid;

	/* Its maps come first. */
	while (wire_receive_now(peer, &in) == WIRE_OK && in.type != MASTER_MAPS)
		wire_in_close(&in);
	if (!master_round_get(&in, &pid, &round))
		abort();
	wire_in_close(&in);
	master_taken_put(&out, pid, round, taken);
	wire_send(peer, &out);
	wire_out_free(&out);
	wire_receive_now(resolved.wire.fd, &in);
	readers_heard(&resolved, &in);
	wire_in_close(&in);
}

static void kill_it(void)
{
	kill(resolved.pid, SIGKILL);
	waitpid(resolved.pid, NULL, 0);
}

static void answered(void)
{
	start();
	begin();
	turn(master.loop, 1);
	ok(done == 0, "who was asked is waited for");
	answer(true);
	turn(master.loop, 2);
	ok(done == 1 && replaced == 0, "and an answer is the end of it");
	begin();
	answer(false);
	turn(master.loop, 3);
	ok(done == 2 && replaced == 1, "one that cannot take them is replaced");
	ok(forgotten == 1, "and given those of the next reload");
	kill_it();
	stop();
}

/* Without it the program would take the map as it was before its edits. */
static void overlay_lost(void)
{
	start();
	verified = GENERATION_OVERLAYS + maptable_file_of("resolved", 1);
	begin();
	turn(master.loop, 1);
	verified = -1;
	ok(done == 1 && replaced == 1, "an overlay that was verified, and lost, is not left out");
	kill_it();
	stop();
}

static void hangs(void)
{
	int status = 0;

	start();
	master.loop->now_ms = 0;
	begin();
	turn(master.loop, PATIENCE_MS - 1);
	ok(done == 0 && waitpid(resolved.pid, &status, WNOHANG) == 0,
	   "one that hangs has a minute");
	turn(master.loop, PATIENCE_MS);
	bool ended = replaced == 0 && done == 1;

	if (!ended)
		kill(resolved.pid, SIGTERM);
	waitpid(resolved.pid, &status, 0);
	ok(ended && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	   "then it is killed: as a predecessor it would hang for ever");
	stop();
}

/* A generation with its maps, of which nobody here asks what they have; none has an overlay. */
static void make_files(char directory[])
{
	char name[MAPTABLE_FILE_NAME_MAX];
	int id;

	if (mkdtemp(directory) == NULL)
		abort();
	master.generation = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (unsigned n = 0; (id = maptable_file_of("resolved", n)) >= 0; n++) {
		maptable_generation_file(id, name);
		close(openat(master.generation, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	}
}

static void remove_files(const char *directory)
{
	char name[MAPTABLE_FILE_NAME_MAX];
	int id;

	for (unsigned n = 0; (id = maptable_file_of("resolved", n)) >= 0; n++) {
		maptable_generation_file(id, name);
		unlinkat(master.generation, name, 0);
	}
	close(master.generation);
	rmdir(directory);
}

int main(void)
{
	static struct loop loop;
	char directory[] = "/tmp/readers.XXXXXX";

	master.loop = &loop;
	make_files(directory);
	answered();
	overlay_lost();
	hangs();
	remove_files(directory);
	return tap_done();
}
