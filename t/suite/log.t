#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The log of a whole house: who holds it, a log that is renamed, logd killed, the words of what cannot start, and the
system's log."""
import datetime
import imaplib
import os
import pathlib
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import processes  # noqa: E402
from house import House  # noqa: E402
from tap import done, is_, ok, skip  # noqa: E402


def send(house, text, count=1, sender="a"):
    with smtplib.SMTP(house.env["HOST"], house.port("SMTP"), timeout=60) as smtp:
        for _ in range(count):
            smtp.sendmail(f"{sender}@elsewhere.test", ["u0001@example.test"], f"Subject: {text}\r\n\r\n{text}\r\n")


def spoke(text):
    return set(re.findall(r"^\S+ ([\w-]+)\[\d+\]: ", text, re.M))


def whose_log(house):
    """Of whom /proc tells: as an ordinary user nobody's descriptors can be seen, since no program is dumpable."""
    master = int(house.env["MASTER_PID"])
    log, wrong, seen = str(house.directory / "log"), [], 0
    for process in processes.below(master):
        try:
            descriptors = process.descriptors()
        except OSError:
            continue
        seen += 1
        if (log in descriptors.values()) != (process.name == "logd"):
            wrong.append(process.name)
        elif process.name != "logd" and not (descriptors[2].startswith("pipe:") and process.access(2) == os.O_WRONLY):
            wrong.append(f"{process.name} {descriptors[2]}")
    if seen:
        is_(wrong, [], "logd alone holds the log, all others have a pipe to write to")
    else:
        skip("logd alone holds the log, all others have a pipe to write to", "needs root to see it")


def renamed(house):
    """As INSTALL says it: rename, then reload."""
    imap = imaplib.IMAP4(house.env["HOST"], house.port("IMAP"))
    imap.login("u0001@example.test", "pw")
    imap.select()
    smtp = smtplib.SMTP(house.env["HOST"], house.port("SMTP"), timeout=60)
    smtp.sendmail("a@elsewhere.test", ["u0001@example.test"], "Subject: x\r\n\r\nx\r\n")
    house.wait_for("delivery", lambda: "event=deliver" in house.log())
    expected = spoke(house.log()) | {"imapd"}
    old = house.directory / "log.1"
    os.rename(house.directory / "log", old)
    house.other_binaries()
    is_(house.posthouse("reload").returncode, 0, "a reload after the log was renamed")
    smtp.quit()
    send(house, "after")
    imap.logout()
    # logd itself lives on, and has nothing to say.
    house.wait_for("every program's next line", lambda: spoke(house.log()) >= expected - {"logd"})
    ok(True, "every program's next line is in the new log: " + " ".join(sorted(expected)))
    house.wait_for("delivery", lambda: "event=deliver" in house.log() and "event=session" in house.log())
    later = old.read_text()
    ok("event=reloaded" not in later and later.count("event=deliver") == 1, "and none in the old one", later[-1000:])


def killed_with_lines_waiting(house):
    logd = house.pid("logd")
    os.kill(logd, signal.SIGSTOP)
    before = house.log().count("event=queued")
    send(house, "while nobody reads", 50)
    is_(house.log().count("event=queued"), before, "a logd that does not read keeps no mail waiting")
    os.kill(logd, signal.SIGKILL)
    house.wait_for("the lines", lambda: house.log().count("event=queued") == before + 50)
    ok(True, "killed and started again it finds every line that was written meanwhile")
    house.wait_for("logd's end in the log", lambda: f"event=died program=logd" in house.log())


def killed_under_load(house):
    before, rounds = house.log().count("event=queued"), 4

    def load():
        send(house, "under load", 100)
    threads = [threading.Thread(target=load) for _ in range(rounds)]
    for thread in threads:
        thread.start()
    house.wait_for("some of it", lambda: house.log().count("event=queued") > before + 20)
    os.kill(house.pid("logd"), signal.SIGKILL)
    for thread in threads:
        thread.join()
    box = house.mailbox("u0001") / "new"
    marks = lambda: sum("under load" in path.read_text(errors="replace") for path in box.iterdir())  # noqa: E731
    house.wait_for("all mail", lambda: marks() == rounds * 100)
    ok(True, "killed under load: all mail is delivered")
    send(house, "the last", sender="last")
    house.wait_for("its line", lambda: "event=queued from=<last@elsewhere.test>" in house.log())
    lost = before + rounds * 100 + 1 - house.log().count("event=queued")
    # What it had read and not yet written went with it: the lines of a round at most.
    ok(0 <= lost <= 100 and "event=log-lost" not in house.log(), f"no line was lost but what it held: {lost}")


def log_to(house, place):
    """The setting log.to, by a reload."""
    path = pathlib.Path(house.env["CONF"], "posthouse.conf")
    path.write_text(re.sub(r"^log\.to.*$", f"log.to {place}", path.read_text(), flags=re.M))
    return house.posthouse("build", "--reload")


def reloads(text):
    """master's word of them; queued has one too."""
    return len(re.findall(r" master\[\d+\]: event=reloaded", text))


def words_of_master(house):
    """master's lines wait for logd like everybody's, and bear the time at which they were written."""
    logd, log = house.pid("logd"), house.directory / "log"
    os.kill(logd, signal.SIGSTOP)
    before = reloads(house.log())
    is_(house.posthouse("reload").returncode, 0, "a reload while logd does not read")
    is_(reloads(house.log()), before, "master does not write past it")
    until = time.time()
    os.kill(logd, signal.SIGCONT)
    house.wait_for("master's line", lambda: reloads(house.log()) == before + 1)
    line = [line for line in house.log().splitlines() if reloads(line)][-1]
    stamp = datetime.datetime.fromisoformat(line.split(" ")[0].replace("Z", "+00:00")).timestamp()
    ok(stamp <= until, "and its line has the time before logd went on", f"{stamp} {until}")
    is_(log_to(house, "/dev/full").returncode, 0, "a log that takes nothing")
    house.kill("dnsd")
    send(house, "while the disk is full")
    is_(log_to(house, log).returncode, 0, "and one that does")
    house.wait_for("log-again", lambda: re.search(r"logd\[\d+\]: event=log-again duration_ms=\d+ lines=\d+", house.log()))
    house.wait_for("master's words of both reloads", lambda: reloads(house.log()) == before + 3)
    text = house.log()
    ok('warning: event=log-full reason="No space left on device"' in text and "event=died program=dnsd" in text and "event=log-lost" not in text,
       "all that was said meanwhile comes, master's words too", text[-2000:])


def stderr_again(house):
    """The house was started with its log as standard error; a file took its place, and gives it back."""
    other = house.directory / "other"
    is_(log_to(house, other).returncode, 0, "another log")
    house.wait_for("the reload", lambda: other.exists() and reloads(other.read_text()))
    before, there = reloads(house.log()), reloads(other.read_text())
    pipe = house.directory / "pipe"
    os.mkfifo(pipe)
    said = log_to(house, pipe)
    ok(said.returncode and f"opening the log {pipe}: No such device or address" in said.stderr, "a pipe that nobody reads is refused, and not waited for", said.stderr)
    is_(log_to(house, "stderr").returncode, 0, "standard error")
    house.wait_for("the next reload", lambda: reloads(house.log()) == before + 1)
    is_(reloads(other.read_text()), there, "from a file to standard error lines go to what it was at the start")
    is_(log_to(house, house.directory / "log").returncode, 0, "back to the log")


def hangs_at_stop():
    """A logd that does not read any more is killed at the end, and what nobody has read is counted."""
    with House() as house:
        stderr_again(house)
        os.kill(house.pid("logd"), signal.SIGSTOP)
        send(house, "nobody reads")
        house.stop()
        words = re.findall(r" master\[\d+\]: (?:warning: )?(event=\S+.*)", house.log())[-3:]
        ok(len(words) == 3 and words[0].startswith("event=stop-forced ") and re.fullmatch(r"event=log-lost lines=0 bytes=[1-9]\d*", words[1]) and
           words[2] == "event=stopped", "the last words tell how much was lost", words)


def cannot_start():
    """Why a house does not start is in the log, whoever says it and however soon."""
    house = House()
    try:
        house.start()
        house.stop()
        (house.directory / "log").unlink()
        queue = next(pathlib.Path(line.split()[1]) for line in pathlib.Path(house.env["CONF"], "posthouse.conf").read_text().splitlines()
                     if line.startswith("queue.directory"))
        (queue / "secret").write_bytes(b"short")
        try:
            house.restart()
            ok(False, "a house whose queue has lost its secret does not start")
        except RuntimeError as error:
            lines = house.log().splitlines()
            ok(any(re.search(r" queued\[\d+\]: (fatal|panic): ", line) for line in lines), "why a program cannot start is in the log", house.log())
            is_(re.findall(r"master\[\d+\]: (event=\S+)", lines[-1]), ["event=stopped"], "before master's last line")
            ok("fatal" in str(error), "and so in what the starter says", error)
    finally:
        subprocess.run([sys.executable, str(pathlib.Path(__file__).resolve().parent.parent / "house"), "stop", str(house.directory)],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(house.directory, ignore_errors=True)


def own_dev():
    """In a mount namespace of its own: /dev with no log in it. false: that cannot be had here."""
    place = tempfile.mkdtemp(prefix="posthouse-dev.")
    made = subprocess.run(f"mount -t tmpfs none {place} && for n in null zero full random urandom tty; do "
                          f"touch {place}/$n && mount --bind /dev/$n {place}/$n || exit 1; done && mkdir {place}/shm && "
                          f"chmod 1777 {place}/shm && ln -s /proc/self/fd {place}/fd && mount --rbind {place} /dev",
                          shell=True, capture_output=True, text=True)
    if made.returncode:
        print("# " + made.stderr.strip().replace("\n", "\n# "))
    return made.returncode == 0


class SystemLog:
    """The system's log, which reads all the time, or from listen() on."""

    def __init__(self, reads=True):
        self.lines = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("/dev/log")
        os.chmod("/dev/log", 0o666)
        if reads:
            self.listen()

    def listen(self):
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        with self.socket:
            while line := self.socket.recv(65536):
                self.lines.append(line.decode())

    def count(self, pattern):
        return sum(bool(re.search(pattern, line)) for line in self.lines)

    def end(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.reader.join()
        os.unlink("/dev/log")


def system_log():
    log = SystemLog()
    with House("--set", "log.to syslog") as house:
        house.wait_for("ready", lambda: log.count(r"^<22>master\[\d+\]: event=ready "))
        for name in set(processes.table()) - {"pop3d", "imapd", "local"}:
            house.wait_for(f"{name}'s line", lambda: log.count(rf"^<22>{name}\[\d+\]: event=started "))
        ok(True, "the system's log has every program's lines")
        log.end()
        send(house, "nobody listens")
        log = SystemLog()
        send(house, "somebody again")
        house.wait_for("both messages", lambda: log.count("^<22>queued.* event=queued ") == 2)
        ok(True, "started again, it is found again, without a reload, and what was said meanwhile comes")
        is_(house.posthouse("reload").returncode, 0, "a reload")
        house.wait_for("the reload", lambda: log.count(r"^<22>master\[\d+\]: event=reloaded"))
        send(house, "after the reload")
        house.wait_for("a message more", lambda: log.count("^<22>queued.* event=queued ") == 3)
        ok(True, "changes nothing of that")
        log.end()
        log = SystemLog()
        os.kill(house.pid("dnsd"), signal.SIGKILL)
        house.wait_for("a word of master", lambda: log.count(r"^<20>master\[\d+\]: warning: event=died program=dnsd"))
        ok(True, "master itself finds it again")
        log.end()
        log = SystemLog(reads=False)
        send(house, "nobody reads", 100)
        is_(house.posthouse("reload").returncode, 0, "one that hangs keeps nobody waiting")
        house.kill("dnsd")
        log.listen()
        house.wait_for("all", lambda: log.count("^<22>queued.* event=queued ") == 100 and log.count("event=died program=dnsd"))
        ok(True, "and gets all when it goes on")
        house.stop()
        house.wait_for("the last", lambda: log.count(r"master\[\d+\]: event=stopped"))
        house.wait_for("queued's", lambda: log.count("queued.* event=stopped "))
        ok(True, "and the log has the house's end")
        log.end()


if "--system-log" in sys.argv:
    if own_dev():
        system_log()
    else:
        skip("a system log that is started again", "no mount namespace")
    done()
    sys.exit()

with House("--users", "2") as house:
    whose_log(house)
    renamed(house)
    killed_with_lines_waiting(house)
    killed_under_load(house)
    words_of_master(house)
hangs_at_stop()
cannot_start()
OWN = ["unshare", "-m", "--propagation", "private"]
if os.geteuid() != 0:
    skip("a system log that is started again", "needs root, for a /dev of its own")
elif not shutil.which("unshare") or subprocess.run([*OWN, "true"], capture_output=True).returncode:
    skip("a system log that is started again", "no mount namespace")
else:
    inner = subprocess.run([*OWN, sys.executable, __file__, "--system-log"],
                           capture_output=True, text=True)
    print("".join(f"# {line}\n" for line in (inner.stdout + inner.stderr).splitlines()), end="")
    ok(inner.returncode == 0 and "not ok" not in inner.stdout, "a system log that is started again")
done()
