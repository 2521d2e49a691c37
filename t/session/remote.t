#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""remote with a queued and a dnsd that the test plays: which addresses of many an attempt tries; what is our own fault, not
the destination's; what a reload in the middle does to a delivery."""
import contextlib
import itertools
import os
import pathlib
import queue
import signal
import socket
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from fakesmtp import FakeHost
from remotehouse import DNS_OWN_FAULT, DONE, FAILED, OWN_FAULT, RETRY, RemoteHouse
from tap import done, is_, ok

SLOW_MAX = 8  # CANDIDATES_SLOW_MAX


def refuses(count):
    """Addresses of loopback where nobody listens."""
    return [f"127.0.1.{n + 1}" for n in range(count)]


class Silent:
    """Addresses where somebody listens who never says a word."""

    def __init__(self, port, count):
        self.addresses = [f"127.0.2.{n + 1}" for n in range(count)]
        self.listeners = [socket.create_server((address, port)) for address in self.addresses]

    def visited(self):
        """How many were connected to since the last time."""
        found = 0
        for listener in self.listeners:
            listener.setblocking(False)
            try:
                listener.accept()[0].close()
                found += 1
            except BlockingIOError:
                pass
        return found

    def close(self):
        for listener in self.listeners:
            listener.close()


good = FakeHost()
SETTINGS = f"remote.port {good.port}\nremote.timeout-connect 20s\nremote.timeout-command 1s\nremote.timeout-idle 1s\n"
silent = Silent(good.port, 20)


numbers = itertools.count()


def outcome(remote, hosts, attempts=0):
    """A domain of its own each time: no connection of an earlier one serves."""
    domain = f"n{next(numbers)}.test"
    remote.hosts[domain] = hosts
    return remote.send([f"a@{domain}"], domain=domain, attempts=attempts)[f"a@{domain}"][0]


with RemoteHouse(settings=SETTINGS) as remote:
    is_(outcome(remote, [(10, "mx.many.test", [*refuses(15), "127.0.0.1"])]), DONE, "fifteen dead addresses do not hide the sixteenth")
    is_(outcome(remote, [(n, f"mx{n}.many.test", refuses(16)) for n in range(5)] + [(9, "last.many.test", ["127.0.0.1"])]), DONE,
        "nor do hosts full of them hide the last one")
    is_(outcome(remote, [(10, "mx.many.test", ["2001:db8::%x" % n for n in range(1, 16)] + ["127.0.0.1"])]), DONE,
        "nor a family without a route")
    is_(outcome(remote, [(10, "mx.many.test", silent.addresses[:15]), (20, "b.many.test", ["127.0.0.1"])]), DONE,
        "a host whose addresses are all silent leaves a turn to the next preference")
    is_(outcome(remote, [(10, "mx.many.test", [*silent.addresses[:3], "127.0.0.1"])]), DONE, "few that are silent are all tried")
    silent.visited()
    deep = [(10, "a.many.test", silent.addresses[:12]), (10, "b.many.test", [*silent.addresses[12:], "127.0.0.1"])]
    is_(outcome(remote, deep), RETRY, "of many silent addresses one attempt tries some")
    is_(silent.visited(), SLOW_MAX, f"{SLOW_MAX} of them, since each takes its time")
    found = [outcome(remote, deep, attempts) for attempts in range(1, 4)]
    ok(DONE in found, f"and the next ones try others: {found}")
silent.close()

# What makes an address unknown for others too: an answer to RCPT that can be about nothing but the recipient.
RCPT = {"gone": b"550 5.1.1 who is that\r\n", "moved": b"551 5.1.6 moved\r\n", "null": b"556 5.1.10 not there\r\n",
        "bare": b"550 no such user, or your SPF record\r\n", "policy": b"550 5.7.1 spam\r\n", "sender": b"550 5.1.8 bad sender\r\n",
        "other": b"550 5.1.0 sender rejected\r\n", "later": b"450 4.1.1 who is that\r\n"}
with RemoteHouse() as remote:
    def about(text):
        return RCPT.get(text.split("<")[1].split("@")[0])

    for lmtp in (False, True):
        host = FakeHost(answers={"RCPT": about, "end": b"550 5.1.1 not with this text\r\n"}, lmtp=lmtp)
        found = remote.send([f"{name}@dept.test" for name in [*RCPT, "text"]], hops=[("127.0.0.1", host.port)], lmtp=lmtp)
        is_({found[f"{name}@dept.test"][0] for name in [*RCPT, "text"]}, {FAILED, RETRY}, "all are refused")
        is_(remote.unknown, ["gone@dept.test", "moved@dept.test", "null@dept.test"], "three are not there, " + ("LMTP" if lmtp else "SMTP"))
        host.close()
    host = FakeHost(answers={"RCPT": b"550 5.1.1 who is that\r\n250 2.1.5 or is it\r\n"})
    found = remote.send(["gone@dept.test"], hops=[("127.0.0.1", host.port)])
    is_((found["gone@dept.test"][0], remote.unknown), (RETRY, []), "who answers out of step has said nothing")
    host.close()


def own_faults():
    with RemoteHouse(settings=SETTINGS) as remote:
        for hosts, text in ((None, "dnsd does not respond"), (DNS_OWN_FAULT, "nothing")):
            remote.hosts["ours.test"] = hosts
            is_(remote.send(["a@ours.test"], domain="ours.test"), {"a@ours.test": (OWN_FAULT, "4.3.0", text)}, f"{text}: our own fault")
            is_((remote.trouble, good.connections), (0, before), "the destination is not blamed")
        is_(remote.asked, 3, "a dnsd that dies is asked once more")
        remote.hosts["ours.test"] = [(10, "mx.ours.test", ["127.0.0.1"])]
        wrong = remote.send(["a@ours.test", "b@ours.test"], domain="ours.test", checksum=bytes(32))
        is_(({found[:2] for found in wrong.values()}, remote.damaged, remote.trouble), ({(OWN_FAULT, "4.3.0")}, 1, 0),
            "a message with another checksum is not the host's fault")
        is_(remote.send(["a@ours.test"], domain="ours.test")["a@ours.test"][0], DONE, "the next one goes")


def reload_meanwhile(remote, hop, until):
    """A delivery to this hop, and when until() has returned, more signals of a reload than one."""
    results = queue.Queue()
    threading.Thread(target=lambda: results.put(remote.send(["a@far.test"], hops=[hop])), daemon=True).start()
    until()
    for _ in range(50):
        for pid in remote.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)
    return results


class Full:
    """It listens, and nobody gets in until it is opened."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.hop = self.listener.getsockname()
        self.first = socket.create_connection(self.hop)

    def wait_for_another(self):
        """Until the kernel has a connection to it in SYN-SENT."""
        address = "0100007F:%04X" % self.hop[1] if sys.byteorder == "little" else "7F000001:%04X" % self.hop[1]
        while not any(row.split()[2:4] == [address, "02"] for row in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]):
            pass


def reload_while_connecting():
    full = Full()
    with RemoteHouse(settings=SETTINGS.replace("connect 20s", "connect 5m")) as remote:
        results = reload_meanwhile(remote, full.hop, full.wait_for_another)
        host = FakeHost(listener=full.listener)
        is_([found[0] for found in results.get().values()], [DONE], "a reload while it connects: it goes on, and delivers")
        is_(len(host.messages), 1, "once")


def reload_in_handshake():
    asked, go = threading.Event(), threading.Event()

    def before_tls():
        asked.set()
        go.wait()
    with RemoteHouse(settings=SETTINGS.replace("command 1s", "command 5m")) as remote:
        pem = str(remote.directory / "host.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", pem,
                        "-out", pem + ".crt", "-subj", "/CN=fake.test"], check=True, capture_output=True)
        host = FakeHost(extensions=["STARTTLS"], certificate=(pem + ".crt", pem), before_tls=before_tls)
        remote.program.tries_what_is_refused = True  # libssl looks for the issuer in a directory of the system
        results = reload_meanwhile(remote, ("127.0.0.1", host.port), asked.wait)
        go.set()
        is_([found[0] for found in results.get().values()], [DONE], "a reload in the TLS handshake: it goes on, and delivers")
        is_([facts["tls"] for _, _, _, facts in host.messages], [True], "not in clear")
        is_(host.connections, 1, "over one connection")


before = good.connections
own_faults()
reload_while_connecting()
reload_in_handshake()
done()
