#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A crowd of one network that says one byte each holds every session there may be, and more wait: somebody of another network
logs in and sends all the same, on each service."""
import base64
import pathlib
import select
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from house import House  # noqa: E402
from tap import done, is_, ok  # noqa: E402

SESSIONS, CROWD = 10, 40
BUSY = {"IMAP": b"* BYE", "POP3": b"-ERR", "SMTP": b"421 4.3.2", "SUBMISSION": b"421 4.3.2"}
WHO = "u0001@example.test"


class Client:
    def __init__(self, house, service, source):
        self.socket = socket.create_connection((house.env["HOST"], house.port(service)), 300, (source, 0))
        self.file = self.socket.makefile("rb")
        self.greeting = self.file.readline()

    def ask(self, text, last=lambda line: True):
        self.socket.sendall(text.encode() + b"\r\n")
        return self.answer(last)

    def answer(self, last=lambda line: True):
        while (line := self.file.readline()) and not last(line):
            pass
        return line.rstrip()

    def say_no_more_than(self, byte):
        self.socket.sendall(byte)
        return self


def crowd(house, service):
    return [Client(house, service, f"127.7.7.{number % 200 + 1}").say_no_more_than(b"a") for number in range(CROWD)]


def imap(client):
    return client.ask(f"a LOGIN {WHO} pw", lambda line: line.startswith(b"a "))[:4]


def pop3(client):
    client.ask(f"USER {WHO}")
    return client.ask("PASS pw")[:3]


def mail(client, login=False):
    last = lambda line: line[3:4] == b" "  # noqa: E731
    client.ask("EHLO honest.test", last)
    if login:
        client.ask("AUTH PLAIN " + base64.b64encode(f"\0{WHO}\0pw".encode()).decode())
    client.ask(f"MAIL FROM:<{WHO if login else 'honest@far.test'}>")
    client.ask(f"RCPT TO:<{WHO}>")
    client.ask("DATA")
    return client.ask("Subject: x\r\n\r\nx\r\n.")[:9]


def submission(client):
    return mail(client, login=True)


SERVICES = (("IMAP", imap, b"a OK"), ("POP3", pop3, b"+OK"), ("SMTP", mail, b"250 2.0.0"), ("SUBMISSION", submission, b"250 2.0.0"))

with House("--users", "1", "--set", f"login.sessions-max {SESSIONS}", "--set", f"smtpd.sessions-max {SESSIONS}") as house:
    for service, work, answer in SERVICES:
        held = crowd(house, service)
        is_(work(Client(house, service, "127.200.0.1")), answer, f"{service}: with a crowd of {CROWD} for {SESSIONS} sessions, one of another network is served")
        told = select.select([client.socket for client in held], [], [], 300)[0]
        ok(told and all(s.recv(100).startswith(BUSY[service]) for s in told), "some of the crowd have been told that there are too many")
        is_(work(Client(house, service, "127.201.0.1")), answer, "and so is the next")
        for client in held:
            client.socket.close()
    house.stop()
    refused = [line for line in house.log().splitlines() if "event=refused" in line and "client=127.20" in line]
    is_(refused, [], "neither was ever refused")

done()
