/* SPDX-License-Identifier: ISC */
/* The reader of lines: however the bytes are cut into packets, the same lines come out. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/net/stream.h"

enum { INPUT_BYTES_MAX = 40000, LINE_BYTES_MAX = 100, TIMEOUT_MS = 10000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* `ahead` bytes stand in the buffer at first, the rest comes from the socket. */
static void read_all(struct view in, size_t ahead, struct text *out)
{
	enum stream_result result;
	struct stream s;
	struct view line, later = view_skip(in, ahead);
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) < 0 ||
	    (later.len > 0 && write(fd[1], later.data, later.len) != (ssize_t)later.len))
		abort();
	close(fd[1]);
	stream_open(&s, fd[0], TIMEOUT_MS);
	stream_preload(&s, view_take(in, ahead));
	do {
		result = stream_line(&s, LINE_BYTES_MAX, &line);
		if (line.len > LINE_BYTES_MAX && result == STREAM_OK)
			abort();
		if (result == STREAM_OK)
			text_add(out, line);
		text_add_byte(out, (char)('0' + result));
	} while (result != STREAM_CLOSED && result != STREAM_TIMEOUT && result != STREAM_ERROR);
	if (result != STREAM_CLOSED)
		abort();
	stream_close(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct view in = { (const char *)data, size < INPUT_BYTES_MAX ? size : INPUT_BYTES_MAX };
	struct text first, second;

	text_init(&first, (size_t)INPUT_BYTES_MAX * 3);
	text_init(&second, (size_t)INPUT_BYTES_MAX * 3);
	read_all(in, 0, &first);
	for (size_t cut = 1; cut < 8; cut++) {
		text_clear(&second);
		read_all(in, in.len * cut / 7, &second);
		if (!view_equal(text_view(&first), text_view(&second)))
			abort();
	}
	text_free(&first);
	text_free(&second);
	return 0;
}
