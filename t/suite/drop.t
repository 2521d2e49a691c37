#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The drop directory of a house: what is damaged there is sent to nobody, and status and check count all that pickup does not take."""
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import stopper  # noqa: E402
from house import House  # noqa: E402
from tap import done, is_, ok  # noqa: E402


def sendmail(house, to, text, **variables):
    return subprocess.run([house.directory / "bin/sendmail", to], input=f"Subject: x\n\n{text}\n".encode(), check=not variables, capture_output=True,
                          env={**os.environ, "POSTHOUSE_CONF": house.env["CONF"], "POSTHOUSE_PROGRAMS": str(house.directory / "bin"), **variables})


def ended(house, scratch):
    """drop is killed, or asked to end, when its file is whole and has no name yet."""
    scratch = pathlib.Path(scratch)
    scratch.chmod(0o755)
    drop, at = house.directory / "drop", {"LD_PRELOAD": str(stopper.build(scratch)), "STOP_AT": "renameat:1:before", "STOP_ARMED": "1"}
    got = sendmail(house, "u0004@example.test", "killed", **at)
    ok(got.returncode == 75 and b"may or may not have been accepted" in got.stderr, "drop was killed behind the text: sendmail does not know", got.stderr)
    left = list(drop.glob(".new-*"))
    is_(len(left), 1, "it is whole, and taken after a day")
    left[0].unlink()
    got = sendmail(house, "u0004@example.test", "asked", **at, STOP_SIGNAL="15")
    left = [path for path in drop.iterdir() if path.name[0] != "."]
    is_((got.returncode, len(left), list(drop.glob(".new-*"))), (0, 1, []), "asked to end there it names the file first, and says so")
    left[0].unlink()


def under_ignoring(house):
    """A caller that ignores what becomes of its children has its programs do so too."""
    with ignoring():
        got = sendmail(house, "u0004@example.test", "ignored")
        is_((got.returncode, got.stderr), (0, b""), "sendmail hears drop's answer under it")
        edited = subprocess.run([house.directory / "bin/posthouse", "-c", house.env["CONF"], "map", "edit", "aliases"], capture_output=True, text=True,
                                env={**os.environ, "VISUAL": "echo ignored@example.test u0001@example.test >>"})
        is_((edited.returncode, edited.stderr), (0, ""), "and posthouse its editor's")
    for path in [path for path in (house.directory / "drop").iterdir() if path.name[0] != "."]:
        path.unlink()


@contextlib.contextmanager
def ignoring():
    """For the processes that are started in it: waited for by pipes, since nobody else is told."""
    def ignore():
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    run = subprocess.run
    subprocess.run = lambda *args, **kwargs: run(*args, preexec_fn=ignore, **kwargs)
    try:
        yield
    finally:
        subprocess.run = run


def delivered(house, user):
    box = house.mailbox(user)
    return sum(len(list((box / part).iterdir())) for part in ("new", "cur") if (box / part).is_dir())


def says(house, word):
    said = house.posthouse(word)
    return said.stdout + said.stderr


with House("--users", "4") as house:
    drop = house.directory / "drop"
    house.stop()
    with tempfile.TemporaryDirectory(prefix="posthouse-stop-") as scratch:
        ended(house, scratch)
    under_ignoring(house)
    for text in ("damaged", "whole"):
        sendmail(house, "u0001@example.test", text)
    left = sorted(p for p in drop.iterdir() if p.name[0] != ".")
    for path in left:
        os.chown(path, -1, drop.stat().st_gid if os.getuid() == 0 else -1)  # the drop of a test is not set-gid
    for path in left[:1]:
        data = bytearray(path.read_bytes())
        data[data.index(b"u0001@") + 4] ^= 2
        path.write_bytes(data)
    (drop / ("stuck" * 51)).write_bytes(b"no message, and no room for another name")
    (drop / ".sent-earlier").mkdir()
    waiting = "that pickup cannot take"
    ok(waiting not in says(house, "check"), "while the house is down what waits is no problem")
    house.start("--as-it-is")
    house.wait_for("the whole one", lambda: delivered(house, "u0001") == 1)
    house.wait_for("the damaged one", lambda: "1 file .bad-* in" in says(house, "check"))
    ok(delivered(house, "u0003") == 0, "a flipped bit of the recipient makes it nobody else's")
    house.wait_for("the line in the log", lambda: "event=drop-refused" in house.log())
    ok('reason="wrong checksum' in house.log(), "the log says that it is damaged")
    house.wait_for("ten seconds", lambda: f"1 file {waiting}" in says(house, "check"))
    for words in ("check", "status"):
        said = says(house, words)
        ok(all(f"1 file {what}" in said for what in (".bad-*", ".sent-*", waiting)), f"{words} counts what is damaged, sent, and stuck", said)
    house.wait_for("its line", lambda: "event=drop-stuck" in house.log())
    house.stop()
    is_(house.log().count("event=drop-stuck"), 1, "which is told of once")
done()
