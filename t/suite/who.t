#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Who is there: posthouse who and posthouse kick, and sessions that end because their account is not what it was."""
import base64
import contextlib
import os
import pathlib
import re
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from house import House  # noqa: E402
from lineclient import LineClient  # noqa: E402
from processes import children  # noqa: E402
from tap import done, is_, ok  # noqa: E402

GONE = "* BYE Session ended by the administrator\r\n"


def imap(house, user, service="IMAP", password="pw"):
    client = LineClient(house, service)
    assert client.ask(f"a LOGIN {user}@example.test {password}").startswith("a OK")
    return client


def pop3(house, user):
    client = LineClient(house, "POP3")
    client.ask(f"USER {user}@example.test")
    assert client.ask("PASS pw").startswith("+OK")
    return client


def smtp(house, user, password="pw"):
    client = LineClient(house, "SUBMISSION")
    answer = client.ask("EHLO client.example")
    while answer[3:4] == "-":
        answer = client.line()
    assert client.ask("AUTH PLAIN " + base64.b64encode(f"\0{user}@example.test\0{password}".encode()).decode()).startswith("235")
    return client


def who(house, *words):
    """Rows of session, user, service, tls, client."""
    told = house.posthouse("who", *words)
    assert told.returncode == 0, told
    return [line.split()[:5] for line in told.stdout.splitlines()[1:]]


def users(house, *words):
    return [(row[1].split("@")[0], row[2]) for row in who(house, *words)]


def none_left(house, user):
    house.wait_for(f"the sessions of {user} to end", lambda: users(house, user) == [])
    return True


def lists(house):
    is_(house.posthouse("who").stdout, "", "nobody is there")
    clients = [imap(house, "u0001"), imap(house, "u0001", "IMAPS"), pop3(house, "u0002"), smtp(house, "u0003")]
    silent = LineClient(house, "IMAP")  # has not logged in
    house.wait_for("all of them", lambda: len(who(house)) == 4)
    is_([row[1:] for row in who(house)],
        [["u0001@example.test", "imap", "no", "127.0.0.1"], ["u0001@example.test", "imap", "yes", "127.0.0.1"],
         ["u0002@example.test", "pop3", "no", "127.0.0.1"], ["u0003@example.test", "submission", "no", "127.0.0.1"]],
        "who has logged in, by what, with TLS or not, from where")
    is_(users(house, "u0002"), [("u0002", "pop3")], "those of one user, whose domain need not be said")
    is_(users(house, "u0003@Example.TEST"), [("u0003", "submission")], "or is, in any case")
    number = who(house, "u0002")[0][0]
    house.wait_for("the log to have the same numbers", lambda: f"session={number}" in house.log())
    is_(house.posthouse("reload").returncode, 0, "a reload")
    clients.append(imap(house, "u0004"))
    house.wait_for("all of them", lambda: len(who(house)) == 5)
    ok(True, "those of the old programs are listed beside the new ones'")
    clients[0].ask("b LOGOUT")
    house.wait_for("one to leave", lambda: len(who(house)) == 4)
    silent.close()
    return clients[1:]


def kicks(house, clients):
    tls, mailbox, sender, other = clients
    is_((house.posthouse("kick", "u0009").returncode, house.posthouse("kick", "123").returncode), (100, 100), "nobody to kick")
    is_(house.posthouse("kick").returncode, 100, "nor is everybody kicked by saying nothing")
    is_(house.posthouse("kick", "u0001").stdout, "1 session ended\n", "a user's session")
    is_((tls.line(), tls.line()), (GONE, ""), "IMAP says goodbye, over TLS too")
    is_(house.posthouse("kick", who(house, "u0002")[0][0]).stdout, "1 session ended\n", "one session, by its number")
    is_(mailbox.line(), "", "POP3 just closes")
    is_(house.posthouse("kick", "u0003@example.test").stdout, "1 session ended\n", "one of a program that was replaced")
    ok(sender.line().endswith(" session ended by the administrator\r\n"), "SMTP says 421")
    is_(sender.line(), "", "and closes")
    ok(other.ask("b NOOP").startswith("b OK"), "another user's session goes on")
    ok(none_left(house, "u0003"), "and who lists it no more")
    house.wait_for("the log to tell of it", lambda: re.search(
        r"event=session-ended service=submission account=u0003@example.test session=\d+ reason=kicked", house.log()))
    return other


def deaf_client(house):
    """Its session waits for it to read."""
    client = imap(house, "u0005")
    message = b"Subject: large\r\n\r\n" + b"x" * 76 * 40000 + b"\r\n"
    client.say(b"b APPEND INBOX {%d+}\r\n" % len(message) + message + b"\r\nc SELECT INBOX\r\n" + b"d FETCH 1 BODY[]\r\n" * 20)
    house.wait_for("the session", lambda: users(house, "u0005"))
    session = int(house.posthouse("who", "u0005").stdout.split()[-1])
    is_(house.posthouse("kick", "u0005").stdout, "1 session ended\n", "one whose client does not read")
    ok(none_left(house, "u0005"), "ends all the same")
    ok(not os.path.exists(f"/proc/{session}"), "and so does its process")
    client.close()


def changed_accounts(house, other):
    stays = [other, smtp(house, "u0006")]
    for name, words, more in (("locked", ("user", "set", "u0001", "state=locked"), {}),
                              ("of a new password", ("user", "passwd", "u0002", "--password-stdin"), {"input": "new\n"}),
                              ("without the right", ("user", "set", "u0003", "rights=pop3"), {}),
                              ("moved", ("user", "set", "u0007", "home=elsewhere"), {}),
                              ("removed", ("user", "del", "u0008"), {})):
        user = words[2]
        clients = [imap(house, user), imap(house, user, "IMAPS"), smtp(house, user)]
        changed = house.posthouse(*words, **more)
        is_(changed.returncode, 0, f"a user is {name}")
        # Without a word when they have not come to say it for almost a second.
        ok(all(client.line() in (GONE, "") for client in clients[:2]), "their IMAP sessions end")
        ok(clients[2].line()[:9] in ("421 4.3.2", ""), "so does the submission")
        for client in clients:
            client.close()
    client = imap(house, "u0002", password="new")
    house.wait_for("the log to say why", lambda: "reason=account-changed" in house.log())
    is_(house.posthouse("user", "set", "u0002", "quota=1G").returncode, 0, "what is no reason, a quota,")
    is_(house.posthouse("map", "set", "aliases", "x@example.test", "u0001@example.test").returncode, 0, "or somebody else's change")
    is_([client.ask("c NOOP")[:4], stays[0].ask("c NOOP")[:4], stays[1].ask("NOOP")[:3]], ["c OK", "c OK", "250"],
        "ends no session")


def changed_under_way(house):
    """A login that the old authd approves when the new one knows better."""
    authd = house.pid("authd")
    workers = children(authd)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    client = LineClient(house, "IMAP")
    client.say("a LOGIN u0010@example.test pw")
    is_(house.posthouse("user", "set", "u0010", "state=locked").returncode, 0, "a user is locked whose password is being checked")
    for pid in workers:
        with contextlib.suppress(ProcessLookupError):  # it had nothing to check, and has ended with its authd
            os.kill(pid, signal.SIGCONT)
    answer = client.line()
    ok(answer.startswith("a NO") or (answer.startswith("a OK") and client.line() == GONE), "they are not let in, or not for long", answer)
    client.close()


def full(house):
    clients = [imap(house, "u0011") for _ in range(3)]
    late = LineClient(house, "IMAP")
    is_((late.ask("a LOGIN u0012@example.test pw"), late.line()[:5]), ("a NO [UNAVAILABLE] Too many sessions, try again later\r\n", "* BYE"),
        "a session more than imapd.sessions-max is told so")
    house.wait_for("those who are in", lambda: len(who(house)) == 3)
    ok(True, "and who answers")
    is_(house.posthouse("kick", "u0011").stdout, "3 sessions ended\n", "as does kick")
    is_([client.line() for client in clients], [GONE] * 3, "which makes room")


with House("--users", "12", "--set", "auth.without-tls yes") as house:
    clients = lists(house)
    rest = kicks(house, clients)
    deaf_client(house)
    changed_accounts(house, rest)
    changed_under_way(house)
with House("--users", "12", "--set", "auth.without-tls yes", "--set", "imapd.sessions-max 3") as house:
    full(house)
done()
