# SPDX-License-Identifier: ISC
"""A configuration directory of its own, for tests of the command line without a running house; and a master that
answers as a test wants it to."""
import os
import pathlib
import select
import shutil
import socket
import subprocess
import tempfile
import threading

import wirehouse
from maps import NAMES, SECRET

CONTROL_STATUS, CONTROL_RELOAD, CONTROL_STOP = 16, 17, 18
CONTROL_LINE, CONTROL_END, CONTROL_VERSION = 20, 21, 29
SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = pathlib.Path(os.environ.get("POSTHOUSE_BUILD", os.getcwd())) / "bin/posthouse"
SETTINGS = """# kept
host.name mail.example.test
mail.domain example.test
directory.state {d}/state
directory.run {d}/run
queue.directory {d}/queue
drop.directory {d}/drop
mail.root {d}/mail
mailbox.uid 5000
mailbox.gid 5000
tls.certificates ""
listen.submissions
listen.pop3s
listen.imaps
"""


class Place:
    """A configuration directory of its own."""

    def __init__(self, **texts):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-t."))
        self.conf = self.directory / "conf"
        self.conf.mkdir()
        (self.directory / "mail").mkdir()
        self.write("posthouse.conf", SETTINGS.format(d=self.directory))
        for name in NAMES:
            self.write(f"{name}.map", texts.get(name, ""))

    def write(self, name, text):
        (self.conf / name).write_text(text)
        if name.removesuffix(".map") in SECRET:
            os.chmod(self.conf / name, 0o600)

    def read(self, name):
        return (self.conf / name).read_text()

    def run(self, *words, stdin="", env=None):
        result = subprocess.run([str(PROGRAM), "-c", str(self.conf), *words], input=stdin, capture_output=True, text=True,
                                env={**os.environ, **(env or {})})
        self.out = result.stdout.replace(str(self.directory), "DIR")
        self.err = result.stderr.replace(str(self.directory), "DIR")
        self.code = result.returncode
        return self.code

    def current(self):
        return os.readlink(self.directory / "state/generations/current")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.directory, ignore_errors=True)


class Master:
    """Listens at RUNDIR/control: status is answered with the lines, anything else by answer(line, question); or nothing is."""

    def __init__(self, place, lines=(), answer=None, hangs=False):
        self.lines, self.answer, self.hangs, self.over = lines, answer, hangs, threading.Event()
        self.version = (SOURCE / "VERSION").read_text().strip()
        self.path = place.directory / "run/control"
        self.path.parent.mkdir(exist_ok=True)

    def serve(self):
        while not self.over.is_set():
            if not select.select([self.listener], [], [], 0.05)[0]:
                continue
            line, _ = self.listener.accept()
            question = wirehouse.receive(line)
            if question is None:
                line.close()
            elif question.kind == CONTROL_STATUS:
                with line:
                    wirehouse.send(line, wirehouse.Out(CONTROL_VERSION).view(self.version))
                    for text in self.lines:
                        wirehouse.send(line, wirehouse.Out(CONTROL_LINE).view(text))
                    self.end(line)
            elif self.answer is not None:
                self.answer(line, question)
            else:
                with line:
                    self.end(line)

    @staticmethod
    def end(line, code=0, text=""):
        wirehouse.send(line, wirehouse.Out(CONTROL_END).byte(code).view(text))

    def __enter__(self):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(self.path))
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve)
        if not self.hangs:
            self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        if not self.hangs:
            self.thread.join()
        self.listener.close()
        self.path.unlink()
