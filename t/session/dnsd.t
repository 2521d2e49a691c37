#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""dnsd's askers: a question, its answer, what a reload does to those who ask, and what becomes of questions whose asker or
worker is gone."""
import contextlib
import os
import pathlib
import select
import shutil
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import processes  # noqa: E402
import wirehouse as w  # noqa: E402
from fakedns import FakeDns  # noqa: E402
from tap import done, is_, ok  # noqa: E402

ROUTE, ADDRESS, NAME, HOSTS = range(16, 20)
FOUND, NO_DOMAIN, LATER, OWN_FAULT = 0, 2, 4, 5
WORKERS_MAX = 32


class SlowDns(FakeDns):
    """Does not answer before `go` is set; `asked` is set by the first question."""

    def __init__(self, zones):
        self.asked, self.go = threading.Event(), threading.Event()
        super().__init__(zones)

    def _answer(self, packet):
        self.asked.set()
        self.go.wait()
        return super()._answer(packet)


def ask(line, host):
    w.send(line, w.Out(ADDRESS).view(host))


def asked(line, kind, name):
    """The result and the addresses."""
    w.send(line, w.Out(kind).view(name))
    message = w.receive(line)
    code, _, _ = message.byte(), message.string(), message.u32()
    found = []
    for _ in range(message.byte()):
        message.u16(), message.byte(), message.string()
        found += [message.address()[0] for _ in range(message.byte())]
    return code, found


def result(line):
    message = w.receive(line)
    return None if message is None else (message.kind, message.byte())


class Dnsd:
    def __init__(self, dns=None):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="dnsd."))
        self.dns = dns or SlowDns({("host.test", "A"): ["192.0.2.1"], ("other.test", "A"): ["192.0.2.2"]})
        self.remote, remotes = w.pair()
        self.smtpd, smtpds = w.pair()
        generation = w.generation(self.directory, f"dns.server 127.0.0.1:{self.dns.port}\n")
        self.program = w.Program("dnsd", {"remote.dns": remotes, "smtpd.dns": smtpds, "generation": generation}, self.directory)

    def __enter__(self):
        self.program.wait_ready()
        return self

    def __exit__(self, *_):
        self.program.stop()
        self.dns.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def line(self):
        return w.dial(self.remote, "dns")

    def workers(self):
        return processes.children(self.program.process.pid)

    def signal_workers(self, number):
        for pid in self.workers():
            with contextlib.suppress(ProcessLookupError):  # one that was killed may be reaped just now
                os.kill(pid, number)


def test_reload(house):
    dns, program, remote, smtpd = house.dns, house.program, house.remote, house.smtpd
    idle = [w.dial(wire, "dns") for wire in (remote, smtpd, remote, smtpd)]
    busy, at_once = w.dial(remote, "dns"), w.dial(smtpd, "dns")
    ask(busy, "host.test")
    ask(at_once, "host.test")
    ok(dns.asked.wait(w.PATIENCE_SECONDS), "a question reaches the name server")
    program.signal(signal.SIGHUP)
    is_([result(line) for line in idle], [None] * 4, "told of a successor, dnsd lets go of those who wait for nothing")
    is_(program.process.poll(), None, "and stays for those who do")
    dns.go.set()
    is_(result(busy), (HOSTS, FOUND), "a busy asker gets its answer")
    is_(result(at_once), (HOSTS, FOUND), "on the other wire too")
    is_([result(busy), result(at_once)], [None] * 2, "and only then is let go of")
    is_(program.wait(), 0, "with the last of them dnsd ends")


def test_gone(house):
    """All workers are at work, and stopped there, so that none of them gives up."""
    lines = [house.line() for _ in range(WORKERS_MAX)]
    for n, line in enumerate(lines):
        ask(line, f"busy{n}.test")
    while len(house.workers()) < WORKERS_MAX:
        time.sleep(0.01)
    house.signal_workers(signal.SIGSTOP)
    gone, after = house.line(), house.line()
    ask(gone, "gone.test")
    ask(after, "after.test")
    gone.close()
    for turn in ("", " again"):  # dnsd has then seen the end of that line, which came before
        other = house.line()
        w.send(other, w.Out(HOSTS))
        ok(w.receive(other) is None, f"who asks nonsense is let go of{turn}")
    os.kill(house.workers()[0], signal.SIGKILL)
    house.dns.go.set()
    house.signal_workers(signal.SIGCONT)
    is_(sorted({result(line)[1] for line in lines}), [NO_DOMAIN, OWN_FAULT], "one whose worker is killed is told that it was our fault")
    is_(result(after), (HOSTS, NO_DOMAIN), "who waits for a worker is answered")
    is_([name for name, _ in house.dns.questions if name == "gone.test"], [], "for who has left meanwhile nobody is asked")


def test_strangers(house):
    """Whose name servers do not answer: smtpd's questions are about them, and all workers for these are at work."""
    lines = [w.dial(house.smtpd, "dns") for _ in range(WORKERS_MAX + 8)]
    for n, line in enumerate(lines):
        w.send(line, w.Out(NAME).view(f"192.0.2.{n}"))
    while len(house.workers()) < WORKERS_MAX:
        time.sleep(0.01)
    stopped = house.workers()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    is_(asked(house.line(), ADDRESS, "four.test"), (FOUND, ["192.0.2.1"]), "remote's question waits for none of them")
    is_(select.select(lines, [], [], 0)[0], [], "which are not answered yet")
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    is_({result(line) for line in lines}, {(HOSTS, LATER)}, "and are in time")


class NamelessDns(FakeDns):
    """Never answers for an address."""

    def _serve(self):
        while True:
            try:
                packet, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            answer = self._answer(packet)
            if not self.questions[-1][0].endswith(".arpa"):
                self.socket.sendto(answer, peer)


def test_families(house):
    """Each type answers for itself, and neither family takes the other's room."""
    line = house.line()
    is_(asked(line, ADDRESS, "four.test"), (FOUND, ["192.0.2.1"]), "a server that denies AAAA does not hide the A")
    is_(asked(line, ADDRESS, "six.test"), (FOUND, ["2001:db8::1"]), "nor the other way about")
    is_(asked(line, ROUTE, "mx.test"), (FOUND, ["192.0.2.1"]), "nor that of an exchanger")
    is_(asked(line, ROUTE, "plain.test"), (FOUND, ["192.0.2.2"]), "nor that of a domain whose MX it denies")
    is_(asked(line, ROUTE, "nowhere.test")[0], NO_DOMAIN, "a domain of which all is denied is not there")
    code, found = asked(line, ADDRESS, "both.test")
    is_((code, sum(":" in a for a in found), sum("." in a for a in found)), (FOUND, 8, 8), "of many addresses half are of each family")


FAMILIES = FakeDns({("four.test", "A"): ["192.0.2.1"], ("six.test", "AAAA"): ["2001:db8::1"], ("mx.test", "MX"): [(10, "four.test")],
                    ("plain.test", "A"): ["192.0.2.2"], ("both.test", "A"): [f"192.0.2.{n}" for n in range(1, 20)],
                    ("both.test", "AAAA"): [f"2001:db8::{n:x}" for n in range(1, 20)]},
                   denied=[("four.test", "AAAA"), ("six.test", "A"), ("plain.test", "MX"), ("plain.test", "AAAA")])
for test, dns in ((test_reload, None), (test_gone, None), (test_families, FAMILIES),
                  (test_strangers, NamelessDns({("four.test", "A"): ["192.0.2.1"]}))):
    with Dnsd(dns) as house:
        test(house)
done()
