#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""queued does not wait for what lies in the queue: while its start has looked at a few of hundreds of files, new mail is accepted
and delivered, an operator finds each message by its id, who asks for all is told to wait; kill -9, a stop, and a wall clock that
was set back in the middle lose nothing."""
import os
import pathlib
import re
import signal
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import stopper  # noqa: E402
from queuehouse import *  # noqa: E402,F403
from tap import done, is_, ok  # noqa: E402

SETTINGS = "queue.retry-first 1h\nqueue.retry-max 1h\n"
MESSAGES = 300


class Behind(stopper.Preloading):
    """What is started in it looks at few files until go()."""

    def __init__(self, so, page):
        self.page = page
        super().__init__(so, BEHIND_PAGE=str(page))

    def hold(self):
        self.page.write_bytes(b"\1")

    def go(self):
        with open(self.page, "r+b") as page:
            page.write(b"\0")


class Remote:
    """Puts off what is for far.test, takes the rest."""

    def __init__(self, house):
        self.taken = []
        house.answers["remote"] = house.agents["remote"].answer = self.answer

    def answer(self, job):
        if job.addresses[0].endswith("@far.test"):
            return RETRY
        self.taken.append(job.id)
        return DONE


def recovered(house):
    return [line for line in house.program.log().splitlines() if "event=recovered" in line and f"queued[{house.program.process.pid}]" in line]


def unread(house):
    line = house.control()
    send(line, Out(CONTROL_QUEUE_COUNTS))
    answer = receive(line)
    line.close()
    return [answer.u32() for _ in range(8)][7]


def start(house, behind):
    (house.directory / "queue/records").unlink(missing_ok=True)  # what it keeps is not looked at
    behind.hold()
    with behind:
        house.restart()
    ok(not recovered(house) and unread(house) > MESSAGES // 2, "queued serves, and knows little of its queue", house.program.log()[-500:])


def new_mail(house, remote, old):
    id = house.write(["new@near.test"])
    ok(id > max(old), "a new message has an id behind all of those")
    ok(house.wait_for(lambda: id in remote.taken), "it is delivered")
    ok(unread(house) > 0 and not recovered(house), "while the start goes on")


def operator(house, old):
    last = old[-1]
    line = house.control()
    send(line, Out(CONTROL_QUEUE_LIST).view(""))
    answer = receive(line)
    read, of = answer.u32(), answer.u32()
    ok(answer.kind == CONTROL_QUEUE_READING and 0 < read < of and of == MESSAGES, "who lists the queue is told how far the start is", f"{read} of {of}")
    is_([e["state"] for e in house.list(last)], ["d"], "one of which the id is given is listed at once")
    is_(house.ask(CONTROL_QUEUE_HOLD, last)[:2], (0, "1"), "and held")
    is_(house.ask(CONTROL_QUEUE_REMOVE, old[-2])[:2], (0, "1"), "another is removed")
    ok(house.wait_for(lambda: old[-2] not in house.files()), "with its file")
    is_(house.ask(CONTROL_QUEUE_SHOW, "0000000000000")[0], 100, "an id that nobody has is none")
    ok(unread(house) > 0, "while the start goes on")
    return line


def after_kill(house, behind, remote, old):
    house.kill()
    start(house, behind)
    new_mail(house, remote, old)
    waiting = operator(house, old)
    gone = old.pop(-2)
    house.kill()
    waiting.close()
    start(house, behind)
    new_mail(house, remote, old)
    line = house.control()
    send(line, Out(CONTROL_QUEUE_LIST).view(""))
    behind.go()
    entries = []
    while (answer := receive(line)).kind != CONTROL_END:
        while answer.kind == CONTROL_QUEUE_ENTRY and answer.rest:
            entries.append((answer.string(), chr(answer.byte())))
            [answer.u64() for _ in range(3)], answer.string(), answer.u32(), answer.string(), answer.string()
    is_(sorted(entries), sorted([(id, "d") for id in old[:-1]] + [(old[-1], "h")]), f"killed in the middle: the list, when it comes, is whole, without {gone}")
    ok(house.wait_for(lambda: recovered(house)), "the start ends")
    ok("clean=no" in recovered(house)[0], "it was one after a crash")


def after_stop(house, behind, remote, old):
    mark = house.directory / "queue/clean"
    house.kill()
    start(house, behind)
    house.stop()
    ok(not mark.exists(), "stopped in the middle of a start after a crash: the next one looks at everything")
    behind.go()
    house.restart()
    ok(house.wait_for(lambda: recovered(house)), "which it does")
    house.stop()
    ok(re.fullmatch(rb"\d{20}", mark.read_bytes()), "a clean stop, the mark has the time of the records")
    start(house, behind)
    is_(mark.read_bytes(), max(old).encode(), "its mark holds for what was there, while the start goes on")
    torn = house.writer()
    torn_id = torn.open()
    torn.write(MESSAGE)
    house.kill()
    start(house, behind)
    behind.go()
    ok(house.wait_for(lambda: recovered(house)), "killed in the middle: the next start ends")
    ok("clean=yes" in recovered(house)[0] and f"id={torn_id} event=recover-torn" in house.program.log(),
       "what came later is judged as after a crash", house.program.log()[-600:])
    ok(not mark.exists(), "and the mark is gone")
    house.stop()
    start(house, behind)
    new_mail(house, remote, old)
    house.stop()
    is_(mark.read_bytes(), b"", "a stop in the middle of a start after a clean stop is one too")
    behind.go()
    house.restart()
    is_([e["id"] for e in house.list()], old, "nothing is lost, and the oldest is listed first")


def stop_and_start(house, between=lambda: None):
    """How many records the start took from those that the stop has kept."""
    house.stop()
    between()
    house.restart()
    ok(house.wait_for(lambda: recovered(house)), "the start ends")
    return int(re.search(r" kept=(\d+) ", recovered(house)[0]).group(1))


def told(house, but=()):
    return [{key: value for key, value in e.items() if key != "next"} for e in house.list() if e["id"] not in but]


def same(house, before, times, what, but=()):
    is_(told(house), [e for e in before if e["id"] not in but], what)
    ok(all(abs(e["next"] - times[e["id"]]) <= 3 for e in house.list()), "and each has its time")


def kept(house, old):
    records = house.directory / "queue/records"
    before, times = told(house), {e["id"]: e["next"] for e in house.list()}
    deferred = [e["id"] for e in before if e["state"] == "d"]
    is_(len(deferred), len(old) - 2, "all but those that are held wait")
    copy = []
    is_(stop_and_start(house, lambda: copy.append(records.read_bytes())), len(deferred), "a clean stop keeps their records, the next start takes them")
    same(house, before, times, "they are what they were")
    is_(house.list()[-1]["state"], "h", "the other one was read from its file")
    ok(not records.exists(), "while queued runs nothing is kept")
    house.kill()
    records.write_bytes(copy[0])
    house.restart()
    ok(house.wait_for(lambda: recovered(house)) and " kept=0 " in recovered(house)[0], "after a crash nothing of an older stop is taken")
    same(house, before, times, "they are what they were")

    def flip(at):
        def do():
            data = bytearray(records.read_bytes())
            data[at] ^= 1
            records.write_bytes(data)
        return do
    for name, damage in {"its first byte": flip(0), "its version": flip(10), "a time": flip(200), "a message": flip(-100), "its last byte": flip(-1),
                         "its end gone": lambda: os.truncate(records, records.stat().st_size - 40), "empty": lambda: os.truncate(records, 0),
                         "no mark": (house.directory / "queue/clean").unlink}.items():
        taken = stop_and_start(house, damage)
        ok(taken < len(deferred), f"{name}: not all is taken from it: {taken}")
        same(house, before, times, "all are what they were")
    gone = deferred[3]
    ok(stop_and_start(house, lambda: house.path(gone).unlink()) < len(deferred), "a file is removed by hand: its directory is read")
    same(house, before, times, "and the others are what they were", {gone})
    old.remove(gone)
    one = house.path(deferred[5])
    text = one.read_bytes()

    def exchange():
        one.with_name(".new").write_bytes(text)
        one.with_name(".new").rename(one)
    before, times = told(house), {e["id"]: e["next"] for e in house.list()}
    ok(stop_and_start(house, exchange) < len(before) - 2, "a file is put in another's place: what stands there is read")
    same(house, before, times, "and all are what they were")


def of_an_older_stop(house):
    """What has become of a message since is in its file alone, and no directory has changed."""
    records, mark = house.directory / "queue/records", house.directory / "queue/clean"
    id, copy = house.list()[7]["id"], []
    ok(stop_and_start(house, lambda: copy.append(records.read_bytes())) > 0, "they were taken once")
    is_(house.ask(CONTROL_QUEUE_HOLD, id)[:2], (0, "1"), "since then a message is held")

    def back(older=False):
        records.write_bytes(copy[0])
        if older:
            mark.write_bytes(b"")
    for older in (True, False):
        is_(stop_and_start(house, lambda: back(older)), 0, f"records of an older stop are not taken, where the mark is that of {'an older version' if older else 'a later stop'}")
        is_(house.list(id)[0]["state"], "h", "the message is still held")


def killed_while_it_keeps(house, scratch):
    """At the name of the file, and at that of the mark with its time: the mark was there before."""
    so, queue = stopper.build(scratch), house.directory / "queue"
    before = told(house)
    for call in (1, 2):
        house.stop()
        with stopper.Stopping(so, f"renameat:{call}:before"):
            house.restart()
        ok(house.wait_for(lambda: recovered(house)), "the start ends")
        house.program.signal(signal.SIGUSR1)
        house.program.signal(signal.SIGTERM)
        is_(house.program.wait(), 137, f"a stop is ended by a kill at its renaming {call}")
        house.close_wires()
        is_([(queue / name).exists() for name in (".records.new", "records")], [call == 1, call == 2], "at the records")
        is_([path.read_bytes() for path in queue.glob("clean")], [b""], "it is a clean one, without records")
        house.restart()
        ok(house.wait_for(lambda: recovered(house)) and " clean=yes kept=0 " in recovered(house)[0], "the next start reads the files")
        is_(told(house), before, "all are what they were")
        ok(not (queue / ".records.new").exists() and not (queue / "records").exists(), "nothing of it is left")


def clock_set_back(so, scratch, house, behind, old):
    house.kill()
    clock = stopper.build(scratch, "clock")
    with stopper.Clock(clock, scratch / "clock") as back:
        back.leap(-86400)
        house.restart()
    id = house.write(["later@far.test"])
    ok(id > max(old), "with a clock that is a day behind a new message has an id behind all others")
    old.append(id)
    house.kill()
    house.restart()
    is_(sorted(e["id"] for e in house.list()), old, "and takes nobody's place")


def main():
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-start-"))
    so = stopper.build(scratch, "behind")
    behind = Behind(so, scratch / "page")
    with House(SETTINGS) as house:
        remote = Remote(house)
        old = [house.write([f"u{n}@far.test"]) for n in range(MESSAGES)]
        ok(house.wait_for(lambda: b"\nattempt " in house.path(old[-1]).read_bytes() and all(e["state"] == "d" for e in house.list())), "messages wait")
        after_kill(house, behind, remote, old)
        after_stop(house, behind, remote, old)
        killed_while_it_keeps(house, scratch)
        house.stop()
        clock = stopper.build(scratch, "clock")
        with stopper.Clock(clock, scratch / "ahead") as ahead:
            ahead.leap(10)  # whatever was changed a moment before a stop would be read anew
            house.restart()
            of_an_older_stop(house)
            kept(house, old)
        clock_set_back(so, scratch, house, behind, old)
    for path in scratch.iterdir():
        path.unlink()
    scratch.rmdir()
    done()


main()
