#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What a captured smtpd can do to those it has wires to: it says what no program of ours would say, and then every one
of them still runs, as the same process, and serves the next smtpd."""
import fcntl
import os
import pathlib
import re
import select
import smtplib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import wirehouse
from captured import Captured
from house import House
from tap import done, is_, ok

HUBS = ["queued", "resolved", "authd", "dnsd", "porter", "logd"]
WIRES = {"queued.spool": "spool", "resolved.resolve": "resolve", "authd.auth": "auth", "dnsd.dns": "dns",
         "porter.connection": "connection"}
SPOOL_OPEN, SPOOL_ABANDON, RESOLVE_EXPAND = 16, 23, 20


def greet(wire, protocol, fd):
    wirehouse.send(wire, wirehouse.Out(wirehouse.WIRE_GREETING).view(protocol).byte(wirehouse.WIRE_VERSION).fd(fd))


def strange_descriptors(captured):
    """As lines of our own: what cannot be waited for, and what is no wire."""
    listener, reader = wirehouse.socket.create_server(("127.0.0.1", 0)), os.pipe()
    for fd in (os.open("/dev/null", os.O_RDWR), os.open("/dev/zero", os.O_RDWR), os.open("/", os.O_RDONLY),
               os.open(__file__, os.O_RDONLY), listener.fileno(), *reader):
        for name, protocol in WIRES.items():
            greet(captured.wires[name], protocol, fd)
    listener.close()


def empty_packets(captured):
    for name in WIRES:
        captured.wires[name].send(b"")


def unread_answers(captured):
    """Asks and does not read; the end that was sent is kept, and made blocking again behind the other's back."""
    kept = []
    for name, question in (("queued.spool", [wirehouse.Out(SPOOL_OPEN).u64(0).data, wirehouse.Out(SPOOL_ABANDON).data]),
                           ("resolved.resolve", [wirehouse.Out(RESOLVE_EXPAND).u32(1).view("u0001@example.test").data])):
        mine, theirs = wirehouse.pair()
        mine.setblocking(False)
        kept += [mine, theirs]
        greet(captured.wires[name], WIRES[name], theirs)
        open_ended = True
        while open_ended:
            fcntl.fcntl(theirs, fcntl.F_SETFL, fcntl.fcntl(theirs, fcntl.F_GETFL) & ~os.O_NONBLOCK)
            try:
                for packet in question:
                    mine.send(packet)
            except BlockingIOError:
                open_ended = bool(select.select([], [mine], [], 1)[1])  # our copy keeps the end open: no more is read
    return kept


def many_lines(captured):
    """More than one process may have; the others' are not taken."""
    kept = [wirehouse.dial(captured.wires["resolved.resolve"], "resolve") for _ in range(200)]
    last = kept[-1]
    is_(last.recv(1), b"", "a process that dials without end is refused")
    return kept


def refused(action):
    try:
        action()
        return False
    except OSError:
        return True


def the_log(house, captured):
    """Its lines in the log: it can add some."""
    log, before = captured.fds["log"], house.log()
    fcntl.fcntl(log, fcntl.F_SETFL, 0)
    ok(all(map(refused, [lambda: os.pwrite(log, b"FORGED", 0), lambda: os.ftruncate(log, 0), lambda: os.lseek(log, 0, os.SEEK_SET),
                         lambda: os.read(log, 1)])), "the log cannot be rewound, emptied or read")
    ok(house.log().startswith(before), "and what stood in it stands")
    os.write(log, b"2026-01-01T00:00:00.000Z queued[1]: id=forged event=deliver\n")
    house.wait_for("the forged line", lambda: "id=forged" in house.log())
    is_([line.split(" ", 1)[1] for line in house.log().splitlines() if "id=forged" in line],
        ["smtpd: 2026-01-01T00:00:00.000Z queued[1]: id=forged event=deliver"], "what it says in another's name is its own")
    fcntl.fcntl(log, fcntl.F_SETFL, os.O_NONBLOCK)
    while "event=log-dropped program=smtpd" not in house.log():
        try:
            os.write(log, b"noise\n" * 600)
        except BlockingIOError:
            select.select([], [log], [], 1)


with House() as house:
    before = {program: house.pid(program) for program in HUBS}
    captured = Captured(house, "smtpd")
    kept = []
    for attack in (strange_descriptors, empty_packets, unread_answers, many_lines):
        kept.append(attack(captured))
    the_log(house, captured)
    captured.wires["master"].shutdown(wirehouse.socket.SHUT_RDWR)
    house.wait_for("the end of who shuts the wire to master", lambda: "event=wire-shut program=smtpd" in house.log())
    captured.release()
    house.wait_for("smtpd", lambda: house._command("pid", house.directory, "smtpd", check=False))
    with smtplib.SMTP(house.env["HOST"], house.port("SMTP"), timeout=60) as smtp:
        is_(smtp.sendmail("a@elsewhere.test", ["u0001@example.test"], "Subject: x\r\n\r\nx\r\n"), {}, "the next smtpd takes mail")
    house.wait_for("delivery", lambda: list((house.mailbox("u0001") / "new").glob("*")))
    house.wait_for("queued's line among the noise", lambda: re.search(r" queued\[\d+\]: id=\S+ event=deliver", house.log()))
    is_({program: house.pid(program) for program in HUBS}, before, "it is delivered, and nobody had to be started again")
    house.wait_for("the end of that line", lambda: "the peer does not read" in house.log())
    ok(True, "who does not read his answers has lost his line")
done()
