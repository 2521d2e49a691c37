# SPDX-License-Identifier: ISC
"""imapd without the house around it: the test hands it sessions as master does, and talks IMAP with it."""
import imaplib
import io
import pathlib
import re
import shutil
import socket
import tempfile

import wirehouse as w

OWNER_WORK = 16
PROMPT_SECONDS = w.PATIENCE_SECONDS


class Imapd:
    """A running imapd and homes below one directory."""

    def __init__(self, settings="", program="imapd"):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="imapd."))
        (self.directory / "homes").mkdir()
        self.program = w.Program(program, {"generation": w.generation(self.directory, settings)}, self.directory)
        self.program.wait_ready()

    def home(self, user):
        return self.directory / "homes" / user

    def hand_over(self, user, tag="login", pending=b"", quota=0, stamp=0, number=1):
        """The client's end of a new session."""
        mine, theirs = socket.socketpair()
        token, far = socket.socketpair()
        out = w.Out(OWNER_WORK).view(f"{user}@example.test").view(str(self.home(user))).view(tag).view(pending)
        out.u64(number).address("127.0.0.1", 4321).byte(0).view("").view("").u16(0).view("").u64(quota).u64(stamp).byte(1)
        w.send(self.program.master, out.fd(theirs).fd(token))
        theirs.close()
        token.close()
        mine.settimeout(PROMPT_SECONDS)
        return mine, far

    def client(self, user, **more):
        return Client(*self.hand_over(user, **more))

    def imaplib(self, user):
        return Imaplib(self, user)

    def close(self):
        self.program.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print("# " + self.program.log().replace("\n", "\n# "), flush=True)
        self.close()
        return False


class Client:
    """Bytes in, bytes out."""

    def __init__(self, sock, token):
        self.socket, self.token, self.buffer = sock, token, b""
        self.count = 0
        self.greeting = self.until(b"login ")

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        """A line with its CRLF; b"" when the server has gone."""
        while b"\r\n" not in self.buffer:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                rest, self.buffer = self.buffer, b""
                return rest
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line + b"\r\n"

    def exactly(self, size):
        while len(self.buffer) < size:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self.buffer += data
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def answer(self):
        """One whole answer, literals included."""
        data = self.line()
        while True:
            size = re.search(rb"\{(\d+)\}\r\n$", data)
            if not size:
                return data
            data += self.exactly(int(size.group(1))) + self.line()

    def until(self, tag):
        """Everything up to and with the line that begins with tag."""
        data = b""
        while True:
            line = self.answer()
            data += line
            if not line or line.startswith(tag):
                return data

    def command(self, text, *literals):
        """Sends a tagged command; each literal after the server's go-ahead.  All that it answered."""
        self.count += 1
        tag = b"t%d " % self.count
        text = text.encode() if isinstance(text, str) else text
        data = b""
        self.send(tag + text + b"\r\n")
        for i, literal in enumerate(literals):
            line = self.answer()
            while line and not line.startswith(b"+"):
                data += line
                if line.startswith(tag):
                    return data
                line = self.answer()
            self.send(literal)
        return data + self.until(tag)

    def ok(self, text, *literals):
        """Like command, which must be answered OK; the untagged part."""
        data = self.command(text, *literals)
        tag = b"t%d " % self.count
        at = data.rfind(b"\r\n", 0, len(data) - 2) + 2 if data.count(b"\r\n") > 1 else 0
        if not data[at:].startswith(tag + b"OK"):
            raise AssertionError(f"{text!r} was answered {data!r}")
        self.tagged = data[at:]
        return data[:at]

    def append(self, mailbox, message, options=""):
        return self.ok(f"APPEND {mailbox} {options}{' ' if options else ''}{{{len(message)}}}", message + b"\r\n")

    def close(self):
        self.socket.close()
        self.token.close()


class Imaplib(imaplib.IMAP4):
    """Python's own client, over a session that is logged in already."""

    def __init__(self, imapd, user):
        self._given, self._token = imapd.hand_over(user)
        first = b""
        while not first.endswith(b"\r\n"):
            first += self._given.recv(1)
        super().__init__()

    def open(self, host="", port=0, timeout=None):
        self.sock = self._given
        self.file = _Greeted(self.sock.makefile("rb"), b"* PREAUTH here\r\n")

    def _create_socket(self, timeout=None):
        return self._given


class _Greeted:
    """A file with a line before it."""

    def __init__(self, file, first):
        self._file, self._first = file, io.BytesIO(first)

    def readline(self, *size):
        return self._first.readline(*size) or self._file.readline(*size)

    def read(self, size):
        return self._file.read(size)

    def close(self):
        self._file.close()
