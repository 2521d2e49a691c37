#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""queued's shares of the agents: destinations that take a job and say nothing, while others are served."""
import collections
import os
import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from queuehouse import *  # noqa: E402,F403
from tap import done, is_, ok  # noqa: E402

AGENTS_MAX, START = 64, 2
SILENT, ALL = 12, 100


class Hosts:
    """All agents there may be, and who of the destinations says nothing."""

    def __init__(self, house, silent):
        self.silent, self.held, self.served, self.changed = set(silent), [], collections.Counter(), threading.Condition()
        self.agents = Agents(house.wires["remote.job"], count=AGENTS_MAX, grow=False, answer=self.answer)

    def answer(self, job):
        with self.changed:
            if silent := job.domain in self.silent:
                self.held.append(job)
            else:
                self.served[job.domain] += len(job.recipients)
            self.changed.notify_all()
        return None if silent else DONE

    def wait(self, what):
        with self.changed:
            return self.changed.wait_for(what, WAIT)

    def holds(self, names):
        return sum(job.domain in names for job in self.held)


def name(number):
    return f"d{number}.test"


def silent_ones():
    with House(f"remote.agents-max {AGENTS_MAX}\nqueue.concurrency-start {START}\nqueue.concurrency-max 20\n", agents=False) as house:
        silent, good = [name(n) for n in range(SILENT)], [name(n) for n in range(SILENT, ALL)]
        hosts = Hosts(house, silent)
        def write(destinations, times=1):  # few messages: a host is silent after some seconds, whatever the machine does
            for _ in range(times):
                house.write([f"u@{to}" for to in destinations])

        write(silent, 3)
        second = AGENTS_MAX // 4 - SILENT  # a quarter: then unknown ones get no second job
        ok(hosts.wait(lambda: len(hosts.held) == SILENT + second), "12 destinations that say nothing get all they may have")
        write(good, 2)
        ok(hosts.wait(lambda: all(hosts.served[to] == 2 for to in good)), "the other 88 are served", dict(hosts.served))
        is_(len(hosts.held), SILENT + second, "while those hold theirs, and no more")
        # Some that have answered, and have all that their windows give, fall silent.
        fallen, others = good[:10], good[10:]
        hosts.silent.update(fallen)
        window = START + 2
        write(fallen, window + 2)
        ok(hosts.wait(lambda: hosts.holds(fallen) == len(fallen) * window), "ten that answered before fall silent")
        # And more that nothing is known of.
        unknown = [name(n) for n in range(ALL, ALL + 40)]
        hosts.silent.update(unknown)
        write(unknown)
        rest = AGENTS_MAX * 3 // 4 - len(silent) - second - len(fallen) * (window - 1)
        ok(hosts.wait(lambda: hosts.holds(unknown) == rest), "so do 40 unknown ones: some of them get a job")
        write(others)
        ok(hosts.wait(lambda: all(hosts.served[to] == 3 for to in others)), "the others are still served", dict(hosts.served))
        is_(len(hosts.held), AGENTS_MAX * 3 // 4 + len(fallen), "while all those hold theirs, and no more")
        hosts.silent.clear()
        with hosts.changed:
            for job in hosts.held:
                job.finish(DONE)
        ok(house.wait_for(lambda: house.files() == []), "and when they answer all is delivered")


def crowd():
    """Where much waits, what waits for a host that says nothing would keep all others from being admitted: but for some it is put off."""
    waits, more, many = 100, 20, 10000
    with House(f"remote.agents-max {AGENTS_MAX}\nqueue.concurrency-start {START}\n", agents=False) as house:
        hosts = Hosts(house, [name(n) for n in range(1 + 100)])
        for _ in range(START + waits + more):
            house.write([f"u@{name(0)}"])
        ok(hosts.wait(lambda: len(hosts.held) == START), "a host says nothing")
        for _ in range(many // 100 + 1):
            house.write([f"u@{name(n)}" for n in range(1, 101)])
        states = lambda: collections.Counter(e["state"] for e in house.list(f"domain:{name(0)}"))  # noqa: E731
        ok(house.wait_for(lambda: states()["d"] == more), "when it has been silent for long, all but 100 are put off", states())
        house.write([f"u@{name(0)}"])
        ok(house.wait_for(lambda: states()["d"] == more + 1), "one that comes then too")
        small = house.write([f"u@{name(0)}"], sender="small@example.test")
        ok(house.wait_for(lambda: states()["d"] == more + 2), "or, for one of another sender, the last of those that wait")
        is_([e["state"] for e in house.list("from:small@example.test")], ["a"], f"who has sent a single one ({small}) keeps it there")
        ok("too many messages wait for the destination" in house.program.log(), "the log tells why")
        hosts.silent.remove(name(0))
        for job in hosts.held[:START]:
            job.finish(DONE)
        ok(hosts.wait(lambda: hosts.served[name(0)] == waits), "what waited is delivered when it answers")


def full():
    """As many messages as are taken up at once wait for a host that says nothing: when some of them are put off another one is taken up."""
    active = 20000
    with House(f"remote.agents-max {AGENTS_MAX}\nqueue.concurrency-start {START}\n", agents=False) as house:
        writer = house.writer()
        for _ in range(active):
            writer.open()
            writer.write(MESSAGE)
            writer.recipients([f"u@{name(0)}"])
            writer.commit()
            writer.live()
            os.close(writer.fd)
        house.write([f"u@{name(1)}"])
        hosts = Hosts(house, [name(0)])
        ok(hosts.wait(lambda: len(hosts.held) == START), f"{active} messages wait for a host that says nothing")
        is_(hosts.served[name(1)], 0, "and one more to be taken up")
        ok(hosts.wait(lambda: hosts.served[name(1)] == 1), "it is, as soon as some of the others are put off")


def told():
    """That silent destinations use all they may, and others wait, is in the log, once."""
    with House(f"remote.agents-max 4\nqueue.concurrency-start {START}\n", agents=False) as house:
        hosts = Hosts(house, [name(n) for n in range(4)])
        for n in range(4):
            house.write([f"u@{name(n)}"])
        ok(hosts.wait(lambda: len(hosts.held) == 2), "two of four agents are held")
        house.program.wait_log("event=agents-short agent=remote silent=")
        ok(" new=2 further=0 " in house.program.log(), "the log tells", house.program.log())
        hosts.silent.clear()
        for job in hosts.held:
            job.finish(DONE)
        house.ask(CONTROL_QUEUE_RETRY, "")
        ok(house.wait_for(lambda: house.files() == []), "and all is delivered when they answer")
        is_(house.program.log().count("event=agents-short"), 1, "it is told once a minute at most")


def senders():
    """One sender has mail for 60 destinations, and another a single message: it does not wait behind all of them."""
    with House("remote.agents-max 1\n", agents=False) as house:
        for n in range(60):
            house.write([f"u@{name(n)}"], sender="many@example.test")
        last = house.write(["u@other.test"], sender="one@example.test")
        ok(house.wait_for(lambda: [e["state"] for e in house.list()] == ["a"] * 61), "all are to be delivered")
        agents = Agents(house.wires["remote.job"], grow=False)
        order = []
        while last not in order:
            job = agents.job()
            order.append(job.id)
            if job.id == last:
                agents.answer = lambda job: DONE
            job.finish(DONE)
        ok(len(order) <= 3, f"it is one of the first three ({len(order)})")
        ok(house.wait_for(lambda: house.files() == []), "the others come behind it")


silent_ones()
crowd()
full()
told()
senders()
done()
