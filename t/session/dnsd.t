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

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import processes  # noqa: E402
import wirehouse as w  # noqa: E402
from fakedns import FakeDns  # noqa: E402
from tap import done, is_, ok  # noqa: E402
from waiting import comes  # noqa: E402

ROUTE, ADDRESS, NAME, HOSTS = range(16, 20)
FOUND, NO_DOMAIN, LATER, OWN_FAULT = 0, 2, 4, 5
WORKERS_MAX, OWNER_MAX = 32, 8


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
        message.u16(), message.byte(), message.byte(), message.string()
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
    ok(comes(lambda: len(house.workers()) == WORKERS_MAX, w.PATIENCE_SECONDS), "all workers are at work")
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
        w.send(line, w.Out(NAME).view(f"192.{n}.2.1"))
    ok(comes(lambda: len(house.workers()) == WORKERS_MAX, w.PATIENCE_SECONDS), "all workers are at work")
    stopped = house.workers()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    is_(asked(house.line(), ADDRESS, "four.test"), (FOUND, ["192.0.2.1"]), "remote's question waits for none of them")
    is_(select.select(lines, [], [], 0)[0], [], "which are not answered yet")
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    is_({result(line) for line in lines}, {(HOSTS, LATER)}, "and are in time")


def test_shares(house):
    """Whose name servers are silent holds a part of the workers, and no more."""
    crowd = [house.line() for _ in range(WORKERS_MAX + 8)]
    for n, line in enumerate(crowd):
        ask(line, f"h{n}.hoster.test")
    ok(comes(lambda: len(house.workers()) == OWNER_MAX, w.PATIENCE_SECONDS), "the names of one domain hold some of the workers")
    other = house.line()
    ask(other, "host.other.example")
    ok(comes(lambda: len(house.workers()) == OWNER_MAX + 1, w.PATIENCE_SECONDS), "a name of another is looked up beside them")
    house.dns.go.set()
    is_(result(other), (HOSTS, NO_DOMAIN), "and answered")
    is_({result(line) for line in crowd}, {(HOSTS, NO_DOMAIN)}, "as are all of the crowd, in turn")
    is_(len(house.workers()), OWNER_MAX + 1, "for which there were no more workers")


def test_given_up(house):
    """What has been answered as unknown for now keeps no worker from those who still wait."""
    crowd = [house.line() for _ in range(WORKERS_MAX + 8)]
    for n, line in enumerate(crowd):
        ask(line, f"h{n}.hoster.test")
    is_({result(line) for line in crowd}, {(HOSTS, LATER)}, "names of a silent domain are unknown for now")
    last = house.line()
    ask(last, "last.hoster.test")
    house.dns.go.set()
    is_(result(last), (HOSTS, NO_DOMAIN), "another of it is answered")
    is_([name for name, _ in house.dns.questions if name == f"h{len(crowd) - 1}.hoster.test"], [], "and waits for none that nobody waits for")


class NamelessDns(FakeDns):
    """Never answers for an address."""

    def _say(self, name, answer, peer):
        if not name.endswith(".arpa"):
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


def route(line, domain):
    """The result, and of each host its name, whether it may have more addresses, and those."""
    w.send(line, w.Out(ROUTE).view(domain))
    message = w.receive(line)
    code, _, _ = message.byte(), message.string(), message.u32()
    hosts = []
    for _ in range(message.byte()):
        message.u16(), message.byte()
        later, name = message.byte(), message.string()
        hosts.append((name, later, [message.address()[0] for _ in range(message.byte())]))
    return code, hosts


class GatheringDns(FakeDns):
    """Says nothing of the hosts in `slow` before it was asked about all of them, nor of those in `silent` ever."""

    def __init__(self, zones, slow):
        self.slow, self.held, self.dead, self.last = set(slow), [], "", threading.Event()
        super().__init__(zones)

    def _say(self, name, answer, peer):
        if name == "last.test":
            self.last.set()
        if self.dead and name.endswith(self.dead):
            return
        if name in self.slow:
            self.held.append((answer, peer))
        else:
            self.socket.sendto(answer, peer)
        while self.held and self.slow <= {asked for asked, _ in self.questions}:
            self.socket.sendto(*self.held.pop())


def test_slow_hosts(house):
    """A name that is slow holds up no other."""
    slow = sorted(house.dns.slow)
    code, hosts = route(house.line(), "five.test")
    is_((code, hosts[0]), (FOUND, ("mx.test", 0, ["192.0.2.1"])), "the good exchanger is the first")
    is_(sorted(hosts[1:]), [(name, 0, ["192.0.2.2"]) for name in slow], "those of one route are looked up at the same time")


def test_silent_hosts(house):
    """Of more silent names than are looked up at once, in the time that the asker has."""
    line = house.line()
    code, hosts = route(line, "many.test")
    is_((code, hosts[0]), (FOUND, ("mx.test", 0, ["192.0.2.1"])), "among many silent names the good exchanger is told in time")
    is_([(later, found) for _, later, found in hosts[1:]], [(1, [])] * 31, "the others as not known for the moment")
    ok(house.dns.last.wait(w.PATIENCE_SECONDS), "what comes later is looked up all the same")
    house.dns.dead = ".test"  # from here on it is silent about everything
    found = (LATER, [])
    for _ in range(20):  # each takes the time that an asker has
        if found[0] != LATER:
            break
        found = asked(house.line(), ADDRESS, "last.test")
    is_(found, (FOUND, ["192.0.2.3"]), "and kept for the next who asks")


def test_left(house):
    """What no asker waits for any more is looked up later, but not when there is much of it."""
    lines = [house.line() for _ in range(LEFT)]
    for n, line in enumerate(lines):
        w.send(line, w.Out(ROUTE).view(f"d{n}.test"))
    is_({w.receive(line).byte() for line in lines}, {FOUND}, "routes with silent names in crowds are told in time")
    house.dns.dead = ".nothing"
    is_(asked(house.line(), ADDRESS, "last.hoster.dead"), (NO_DOMAIN, []), "whose domain answers again")
    behind = len({name for name, _ in house.dns.questions if name.endswith(".hoster.dead")})
    ok(10 < behind < 400, "who asks then waits for some of them", behind)


def test_failing_part(house):
    """What failed for the moment is not kept for so long as what did not."""
    line = house.line()
    for name in ("half4.test", "half6.test"):
        w.send(line, w.Out(ROUTE).view(name))
        message = w.receive(line)
        is_((message.byte(), message.string(), message.u32()), (FOUND, "", 30), f"half of {name} is known, for a short while")
    is_(route(line, "half4.test"), (FOUND, [("h4.test", 1, ["192.0.2.4"])]), "and the route says that there may be more")
    is_(route(line, "none.test"), (LATER, [("h0.test", 1, [])]), "a domain of whose hosts nothing can be found out is not there for the moment")
    is_(route(line, "gone.test"), (3, [("nowhere.test", 0, [])]), "one whose hosts are not there has none")


def test_many_hosts(house):
    code, hosts = route(house.line(), "crowd.test")
    is_((code, len(hosts)), (FOUND, 64), "of more exchangers than there is room for")
    is_(hosts[0], ("best.test", 0, ["192.0.2.9"]), "the best are told, wherever they stand")


class HalfDns(FakeDns):
    """Rows in `broken` are answered SERVFAIL."""
    broken = {("h4.test", "AAAA"), ("h6.test", "A"), ("h0.test", "A"), ("h0.test", "AAAA")}

    def _answer(self, packet):
        answer = super()._answer(packet)
        if self.questions[-1] in self.broken:
            answer = answer[:3] + bytes([answer[3] & 0xf0 | 2]) + answer[4:6] + b"\0\0" + answer[8:]
        return answer


SLOW = [f"slow{n}.test" for n in range(5)]
GATHERING = GatheringDns({("five.test", "MX"): [(10, "mx.test")] + [(20, name) for name in SLOW], ("mx.test", "A"): ["192.0.2.1"],
                          **{(name, "A"): ["192.0.2.2"] for name in SLOW}}, SLOW)
SILENT = GatheringDns({("many.test", "MX"): [(10, "mx.test")] + [(20 + n, f"s{n}.dead") for n in range(30)] + [(99, "last.test")],
                       ("mx.test", "A"): ["192.0.2.1"], ("last.test", "A"): ["192.0.2.3"]}, [])
SILENT.dead = ".dead"
LEFT = 120
CROWDS = GatheringDns({("mx.test", "A"): ["192.0.2.1"],
                       **{(f"d{n}.test", "MX"): [(10, "mx.test")] + [(20, f"s{n}-{k}.hoster.dead") for k in range(8)] for n in range(LEFT)}}, [])
CROWDS.dead = ".dead"
HALVES = HalfDns({("half4.test", "MX"): [(10, "h4.test")], ("half6.test", "MX"): [(10, "h6.test")], ("h4.test", "A"): ["192.0.2.4"],
                  ("h6.test", "AAAA"): ["2001:db8::6"], ("none.test", "MX"): [(10, "h0.test")], ("gone.test", "MX"): [(10, "nowhere.test")]})
CROWD = FakeDns({("crowd.test", "MX"): [(20 + n, "x.test") for n in range(70)] + [(10, "best.test")], ("best.test", "A"): ["192.0.2.9"]})
FAMILIES = FakeDns({("four.test", "A"): ["192.0.2.1"], ("six.test", "AAAA"): ["2001:db8::1"], ("mx.test", "MX"): [(10, "four.test")],
                    ("plain.test", "A"): ["192.0.2.2"], ("both.test", "A"): [f"192.0.2.{n}" for n in range(1, 20)],
                    ("both.test", "AAAA"): [f"2001:db8::{n:x}" for n in range(1, 20)]},
                   denied=[("four.test", "AAAA"), ("six.test", "A"), ("plain.test", "MX"), ("plain.test", "AAAA")])
for test, dns in ((test_reload, None), (test_gone, None), (test_shares, None), (test_given_up, None), (test_families, FAMILIES),
                  (test_strangers, NamelessDns({("four.test", "A"): ["192.0.2.1"]})), (test_slow_hosts, GATHERING),
                  (test_silent_hosts, SILENT), (test_left, CROWDS), (test_failing_part, HALVES), (test_many_hosts, CROWD)):
    with Dnsd(dns) as house:
        test(house)
done()
