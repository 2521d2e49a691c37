/* SPDX-License-Identifier: ISC */
/*
 * What posthouse check says of mailboxes that cannot be used: an obstacle once, with the mailbox
 * for which it was met first, and how many more have it; of each kind a few, and the rest counted.
 */
#ifndef CONF_INSPECT_HOME_H
#define CONF_INSPECT_HOME_H

#include "conf/home.h"
#include "conf/model.h"
#include "conf/permission.h"
#include "lib/store/look.h"

enum trouble {
	TROUBLE_WAY,    /* a directory before it cannot be passed */
	TROUBLE_GONE,   /* the one that it is in is missing */
	TROUBLE_UNMADE, /* it is missing, and its owner cannot make it */
	TROUBLE_LINK,   /* it is behind a link that no program follows */
	TROUBLE_OWNER,  /* it is another's, or a part of it */
	TROUBLE_MODE,   /* its owner cannot use it, or a part of it */
	TROUBLE_ODD,    /* a part of it is something else than it should be, or the system fails */
	TROUBLE_MESSAGES, /* some cannot be read */
	TROUBLES
};

enum { TALES_OF_TROUBLE_MAX = 5 };

struct tale {
	char *path, *text;
	unsigned more; /* mailboxes that have it too */
	bool is_warning;
};

/* Zero-initialise, with the model. */
struct tales {
	struct model *model;
	struct tale of[TROUBLES][TALES_OF_TROUBLE_MAX];
	unsigned count[TROUBLES];
};

struct home {
	char path[PATH_MAX];
	struct user user;
	struct view address;
	struct asker owner;
};

/* Something stands in the way of the home, or to making it. */
void tell_way(struct tales *t, const struct home *h, const struct obstacle *o);
/* is_well: what is behind it can be used, as far as the sandbox lets anybody go there; found: what
 * cannot. */
void tell_link(struct tales *t, const struct home *h, const struct home_link *link, bool is_well,
               const struct look *found);
/* The home itself cannot be used (o->error). */
void tell_home(struct tales *t, const struct home *h, const struct obstacle *o);
/* What was found in it, if anything. */
void tell_look(struct tales *t, const struct home *h, const struct look *found);
/* All of it into the model's problems. */
void tales_end(struct tales *t);

#endif
