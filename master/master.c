/* SPDX-License-Identifier: ISC */
/*
 * master: the supervisor of the house.
 *
 * It runs as root (or, for a private instance, as an ordinary user) and does a short list of
 * things: read the compiled settings, bind sockets, make the wires of house.c, start each program
 * with its own ends, start it again with growing delays when it dies, start a program under a
 * mailbox owner's uid on authd's or queued's word (owners.c), kill one that hangs (beats.c), try
 * and take a new generation (reload.c), stop. It reads no mail and no network; what it decodes are
 * fixed messages of its own children and of the people at the control socket (control.c), never
 * text that a user wrote.
 *
 * Who owns it owns the machine: that is why it is small.
 *
 * master keeps both ends of every wire open, so that a program started again finds the same wires
 * and its peers notice nothing but the loss of private lines, which they dial anew.
 */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/notify.h"
#include "lib/conf/bounds.h"
#include "lib/conf/places.h"
#include "lib/wire/master.h"
#include "master/beats.h"
#include "master/control.h"
#include "master/keyless.h"
#include "master/logs.h"
#include "master/owners.h"
#include "master/predecessors.h"
#include "master/readers.h"
#include "master/reload.h"
#include "master/residents.h"
#include "master/rundir.h"

enum { STAGE_PATIENCE_MS = 10000, DESCRIPTORS_WANTED = 262144, DIALS_PER_SECOND = 8 };

struct master master = {
	.ready_fd = -1, .log_socket = -1, .keys = -1, .submit = -1, .generation = -1
};

/* ---- settings and surroundings ---- */

static void find_accounts(void)
{
	struct reason why;

	master.privileged = geteuid() == 0;
	for (int a = 0; a < ACCOUNTS; a++) {
		master.uids[a] = geteuid();
		master.gids[a] = getegid();
		if (master.privileged && account_find((enum account)a, master.settings.account_base,
		                                      &master.uids[a], &master.gids[a], &why) < 0)
			log_fatal("%s", why.text);
	}
}

static void check_ready(void)
{
	if (master.up || master.stopping || residents_count(true) < residents_count(false))
		return;
	master.up = true;
	log_info("event=ready programs=%u", residents_count(false));
	if (master.ready_fd >= 0)
		log_let_starter_go(master.settings.log_to);
	notify_ready(&master.ready_fd);
}

/* Both ends are open here: only a program that is not itself any more shuts its own. */
static void wire_shut(struct instance *i)
{
	if (predecessors_is_one(i)) { /* it has ended */
		loop_unwatch(master.loop, &i->wire);
		return;
	}
	log_warn("event=wire-shut program=%s pid=%ld", i->row->name, (long)i->pid);
	instance_lay_wire_again(i);
	if (i->pid)
		kill(i->pid, SIGKILL);
}

static void wire_said(struct watch *w, unsigned events)
{
	struct instance *i = loop_owner(w, struct instance, wire);
	struct wire_in in;
	unsigned more;

	if (events & LOOP_WRITE)
		logs_tell();
	enum wire_result r = wire_receive_now(w->fd, &in);

	if (r == WIRE_CLOSED)
		wire_shut(i);
	else if (r == WIRE_ERROR && instance_may_complain(i, &more))
		/* Such as a descriptor with it that there was no room for. */
		log_warn("event=refused peer=%s reason=\"unreadable request, or no descriptors "
		         "left\" more=%u",
		         i->row->name, more);
	if (r != WIRE_OK)
		return;
	if (in.type == MASTER_READY && wire_end(&in)) {
		i->ready = true;
		keyless_ready(i);
		if (i->retired)
			kill(i->pid, SIGHUP);
		if (i->row == &house[HOUSE_LOGD])
			logs_reader_ready();
		check_ready();
	} else if (in.type == OWNER_WORK) {
		owners_work(i, &in);
		logs_tell();
	} else if (in.type == MASTER_BEAT) {
		beats_heard(i, &in);
	} else if (in.type == MASTER_TAKEN) {
		readers_heard(i, &in);
	} else if (in.type == MASTER_KEYLESS) {
		keyless_heard(i, &in);
	} else if (in.type == MASTER_DIAL && wire_end(&in) && i->row->sessions) {
		if (pace_says(&i->dials, loop_now_ms(master.loop), DIALS_PER_SECOND, &more))
			residents_dial_for(i);
	} else if (in.type == MASTER_LOG_BROKEN && wire_end(&in) && i->row == &house[HOUSE_LOGD]) {
		logs_reconnect();
	} else if (in.type == MASTER_LOG_LEFT && i->row == &house[HOUSE_LOGD]) {
		logs_take_left(&in);
	} else if (instance_may_complain(i, &more)) {
		log_warn("event=bad-message peer=%s type=%d more=%u", i->row->name, in.type, more);
	}
	wire_in_close(&in);
}

/* ---- ends ---- */

/* Sends the signal to all of the present stage and to predecessors (0 reaches nobody). How many
 * still run. */
static unsigned signal_stage(int number)
{
	unsigned running = 0;

	for (const struct instance *i = master.instances; i != NULL; i = i->next)
		if (i->row->stage == master.stage && i->pid) {
			kill(i->pid, number);
			running++;
		}
	unsigned retired = predecessors_signal(number);

	return master.stage == STAGE_SERVANTS ? running + retired : running;
}

/* One that is being started again just now is started for the rest. */
static void end_log(void)
{
	struct instance *logd = resident_of(HOUSE_LOGD, 0);

	if (logd->pid == 0)
		instance_start(logd);
	logs_tell();
}

/* The programs of a stage are asked to end, and after a while made to. */
static void begin_stage(enum house_stage stage)
{
	master.stage = stage;
	if (stage == STAGE_LOG)
		end_log();
	else
		signal_stage(SIGTERM);
	loop_timer_set(master.loop, &master.stage_over,
	               loop_now_ms(master.loop) + STAGE_PATIENCE_MS);
}

static void go_on_stopping(struct deferred *d)
{
	(void)d;
	while (signal_stage(0) == 0) {
		if (master.stage == STAGES - 1) {
			logs_tell_left();
			log_info("event=stopped");
			control_stopped();
			loop_stop(master.loop);
			return;
		}
		begin_stage(master.stage + 1);
	}
}

static void stage_late(struct timer *t)
{
	if (master.stage == STAGE_LOG)
		logs_reader_hangs();
	log_warn("event=stop-forced stage=%d", (int)master.stage);
	signal_stage(SIGKILL);
	loop_timer_set(master.loop, t, loop_now_ms(master.loop) + STAGE_PATIENCE_MS);
}

static void stop(bool failed)
{
	master.failed = master.failed || failed;
	if (master.stopping)
		return;
	log_info("event=stopping");
	master.stopping = true;
	reload_abort();
	/* Nobody shall be let in for whom there is nobody any more. */
	listeners_shut(&master.listeners);
	rundir_refuse_submitters();
	begin_stage(STAGE_SESSIONS);
	loop_defer(master.loop, &master.next_stage);
}

static void resident_ended(struct instance *i, int status)
{
	if (i->row == &house[HOUSE_LOGD])
		logs_reader_ended();
	if (master.stopping)
		return;
	instance_log_end(i, status);
	/* Before the house has stood once, a program that cannot start is for the operator to
	 * mend. */
	if (!master.up)
		stop(true);
	else
		instance_start_later(i);
	readers_died(i);
	reload_judge_death(i, status);
}

static void child_ended(pid_t pid, int status)
{
	if (predecessors_ended(pid))
		return;
	for (struct instance *i = master.instances; i != NULL; i = i->next)
		if (i->pid == pid) {
			i->pid = 0;
			i->ended(i, status);
			return;
		}
}

static void reap_children(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		child_ended(pid, status);
	if (master.stopping)
		loop_defer(master.loop, &master.next_stage);
}

static void on_signal(int number, void *context)
{
	(void)context;
	if (number == SIGCHLD)
		reap_children();
	else if (number != SIGHUP)
		stop(false);
	else if (!master.stopping)
		reload_ask();
}

/* ---- order of service ---- */

static void read_options(int argc, char **argv)
{
	uint64_t number;
	int option;

	master.programs = LIBEXECDIR;
	while ((option = getopt(argc, argv, "p:r:")) != -1) {
		if (option == 'p') {
			master.programs = optarg;
		} else if (option == 'r' && view_number(view_of(optarg), 65535, &number)) {
			master.ready_fd = (int)number;
			fcntl(master.ready_fd, F_SETFD, FD_CLOEXEC);
		} else {
			log_warn(
				"usage: master [-p PROGRAM_DIRECTORY] [-r READY_FD] STATE_DIRECTORY");
			exit(EXIT_PERMANENT);
		}
	}
	master.state_directory = optind < argc ? argv[optind] : LOCALSTATEDIR "/lib/posthouse";
}

int main(int argc, char **argv)
{
	static const struct control_calls calls = { .reload = reload_ask,
		                                    .stop = stop,
		                                    .replaced = rundir_tell_replaced };
	static const int signals[] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP };
	struct reason why;

	log_open("master");
	master.pid = getpid();
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	read_options(argc, argv);
	if (reload_first(&why) < 0 || logs_open(&master.settings, &why) < 0)
		log_fatal("%s", why.text);
	bounds_of_master(&master.settings);
	/* Each client is a descriptor of porter's. */
	const unsigned long descriptors = program_raise_descriptors(DESCRIPTORS_WANTED);

	find_accounts();
	master.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	master.loop = loop_new();
	master.wire_said = wire_said;
	master.stage_over.due = stage_late;
	master.next_stage.run = go_on_stopping;
	rundir_start(&calls);
	if (places_take(&master.settings, &why) < 0)
		log_fatal("%s", why.text);
	if (listeners_open(&master.settings, NULL, &master.listeners, &why) < 0)
		log_fatal("%s", why.text);
	reload_start(control_reloaded);
	for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++)
		loop_signal(master.loop, signals[i], on_signal, NULL);
	logs_start();
	residents_start(resident_ended);
	owners_start(descriptors);
	logs_tell();
	beats_start();
	loop_run(master.loop);
	return master.failed ? EXIT_TEMPORARY : EXIT_DONE;
}
