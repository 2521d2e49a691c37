# SPDX-License-Identifier: ISC
"""smtpd with a porter, a resolved, a queued and an authd that a test plays.

    with Smtp(settings) as house:
        client = house.client()                  # a plain connection to port 25, greeted already
        client.say("EHLO me.test"); client.answer()
        house.queue.messages[-1].recipients
"""
import itertools
import os
import pathlib
import re
import select
import socket
import tempfile
import threading
import time

import waiting
import wirehouse
from wirehouse import ENVELOPE, ENVELOPE_RECIPIENT, In, Out, accept, receive, send

CONNECTION_ANNOUNCE, CONNECTION_CLIENT, CONNECTION_STARTTLS, CONNECTION_SECURED = 16, 17, 18, 19
CONNECTION_PROGRESS = 22
SMTP, SUBMISSION = 0, 1
RESOLVE_CLIENT, RESOLVE_SENDER, RESOLVE_RECIPIENT, RESOLVE_VERDICT = 16, 17, 18, 19
ACCEPT, RELAY, REJECT, LATER = 0, 1, 2, 3
(SPOOL_OPEN, SPOOL_FILE, SPOOL_RECIPIENT, SPOOL_COMMIT, SPOOL_COMMITTED, SPOOL_LIVE, SPOOL_ABANDON,
 SPOOL_REFUSED, SPOOL_ENDED, SPOOL_WHOLE, SPOOL_SEALED) = range(16, 27)
DNS_NAME, DNS_HOSTS = 18, 19
AUTH_BEGIN, AUTH_ANSWER, AUTH_CANCEL, AUTH_CHALLENGE, AUTH_RESULT = range(16, 21)
SPOOL_OFFSET = 256


def receive_beside(line, progress=None):
    """The next message of a worker but what it says of its progress, which `progress` collects."""
    while (packet := receive(line)) is not None and packet.kind == CONNECTION_PROGRESS:
        said = packet.byte()
        packet.end()
        if progress is not None:
            progress.append(said)
    return packet


def put_tls(out, on):
    return out.byte(on).view("TLSv1.3" if on else "").view("TLS_AES_256_GCM_SHA384" if on else "").u16(256 if on else 0).view("")


def serve(wire, protocol, line_server):
    """A thread for every line that greets; ends when the wire does."""
    def greet():
        while True:
            try:
                line = accept(wire, protocol)
            except (OSError, ValueError, AttributeError):
                return
            line.settimeout(None)
            threading.Thread(target=run, args=(line,), daemon=True).start()

    def run(line):
        try:
            line_server(line)
        except (OSError, ValueError):
            pass
        finally:
            line.close()

    wire.settimeout(None)
    threading.Thread(target=greet, daemon=True).start()


class Message:
    """One message as queued sees it."""

    def __init__(self, number):
        self.id = f"{number:013d}"
        self.recipients, self.bytes, self.state = [], b"", "open"
        self.ended = threading.Event()  # for whom no answer tells

    def abandon(self):
        self.state = "abandoned"
        self.ended.set()


class Queue:
    """Keeps messages; `refuse` maps a step (SPOOL_OPEN, SPOOL_COMMIT) to (permanent, status, text).
    `ends`: every message is ended as soon as its writer has the file, by these words.
    `hang_up_at`: a step at which it hangs up; `hang_up_behind`: once it has answered that.
    `names`: with each file it names the id of the line's next message, which that may have once; `elsewhere`: and does
    not get it; `steps` has what came."""

    def __init__(self, directory):
        self.directory, self.kept, self.refuse, self.hang_up_at, self.hang_up_behind, self.ends = directory, [], {}, None, None, None
        self.turn, self.lines = threading.Lock(), set()
        self.names, self.named, self.elsewhere, self.numbers, self.steps = False, {}, False, itertools.count(1), []

    @property
    def messages(self):
        """With all that has been said by now: the last word of a message has no answer for which a writer would wait."""
        while True:
            with self.turn:
                if not self.lines or not select.select(list(self.lines), [], [], 0)[0]:
                    return self.kept
            time.sleep(0)

    def hang_up(self):
        """As one that is started again."""
        for line in list(self.lines):
            line.shutdown(socket.SHUT_RDWR)
        waiting.comes(lambda: not self.lines, wirehouse.PATIENCE_SECONDS)

    def serve(self, line):
        message = None
        self.lines.add(line)
        try:
            while True:
                select.select([line], [], [])
                with self.turn:
                    if (packet := receive(line)) is None:
                        return
                    self.steps.append(packet.kind)
                    if packet.kind == self.hang_up_at:
                        return
                    if packet.kind in self.refuse:
                        if packet.kind in (SPOOL_OPEN, SPOOL_WHOLE):
                            self.named.pop(line, None)
                        permanent, status, text = self.refuse[packet.kind]
                        send(line, Out(SPOOL_REFUSED).byte(permanent).view(status).view(text))
                        if message and message.state != "live":  # that one was the last on this line
                            message.state = "refused"
                        continue
                    behind = packet.kind == self.hang_up_behind
                    if behind:
                        line.shutdown(socket.SHUT_RD)
                    message = self.step(line, packet, message)
                    if behind:
                        return
        finally:
            self.lines.discard(line)
            if message and message.state != "live":
                message.abandon()

    @staticmethod
    def take_recipients(packet, message):
        while packet.rest:
            to = packet.fields(ENVELOPE_RECIPIENT)
            message.recipients.append((to["address"], to["notify"], to["orcpt"]))
        packet.end()

    def begun(self, line, packet):
        announced, client, uid, id = packet.u64(), packet.address(), packet.u32(), packet.string()
        if id not in ("", self.named.pop(line, "")):
            raise ValueError("an id that was not named")
        message = Message(int(id) if id and not self.elsewhere else next(self.numbers))
        message.asked, message.announced, message.client, message.uid = id, announced, client, uid
        message.path = self.directory / message.id
        self.kept.append(message)
        return message

    def next(self, line):
        self.named[line] = f"{next(self.numbers):013d}" if self.names else ""
        return self.named[line]

    def committed(self, packet, message):
        message.__dict__.update(packet.fields(ENVELOPE))
        message.size, message.checksum = packet.u64(), packet.view()
        self.take_recipients(packet, message)
        message.state = "committed"

    def step(self, line, packet, message):
        if packet.kind == SPOOL_OPEN:
            message = self.begun(line, packet)
            packet.end()
            with open(message.path, "wb") as file:
                file.write(b"\0" * SPOOL_OFFSET)
                file.flush()
                send(line, Out(SPOOL_FILE).view(message.id).view(self.next(line)).u64(SPOOL_OFFSET).fd(file))
            if self.ends:
                send(line, Out(SPOOL_ENDED).view(message.id).byte(False).view("4.3.1").view(self.ends))
                message.state = "ended"
        elif message and message.state == "ended" and packet.kind != SPOOL_WHOLE:
            pass
        elif packet.kind == SPOOL_RECIPIENT:
            self.take_recipients(packet, message)
        elif packet.kind == SPOOL_COMMIT:
            self.committed(packet, message)
            send(line, Out(SPOOL_COMMITTED))
        elif packet.kind == SPOOL_WHOLE:
            message = self.begun(line, packet)
            self.committed(packet, message)
            with open(message.path, "wb") as file:
                send(line, Out(SPOOL_SEALED).view(message.id).view(self.next(line)).view(b"h" * SPOOL_OFFSET).fd(file))
        elif packet.kind == SPOOL_LIVE:
            message.bytes = message.path.read_bytes()[SPOOL_OFFSET:SPOOL_OFFSET + message.size]
            message.state = "live"
        elif packet.kind == SPOOL_ABANDON:
            message.abandon()
        return message


class Resolver:
    """Known recipients are at example.test, except nobody@ and those that begin with "late"; accounts may send anywhere."""

    def __init__(self):
        self.client_verdict = (ACCEPT, "", "")
        self.questions, self.names, self.wants_name, self.any_sender = [], [], False, False
        self.sizes, self.quotas, self.refusals = [], {}, {}

    @staticmethod
    def is_mailbox(recipient):
        return recipient.endswith("@example.test") and not recipient.startswith("alias")

    def verdict(self, kind, client, account, sender, recipient):
        if kind == RESOLVE_CLIENT:
            return self.client_verdict
        if kind == RESOLVE_SENDER:
            return (REJECT, "5.7.1", "go away") if sender == "spam@evil.test" else (ACCEPT, "", "")
        if recipient in self.refusals:
            return self.refusals[recipient]
        local, _, domain = recipient.partition("@")
        if local.startswith("late"):
            return LATER, "4.3.0", "try again later"
        if domain == "example.test" or recipient == "postmaster":
            return (REJECT, "5.1.1", "no such mailbox here") if local == "nobody" else (ACCEPT, "", "")
        if account or self.client_verdict[0] == RELAY:
            return ACCEPT, "", ""
        return REJECT, "5.7.1", "relaying denied"

    def serve(self, line):
        while (packet := receive(line)) is not None:
            number, client, name, _ = packet.u32(), packet.address()[0], packet.string(), packet.byte()
            account, sender, recipient = packet.string(), packet.string(), packet.string()
            self.sizes.append(packet.u64())
            packet.end()
            self.questions.append((packet.kind, account, sender, recipient))
            self.names.append(name)
            wants_name = packet.kind == RESOLVE_CLIENT and self.wants_name and not name
            verdict, status, text = self.verdict(packet.kind, client, account, sender, recipient)
            send(line, Out(RESOLVE_VERDICT).u32(number).byte(verdict).view(status).view(text).byte(wants_name)
                 .byte(packet.kind == RESOLVE_CLIENT and self.any_sender).view(recipient)
                 .byte(self.is_mailbox(recipient)).u64(self.quotas.get(recipient, 0)))


class Names:
    """dnsd: the name of every address is client.far.test."""

    def serve(self, line):
        while (packet := receive(line)) is not None:
            if packet.kind != DNS_NAME:
                raise ValueError("smtpd asks for names only")
            out = Out(DNS_HOSTS).byte(0).view("").u32(60).byte(1).u16(0).byte(0).byte(0).view("client.far.test").byte(0)
            send(line, out)


class Passwords:
    """PLAIN and LOGIN; anna@example.test has the password "secret"."""

    def result(self, line, user, password):
        good = (user, password) == (b"anna@example.test", b"secret")
        send(line, Out(AUTH_RESULT).byte(0 if good else 1).view(user if good else b"").byte(0).u64(0))

    def challenge(self, line, text):
        send(line, Out(AUTH_CHALLENGE).view(text))
        packet = receive(line)
        return packet.view() if packet is not None and packet.kind == AUTH_ANSWER else None

    def serve(self, line):
        while (packet := receive(line)) is not None:
            if packet.kind != AUTH_BEGIN:
                continue
            _, mechanism, has_initial, initial = packet.byte(), packet.string(), packet.byte(), packet.view()
            if mechanism == "PLAIN":
                answer = initial if has_initial else self.challenge(line, b"")
                parts = answer.split(b"\0") if answer is not None else None
            else:
                user = initial if has_initial else self.challenge(line, b"Username:")
                password = self.challenge(line, b"Password:") if user is not None else None
                parts = [b"", user, password] if password is not None else None
            if parts is None:
                continue
            if len(parts) == 3:
                self.result(line, parts[1], parts[2])
            else:
                send(line, Out(AUTH_RESULT).byte(3).view("").byte(0).u64(0))


class Client:
    """What a mail client sees.  With `slow` every byte is sent on its own."""

    def __init__(self, sock, worker, slow=False):
        self.sock, self.worker, self.slow, self.buffer = sock, worker, slow, b""
        sock.settimeout(wirehouse.PATIENCE_SECONDS)

    def send(self, data):
        data = data.encode("latin-1") if isinstance(data, str) else data
        for piece in ([data[i:i + 1] for i in range(len(data))] if self.slow else [data]):
            try:
                self.sock.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                return

    def say(self, *lines):
        self.send("".join(line + "\r\n" for line in lines))

    def line(self):
        """The next line without its CRLF, None at the end."""
        while b"\r\n" not in self.buffer:
            try:
                more = self.sock.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("latin-1")

    def answer(self):
        """A whole reply: its lines joined, None at the end."""
        lines = []
        while (line := self.line()) is not None:
            lines.append(line)
            if not re.match(r"\d\d\d-", line):
                return "\n".join(lines)
        return None

    def ask(self, *lines):
        self.say(*lines)
        return self.answer()

    def close(self):
        self.sock.close()


class Smtp(wirehouse.ProgramHouse):
    def __init__(self, settings=""):
        self.settings = settings

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-t."))
        generation = wirehouse.generation(self.directory, self.settings)
        self.porter, theirs = wirehouse.pair()
        wires = {"generation": generation, "porter.connection": theirs}
        self.queue, self.resolver, self.passwords = Queue(self.directory), Resolver(), Passwords()
        for name, protocol, peer in (("queued.spool", "spool", self.queue), ("resolved.resolve", "resolve", self.resolver),
                                     ("authd.auth", "auth", self.passwords), ("dnsd.dns", "dns", Names())):
            mine, wires[name] = wirehouse.pair()
            serve(mine, protocol, peer.serve)
        self.program = wirehouse.Program("smtpd", wires, self.directory)
        self.announced = [receive(self.porter), receive(self.porter)]
        self.program.wait_ready()
        self.idle = []
        return self

    def worker(self):
        """The line of an idle worker: one that has said WIRE_DONE, or a new one."""
        for line in self.idle:
            line.setblocking(False)
            try:
                packet = receive_beside(line)
            except BlockingIOError:
                packet = False
            line.settimeout(wirehouse.PATIENCE_SECONDS)
            if packet is None or packet:
                self.idle.remove(line)
            if packet:
                return line
        send(self.porter, Out(wirehouse.WIRE_GROW).u32(1))
        return accept(self.porter, "connection")

    def client(self, service=SMTP, tls=False, tls_offered=True, address="192.0.2.9", slow=False):
        line = self.worker()
        client = Client(*self.hand_over(line, service, tls, tls_offered, address), slow)
        self.idle.append(line)
        return client

    def hand_over(self, line, service=SMTP, tls=False, tls_offered=True, address="192.0.2.9"):
        """Gives a worker a client: the client's socket, and the line."""
        mine, theirs = socket.socketpair()
        out = Out(CONNECTION_CLIENT).u64(1).byte(service).address(address, 40000).address("192.0.2.1", 25)
        put_tls(out, tls).byte(tls_offered).byte(0).fd(theirs)
        send(line, out)
        theirs.close()
        return mine, line

    def starttls(self, client):
        """Porter's part: takes the socket back and answers; no TLS is spoken."""
        packet = receive_beside(client.worker)
        if packet is None or packet.kind != CONNECTION_STARTTLS:
            raise RuntimeError(f"no STARTTLS from smtpd: {packet}")
        fd = packet.fd()
        send(client.worker, put_tls(Out(CONNECTION_SECURED), True).fd(fd))
        os.close(fd)
