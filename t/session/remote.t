#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""remote with a queued and a dnsd that the test plays: which addresses of many an attempt tries."""
import itertools
import pathlib
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from fakesmtp import FakeHost
from remotehouse import DONE, FAILED, RETRY, RemoteHouse
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
done()
