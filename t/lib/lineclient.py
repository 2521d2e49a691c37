# SPDX-License-Identifier: ISC
"""A client of a house's IMAP, POP3 or SMTP that has been greeted: lines out, lines in.

    with LineClient(house, "IMAPS") as client:     a service whose name ends with S speaks TLS first
        client.greeting, client.ask("a LOGIN u0001@example.test pw"), client.say("b IDLE"), client.line()

Who is cut off reads "".
"""
import socket
import ssl


class LineClient:
    def __init__(self, house, service):
        self.socket = socket.create_connection((house.env["HOST"], house.port(service)))
        if service.endswith("S"):
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
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
