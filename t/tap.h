/* SPDX-License-Identifier: ISC */
/* TAP for tests in C: include in the test's one file, end main with `return tap_done();`. */
#ifndef T_TAP_H
#define T_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_count, tap_failed;

__attribute__((format(printf, 4, 5), unused)) static bool tap_ok(bool good, const char *file,
                                                                 int line, const char *format, ...)
{
	va_list list;

	printf("%sok %d - ", good ? "" : "not ", ++tap_count);
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	printf("\n");
	if (!good) {
		tap_failed++;
		printf("# at %s:%d\n", file, line);
	}
	return good;
}

/* ok(condition, "printf name", ...) */
#define ok(condition, ...) tap_ok((condition), __FILE__, __LINE__, __VA_ARGS__)

/* Compares two strings and shows both when they differ. */
#define is_string(got, want, ...)                                              \
	do {                                                                   \
		const char *tap_got = (got), *tap_want = (want);               \
		if (!ok(strcmp(tap_got, tap_want) == 0, __VA_ARGS__))          \
			printf("# got:  %s\n# want: %s\n", tap_got, tap_want); \
	} while (0)

__attribute__((unused)) static int tap_done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed != 0;
}

#endif
