/* SPDX-License-Identifier: ISC */
/*
 * master: the supervisor of the house.
 *
 * It runs as root (or, for a private instance, as an ordinary user) and does a short list of
 * things: read the compiled settings, bind sockets, make the wires of house.c, start each program
 * with its own ends, start it again with growing delays when it dies, start a program under a
 * mailbox owner's uid on authd's or queued's word (owners.c), reload, stop. It reads no mail and no
 * network; what it decodes are fixed messages of its own children and of the people at the control
 * socket (control.c), never text that a user wrote.
 *
 * Who owns it owns the machine: that is why it is small.
 *
 * master keeps both ends of every wire open, so that a program started again finds the same wires
 * and its peers notice nothing but the loss of private lines, which they dial anew.
 */
#include "master/master.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/notify.h"
#include "lib/conf/generation.h"
#include "lib/net/listen.h"
#include "lib/wire/house.h"

enum { STAGE_PATIENCE_MS = 10000, DESCRIPTORS_WANTED = 262144 };

struct master master = {
	.ready_fd = -1, .log_socket = -1, .keys = -1, .submit = -1, .generation = -1
};

/* ---- settings and surroundings ---- */

static int open_generation(int *generation, struct settings *settings, struct reason *why)
{
	*generation = generation_open(master.state_directory, why);
	int file = *generation < 0 ? -1 : generation_file(*generation, "settings.cdb", why);
	int result = file < 0 ? -1 : settings_load(settings, file, why);

	if (file >= 0)
		close(file);
	if (result < 0 && *generation >= 0)
		close(*generation);
	return result;
}

static void make_directory(const char *path, mode_t mode)
{
	if ((mkdir(path, mode) < 0 && errno != EEXIST) || chmod(path, mode) < 0)
		log_fatal("making the directory %s: %m", path);
}

static void find_accounts(void)
{
	struct reason why;

	master.launch.privileged = geteuid() == 0;
	for (int a = 0; a < ACCOUNTS; a++) {
		master.uids[a] = geteuid();
		master.gids[a] = getegid();
		if (master.launch.privileged &&
		    account_find((enum account)a, master.settings.account_base, &master.uids[a],
		                 &master.gids[a], &why) < 0)
			log_fatal("%s", why.text);
	}
}

static void write_pid(void)
{
	char path[4096];
	int n = snprintf(path, sizeof path, "%s/master.pid", master.settings.directory_run);
	int fd = n > 0 && (size_t)n < sizeof path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644)
	                                          : -1;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fd < 0)
		log_fatal("opening %s: %m", path);
	/* Held for life: two masters on one run directory would fight for the queue. */
	if (fcntl(fd, F_SETLK, &lock) < 0)
		log_fatal("%s is locked: posthouse is running already (posthouse status)", path);
	if (ftruncate(fd, 0) < 0 || fchmod(fd, 0644) < 0 ||
	    dprintf(fd, "%ld\n", (long)getpid()) < 0)
		log_fatal("writing %s: %m", path);
}

static void open_directories(void)
{
	const struct settings *s = &master.settings;
	char keys[4096];

	make_directory(s->directory_run, 0755);
	snprintf(master.empty_root, sizeof master.empty_root, "%s/empty", s->directory_run);
	make_directory(master.empty_root, 0555);
	snprintf(keys, sizeof keys, "%s/keys", s->directory_configuration);
	/* Without keys TLS is not offered; keyd says so. */
	master.keys = open(keys, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Each client is a descriptor of porter's; root may raise its own bound, others take what they are
 * given. */
static void raise_limits(void)
{
	struct rlimit r, wanted = { DESCRIPTORS_WANTED, DESCRIPTORS_WANTED };

	if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur >= DESCRIPTORS_WANTED ||
	    setrlimit(RLIMIT_NOFILE, &wanted) == 0)
		return;
	r.rlim_cur = r.rlim_max < DESCRIPTORS_WANTED ? r.rlim_max : DESCRIPTORS_WANTED;
	if (setrlimit(RLIMIT_NOFILE, &r) < 0)
		log_warn("event=limits reason=\"%m\"");
}

/* ---- wires ---- */

/* suffix: which of several `from`s, "" where there is one. */
static void make_wire(struct instance *from, struct instance *to, const char *protocol,
                      const char *suffix)
{
	char name[PROGRAM_NAME_MAX];
	int ends[2];

	if (wire_pair(ends) < 0)
		log_fatal("making a wire: %m");
	snprintf(name, sizeof name, "%s.%s", to->row->name, protocol);
	descriptors_add(&from->descriptors, name, ends[0]);
	snprintf(name, sizeof name, "%s.%s%s", from->row->name, protocol, suffix);
	descriptors_add(&to->descriptors, name, ends[1]);
}

struct instance *resident_of(enum house_program program, unsigned number)
{
	for (unsigned i = 0; i < master.resident_count; i++)
		if (master.residents[i].row == &house[program] && number-- == 0)
			return &master.residents[i];
	return NULL;
}

static void make_wires(void)
{
	for (unsigned w = 0; w < house_wire_count; w++) {
		const struct house_wire *wire = &house_wires[w];
		struct instance *to = resident_of(wire->to, 0), *from;

		for (unsigned n = 0; (from = resident_of(wire->from, n)) != NULL; n++) {
			char suffix[16] = "";

			if (from->row->several && master.settings.porter_processes > 1)
				snprintf(suffix, sizeof suffix, ".%u", n);
			make_wire(from, to, wire->protocol, suffix);
		}
	}
}

/* ---- starting ---- */

/* Those who wait for the house: who gave us a descriptor, and the service manager. */
static void tell_ready(void)
{
	struct reason why;

	if (master.ready_fd >= 0) {
		/* The starter may have gone away; the house stands all the same. */
		if (write(master.ready_fd, "ready\n", 6) < 0)
			log_debug("event=ready-unheard reason=\"%m\"");
		close(master.ready_fd);
		master.ready_fd = -1;
	}
	if (notify_manager("READY=1", &why) < 0)
		log_warn("event=notify-failed reason=\"%s\"", why.text);
}

static void check_ready(void)
{
	if (master.up || master.stopping)
		return;
	for (unsigned i = 0; i < master.resident_count; i++)
		if (!master.residents[i].ready)
			return;
	master.up = true;
	log_info("event=ready programs=%u", master.resident_count);
	tell_ready();
}

static void wire_said(struct watch *w, unsigned events);

static void lay_wire(struct instance *i)
{
	int ends[2];

	if (wire_pair(ends) < 0)
		log_fatal("making a wire: %m");
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	descriptors_add(&i->descriptors, "master", ends[1]);
	i->wire.fd = ends[0];
	i->wire_other_end = ends[1];
	i->wire.ready = wire_said;
	loop_watch(master.loop, &i->wire, LOOP_READ);
}

void lay_wire_again(struct instance *i)
{
	loop_unwatch(master.loop, &i->wire);
	close(i->wire.fd);
	close(i->wire_other_end);
	descriptors_drop(&i->descriptors, "master");
	lay_wire(i);
}

/* Both ends are open here: only a program that is not itself any more shuts its own. */
static void wire_shut(struct instance *i)
{
	log_warn("event=wire-shut program=%s pid=%ld", i->row->name, (long)i->pid);
	lay_wire_again(i);
	if (i->pid)
		kill(i->pid, SIGKILL);
}

static void wire_said(struct watch *w, unsigned events)
{
	struct instance *i = loop_owner(w, struct instance, wire);
	struct wire_in in;

	if (events & LOOP_WRITE)
		logs_tell();
	enum wire_result r = wire_receive_now(w->fd, &in);

	if (r == WIRE_CLOSED)
		wire_shut(i);
	if (r != WIRE_OK)
		return;
	if (in.type == HOUSE_READY) {
		i->ready = true;
		check_ready();
	} else if (in.type == OWNER_WORK) {
		owners_work(i, &in);
	} else if (in.type == HOUSE_LOG_BROKEN && i->row == &house[HOUSE_LOGD]) {
		logs_reconnect();
	} else {
		log_warn("event=bad-message peer=%s type=%d", i->row->name, in.type);
	}
	wire_in_close(&in);
}

void take_in(struct instance *i)
{
	struct instance **at = &master.instances;

	while (*at != NULL)
		at = &(*at)->next;
	*at = i;
	lay_wire(i);
	logs_lay_pipe(i);
}

void give_common(struct instance *i)
{
	descriptors_drop(&i->descriptors, "generation");
	descriptors_drop(&i->descriptors, "log.system");
	descriptors_add(&i->descriptors, "generation", master.generation);
	if (i->row == &house[HOUSE_LOGD] && master.log_socket >= 0)
		descriptors_add(&i->descriptors, "log.system", master.log_socket);
}

/* What may change with a generation. */
static void give_generation(struct instance *i)
{
	give_common(i);
	if (!i->row->listens)
		return;
	descriptors_drop(&i->descriptors, "listen.");
	for (unsigned n = 0; n < master.listeners.count; n++)
		descriptors_add(&i->descriptors, master.listeners.rows[n].name,
		                master.listeners.rows[n].fd);
}

static void start_resident(struct instance *i)
{
	if (!master.stopping && !instance_start(i, &master.launch))
		loop_timer_set(master.loop, &i->restart, loop_now_ms(master.loop) + RESTART_MAX_MS);
}

static void restart_due(struct timer *t)
{
	start_resident(loop_owner(t, struct instance, restart));
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
		house_stop(true);
	else
		instance_start_later(i, master.loop);
}

static const char *root_of(const struct house_row *row)
{
	const char *roots[] = { [ROOT_NONE] = NULL,
		                [ROOT_EMPTY] = master.empty_root,
		                [ROOT_QUEUE] = master.settings.queue_directory,
		                [ROOT_DROP] = master.settings.drop_directory };

	return roots[row->root];
}

static void add_resident(const struct house_row *row)
{
	struct instance *i = &master.residents[master.resident_count++];

	i->row = row;
	i->uid = master.uids[row->account];
	i->gid = master.gids[row->account];
	i->root = root_of(row);
	i->restart.due = restart_due;
	i->ended = resident_ended;
	take_in(i);
	give_generation(i);
	if (row->submit)
		descriptors_add(&i->descriptors, "listen.submit", master.submit);
	if (row->keys && master.keys >= 0)
		descriptors_add(&i->descriptors, "keys", master.keys);
}

static void build_house(void)
{
	for (int p = 0; p < HOUSE_RESIDENT; p++)
		for (int n = 0; n < (house[p].several ? master.settings.porter_processes : 1); n++)
			add_resident(&house[p]);
	make_wires();
	for (unsigned i = 0; i < master.resident_count; i++)
		start_resident(&master.residents[i]);
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
	for (unsigned i = 0; i < master.retired_count; i++)
		kill(master.retired[i], number);
	return master.stage == STAGE_SERVANTS ? running + master.retired_count : running;
}

/* One that is being started again just now is started for the rest. */
static void end_log(void)
{
	struct instance *logd = resident_of(HOUSE_LOGD, 0);

	if (logd->pid == 0)
		instance_start(logd, &master.launch);
	logs_tell();
}

/* Goes through the stages; at each the programs are asked to end, and after a while made to. */
static void go_on_stopping(void)
{
	while (!master.empty && signal_stage(0) == 0) {
		if (master.stage == STAGES - 1) {
			master.empty = true;
			log_info("event=stopped");
			control_stopped();
			loop_stop(master.loop);
			return;
		}
		master.stage++;
		if (master.stage == STAGE_LOG)
			end_log();
		else
			signal_stage(SIGTERM);
		loop_timer_set(master.loop, &master.stage_over,
		               loop_now_ms(master.loop) + STAGE_PATIENCE_MS);
	}
}

static void stage_late(struct timer *t)
{
	log_warn("event=stop-forced stage=%d", (int)master.stage);
	signal_stage(SIGKILL);
	loop_timer_set(master.loop, t, loop_now_ms(master.loop) + STAGE_PATIENCE_MS);
}

void house_stop(bool failed)
{
	master.failed = master.failed || failed;
	if (master.stopping)
		return;
	log_info("event=stopping");
	master.stopping = true;
	master.stage = STAGE_SESSIONS;
	signal_stage(SIGTERM);
	loop_timer_set(master.loop, &master.stage_over,
	               loop_now_ms(master.loop) + STAGE_PATIENCE_MS);
	go_on_stopping();
}

static void child_ended(pid_t pid, int status)
{
	for (unsigned n = 0; n < master.retired_count; n++)
		if (master.retired[n] == pid) {
			master.retired[n] = master.retired[--master.retired_count];
			return;
		}
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
		go_on_stopping();
}

/* ---- reload ---- */

static void tell_reload(struct instance *i)
{
	struct wire_out out = { 0 };
	int file = openat(master.generation, "settings.cdb", O_RDONLY | O_CLOEXEC);

	wire_begin(&out, HOUSE_RELOAD);
	wire_put_fd(&out, file);
	if (file < 0 || wire_send(i->wire.fd, &out) != WIRE_OK)
		log_warn("event=reload-untold program=%s", i->row->name);
	wire_out_free(&out);
	close(file);
}

/* The successor starts on the same wires; the old one finishes what it has. */
static void replace(struct instance *i)
{
	if (i->pid && master.retired_count < RETIRED_MAX) {
		kill(i->pid, SIGHUP);
		master.retired[master.retired_count++] = i->pid;
		i->pid = 0;
	} else if (i->pid) {
		/* Too many reloads with sessions that do not end: the next life brings the new
		 * settings. */
		kill(i->pid, SIGTERM);
		return;
	}
	loop_timer_clear(master.loop, &i->restart);
	start_resident(i);
}

int house_reload(struct reason *why)
{
	struct settings settings = { 0 };
	struct listeners listeners;
	int generation;

	if (open_generation(&generation, &settings, why) < 0)
		return -1;
	bool bound = listeners_open(&settings, &master.listeners, &listeners, why) == 0;

	if (!bound || logs_open(&settings, why) < 0) {
		if (bound)
			listeners_close(&listeners);
		settings_free(&settings);
		close(generation);
		return -1;
	}
	listeners_close(&master.listeners);
	master.listeners = listeners;
	close(master.generation);
	master.generation = generation;
	settings_free(&master.settings);
	master.settings = settings;
	owners_retire();
	for (unsigned n = 0; n < master.resident_count; n++) {
		struct instance *i = &master.residents[n];

		i->root = root_of(i->row); /* its text belonged to the old settings */
		give_generation(i);
		if (i->row->stage == STAGE_LOG && i->pid)
			logs_tell_output();
		else if (i->row->lives_on && i->pid)
			tell_reload(i);
		else
			replace(i);
	}
	log_info("event=reloaded");
	return 0;
}

static void on_signal(int number, void *context)
{
	struct reason why;

	(void)context;
	if (number == SIGCHLD)
		reap_children();
	else if (number != SIGHUP)
		house_stop(false);
	else if (!master.stopping && house_reload(&why) < 0)
		log_warn("event=reload-refused reason=\"%s\"", why.text);
}

/* ---- order of service ---- */

static void read_options(int argc, char **argv)
{
	uint64_t number;
	int option;

	master.launch.directory = LIBEXECDIR;
	while ((option = getopt(argc, argv, "p:r:")) != -1) {
		if (option == 'p') {
			master.launch.directory = optarg;
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

static void open_sockets(void)
{
	const char *run = master.settings.directory_run, *name = master.settings.control_group;
	const struct group *group = name[0] ? getgrnam(name) : NULL;
	struct reason why;
	int control;

	if (name[0] && group == NULL)
		log_fatal("there is no group %s (control.group)", name);
	if (listeners_open(&master.settings, NULL, &master.listeners, &why) < 0)
		log_fatal("%s", why.text);
	master.submit = net_listen_local(run, "submit", 0666, (gid_t)-1, &why);
	control = net_listen_local(run, "control", group ? 0660 : 0600,
	                           group ? group->gr_gid : (gid_t)-1, &why);
	if (master.submit < 0 || control < 0)
		log_fatal("%s", why.text);
	control_start(control);
}

int main(int argc, char **argv)
{
	static const int signals[] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP };
	struct reason why;

	log_open("master");
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	read_options(argc, argv);
	if (open_generation(&master.generation, &master.settings, &why) < 0 ||
	    logs_open(&master.settings, &why) < 0)
		log_fatal("%s", why.text);
	raise_limits();
	find_accounts();
	open_directories();
	write_pid();
	master.launch.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	master.loop = loop_new();
	master.stage_over.due = stage_late;
	open_sockets();
	for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++)
		loop_signal(master.loop, signals[i], on_signal, NULL);
	build_house();
	loop_run(master.loop);
	return master.failed ? EXIT_TEMPORARY : EXIT_DONE;
}
