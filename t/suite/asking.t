#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Commands to a master that hangs, that waits for others or does not start: they say so, and do not wait for ever."""
import pathlib
import select
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import wirehouse  # noqa: E402
from place import CONTROL_RELOAD, CONTROL_STOP, PROGRAM, Master, Place  # noqa: E402
from tap import done, is_, ok  # noqa: E402

LINES = ["queued       pid 7        uid 5        up 90s", "remote       pid 8        uid 6        up 90s, not answering for 7s",
         "smtpd        not running", "generation   1"]


def hangs():
    """Nobody takes the connection from the listener."""
    with Place(domains="example.test mailboxes\n") as p:
        p.run("build")
        with Master(p, hangs=True):
            for words in (("stop",), ("reload",), ("who",), ("kick", "anna"), ("status",)):
                is_(p.run(*words), 111, f"{words[0]} of a master that hangs ends")
                is_((p.err, p.out), ("posthouse: posthouse does not respond: master hangs\n", ""), "and says so")


def waits():
    """master answers others: then a stop takes what it takes."""
    with Place(domains="example.test mailboxes\n") as p:
        p.run("build")
        for words, kind, whom in ((("stop",), CONTROL_STOP, "queued, remote"),
                                  (("reload",), CONTROL_RELOAD, "the programs of the new generation, remote"),
                                  (("who",), None, "the programs that have sessions, remote")):
            lines = []
            with Master(p, LINES, lambda line, question: lines.append((line, question.kind))) as master:
                process = subprocess.Popen([str(PROGRAM), "-c", str(p.conf), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                is_(process.stderr.readline(), f"posthouse: waiting for {whom}\n", f"{words[0]} says whom it waits for")
                is_(process.poll(), None, "and waits on")
                ok(len(lines) == 1 and kind in (None, lines[0][1]), "asked once", lines)
                for line, _ in lines:
                    master.end(line)
                    line.close()
                is_(process.communicate()[1], "", "with no other word")
                is_(process.returncode, 0, "until it is answered")


def once():
    """status and check ask queued once: one that hangs takes the time limit each time."""
    with Place(domains="example.test mailboxes\n") as p:
        p.run("build")
        for command in ("status", "check"):
            kinds = []

            def answer(line, question):
                kinds.append(question.kind)
                with line:
                    Master.end(line)
            with Master(p, LINES, answer):
                p.run(command)
            is_(len(kinds), 1, f"{command} asks queued once")


class Denying(Master):
    """Answers nobody."""

    def serve(self):
        while not self.over.is_set():
            if not select.select([self.listener], [], [], 0.05)[0]:
                continue
            line, _ = self.listener.accept()
            with line:
                if wirehouse.receive(line) is not None:
                    self.end(line, 100, "only root may ask")


def denied():
    """Who may not ask hears that, and nothing of a version."""
    with Place(domains="example.test mailboxes\n") as p:
        p.run("build")
        with Denying(p):
            is_((p.run("status"), p.out, p.err), (100, "", "posthouse: only root may ask\n"), "a status that is denied")


def start_fails():
    """What was fatal is the last of many lines, and shown."""
    with Place(domains="example.test mailboxes\n") as p:
        log = p.directory / "log"
        p.write("posthouse.conf", p.read("posthouse.conf") + f"log.to {log}\n")
        p.run("build")
        programs = p.directory / "programs"
        programs.mkdir()
        (programs / "master").write_text(f"""#!/bin/sh
i=0
while [ $i -lt 600 ]; do echo "2026-01-01T00:00:00.000Z queued[7]: warning: event=directory-unreadable name=$i"; i=$((i+1)); done >>{log}
echo "2026-01-01T00:00:00.000Z queued[7]: fatal: reading the queue's directories: Permission denied" >>{log}
""")
        (programs / "master").chmod(0o755)
        is_(p.run("start", env={"POSTHOUSE_PROGRAMS": str(programs)}), 111, "a start that fails after many warnings")
        ok("fatal: reading the queue's directories: Permission denied\n" in p.err, "shows what was fatal", p.err[-300:])
        lines = p.err.splitlines()
        ok(lines[0] == "posthouse: the log has more than this" and 10 < len(lines) < 600, "and that there was more", lines[0])
        is_([line for line in lines[1:-1] if not line.startswith("2026-01-01T00:00:00.000Z queued[7]: ")], [], "in whole lines")


for part in (hangs, waits, once, denied, start_fails):
    part()
done()
