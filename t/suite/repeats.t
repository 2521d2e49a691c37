#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What the house itself spoils of a delivery to another host is repeated soon: a remote that is killed, a dnsd that is killed
while it is asked; a reload spoils nothing; what a stop cuts off is tried at the next start. No attempt but the first is made
within the time of this test."""
import contextlib
import itertools
import os
import pathlib
import re
import signal
import smtplib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from fakedns import FakeDns  # noqa: E402
from fakesmtp import FakeHost  # noqa: E402
from house import House  # noqa: E402
from tap import done, is_, ok  # noqa: E402


class Hesitant(FakeHost):
    """`holds`: it keeps the next text without an answer until told what to say."""

    def __init__(self):
        super().__init__(answers={"end": self.end})
        self.holds, self.has_text, self.go, self.word = False, threading.Event(), threading.Event(), None

    def hold(self):
        self.has_text.clear()
        self.go.clear()
        self.holds = True

    def end(self, _):
        if not self.holds:
            return None
        self.holds = False
        self.has_text.set()
        self.go.wait()
        return self.word

    def say(self, word=None):
        self.word = word
        self.go.set()


host, numbers = Hesitant(), itertools.count()
dns = FakeDns({(f"slow{n}.test", "A"): ["127.0.0.1"] for n in range(20)})
house = House("--set", f"dns.server 127.0.0.1:{dns.port}", "--set", f"remote.port {host.port}", "--set", "queue.retry-first 1h",
              "--set", "queue.retry-max 1h", "--route", f"hop.test 127.0.0.1:{host.port}")


def submit(to):
    with smtplib.SMTP(house.env["HOST"], house.port("SUBMISSION"), timeout=60) as smtp:
        smtp.login("u0001@example.test", "pw")
        smtp.sendmail("u0001@example.test", [to], "Subject: test\r\n\r\nhello\r\n")


def events(to):
    return re.findall(rf"queued\[\d+\]: id=\S+ event=(repeat|defer|deliver|fail) to=<{to}>", house.log())


def once_each(found):
    """A repeat may meet what the same fault has left: another worker that is gone, and is not yet known to be."""
    return list(dict.fromkeys(found))


def begin(to):
    """A delivery whose text the host has, and no answer to it."""
    host.hold()
    submit(to)
    host.has_text.wait()


def delivered(to):
    house.wait_for(f"delivery to {to}", lambda: "deliver" in events(to))
    return [recipients for _, recipients, _, _ in host.messages if recipients == [to]]


def children(pid):
    return [int(n) for n in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def reload():
    begin("reload@hop.test")
    is_(house.posthouse("reload").returncode, 0, "a reload in the middle of a delivery")
    host.say()
    is_(delivered("reload@hop.test"), [["reload@hop.test"]], "it goes on, and ends")
    is_(events("reload@hop.test"), ["deliver"], "nothing is repeated")


def agent():
    begin("agent@hop.test")
    for pid in children(house.pid("remote")):
        with contextlib.suppress(ProcessLookupError):  # one that was idle may have ended meanwhile
            os.kill(pid, signal.SIGKILL)
    host.say(b"close")
    is_(delivered("agent@hop.test"), [["agent@hop.test"]], "remote killed in the middle: delivered")
    is_(once_each(events("agent@hop.test")), ["repeat", "deliver"], "by a repeat")


def dnsd_killed_twice(name):
    """Each time when the question has reached the name server: remote asks once more, not twice."""
    dns.silent.add(name)
    submit(f"x@{name}")
    for turn in (1, 2):
        house.wait_for("the question", lambda: [asked for asked, _ in dns.questions].count(name) >= turn)
        if turn == 2:
            dns.silent.discard(name)
        house.kill("dnsd")
    house.wait_for("what comes of it", lambda: events(f"x@{name}"))


def name_service():
    """A kill that comes late finds the question given up by dnsd, or answered: then once more, with another name."""
    for n in numbers:
        dnsd_killed_twice(f"slow{n}.test")
        if events(f"x@slow{n}.test")[0] == "repeat" or n == 19:
            break
    is_(len(delivered(f"x@slow{n}.test")), 1, "dnsd killed while it is asked, twice: delivered")
    is_(once_each(events(f"x@slow{n}.test")), ["repeat", "deliver"], "by a repeat")
    ok('text="dnsd does not respond"' in house.log(), "the log says whose fault it was")


def stop():
    begin("stop@hop.test")
    before = len(host.messages)
    house.stop()
    host.say(b"close")
    is_((len(host.messages), "defer" in events("stop@hop.test")), (before, False), "a stop in the middle of a delivery puts nothing off")
    house.start()
    is_(delivered("stop@hop.test"), [["stop@hop.test"]], "the next start delivers it")


with house:
    for part in (reload, agent, name_service, stop):
        part()
done()
