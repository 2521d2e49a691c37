# SPDX-License-Identifier: ISC
"""porter with the test as smtpd, pop3-login and imap-login, for porter's session tests and figures."""
import os
import pathlib
import shutil
import socket
import tempfile

import wirehouse as w

PARENT = 21
ANNOUNCE, CLIENT, STARTTLS, SECURED, NOT_SECURED, HANDED_OVER, PROGRESS = range(16, 23)
SMTP, SUBMISSION, POP3, IMAP = range(4)
BUSY = {SMTP: b"421 4.3.2 Busy\r\n", SUBMISSION: b"421 4.3.2 Busy\r\n", POP3: b"-ERR [SYS/TEMP] Busy\r\n", IMAP: b"* BYE Busy\r\n"}
UNAVAILABLE, STOPPING, EARLY = ({service: words[:4] + what for service, words in BUSY.items()}
                                for what in (b"Unavailable\r\n", b"Stopping\r\n", b"Early\r\n"))
TIMEOUT = {SMTP: b"421 4.4.2 Timeout\r\n", SUBMISSION: b"421 4.4.2 Timeout\r\n", POP3: b"-ERR Timeout\r\n", IMAP: b"* BYE Timeout\r\n"}
CLEAR = {SMTP: b"220 hello\r\n", SUBMISSION: b"220 submit\r\n", POP3: b"+OK hello\r\n", IMAP: b"* OK hello\r\n"}
SECURED_GREETING = b"secured hello\r\n"
LISTENERS = ("smtp", "submission", "submissions", "pop3", "pop3s", "imap", "imaps")
SERVICES = {"smtp": SMTP, "submission": SUBMISSION, "pop3": POP3, "imap": IMAP}


class Connection:
    """What a worker is given."""

    def __init__(self, message):
        self.kind = message.kind
        self.id, self.service = message.u64(), message.byte()
        self.client, self.local = message.address(), message.address()
        self.tls = message.byte()
        self.version, self.cipher, self.bits, self.name = message.string(), message.string(), message.u16(), message.string()
        self.tls_offered, has_token = message.byte(), message.byte()
        self.socket = socket.socket(fileno=message.fd())
        self.socket.settimeout(w.PATIENCE_SECONDS)
        self.token = message.fd() if has_token else None
        message.end()


class House:
    """porter; with TLS keyd too, if certificates(conf) has put some into conf/certs and conf/keys."""

    def __init__(self, settings="", announce=tuple(SERVICES), certificates=None, identity=None):
        self.directory, self.identity = pathlib.Path(tempfile.mkdtemp(prefix="porter.")), identity
        conf = self.directory / "conf"
        for place in (conf, conf / "certs", conf / "keys"):
            place.mkdir(mode=0o700)
        if certificates:
            certificates(conf)
        self.wires, self.ports, descriptors, listeners = {}, {}, {}, []
        for name in ("smtpd", "pop3-login", "imap-login"):
            self.wires[name], theirs = w.pair()
            descriptors[f"{name}.connection"] = theirs
        for name in LISTENERS:
            s = socket.create_server(("127.0.0.1", 0))
            self.ports[name] = s.getsockname()[1]
            descriptors[f"listen.{name}.0"] = s
        self.descriptors = descriptors
        descriptors["generation"] = w.generation(self.directory, settings)
        self.sign, descriptors["keyd.sign"] = w.pair()
        self.keyd = None
        if certificates:
            self.start_keyd()
        self.porter = w.Program("porter", {name: fd for name, fd in descriptors.items() if name != "keys"}, self.directory, identity)
        self.porter.wait_ready()
        for name in announce:
            self.announce(name)

    def start_keyd(self):
        """Again and again with the same descriptors, as master does."""
        if "keys" not in self.descriptors:
            self.descriptors["keys"] = os.open(self.directory / "conf/keys", os.O_RDONLY | os.O_DIRECTORY)
        self.keyd = w.Program("keyd", {"generation": self.descriptors["generation"], "keys": self.descriptors["keys"],
                                              "porter.sign": self.sign}, self.directory, self.identity)
        self.keyd.wait_ready()

    def wire(self, service):
        return self.wires[{SMTP: "smtpd", SUBMISSION: "smtpd", POP3: "pop3-login", IMAP: "imap-login"}[service]]

    def announce(self, name, made=None, reuse=0, clear=None, wire=None):
        """As this process, or as the one that made that end; over its program's wire, or over that."""
        service = SERVICES[name]
        out = w.Out(ANNOUNCE).byte(service).u32(reuse)
        w.send(wire or self.wire(service), out.view(clear or CLEAR[service]).view(SECURED_GREETING).view(BUSY[service])
               .view(TIMEOUT[service]).view(UNAVAILABLE[service]).view(STOPPING[service]).view(EARLY[service]).fd(made or self.wire(service)))

    def parent(self, program, pid):
        """master's word."""
        w.send(self.porter.master, w.Out(PARENT).view(program).u32(pid))

    def asked(self, program):
        """The next message to a parent that is not a plea for greetings."""
        while True:
            message = w.receive(self.wires[program])
            if message.kind != w.WIRE_ANNOUNCE:
                return message

    def worker(self, service):
        return w.dial(self.wire(service), "connection")

    def client(self, name, source="127.0.0.1"):
        return socket.create_connection(("127.0.0.1", self.ports[name]), w.PATIENCE_SECONDS, (source, 0))

    def stop(self):
        self.porter.stop()
        if self.keyd:
            self.keyd.stop()
        shutil.rmtree(self.directory)


def line(s):
    data = b""
    while not data.endswith(b"\n"):
        more = s.recv(1)
        if not more:
            break
        data += more
    return data


def ended(s):
    try:
        return s.recv(1) == b""
    except ConnectionResetError:
        return True


def quiet(s, seconds=0.15):
    """Nothing comes (the one kind of test that has to wait)."""
    s.settimeout(seconds)
    try:
        s.recv(1)
        return False
    except TimeoutError:
        return True
    finally:
        s.settimeout(w.PATIENCE_SECONDS)
