/* SPDX-License-Identifier: ISC */
/* The commands of posthouse: one function each, called with the words behind the command's own. */
#ifndef CONF_COMMAND_H
#define CONF_COMMAND_H

#include "lib/base/log.h"
#include "lib/base/reason.h"
#include "lib/conf/settings.h"
#include "lib/queue/queuelist.h"

struct command {
	const char *confdir; /* absolute */
	const char *name;    /* "user" */
	bool only_mine;      /* --only-mine was given: of a verb that edits */
};

/* Each returns an exit code: EXIT_DONE, EXIT_PERMANENT, EXIT_TEMPORARY. */
typedef int command_function(const struct command *c, int argc, char **argv);

command_function command_build, command_rollback, command_generations, command_settings;
command_function command_start, command_stop, command_reload, command_status, command_check;
command_function command_who, command_kick;
command_function command_queue, command_queue_check, command_map, command_user, command_domain,
	command_alias, command_password;

/* A verb of a command: "add" of "user". */
struct verb {
	const char *name;
	int least, most; /* words behind the verb; most -1: any number */
	const char *usage;
	command_function *run;
	bool edits; /* takes --only-mine too */
};

/* Looks the verb up in a table that ends with a NULL name, and runs it with the words behind it. */
int command_verb(const struct command *c, const struct verb *verbs, int argc, char **argv);
/* Begins the text with the words, `between` between them. It holds them all: the build says when an
 * entry is too long. */
void command_join(int argc, char **argv, const char *between, struct text *out);
/* Says why; returns the code. */
int command_fail(int code, const struct reason *why);
int command_usage(const struct command *c, const char *usage);

/* The settings that say where things are; an exit code. */
struct model;
int command_settings_read(const struct command *c, struct model *m);
/* The same for commands that serve to mend a wrong text or to stop in spite of it: only a
 * posthouse.conf that cannot be read ends them, since nothing would be where it says, or that is in
 * another directory than the standard one and, missing or with errors, does not say where its house
 * is: the defaults are where the system's is. */
int command_places_read(const struct command *c, struct model *m);

/* At most so long: three rows name the drop directory. */
enum { ASIDE_TEXT_MAX = 3 * SETTING_VALUE_MAX + QUEUE_COUNTS_TEXT_MAX + 512 };
/* What of the queue and the drop directory is not served, as one line; "" when there is nothing, or
 * it may not be seen. *secret_lost: does a running queued say that the file `secret' is not the one
 * that it uses? queued is asked once for both: one that hangs takes the time limit. */
void aside_text(const struct settings *s, bool *secret_lost, struct text *out);

/* Root becomes the queue's account, for good: whoever owns queued owns what is read there. */
int command_become_queue(const struct settings *s, struct reason *why);

/* The directory of the server's programs. */
const char *command_programs(void);
/* -1: posthouse runs and could not be asked any more after a build with these. */
int command_may_move(const struct settings *s, struct reason *why);
/* Tells a running house to take the current generation; says what kept it from that. A house that
 * does not run is no error.  *instead: the generation that it goes on with when it refused the
 * current one, else -1. */
int command_reload_if_running(const struct settings *s, long *instead);
enum house_state {
	HOUSE_NOT_RUNNING,
	HOUSE_RUNNING,
	HOUSE_STARTING,
	HOUSE_STOPPING,
	HOUSE_UNKNOWN /* it cannot be asked */
};

/* What is wrong with a running house by its own status: programs that do not run (unless it is
 * stopping), another version; that it cannot be asked, and why. */
enum house_state command_running_faults(const struct settings *s,
                                        void (*fault)(void *context, const char *text),
                                        void *context);
/* The same, of a house that was found running, for one that only wants to know this. */
enum house_state command_house_state(const struct settings *s);
/* Of the generation that was just taken: certificates for which TLS does not work, and what is not
 * in force before a restart, on standard error. */
void command_warn_of_taken(const struct settings *s);
/* Does a running house work in another queue directory than the one that is there? Prints so. */
bool command_queue_is_replaced(const struct settings *s);

#endif
