# SPDX-License-Identifier: ISC
"""A client that goes right as far as some point of a conversation, and goes wrong there.

    script = [Hear(CODE), Say(b"EHLO c.test\\r\\n"), Hear(CODE), ...]
    for point in points(script): walk(Line(house, "SMTP"), script, point, WAYS["reset"])

A point is behind an answer, behind a piece that was sent, or in the middle of one (the pieces' cuts); a TLS handshake has points of
its own. What was sent and heard is in the Talk that comes back, for whoever judges what has become of it.
"""
import os
import pathlib
import re
import socket
import ssl
import struct
import subprocess

import waiting

PATIENCE_SECONDS = 600  # only a hang takes longer
CODE = re.compile(rb"(?m)^(\d{3}) [^\r\n]*\r\n")             # the last line of an answer of SMTP
POP3_LINE = re.compile(rb"(?m)^(\+OK|-ERR)[^\r\n]*\r\n")
POP3_LINES = re.compile(rb"(?ms)^(\+OK).*?^\.\r\n|^(-ERR)[^\r\n]*\r\n")
POP3_ASKS = re.compile(rb"(?m)^(\+) [^\r\n]*\r\n|^(-ERR)[^\r\n]*\r\n")
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
TLS.check_hostname, TLS.verify_mode = False, ssl.CERT_NONE


class Say:
    """cuts: in whose middle it is broken off, beside those that every piece has."""

    def __init__(self, data, cuts=()):
        self.data, self.cuts = data, sorted({len(data) // 2, len(data) - 1, *cuts} - {0, len(data)})


class Hear:
    """An answer: what it looks like, and what its first group must be. extra: may lines too many be sent behind it?"""

    def __init__(self, pattern, want, extra=True):
        self.pattern, self.want, self.extra = pattern, want, extra


class Secure:
    """A TLS handshake."""

    stages = ("half-hello", "hello", "unfinished")


class Left(Exception):
    """The server has closed."""


class Line:
    """A connection to a house; narrow: that takes little which nobody reads."""

    def __init__(self, house, service, narrow=False):
        self.socket, self.tls = socket.socket(), None
        if narrow:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(PATIENCE_SECONDS)
        self.socket.connect((house.env["HOST"], house.port(service)))

    def raw(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # what the server said before it left is still to be read

    def receive_raw(self):
        try:
            return self.socket.recv(65536)
        except ConnectionResetError:
            return b""

    # ---- TLS, whose every flight can be held back ----

    def secure(self, stop=None):
        """As far as the stage."""
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls, first = TLS.wrap_bio(self.incoming, self.outgoing), True
        while True:
            try:
                tls.do_handshake()
                finished = True
            except ssl.SSLWantReadError:
                finished = False
            flight = self.outgoing.read()
            if stop == "half-hello":
                self.raw(flight[:len(flight) // 2])
                return
            if finished and stop == "unfinished":
                return
            self.raw(flight)
            if finished:
                self.tls = tls
                return
            if first and stop == "hello":
                return
            first = False
            self.feed()

    def feed(self):
        data = self.receive_raw()
        if not data:
            raise Left
        self.incoming.write(data)

    def send(self, data, torn=False):
        """torn: the last of what stands for it on the wire is missing."""
        if self.tls is None:
            self.raw(data)
            return
        self.tls.write(data)
        sealed = self.outgoing.read()
        self.raw(sealed[:len(sealed) // 2] if torn else sealed)

    def receive(self):
        """b"" at the end."""
        if self.tls is None:
            return self.receive_raw()
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                try:
                    self.feed()
                except Left:
                    return b""
            except ssl.SSLError:  # ended by close_notify, or cut
                return b""

    def notify(self):
        """close_notify: no more comes from us."""
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            pass  # theirs is not here yet
        self.raw(self.outgoing.read())

    # ---- ends ----

    def half(self):
        if self.tls is not None:
            self.notify()
        else:
            try:
                self.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()


class Child(Line):
    """sendmail -bs: pipes, which know no reset."""

    def __init__(self, house):
        owner = (house.directory / "drop").stat()
        identity = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        environment = {**os.environ, "POSTHOUSE_CONF": house.env["CONF"], "POSTHOUSE_PROGRAMS": house.env["BIN"]}
        self.tls = None
        self.process = subprocess.Popen([f"{house.env['BIN']}/sendmail", "-bs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=environment, bufsize=0, **identity)

    def raw(self, data):
        try:
            while data:
                data = data[self.process.stdin.write(data):]
        except BrokenPipeError:
            pass

    def receive_raw(self):
        return self.process.stdout.read(65536)

    def half(self):
        self.process.stdin.close()

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()

    def ended(self):
        self.close()
        return self.process.wait(PATIENCE_SECONDS)


class Talk:
    """What was sent (be it to a server that has left) and heard; surprise: the first answer that was not the script's. What is said
    when it is void must count for nothing: it is not in `sent`.
    """

    def __init__(self, line):
        self.line, self.sent, self.heard, self.at, self.surprise = line, b"", b"", 0, None
        self.void = False

    def say(self, data):
        if not self.void:
            self.sent += data
        self.line.send(data)

    def hear(self, hear):
        while not (found := hear.pattern.search(self.heard, self.at)):
            piece = self.line.receive()
            if not piece:
                raise Left
            self.heard += piece
        self.at = found.end()
        got = next(group for group in found.groups() if group)
        if got != hear.want and self.surprise is None:
            self.surprise = found[0]

    def to_end(self):
        while piece := self.line.receive():
            self.heard += piece


# ---- points ----

def points(script, secured=False):
    """[(number of the action, None: behind it; a cut; a stage of the handshake; "torn")]"""
    found = []
    for number, action in enumerate(script):
        if isinstance(action, Secure):
            secured = True
            found += [(number, stage) for stage in Secure.stages]
        elif isinstance(action, Say):
            found += [(number, cut) for cut in action.cuts] + [(number, "torn")] * secured
        found.append((number, None))
    return found


def perform(talk, action, where=None):
    if isinstance(action, Hear):
        talk.hear(action)
    elif isinstance(action, Secure):
        talk.line.secure(where)
    elif where == "torn":
        talk.line.send(action.data, torn=True)
    else:
        talk.say(action.data[:where])


def rest_of(script, point):
    """What would still be said."""
    number, where = point
    rest = script[number].data[where:] if isinstance(script[number], Say) and isinstance(where, int) else b""
    return rest + b"".join(action.data for action in script[number + 1:] if isinstance(action, Say))


def walk(line, script, point, way, extra=b""):
    talk = Talk(line)
    try:
        for action in script[:point[0]]:
            perform(talk, action)
        perform(talk, script[point[0]], point[1])
    except Left:
        talk.surprise = talk.surprise or b"closed"
    # What TLS should have protected, and what is behind half a record.
    talk.void = point[1] == "torn" or any(isinstance(action, Secure) for action in script[point[0] + (point[1] is None):])
    way(talk, extra + rest_of(script, point))
    return talk


# ---- ways to go wrong; what they keep open somebody else closes ----

def close(talk, _):
    talk.line.close()


def notify(talk, _):
    if talk.line.tls is not None:
        talk.line.notify()
    talk.line.close()


def half(talk, _):
    talk.line.half()
    talk.to_end()
    talk.line.close()


def reset(talk, _):
    talk.line.reset()


def silence(talk, _):
    talk.to_end()
    talk.line.close()


def rest(talk, more):
    talk.say(more)
    talk.line.close()


def rest_and_reset(talk, more):
    talk.say(more)
    talk.line.reset()


def rest_and_listen(talk, more):
    talk.say(more)
    half(talk, more)


def deaf(talk, more):
    talk.say(more)


WAYS = {way.__name__: way for way in (close, notify, half, reset, silence, rest, rest_and_reset, rest_and_listen, deaf)}


# ---- what must be true of the house afterwards ----

def held(house):
    """Connections that some program of the house still has: local port and state."""
    ports = {int(value) for key, value in house.env.items() if key in
             ("SMTP", "SUBMISSION", "SUBMISSIONS", "POP3", "POP3S", "IMAP", "IMAPS")}
    rows = [line.split() for line in open("/proc/net/tcp", encoding="ascii").read().splitlines()[1:]]
    found = [(int(row[1].split(":")[1], 16), row[3]) for row in rows if row[9] != "0"]
    return [(port, state) for port, state in found if port in ports and state != "0A"]


def queue_files(house):
    """Of messages, also such as are being written, damaged or torn."""
    return [str(path) for path in pathlib.Path(house.env["QUEUE"]).glob("*/*") if path.is_file()]


def wait_until_nothing(left, what, house):
    """Like house.wait_for; left() gives what is still there."""
    there = None

    def gone():
        nonlocal there
        there = left()
        return not there
    if not waiting.comes(gone, PATIENCE_SECONDS):
        raise TimeoutError(f"{what}: {there}\n" + "\n".join(house.log().splitlines()[-20:]))
