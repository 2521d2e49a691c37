# SPDX-License-Identifier: ISC
"""One honest client that logs in or sends, from an address of its own, and a crowd that says one byte: for who is served."""
import base64
import select
import socket

WHO = "u0001@example.test"
BUSY = {"IMAP": b"* BYE", "POP3": b"-ERR", "SMTP": b"421 4.3.2", "SUBMISSION": b"421 4.3.2"}


class Client:
    def __init__(self, host, port, source):
        self.socket = socket.create_connection((host, port), 300, (source, 0))
        self.file = self.socket.makefile("rb")
        self.file.readline()

    def ask(self, text, last=lambda line: True):
        self.socket.sendall(text.encode() + b"\r\n")
        while (line := self.file.readline()) and not last(line):
            pass
        return line

    def leave(self):
        """Until the session has ended, and holds no maildrop any more."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
            self.file.read()
        except OSError:
            pass  # it has ended by itself
        self.file.close()
        self.socket.close()


def imap(client):
    return client.ask(f"a LOGIN {WHO} pw", lambda line: line.startswith(b"a ")).startswith(b"a OK")


def pop3(client):
    client.ask(f"USER {WHO}")
    return client.ask("PASS pw").startswith(b"+OK")


def smtp(client, login=False):
    client.ask("EHLO honest.test", lambda line: line[3:4] == b" ")
    if login:
        client.ask("AUTH PLAIN " + base64.b64encode(f"\0{WHO}\0pw".encode()).decode())
    client.ask(f"MAIL FROM:<{WHO if login else 'honest@far.test'}>")
    client.ask(f"RCPT TO:<{WHO}>")
    client.ask("DATA")
    return client.ask("Subject: x\r\n\r\nx\r\n.").startswith(b"250 2.0.0")


def submission(client):
    return smtp(client, login=True)


SERVICES = {"IMAP": imap, "POP3": pop3, "SMTP": smtp, "SUBMISSION": submission}


def is_served(service, host, port, source):
    client = Client(host, port, source)
    served = SERVICES[service](client)
    client.leave()
    return served


class Crowd:
    """So many connections from these addresses, in turn; each says one byte. keep() opens those anew that have ended."""

    def __init__(self, host, port, sources, count):
        self.to, self.sources, self.told = (host, port), sources, 0
        self.poll, self.held = select.epoll(), {}
        for number in range(count):
            self.open(sources[number % len(sources)])

    def open(self, source):
        try:
            s = socket.create_connection(self.to, 300, (source, 0))
            s.sendall(b"a")
        except OSError:
            return
        self.held[s.fileno()] = (s, source)
        self.poll.register(s, select.EPOLLRDHUP)

    def keep(self, seconds):
        for number, _ in self.poll.poll(seconds):
            s, source = self.held.pop(number)
            s.close()
            self.told += 1
            self.open(source)

    def said(self):
        """What those that have ended were told, when one has."""
        return [self.held[number][0].recv(1000) for number, _ in self.poll.poll(300)]

    def close(self):
        for s, _ in self.held.values():
            s.close()
        self.poll.close()
