#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""porter and keyd with TLS: versions, kinds of keys, server names, implicit TLS, STARTTLS, the relay, ends of every kind; and
what keyd refuses to sign."""
import hashlib
import os
import pathlib
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import wirehouse as w
from porterhouse import (CLEAR, HANDED_OVER, IMAP, NOT_SECURED, POP3, SECURED, SECURED_GREETING, SMTP, STARTTLS, STOPPING, SUBMISSION,
                         TIMEOUT, Connection, House, ended, line)
from tap import done, is_, ok, skip

KINDS = {"ec256": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "ec384": ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
         "rsa": ["rsa:2048"], "ed25519": ["ed25519"]}
SO_PASSRIGHTS = 83  # not in the module yet
NAMES = {"ec256": ["mail.example.test"], "ec384": ["*.wild.test"], "rsa": ["rsa.test", "other.test"], "ed25519": ["ed.test"]}


def certificates(conf):
    for kind, names in NAMES.items():
        subprocess.run(["openssl", "req", "-x509", "-newkey", *KINDS[kind], "-nodes", "-keyout", f"keys/{kind}.pem",
                        "-out", f"certs/{kind}.pem", "-days", "30", "-subj", f"/CN={names[0]}",
                        "-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)],
                       cwd=conf, check=True, stderr=subprocess.DEVNULL)
        os.chmod(conf / f"keys/{kind}.pem", 0o600)


def context(version=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    if version:
        c.minimum_version = c.maximum_version = version
    return c


def secure(s, name=None, version=None):
    return context(version).wrap_socket(s, server_hostname=name)


def subject(s):
    text = ssl.DER_cert_to_PEM_cert(s.getpeercert(True))
    return subprocess.run(["openssl", "x509", "-noout", "-subject"], input=text, capture_output=True, text=True).stdout


def refused(s, **more):
    try:
        secure(s, **more)
        return False
    except (ssl.SSLError, ConnectionError):
        return True


def at_once(s):
    """What is there now; None: nothing, and no end."""
    s.setblocking(False)
    try:
        return s.recv(100)
    except BlockingIOError:
        return None


h = House(certificates=certificates, settings="porter.sessions 100\n")


def takes_no_descriptors(end):
    """Behind a client that does not read they would lie, and count against every session of the program's uid."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        try:
            ours.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 0)
        except OSError:
            skip("a session sends the relay no descriptors", "needs Linux 6.16")
            return
        try:
            socket.send_fds(end, [b" "], [ours.fileno()])
            ok(False, "a session sends the relay no descriptors")
        except PermissionError:
            ok(True, "a session sends the relay no descriptors")


def implicit():
    for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        for kind, names in NAMES.items():
            asked = "a.wild.test" if kind == "ec384" else names[-1]
            worker = h.worker(IMAP)
            s = secure(h.client("imaps"), asked, version)
            is_(line(s), SECURED_GREETING, f"{name} with a key of kind {kind}")
            ok(names[0] in subject(s), f"{asked} is shown the certificate of {names[0]}")
            s.sendall(b"a noop\r\n")
            c = Connection(w.receive(worker))
            is_((c.tls, c.version, c.name, c.cipher, c.tls_offered, c.client), (1, name, asked, s.cipher()[0], 0, s.getsockname()),
                "the session is told the facts")
            is_(line(c.socket), b"a noop\r\n", "and has what the client said")
            c.socket.sendall(b"a OK\r\n")
            is_(line(s), b"a OK\r\n", "and is heard")
            takes_no_descriptors(c.socket)
            c.socket.close()
            ok(ended(s), "its end is the client's")
            os.close(c.token)
            worker.close()
    for asked in (None, "unknown.test", "x" * 250, "wild.test", "a.b.wild.test"):
        s = secure(h.client("pop3s"), asked if asked is None or len(asked) < 60 else ".".join([asked[:60]] * 4))
        ok("mail.example.test" in subject(s), f"a client that names {str(asked)[:20]} is shown the default certificate")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old = context(ssl.TLSVersion.TLSv1_1)
    old.set_ciphers("ALL:@SECLEVEL=0")
    try:
        old.wrap_socket(h.client("imaps"))
    except (ssl.SSLError, ConnectionError):
        pass
    line(secure(h.client("imaps")))  # one thread: what came before is in the log now
    ok("unsupported protocol" in h.porter.log(), "TLS 1.1 is refused")
    s = h.client("imaps")
    s.sendall(b"a login x y\r\n")
    got = b""
    try:
        while piece := s.recv(100):
            got += piece
    except ConnectionResetError:
        pass
    ok(len(got) < 8 and b"hello" not in got, "clear text on a TLS port ends the connection")


def starttls():
    worker = h.worker(SMTP)
    s = h.client("submission")
    line(s)
    s.sendall(b"STARTTLS\r\n")
    c = Connection(w.receive(worker))
    ok(c.tls_offered, "a client in clear may ask for TLS")
    line(c.socket)
    c.socket.sendall(b"220 go\r\n")
    is_(line(s), b"220 go\r\n", "go ahead")
    w.send(worker, w.Out(STARTTLS).fd(c.socket))
    c.socket.close()
    t = secure(s, "rsa.test", ssl.TLSVersion.TLSv1_2)
    message = w.receive(worker)
    facts = (message.byte(), message.string(), message.string(), message.u16(), message.string())
    is_((message.kind, facts), (SECURED, (1, "TLSv1.2", t.cipher()[0], t.cipher()[2], "rsa.test")), "after the handshake the session is told")
    session = socket.socket(fileno=message.fd())
    session.settimeout(w.PATIENCE_SECONDS)
    t.sendall(b"EHLO x\r\n")
    is_(line(session), b"EHLO x\r\n", "and talks on, secured")
    w.send(worker, w.Out(STARTTLS).fd(session))
    is_(w.receive(worker).kind, NOT_SECURED, "a second STARTTLS is refused")
    session.close()
    ok(ended(t), "the session ends, the client too")
    w.send(worker, w.Out(w.WIRE_DONE))

    s = h.client("smtp")
    line(s)
    s.sendall(b"STARTTLS\r\n")
    c = Connection(w.receive(worker))
    line(c.socket)
    w.send(worker, w.Out(STARTTLS).fd(c.socket))
    c.socket.close()
    s.sendall(b"EHLO this is no handshake\r\n")
    is_(w.receive(worker).kind, NOT_SECURED, "a failed handshake is told to the session")
    s.close()
    w.send(worker, w.Out(w.WIRE_DONE))
    s = h.client("smtp")
    line(s)
    s.sendall(b"x")
    c = Connection(w.receive(worker))
    read, write = os.pipe()
    w.send(worker, w.Out(STARTTLS).fd(read))
    is_(w.receive(worker).kind, NOT_SECURED, "something that is no socket is refused")
    os.close(read), os.close(write), s.close(), worker.close()


def session_of(service, listener, **more):
    worker = h.worker(service)
    s = secure(h.client(listener), **more)
    line(s)
    s.sendall(b"x")
    c = Connection(w.receive(worker))
    c.socket.recv(1)
    return worker, s, c


def relay():
    size = 10 << 20
    data = os.urandom(1 << 20) * 10
    worker, s, c = session_of(SMTP, "submissions")
    for name, sender, receiver in (("to the session", s, c.socket), ("to the client", c.socket, s)):
        thread = threading.Thread(target=sender.sendall, args=(data,))
        thread.start()
        got = hashlib.sha256()
        left = size
        while left:
            piece = receiver.recv(min(left, 65536))
            if not piece:
                break
            got.update(piece)
            left -= len(piece)
        thread.join()
        is_((left, got.hexdigest()), (0, hashlib.sha256(data).hexdigest()), f"10 MB {name}")

    def memory():
        text = pathlib.Path(f"/proc/{h.porter.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0])

    before = memory()
    for name, sender in (("client", s), ("session", c.socket)):
        sender.settimeout(1)
        sent = 0
        try:
            while sent < 64 << 20:
                sent += sender.send(data[:65536])
        except (TimeoutError, ssl.SSLError):
            pass
        sender.settimeout(w.PATIENCE_SECONDS)
        ok(sent < 32 << 20, f"a {name} whose peer does not read is stopped")
    if "sanitizers" in h.porter.log():
        skip("and porter keeps next to nothing", "sanitizers keep freed memory")
    else:
        ok(memory() - before < 1024, "and porter keeps next to nothing")
    stat = pathlib.Path(f"/proc/{h.porter.process.pid}/stat")
    state, patient_until = "", time.monotonic() + w.PATIENCE_SECONDS
    # One that the loop wakes in vain is always about to run, however little of the machine it gets.
    while state != "S" and time.monotonic() < patient_until:
        state = stat.read_text().rsplit(")", 1)[1].split()[0]
    is_(state, "S", "and sleeps")
    s.close(), c.socket.close(), worker.close()

    worker, s, c = session_of(SMTP, "submissions")
    c.socket.sendall(b"z" * 300000 + b"bye\r\n")
    c.socket.close()
    w.send(worker, w.Out(w.WIRE_DONE))
    got = b""
    while True:
        piece = s.recv(65536)
        if not piece:
            break
        got += piece
    is_((len(got), got[-5:]), (300005, b"bye\r\n"), "what a session says last arrives whole, then close_notify")
    s.close(), worker.close()

    worker, s, c = session_of(SMTP, "submissions")
    s.sendall(b"QUIT\r\n")
    s.shutdown(socket.SHUT_WR)
    is_((line(c.socket), c.socket.recv(1)), (b"QUIT\r\n", b""), "a client's end is seen by the session, after its last words")
    c.socket.close(), s.close(), worker.close()

    worker, s, c = session_of(SMTP, "submissions")
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    ok(ended(c.socket), "a client's reset is the session's end")
    c.socket.close(), worker.close()

    worker, s, c = session_of(SMTP, "submissions")
    worker.close(), c.socket.close()
    ok(ended(s), "a session that dies lets its client go")


def held(h):
    """How many descriptors porter has; None where only root may look."""
    try:
        return len(os.listdir(f"/proc/{h.porter.process.pid}/fd"))
    except PermissionError:
        return None


def worker_that_ends():
    """After it was idle, before it is given a client: the next one has the client, with all they said."""
    first = h.worker(SUBMISSION)
    s = secure(h.client("submissions"))
    is_(line(s), SECURED_GREETING, "a client of a worker that ends")
    h.porter.signal(signal.SIGSTOP)
    os.waitid(os.P_PID, h.porter.process.pid, os.WSTOPPED | os.WNOWAIT)
    s.sendall(b"EHLO x\r\n")
    first.close()
    descriptors = held(h)
    h.porter.signal(signal.SIGCONT)
    c = Connection(w.receive(h.worker(SUBMISSION)))
    is_(line(c.socket), b"EHLO x\r\n", "the next worker has the client, and all their words")
    if descriptors is None:
        skip("and no half of the first pair is left", "needs root: porter is not dumpable")
    else:
        ok(held(h) <= descriptors + 1, "and no half of the first pair is left")
    c.socket.sendall(b"250 hello\r\n")
    is_(line(s), b"250 hello\r\n", "whose answer they get")
    s.close()
    c.socket.close()


def mailbox_sessions():
    login, s, c = session_of(IMAP, "imaps")
    w.send(login, w.Out(HANDED_OVER))
    w.send(login, w.Out(w.WIRE_DONE))
    c.socket.sendall(b"* BYE\r\n" * 1000)
    c.socket.close()
    os.close(c.token)
    got = b""
    while len(got) < 7000:
        got += s.recv(7000)
    ok(ended(s), "after a hand-over the token and the socket end together, and nothing is lost")
    s.close()
    silent = secure(h.client("imaps"))
    line(silent)
    silent.close()
    after = secure(h.client("imaps"))
    is_(line(after), SECURED_GREETING, "a client that leaves without a word")
    after.sendall(b"y")
    d = Connection(w.receive(login))
    is_(d.socket.recv(1), b"y", "does not reach a worker")
    d.socket.close(), os.close(d.token), login.close()


def resumption():
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        shared = context(version)
        first = shared.wrap_socket(h.client("pop3s"), server_hostname="rsa.test")
        line(first)
        second = shared.wrap_socket(h.client("pop3s"), server_hostname="rsa.test", session=first.session)
        line(second)
        ok(second.session_reused, f"a session ticket is taken ({version.name})")
        first.close(), second.close()


def full_process():
    for processes in (1, 2):
        small = House(certificates=certificates, settings=f"porter.sessions 2\nporter.processes {processes}\n")
        first, second = secure(small.client("imaps")), secure(small.client("imaps"))
        line(first), line(second)
        ok(refused(small.client("imaps")), f"one of {processes} processes with all the TLS sessions it may have refuses the next, when nobody else takes it")
        small.porter.wait_log("event=refused service=imap client=127.0.0.1 reason=porter.sessions")
        is_(line(small.client("imap")), CLEAR[IMAP], "clients in clear are served")
        first.close()
        greeting = None
        while greeting is None:  # until the end of the first is seen
            try:
                fourth = secure(small.client("imaps"))
                greeting = line(fourth)
            except (ssl.SSLError, ConnectionError):
                pass
        is_(greeting, SECURED_GREETING, "and TLS again when one has gone")
        other = secure(small.client("imaps", "127.200.0.1"))
        is_(line(other), SECURED_GREETING, "and one of another network")
        ok(ended(second), "for which the oldest that has no session gives way")
        small.stop()


def idle():
    small = House(certificates=certificates, settings="porter.idle-timeout 1s\n")
    s = secure(small.client("pop3s"))
    is_((line(s), line(s), ended(s)), (SECURED_GREETING, TIMEOUT[POP3], True), "a silent TLS client is told of the timeout, then TLS is closed")
    s.close()
    # One after the other, so that the timeout of the last is that of those before it.
    silent, begun = small.client("imaps"), small.client("imaps")
    begun.sendall(b"\x16\x03\x01")
    line(small.client("imap"))
    s = small.client("imap")
    is_((line(s), line(s)), (CLEAR[IMAP], TIMEOUT[IMAP]), "a silent client in clear is told")
    is_(at_once(silent), b"", "one that has not begun its handshake is let go as soon, and nothing is said in clear")
    is_(at_once(begun), None, "one that has begun has the time of a handshake")
    for each in (s, silent, begun):
        each.close()
    small.stop()


# ---- keyd ----

SIGN_REQUEST, SIGN_SIGNATURE, SIGN_REFUSED = 16, 17, 18


def key_digest(kind):
    path = h.directory / f"conf/keys/{kind}.pem"
    der = subprocess.run(["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout
    return hashlib.sha256(der).digest()


def keyd_answers():
    wire = h.descriptors["keyd.sign"]
    good = b" " * 64 + b"TLS 1.3, server CertificateVerify\0" + b"h" * 32
    keyd = w.dial(wire, "sign")

    def ask(kind, scheme, block):
        digest = key_digest(kind) if isinstance(kind, str) else kind
        w.send(keyd, w.Out(SIGN_REQUEST).view(digest).u16(scheme).view(block))
        return w.receive(keyd).kind

    is_(ask("ec256", 0x0403, good), SIGN_SIGNATURE, "keyd signs a handshake")
    is_(ask("rsa", 0x0804, good), SIGN_SIGNATURE, "with RSA too")
    for name, kind, scheme, block in (
            ("a message header (DKIM)", "rsa", 0x0401, b"from:a@example.test\r\ndkim-signature:v=1; a=rsa-sha256; b="),
            ("a bare hash", "ec256", 0x0403, hashlib.sha256(b"x").digest()),
            ("a block that goes on", "ec256", 0x0403, good + b"h" * 17),
            ("something long", "rsa", 0x0804, b" " * 16384),
            ("a key that it does not have", b"k" * 32, 0x0403, good),
            ("a scheme of another key", "rsa", 0x0403, good),
            ("PKCS1 in TLS 1.3", "rsa", 0x0401, good),
            ("a client's handshake", "ec256", 0x0403, good.replace(b"server", b"client"))):
        is_(ask(kind, scheme, block), SIGN_REFUSED, f"keyd refuses {name}")
    w.send(keyd, w.Out(SIGN_REQUEST).view(key_digest("rsa")).u16(0x0804).view(b" " * 16385))
    is_(w.receive(keyd), None, "over the limit of the protocol its line is dropped")

    h.keyd.signal(signal.SIGHUP)
    is_(h.keyd.wait(), 0, "keyd leaves for a successor")
    h.start_keyd()
    s = secure(h.client("imaps"))
    is_(line(s), SECURED_GREETING, "which porter finds on the same wire")
    s.close()
    h.keyd.stop()

    heard = []

    def shake_hands():
        s = secure(h.client("imaps"))
        heard.append(line(s))
        s.close()

    client = threading.Thread(target=shake_hands)
    client.start()
    for _ in range(3):
        w.accept(h.sign, "sign").close()
    h.start_keyd()
    client.join()
    is_(heard, [SECURED_GREETING], "also when several in a row are replaced before they hear it")
    h.keyd.stop()
    first = threading.Thread(target=lambda: heard.append(refused(h.client("imaps"))))
    first.start()
    slow = w.accept(h.sign, "sign")
    ok(w.receive(slow), "a keyd that hangs has heard a question")
    first.join()
    ok(heard[-1] and refused(h.client("imaps")), "handshakes fail")
    ok(not select.select([slow], [], [], 0)[0], "and it is asked nothing more")
    w.send(slow, w.Out(SIGN_SIGNATURE).view(b"x"))
    heard.clear()
    client = threading.Thread(target=shake_hands)
    client.start()
    ok(w.receive(slow), "until it has answered")
    h.start_keyd()
    slow.close()
    client.join()
    is_(heard, [SECURED_GREETING], "its late answer is none to the next handshake")
    h.keyd.stop()
    ok(refused(h.client("imaps")), "without keyd there is no handshake")
    h.start_keyd()
    keyd = w.dial(wire, "sign")
    ask("ec256", 0x0403, good)  # and what porter had asked before
    s = secure(h.client("imaps"))
    is_(line(s), SECURED_GREETING, "and there is again when it is back")
    s.close()


def stop():
    worker, s, c = session_of(SMTP, "submissions")
    silent = secure(h.client("imaps"))
    line(silent)
    h.porter.signal(signal.SIGTERM)
    is_((line(silent), ended(silent)), (STOPPING[IMAP], True), "SIGTERM: a silent TLS client is told")
    silent.close()
    c.socket.sendall(b"421 closing\r\n")
    c.socket.close()
    is_((line(s), ended(s)), (b"421 closing\r\n", True), "a session may say its last words")
    s.close()
    is_(h.porter.wait(), 0, "then porter ends")
    h.stop()


for part in (implicit, starttls, relay, worker_that_ends, mailbox_sessions, resumption, full_process, idle, keyd_answers, stop):
    part()
done()
