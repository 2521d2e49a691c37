/* SPDX-License-Identifier: ISC */
/*
 * The one double list. A struct that is to stand in one has a `struct link` for it, zeroed while it
 * stands in none; list_owner gives the struct back. Adding what stands in a list, or removing what
 * stands in none, does nothing.
 *
 *	LIST_EACH(line, &hub->lines, struct hub_line, all)
 *		...                      the present one may be removed, and only that one
 */
#ifndef LIB_BASE_LIST_H
#define LIB_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list;

struct link {
	struct link *next, *previous;
	struct list *list; /* NULL: in none */
};

struct list {
	struct link *first, *last;
	size_t count;
};

#define list_owner(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))
/* The struct around a link that may be NULL. */
#define list_owner_or_null(link, type, member) \
	((link) ? list_owner((link), type, member) : (type *)NULL)

#define LIST_EACH(name, list, type, member)                                  \
	for (struct link *name##_link = (list)->first, *name##_next;         \
	     name##_link != NULL && (name##_next = name##_link->next, true); \
	     name##_link = name##_next)                                      \
		for (type *name = list_owner(name##_link, type, member); name != NULL; name = NULL)

void list_add_first(struct list *list, struct link *link);
void list_add_last(struct list *list, struct link *link);
void list_remove(struct link *link);
/* The first one, removed; NULL: the list is empty. */
struct link *list_take_first(struct list *list);

#endif
