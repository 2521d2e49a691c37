#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""imapd's golden sessions (t/session/imapd/*.session): each fed a command at a time, whole, and one byte at a time.

"C: " lines are sent, "S: " lines are what is answered, byte for byte, but <uidvalidity> for that number and <date> for a
date.  IMAPD_GOLDEN=show prints what is answered, to write new ones.
"""
import os
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
import imaphouse
from tap import done, note, ok


def read_session(path):
    """Steps of (bytes to send, bytes wanted)."""
    steps, last = [], "S"
    for line in path.read_bytes().split(b"\n"):
        kind, text = line[:3], line[3:]
        if kind in (b"C: ", b"C:"):
            if last == "S":
                steps.append([b"", b""])
            steps[-1][0] += text + b"\r\n"
            last = "C"
        elif kind in (b"S: ", b"S:"):
            steps[-1][1] += text + b"\r\n"
            last = "S"
    return steps


def masked(data):
    data = re.sub(rb"(UIDVALIDITY|APPENDUID|COPYUID) \d{9,10}", rb"\1 <uidvalidity>", data)
    return re.sub(rb'UIDVALIDITY \d+', b"UIDVALIDITY <uidvalidity>", data)


def rest(client):
    """All up to the end."""
    data = client.buffer
    while True:
        try:
            more = client.socket.recv(65536)
        except ConnectionResetError:
            more = b""
        if not more:
            return data
        data += more


def play(imapd, user, steps, how):
    client = imapd.client(user)
    if how == "a command at a time":
        got = b""
        for sent, wanted in steps:
            client.send(sent)
            try:
                got += client.until(last_tag(wanted))
            except TimeoutError:
                return masked(got) + b"<nothing more after %r>" % sent
        return masked(got + rest(client))
    data = b"".join(sent for sent, _ in steps)
    if how == "whole":
        client.send(data)
    else:
        for i in range(len(data)):
            client.send(data[i:i + 1])
    return masked(rest(client))


def last_tag(wanted):
    return wanted.rstrip(b"\r\n").split(b"\r\n")[-1].split(b" ")[0] + b" "


def differ(got, wanted):
    a, b = got.split(b"\r\n"), wanted.split(b"\r\n")
    for i, (x, y) in enumerate(zip(a + [b"<end>"], b + [b"<end>"])):
        if x != y:
            return f"answer line {i + 1}\ngot:  {x!r}\nwant: {y!r}\nbefore: {a[max(0, i - 2):i]!r}"
    return "one is longer"


def main():
    os.environ["TZ"] = "UTC"
    with imaphouse.Imapd() as imapd:
        for path in sorted((HERE / "imapd").glob("*.session")):
            steps = read_session(path)
            wanted = b"".join(step[1] for step in steps)
            for n, how in enumerate(("a command at a time", "whole", "byte by byte")):
                got = play(imapd, f"{path.stem}{n}", steps, how)
                if os.environ.get("IMAPD_GOLDEN") and n == 0:
                    note(got.decode("utf-8", "replace"))
                ok(got == wanted, f"{path.stem}, {how}", differ(got, wanted))
    done()


main()
