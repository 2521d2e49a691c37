/* SPDX-License-Identifier: ISC */
/*
 * Whose a cached piece is: an index, a cache and a message's file that came from another mailbox,
 * all made within the same second, tell nothing of the other's mail. And a file that another
 * program rewrote in place is what it is now.
 */
#include "t/unit/store.h"

#include "lib/store/internal.h"

static struct store *boxes[2];
static char homes[2][100];

static void use(int n)
{
	box = boxes[n];
	snprintf(box_home, sizeof box_home, "%s", homes[n]);
}

/* The subject, and the piece cached of it. */
static void fill(int n)
{
	char text[100];

	use(n);
	for (int i = 0; i < 3; i++) {
		snprintf(text, sizeof text, "Subject: %c%d\r\n\r\n", n ? 'b' : 'a', i);
		box_deliver(text);
	}
	struct folder *f = box_open("INBOX");

	for (uint32_t seq = 1; seq <= folder_count(f); seq++) {
		snprintf(text, sizeof text, "%c%u", n ? 'b' : 'a', (unsigned)seq - 1);
		folder_cache_put(f, seq, view_of(text));
	}
	folder_close(&f);
}

static void make(void)
{
	box_make(0);
	boxes[0] = box;
	snprintf(homes[0], sizeof homes[0], "%s", box_home);
	snprintf(homes[1], sizeof homes[1], "%s/bertha", box_root);
	store_open(homes[1], true, 0, &boxes[1], &box_why);
	/* The same UIDVALIDITY, as whoever makes many mailboxes at once has it. */
	fill(0);
	snprintf(box_home, sizeof box_home, "%s", homes[1]);
	box_shell("cp ../../anna/Maildir/posthouse.uids .");
	fill(1);
}

static void drop(void)
{
	use(1);
	store_close(&box);
	use(0);
	box_remove();
}

/* Nobody's but the owner's pieces; how many. */
static unsigned pieces(int n, bool *good)
{
	use(n);
	struct folder *f = box_open("INBOX");
	unsigned count = 0;

	for (uint32_t seq = 1; f && seq <= folder_count(f); seq++) {
		struct view piece = folder_cache_get(f, seq);
		struct message m;
		struct text subject;

		text_init(&subject, 100);
		if (message_open(f, seq, &m, &box_why) != STORE_OK ||
		    message_read(&m, strlen("Subject: "), 2, &subject, &box_why) != STORE_OK)
			*good = false;
		else if (piece.len && !view_equal(piece, text_view(&subject)))
			*good = false;
		message_close(&m);
		text_free(&subject);
		count += piece.len > 0;
	}
	folder_close(&f);
	return count;
}

static void check_exchanged(const char *what)
{
	bool good = true;

	make();
	ok(pieces(0, &good) == 3 && pieces(1, &good) == 3 && good, "pieces of both");
	box_shell("for x in %s; do mv $x ../x && mv ../../anna/Maildir/$x . && mv ../x "
	          "../../anna/Maildir/$x; done",
	          what);
	for (int n = 0; n < 2; n++)
		pieces(n, &good);
	for (int n = 0; n < 2; n++)
		pieces(n, &good);
	ok(good, "%s exchanged: nobody is told of another's mail", what);
	drop();
}

/* ---- rewritten in place ---- */

static void check_rewritten(const char *name, const char *before, const char *after,
                            const char *wanted)
{
	struct message m;
	struct view bytes = { NULL, 0 };
	struct store_message told;

	box_make(0);
	box_shell("printf '%s' > new/1.a", before);
	struct folder *f = box_open("INBOX");

	folder_message(f, 1, STORE_WANT_SIZE, &told, NULL);
	folder_cache_put(f, 1, VIEW("cached"));
	folder_cache_flush(f);
	for (int again = 0; again < 2; again++) {
		bool good = message_open(f, 1, &m, &box_why) == STORE_OK &&
		            message_view(&m, &bytes, &box_why) == STORE_OK;

		if (again)
			is_string(good ? bytes.data : box_why.text, wanted, "%s: as it is now",
			          name);
		message_close(&m);
		if (!again)
			box_shell("printf '%s' > \"$(echo cur/1.a,*)\"", after);
	}
	ok(folder_message(f, 1, STORE_WANT_SIZE, &told, NULL) == STORE_OK &&
	           told.size == strlen(wanted),
	   "its size too");
	ok(folder_cache_get(f, 1).len == 0 || strcmp(before, after) == 0,
	   "and what was cached of it is not told");
	folder_close(&f);
	f = box_open("INBOX");
	ok(folder_message(f, 1, STORE_WANT_SIZE, &told, NULL) == STORE_OK &&
	           told.size == strlen(wanted),
	   "nor by the next session");
	folder_close(&f);
	box_remove();
}

int main(void)
{
	static const char *const exchanged[] = { "posthouse.index", "posthouse.cache",
		                                 "posthouse.index posthouse.cache", "cur" };

	for (size_t i = 0; i < sizeof exchanged / sizeof *exchanged; i++)
		check_exchanged(exchanged[i]);
	check_rewritten("CRLF, shorter", "Subject: a\\r\\n\\r\\nlong text\\r\\n",
	                "Subject: a\\r\\n\\r\\n", "Subject: a\r\n\r\n");
	check_rewritten("CRLF, longer", "Subject: a\\r\\n\\r\\n",
	                "Subject: a\\r\\n\\r\\nlong text\\r\\n", "Subject: a\r\n\r\nlong text\r\n");
	check_rewritten("LF, shorter", "Subject: a\\n\\nlong text\\n", "Subject: a\\n\\n",
	                "Subject: a\r\n\r\n");
	check_rewritten("LF, longer", "Subject: a\\n\\n", "Subject: a\\n\\nlong text\\n",
	                "Subject: a\r\n\r\nlong text\r\n");
	check_rewritten("LF, longer by a byte", "Subject: a\\n\\nlong\\ntext\\n",
	                "Subject: a\\n\\nlong\\ntexts\\n", "Subject: a\r\n\r\nlong\r\ntexts\r\n");
	check_rewritten("LF becomes CRLF, shorter", "Subject: a\\n\\n\\n\\n\\n\\nlong text\\n",
	                "Subject: a\\r\\n\\r\\n", "Subject: a\r\n\r\n");
	return tap_done();
}
