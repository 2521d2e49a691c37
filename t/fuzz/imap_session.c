/* SPDX-License-Identifier: ISC */
/* A whole IMAP session on a mailbox of its own, the input being all that the client sends. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "imapd/serve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 65536, TIMEOUT_MS = 1000, MESSAGE_MAX_BYTES = 1 << 20 };

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static void add_message(struct store *store)
{
	static const char text[] =
		"From: a@b.test\r\nSubject: =?utf-8?q?=C3=A4?=\r\n"
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n"
		"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ntwo\r\n--b--\r\n";
	struct folder_append *append;
	struct folder *folder;
	struct reason why;
	uint32_t uid;

	if (folder_open(store, VIEW("INBOX"), true, &folder, &why) != STORE_OK)
		abort();
	if (folder_append_begin(folder, sizeof text - 1, &append, &why) != STORE_OK ||
	    folder_append_write(append, (struct view){ text, sizeof text - 1 }, &why) != STORE_OK ||
	    folder_append_finish(&append, 0, 0, 1000000000, &uid, &why) != STORE_OK)
		abort();
	folder_close(&folder);
}

static void run(struct store *store, struct view input)
{
	struct session s = { .state = SESSION_AUTHENTICATED,
		             .store = store,
		             .timeout_ms = TIMEOUT_MS,
		             .message_max = MESSAGE_MAX_BYTES };

	string_put(s.who.tag, sizeof s.who.tag, VIEW("login"));
	string_put(s.who.address, sizeof s.who.address, VIEW("fuzz@example.test"));
	text_init(&s.tagged, SESSION_TAGGED_MAX);
	stream_open(&s.stream, open("/dev/null", O_RDWR | O_CLOEXEC), TIMEOUT_MS);
	stream_preload(&s.stream, input);
	serve_session(&s);
	if (s.folder != NULL)
		abort();
	text_free(&s.tagged);
	stream_close(&s.stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char home[] = "/tmp/imapfuzz.XXXXXX";
	struct store *store;
	struct reason why;

	if (size > INPUT_MAX)
		return 0;
	if (mkdtemp(home) == NULL || store_open(home, true, 0, &store, &why) != STORE_OK)
		abort();
	add_message(store);
	run(store, (struct view){ (const char *)data, size });
	store_close(&store);
	nftw(home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}
