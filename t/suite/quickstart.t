#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""./quickstart: mail goes all the way, an interrupt stops it, a second start finds the mail still there."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from tap import done, is_, ok  # noqa: E402

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
SECONDS_MAX = 900  # only what hangs takes longer
place = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-t."))
os.chmod(place, 0o711)
# Whoever runs tests in the background may ignore it, and a shell does not trap what it was started to ignore.
signal.signal(signal.SIGINT, signal.default_int_handler)


def run(until="The mail stays for the next start"):
    """Until it says so (it is up and shows the log), then an interrupt; what it wrote and its exit code."""
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    environment.update(POSTHOUSE_INSTANCE=str(place / "instance"), POSTHOUSE_BUILD=os.environ.get("POSTHOUSE_BUILD", os.getcwd()))
    process = subprocess.Popen([str(SOURCE / "quickstart")], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True)
    alarm = threading.Timer(SECONDS_MAX, lambda: os.killpg(process.pid, signal.SIGKILL))
    alarm.start()
    output, interrupted = "", False
    for line in process.stdout:
        output += line
        if until in line and not interrupted:
            interrupted = True
            os.killpg(process.pid, signal.SIGINT)
    process.wait()
    alarm.cancel()
    return output, process.returncode


def processes():
    """Command lines of what runs from the instance."""
    lines = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            pass
    return [line for line in lines if str(place / "instance") in line]


def count(output):
    found = re.search(r"bert@example.test has (\d+) message", output)
    return int(found[1]) if found else None


try:
    for until in ("starting a private instance", "a message from anna"):
        output, code = run(until)
        ok("Traceback" not in output, f"interrupted at '{until}' it stops without a fuss", output)
        is_(processes(), [], "and leaves nothing running")
    first, code = run()
    ok(is_(code, 0, "it starts, and an interrupt stops it") and count(first), "a message arrives", first)
    ok("event=deliver" in first, "its way is shown", first)
    ok("IMAP" in first and "POP3        port" in first, "it is read over IMAP and POP3", first)
    ok(re.search(r"passwords +\w{20}, \w{20}\n", first), "the passwords are shown", first)
    second, code = run()
    ok(code == 0, "it starts again", second)
    is_(count(second), (count(first) or 0) + 1, "and the first message is still there")
    passwords = [re.search(r"passwords +(.*)", text) for text in (first, second)]
    is_(*[found and found[1] for found in passwords], "with the same passwords")
finally:
    shutil.rmtree(place, ignore_errors=True)
done()
