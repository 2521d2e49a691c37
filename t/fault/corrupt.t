#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Damages each kind of file of a queue in each way that a disk or a hand can, after an orderly stop and after kill -9, and starts
queued again: every acknowledged message is delivered as it was, in the list, or kept where it is counted; what was not touched is
delivered."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from queuehouse import *  # noqa: E402,F403
from tap import done, is_, note, ok, skip  # noqa: E402

SETTINGS = "queue.retry-first 1h\nqueue.retry-max 1h\n"
TEXTS = {f"to{i}@far.test": f"Subject: {i}\r\n\r\n".encode() + f"this is message {i}\r\n".encode() * (1 + i * 400) for i in range(8)}


def drop_root():
    """chmod says nothing to root."""
    if os.getuid():
        return True
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        os._exit(0 if os.access(wirehouse.build_directory() / "bin/queued", os.X_OK) and os.access(__file__, os.R_OK) else 1)
    if os.waitpid(pid, 0)[1]:
        return False
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    return True


# ---- damages of one file ----

def flip(at):
    def damage(path):
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        path.write_bytes(data)
    return damage


def digit(at):
    """Another hexadecimal digit: what is none makes a header malformed."""
    def damage(path):
        data = bytearray(path.read_bytes())
        data[at:at + 1] = b"0" if data[at:at + 1] != b"0" else b"1"
        path.write_bytes(data)
    return damage


def flip_in(part):
    return lambda path: flip(path.read_bytes().index(part))(path)


def zero(at, count):
    def damage(path):
        data = bytearray(path.read_bytes())
        data[at:at + count] = bytes(len(data[at:at + count]))
        path.write_bytes(data)
    return damage


def truncate(size):
    return lambda path: os.truncate(path, size if size >= 0 else path.stat().st_size + size)


def replace(make):
    def damage(path):
        path.unlink()
        make(path)
    return damage


def move(path):
    path.rename(path.parent.parent / ("00" if path.parent.name != "00" else "01") / path.name)


def set_state(letter):
    def damage(path):
        data = bytearray(path.read_bytes())
        data[41:42] = letter
        path.write_bytes(data)
    return damage


MESSAGE_DAMAGES = {
    "state byte l to m": flip(41), "state byte l to c": set_state(b"c"), "state byte zero": set_state(b"\0"),
    "a bit of the magic": flip(0), "a bit of the id": flip(25), "a bit of a length": flip(55), "a bit of the checksum": flip(100),
    "a bit of the seal": digit(170), "two digits of the seal": lambda path: (digit(170)(path), digit(190)(path)), "a bit of the message": flip_in(b"this is"), "a bit of the envelope": flip_in(b"@far.test"),
    "a bit of the log": flip_in(b"\nattempt"), "first byte zero": zero(0, 1), "first sector zeros": zero(0, 512),
    "header zeros": zero(0, 256), "all zeros": zero(0, 1 << 30), "truncated to 0": truncate(0), "to 1": truncate(1),
    "to 100": truncate(100), "to 255": truncate(255), "to 256": truncate(256), "in the message": truncate(270),
    "the last byte gone": truncate(-1), "mode 0": lambda path: path.chmod(0), "a FIFO": replace(os.mkfifo),
    "a directory": replace(os.mkdir), "a link": lambda path: (path.rename(path.parent / "elsewhere"), path.symlink_to("elsewhere")),
    "moved to another directory": move, "renamed": lambda path: path.rename(path.parent / (path.name[:-1] + ("0" if path.name[-1] != "0" else "1"))),
}
# What no start may lose, whatever the bytes look like.
HARMLESS = {"state byte l to m", "state byte l to c", "state byte zero", "a bit of the log", "the last byte gone"}


# ---- the queue ----

class Prepared:
    """A queue of 8 messages that wait, after a clean stop or not."""

    def __init__(self, clean, settings=SETTINGS):
        self.clean, self.settings = clean, settings
        self.ids = {}
        with House(settings, directory=tempfile.mkdtemp(prefix="posthouse-corrupt-")) as house:
            self.directory = house.directory
            house.agents["remote"].answer = lambda job: RETRY
            for to, text in TEXTS.items():
                self.ids[house.write([to], text)] = to
            assert house.wait_for(lambda: all(b"\nattempt " in house.path(id).read_bytes() for id in self.ids))
            house.stop() if clean else house.kill()
        assert (self.directory / "queue/clean").exists() == clean

    def copy(self):
        place = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-corrupt-"))
        shutil.copytree(self.directory / "queue", place / "queue", symlinks=True)
        return place

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.directory, ignore_errors=True)


def remove(place):
    for path in (place / "queue").glob("??"):
        path.chmod(0o700)
    shutil.rmtree(place, ignore_errors=True)


class Taking(House):
    """Its remote takes everything from the first job on."""

    def __init__(self, take, *arguments, **kwargs):
        self.take = take
        super().__init__(*arguments, **kwargs)

    def start(self):
        self.answers["remote"] = self.take
        super().start()


class Started:
    """queued over a damaged queue; what it delivers, by id."""

    def __init__(self, place, settings=SETTINGS):
        self.place, self.delivered = place, {}
        self.house = Taking(self.take, settings, directory=place)
        self.house.ask(CONTROL_QUEUE_RETRY, "")

    def take(self, job):
        if hashlib.blake2b(job.bytes(), digest_size=32).digest() != job.checksum:
            job.finish(OWN_FAULT, damaged=True)
            return None
        self.delivered.setdefault(job.id, []).append(job.bytes())
        return DONE

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.house.kill()
        remove(self.place)

    def settled(self, ids):
        """Nothing of these waits any more."""
        return self.house.wait_for(lambda: not {e["id"] for e in self.house.list()} & set(ids))

    def kept(self):
        queue = self.place / "queue"
        return {path.name[:13] for pattern in ("??/*", "damaged/*", "torn/*") for path in queue.glob(pattern)}


def batches(names, size=8):
    names = list(names)
    return [names[i:i + size] for i in range(0, len(names), size)]


def messages(prepared, how):
    for batch in batches(MESSAGE_DAMAGES):
        place = prepared.copy()
        ids = dict(zip(batch, prepared.ids))
        for name, id in ids.items():
            MESSAGE_DAMAGES[name](next((place / "queue").glob(f"??/{id}")))
        with Started(place) as started:
            started.settled(prepared.ids)
            kept, delivered = started.kept(), started.delivered
            for name, id in ids.items():
                text = TEXTS[prepared.ids[id]]
                got = delivered.get(id, [])
                good = got == [text] or (not got and (id in kept or name == "renamed" and id[:-1] in {k[:-1] for k in kept}))
                # An empty file has nothing of a message in it; after a crash writers leave such.
                good = good or (name == "truncated to 0" and not prepared.clean and not got)
                if name in HARMLESS:
                    good = got == [text]
                ok(good, f"{how}: {name}: {'delivered' if got else 'kept' if id in kept else 'gone'}",
                   f"{started.house.program.log()}")
            aside = [path for pattern in ("??/*", "damaged/*", "torn/*") for path in (place / "queue").glob(pattern)]
            is_(sum(started.house.counts().values()), len(aside), f"{how}: what is kept is counted: {started.house.counts()}")
            code, said = posthouse(place, "queue", "check")
            ok(code == (100 if aside else 0) and all(said.count(str(path.relative_to(place / "queue")) + ": ") == 1 for path in aside),
               f"{how}: and posthouse queue check names each", f"{code} {said} {aside}")
            others = set(prepared.ids) - set(ids.values())
            ok(all(delivered.get(id) == [TEXTS[prepared.ids[id]]] for id in others), f"{how}: the others are delivered")


def directories(prepared, how):
    """One of the 256 cannot be read, or is something else: the rest is served, new messages go elsewhere."""
    for name, damage in {"mode 0": lambda path: path.chmod(0), "a file": lambda path: (path.rename(path.parent / "old"), path.write_bytes(b""))}.items():
        if name == "mode 0" and os.getuid() == 0:
            skip("an unreadable directory", "root can read all")
            continue
        place = prepared.copy()
        victim = next((place / "queue").glob(f"??/{next(iter(prepared.ids))}")).parent
        inside = {path.name for path in victim.iterdir()}
        damage(victim)
        with Started(place) as started:
            others = set(prepared.ids) - inside
            started.settled(others)
            ok(all(started.delivered.get(id) == [TEXTS[prepared.ids[id]]] for id in others), f"{how}: a directory is {name}: the rest is delivered")
            ok(f"warning: event=directory-unreadable name={victim.name} " in started.house.program.log(), "and the log says so")
            id = started.house.write(["new@far.test"])
            started.settled([id])
            is_(started.delivered.get(id), [MESSAGE], "new messages are taken")
            started.house.stop()
            ok(not (place / "queue/clean").exists(), "the next start looks at everything")
            victim.chmod(0o700)
            if name == "a file":
                victim.unlink()
                (place / "queue/old").rename(victim)
            started.house.restart()
            started.house.ask(CONTROL_QUEUE_RETRY, "")
            started.settled(prepared.ids)
            ok(all(started.delivered.get(id) == [TEXTS[prepared.ids[id]]] for id in inside), "and it is served when it is mended")


def mended_directories(prepared, how):
    """Put right while queued runs: an empty one is no matter any more, one with messages counts until they are taken back."""
    place = prepared.copy()
    full = next((place / "queue").glob(f"??/{next(iter(prepared.ids))}")).parent
    empty = next(path for path in (place / "queue").glob("??") if not any(path.iterdir()))
    inside = [f"{full.name}/{path.name}" for path in full.iterdir()]
    for path in (full, empty):
        path.rename(path.parent / f"{path.name}.old")
        path.write_bytes(b"")
    with Started(place) as started:
        is_(started.house.counts()["unreadable"], 2, f"{how}: two directories are files, and count")
        for path in (full, empty):
            path.unlink()
            (path.parent / f"{path.name}.old").rename(path)
        is_(started.house.counts()["unreadable"], 1, "put right, the empty one counts no more, and the other does")
        control = Control(started.house)
        code, said = posthouse(place, "queue", "check")
        ok(code == 100 and all(f"{name}: " in said for name in inside), "whose messages queue check names", said)
        code, said = posthouse(place, "queue", "check", "--repair")
        control.end()
        is_((code, started.house.counts()["unreadable"]), (0, 0), "until they are taken back")
        started.house.ask(CONTROL_QUEUE_RETRY, "")
        started.settled(prepared.ids)
        ok(all(started.delivered.get(id) == [TEXTS[prepared.ids[id]]] for id in prepared.ids), "all are delivered")


def fails_to_start(place):
    try:
        Started(place).house.kill()
        return ""
    except RuntimeError as error:
        return str(error)


def secret(prepared, how):
    damages = {"removed": pathlib.Path.unlink, "truncated": truncate(7), "a FIFO": replace(os.mkfifo), "a link": replace(lambda p: p.symlink_to("x"))}
    for name, damage in damages.items():
        place = prepared.copy()
        damage(place / "queue/secret")
        said = fails_to_start(place)
        ok("secret" in said, f"{how}: the secret is {name}: queued does not start, and says why", said)
        ok((place / "queue/clean").exists() == prepared.clean and len(list((place / "queue").glob("??/*"))) == 8, "nothing is touched")
        (place / "queue/secret").unlink(missing_ok=True)
        shutil.copy(prepared.directory / "queue/secret", place / "queue/secret")
        with Started(place) as started:
            started.settled(prepared.ids)
            ok(all(started.delivered.get(id) == [TEXTS[to]] for id, to in prepared.ids.items()), "restored, all is delivered")
    for aside in ("damaged", "torn"):
        place = prepared.copy()
        for path in (place / "queue").glob("??/*"):
            path.rename(place / "queue" / aside / path.name)
        (place / "queue/secret").unlink()
        ok("secret" in fails_to_start(place), f"{how}: nor with messages in {aside}/ alone")
        remove(place)


def path_of(place, id):
    return next(path for pattern in ("??", "damaged", "torn") for path in (place / "queue").glob(f"{pattern}/{id}"))


def repair(prepared, how, running):
    """What was mended by hand, and what the operator names, comes back."""
    how += ", queued runs" if running else ", queued does not run"
    single = {"a bit of the envelope", "a bit of the magic", "moved to another directory"}
    mendable = {"a bit of the envelope", "a bit of the magic", "mode 0", "moved to another directory"}
    forced = ["a bit of the message", "two digits of the seal"]
    lost = "to 100"
    names = [*sorted(mendable), *forced, lost]
    place, ids = prepared.copy(), dict(zip(names, prepared.ids))
    before = {name: MESSAGE_DAMAGES[name](next((place / "queue").glob(f"??/{id}"))) for name, id in ids.items()}
    del before
    (place / "queue/clean").unlink(missing_ok=True)  # so that the message is read
    with Started(place) as started:
        others = set(prepared.ids) - set(ids.values())
        started.settled(others)
        control = Control(started.house) if running else None
        if not running:
            started.house.stop()
        code, said = posthouse(place, "queue", "check", "--repair")
        still = {name for name, id in ids.items() if f"{id}: " in said and "taken back" not in next(line for line in said.splitlines() if id in line)}
        is_((code, still), (100, set(names) - single), f"{how}: --repair takes back what is only misplaced, or one bit of header and envelope")
        unsealed = next((line for line in said.splitlines() if ids[forced[1]] in line), "")
        ok(f"(unverified: from <sender@example.test> to <{prepared.ids[ids[forced[1]]]}>)" in unsealed, "a file without its seal shows whose it says to be", said)
        if "mode 0" in ids:
            path_of(place, ids["mode 0"]).chmod(0o600)
        code, said = posthouse(place, "queue", "check", "--repair", "--unverified", *(ids[name] for name in forced), "6c00000000000")
        ok(code == 100 and "6c00000000000: there is no such" in said and f"{ids[lost]}: no header" in said, f"{how}: what cannot come back is said", said)
        if not running:
            started.house.restart()
        started.house.ask(CONTROL_QUEUE_RETRY, "")
        back = [id for name, id in ids.items() if name != lost]
        ok(started.house.wait_for(lambda: all(id in started.delivered for id in back)), f"{how}: the others are delivered", f"{started.delivered.keys()} {said}\n{started.house.program.log()}")
        text = lambda name: TEXTS[prepared.ids[ids[name]]]
        ok(all(started.delivered[id] == ([text(name)] if name != "a bit of the message" else [text(name).replace(b"this is", b"uhis is", 1)])
               for name, id in ids.items() if name != lost), "as they are, once")
        is_(sum(started.house.counts().values()), 1, "one is left")
        if running:
            log = started.house.program.log()
            ok(f"id={ids[forced[0]]} event=restored-unverified name=damaged/" in log, "the log has it")
            code, said = posthouse(place, "queue", "list")
            ok("Mail queue is empty\n-- Not in this list: 1 " in said, "and the list counts it", said)
            code, said = posthouse(place, "status")
            control.end()
        code, said = posthouse(place, "check")
        ok("in the queue: 1 " in said, "posthouse check counts it", said)


def exchanged(prepared, how):
    """Two files that have each other's names, as a restore by hand makes them, are known by what their headers say."""
    place, ids = prepared.copy(), list(prepared.ids)
    first, second = (path_of(place, id) for id in ids[:2])
    first.rename(place / "queue/kept")
    second.rename(first)
    (place / "queue/kept").rename(second)
    with Started(place) as started:
        started.settled(ids[2:])
        is_((started.house.counts()["damaged"], started.delivered.keys() & set(ids[:2])), (2, set()), f"{how}: two exchanged files are set aside")
        control = Control(started.house)
        code, said = posthouse(place, "queue", "check", "--repair")
        is_((code, said.count(": taken back\n")), (0, 2), "--repair takes them back")
        started.house.ask(CONTROL_QUEUE_RETRY, "")
        ok(started.house.wait_for(lambda: started.delivered.keys() == set(ids)), "both are delivered", said)
        ok(all(started.delivered[id] == [TEXTS[to]] for id, to in prepared.ids.items()), "each its own, once")
        control.end()


def copied_in(prepared, how):
    """A file that is put into the queue of a running queued comes into service by the operator's word."""
    place, id = prepared.copy(), list(prepared.ids)[0]
    kept = path_of(place, id)
    kept.rename(place / "kept")
    with Started(place) as started:
        started.settled(prepared.ids)
        (place / "kept").rename(kept)
        control = Control(started.house)
        code, said = posthouse(place, "queue", "check")
        ok(code == 100 and f"{id}: complete, not in service; --repair takes it back" in said, f"{how}: a file copied in is found", said)
        code, said = posthouse(place, "queue", "check", "--repair")
        is_((code, said.count(": taken back\n")), (0, 1), "--repair takes it back")
        started.house.ask(CONTROL_QUEUE_RETRY, "")
        ok(started.house.wait_for(lambda: started.delivered.get(id) == [TEXTS[prepared.ids[id]]]), "and it is delivered")
        control.end()


def not_removable(prepared, how):
    """What is delivered and cannot be removed is counted, not delivered again by the next start, and removed when that is possible."""
    if os.getuid() == 0:
        return
    place, ids = prepared.copy(), list(prepared.ids)
    names = {path_of(place, id).parent for id in ids}
    for directory in names:
        directory.chmod(0o500)
    with Started(place) as started:
        started.settled(ids)
        ok(started.house.wait_for(lambda: started.house.counts()["left"] == len(ids)), f"{how}: delivered and not removable: counted", str(started.house.counts()))
        control = Control(started.house)
        code, said = posthouse(place, "queue", "list")
        ok(f"Not in this list: {len(ids)} delivered but not removable" in said, "by queue list too", said)
        code, said = posthouse(place, "queue", "check", "--repair")
        is_((code, said.count("cannot be taken back: delivered already")), (100, len(ids)), "--repair does not deliver them again")
        control.end()
        started.house.kill()
        started.house.restart()
        ok(started.house.wait_for(lambda: started.house.counts()["left"] == len(ids)), "neither does the next start")
        for directory in names:
            directory.chmod(0o700)
        started.house.stop()
        is_(started.kept(), set(), "and when they can be removed, they are")
        ok(all(started.delivered[id] == [TEXTS[to]] for id, to in prepared.ids.items()), "each was delivered once")


def other_secret(prepared, how):
    """A lost secret: messages that the operator names are accepted without it; when it is found, the others come back."""
    place, ids = prepared.copy(), list(prepared.ids)
    (place / "queue/secret").unlink()
    wirehouse.generation(place, SETTINGS)
    code, said = posthouse(place, "queue", "check")
    ok(code == 100 and "secret: missing" in said and said.count("not verifiable without the queue's secret") == 8, f"{how}: the secret is lost: queue check says so", said)
    code, said = posthouse(place, "queue", "check", "--repair", "--unverified", *ids[:2])
    is_((said.count("taken back unverified"), (place / "queue/secret").exists()), (2, True), "two are taken all the same")
    with Started(place) as started:
        started.settled(ids)
        is_({id: texts for id, texts in started.delivered.items()}, {id: [TEXTS[prepared.ids[id]]] for id in ids[:2]}, "and delivered, no other")
        is_(started.house.counts()["damaged"], 6, "the others are set aside")
        started.house.stop()
        shutil.copy(prepared.directory / "queue/secret", place / "queue/secret")
        code, said = posthouse(place, "queue", "check", "--repair")
        is_((code, said.count(": taken back\n")), (0, 6), "with the secret they come back")
        started.house.restart()
        started.house.ask(CONTROL_QUEUE_RETRY, "")
        started.settled(ids)
        ok(all(started.delivered[id] == [TEXTS[to]] for id, to in prepared.ids.items()), "all are delivered, once")


def exchanged_secret(prepared, how):
    """The queue of one machine with the secret of another: nothing is set aside for it, and nothing is taken before somebody says so."""
    place, ids, queue = prepared.copy(), list(prepared.ids), prepared.directory / "queue"
    tree = lambda: {path.relative_to(place / "queue"): path.read_bytes() for path in (place / "queue").rglob("*") if path.is_file() and path.name != ".holder"}
    (place / "queue/secret").write_bytes(os.urandom(32))
    before = tree()
    said = fails_to_start(place)
    ok(f"queue.directory {place}/queue: the file `secret'" in said and "--unverified waiting" in said, f"{how}: another's secret: queued does not start, and says what can be done", said)
    is_(tree(), before, "no file is moved, nor the mark of a clean stop")
    wirehouse.generation(place, SETTINGS)
    code, said = posthouse(place, "check")
    ok(code == 100 and said.count(f"{place}/queue: error: the file `secret' of queue.directory is not the one") == 1, "posthouse check says so", said)
    code, said = posthouse(place, "queue", "check", "--repair")
    ok(code == 100 and "secret: the file `secret' of queue.directory is not the one" in said and said.count("; --unverified ") == 8, "and queue check, with all messages", said)
    is_(tree(), before, "none of which touches one")

    shutil.copy(queue / "secret", place / "queue/secret")
    with Started(place) as started:
        started.settled(ids)
        ok(all(started.delivered.get(id) == [TEXTS[to]] for id, to in prepared.ids.items()), "with the right one all are delivered")

    place = prepared.copy()
    (place / "queue/secret").write_bytes(os.urandom(32))
    path_of(place, ids[0]).rename(place / "queue/damaged" / ids[0])
    wirehouse.generation(place, SETTINGS)
    code, said = posthouse(place, "queue", "check", "--unverified", "waiting")
    is_((code, said.count("taken back unverified"), (place / f"queue/damaged/{ids[0]}").exists()), (100, 7, True), "`waiting' are those that wait")
    with Started(place) as started:
        started.settled(ids)
        ok(all(started.delivered.get(id) == [TEXTS[prepared.ids[id]]] for id in ids[1:]), "and they are delivered as they are", str(started.delivered.keys()))


def secret_back(prepared, how):
    """The right secret is found when the messages were accepted without it: they are another secret's now, whatever their logs say."""
    for runs in (False, True):
        place, ids = prepared.copy(), list(prepared.ids)
        (place / "queue/secret").write_bytes(os.urandom(32))
        wirehouse.generation(place, SETTINGS)
        code, said = posthouse(place, "queue", "check", "--unverified", "waiting")
        is_((code, said.count("taken back unverified")), (0, 8), f"{how}: accepted under another's secret")
        if runs:
            with House(SETTINGS, directory=place) as house:
                house.agents["remote"].answer = lambda job: RETRY
                house.ask(CONTROL_QUEUE_RETRY, "")
                house.wait_for(lambda: all(house.path(id).read_bytes().count(b"\nattempt ") == 2 for id in ids))
                house.stop()
        shutil.copy(prepared.directory / "queue/secret", place / "queue/secret")
        said = fails_to_start(place)
        ok("`secret'" in said and "--unverified waiting" in said, "with the right one back queued does not start, and says what can be done", said)
        is_(list((place / "queue/damaged").iterdir()), [], "nothing is set aside")
        code, said = posthouse(place, "check")
        ok(code == 100 and "`secret' of queue.directory is not the one" in said, "posthouse check says so", said)
        code, said = posthouse(place, "queue", "check", "--unverified", "waiting")
        is_((code, said.count("taken back unverified")), (0, 8), "they are accepted as before")
        with Started(place) as started:
            started.settled(ids)
            ok(all(started.delivered.get(id) == [TEXTS[to]] for id, to in prepared.ids.items()), "and delivered")


def foreign(path):
    """As another machine's secret, or a session that kept its descriptor, would leave it: whole but for the seal."""
    flip_in(b"@far.test")(path)
    flip_in(b"far.test")(path)


def whose_secret(prepared, how):
    """What is only damaged, or forged, does not keep queued from starting: it knows its secret."""
    for count in (8, 1):
        place = prepared.copy()
        for id in list(prepared.ids)[count:]:
            path_of(place, id).unlink()
        for id in list(prepared.ids)[:count]:
            foreign(path_of(place, id))
        with Started(place) as started:
            started.settled(prepared.ids)
            is_(started.house.counts()["damaged"], count, f"{how}: the envelopes of all {count} messages changed: set aside")
    # Of a secret that it does not know one such message is enough to ask, and a whole one says nothing against it.
    place, ids = prepared.copy(), list(prepared.ids)
    known = (place / "queue/secret.id").read_bytes()
    (place / "queue/secret").write_bytes(os.urandom(32))
    wirehouse.generation(place, SETTINGS)
    code, said = posthouse(place, "queue", "check", "--unverified", *ids[:7])
    is_(said.count("taken back unverified"), 7, f"{how}: seven are of another secret")
    (place / "queue/secret.id").write_bytes(known)
    ok("`secret'" in fails_to_start(place), "one is not: queued does not start")
    is_(list((place / "queue/damaged").iterdir()), [], "nothing is set aside")
    code, said = posthouse(place, "queue", "check", "--unverified", "waiting")
    is_(said.count("taken back unverified"), 1, "until it is accepted too")
    with Started(place) as started:
        started.settled(ids)
        ok(all(started.delivered.get(id) == [TEXTS[to]] for id, to in prepared.ids.items()), "and all are delivered")
    # A queue from before queued wrote down which secret it knows: the messages have to tell.
    for name, others, starts in (("none fits", 8, False), ("one fits", 7, True)):
        place = prepared.copy()
        (place / "queue/secret.id").unlink()
        for id in ids[:others]:
            foreign(path_of(place, id))
        if not starts:
            ok("`secret'" in fails_to_start(place), f"{how}: secret.id is missing, {name}: queued does not start")
            remove(place)
            continue
        with Started(place) as started:
            started.settled(ids)
            is_((started.house.counts()["damaged"], len(started.delivered)), (others, 8 - others), f"{how}: secret.id is missing, {name}: the others are set aside")
            ok((place / "queue/secret.id").exists(), "from now on it is known")
    # One bit is what a disk does, also to a queue of one file.
    place = prepared.copy()
    for id in list(prepared.ids)[1:]:
        path_of(place, id).unlink()
    path = path_of(place, list(prepared.ids)[0])
    os.truncate(path, path.read_bytes().rindex(b"\nattempt ") + 1)
    flip_in(b"@far.test")(path)
    with Started(place) as started:
        is_(started.house.counts()["damaged"], 1, f"{how}: one bit of the only message: set aside")


def clean_mark(prepared, how):
    """Whatever it is, nothing is lost by it."""
    for name, make in {"a file with bytes": lambda p: p.write_bytes(b"x"), "a FIFO": os.mkfifo, "gone": lambda p: None}.items():
        place = prepared.copy()
        (place / "queue/clean").unlink(missing_ok=True)
        make(place / "queue/clean")
        with Started(place) as started:
            started.settled(prepared.ids)
            ok(all(started.delivered.get(id) == [TEXTS[to]] for id, to in prepared.ids.items()), f"{how}: the mark of a clean stop is {name}")


def main():
    if not drop_root():
        note("as root: what chmod does is not seen")
        del MESSAGE_DAMAGES["mode 0"]
    for clean in (True, False):
        how = "after a clean stop" if clean else "after kill -9"
        with Prepared(clean) as prepared:
            for test in (messages, directories, mended_directories, secret, exchanged, copied_in, not_removable, other_secret, exchanged_secret, secret_back, whose_secret, clean_mark):
                test(prepared, how)
            for running in (True, False):
                repair(prepared, how, running)
    done()


main()
