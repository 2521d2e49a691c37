/* SPDX-License-Identifier: ISC */
#include "lib/conf/aliases.h"

#include <string.h>

#include "lib/conf/domains.h"
#include "lib/conf/mapbuild.h"
#include "lib/conf/maptext.h"

enum { INCLUDE_DEPTH_MAX = 4 };

/* A list being compiled: targets behind each other, and how many. */
struct collection {
	const struct alias_source *source;
	struct text targets;
	unsigned count;
	int depth;
};

static int collect_list(struct collection *list, struct view text, struct reason *why);

static int collect_include(struct collection *list, struct view path, struct reason *why)
{
	struct view content;
	struct reason detail;
	int number = 0;

	if (list->source->open_include == NULL || list->depth == INCLUDE_DEPTH_MAX)
		return fail(why, "include:%.*s: included files may include %d deep", VIEW_ARG(path),
		            INCLUDE_DEPTH_MAX);
	if (list->source->open_include(list->source->context, path, &content, why) != 0)
		return -1;
	list->depth++;
	content = view_skip(content, maptext_mark(content));
	for (struct view line; view_cut(&content, '\n', &line);) {
		line = view_trim(line);
		number++;
		if (line.len && line.data[0] != '#' && collect_list(list, line, &detail) != 0)
			return fail(why, "include:%.*s:%d: %s", VIEW_ARG(path), number,
			            detail.text);
	}
	list->depth--;
	return 0;
}

static int collect_target(struct collection *list, struct view word, struct reason *why)
{
	struct text address;

	if (view_starts(word, VIEW("include:")))
		return collect_include(list, view_skip(word, 8), why);
	/* What sendmail's aliases may have, and would pass for a mailbox of an odd name. */
	if (word.len && strchr("|/:", word.data[0]) != NULL && view_find(word, '@') == word.len)
		return fail(
			why,
			"%.*s: delivery to programs and files is not supported; give an address",
			VIEW_ARG(word));
	if (++list->count > ALIAS_TARGETS_MAX)
		return fail(why, "more than %d targets", ALIAS_TARGETS_MAX);
	text_init(&address, MAP_KEY_MAX);
	int result = maptext_address(word, list->source->domain, &address, why);

	/* The case of a local part is its host's business (RFC 5321 section 2.4). */
	for (size_t i = 0; result == 0 && i < word.len && word.data[i] != '@'; i++)
		address.raw[i] = word.data[i];
	if (result == 0)
		value_put_bytes(&list->targets, text_view(&address));
	text_free(&address);
	return result;
}

/* One word may hold several targets: "a@x.test,b@x.test". */
static int collect_list(struct collection *list, struct view text, struct reason *why)
{
	struct view word, target;

	while (view_cut(&text, ',', &word)) {
		word = view_trim(word);
		for (int more;
		     (more = maptext_word(&word, list->source->arena, &target, why)) != 0;)
			if (more < 0 || collect_target(list, target, why) != 0)
				return -1;
	}
	return 0;
}

int alias_compile(const struct alias_source *source, struct view text, struct text *out,
                  struct reason *why)
{
	struct collection list = { .source = source };
	bool fails = view_starts(text, VIEW(":fail:"));
	int result = 0;

	text_init(&list.targets, VALUE_MAX - 1024);
	if (!fails)
		result = collect_list(&list, text, why);
	if (result == 0 && !fails && list.count == 0)
		result = fail(why, "no target; give addresses, include:FILE or :fail: TEXT");
	if (result == 0 && list.targets.full)
		result = fail(why, "the targets are longer than %d bytes", VALUE_MAX - 1024);
	if (result == 0) {
		value_put_u8(out, fails);
		value_put_bytes(out, fails ? view_trim(view_skip(text, 6)) : VIEW(""));
		value_put_u32(out, list.count);
		text_add(out, text_view(&list.targets));
	}
	text_free(&list.targets);
	return result;
}

bool alias_decode(struct view value, struct alias *out)
{
	struct value_reader *r = &out->rest;

	out->rest = (struct value_reader){ .rest = value };
	out->fails = value_get_u8(r) != 0;
	out->text = value_get_bytes(r);
	out->targets = value_get_u32(r);
	struct value_reader check = *r;

	if (check.bad || out->targets > ALIAS_TARGETS_MAX)
		return false;
	for (unsigned i = 0; i < out->targets; i++)
		value_get_bytes(&check);
	return value_end(&check);
}

bool alias_next(struct alias *a, struct view *target)
{
	if (a->rest.rest.len == 0)
		return false;
	*target = value_get_bytes(&a->rest);
	return !a->rest.bad;
}

/* ---- for the build ---- */

static int open_include(const void *context, struct view path, struct view *text,
                        struct reason *why)
{
	const struct mapbuild *b = context;
	const char *name = arena_string(b->arena, path);
	struct reason detail;

	if (path.len == 0 || path.data[0] == '/' || strstr(name, "..") != NULL)
		return fail(why, "include:%s: the path is relative to %s and has no \"..\"", name,
		            b->settings->directory_configuration);
	if (b->read_file(b->builder, name, text, &detail) != 0)
		return fail(why, "include:%s: %s", name, detail.text);
	return 0;
}

int aliases_compile(const struct mapbuild *b, struct view key, struct view value, struct text *out,
                    struct reason *why)
{
	struct view name = address_domain(key);
	const struct alias_source source = { view_of(b->settings->mail_domain), b->arena,
		                             open_include, b };
	struct domain domain;

	if (!domain_of_build(b, name, &domain, why))
		return -1;
	if (domain.class == DOMAIN_ALIAS)
		return fail(why, "%.*s is an alias of %.*s; the alias belongs there",
		            VIEW_ARG(name), VIEW_ARG(domain.target));
	return alias_compile(&source, value, out, why);
}

bool aliases_show(struct view key, struct view value, struct text *key_out, struct text *out)
{
	struct alias a;
	struct view target;

	if (!alias_decode(value, &a))
		return false;
	if (a.fails)
		text_format(out, ":fail: %.*s", VIEW_ARG(a.text));
	for (bool first = true; alias_next(&a, &target); first = false)
		text_format(out, "%s%.*s", first ? "" : ", ", VIEW_ARG(target));
	text_add(key_out, key);
	return true;
}
