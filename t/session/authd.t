#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""authd between session programs and master, both played here: verdicts, hand-over, delays, rights, cache, reload."""
import fcntl
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import processes
import waiting
import wireauth as a
import wirehouse as w
from tap import done, is_, ok

ARGON2 = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"  # "password"
SHA512 = subprocess.run(["openssl", "passwd", "-6", "-salt", "salt", "password"], capture_output=True, text=True).stdout.strip()
SETTINGS = "mail.domain example.test\nauth.failure-delay 200ms\nauth.workers 2\nmailbox.uid 4000\nmailbox.gid 4000\n"
NAMES = ["anna", "bert", "carl", "dora", "emil"]
MAPS = {
    "domains": "example.test mailboxes\n",
    "users": "anna@example.test uid=4001 gid=4002 home=anna quota=1M\nbert@example.test rights=pop3\n"
             "carl@example.test state=locked\ndora@example.test\nemil@example.test\n",
    "passwords": f"anna@example.test {ARGON2}\nbert@example.test {SHA512}\ncarl@example.test {SHA512}\n"
                 f"dora@example.test $y$j9T$damaged\nemil@example.test {SHA512}\n",
}


class Authd:
    def __init__(self, directory, settings=SETTINGS, maps=MAPS):
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.wires, given = {}, {"generation": w.generation(directory, settings, maps)}
        for name in ("smtpd", "pop3-login", "imap-login"):
            self.wires[name], given[f"{name}.auth"] = w.pair()
        self.wires["sessions"], given["imapd.session"] = w.pair()
        self.given = given
        self.directory = directory
        self.program = self.another()

    def another(self):
        program = w.Program("authd", self.given, self.directory)
        program.wait_ready()
        return program

    def line(self, program="smtpd"):
        return w.dial(self.wires[program], "auth")

    @staticmethod
    def wait_read(line):
        while fcntl.ioctl(line, termios.TIOCOUTQ, b"\0" * 4) != b"\0" * 4:
            select.select([], [], [], 0.01)

    def wait_heard(self, lines):
        """All that was said on them has been read, and what was read before an answer has been worked on."""
        for line in lines:
            self.wait_read(line)
        ask(self.line(), a.SUBMISSION, "PLAIN", plain("emil", "password"))


def plain(user, password, authzid=""):
    return f"{authzid}\0{user}\0{password}".encode()


def ask(line, *words, **more):
    w.send(line, a.begin(*words, **more))
    return a.get_result(w.receive(line))


def timed(line, *words, **more):
    began = time.monotonic()
    return ask(line, *words, **more)[0], time.monotonic() - began


def is_closed(line):
    return w.receive(line) is None


def test_verdicts(house):
    line = house.line()
    is_(ask(line, a.SUBMISSION, "PLAIN", plain("anna@example.test", "password")), (a.OK, "anna@example.test", 0), "argon2id")
    is_(ask(line, a.SUBMISSION, "PLAIN", plain("Emil@Example.TEST", "password")), (a.OK, "emil@example.test", 0), "sha512-crypt, and case")
    is_(ask(line, a.SUBMISSION, "PLAIN", plain("emil", "password")), (a.OK, "emil@example.test", 0), "a name without domain gets mail.domain")
    is_(ask(line, a.SUBMISSION, "PLAIN", plain("emil", "Password"))[0], a.DENIED, "a wrong password")
    is_(ask(line, a.SUBMISSION, "PLAIN", plain("nobody", "password"))[0], a.DENIED, "an unknown user")
    is_(ask(line, a.SUBMISSION, "PLAIN", plain("emil", "password", "anna"))[0], a.DENIED, "for another")
    is_(ask(line, a.SUBMISSION, "PLAIN", plain("bert", "password"))[0], a.FORBIDDEN, "no right to submit")
    is_(ask(line, a.SUBMISSION, "PLAIN", plain("carl", "password"))[0], a.FORBIDDEN, "a locked account")
    is_(ask(line, a.SUBMISSION, "PLAIN", plain("dora", "password"))[0], a.TEMPORARY, "a damaged hash")
    is_(ask(line, a.SUBMISSION, "PLAIN", b"nonsense")[0], a.MALFORMED, "no message of PLAIN")
    is_(ask(line, a.SUBMISSION, "NTLM", b"x")[0], a.MALFORMED, "an unknown mechanism")
    is_(ask(line, a.SUBMISSION, "PLAIN", plain("emil", "password"), tls=False)[0], a.MALFORMED, "clear text without TLS")
    w.send(line, a.begin(a.SUBMISSION, "LOGIN"))
    for prompt, said in ((b"Username:", b"emil"), (b"Password:", b"password")):
        message = w.receive(line)
        is_((message.kind, message.view()), (a.CHALLENGE, prompt), f"LOGIN asks for {prompt.decode()}")
        w.send(line, w.Out(a.ANSWER).view(said).view(b""))
    is_(a.get_result(w.receive(line))[0], a.OK, "LOGIN")
    w.send(line, a.begin(a.SUBMISSION, "LOGIN"))
    w.receive(line)
    w.send(line, w.Out(a.CANCEL))
    is_(ask(line, a.SUBMISSION, "PLAIN", plain("emil", "password"))[0], a.OK, "after a cancelled exchange the next")


def test_out_of_turn(house):
    line = house.line()
    w.send(line, w.Out(a.ANSWER).view(b"x").view(b""))
    ok(is_closed(line), "an answer that nobody asked for ends the line")
    line = house.line()
    w.send(line, a.begin(a.SUBMISSION, "LOGIN"))
    w.send(line, a.begin(a.SUBMISSION, "LOGIN"))
    w.receive(line)
    ok(is_closed(line), "two exchanges at once end the line")
    line = house.line()
    w.send(line, w.Out(a.BEGIN).byte(0).view("PLAIN"))
    ok(is_closed(line), "half a message ends the line")
    mine, theirs = socket.socketpair()
    line = house.line()
    is_(ask(line, a.IMAP, "PLAIN", plain("emil", "password"), fd=theirs)[0], a.MALFORMED, "smtpd's wire may not hand over mailbox sessions")
    line = house.line("imap-login")
    is_(ask(line, a.POP3, "PLAIN", plain("emil", "password"), fd=theirs)[0], a.MALFORMED, "nor imap-login's speak for POP3")
    theirs.close()
    mine.settimeout(w.PATIENCE_SECONDS)
    is_(mine.recv(1), b"", "and the client's descriptor is closed")


def test_hand_over(house):
    client, theirs = socket.socketpair()
    watched, token = socket.socketpair()
    line = house.line("imap-login")
    got = ask(line, a.IMAP, "PLAIN", plain("anna", "password"), fd=theirs, token=token, tag="a1", pending=b"a2 NOOP\r\n")
    is_(got, (a.OK, "", 1), "handed over, and the login program hears no name")
    theirs.close()
    token.close()
    work = w.receive(house.program.master)
    is_((work.kind, work.byte(), work.u32(), work.u32()), (a.OWNER_WORK, a.IMAPD, 4001, 4002), "master is asked for imapd as the owner")
    rest = w.In(bytes([a.OWNER_WORK]) + work.view(), work.fds)
    is_([rest.string(), rest.string(), rest.string(), rest.view(), rest.u64(), rest.address()[0]],
        ["anna@example.test", f"{house.directory}/mail/anna", "a1", b"a2 NOOP\r\n", 7, "192.0.2.1"], "and given what imapd needs")
    a.get_tls(rest)
    is_((rest.u64(), rest.u64() != 0, rest.byte(), len(rest.fds)), (1 << 20, True, 1, 2), "quota, stamp, client and token")
    mailbox = socket.socket(fileno=rest.fd())
    mailbox.sendall(b"hello")
    is_(client.recv(10), b"hello", "the descriptor is the client's")
    os.close(rest.fd())
    watched.settimeout(w.PATIENCE_SECONDS)
    is_(watched.recv(1), b"", "nobody else holds the token")

    client, theirs = socket.socketpair()
    line = house.line("pop3-login")
    is_(ask(line, a.POP3, "PLAIN", plain("bert", "password"), fd=theirs)[0], a.OK, "the right to POP3")
    work = w.receive(house.program.master)
    is_((work.byte(), work.u32()), (a.POP3D, 4000), "pop3d, as the owner of all mailboxes")
    for fd in work.fds:
        os.close(fd)
    line = house.line("imap-login")
    is_(ask(line, a.IMAP, "PLAIN", plain("bert", "password"), fd=theirs)[0], a.FORBIDDEN, "is not one to IMAP")


def test_crowd_hands_over(house):
    """More than master's wire has room for, while master does something else."""
    crowd, pending = 100, b"a NOOP\r\n" * 2000
    _, theirs = socket.socketpair()
    lines = [house.line("imap-login") for _ in range(crowd)]
    for number, line in enumerate(lines):
        w.send(line, a.begin(a.IMAP, "PLAIN", plain("anna", "password"), fd=theirs, tag=f"a{number}", pending=pending))
    theirs.close()
    house.wait_heard(lines)
    waiting = sorted(set(range(crowd)) - {lines.index(line) for line in select.select(lines, [], [], 0)[0]})
    ok(len(waiting) > 1, "they wait for master", f"{len(waiting)} of {crowd}")
    lines.pop(waiting[0]).close()
    is_(ask(house.line(), a.SUBMISSION, "PLAIN", plain("emil", "password"))[0], a.OK, "who needs no master is answered meanwhile")
    taken = set()
    for _ in lines:
        work = w.receive(house.program.master)
        rest = w.In(bytes([a.OWNER_WORK]) + (work.byte(), work.u32(), work.u32(), work.view())[3], work.fds)
        rest.string(), rest.string()
        taken.add(rest.string())
        for fd in work.fds:
            os.close(fd)
    is_(taken, {f"a{number}" for number in range(crowd)} - {f"a{waiting[0]}"}, "each is handed over when master has room, but one who has left")
    is_({a.get_result(w.receive(line)) for line in lines}, {(a.OK, "", 1)}, "and told so")


def facts(number, service, account, stamp):
    return w.Out(a.SESSION_CHECK).u64(number).byte(service).view(account).address("192.0.2.1", 4711).byte(1).u64(stamp)


def checked(line, number, service, account, stamp):
    """Is the session to end? Only those that are have an answer: one follows that is."""
    w.send(line, facts(number, service, account, stamp))
    w.send(line, facts(99, service, "nobody@example.test", stamp))
    ended = []
    while not ended or ended[-1] != 99:
        message = w.receive(line)
        assert message.kind == a.SESSION_END
        while message.rest:
            ended.append(message.u64())
    return number in ended


def stamp_of(house, user, password):
    line = house.line()
    w.send(line, a.begin(a.SUBMISSION, "PLAIN", plain(user, password)))
    message = w.receive(line)
    return (message.byte(), message.string(), message.byte(), message.u64())[3]


def test_standing(house):
    """Open sessions: does the account stand as it did?"""
    stamp = stamp_of(house, "emil", "password")
    line = w.dial(house.wires["sessions"], "session")
    ok(not checked(line, 1, a.IMAP, "emil@example.test", stamp), "a session goes on whose account is as it was")
    ok(checked(line, 2, a.IMAP, "emil@example.test", stamp ^ 1), "one ends whose account had another password or home")
    ok(checked(line, 3, a.IMAP, "bert@example.test", stamp), "or that has no right to the service")
    w.send(line, w.Out(a.SESSION_CHECK).u64(1).byte(200))
    ok(is_closed(line), "who asks nonsense is not heard any more")
    moved = Authd(house.directory / "moved", maps={**MAPS, "users": MAPS["users"].replace("emil@example.test", "emil@example.test home=elsewhere")})
    ok(stamp_of(moved, "emil", "password") != stamp, "another home is another stamp")
    moved.program.stop()
    twice = Authd(house.directory)
    is_(stamp_of(twice, "emil", "password"), stamp, "an authd that is started anew has the same")
    twice.program.stop()


def test_delays_and_cache(house):
    line = house.line()
    waits = [timed(line, a.SUBMISSION, "PLAIN", plain("fred", "wrong"), client="198.51.100.1") for _ in range(3)]
    grain = 0.005  # the loop counts milliseconds from the beginning of its round
    ok(all(waited >= wanted - grain for (_, waited), wanted in zip(waits, (0.2, 0.4, 0.8))), "failures wait longer and longer", waits)
    for _ in range(50):
        ask(line, a.SUBMISSION, "PLAIN", plain("anna", "password"))
    log = house.program.log()
    ok("user=<anna@example.test>" in log and log.count("user=<anna@example.test> client=192.0.2.1 mechanism=PLAIN tls=1 result=ok cached=1") >= 50,
       "a returning client costs no hash")
    ok("wrong" not in log, "no password is in the log")


def test_success_does_not_wait(directory):
    """Told by order, not by the clock: a failure waits for longer than the test lives."""
    house = Authd(directory, SETTINGS.replace("auth.failure-delay 200ms", "auth.failure-delay 30s"))
    try:
        failed, same, other = house.line(), house.line(), house.line()
        w.send(failed, a.begin(a.SUBMISSION, "PLAIN", plain("fred", "wrong"), client="198.51.100.1"))
        house.program.wait_log("user=<fred@example.test>")
        is_(ask(same, a.SUBMISSION, "PLAIN", plain("emil", "password"), client="198.51.100.1")[0], a.OK, "what is right is answered")
        is_(ask(other, a.SUBMISSION, "PLAIN", plain("emil", "password"))[0], a.OK, "to another client too")
        is_(select.select([failed], [], [], 0)[0], [], "while the failure waits")
    finally:
        house.program.stop()


def test_many_at_once(house):
    lines = [house.line() for _ in range(40)]
    for n, line in enumerate(lines):
        w.send(line, a.begin(a.SUBMISSION, "PLAIN", plain(NAMES[n % 2 * 4], "password"), client=f"203.0.113.{n}"))
    is_({a.get_result(w.receive(line))[0] for line in lines}, {a.OK}, "forty at once")
    for n, line in enumerate(lines):
        w.send(line, a.begin(a.SUBMISSION, "PLAIN", plain(f"user{n}", f"wrong{n}"), client=f"203.0.113.{n}"))
    for line in lines[:20]:
        line.close()
    is_(ask(house.line(), a.SUBMISSION, "PLAIN", plain("emil", "password"))[0], a.OK, "clients that leave do not stop it")
    is_({a.get_result(w.receive(line))[0] for line in lines[20:]}, {a.DENIED}, "those who stay get their answers")


def test_guesses_from_the_same_address(directory):
    """An account that has logged in from there, when its password is not remembered."""
    house = Authd(directory, SETTINGS.replace("auth.failure-delay 200ms", "auth.failure-delay 30s") + "auth.cache-lifetime 0s\n")
    here, lines = "198.51.100.1", [house.line() for _ in range(11)]
    try:
        is_(ask(lines[0], a.SUBMISSION, "PLAIN", plain("emil", "password"), client=here)[0], a.OK, "emil logs in")
        for n, line in enumerate(lines[1:]):
            w.send(line, a.begin(a.SUBMISSION, "PLAIN", plain(f"user{n}", "wrong"), client=here))
            house.program.wait_log(f"user=<user{n}@example.test>")
        is_(ask(lines[0], a.SUBMISSION, "PLAIN", plain("emil", "password"), client=here)[0], a.OK, "and is not kept out by guesses at others from its address")
    finally:
        house.program.stop()


def test_guesses_from_another_network(directory):
    """From one in which the account has logged in, too; its password is not remembered."""
    house = Authd(directory, SETTINGS.replace("auth.failure-delay 200ms", "auth.failure-delay 30s") + "auth.cache-lifetime 0s\n")
    home, cafe, lines = "203.0.113.1", "198.51.100.1", [house.line() for _ in range(11)]
    try:
        for place in (home, cafe):
            is_(ask(lines[0], a.SUBMISSION, "PLAIN", plain("emil", "password"), client=place)[0], a.OK, "emil logs in")
        for n, line in enumerate(lines):
            w.send(line, a.begin(a.SUBMISSION, "PLAIN", plain("emil", "wrong"), client=cafe))
            ok(waiting.comes(lambda: house.program.log().count("event=auth ") >= n + 3, w.PATIENCE_SECONDS), f"guess {n + 1} has its result")
        is_(ask(house.line(), a.SUBMISSION, "PLAIN", plain("emil", "password"), client=home)[0], a.OK,
            "and is not kept out at home by guesses from a network in which they have been")
    finally:
        house.program.stop()


def test_crowd_of_guesses(directory):
    """More guesses from one network than may wait, then a right password from elsewhere."""
    house = Authd(directory, SETTINGS.replace("auth.workers 2", "auth.workers 1"))
    worker, = processes.children(house.program.process.pid)
    os.kill(worker, signal.SIGSTOP)
    honest, crowd = house.line(), [house.line() for _ in range(127)]
    crowd += [house.line("pop3-login") for _ in range(2)]
    _, theirs = socket.socketpair()
    try:
        for n, line in enumerate(crowd):
            words = (a.SUBMISSION, None) if n < 127 else (a.POP3, theirs)
            w.send(line, a.begin(words[0], "PLAIN", plain(f"user{n}", "wrong"), client=f"2001:db8:1:{n:x}::1", fd=words[1]))
            if n == 0:
                house.wait_read(line)  # that one is with the worker
        for line in crowd:
            house.wait_read(line)
        w.send(honest, a.begin(a.SUBMISSION, "PLAIN", plain("emil", "password")))
        house.program.wait_log("event=auth-busy count=1 ")
        os.kill(worker, signal.SIGCONT)
        is_(a.get_result(w.receive(honest)), (a.OK, "emil@example.test", 0), "a right password from another network is checked")
        before = house.program.log().split("user=<emil@example.test>")[0].count("result=denied")
        ok(before <= 5, "before most guesses of the crowd", before)
        results = [a.get_result(w.receive(line))[0] for line in crowd]
        is_((results.count(a.DENIED), results.count(a.TEMPORARY)), (128, 1), "for which one of these is told to come later, not that it is wrong")
    finally:
        theirs.close()
        house.program.stop()


def test_worker_death(house):
    children = processes.children(house.program.process.pid)
    is_(len(children), 2, "two workers")
    for pid in children:
        os.kill(int(pid), signal.SIGKILL)
    line = house.line()
    verdict = ask(line, a.SUBMISSION, "PLAIN", plain("who", "wrong"), client="198.51.100.9")[0]
    ok(verdict in (a.DENIED, a.TEMPORARY), "an answer comes when the workers die", verdict)
    is_(ask(line, a.SUBMISSION, "PLAIN", plain("whoelse", "wrong"), client="198.51.100.8")[0], a.DENIED, "and others take their place")


def test_reload(house):
    busy, idle, checking = house.line(), house.line(), house.line()
    is_(ask(idle, a.SUBMISSION, "PLAIN", plain("emil", "password"))[0], a.OK, "a line is open")
    w.send(busy, a.begin(a.SUBMISSION, "LOGIN"))
    w.receive(busy)
    workers = processes.children(house.program.process.pid)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    w.send(checking, a.begin(a.SUBMISSION, "PLAIN", plain("emil", "wrong")))
    old = house.program
    house.program = house.another()
    old.signal(signal.SIGHUP)
    is_(w.receive(idle).kind, a.GONE, "an idle line hears that nothing more is heard")
    ok(is_closed(idle), "and is closed for the successor's sake")
    is_(ask(house.line(), a.SUBMISSION, "PLAIN", plain("emil", "password"))[0], a.OK, "who answers on a new one")
    w.send(busy, w.Out(a.ANSWER).view(b"emil").view(b""))
    w.receive(busy)
    w.send(busy, w.Out(a.ANSWER).view(b"password").view(b""))
    is_(a.get_result(w.receive(busy))[0], a.OK, "an exchange under way is finished")
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    is_(a.get_result(w.receive(checking))[0], a.DENIED, "so is a check that its workers had begun")
    for line in (busy, checking):
        is_([w.receive(line).kind, is_closed(line)], [a.GONE, True], "and its line let go")
    is_(old.wait(), 0, "and the old one ends")
    lines = [house.line() for _ in range(129)]
    is_(w.receive(lines[-1]).kind, a.GONE, "a line too many hears that it is not heard")
    house.program.signal(signal.SIGTERM)
    is_(house.program.wait(), 0, "SIGTERM ends it")


def main():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-authd."))
    house = Authd(directory)
    patient = directory / "patient"
    patient.mkdir()
    try:
        for test in (test_verdicts, test_out_of_turn, test_hand_over, test_crowd_hands_over, test_standing, test_delays_and_cache, test_many_at_once, test_worker_death,
                     test_reload):
            test(house)
        test_success_does_not_wait(patient)
        test_crowd_of_guesses(directory / "crowd")
        test_guesses_from_the_same_address(directory / "same")
        test_guesses_from_another_network(directory / "another")
    except Exception:
        print("# " + house.program.log().replace("\n", "\n# "))
        raise
    finally:
        house.program.stop()
        shutil.rmtree(directory, ignore_errors=True)
    done()


main()
