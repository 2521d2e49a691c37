/* SPDX-License-Identifier: ISC */
#include "lib/queue/queuelist.h"

#include <time.h>

void queue_list_clean(FILE *out, struct view v)
{
	size_t clean = 0;

	for (size_t i = 0; i < v.len; i++) {
		if ((unsigned char)v.data[i] >= ' ' && v.data[i] != 0x7f)
			continue;
		fwrite(v.data + clean, 1, i - clean, out);
		fputc('?', out);
		clean = i + 1;
	}
	fwrite(v.data + clean, 1, v.len - clean, out);
}

static void print_entry(const struct control_entry *e, FILE *out)
{
	struct view rest = e->recipient_list, address;
	time_t arrived = (time_t)e->arrived_s;
	char stamp[32];
	struct tm local;
	uint32_t shown = 0;

	localtime_r(&arrived, &local);
	strftime(stamp, sizeof stamp, "%a %b %e %H:%M:%S", &local);
	fprintf(out, "%s%c %8llu %s  ", e->id,
	        e->state == 'a'   ? '*'
	        : e->state == 'h' ? '!'
	                          : ' ',
	        (unsigned long long)e->bytes, stamp);
	queue_list_clean(out, e->sender[0] ? view_of(e->sender) : VIEW("<>"));
	fputc('\n', out);
	if (e->reason[0]) {
		fprintf(out, "%15s(", "");
		queue_list_clean(out, view_of(e->reason));
		fprintf(out, ")\n");
	}
	while (view_cut(&rest, '\n', &address)) {
		fprintf(out, "%42s", "");
		queue_list_clean(out, address);
		fputc('\n', out);
		shown++;
	}
	if (shown < e->recipients)
		fprintf(out, "%42sand %u more\n", "", e->recipients - shown);
	fputc('\n', out);
}

void queue_list_print(void *context, const struct control_entry *e)
{
	static char buffer[65536];
	struct queue_list *list = context;

	if (list->count == 0) {
		setvbuf(list->out, buffer, _IOFBF, sizeof buffer); /* a long queue in few writes */
		fprintf(list->out,
		        "-Queue ID-----  --Size-- ----Arrival Time---- -Sender/Recipient-------\n");
	}
	print_entry(e, list->out);
	list->count++;
	list->bytes += e->bytes;
}

void queue_list_print_end(const struct queue_list *list)
{
	if (list->count == 0)
		fprintf(list->out, "Mail queue is empty\n");
	else
		fprintf(list->out, "-- %llu Kbytes in %zu Request%s.\n",
		        (unsigned long long)((list->bytes + 1023) / 1024), list->count,
		        list->count == 1 ? "" : "s");
}

bool queue_counts_any(const struct control_counts *c)
{
	return (c->damaged | c->torn | c->misplaced | c->stray | c->unreadable | c->left |
	        c->unwritten) != 0;
}

void queue_counts_text(const struct control_counts *c, char out[QUEUE_COUNTS_TEXT_MAX])
{
	const struct {
		uint32_t count;
		const char *word;
	} rows[] = { { c->damaged, "damaged" },
		     { c->torn, "torn" },
		     { c->misplaced, "misplaced" },
		     { c->stray, "stray" },
		     { c->unreadable, "unreadable" },
		     { c->left, "delivered but not removable" },
		     { c->unwritten, "not up to date on disk" } };
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].count)
			used += string_print(out + used, QUEUE_COUNTS_TEXT_MAX - used, "%s%u %s",
			                     used ? ", " : "", rows[i].count, rows[i].word);
}

void queue_list_print_counts(const struct control_counts *c, FILE *out)
{
	struct control_counts aside = *c;
	char text[QUEUE_COUNTS_TEXT_MAX];

	if (c->unwritten)
		fprintf(out,
		        "-- Not up to date on disk: %u message%s (see posthouse queue check).\n",
		        c->unwritten, c->unwritten == 1 ? "" : "s");
	aside.unwritten = 0;
	if (!queue_counts_any(&aside))
		return;
	queue_counts_text(&aside, text);
	fprintf(out, "-- Not in this list: %s (see posthouse queue check).\n", text);
}
