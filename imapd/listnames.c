/* SPDX-License-Identifier: ISC */
#include "imapd/listnames.h"

#include <stdlib.h>
#include <string.h>

/* As the store sorts. */
static int by_name(const void *a, const void *b)
{
	const char *x = ((const struct list_name *)a)->name;
	const char *y = ((const struct list_name *)b)->name;
	bool x_inbox = strcmp(x, "INBOX") == 0, y_inbox = strcmp(y, "INBOX") == 0;

	return x_inbox || y_inbox ? (int)y_inbox - (int)x_inbox : strcmp(x, y);
}

static size_t depth(const char *name)
{
	size_t n = 0;

	for (; *name; name++)
		n += *name == STORE_DELIMITER;
	return n;
}

/* How many entries there can be, before those of one name become one. */
static size_t count_all(const struct list_names *l)
{
	size_t n = (size_t)l->folders.count + l->subscriptions.count;

	for (unsigned i = 0; i < l->subscriptions.count; i++)
		n += depth(l->subscriptions.names[i].name);
	return n;
}

static void add(struct list_names *l, struct list_name name)
{
	l->names[l->count++] = name;
}

/* Of a mailbox that another program made as "inbox.x" too. */
static const char *parent_name(struct arena *arena, struct view name)
{
	return store_name_is_inbox(name) ? "INBOX" : arena_string(arena, name);
}

/* The parents of folders are folders already. */
static void add_parents(struct list_names *l, struct view name)
{
	for (size_t i = 0; i < name.len; i++) {
		struct list_name parent = { 0 };

		if (name.data[i] != STORE_DELIMITER)
			continue;
		parent.name = parent_name(&l->parents, view_take(name, i));
		add(l, parent);
	}
}

/* Entries of one name stand side by side. */
static void merge(struct list_names *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->count; i++) {
		const struct list_name *n = &l->names[i];
		struct list_name *to = kept ? &l->names[kept - 1] : NULL;

		if (to == NULL || strcmp(to->name, n->name) != 0) {
			l->names[kept++] = *n;
			continue;
		}
		to->exists |= n->exists;
		to->has_children |= n->has_children;
		to->is_folder |= n->is_folder;
		to->subscribed |= n->subscribed;
	}
	l->count = kept;
}

enum store_result listnames_read(struct store *store, struct list_names *out, struct reason *why)
{
	*out = (struct list_names){ 0 };
	enum store_result result = store_folders(store, &out->folders, why);

	if (result == STORE_OK)
		result = store_subscriptions(store, &out->subscriptions, why);
	if (result != STORE_OK) {
		listnames_free(out);
		return result;
	}
	out->names = memory_get((count_all(out) + 1) * sizeof *out->names);
	for (unsigned i = 0; i < out->folders.count; i++) {
		const struct store_folder_name *n = &out->folders.names[i];

		add(out, (struct list_name){ .name = n->name,
		                             .exists = n->selectable,
		                             .has_children = n->has_children,
		                             .is_folder = true });
	}
	for (unsigned i = 0; i < out->subscriptions.count; i++) {
		const char *name = out->subscriptions.names[i].name;

		add(out, (struct list_name){ .name = name, .subscribed = true });
		add_parents(out, view_of(name));
	}
	qsort(out->names, out->count, sizeof *out->names, by_name);
	merge(out);
	return STORE_OK;
}

void listnames_free(struct list_names *l)
{
	store_names_free(&l->folders);
	store_names_free(&l->subscriptions);
	arena_clear(&l->parents);
	free(l->names);
	*l = (struct list_names){ 0 };
}

void listnames_mark_parents(struct list_names *l)
{
	char parent[STORE_NAME_MAX + 1];

	for (size_t i = 0; i < l->count; i++) {
		const struct list_name *n = &l->names[i];

		if (!n->wanted || !string_copy(parent, sizeof parent, view_of(n->name)))
			continue;
		for (char *end; (end = strrchr(parent, STORE_DELIMITER)) != NULL;) {
			*end = '\0';
			struct list_name key = { .name = store_name_is_inbox(view_of(parent))
				                                 ? "INBOX"
				                                 : parent };
			struct list_name *found =
				bsearch(&key, l->names, l->count, sizeof key, by_name);

			if (found != NULL) {
				found->child_wanted = true;
				found->child_untold |= !n->told;
			}
		}
	}
}
