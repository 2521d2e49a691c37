/* SPDX-License-Identifier: ISC */
/* Aliases: what the queue would find out only when mail has come. */
#include "conf/consistency.h"
#include "conf/model.h"
#include "lib/conf/expansion.h"
#include "lib/conf/maptext.h"

static enum map_result find(void *context, enum map_id map, struct view key, struct view *value)
{
	return model_find(context, map, key, value) ? MAP_FOUND : MAP_MISSING;
}

static struct classifier classifier_of(struct model *m)
{
	return (struct classifier){ m->settings.mail_domain, m->settings.address_delimiter[0], find,
		                    m };
}

/* What resolved would say of it. */
static enum address_kind leads_to(struct model *m, struct view address, bool past_aliases)
{
	const struct classifier classifier = classifier_of(m);
	struct classified place;

	classify(&classifier, address, past_aliases, &place);
	return place.kind;
}

/* ---- how much is behind one, at most ---- */

/* Each alias is counted once, however many lead to it: following all of them to their ends, as
 * resolved does for one, would take as long as all lists together for each. */
struct bound {
	const char *of;  /* the compiled value's place: what it is known by */
	bool is_certain; /* else it, or what it leads to, is looked at whole */
	unsigned depth, steps, ends;
};

struct bounds {
	struct model *model;
	struct classifier classifier;
	struct hashtable all; /* of -> struct bound; they are in the model's memory */
};

static struct bound bound_of(struct bounds *b, const struct classified *alias, unsigned level);

static void add_target(struct bounds *b, struct bound *to, struct view target, bool past_aliases,
                       unsigned level)
{
	struct bound one = { .is_certain = target.len < ADDRESS_MAX, .ends = 1 };
	struct classified place;

	classify(&b->classifier, target, past_aliases, &place);
	if (place.kind == ADDRESS_IS_POSTMASTER)
		one.is_certain = false;
	else if (place.kind == ADDRESS_IS_ALIAS && !place.alias.fails && one.is_certain)
		one = bound_of(b, &place, level + 1);
	to->is_certain = to->is_certain && one.is_certain && to->steps <= EXPANSION_LOOKUPS_MAX &&
	                 to->ends <= EXPANSION_ENDS_MAX;
	if (!to->is_certain)
		return;
	to->steps += one.steps + 1;
	to->ends += one.ends;
	if (to->depth <= one.depth)
		to->depth = one.depth + 1;
}

static struct bound bound_of(struct bounds *b, const struct classified *alias, unsigned level)
{
	struct bound *fresh = arena_get(&b->model->arena, sizeof *fresh);
	struct alias targets = alias->alias;
	struct view target;

	/* Not certain, until it is known: so is one that leads back to it. */
	*fresh = (struct bound){ .of = targets.rest.rest.data };
	const struct bound *known =
		hashtable_add(&b->all, (struct view){ (char *)&fresh->of, sizeof fresh->of },
	                      fresh);

	if (known != NULL)
		return *known;
	struct bound sum = { .of = fresh->of, .is_certain = level < EXPANSION_DEPTH_MAX };

	while (sum.is_certain && alias_next(&targets, &target))
		add_target(b, &sum, target, expansion_means_mailbox(alias, target), level);
	*fresh = sum;
	return sum;
}

/* Without going to all of its ends. */
static bool is_surely_good(struct bounds *b, const struct map_entry *e)
{
	struct classified place;

	classify(&b->classifier, e->key, false, &place);
	if (place.kind != ADDRESS_IS_ALIAS || place.alias.fails)
		return false;
	struct bound bound = bound_of(b, &place, 0);

	return bound.is_certain && bound.depth <= EXPANSION_DEPTH_MAX &&
	       bound.steps < EXPANSION_LOOKUPS_MAX && bound.ends <= EXPANSION_ENDS_MAX &&
	       bound.ends > 0;
}

/* ---- each ---- */

/* By resolved's own limits: mail for what it cannot expand is for nobody. */
static void check_expansion(struct bounds *b, const struct map_entry *e, bool is_whole)
{
	struct model *m = b->model;
	const char *path = m->maps[MAP_ALIASES].source.path;
	struct expansion x = { .classifier = &b->classifier, .postmaster = m->settings.postmaster };

	if (is_surely_good(b, e))
		return;
	enum expansion_verdict verdict = expansion_collect(&x, e->key);

	expansion_free(&x);
	if (verdict == EXPANSION_LOOP && is_whole)
		problem_warning(&m->problems, path, e->line,
		                "%.*s leads into an alias loop and nowhere else; mail to it is "
		                "refused temporarily until that is corrected",
		                VIEW_ARG(e->key));
	else if (verdict != EXPANSION_GOOD && verdict != EXPANSION_LOOP)
		problem_error(&m->problems, path, e->line,
		              "%.*s: %s; at most %d aliases may follow one another, and lead to "
		              "%d recipients in all",
		              VIEW_ARG(e->key), expansion_words(verdict), EXPANSION_DEPTH_MAX,
		              EXPANSION_ENDS_MAX);
}

/* A user whose mail does not come to the mailbox. */
static void check_twofold(struct model *m, const struct map_entry *e)
{
	struct alias alias;
	struct view compiled, target;

	if (!model_find(m, MAP_USERS, e->key, &compiled) || !alias_decode(e->compiled, &alias))
		return;
	while (alias_next(&alias, &target))
		if (view_equal_nocase(target, e->key))
			return;
	problem_warning(
		&m->problems, m->maps[MAP_ALIASES].source.path, e->line,
		"%.*s is a user and an alias: the alias takes the mail, and the mailbox gets "
		"none; add it to the targets, or remove one of the two",
		VIEW_ARG(e->key));
}

static void check_star(struct model *m, enum map_id map, const struct map_entry *e)
{
	if (view_starts(e->key, VIEW("*@")))
		problem_warning(&m->problems, m->maps[map].source.path, e->line,
		                "%.*s is one address, whose local part is a star; %s",
		                VIEW_ARG(e->key),
		                map == MAP_ALIASES
		                        ? "the alias for all others of the domain is @DOMAIN"
		                        : "an alias @DOMAIN takes all others of the domain");
}

/* Its targets; whether one of them is not its own end. */
static bool check_targets(struct model *m, const struct map_entry *e, struct alias alias,
                          bool is_whole)
{
	struct view target;
	bool nested = false;

	while (alias_next(&alias, &target)) {
		bool itself = view_equal_nocase(target, e->key);
		enum address_kind kind = leads_to(m, target, itself);

		nested = nested || kind == ADDRESS_IS_ALIAS || kind == ADDRESS_IS_POSTMASTER;
		if (kind == ADDRESS_IS_NOBODY && is_whole)
			problem_warning(&m->problems, m->maps[MAP_ALIASES].source.path, e->line,
			                "mail to %.*s cannot be delivered: %.*s is not a user%s",
			                VIEW_ARG(e->key), VIEW_ARG(target),
			                itself ? "" : " and not an alias");
	}
	return nested;
}

/* is_whole: there are no errors. The user whose line is wrong is missing, too. */
static void check_alias(struct bounds *b, const struct map_entry *e, bool is_whole)
{
	struct alias alias;

	if (!alias_decode(e->compiled, &alias))
		return;
	bool nested = check_targets(b->model, e, alias, is_whole);

	if (is_whole) {
		check_twofold(b->model, e);
		check_star(b->model, MAP_ALIASES, e);
	}
	if (nested) /* targets alone are within the limits: alias_compile */
		check_expansion(b, e, is_whole);
}

/* RFC 5321 section 4.5.1 wants somebody to read it, and reports that have no sender go there. */
static void check_postmaster_reader(struct model *m)
{
	struct text address;
	struct reason why;
	enum address_kind kind = ADDRESS_IS_MAILBOX;

	text_init(&address, MAP_KEY_MAX);
	if (maptext_address(view_of(m->settings.postmaster), view_of(m->settings.mail_domain),
	                    &address, &why) == 0)
		kind = leads_to(m, text_view(&address), false);
	if (kind == ADDRESS_IS_NOBODY || kind == ADDRESS_IS_POSTMASTER)
		problem_warning(
			&m->problems, m->conf.path, model_setting_line(m, "postmaster"),
			"postmaster: %s is not a user and not an alias: mail to the postmaster and double "
			"bounces stay in the queue; set it to an address that somebody reads",
			text_string(&address));
	text_free(&address);
}

void consistency_of_aliases(struct model *m)
{
	const struct model_map *map = &m->maps[MAP_ALIASES];
	struct bounds bounds = { .model = m, .classifier = classifier_of(m) };
	bool is_whole = m->problems.errors == 0;

	if (is_whole && m->below == NULL) /* else it is as it was */
		check_postmaster_reader(m);
	for (size_t i = 0; i < map->count; i++)
		check_alias(&bounds, map->entries[i], is_whole);
	hashtable_free(&bounds.all);
	for (size_t i = 0; i < m->maps[MAP_USERS].count && is_whole; i++)
		check_star(m, MAP_USERS, m->maps[MAP_USERS].entries[i]);
}
