#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A crowd that logs in at the same instant: each login sends descriptors to authd, and the kernel counts those that are on
their way for all processes of the uid together."""
import pathlib
import re
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import processes  # noqa: E402
from house import House  # noqa: E402
from tap import done, is_, ok  # noqa: E402

CLIENTS = 300
SESSIONS = 3000
IN_FLIGHT = 2 * (1000 + 2 * SESSIONS)  # smtpd.sessions-max, login.sessions-max: a client and its token each


def line(client):
    data = b""
    while not data.endswith(b"\r\n"):
        piece = client.recv(4096)
        if not piece:
            return data
        data += piece
    return data.splitlines(keepends=True)[-1]


def connect(house):
    client = socket.create_connection((house.env["HOST"], house.port("IMAP")))
    line(client)
    return client


def login(client):
    client.sendall(b"a LOGIN u0001@example.test pw\r\n")


with House("--users", "1", "--set", "imapd.sessions-max 1000", "--set", f"login.sessions-max {SESSIONS}") as house:
    first = connect(house)
    login(first)
    ok(line(first).startswith(b"a OK"), "the password is in authd's cache")
    clients = [connect(house) for _ in range(CLIENTS)]
    for client in clients:
        login(client)
    answers = [line(client) for client in clients]
    is_(sorted({answer for answer in answers if not answer.startswith(b"a OK")}), [], f"{CLIENTS} logins at once are all taken")
    worker = processes.children(house.pid("imap-login"))[0]
    limit = re.search(r"Max open files +(\d+)", pathlib.Path(f"/proc/{worker}/limits").read_text()).group(1)
    ok(int(limit) >= IN_FLIGHT, "a worker may send when all sessions that the settings allow have theirs in flight", limit)
    for client in [first, *clients]:
        client.close()
    house.stop()
    ok("event=auth-lost" not in house.log(), "and no question to authd was lost")

done()
