#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What stands in the run directory and is removed, or has something else put in its place, comes back while posthouse runs,
is told of once, and serves again."""
import grp
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from house import House  # noqa: E402
from tap import done, is_, ok, skip  # noqa: E402


def holder_of(drop):
    """The pickup that has it, by its file there, which is removed and written at any time."""
    try:
        return (drop / ".holder").read_text().split()[0]
    except (FileNotFoundError, IndexError):
        return None


def told(house, event, text):
    return len(re.findall(rf"event={event} .*{re.escape(str(text))}", house.log()))


def answers(house):
    return house.posthouse("status").returncode == 0


def submits(house):
    """Over the socket: pickup's own directory is closed, so that sendmail cannot leave a drop file instead."""
    sent = subprocess.run([house.directory / "bin/sendmail", "u0001@example.test"], input=b"Subject: x\n\nx\n",
                          env={**os.environ, "POSTHOUSE_CONF": house.env["CONF"]}, capture_output=True, check=False)
    return sent.returncode == 0


def delivered(house):
    box = house.mailbox("u0001")
    return sum(len(list((box / part).iterdir())) for part in ("new", "cur") if (box / part).is_dir())


def strange_socket(path):
    other = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    other.bind(str(path))
    other.close()


def full_directory(path):
    (path / "below").mkdir(parents=True)


with House() as house:
    run = house.directory / "run"
    ways = {"removed": lambda path: None, "a file": lambda path: path.write_text("x"), "a FIFO": os.mkfifo,
            "a socket of nobody": strange_socket, "a directory": os.mkdir, "a full directory": full_directory,
            "a link": lambda path: path.symlink_to("/dev/null")}

    control = run / "control"
    for way, put in ways.items():
        before = told(house, "run-file-restored", control)
        control.unlink()
        put(control)
        house.wait_for(f"control, {way}", lambda: answers(house))
        house.wait_for("the log", lambda: told(house, "run-file-restored", control) > before)
        is_(told(house, "run-file-restored", control), before + 1, f"the control socket, {way}: it is back and told of once")
    is_(control.stat().st_mode & 0o777, 0o600, "with its mode")
    ok((run / "control.aside/below").is_dir(), "what could not be removed is moved aside")

    submit, sent = run / "submit", 0
    for way in ("removed", "a file", "a socket of nobody"):
        before, old = told(house, "run-file-restored", submit), house.pid("pickup")
        submit.unlink()
        ways[way](submit)
        house.wait_for("the log", lambda: told(house, "run-file-restored", submit) > before)
        house.wait_for("another pickup", lambda: re.search(r"^pickup .*up \d+s$", house.posthouse("status").stdout, re.M)
                       and house.pid("pickup") != old)
        before = submit.stat().st_ino
        ok(submits(house), f"the submission socket, {way}: sendmail submits again")
        sent += 1
        house.wait_for("delivery", lambda: delivered(house) == sent)
        is_((submit.stat().st_mode & 0o777, [name for name in os.listdir(house.directory / "drop") if name[0] != "."]), (0o666, []),
            "over the socket, which everybody may use")

    pid_file = run / "master.pid"
    for put in (lambda: None, lambda: pid_file.write_text("1\n")):
        before = told(house, "run-file-restored", pid_file)
        pid_file.unlink()
        put()
        house.wait_for("master.pid", lambda: told(house, "run-file-restored", pid_file) > before)
        is_(pid_file.read_text(), f"{house.env['MASTER_PID']}\n", "the pid file is back, with the right number")
    second = subprocess.run([house.directory / "bin/master", "-p", house.directory / "bin", house.directory / "state"],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    ok(second.returncode != 0 and "master.pid is locked" in second.stderr + house.log(), "and locked: a second master ends", second.stderr)
    ok(answers(house), "without harm to the first")

    # At a stroke: master would put back what is gone while the rest is being removed.
    shutil.rmtree(run.rename(house.directory / "run.gone"))
    house.wait_for("the run directory", lambda: answers(house))
    house.wait_for("all of it", lambda: (run / "submit").exists() and (run / "empty").exists() and pid_file.exists())
    is_((run.stat().st_mode & 0o777, (run / "empty").stat().st_mode & 0o777), (0o755, 0o555),
        "the whole run directory removed: it is back, with the sockets and the empty root")
    house.other_binaries()
    is_(house.posthouse("reload").returncode, 0, "and a reload starts programs in it")

    drop, old = house.directory / "drop", house.pid("pickup")
    drop.rename(house.directory / "drop.old")
    house.wait_for("the log", lambda: told(house, "directory-missing setting=drop.directory", drop))
    shutil.copytree(house.directory / "drop.old", drop)
    st = (house.directory / "drop.old").stat()
    os.chown(drop, st.st_uid, st.st_gid)
    os.chmod(drop, st.st_mode & 0o7777)
    house.wait_for("pickup in the new one", lambda: holder_of(drop) not in (None, str(old)))
    house.wait_for("the predecessor to end", lambda: str(old) not in house._command("pid", house.directory, "pickup", check=False).split())
    house.wait_for("the log", lambda: told(house, "directory-replaced setting=drop.directory", drop))
    ok(True, "another drop directory in its place: pickup moves to it")
    before = delivered(house)
    ok(submits(house), "and takes mail")
    house.wait_for("delivery", lambda: delivered(house) > before)
    is_(told(house, "directory-missing", "setting=drop.directory"), 1, "that it was missing is told once")
    is_(told(house, "run-file-lost", ""), 0, "nothing was beyond repair")

    def copied(path):
        """Another directory in its place, as a restore makes one."""
        old = path.with_name(path.name + ".before")
        path.rename(old)
        subprocess.run(["cp", "-a", old, path], check=True)
        return old

    queue, said = house.directory / "queue", f"queue.directory {house.directory}/queue is another directory: queued goes on in the one that was there"
    ok("replaced" not in house.posthouse("status").stdout, "status has nothing to say of directories")
    old = copied(queue)
    ok(f"replaced     {said}" in house.posthouse("status").stdout, "another queue directory: status says so at once")
    check = house.posthouse("check")
    ok(check.returncode == 100 and f"error: {said}; put that one back, or wait until posthouse queue list shows nothing" in check.stderr,
       "so does check, and what to do", check.stderr)
    check = house.posthouse("queue", "check")
    ok(check.returncode == 100 and said in check.stdout, "so does queue check", check.stdout)
    house.wait_for("the log", lambda: told(house, "directory-replaced setting=queue.directory", queue) == 1)
    shutil.rmtree(queue)
    ok(f"queue.directory {queue} is missing" in house.posthouse("check").stderr, "check knows of a queue directory that is missing")
    old.rename(queue)
    ok("replaced" not in house.posthouse("status").stdout, "put back it is the one in use")
    old = copied(queue)
    ok(said in house.posthouse("status").stdout, "another one again")
    house.kill("queued")
    ok("replaced" not in house.posthouse("status").stdout, "which a new queued works in")
    shutil.rmtree(old)

    log, kept = house.directory / "log", house.directory / "log.kept"
    os.link(log, kept)
    log.unlink()
    ok(f"error: log.to {log} is missing: lines go to the file that was there; run posthouse reload" in house.posthouse("check").stderr,
       "a log that was removed is told by check")
    log.touch()
    ok(f"log.to {log} is another file than the one in use" in house.posthouse("check").stderr, "so is another one in its place")
    kept.rename(log)
    ok("log.to" not in house.posthouse("status").stdout, "and nothing of the right one")

    state = house.directory / "state"
    old = copied(state)
    check = house.posthouse("check")
    ok(re.search(rf"error: {re.escape(str(state))}/generations/\d+ is another directory than the one in use; run posthouse reload$", check.stderr, re.M),
       "a copy of the state directory in its place is told by check", check.stderr)
    house.posthouse("reload")
    ok("replaced" not in house.posthouse("status").stdout, "and in use after a reload")

    conf = pathlib.Path(house.env["CONF"]) / "posthouse.conf"
    text, group = conf.read_text(), grp.getgrall()[0].gr_name
    conf.write_text(f"{text}control.group {group}\n")
    late = f"control.group {group} is not in force: the control socket has been for no group since the start; run posthouse stop and posthouse start"
    for words in (("build", "--reload"), ("reload",)):
        answer = house.posthouse(*words)
        is_((answer.returncode, answer.stderr.count(f"posthouse: warning: {late}\n")), (0, 1), f"another control.group: {' '.join(words)} says when it counts")
    ok(f"replaced     {late}" in house.posthouse("status").stdout, "and status")
    ok(f"error: {late}" in house.posthouse("check").stderr, "and check")
    conf.write_text(text)
    is_((house.posthouse("build", "--reload").stderr, "control.group" in house.posthouse("status").stdout), ("", False), "without it there is nothing to say")

    own = ["unshare", "-m", "--propagation", "private"]
    if os.geteuid() != 0 or not shutil.which("unshare") or subprocess.run([*own, "true"], capture_output=True).returncode:
        skip("a group that is removed after the build", "needs root and a mount namespace")
    else:
        conf.write_text(f"{text}control.group phgone\n")
        (house.directory / "group").write_text(pathlib.Path("/etc/group").read_text() + "phgone:x:61234:\n")
        built = subprocess.run([*own, "sh", "-c", 'mount --bind "$1/group" /etc/group && "$1/bin/posthouse" -c "$2" build', "sh", house.directory, house.env["CONF"]],
                               capture_output=True, text=True)
        is_(built.returncode, 0, "a generation with a group that is removed since")
        house.posthouse("stop")
        answer = house.posthouse("start", env={**os.environ, "POSTHOUSE_PROGRAMS": f"{house.directory}/bin"})
        why = "control.group phgone is not in force: the control socket has been for no group since the start, when there was no such group: make it, or set another"
        ok(answer.returncode == 0 and f"posthouse: warning: {why}" in answer.stderr, "the start goes on and says so", answer.stderr)
        is_(oct((house.directory / "run/control").stat().st_mode & 0o777), "0o600", "and lets in nobody else")
        ok(f"replaced     {why}" in house.posthouse("status").stdout and house.logs("event=group-missing control.group=phgone"), "so do status and the log")
        conf.write_text(text)
        house.posthouse("build", "--reload")
done()
