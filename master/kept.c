/* SPDX-License-Identifier: ISC */
#include "master/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/log.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u /* Linux 6.3; the same on all machines */
#endif

/* A system may take none that could be executed (vm.memfd_noexec), a kernel of before not know the
 * flag that says so. */
static int make_file(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	return fd >= 0 || errno != EINVAL ? fd
	                                  : memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

static int make(const struct house_row *row)
{
	int fd = make_file(row->name);

	if (fd >= 0 && ftruncate(fd, (off_t)row->kept_kb * 1024) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	log_warn("event=kept-failed program=%s reason=\"%m\"", row->name);
	if (fd >= 0)
		close(fd);
	return -1;
}

void kept_renew(struct instance *i, const struct instance *with)
{
	int shared = with != NULL ? descriptors_find(&with->descriptors, "kept") : -1;
	int old = descriptors_find(&i->descriptors, "kept");

	if (i->row->kept_kb == 0)
		return;
	descriptors_drop(&i->descriptors, "kept");
	if (old >= 0)
		close(old);
	int fd = shared >= 0 ? fcntl(shared, F_DUPFD_CLOEXEC, 3) : make(i->row);

	if (fd >= 0)
		descriptors_add(&i->descriptors, "kept", fd);
}
