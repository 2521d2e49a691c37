/* SPDX-License-Identifier: ISC */
/* posthouse user: mailboxes and their passwords. */
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/changes.h"
#include "conf/edits.h"
#include "conf/home.h"
#include "conf/inforce.h"
#include "conf/load.h"
#include "conf/password.h"
#include "conf/userlines.h"
#include "lib/base/file.h"
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

static int published_address(const struct model *m, const char *address, struct user *u,
                             char home[PATH_MAX], struct reason *why)
{
	struct text key;

	text_init(&key, MAP_KEY_MAX);
	int good = mapkey_address(view_of(address), view_of(m->settings.mail_domain), &key, why);

	if (good == 0)
		good = published_user(m, text_view(&key), u, home, why);
	text_free(&key);
	return good;
}

static int settled_user(const struct command *c, const char *address, struct user *u,
                        char home[PATH_MAX], struct model *m, struct reason *why)
{
	load_configuration(m, c->confdir, NULL);
	return c->only_mine ? published_address(m, address, u, home, why)
	                    : user_of_model(m, address, u, home, why);
}

/* ---- verbs ---- */

/* What was asked for, and the password that was made. */
struct request {
	const char *address;
	int argc; /* the words behind the address */
	char **argv;
	enum password_way way;
	char generated[PASSWORD_MAX + 1];
	struct added *added;
};

/* Their homes, when they are in force. */
static void finish_added(const struct command *c, struct added *a, int code)
{
	if (code == EXIT_DONE)
		user_make_homes(c, a);
	free(a->keys);
	arena_clear(&a->arena);
}

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

static int add_in(struct edits *e, void *context, struct reason *why)
{
	struct request *r = context;
	struct text words;

	text_init(&words, MAPTEXT_FILE_MAX); /* whole: the build says when it is too long */
	join_words(r->argc, r->argv, &words);
	int result = user_add_entry(e, r->added, view_of(r->address), text_view(&words), why);

	text_free(&words);
	return result != 0 || r->way == WAY_NONE
	               ? result
	               : set_password(e, r->address, r->way, r->generated, why);
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
	struct added added = { .count = 0 };
	struct request r = request_of(argc, argv);
	struct reason why;
	int code;

	r.added = &added;
	if (take_options(&r.argc, r.argv, &r.way, &why) != 0)
		return command_fail(EXIT_PERMANENT, &why);
	if (is_there(c, &why) != 0)
		code = command_fail(EXIT_TEMPORARY, &why);
	else if (batch_is_asked(argc, argv))
		code = batch_run(c, user_add_line, &added);
	else
		code = run_request(c, &r, add_in);
	finish_added(c, &added, code);
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

	return user_delete_entry(e, view_of(r->address), why);
}

static int delete_many(const struct command *c)
{
	size_t count = 0;
	int code = batch_run(c, user_delete_line, &count);

	if (code == EXIT_DONE && count)
		printf("the mail of %zu user%s stays in the homes\n", count, count == 1 ? "" : "s");
	return code;
}

static int user_del(const struct command *c, int argc, char **argv)
{
	struct request r = request_of(argc, argv);
	struct model m;
	struct user u;
	char home[PATH_MAX];

	if (batch_is_asked(argc, argv))
		return delete_many(c);
	/* Where the mail is: of one who was never published the texts know. */
	model_read_settings(&m, c->confdir, NULL);
	bool known = published_address(&m, r.address, &u, home, NULL) == 0;

	model_free(&m);
	if (!known) {
		known = settled_user(c, r.address, &u, home, &m, NULL) == 0;
		model_free(&m);
	}
	int code = run_request(c, &r, del_in);

	if (code == EXIT_DONE && known && home[0])
		printf("the mail stays in %s\n", home);
	return code;
}

static int set_in(struct edits *e, void *context, struct reason *why)
{
	const struct request *r = context;
	struct text words;

	text_init(&words, MAPTEXT_FILE_MAX);
	join_words(r->argc, r->argv, &words);
	int result = user_set_entry(e, view_of(r->address), text_view(&words), why);

	text_free(&words);
	return result;
}

static int user_set(const struct command *c, int argc, char **argv)
{
	struct request r = request_of(argc, argv);

	if (batch_is_asked(argc, argv))
		return batch_run(c, user_set_line, NULL);
	if (argc < 2)
		return command_usage(c, "set ADDRESS WORD=VALUE... | set -");
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
		  "add ADDRESS [--password-stdin | --no-password] [home=PATH] [quota=SIZE] [rights=LIST] ... | add -",
		  user_add, true },
		{ "del", 1, 1, "del ADDRESS | del -", user_del, true },
		{ "list", 0, 1, "list [DOMAIN]", user_list, false },
		{ "show", 1, 1, "show ADDRESS", user_show, false },
		{ "set", 1, -1, "set ADDRESS WORD=VALUE... | set -", user_set, true },
		{ "passwd", 1, 2, "passwd ADDRESS [--password-stdin]", user_passwd, true },
		{ NULL, 0, 0, NULL, NULL, false },
	};

	return command_verb(c, verbs, argc, argv);
}
