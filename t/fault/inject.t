#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Every call that touches disk, wire or memory, in every program, fails once: what was acknowledged is there, whole, at the
right person; no program stays down; who is refused finds the cause in the log.

    prove t/fault/inject.t                        a sample; INJECT_SEED=N another one
    python3 t/fault/inject.t all [PROGRAM ...]    every place with every error, for hours
    python3 t/fault/inject.t N [PROGRAM ...]      N of them
    python3 t/fault/inject.t start N [PROGRAM ..] or all: while the house starts
    python3 t/fault/inject.t list [PROGRAM ...]   the places

Mail and queue are on two file systems (mail in /dev/shm), where a delivery has a sync more before its queue file goes;
INJECT_DISKS=1: on one.

A first run of the load learns the places: a call, and the functions that led to it. Some calls that lie are the control that
the load would see it. A house of which no program may have more than 80 descriptors is one fault more.
"""
import errno
import os
import pathlib
import random
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import faultload  # noqa: E402
import inject  # noqa: E402
import stopper  # noqa: E402
import wirehouse  # noqa: E402
from faultload import PHASES, Load  # noqa: E402
from processes import table  # noqa: E402
from house import SANITIZER_MARKS, SOURCE, House  # noqa: E402
from tap import done, is_, note, ok, skip  # noqa: E402

SAMPLE, ONCE = 60, 3
FEW, HELD = 80, 100
COMMANDS = ["posthouse", "sendmail", "drop"]
QUEUE_PHASES = ("smtp", "relay", "submission", "sendmail", "drop")
# What they do comes when it comes, not while the client that caused it is there.
BEHIND = ("queued", "local", "remote", "bounce", "pickup", "resolved", "logd", "dnsd")




def ends_conversation(place):
    """What fails on a client's connection ends it, as if the client had left; porter keeps no record of TLS that fails. No line
    says so."""
    return place.call in ("read", "recv", "send", "poll") or (place.program == "porter" and place.call.endswith("alloc"))


class Fell(Exception):
    """master is gone."""


class Trial:
    """A house that is used for one fault after another, as long as nothing goes wrong."""

    def __init__(self, so, page, **more):
        self.so, self.page, self.more = so, page, more
        self.host = Load.host()
        self.house = self.load = None
        self.tried = self.met = self.doubled = self.fallen = 0
        self.refused = self.unstarted = 0
        self.rounds = 0

    def open(self):
        self.house = inject.Injected(self.so, self.page, *Load.options(self.host), **self.more)
        self.house.start()
        self.load = Load(self.house, self.host)
        self.load.rounds = self.rounds
        self.load.prepare()

    def close(self):
        if self.house:
            self.rounds = self.load.rounds if self.load else self.rounds
            try:
                self.house.stop()
            except RuntimeError as error:
                note(error)
            self.house.remove()
            self.host.messages.clear()
        self.house = self.load = None

    def is_up(self):
        try:
            words = pathlib.Path(f"/proc/{self.house.env['MASTER_PID']}/cmdline").read_bytes()
        except OSError:
            words = b""
        return bool(words)

    def settle(self):
        """Everything runs, nothing waits."""
        def all_run():
            if not self.is_up():
                raise Fell
            status = self.house.posthouse("status")
            running = re.findall(r"^(\S+) +pid \d+", status.stdout, re.M)
            return status.returncode == 0 and not set(RESIDENT) - set(running) and self.house.queue_is_empty()
        self.house.wait_for("all programs and an empty queue", all_run, faultload.PATIENCE_SECONDS)
        self.load.settle()

    def learn(self):
        self.page.learn(True)
        self.page.phase(0)
        self.open()
        for _ in range(2):
            self.load.run(PHASES, self.page)
            self.settle()
            wrong, _ = self.load.current.faults()
            is_((wrong, self.load.current.refusals), ([], []), "without a fault all is taken and arrives")
            self.load.clear()
        self.close()
        self.page.learn(False)
        return self.page.places()

    def start(self, fault):
        """The fault comes while the house starts, and mail waits in the queue and in the drop directory: it starts, or says
        why not and starts when it is asked again."""
        if self.house is None:
            self.open()
        self.tried += 1
        self.host.defers = True
        round = self.load.run(("relay",))
        self.house.stop()
        round.drop()
        mark = len(self.house.log())
        self.page.arm(fault)
        wrong = []
        try:
            self.house.restart()
        except RuntimeError:
            log = self.house.log()[mark:]
            self.unstarted += 1
            if not re.search(r" (warning|fatal): ", log):
                wrong.append(f"does not start, and the log does not say why: {log}")
        hits = self.page.disarm()
        self.met += hits > 0
        self.host.defers = False
        if not self.is_up():
            wrong += [] if hits else ["does not start without a fault"]
            self.house.restart()
        wrong = wrong or self.judge(fault, mark, hits)
        if not wrong:
            self.load.clear()
        return wrong

    def run(self, fault, times=1):
        """A list of what is wrong."""
        if self.house is None:
            self.open()
        phases = [name for n, name in enumerate(PHASES) if fault.place.phases >> n & 1]
        if fault.place.program in BEHIND:
            phases = [name for name in PHASES if name in phases or name in QUEUE_PHASES]
        mark = len(self.house.log())
        self.tried += 1
        self.page.arm(fault, times)
        wrong = []
        try:
            round = self.load.run(phases)
            self.settle()
        except Fell:
            pass
        except (TimeoutError, OSError) as error:
            wrong.append(f"stays down: {str(error)[:200]}")
        hits = self.page.disarm()
        self.met += hits > 0
        if not hits:
            wrong += [] if not self.load.current.refusals else [f"refused without a fault: {self.load.current.refusals}"]
        if not self.is_up():
            self.fallen += 1
            wrong += [] if hits else ["the house fell without a fault"]
            note(f"the house fell: {fault.place.program} {fault.place.call}")
            self.house.restart()
        if not wrong:
            wrong += self.judge(fault, mark, hits)
        if not wrong:
            self.load.clear()
        return wrong

    def judge(self, fault, mark, hits):
        round = self.load.current
        try:
            self.settle()
            round.probe()
            self.settle()
        except (Fell, TimeoutError) as error:
            return [f"stays down: {error!r}"[:300]]
        wrong, doubled = round.faults()
        # It was taken, and the answer was lost on its way: who sends again sends it twice.
        again = [word for word in wrong if word.startswith("refused, yet there")]
        wrong = [word for word in wrong if word not in again]
        self.doubled += doubled + len(again)
        self.refused += len(round.refusals)
        log = self.house.log()[mark:]
        gone = ends_conversation(fault.place) and all(re.search("Connection|Broken|closed|EOF", words) for words in round.refusals)
        cause = os.strerror(fault.error) if fault.error > 0 else ""
        if hits and round.refusals and not gone and not (cause and cause in log) and not re.search(r" (warning|fatal): ", log):
            wrong.append(f"unexplained: {round.refusals}; the log has no {cause}")
        if fault.error == inject.END:
            # It may have been cut short, and is kept: damaged/ has it.
            kept = b"".join(path.read_bytes() for path in (self.house.directory / "queue/damaged").iterdir())
            wrong = [word for word in wrong if not (word.startswith("lost: ") and f"Subject: {word.split()[1]}".encode() in kept)]
        marks = (" panic: ", *SANITIZER_MARKS)
        return wrong + [f"the log has {line}" for line in log.splitlines() if any(mark in line for mark in marks)]


RESIDENT = [name for name in table() if name not in ("pop3d", "imapd", "local")]


def faults_of(places, at_start, build):
    """Those of programs that are there all the time come at a start, or at any time."""
    start = 1 << PHASES.index("start")
    for place in places:
        # Into its own pipe, which takes a byte or is full.
        if place.call == "write" and "on_signal" in place.where(build):
            continue
        if place.program in (*RESIDENT, "master") and place.phases & start if at_start else place.phases & ~start:
            for error in inject.ERRORS[place.call]:
                # The end of standard input is the end of the message.
                if (place.program, place.call, error) != ("sendmail", "read", inject.END):
                    yield inject.Fault(place, error, 0)


def control(trial, places, build):
    """Calls that say that they did what they did not, and a hand that goes into mailboxes: the load sees it."""
    for program, call, function, what in (("local", "renameat", "publish", "lost"), ("imapd", "renameat", "publish_locked", "lost"),
                                          ("queued", "pwrite", "disk_commit", "lost"), ("pop3d", "unlinkat", "", "not expected")):
        place = max((p for p in places if (p.program, p.call) == (program, call) and function in p.where(build)), key=lambda p: p.count)
        wrong = trial.run(inject.Fault(place, inject.LIE, 0), times=1000)
        trial.close()
        ok(any(word.startswith(what) for word in wrong), f"control: a {call} of {program} that lies: {what}", wrong)
    trial.open()
    round = trial.load.run(("smtp",))
    trial.settle()
    one, other = (next((trial.house.mailbox(user) / "new").iterdir()) for user in ("u0001", "u0003"))
    text = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(text[:-1])
    wrong = [word for word in round.faults()[0] if word.startswith("misdelivered or altered")]
    is_(len(wrong), 2, "control: one message for another, and one that is cut, are seen")
    trial.close()


class Poor(House):
    """master too."""

    def _command(self, *words, check=True):
        limit = (FEW, FEW)
        done = subprocess.run([sys.executable, str(SOURCE / "t/house"), *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit))
        if check and done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
        return done.stdout


def few_descriptors(so, page):
    """No program but master has more than 80, and there are more clients than that."""
    try:
        with Poor() as house:
            is_(house.posthouse("status").returncode, 0, f"master starts with {FEW} descriptors, or may have more")
    except RuntimeError as error:
        ok("Too many open files" in str(error), f"master does not start with {FEW} descriptors, and says why", error)
    if os.geteuid() != 0:
        # The kernel counts descriptors under way for the user, against the limit of the one that sends.
        skip("few descriptors", "needs root: other tests of the same user have descriptors under way")
        return
    trial = Trial(so, page, files=FEW)
    trial.open()
    held = []
    for number in range(HELD):
        service, words = (("SMTP", b"EHLO x\r\n"), ("IMAP", b"a LOGIN u0001@example.test pw\r\n"))[number % 2]
        held.append(socket.create_connection((trial.house.env["HOST"], trial.house.port(service))))
        held[-1].sendall(words)
    round = trial.load.run(PHASES)
    note(f"with {FEW} descriptors and {HELD} clients beside: {len(round.refusals)} refusals")
    for client in held:
        client.close()
    trial.settle()
    is_(round.faults()[0], [], f"{HELD} clients and {FEW} descriptors: nothing acknowledged is lost")
    log = trial.house.log()
    ok(re.search(rf'porter\[\d+\]: warning: event=limit porter\.clients-max=\d+ reason="the system allows {FEW} descriptors"', log)
       and "reason=porter.clients-max" in log, "the log has the cause")
    ok(os.strerror(errno.EMFILE) not in log, "and nobody has run out of them")
    trial.load.clear()
    round = trial.load.run(PHASES)
    trial.settle()
    is_((round.refusals, round.faults()[0]), ([], []), "when they have gone all is taken, and arrives")
    trial.close()


def describe(fault, build):
    return f"{fault.place.program}: {fault.place.call} {inject.error_name(fault.error)} in {fault.place.where(build)}"


def sample(faults, count, seed):
    """Spread over programs and calls: as many of each as of any other."""
    chooser, groups = random.Random(seed), {}
    for fault in faults:
        groups.setdefault((fault.place.program, fault.place.call), []).append(fault)
    groups = list(groups.values())
    for group in groups:
        chooser.shuffle(group)
    chosen = []
    while groups and len(chosen) < count:
        chooser.shuffle(groups)
        chosen += [group.pop() for group in groups]
        groups = [group for group in groups if group]
    return chosen[:count]


def try_one(trial, fault, at_start):
    try:
        return trial.start(fault) if at_start else trial.run(fault)
    except Exception:
        return [traceback.format_exc()]


def main():
    words = sys.argv[1:]
    build = wirehouse.build_directory()
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-inject."))
    scratch.chmod(0o711)
    so = stopper.build(scratch, "inject")
    page = inject.Page(scratch / "page", [*table(), "master", *COMMANDS])
    disk = inject.other_disk()
    trial = Trial(so, page, mail_disk=disk)
    places = trial.learn()
    two = any((p.program, p.call) == ("local", "fsync") and "publish" in p.where(build) for p in places)
    is_(two, disk is not None, "mail and queue are on two disks" if disk else "mail and queue are on one disk")
    if not words:
        control(trial, places, build)
        few_descriptors(so, page)
    at_start = words[:1] == ["start"]
    words = words[1:] if at_start else words
    faults = [f for f in faults_of(places, at_start, build) if not words[1:] or f.place.program in words[1:]]
    if words[:1] == ["list"]:
        for place in places:
            if not words[1:] or place.program in words[1:]:
                note(f"{place.program}: {place.call} {place.count} phases {place.phases:x} in {place.where(build)}")
        return
    seed = int(os.environ.get("INJECT_SEED", 1))
    count = len(faults) if words[:1] == ["all"] else int(words[0]) if words else SAMPLE
    chosen = sample(faults, count, seed)
    note(f"{len(places)} places, {len(faults)} faults, of which {len(chosen)} are made, seed {seed}")
    began, cpu, bad, once = time.monotonic(), os.times(), {}, 0
    for fault in chosen:
        text = describe(fault, build)
        if words:
            note(text)
        wrong = try_one(trial, fault, at_start)
        if wrong and not words and once < ONCE:
            # What another program did at that moment decides it too: by hand it counts, here when it is so again.
            once += 1
            note(f"ONCE {text}\n" + "\n".join(wrong))
            trial.close()
            wrong = try_one(trial, fault, at_start)
        if wrong:
            bad[text] = wrong
            note(f"WRONG {text}\n" + "\n".join(wrong))
            if words or os.environ.get("POSTHOUSE_KEEP"):
                kept = pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / f"inject-{os.getpid()}-{len(bad)}.log"
                kept.write_text("\n".join([text, *wrong, *(trial.load.current.refusals if trial.load and trial.load.current else []),
                                           trial.house.log() if trial.house else ""]))
            trial.close()
    trial.close()
    ok(2 * trial.met > trial.tried, f"most calls are made again when they shall fail: {trial.met} of {trial.tried}")
    # A sample of some thousand faults is another one for each compiler: in make check few may be met that were never tried
    # before, as long as no mail is lost and nobody gets what is not theirs. By hand none.
    mail = {text: wrong for text, wrong in bad.items() if any(word.startswith(("lost", "misdelivered")) for word in wrong)}
    is_(bad if words or len(bad) > ONCE else mail, {}, f"{trial.tried} faults, {trial.met} met: nothing acknowledged is lost, altered or misdelivered, nothing stays down")
    after = os.times()
    note(f"{trial.tried} faults, {trial.met} met, {trial.refused} refusals, {trial.doubled} doubled, the house fell {trial.fallen} times, "
         f"did not start {trial.unstarted} times; {time.monotonic() - began:.0f} s, {sum(after[:4]) - sum(cpu[:4]):.0f} s of CPU")
    shutil.rmtree(scratch, ignore_errors=True)
    done()


main()
