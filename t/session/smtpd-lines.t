#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Line ends after DATA: on port 25 CR LF or a refusal; from an authenticated client of submission a bare LF is a line end too, and still
nothing but CR LF . CR LF ends a message: every other way to end one is walked, and nobody's mail comes out of somebody else's text."""
import itertools
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from smtphouse import RELAY, SMTP, SUBMISSION, Smtp  # noqa: E402
from tap import done, is_, ok  # noqa: E402

AUTH = "AUTH PLAIN AGFubmFAZXhhbXBsZS50ZXN0AHNlY3JldA=="
ENVELOPE = "MAIL FROM:<anna@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n"
SMUGGLED = "MAIL FROM:<evil@far.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\nX-Evil: 1\r\n\r\nevil"
ENDS = {"CRLF": "\r\n", "LF": "\n", "CR": "\r", "CRCRLF": "\r\r\n", "LFCR": "\n\r", "nothing": ""}
# Of an authenticated client, where it is not refused: what the dot between these two ends becomes.
TEXT = {("LF", "LF"): b"\r\n.\r\n", ("LF", "nothing"): b"\r\n.", ("CRLF", "nothing"): b"\r\n", ("nothing", "LF"): b".\r\n",
        ("nothing", "CRLF"): b".\r\n", ("nothing", "nothing"): b"."}
AMBIGUOUS = {("CRLF", "LF"), ("LF", "CRLF")}


def open_session(house, kind, slow=False):
    client = house.client(service=SMTP if kind == "port 25" else SUBMISSION, tls=True, slow=slow)
    client.ask("EHLO me.test")
    if kind == "authenticated" and not client.ask(AUTH).startswith("235"):
        raise RuntimeError("the client is not authenticated")
    return client


def send_message(client, text):
    """Envelope, text and its end, the envelope in one piece; the answer to the text."""
    client.send(ENVELOPE)
    replies = [client.answer() for _ in range(3)]
    if not replies[-1].startswith("354"):
        return replies[-1]
    client.send(text)
    return client.answer()


def live(house, before):
    return [m for m in house.queue.messages[before:] if m.state == "live"]


def body(message):
    """The message without our Received field."""
    return re.sub(rb"\AReceived: (?:.|\r\n\t)*?\r\n(?!\t)", b"", message.bytes)


def lines_are_whole(data):
    return not re.search(rb"\r(?!\n)|(?<!\r)\n", data)


def mended(house):
    for slow in (False, True):
        client = open_session(house, "authenticated", slow)
        text = "From: anna@example.test\nTo: b@far.test\nBcc: hidden@far.test\n folded@far.test\nDate: now\nMessage-ID: <1@x>\n\nfirst\n\n.dot\n..dots\n.\nlast\n"
        answer = send_message(client, text + "\r\n.\r\nNOOP\r\n")
        name = "byte by byte" if slow else "in one piece"
        ok(answer.startswith("250 2.0.0"), f"LF-only text is taken, {name}", answer)
        ok(client.answer().startswith("250"), "what is pipelined behind its end is a command")
        is_(body(house.queue.messages[-1]),
            b"From: anna@example.test\r\nTo: b@far.test\r\nDate: now\r\nMessage-ID: <1@x>\r\n\r\nfirst\r\n\r\n.dot\r\n..dots\r\n.\r\nlast\r\n\r\n",
            "each line ends with CR LF, dots are where they were, Bcc is found")
        answer = send_message(client, "A: 1\r\nB: 2\nC: 3\r\n\r\n..x\r\ny\r\n.\r\n")
        ok(answer.startswith("250"), "both in one message", answer)
        ok(body(house.queue.messages[-1]).startswith(b"A: 1\r\nB: 2\r\nC: 3\r\n") and b"\r\n.x\r\ny\r\n" in house.queue.messages[-1].bytes,
           "a dot behind CR LF is taken out as ever", house.queue.messages[-1].bytes)
        answer = send_message(client, "A: 1\n\na\rb\n\r\n.\r\n")
        ok(answer.startswith("554 5.6.0 bare CR,"), "a bare CR is refused", answer)
        ok(client.ask("NOOP").startswith("250"), "and the session goes on")
        client.close()


def pieces(house):
    """Cut in two everywhere, between CR and LF too."""
    text, wrong = "A: 1\n\nx\r\n\n.\n\r\ny\r\n.\r\n", []
    client = open_session(house, "authenticated")
    for at in range(1, len(text)):
        client.send(ENVELOPE)
        for _ in range(3):
            client.answer()
        client.send(text[:at])
        client.send(text[at:])
        answer = client.answer()
        if not answer.startswith("250") or not body(house.queue.messages[-1]).endswith(b"\r\n\r\nx\r\n\r\n.\r\n\r\ny\r\n"):
            wrong.append((at, answer))
    is_(wrong, [], "cut anywhere the text is the same")
    client.close()


def strict(house):
    """Who is not authenticated, also where the access map lets submit without a password."""
    for kind in ("port 25", "by its address"):
        house.resolver.client_verdict = (RELAY, "", "") if kind == "by its address" else (0, "", "")
        client = open_session(house, kind)
        answer = send_message(client, "A: 1\n\nx\r\n.\r\n")
        ok(answer.startswith("554 5.6.0 bare CR or bare LF"), f"a bare LF is refused: {kind}", answer)
        ok(send_message(client, "A: 1\r\n\r\nx\r\n.\r\n").startswith("250"), "CR LF is not")
        client.close()
    house.resolver.client_verdict = (0, "", "")


def walk_one(house, kind, first, second, slow):
    """A dot between two ends, somebody else's commands behind it, and the true end. What is wrong, or None."""
    before = len(house.queue.messages)
    client = open_session(house, kind, slow)
    client.send(ENVELOPE)
    for _ in range(3):
        client.answer()
    client.send("A: 1\r\n\r\nbody" + ENDS[first] + "." + ENDS[second] + SMUGGLED + "\r\n.\r\nQUIT\r\n")
    answers = []
    while (answer := client.answer()) is not None:
        answers.append(answer)
    client.close()
    taken = live(house, before)
    # CR LF . CR LF is there, so that what follows is the client's own commands: they are taken, or refused as sent too early.
    if first.endswith("CRLF") and second == "CRLF":
        own = [m for m in taken if m.sender == "anna@example.test"]
        good = b"evil" not in own[0].bytes if own else first == "CRCRLF" and answers[0].startswith("554 5.6.0")
        return None if good and len(own) == (first == "CRLF") else ("the end is not the end", answers)
    if any(m.sender != "anna@example.test" for m in taken) or len(taken) > 1 or any("354" in a for a in answers):
        return "smuggled", answers
    good = first in ("CRLF", "nothing") and second in ("CRLF", "nothing")
    wanted = TEXT.get((first, second)) if kind == "authenticated" or good else None
    if wanted is None:
        refused = "521" if (first, second) in AMBIGUOUS else "5(54|21)"
        return None if not taken and re.match(refused, answers[0]) else ("not refused", answers)
    whole = taken and body(taken[0])
    return None if taken and b"body" + wanted + SMUGGLED.encode() in whole and lines_are_whole(whole) else ("changed", answers, whole)


def walk(house):
    for kind, slow in itertools.product(("port 25", "authenticated"), (False, True)):
        wrong = {}
        for first, second in itertools.product(ENDS, ENDS):
            found = walk_one(house, kind, first, second, slow)
            if found is not None:
                wrong[first, second] = found
        is_(wrong, {}, f"{len(ENDS) ** 2} ways to put a dot between two ends: {kind}{', byte by byte' if slow else ''}")


def size(house):
    """The limit is of what is kept."""
    client = open_session(house, "authenticated")
    line = "x" * 9 + "\n"
    answer = send_message(client, "A: 1\n\n" + line * 6300 + "\r\n.\r\n")
    ok(answer.startswith("552 5.3.4 message exceeds"), "what is larger than the limit with its CRs is refused", answer)
    answer = send_message(client, "A: 1\n\n" + line * 5900 + "\r\n.\r\n")
    ok(answer.startswith("250"), "what is smaller is taken", answer)
    client.close()


def main():
    with Smtp() as house:
        mended(house)
        pieces(house)
        strict(house)
        walk(house)
    with Smtp("message.size-max 64K\n") as house:
        size(house)
    done()


main()
