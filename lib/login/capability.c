/* SPDX-License-Identifier: ISC */
#include "lib/login/capability.h"

static void write_word(const struct capability_writer *w, const char *word, struct view value)
{
	text_format(w->out, "%s%s%.*s%s", w->before, word, VIEW_ARG(value), w->after);
}

static void write_mechanisms(const struct capability_writer *w, const char *word)
{
	text_format(w->out, "%s%s %s%s", w->before, word, w->mechanisms, w->after);
}

void capability_write(const struct capability_writer *w, const struct capability *c)
{
	struct view rest = view_of(w->mechanisms), name;

	if (c->word == NULL || !(c->states & w->states))
		return;
	switch (c->form) {
	case CAPABILITY_WORD: write_word(w, c->word, VIEW("")); break;
	case CAPABILITY_EACH_MECHANISM:
		while (view_cut(&rest, ' ', &name))
			write_word(w, c->word, name);
		break;
	case CAPABILITY_MECHANISMS:
		if (rest.len)
			write_mechanisms(w, c->word);
	}
}
