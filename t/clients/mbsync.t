#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""mbsync (isync) keeps a Maildir and a mailbox the same: the corpus both ways, flags, deletions, new folders."""
import imaplib
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from clients import (Home, address, corpus, fill, maildir, maildir_files, need, same, tls_context, version, well)  # noqa: E402
from house import House  # noqa: E402
from tap import done, is_, note, ok  # noqa: E402

need("mbsync")
messages = corpus()


def unmarked(texts):
    """mbsync puts a mark behind the header of what it copies, to find it again."""
    return [re.sub(rb"X-TUID: \S{12}\r\n", b"", text, count=1) for text in texts]


with House() as house, Home() as home:
    note(version(home, "mbsync", "--version"))
    fill(house, "u0001", messages)

    def configure(user, ssl):
        security = {"IMAPS": "SSLType IMAPS", "STARTTLS": "SSLType STARTTLS"}[ssl]
        home.write(".mbsyncrc", f"""
IMAPStore far
Host localhost
Port {house.port('IMAPS' if ssl == 'IMAPS' else 'IMAP')}
User {address(user)}
Pass pw
{security}
CertificateFile {house.env['CA']}
AuthMechs PLAIN

MaildirStore near
Path {home / user}/
Inbox {home / user}/INBOX
SubFolders Verbatim

Channel both
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
CopyArrivalDate yes
""")
        (home / user).mkdir(exist_ok=True)

    def sync(name):
        answer = home.run("mbsync", "-V", "-a")
        well(answer, name)
        return answer

    def imap(user="u0001"):
        box = imaplib.IMAP4_SSL(house.env["HOST"], house.port("IMAPS"), ssl_context=tls_context(house), timeout=60)
        box.login(address(user), "pw")
        return box

    def state():
        """What both sides hold: names, flags, times."""
        return (sorted(str(path) for path in (home / "u0001").rglob("*") if path.is_file() and path.parent.name in ("cur", "new")),
                sorted(path.name for path in maildir_files(house.mailbox("u0001"))))

    configure("u0001", "IMAPS")
    inbox = home / "u0001/INBOX"
    sync("first: everything comes")
    same("byte for byte", unmarked(maildir(inbox)), messages)
    before = state()
    sync("second")
    is_(state(), before, "nothing moves")

    files = maildir_files(inbox)
    for number, letters in enumerate(("S", "FS", "RS", "FRS")):
        path = files[number]
        path.rename(inbox / "cur" / (path.name.split(":")[0] + ":2," + letters))
    sync("flags set here")
    box = imap()
    box.select()
    counts = [len(box.search(None, word)[1][0].split()) for word in ("SEEN", "FLAGGED", "ANSWERED")]
    is_(counts, [4, 2, 2], "are set there")
    box.store("1:2", "+FLAGS", r"(\Flagged \Draft)")
    box.store("3", "+FLAGS", r"(\Deleted)")
    box.logout()
    sync("flags and a deletion there")
    is_(len(maildir_files(inbox)), len(messages) - 1, "the deleted one is gone here")
    is_(sum("D" in path.name.split(":2,")[-1] for path in maildir_files(inbox)), 2, "and two are drafts")

    # New ones from here, old ones deleted here, a new folder there.
    new = {f"new{n}": f"From: me@here.test\r\nSubject: number {n}\r\n\r\n.\r\nüß {n}\r\n".encode() for n in range(20)}
    for name, data in new.items():
        (inbox / "new" / f"1.{name}.here").write_bytes(data.replace(b"\r\n", b"\n"))
    for path in maildir_files(inbox)[:10]:
        if ":2," in path.name:
            path.rename(path.parent / (path.name + "T"))
    trashed = sum(path.name.endswith("T") for path in maildir_files(inbox))
    box = imap()
    box.create('"Old.&ZeVnLIqe-"')
    appended = dict(list(messages.items())[:30])
    for data in appended.values():
        box.append('"Old.&ZeVnLIqe-"', r"(\Seen)", None, data)
    box.logout()
    sync("new ones here, deletions here, a folder there")
    is_(len(maildir_files(inbox)), len(messages) - 1 + 20 - trashed, "here all is in place")
    is_(len(maildir_files(house.mailbox("u0001"))), len(messages) - 1 + 20 - trashed, "there, too")
    ours = [data for data in maildir(house.mailbox("u0001")) if b"From: me@here.test" in data]
    same("what was uploaded is the same bytes", unmarked(ours), new)
    # "Old" itself is made as well, and has nothing in it.
    folder = next((path for path in (home / "u0001").rglob("cur") if "INBOX" not in path.parts and maildir(path.parent)), None)
    same("the folder came", unmarked(maildir(folder.parent)) if folder else [], appended)

    # From an empty folder here to a new mailbox there: the whole corpus goes up; then a third party gets it back.
    home_files = home / "u0002/INBOX"
    for part in ("cur", "new", "tmp"):
        (home_files / part).mkdir(parents=True)
    for number, data in enumerate(messages.values()):
        (home_files / "cur" / f"{number}.up.here:2,S").write_bytes(data.replace(b"\r\n", b"\n"))
    configure("u0002", "STARTTLS")
    sync("the corpus goes up, with STARTTLS")
    same("byte for byte", unmarked(maildir(house.mailbox("u0002"))), messages)
    box = imap("u0002")
    box.select()
    rows = box.fetch("1:*", "(FLAGS RFC822.SIZE)")[1]
    is_(sum(b"\\Seen" in row for row in rows), len(messages), "with their flags")
    ok(all(re.search(rb"RFC822.SIZE [1-9]", row) for row in rows), "and sizes")
    box.logout()
    sync("once more")
    is_(len(maildir_files(house.mailbox("u0002"))), len(messages), "nothing is doubled")

done()
