/* SPDX-License-Identifier: ISC */
#include "master/authd/account.h"

#include <sodium.h>
#include <string.h>

#include "lib/conf/maptable.h"
#include "master/authd/hash.h"

enum { SAMPLES_MAX = 16, SAMPLE_SCAN_MAX = 1000 };

/* What an unknown user's password is checked against when the map has nothing to show: nobody knows
 * its password. */
#define LAST_RESORT_HASH \
	"$argon2id$v=19$m=65536,t=2,p=1$dGhlcmUgaXMgbm9ib2R5IQ$y0XYNvSXKAOKVVBVhO1ASwPlHHBCFKcSTeDVmzD0VoY"

static struct {
	struct map maps[MAPS]; /* the one that maps.def gives to authd */
	const char *mail_domain;
	struct view samples[SAMPLES_MAX]; /* real hashes */
	unsigned sample_count;
} accounts;

static void take_samples(void)
{
	struct view key, value;
	struct password record;

	map_rewind(&accounts.maps[MAP_PASSWORDS]);
	for (unsigned i = 0; i < SAMPLE_SCAN_MAX && accounts.sample_count < SAMPLES_MAX; i++) {
		if (map_next(&accounts.maps[MAP_PASSWORDS], &key, &value) != MAP_FOUND)
			return;
		if (password_decode(value, &record) && hash_usable(record.hash))
			accounts.samples[accounts.sample_count++] = record.hash;
	}
}

struct map *account_open(const char *mail_domain)
{
	accounts.mail_domain = mail_domain;
	maptable_inherit("authd", accounts.maps);
	take_samples();
	return accounts.maps;
}

void account_close(void)
{
	map_close(&accounts.maps[MAP_PASSWORDS]);
}

void account_renew(void)
{
	accounts.sample_count = 0;
	take_samples();
}

bool account_name(const char *user, char address[AUTH_ADDRESS_MAX])
{
	struct text t;

	text_init(&t, AUTH_ADDRESS_MAX - 1);
	text_add_string(&t, user);
	if (strchr(user, '@') == NULL)
		text_format(&t, "@%s", accounts.mail_domain);
	for (size_t i = 0; i < t.len; i++)
		t.raw[i] = byte_lower(t.raw[i]);
	bool good = !t.full && string_copy(address, AUTH_ADDRESS_MAX, text_view(&t));

	text_free(&t);
	return good;
}

enum map_result account_find(const char *address, struct password *out)
{
	return passwords_get(&accounts.maps[MAP_PASSWORDS], view_of(address), out);
}

static unsigned right_for(enum connection_service service)
{
	switch (service) {
	case CONNECTION_POP3: return USER_RIGHT_POP3;
	case CONNECTION_IMAP: return USER_RIGHT_IMAP;
	default: return USER_RIGHT_SMTP;
	}
}

bool account_may(const struct user *user, enum connection_service service)
{
	return user->state == USER_ACTIVE && user->rights & right_for(service);
}

/* Separated by what no value holds. */
uint64_t account_stamp(const struct password *record)
{
	const struct user *u = &record->user;
	char ids[2 * sizeof u->uid], stamp[sizeof(uint64_t)];
	crypto_generichash_state state;

	number_put_little(ids, u->uid, sizeof u->uid);
	number_put_little(ids + sizeof u->uid, u->gid, sizeof u->gid);
	crypto_generichash_init(&state, NULL, 0, crypto_generichash_BYTES_MIN);
	crypto_generichash_update(&state, (unsigned char *)ids, sizeof ids);
	crypto_generichash_update(&state, (const unsigned char *)u->home.data, u->home.len);
	crypto_generichash_update(&state, (const unsigned char *)"", 1);
	crypto_generichash_update(&state, (const unsigned char *)record->hash.data,
	                          record->hash.len);
	unsigned char digest[crypto_generichash_BYTES_MIN];

	crypto_generichash_final(&state, digest, sizeof digest);
	memcpy(stamp, digest, sizeof stamp);
	return number_get_little(stamp, sizeof stamp);
}

struct view account_hash_for_nobody(const char *address)
{
	static unsigned char key[crypto_shorthash_KEYBYTES];
	static bool keyed;
	uint64_t number;

	if (accounts.sample_count == 0)
		return VIEW(LAST_RESORT_HASH);
	if (!keyed)
		crypto_shorthash_keygen(key);
	keyed = true;
	crypto_shorthash((unsigned char *)&number, (const unsigned char *)address, strlen(address),
	                 key);
	return accounts.samples[number % accounts.sample_count];
}
