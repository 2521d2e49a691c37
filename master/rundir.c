/* SPDX-License-Identifier: ISC */
#include "master/rundir.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/conf/places.h"
#include "lib/net/listen.h"
#include "master/master.h"
#include "master/residents.h"

enum { LOOK_MS = 2000, HOLD_PATIENCE_MS = 5000 };

struct place {
	const char *name; /* "": the run directory itself */
	mode_t kind;
	int (*make)(const struct place *p, bool again, struct reason *why);
	struct stat made;
	bool told; /* that it cannot be made again */
};

static char run[PATH_MAX]; /* as it was at the start: sockets do not move at a reload */
static char group_at_start[LOGIN_NAME_MAX + 1]; /* whom the control socket lets in */
static char group_missing[LOGIN_NAME_MAX + 1];  /* that it should have been for */
static struct timer look;
static const struct control_calls *calls;

static void path_of(const struct place *p, char path[PATH_MAX])
{
	string_print(path, PATH_MAX, "%s%s%s", run, p->name[0] ? "/" : "", p->name);
}

/* ---- how each is made ---- */

static int make_directory(const struct place *p, bool again, struct reason *why)
{
	char path[PATH_MAX];

	(void)again;
	path_of(p, path);
	mode_t mode = p->name[0] ? 0555 : 0755;

	if ((mkdir(path, mode) < 0 && errno != EEXIST) || chmod(path, mode) < 0)
		return fail_errno(why, "making the directory %s", path);
	return 0;
}

/* Two masters on one run directory would fight for the queue. */
static int make_pid(const struct place *p, bool again, struct reason *why)
{
	return program_hold(run, p->name, again ? 0 : HOLD_PATIENCE_MS, why);
}

static int make_control(const struct place *p, bool again, struct reason *why)
{
	const char *name = master.settings.control_group;
	const struct group *group = name[0] && !again ? getgrnam(name) : NULL;
	static gid_t gid = (gid_t)-1; /* no name service is asked once there are programs */

	/* It went after the build: mail does not wait for who may ask for the status. */
	if (name[0] && !again && group == NULL)
		log_warn(
			"event=group-missing control.group=%s reason=\"there is no such group: only "
			"root is let in at the control socket\"",
			log_quote(view_of(name)));
	if (!again)
		string_cut(group_missing, sizeof group_missing, view_of(group == NULL ? name : ""));
	if (!again)
		string_cut(group_at_start, sizeof group_at_start,
		           view_of(group != NULL ? name : ""));
	if (group != NULL)
		gid = group->gr_gid;
	int fd = net_listen_local(run, p->name, gid == (gid_t)-1 ? 0600 : 0660, gid, why);

	if (fd < 0)
		return -1;
	control_listen(fd, calls);
	return 0;
}

static int make_submit(const struct place *p, bool again, struct reason *why)
{
	int fd = net_listen_local(run, p->name, 0666, (gid_t)-1, why);

	if (fd < 0)
		return -1;
	master.submit = fd;
	if (again)
		residents_replace(HOUSE_PICKUP, "listen.submit", fd);
	return 0;
}

static struct place places[] = {
	{ .name = "", .kind = S_IFDIR, .make = make_directory },
	{ .name = "empty", .kind = S_IFDIR, .make = make_directory },
	{ .name = "master.pid", .kind = S_IFREG, .make = make_pid },
	{ .name = "control", .kind = S_IFSOCK, .make = make_control },
	{ .name = "submit", .kind = S_IFSOCK, .make = make_submit },
};

enum { PLACES = sizeof places / sizeof places[0] };

/* ---- is it still there ---- */

/* The number of a file that has gone is soon another's: of sockets, that nobody writes to, the time
 * tells. A directory may be another one. */
static bool is_same(const struct place *p, const struct stat *now)
{
	if ((now->st_mode & S_IFMT) != p->kind)
		return false;
	return p->kind == S_IFDIR ||
	       (now->st_dev == p->made.st_dev && now->st_ino == p->made.st_ino &&
	        now->st_mtim.tv_sec == p->made.st_mtim.tv_sec &&
	        now->st_mtim.tv_nsec == p->made.st_mtim.tv_nsec);
}

/* The run directory may be a link to one; a strange thing in its place is not ours to remove. */
static int look_at(const struct place *p, const char *path, struct stat *st)
{
	return p->name[0] ? lstat(path, st) : stat(path, st);
}

/* A directory that is not empty is moved aside. */
static int clear_away(const struct place *p, const char *path, struct reason *why)
{
	char aside[PATH_MAX + 8];

	if (p->name[0] == '\0' || unlink(path) == 0 || errno == ENOENT || rmdir(path) == 0)
		return 0;
	string_print(aside, sizeof aside, "%s.aside", path);
	return rename(path, aside) < 0 ? fail_errno(why, "moving aside what is at %s", path) : 0;
}

static int make(struct place *p, bool again, struct reason *why)
{
	char path[PATH_MAX];

	path_of(p, path);
	if (p->make(p, again, why) < 0)
		return -1;
	return look_at(p, path, &p->made) < 0 ? fail_errno(why, "%s", path) : 0;
}

static void see_to(struct place *p)
{
	char path[PATH_MAX];
	struct reason why;
	struct stat now;

	path_of(p, path);
	bool there = look_at(p, path, &now) == 0;

	if (there && is_same(p, &now)) {
		p->told = false;
		return;
	}
	if ((!there || clear_away(p, path, &why) == 0) && make(p, true, &why) == 0)
		log_warn("event=run-file-restored path=%s reason=\"%s\"", log_quote(view_of(path)),
		         there ? "replaced by something else" : "missing");
	else if (!p->told)
		log_warn("event=run-file-lost path=%s reason=\"%s\"", log_quote(view_of(path)),
		         log_text(view_of(why.text)));
	p->told = true;
}

/* ---- the directories that programs work in ---- */

static struct work_place {
	const char *setting;
	enum house_program program;
	bool missing; /* that it is, and that it is another one, is told once */
	bool replaced;
	pid_t pid;        /* of the program that works in it; 0: nobody was seen yet */
	struct stat used; /* the directory it works in */
} work_places[] = {
	{ .setting = "queue.directory", .program = HOUSE_QUEUED },
	{ .setting = "drop.directory", .program = HOUSE_PICKUP },
};

enum { WORK_PLACES = sizeof work_places / sizeof work_places[0] };

static const char *path_of_work(const struct work_place *w)
{
	return w->program == HOUSE_QUEUED ? master.settings.queue_directory
	                                  : master.settings.drop_directory;
}

static bool is_one(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static void work_place_replaced(const struct work_place *w)
{
	bool lives_on = house[w->program].lives_on;

	log_warn("event=directory-replaced setting=%s path=%s reason=\"%s\"", w->setting,
	         log_quote(view_of(path_of_work(w))),
	         lives_on ? "the running program keeps the old one; restart posthouse"
	                  : "another directory in its place");
	if (!lives_on)
		residents_replace(w->program, NULL, -1);
}

/* A program that has been started since works in what is there now. One that lives on holds its own
 * open, so that no other gets its number: put back, it is the same again. */
static void see_to_work(struct work_place *w)
{
	const struct instance *program = resident_of(w->program, 0);
	bool lives_on = house[w->program].lives_on, was_missing = w->missing;
	pid_t pid = program != NULL ? program->pid : 0;
	struct stat now;

	w->missing = stat(path_of_work(w), &now) < 0;
	if (w->missing) {
		if (!was_missing)
			log_warn("event=directory-missing setting=%s path=%s reason=\"%m\"",
			         w->setting, log_quote(view_of(path_of_work(w))));
		return;
	}
	bool renewed = w->pid == 0 || (lives_on && pid != w->pid);
	bool replaced = !renewed && (!is_one(&now, &w->used) || (was_missing && !lives_on));

	if (replaced && !w->replaced)
		work_place_replaced(w);
	w->replaced = replaced && lives_on;
	if (!w->replaced)
		w->used = now;
	w->pid = pid;
}

void rundir_take_settings(void)
{
	for (unsigned i = 0; i < WORK_PLACES; i++) {
		if (!house[work_places[i].program].lives_on)
			work_places[i].pid = 0;
		see_to_work(&work_places[i]);
	}
}

/* Nobody is let in any more at once (control.c), somebody else after a restart: no name service is
 * asked in between. */
static void tell_group(void (*tell)(void *context, const char *text), void *context)
{
	const char *name = master.settings.control_group;
	char text[2 * LOGIN_NAME_MAX + 256];

	if (name[0] == '\0' || strcmp(name, group_at_start) == 0)
		return;
	string_print_cut(text, sizeof text,
	                 "control.group %s is not in force: the control socket has been %s%s since "
	                 "the start%s; run posthouse stop and posthouse start",
	                 name, group_at_start[0] ? "for " : "for no group", group_at_start,
	                 strcmp(name, group_missing) == 0
	                         ? ", when there was no such group: make it, or set another"
	                         : "");
	tell(context, text);
}

/* A copy that was put in the state directory's place is of the same number. */
static void tell_generation(void (*tell)(void *context, const char *text), void *context)
{
	char path[PATH_MAX], text[PATH_MAX + 256];
	struct stat there, used;

	string_print(path, sizeof path, "%s/generations/%04ld", master.state_directory,
	             master.generation_number);
	if (fstat(master.generation, &used) < 0 || stat(path, &there) < 0 || is_one(&there, &used))
		return;
	string_print_cut(text, sizeof text,
	                 "%s is another directory than the one in use; run posthouse reload", path);
	tell(context, text);
}

/* logd writes where standard error was opened. */
static void tell_log(void (*tell)(void *context, const char *text), void *context)
{
	char text[PATH_MAX + 256];
	const char *to = master.settings.log_to;
	struct stat there, used;

	if (to[0] != '/' || fstat(STDERR_FILENO, &used) < 0)
		return;
	bool missing = stat(to, &there) < 0;

	if (!missing && is_one(&there, &used))
		return;
	string_print_cut(text, sizeof text,
	                 "log.to %s is %s: lines go to the file that was there; run posthouse "
	                 "reload",
	                 to, missing ? "missing" : "another file than the one in use");
	tell(context, text);
}

void rundir_tell_replaced(void (*tell)(void *context, const char *text), void *context)
{
	char text[PATH_MAX + 256];

	for (unsigned i = 0; i < WORK_PLACES; i++) {
		struct work_place *w = &work_places[i];

		see_to_work(w);
		if (!w->replaced && !w->missing)
			continue;
		string_print_cut(
			text, sizeof text,
			"%s %s is %s: %s goes on in the one that was there; put that one back%s",
			w->setting, path_of_work(w), w->missing ? "missing" : "another directory",
			house[w->program].name,
			house[w->program].lives_on
				? ", or wait until posthouse queue list shows nothing, and restart "
				  "posthouse"
				: "");
		tell(context, text);
	}
	tell_group(tell, context);
	tell_generation(tell, context);
	tell_log(tell, context);
	places_check_volumes(&master.settings, tell, context);
}

static void look_due(struct timer *t)
{
	loop_timer_set(master.loop, t, loop_now_ms(master.loop) + LOOK_MS);
	if (!master.up || master.stopping)
		return;
	for (unsigned i = 0; i < PLACES; i++)
		see_to(&places[i]);
	for (unsigned i = 0; i < WORK_PLACES; i++)
		see_to_work(&work_places[i]);
}

/* Whoever waits in the socket is told so when the last who holds it, pickup, ends. */
void rundir_refuse_submitters(void)
{
	char path[PATH_MAX];
	struct stat now;

	for (const struct place *p = places; p < places + PLACES; p++) {
		path_of(p, path);
		if (p->make == make_submit && lstat(path, &now) == 0 && is_same(p, &now))
			unlink(path);
	}
	shutdown(master.submit, SHUT_RDWR);
	close(master.submit);
	master.submit = -1;
}

void rundir_start(const struct control_calls *c)
{
	struct reason why;

	calls = c;
	string_put(run, sizeof run, view_of(master.settings.directory_run));
	string_print(master.empty_root, sizeof master.empty_root, "%s/empty", run);
	for (unsigned i = 0; i < PLACES; i++)
		if (make(&places[i], false, &why) < 0)
			log_fatal("%s", why.text);
	rundir_take_settings();
	look.due = look_due;
	loop_timer_set(master.loop, &look, loop_now_ms(master.loop) + LOOK_MS);
}
