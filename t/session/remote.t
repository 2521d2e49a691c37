#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""remote with a queued and a dnsd that the test plays: which addresses of many an attempt tries, and what is told of many hosts
that were asked in vain; what is our own fault, not the destination's; TLS that drips or ends at once; what a reload in the middle
does to a delivery."""
import contextlib
import itertools
import os
import pathlib
import queue
import signal
import socket
import ssl
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from fakesmtp import FakeHost, fake_certificate
from remotehouse import DNS_NO_DOMAIN, DNS_NO_HOST, DNS_NULL_MX, DNS_OWN_FAULT, DONE, FAILED, OWN_FAULT, RETRY, RemoteHouse
from tap import done, is_, ok
from waiting import comes
from wirehouse import PATIENCE_SECONDS

SLOW_MAX, SLOW_SECONDS = 8, 0.6  # CANDIDATES_SLOW_MAX, a little more than CANDIDATES_QUICK_MS


def refuses(count):
    """Addresses of loopback where nobody listens."""
    return [f"127.0.1.{n + 1}" for n in range(count)]


class Silent:
    """Addresses where somebody listens who never says a word."""

    def __init__(self, port, count):
        self.addresses = [f"127.0.2.{n + 1}" for n in range(count)]
        self.listeners = [socket.create_server((address, port)) for address in self.addresses]

    def visited(self):
        """How many were connected to since the last time."""
        found = 0
        for listener in self.listeners:
            listener.setblocking(False)
            try:
                listener.accept()[0].close()
                found += 1
            except BlockingIOError:
                pass
        return found

    def close(self):
        for listener in self.listeners:
            listener.close()


good = FakeHost()
SETTINGS = f"remote.port {good.port}\nremote.timeout-connect 20s\nremote.timeout-command 1s\nremote.timeout-idle 1s\n"
PATIENT = SETTINGS.replace("command 1s", "command 5m")  # where every host answers, be it slowly
silent = Silent(good.port, 20)


numbers = itertools.count()


def outcome(remote, hosts, attempts=0):
    """A domain of its own each time: no connection of an earlier one serves."""
    domain = f"n{next(numbers)}.test"
    remote.hosts[domain] = hosts
    return remote.send([f"a@{domain}"], domain=domain, attempts=attempts)[f"a@{domain}"][0]


with RemoteHouse(settings=SETTINGS) as remote:
    is_(outcome(remote, [(10, "mx.many.test", [*refuses(15), "127.0.0.1"])]), DONE, "fifteen dead addresses do not hide the sixteenth")
    is_(outcome(remote, [(n, f"mx{n}.many.test", refuses(16)) for n in range(5)] + [(9, "last.many.test", ["127.0.0.1"])]), DONE,
        "nor do hosts full of them hide the last one")
    is_(outcome(remote, [(10, "mx.many.test", ["2001:db8::%x" % n for n in range(1, 16)] + ["127.0.0.1"])]), DONE,
        "nor a family without a route")
    is_(outcome(remote, [(10, "mx.many.test", silent.addresses[:15]), (20, "b.many.test", ["127.0.0.1"])]), DONE,
        "a host whose addresses are all silent leaves a turn to the next preference")
    is_(outcome(remote, [(10, "mx.many.test", [*silent.addresses[:3], "127.0.0.1"])]), DONE, "few that are silent are all tried")
    silent.visited()
    deep = [(10, "a.many.test", silent.addresses[:12]), (10, "b.many.test", [*silent.addresses[12:], "127.0.0.1"])]
    is_(outcome(remote, deep), RETRY, "of many silent addresses one attempt tries some")
    is_(silent.visited(), SLOW_MAX, f"{SLOW_MAX} of them, since each takes its time")
    found = [outcome(remote, deep, attempts) for attempts in range(1, 4)]
    ok(DONE in found, f"and the next ones try others: {found}")
silent.close()

# RFC 6531: nothing but ASCII without SMTPUTF8, whatever a queue of before holds.
with RemoteHouse() as remote:
    host = FakeHost(extensions=["PIPELINING", "SMTPUTF8", "SIZE"])
    hop = [("127.0.0.1", host.port)]
    names = ["ü@full.test", "a@full.test", "jörg@full.test", "b@full.test", "c@full.test", "ß@full.test"]
    found = remote.send(names, hops=hop)
    refused = [name for name in names if not name.isascii()]
    is_({name: found[name][:2] for name in names}, {name: (FAILED, "5.6.7") if name in refused else (DONE, "2.0.0") for name in names},
        "recipients that are not ASCII fail, the others have it")
    ok(all("use an address in ASCII" in found[name][2] for name in refused) and sorted(remote.before_text) == sorted(refused) and not remote.unknown,
       "with a word on what to do, for the postmaster where it is a target of an alias")
    is_([to for _, to, _, _ in host.messages], [["a@full.test", "b@full.test", "c@full.test"]], "to the host nothing is said of them")
    is_({name: remote.send([name], hops=hop)[name][:2] for name in ("ü@full.test", "a@full.test")},
        {"ü@full.test": (FAILED, "5.6.7"), "a@full.test": (DONE, "2.0.0")}, "alone too")
    is_([result[1] for result in remote.send(refused, hops=hop).values()], ["5.6.7"] * 3, "and several")
    is_(remote.send(["a@full.test"], hops=hop, sender="ä@example.test")["a@full.test"][:2], (FAILED, "5.6.7"), "a sender as well")
    is_(len(host.messages), 2, "no more has come")
    host.close()

# What makes an address unknown for others too: an answer to RCPT that can be about nothing but the recipient.
RCPT = {"gone": b"550 5.1.1 who is that\r\n", "moved": b"551 5.1.6 moved\r\n", "null": b"556 5.1.10 not there\r\n",
        "bare": b"550 no such user, or your SPF record\r\n", "policy": b"550 5.7.1 spam\r\n", "sender": b"550 5.1.8 bad sender\r\n",
        "other": b"550 5.1.0 sender rejected\r\n", "later": b"450 4.1.1 who is that\r\n", "exim": b"550 Unrouteable address\r\n",
        "verify": b"550-Verification failed for <from@far.test>\r\n550-Unrouteable address\r\n550 Sender verify failed\r\n",
        "qmail": b"553 sorry, no mailbox here by that name (#5.1.1)\r\n", "edge": b"550 5.4.1 Recipient address rejected: Access denied\r\n",
        "off": b"550 5.2.1 account disabled\r\n", "quota": b"552 5.2.2 mailbox full\r\n", "outlook": b"550 5.5.0 mailbox unavailable\r\n",
        "rate": b"550 5.2.1 receiving mail at a rate that prevents additional messages\r\n", "over": b"550 5.1.1 recipient overquota\r\n",
        "probe": b"550 5.1.1 undeliverable address: host x said: 552 5.2.2 full\r\n"}
THERE_ARE_NOT = {"gone": "5.1.1", "null": "5.1.10", "exim": "5.1.1", "qmail": "5.1.1", "edge": "5.1.1", "off": "5.2.1"}
with RemoteHouse() as remote:
    def about(text):
        return RCPT.get(text.split("<")[1].split("@")[0])

    for lmtp in (False, True):
        host = FakeHost(answers={"RCPT": about, "end": b"550 5.1.1 not with this text\r\n"}, lmtp=lmtp)
        found = remote.send([f"{name}@dept.test" for name in [*RCPT, "text"]], hops=[("127.0.0.1", host.port)], lmtp=lmtp)
        is_({found[f"{name}@dept.test"][0] for name in [*RCPT, "text"]}, {FAILED, RETRY}, "all are refused")
        is_({name: found[f"{name}@dept.test"][1] for name in RCPT if f"{name}@dept.test" in remote.unknown}, THERE_ARE_NOT,
            "who is not there, and queued knows it by the status, " + ("LMTP" if lmtp else "SMTP"))
        is_({name: found[f"{name}@dept.test"][1] for name in ("outlook", "rate", "over", "probe", "moved")},
            {"outlook": "5.1.1", "rate": "5.2.1", "over": "5.1.1", "probe": "5.1.1", "moved": "5.1.6"}, "and who may be there")
        is_({name for name in [*RCPT, "text"] if f"{name}@dept.test" not in remote.before_text}, {"later", "text"},
            "what was said for good before the text was there")
        found = remote.send(["exim@dept.test", "gone@dept.test"], hops=[("127.0.0.1", host.port)], lmtp=lmtp, sender='"no such user or"@far.test')
        is_((remote.unknown, found["exim@dept.test"][1]), ([], "5.1.1"), "a sender who could have chosen the words teaches nothing")
        for sender, said in (("/#5.1.1/@evil.test", "550 <%s>: no mail"), ('"(#5.1.1)"@evil.test', "550 <%s>: no mail"), ("user@evil.test", "550 mail of user unknown here")):
            host.answers["RCPT"] = f"{said.replace('%s', sender)}\r\n".encode()
            remote.send(["boss@dept.test"], hops=[("127.0.0.1", host.port)], lmtp=lmtp, sender=sender)
            is_(remote.unknown, [], f"a host that quotes {sender} has not said it")
        host.close()
    for what, status in ((" refuses the sender", b"550 5.1.1 User unknown\r\n"), (" refuses us", b"554 5.7.1 blocked\r\n")):
        host = FakeHost(answers={"MAIL": status, "RCPT": b"503 5.5.1 MAIL first\r\n"} if b"unknown" in status else {"greeting": status})
        remote.send(["here@dept.test"], hops=[("127.0.0.1", host.port)])
        is_((remote.unknown, remote.before_text), ([], ["here@dept.test"]), f"a host that{what} says nothing of a recipient")
        host.close()
    host = FakeHost(answers={"RCPT": b"550 5.1.1 who is that\r\n250 2.1.5 or is it\r\n"})
    found = remote.send(["gone@dept.test"], hops=[("127.0.0.1", host.port)])
    is_((found["gone@dept.test"][0], remote.unknown), (RETRY, []), "who answers out of step has said nothing")
    host.close()


with RemoteHouse() as remote:
    remote.hosts["gone.test"], remote.hosts["bare.test"] = DNS_NO_DOMAIN, DNS_NO_HOST
    remote.hosts["null.test"], remote.hosts["round.test"] = DNS_NULL_MX, [(10, "mail.example.test", ["127.0.0.1"])]
    for name, final, later in (("gone", "5.1.2", "4.4.4"), ("bare", "5.4.4", "4.4.4"), ("null", "5.1.10", "5.1.10"),
                               ("round", "5.3.5", "4.3.5")):
        for ours, status in ((False, final), (True, later)):
            found = remote.send(["a@" + name], domain=f"{name}.test", ours=ours)["a@" + name]
            is_(found[:2], (RETRY if status[0] == "4" else FAILED, status), f"{name}: {status} for a domain {'of ours' if ours else 'elsewhere'}")


# Who is not believed after the text gets it again at each attempt: of that answer the code decides.
ENDS = {"a line of 5000 bytes": b"250 2.0.0 " + b"x" * 5000 + b"\r\n", "300 lines": b"250-x\r\n" * 300 + b"250 2.0.0 ok\r\n",
        "NUL": b"250 2.0.0 ok\0\r\n", "TAB": b"250\tok\r\n", "an empty line first": b"\r\n250 2.0.0 ok\r\n",
        "a blank first": b" 250 2.0.0 ok\r\n", "two codes": b"250-stored\r\n251 as 1\r\n", "a line without a code": b"250-a\r\nb\r\n250 c\r\n",
        "mixed line ends": b"250-stored\n250 as 1\r\n"}
with RemoteHouse() as remote:
    for lmtp in (False, True):
        for what, answer in ENDS.items():
            with contextlib.closing(FakeHost(answers={"end": answer}, lmtp=lmtp)) as host:
                found = remote.send(["a@odd.test", "b@odd.test"], hops=[("127.0.0.1", host.port)], lmtp=lmtp)
                is_({result for result, _, _ in found.values()}, {DONE}, f"an answer to the text with {what} is believed, {'LMTP' if lmtp else 'SMTP'}")
    for what, answer, result in (("a yes", b"250-stored\r\n", DONE), ("a no", b"550-5.7.1 spam\r\n", FAILED), ("no code", b"stored\r\n", RETRY),
                                   ("a yes and a no", b"250-stored\r\n550 not\r\n", RETRY)):
        with contextlib.closing(FakeHost(answers={"end": answer}, after_text=lambda session: True)) as host:
            found = remote.send(["a@odd.test"], hops=[("127.0.0.1", host.port)])
            is_(found["a@odd.test"][0], result, f"{what} that has no end: {found['a@odd.test']}")

# One recipient, or what another host has said of it, does not hold what others have for the host.
SAID = {"NUL": (b"550 5.1.1 \x1b[31mwho\0 is\xff\r\n", FAILED, "5.1.1", "550 5.1.1 ?[31mwho? is?"),
        "long": (b"550 5.1.1 " + b"L" * 5000 + b"\r\n", FAILED, "5.1.1", ("550 5.1.1 " + "L" * 60)[:60]),
        "longer": (b"550-5.1.1 " + b"L" * 50000 + b"\r\n550 5.1.1 end\r\n", FAILED, "5.1.1", ("550-5.1.1 " + "L" * 60)[:60]),
        "nothing": (b"who is that\r\n", RETRY, "4.4.2", "RCPT: invalid SMTP reply"),
        "mixed": (b"550-a\r\n250 b\r\n", RETRY, "4.4.2", "RCPT: invalid SMTP reply"),
        "code": (b"5\x0050 5.1.1 a\r\n", RETRY, "4.4.2", "RCPT: invalid SMTP reply")}
with RemoteHouse(settings=PATIENT) as remote:
    for lmtp in (False, True):
        for name, (answer, *result) in SAID.items():
            with contextlib.closing(FakeHost(answers={"RCPT": lambda text: answer if name in text else None}, lmtp=lmtp)) as host:
                hops = [("127.0.0.1", host.port)]
                found = remote.send([f"{name}@odd.test"], hops=hops, lmtp=lmtp)[f"{name}@odd.test"]
                is_((*found[:2], found[2][:60], remote.trouble), (*result, 0), f"an answer to RCPT, {name}: of this recipient alone, {'LMTP' if lmtp else 'SMTP'}")
                found = remote.send(["a@odd.test", f"{name}@odd.test", "b@odd.test"], hops=hops, lmtp=lmtp)
                is_((found["a@odd.test"][0], found[f"{name}@odd.test"][0], remote.trouble), (DONE, result[0], 0), "who is before it has the message")
                is_(remote.send(["c@odd.test"], hops=hops, lmtp=lmtp)["c@odd.test"][0], DONE, "and the next message goes")
    for command in ("EHLO", "MAIL"):
        with contextlib.closing(FakeHost(answers={command: b"hello\r\n"})) as host:
            found = remote.send(["a@odd.test"], hops=[("127.0.0.1", host.port)])["a@odd.test"]
            is_((found[0], remote.trouble), (RETRY, 1), f"what is no reply at {command} is the host's trouble")

with contextlib.closing(FakeHost(answers={"greeting": b"554 5.7.1 not you\r\n"})) as host:
    with RemoteHouse(settings=f"remote.port {host.port}\n") as remote:
        for first, result, status in ((["127.0.0.1"], FAILED, "5.7.1"), ([], FAILED, "5.7.1"), (None, RETRY, "4.4.3")):
            remote.hosts["part.test"] = [(10, "mx1.part.test", first), (20, "mx2.part.test", ["127.0.0.1"])]
            found = remote.send(["a@part.test"], domain="part.test")["a@part.test"]
            is_(found[:2], (result, status), f"one host refuses us, the other is {'not known for now' if first is None else 'known'}: {found}")


def own_faults():
    with RemoteHouse(settings=PATIENT) as remote:
        for hosts, text in ((None, "dnsd does not respond"), (DNS_OWN_FAULT, "nothing")):
            remote.hosts["ours.test"] = hosts
            is_(remote.send(["a@ours.test"], domain="ours.test"), {"a@ours.test": (OWN_FAULT, "4.3.0", text)}, f"{text}: our own fault")
            is_((remote.trouble, good.connections), (0, before), "the destination is not blamed")
        is_(remote.asked, 3, "a dnsd that dies is asked once more")
        remote.hosts["ours.test"] = [(10, "mx.ours.test", ["127.0.0.1"])]
        wrong = remote.send(["a@ours.test", "b@ours.test"], domain="ours.test", checksum=bytes(32))
        is_(({found[:2] for found in wrong.values()}, remote.damaged, remote.trouble), ({(OWN_FAULT, "4.3.0")}, 1, 0),
            "a message with another checksum is not the host's fault")
        is_(remote.send(["a@ours.test"], domain="ours.test")["a@ours.test"][0], DONE, "the next one goes")


def loops_back():
    """An exchanger that calls itself by our name is this host, whatever name DNS has for it."""
    host = FakeHost(answers={"EHLO": b"250-Mail.example.test\r\n250 8BITMIME\r\n"})
    with RemoteHouse(settings=PATIENT.replace(str(good.port), str(host.port))) as remote:
        remote.hosts["ours.test"] = [(10, "mail.ours.test", ["127.0.0.1"])]
        is_(remote.send(["a@ours.test"], domain="ours.test")["a@ours.test"],
            (FAILED, "5.3.5", "mail for the domain loops back to this host"), "mail that would come back to us is not sent")
        is_(remote.send(["a@ours.test"], domain="ours.test", ours=True)["a@ours.test"][:2], (RETRY, "4.3.5"), "a domain of ours waits for the operator")
        remote.hosts["backup.test"] = [(10, "down.test", ["127.0.1.1"]), (20, "mail.ours.test", ["127.0.0.1"]), (30, "other.test", ["127.0.4.1"])]
        with contextlib.closing(FakeHost(listener=socket.create_server(("127.0.4.1", host.port)))) as other:
            is_((remote.send(["a@backup.test"], domain="backup.test")["a@backup.test"][0], other.connections), (RETRY, 0),
                "as a backup we do not ask those behind us, and wait for those before us")
        is_(host.messages, [], "at all")
        is_(remote.send(["a@ours.test"], hops=[("127.0.0.1", host.port)])["a@ours.test"][0], DONE, "an operator's hop may be another server of this machine")
    host.close()


def reload_meanwhile(remote, hop, until):
    """A delivery to this hop, and when until() has returned, more signals of a reload than one."""
    results = queue.Queue()
    threading.Thread(target=lambda: results.put(remote.send(["a@far.test"], hops=[hop])), daemon=True).start()
    until()
    for _ in range(50):
        for pid in remote.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)
    return results


class Full:
    """It listens, and nobody gets in until it is opened."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.hop = self.listener.getsockname()
        self.first = socket.create_connection(self.hop)

    def wait_for_another(self):
        """Until the kernel has a connection to it in SYN-SENT."""
        address = "0100007F:%04X" % self.hop[1] if sys.byteorder == "little" else "7F000001:%04X" % self.hop[1]
        while not any(row.split()[2:4] == [address, "02"] for row in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]):
            pass


def reload_while_connecting():
    full = Full()
    with RemoteHouse(settings=SETTINGS.replace("connect 20s", "connect 5m")) as remote:
        results = reload_meanwhile(remote, full.hop, full.wait_for_another)
        host = FakeHost(listener=full.listener)
        is_([found[0] for found in results.get().values()], [DONE], "a reload while it connects: it goes on, and delivers")
        is_(len(host.messages), 1, "once")


def certificate_in(remote):
    remote.program.tries_what_is_refused = True  # libssl looks for the issuer in a directory of the system
    return fake_certificate(remote.directory)


def reload_in_handshake():
    asked, go = threading.Event(), threading.Event()

    def before_tls(_):
        asked.set()
        go.wait()
    with RemoteHouse(settings=PATIENT) as remote:
        host = FakeHost(extensions=["STARTTLS"], certificate=certificate_in(remote), before_tls=before_tls)
        results = reload_meanwhile(remote, ("127.0.0.1", host.port), asked.wait)
        go.set()
        is_([found[0] for found in results.get().values()], [DONE], "a reload in the TLS handshake: it goes on, and delivers")
        is_([facts["tls"] for _, _, _, facts in host.messages], [True], "not in clear")
        is_(host.connections, 1, "over one connection")


class Dead:
    """Bound, and nobody listens."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]


def says(**answers):
    return FakeHost(extensions=["8BITMIME"], answers=answers)


def many_hosts():
    """What one host says before it has seen the message is its own affair (RFC 5321 section 5.1)."""
    hosts = {"dead": Dead(), "busy": says(greeting=b"451 4.3.2 busy\r\n"), "closing": says(greeting=b"421 4.3.2 closing\r\n"),
             "refuses": says(greeting=b"554 5.7.1 not you\r\n"), "ehlo": says(EHLO=b"550 5.7.2 not you\r\n", HELO=b"550 5.7.2 no\r\n"),
             "sender": says(MAIL=b"450 4.1.8 no such domain\r\n"), "end": says(MAIL=b"421 4.7.0 closing\r\n"),
             "mute": says(MAIL=b"close"), "rcpt": says(RCPT=b"close"), "rcpt421": says(RCPT=b"421 4.7.0 enough\r\n"),
             "data": says(DATA=b"451 4.3.0 not now\r\n"), "bare": says(greeting=b"554 no\r\n"), "old": says(EHLO=b"500 what\r\n", HELO=b"502 what\r\n"),
             "tls": says(MAIL=b"530 must issue STARTTLS\r\n"), "3": says(greeting=b"354 hm\r\n"), "ehlo3": says(EHLO=b"354 hm\r\n"), "good": FakeHost()}
    expected = {
        # the hosts in order: outcome, status, is it the host's trouble, who said so
        ("refuses",): (FAILED, "5.7.1", 1, True), ("ehlo",): (FAILED, "5.7.2", 1, True), ("refuses", "ehlo"): (FAILED, "5.7.2", 1, True),
        ("dead", "refuses"): (RETRY, "4.4.1", 1, False), ("refuses", "dead"): (RETRY, "4.4.1", 1, False),
        ("busy", "refuses"): (RETRY, "4.3.2", 1, True), ("refuses", "busy"): (RETRY, "4.3.2", 1, True),
        ("mute", "ehlo"): (RETRY, "4.4.2", 1, False), ("ehlo", "refuses", "closing"): (RETRY, "4.3.2", 1, True),
        ("refuses", "good"): (DONE, "2.0.0", 0, True), ("refuses", "dead", "ehlo", "good"): (DONE, "2.0.0", 0, True),
        # one sender's trouble is not the host's
        ("sender",): (RETRY, "4.1.8", 0, True), ("sender", "dead"): (RETRY, "4.1.8", 0, True),
        ("dead", "sender", "refuses"): (RETRY, "4.1.8", 0, True), ("end",): (RETRY, "4.7.0", 1, True), ("mute",): (RETRY, "4.4.2", 1, False),
        ("sender", "good"): (DONE, "2.0.0", 0, True),
        # nothing has been taken before the text: another host is asked
        ("rcpt", "good"): (DONE, "2.0.0", 0, True), ("rcpt421", "good"): (DONE, "2.0.0", 0, True), ("data", "good"): (DONE, "2.0.0", 0, True),
        ("rcpt421", "refuses"): (RETRY, "4.7.0", 1, True), ("data", "dead"): (RETRY, "4.3.0", 0, True),
        # a status where there is none
        ("bare",): (FAILED, "5.3.2", 1, True), ("old",): (FAILED, "5.5.1", 1, True), ("tls",): (FAILED, "5.7.0", 0, True),
        # an answer that cannot be one
        ("3",): (RETRY, "4.5.0", 1, False), ("ehlo3",): (RETRY, "4.5.0", 1, False)}
    with RemoteHouse(settings=PATIENT) as remote:
        for names, (outcome, status, trouble, said) in expected.items():
            found = remote.send(["a@far.test"], hops=[("127.0.0.1", hosts[name].port) for name in names])["a@far.test"]
            is_((*found[:2], remote.trouble, remote.said_by), (outcome, status, trouble, "127.0.0.1" if said else ""), ", ".join(names))
        remote.hosts["nowhere.test"] = DNS_NO_HOST
        is_(remote.send(["a@nowhere.test"], domain="nowhere.test")["a@nowhere.test"][:2], (FAILED, "5.4.4"), "a name that leads nowhere")
        is_(remote.trouble, 0, "is no trouble of a host")
        remote.hosts["shaky.test"] = 4  # DNS_LATER
        is_(remote.send(["a@shaky.test"], domain="shaky.test")["a@shaky.test"][:2], (RETRY, "4.4.3"), "name servers that do not answer")
        is_((remote.unknown, remote.trouble), ([], 1), "make no address unknown: queued takes no such result")
    with RemoteHouse(settings=PATIENT) as remote:
        for extensions in (["PIPELINING"], []):
            host = FakeHost(extensions=extensions, answers={"DATA": b"250 2.0.0 hm\r\n"})
            is_(remote.send(["a@far.test"], hops=[("127.0.0.1", host.port)])["a@far.test"], (RETRY, "4.5.0", "DATA: 250 2.0.0 hm"),
                f"250 to DATA, {extensions}: the reason is told")
            host.close()


class UpToData:
    """A host that says yes to everything up to DATA; then talk() has the client."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        client, _ = self.listener.accept()
        with client, client.makefile("rb") as file, contextlib.suppress(OSError):
            client.sendall(b"220 host.test\r\n")
            while not file.readline().startswith(b"DATA"):
                client.sendall(b"250 2.0.0 ok\r\n")
            self.talk(client, file)


class Early(UpToData):
    """A host that answers the text when it has seen its first line."""

    def __init__(self, said, deaf_until=None):
        self.said, self.deaf_until, self.ended = said, deaf_until, queue.Queue()
        super().__init__()

    def talk(self, client, file):
        client.sendall(b"354 go on\r\n")
        file.readline()
        client.sendall(self.said)
        if self.deaf_until:
            self.deaf_until.wait()
        self.ended.put(file.read().endswith(b"\r\n.\r\n"))


class Hasty(UpToData):
    """Says so much at once with its yes to DATA, and no more."""

    def __init__(self, said):
        self.said, self.got = said, queue.Queue()
        super().__init__()

    def talk(self, client, file):
        client.sendall(b"354 go on\r\n" + self.said)
        client.shutdown(socket.SHUT_WR)
        self.got.put(file.read())


def early_answers():
    """A yes to a text that has not ended is none. The text is more than all buffers hold: it comes while it is being sent."""
    text = b"Subject: early\r\n\r\n" + (b"x" * 998 + b"\r\n") * 30000
    with RemoteHouse(settings=PATIENT) as remote:
        for said, outcome in ((b"250 2.0.0 taken\r\n", RETRY), (b"552 5.3.4 too large\r\n", FAILED), (b"452 4.3.1 full\r\n", RETRY)):
            host = Early(said)
            is_(remote.send(["a@far.test"], hops=[("127.0.0.1", host.port)], message=text)["a@far.test"][0], outcome, f"early: {said}")
            is_(host.ended.get(), False, "and the text was not ended")


def hasty_answers():
    """A short text is ready before the host is looked at once more: who has said more than 354 by then has none of it."""
    with RemoteHouse(settings=PATIENT) as remote:
        for said, status in ((b"250 2.0.0 taken\r\n", "4.5.0"), (b"421 4.3.2 closing\r\n", "4.3.2"), (b"250 2.0.0 tak", "4.4.2")):
            host = Hasty(said)
            is_(remote.send(["a@far.test"], hops=[("127.0.0.1", host.port)])["a@far.test"][:2], (RETRY, status), f"hasty: {said}")
            is_(host.got.get(), b"", "and nothing of the text was sent")


DRIPS = 600
RECORD_OF_HANDSHAKE, RECORD_OF_DATA = b"\x16\x03\x03\x10\x50\x02\x00\x10\x00", b"\x17\x03\x03\x40\x00"


def drip(session, header):
    """A record of TLS, a byte at a time, until the client leaves; how many it took. (The answer to STARTTLS must be over: the
    client's hello has come.)"""
    with contextlib.suppress(OSError):
        os.write(session.client.fileno(), header)
        for count in range(DRIPS):
            os.write(session.client.fileno(), b"\0")
            threading.Event().wait(0.05)
        return DRIPS
    return count


def odd_hosts():
    """What is odd and not hostile; what must not be believed."""
    with RemoteHouse(settings=SETTINGS) as remote:
        def found(recipients=("a@far.test",), pipelining=True, **answers):
            host = FakeHost(extensions=["PIPELINING"] if pipelining else [], answers=answers)
            result = remote.send(list(recipients), hops=[("127.0.0.1", host.port)])
            host.close()
            return [result[to][:2] for to in recipients], len(host.messages)
        for pipelining in (True, False):
            is_(found(pipelining=pipelining, greeting=b"220-a\n220 b\r\n", EHLO=b"250-a\n250-8BITMIME\r\n250-PIPELINING\n250 SIZE\r\n", MAIL=b"250 ok\n",
                      DATA=b"354-so\r\n354 go on\n", end=b"250-stored\n250 as 1\r\n"), ([(DONE, "2.0.0")], 1), "lines that end in LF and in CRLF")
            names = [f"{name}@far.test" for name in "abc"]
            for said, outcome in ((b"552 too many recipients\r\n", (RETRY, "4.5.3")), (b"552 5.5.3 too many\r\n", (RETRY, "4.5.3")),
                                  (b"552 5.2.2 full\r\n", (FAILED, "5.2.2"))):
                is_(found(names, pipelining, RCPT=lambda text: said if "<c@" in text else None), ([(DONE, "2.0.0")] * 2 + [outcome], 1), f"the third: {said}")
            is_(found(pipelining=pipelining, EHLO=b"502-what\r\n502-SIZE 10\r\n502 5.5.1 what\r\n"), ([(DONE, "2.0.0")], 1),
                "what comes with a refusal of EHLO is no list of extensions")
            is_(found(pipelining=pipelining, RCPT=b"552 too many recipients\r\n"), ([(FAILED, "5.0.0")], 0), "one is not too many")
        for said in (b"503 5.5.1 not now\r\n", b"502 5.5.2 what\r\n", b"451 4.3.0 later\r\n"):
            for pipelining in (True, False):
                is_(found(pipelining=pipelining, RSET=said, RCPT=b"550 5.1.1 who\r\n"), ([(FAILED, "5.1.1")], 0), f"RSET is answered by {said}: what was refused is")
                is_(found(pipelining=pipelining, RSET=said, MAIL=b"554 5.7.1 no\r\n", RCPT=b"503 5.5.1 MAIL first\r\n"), ([(FAILED, "5.7.1")], 0), "the sender too")
                is_(found(pipelining=pipelining, RSET=said, QUIT=b"250 2.0.0 that was RSET\r\n", RCPT=b"550 5.1.1 who\r\n"), ([(RETRY, "4.5.0")], 0),
                    "but not when QUIT shows that it answers something else")
        is_(found(MAIL=b"550 5.7.1 no\r\n", DATA=b"354 go on\r\n"), ([(RETRY, "4.5.0")], 0), "no to MAIL, yes to RCPT and DATA: it has no text, not even an empty one")
        is_(found(MAIL=b"450 4.7.1 no\r\n", DATA=b"354 go on\r\n"), ([(RETRY, "4.7.1")], 0), "nor when the no is for now")


def few_at_once():
    """Hosts that take some recipients of a message at once, and say so in one way or the other."""
    names = [f"{name}@far.test" for name in "abcdefg"]

    def found(most, said, pipelining, times=None, lmtp=False, again={}, again_connected={}, **answers):
        def rcpt(text):
            since = [line.split(" ")[0].split(":")[0] for line in host.lines]
            before = len(since) - 1 - max(n for n, verb in enumerate(since) if verb == "MAIL")
            return said if before > most and (times is None or since.count("MAIL") <= times) else None
        # One session at a time: what was said in all is what was said in it.
        def answer(verb, else_):
            """The same again, to what is offered again."""
            def said_of(text):
                offered = sum(line.startswith("MAIL") for line in host.lines) > 1
                return (again.get(verb) if offered else None) or (again_connected.get(verb) if host.connections > 1 else None) or (
                    else_(text) if callable(else_) else else_)
            return said_of
        given = {"RCPT": rcpt, **answers}
        host = FakeHost(extensions=["PIPELINING"] if pipelining else [], lmtp=lmtp, answers={
            verb: answer(verb, given.get(verb)) for verb in {*given, *again, *again_connected}})
        result = remote.send(names, hops=[("127.0.0.1", host.port)], lmtp=lmtp)
        host.close()
        return "".join({DONE: "d", RETRY: "r", FAILED: "f"}[result[to][0]] for to in names), [len(message[1]) for message in host.messages], host

    with RemoteHouse(settings=SETTINGS) as remote:
        for pipelining in (False, True):
            for said in (b"452 4.5.3 too many\r\n", b"452 too many\r\n", b"552 too many\r\n"):
                outcomes, sizes, host = found(3, said, pipelining)
                is_((outcomes, sizes, host.connections), ("ddddddd", [3, 3, 1], 1), f"three at once, then {said}: three transactions")
            outcomes, sizes, _ = found(3, b"452 4.2.2 full\r\n", pipelining)
            is_((outcomes, sizes), ("dddrrrr", [3]), "a full mailbox is not asked again at once")
            outcomes, sizes, _ = found(3, b"452 4.5.3 too many\r\n", pipelining, end=b"450 4.7.1 later\r\n")
            is_((outcomes, sizes), ("rrrrrrr", []), "nor is who does not take the text")
            outcomes, sizes, _ = found(0, b"452 4.5.3 too many\r\n", pipelining)
            is_((outcomes, sizes), ("rrrrrrr", []), "who takes none gets nothing")
            mails = itertools.count()
            outcomes, sizes, _ = found(3, b"452 4.5.3 too many\r\n", pipelining, MAIL=lambda _: b"close" if next(mails) else None)
            is_((outcomes, sizes), ("dddrrrr", [3]), "who leaves at the second transaction has the first")
            outcomes, sizes, _ = found(3, b"452 4.5.3 too many\r\n", pipelining, times=1, RSET=b"250 ok\r\n")
            is_((outcomes, sizes), ("ddddddd", [3, 4]), "one that minds once")
        for said in (b"421 4.7.0 too many\r\n", b"close"):
            outcomes, sizes, host = found(3, said, False)
            is_((outcomes, sizes, host.connections), ("dddrrrr", [3], 2), f"three, then {said}: those before it get it over another connection")
            outcomes, sizes, host = found(3, said, False, times=1)
            is_((outcomes, sizes, host.connections), ("dddrrrr", [3], 2), "and the others at the next attempt")
            outcomes, sizes, host = found(0, said, False)
            is_((outcomes, sizes, host.connections), ("rrrrrrr", [], 1), "who leaves at the first has none")
        for verb, said in (("MAIL", b"554 5.7.0 one message a session\r\n"), ("MAIL", b"503 5.5.1 RSET first\r\n"), ("RCPT", b"550 5.7.1 too fast\r\n"),
                           ("DATA", b"554 5.5.1 again?\r\n"), ("end", b"554 5.6.0 duplicate\r\n")):
            outcomes, sizes, _ = found(3, b"452 4.5.3 too many\r\n", False, again={verb: said})
            is_((outcomes, sizes), ("dddrrrr", [3]), f"{verb} of the second transaction has {said}: the others wait")
        outcomes, sizes, _ = found(3, b"452 4.5.3 too many\r\n", False, again={"RCPT": b"550 5.1.1 who is that\r\n"})
        is_((outcomes, sizes), ("dddffff", [3]), "but who is not there is not there")
        for verb, said in (("greeting", b"554 5.7.1 too fast\r\n"), ("EHLO", b"250-few\r\n250 SIZE 10\r\n"), ("MAIL", b"550 5.7.1 too fast\r\n"),
                           ("RCPT", b"550 5.7.1 too fast\r\n"), ("end", b"554 5.7.1 too fast\r\n")):
            outcomes, sizes, host = found(3, b"421 4.7.0 too many\r\n", False, again_connected={verb: said})
            is_((outcomes, sizes, host.connections), ("rrrrrrr", [], 2), f"{verb} over the second connection has {said}: all wait")
        outcomes, sizes, host = found(3, b"452 4.5.3 too many\r\n", True, lmtp=True)
        is_((outcomes, [to for message in host.messages for to in message[1]]), ("ddddddd", names), "so it is in LMTP")


def refused_where_we_were_let_in():
    """What another connection was not refused a moment ago."""
    for verb, said in (("MAIL", b"554 5.7.1 only one message a session\r\n"), ("RCPT", b"550 5.7.1 too many in this session\r\n"),
                       ("MAIL", b"421 4.7.0 idle for too long\r\n"), ("end", b"554 5.7.1 enough\r\n"), ("after", b"421 4.3.2 bye\r\n")):
        with RemoteHouse(settings=SETTINGS) as remote:
            host = FakeHost(answers={"greeting": lambda _: b"554 5.7.1 you reconnect too fast\r\n" if host.connections > 1 else None,
                                     verb: lambda _, said=said: said if host.messages else None},
                            after_text=lambda session: session.say(said) or True if verb == "after" else False)
            got = [remote.send([f"{name}@far.test"], hops=[("127.0.0.1", host.port)])[f"{name}@far.test"][0] for name in "ab"]
            is_(got, [DONE, RETRY], f"{verb} is refused over a kept connection by {said}, and a new connection too: another time")
            host.close()
    with RemoteHouse(settings=SETTINGS) as remote:
        for verb in ("RCPT", "DATA", "end"):
            host = FakeHost(extensions=[], answers={verb: lambda _: b"550 5.7.1 one message per session\r\n" if len(host.messages) % 2 and host.connections < 2 else None})
            got = [remote.send(["a@far.test"], hops=[("127.0.0.1", host.port)])["a@far.test"][0] for _ in range(2)]
            is_((got, host.connections), ([DONE, DONE], 2), f"{verb} is refused over a kept connection: it goes over a new one")
            host.close()
        host = FakeHost(extensions=["STARTTLS"], break_tls=True, answers={"greeting": lambda _: b"554 5.3.2 too fast\r\n" if host.connections > 1 else None})
        is_(remote.send(["a@far.test"], hops=[("127.0.0.1", host.port)])["a@far.test"][0], RETRY, "TLS fails, and the connection without is refused: another time")
        host.close()


def put_off():
    """One host has put recipients off, or the text: another is asked for them, in the same attempt."""
    names = ["a@far.test", "b@far.test"]

    def found(*hosts, to=names, attempts=0):
        result = remote.send(to, hops=[("127.0.0.1", host.port) for host in hosts], attempts=attempts)
        return "".join({DONE: "d", RETRY: "r", FAILED: "f"}[result[name][0]] for name in to)

    def to_b(said):
        return lambda text: said if "<b@" in text else None

    def host(**answers):
        return FakeHost(extensions=[], answers=answers)
    later, never, gone = b"450 4.7.1 later\r\n", b"550 5.7.1 never\r\n", b"550 5.1.1 who\r\n"
    rows = (  # the first, the second, what comes of a and b, whom the second was asked for
        (host(RCPT=to_b(later)), host(), "dd", ["b"]), (host(RCPT=to_b(later)), host(RCPT=never), "dr", ["b"]),
        (host(RCPT=to_b(later)), host(RCPT=gone), "dr", ["b"]), (host(RCPT=to_b(never)), host(), "df", []),
        (host(end=later), host(), "dd", ["a", "b"]), (host(end=b"421 4.3.2 closing\r\n"), host(), "dd", ["a", "b"]),
        (host(end=later), host(end=never), "rr", ["a", "b"]), (host(end=later), host(MAIL=never), "rr", []),
        (host(end=later), host(greeting=never), "rr", []), (host(end=never), host(), "ff", []), (host(end=b"close"), host(), "rr", []),
        (host(end=b"what?\r\n"), host(), "rr", []), (host(RCPT=to_b(gone), end=later), host(), "df", ["a"]),
        (host(RCPT=to_b(gone), DATA=later), host(), "df", ["a"]), (host(RCPT=to_b(later), end=b"close"), host(), "rd", ["b"]))
    with RemoteHouse(settings=SETTINGS) as remote:
        for number, (first, second, outcomes, asked) in enumerate(rows):
            got = found(first, second)
            is_((got, [line[9] for line in second.lines if line.startswith("RCPT")]), (outcomes, asked), f"put off, {number}: {got}")
        hosts = [host(end=later) for _ in range(4)]
        is_((found(*hosts), [each.connections for each in hosts]), ("rr", [1, 1, 0, 0]), "two hosts at most have the text in vain")
        dead = Dead()
        first = host(RCPT=lambda text: b"450 4.2.1 %s\r\n" % text[8:11].encode())
        result = remote.send(names, hops=[("127.0.0.1", first.port), ("127.0.0.1", dead.port)])
        is_([result[name] for name in names], [(RETRY, "4.2.1", "450 4.2.1 <a@"), (RETRY, "4.2.1", "450 4.2.1 <b@")],
            "when there is no other, each keeps what was said of it")
        first, second = host(RCPT=to_b(later)), host()
        is_([found(first, second, to=names[:1]), found(first, second)], ["d", "dd"], "over a kept connection: the other host is asked")
        is_((first.connections, [to for _, to, _, _ in first.messages], [to for _, to, _, _ in second.messages]),
            (1, [names[:1]] * 2, [names[1:]]), "and not the same one anew")
        first = host(RCPT=to_b(later))
        is_(([found(first), found(first), first.connections]), ["dr", "dr", 1], "nor where there is none, and the connection stays")
    with RemoteHouse(settings=SETTINGS) as remote:
        remote.hosts["part.test"] = [(10, "mx1.part.test", ["127.0.5.1"])]
        first = FakeHost(extensions=[], answers={"RCPT": to_b(later)}, listener=socket.create_server(("127.0.5.1", good.port)))
        is_(remote.send(["c@far.test"], domain="part.test")["c@far.test"][0], DONE, "a connection is kept")
        told = []

        def exchangers():
            comes(lambda: names[0] in remote.found, PATIENCE_SECONDS)
            told.append(sorted(remote.found))
            return [(10, "mx1.part.test", ["127.0.5.1"])]
        remote.hosts["part.test"] = exchangers
        result = remote.send(names, domain="part.test")
        is_((told, [result[name][0] for name in names]), ([names[:1]], [DONE, RETRY]), "who has it is told done before other hosts are looked up")
        first.close()
    with RemoteHouse(settings=SETTINGS) as remote:
        first, second = host(RCPT=to_b(later)), host(RCPT=to_b(gone))
        is_([found(first, second), found(first, second), remote.unknown], ["dr", "dr", []], "whom the first puts off is not returned or unknown since the second does not know them")
        is_([first.connections, second.connections, [to for _, to, _, _ in first.messages]], [2, 2, [names[:1]] * 2],
            "and the next message begins with the first")
        hosts = [FakeHost(listener=socket.create_server((f"127.0.5.{n}", good.port)), answers={"end": b"451 4.7.1 greylisted\r\n"} if n < 3 else {})
                 for n in (1, 2, 3)]
        for what, exchangers in (("addresses", [(10, "mx1.pair.test", ["127.0.5.1", "127.0.5.2"]), (20, "mx2.pair.test", ["127.0.5.3"])]),
                                 ("names", [(10, "mx1.pair.test", ["127.0.5.1"]), (10, "mx2.pair.test", ["127.0.5.1"]), (20, "mx3.pair.test", ["127.0.5.3"])]),
                                 ("more addresses", [(10, "mx1.pair.test", ["127.0.5.2", "127.0.5.3"]), (20, "mx2.pair.test", refuses(1))])):
            before = [each.connections for each in hosts]
            is_(outcome(remote, exchangers), DONE, f"a host of two {what} is one host, and another is asked before it is again")
            is_(sum(each.connections for each in hosts) - sum(before), 2, "which makes two")
        for each in hosts:
            each.close()
        first = host(RCPT=lambda text: b"close" if "<a@" in text else None)
        is_([found(first, to=[*names, "c@far.test"], attempts=n) for n in range(3)], ["rrr", "rdd", "rrd"],
            "who leaves at the first recipient is offered the others first at another attempt")


PATIENCE = 8  # deliver/remote/candidates.h
CAME_TO_NOTHING = ("dead", "busy", "hello", "closing", "mute", "garbage", "leaves")


def who_says_it():
    """What a host says of an address for good is believed when it is the first choice, or has said it so often that it speaks for those
    that came to nothing; others are told of it when it is the first choice."""
    gone, edge, never = b"550 5.1.1 who\r\n", b"550 5.4.1 Recipient address rejected: Access denied\r\n", b"550 5.7.1 never\r\n"
    firsts = {"dead": Dead(), "refuses": says(greeting=b"554 5.3.2 no\r\n"), "busy": says(greeting=b"451 4.3.2 busy\r\n"), "hello": says(EHLO=b"421 4.3.2 busy\r\n"),
              "closing": says(greeting=b"421 4.3.2 closing\r\n"), "mute": says(EHLO=b"close"), "sender": says(MAIL=b"450 4.1.8 no\r\n"),
              "rcpt": says(RCPT=b"450 4.2.0 greylisted\r\n"), "leaves": says(RCPT=b"close"), "data": says(DATA=b"451 4.3.0 no\r\n"), "garbage": says(EHLO=b"hm\r\n")}
    with RemoteHouse(settings=PATIENT) as remote:
        for name, first in firsts.items():
            for said, status in ((gone, "5.1.1"), (edge, "5.1.1"), (never, "5.7.1")):
                second = says(RCPT=said)
                for contested in (0, PATIENCE - 1, PATIENCE):
                    got = remote.send(["a@far.test"], hops=[("127.0.0.1", first.port), ("127.0.0.1", second.port)], attempts=20, contested=contested)["a@far.test"]
                    final = name == "refuses" or (contested == PATIENCE and name in CAME_TO_NOTHING)
                    waits = name in CAME_TO_NOTHING and not final
                    is_((got[0], got[1] == status, remote.unknown, remote.contested), (FAILED, True, [], []) if final else (RETRY, False, [], ["a@far.test"] * waits),
                        f"{name}, and the second says {said} when {contested} such words have waited: {got}")
                second.close()
        for first, missing in ((None, True), ([], False)):
            host = FakeHost(listener=socket.create_server(("127.0.5.1", good.port)), answers={"RCPT": gone})
            remote.hosts["part.test"] = [(10, "mx1.part.test", first), (20, "mx2.part.test", ["127.0.5.1"])]
            is_((remote.send(["a@part.test"], domain="part.test")["a@part.test"][0], remote.unknown), (RETRY, []) if missing else (FAILED, ["a@part.test"]),
                f"a better exchanger {'is not known for now' if missing else 'has no address'}")
            remote.hosts["pair.test"] = [(10, "mx1.pair.test", refuses(1)), (10, "mx2.pair.test", ["127.0.5.1"])]
            is_((remote.send(["a@pair.test"], domain="pair.test")["a@pair.test"][0], remote.unknown), (FAILED, ["a@pair.test"]), "one of two of the same preference is a first choice")
            host.close()
        host = says(RCPT=gone)
        dead, again = Dead(), says(RCPT=gone)
        for third in (dead, again):
            for contested in (0, PATIENCE):
                hops = [("127.0.0.1", each.port) for each in (dead, host, third)]
                got = remote.send(["a@far.test"], hops=hops, contested=contested)["a@far.test"]
                is_((got[0], remote.contested), (FAILED, []) if contested else (RETRY, ["a@far.test"]), f"another host behind it changes nothing: {contested} {got}")
        shut = says(MAIL=b"550 5.7.1 no mail of yours\r\n")
        for contested in (0, PATIENCE):
            got = remote.send(["a@far.test"], hops=[("127.0.0.1", dead.port), ("127.0.0.1", shut.port)], contested=contested)["a@far.test"]
            is_((got[0], remote.contested), (FAILED, []) if contested else (RETRY, ["a@far.test"]), f"nor does it that the sender is refused: {contested} {got}")
        again.close()
        shut.close()
        for contested in (0, PATIENCE):
            got = remote.send(["a@far.test"], hops=[("nowhere.test", host.port), ("127.0.0.1", host.port)], contested=contested)["a@far.test"][0]
            is_((got, remote.unknown), (FAILED if contested else RETRY, []), f"a hop that is not in the DNS is the operator's to correct: {contested}")
        host.close()


def kept_to_another():
    """Over a connection that is kept to a host that was not the first choice, nothing that it refuses counts."""
    refusals = {"RCPT": (b"550 5.1.1 who\r\n", b"550 5.4.1 Recipient address rejected: Access denied\r\n", b"550 5.7.1 no\r\n"),
                "MAIL": (b"550 5.7.1 no\r\n",), "DATA": (b"554 5.7.1 no\r\n",), "end": (b"554 5.1.1 no\r\n",)}
    cases = [(verb, said) for verb, all_said in refusals.items() for said in all_said]
    for lmtp, (verb, said) in itertools.product((False, True), cases):
        dead, strict = Dead(), threading.Event()
        second = FakeHost(lmtp=lmtp, answers={verb: lambda _, said=said, strict=strict: said if strict.is_set() else None})
        hops = [("127.0.0.1", dead.port), ("127.0.0.1", second.port)]
        with RemoteHouse(settings=PATIENT) as remote:
            is_([remote.send([f"{name}@far.test"], hops=hops, lmtp=lmtp)[f"{name}@far.test"][0] for name in "ab"], [DONE, DONE], "the first is dead: the second takes it")
            is_(second.connections, 1, "over one connection, without a look at the first for each message")
            dead.socket.listen()
            first = FakeHost(listener=dead.socket, lmtp=lmtp)
            strict.set()
            got = remote.send(["c@far.test", "d@far.test"], hops=hops, lmtp=lmtp)
            is_(({result[0] for result in got.values()}, remote.unknown, sorted({name for _, to, _, _ in first.messages for name in to})),
                ({DONE}, [], ["c@far.test", "d@far.test"]), f"{verb}, {said}: the first is asked, which takes them")
        first.close()
        second.close()
    dead, strict = Dead(), threading.Event()
    second = FakeHost(answers={"EHLO": b"250-two.test\r\n250 SIZE 100\r\n"})
    hops = [("127.0.0.1", dead.port), ("127.0.0.1", second.port)]
    with RemoteHouse(settings=PATIENT) as remote:
        is_(remote.send(["a@far.test"], hops=hops)["a@far.test"][0], DONE, "the second, of small ones")
        dead.socket.listen()
        first = FakeHost(listener=dead.socket)
        is_(remote.send(["a@far.test"], hops=hops, message=b"Subject: large\r\n\r\n" + b"x" * 200)["a@far.test"][0], DONE, "its SIZE is not that of the first")
    dead = Dead()
    several = [f"{name}@far.test" for name in "abc"]
    second = FakeHost(extensions=[])
    hops = [("127.0.0.1", dead.port), ("127.0.0.1", second.port)]
    with RemoteHouse(settings=PATIENT) as remote:
        is_(remote.send(["a@far.test"], hops=hops)["a@far.test"][0], DONE, "once more")
        dead.socket.listen()
        first, mails = FakeHost(listener=dead.socket), itertools.count()
        second.answers["RCPT"] = lambda text: (b"452 4.5.3 one at a time\r\n" if second.lines[-2].startswith("RCPT") else
                                               b"550 5.1.1 who\r\n" if sum(line.startswith("MAIL") for line in second.lines) > 2 else None)
        got = remote.send(several, hops=hops)
        is_(({result[0] for result in got.values()}, remote.unknown, sorted(name for _, to, _, _ in first.messages for name in to)),
            ({DONE}, [], several[1:]), "the rest that it wants in another transaction, and refuses there, goes to the first")
    with RemoteHouse(settings=PATIENT) as remote:
        host = FakeHost(answers={"RCPT": lambda text: b"550 5.1.1 who\r\n" if "<b@" in text else None})
        is_([remote.send([name], hops=[("127.0.0.1", host.port)])[name][0] for name in several[:2]], [DONE, FAILED], "of the first choice it is believed")
        is_((remote.unknown, host.connections), (several[1:2], 1), "and others are told, over a kept connection too")


def killed_between_transactions():
    """What is done has been told when the next transaction begins."""
    names, messages = [f"{name}@far.test" for name in "abcd"], itertools.count()

    def rcpt(_):
        return b"452 4.5.3 one at a time\r\n" if host.lines[-2].startswith("RCPT") else None

    def end(_):
        if next(messages) < 2:
            return None
        for pid in remote.workers():
            os.kill(pid, signal.SIGKILL)
        return b"close"
    with RemoteHouse(settings=SETTINGS) as remote:
        host = FakeHost(extensions=[], answers={"RCPT": rcpt, "end": end})
        try:
            remote.send(names, hops=[("127.0.0.1", host.port)])
            ok(False, "the agent dies in the third transaction")
        except EOFError:
            is_({name: remote.found.get(name, (None,))[0] for name in names}, dict(zip(names, (DONE, DONE, None, None))), "a killed agent has told of the transactions before")
        host.close()


def abandoned():
    """queued dies while an agent talks to a host: the next one will give the message to another agent, so this one begins no text any more."""
    for extensions in ([], ["PIPELINING"]):
        with RemoteHouse(settings=SETTINGS) as remote:
            def leave(answer):
                remote.line.shutdown(socket.SHUT_RDWR)
                return answer
            for answer in (b"250 2.1.5 ok\r\n", b"450 4.2.1 later\r\n"):
                hosts = FakeHost(extensions=extensions, answers={"RCPT": lambda _, answer=answer: leave(answer)}), FakeHost()
                ok(comes(remote.workers, 300), "an agent")
                before = set(remote.workers())
                try:
                    remote.send(["a@far.test"], hops=[("127.0.0.1", host.port) for host in hosts])
                    ok(False, "it is told nothing")
                except EOFError:
                    ok(comes(lambda: before - set(remote.workers()), 300), f"{extensions} {answer}: the worker ends")
                is_([(host.connections, host.messages) for host in hosts], [(1, []), (0, [])], "no host has got the message")
                for host in hosts:
                    host.close()
                remote.grow(1)


def not_tried_yet():
    """More addresses than an attempt has time for: eight that refuse say nothing of the ninth."""
    greeted = []

    def slowly(session):
        greeted.append(threading.Event().wait(SLOW_SECONDS))
        return b"554 5.7.1 no service for you\r\n"
    with RemoteHouse(settings=SETTINGS) as remote:
        hosts = [FakeHost(listener=socket.create_server((f"127.0.3.{n}", good.port)), answers={"greeting": slowly}) for n in range(1, SLOW_MAX + 1)]
        where = [(n, f"mx{n}.many.test", [f"127.0.3.{n}"]) for n in range(1, SLOW_MAX + 1)]
        before = good.connections
        is_((outcome(remote, where + [(99, "last.many.test", ["127.0.0.1"])]), good.connections - before), (RETRY, 0), "eight slow refusals, and one that was not asked: it waits")
        is_(outcome(remote, where + [(99, "last.many.test", ["127.0.0.1"])], 1), DONE, "and is asked at the next attempt")
        is_(outcome(remote, where), FAILED, "all of eight have refused: that is for good")
        for host in hosts:
            host.close()


def deaf_host():
    text, over = b"Subject: deaf\r\n\r\n" + (b"x" * 998 + b"\r\n") * 30000, threading.Event()
    with RemoteHouse(settings=SETTINGS) as remote:
        host = Early(b"", deaf_until=over)
        found = remote.send(["a@far.test"], hops=[("127.0.0.1", host.port)], message=text)
        is_(found["a@far.test"], (RETRY, "4.4.2", "the message: timeout"), "a host that takes nothing more: its timeout, not our fault")
        over.set()


def tls_that_fails():
    def needs_ours(version):
        def tune(context):
            context.maximum_version = version
            context.verify_mode = ssl.CERT_REQUIRED
        return tune
    with RemoteHouse(settings=SETTINGS) as remote:
        certificate = certificate_in(remote)
        for what, more in (("needs a certificate of ours, TLS 1.3", {"tune": needs_ours(ssl.TLSVersion.TLSv1_3)}),
                           ("needs a certificate of ours, TLS 1.2", {"tune": needs_ours(ssl.TLSVersion.TLSv1_2)}),
                           ("ends right after the handshake", {"in_tls": {"EHLO": b"close"}})):
            host = FakeHost(extensions=["STARTTLS"], certificate=certificate, **more)
            is_(remote.send(["a@far.test"], hops=[("127.0.0.1", host.port)])["a@far.test"][0], DONE, f"a host that {what}: delivered")
            is_([facts["tls"] for _, _, _, facts in host.messages], [False], "in clear")
            host.close()
        host = FakeHost(extensions=["STARTTLS"], certificate=certificate, in_tls={"EHLO": b"554 5.7.0 not in here\r\n", "HELO": b"close"})
        is_(remote.send(["a@far.test"], hops=[("127.0.0.1", host.port)])["a@far.test"][0], RETRY, "what has spoken inside is not asked outside")
        is_((host.connections, len(host.messages)), (1, 0), "nothing goes in clear")
        host.close()
        for more, mail, rcpt, expected in (
                ({"answers": {"STARTTLS": b"454 4.7.0 not now\r\n"}}, b"530 must issue STARTTLS\r\n", None, (RETRY, "4.7.10")),
                ({"break_tls": True}, b"530 5.7.0 must issue STARTTLS\r\n", None, (RETRY, "4.7.10")),
                ({"break_tls": True}, None, b"550 5.7.10 encryption needed\r\n", (RETRY, "4.7.10")),
                ({"break_tls": True}, None, b"550 5.1.1 who is that\r\n", (FAILED, "5.1.1")),
                ({}, b"530 5.7.0 not you\r\n", None, (FAILED, "5.7.0"))):
            host = FakeHost(extensions=["STARTTLS"], certificate=certificate, **more)
            host.answers.update({"MAIL": mail, "RCPT": rcpt})
            other = FakeHost()
            found = remote.send(["a@far.test"], hops=[("127.0.0.1", host.port)])["a@far.test"]
            is_(found[:2], expected, f"{'TLS fails, then' if more else 'in TLS'} {mail or rcpt}")
            if mail and more:
                found = remote.send(["a@far.test"], hops=[("127.0.0.1", host.port), ("127.0.0.1", other.port)])["a@far.test"]
                is_(found[0], DONE, "and another host is asked")
            host.close()
        dripped = queue.Queue()
        host = FakeHost(extensions=["STARTTLS"], before_tls=lambda session: session.client.recv(65536) and dripped.put(drip(session, RECORD_OF_HANDSHAKE)) or True)
        is_(remote.send(["a@far.test"], hops=[("127.0.0.1", host.port)])["a@far.test"][0], DONE, "a handshake that drips: in clear after its time")
        ok(dripped.get() < DRIPS, "which is that of an answer")
        host.close()
        host = FakeHost(extensions=["STARTTLS"], certificate=certificate,
                        in_tls={"EHLO": lambda session: dripped.put(drip(session, RECORD_OF_DATA)) or b"close"})
        is_(remote.send(["a@far.test"], hops=[("127.0.0.1", host.port)])["a@far.test"], (RETRY, "4.4.2", "EHLO: timeout"), "so does a record")
        ok(dripped.get() < DRIPS, "for no longer")
        host.close()


before = good.connections
own_faults()
loops_back()
many_hosts()
early_answers()
hasty_answers()
odd_hosts()
few_at_once()
refused_where_we_were_let_in()
put_off()
who_says_it()
kept_to_another()
killed_between_transactions()
abandoned()
not_tried_yet()
deaf_host()
tls_that_fails()
reload_while_connecting()
reload_in_handshake()
done()
