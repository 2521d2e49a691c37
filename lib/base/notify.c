/* SPDX-License-Identifier: ISC */
#include "lib/base/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/base/bytes.h"
#include "lib/base/log.h"

int notify_manager(const char *word, struct reason *why)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int result = 0;

	if (path == NULL)
		return 0;
	if (!string_copy(un.sun_path, sizeof un.sun_path, view_of(path)))
		return fail(why, "NOTIFY_SOCKET: the path is too long for a socket");
	if (path[0] == '@')
		un.sun_path[0] = '\0'; /* an abstract socket */
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));

	if (fd < 0 || sendto(fd, word, strlen(word), MSG_NOSIGNAL, (struct sockaddr *)&un, len) < 0)
		result = fail_errno(why, "telling %s", path);
	if (fd >= 0)
		close(fd);
	return result;
}

void notify_ready(int *starter)
{
	struct reason why;

	/* The starter may have gone away; the house stands all the same. */
	if (*starter >= 0 && write(*starter, "ready\n", 6) < 0)
		log_debug("event=ready-unheard reason=\"%m\"");
	if (*starter >= 0)
		close(*starter);
	*starter = -1;
	if (notify_manager("READY=1", &why) < 0)
		log_warn("event=notify-failed reason=\"%s\"", log_text(view_of(why.text)));
}
