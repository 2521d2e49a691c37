#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A generation with which a program does not start, or does not stay up, leaves the one before it in use and every program
running. Scripts in the place of programs play those that fail."""
import os
import pathlib
import re
import smtplib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import processes  # noqa: E402
from house import House  # noqa: E402
from tap import done, is_, ok  # noqa: E402

RESIDENT = [name for name in processes.table() if name not in ("pop3d", "imapd", "local")]
# What the script knows: is it a trial, which generation is it given, the program that it stands for.
HEAD = f"""#!{sys.executable}
import os, signal, sys
descriptors = dict(entry.split("=") for entry in os.environ["POSTHOUSE_FDS"].split(","))
generation = int(os.path.basename(os.readlink("/proc/self/fd/" + descriptors["generation"])))
trial = "POSTHOUSE_TRIAL" in os.environ
def real(): os.execv({{real!r}}, [{{name!r}}])
"""


class Instead:
    """A script in the place of a program of the house; without a text there is none."""

    def __init__(self, house, name, text):
        self.link = pathlib.Path(house.env["BIN"]) / name
        self.real = str(self.link.parent / "real" / name)
        os.makedirs(os.path.dirname(self.real), exist_ok=True)
        self.link.rename(self.real)
        if text:
            self.link.write_text(HEAD.format(real=self.real, name=name) + text)
            self.link.chmod(0o755)

    def end(self):
        os.replace(self.real, self.link)


def can_send(house, to="u0001@example.test"):
    with smtplib.SMTP(house.env["HOST"], house.port("SMTP"), timeout=120) as smtp:
        return smtp.sendmail("a@elsewhere.test", [to], "Subject: x\r\n\r\nx\r\n") == {}


def tries(action):
    try:
        return action()
    except (OSError, smtplib.SMTPException):
        return False


def status(house):
    return house.posthouse("status").stdout


def running(house):
    return int(re.search(r"^generation +(\d+)$", status(house), re.M).group(1))


def current(house):
    return int(os.readlink(house.directory / "state/generations/current"))


def build(house):
    aliases = pathlib.Path(house.env["CONF"]) / "aliases.map"
    aliases.write_text(f"{aliases.read_text()}number{current(house)}@example.test u0001@example.test\n")
    house.posthouse("build")
    return current(house)


def reload_under_way(house):
    return subprocess.Popen([str(house.directory / "bin/posthouse"), "-c", house.env["CONF"], "reload"], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


FAILING = {"smtpd": ("print('fatal: a setting it does not like', file=sys.stderr); sys.exit(111)", "a setting it does not like"),
           "keyd": ("os.kill(os.getpid(), signal.SIGSEGV)", "it ended with signal 11"),
           "porter": ("sys.exit(3)", "it ended with exit 3"),
           "imapd": ("print('error while loading shared libraries: libx.so', file=sys.stderr); sys.exit(127)", "loading shared libraries"),
           "pickup": (None, "starting .*/bin/pickup: No such file or directory")}

with House() as house:
    first = running(house)
    before = {name: house.pid(name) for name in RESIDENT}
    for name, (text, why) in FAILING.items():
        instead, wanted = Instead(house, name, text), build(house)
        answer = house.posthouse("reload")
        instead.end()
        ok(answer.returncode == 100 and re.search(rf"{name} does not start with generation {wanted}: .*{why}", answer.stderr),
           f"a generation with which {name} does not start is refused, and the reload says why", answer)
        ok(re.search(rf"^reload +refused: {name} does not start with generation {wanted}: .*{why}", status(house), re.M),
           "status says so", status(house))
        is_(running(house), first, "the one before it is in use")
    checked = house.posthouse("check").stderr
    ok(re.search(r"the last reload was refused: pickup does not start .*; the running server uses generation \d+$", checked, re.M),
       "check says so", checked)
    house.wait_for("the log", lambda: re.search(r' smtpd(\[\d+\])?: fatal: a setting it does not like', house.log())
                   and house.log().count("event=reload-refused") == len(FAILING))
    ok(True, "what the program said is in the log")
    is_({name: house.pid(name) for name in RESIDENT}, before, "no program was replaced")
    ok(can_send(house), "mail goes on")
    house.other_binaries()
    answer = house.posthouse("reload")
    is_((answer.returncode, running(house)), (0, current(house)), "mended, the generation is taken")
    ok("refused" not in status(house), "and nothing is refused any more", status(house))
    is_([name for name in RESIDENT if house.pid(name) == before[name]], ["logd", "queued"], "every program is replaced by it, since each has another binary")

    # It starts, and then does not stay.
    good, bad = running(house), current(house) + 1
    instead = Instead(house, "smtpd", f"""
if not trial and generation == {bad}: sys.exit(5)
real()
""")
    is_(build(house), bad, "another generation")
    is_(house.posthouse("reload").returncode, 0, "it is taken")
    house.wait_for("the one before", lambda: "event=reload-undone" in house.log())
    ok(re.search(rf"^reload +refused: smtpd does not stay up with generation {bad} \(exit 5\): {good} is used again$", status(house), re.M),
       "a program that dies again and again with it: the one before is used again, and status says so", status(house))
    is_(running(house), good, "by its number")
    house.wait_for("mail goes on", lambda: tries(lambda: can_send(house)))
    house.wait_for("all to run", lambda: "not re" not in status(house) and "not running" not in status(house))
    ok(True, "mail goes on, every program runs")
    instead.end()
    is_((house.posthouse("reload").returncode, running(house)), (0, bad), "mended, it is taken")

    # One reload asked for while another is under way, which takes its time.
    there, gate = house.directory / "there", house.directory / "gate"
    os.mkfifo(gate)
    instead = Instead(house, "dnsd", f"""
if trial and not os.path.exists({str(there)!r}):
    open({str(there)!r}, "w").close()
    open({str(gate)!r}).read()
real()
""")
    build(house)
    one = reload_under_way(house)
    house.wait_for("the first one's trial", there.exists)
    ok(can_send(house), "mail goes on during a trial")
    newest = build(house)
    other = reload_under_way(house)
    gate.write_text("go")
    is_([(p.wait(), p.stdout.read()) for p in (one, other)], [(0, "reloaded\n")] * 2, "two reloads at once are both answered")
    is_(running(house), newest, "the second takes what was built after the first began")

    # The house is stopped meanwhile.
    there.unlink()
    os.utime(instead.link)
    waiting = reload_under_way(house)
    house.wait_for("its trial", there.exists)
    house.stop()
    waiting.wait()
    ok("posthouse is stopping" in waiting.stdout.read() and waiting.returncode != 0, "a reload that is cut short by a stop is told so")
    ok("event=stop-forced" not in house.log(), "and the stop is not held up")
    instead.end()

with House() as house:
    # One that the trial refuses for what is in it: neither an edit nor the next start shall suffer from it.
    instead = Instead(house, "resolved", """
aliases = open("aliases.cdb", "rb", opener=lambda name, flags: os.open(name, flags, dir_fd=int(descriptors["generation"])))
if trial and b"poison" in aliases.read(): sys.exit(3)
real()
""")
    is_(house.posthouse("reload").returncode, 0, "what is current is taken")
    aliases = pathlib.Path(house.env["CONF"]) / "aliases.map"
    good = running(house)
    aliases.write_text(aliases.read_text() + "poison@example.test u0001@example.test\n")
    for _ in range(2):
        answer, bad = house.posthouse("build", "--reload"), current(house)
        ok(answer.returncode == 100 and f"the running server refused generation {bad} and still uses generation {good}: resolved does not start"
           in answer.stderr and f"generation {bad} is still current, and a start would fail with it: posthouse rollback returns to generation {good}"
           in answer.stderr, "a build that is refused says so, and what to do", answer)
    answer = house.posthouse("user", "set", "u0001@example.test", "state=locked")
    ok(answer.returncode == 100 and f"the change is in the texts, but NOT IN FORCE; generation {good} is current again." in answer.stderr,
       "an edit that is refused says so", answer)
    is_((current(house), running(house)), (good, good), "and the next start takes the generation that runs")
    answer = house.posthouse("user", "show", "u0001@example.test")
    ok(re.search(rf"^state locked\nnot in force: generation {good} has ", answer.stdout, re.M), "so does the command that shows the user", answer)
    answer = house.posthouse("user", "set", "u0001@example.test", "state=locked", "--only-mine")
    is_((answer.returncode, running(house)), (0, current(house)), "with --only-mine it is taken")
    answer = house.posthouse("user", "show", "u0001@example.test")
    ok("state locked\n" in answer.stdout and "not in force" not in answer.stdout, "and in force", answer)

    good = running(house)
    house.posthouse("build", "--reload")
    bad = current(house)
    answer = house.posthouse("user", "set", "u0002@example.test", "state=locked", "--only-mine")
    ok(answer.returncode == 0 and "the change was made to the generation that runs, and is in force" in answer.stderr,
       "while one that was refused is current, the edit is made to the one that runs", answer)
    ok(running(house) == current(house) > bad, "and taken", status(house))
    answer = house.posthouse("user", "show", "u0002@example.test")
    ok("state locked\n" in answer.stdout and "not in force" not in answer.stdout, "and in force", answer)

    good = running(house)
    conf = pathlib.Path(house.env["CONF"]) / "posthouse.conf"
    conf.write_text(conf.read_text() + "generations.keep 2\n")
    for _ in range(4):
        house.posthouse("build", "--reload")
    answer = house.posthouse("rollback")
    is_((answer.returncode, current(house), running(house)), (0, good, good), "a rollback is to the generation that runs")
    instead.end()

# Ready, then given maps, which it refuses; another start is the real one's.
REFUSING = """
sys.path.insert(0, {lib!r})
import socket, wirehouse
if trial or os.path.exists({been!r}): real()
open({been!r}, "w").close()
signal.signal(signal.SIGHUP, lambda *_: sys.exit(0))
master = socket.socket(fileno=int(descriptors["master"]))
wirehouse.send(master, wirehouse.Out(ord("r")))
files = []
while (word := wirehouse.receive(master)).kind == MASTER_MAP:
    files.append(word.string())
open({been!r}, "w").write(" ".join(files))
pid, round = word.u32(), word.u32()
wirehouse.send(master, wirehouse.Out(ord("t")).u32(pid).u32(round).byte(0))
signal.pause()
"""

with House() as house:
    been = house.directory / "been"
    instead = Instead(house, "resolved", "MASTER_MAP = 25" + REFUSING.format(lib=str(pathlib.Path(__file__).resolve().parent.parent / "lib"), been=str(been)))
    is_(house.posthouse("reload").returncode, 0, "a resolved that will refuse other maps")
    house.wait_for("it", been.exists)
    answer = house.posthouse("alias", "add", "other@example.test", "u0001@example.test")
    is_((answer.returncode, running(house)), (0, current(house)), "an edit")
    is_(been.read_text(), "domains.cdb users.cdb aliases.cdb routes.cdb access.cdb", "gives it all that it reads")
    house.wait_for("the log", lambda: 'event=maps-not-taken program=resolved' in house.log())
    house.wait_for("mail to the new alias", lambda: tries(lambda: can_send(house, "other@example.test")))
    ok(True, "it is replaced by one that has the edit")
    instead.end()
done()
