/* SPDX-License-Identifier: ISC */
#include "lib/conf/domains.h"

#include "lib/base/shown.h"
#include "lib/conf/mapbuild.h"
#include "lib/conf/maptext.h"
#include "lib/conf/value.h"

static const struct {
	const char *name;
	enum domain_class class;
} classes[] = {
	[DOMAIN_MAILBOXES] = { "mailboxes", DOMAIN_MAILBOXES },
	[DOMAIN_RELAY] = { "relay", DOMAIN_RELAY },
	[DOMAIN_ALIAS] = { "alias-of", DOMAIN_ALIAS },
};

static int parse_class(struct view word, enum domain_class *out, struct reason *why)
{
	for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
		if (view_equal(word, view_of(classes[i].name))) {
			*out = classes[i].class;
			return 0;
		}
	}
	return fail(why,
	            "\"%.*s\" is not a class of domain; write mailboxes, relay or alias-of DOMAIN",
	            VIEW_ARG(word));
}

static int parse_target(struct view text, struct arena *arena, struct domain *out,
                        struct reason *why)
{
	struct text target;

	text_init(&target, MAP_KEY_MAX);
	int result = maptext_domain(view_trim(text), &target, why);

	if (result == 0)
		out->target = arena_copy(arena, text_view(&target));
	text_free(&target);
	return result;
}

static int parse_words(struct view rest, struct arena *arena, struct domain *out,
                       struct reason *why)
{
	struct view word;
	int more;

	while ((more = maptext_word(&rest, arena, &word, why)) > 0) {
		if (view_starts(word, VIEW("language="))) {
			out->language = view_skip(word, 9);
			continue;
		}
		int known = out->class == DOMAIN_MAILBOXES
		                    ? user_parse_word(word, &out->defaults, why)
		                    : 1;

		if (known < 0)
			return -1;
		if (known > 0)
			return fail(why, "\"%.*s\" is not an option of a domain of this class",
			            VIEW_ARG(word));
	}
	return more;
}

int domain_parse(struct view text, struct arena *arena, struct domain *out, struct reason *why)
{
	struct view rest = text, class;

	*out = (struct domain){ .defaults = { .rights = USER_RIGHTS_DEFAULT } };
	int more = maptext_word(&rest, arena, &class, why);

	if (more == 0)
		return fail(why, "a class is missing; write mailboxes, relay or alias-of DOMAIN");
	if (more < 0 || parse_class(class, &out->class, why) != 0)
		return -1;
	if (out->class == DOMAIN_ALIAS)
		return parse_target(rest, arena, out, why);
	return parse_words(rest, arena, out, why);
}

void domain_encode(const struct domain *d, struct text *out)
{
	value_put_u8(out, (uint8_t)d->class);
	value_put_bytes(out, d->target);
	value_put_bytes(out, d->language);
	user_encode(&d->defaults, out);
}

bool domain_decode(struct view value, struct domain *out)
{
	struct value_reader r = { .rest = value };
	unsigned class = value_get_u8(&r);

	out->class = (enum domain_class) class;
	out->target = value_get_bytes(&r);
	out->language = value_get_bytes(&r);
	user_decode_fields(&r, &out->defaults);
	return value_end(&r) && class <= DOMAIN_ALIAS;
}

/* ---- for the build ---- */

int domains_compile(const struct mapbuild *b, struct view key, struct view value, struct text *out,
                    struct reason *why)
{
	struct domain d;
	int result = domain_parse(value, b->arena, &d, why);

	(void)key;
	domain_encode(&d, out);
	return result;
}

bool domains_show(struct view key, struct view value, struct text *key_out, struct text *out)
{
	struct domain d;

	if (!domain_decode(value, &d))
		return false;
	text_add_string(out, classes[d.class].name);
	if (d.class == DOMAIN_ALIAS)
		text_format(out, " %.*s", VIEW_ARG(d.target));
	if (d.language.len)
		text_format(out, " language=%.*s", VIEW_ARG(d.language));
	if (d.class == DOMAIN_MAILBOXES)
		user_words(&d.defaults, out);
	text_add(key_out, key);
	return true;
}

bool domain_of_build(const struct mapbuild *b, struct view name, struct domain *out,
                     struct reason *why)
{
	struct view compiled;
	struct text word;

	if (b->find(b->builder, MAP_DOMAINS, name, &compiled) && domain_decode(compiled, out))
		return true;
	text_init(&word, SHELL_WORD_MAX(name.len));
	text_add_shell_word(&word, name);
	fail(why, "%.*s is not in domains.map; posthouse domain add %s", VIEW_ARG(name),
	     text_string(&word));
	text_free(&word);
	return false;
}
