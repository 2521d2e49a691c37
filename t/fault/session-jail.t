#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A session of imapd or pop3d is jailed before it opens its mailbox: taken over by what lies there, it can neither fork
nor signal its parent or another session, although it has not yet narrowed itself to that mailbox."""
import os
import pathlib
import re
import shutil
import socket
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import processes
import stopper
import wirehouse as w
from tap import done, is_, ok, skip_all

OWNER_WORK = 16


def session(program, home):
    """The client's end of a new one."""
    mine, theirs = socket.socketpair()
    token, its_end = socket.socketpair()
    mine.settimeout(w.PATIENCE_SECONDS)
    w.send(program.master, w.Out(OWNER_WORK).view("anna@example.test").view(str(home)).view("a1").view(b"").u64(7)
           .address("127.0.0.1", 4711).byte(0).view("").view("").u16(0).view("").u64(0).u64(0).byte(1).fd(theirs).fd(its_end))
    theirs.close()
    its_end.close()
    return mine, token


def check(name, directory, so):
    (directory / "mail").mkdir(parents=True)
    with stopper.Preloading(so):
        program = w.Program(name, {"generation": w.generation(directory)}, directory)
    program.tries_what_is_refused = True
    try:
        program.wait_ready()
        if "seccomp" not in program.log() or "landlock" not in program.log():
            skip_all("the sandbox is not whole here")
        sibling = session(program, directory / "mail/anna")
        ok(b"OK" in sibling[0].recv(1000), f"{name}: a session")
        pid = processes.children(program.process.pid)[0]
        captured = session(program, directory / f"mail/signal-{pid}")
        ok(b"OK" in captured[0].recv(1000), "and another one, which tries to escape before it has its mailbox")
        said = re.search(r"tried: (.*)", program.log()).group(1)
        is_(said, "fork=0 parent=0 sibling=0 descriptors=256", "it can neither fork nor signal its parent or the other")
    finally:
        program.stop()


directory = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-t."))
try:
    so = stopper.build(directory, "escaping")
    for name in ("imapd", "pop3d"):
        check(name, directory / name, so)
finally:
    shutil.rmtree(directory, ignore_errors=True)
done()
