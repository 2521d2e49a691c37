# SPDX-License-Identifier: ISC
"""A private instance for a Python test:

    with House("--users", "3") as house:
        house.port("SMTP"), house.env["CA"], house.mailbox("u0001"), house.wait_for(...)

It lives in a temporary directory of its own and is stopped and removed at the end.  When the test fails (or
POSTHOUSE_KEEP is set) the end of the log is shown.
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import processes
import waiting

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
CORPUS = pathlib.Path(os.environ.get("SHARED_CORPUS", SOURCE.parent / "shared" / "corpus"))
# What a build with sanitizers writes when it finds something: to standard error, which is the log.
SANITIZER_MARKS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error: ")


class House:
    def __init__(self, *options):
        self.options = options
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-t."))
        self.env = {}

    def _command(self, *words, check=True):
        done = subprocess.run([sys.executable, str(SOURCE / "t/house"), *map(str, words)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if check and done.returncode:
            raise RuntimeError(f"t/house {words[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self, *options):
        self._command("start", self.directory, *(options or self.options))
        self._read_env()

    def _read_env(self):
        import shlex
        for line in (self.directory / "env").read_text().splitlines():
            key, value = line.split("=", 1)
            self.env[key] = shlex.split(value)[0]

    def stop(self):
        self._command("stop", self.directory)

    def restart(self):
        self._command("restart", self.directory)
        self._read_env()

    def pid(self, program):
        """Whom master names as running the program: after a reload the one before may still be there, and another not yet by its name."""
        found = []

        def named():
            found[:] = re.findall(rf"^{program} +pid (\d+) [^,\n]*(?:, restarted)?$", self.posthouse("status").stdout, re.M)
            return found
        self.wait_for(f"{program}'s being ready", named)
        return int(found[0])

    def wait_for_heirs(self, program):
        """After a reload: until whoever ran the program before has ended."""
        self.wait_for(f"the end of the {program} before", lambda: self._command("pid", self.directory, program).split() == [str(self.pid(program))])

    def other_binaries(self, *programs):
        """As after an upgrade: the next reload replaces these (none named: all) whatever the generation has."""
        for name in programs or processes.table():
            path = pathlib.Path(self.env["BIN"]) / name
            fresh = path.with_name(f"{name}.new")
            shutil.copy2(path.resolve(), fresh)
            fresh.replace(path)

    def kill(self, program):
        """Kills it, and waits for the next that is ready."""
        before = self.pid(program)
        os.kill(before, signal.SIGKILL)
        self.wait_for(f"another {program}", lambda: self.pid(program) != before)

    def port(self, service):
        return int(self.env[service])

    def mailbox(self, user):
        return pathlib.Path(self.env["MAILROOT"]) / user / "Maildir"

    def log(self):
        """Lines come a few milliseconds after what they tell of: wait_for one; that there is none shows after stop()."""
        return (self.directory / "log").read_text(errors="replace")

    def posthouse(self, *words, **more):
        """The command line, against this instance."""
        return subprocess.run([str(self.directory / "bin/posthouse"), "-c", self.env["CONF"], *map(str, words)],
                              stdin=subprocess.DEVNULL if "input" not in more else None, capture_output=True, text=True, **more)

    def wait_for(self, what, condition, seconds=300):
        """Polls the condition until it holds: for what no file or socket can announce."""
        if not waiting.comes(condition, seconds):
            raise TimeoutError(f"{what}: not within {seconds} s; the log ends:\n" + "\n".join(self.log().splitlines()[-20:]))

    def queue_is_empty(self):
        """Asked twice: the word that made a message live waits for no answer, and has been read before the second question."""
        return all("Mail queue is empty" in self.posthouse("queue", "list").stdout for _ in range(2))

    def logs(self, *texts, seconds=300):
        """Has the log all these? What a program says comes there by another one, a moment later."""
        return waiting.comes(lambda: all(text in self.log() for text in texts), seconds)

    def __enter__(self):
        try:
            self.start()
        except Exception:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise
        return self

    def __exit__(self, kind, value, trace):
        try:
            self.stop()
            if kind is None and any(mark in self.log() for mark in SANITIZER_MARKS):
                kind = AssertionError
                raise AssertionError("a sanitizer complains in the log:\n" + "\n".join(
                    line for line in self.log().splitlines() if not re.match(r"\S+ [\w-]+\[", line))[:6000])
        finally:
            if kind is not None or os.environ.get("POSTHOUSE_KEEP"):
                print("# the log ends:\n" + "\n".join("# " + line for line in self.log().splitlines()[-30:]), flush=True)
            if not os.environ.get("POSTHOUSE_KEEP"):
                shutil.rmtree(self.directory, ignore_errors=True)
        return False
