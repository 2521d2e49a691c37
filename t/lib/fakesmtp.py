# SPDX-License-Identifier: ISC
"""A mail host that does as it is told, to deliver to: SMTP or LMTP, with any answers, on a free port of loopback."""
import socket
import ssl
import subprocess
import threading


def fake_certificate(directory):
    """(certificate, key) of a host, for FakeHost(certificate=)."""
    pem = str(directory / "fake.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", pem,
                    "-out", pem + ".crt", "-subj", "/CN=fake.test"], check=True, capture_output=True)
    return pem + ".crt", pem


class FakeHost:
    """answers: verb -> bytes, or a callable(argument) -> bytes or (EHLO) pieces of them; what is missing is answered kindly.

    messages: list of (sender, [recipients], bytes, {facts}); connections: how many came. in_tls: the answers that differ in TLS,
    with callable(session). before_tls(session) is called when STARTTLS has been answered (True: no TLS comes), tune(context) before the handshake, after_text(session) when a text has been (True: it
    leaves); `listener` is one
    that is there already.
    """

    def __init__(self, extensions=("PIPELINING", "8BITMIME", "SIZE 1000000"), answers=None, lmtp=False,
                 certificate=None, break_tls=False, address="127.0.0.1", before_tls=lambda session: None, listener=None,
                 tune=lambda context: None, in_tls=None, after_text=lambda session: None):
        self.extensions, self.answers, self.lmtp = list(extensions), dict(answers or {}), lmtp
        self.certificate, self.break_tls, self.before_tls = certificate, break_tls, before_tls
        self.tune, self.in_tls, self.after_text = tune, in_tls or {}, after_text
        self.messages, self.connections, self.lines = [], 0, []
        self.changed = threading.Condition()
        self.listener = listener or socket.create_server((address, 0), backlog=100)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        # Else who waits in accept() takes the connections of the next host, which gets the same descriptor.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def wait_messages(self, count, seconds=300):
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.messages) >= count, seconds):
                raise TimeoutError(f"{len(self.messages)} messages of {count} in {seconds} s; commands: {self.lines[-20:]}")
        return self.messages

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is said is there when say() returns
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            Session(self, client).run()
        except (OSError, ssl.SSLError, EOFError):
            pass
        finally:
            client.close()


class Session:
    def __init__(self, host, client):
        self.host, self.client, self.tls = host, client, False
        self.file = client.makefile("rb")
        self.reset()

    def reset(self):
        self.sender, self.recipients, self.mail_line = None, [], ""

    def say(self, data):
        for piece in [data] if isinstance(data, bytes) else data:
            self.client.sendall(piece)

    def run(self):
        self.say(self.planned("greeting", "") or b"220 fake.test ready\r\n")
        while True:
            line = self.file.readline()
            if not line:
                return
            text = line.decode("latin-1").rstrip("\r\n")
            self.host.lines.append(text)
            verb = text.split(" ")[0].split(":")[0].upper()
            if not self.command(verb, text):
                return

    def planned(self, verb, text):
        if self.tls and verb in self.host.in_tls:
            answer = self.host.in_tls[verb]
            return answer(self) if callable(answer) else answer
        answer = self.host.answers.get(verb)
        return answer(text) if callable(answer) else answer

    def command(self, verb, text):
        answer = self.planned(verb, text)
        if answer == b"close":
            return False
        if verb in ("EHLO", "LHLO"):
            lines = ["fake.test"] + [e for e in self.host.extensions if not (e == "STARTTLS" and self.tls)]
            default = "".join(f"250{'-' if i < len(lines) - 1 else ' '}{line}\r\n" for i, line in enumerate(lines)).encode()
            self.say(answer or default)
        elif verb == "STARTTLS":
            return self.starttls(answer)
        elif verb == "MAIL":
            self.reset()
            self.sender, self.mail_line = text.split("<")[1].split(">")[0], text
            self.say(answer or b"250 2.1.0 ok\r\n")
        elif verb == "RCPT":
            answer = answer or b"250 2.1.5 ok\r\n"
            if answer.startswith(b"2"):
                self.recipients.append(text.split("<")[1].split(">")[0])
            self.say(answer)
        elif verb == "DATA":
            if not self.recipients:
                answer = answer or b"503 5.5.1 no recipients\r\n"
            self.say(answer or b"354 go on\r\n")
            if not answer or answer.startswith(b"354"):
                return self.data()
        elif verb == "QUIT":
            self.say(answer or b"221 bye\r\n")
            return False
        else:
            if verb == "RSET":
                self.reset()
            self.say(answer or b"250 ok\r\n")
        return True

    def starttls(self, answer):
        self.say(answer or b"220 go on\r\n")
        if answer and not answer.startswith(b"220"):
            return True
        if self.host.break_tls:
            self.file.read(1)  # the client has begun: what comes now is no answer in clear behind ours
            self.say(b"this is not TLS at all\r\n")
            return False
        if self.host.before_tls(self):
            return False
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.host.certificate)
        self.host.tune(context)
        self.client = context.wrap_socket(self.client, server_side=True)
        self.file, self.tls = self.client.makefile("rb"), True
        return True

    def data(self):
        body = bytearray()
        while True:
            line = self.file.readline()
            if not line:
                return False
            if line == b".\r\n":
                break
            body += line[1:] if line.startswith(b".") else line
        for recipient in self.recipients if self.host.lmtp else [None]:
            answer = self.planned("end", recipient or "") or b"250 2.0.0 taken\r\n"
            if answer == b"close":
                return False
            with self.host.changed:
                if answer.startswith(b"2"):
                    to = [recipient] if recipient else self.recipients
                    self.host.messages.append((self.sender, to, bytes(body), {"tls": self.tls, "mail": self.mail_line}))
                self.host.changed.notify_all()
            self.say(answer)
        self.reset()
        return not self.host.after_text(self)
