#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A reload drops nobody: who was greeted has the answer to their LOGIN, PASS or AUTH, whatever is being replaced."""
import base64
import collections
import contextlib
import os
import pathlib
import signal
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from house import House  # noqa: E402
from lineclient import LineClient  # noqa: E402
from processes import Process, below  # noqa: E402
from tap import done, is_, ok  # noqa: E402

RELOADS, CLIENTS = 25, 2  # of each kind
WAITING = 100  # for an imapd that starts
# What each of them has sent behind the LOGIN: together more than a wire holds without being given room, which only root can.
BEHIND = 1000 if os.geteuid() == 0 else 1


def imap(client, user):
    answer = client.ask(f"a LOGIN {user} pw")
    return answer.startswith("a OK") or answer


def pop3(client, user):
    client.ask(f"USER {user}")
    answer = client.ask("PASS pw")
    return answer.startswith(("+OK", "-ERR [IN-USE]")) or answer  # the session before may still be ending


def submission(client, user):
    answer = client.ask("EHLO client.example")
    while answer[3:4] == "-":
        answer = client.line()
    client.ask("AUTH LOGIN")
    client.ask(base64.b64encode(user.encode()).decode())
    answer = client.ask(base64.b64encode(b"pw").decode())
    return answer.startswith("235") or answer


KINDS = [("IMAP", imap), ("IMAPS", imap), ("POP3", pop3), ("POP3S", pop3), ("SUBMISSION", submission)]
NEW = f"u{CLIENTS * len(KINDS) + 1:04}"  # has not logged in before them


def log_in_until(over, house, kind, user, counts):
    service, login = kind
    while not over.is_set():
        try:
            with LineClient(house, service) as client:
                good = login(client, user)
                counts[service, "answered" if good is True else f"greeting {client.greeting!r}, answer {good!r}"] += 1
        except OSError as error:
            counts[service, f"not greeted: {error!r}"] += 1


def reload(house):
    """And until the new programs are there, as between two edits: on a slow machine twenty-five in a row would leave none."""
    house.other_binaries()
    code = house.posthouse("reload").returncode
    house.wait_for("the successors", lambda: "not " not in house.posthouse("status").stdout)
    return code


def reload_under_logins(house):
    over, counts = threading.Event(), collections.Counter()
    threads = [threading.Thread(target=log_in_until, args=(over, house, kind, f"u{1 + CLIENTS * i + n:04}@example.test", counts))
               for i, kind in enumerate(KINDS) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    codes = [reload(house) for _ in range(RELOADS)]
    over.set()
    for thread in threads:
        thread.join()
    is_(codes, [0] * RELOADS, f"{RELOADS} reloads, one behind the other")
    is_([key for key in counts if key[1] != "answered"], [], f"{sum(counts.values())} logins meanwhile, all of them answered")
    is_({key[0] for key in counts}, {kind[0] for kind in KINDS}, "of each kind")


def check_under_way(house):
    """authd is replaced while its workers compute (that they do, t/session/authd.t makes sure)."""
    authd = house.pid("authd")
    workers = [process.pid for process in below(authd)]
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    with LineClient(house, "IMAP") as client, LineClient(house, "SUBMISSION") as sender:
        client.say("a LOGIN u0001@example.test pw")
        sender.ask("HELO client.example")
        sender.ask("EHLO client.example")
        while sender.line()[3:4] == "-":
            pass
        sender.say("AUTH PLAIN " + base64.b64encode(b"\0u0002@example.test\0pw").decode())
        house.other_binaries("authd")
        is_(house.posthouse("reload").returncode, 0, "a reload while passwords are being checked")
        house.wait_for("its successor", lambda: house.pid("authd") != authd)
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):  # it had nothing to check, and has ended with its authd
                os.kill(pid, signal.SIGCONT)
        ok(client.line().startswith("a OK"), "the LOGIN has its answer")
        ok(sender.line().startswith("235"), "the AUTH has its answer")


def sessions_under_way(house):
    """imapd is replaced while logged-in clients wait in its wire, and another session goes on."""
    with LineClient(house, "IMAP") as first:
        is_(imap(first, "u0001@example.test"), True, "a session that stays")
        house.wait_for("those before it to end", lambda: house.posthouse("who").stdout.count("\n") == 2)
        imapd = Process(int(house.posthouse("who").stdout.split()[-1])).parent  # not one that was replaced
        os.kill(imapd, signal.SIGSTOP)
        clients = [LineClient(house, "IMAP") for _ in range(WAITING)]
        for client in clients:
            client.say(f"a LOGIN {NEW}@example.test pw" + "\r\nc NOOP" * BEHIND)
        house.wait_for("all passwords to be checked", lambda: house.log().count(f"event=auth service=imap user=<{NEW}@") == WAITING)
        house.other_binaries("imapd")
        is_(house.posthouse("reload").returncode, 0, f"a reload while {WAITING} sessions wait for imapd")
        os.kill(imapd, signal.SIGCONT)
        answers = collections.Counter("a OK" if line.startswith("a OK") else line for line in (client.line() for client in clients))
        is_(answers, {"a OK": WAITING}, "each is served")
        ok(first.ask("b NOOP").startswith("b OK"), "and the first goes on")
        for client in clients:
            client.close()


with House("--users", str(CLIENTS * len(KINDS) + 1), "--set", "auth.without-tls yes", "--set", "porter.rate-per-second 10000",
           "--set", "porter.clients-per-address 2000", "--set", "porter.clients-per-network 2000") as house:
    reload_under_logins(house)
    check_under_way(house)
    sessions_under_way(house)
done()
