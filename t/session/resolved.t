#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""resolved over its wires: questions of all three askers, an answer larger than the wire, reload, nonsense."""
import pathlib
import signal
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import wirehouse
from tap import done, is_, ok
from wirehouse import Out, dial, receive, send

RESOLVE_CLIENT, RESOLVE_SENDER, RESOLVE_RECIPIENT, RESOLVE_VERDICT, RESOLVE_EXPAND, RESOLVE_TARGET, RESOLVE_REFUSALS = range(16, 23)
FULL, UNKNOWN = 0, 1
VERDICTS, KINDS = ["accept", "relay", "reject", "later"], ["error", "mailbox", "remote"]
MANY = 9000
MAPS = {
    "domains": "example.test mailboxes\ndept.test relay\n",
    "users": "anna@example.test uid=5001 gid=5002 quota=1M\nbert@example.test\n",
    "aliases": "info@example.test anna@example.test, bert@example.test, x@far.test\n"
               "cases@example.test Foo@far.test, foo@far.test, foo@FAR.test\n"
               "many@example.test include:many\n",
    "routes": "dept.test lmtp 192.0.2.7:2400 [2001:db8::7]\n",
    "access": "192.0.2.0/24 relay\nfrom:evil.test reject 5.7.1 go away\n",
}


def ask(line, kind, client="203.0.113.1", account="", sender="", recipient="", size=0):
    send(line, Out(kind).u32(7).address(client).view("").byte(0).view(account).view(sender).view(recipient).u64(size))
    answer = receive(line)
    number, verdict = answer.u32(), VERDICTS[answer.byte()]
    status, text, _, any_sender, normal = answer.string(), answer.string(), answer.byte(), answer.byte(), answer.string()
    if any_sender:
        raise ValueError("the access map has senders")
    mailbox, size_max = answer.byte(), answer.u64()
    if (mailbox, size_max) != ((1, 1 << 20 if normal.lower().startswith("anna") else 0) if verdict == "accept" and normal.lower() in ("anna@example.test", "bert@example.test") else (0, 0)):
        raise ValueError(f"{normal}: mailbox {mailbox}, limit {size_max}")
    answer.end()
    return (number, verdict, status, text, normal)


def target(line):
    message = receive(line)
    t = {"question": message.u32(), "last": message.byte(), "expanded": message.byte(), "kind": KINDS[message.byte()],
         "address": message.string(), "uid": message.u32(), "gid": message.u32(), "home": message.string(),
         "quota": message.u64(), "route": message.route()}
    t["status"], t["text"] = message.string(), message.string()
    message.end()
    return t


def expand(line, address, number=9):
    send(line, Out(RESOLVE_EXPAND).u32(number).view(address))
    targets = [target(line)]
    while not targets[-1]["last"]:
        targets.append(target(line))
    return targets


class Resolved(wirehouse.ProgramHouse):
    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-t."))
        (self.directory / "conf").mkdir()
        (self.directory / "conf/many").write_text("".join(f"user{n}@a-rather-long-domain-name-for-a-target.test\n" for n in range(MANY)))
        generation = wirehouse.generation(self.directory, "mail.domain example.test\nmailbox.uid 5000\nmailbox.gid 5000\n", MAPS)
        self.wires, theirs = {}, {"generation": generation}
        for name in ("smtpd", "queued", "pickup"):
            self.wires[name], theirs[f"{name}.resolve"] = wirehouse.pair()
        self.theirs = theirs
        self.program = self.start()
        return self

    def start(self):
        program = wirehouse.Program("resolved", self.theirs, self.directory)
        program.wait_ready()
        return program

    def dial(self, name):
        return dial(self.wires[name], "resolve")


def questions(house):
    for name in house.wires:
        line = house.dial(name)
        is_(ask(line, RESOLVE_RECIPIENT, recipient="Anna@example.test"), (7, "accept", "", "", "Anna@example.test"), f"{name} asks")
    is_(ask(line, RESOLVE_RECIPIENT, recipient="nobody@example.test")[1:4], ("reject", "5.1.1", "no such mailbox here"), "nobody")
    is_(ask(line, RESOLVE_RECIPIENT, recipient="x@far.test")[1:3], ("reject", "5.7.1"), "no open relay")
    is_(ask(line, RESOLVE_RECIPIENT, recipient="info@example.test", size=2 << 20)[1], "accept", "an alias: somebody has room for it")
    is_(ask(line, RESOLVE_RECIPIENT, recipient="anna@example.test", size=(1 << 20) + 1)[1:3], ("reject", "5.2.3"), "larger than the whole mailbox")
    is_(ask(line, RESOLVE_RECIPIENT, client="192.0.2.1", recipient="x@far.test")[1], "accept", "a relay client")
    is_(ask(line, RESOLVE_CLIENT, client="192.0.2.1")[1], "relay", "is told so")
    is_(ask(line, RESOLVE_SENDER, sender="a@evil.test")[1:4], ("reject", "5.7.1", "go away"), "the kill file")
    is_(ask(line, RESOLVE_SENDER, account="anna@example.test", sender="bert@example.test")[1:3], ("reject", "5.7.1"),
        "an account sends as itself")


def expansions(house):
    line = house.dial("queued")
    t = expand(line, "anna@example.test")
    is_([(x["question"], x["kind"], x["address"], x["uid"], x["gid"], x["quota"], x["expanded"]) for x in t],
        [(9, "mailbox", "anna@example.test", 5001, 5002, 1 << 20, 0)], "a mailbox")
    ok(t[0]["home"].startswith("/"), "has an absolute home", t[0]["home"])
    is_([(x["kind"], x["address"], x["expanded"]) for x in expand(line, "info@example.test")],
        [("mailbox", "anna@example.test", 1), ("mailbox", "bert@example.test", 1), ("remote", "x@far.test", 1)], "an alias")
    is_([x["address"] for x in expand(line, "cases@example.test")], ["Foo@far.test", "foo@far.test"], "capitals before the @ are another host's business")
    t = expand(line, "x@dept.test")[0]
    is_(t["route"], (1, "", [("192.0.2.7", 2400), ("[2001:db8::7]", 24)]), "a route")
    # More than the socket holds, and nobody reads meanwhile: another asker is served all the same.
    send(line, Out(RESOLVE_EXPAND).u32(1).view("many@example.test"))
    send(line, Out(RESOLVE_EXPAND).u32(2).view("anna@example.test"))
    other = house.dial("queued")
    is_(len(expand(other, "anna@example.test")), 1, "who asks beside a large answer is answered")
    got = [target(line) for _ in range(MANY)]
    is_([x["address"] for x in got], [f"user{n}@a-rather-long-domain-name-for-a-target.test" for n in range(MANY)],
        f"{MANY} targets come in order")
    is_(([x["last"] for x in got].index(1), {x["question"] for x in got}), (MANY - 1, {1}), "the last is marked")
    is_((target(line)["question"], len(expand(line, "anna@example.test"))), (2, 1), "the questions behind it are answered then")


def nonsense(house):
    for name, out in (("an unknown type", Out(99)), ("a torn question", Out(RESOLVE_SENDER).u32(1)),
                      ("a long address", Out(RESOLVE_EXPAND).u32(1).view("x" * 400))):
        line = house.dial("smtpd")
        send(line, out)
        is_(receive(line), None, f"{name} ends the line")
    is_(len(expand(house.dial("queued"), "anna@example.test")), 1, "and nothing else")


def tell(line, *refusals):
    """queued's word; the answer to a question behind it shows that it was taken."""
    out = Out(RESOLVE_REFUSALS)
    for kind, key, size, left_ms in refusals:
        out.byte(kind).view(key).u64(size).u64(left_ms)
    send(line, out)
    return expand(line, "anna@example.test")[0]["home"]


def refusals(house):
    """What queued has learnt of a mailbox and of a department's addresses: for strangers, and until it says otherwise."""
    queued, smtpd = house.dial("queued"), house.dial("smtpd")
    home = tell(queued)
    tell(queued, (FULL, home, 500, 60000), (UNKNOWN, "x@dept.test", 0, 60000))
    is_(ask(smtpd, RESOLVE_RECIPIENT, recipient="anna@example.test")[1:4], ("later", "4.2.2", "the mailbox is full"), "a full mailbox")
    is_(ask(smtpd, RESOLVE_RECIPIENT, recipient="x@dept.test")[1:3], ("reject", "5.1.1"), "an address that a department does not know")
    is_(ask(smtpd, RESOLVE_RECIPIENT, recipient="y@dept.test")[1], "accept", "another of that department")
    is_(ask(smtpd, RESOLVE_RECIPIENT, account="bert@example.test", recipient="x@dept.test")[1], "accept", "an account may try")
    is_(len(expand(queued, "x@dept.test")), 1, "queued is told the way as before")
    tell(queued, (FULL, home, 500, 0), (UNKNOWN, "x@dept.test", 0, 0))
    is_(ask(smtpd, RESOLVE_RECIPIENT, recipient="anna@example.test")[1], "accept", "there is room again")
    is_(ask(smtpd, RESOLVE_RECIPIENT, recipient="x@dept.test")[1], "accept", "there is one now")
    for name in ("smtpd", "pickup"):
        line = house.dial(name)
        send(line, Out(RESOLVE_REFUSALS).byte(UNKNOWN).view("x@dept.test").u64(0).u64(60000))
        is_(receive(line), None, f"{name} has no say in it")
    send(queued, Out(RESOLVE_REFUSALS).byte(9).view("x").u64(0).u64(0))
    is_(receive(queued), None, "an unknown kind ends the line")
    is_(ask(smtpd, RESOLVE_RECIPIENT, recipient="x@dept.test")[1], "accept", "and changes nothing")


def reload(house):
    idle, busy = house.dial("smtpd"), house.dial("queued")
    ask(idle, RESOLVE_RECIPIENT, recipient="anna@example.test")
    send(busy, Out(RESOLVE_EXPAND).u32(1).view("many@example.test"))
    first = target(busy)
    old = house.program
    house.program = house.start()
    old.signal(signal.SIGHUP)
    is_(receive(idle), None, "an idle line is let go of for the successor")
    rest = [target(busy) for _ in range(MANY - 1)]
    ok(not first["last"] and rest[-1]["last"], "an answer on its way is finished")
    is_(receive(busy), None, "then that line ends too")
    is_(old.wait(), 0, "and the old one is gone")
    is_(ask(house.dial("smtpd"), RESOLVE_RECIPIENT, recipient="anna@example.test")[1], "accept", "the new one answers")
    house.program.signal(signal.SIGTERM)
    is_(house.program.wait(), 0, "a stop is orderly")


with Resolved() as house:
    questions(house)
    expansions(house)
    nonsense(house)
    refusals(house)
    reload(house)
done()
