#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Python's poplib and imaplib as a mail program uses them: UIDL, TOP, DELE, APPEND, COPY, SEARCH, IDLE, big literals."""
import hashlib
import imaplib
import pathlib
import poplib
import re
import select
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from clients import address, corpus, fill, same, tls_context  # noqa: E402
from house import House  # noqa: E402
from tap import done, is_, ok  # noqa: E402

messages = corpus(every=6)


def pop(house, user="u0001", tls=True):
    if tls:
        box = poplib.POP3_SSL(house.env["HOST"], house.port("POP3S"), timeout=60, context=tls_context(house))
    else:
        box = poplib.POP3(house.env["HOST"], house.port("POP3"), timeout=60)
        box.stls(tls_context(house))
    box.user(address(user))
    box.pass_("pw")
    return box


def imap(house, user="u0001", tls=True):
    if tls:
        box = imaplib.IMAP4_SSL(house.env["HOST"], house.port("IMAPS"), ssl_context=tls_context(house), timeout=60)
    else:
        box = imaplib.IMAP4(house.env["HOST"], house.port("IMAP"), timeout=60)
        box.starttls(tls_context(house))
    box.login(address(user), "pw")
    return box


def pop_session(house):
    box = pop(house)
    ok({"UIDL", "TOP", "PIPELINING"} <= set(box.capa()), "CAPA", box.capa())
    count, octets = box.stat()
    is_(count, len(messages), "STAT counts")
    uids = dict(line.split() for line in box.uidl()[1])
    is_(len(set(uids.values())), count, "UIDL: all different")
    is_(box.uidl(3).split()[1:], [b"3", uids[b"3"]], "UIDL of one")
    is_(sum(int(line.split()[1]) for line in box.list()[1]), octets, "LIST adds up to STAT")
    whole, top = box.retr(1)[1], box.top(1, 2)[1]
    empty = whole.index(b"")
    is_(top, whole[:empty + 3], "TOP 1 2: the header and two lines")
    is_(box.top(1, 0)[1], whole[:empty + 1], "TOP 1 0: the header")
    try:
        pop(house).quit()
        ok(False, "a second session at the same time is refused")
    except poplib.error_proto as error:
        ok(b"IN-USE" in error.args[0], "a second session at the same time is refused", error)
    box.dele(2)
    box.rset()
    box.dele(3)
    try:
        box.retr(3)
        ok(False, "a deleted message is gone")
    except poplib.error_proto:
        ok(True, "a deleted message is gone")
    box.close()
    box = pop(house, tls=False)
    is_(box.stat()[0], count, "a connection that breaks deletes nothing")
    is_(dict(line.split() for line in box.uidl()[1]), uids, "and UIDLs stay")
    box.dele(3)
    box.quit()
    box = pop(house)
    after = [line.split()[1] for line in box.uidl()[1]]
    is_(after, [uid for number, uid in uids.items() if number != b"3"], "DELE and QUIT take just that one")
    box.quit()


def idle(box, change):
    """IDLE by hand (imaplib of Python 3.14 has it): what comes while change() happens elsewhere."""
    tag = box._new_tag()
    box.send(tag + b" IDLE\r\n")
    line = box.readline()
    while not line.startswith(b"+"):
        line = box.readline()
    change()
    seen = []
    while not seen or b"EXISTS" not in seen[-1]:
        if not getattr(box.sock, "pending", lambda: 0)() and not select.select([box.sock], [], [], 50)[0]:
            break
        seen.append(box.readline())
    box.send(b"DONE\r\n")
    line = box.readline()
    while not line.startswith(tag):
        line = box.readline()
    return seen, line


def imap_session(house):
    box = imap(house, "u0002", tls=False)
    capabilities = box.capability()[1][0].decode().split()
    ok({"IMAP4rev1", "IDLE", "UIDPLUS", "NAMESPACE", "LITERAL+", "UNSELECT"} <= set(capabilities), "CAPABILITY", capabilities)
    ok("SORT" not in capabilities, "no SORT is claimed")
    try:
        box.sort("DATE", "UTF-8", "ALL")
        ok(False, "SORT is refused")
    except imaplib.IMAP4.error:
        ok(True, "SORT is refused")
    is_(box.select()[1], [str(len(messages)).encode()], "SELECT counts")
    rows = box.fetch("1:*", "(UID FLAGS)")[1]
    is_(len({re.search(rb"UID (\d+)", row).group(1) for row in rows}), len(messages), "as many UIDs")
    ok(all(b"\\Seen" not in row for row in rows), "all unseen")
    box.fetch("1", "(BODY[])")
    is_(box.search(None, "SEEN")[1], [b"1"], "fetching the body makes it seen")
    box.fetch("2", "(BODY.PEEK[])")
    is_(box.search(None, "SEEN")[1], [b"1"], "peeking does not")

    is_(box.create('"Sent.2026 &ZeVnLIqe-"')[0], "OK", "CREATE with a name in modified UTF-7")
    names = [row.decode() for row in box.list()[1]]
    ok(any("&ZeVnLIqe-" in name for name in names), "LIST shows it", names)
    status, answer = box.copy("2:5", '"Sent.2026 &ZeVnLIqe-"')
    is_(status, "OK", "COPY")
    is_(box.status('"Sent.2026 &ZeVnLIqe-"', "(MESSAGES UIDNEXT)")[0], "OK", "STATUS")
    box.store("2:3", "+FLAGS", r"(\Deleted $Forwarded)")
    is_(box.search(None, "KEYWORD", "$Forwarded")[1], [b"2 3"], "a keyword is kept and found")
    ok(sorted(box.expunge()[1]) in ([b"2", b"2"], [b"2", b"3"]), "EXPUNGE")
    box.select('"Sent.2026 &ZeVnLIqe-"')
    rows = [row[1] for row in box.fetch("1:*", "(BODY.PEEK[])")[1] if isinstance(row, tuple)]
    is_(len(rows), 4, "the copies are all there")
    ok(box.rename('"Sent.2026 &ZeVnLIqe-"', "Old")[0] == "OK" and box.delete("Old")[0] == "OK", "RENAME and DELETE")

    box.select()
    needle = {"SUBJECT": "patch", "FROM": "gmail", "TEXT": "kernel", "BODY": "the"}
    for key, word in needle.items():
        found = [int(n) for n in box.search(None, key, word)[1][0].split()]
        texts = {i + 1: row[1] for i, row in enumerate(
            [row for row in box.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT FROM)])")[1] if isinstance(row, tuple)])}
        if key in ("SUBJECT", "FROM"):
            unfolded = {n: re.sub(rb"\r\n(?=[ \t])", b"", text) for n, text in texts.items()}
            want = [n for n, text in unfolded.items()
                    if re.search(rb"(?im)^" + key.encode() + rb":.*" + word.encode(), text)]
            ok(set(want) <= set(found), f"SEARCH {key} {word} finds what stands there plainly", f"{want} {found}")
        ok(found, f"SEARCH {key} {word}")
    is_(box.uid("SEARCH", "CHARSET", "UTF-8", "NOT", "ALL")[1], [b""], "UID SEARCH NOT ALL: nothing")
    is_(box.search("KOI-NONE", "ALL")[0], "NO", "a charset that is not known is refused")

    big = b"Subject: big\r\n\r\n" + b"".join(hashlib.sha256(str(n).encode()).hexdigest().encode() + b"\r\n" for n in range(200000))
    is_(box.append("INBOX", r"(\Flagged \Seen)", '"01-Feb-2003 04:05:06 +0700"', big)[0], "OK", f"APPEND of {len(big)} octets")
    box.noop()
    row = box.fetch("*", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]
    ok(row[0][1] == big, "it comes back whole")
    facts = row[0][0] + row[1]
    ok(b"\\Flagged" in facts and b"\\Seen" in facts, "with its flags", facts)
    is_(imaplib.Internaldate2tuple(b'INTERNALDATE "' + re.search(rb'INTERNALDATE "([^"]*)"', facts).group(1) + b'"'),
        imaplib.Internaldate2tuple(b'INTERNALDATE "01-Feb-2003 04:05:06 +0700"'), "and its date")
    is_(box.fetch("*", "(BODY.PEEK[]<1000000.500>)")[1][0][1], big[1000000:1000500], "a part of it")
    box.logout()

    box, other = imap(house, "u0002"), imap(house, "u0002")
    box.select()
    other.select()
    seen, line = idle(box, lambda: fill(house, "u0002", {"new": b"Subject: news\r\n\r\nnew\r\n"}))
    ok(seen and b"EXISTS" in seen[-1], "IDLE tells of mail that arrives", seen)
    ok(b" OK " in line, "and ends in order", line)
    other.noop()
    other.store("1", "+FLAGS", r"(\Answered)")
    box.noop()
    ok(any(b"\\Answered" in row for row in box.untagged_responses.get("FETCH", []) + box.fetch("1", "(FLAGS)")[1]),
       "what another session flags is seen")
    other.store("1", "+FLAGS", r"(\Deleted)")
    other.expunge()
    before = int(box.untagged_responses.get("EXISTS", [b"0"])[-1] or 0)
    box.noop()
    count = len(box.search(None, "ALL")[1][0].split())
    is_(count, len(other.search(None, "ALL")[1][0].split()), f"what another session expunges goes (of {before})")
    for one in (box, other):
        one.logout()
    wrong = imaplib.IMAP4_SSL(house.env["HOST"], house.port("IMAPS"), ssl_context=tls_context(house), timeout=60)
    try:
        wrong.login(address("u0002"), "wrong")
        ok(False, "a wrong password is refused")
    except imaplib.IMAP4.error as error:
        ok("AUTHENTICATIONFAILED" in str(error), "a wrong password is refused", error)
    status, _ = wrong.authenticate("PLAIN", lambda _: f"\0{address('u0002')}\0pw".encode())
    is_(status, "OK", "AUTHENTICATE PLAIN")
    wrong.logout()


with House("--set", "auth.failure-delay 0") as house:
    fill(house, "u0001", messages)
    pop_session(house)
    fill(house, "u0002", messages)
    imap_session(house)
    box = imap(house, "u0001")
    box.select(readonly=True)
    rows = [row[1] for row in box.fetch("1:*", "(BODY.PEEK[])")[1] if isinstance(row, tuple)]
    is_(len(rows), len(messages) - 1, "IMAP sees what POP3 left")
    box.logout()

done()
