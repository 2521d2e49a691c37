#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""offlineimap keeps a Maildir and a mailbox the same."""
import imaplib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from clients import (Home, address, corpus, fill, maildir, maildir_files, need, same, tls_context, version, well)  # noqa: E402
from house import House  # noqa: E402
from tap import done, is_, note  # noqa: E402

need("offlineimap")
messages = corpus(every=4)
# It parses each message and writes it anew with Python's email package: where the structure is broken, or two
# boundaries follow one another without an empty line (lists/005), other bytes come out of it.
BROKEN = {name for name in messages if name.startswith("odd/") or name == "lists/005.eml"}

with House() as house, Home() as home:
    note(version(home, "offlineimap", "--version"))
    fill(house, "u0001", messages)

    # Not with STARTTLS: the session tickets of TLS 1.3 wake its reader before the first command, and with any server
    # some of its sessions hang then (imaplib2 3.5).
    def configure():
        home.write(".offlineimaprc", f"""
[general]
accounts = one
metadata = {home / 'metadata'}
socktimeout = 50

[Account one]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = {home / 'mail'}

[Repository far]
type = IMAP
remotehost = localhost
remoteport = {house.port('IMAPS')}
remoteuser = {address('u0001')}
remotepass = pw
auth_mechanisms = PLAIN
ssl = yes
sslcacertfile = {house.env['CA']}
""")

    def sync(name):
        # Its own Python, not one that stands before it in PATH.
        return well(home.run("offlineimap", "-o", "-u", "basic", environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}), name)

    def imap():
        box = imaplib.IMAP4_SSL(house.env["HOST"], house.port("IMAPS"), ssl_context=tls_context(house), timeout=60)
        box.login(address("u0001"), "pw")
        box.select()
        return box

    inbox = home / "mail/INBOX"
    configure()
    sync("first: everything comes")
    same("byte for byte", maildir(inbox), messages, but=BROKEN)
    before = sorted(path.name for path in maildir_files(inbox))
    sync("second")
    is_(sorted(path.name for path in maildir_files(inbox)), before, "nothing moves")

    files = maildir_files(inbox)
    for path, letters in zip(files, ("S", "FS", "RS")):
        path.rename(inbox / "cur" / (path.name.split(":")[0] + ":2," + letters))
    files[3].unlink()
    (inbox / "new" / "1.mine.here").write_bytes(b"From: me@here.test\nSubject: mine\n\nmine\n")
    sync("flags, a deletion and a new one here")
    box = imap()
    is_([len(box.search(None, word)[1][0].split()) for word in ("SEEN", "FLAGGED", "ANSWERED")], [3, 1, 1], "arrive there")
    is_(len(box.search(None, "ALL")[1][0].split()), len(messages), "one came, one went")
    is_(len(box.search(None, "SUBJECT", "mine")[1][0].split()), 1, "the new one is there")
    box.store("1", "+FLAGS", r"(\Deleted)")
    box.store("2:3", "+FLAGS", r"(\Seen)")
    box.expunge()
    box.create("Archive")
    box.copy("1:5", "Archive")
    box.logout()
    sync("a deletion, flags and a folder there")
    is_(len(maildir_files(inbox)), len(messages) - 1, "arrive here")
    is_(len(maildir_files(home / "mail/Archive")), 5, "the folder, too")
    before = sorted(str(path) for path in (home / "mail").rglob("*:2,*"))
    sync("once more")
    is_(sorted(str(path) for path in (home / "mail").rglob("*:2,*")), before, "nothing moves")

done()
