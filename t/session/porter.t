#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""porter in clear: greetings, hand-over, early talkers, limits, PROXY headers, workers that come late, reload and stop."""
import os
import pathlib
import re
import signal
import socket
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import wirehouse as w
from porterhouse import (BUSY, CLEAR, CLIENT, EARLY, HANDED_OVER, IMAP, POP3, SERVICES, SMTP, STOPPING, SUBMISSION, TIMEOUT, Connection, House,
                         ended, line, quiet)
from tap import done, is_, ok

def greetings_and_sessions():
    h = House(announce=())
    is_(w.receive(h.wires["smtpd"]).kind, w.WIRE_ANNOUNCE, "porter asks for greetings, for it may have been started anew")
    early = h.client("smtp")
    ok(quiet(early), "nobody is greeted before the service has announced itself")
    for name in SERVICES:
        h.announce(name)
    is_(line(early), CLEAR[SMTP], "then the client that waited is")
    worker = h.worker(SMTP)
    ok(quiet(worker), "a silent client does not reach a worker")
    early.sendall(b"EHLO x\r\n")
    c = Connection(w.receive(worker))
    is_((c.kind, c.service, c.client, c.local[0], c.tls, c.tls_offered, c.token),
        (CLIENT, SMTP, early.getsockname(), "127.0.0.1", 0, 0, None), "one that spoke does, with its addresses")
    is_(line(c.socket), b"EHLO x\r\n", "what it said is still unread")
    c.socket.sendall(b"250 y\r\n")
    is_(line(early), b"250 y\r\n", "and the session answers it directly")
    second = h.client("submission")
    is_(line(second), CLEAR[SUBMISSION], "another service of the same program has its own greeting")
    second.sendall(b"x")
    grow = h.asked("smtpd")
    is_((grow.kind, grow.u32()), (w.WIRE_GROW, 1), "while no worker is idle the parent is asked for one")
    c.socket.close()
    w.send(worker, w.Out(w.WIRE_DONE))
    d = Connection(w.receive(worker))
    is_((d.service, d.id != c.id), (SUBMISSION, True), "a worker that is done gets the client that waits")
    ok(ended(early), "nobody holds the first client any more")
    third, fourth = h.client("smtp"), h.client("smtp")
    for s in (third, fourth):
        line(s)
        s.sendall(b"x")
        h.asked("smtpd") if s is third else None
    third.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    third.close()
    another = h.worker(SMTP)
    e = Connection(w.receive(another))
    is_(e.client, fourth.getsockname(), "a client that resets its connection while it waits is forgotten, the next is served")
    worker.close()
    another.close()
    e.socket.close()
    ok(ended(fourth), "a worker's end is the end of its client")
    h.stop()
    is_(h.porter.wait(), 0, "an orderly stop")


def replaced_parents():
    """After a reload workers of the old parent may have greeted on the wire that the new one shares: they are not for new
    clients. Who the parent is says master; whose worker or word it is, the kernel."""
    another, ends = w.pair_of_another()
    h = House()
    h.parent("smtpd", os.getpid())
    busy, idle = h.worker(SMTP), h.worker(SMTP)
    s = h.client("smtp")
    line(s)
    s.sendall(b"x")
    c = Connection(w.receive(idle))  # the last to come is the first to work
    h.parent("smtpd", another)
    is_(w.receive(busy), None, "when there is another parent, an idle worker of the old one is let go at once")
    c.socket.sendall(b"250 y\r\n")
    is_(line(s), b"250 y\r\n", "one in a session goes on")
    w.send(idle, w.Out(w.WIRE_DONE))
    is_(w.receive(idle), None, "and is let go behind it")
    is_(w.receive(h.worker(SMTP)), None, "one that greets later is not taken")
    waiting = h.client("smtp")
    line(waiting)
    waiting.sendall(b"x")
    w.send(h.wire(SMTP), w.Out(w.WIRE_GREETING).view("connection").byte(w.WIRE_VERSION).u32(0).fd(ends[1]))
    is_(Connection(w.receive(ends[0])).kind, CLIENT, "the new one's is, and serves at once who waits")
    h.stop()
    h = House(announce=())
    h.parent("smtpd", os.getpid())
    h.parent("imap-login", 0)
    h.announce("smtp", made=ends[0], clear=b"220 forged\r\n")
    h.announce("smtp")
    h.announce("smtp", made=ends[0], clear=b"220 forged\r\n")
    is_(line(h.client("smtp")), CLEAR[SMTP], "whoever is not the parent announces nothing")
    is_(w.receive(h.worker(IMAP)), None, "where no program runs nobody's worker is taken")
    h.parent("imap-login", os.getpid())
    h.announce("imap", wire=h.wire(SMTP), clear=b"* OK forged\r\n")
    h.porter.wait_log("announces the service of another program")
    h.announce("imap")
    is_(line(h.client("imap")), CLEAR[IMAP], "nor does a program another one's service")
    h.stop()


def workers_have_an_end():
    """A worker that never says that it has had enough is one that takes all clients to itself."""
    h = House(announce=())
    h.announce("smtp", reuse=2)
    worker = h.worker(SMTP)
    for _ in range(2):
        s = h.client("smtp")
        line(s)
        s.sendall(b"x")
        Connection(w.receive(worker)).socket.close()
        w.send(worker, w.Out(w.WIRE_DONE))
    is_(w.receive(worker), None, "a worker that has served as many clients as its parent said is let go")
    h.stop()


def tokens():
    h = House(settings="porter.clients-per-address 1\n")
    login = h.worker(IMAP)
    s = h.client("imap")
    is_(line(s), CLEAR[IMAP], "an IMAP client is greeted")
    s.sendall(b"a login\r\n")
    c = Connection(w.receive(login))
    ok(c.token is not None, "a mailbox session has a token")
    w.send(login, w.Out(HANDED_OVER))
    w.send(login, w.Out(w.WIRE_DONE))
    refused = h.client("pop3")
    is_(line(refused), BUSY[POP3], "a session that was handed over still counts")
    ok(ended(refused), "the client over the limit is let go")
    os.close(c.token)
    for _ in range(200):
        again = h.client("imap")
        greeting = line(again)
        if greeting == CLEAR[IMAP]:
            break
    is_(greeting, CLEAR[IMAP], "the token's end is the session's end")
    again.sendall(b"b\r\n")
    d = Connection(w.receive(login))
    is_(d.client, again.getsockname(), "and the login worker serves on")
    h.stop()


def limits():
    h = House(settings="porter.clients-per-address 2\nporter.clients-per-network 3\nporter.clients-max 10\n")
    kept = [h.client("smtp"), h.client("submission")]
    is_([line(s) for s in kept], [CLEAR[SMTP], CLEAR[SUBMISSION]], "as many clients as an address may have")
    is_(line(h.client("smtp")), BUSY[SMTP], "one more is told busy")
    other = h.client("imap", "127.0.0.2")
    is_(line(other), CLEAR[IMAP], "another address of the network is served")
    is_(line(h.client("imap", "127.0.0.3")), BUSY[IMAP], "until the network is full")
    is_(line(h.client("pop3", "127.0.1.3")), CLEAR[POP3], "another network is not")
    kept[0].close()
    for _ in range(200):
        greeting = line(h.client("imap", "127.0.0.3"))
        if greeting == CLEAR[IMAP]:
            break
    is_(greeting, CLEAR[IMAP], "a client that leaves makes room")
    h.stop()
    h = House()
    ok(ended(h.client("imaps")), "without a certificate TLS clients are let go at once")
    h.stop()
    h = House(settings="porter.rate-per-second 3\n")
    h.porter.signal(signal.SIGSTOP)  # so that they come in a second, however slow we are
    clients = [h.client("smtp") for _ in range(12)]
    h.porter.signal(signal.SIGCONT)
    greetings = [line(client) for client in clients]
    ok(BUSY[SMTP] in greetings and greetings[0] == CLEAR[SMTP], "too many in a second are told busy")
    is_(line(h.client("smtp", "127.0.0.9")), CLEAR[SMTP], "other addresses are not")
    h.stop()
    h = House(settings="porter.clients-per-address 1\n")
    kept, tries = h.client("smtp"), 0
    line(kept)
    while "event=refused more=" not in h.porter.log():
        line(h.client("smtp"))
        tries += 1
    told = h.porter.log().count("event=refused service=")
    silent = sum(int(more) for more in re.findall("event=refused more=([0-9]+)", h.porter.log()))
    is_(told + silent, tries, "a flood of refusals is told in some lines, and how many more there were")
    h.stop()


def early_talkers():
    h = House(settings="porter.greeting-delay 300ms\n")
    s = h.client("smtp")
    s.sendall(b"EHLO spam\r\n")
    is_(line(s), EARLY[SMTP], "who speaks before the greeting on port 25 is refused")
    ok(ended(s), "and let go")
    patient = h.client("smtp")
    is_(line(patient), CLEAR[SMTP], "who waits is greeted")
    is_(line(h.client("submission")), CLEAR[SUBMISSION], "users do not wait")
    h.stop()
    h = House(settings="porter.idle-timeout 1s\n")
    for name in ("smtp", "submission", "pop3", "imap"):
        s = h.client(name)
        is_((line(s), line(s), ended(s)), (CLEAR[SERVICES[name]], TIMEOUT[SERVICES[name]], True), f"{name}: who stays silent is told so")
    h.stop()


def proxied():
    h = House(settings="porter.proxy-from 127.0.0.5, 127.0.0.8/29\n")
    worker = h.worker(SMTP)
    s = h.client("smtp", "127.0.0.5")
    header = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 25\r\n"
    for at in range(len(header)):
        s.sendall(header[at:at + 1])
    is_(line(s), CLEAR[SMTP], "a header that comes byte by byte")
    s.sendall(b"EHLO\r\n")
    c = Connection(w.receive(worker))
    is_((c.client, c.local), (("192.0.2.7", 4711), ("198.51.100.1", 25)), "the addresses are those of the header")
    is_(line(c.socket), b"EHLO\r\n", "and not a byte behind it is lost")
    w.send(worker, w.Out(w.WIRE_DONE))
    s = h.client("smtp", "127.0.0.9")
    body = socket.inet_pton(socket.AF_INET6, "2001:db8::1") + socket.inet_pton(socket.AF_INET6, "2001:db8::2") + struct.pack(">HH", 5, 25)
    s.sendall(b"\r\n\r\n\0\r\nQUIT\n\x21\x21" + struct.pack(">H", len(body)) + body + b"EHLO v2\r\n")
    c = Connection(w.receive(worker))
    is_((c.client, line(c.socket)), (("2001:db8::1", 5), b"EHLO v2\r\n"), "version 2 with IPv6, the client's bytes in the same packet")
    s = h.client("smtp", "127.0.0.9")
    s.sendall(b"EHLO no header\r\n")
    ok(ended(s), "a balancer without a header is let go")
    is_(line(h.client("smtp", "127.0.0.6")), CLEAR[SMTP], "others are no balancers")
    h.stop()
    h = House(settings="porter.proxy-from 127.0.0.5\nporter.clients-max 10\n")
    held = [h.client("smtp") for _ in range(10)]
    ok(all(line(s) == CLEAR[SMTP] for s in held), "all the clients that may come")
    ok(ended(h.client("smtp", "127.0.0.5")), "a balancer's connection beyond them is closed without a word")
    h.porter.wait_log("event=refused service=smtp client=127.0.0.5 reason=porter.clients-max")
    h.stop()


def reload_and_stop():
    h = House()
    worker, idle = h.worker(SMTP), h.worker(SMTP)
    s, silent = h.client("smtp"), h.client("smtp")
    line(s), line(silent)
    s.sendall(b"x")
    first = w.receive(idle)
    c = Connection(first)
    h.porter.signal(signal.SIGHUP)
    refused = 0
    for s_ in h.descriptors.values():
        if isinstance(s_, socket.socket) and s_.type == socket.SOCK_STREAM:
            s_.close()
    for _ in range(1000):
        try:
            h.client("smtp").close()
        except ConnectionRefusedError:
            refused = 1
            break
        except ConnectionResetError:
            pass  # it was in the listener's queue
    ok(refused, "after SIGHUP nobody listens")
    silent.sendall(b"y")
    d = Connection(w.receive(worker))
    is_(d.client, silent.getsockname(), "a client that had been greeted is still served by a worker that is there")
    w.send(worker, w.Out(w.WIRE_DONE))
    is_(w.receive(worker), None, "lines are dropped when nobody needs them")
    w.send(idle, w.Out(w.WIRE_DONE))
    is_(h.porter.wait(), 0, "and porter ends with its last client")
    h.stop()
    h = House()
    worker = h.worker(SMTP)
    s, silent = h.client("smtp"), h.client("smtp")
    line(s), line(silent)
    s.sendall(b"x")
    c = Connection(w.receive(worker))
    h.porter.signal(signal.SIGHUP)
    silent.sendall(b"y")
    worker.close()
    h.asked("smtpd")
    worker = h.worker(SMTP)
    is_(Connection(w.receive(worker)).client, silent.getsockname(), "for one for whom no worker is left a new one is asked for")
    worker.close()
    is_(h.porter.wait(), 0, "and porter ends")
    h.stop()
    h = House()
    worker = h.worker(SMTP)
    s, silent = h.client("smtp"), h.client("smtp")
    line(s), line(silent)
    s.sendall(b"x")
    c = Connection(w.receive(worker))
    h.porter.signal(signal.SIGHUP)
    silent.sendall(b"y")
    w.send(worker, w.Out(w.WIRE_DONE))
    is_(Connection(w.receive(worker)).client, silent.getsockname(), "one who has to wait for the last worker is served by it")
    worker.close()
    is_(h.porter.wait(), 0, "and porter ends then")
    h.stop()
    h = House()
    worker = h.worker(IMAP)
    silent, waiting, session = h.client("imap"), h.client("smtp"), h.client("imap")
    for s in (silent, waiting, session):
        line(s)
    session.sendall(b"x")
    c = Connection(w.receive(worker))
    waiting.sendall(b"x")
    h.asked("smtpd")
    h.porter.signal(signal.SIGTERM)
    is_((line(silent), line(waiting)), (STOPPING[IMAP], STOPPING[SMTP]), "SIGTERM: those without a session are told")
    is_(h.porter.wait(), 0, "porter ends")
    c.socket.sendall(b"still here\r\n")
    is_(line(session), b"still here\r\n", "a session in clear does not need it")
    h.stop()


for part in (greetings_and_sessions, replaced_parents, workers_have_an_end, tokens, limits, early_talkers, proxied, reload_and_stop):
    part()
done()
