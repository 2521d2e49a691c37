/* SPDX-License-Identifier: ISC */
#include "t/unit/store.h"

#include <poll.h>
#include <sys/wait.h>

#include "lib/store/internal.h"

static void check_names(void)
{
	static const struct {
		const char *name, *stem;
		uint32_t validity, uid, flags;
		uint64_t keywords, size;
		bool message, canonical;
	} cases[] = {
		{ "1.M2P3.host", "1.M2P3.host", 0, 0, 0, 0, 0, true, false },
		{ "1.host,S=12,U=ab.7:2,FS", "1.host,S=12", 0xab, 7,
		  STORE_FLAG_FLAGGED | STORE_FLAG_SEEN, 0, 12, true, true },
		{ "1.host,U=ab.7,S=12:2,", "1.host,S=12", 0xab, 7, 0, 0, 12, true, false },
		{ "1.host,U=ab.7:2,SF", "1.host", 0xab, 7, STORE_FLAG_FLAGGED | STORE_FLAG_SEEN, 0,
		  0, true, false },
		{ "1.host,U=12:2,Sac", "1.host,U=12", 0, 0, STORE_FLAG_SEEN, 5, 0, true, false },
		{ "1.host,U=AB.7:2,", "1.host,U=AB.7", 0, 0, 0, 0, 0, true, false },
		{ "1.host,U=0.7:2,", "1.host,U=0.7", 0, 0, 0, 0, 0, true, false },
		{ "1.host,U=ab.0:2,", "1.host,U=ab.0", 0, 0, 0, 0, 0, true, false },
		{ "1.host,U=ab.4294967296", "1.host,U=ab.4294967296", 0, 0, 0, 0, 0, true, false },
		{ "U=ab.7", "U=ab.7", 0, 0, 0, 0, 0, true, false },
		{ "x:1,foo", "x:1,foo", 0, 0, 0, 0, 0, true, false },
		{ ".hidden", "", 0, 0, 0, 0, 0, false, false },
		{ ":2,S", "", 0, 0, 0, 0, 0, false, false },
		{ "", "", 0, 0, 0, 0, 0, false, false },
	};
	struct message_name n;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		bool message = name_parse(view_of(cases[i].name), &n);

		ok(message == cases[i].message, "%s is%s a message", cases[i].name,
		   cases[i].message ? "" : " not");
		if (message)
			ok(strcmp(n.stem, cases[i].stem) == 0 && n.validity == cases[i].validity &&
			           n.uid == cases[i].uid && n.flags == cases[i].flags &&
			           n.keywords == cases[i].keywords && n.size == cases[i].size &&
			           n.canonical == cases[i].canonical,
			   "%s is read", cases[i].name);
	}
	char long_name[300];

	memset(long_name, 'x', sizeof long_name);
	ok(!name_parse((struct view){ long_name, NAME_STEM_MAX + 1 }, &n),
	   "a stem beyond its limit");
	ok(name_parse((struct view){ long_name, NAME_STEM_MAX }, &n), "a stem at its limit");
	ok(name_order("9.x", "10.a") < 0 && name_order("10.b", "10.a") > 0,
	   "names are ordered by time");
}

static const char one[] = "Subject: one\r\n\r\nbody\r\n";

/* What cannot be read is told by its cause. */
static void check_unreadable(void)
{
	struct message m;
	struct view bytes;
	struct text piece;

	box_make(0);
	struct folder *f = box_open("INBOX");

	box_deliver(one);
	box_sync(f);
	ok(message_open(f, 1, &m, &box_why) == STORE_OK, "a message opens");
	ok(box_shell("truncate -s 5 cur/*"), "and is cut");
	ok(message_view(&m, &bytes, &box_why) == STORE_FAILED, "it is no message now");
	is_string(box_why.text, "read message: is shorter than expected", "and why");
	ok(message_view(&m, &bytes, &box_why) == STORE_FAILED, "also when asked again");
	close(m.fd);
	m.fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	text_init(&piece, 100);
	ok(message_read(&m, 0, 5, &piece, &box_why) == STORE_FAILED, "a read that fails");
	is_string(box_why.text, "read message: Is a directory", "and why");
	text_free(&piece);
	message_close(&m);
	folder_close(&f);
	box_remove();
}

static void see_deliveries(struct folder *f)
{
	is_string(box_list(f), "", "an empty INBOX");
	box_deliver(one);
	box_deliver("Subject: two\r\n\r\n");
	struct folder_changes c = box_sync(f);

	ok(c.exists && c.recent && folder_count(f) == 2 && folder_recent(f) == 2,
	   "two deliveries are told");
	is_string(box_list(f), "1 2", "with UIDs in order");
	ok(folder_first_unseen(f) == 1 && folder_uidnext(f) == 3, "counted");
	c = box_sync(f);
	ok(!c.exists && !c.recent && c.expunged_count == 0 && c.flags_count == 0,
	   "nothing more to tell");
}

static void read_message(struct folder *f)
{
	struct message m;
	struct view bytes;
	struct store_message info;

	ok(message_open(f, 1, &m, &box_why) == STORE_OK && m.size == strlen(one) && !m.converts,
	   "a message opens");
	ok(message_view(&m, &bytes, &box_why) == STORE_OK && view_equal(bytes, view_of(one)),
	   "byte for byte");
	message_close(&m);
	ok(folder_message(f, 1, STORE_WANT_SIZE | STORE_WANT_DATE, &info, &box_why) == STORE_OK &&
	           info.size == strlen(one) && llabs(info.date_s - now_ns() / 1000000000) < 100,
	   "its size and date");
}

static void set_flags(struct folder *f)
{
	ok(folder_store(f, (uint32_t[]){ 1 }, 1, STORE_ADD, STORE_FLAG_SEEN, 0, &box_why) ==
	           STORE_OK,
	   "STORE +FLAGS");
	ok(folder_store(f, (uint32_t[]){ 1, 2 }, 2, STORE_ADD, STORE_FLAG_DELETED, 0, &box_why) ==
	           STORE_OK,
	   "STORE of two");
	is_string(box_list(f), "1ST 2T", "flags are there");
	ok(folder_store(f, (uint32_t[]){ 1 }, 1, STORE_REMOVE, STORE_FLAG_DELETED, 0, &box_why) ==
	                   STORE_OK &&
	           folder_store(f, (uint32_t[]){ 1 }, 1, STORE_REPLACE, STORE_FLAG_ANSWERED, 0,
	                        &box_why) == STORE_OK,
	   "STORE -FLAGS and FLAGS");
	is_string(box_list(f), "1R 2T", "are there");
}

/* g: another session on it. */
static void expunge_one(struct folder *f, struct folder *g)
{
	struct message m;
	struct store_message info;

	is_string(box_list(g), "1R 2T", "another session sees them");
	ok(folder_recent(g) == 0, "but nothing recent");
	ok(folder_expunge(f, NULL, 0, &box_why) == STORE_OK, "EXPUNGE");
	ok(folder_count(f) == 2 && folder_message(f, 2, 0, &info, NULL) == STORE_OK &&
	           info.uid == 2,
	   "the numbers stay");
	ok(message_open(f, 2, &m, &box_why) == STORE_GONE, "the message is gone");
	struct folder_changes c = box_sync(f);

	ok(c.expunged_count == 1 && c.expunged[0] == 2 && folder_count(f) == 1, "until told");
	ok(folder_sync(g, 0, &c, &box_why) == STORE_OK && c.expunged_count == 0 &&
	           folder_count(g) == 2,
	   "not without leave");
	c = box_sync(g);
	ok(c.expunged_count == 1 && c.expunged[0] == 2, "the other session is told too");
}

static void append_one(struct folder *f)
{
	struct message m;
	struct view bytes;
	struct store_message info;
	uint32_t uid =
		box_append(f, "Subject: three\n\nbare\n", STORE_FLAG_SEEN | STORE_FLAG_FLAGGED);

	ok(uid == 3, "APPEND gives UID 3");
	box_sync(f);
	is_string(box_list(f), "1R 3FS", "with its flags");
	ok(folder_message(f, 2, STORE_WANT_SIZE | STORE_WANT_DATE, &info, &box_why) == STORE_OK &&
	           info.size == 24 && info.date_s == 1000000000,
	   "size with CRLF, date as given");
	ok(message_open(f, 2, &m, &box_why) == STORE_OK && m.converts &&
	           message_view(&m, &bytes, &box_why) == STORE_OK &&
	           view_equal(bytes, VIEW("Subject: three\r\n\r\nbare\r\n")),
	   "bare LF is served as CRLF");
	struct text some;

	text_init(&some, 1000);
	ok(message_read(&m, 3, 5, &some, &box_why) == STORE_OK &&
	           view_equal(text_view(&some), VIEW("ject:")),
	   "a piece of it");
	text_free(&some);
	message_close(&m);
}

static void see_each_other(struct folder *f, struct folder *g)
{
	struct folder_changes c = box_sync(g);

	ok(c.exists && c.flags_count == 0, "the other session has it");
	folder_store(g, (uint32_t[]){ 1 }, 1, STORE_ADD, STORE_FLAG_SEEN, 0, &box_why);
	c = box_sync(f);
	ok(c.flags_count == 1 && c.flags[0] == 1, "flags of the other session are told");
	is_string(box_list(f), "1RS 3FS", "and seen");
}

static void check_thread(void)
{
	box_make(0);
	struct folder *f = box_open("INBOX");

	see_deliveries(f);
	read_message(f);
	set_flags(f);
	struct folder *g = box_open("INBOX");

	expunge_one(f, g);
	append_one(f);
	see_each_other(f, g);
	folder_close(&g);
	folder_close(&f);
	f = box_open("INBOX");
	is_string(box_list(f), "1RS 3FS", "opened again");
	folder_close(&f);
	box_remove();
}

static void check_keywords(void)
{
	box_make(0);
	struct folder *f = box_open("INBOX");
	char name[16];

	box_append(f, one, 0);
	box_sync(f);
	ok(folder_keyword(f, VIEW("$Work"), false) == -1, "no keyword yet");
	ok(folder_keyword(f, VIEW("$Work"), true) == 0 &&
	           folder_keyword(f, VIEW("$WORK"), false) == 0,
	   "the first keyword");
	for (int i = 1; i < STORE_KEYWORDS_MAX; i++) {
		snprintf(name, sizeof name, "k%d", i);
		if (folder_keyword(f, view_of(name), true) != i)
			ok(false, "keyword %d", i);
	}
	ok(folder_keyword(f, VIEW("more"), true) == -1, "no more than %d", STORE_KEYWORDS_MAX);
	ok(folder_keyword(f, VIEW("a b"), true) == -1, "no blanks");
	folder_store(f, (uint32_t[]){ 1 }, 1, STORE_ADD, 0, 1 | 1ull << 25 | 1ull << 40, &box_why);
	is_string(box_list(f), "1az+", "set");
	folder_close(&f);
	f = box_open("INBOX");
	is_string(box_list(f), "1az+", "kept");
	is_string(folder_keyword_name(f, 40), "k40", "with their names");
	folder_close(&f);
	box_shell("rm posthouse.index");
	f = box_open("INBOX");
	is_string(box_list(f), "1az", "the index lost: letters stay, the others are lost");
	is_string(folder_keyword_name(f, 0), "$Work", "names are in their file");
	folder_close(&f);
	box_shell("rm posthouse.index posthouse.keywords");
	f = box_open("INBOX");
	is_string(box_list(f), "1az", "both lost: letters without names");
	ok(folder_keyword_name(f, 0) == NULL && folder_keyword(f, VIEW("new"), true) == 1,
	   "which no new keyword takes");
	folder_close(&f);
	box_remove();
}

static void check_copy(void)
{
	box_make(0);
	ok(store_create(box, VIEW("Work.Old"), &box_why) == STORE_OK, "a folder");
	struct folder *f = box_open("INBOX"), *to = box_open("Work.Old");
	uint32_t uids[4];

	for (int i = 0; i < 4; i++)
		box_append(f, one, i == 2 ? STORE_FLAG_SEEN : 0);
	box_sync(f);
	int k = folder_keyword(f, VIEW("x"), true);

	folder_keyword(to, VIEW("other"), true);
	folder_store(f, (uint32_t[]){ 2 }, 1, STORE_ADD, 0, 1ull << k, &box_why);
	folder_cache_put(f, 2, VIEW("about two"));
	folder_cache_flush(f);
	ok(folder_copy(f, (uint32_t[]){ 2, 3 }, 2, to, uids, &box_why) == STORE_OK &&
	           uids[0] == 1 && uids[1] == 2,
	   "COPY");
	box_sync(to);
	is_string(box_list(to), "1b 2S", "flags and keywords go along");
	ok(view_equal(folder_cache_get(to, 1), VIEW("about two")), "and the cache");
	struct store_message a, b;

	folder_message(f, 3, STORE_WANT_DATE, &a, NULL);
	folder_message(to, 2, STORE_WANT_DATE, &b, NULL);
	ok(a.date_s == b.date_s, "and the date");
	ok(folder_copy(f, (uint32_t[]){ 1 }, 1, f, uids, &box_why) == STORE_OK && uids[0] == 5,
	   "COPY into itself");
	ok(folder_move(f, (uint32_t[]){ 1, 4 }, 2, to, uids, &box_why) == STORE_OK &&
	           uids[0] == 3 && uids[1] == 4,
	   "MOVE");
	box_sync(f);
	box_sync(to);
	is_string(box_list(f), "2a 3S 5", "gone here");
	is_string(box_list(to), "1b 2S 3 4", "and there");
	struct message m;

	ok(message_open(to, 4, &m, &box_why) == STORE_OK && m.size == strlen(one), "and readable");
	message_close(&m);
	folder_close(&f);
	folder_close(&to);
	ok(store_rename(box, VIEW("INBOX"), VIEW("Kept"), &box_why) == STORE_OK, "RENAME INBOX");
	f = box_open("INBOX");
	to = box_open("Kept");
	ok(folder_count(f) == 0 && folder_count(to) == 3, "its messages have moved");
	folder_close(&f);
	folder_close(&to);
	box_remove();
}

static const char *names_text(const struct store_names *names)
{
	static char out[2000];
	size_t used = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < names->count; i++)
		used += (size_t)snprintf(out + used, sizeof out - used, "%s%s%s%s", i ? " " : "",
		                         names->names[i].name,
		                         names->names[i].selectable ? "" : "!",
		                         names->names[i].has_children ? "+" : "");
	return out;
}

static void check_folders(void)
{
	static const char *const bad[] = { "",     ".",  "a..b", ".a",   "a.",      "a/b",
		                           "../x", "a*", "a%",   "a\nb", "\xc3\xa4" };
	struct store_names names;

	box_make(0);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ok(store_create(box, view_of(bad[i]), NULL) == STORE_BAD_NAME, "a bad name: %zu",
		   i);
	char long_name[STORE_NAME_MAX + 2];

	memset(long_name, 'n', sizeof long_name);
	ok(store_create(box, (struct view){ long_name, STORE_NAME_MAX + 1 }, NULL) ==
	           STORE_BAD_NAME,
	   "too long");
	ok(store_create(box, (struct view){ long_name, STORE_NAME_MAX }, NULL) == STORE_OK,
	   "as long as can be");
	ok(store_delete(box, (struct view){ long_name, STORE_NAME_MAX }, NULL) == STORE_OK,
	   "and away");
	ok(store_create(box, VIEW("inbox"), NULL) == STORE_EXISTS, "INBOX exists");
	ok(store_create(box, VIEW("A.B.C"), NULL) == STORE_OK &&
	           store_create(box, VIEW("A B"), NULL) == STORE_OK &&
	           store_create(box, VIEW("A"), NULL) == STORE_EXISTS,
	   "folders, with the superiors that they need");
	ok(store_create(box, VIEW("A"), NULL) == STORE_EXISTS, "one of them again");
	ok(store_subscribe(box, VIEW("A.B"), true, NULL) == STORE_OK &&
	           store_subscribe(box, VIEW("gone"), true, NULL) == STORE_OK,
	   "subscribed");
	box_shell("ln -s cur .Link; mkdir .Foreign .M.N");
	store_folders(box, &names, NULL);
	is_string(names_text(&names), "INBOX A+ A B A.B+ A.B.C Foreign M!+ M.N",
	          "the list, without the link");
	store_names_free(&names);
	store_subscriptions(box, &names, NULL);
	is_string(names_text(&names), "A.B+ gone!", "the subscriptions");
	store_names_free(&names);
	struct folder *f;

	ok(folder_open(box, VIEW("Link"), false, &f, NULL) == STORE_NOT_FOUND,
	   "a link is not followed");
	ok(folder_open(box, VIEW("Foreign"), false, &f, NULL) == STORE_OK,
	   "a bare directory becomes a folder");
	folder_close(&f);
	ok(store_rename(box, VIEW("A"), VIEW("A.B.D"), NULL) == STORE_BAD_NAME, "not below itself");
	ok(store_rename(box, VIEW("A"), VIEW("X.Z"), NULL) == STORE_OK,
	   "renamed with its inferiors");
	ok(store_rename(box, VIEW("A"), VIEW("Y"), NULL) == STORE_NOT_FOUND, "once");
	ok(store_rename(box, VIEW("X.Z"), VIEW("A B"), NULL) == STORE_EXISTS, "not over another");
	store_folders(box, &names, NULL);
	is_string(names_text(&names), "INBOX A B Foreign M!+ M.N X+ X.Z+ X.Z.B+ X.Z.B.C",
	          "as told");
	store_names_free(&names);
	f = box_open("X.Z.B.C");
	uint32_t validity = folder_uidvalidity(f);
	struct folder_changes c;

	ok(store_delete(box, VIEW("X.Z.B.C"), NULL) == STORE_OK &&
	           store_delete(box, VIEW("X.Z.B.C"), NULL) == STORE_NOT_FOUND,
	   "deleted");
	ok(folder_sync(f, 0, &c, NULL) == STORE_GONE, "a session in it is told");
	folder_close(&f);
	store_create(box, VIEW("X.Z.B.C"), NULL);
	f = box_open("X.Z.B.C");
	ok(folder_uidvalidity(f) > validity, "made again it has another UIDVALIDITY");
	folder_close(&f);
	ok(store_delete(box, VIEW("X.Z.B.C"), NULL) == STORE_OK &&
	           store_delete(box, VIEW("X.Z.B"), NULL) == STORE_OK &&
	           store_delete(box, VIEW("M"), NULL) == STORE_NOT_FOUND,
	   "superiors stay, and can be deleted; what another program did not make cannot");
	box_remove();
}

static void check_foreign(void)
{
	box_make(0);
	struct folder *f = box_open("INBOX");
	struct folder_changes c;

	for (int i = 0; i < 3; i++)
		box_append(f, one, 0);
	box_sync(f);
	box_shell("for x in cur/*.1:2,; do mv \"$x\" \"${x}FS\"; done");
	c = box_sync(f);
	ok(c.flags_count == 1, "another program's flags are told");
	is_string(box_list(f), "1FS 2 3", "and seen");
	box_shell(
		"cp cur/*.2:2, cur/x-copy,U=1.1:2,S; rm cur/*.3:2,; printf 'Subject: x\\n\\ny\\n' > new/1.foreign; ln -s /etc/passwd cur/2.link");
	c = box_sync(f);
	ok(c.expunged_count == 1 && c.expunged[0] == 3 && c.exists,
	   "its copies, removals and new mail too");
	is_string(box_list(f), "1FS 2 4S 5", "with new UIDs");
	struct store_message m;

	ok(folder_message(f, 4, STORE_WANT_SIZE, &m, NULL) == STORE_OK && m.size == 17,
	   "a foreign file is measured");
	box_shell("x=$(ls cur/*.2:2,); cp \"$x\" \"${x}S\"; mkdir -p cur/dir");
	box_sync(f);
	is_string(box_list(f), "1FS 2 4S 5 6S", "a copy with the same UID gets another");
	box_shell("for x in cur/*.2:2,; do mv \"$x\" \"${x}T\"; done");
	struct message message;

	ok(message_open(f, 2, &message, NULL) == STORE_OK, "a renamed message is found again");
	message_close(&message);
	box_shell("n=$(printf '%%0200d' 7); cp cur/*.6:2,S new/$n");
	box_sync(f);
	ok(folder_count(f) == 6, "a name that is too long is taken in under another");
	box_shell("x=$(ls cur/*.6:2,S); mv \"$x\" keep; true");
	box_sync(f);
	box_shell("mv keep cur/1.back,U=$(cut -c1-8 posthouse.uids).6:2,");
	box_sync(f);
	ok(folder_uid(f, folder_count(f)) > 7, "a removed UID that comes back is a new message");
	folder_close(&f);
	box_remove();
}

/* The index goes while one session has not read yet what another wrote there. */
static void check_lost_index(void)
{
	box_make(0);
	struct folder *one_session = box_open("INBOX"), *other = box_open("INBOX");

	box_append(one_session, one, 0);
	box_sync(one_session);
	box_sync(other);
	uint32_t given = box_append(one_session, one, 0);

	box_append(one_session, one, 0);
	box_sync(one_session);
	is_string(box_list(one_session), "1 2 3",
	          "three messages, of which the other session knows one");
	folder_store(one_session, (uint32_t[]){ 3 }, 1, STORE_ADD, STORE_FLAG_DELETED, 0, &box_why);
	folder_expunge(one_session, NULL, 0, &box_why);
	box_shell("rm posthouse.index");
	folder_keyword(other, VIEW("x"), true);
	box_sync(other);
	is_string(box_list(other), "1 2",
	          "the index made anew by the other: what it did not know keeps its UID");
	ok(box_append(other, one, 0) > 3, "and the last UID is not given again");
	box_sync(one_session);
	box_sync(other);
	ok(folder_count(one_session) == 3 && folder_uid(one_session, 2) == given,
	   "both see the same");
	is_string(box_list(one_session), box_list(other), "under the same UIDs");
	folder_close(&one_session);
	folder_close(&other);
	box_remove();
}

static void check_tmp(void)
{
	const int64_t now_s = now_ns() / 1000000000, hour_s = 3600;

	box_make(0);
	box_shell(
		"touch -d '3 days ago' tmp/set; touch tmp/young; mkdir -p tmp/folder/cur; touch tmp/folder/cur/x cur");
	struct folder *f = box_open("INBOX");

	ok(box_shell("test -e tmp/set && test -e tmp/young"),
	   "what may still be in the making stays in tmp");
	clean_tmp(f->tmp, now_s + 35 * hour_s);
	ok(box_shell("test -e tmp/young"), "also after 35 hours");
	clean_tmp(f->tmp, now_s + 37 * hour_s);
	ok(box_shell("test $(ls tmp | wc -l) = 0"), "but not after 37");
	folder_close(&f);
	box_remove();
}

static void check_quota(void)
{
	struct store_quota q;

	box_make(100);
	struct folder *f = box_open("INBOX");

	ok(store_quota_check(box, 101, NULL) == STORE_TOO_LARGE &&
	           store_quota_check(box, 100, NULL) == STORE_OK,
	   "limits");
	box_append(f, one, 0);
	box_append(f, one, STORE_FLAG_DELETED);
	ok(store_quota(box, &q, NULL) == STORE_OK && q.used_bytes == 2 * strlen(one) &&
	           q.used_messages == 2,
	   "counted");
	ok(store_quota_check(box, 60, NULL) == STORE_OVER_QUOTA, "full");
	struct delivery d;

	ok(delivery_begin(&d, box_home, 100, 60, NULL) == STORE_OVER_QUOTA, "for a delivery too");
	folder_expunge(f, NULL, 0, NULL);
	ok(store_quota(box, &q, NULL) == STORE_OK && q.used_bytes == strlen(one) &&
	           q.used_messages == 1,
	   "made room");
	box_shell("rm maildirsize");
	ok(store_quota(box, &q, NULL) == STORE_OK && q.used_bytes == strlen(one), "counted anew");

	/* Another program removes messages, and leaves the file alone. */
	box_append(f, one, 0);
	ok(store_quota_check(box, 60, NULL) == STORE_OVER_QUOTA, "full again");
	box_append(f, "x\r\n", 0);
	box_shell("rm cur/*");
	ok(store_quota_check(box, 60, NULL) == STORE_OK, "counted before anything is refused");
	box_shell("printf '100S\\n90 2\\n' > maildirsize");
	ok(store_quota_check(box, 60, NULL) == STORE_OVER_QUOTA, "but not twice in a minute");
	box_shell("touch -d '20 minutes ago' maildirsize");
	ok(store_quota_check(box, 60, NULL) == STORE_OK && store_quota(box, &q, NULL) == STORE_OK &&
	           q.used_messages == 0,
	   "later again");
	box_shell("printf '100S\\n90 2\\n' > maildirsize; touch -d '20 minutes' maildirsize");
	ok(store_quota_check(box, 60, NULL) == STORE_OK, "and whatever the clock says");
	folder_close(&f);
	box_remove();
}

static void check_watch(void)
{
	box_make(0);
	struct folder *f = box_open("INBOX");
	struct pollfd p = { .fd = folder_watch(f), .events = POLLIN };

	ok(p.fd >= 0 && poll(&p, 1, 0) == 0, "quiet");
	box_deliver(one);
	ok(poll(&p, 1, 1000) == 1, "a delivery is felt");
	ok(box_sync(f).exists, "and told");
	box_sync(f);
	ok(poll(&p, 1, 0) == 0, "quiet again");
	struct store *other;

	ok(store_lock_session(box) >= 0, "the POP3 lock");
	store_open(box_home, false, 0, &other, NULL);
	ok(store_lock_session(other) == -1, "once");
	store_close(&other);
	folder_close(&f);
	box_remove();
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	check_names();
	check_unreadable();
	check_thread();
	check_keywords();
	check_copy();
	check_folders();
	check_foreign();
	check_lost_index();
	check_tmp();
	check_quota();
	check_watch();
	return tap_done();
}
