/* SPDX-License-Identifier: ISC */
#include "master/reload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/conf/generation.h"
#include "lib/conf/maptable.h"
#include "lib/conf/places.h"
#include "lib/wire/master.h"
#include "master/beats.h"
#include "master/keyless.h"
#include "master/logs.h"
#include "master/master.h"
#include "master/owners.h"
#include "master/readers.h"
#include "master/residents.h"
#include "master/rundir.h"
#include "master/trial.h"

/* So soon after it was taken a generation is to blame when a program died so often in a row, none
 * of its lives steady (instance.h). */
enum { PROBATION_MS = 60000, DEATHS_MAX = 3 };

static struct {
	void (*done)(unsigned round, int result, const struct reason *why);
	struct candidate next;
	unsigned round;
	bool under_way;
	bool waits;                    /* under way, and taken: readers owe their answers */
	bool blamed;                   /* meanwhile: for deaths; it is undone then */
	bool again;                    /* asked for meanwhile */
	struct deferred refused, undo; /* refused: before a trial began */
	struct reason why;
	struct inputs inputs; /* of what is in use */
	struct maptable_known known;
	/* What was in use before, with another number; -1: nothing. */
	int previous;
	long previous_number;
	int64_t taken_ms;
} reloads = { .previous = -1 };

/* ---- a candidate ---- */

/* What a program would die of at its start, so that a generation with it is not taken. */
static int judge(const struct settings *settings, struct reason *why)
{
	const struct {
		const char *key, *path;
	} needed[] = {
		{ "queue.directory", settings->queue_directory },
		{ "drop.directory", settings->drop_directory },
	};

	for (unsigned i = 0; i < sizeof needed / sizeof needed[0]; i++) {
		int fd = open(needed[i].path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			return fail_errno(why, "open %s %s", needed[i].key, needed[i].path);
		close(fd);
	}
	return 0;
}

/* Only at the start: no reload waits for a file server that does not answer. */
static int judge_mail_root(const struct settings *settings, struct reason *why)
{
	int fd = open(settings->mail_root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fail_errno(why, "open mail.root %s", settings->mail_root);
	close(fd);
	return 0;
}

/* What waits would be left behind, and nobody would find the way to us. */
static int judge_moved(const struct settings *now, const struct settings *next, struct reason *why)
{
	const struct {
		const char *key, *now, *next;
	} kept[] = {
		{ "queue.directory", now->queue_directory, next->queue_directory },
		{ "directory.run", now->directory_run, next->directory_run },
	};

	for (unsigned i = 0; i < sizeof kept / sizeof kept[0]; i++)
		if (strcmp(kept[i].now, kept[i].next) != 0)
			return fail(
				why,
				"%s was changed from %s to %s: stop posthouse, move what is there, "
				"and start it",
				kept[i].key, kept[i].now, kept[i].next);
	return 0;
}

/* Those that the generation has; one that was built before 0.2 has none, and gets what is in the
 * configuration directory now.  Without keys (*keys is -1) TLS is not offered; keyd says so. */
static int open_keys(int generation, const struct settings *settings, int *keys, struct reason *why)
{
	char path[4096];

	*keys = generation_keys(generation, why);
	if (*keys >= 0)
		return 0;
	if (errno != ENOENT)
		return -1;
	if (!string_format(path, sizeof path, "%s/keys", settings->directory_configuration))
		return fail(why, "%s/keys: the path is too long",
		            settings->directory_configuration);
	*keys = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *keys >= 0 || errno == ENOENT ? 0 : fail_errno(why, "open %s", path);
}

static int read_generation(struct candidate *c, struct reason *why)
{
	if (maptable_verify_all(c->generation, &reloads.known, &c->known, why) < 0 ||
	    settings_load_generation(&c->settings, c->generation, why) < 0)
		return -1;
	if (judge(&c->settings, why) == 0)
		return 0;
	settings_free(&c->settings);
	return -1;
}

static void warn_exposed(void *context, const char *name, unsigned mode)
{
	log_warn(
		"event=secret-exposed generation=%ld file=%s should_be=%04o reason=\"others may read it; "
		"posthouse check says what to do\"",
		*(const long *)context, log_quote(view_of(name)), mode);
}

static void compare(struct candidate *c)
{
	for (int p = 0; p < HOUSE_PROGRAMS; p++)
		c->changes[p] = inputs_compare(&reloads.inputs, &c->inputs, (enum house_program)p);
}

/* Takes the directory; -1: it is closed. */
static int fill(struct candidate *c, int generation, long number, const struct listeners *old,
                struct reason *why)
{
	*c = (struct candidate){ .generation = generation, .number = number, .keys = -1 };
	maptable_exposed(generation, warn_exposed, &number);
	if (read_generation(c, why) == 0) {
		bool opened =
			(old == NULL ? judge_mail_root(&c->settings, why)
		                     : judge_moved(&master.settings, &c->settings, why)) == 0 &&
			open_keys(generation, &c->settings, &c->keys, why) == 0;

		if (opened && old == NULL)
			return 0;
		if (opened && listeners_open(&c->settings, old, &c->listeners, why) == 0) {
			inputs_look(&c->inputs, c->generation, &c->settings, &c->listeners,
			            c->keys);
			inputs_doubt(&reloads.inputs, master.generation);
			compare(c);
			return 0;
		}
		if (opened && c->keys >= 0)
			close(c->keys);
		settings_free(&c->settings);
	}
	close(generation);
	return -1;
}

static int open_current(struct candidate *c, const struct listeners *old, struct reason *why)
{
	long number = generation_number(master.state_directory);
	int generation = generation_open(master.state_directory, why);

	return generation < 0 ? -1 : fill(c, generation, number, old, why);
}

static void candidate_close(struct candidate *c)
{
	listeners_close(&c->listeners);
	settings_free(&c->settings);
	close(c->generation);
	if (c->keys >= 0)
		close(c->keys);
}

int reload_first(struct reason *why)
{
	struct candidate c;

	if (open_current(&c, NULL, why) < 0)
		return -1;
	master.generation = c.generation;
	master.generation_number = c.number;
	master.settings = c.settings;
	master.keys = c.keys;
	reloads.known = c.known;
	return 0;
}

/* ---- it is taken ---- */

/* Also when nothing has changed: it may not have been able to read the settings of before. */
static void tell_reload(struct instance *i)
{
	static struct wire_out out;

	if (i->row == &house[HOUSE_LOGD]) {
		logs_tell_output();
		return;
	}
	int file = openat(master.generation, "settings.cdb", O_RDONLY | O_CLOEXEC);

	master_file_put(&out, MASTER_RELOAD, file);
	if (file < 0 || wire_send(i->wire.fd, &out) != WIRE_OK)
		log_warn("event=reload-untold program=%s", i->row->name);
	close(file);
}

/* What programs die of soon after can be undone; the same generation once more, as after a rotated
 * log, is no other. */
static void keep_previous(long next)
{
	if (next == master.generation_number) {
		close(master.generation);
		return;
	}
	if (reloads.previous >= 0)
		close(reloads.previous);
	reloads.previous = master.generation;
	reloads.previous_number = master.generation_number;
	reloads.taken_ms = loop_now_ms(master.loop);
}

/* Programs of mailbox owners are replaced one by one, when there is work. */
static void renew_programs(const struct candidate *c)
{
	struct renewal how = { c->changes, tell_reload, readers_give, keyless_stays };

	readers_begin();
	for (int p = HOUSE_RESIDENT; p < HOUSE_PROGRAMS; p++)
		if (c->changes[p] != CHANGE_NONE)
			owners_retire((enum house_program)p);
	residents_renew(&how);
}

static int take(struct candidate *c, struct reason *why)
{
	if (logs_open(&c->settings, why) < 0) {
		candidate_close(c);
		return -1;
	}
	keep_previous(c->number);
	listeners_close(&master.listeners);
	settings_free(&master.settings);
	if (master.keys >= 0)
		close(master.keys);
	master.listeners = c->listeners;
	master.generation = c->generation;
	master.generation_number = c->number;
	master.settings = c->settings;
	master.keys = c->keys;
	compare(c); /* again: who died during the trial has maps that nobody verified */
	reloads.inputs = c->inputs;
	reloads.known = c->known;
	renew_programs(c);
	beats_take_settings();
	rundir_take_settings();
	places_learn(&master.settings);
	log_info("event=reloaded");
	return 0;
}

/* ---- a reload ---- */

static void begin(void);

static void wait_for_readers(void (*done)(void))
{
	reloads.under_way = reloads.waits = true;
	readers_wait(done);
}

/* Another generation may be better than to undo this one. */
static void go_on(void)
{
	if (master.stopping)
		return;
	if (reloads.again)
		begin();
	else if (reloads.blamed)
		loop_defer(master.loop, &reloads.undo);
	reloads.blamed = false;
}

/* What was refused stays in the status until one is taken: the running generation is not the one
 * that is current. */
static void finish(int result, const struct reason *why)
{
	string_cut(master.refused, sizeof master.refused, view_of(result < 0 ? why->text : ""));
	if (result < 0)
		log_warn("event=reload-refused reason=\"%s\"", log_text(view_of(why->text)));
	reloads.under_way = reloads.waits = false;
	reloads.done(reloads.round, result, why);
	go_on();
}

/* Who has asked is not told that it is in force when it is about to be undone. */
static void taken(void)
{
	struct reason why = { "" };

	if (reloads.blamed)
		fail(&why, "a program that it has replaced died, again and again; the generation "
		           "before is taken again");
	finish(reloads.blamed ? -1 : 0, &why);
}

static void tried(const struct reason *why)
{
	struct reason reason = { "" };
	int result = -1;

	if (why == NULL && !master.stopping) {
		result = take(&reloads.next, &reason);
		if (result == 0 && trial_includes(&reloads.next, HOUSE_KEYD))
			keyless_take();
	} else {
		fail(&reason, "%s", why ? why->text : "posthouse is stopping");
		candidate_close(&reloads.next);
	}
	if (result == 0)
		wait_for_readers(taken);
	else
		finish(result, &reason);
}

static void refused(struct deferred *d)
{
	(void)d;
	finish(-1, &reloads.why);
}

static void begin(void)
{
	reloads.under_way = true;
	reloads.again = false;
	reloads.round++;
	if (open_current(&reloads.next, &master.listeners, &reloads.why) == 0) {
		if (trial_begin(&reloads.next, tried, &reloads.why) == 0)
			return;
		candidate_close(&reloads.next);
	}
	loop_defer(master.loop, &reloads.refused);
}

unsigned reload_ask(void)
{
	if (!reloads.under_way) {
		begin();
		return reloads.round;
	}
	reloads.again = true;
	return reloads.round + 1;
}

void reload_abort(void)
{
	trial_abort("posthouse is stopping");
}

/* ---- what was taken does not last ---- */

static void undone(void)
{
	log_warn("event=reload-undone reason=\"%s\"", log_text(view_of(reloads.why.text)));
	reloads.under_way = reloads.waits = false;
	go_on();
}

static void undo(struct deferred *d)
{
	struct candidate c;
	struct reason why;
	int generation = reloads.previous;

	(void)d;
	if (reloads.under_way || master.stopping) /* another may be better */
		return;
	reloads.previous = -1;
	keyless_untried(generation);
	if (fill(&c, generation, reloads.previous_number, &master.listeners, &why) < 0 ||
	    take(&c, &why) < 0) {
		log_warn("event=undo-failed reason=\"%s\"", log_text(view_of(why.text)));
		go_on();
		return;
	}
	/* Not that one again. */
	close(reloads.previous);
	reloads.previous = -1;
	string_cut(master.refused, sizeof master.refused, view_of(reloads.why.text));
	wait_for_readers(undone);
}

bool reload_has_file(int file)
{
	return reloads.known.files[file].inode != 0;
}

void reload_forget_maps(enum house_program program)
{
	reloads.inputs.maps[program] = 0;
}

void reload_judge_death(const struct instance *i, int status)
{
	if (reloads.previous < 0 || i->failures < DEATHS_MAX ||
	    (reloads.under_way && !reloads.waits) ||
	    loop_now_ms(master.loop) - reloads.taken_ms > PROBATION_MS)
		return;
	fail(&reloads.why, "%s does not stay up with generation %ld (%s %d): %ld is used again",
	     i->row->name, master.generation_number, WIFSIGNALED(status) ? "signal" : "exit",
	     WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), reloads.previous_number);
	if (reloads.under_way)
		reloads.blamed = true;
	else
		loop_defer(master.loop, &reloads.undo);
}

void reload_start(void (*done)(unsigned round, int result, const struct reason *why))
{
	reloads.done = done;
	reloads.refused.run = refused;
	reloads.undo.run = undo;
	inputs_look(&reloads.inputs, master.generation, &master.settings, &master.listeners,
	            master.keys);
}
