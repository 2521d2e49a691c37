/* SPDX-License-Identifier: ISC */
/* posthouse user: mailboxes and their passwords. */
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/changes.h"
#include "conf/edits.h"
#include "conf/home.h"
#include "conf/inforce.h"
#include "conf/load.h"
#include "conf/password.h"
#include "lib/base/file.h"
#include "lib/base/shown.h"
#include "lib/conf/maptext.h"
#include "lib/conf/users.h"

enum password_way { WAY_ASK, WAY_STDIN, WAY_NONE };

/* Takes the options off the words that follow the address. */
static int take_options(int *argc, char **argv, enum password_way *way, struct reason *why)
{
	int kept = 0;

	*way = WAY_ASK;
	for (int i = 0; i < *argc; i++) {
		if (strcmp(argv[i], "--password-stdin") == 0)
			*way = WAY_STDIN;
		else if (strcmp(argv[i], "--no-password") == 0)
			*way = WAY_NONE;
		else if (argv[i][0] == '-')
			return fail(
				why,
				"there is no option %s; there are --password-stdin and --no-password",
				argv[i]);
		else
			argv[kept++] = argv[i];
	}
	*argc = kept;
	return 0;
}

static int get_password(enum password_way way, char password[PASSWORD_MAX + 1], bool *generated,
                        struct reason *why)
{
	*generated = false;
	if (way == WAY_STDIN)
		return password_from_stdin(password, why);
	if (isatty(STDIN_FILENO) && password_from_terminal(password, why) != 0)
		return -1;
	if (password[0])
		return 0;
	password_generate(password);
	*generated = true;
	return 0;
}

static int set_password(struct edits *e, const char *address, enum password_way way,
                        char generated[PASSWORD_MAX + 1], struct reason *why)
{
	char password[PASSWORD_MAX + 1] = "", hash[PASSWORD_HASH_ROOM];
	bool was_generated = false;
	struct edit *f = edits_open(e, MAP_PASSWORDS, why);
	int result = f != NULL ? get_password(way, password, &was_generated, why) : -1;

	if (result == 0)
		result = password_hash(password, hash, why);
	if (result == 0)
		result = edit_set(e, f, view_of(address), view_of(hash), why);
	generated[0] = '\0';
	if (was_generated)
		string_put(generated, PASSWORD_MAX + 1, view_of(password));
	sodium_memzero(password, sizeof password);
	return result;
}

static void join_words(int argc, char **argv, struct text *out)
{
	for (int i = 0; i < argc; i++) {
		if (i)
			text_add_byte(out, ' ');
		maptext_add_word(out, view_of(argv[i]));
	}
}

/* ---- the home directory ---- */

/* The entry that an edit with --only-mine published, or is about to take away: the texts may have
 * another. The home is copied, and nothing else of *u that is not a number stays valid. */
static int published_user(const struct model *m, struct view key, struct user *u,
                          char home[PATH_MAX], struct reason *why)
{
	struct map users;
	struct view value;
	int result = -1;

	if (changes_open(m, MAP_USERS, &users, why) != 0)
		return -1;
	if (map_get(&users, key, &value) == MAP_FOUND && user_decode(value, u) &&
	    string_copy(home, PATH_MAX, u->home))
		result = 0;
	else
		fail(why, "there is no such user in the current generation");
	map_close(&users);
	return result;
}

/* As the build settles it. */
static int user_of_model(const struct model *m, const char *address, struct user *u,
                         char home[PATH_MAX], struct reason *why)
{
	struct text key;

	text_init(&key, MAP_KEY_MAX);
	int good = mapkey_address(view_of(address), view_of(m->settings.mail_domain), &key, why);
	const struct map_entry *e =
		good == 0 ? hashtable_find(&m->maps[MAP_USERS].index, text_view(&key)) : NULL;

	if (good == 0 && (e == NULL || !user_decode(e->compiled, u)))
		good = fail(why, "there is no user %s in users.map", address);
	text_free(&key);
	if (good == 0 && !string_copy(home, PATH_MAX, u->home))
		good = fail(why, "the home of %s is too long", address);
	return good;
}

static int settled_user(const struct command *c, const char *address, struct user *u,
                        char home[PATH_MAX], struct model *m, struct reason *why)
{
	struct text key;

	load_configuration(m, c->confdir, NULL);
	if (!c->only_mine)
		return user_of_model(m, address, u, home, why);
	text_init(&key, MAP_KEY_MAX);
	int good = mapkey_address(view_of(address), view_of(m->settings.mail_domain), &key, why);

	if (good == 0)
		good = published_user(m, text_view(&key), u, home, why);
	text_free(&key);
	return good;
}

/* Is a file in this directory of the home? */
static bool has_files(const char *home, const char *below)
{
	char path[PATH_MAX];
	const struct dirent *entry;
	struct walk w;
	bool found = false;

	if (!string_format(path, sizeof path, "%s/Maildir/%s", home, below))
		return false;
	walk_begin(&w, AT_FDCWD, path);
	while (!found && (entry = walk_next(&w)) != NULL)
		found = entry->d_name[0] != '.';
	return walk_end(&w) == 0 && found;
}

/* An address may be given to somebody else; the mail of who had it before is nobody's to read. */
static void warn_of_old_mail(const char *address, const char *home)
{
	char path[PATH_MAX];
	struct stat st;

	if (!string_format(path, sizeof path, "%s/Maildir", home) || lstat(path, &st) != 0)
		return;
	bool mail = has_files(home, "new") || has_files(home, "cur");

	fprintf(stderr,
	        "posthouse: warning: %s existed already%s, and is the mailbox of %s now; if that "
	        "was somebody else's, move it away\n",
	        home, mail ? " and has mail" : " and has a mailbox", address);
}

static void warn(const struct reason *why)
{
	struct text shown;

	text_init(&shown, LOG_ESCAPED * REASON_MAX);
	text_add_shown(&shown, view_of(why->text));
	fprintf(stderr, "posthouse: warning: %s\n", text_string(&shown));
	text_free(&shown);
}

/* Not made by a private or broken configuration: local makes it on the first delivery, or says why
 * not. */
static void home_for_new_user(const struct command *c, const char *address)
{
	struct model m;
	struct user u;
	struct reason why;
	char home[PATH_MAX];

	if (settled_user(c, address, &u, home, &m, &why) != 0) {
		warn(&why);
	} else {
		warn_of_old_mail(address, home);
		if (home_make(&m.settings, &u, home, &why) != 0)
			warn(&why);
	}
	model_free(&m);
}

/* ---- verbs ---- */

/* What was asked for, and the password that was made. */
struct request {
	const char *address;
	int argc; /* the words behind the address */
	char **argv;
	enum password_way way;
	char generated[PASSWORD_MAX + 1];
};

static struct request request_of(int argc, char **argv)
{
	return (struct request){ .address = argv[0], .argc = argc - 1, .argv = argv + 1 };
}

/* Runs the work; on success prints the password that was made. */
static int run_request(const struct command *c, struct request *r,
                       int (*work)(struct edits *e, void *context, struct reason *why))
{
	int code = edits_run(c, work, r);

	if (code == EXIT_DONE && r->generated[0])
		printf("%s\n", r->generated);
	sodium_memzero(r->generated, sizeof r->generated);
	return code;
}

static int no_user(const char *address, struct reason *why)
{
	return fail(why, "there is no user %s in users.map", address);
}

/* Others may have odd addresses (lib/mail/mailaddress.h); ours are such that everybody takes them:
 * RFC 5321 section 4.1.2, and no longer than section 4.5.3.1.1 promises. */
static bool is_plain(struct view address)
{
	enum { LOCAL_MAX = 64 };
	struct view local = view_take(address, view_find(address, '@'));
	bool dot = true;

	for (size_t i = 0; i < local.len; i++) {
		if (local.data[i] == '.' && dot)
			return false;
		dot = local.data[i] == '.';
	}
	return !dot && local.len <= LOCAL_MAX;
}

/* Before the user is there, whose mail would wait. */
static int judge_new_home(const struct model *m, void *context, struct reason *why)
{
	const struct request *r = context;
	struct user u;
	char home[PATH_MAX];

	if (user_of_model(m, r->address, &u, home, NULL) != 0)
		return 0;
	return home_judge_links(&m->settings, home, why);
}

static int add_in(struct edits *e, void *context, struct reason *why)
{
	struct request *r = context;

	e->judge = judge_new_home;
	e->judge_context = r;
	if (view_find(view_of(r->address), '"') == strlen(r->address) &&
	    !is_plain(view_of(r->address)))
		return fail(
			why,
			"%s: many mail servers refuse such an address (a local part of more than 64 "
			"bytes, or with a dot at its beginning, at its end, or beside another)",
			r->address);
	struct edit *users =
		edits_open(e, MAP_USERS, why); /* first: a user may be without a password */
	struct text words;

	text_init(&words, MAPTEXT_FILE_MAX); /* whole: the build says when it is too long */
	int found = users != NULL ? edit_get(e, users, view_of(r->address), &words, why) : -1;

	if (found > 0)
		found = fail(why,
		             "user %s already exists; change it with posthouse user set or passwd",
		             r->address);
	if (found == 0) {
		text_clear(&words);
		join_words(r->argc, r->argv, &words);
		found = edit_set(e, users, view_of(r->address), text_view(&words), why);
	}
	text_free(&words);
	if (found != 0)
		return -1;
	return r->way == WAY_NONE ? 0 : set_password(e, r->address, r->way, r->generated, why);
}

/* Is the mail where homes are to be? The edit says what else is wrong with the texts. */
static int is_there(const struct command *c, struct reason *why)
{
	struct model m;
	int result =
		command_places_read(c, &m) == EXIT_DONE ? home_judge_root(&m.settings, why) : 0;

	model_free(&m);
	return result;
}

static int user_add(const struct command *c, int argc, char **argv)
{
	struct request r = request_of(argc, argv);
	struct reason why;

	if (take_options(&r.argc, r.argv, &r.way, &why) != 0)
		return command_fail(EXIT_PERMANENT, &why);
	int code = is_there(c, &why) != 0 ? command_fail(EXIT_TEMPORARY, &why)
	                                  : run_request(c, &r, add_in);

	if (code == EXIT_DONE)
		home_for_new_user(c, r.address);
	return code;
}

static int passwd_in(struct edits *e, void *context, struct reason *why)
{
	struct request *r = context;

	return set_password(e, r->address, r->way, r->generated, why);
}

static int user_passwd(const struct command *c, int argc, char **argv)
{
	struct request r = request_of(argc, argv);
	struct reason why;

	if (take_options(&r.argc, r.argv, &r.way, &why) != 0)
		return command_fail(EXIT_PERMANENT, &why);
	if (r.argc > 0 || r.way == WAY_NONE)
		return command_usage(c, "passwd ADDRESS [--password-stdin]");
	return run_request(c, &r, passwd_in);
}

static int del_in(struct edits *e, void *context, struct reason *why)
{
	const struct request *r = context;
	struct edit *passwords = edits_open(e, MAP_PASSWORDS, why); /* first: see write_changed */
	struct edit *users = passwords != NULL ? edits_open(e, MAP_USERS, why) : NULL;

	if (users == NULL || edit_delete(e, passwords, view_of(r->address), why) < 0)
		return -1;
	int found = edit_delete(e, users, view_of(r->address), why);

	return found == 0 ? no_user(r->address, why) : found > 0 ? 0 : -1;
}

static int user_del(const struct command *c, int argc, char **argv)
{
	struct request r = request_of(argc, argv);
	struct model m;
	struct user u;
	char home[PATH_MAX];
	bool known = settled_user(c, r.address, &u, home, &m, NULL) == 0;

	model_free(&m);
	int code = run_request(c, &r, del_in);

	if (code == EXIT_DONE && known && home[0])
		printf("the mail stays in %s\n", home);
	return code;
}

/* Words replace those of the same name: "quota=" alone takes one away. */
static void merge_words(struct view old, int argc, char **argv, struct arena *arena,
                        struct text *out)
{
	struct view word;

	while (maptext_word(&old, arena, &word, NULL) > 0) {
		bool replaced = false;

		for (int i = 0; i < argc; i++) {
			size_t name = view_find(view_of(argv[i]), '=') + 1;

			replaced = replaced || view_starts(word, view_take(view_of(argv[i]), name));
		}
		if (replaced)
			continue;
		maptext_add_word(out, word);
		text_add_byte(out, ' ');
	}
	for (int i = 0; i < argc; i++) {
		struct view fresh = view_of(argv[i]);

		if (fresh.len && fresh.data[fresh.len - 1] == '=')
			continue;
		maptext_add_word(out, fresh);
		text_add_byte(out, ' ');
	}
}

static int set_in(struct edits *e, void *context, struct reason *why)
{
	const struct request *r = context;
	struct edit *users = edits_open(e, MAP_USERS, why);
	struct text old, merged;

	text_init(&old, 1 << 16);
	text_init(&merged, MAPTEXT_FILE_MAX);
	int found = users != NULL ? edit_get(e, users, view_of(r->address), &old, why) : -1;

	if (found == 0)
		found = no_user(r->address, why);
	if (found > 0) {
		merge_words(text_view(&old), r->argc, r->argv, &e->base.arena, &merged);
		found = edit_set(e, users, view_of(r->address), view_trim(text_view(&merged)), why);
	}
	text_free(&old);
	text_free(&merged);
	return found;
}

static int user_set(const struct command *c, int argc, char **argv)
{
	struct request r = request_of(argc, argv);

	return run_request(c, &r, set_in);
}

static int user_list(const struct command *c, int argc, char **argv)
{
	struct model m;

	load_configuration(&m, c->confdir, NULL);
	for (size_t i = 0; i < m.maps[MAP_USERS].count; i++) {
		struct view key = m.maps[MAP_USERS].entries[i]->key;

		if (argc == 0 || view_equal_nocase(address_domain(key), view_of(argv[0])))
			printf("%.*s\n", VIEW_ARG(key));
	}
	inforce_warn(&m, MAP_USERS);
	model_free(&m);
	return EXIT_DONE;
}

static int user_show(const struct command *c, int argc, char **argv)
{
	struct model m;
	struct user u;
	struct reason why;
	struct text rights, quota;
	char home[PATH_MAX];
	int code = EXIT_DONE;

	(void)argc;
	text_init(&rights, 256);
	text_init(&quota, 64);
	if (settled_user(c, argv[0], &u, home, &m, &why) != 0) {
		code = command_fail(EXIT_PERMANENT, &why);
	} else {
		user_rights_text(u.rights, &rights);
		size_format(u.quota_bytes, &quota);
		printf("home %s\nowner %u:%u\nquota %s\nrights %s\nstate %s\n", home, u.uid, u.gid,
		       u.quota_bytes ? text_string(&quota) : "none", text_string(&rights),
		       user_state_name(u.state));
		inforce_print_user(&m, argv[0]);
	}
	text_free(&rights);
	text_free(&quota);
	model_free(&m);
	return code;
}

int command_user(const struct command *c, int argc, char **argv)
{
	static const struct verb verbs[] = {
		{ "add", 1, -1,
		  "add ADDRESS [--password-stdin | --no-password] [home=PATH] [quota=SIZE] [rights=LIST] ...",
		  user_add, true },
		{ "del", 1, 1, "del ADDRESS", user_del, true },
		{ "list", 0, 1, "list [DOMAIN]", user_list, false },
		{ "show", 1, 1, "show ADDRESS", user_show, false },
		{ "set", 2, -1, "set ADDRESS WORD=VALUE...", user_set, true },
		{ "passwd", 1, 2, "passwd ADDRESS [--password-stdin]", user_passwd, true },
		{ NULL, 0, 0, NULL, NULL, false },
	};

	return command_verb(c, verbs, argc, argv);
}
