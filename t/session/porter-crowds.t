#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""porter when a crowd of one network has all that a program may serve: whose turn it is, whose session gives way to whom, and
what it is told."""
import pathlib
import socket
import ssl
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import wirehouse as w
from porterhouse import BUSY, CLEAR, HANDED_OVER, IMAP, NOT_SECURED, POP3, PROGRESS, SMTP, STARTTLS, TIMEOUT, Connection, House, ended, line, quiet
from tap import done, is_, ok

CROWD, HONEST = "127.7.7.", "127.200.0.1"


def speaks(h, name, source):
    s = h.client(name, source)
    line(s)
    s.sendall(b"a")
    return s


def session(h, worker, name, source):
    s = speaks(h, name, source)
    return s, Connection(w.receive(worker))


def done_with(worker, connection):
    connection.socket.close()
    w.send(worker, w.Out(w.WIRE_DONE))


def progress(worker, what):
    w.send(worker, w.Out(PROGRESS).byte(what))


def turns():
    h = House()
    worker = h.worker(SMTP)
    first, c = session(h, worker, "smtp", CROWD + "1")
    crowd = []
    for number in range(2, 5):
        crowd.append(speaks(h, "smtp", f"{CROWD}{number}"))
        if number == 2:
            h.asked("smtpd")
    honest, order = speaks(h, "smtp", HONEST), []
    for _ in range(4):
        # Those who spoke before are in the queue: what porter reads of a later client's comes behind that.
        done_with(worker, c)
        c = Connection(w.receive(worker))
        order.append(c.client)
    ok(honest.getsockname() in order[:3], "one of another network has its turn before the crowd has had all of its own")
    is_([client for client in order if client != honest.getsockname()], [s.getsockname() for s in crowd], "the crowd's come in their order")
    h.stop()


def login_gives_way():
    h = House(settings="login.sessions-max 3\n")
    workers = [h.worker(IMAP) for _ in range(3)]
    crowd = []
    for worker, number in zip(reversed(workers), range(1, 4)):
        s, c = session(h, worker, "imap", f"{CROWD}{number}")
        crowd.append((s, c, worker))
    more = speaks(h, "imap", CROWD + "4")
    ok(quiet(more) and quiet(crowd[0][0]), "nobody gives way to one of the same network")
    honest = speaks(h, "imap", HONEST)
    s, c, worker = crowd[0]
    is_((line(s), ended(s)), (BUSY[IMAP], True), "when all are taken, the oldest of the heaviest network is told that it is one too many")
    is_((c.socket.recv(1), ended(c.socket)), (b"a", True), "and its session sees it leave")
    ok(quiet(crowd[1][0]), "one for one")
    done_with(worker, c)
    served = Connection(w.receive(worker))
    is_(served.client, honest.getsockname(), "its worker serves the one for whom it went, though the crowd's waited longer")
    second = speaks(h, "imap", "127.201.0.1")
    s, c, worker = crowd[1]
    is_(line(s), BUSY[IMAP], "a second one of yet another network gets a place, too")
    third = speaks(h, "imap", "127.202.0.1")
    ok(quiet(third) and quiet(crowd[2][0]) and quiet(honest), "where no network has more than another, nobody gives way")
    second.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    second.close()
    done_with(worker, c)
    served = Connection(w.receive(worker))
    done_with(worker, served)
    is_({served.client, Connection(w.receive(worker)).client}, {third.getsockname(), more.getsockname()},
        "who was promised a place and leaves takes none from the others")
    h.porter.wait_log("event=crowded wire=imap-login.connection sessions=3 ")
    h.porter.wait_log("ended=2 setting=login.sessions-max")
    h.stop()


def last_places():
    """Of eight places two are the last, and nobody who has two of a network gets them."""
    h = House(settings="login.sessions-max 8\n")
    workers, crowd = [], []
    for number in range(6):
        workers.append(h.worker(IMAP))
        crowd.append(session(h, workers[-1], "imap", f"{CROWD}{number // 2 + 1}"))
    idle = [h.worker(IMAP) for _ in range(2)]
    more = speaks(h, "imap", CROWD + "1")
    ok(quiet(idle[0]) and quiet(idle[1]) and quiet(more), "one more of a crowd waits, though there are idle workers")
    honest = speaks(h, "imap", HONEST)
    is_(Connection(w.receive(idle[1])).client, honest.getsockname(), "one of another network has one at once")
    beside = speaks(h, "imap", CROWD + "9")
    is_(line(crowd[0][0]), BUSY[IMAP], "to another address of the crowd's network the one with the most of it gives way")
    done_with(workers[0], crowd[0][1])
    is_(Connection(w.receive(workers[0])).client, beside.getsockname(), "whose place it gets")
    ok(quiet(idle[0]), "the last one is kept")
    h.stop()


def handed_over_stays():
    h = House(settings="login.sessions-max 2\n")
    one, two = h.worker(IMAP), h.worker(IMAP)
    s, c = session(h, two, "imap", CROWD + "1")
    w.send(two, w.Out(HANDED_OVER))
    w.send(two, w.Out(w.WIRE_DONE))
    later, c2 = session(h, two, "imap", CROWD + "2")
    last, d = session(h, one, "imap", CROWD + "3")
    speaks(h, "imap", HONEST)
    is_(line(later), BUSY[IMAP], "who has logged in does not give way")
    ok(quiet(s), "and hears nothing of it")
    h.stop()


def known_network():
    """Somebody has logged in from there: they do not wait behind a crowd of many networks."""
    h = House(settings="login.sessions-max 1\n")
    worker = h.worker(IMAP)
    session(h, worker, "imap", HONEST)
    w.send(worker, w.Out(HANDED_OVER))
    w.send(worker, w.Out(w.WIRE_DONE))
    _, c = session(h, worker, "imap", "127.1.0.1")
    strangers = [speaks(h, "imap", f"127.{number}.0.1") for number in range(10, 20)]
    again, order = speaks(h, "imap", HONEST), []
    ok(quiet(again), "all places are taken")
    for _ in range(3):  # one may have been promised to a stranger before
        done_with(worker, c)
        c = Connection(w.receive(worker))
        order.append(c.client)
    ok(again.getsockname() in order, "one from a network that is known has its turn before most who came earlier", order)
    is_(len([s for s in strangers if s.getsockname() in order]), 2, "between theirs")
    h.stop()


def progress_stays():
    h = House(settings="smtpd.sessions-max 3\n")
    workers = [h.worker(SMTP) for _ in range(3)]
    (oldest, a), (older, b), (younger, c) = [session(h, worker, "smtp", f"{CROWD}{number}") for number, worker in enumerate(reversed(workers), 1)]
    three, two, one = workers
    progress(one, 1)
    progress(two, 2)
    honest = speaks(h, "smtp", HONEST)
    is_(line(older), BUSY[SMTP], "a session that makes progress is not the one to give way, but one that waits for its worker, of a network with more, is")
    done_with(two, b)
    served = Connection(w.receive(two))
    is_(served.client, honest.getsockname(), "one that does not is")
    another = speaks(h, "smtp", "127.201.0.1")
    ok(quiet(oldest) and quiet(younger), "what makes progress does not weigh")
    progress(one, 0)
    is_(line(younger), BUSY[SMTP], "one that makes none any more does, as the latest to stand still")
    w.send(one, w.Out(PROGRESS).byte(3))
    is_(w.receive(one), None, "a worker that says what is none is let go")
    h.stop()


def none_comes():
    h = House()
    workers = [h.worker(SMTP) for _ in range(3)]
    crowd = [session(h, worker, "smtp", f"{CROWD}{number}") for number, worker in enumerate(reversed(workers), 1)]
    honest = speaks(h, "smtp", HONEST)
    h.asked("smtpd")
    is_(line(crowd[0][0]), BUSY[SMTP], "no worker comes, though the setting allows more: one gives way")
    is_(line(crowd[1][0]), BUSY[SMTP], "it does not go: another one does")
    done_with(workers[1], crowd[1][1])
    is_(Connection(w.receive(workers[1])).client, honest.getsockname(), "and so there is a place")
    ok(quiet(crowd[2][0]), "and nobody else gives one")
    h.stop()


def certificates(conf):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "keys/one.pem",
                    "-out", "certs/one.pem", "-days", "30", "-subj", "/CN=mail.example.test", "-addext", "subjectAltName=DNS:mail.example.test"],
                   cwd=conf, check=True, stderr=subprocess.DEVNULL)
    (conf / "keys/one.pem").chmod(0o600)


def secure(s):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    return c.wrap_socket(s)


def tls_gives_way():
    h = House(certificates=certificates, settings="login.sessions-max 2\n")
    one, two = h.worker(IMAP), h.worker(IMAP)
    s = secure(h.client("imaps", CROWD + "1"))
    line(s)
    s.sendall(b"a")
    c = Connection(w.receive(two))
    session(h, one, "imap", CROWD + "2")
    honest = speaks(h, "imap", HONEST)
    is_((line(s), ended(s)), (BUSY[IMAP], True), "in TLS it is told as well")
    is_((c.socket.recv(1), ended(c.socket)), (b"a", True), "and its session sees it leave")
    done_with(two, c)
    is_(Connection(w.receive(two)).client, honest.getsockname(), "its worker serves the other")
    h.stop()
    h = House(certificates=certificates, settings="login.sessions-max 2\n")
    one, two = h.worker(IMAP), h.worker(IMAP)
    s, c = session(h, two, "imap", CROWD + "1")
    session(h, one, "imap", CROWD + "2")
    w.send(two, w.Out(STARTTLS).fd(c.socket))
    c.socket.close()
    honest = speaks(h, "imap", HONEST)
    is_(w.receive(two).kind, NOT_SECURED, "one that was asked for TLS and does not begin is ended")
    ok(ended(s), "its client is let go")
    w.send(two, w.Out(w.WIRE_DONE))
    is_(Connection(w.receive(two)).client, honest.getsockname(), "its worker serves the other, too")
    h.stop()


def house_is_full():
    h = House(settings="porter.clients-max 10\nporter.idle-timeout 1h\n")
    crowd = []
    for number in range(1, 11):
        crowd.append(h.client("imap", f"{CROWD}{number}"))
        line(crowd[-1])
    is_(line(h.client("imap", CROWD + "11")), BUSY[IMAP], "all the clients there may be: one more of the same network is refused")
    honest = h.client("pop3", HONEST)
    is_(line(honest), CLEAR[POP3], "one of another network is greeted")
    is_((line(crowd[0]), ended(crowd[0])), (BUSY[IMAP], True), "for which the oldest of the crowd goes")
    second = h.client("pop3", HONEST)
    is_((line(second), line(crowd[1])), (CLEAR[POP3], BUSY[IMAP]), "and another one")
    h.porter.wait_log("ended=2 setting=porter.clients-max")
    h.stop()


def pressure():
    h = House(settings="login.sessions-max 4\nporter.idle-timeout 1h\n")
    silent, other = h.client("imap", HONEST), h.client("pop3", HONEST)
    is_((line(silent), line(other)), (CLEAR[IMAP], CLEAR[POP3]), "two silent clients")
    workers, sessions = [], []
    for number in range(3):
        workers.append(h.worker(IMAP))
        sessions.append(session(h, workers[-1], "imap", f"127.7.{number}.1"))
    later = h.client("imap", "127.201.0.1")
    is_((line(later), line(silent), line(later)), (CLEAR[IMAP], TIMEOUT[IMAP], TIMEOUT[IMAP]),
        "when three quarters of the sessions are taken, clients that are silent have less time, those that came before, too")
    is_([line(s) for s, _ in sessions], [BUSY[IMAP]] * 3, "and so have sessions that make no progress, though nobody waits")
    ok(quiet(other), "another program's clients have not")
    h.porter.wait_log("ended=2 setting=login.sessions-max")
    h.porter.wait_log("event=crowded wire=imap-login.connection sessions=3 waiting=0 ended=3 setting=login.sessions-max")
    h.stop()


for part in (turns, login_gives_way, last_places, handed_over_stays, known_network, progress_stays, none_comes, tls_gives_way, house_is_full, pressure):
    part()
done()
