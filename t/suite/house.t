#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The house itself: it starts, mends itself, takes a new generation, and stops in order."""
import os
import pathlib
import re
import signal
import smtplib
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import processes  # noqa: E402
from house import House  # noqa: E402
from processes import below  # noqa: E402
from tap import done, is_, ok  # noqa: E402

RESIDENT = [name for name in processes.table() if name not in ("pop3d", "imapd", "local")]


def can_send(house, text="hello"):
    with smtplib.SMTP(house.env["HOST"], house.port("SMTP"), timeout=120) as smtp:
        smtp.sendmail("a@elsewhere.test", ["u0001@example.test"], f"Subject: {text}\r\n\r\n{text}\r\n")
    return True


def delivered(house):
    box = house.mailbox("u0001")
    return sum(len(list((box / part).iterdir())) for part in ("new", "cur") if (box / part).is_dir())


def tries(house, action):
    """The house may need a moment after a crash: a refused client is right, a lost message is not."""
    def attempt():
        try:
            return action()
        except (OSError, smtplib.SMTPException):
            return False
    house.wait_for("the house serves again", attempt)
    return True


REPLACED = ["authd", "bounce", "dnsd", "imap-login", "keyd", "pickup", "pop3-login", "porter", "remote", "resolved", "smtpd"]

# Who hears that it has stopped may start it again at once; after the last stop nothing is left to be stopped.
with House("--users", "1") as house:
    programs = {**os.environ, "POSTHOUSE_PROGRAMS": f"{house.directory}/bin"}
    steps = [(word, house.posthouse(word, env=programs)) for word in ["stop", "start"] * 20 + ["stop"]]
    is_([(word, step.stderr) for word, step in steps if step.returncode], [], "stop and start, twenty times in a row")

with House() as house:
    checked = house.posthouse("check")
    is_((checked.returncode, checked.stdout, checked.stderr), (0, "no problems found; posthouse is running\n", ""),
        "a first check finds nothing")
    status = house.posthouse("status")
    is_(status.returncode, 0, "status tells that it runs")
    ok(all(name in status.stdout for name in RESIDENT), "and names every program", status.stdout + status.stderr)
    version = (pathlib.Path(__file__).resolve().parent.parent.parent / "VERSION").read_text().strip()
    is_(status.stdout.splitlines()[0], f"version      {version} (running), {version} (this command)", "and both versions")
    is_(status.stderr, "", "which are the same")
    ok("restarted" not in status.stdout, "nothing had to be started again", status.stdout)
    ok(can_send(house), "it takes mail")
    house.wait_for("delivery", lambda: delivered(house) == 1)

    sent = 1
    for name in RESIDENT:
        house.kill(name)
        tries(house, lambda: can_send(house, f"after {name}"))
        sent += 1
        house.wait_for("delivery", lambda: delivered(house) >= sent)
        ok(True, f"killed, {name} is started again and mail goes on")
        line = next(line for line in house.posthouse("status").stdout.splitlines() if line.startswith(name + " "))
        ok(line.endswith(", restarted"), "and status says so", line)

    conf = pathlib.Path(house.env["CONF"]) / "users.map"
    conf.write_text(conf.read_text() + "new@example.test home=new\n")
    is_(house.posthouse("build").returncode, 0, "a new generation is built")
    greeted = [socket.create_connection((house.env["HOST"], house.port(name)), timeout=120) for name in ("SMTP", "POP3", "IMAP") * 3]
    for client in greeted:
        client.recv(1000)
    house.other_binaries()
    answer = house.posthouse("reload")
    is_(answer.returncode, 0, "and taken over")
    replaced = [line for line in house.posthouse("status").stdout.splitlines() if line.endswith(", restarted")]
    is_([line.split()[0] for line in replaced if line.split()[0] in REPLACED], [], "to be replaced is not to be restarted")
    words = []
    for client, word in zip(greeted, (b"EHLO x\r\n", b"CAPA\r\n", b"a CAPABILITY\r\n") * 3):
        client.sendall(word)
        words.append(client.recv(3))
        client.close()
    is_(words, [b"250", b"+OK", b"* C"] * 3, "those who had been greeted and had not spoken are served")
    tries(house, lambda: smtplib.SMTP(house.env["HOST"], house.port("SMTP"), timeout=120).sendmail(
        "a@elsewhere.test", ["new@example.test"], "Subject: new\r\n\r\nnew\r\n") == {})
    house.wait_for("delivery to the new user", lambda: any((house.mailbox("new") / "new").glob("*")))
    ok(True, "the new user gets mail without a restart")

    def resident():
        names = [process.name for process in below(master) if process.parent == master]
        return sorted(name for name in names if name in REPLACED)

    master = int(house.env["MASTER_PID"])
    for _ in range(3):
        with smtplib.SMTP(house.env["HOST"], house.port("SMTP"), timeout=120) as asker:
            asker.sendmail("a@elsewhere.test", ["u0001@example.test"], "Subject: ask\r\n\r\nask\r\n")
            house.other_binaries()
            is_(house.posthouse("reload").returncode, 0, "reloaded, with somebody who had asked still there")
            is_(asker.sendmail("a@elsewhere.test", ["u0001@example.test"], "Subject: on\r\n\r\non\r\n"), {},
                "a session of the replaced smtpd is heard by the successors of those that it asks")
    # So fast that programs are replaced before they have taken what waits on their wires.
    for _ in range(10):
        house.other_binaries()
        is_(house.posthouse("reload").returncode, 0, "reloaded")
    house.wait_for("predecessors to end", lambda: resident() == REPLACED)
    ok(True, f"after many reloads there is one of each again: {' '.join(REPLACED)}")

    good_text = conf.read_text()
    conf.write_text(good_text + "not a valid line\n")
    bad = house.posthouse("build")
    ok(bad.returncode != 0 and "users.map:" in bad.stdout + bad.stderr, "a mistake is told with file and line", bad.stdout + bad.stderr)
    ok(can_send(house), "and the running generation goes on")
    conf.write_text(good_text)

    aliases = conf.parent / "aliases.map"
    aliases.write_text("team@example.test u0001@example.test\n")
    newaliases = [str(house.directory / "newaliases")]
    os.symlink(house.directory / "bin/sendmail", newaliases[0])
    environment = {**os.environ, "POSTHOUSE_CONF": house.env["CONF"], "PATH": f"{house.directory}/bin:{os.environ['PATH']}"}
    is_(subprocess.run(newaliases, env=environment, stdout=subprocess.DEVNULL).returncode, 0, "newaliases builds")
    tries(house, lambda: smtplib.SMTP(house.env["HOST"], house.port("SMTP"), timeout=120).sendmail(
        "a@elsewhere.test", ["team@example.test"], "Subject: team\r\n\r\nteam\r\n") == {})
    house.wait_for("delivery by the new alias", lambda: any("Subject: team" in path.read_text() for path in house.mailbox("u0001").glob("new/*")))
    ok(True, "and the running house has the new alias")

    settings = conf.with_name("posthouse.conf")
    good_text = settings.read_text()
    gone = house.directory / "gone"
    gone.mkdir()
    settings.write_text(re.sub(r"(?m)^log\.to.*\n", "", good_text) + f"log.to {gone}/log\n")
    is_(house.posthouse("build").returncode, 0, "another log")
    gone.rmdir()
    bad = house.posthouse("reload")
    ok(bad.returncode != 0 and f"opening the log {gone}/log" in bad.stdout + bad.stderr,
       "the reload says that it cannot be opened any more", bad.stdout + bad.stderr)
    is_(house.posthouse("build").returncode, 100, "and a build refuses it")
    ok(can_send(house), "and the old generation goes on")

    held = socket.socket()  # until the house is through with it: the kernel gives the port to no other
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    port = held.getsockname()[1]
    settings.write_text(re.sub(r"(?m)^listen\.pop3s.*\n", "", good_text) + f"listen.pop3s 127.0.0.1:{port}, [::]:{port}\n")
    is_(house.posthouse("build").returncode, 0, "two families on one port")
    if socket.has_dualstack_ipv6():
        answer = house.posthouse("reload")
        is_(answer.returncode, 0, "do not stand in each other's way " + answer.stderr)
    else:
        ok(True, "do not stand in each other's way # SKIP no IPv6")
    held.close()
    settings.write_text(good_text)
    house.posthouse("build")

    try:
        with House("--set", f"queue.directory {house.env['QUEUE']}"):
            ok(False, "a second house on one queue does not start")
    except RuntimeError as error:
        ok(f"queue.directory {house.env['QUEUE']} is in use by process {house.pid('queued')} of another instance" in str(error),
           "a second house on one queue does not start", str(error))
    try:
        with House("--set", f"drop.directory {house.directory}/drop"):
            ok(False, "nor one on one drop directory")
    except RuntimeError as error:
        ok(f"is in use by process {house.pid('pickup')} of another instance" in str(error), "nor one on one drop directory", str(error))
    ok(can_send(house), "and the first goes on")

    is_([house.posthouse("queue", verb, "foo").returncode for verb in ("list", "hold", "release", "remove", "retry")], [100] * 5,
        "what is no filter is one for no command")

    queued = house.pid("queued")
    os.kill(queued, signal.SIGSTOP)
    shown, listed = house.posthouse("status"), house.posthouse("queue", "list")
    changed = [house.posthouse("queue", *words).returncode for words in (["hold", "all"], ["retry"], ["show", "6c59g358spxkp"])]
    os.kill(queued, signal.SIGCONT)
    ok(shown.returncode == 0 and "queued does not respond" in shown.stdout, "a queued that hangs keeps status from nothing, and is named", shown.stdout)
    is_((listed.returncode, listed.stderr), (111, "posthouse: queued does not respond\n"), "queue list says so")
    is_(changed, [111] * 3, "and the other commands fail for the moment only")

    master = int(house.env["MASTER_PID"])
    children = pathlib.Path(f"/proc/{master}/task/{master}/children").read_text().split()
    house.stop()
    ok(not any(pathlib.Path(f"/proc/{pid}").exists() for pid in children), "stopped, nothing is left behind")
    ok("event=stop-forced" not in house.log(), "and nothing had to be forced")
    with socket.create_server((house.env["HOST"], house.port("SMTP"))):
        failed = house.posthouse("start", env={**os.environ, "POSTHOUSE_PROGRAMS": house.env["BIN"]})
        ok(failed.returncode == 111 and "fatal: binding" in failed.stderr and
           f"posthouse did not start; the log ({house.directory}/log) says more" in failed.stderr,
           "a start that fails says why, and where the log is", failed.stderr)
    house.restart()
    ok(can_send(house), "started again it serves")

done()
