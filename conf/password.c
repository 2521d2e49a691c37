/* SPDX-License-Identifier: ISC */
#include "conf/password.h"

#include <assert.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "conf/command.h"
#include "lib/base/file.h"

/* OWASP's first choice for argon2id, 19 MiB and two passes: a login costs some 20 ms of one core,
 * and authd spares returning clients even that. */
enum { HASH_MEMORY_BYTES = 19 << 20, HASH_PASSES = 2, GENERATED_LENGTH = 20 };

static int read_line(int fd, char out[PASSWORD_MAX + 1], struct reason *why)
{
	size_t len = 0;
	ssize_t got = 1;

	/* Byte by byte: what stands behind the line is somebody else's. */
	for (char c; len <= PASSWORD_MAX && (got = file_read_some(fd, &c, 1)) == 1 && c != '\n';)
		out[len++] = c;
	if (got < 0 || len > PASSWORD_MAX) {
		sodium_memzero(out, PASSWORD_MAX + 1);
		return got < 0 ? fail_errno(why, "read the password")
		               : fail(why, "the password is longer than %d bytes", PASSWORD_MAX);
	}
	if (len && out[len - 1] == '\r')
		len--;
	out[len] = '\0';
	return 0;
}

int password_from_stdin(char out[PASSWORD_MAX + 1], struct reason *why)
{
	if (read_line(STDIN_FILENO, out, why) != 0)
		return -1;
	return out[0] ? 0 : fail(why, "no password on standard input");
}

static int ask(int terminal, const char *question, char out[PASSWORD_MAX + 1], struct reason *why)
{
	if (write_whole(terminal, question, strlen(question)) < 0)
		return fail_errno(why, "write to the terminal");
	int result = read_line(terminal, out, why);

	if (write_whole(terminal, "\n", 1) < 0)
		return fail_errno(why, "write to the terminal");
	return result;
}

static int ask_twice(int terminal, char out[PASSWORD_MAX + 1], struct reason *why)
{
	char again[PASSWORD_MAX + 1] = "";

	if (ask(terminal, "Password (empty to generate one): ", out, why) != 0 ||
	    (out[0] && ask(terminal, "Repeat: ", again, why) != 0))
		return -1;
	bool same = strcmp(out, again) == 0;

	sodium_memzero(again, sizeof again);
	return same ? 0 : fail(why, "the two passwords differ");
}

int password_from_terminal(char out[PASSWORD_MAX + 1], struct reason *why)
{
	struct termios loud, silent;
	int terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (terminal < 0 || tcgetattr(terminal, &loud) != 0) {
		if (terminal >= 0)
			close(terminal);
		return fail_errno(why, "open the terminal");
	}
	silent = loud;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(terminal, TCSAFLUSH, &silent);
	int result = ask_twice(terminal, out, why);

	tcsetattr(terminal, TCSAFLUSH, &loud);
	close(terminal);
	return result;
}

void password_generate(char out[PASSWORD_MAX + 1])
{
	static const char letters[] = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

	if (sodium_init() < 0)
		log_fatal("libsodium cannot be used");
	for (int i = 0; i < GENERATED_LENGTH; i++)
		out[i] = letters[randombytes_uniform(sizeof letters - 1)];
	out[GENERATED_LENGTH] = '\0';
}

int password_hash(const char *password, char out[PASSWORD_HASH_ROOM], struct reason *why)
{
	static_assert(PASSWORD_HASH_ROOM >= crypto_pwhash_STRBYTES, "room for libsodium's string");
	if (sodium_init() < 0)
		log_fatal("libsodium cannot be used");
	if (crypto_pwhash_str(out, password, strlen(password), HASH_PASSES, HASH_MEMORY_BYTES) != 0)
		return fail(why, "out of memory for the password hash");
	return 0;
}

int command_password(const struct command *c, int argc, char **argv)
{
	char password[PASSWORD_MAX + 1], hash[PASSWORD_HASH_ROOM];
	struct reason why;

	(void)argv;
	if (argc > 0)
		return command_usage(c, "< PASSWORD");
	int result = isatty(STDIN_FILENO) ? password_from_terminal(password, &why)
	                                  : password_from_stdin(password, &why);

	if (result == 0 && password[0] == '\0')
		result = fail(&why, "no password");
	if (result == 0)
		result = password_hash(password, hash, &why);
	sodium_memzero(password, sizeof password);
	if (result != 0)
		return command_fail(EXIT_PERMANENT, &why);
	printf("%s\n", hash);
	return EXIT_DONE;
}
