/* SPDX-License-Identifier: ISC */
/* What many mounts cost at a start, a reload and for a status: t/bench/volumes [mounts].  CPU
 * milliseconds. */
#include "lib/conf/volumes.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* A data set for each home, as ZFS has them, and one in it; the homes in no order. */
static void fill(struct text *mountinfo, unsigned mounts)
{
	text_add_string(mountinfo,
	                "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
	                "23 22 0:30 / /var/vmail rw,relatime - zfs tank/mail rw,xattr\n");
	for (unsigned i = 0; i < mounts; i++) {
		unsigned home = (unsigned)((uint64_t)(i / 2) * 7919 % mounts);

		text_format(mountinfo,
		            "%u %u 0:%u / /var/vmail/example.org/user%u%s rw,relatime shared:%u - "
		            "zfs tank/mail/example.org/user%u%s rw,xattr,posixacl\n",
		            100 + i, i % 2 ? 99 + i : 23, 100 + i, home, i % 2 ? "/mail" : "", i,
		            home, i % 2 ? "/mail" : "");
	}
}

int main(int argc, char **argv)
{
	unsigned mounts = argc > 1 ? (unsigned)atol(argv[1]) : 10000;
	struct text mountinfo, out;

	text_init(&mountinfo, 64 << 20);
	text_init(&out, 64 << 20);
	fill(&mountinfo, mounts);
	double before = cpu_ms();

	volumes_in(text_view(&mountinfo), VIEW(""), VIEW("/var/vmail"), VOLUMES_ALL, &out);
	printf("%u mounts: volumes_in %38.3f ms\n", mounts, cpu_ms() - before);
	text_free(&out);
	text_free(&mountinfo);
	return 0;
}
