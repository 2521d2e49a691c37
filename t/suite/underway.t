#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Descriptors that are under way. The kernel counts those that all programs of a uid have sent and nobody has received
yet, and refuses to send more than the sender may have open: what others have under way must not end a session."""
import array
import imaplib
import os
import pathlib
import poplib
import smtplib
import socket
import ssl
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import processes  # noqa: E402
from house import House  # noqa: E402
from tap import done, is_  # noqa: E402

UNDER_WAY = 100  # more than a worker without a number of its own may have open; less than in descriptors.t, which may run beside
PASSWORD = "pw"


class UnderWay:
    """So many, sent by a process of this uid that lives until the end."""

    def __init__(self, uid):
        self.ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            self.ours.close()
            self.send(theirs, uid)
            os._exit(0)
        theirs.close()
        self.said = self.ours.recv(100).decode()

    @staticmethod
    def send(line, uid):
        if os.geteuid() == 0 and uid != 0:
            os.setresuid(uid, uid, uid)
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fds = array.array("i", [line.fileno()] * 50)
        for _ in range(UNDER_WAY // len(fds)):
            ends[0].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        line.send(b"under way")
        line.recv(1)

    def end(self):
        self.ours.close()
        os.waitpid(self.pid, 0)


def uid_of(house, program):
    return int(processes.Process(house.pid(program)).status["Uid"].split()[1])


def tls():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def imap(house):
    with imaplib.IMAP4(house.env["HOST"], house.port("IMAP")) as client:
        client.starttls(tls())
        return client.login("u0001@example.test", PASSWORD)[0]


def pop3(house):
    client = poplib.POP3(house.env["HOST"], house.port("POP3"))
    client.stls(tls())
    client.user("u0001@example.test")
    said = client.pass_(PASSWORD)[:3].decode()
    client.quit()
    return said


def submission(house):
    with smtplib.SMTP(house.env["HOST"], house.port("SUBMISSION")) as client:
        client.starttls(context=tls())
        return client.login("u0001@example.test", PASSWORD)[0]


with House() as house:
    for program, session, expected in (("imap-login", imap, "OK"), ("pop3-login", pop3, "+OK"), ("smtpd", submission, 235)):
        others = UnderWay(uid_of(house, program))
        is_(others.said, "under way", f"{UNDER_WAY} descriptors of {program}'s uid are under way")
        is_(session(house), expected, "and a session with STARTTLS and a login goes on")
        others.end()
done()
