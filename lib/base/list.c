/* SPDX-License-Identifier: ISC */
#include "lib/base/list.h"

void list_add_first(struct list *list, struct link *link)
{
	if (link->list != NULL)
		return;
	*link = (struct link){ .next = list->first, .list = list };
	if (list->first != NULL)
		list->first->previous = link;
	else
		list->last = link;
	list->first = link;
	list->count++;
}

void list_add_last(struct list *list, struct link *link)
{
	if (link->list != NULL)
		return;
	*link = (struct link){ .previous = list->last, .list = list };
	if (list->last != NULL)
		list->last->next = link;
	else
		list->first = link;
	list->last = link;
	list->count++;
}

void list_remove(struct link *link)
{
	struct list *list = link->list;

	if (list == NULL)
		return;
	if (link->previous != NULL)
		link->previous->next = link->next;
	else
		list->first = link->next;
	if (link->next != NULL)
		link->next->previous = link->previous;
	else
		list->last = link->previous;
	list->count--;
	*link = (struct link){ 0 };
}

struct link *list_take_first(struct list *list)
{
	struct link *link = list->first;

	if (link != NULL)
		list_remove(link);
	return link;
}
