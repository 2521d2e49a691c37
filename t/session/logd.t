#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""logd with the test in master's place: whose line it is, what a captured program can do with its pipe, floods, a log that
is renamed, one that takes nothing, a system log that is started again, and the end."""
import fcntl
import os
import pathlib
import re
import shutil
import signal
import socket
import sys
import tempfile
import termios
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import waiting
import wirehouse as w
from tap import done, is_, ok

LOG_PIPE, LOG_OUTPUT, LOG_END, LOG_BROKEN, LOG_LEFT = 18, 19, 20, ord("l"), ord("n")
LINE_MAX, LINES_PER_SECOND, BURST_SECONDS = 2048, 20000, 2
O_DIRECT = getattr(os, "O_DIRECT", 0)


class Logd:
    def __init__(self, **more):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-t."))
        self.generation = w.generation(self.directory)
        self.program = w.Program("logd", {"generation": self.generation, **more}, self.directory)
        self.program.wait_ready()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print("# " + self.program.log()[-3000:].replace("\n", "\n# "))
        self.program.stop_hard()
        os.close(self.generation)
        shutil.rmtree(self.directory)

    def pipe(self, name):
        """The writing end of a program's pipe, as master makes it."""
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        w.send(self.program.master, w.Out(LOG_PIPE).view(name).fd(reading))
        os.close(reading)
        return writing

    def output(self, fd, is_system=False):
        w.send(self.program.master, w.Out(LOG_OUTPUT).byte(is_system).fd(fd))

    def end(self):
        w.send(self.program.master, w.Out(LOG_END))
        return self.program.wait()

    def lines(self, path=None):
        text = (path or self.program.log_path).read_text(errors="replace")
        return [line.split(" ", 1)[1] for line in text.splitlines() if " logd[" not in line]


def wait_for(what, condition):
    if not waiting.comes(condition, w.PATIENCE_SECONDS):
        raise TimeoutError(what)


def names_and_text():
    with Logd() as logd:
        smtpd, queued = logd.pipe("smtpd"), logd.pipe("queued")
        os.write(smtpd, b"<6>[42] event=x\n2026-01-01T00:00:00.000Z queued[1]: id=1 event=deliver\n")
        os.write(smtpd, b"<6>[42] \x1b[2J\r<6>[1] queued[1]: y\n")
        wait_for("three lines", lambda: len(logd.lines()) == 3)
        os.write(queued, b"<4>[7] warning: event=y\n")
        wait_for("four lines", lambda: len(logd.lines()) == 4)
        is_(logd.lines(), ["smtpd[42]: event=x", "smtpd: 2026-01-01T00:00:00.000Z queued[1]: id=1 event=deliver",
                           "smtpd[42]: \\x1b[2J\\x0d<6>[1] queued[1]: y", "queued[7]: warning: event=y"],
            "each line bears the name of whose pipe it came through, and no control character")
        stamps = [line.split(" ")[0] for line in logd.program.log().splitlines()]
        ok(all(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", stamp) for stamp in stamps) and stamps == sorted(stamps),
           "and the time of its writing", stamps)
        half = b"<6>[42] in two"
        os.write(smtpd, half)
        os.write(queued, b"<6>[7] between\n")
        wait_for("a line between", lambda: logd.lines()[-1] == "queued[7]: between")
        os.write(smtpd, b" pieces\n")
        wait_for("the whole line", lambda: logd.lines()[-1] == "smtpd[42]: in two pieces")
        ok(True, "a line whose end comes later is one line")
        os.write(smtpd, b"last words")
        os.close(smtpd)
        wait_for("last words", lambda: logd.lines()[-1] == "smtpd: last words")
        ok(True, "and what has no end when all have closed the pipe is one too")


def stamps():
    """The time is the writer's, where that can be true."""
    with Logd() as logd:
        pipe, now = logd.pipe("smtpd"), int(time.time() * 1000)
        waited = f"<6>[42 {now - 1800 * 1000}] waited\n".encode()
        os.write(pipe, waited)
        wait_for("a line", lambda: len(logd.lines()) == 1)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime((now - 1800 * 1000) // 1000))
        own = [line for line in logd.program.log().splitlines() if " smtpd[" in line]
        is_(own[0], f"{stamp}.{now % 1000:03d}Z smtpd[42]: waited", "a line that waited bears the time at which it was written")
        wait_for("it was taken", lambda: waiting_bytes(pipe) == 0)
        os.write(pipe, waited)
        wait_for("another", lambda: len(logd.lines()) == 2)
        own = [line for line in logd.program.log().splitlines() if " smtpd[" in line]
        ok(own[1].endswith(" smtpd[42]: waited") and not own[1].startswith(stamp),
           "but none from before its pipe was empty", own)


def waiting_bytes(pipe):
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4), sys.byteorder)


def refused(action):
    try:
        action()
        return False
    except OSError:
        return True


def captured():
    """What SECURITY says: evidence cannot be taken back."""
    with Logd() as logd:
        pipe, other = logd.pipe("remote"), logd.pipe("queued")
        os.write(pipe, b"<6>[1] event=evidence\n")
        wait_for("the line", lambda: logd.lines() == ["remote[1]: event=evidence"])
        before = logd.program.log()
        fcntl.fcntl(pipe, fcntl.F_SETFL, 0)
        ok(refused(lambda: os.pwrite(pipe, b"FORGED", 0)), "no writing at another place")
        ok(refused(lambda: os.ftruncate(pipe, 0)), "no emptying")
        ok(refused(lambda: os.lseek(pipe, 0, os.SEEK_SET)), "no rewinding")
        ok(refused(lambda: os.read(pipe, 1)), "no reading")
        is_(logd.program.log(), before, "what was written stands")
        fcntl.fcntl(pipe, fcntl.F_SETFL, os.O_NONBLOCK | O_DIRECT)
        os.write(pipe, b"<6>[1] a\n")
        os.write(pipe, b"<6>[1] b\n")
        os.write(other, b"<6>[2] c\n")
        wait_for("all three", lambda: sorted(logd.lines()[1:]) == ["queued[2]: c", "remote[1]: a", "remote[1]: b"])
        ok(True, "a pipe of packets is read as any other")


def flood():
    with Logd() as logd:
        loud, quiet = logd.pipe("smtpd"), logd.pipe("queued")
        sent, said, until = 0, 0, time.monotonic() + 60
        block, count = b"<6>[1] x\n" * 400, 400
        while " event=log-dropped program=smtpd lines=" not in logd.program.log() and time.monotonic() < until:
            try:
                os.write(loud, block)
                sent += count
            except BlockingIOError:
                os.write(quiet, b"<6>[2] still here\n")
                said += 1
                time.sleep(0.002)
        os.close(loud)
        os.write(quiet, b"<6>[2] the end\n")
        wait_for("the end", lambda: any(line == "queued[2]: the end" for line in logd.lines()))
        lines = logd.lines()
        is_(lines.count("queued[2]: still here"), said, f"all {said} lines of the other program came")
        is_([line for line in logd.program.log().splitlines() if "log-dropped program=queued" in line], [], "none was dropped")
        wait_for("all are told of", lambda: accounted(logd) == sent)
        ok(True, f"of {sent} lines of the loud one {sent - lines.count('smtpd[1]: x')} were dropped, and are counted")
        is_(logd.end(), 0, "it ends in order")


def accounted(logd):
    dropped = re.findall(r"event=log-dropped program=smtpd lines=(\d+)", logd.program.log())
    return logd.lines().count("smtpd[1]: x") + sum(map(int, dropped))


def renamed():
    with Logd() as logd:
        pipes = {name: logd.pipe(name) for name in ("smtpd", "queued", "imapd")}
        for name, pipe in pipes.items():
            os.write(pipe, f"<6>[1] old {name}\n".encode())
        wait_for("lines in the old log", lambda: len(logd.lines()) == 3)
        new = logd.directory / "new"
        with open(new, "ab") as file:
            logd.output(file)
        for name, pipe in pipes.items():
            os.write(pipe, f"<6>[1] new {name}\n".encode())
        wait_for("lines in the new log", lambda: new.exists() and len(logd.lines(new)) == 3)
        is_(sorted(logd.lines(new)), sorted(f"{name}[1]: new {name}" for name in pipes), "every program's next line is in the new log")
        is_(len(logd.lines()), 3, "and none in the old one")


def full_log():
    """A log that takes nothing for a while: a pipe that nobody reads stands for the full disk."""
    with Logd() as logd:
        pipe = logd.pipe("smtpd")
        reading, writing = os.pipe2(os.O_NONBLOCK)
        logd.output(writing)
        sent = fill(pipe)
        ok(sent > 1000, f"the pipe keeps {sent} lines, and its writer does not wait")
        got = b""
        until = time.monotonic() + w.PATIENCE_SECONDS
        while got.count(b"\n") < sent and time.monotonic() < until:
            try:
                got += os.read(reading, 65536)
            except BlockingIOError:
                time.sleep(0.01)
        is_(re.findall(rb"smtpd\[1\]: line (\d+)", got), [str(n).encode() for n in range(sent)], "and all of them come when it does again")
        os.close(reading)
        os.close(writing)


def full_disk():
    """Until a line has met the full disk: the log is moved back at once."""
    with Logd() as logd:
        pipe, log = logd.pipe("smtpd"), logd.program.log_path
        sent, until = 0, time.monotonic() + w.PATIENCE_SECONDS
        while "event=log-full" not in logd.program.log() and time.monotonic() < until:
            with open("/dev/full", "ab") as full:
                logd.output(full)
            os.write(pipe, f"<6>[1] line {sent}\n".encode())
            wait_for("logd has it", lambda: waiting_bytes(pipe) == 0)
            os.write(pipe, f"<6>[1] line {sent + 1}\n".encode())
            sent += 2
            with open(log, "ab") as file:
                logd.output(file)
            wait_for("both", lambda: len(logd.lines()) == sent)
        logd.program.wait_log("event=log-again")
        is_(logd.lines(), [f"smtpd[1]: line {n}" for n in range(sent)], "lines wait while the disk is full")
        own = [line.split(": ", 1)[1] for line in logd.program.log().splitlines() if " logd[" in line and "log-" in line]
        ok(len(own) == 2 and own[0] == 'warning: event=log-full reason="No space left on device"' and
           re.fullmatch(r"event=log-again duration_ms=\d+ lines=[12]", own[1]), "it says that the log was full, and that it takes lines again", own)
        with open("/dev/full", "ab") as full:
            logd.output(full)
        os.write(pipe, b"<6>[1] never\n")
        wait_for("logd has it", lambda: waiting_bytes(pipe) == 0)
        is_(logd.end(), 0, "it ends with a full disk too")
        left = w.receive(logd.program.master)
        is_((left.kind, left.u64()), (LOG_LEFT, 2), "and tells master how many lines it could not write, log-full with them")


def never_torn():
    """The log has taken the first part of a line when it is moved."""
    with Logd() as logd:
        pipe = logd.pipe("smtpd")
        reading, writing = os.pipe2(os.O_NONBLOCK)
        logd.output(writing)
        sent = fill(pipe)
        logd.output(writing)  # the same once more: nothing comes twice
        new = logd.directory / "new"
        with open(new, "ab") as file:
            logd.output(file)
        os.close(writing)
        wait_for("the new log", lambda: new.exists() and new.stat().st_size > 0)
        old = b""
        while piece := read_or_wait(reading):
            old += piece
        ok(True, "a log that was left is closed")
        whole = old[:old.rfind(b"\n") + 1].decode()
        wait_for("all lines", lambda: new.exists() and len(numbers(whole + new.read_text())) == sent)
        is_(numbers(whole + new.read_text()), list(range(sent)), "no line is split over two logs, and none is lost")
        os.close(reading)


def numbers(text):
    """Of the lines as they are sent; any other of that program is -1."""
    matches = [re.fullmatch(r"20\d\d-\S{19} smtpd\[1\]: line (\d+)", line) for line in text.splitlines() if " logd[" not in line]
    return [int(match[1]) if match else -1 for match in matches]


def read_or_wait(fd):
    until = time.monotonic() + w.PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            return os.read(fd, 65536)
        except BlockingIOError:
            time.sleep(0.01)
    raise TimeoutError("nothing to read")


def fill(pipe):
    """Until neither the log nor the pipe takes any more; how many lines."""
    sent, stopped = 0, 0
    while stopped < 50:
        try:
            os.write(pipe, f"<6>[1] line {sent}\n".encode())
            sent, stopped = sent + 1, 0
        except BlockingIOError:
            stopped += 1
            time.sleep(0.002)
    return sent


def system_server(path):
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(str(path))
    server.settimeout(w.PATIENCE_SECONDS)
    return server


def system_client(path):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    client.connect(str(path))
    return client


def from_system(server, count):
    """The next datagrams, without logd's own about itself."""
    got = []
    while len(got) < count:
        datagram = server.recv(4096)
        if b">logd[" not in datagram:
            got.append(datagram)
    return got


def let_go():
    """From a file to the system's log: the file is closed."""
    with Logd() as logd:
        path = logd.directory / "devlog"
        server, pipe = system_server(path), logd.pipe("smtpd")
        reading, writing = os.pipe2(os.O_NONBLOCK)
        logd.output(writing)
        os.close(writing)
        with system_client(path) as client:
            logd.output(client, True)
        is_(read_or_wait(reading), b"", "from a file to the system's log: the file is closed")
        os.write(pipe, b"<6>[1] one\n")
        is_(from_system(server, 1), [b"<22>smtpd[1]: one"], "and lines go there")
        os.close(reading)
        server.close()


def system_log():
    with Logd() as logd:
        path = logd.directory / "devlog"
        server, pipe = system_server(path), logd.pipe("smtpd")
        with system_client(path) as client:
            logd.output(client, True)
        os.write(pipe, b"<6>[1] one\n<4>[1] warning: two\n")
        is_(from_system(server, 2), [b"<22>smtpd[1]: one", b"<20>smtpd[1]: warning: two"], "datagrams as syslog has them")
        for number in range(3000):
            os.write(pipe, f"<6>[1] many {number}\n".encode())
        is_(from_system(server, 3000), [f"<22>smtpd[1]: many {n}".encode() for n in range(3000)],
            "more than the socket holds: none is lost, and in order")
        server.close()
        path.unlink()
        os.write(pipe, b"<6>[1] three\n")
        asked = w.receive(logd.program.master)
        is_(asked.kind if asked else None, LOG_BROKEN, "a system log that has gone: it asks for another")
        os.write(pipe, b"<6>[1] four\n")
        server = system_server(path)
        with system_client(path) as client:
            logd.output(client, True)
        is_(from_system(server, 2), [b"<22>smtpd[1]: three", b"<22>smtpd[1]: four"], "what was said meanwhile comes to the new one")
        server.close()


def ends():
    with Logd() as logd:
        pipes = [logd.pipe("local") for _ in range(20)]
        logd.program.signal(signal.SIGTERM)
        for number, pipe in enumerate(pipes):
            os.write(pipe, f"<6>[{number}] last\n".encode() * 1000)
        os.write(pipes[0], b"abort")
        is_(logd.end(), 0, "told to end, it ends")
        is_(sum(line.endswith(": last") for line in logd.lines()), 20000, "with all that was in the pipes")
        ok("local: abort" in logd.lines(), "also what has no end")
    with Logd() as logd:
        pipe = logd.pipe("local")
        logd.program.master.close()
        os.write(pipe, b"<6>[1] after master\n")
        os.close(pipe)
        is_(logd.program.wait(), 0, "without master it ends when the last writer has gone")
        is_(logd.lines(), ["local[1]: after master"], "with its line")


names_and_text()
stamps()
captured()
flood()
renamed()
full_log()
full_disk()
never_torn()
let_go()
system_log()
ends()
done()
