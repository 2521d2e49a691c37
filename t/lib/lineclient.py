# SPDX-License-Identifier: ISC
"""A client of a house's IMAP, POP3 or SMTP that has been greeted: lines out, lines in.

    with LineClient(house, "IMAPS") as client:     a service whose name ends with S speaks TLS first
        client.greeting, client.ask("a LOGIN u0001@example.test pw"), client.say("b IDLE"), client.line()

Who is cut off reads "".
"""
import socket
import ssl


def tls_context():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class LineClient:
    def __init__(self, house, service, context=None, session=None):
        """context, session: of earlier ones, for a TLS session that is to be resumed."""
        self.socket = socket.create_connection((house.env["HOST"], house.port(service)))
        if service.endswith("S"):
            self.socket = (context or tls_context()).wrap_socket(self.socket, session=session)
        self.file = self.socket.makefile("rwb")
        self.greeting = self.line()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        return False

    def close(self):
        self.file.close()
        self.socket.close()

    def line(self):
        try:
            return self.file.readline().decode()
        except ConnectionError:
            return ""

    def say(self, text):
        """A str is a line, whose end is added; bytes go as they are."""
        try:
            self.file.write(text if isinstance(text, bytes) else text.encode() + b"\r\n")
            self.file.flush()
        except ConnectionError:
            pass

    def ask(self, text):
        self.say(text)
        return self.line()
