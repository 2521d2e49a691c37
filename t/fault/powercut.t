#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A power cut at any moment: what was acknowledged is there afterwards, once, with whom it belongs to.

    prove t/fault/powercut.t                                    20 cuts on each of ext4, xfs and btrfs
    t/fault/powercut.t --cuts 1000 --system btrfs --disks 2 --load 10 --seed 7

An instance works on a disk that records (powercut-disk.c, t/lib/powercut.py) under a load of every kind (t/lib/powerload.py).
Then cuts are made from the recording, half of them just behind an acknowledgement. After each the file system is
mounted, which replays its journal, and all files are held against what was promised, the queue's by posthouse queue check;
after one of ten the house is started too, works its queue off into the same next host, and is asked by IMAP, POP3 and
SMTP (t/lib/powercheck.py). Controls leave a sync out, or take a disk that keeps flushed data back, and must lose.

The figures: checks of something acknowledged; lost, torn, misdelivered, reused (a UID that names another message) must be
none; doubled (delivered again after a start) and returned (removed, and there again) cost nobody mail.

As root, with FUSE and loop devices, in namespaces of its own. The file systems' own replay is trusted; what is cut off in the
middle of a write is torn into sectors.
"""
import argparse
import contextlib
import imaplib
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import powercheck  # noqa: E402
import powercut  # noqa: E402
import stopper  # noqa: E402
import wirehouse  # noqa: E402
from house import House  # noqa: E402
from powerload import IMAP_USERS, RELAYED, TEAM, TEAM_OF, Load, Record  # noqa: E402
from tap import done, is_, note, ok, skip, skip_all  # noqa: E402

CONTROL_CUTS = 200  # until one of them loses
CONTROLS = (  # file system, whose syncs are left out, which, and what is then lost
    ("ext4", "smtpd", None, "smtp"),
    ("ext4", "local", None, "smtp"),
    ("ext4", "drop", None, "drop"),
    ("xfs", "pickup", None, "sendmail"),
    ("btrfs", "imapd", "directories", "folder"),
    ("btrfs", "posthouse", None, "edit"),
)
STARTED = 10  # one of so many cuts is followed by a start
BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Recording:
    """An instance on one disk, or on two: mail on the second, and of that the folders Far on the first again."""

    def __init__(self, place, system, number):
        self.place, self.system, self.number = pathlib.Path(place), system, number
        self.disks = powercut.Disks(self.place, system, number)
        self.record = Record(self.disks.count)
        self.house = House("--users", "6", "--route", f"far.test 127.0.0.1:{self.record.sink.port}",
                           "--set", "queue.retry-first 500ms")
        self.errors = []

    @contextlib.contextmanager
    def arranged(self, mounter):
        """mounter(number, target) mounts a disk."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(mounter(0, self.house.directory))
            if self.number > 1:
                second = self.place / "second"
                second.mkdir(exist_ok=True)
                stack.enter_context(mounter(1, second))
                for path in (second / "mail", self.house.directory / "mail"):
                    path.mkdir(exist_ok=True)
                self.bind(stack, second / "mail", self.house.directory / "mail")
                for user in IMAP_USERS:
                    if (self.house.directory / f"far-{user}").exists():
                        self.bind(stack, self.house.directory / f"far-{user}", self.house.mailbox(user) / ".Far")
            yield stack

    def bind(self, stack, source, target):
        powercut.mount(source, target, flags=powercut.MS_BIND)
        stack.callback(powercut.unmount, target)

    def make_folders(self, stack):
        for user in IMAP_USERS:
            with imaplib.IMAP4(self.house.env["HOST"], self.house.port("IMAP")) as imap:
                imap.login(f"{user}@example.test", "pw")
                for folder in ("Work", "Far"):
                    imap.create(folder)
            if self.number > 1:
                here, there = self.house.mailbox(user) / ".Far", self.house.directory / f"far-{user}"
                subprocess.run(["cp", "-a", str(here), str(there)], check=True)
                self.bind(stack, there, here)

    def make(self, load, forgetting):
        with forgetting, self.disks, self.arranged(self.disks.mounted) as stack:
            self.house.start()
            try:
                self.house.posthouse("alias", "add", TEAM, *(u if u == RELAYED else f"{u}@example.test" for u in TEAM_OF))
                self.make_folders(stack)
                # What the test itself has written is on the disk.
                for n in range(self.number):
                    subprocess.run(["sync", "-f", str((self.house.directory, self.place / "second")[n])], check=True)
                self.begin = self.disks.count()
                work = Load(self.house, self.record, 12 * load, self.errors)
                work.run(senders=8, turns=4)
            finally:
                self.house.stop()
            work.run_stopped(3 * load)
            self.end = self.disks.count()
            self.doubled = powercheck.doubled(self.record.sink.messages)

    def points(self, cuts, chosen):
        told = self.record.acknowledgements()
        return sorted(chosen.choice(told) if n % 2 else chosen.randint(self.begin, self.end) for n in range(cuts))

    def cut(self, cutter, n, look):
        """look() with what a cut after n records leaves mounted where the instance was."""
        images = cutter.cut(n)
        try:
            with self.arranged(lambda number, target: powercut.mounted(images[number], self.system, target)):
                with self.another_boot():
                    return look()
        finally:
            for image in images:
                image.unlink()

    @contextlib.contextmanager
    def another_boot(self):
        """The mailboxes' indexes name the boot in which they were written."""
        other = self.place / "boot_id"
        other.write_text(f"{uuid.uuid4()}\n")
        powercut.mount(other, BOOT_ID, flags=powercut.MS_BIND)
        try:
            yield
        finally:
            powercut.unmount(BOOT_ID)


@contextlib.contextmanager
def recording(system, disks, load, forgetting=contextlib.nullcontext()):
    place = tempfile.mkdtemp(prefix="posthouse-t.")
    powercut.mount("tmpfs", place, "tmpfs", options="size=90%,mode=711")
    made = None
    try:
        made = Recording(place, system, disks)
        made.make(load, forgetting)
        ok(not made.errors, f"{system}, {disks} disk{'s' * (disks > 1)}: a load of every kind is recorded", "\n".join(made.errors))
        yield made
    finally:
        if made:
            made.record.sink.close()
            shutil.rmtree(made.house.directory, ignore_errors=True)
        powercut.unmount(place, detach=True)
        os.rmdir(place)


def cut_often(made, points, seed, look):
    """look(number, n) after each cut, until it returns something; (how many, how many cannot be mounted)."""
    cutter, unmountable = powercut.Cutter(made.disks, seed), 0
    try:
        for number, n in enumerate(points):
            try:
                if made.cut(cutter, n, lambda: look(number, n)):
                    break
            except powercut.CannotMount as failed:
                unmountable += 1
                note(f"{made.system}: a cut after {n} records: {failed}")
        return number + 1, unmountable
    finally:
        cutter.close()


def loses_nothing(system, disks, options):
    what = f"{system}, {disks} disk{'s' * (disks > 1)}"
    with recording(system, disks, options.load) as made:
        figures, kept_back = powercheck.Figures(), powercheck.Figures()
        third = made.begin + (made.end - made.begin) // 3
        points = made.points(options.cuts - 1, random.Random(options.seed)) + [third]

        def look(number, n):
            powercheck.check_files(made.house, made.record, figures, n)
            if n == third and not kept_back:
                # As if the disk had said of all the rest that it was flushed.
                powercheck.check_files(made.house, made.record, kept_back, made.end)
            if number % STARTED == STARTED // 2:
                powercheck.check_start(made.house, made.record, figures, n)
                figures["starts"] += 1

        cuts, unmountable = cut_often(made, sorted(points), options.seed, look)
        note(f"{what}, load {options.load}, seed {options.seed}: {len(made.record.promises)} promises, "
             f"{made.end - made.begin} records; {cuts} cuts, {figures}; put off by reloads: {dict(+made.record.put_off)}")
        # XFS refuses one in a thousand, whose log is torn in its middle: that is between it and the disk.
        ok(unmountable <= cuts // 10, f"{what}: {cuts} cuts leave a file system, {unmountable} do not")
        for kind, name in (("lost", "nothing acknowledged is lost"), ("torn", "nothing torn is delivered"),
                           ("misdelivered", "nothing is in another's mailbox"), ("reused", "no UID names another message")):
            ok(figures[kind] == 0, f"{what}: {figures['checks']} checks: {name}", "\n".join(figures.stories))
        is_(made.doubled, {}, f"{what}: without a cut nothing is relayed twice")
        ok(kept_back["lost"] > 0, f"{what}: a disk that keeps back what was flushed is noticed ({kept_back['lost']} lost)")


def leaves_out(system, program, only, kind, options):
    """The control: without this sync mail is lost, and the check sees it."""
    what = f"{system}: without {program}'s syncs{' of ' + only if only else ''}"
    if "-fsanitize" in (wirehouse.build_directory() / "config.mak").read_text():
        skip(what, "the sanitizers want to be loaded before anything else")
        return
    with tempfile.TemporaryDirectory(prefix="posthouse-t.") as scratch:
        os.chmod(scratch, 0o711)
        so = stopper.build(scratch, "forgetful")
        forgetting = stopper.Preloading(so, FORGET_PROGRAM=program, **({"FORGET_ONLY": only} if only else {}))
        with recording(system, 1, 1, forgetting) as made:
            figures = powercheck.Figures()

            def look(number, n):
                powercheck.check_files(made.house, made.record, figures, n)
                return figures["lost"] > 0

            points = sorted(random.Random(options.seed).choices(made.record.acknowledgements(kind), k=CONTROL_CUTS))
            cuts, _ = cut_often(made, points, options.seed, look)
            ok(figures["lost"] > 0, f"{what} mail is lost, and it is noticed ({cuts} cuts, {figures})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=20, help="on each file system")
    parser.add_argument("--system", choices=[*powercut.SYSTEMS], action="append")
    parser.add_argument("--disks", type=int, choices=(1, 2), help="default: two on ext4, one on the others")
    parser.add_argument("--load", type=int, default=1, help="how many times as much as in the test")
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--no-controls", action="store_true")
    options = parser.parse_args()
    systems = options.system or [*powercut.SYSTEMS]
    reasons = {system: powercut.missing(system) for system in systems}
    if all(reasons.values()):
        skip_all(reasons[systems[0]])
    reason = powercut.enter_namespaces()
    if reason:
        skip_all(reason)
    for system in systems:
        if reasons[system]:
            skip(f"{system}: power cuts", reasons[system])
        else:
            loses_nothing(system, options.disks or (2 if system == "ext4" else 1), options)
    for system, *control in () if options.no_controls else CONTROLS:
        if system in systems and not reasons[system]:
            leaves_out(system, *control, options)
    done()


main()
