# SPDX-License-Identifier: ISC
"""pickup with a queued and a resolved that a test plays, and the sendmail and drop of the build around it."""
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import waiting
import wirehouse
from smtphouse import Queue, Resolver, serve
from wirehouse import pair


SUBMIT_READY = 21


class House:
    def __init__(self, settings="", started=True):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-pickup-"))
        for name in ("run", "drop", "spool"):
            (self.directory / name).mkdir()
        (self.directory / "drop" / ".posthouse").write_text("0" * 32 + "\n")  # as a first start makes it
        self.generation = wirehouse.generation(
            self.directory, ("" if "mail.domain" in settings else "mail.domain example.test\n")
            + f"drop.directory {self.directory}/drop\n" + settings)
        self.build = wirehouse.build_directory()
        self.queue = Queue(self.directory / "spool")
        self.program = None
        if started:
            self.start()

    def start(self):
        self.resolver = Resolver()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = self.directory / "run" / "submit"
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        listener.listen(16)
        self.wires, theirs = {}, {}
        for name in ("queued.spool", "resolved.resolve"):
            self.wires[name], theirs[name] = pair()
        serve(self.wires["queued.spool"], "spool", self.queue.serve)
        serve(self.wires["resolved.resolve"], "resolve", self.resolver.serve)
        self.program = wirehouse.Program("pickup", {"generation": self.generation, "listen.submit": listener, **theirs},
                                         self.directory)
        listener.close()
        for end in theirs.values():
            end.close()
        self.program.wait_ready()

    def sendmail(self, *arguments, text="", name="sendmail", **variables):
        """The finished process of sendmail with these arguments."""
        environment = {**os.environ, "POSTHOUSE_CONF": str(self.directory / "conf"), "POSTHOUSE_PROGRAMS": str(self.build / "bin"),
                       **variables}
        data = text if isinstance(text, bytes) else text.encode()
        return subprocess.run([name, *arguments], executable=str(self.build / "bin/sendmail"), input=data,
                              capture_output=True, env=environment, timeout=wirehouse.PATIENCE_SECONDS)

    def last(self):
        return self.queue.messages[-1]

    def live(self):
        return [m for m in self.queue.messages if m.state == "live"]

    def dropped(self):
        return sorted(p.name for p in (self.directory / "drop").iterdir() if p.name not in (".holder", ".posthouse") and not p.name.startswith(".of-"))

    def wait_for(self, what, seconds=wirehouse.PATIENCE_SECONDS):
        return waiting.comes(what, seconds)

    def stop(self, number=signal.SIGTERM):
        if self.program and self.program.process.poll() is None:
            self.program.signal(number)
            self.program.wait()
        for wire in getattr(self, "wires", {}).values():
            wire.close()
        (self.directory / "run" / "submit").unlink(missing_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)


class Door:
    """The submission socket without a pickup behind it: how(line) has who comes, once `packets` have been read; None: nobody is let in."""

    def __init__(self, house, how, packets):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(house.directory / "run" / "submit"))
        self.listener.listen(16)
        self.thread = threading.Thread(target=self.open, args=(how, packets))
        self.thread.start()

    def open(self, how, packets):
        if how is None:
            select.select([self.listener], [], [])
        else:
            line = self.listener.accept()[0]
            line.send(bytes([SUBMIT_READY]))
            for _ in range(packets):
                line.recv(1 << 16)
            select.select([line], [], [])
            how(line)
            line.close()
        self.listener.close()
