#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""An edit of a map restarts nobody: the programs with their memory and the sessions of clients stay, and what the edit says is
in force when the command ends. What is another program's alone, as a certificate, replaces that program alone."""
import base64
import contextlib
import os
import pathlib
import re
import signal
import smtplib
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import processes  # noqa: E402
from house import House  # noqa: E402
from lineclient import LineClient, tls_context  # noqa: E402
from tap import done, is_, ok  # noqa: E402

EDITS, IDLE, GUESSES = 40, 20, 4
DELAY_MS = 100  # the setting's default would keep the test waiting
RESIDENT = [name for name in processes.table() if name not in ("pop3d", "imapd", "local")]


def pids(house):
    return {name: house.pid(name) for name in RESIDENT}


def replaced(house, before):
    return [name for name, pid in pids(house).items() if pid != before[name]]


def below(house):
    """Every process of the house, but for those of deliveries."""
    return sorted(f"{p.name} {p.pid}" for p in processes.below(int(house.env["MASTER_PID"])) if p.name != "local")


def user(number):
    return f"u{number:04}@example.test"


def idle_session(house, number):
    client = LineClient(house, "IMAPS")
    is_good = client.ask(f"a LOGIN {user(number)} pw").startswith("a OK")
    client.say("b SELECT INBOX")
    while not (line := client.line()).startswith("b "):
        is_good = is_good and line != ""
    return client, is_good and client.ask("c IDLE").startswith("+")


def rcpt(house, address):
    with smtplib.SMTP(house.env["HOST"], house.port("SMTP"), timeout=120) as smtp:
        smtp.ehlo("client.example")
        smtp.mail("a@elsewhere.test")
        return smtp.rcpt(address)[0]


def resumes(house, context, session):
    """The session of a handshake that has been used, and whether it was the one offered."""
    with LineClient(house, "IMAPS", context, session) as client:
        client.ask("x NOOP")
        return client.socket.session, client.socket.session_reused


def logins(house, pattern):
    return re.findall(rf"event=auth service=imap user=<u0001@example.test> .*{pattern}", house.log())


def log_in(house, password="pw"):
    with LineClient(house, "IMAPS") as client:
        return client.ask(f"a LOGIN {user(1)} {password}")[:4]


def guess(house):
    """How long the guesser waits for the answer, in milliseconds."""
    with LineClient(house, "IMAPS") as client:
        began = time.monotonic()
        client.ask(f"a LOGIN {user(2)} wrong")
        return int((time.monotonic() - began) * 1000)


def edit(house, number):
    """Alias, user and password, each made, changed and taken away again; 0, or what went wrong."""
    address = f"new{number // 5}@example.test"
    words = (("alias", "add", f"alias{number}@example.test", user(1)),
             ("user", "add", address, "--password-stdin"),
             ("user", "passwd", address, "--password-stdin"),
             ("user", "set", address, "quota=5M"),
             ("user", "del", address))[number % 5]
    answer = house.posthouse(*words, input="secret\n")
    return answer.returncode or 0


def check_edits(house):
    context = tls_context()
    ticket, _ = resumes(house, context, None)
    sessions = [idle_session(house, 10 + n) for n in range(IDLE)]
    is_(sum(good for _, good in sessions), IDLE, f"{IDLE} sessions in IDLE")
    is_(log_in(house), "a OK", "one who logs in and out")
    pop3, smtp = LineClient(house, "POP3"), LineClient(house, "SMTP")
    pop3.ask("AUTH PLAIN")
    for line in ("HELO client.example", "MAIL FROM:<a@elsewhere.test>", f"RCPT TO:<{user(1)}>", "DATA"):
        answer = smtp.ask(line)
    is_(answer[:3], "354", "a message under way")
    smtp.say("Subject: half\r\n\r\nhalf a message")
    waits = [guess(house)]
    house.wait_for("those who are gone to end", lambda: house.posthouse("who").stdout.count("\n") == IDLE + 1)
    before, there = pids(house), below(house)
    codes = []
    for number in range(EDITS):
        codes.append(edit(house, number))
        if number % (EDITS // (GUESSES - 1)) == 0 and len(waits) < GUESSES:
            waits.append(guess(house))
    is_(codes, [0] * EDITS, f"{EDITS} edits")
    is_(replaced(house, before), [], "every program is the one that it was")
    is_([process for process in there if process not in below(house)], [], "and every worker")
    ok("event=died" not in house.log(), "none has died")
    is_([client.ask("DONE")[:4] for client, _ in sessions], ["c OK"] * IDLE, "no session was cut")
    ok(all(wait >= DELAY_MS << n for n, wait in enumerate(waits)), f"the delays of a guesser go on: {waits} ms")
    remembered = len(logins(house, "cached=1"))
    is_(log_in(house), "a OK", "a password that was right")
    house.wait_for("its line", lambda: len(logins(house, "cached=1")) == remembered + 1)
    ok(True, "is remembered still")
    ok(resumes(house, context, ticket)[1], "a ticket of before resumes its session")
    is_(pop3.ask(base64.b64encode(f"\0{user(3)}\0pw".encode()).decode())[:3], "+OK", "the AUTH is answered")
    is_(smtp.ask(".")[:3], "250", "the message is taken")
    for client in [pop3, smtp] + [client for client, _ in sessions]:
        client.close()


def check_in_force(house):
    """When the command has ended, and for sessions within a second."""
    before = pids(house)
    is_([rcpt(house, "later@example.test"), house.posthouse("alias", "add", "later@example.test", user(1)).returncode,
         rcpt(house, "later@example.test")], [550, 0, 250], "an alias is known at once")
    is_([house.posthouse("alias", "del", "later@example.test").returncode, rcpt(house, "later@example.test")], [0, 550], "and gone at once")
    (locked, _), (stays, _) = (idle_session(house, number) for number in (4, 5))
    is_(house.posthouse("user", "set", user(4), "state=locked").returncode, 0, "a user is locked")
    ok(locked.line().startswith("* BYE") and locked.line() == "", "whose session ends")
    is_(stays.ask("DONE")[:4], "c OK", "that of another goes on")
    is_(log_in(house), "a OK", "a login")
    is_(house.posthouse("user", "passwd", user(1), "--password-stdin", input="another\n").returncode, 0, "and another password")
    is_([log_in(house), log_in(house, "another")], ["a NO", "a OK"], "the one of before is not right any more")
    with contextlib.closing(stays):
        stays.say("d IDLE")
        stays.line()
        is_(house.posthouse("user", "del", user(5)).returncode, 0, "a user is removed")
        ok(stays.line().startswith("* BYE"), "and so is the session")
    is_(replaced(house, before), [], "all this replaces nobody")


def certificate(house):
    conf = pathlib.Path(house.env["CONF"])
    key, chain = conf / "keys/house.pem", conf / "certs/house.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                    "-out", chain, "-subj", "/CN=x", "-addext", "subjectAltName=DNS:mail.example.test"], check=True, capture_output=True)
    key.chmod(0o600)


def setting(house, key, value):
    conf = pathlib.Path(house.env["CONF"]) / "posthouse.conf"
    others = [line for line in conf.read_text().splitlines() if line.split()[:1] != [key]]
    conf.write_text("\n".join([*others, f"{key} {value}", ""]))


def check_others(house):
    """What changes, and whom a reload replaces for it."""
    for what, change, wanted in (
            ("nothing", lambda: None, []),
            ("a certificate and its key", lambda: certificate(house), ["keyd", "porter"]),
            ("a setting of remote and of dnsd", lambda: setting(house, "remote.agents-max", "40"), ["dnsd", "remote"]),
            ("a setting of queued alone", lambda: setting(house, "queue.retry-max", "2h"), []),
            ("a setting of resolved", lambda: setting(house, "submission.sender", "any"), ["resolved"]),
            ("a setting of nobody", lambda: setting(house, "generations.keep", "5"), []),
            ("a listener", lambda: setting(house, "listen.pop3s", ""), ["porter"]),
            ("the binary of dnsd", lambda: house.other_binaries("dnsd"), ["dnsd"])):
        before = pids(house)
        change()
        is_(house.posthouse("build", "--reload").returncode, 0, f"{what}: a reload")
        is_(replaced(house, before), wanted, f"replaces {' and '.join(wanted) or 'nobody'}")
        is_([log_in(house, "another"), rcpt(house, user(1))], ["a OK", 250], "and all work on")


def in_use(house):
    return int(re.search(r"^generation +(\d+)$", house.posthouse("status").stdout, re.M)[1])


def check_readers(house):
    """Whom an edit waits for."""
    resolved = house.pid("resolved")
    os.kill(resolved, signal.SIGSTOP)
    before = in_use(house)
    edit = subprocess.Popen([str(house.directory / "bin/posthouse"), "-c", house.env["CONF"], "alias", "add", "two@example.test", user(1)],
                            stdin=subprocess.DEVNULL)
    house.wait_for("the generation to be taken", lambda: in_use(house) > before)
    ok(edit.poll() is None, "an edit waits for who has to take it")
    os.kill(resolved, signal.SIGKILL)
    is_(edit.wait(), 0, "until it has died")
    house.wait_for("another one", lambda: house.pid("resolved") != resolved)
    is_(rcpt(house, "two@example.test"), 250, "whose successor has it")


def was_remembered(house):
    """Was the password of the next login?"""
    before = logins(house, "result=ok")
    log_in(house, "another")
    house.wait_for("its line", lambda: len(logins(house, "result=ok")) > len(before))
    return "cached=1" in logins(house, "result=ok cached=. ")[-1]


def check_left_behind(house):
    """What a program leaves to the one that replaces it: not after a death, nor to another binary."""
    context = tls_context()
    log_in(house, "another")
    ticket, _ = resumes(house, context, None)
    for what, change, program, wanted in (
            ("another certificate", lambda: certificate(house), "porter", [True, True]),
            ("another setting of porter", lambda: setting(house, "porter.rate-per-second", "200"), "porter", [True, True]),
            ("another binary of porter", lambda: house.other_binaries("porter"), "porter", [False, True]),
            ("another setting of authd", lambda: setting(house, "auth.workers", "3"), "authd", [True, True]),
            ("another binary of authd", lambda: house.other_binaries("authd"), "authd", [True, False])):
        before = house.pid(program)
        change()
        is_(house.posthouse("build", "--reload").returncode, 0, what)
        house.wait_for_heirs(program)
        fresh, resumed = resumes(house, context, ticket)
        is_([house.pid(program) != before, resumed, was_remembered(house)], [True, *wanted],
            f"replaces {program}: tickets are {'' if wanted[0] else 'not '}resumed, passwords {'' if wanted[1] else 'not '}remembered")
        ticket = ticket if resumed else fresh
    guess(house)
    setting(house, "auth.workers", "2")
    house.posthouse("build", "--reload")
    house.wait_for_heirs("authd")
    ok(guess(house) >= 2 * DELAY_MS, "and the delays of a guesser go on")
    house.kill("porter")
    house.wait_for("TLS", lambda: log_in(house, "another") == "a OK")
    house.kill("authd")
    is_([resumes(house, context, ticket)[1], was_remembered(house)], [False, False], "one that has died leaves nothing")
    check_died_before_reload(house)


def check_died_before_reload(house):
    """Its successor is started by the reload: for one that dies early the delay is a second or more."""
    ok(was_remembered(house), "what the next one remembers")
    os.kill(house.pid("authd"), signal.SIGKILL)
    is_(house.posthouse("reload").returncode, 0, "a reload while nobody runs")
    before = len(logins(house, "result=ok cached=. "))
    house.wait_for("authd", lambda: log_in(house, "another") == "a OK")
    house.wait_for("its line", lambda: len(logins(house, "result=ok cached=. ")) > before)
    ok("cached=0" in logins(house, "result=ok cached=. ")[before], "nor does one in whose place a reload starts another")


with House("--users", "40", "--set", f"auth.failure-delay {DELAY_MS}ms", "--set", "porter.clients-per-address 200",
           "--set", "auth.without-tls yes") as house:
    check_edits(house)
    check_in_force(house)
    check_others(house)
    check_left_behind(house)
    check_readers(house)
done()
