#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What a captured smtpd can do to those it speaks to. Its worker, which reads what strangers write, has lines of its own
and one to its parent; its parent has the wires. Each says what no program of ours would say, and then every other
program still runs, as the same process, and serves."""
import concurrent.futures
import fcntl
import os
import pathlib
import re
import select
import signal
import smtplib
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import processes
import wirehouse
from captured import Captured, CapturedWorker
from house import House
from tap import done, is_, ok

HUBS = ["queued", "resolved", "authd", "dnsd", "porter", "logd"]
WIRES = {"queued.spool": "spool", "resolved.resolve": "resolve", "authd.auth": "auth", "dnsd.dns": "dns",
         "porter.connection": "connection"}
SO_TIMESTAMP = 29
ANNOUNCE, SPOOL_OPEN, SPOOL_ABANDON, RESOLVE_EXPAND = 16, 16, 22, 20


def greet(wire, protocol, fd):
    wirehouse.send(wire, wirehouse.Out(wirehouse.WIRE_GREETING).view(protocol).byte(wirehouse.WIRE_VERSION).u32(0).fd(fd))


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
    for name, question in (("queued.spool", [wirehouse.Out(SPOOL_OPEN).u64(0).address("", 0).u32(0).view("").data, wirehouse.Out(SPOOL_ABANDON).data]),
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
                open_ended = bool(select.select([], [mine], [], 1)[1])
            except BrokenPipeError:  # the other side has hung up, whatever copies we keep
                open_ended = False
                break
    return kept


def many_lines(captured):
    """More than one process may have; the others' are not taken."""
    kept = [wirehouse.dial(captured.wires["resolved.resolve"], "resolve") for _ in range(200)]
    last = kept[-1]
    is_(last.recv(1), b"", "a process that dials without end is refused")
    return kept


def lingering():
    """A socket with bytes that its peer does not read, which close() would wait for, and the peer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = socket.create_connection(server.getsockname())
        end, _ = server.accept()
    end.setblocking(False)
    try:
        while True:
            end.send(bytes(65536))
    except BlockingIOError:
        pass
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    return end, peer


def pass_on(wire, end):
    """We keep no copy, so that the last to close it is the other side, if it gets it at all."""
    try:
        wirehouse.send(wire, wirehouse.Out(99).fd(end.fileno()))
        was_refused = False
    except OSError:
        was_refused = True
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
    end.close()
    return was_refused


def sockets_that_linger(house, captured):
    """To master, to hubs, which have answered on the line before, and as any local user to pickup. The filter would not let
    a program make such a socket: hubs are tried where the kernel can refuse it."""
    submit = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    submit.connect(str(house.directory / "run/submit"))
    lines = {"master": captured.wires["master"], "pickup": submit}
    (end, peer), kept = lingering(), [submit]
    kept.append(peer)
    refuses = pass_on(submit, end)
    for name, question in (("resolved.resolve", wirehouse.Out(RESOLVE_EXPAND).u32(1).view("u0001@example.test")),
                           ("queued.spool", wirehouse.Out(SPOOL_OPEN).u64(0).address("", 0).u32(0).view(""))):
        if not refuses:
            continue
        lines[name] = wirehouse.dial(captured.wires[name], WIRES[name])
        wirehouse.send(lines[name], question)
        wirehouse.receive(lines[name])
    given = {}
    for name, line in lines.items():
        end, peer = lingering()
        kept += [line, peer]
        given[name] = not pass_on(line, end)
    if refuses:
        is_([name for name, taken in given.items() if taken], [], "who expects no descriptors is given none")
    else:
        ok(True, "who expects no descriptors is given none # SKIP this kernel has no SO_PASSRIGHTS")
    sent = subprocess.run([house.directory / "bin/sendmail", "u0001@example.test"], input=b"Subject: x\n\nx\n",
                          env={**os.environ, "POSTHOUSE_CONF": house.env["CONF"]}, check=False)
    is_(sent.returncode, 0, "pickup takes mail while others pass it sockets that linger")
    is_(house.posthouse("status").returncode, 0, "and master answers")
    return kept


def garbage_without_end(house, captured):
    """On master's wire, and on lines to a hub, which ends each."""
    began = time.monotonic()
    for _ in range(300):
        wirehouse.send(captured.wires["master"], wirehouse.Out(99))
    ends = []
    for _ in range(100):
        line = wirehouse.dial(captured.wires["resolved.resolve"], "resolve")
        wirehouse.send(line, wirehouse.Out(99))
        ends.append(wirehouse.receive(line))
        line.close()
    is_(set(ends), {None}, "a line with an invalid message is ended")
    # Lines of two programs come in no order.
    for event in ("event=bad-message peer=smtpd type=99", "event=wire-dropped protocol=resolve"):
        house.wait_for(event, lambda: event in house.log())
    seconds = int(time.monotonic() - began) + 1
    log = house.log()
    said = {event: log.count(event) for event in ("event=bad-message peer=smtpd", "event=wire-dropped protocol=resolve")}
    ok(0 < said["event=bad-message peer=smtpd"] <= seconds + 1, f"which fills no log: {said} in {seconds} s")
    ok(0 < said["event=wire-dropped protocol=resolve"] <= 4 * (seconds + 1), "neither by its hub's lines")
    return []


def forged_announcements(captured):
    """In another program's name, and as one that is no session program's parent."""
    ends = wirehouse.pair()
    for service in range(4):
        out = wirehouse.Out(ANNOUNCE).byte(service).u32(0)
        for _ in range(7):
            out.view("forged\r\n")
        wirehouse.send(captured.wires["porter.connection"], out.fd(ends[0]))


def greeting(house, name):
    with socket.create_connection((house.env["HOST"], house.port(name))) as s:
        return s.recv(100)


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
    # Faster than it may: the log, which grows, is looked at now and then only, from where it was looked at last.
    with open(house.directory / "log", errors="replace") as lines:
        while "event=log-dropped program=smtpd" not in lines.read():
            for _ in range(1000):
                try:
                    os.write(log, b"noise\n" * 600)
                except BlockingIOError:
                    select.select([], [log], [], 1)


# ---- a worker: lib/wire/dial.h ----

DIAL_ASK, DIAL_LINE = 1, 2
DIALS = ["resolved.resolve", "queued.spool", "authd.auth", "dnsd.dns"]


def ask(worker, place):
    """A line, as the worker's parent gives it."""
    wirehouse.send(worker.parent, wirehouse.Out(DIAL_ASK).byte(place))
    answer = wirehouse.receive(worker.parent)
    if answer is None or answer.kind != DIAL_LINE or answer.byte() != place:
        raise ValueError("not a line")
    line = socket.socket(fileno=answer.fd())
    line.settimeout(wirehouse.PATIENCE_SECONDS)
    return line


def spoil(line):
    """What outlives the process on a socket that others use; then its end."""
    for option, value in ((socket.SO_SNDBUF, struct.pack("i", 1)), (socket.SO_RCVBUF, struct.pack("i", 1)),
                          (socket.SO_SNDTIMEO, struct.pack("ll", 0, 1)), (socket.SO_RCVTIMEO, struct.pack("ll", 0, 1))):
        line.setsockopt(socket.SOL_SOCKET, option, value)
    for blocking in (True, False, True, False):
        line.setblocking(blocking)
    line.shutdown(socket.SHUT_RDWR)


def flood(line, packet):
    """Until the other side does not take any more, or has hung up."""
    line.setblocking(False)
    sent = 0
    try:
        while sent < 100000:
            line.send(packet)
            sent += 1
    except OSError:
        pass
    return sent


def spoil_all(lines):
    for line in lines:
        try:
            spoil(line)
        except OSError:
            pass  # the other side has hung up


def spoil_every_line(worker):
    for place in range(len(DIALS)):
        spoil(ask(worker, place))
    spoil_all([*worker.others, worker.parent])


def flood_every_line(worker):
    questions = [wirehouse.Out(RESOLVE_EXPAND).u32(1).view("u0001@example.test").data, wirehouse.Out(SPOOL_ABANDON).data,
                 b"\x10garbage", b"\x11\x01\0\0\0x"]
    kept = [ask(worker, place) for place in range(len(DIALS))]
    for line, question in zip(kept, questions):
        flood(line, question)
    for line in worker.others:
        flood(line, b"\x12")
    sent = flood(worker.parent, wirehouse.Out(DIAL_ASK).byte(0).data)
    ok(sent < 100000, f"its parent takes no more than it will answer ({sent} packets)")
    return kept


def lines_without_end(worker):
    """More are given, slowly, and each ends the one before."""
    kept = [ask(worker, 0) for _ in range(24)]
    is_([line.recv(1) for line in kept[:-1]], [b""] * 23, "asked again and again, a worker has one line to a hub")
    wirehouse.send(kept[-1], wirehouse.Out(RESOLVE_EXPAND).u32(7).view("u0001@example.test"))
    is_(wirehouse.receive(kept[-1]).u32(), 7, "which serves")
    spoil_all(worker.others)  # porter would give it a client, which would wait


def mail_is_taken(house):
    try:
        with smtplib.SMTP(house.env["HOST"], house.port("SMTP"), timeout=60) as smtp:
            smtp.sendmail("a@elsewhere.test", ["u0001@example.test"], "Subject: x\r\n\r\nx\r\n")
        return True
    except (OSError, smtplib.SMTPException):
        return False


def burst(house, mails=100, clients=20):
    """How many mails are not taken at once."""
    def some(_):
        refused = 0
        with smtplib.SMTP(house.env["HOST"], house.port("SMTP"), timeout=60) as smtp:
            for _ in range(mails // clients):
                try:
                    smtp.sendmail("a@elsewhere.test", ["u0001@example.test"], "Subject: x\r\n\r\nx\r\n")
                except smtplib.SMTPException:
                    refused += 1
        return refused
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(some, range(clients)))


with House() as house:
    before = {program: house.pid(program) for program in [*HUBS, "smtpd"]}
    attacks = (spoil_every_line, flood_every_line, lines_without_end)
    kept = []
    for attack in attacks:
        is_(burst(house, 4, 4), 0, f"before {attack.__name__} mail is taken, by workers that are free again")
        try:
            worker = CapturedWorker(house, "smtpd")
        except PermissionError:
            ok(True, f"{attack.__name__} by a captured worker # SKIP only root may take a worker's descriptors")
            continue
        kept.append((attack(worker), worker))
    is_(burst(house), 0, "100 mails, none refused, while the captured workers hold what they have")
    for _, worker in kept:
        worker.release()
    is_(burst(house), 0, "and none when they are gone")
    is_({program: house.pid(program) for program in before}, before, "every program is the process that it was")
    warnings = house.log().count("wire-refused") + house.log().count("wire-dropped")
    ok(warnings < 20, f"the log is not filled ({warnings} lines)")

with House() as house:
    is_(burst(house, 4, 4), 0, "mail is taken")
    parents = {program: house.pid(program) for program in ["smtpd", "imap-login", "pop3-login", "bounce", "authd"]}
    deaf = {program: processes.children(pid) for program, pid in parents.items()}
    is_([program for program, pids in deaf.items() if not pids], [], "each service has workers")
    handles = {pid: os.pidfd_open(pid) for pids in deaf.values() for pid in pids}
    for pid in handles:
        os.kill(pid, signal.SIGSTOP)
    house.stop()
    left = [pid for pid, handle in handles.items() if not select.select([handle], [], [], wirehouse.PATIENCE_SECONDS)[0]]
    is_(left, [], "workers that heed no signal do not outlive a stop")
    ok(house.logs("event=workers-killed"), "and the log says that they were killed")
    for pid in left:
        os.kill(pid, signal.SIGKILL)

with House() as house:
    before = {program: house.pid(program) for program in HUBS}
    greetings = {name: greeting(house, name) for name in ("SMTP", "IMAP")}
    captured = Captured(house, "smtpd")
    kept = [sockets_that_linger(house, captured), garbage_without_end(house, captured)]
    for attack in (forged_announcements, strange_descriptors, empty_packets, unread_answers, many_lines):
        kept.append(attack(captured))
    the_log(house, captured)
    captured.wires["master"].shutdown(wirehouse.socket.SHUT_RDWR)
    house.wait_for("the end of who shuts the wire to master", lambda: "event=wire-shut program=smtpd" in house.log())
    captured.release()
    is_({name: greeting(house, name) for name in greetings}, greetings, "who is served is greeted as before")
    with smtplib.SMTP(house.env["HOST"], house.port("SMTP"), timeout=60) as smtp:
        is_(smtp.sendmail("a@elsewhere.test", ["u0001@example.test"], "Subject: x\r\n\r\nx\r\n"), {}, "the next smtpd takes mail")
    house.wait_for("delivery", lambda: list((house.mailbox("u0001") / "new").glob("*")))
    house.wait_for("queued's line among the noise", lambda: re.search(r" queued\[\d+\]: id=\S+ event=deliver", house.log()))
    is_({program: house.pid(program) for program in HUBS}, before, "it is delivered, and nobody had to be started again")
    house.wait_for("the end of that line", lambda: "the peer does not read" in house.log())
    ok(True, "who does not read his answers has lost his line")
# What it did to its wires ends with it.
with House() as house:
    is_(burst(house, 4, 4), 0, "mail is taken")
    captured = Captured(house, "smtpd")
    for name in WIRES:
        for option, value in ((socket.SO_SNDBUF, 1), (socket.SO_PASSCRED, 1), (SO_TIMESTAMP, 1)):
            captured.wires[name].setsockopt(socket.SOL_SOCKET, option, value)
    for name in ("queued.spool", "resolved.resolve", "porter.connection"):
        captured.wires[name].shutdown(socket.SHUT_RDWR)
    captured.release()
    for peer in ("queued", "resolved", "porter"):
        house.wait_for(f"a new wire to {peer}", lambda: f"event=wire-shut program=smtpd peer={peer}" in house.log())
    house.wait_for("mail", lambda: mail_is_taken(house))
    is_(burst(house, 40, 4), 0, "the next smtpd has wires that nobody has shut, and takes mail")
done()
