#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Real and odd mail goes in over SMTP, submission and a relay, and comes out over POP3 and IMAP byte for byte."""
import imaplib
import pathlib
import poplib
import re
import smtplib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from clients import (CORPUS, TRACE, address, corpus, first_field, same, send, send_parallel, tls_context,  # noqa: E402
                     wait_delivered)
from house import House  # noqa: E402
from tap import done, is_, ok  # noqa: E402

MENDED = (b"date", b"message-id", b"from")
# Addresses in From that get a domain.
WITH_DOMAIN = {b"From: Whomever\r\n": b"From: Whomever@example.test\r\n",
               b"From: Moderator-Address\r\n": b"From: Moderator-Address@example.test\r\n",
               b"From: Moderator-Address <moderator>\r\n": b"From: Moderator-Address <moderator@example.test>\r\n"}


def pop(house, user, tls=True):
    if tls:
        box = poplib.POP3_SSL(house.env["HOST"], house.port("POP3S"), timeout=60, context=tls_context(house))
    else:
        box = poplib.POP3(house.env["HOST"], house.port("POP3"), timeout=60)
    box.user(address(user))
    box.pass_("pw")
    return box


def pop_all(house, user, tls):
    box = pop(house, user, tls)
    sizes = [int(line.split()[1]) for line in box.list()[1]]
    texts = [b"\r\n".join(box.retr(number + 1)[1]) + b"\r\n" for number in range(len(sizes))]
    box.quit()
    is_([len(text) for text in texts], sizes, f"POP3 LIST tells the octets of RETR ({'TLS' if tls else 'clear'})")
    return texts


def imap(house, user, tls=True):
    if tls:
        box = imaplib.IMAP4_SSL(house.env["HOST"], house.port("IMAPS"), ssl_context=tls_context(house), timeout=60)
    else:
        box = imaplib.IMAP4(house.env["HOST"], house.port("IMAP"), timeout=60)
    box.login(address(user), "pw")
    return box


def imap_all(house, user, tls, item="BODY.PEEK[]"):
    box = imap(house, user, tls)
    box.select()
    rows = [row for row in box.fetch("1:*", f"(RFC822.SIZE {item})")[1] if isinstance(row, tuple)]
    box.logout()
    sizes = [int(re.search(rb"RFC822.SIZE (\d+)", row[0]).group(1)) for row in rows]
    is_([len(row[1]) for row in rows], sizes, f"RFC822.SIZE is the octets of {item} ({'TLS' if tls else 'clear'})")
    return [row[1] for row in rows]


def submission(house):
    smtp = smtplib.SMTP(house.env["HOST"], house.port("SUBMISSION"), "client.test", timeout=60)
    smtp.starttls(context=tls_context(house))
    smtp.login(address("u0002"), "pw")
    return smtp


def submissions(house):
    smtp = smtplib.SMTP_SSL(house.env["HOST"], house.port("SUBMISSIONS"), "client.test", timeout=60, context=tls_context(house))
    smtp.login(address("u0002"), "pw")
    return smtp


def without_trace(data):
    while True:
        name, rest = first_field(data)
        if name not in TRACE:
            return data
        data = rest


def is_mended(got, sent):
    """What was submitted, with no more than missing fields added behind the header, and Return-Path taken out."""
    header, empty, body = without_trace(sent).partition(b"\r\n\r\n")
    sent = re.sub(rb"(?im)^return-path:.*\n", b"", header) + empty + body
    for old, new in WITH_DOMAIN.items():
        sent = sent.replace(old, new, 1)
    got = without_trace(got)
    at = next((i for i, (a, b) in enumerate(zip(got, sent)) if a != b), min(len(got), len(sent)))
    for end in (at, *[match.end() for match in re.finditer(rb"\r\n", got[:at])][::-1]):
        rest = got[end:]
        while True:
            if rest == sent[end:]:
                return True
            name, after = first_field(rest)
            if name not in MENDED:
                break
            rest = after
    return False


messages = corpus()

with House("--users", "5") as house:
    send_parallel(4, house, messages, "u0001")
    wait_delivered(house, "u0001", len(messages))
    for tls in (True, False):
        same(f"POP3 gives {len(messages)} messages as they came over SMTP", pop_all(house, "u0001", tls), messages)
        same("IMAP gives them too", imap_all(house, "u0001", tls), messages)
    same("as RFC822", imap_all(house, "u0001", True, "RFC822"), messages)
    box = imap(house, "u0001")
    box.select(readonly=True)
    status, rows = box.fetch("1:*", "(ENVELOPE BODYSTRUCTURE BODY INTERNALDATE)")
    is_((status, sum(b"BODYSTRUCTURE" in (row[0] if isinstance(row, tuple) else row) for row in rows)), ("OK", len(messages)),
        "each has an envelope and a structure")
    parts = [row[1] for row in box.fetch("1:*", "(BODY.PEEK[HEADER] BODY.PEEK[TEXT])")[1] if isinstance(row, tuple)]
    same("HEADER and TEXT together are the whole", [a + b for a, b in zip(parts[::2], parts[1::2])], messages)
    box.logout()

    for user, start, name in (("u0003", submission, "submission with STARTTLS"), ("u0004", submissions, "submission with TLS")):
        send_parallel(2, house, messages, user, address("u0002"), start)
        wait_delivered(house, user, len(messages))
        texts = imap_all(house, user, True)
        altered = [key for key, data in messages.items()
                   if sum(text.endswith(data[-60:]) and is_mended(text, data) for text in texts) != 1]
        ok(len(texts) == len(messages) and not altered, f"{name}: as sent, besides missing fields", f"altered: {altered}")

    with House("--route", f"{house.env['DOMAIN']} {house.env['HOST']}:{house.port('SMTP')}", "--domain", "relay.test") as relay:
        send_parallel(4, relay, messages, address("u0005"))
        wait_delivered(house, "u0005", len(messages))
        same("through a relay, too", imap_all(house, "u0005", True), messages)
        same("over POP3, too", pop_all(house, "u0005", True), messages)
        relay.wait_for("an empty queue", lambda: not [p for p in pathlib.Path(relay.env["QUEUE"]).rglob("*")
                                                      if p.is_file() and len(p.name) == 13])
        ok(True, "and nothing is left in its queue")

    # A bare CR cannot come over SMTP; what IMAP appends is kept as it is.
    raw = [re.sub(rb"\r?\n", b"\r\n", path.read_bytes()) for path in sorted((CORPUS / "mime").glob("legacy-*.eml"))]
    box = imap(house, "u0002")
    box.create("raw")
    for data in raw:
        box.literal = data  # append() itself would turn bare CR into CRLF
        box._simple_command("APPEND", "raw")
    box.select("raw")
    rows = [row[1] for row in box.fetch("1:*", "BODY.PEEK[]")[1] if isinstance(row, tuple)]
    ok(any(b"\r" in data.replace(b"\r\n", b"") for data in raw), "a message with a bare CR is among what IMAP appends")
    ok(rows == raw, "and what it appends comes out as it went in")
    box.logout()

done()
