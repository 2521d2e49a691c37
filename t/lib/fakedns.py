# SPDX-License-Identifier: ISC
"""A name server that knows what it is told, over UDP on a free port of loopback.

zones: {("example.test", "MX"): [(10, "mx1.example.test")], ("mx1.example.test", "A"): ["127.0.0.1"]}; a name that
occurs in no row is answered NXDOMAIN, one in `failing` SERVFAIL. `denied`: rows of names that are there, for which
it says NXDOMAIN all the same, as some do (RFC 4074). `silent`: names about which it says nothing.
"""
import socket
import struct
import threading

TYPES = {"A": 1, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
NAMES = {number: name for name, number in TYPES.items()}


def encode_name(name):
    labels = [label for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def decode_name(packet, at):
    labels = []
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin-1"))
        at += packet[at] + 1
    return ".".join(labels), at + 1


def encode_data(kind, value):
    if kind == "A":
        return socket.inet_pton(socket.AF_INET, value)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    if kind == "MX":
        return struct.pack("!H", value[0]) + encode_name(value[1])
    return encode_name(value)


class FakeDns:
    def __init__(self, zones, failing=(), denied=()):
        self.zones, self.failing, self.denied, self.questions = dict(zones), set(failing), set(denied), []
        self.silent = set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self.socket.close()

    def _serve(self):
        while True:
            try:
                packet, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            answer = self._answer(packet)
            self._say(self.questions[-1][0], answer, peer)

    def _say(self, name, answer, peer):
        if name not in self.silent:
            self.socket.sendto(answer, peer)

    def _answer(self, packet):
        name, end = decode_name(packet, 12)
        kind = NAMES.get(struct.unpack("!H", packet[end:end + 2])[0], "?")
        name = name.lower()
        self.questions.append((name, kind))
        rows = self.zones.get((name, kind), [])
        known = any(zone == name for zone, _ in self.zones) and (name, kind) not in self.denied
        code = 2 if name in self.failing else 0 if known else 3
        answer = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", TYPES[kind], 1, 60, len(data)) + data
                          for data in (encode_data(kind, row) for row in rows)) if code == 0 and kind in TYPES else b""
        count = len(rows) if answer else 0
        return packet[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, count, 0, 0) + packet[12:end + 4] + answer
