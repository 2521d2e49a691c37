# SPDX-License-Identifier: ISC
"""What the tests with other people's clients share: the corpus, a home directory, and what a mailbox holds.

    need("swaks")                         skips the test where the program is absent
    messages = corpus()                   {name: bytes with CRLF}
    with House() as house, Home() as home:
        fill(house, "u0001", messages)    over SMTP, and waits until all of it is in the mailbox
        home.run("swaks", ...)            with HOME there and nothing of the caller's environment
        same("...", list_of_bytes, messages)
"""
import fcntl
import os
import pathlib
import pty
import random
import re
import select
import shutil
import smtplib
import socket
import ssl
import struct
import subprocess
import tempfile
import termios
import threading
import time

from house import CORPUS
from tap import ok, skip_all

DOMAIN = "example.test"
# What we may put before a message; a relay adds the same again.
TRACE = (b"return-path", b"delivered-to", b"received", b"x-original-to")
RUN_SECONDS = 300  # a client that takes longer hangs


def need(*programs):
    for program in programs:
        if not shutil.which(program, path=search_path()):
            skip_all(f"{program} is not installed")


def need_root(why):
    if os.geteuid() != 0:
        skip_all(f"needs root: {why}")


def free_port():
    """One that nobody has now; below those that the kernel gives to outgoing connections."""
    for _ in range(500):
        port = random.randrange(20000, 32000)
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise RuntimeError("no free port")


def search_path():
    return os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin:/sbin:/bin"


def address(user):
    return f"{user}@{DOMAIN}"


def crlf(data):
    """Every kind of line end becomes CRLF, and the last line gets one: SMTP cannot carry anything else."""
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not lines.endswith(b"\n"):
        lines += b"\n"
    return lines.replace(b"\n", b"\r\n")


def corpus(every=1):
    """Real and odd messages, or every so many of each folder and all of odd/; each content once."""
    if not CORPUS.is_dir():
        skip_all(f"no corpus in {CORPUS}")
    found, known = {}, set()
    for folder in sorted(path for path in CORPUS.iterdir() if path.is_dir()):
        step = 1 if folder.name == "odd" else every
        for path in sorted(folder.glob("*.eml"))[::step]:
            data = crlf(path.read_bytes())
            if data not in known:
                found[f"{folder.name}/{path.name}"] = data
            known.add(data)
    return found


def complete(messages):
    """Those that submission has nothing to mend in."""
    def has(data, pattern):
        return re.search(pattern, data.partition(b"\r\n\r\n")[0] + b"\r\n")

    return {name: data for name, data in messages.items()
            if has(data, rb"(?im)^from:(.*\r\n[ \t])*.*@") and has(data, rb"(?im)^date:") and has(data, rb"(?im)^message-id:")
            and not has(data, rb"(?im)^(bcc|resent-bcc|return-path):")}


def write_files(place, messages):
    """One file a message; their paths by name."""
    place.mkdir(exist_ok=True)
    paths = {}
    for name, data in messages.items():
        paths[name] = place / name.replace("/", "-")
        paths[name].write_bytes(data)
    return paths


# ---- what came out ----

def first_field(data):
    """The name of the first header field and what follows the field."""
    end = data.find(b"\r\n")
    while end >= 0 and data[end + 2:end + 3] in (b" ", b"\t"):
        end = data.find(b"\r\n", end + 2)
    colon = data.find(b":")
    if end < 0 or not 0 < colon < end:
        return None, data
    return data[:colon].strip().lower(), data[end + 2:]


class Origin:
    """Tells which message of a set it is that came out, with no more before it than trace fields."""

    def __init__(self, messages, trace=TRACE):
        self.names, self.trace = {data: name for name, data in messages.items()}, trace

    def find(self, data):
        while data not in self.names:
            name, rest = first_field(data)
            if name is None or name not in self.trace:
                return None
            data = rest
        return self.names[data]


def difference(strange, messages, missing):
    """Where what came out departs from the message that it most likely is."""
    best = max(missing, key=lambda name: sum(line in strange for line in messages[name].split(b"\r\n")), default=None)
    if best is None:
        return f"{strange[:600]!r}"
    sent = messages[best]
    start = max(strange.find(sent[:20]), 0)
    got = strange[start:]
    at = next((i for i, (a, b) in enumerate(zip(got, sent)) if a != b), min(len(got), len(sent)))
    return f"{best} at {at}:\ngot:  {got[max(at - 40, 0):at + 60]!r}\nwant: {sent[max(at - 40, 0):at + 60]!r}"


def same(what, got, messages, trace=TRACE, but=()):
    """Everything came out once, byte for byte.  but: names that the client itself is known to alter."""
    origin, got = Origin(messages, trace), list(got)
    found = [origin.find(data) for data in got]
    strange = [data for data, name in zip(got, found) if name is None]
    missing = sorted(set(messages) - set(found))
    detail = f"{len(got)} came out, {len(messages)} went in; missing or altered: {missing[:20]}"
    if strange:
        detail += f"\naltered: {difference(strange[0], messages, set(missing) - set(but) or missing)}"
    double = len([name for name in found if name]) - len(set(found) - {None})
    return ok(len(got) == len(messages) and set(missing) <= set(but) and not double, what, detail)


def maildir_files(place):
    return [path for part in ("new", "cur") for path in sorted((pathlib.Path(place) / part).glob("*")) if path.is_file()]


def maildir(place):
    """The messages of a client's Maildir; many clients keep LF there."""
    return [crlf(path.read_bytes()) for path in maildir_files(place)]


# ---- a mailbox with something in it ----

def tls_context(house):
    return ssl.create_default_context(cafile=house.env["CA"])


def send(house, messages, user, sender="from@elsewhere.test", start=None):
    """Over one connection. start(house) makes another one than plain SMTP."""
    connection = start(house) if start else smtplib.SMTP(house.env["HOST"], house.port("SMTP"), "client.test", timeout=60)
    with connection as smtp:
        for data in messages.values():
            smtp.sendmail(sender, [user if "@" in user else address(user)], data)


def send_parallel(connections, house, messages, *more, **options):
    """The same over several connections, and what went wrong first."""
    names, wrong = list(messages), []

    def one(part):
        try:
            send(house, {name: messages[name] for name in part}, *more, **options)
        except (OSError, smtplib.SMTPException) as error:
            wrong.append(error)

    threads = [threading.Thread(target=one, args=(names[i::connections],)) for i in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong:
        raise wrong[0]


def wait_delivered(house, user, count):
    box = house.mailbox(user)
    house.wait_for(f"{count} messages for {user}", lambda: len(maildir_files(box)) >= count)


def fill(house, user, messages):
    before = len(maildir_files(house.mailbox(user)))
    send_parallel(4, house, messages, user)
    wait_delivered(house, user, before + len(messages))


# ---- a client's home ----

class Home:
    """A directory of its own as HOME, for configuration and what the client writes."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-c."))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not os.environ.get("POSTHOUSE_KEEP"):
            shutil.rmtree(self.directory, ignore_errors=True)
        return False

    def __truediv__(self, name):
        return self.directory / name

    def write(self, name, text):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
        return path

    def environment(self):
        return {"HOME": str(self.directory), "PATH": search_path(), "LC_ALL": "C.UTF-8", "TERM": "xterm",
                "USER": "tester", "LOGNAME": "tester", "TMPDIR": str(self.directory)}

    def run(self, *words, text=True, environment=None, seconds=RUN_SECONDS, **more):
        if "input" not in more and "stdin" not in more:
            more["stdin"] = subprocess.DEVNULL
        if text:
            more["errors"] = "replace"
        return subprocess.run([str(word) for word in words], capture_output=True, text=text, cwd=self.directory,
                              env={**self.environment(), **(environment or {})}, timeout=seconds, **more)

    def run_on_terminal(self, *words, seconds=RUN_SECONDS):
        """For clients that want a screen; what they drew is in stdout."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
        running = subprocess.Popen([str(word) for word in words], stdin=theirs, stdout=theirs, stderr=theirs,
                                   cwd=self.directory, env=self.environment(), start_new_session=True)
        os.close(theirs)
        screen, until = b"", time.monotonic() + seconds
        while time.monotonic() < until and select.select([ours], [], [], until - time.monotonic())[0]:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            screen += piece
        else:
            running.kill()
        os.close(ours)
        return subprocess.CompletedProcess(words, running.wait(), screen.decode(errors="replace"), "")


def well(done, name):
    """The client says that it went well."""
    return ok(done.returncode == 0, name, f"exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


def version(home, *words):
    done = home.run(*words)
    return (done.stdout + done.stderr).strip().splitlines()[0]
