/* SPDX-License-Identifier: ISC */
#include "lib/base/reason.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "lib/base/bytes.h"

enum { CAUSE_MAX = 80 /* ": No space left on device" */ };

int fail(struct reason *why, const char *format, ...)
{
	va_list list;

	if (why == NULL)
		return -1;
	va_start(list, format);
	string_print_cut_list(why->text, sizeof why->text, format, list);
	va_end(list);
	return -1;
}

int fail_errno(struct reason *why, const char *format, ...)
{
	int kept_errno = errno;
	va_list list;

	if (why == NULL)
		return -1;
	/* What is long is cut, not the cause. */
	va_start(list, format);
	string_print_cut_list(why->text, sizeof why->text - CAUSE_MAX, format, list);
	va_end(list);
	size_t used = strlen(why->text);

	string_print_cut(why->text + used, sizeof why->text - used, ": %s", strerror(kept_errno));
	errno = kept_errno;
	return -1;
}
