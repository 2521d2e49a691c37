/* SPDX-License-Identifier: ISC */
/* posthouse check: everything that may be wrong with an installation. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "conf/command.h"
#include "conf/inspect.h"
#include "conf/load.h"
#include "lib/conf/accounts.h"
#include "lib/conf/places.h"
#include "lib/conf/services.h"
#include "lib/conf/volumes.h"
#include "lib/wire/control.h"

enum {
	EXPIRES_SOON_S = 14 * 86400,
	DISK_LOW_PERCENT = 10,
	DISK_FULL_PERCENT = 2,
	VOLUMES_TEXT_MAX = 1 << 20
};

struct directory_row {
	const char *setting, *below;
	mode_t mode;
	const char *owner, *group;
};

static const struct directory_row directories[] = {
#define DIRECTORY(setting, below, mode, owner, group) { setting, below, mode, owner, group },
#include "conf/install.table"
#undef DIRECTORY
};

/* ---- directories ---- */

static int account_by_word(const char *word)
{
	static const char *const words[] = {
#define ACCOUNT(account, purpose) #account,
#include "lib/conf/accounts.def"
#undef ACCOUNT
	};

	for (int i = 0; i < ACCOUNTS; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	return -1;
}

/* "_phqueue" for the table's "queue". */
static const char *owner_name(const char *word)
{
	int account = account_by_word(word);

	return account < 0 ? word : account_name((enum account)account);
}

static bool owner_of(struct model *m, const char *word, uid_t *uid)
{
	gid_t gid;
	struct reason why;
	int account = account_by_word(word);

	*uid = 0;
	if (account < 0)
		return true;
	if (account == ACCOUNT_vmail && m->settings.mailbox_uid) {
		*uid = (uid_t)m->settings.mailbox_uid;
		return true;
	}
	/* check_accounts says which are missing. */
	return account_find((enum account)account, m->settings.account_base, uid, &gid, &why) == 0;
}

/* What a start makes there, and cannot when something else has the name. */
static void check_run(struct model *m)
{
	static const struct {
		const char *name;
		mode_t kind;
	} made[] = { { "control", S_IFSOCK },
		     { "submit", S_IFSOCK },
		     { "master.pid", S_IFREG },
		     { "empty", S_IFDIR } };
	char path[PATH_MAX];
	struct stat st;

	for (size_t i = 0; i < sizeof made / sizeof made[0]; i++)
		if (string_format(path, sizeof path, "%s/%s", m->settings.directory_run,
		                  made[i].name) &&
		    lstat(path, &st) == 0 && (st.st_mode & S_IFMT) != made[i].kind)
			problem_error(&m->problems, path, 0,
			              "something else has this name, and posthouse cannot start; "
			              "remove it");
}

/* Every program has one, and master does not start without. */
static void check_accounts(struct model *m)
{
	struct reason why;
	uid_t uid;
	gid_t gid;

	for (int a = 0; a < ACCOUNTS && geteuid() == 0; a++)
		if (account_find((enum account)a, m->settings.account_base, &uid, &gid, &why) != 0)
			problem_error(&m->problems, NULL, 0, "%s", why.text);
}

/* A system whose /run is empty after a boot is well. */
static bool is_made_at_start(const struct directory_row *row, const char *path)
{
	char parent[PATH_MAX];
	struct stat st;

	if (strcmp(row->setting, "directory.run") != 0)
		return false;
	string_put(parent, sizeof parent, view_of(path));
	*strrchr(parent, '/') = '\0';
	return stat(parent[0] ? parent : "/", &st) == 0 && S_ISDIR(st.st_mode);
}

static void check_directory(struct model *m, const struct directory_row *row)
{
	const struct setting *setting = setting_find(view_of(row->setting));
	struct text base;
	char path[PATH_MAX];
	struct stat st;
	uid_t owner = geteuid();

	text_init(&base, PATH_MAX);
	setting_format(&m->settings, setting, &base);
	string_print(path, sizeof path, "%s%s%s", text_string(&base), row->below[0] ? "/" : "",
	             row->below);
	text_free(&base);
	if (stat(path, &st) != 0) {
		/* keys and certs may be somewhere else or not there at all; the build has said
		 * so. */
		if (problem_is_unseen(&m->problems, errno))
			return;
		if (errno != ENOENT)
			problem_error(&m->problems, path, 0, "%s", strerror(errno));
		else if (row->below[0] == '\0' && !is_made_at_start(row, path))
			problem_error(
				&m->problems, path, 0,
				"there is no such directory; make install, or systemd-tmpfiles --create, "
				"makes it (mode %04o, owner %s)",
				row->mode, owner_name(row->owner));
		return;
	}
	if (!S_ISDIR(st.st_mode)) {
		problem_error(&m->problems, path, 0, "not a directory; move it away, and make one");
		return;
	}
	if ((st.st_mode & 07777 & ~row->mode) != 0)
		/* Of a directory chmod keeps such a bit, unless all five digits are written. */
		problem_warning(&m->problems, path, 0, "mode is %04o; run chmod %0*o",
		                st.st_mode & 07777, st.st_mode & ~row->mode & 06000 ? 5 : 4,
		                row->mode);
	if (geteuid() == 0 && !owner_of(m, row->owner, &owner))
		return;
	if (geteuid() == 0 && st.st_uid != owner)
		problem_error(&m->problems, path, 0,
		              "owned by uid %u, not by uid %u (%s); run chown", st.st_uid, owner,
		              owner_name(row->owner));
}

/* master starts each, and the next start fails without one. What runs may have come from elsewhere,
 * as in a private house. */
static void check_programs(struct model *m, bool running)
{
	struct view rest = VIEW(SERVER_PROGRAMS), name;
	const char *directory = command_programs();
	char path[PATH_MAX];

	if (access(directory, F_OK) != 0) {
		if (running || problem_is_unseen(&m->problems, errno))
			return;
		problem_error(&m->problems, directory, 0, "%s: no program can be started",
		              strerror(errno));
		return;
	}
	while (view_cut(&rest, ' ', &name))
		if (name.len &&
		    string_format(path, sizeof path, "%s/%.*s", directory, VIEW_ARG(name)) &&
		    access(path, X_OK) != 0 && !problem_is_unseen(&m->problems, errno))
			problem_error(&m->problems, path, 0,
			              "%s: the program cannot be started; install it again",
			              strerror(errno));
}

/* sendmail has it store a message while the server is not running, for any user. */
static void check_drop(struct model *m)
{
	char path[PATH_MAX];
	struct stat st;
	uid_t uid;
	gid_t gid;

	/* A private house has no such program of its own. */
	if (!string_format(path, sizeof path, "%s/drop", command_programs()) || geteuid() != 0 ||
	    m->settings.account_base || stat(path, &st) != 0)
		return;
	bool found = account_find(ACCOUNT_drop, 0, &uid, &gid, NULL) == 0;

	if (!(st.st_mode & S_ISGID) || (found && st.st_gid != gid))
		problem_error(
			&m->problems, path, 0,
			"not set-gid %s: users cannot send while the server is not running; run "
			"chgrp %s and chmod g+s",
			account_name(ACCOUNT_drop), account_name(ACCOUNT_drop));
}

/* ---- certificates, disk ---- */

static void check_certificates(struct model *m)
{
	int64_t now = time(NULL);

	for (size_t i = 0; i < m->certificate_count; i++) {
		const struct model_certificate *c = &m->certificates[i];

		if (c->expires_s >= now && c->expires_s - now < EXPIRES_SOON_S)
			problem_warning(&m->problems, c->certificate.file.data, 0,
			                "the certificate expires in %d days; renew it",
			                (int)((c->expires_s - now) / 86400));
	}
}

enum { DISKS_MAX = 256 };

struct disks {
	dev_t seen[DISKS_MAX];
	unsigned count;
};

/* Is what this stands on looked at for another row already? */
static bool is_seen(struct disks *d, const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return true;
	for (unsigned i = 0; i < d->count; i++)
		if (d->seen[i] == st.st_dev)
			return true;
	if (d->count < DISKS_MAX)
		d->seen[d->count++] = st.st_dev;
	return false;
}

static void check_disk(struct model *m, struct disks *disks, const char *path, uint64_t least_bytes)
{
	struct statvfs fs;

	if (statvfs(path, &fs) != 0 || fs.f_blocks == 0)
		return;
	/* Texts may be kept on such a one for good; an edit says that it cannot write. */
	if ((fs.f_flag & ST_RDONLY) && path != m->confdir)
		problem_error(&m->problems, path, 0, "on a file system that is mounted read-only");
	if (is_seen(disks, path))
		return;
	unsigned blocks = (unsigned)(fs.f_bavail * 100 / fs.f_blocks);
	unsigned files = fs.f_files ? (unsigned)(fs.f_favail * 100 / fs.f_files) : 100;

	if ((uint64_t)fs.f_bavail * fs.f_frsize < least_bytes)
		problem_error(
			&m->problems, path, 0,
			"%lluK free, less than queue.space-min: new mail is deferred; free some disk space",
			(unsigned long long)fs.f_bavail * fs.f_frsize / 1024);
	else if (blocks < DISK_FULL_PERCENT || files < DISK_FULL_PERCENT)
		problem_error(
			&m->problems, path, 0,
			"%u%% of the disk and %u%% of its inodes are free; free some disk space",
			blocks, files);
	else if (blocks < DISK_LOW_PERCENT || files < DISK_LOW_PERCENT)
		problem_warning(&m->problems, path, 0,
		                "%u%% of the disk and %u%% of its inodes are free", blocks, files);
}

/* ---- the log ---- */

static void check_log(struct model *m, struct disks *disks)
{
	const char *to = m->settings.log_to;
	struct view above = view_of(to);
	char path[PATH_MAX];
	struct reason why;

	if (strcmp(to, "syslog") == 0) {
		int fd = log_system_socket(&why);

		if (fd < 0)
			problem_error(&m->problems, m->conf.path, model_setting_line(m, "log.to"),
			              "%s", why.text);
		else
			close(fd);
	}
	while (above.len > 1 && above.data[above.len - 1] != '/')
		above.len--;
	/* Its own file system, or one that another row looks at. */
	if (to[0] == '/' && string_copy(path, sizeof path, above))
		check_disk(m, disks, path, 0);
}

/* File systems of their own below mail.root. */
static void check_volumes(struct model *m, struct disks *disks)
{
	char root[PATH_MAX], path[PATH_MAX];
	struct text volumes;
	struct view rest, line;

	text_init(&volumes, VOLUMES_TEXT_MAX);
	if (realpath(m->settings.mail_root, root) != NULL &&
	    volumes_below(root, VOLUMES_OPERATORS, &volumes, NULL) == 0)
		for (rest = text_view_cut(&volumes); view_cut(&rest, '\n', &line);)
			if (string_copy(path, sizeof path, line))
				check_disk(m, disks, path, 0);
	text_free(&volumes);
}

/* Where something is written: mail, edits, sendmail's while the house is down, the log. */
static void check_disks(struct model *m)
{
	struct disks disks = { .count = 0 };

	check_disk(m, &disks, m->settings.queue_directory,
	           (uint64_t)m->settings.queue_space_min_bytes);
	check_disk(m, &disks, m->settings.mail_root, 0);
	check_volumes(m, &disks);
	check_disk(m, &disks, m->settings.directory_state, 0);
	check_disk(m, &disks, m->settings.drop_directory, 0);
	check_disk(m, &disks, m->confdir, 0);
	check_log(m, &disks);
}

/* An onlooker who is not in control.group either cannot ask. */
static bool may_ask(const struct model *m)
{
	int fd = m->problems.onlooker ? control_connect(m->settings.directory_run, NULL) : -1;
	bool unseen = fd < 0 && problem_is_unseen(&m->problems, errno);

	if (fd >= 0)
		close(fd);
	return !unseen;
}

static void running_fault(void *context, const char *text)
{
	struct model *m = context;

	problem_error(&m->problems, NULL, 0, "%s", text);
}

/* ---- what is not served ---- */

/* Is the queue's secret lost? */
static bool check_aside(struct model *m)
{
	struct text aside;
	bool secret_lost;

	text_init(&aside, ASIDE_TEXT_MAX);
	aside_text(&m->settings, &secret_lost, &aside);
	if (aside.len)
		problem_warning(&m->problems, NULL, 0, "%.*s", VIEW_ARG(text_view(&aside)));
	text_free(&aside);
	return secret_lost;
}

/* ---- ports ---- */

/* While the house is down somebody else's server on its port is found here, not at the start. */
static void check_free(struct model *m, const char *key, const struct net_address *address)
{
	struct net_address wanted = *address;
	struct sockaddr_storage ss;
	char text[NET_ADDRESS_TEXT_MAX];
	int on = 1;

	if (wanted.family == 0)
		wanted.family = 4;
	socklen_t len = net_address_to_sockaddr(&wanted, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (const struct sockaddr *)&ss, len) != 0 &&
	    !problem_is_unseen(&m->problems, errno))
		problem_error(&m->problems, m->conf.path, model_setting_line(m, key),
		              "%s: %s port %u: %s", key,
		              address->family ? net_address_text(address, text) : "*",
		              (unsigned)address->port, strerror(errno));
	close(fd);
}

static void check_ports(struct model *m)
{
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *row = &settings_table[i];
		struct net_address address;
		struct text value;
		struct view rest;

		if (row->type != SETTING_LISTEN)
			continue;
		text_init(&value, 4096);
		setting_format(&m->settings, row, &value);
		rest = text_view(&value);
		while (listen_next(&rest, &address, NULL) > 0)
			check_free(m, row->key, &address);
		text_free(&value);
	}
}

/* ---- all of it ---- */

int command_check(const struct command *c, int argc, char **argv)
{
	static const char *const states[] = {
		[HOUSE_NOT_RUNNING] = "not running", [HOUSE_RUNNING] = "running",
		[HOUSE_STARTING] = "starting",       [HOUSE_STOPPING] = "stopping",
		[HOUSE_UNKNOWN] = "not to be asked",
	};
	struct model m;

	(void)argv;
	if (argc > 0)
		return command_usage(c, "");
	load_to_look(&m, c->confdir);
	if (m.conf.unreadable || m.conf.missing) {
		problems_print(&m.problems);
		model_free(&m);
		return EXIT_PERMANENT;
	}
	inspect_texts(&m);
	inspect_secrets(&m.settings, &m.problems, true);
	for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++)
		check_directory(&m, &directories[i]);
	check_run(&m);
	check_accounts(&m);
	check_drop(&m);
	if (!m.problems.onlooker)
		inspect_mailboxes(&m);
	check_certificates(&m);
	check_disks(&m);
	bool secret_lost = check_aside(&m);

	places_check(&m.settings, running_fault, &m);
	enum house_state state = may_ask(&m)
	                                 ? command_running_faults(&m.settings, running_fault, &m)
	                                 : HOUSE_UNKNOWN;
	bool running = state != HOUSE_NOT_RUNNING;

	if (state != HOUSE_RUNNING) /* a master that is up tells what it sees */
		places_check_volumes(&m.settings, running_fault, &m);
	check_programs(&m, running);
	if (m.problems.onlooker) {
		problem_warning(&m.problems, NULL, 0,
		                "run as root to look at the private keys, the passwords, the "
		                "mailboxes and the queue as well, which this user cannot see");
	} else {
		inspect_queue(&m, running, secret_lost);
		inspect_access(&m, running);
		inspect_owners(&m);
	}
	if (!running)
		check_ports(&m);
	problems_print(&m.problems);
	int code = m.problems.errors ? EXIT_PERMANENT : EXIT_DONE;

	if (m.problems.errors + m.problems.warnings == 0)
		printf("no problems found; posthouse is %s\n", states[state]);
	else if (state == HOUSE_STARTING || state == HOUSE_STOPPING)
		printf("posthouse is %s\n", states[state]);
	model_free(&m);
	return code;
}
