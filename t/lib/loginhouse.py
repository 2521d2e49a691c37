# SPDX-License-Identifier: ISC
"""pop3-login or imap-login with the test in place of porter, authd and the client."""
import os
import pathlib
import select
import shutil
import socket
import tempfile

import wireauth as a
import wirehouse as w


class Session:
    """One client, the line of the worker that serves it, and authd's side."""

    def __init__(self, house, service, tls, tls_offered):
        self.house = house
        house.told.clear()
        self.client, theirs = socket.socketpair()
        self.client.settimeout(w.PATIENCE_SECONDS)
        self.watched, token = socket.socketpair()
        self.watched.settimeout(w.PATIENCE_SECONDS)
        w.send(house.worker(), a.connection(service, theirs, token, tls, tls_offered))
        theirs.close()
        token.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        self.watched.close()
        self.house.worker_free()
        return False

    # ---- the client ----
    def say(self, data):
        self.client.sendall(data)

    def hear(self, size):
        data = b""
        while len(data) < size:
            piece = self.client.recv(size - len(data))
            if not piece:
                break
            data += piece
        return data

    def line(self):
        data = b""
        while not data.endswith(b"\r\n"):
            piece = self.client.recv(1)
            if not piece:
                break
            data += piece
        return data

    def rest(self):
        data = b""
        while True:
            try:
                piece = self.client.recv(65536)
            except ConnectionResetError:
                return data
            if not piece:
                return data
            data += piece

    def token_closed(self):
        return self.watched.recv(1) == b""

    # ---- porter ----
    def porter_heard(self):
        """What the worker has said until it is free, but for what it told of the client's progress."""
        kinds = []
        while not kinds or kinds[-1] != w.WIRE_DONE:
            kinds.append(self.house.hear().kind)
        self.house.free = True
        return kinds

    def secure(self):
        message = self.house.hear()
        assert message.kind == a.STARTTLS
        os.close(message.fd())
        self.client.close()
        self.client, theirs = socket.socketpair()
        self.client.settimeout(w.PATIENCE_SECONDS)
        w.send(self.house.line, a.put_tls(w.Out(a.SECURED), True).fd(theirs))
        theirs.close()

    def not_secured(self):
        os.close(self.house.hear().fd())
        w.send(self.house.line, w.Out(a.NOT_SECURED))

    # ---- authd ----
    def auth_begin(self, close=False, dial=False):
        """dial: the program has reason to hang up and dial again."""
        if self.house.authd_line is None or dial:
            self.house.authd_line = w.accept(self.house.authd, "auth")
        begin = a.Begin(w.receive(self.house.authd_line))
        if close:
            self.close_begin(begin)
        return begin

    @staticmethod
    def close_begin(begin):
        begin.socket.close()
        if begin.token is not None:
            os.close(begin.token)

    def auth_gone(self):
        """It is replaced, and says that it has not heard the question."""
        w.send(self.house.authd_line, w.Out(a.GONE))
        self.house.authd_line.close()

    def auth_deaf(self):
        """One that ends with the question unread."""
        line = w.accept(self.house.authd, "auth")
        select.select([line], [], [])
        line.close()

    def auth_result(self, verdict, handed_over=False):
        w.send(self.house.authd_line, a.result(verdict, handed_over=handed_over))
        if verdict == a.TEMPORARY:
            # An authd that is replaced says so by hanging up.
            self.house.authd_line.close()
            self.house.authd_line = None

    def auth_challenge(self, challenge, answer):
        """Sends a challenge; the line that the client hears, which then answers."""
        w.send(self.house.authd_line, w.Out(a.CHALLENGE).view(challenge))
        heard = self.line()
        self.say(answer)
        return heard

    def auth_heard(self):
        message = w.receive(self.house.authd_line)
        return message.kind, message.view() if message.rest else b""


class LoginHouse:
    def __init__(self, program, settings=""):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-login."))
        self.porter, porter = w.pair()
        self.authd, authd = w.pair()
        self.line = self.authd_line = None
        self.free = False
        self.told = []
        # One worker, so that what one session leaves behind meets the next.
        settings = "login.sessions-max 1\nlogin.reuse 1000\n" + settings
        self.program = w.Program(program, {"generation": w.generation(self.directory, settings), "porter.connection": porter,
                                           "authd.auth": authd}, self.directory)
        self.program.wait_ready()
        message = w.receive(self.porter)
        assert message.kind == a.ANNOUNCE
        service, reuse = message.byte(), message.u32()
        assert (reuse, w.maker(message.fds[0])) == (1000, self.program.process.pid)
        self.announcement = (service, *(message.string() for _ in range(7)))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.program.stop()
        if kind is not None:
            print("# " + self.program.log().replace("\n", "\n# "), flush=True)
        shutil.rmtree(self.directory, ignore_errors=True)
        return False

    def worker(self):
        """The worker's line, once it is idle."""
        if self.line is None:
            self.line = w.accept(self.porter, "connection")
        return self.line

    def hear(self):
        """What the worker says next but of its client's progress, which goes to `told` when it changes."""
        while (message := w.receive(self.line)) is not None and message.kind == a.PROGRESS:
            progress = message.byte()
            if progress != (self.told or [0])[-1]:
                self.told.append(progress)
        return message

    def worker_free(self):
        while not self.free:
            message = self.hear()
            if message is None:
                self.line, self.authd_line = None, None
                break
            self.free = message.kind == w.WIRE_DONE
        self.free = False

    def session(self, service, tls=True, tls_offered=True):
        return Session(self, service, tls, tls_offered)

    def converse(self, service, pieces, tls=True, tls_offered=True):
        """A session without authd: what the client hears when it says all that and leaves."""
        with self.session(service, tls, tls_offered) as s:
            s.client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            try:
                for piece in pieces:
                    s.say(piece)
                s.client.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass
            return s.rest()
