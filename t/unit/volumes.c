/* SPDX-License-Identifier: ISC */
#include "lib/conf/volumes.h"

#include "t/tap.h"

/* mount(8) mounts the first ones for users. */
#define FSTAB                                                      \
	"# /dev/x /var/vmail/example.org xfs user 0 0\n"           \
	"//s/m\t/var/vmail/m/music  cifs\tnoauto,user,uid=1 0 0\n" \
	"s:/n /var/vmail/n/my\\040mail nfs noauto,users\n"         \
	"/dev/o /var/vmail/o auto owner\n"                         \
	"/dev/g /var/vmail/g auto group\n"                         \
	"/dev/p /var/vmail/p xfs users,nouser\n"                   \
	"/dev/q /var/vmail/q xfs uid=user\n"                       \
	"/dev/r /var/vmail/r\n"

static void listed(const char *mountinfo, const char *directory, const char *want, const char *what)
{
	struct text out;

	text_init(&out, 4096);
	volumes_in(view_of(mountinfo), VIEW(FSTAB), view_of(directory), VOLUMES_OPERATORS, &out);
	is_string(text_string(&out), want, "%s", what);
	text_free(&out);
}

#define ROOT "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
#define MAIL "30 22 8:2 / /var/vmail rw shared:2 master:7 - ext4 /dev/sda2 rw\n"

/* The list that does not fit is full, and says so. */
static void too_many(void)
{
	struct text out;

	text_init(&out, 20);
	volumes_in(VIEW(ROOT MAIL "31 30 8:3 / /var/vmail/a rw - xfs /dev/sda3 rw\n"
	                          "32 30 8:4 / /var/vmail/b rw - xfs /dev/sda4 rw\n"
	                          "33 30 8:5 / /var/vmail/c rw - xfs /dev/sda5 rw\n"),
	           VIEW(""), VIEW("/var/vmail"), VOLUMES_ALL, &out);
	ok(out.full, "more than there is room for");
	text_free(&out);
}

/* As many as homes; each stands before the one that it is mounted on, and every second is one that
 * is there without. */
static void many(void)
{
	enum { HOMES = 10000 };
	struct text mountinfo, out, want;

	text_init(&mountinfo, 4 << 20);
	text_init(&out, 1 << 20);
	text_init(&want, 1 << 20);
	for (unsigned i = HOMES; i-- > 0;) {
		text_format(&mountinfo, "%u %u 8:2 /home%05u/x /v/home%05u/x rw - xfs /dev/a rw\n",
		            100000 + i, 200000 + i, i, i);
		text_format(&mountinfo, "%u 1 8:2 /home%05u /v/home%05u rw - xfs /dev/a rw\n",
		            200000 + i, i, i);
	}
	for (unsigned i = 0; i < HOMES; i++)
		text_format(&want, "/v/home%05u\n", i);
	volumes_in(text_view(&mountinfo), VIEW(""), VIEW("/v"), VOLUMES_ALL, &out);
	ok(view_equal(text_view(&out), text_view(&want)), "many, in order");
	text_free(&mountinfo);
	text_free(&out);
	text_free(&want);
}

int main(void)
{
	too_many();
	many();
	listed(ROOT MAIL, "/var/vmail", "", "the directory itself is not below it");
	listed(ROOT MAIL "31 30 8:3 / /var/vmail/example.org rw - xfs /dev/sda3 rw\n"
	                 "32 22 8:4 / /var/vmail2/example.org rw - xfs /dev/sda4 rw\n"
	                 "33 31 8:5 /@bert /var/vmail/example.org/bert rw - btrfs /dev/sda5 rw\n",
	       "/var/vmail", "/var/vmail/example.org\n/var/vmail/example.org/bert\n",
	       "a domain's, a home's, and no other directory's with such a name");
	listed(ROOT "31 22 8:3 / /srv/a rw - xfs /dev/sda3 rw\n", "/", "/srv/a\n", "below /");
	listed(ROOT MAIL "31 30 8:3 / /var/vmail/a\\040b\\134c rw - xfs /dev/sda3 rw\n"
	                 "32 30 8:4 / /var/vmail/x\\012y rw - xfs /dev/sda4 rw\n",
	       "/var/vmail", "/var/vmail/a b\\c\n",
	       "what is written in octal; none with a line's end");
	listed(ROOT MAIL "31 30 8:3 / /var/vmail/a rw - xfs /dev/sda3 rw\n"
	                 "32 31 8:4 / /var/vmail/a rw - xfs /dev/sda4 rw\n",
	       "/var/vmail", "/var/vmail/a\n", "two on one path are one");
	listed(ROOT MAIL "31 30 8:2 /a /var/vmail/a rw - ext4 /dev/sda2 rw\n"
	                 "32 22 8:1 /srv/b /srv/b rw - ext4 /dev/sda1 rw\n",
	       "/var/vmail", "", "a directory that is mounted on itself is there without");
	listed(ROOT "32 22 8:1 /var/vmail/b /var/vmail/b rw - ext4 /dev/sda1 rw\n", "/var/vmail",
	       "", "on the root file system too");
	listed(ROOT MAIL "31 30 8:2 /b /var/vmail/a rw - ext4 /dev/sda2 rw\n"
	                 "32 30 8:1 /a /var/vmail/c rw - ext4 /dev/sda1 rw\n",
	       "/var/vmail", "/var/vmail/a\n/var/vmail/c\n",
	       "another directory that is mounted there is not");
	listed(ROOT MAIL "31 30 0:40 / /var/vmail/example.org rw - autofs systemd-1 rw\n"
	                 "32 31 8:3 / /var/vmail/example.org rw - xfs /dev/sda3 rw\n"
	                 "33 30 0:41 / /var/vmail/homes rw - autofs auto.homes rw\n"
	                 "34 33 0:42 / /var/vmail/homes/bert rw - nfs4 server:/bert rw\n",
	       "/var/vmail", "/var/vmail/example.org\n/var/vmail/homes\n",
	       "autofs: its own mount points, not what comes and goes below them");
	listed(ROOT MAIL "31 30 0:43 / /var/vmail/.zfs/snapshot/a rw - zfs tank@a rw\n"
	                 "32 30 0:44 / /var/vmail/a/.snapshot rw - nfs4 s:/ rw\n"
	                 "33 30 0:45 / /var/vmail/a.b rw - nfs4 s:/ rw\n",
	       "/var/vmail", "/var/vmail/a.b\n", "none behind a name that begins with a dot");
	listed("30 3 8:2 /a /v/a rw - ext4 /dev/a rw\n31 22 8:2 /c /v/c rw - ext4 /dev/a rw\n" ROOT
	       "33 1 8:9 / /w rw - ext4 /dev/b rw\n3 22 8:2 / /v rw - ext4 /dev/a rw\n",
	       "/v", "/v/c\n", "the parent, not one whose number begins so or that stands before");
	const char *users =
		"31 22 0:46 / /var/vmail/a/mnt rw,nosuid - fuse.sshfs h:/ rw,user_id=33,group_id=33\n"
		"32 22 0:47 / /var/vmail/b rw - fuse.glusterfs g:/b rw,user_id=0,group_id=0\n"
		"33 22 0:48 / /var/vmail/c rw - fuse.x x rw,user_id=1000\n"
		"34 22 0:49 / /var/vmail/d rw - cifs //s/user_id=7 rw,uid=33\n";
	struct text all;

	listed(users, "/var/vmail", "/var/vmail/b\n/var/vmail/d\n",
	       "none that a user has had FUSE mount");
	text_init(&all, 4096);
	volumes_in(view_of(users), VIEW(FSTAB), VIEW("/var/vmail"), VOLUMES_ALL, &all);
	is_string(text_string(&all), "/var/vmail/a/mnt\n/var/vmail/b\n/var/vmail/c\n/var/vmail/d\n",
	          "but where all are asked for");
	text_free(&all);
	listed("31 22 0:46 / /var/vmail/u/Private rw - ecryptfs /var/vmail/.e/u ecryptfs_sig=1\n"
	       "32 22 8:6 / /var/vmail/u/stick rw - fuseblk /dev/b rw,user_id=0,group_id=0\n"
	       "33 22 8:7 / /var/vmail/u/disk rw - xfs /dev/c rw\n",
	       "/var/vmail", "/var/vmail/u/disk\n", "none of a type that users have mounted");
	listed("31 22 0:46 / /var/vmail/m/music rw - cifs //s/m rw\n"
	       "32 22 0:47 / /var/vmail/n/my\\040mail rw - nfs4 s:/n rw\n"
	       "33 22 8:5 / /var/vmail/o rw - vfat /dev/o rw\n"
	       "34 22 8:6 / /var/vmail/g rw - vfat /dev/g rw\n"
	       "35 22 8:7 / /var/vmail/p rw - xfs /dev/p rw\n"
	       "36 22 8:8 / /var/vmail/q rw - xfs /dev/q rw\n"
	       "37 22 8:9 / /var/vmail/r rw - xfs /dev/r rw\n"
	       "38 22 8:1 / /var/vmail/example.org rw - xfs /dev/x rw\n",
	       "/var/vmail", "/var/vmail/example.org\n/var/vmail/p\n/var/vmail/q\n/var/vmail/r\n",
	       "none that fstab lets users mount");
	listed("\n31\n31 30 8:3 /\n31 30 8:3 / /var/vmail/a\n31 30 8:3 / /var/vmail/a rw - \n\n",
	       "/var/vmail", "", "lines that are none");
	listed("31 99 8:3 / /var/vmail/a rw - xfs /dev/sda3 rw", "/var/vmail", "/var/vmail/a\n",
	       "one on what is not seen from here");
	return tap_done();
}
