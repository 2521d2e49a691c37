#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""remote facing a host that goes wrong at every single answer of a conversation, in every way, SMTP and LMTP, with pipelining and
without: what it reports done is held against the texts that the host has received, for each recipient. The same with a second
host behind it: whoever may have the message at the first gets none at the second. And a host that says something, or leaves, while nobody has asked it anything: no word of it is an answer to the next message."""
import concurrent.futures
import itertools
import pathlib
import re
import socket
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from fakesmtp import FakeHost, fake_certificate
from remotehouse import DONE, FAILED, MESSAGE, OWN_FAULT, RETRY, RemoteHouse
from tap import done, is_
from wirehouse import PATIENCE_SECONDS

LINES = 12
TIMES = "remote.timeout-command 1s\nremote.timeout-data 1s\nremote.timeout-connect 20s\nremote.timeout-idle 1s\n"
WAYS = {"close": None, "half": b"25", "garbage": b"what?\r\n", "421": b"421 4.3.2 closing\r\n", "450": b"450 4.2.1 later\r\n",
        "550": b"550 5.7.1 no\r\n", "250": b"250 2.0.0 fine\r\n", "354": b"354 go on\r\n", "220": b"220 hello\r\n",
        "199": b"199 what\r\n", "600": b"600 what\r\n", "two": None, "none": b""}


CLASSES = {DONE: "2", RETRY: "4", FAILED: "5", OWN_FAULT: "4"}


class Host:
    """One conversation, whose `step`th answer goes wrong in one `way`. `refused`: recipients it does not know; to the others it says
    `rcpt`. may_have: for whom it has a whole text, and has not said that it does not take it."""

    def __init__(self, lmtp, pipelining, recipients, refused, step, way, rcpt=b"250 2.1.5 ok\r\n"):
        self.lmtp, self.pipelining, self.recipients, self.refused = lmtp, pipelining, recipients, refused
        self.step, self.way, self.said, self.texts = step, way, 0, 0
        self.rcpt, self.taken, self.failed, self.may_have, self.known = rcpt, set(), set(), set(), []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        """It stays the same host when it is asked again."""
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                try:
                    self.talk(client, client.makefile("rb"))
                except (OSError, EOFError):
                    pass

    def end(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(PATIENCE_SECONDS)

    def answer(self, client, planned):
        """Says it, unless this is the answer that goes wrong; the class of what was said."""
        here, self.said = self.said == self.step, self.said + 1
        if not here:
            client.sendall(planned)
            return planned[:1]
        if self.way == "two":
            client.sendall(planned + planned.splitlines(True)[-1])
            return planned[:1]
        if self.way in ("close", "half"):
            client.sendall(WAYS[self.way] or b"")
            raise EOFError
        client.sendall(WAYS[self.way])
        if self.way == "421":
            raise EOFError
        return WAYS[self.way][:1]

    def talk(self, client, file):
        self.said, self.known = 0, []
        if self.answer(client, b"220 walk.test\r\n") == b"5":
            self.failed |= set(self.recipients)
        while line := file.readline():
            verb = line[:4].upper()
            if verb in (b"EHLO", b"LHLO"):
                if self.answer(client, b"250-walk.test\r\n250 PIPELINING\r\n" if self.pipelining else b"250 walk.test\r\n") == b"5" \
                        and self.lmtp:
                    self.failed |= set(self.recipients)
            elif verb == b"MAIL":
                if self.answer(client, b"250 2.1.0 ok\r\n") == b"5":
                    self.failed |= set(self.recipients)
            elif verb == b"RCPT":
                name = line.split(b"<")[1].split(b">")[0].decode()
                said = self.answer(client, b"550 5.1.1 unknown\r\n" if name in self.refused else self.rcpt)
                if said == b"5":
                    self.failed.add(name)
                elif said == b"2" or said != b"4" and name not in self.refused:
                    self.known.append(name)
            elif verb == b"DATA":
                said = self.answer(client, b"354 go on\r\n" if self.known else b"503 5.5.1 nobody\r\n")
                if said == b"5":
                    self.failed |= set(self.known)
                if said == b"3":
                    self.text(client, file)
            elif verb == b"QUIT":
                return
            else:
                client.sendall(b"250 2.0.0 ok\r\n")

    def text(self, client, file):
        body = b""
        while (line := file.readline()) != b".\r\n":
            if not line:
                raise EOFError
            body += line[1:] if line.startswith(b".") else line
        self.texts += body == MESSAGE
        for names in ([name] for name in self.known) if self.lmtp else [self.known]:
            before = set(self.may_have)
            self.may_have |= set(names) if body == MESSAGE else set()
            try:
                said = self.answer(client, b"250 2.0.0 taken\r\n")
            except EOFError:
                if self.way == "421":
                    self.may_have = before
                raise
            if said in (b"4", b"5"):
                self.may_have = before
            if said == b"2" and body == MESSAGE:
                self.taken |= set(names)
            elif said == b"5":
                self.failed |= set(names)


def steps(lmtp, recipients, refused):
    known = len(recipients) - len(refused)
    return 4 + len(recipients) + (known if lmtp else 1)  # greeting, EHLO, MAIL, RCPT, DATA, text


def cases():
    for lmtp, pipelining, (recipients, refused) in itertools.product(
            (False, True), (True, False), ((["a@w.test"], []), (["a@w.test", "b@w.test", "c@w.test"], []),
                                           (["a@w.test", "b@w.test", "c@w.test"], ["b@w.test"]))):
        yield lmtp, pipelining, recipients, refused, None, "right"
        for step, way in itertools.product(range(steps(lmtp, recipients, refused)), WAYS):
            yield lmtp, pipelining, recipients, refused, step, way


def wrong(remote, case):
    """What the report of this conversation says that is not so, or None."""
    lmtp, pipelining, recipients, refused, step, way = case
    host = Host(*case)
    found = remote.send(recipients, [("127.0.0.1", host.port)], lmtp=lmtp)
    outcomes = {to: outcome for to, (outcome, _, _) in found.items()}
    host.end()
    name = f"{'LMTP' if lmtp else 'SMTP'}, {'pipelining' if pipelining else 'in turn'}, {len(recipients)} recipients, " \
           f"{len(refused)} refused, answer {step}: {way}"
    if set(outcomes) != set(recipients):
        return f"{name}: answered for {outcomes}"
    odd = {to: said for to, said in found.items()
           if not re.fullmatch(CLASSES[said[0]] + r"\.\d{1,3}\.\d{1,3}", said[1]) or not said[2]}
    if odd:
        return f"{name}: no outcome has such a status (RFC 3463), or none a text: {odd}"
    reported = {n for n, o in outcomes.items() if o == DONE}
    untrue = reported - host.taken
    if untrue and lmtp and way == "none":
        # One of LMTP's answers to the text is missing: whose, nobody can say, for the host may as well be busy with the last.
        untrue = len(reported) > len(host.taken)
    if untrue:
        return f"{name}: {untrue} done, taken for {host.taken}, {host.texts} texts"
    untrue = {n for n, o in outcomes.items() if o == FAILED} - host.failed
    if untrue:
        return f"{name}: {untrue} failed, refused were {host.failed}"
    if step is None and (host.taken != set(recipients) - set(refused) or host.taken != reported):
        return f"{name}: {outcomes}, taken for {host.taken}"
    if step is None and {n for n, o in outcomes.items() if o == FAILED} != set(refused):
        return f"{name}: {outcomes}"
    return None


SECOND = {"takes": None, "refuses": b"550 5.7.1 no relaying\r\n", "does not know": b"550 5.1.1 who is that\r\n",
          "denies": b"550 5.4.1 Recipient address rejected: Access denied\r\n"}


def wrong_of_two(remote, case, second_says):
    """The same for a host with another one behind it, which takes all or refuses all in some words."""
    lmtp, pipelining, recipients, refused, step, way = case
    first = Host(*case)
    said = SECOND[second_says]
    second = Host(lmtp, pipelining, recipients, refused, None, "right", *[said] * (said is not None))
    found = remote.send(recipients, [("127.0.0.1", first.port), ("127.0.0.1", second.port)], lmtp=lmtp)
    first.end()
    second.end()
    reported = {outcome: {to for to, said in found.items() if said[0] == outcome} for outcome in CLASSES}
    name = f"{'LMTP' if lmtp else 'SMTP'}, {'pipelining' if pipelining else 'in turn'}, {len(recipients)} recipients, " \
           f"{len(refused)} refused, answer {step}: {way}, another host {second_says} them: {found}"
    if set(found) != set(recipients):
        return f"{name}: not all are answered for"
    if twice := first.may_have & second.taken:
        return f"{name}: {twice} may have it twice"
    untrue = reported[DONE] - first.taken - second.taken
    if untrue and not (lmtp and way == "none" and len(reported[DONE]) <= len(first.taken | second.taken)):
        return f"{name}: {untrue} are told done"
    if untrue := reported[FAILED] - first.failed - second.failed:
        return f"{name}: {untrue} are told failed"
    if way == "450" and said is None and reported[FAILED] | reported[RETRY] != set(refused):
        return f"{name}: the other host would have taken all but {refused}"
    if way != "550" and (untrue := reported[FAILED] - first.failed):
        return f"{name}: {untrue} failed, and the first, which was there, has not refused them"
    return None


class Idle(FakeHost):
    """After the first text it waits for speak(), and then says something unasked, and leaves or does not. With `crosses` it does so
    when the next command has come."""

    def __init__(self, words, leaves, crosses, **more):
        self.words, self.leaves, self.crosses = words, leaves, crosses
        self.go, self.spoken = threading.Event(), threading.Event()
        answers = {verb: self.crossing for verb in ("MAIL", "RCPT", "DATA", "RSET")} if crosses else {}
        super().__init__(answers=answers, after_text=self.after_first, **more)

    def after_first(self, session):
        if self.connections > 1 or self.crosses:
            return False
        self.go.wait()
        session.say(self.words)
        if self.leaves:
            session.client.shutdown(socket.SHUT_RDWR)
        self.spoken.set()
        return self.leaves

    def crossing(self, text):
        if self.connections > 1 or not self.messages:
            return None
        if self.leaves:
            return self.words if text.startswith("MAIL") else b"close"
        return self.words + b"250 2.1.0 ok\r\n" if text.startswith("MAIL") else None

    def speak(self):
        self.go.set()
        if not self.crosses:
            self.spoken.wait()


GOODBYES = (b"554 5.4.7 session limit reached\r\n", b"451 4.3.2 slow\r\n", b"421 4.3.2 idle\r\n", b"221 2.0.0 bye\r\n",
            b"250 2.0.0 ok\r\n", b"354 go on\r\n", b"25", b"")


def idle_cases():
    for lmtp, pipelining, tls, words in itertools.product((False, True), (True, False), (False, True), GOODBYES):
        for leaves, crosses in itertools.product((True, False), repeat=2):
            if words[3:4] == b" " or not crosses:
                yield lmtp, pipelining, tls, words, leaves, crosses


def wrong_after_idle(remote, case, certificate):
    lmtp, pipelining, tls, words, leaves, crosses = case
    host = Idle(words, leaves, crosses, lmtp=lmtp, certificate=certificate,
                extensions=["PIPELINING"] * pipelining + ["STARTTLS"] * tls)
    hop = [("127.0.0.1", host.port)]
    name = f"{'LMTP' if lmtp else 'SMTP'}, {'pipelining' if pipelining else 'in turn'}, {'TLS' if tls else 'in clear'}, " \
           f"{words} while idle{', and leaves' if leaves else ''}{', as the next command comes' if crosses else ''}"
    first = remote.send(["a@w.test"], hop, lmtp=lmtp)
    host.speak()
    before = len(host.lines)
    second = remote.send(["b@w.test", "c@w.test"], hop, lmtp=lmtp)
    since = [line for line in host.lines[before:] if line != "QUIT"]
    connections, texts = host.connections, [facts["tls"] for _, _, _, facts in host.messages]
    host.close()
    if {outcome for outcome, _, _ in [*first.values(), *second.values()]} != {DONE}:
        return f"{name}: {first}, {second}"
    if texts != [tls] * (3 if lmtp else 2):
        return f"{name}: texts in TLS: {texts}"
    silent = not words and not leaves
    if connections != (1 if silent else 2):
        return f"{name}: {connections} connections"
    if not silent and not crosses and since[0][1:4] != "HLO":
        return f"{name}: then it was told {since}"
    return None


with RemoteHouse(LINES, TIMES) as remote:
    everything = list(cases())
    with concurrent.futures.ThreadPoolExecutor(LINES) as pool:
        found = [said for said in pool.map(lambda case: wrong(remote, case), everything) if said]
    is_(found, [], f"{len(everything)} conversations, and nobody is told what is not so")
    everything = [case for case in everything if case[4] is not None and case[2:4] != (["a@w.test"], [])]
    for second_says in SECOND:
        with concurrent.futures.ThreadPoolExecutor(LINES) as pool:
            found = [said for said in pool.map(lambda case: wrong_of_two(remote, case, second_says), everything) if said]
        is_(found, [], f"{len(everything)} conversations with another host that {second_says} all: nobody has it twice, and nobody is returned whom the first "
            "has not refused")
    last = wrong(remote, (False, True, ["a@w.test", "b@w.test"], [], None, "right"))
    is_(last, None, "and mail goes on")
    for lmtp in (False, True):
        host = Host(lmtp, True, ["a@w.test", "b@w.test"], [], None, "right")
        got = remote.send(["a@w.test", "b@w.test"], [("127.0.0.1", host.port)], lmtp=lmtp, checksum=bytes(32))
        host.end()
        is_(({outcome for outcome, _, _ in got.values()}, remote.damaged, host.texts, host.taken), ({OWN_FAULT}, 1, 0, set()),
            f"{'LMTP' if lmtp else 'SMTP'}: a text with another checksum is not ended: the host takes none, both wait")
with RemoteHouse(settings="remote.timeout-idle 5m\nremote.timeout-command 5m\n") as remote:
    remote.program.tries_what_is_refused = True  # libssl looks for the issuer in a directory of the system
    certificate = fake_certificate(remote.directory)
    everything = list(idle_cases())
    is_([said for said in (wrong_after_idle(remote, case, certificate) for case in everything) if said], [],
        f"{len(everything)} hosts that were idle: what they said then is no answer, and costs nothing but a new connection")
done()
