#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The command line without a running house: builds and their errors, map edits, rollback, users, certificates."""
import fcntl
import grp
import os
import pathlib
import re
import resource
import select
import shutil
import socket
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import wirehouse  # noqa: E402
from maps import ENTRIES, NAMES  # noqa: E402
from place import PROGRAM, SETTINGS, SOURCE, Place  # noqa: E402
from tap import done, is_, ok, skip  # noqa: E402

CONTROL_STATUS, CONTROL_LINE, CONTROL_END, CONTROL_VERSION = 16, 20, 21, 29


def build():
    with Place(domains="example.test mailboxes\n", users="anna@example.test\n") as p:
        p.write("posthouse.conf", p.read("posthouse.conf") + "postmaster anna\n")
        is_(p.run("build"), 0, "a configuration builds")
        ok(p.out.startswith("generation 1: 1 domain, 1 user, 0 aliases, 0 routes, 0 access rules, "), "and says what is in it", p.out)
        counts = {"domains": 1, "users": 1}
        words = [f"{counts.get(name, 0)} {one if name in counts else many}" for name, (one, many) in ENTRIES.items() if one]
        is_(p.out, f"generation 1: {', '.join(words)}, 0 certificates\n", "of every map that counts")
        is_(p.err, "", "without a complaint")
        files = sorted(os.listdir(p.directory / "state/generations/0001"))
        is_(files, sorted([f"{name}.cdb" for name in NAMES] + ["asked.cdb", "keys", "manifest.cdb", "settings.cdb", "tls.cdb"]), "every file of a generation is there")
        is_(os.stat(p.directory / "state/generations/0001/passwords.cdb").st_mode & 0o777, 0o600, "passwords.cdb is its owner's alone")
        is_(p.run("map", "dump", "users"), 0, "a compiled map can be shown")
        is_(p.out, "anna@example.test uid=5000 gid=5000 home=DIR/mail/example.test/anna\n", "with every default settled")


ERRORS = {
    "posthouse.conf": ("porter.session 5\nsmtpd.timeout 30\nhost.name a.test\nlisten.smtp *:25\nlisten.imap 127.0.0.1:25\n"
                       "tls.minimum 1.1\n"),
    "domains.map": "example.test mailboxes\nexample.test relay\nold.test alias-of gone.test\nx.test hosted\n indented\n",
    "users.map": "anna@example.test uid=0\nbert@other.test\ncarl@example.test quota=lots\nemil@example.test home=../x\n",
    "passwords.map": "anna@example.test secret\nnobody@example.test $6$x$y\no'brien@example.test $6$x$y\n",
    "aliases.map": "info@example.test\n\"open@example.test x\nb@example.test include:../etc\n",
    "routes.map": "dept.test smpt x\n* smtp\n",
    "access.map": "10.0.0.1/8 allow\nfrom:x.test relay\n",
}

WANTED = """\
DIR/conf/posthouse.conf:15: error: unknown setting "porter.session"; did you mean porter.sessions?
DIR/conf/posthouse.conf:16: error: smtpd.timeout: "30" is not a time with its unit (ms, s, m, h, d) from 1s to 1h
DIR/conf/posthouse.conf:17: error: host.name is set in line 2 already; remove one of the two
DIR/conf/posthouse.conf:20: error: tls.minimum: "1.1" is not one of 1.2|1.3
DIR/conf/posthouse.conf:19: error: listen.smtp and listen.imap both listen on port 25; change one of the two
DIR/conf/domains.map:2: error: example.test is in line 1 already; remove one of the two
DIR/conf/domains.map:4: error: "hosted" is not a class of domain; write mailboxes, relay or alias-of DOMAIN
DIR/conf/users.map:1: error: uid: "0" is not a number from 1 to 2147483647 (a mailbox never belongs to root)
DIR/conf/users.map:2: error: other.test is not in domains.map; posthouse domain add other.test
DIR/conf/users.map:3: error: quota: "lots" is not a size such as 500M or 2G
DIR/conf/users.map:4: error: home: "../x" has a "." or ".." in it
DIR/conf/passwords.map:1: error: unknown form of password hash ($argon2id$, $2y$, $5$, $6$, $y$, {SSHA...}); posthouse user passwd makes one
DIR/conf/passwords.map:2: error: nobody@example.test is not in users.map; posthouse user add nobody@example.test, or remove the line
DIR/conf/passwords.map:3: error: o'brien@example.test is not in users.map; posthouse user add 'o'\\''brien@example.test', or remove the line
DIR/conf/aliases.map:1: error: no target; give addresses, include:FILE or :fail: TEXT
DIR/conf/aliases.map:2: error: a quote is not closed; write \\" for a quote inside quotes
DIR/conf/aliases.map:3: error: include:../etc: the path is relative to DIR/conf and has no ".."
DIR/conf/routes.map:1: error: "smpt" is not a transport; write smtp, lmtp, local or error
DIR/conf/routes.map:2: error: a next hop is missing; write HOST, HOST:PORT, mx or mx=DOMAIN
DIR/conf/access.map:1: error: "10.0.0.1/8" is not an address, a network without host bits such as 192.0.2.0/24, host:NAME, from:ADDRESS or to:ADDRESS
DIR/conf/access.map:2: error: relay is for IP addresses and networks only: names and senders are easily forged
DIR/conf/domains.map:3: error: old.test is an alias of gone.test, which is not in domains.map
posthouse: 22 errors; the current generation is untouched
"""


def errors():
    with Place() as p:
        p.run("build")
        p.write("posthouse.conf", SETTINGS.format(d=p.directory) + ERRORS["posthouse.conf"])
        for name, text in ERRORS.items():
            if name.endswith(".map"):
                p.write(name, text)
        is_(p.run("build"), 100, "what is wrong does not build")
        is_("\n".join(p.err.splitlines()), "\n".join(WANTED.splitlines()), "all errors at once, each with file, line and remedy")
        is_(p.current(), "0001", "the current generation is untouched")
        is_(os.listdir(p.directory / "state/generations").count("0002"), 0, "and there is no other")
        p.write("posthouse.conf", "")
        shutil.rmtree(p.conf)
        is_(p.run("build"), 100, "no configuration directory")
        is_(p.err, "posthouse: configuration directory DIR/conf: No such file or directory\n", "is named")
    with Place(passwords="") as p:
        os.chmod(p.conf / "passwords.map", 0o644)
        is_(p.run("build"), 100, "passwords that others may read do not build")
        ok("passwords.map: error: readable by other users; run chmod 600" in p.err, "and the remedy is told", p.err)


CONTRADICTIONS = {
    "queue.retry-first 2h": "queue.retry-first is greater than queue.retry-max; change one of the two",
    "mailbox.uid-min 60000\nmailbox.uid-max 50000": "mailbox.uid-min is greater than mailbox.uid-max; change one of the two",
    "queue.delay-notice 6d": "queue.delay-notice is greater than queue.lifetime; change one of the two",
    "log.to /nonexistent/log": "log.to: the directory /nonexistent/: No such file or directory",
    "log.to /etc": "log.to: /etc is a directory, not a file",
    "log.to file": 'log.to: "file" is not syslog, stderr or an absolute path',
    "dns.server ns.example.test": 'dns.server: "ns.example.test" is not an address such as 127.0.0.1:53',
    "dns.server ::1": 'dns.server: "::1" is not an IPv4 address',
    "dns.server [::1]:53": 'dns.server: "[::1]:53" is not an IPv4 address',
    "recipients-max 50001": 'recipients-max: "50001" is not a number from 100 to 50000',
    "smtpd.sessions-max 20001": 'smtpd.sessions-max: "20001" is not a number from 1 to 20000',
    "porter.proxy-from " + ",".join(f"192.0.2.{n}" for n in range(33)): "porter.proxy-from: more than 32 networks",
    "porter.proxy-from 192.0.2.1/24": 'porter.proxy-from: "192.0.2.1/24" is not an address or a network',
    "address.delimiter ++": 'address.delimiter: "++" is not one character such as + or -',
    "postmaster a@@b": 'postmaster: "a@@b" is not an address',
    f"postmaster {'a' * 240}@{'b' * 60}.{'c' * 20}.test": f"postmaster: the address \"{'a' * 100}...\" is longer than 319 bytes",
    "listen.smtp 127.0.0.1:2525,127.0.0.1:2525": "listen.smtp: 127.0.0.1:2525 and 127.0.0.1:2525 overlap; remove one of the two",
    "listen.smtp [::]:2525,*:2525": "listen.smtp: [::]:2525 and *:2525 overlap; remove one of the two",
    "listen.smtp *:2525, [::1]:2525": "listen.smtp: *:2525 and [::1]:2525 overlap; remove one of the two",
    "listen.smtp 0.0.0.0:2525, 127.0.0.1:2525": "listen.smtp: 0.0.0.0:2525 and 127.0.0.1:2525 overlap; remove one of the two",
    "listen.smtp [::]:2525\nlisten.imap [::1]:2525": "listen.smtp and listen.imap both listen on port 2525; change one of the two",
    "control.group no-such-group": 'control.group: there is no group "no-such-group"',
}


def contradictions():
    with Place(domains="example.test mailboxes\n") as p:
        base = p.read("posthouse.conf")
        for text, wanted in CONTRADICTIONS.items():
            p.write("posthouse.conf", base + text + "\n")
            is_(p.run("build"), 100, f"{text!r} does not build")
            ok(re.search(r"posthouse\.conf:1[56]: error: " + re.escape(wanted), p.err), "with file, line and reason", p.err)
        p.write("posthouse.conf", base + "listen.smtp 0.0.0.0:2525, [::]:2525, 127.0.0.1:2526, 127.0.0.2:2526\n")
        is_(p.run("build"), 0, "what one machine can listen on builds")


EDITED = """\
# Staff.
anna@example.test quota=2G
# Bert is
#   on leave
BERT@example.test
  state=locked
carl@example.test
"""


def maps():
    with Place(domains="example.test mailboxes\n", users=EDITED) as p:
        is_(p.run("map", "get", "users", "bert@example.test"), 0, "map get")
        is_(p.out, "state=locked\n", "joins continuation lines")
        is_(p.run("map", "get", "users", "nobody@example.test"), 100, "a missing key is an error")
        is_(p.err, 'posthouse: "nobody@example.test" is not in users.map\n', "and named")
        is_(p.run("map", "set", "users", "bert@example.test", "quota=1G", "state=active"), 0, "map set replaces")
        is_(p.read("users.map"), EDITED.replace("BERT@example.test\n  state=locked\n", "BERT@example.test quota=1G state=active\n"),
            "one entry, in its place, all else as it was")
        is_(p.run("map", "set", "users", "dora@example.test"), 0, "map set adds")
        ok(p.read("users.map").endswith("carl@example.test\ndora@example.test\n"), "at the end", p.read("users.map"))
        is_(p.run("map", "del", "users", "bert@example.test"), 0, "map del")
        is_(p.read("users.map"), "# Staff.\nanna@example.test quota=2G\n# Bert is\n#   on leave\ncarl@example.test\ndora@example.test\n",
            "takes the entry away and nothing else")
        is_(p.run("map", "dump", "users"), 0, "the edits have been compiled")
        ok("dora@example.test" in p.out and "bert" not in p.out, "and are in the generation", p.out)

        before, generation = p.read("users.map"), p.current()
        is_(p.run("map", "set", "users", "x@nowhere.test"), 100, "an edit that would not build")
        ok("nowhere.test is not in domains.map" in p.err and "nothing was changed" in p.err, "is refused", p.err)
        is_((p.read("users.map"), p.current()), (before, generation), "and leaves text and generation alone")
        is_(p.run("map", "set", "users", "a@example.test", "x\ny"), 100, "a line end in a value is refused")
        is_(p.run("map", "get", "usres", "x"), 100, "an unknown map")
        is_(p.err, 'posthouse: there is no map "usres"; there are ' + ", ".join(NAMES) + "\n", "is told which there are")

        p.write("users.map", before.replace("quota=2G", "quota=3G") + "new@example.test\n")
        is_(p.run("map", "diff", "users"), 0, "map diff")
        is_(p.out.replace(" uid=5000 gid=5000", "").replace("home=DIR/mail/example.test/", "~"),
            "- anna@example.test ~anna quota=2G\n+ anna@example.test ~anna quota=3G\n+ new@example.test ~new\n",
            "shows what a build would change")
        is_(p.run("map", "check"), 0, "map check")
        p.write("posthouse.conf", p.read("posthouse.conf") + "queue.space-min 1T\n")
        (p.directory / "queue").mkdir(exist_ok=True)
        os.chmod(p.conf / "users.map", 0o666)
        p.run("check")
        ok("DIR/conf/users.map: error: writable by other users; run chmod go-w" in p.err, "check knows who may write the texts", p.err)
        ok("posthouse.conf: warning: postmaster: postmaster@example.test is not a user and not an alias" in p.err,
           "and that nobody reads the postmaster's mail", p.err)
        ok("less than queue.space-min: new mail is deferred" in p.err, "check knows when there is no room for new mail", p.err)


def editor():
    with Place(domains="example.test mailboxes\n", users="anna@example.test\n") as p:
        is_(p.run("map", "edit", "users", env={"VISUAL": "", "EDITOR": "echo bert@example.test >>"}), 0, "map edit")
        is_(p.read("users.map"), "anna@example.test\nbert@example.test\n", "takes what the editor left")
        is_(p.run("map", "edit", "users", env={"VISUAL": "echo rubbish@@ >>"}), 100, "a text that does not build")
        is_(p.read("users.map"), "anna@example.test\nbert@example.test\n", "is not taken")
        kept = [line.split()[-1] for line in p.err.splitlines() if "your version is in" in line]
        ok(len(kept) == 1 and "rubbish" in pathlib.Path(kept[0]).read_text(), "and is kept for another try", p.err)
        for name in kept:
            os.unlink(name)
        generation = p.current()
        is_(p.run("map", "edit", "users", env={"VISUAL": "true"}), 0, "an editor that changes nothing")
        is_(p.current(), generation, "makes no generation")


def meanwhile():
    """While an editor is open nobody waits; what others changed is not overwritten."""
    with Place(domains="example.test mailboxes\n", users="anna@example.test\n") as p:
        other = f"{PROGRAM} -c {p.conf} map set users bert@example.test"
        is_(p.run("map", "edit", "users", env={"VISUAL": f"{other}; echo carl@example.test >>"}), 111,
            "map edit of a text that somebody else changes")
        is_(p.read("users.map"), "anna@example.test\nbert@example.test\n", "does not overwrite the change, and did not keep it waiting")
        ok("users.map was changed by someone else in the meantime; nothing was changed" in p.err, "says so", p.err)
        kept = [line.split()[-1] for line in p.err.splitlines() if "your version is in" in line]
        ok(len(kept) == 1 and pathlib.Path(kept[0]).read_text() == "anna@example.test\ncarl@example.test\n", "and keeps the copy", p.err)
        for name in kept:
            os.unlink(name)
        other = f"{PROGRAM} -c {p.conf} domain add other.test"
        is_(p.run("map", "edit", "users", env={"VISUAL": f"{other}; echo dora@other.test >>"}), 0, "a change of another map")
        is_(p.read("users.map"), "anna@example.test\nbert@example.test\ndora@other.test\n", "is not in the way")


def locked():
    """A command that waits says what for."""
    with Place(domains="example.test mailboxes\n", users="anna@example.test\n") as p:
        for words in (("build",), ("domain", "add", "other.test")):
            directory = os.open(p.conf, os.O_RDONLY)
            fcntl.flock(directory, fcntl.LOCK_EX)
            process = subprocess.Popen([str(PROGRAM), "-c", str(p.conf), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            is_(process.stderr.readline(), f"posthouse: waiting for another command that is changing or building {p.conf}\n",
                f"{' '.join(words)} says what it waits for")
            is_(process.poll(), None, "and waits")
            os.close(directory)
            process.communicate()
            is_(process.returncode, 0, "and does its work when the lock is free")


def versions():
    """The programs of before an upgrade go on: status says so."""
    installed = (pathlib.Path(__file__).resolve().parent.parent.parent / "VERSION").read_text().strip()
    with Place() as p:
        (p.directory / "run").mkdir()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as master:
            master.bind(str(p.directory / "run/control"))
            master.listen()
            for version in ("0.0.1", None):
                over = threading.Event()
                thread = threading.Thread(target=old_master, args=(master, version, over))
                thread.start()
                is_(p.run("status"), 0, "status of a master of another version")
                over.set()
                thread.join()
                if version:
                    is_(p.out, f"version      0.0.1 (running), {installed} (this command)\nqueued running\n", "shows both versions")
                    is_(p.err, f"posthouse: warning: version 0.0.1 is running, this command is version {installed}; "
                        "run posthouse stop and posthouse start to use the installed version\n", "and warns")
                else:
                    ok(p.out.startswith("version      unknown (running)"), "one that does not tell its version is unknown", p.out)


def other_version_is_left_alone():
    """A reload would start programs that do not understand those that run."""
    with Place(domains="example.test mailboxes\n", users="anna@example.test\n") as p:
        p.run("build")
        (p.directory / "run").mkdir()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as master:
            master.bind(str(p.directory / "run/control"))
            master.listen()
            for words in (("map", "set", "users", "bert@example.test"), ("reload",)):
                heard, over = [], threading.Event()
                thread = threading.Thread(target=hear_all, args=(master, heard, over))
                thread.start()
                ok(p.run(*words) != 0 and "version 0.0.1 is running" in p.err and "posthouse stop" in p.err,
                   f"{words[0]} does not reload another version, and says so", p.err)
                over.set()
                thread.join()
                is_(set(heard), {CONTROL_STATUS}, "nor asks for it")
            is_(p.run("map", "dump", "users"), 0, "the edit itself")
            ok("bert" in p.out, "is compiled")


def hear_all(listener, heard, over):
    """A master of 0.0.1 for as long as it takes; `heard`: what it was asked."""
    listener.settimeout(0.05)
    while not over.is_set():
        try:
            line, _ = listener.accept()
        except TimeoutError:
            continue
        with line:
            line.settimeout(wirehouse.PATIENCE_SECONDS)
            question = wirehouse.receive(line)
            if question is None:
                continue
            heard.append(question.kind)
            wirehouse.send(line, wirehouse.Out(CONTROL_VERSION).view("0.0.1"))
            wirehouse.send(line, wirehouse.Out(CONTROL_END).byte(0).view(""))


def old_master(listener, version, over):
    """Each question comes over a line of its own; what queued and pickup do not serve is asked for as well."""
    while not over.is_set():
        if not select.select([listener], [], [], 0.05)[0]:
            continue
        line, _ = listener.accept()
        with line:
            question = wirehouse.receive(line)
            if question and question.kind == CONTROL_STATUS:
                if version is not None:
                    wirehouse.send(line, wirehouse.Out(CONTROL_VERSION).view(version))
                wirehouse.send(line, wirehouse.Out(CONTROL_LINE).view("queued running"))
                wirehouse.send(line, wirehouse.Out(CONTROL_END).byte(0).view(""))
            elif question:
                wirehouse.send(line, wirehouse.Out(CONTROL_END).byte(100).view("an older one"))


def damaged():
    """check names every file of the generation that is not as the build wrote it; a dump of one is none."""
    with Place(domains="example.test mailboxes\n") as p:
        is_(p.run("build"), 0, "a generation")
        current = p.directory / "state/generations/current"
        names = sorted(path.name for path in current.glob("*.cdb"))
        for name in names:
            path = current / name
            whole = path.read_bytes()
            path.write_bytes(whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:])
            p.run("check")
            ok(f"error: {name} of the current generation is damaged, or another file: its checksum does not match; run posthouse build\n" in p.err,
               f"check finds one bit of {name}", p.err)
            path.write_bytes(whole[:-32])
            p.run("check")
            ok("damaged" not in p.err, "a file of an earlier release, without a sum, is good", p.err)
            path.write_bytes(whole)
        (current / "users.cdb").write_bytes((current / "routes.cdb").read_bytes())
        p.run("check")
        ok("error: users.cdb of the current generation is damaged, or another file" in p.err, "a map in another's place is one", p.err)
        (current / "users.cdb").write_bytes(b"")
        before = (current / "routes.cdb").read_bytes()
        p.write("routes.map", "other.test smtp mx\n")
        is_(p.run("build"), 0, "a build makes all anew")
        (current / "routes.cdb").write_bytes(before)
        p.run("check")
        ok("error: routes.cdb of the current generation is of another generation than the other files; run posthouse build\n" in p.err,
           "one of an earlier generation is found", p.err)
        is_((p.run("rollback"), p.current()), (100, "0002"), "a rollback to a damaged generation is refused")
        ok("generation 1 cannot be used: users.cdb is damaged: it is too short" in p.err, "and says why", p.err)
        is_(p.run("build"), 0, "a build again")
        path = current / "domains.cdb"
        whole = path.read_bytes()
        path.write_bytes(whole[:2060] + b"\xff" + whole[2061:])
        for words in (("map", "dump", "domains"), ("map", "diff", "domains")):
            is_(p.run(*words), 111, " ".join(words) + " of a damaged map")
            ok("domains.cdb of the current generation is damaged" in p.err, "says so", p.err)


def missing():
    """A map that is gone is not an empty one."""
    with Place(domains="example.test mailboxes\n", users="anna@example.test\nbert@example.test\n") as p:
        is_(p.run("build"), 0, "all maps are there")
        for name in NAMES:
            text = p.read(f"{name}.map")
            os.unlink(p.conf / f"{name}.map")
            is_(p.run("build"), 100, f"a missing {name}.map does not build")
            ok(f"DIR/conf/{name}.map: error: there is no such file; restore it, or make an empty one with touch or posthouse map edit "
               f"{name}\n" in p.err, "and is named, with the remedy", p.err)
            p.run("check")
            ok(f"{name}.map: error: there is no such file" in p.err, "by check too", p.err)
            p.write(f"{name}.map", text)
        os.unlink(p.conf / "users.map")
        is_(p.run("user", "add", "carl@example.test"), 100, "a user is not added to a map that is gone")
        ok("DIR/conf/users.map: there is no such file" in p.err, "the file is named", p.err)
        ok(not (p.conf / "users.map").exists(), "and none is made with that user alone")
        os.unlink(p.conf / "routes.map")
        p.write("users.map", "anna@example.test\n")
        is_(p.run("map", "edit", "routes", env={"EDITOR": "true"}), 0, "map edit makes it, empty as it may be")
        is_(p.read("routes.map"), "", "it is there")
        is_(p.current(), "0002", "and built")


def what_a_start_refuses():
    """Names in UTF-8, too many listeners, homes that no program serves."""
    with Place(domains="example.test mailboxes\n", users="anna@example.test\n") as p:
        base = p.read("posthouse.conf")
        for key in ("host.name", "mail.domain"):
            p.write("posthouse.conf", re.sub(f"^{key} .*$", f"{key} münchen.test", base, flags=re.M))
            is_(p.run("build"), 100, f"a {key} in UTF-8 does not build")
            ok(f'{key}: "münchen.test" has a letter in its domain that is not ASCII (U+00FC); write the A-label of the domain (xn--...)'
               in p.err, "and says how to write it", p.err)
        ports = iter(range(2000, 3000))
        listen = [f"listen.{service} " + ", ".join(f"127.0.0.1:{next(ports)}" for _ in range(count))
                  for service, count in (("smtp", 20), ("submission", 20), ("imap", 8))]
        rest = "".join(line for line in base.splitlines(True))
        p.write("posthouse.conf", rest + "\n".join(listen) + "\nlisten.pop3\n")
        is_(p.run("build"), 0, "48 listeners of all services build")
        p.write("posthouse.conf", rest + "\n".join(listen) + "\nlisten.pop3 127.0.0.1:3001\n")
        is_(p.run("build"), 100, "49 do not")
        ok("listen: 49 addresses to listen on, more than 48; remove some" in p.err, "and are counted", p.err)
        p.write("posthouse.conf", base)
        p.write("users.map", "anna@example.test home=/srv/anna\n")
        is_(p.run("build"), 100, "a home outside mail.root does not build")
        ok("users.map:1: error: home: /srv/anna is not below mail.root (DIR/mail)" in p.err, "and is named", p.err)


def warnings():
    """What builds, and what nobody means."""
    with Place(domains="example.test mailboxes\n", users="anna@example.test\nbert@example.test\n",
               aliases="info@example.test anna@example.test\npostmaster@example.test bert@example.test\n") as p:
        is_(p.run("build"), 0, "a configuration")
        is_(p.err, "", "that nothing is said of")
        is_(p.run("alias", "add", "bert@example.test", "anna@example.test"), 0, "an alias over a user")
        ok("aliases.map:3: warning: bert@example.test is a user and an alias: the alias takes the mail, and the mailbox gets none" in p.err,
           "is told at once", p.err)
        is_(p.run("user", "set", "anna@example.test", "quota=1G"), 0, "the next edit")
        is_(p.err, "", "does not repeat it")
        p.run("check")
        ok("bert@example.test is a user and an alias" in p.err, "but check does", p.err)
        is_(p.run("alias", "set", "bert@example.test", "bert@example.test", "anna@example.test"), 0, "with the mailbox among the targets")
        is_(p.err, "", "nothing is said")
        is_(p.run("user", "add", "info@example.test", "--no-password"), 0, "a user over an alias")
        ok("info@example.test is a user and an alias" in p.err, "is told too", p.err)
        is_(p.run("user", "del", "anna@example.test"), 0, "a user who is the target of an alias is deleted")
        ok("warning: mail to info@example.test cannot be delivered: anna@example.test is not a user" in p.err, "and it is told",
           p.err)
        is_(p.run("alias", "add", "*@example.test", "bert@example.test"), 0, "a star for a local part")
        ok("*@example.test is one address, whose local part is a star; the alias for all others of the domain is @DOMAIN" in p.err,
           "is told", p.err)
        for network in ("0.0.0.0/0", "::/0", "128.0.0.0/1"):
            is_(p.run("map", "set", "access", network, "relay"), 100, f"{network} relay")
            ok("makes an open relay; name the networks of your own clients" in p.err, "is refused", p.err)
        is_(p.run("map", "set", "access", "fc00::/7", "relay"), 0, "a private network is not")
        is_(p.run("domain", "add", "bücher.test"), 100, "a domain in UTF-8")
        ok('"bücher.test" has a letter in its domain that is not ASCII (U+00FC); write the A-label' in p.err, "is refused", p.err)
        is_(p.run("domain", "add", "xn--bcher-kva.test"), 0, "its A-label is taken")


def homes():
    """Two users with one home, and a home among another's folders."""
    with Place(domains="example.test mailboxes\n", users="anna@example.test\nbert@example.test\n") as p:
        p.write("posthouse.conf", p.read("posthouse.conf") + "postmaster anna\n")
        is_(p.run("build"), 0, "two users with homes of their own")
        is_(p.err, "", "of whom nothing is said")
        for home in ("example.test/anna", "example.test//anna/", f"{p.directory}/mail/example.test/anna"):
            p.write("users.map", f"anna@example.test\nbert@example.test home={home}\n")
            is_(p.run("build"), 0, f"the home of another, home={home.replace(str(p.directory), '')}, builds")
            ok("users.map:2: warning: bert@example.test has the home of anna@example.test: each reads and removes the other's mail"
               in p.err, "with a warning by name", p.err)
        p.write("users.map", "anna@example.test\n")
        is_(p.run("user", "add", "bert@example.test", "--no-password", "home=example.test/anna"), 0, "an edit that does so")
        ok("bert@example.test has the home of anna@example.test" in p.err, "says it as well", p.err)
        p.write("domains.map", "example.test mailboxes home=%d\n")
        p.write("users.map", "anna@example.test\nbert@example.test\n")
        is_(p.run("build"), 0, "a domain whose home= has no %u")
        ok("users.map:2: warning: bert@example.test has the home of" in p.err, "is noticed at its users", p.err)
        p.write("domains.map", "example.test mailboxes\n")
        current = p.current()
        for home in ("Maildir", "Maildir/cur", "Maildir//.Sent/"):
            p.write("users.map", f"bert@example.test home=example.test/anna/{home}\nanna@example.test\n")
            is_(p.run("build"), 100, f"a home in another's {home} does not build")
            ok("users.map:1: error: home: DIR/mail/example.test/anna/Maildir" in p.err and
               "is inside the Maildir of anna@example.test (line 2)" in p.err, "and both are named", p.err)
        is_(p.current(), current, "nothing was published")
        p.write("users.map", "anna@example.test\nbert@example.test home=example.test/anna/more\ncarl@example.test home=Maildir/carl\n")
        is_(p.run("build"), 0, "beside the Maildir a home may be, and in one that is nobody's")
        is_(p.err, "", "without a word")


ODD = {"a letter": ("münchen.test", "00FC"), "a letter that looks like another": ("\u0435xample.test", "0435"),
       "a pasted blank": ("example.test\u00a0", "00A0"), "a zero-width space": ("exam\u200bple.test", "200B"),
       "a soft hyphen": ("exam\u00adple.test", "00AD"), "a mark of direction": ("\u202eexample.test", "202E")}

# Every column that holds a domain or an address: the line, @ for the odd domain, and the lines that it needs beside it.
COLUMNS = {
    "domains": ["@ mailboxes", "@ relay", "old.test alias-of @"],
    "users": ["bert@@"],
    "passwords": ["bert@@ $6$x$y"],
    "aliases": ["info@@ anna", "@@ anna", "info bert@@", "info anna, bert@@", "info anna\n  bert@@", "info include:lists/staff"],
    "routes": ["@ smtp mx", ".@ smtp mx", "bert@@ smtp mx", "dept.test smtp @", "dept.test smtp @:25", "dept.test lmtp mail.test @",
               "dept.test smtp mx=@"],
    "access": ["host:@ reject", "host:.@ reject", "from:@ reject", "from:x@@ reject", "to:@ defer", "to:.@ reject", "to:x@@ reject"],
}


def settings_that_build(p):
    """The text of the settings; lists/ is there for included files."""
    (p.conf / "lists").mkdir()
    base = p.read("posthouse.conf") + "postmaster anna\n"
    p.write("posthouse.conf", base)
    is_(p.run("build"), 0, "a configuration without such builds")
    return base


def odd_characters():
    """A domain that is not ASCII and a character that nobody sees: nobody gets the mail for such an address."""
    good = {"domains": "example.test mailboxes\n", "users": "anna@example.test\n"}
    with Place(**good) as p:
        base = settings_that_build(p)
        bad = []
        for what, (domain, code) in ODD.items():
            for name, lines in COLUMNS.items():
                before = good.get(name, "")
                for line in lines:
                    p.write("lists/staff", f"anna\n# more\nbert@{domain}\n")
                    p.write(f"{name}.map", before + re.sub("@(@?)", lambda m: "@" + domain if m[1] else domain, line) + "\n")
                    code_of = p.run("build")
                    number = before.count("\n") + 1
                    place = f"{name}.map:{number}: error: "
                    if code_of != 100 or place not in p.err or f"(U+{code})" not in p.err:
                        bad.append((what, name, line, code_of, p.err))
                p.write(f"{name}.map", before)
            for setting in ("postmaster anna@{}", "host.name {}", "mail.domain {}"):
                text = re.sub(f"^{setting.split()[0]} .*$", setting.format(domain), base, flags=re.M)
                p.write("posthouse.conf", text)
                if p.run("build") != 100 or f"(U+{code})" not in p.err:
                    bad.append((what, setting, p.code, p.err))
            p.write("posthouse.conf", base)
        is_(bad, [], "such a domain is refused in every column and setting, with its line and the character")
        for what, target in (("before", "\u00a0anna"), ("in", "an\u200bna@example.test")):
            p.write("aliases.map", f"info {target}\n")
            is_(p.run("build"), 100, f"an invisible character {what} the local part")
            ok("aliases.map:1: error: " in p.err and "has a blank or invisible character (U+" in p.err, "is refused", p.err)
        p.write("lists/staff", "anna\n# more\nbert@münchen.test\n")
        p.write("aliases.map", "info include:lists/staff\n")
        p.run("build")
        ok("aliases.map:1: error: include:lists/staff:3: " in p.err, "in an included file its line is named", p.err)
        p.write("aliases.map", "")
        for words in (("alias", "add", "info", "x@münchen.test"), ("alias", "add", "info@münchen.test", "anna"),
                      ("map", "set", "routes", "münchen.test", "smtp", "mx"), ("map", "set", "routes", "dept.test", "smtp", "münchen.test"),
                      ("map", "set", "access", "from:münchen.test", "reject"), ("user", "add", "bert@münchen.test", "--no-password")):
            is_(p.run(*words), 100, " ".join(words))
            ok("(U+00FC)" in p.err, "is refused", p.err)
        is_(p.run("alias", "add", "info", "joerg@xn--mnchen-3ya.test"), 0, "its A-label is taken")


# Places of an address: "ü@example.test" stands for its "@".
LOCAL_COLUMNS = {"users": ["@ home=x"], "passwords": ["@ $6$x$y"], "routes": ["@ smtp mx"], "access": ["from:@ reject", "to:@ reject"],
                 "aliases": ["@ anna", "info @", "info anna, @", "info anna\n  @", "info include:lists/staff"]}


def letters_before_the_at():
    """No host takes such an address without SMTPUTF8: an alias of it lost the mail, and to such a user nobody could write."""
    good = {"domains": "example.test mailboxes\n", "users": "anna@example.test\n"}
    with Place(**good) as p:
        base = settings_that_build(p)
        generation, bad = p.current(), []
        for address in ("ü@example.test", "jörg.a@full.test", "ü"):
            p.write("lists/staff", f"anna\n# more\n{address}\n")
            for name, lines in LOCAL_COLUMNS.items():
                before = good.get(name, "")
                for line in lines:
                    if name != "aliases" and "@" not in address:
                        continue
                    p.write(f"{name}.map", before + line.replace("@", address) + "\n")
                    place = f"{name}.map:{before.count(chr(10)) + 1}: error: "
                    for command in ("build", "check"):
                        code = p.run(command)
                        said = p.err + p.out
                        if code == 0 or place not in said or "in its local part that is not ASCII (U+00F" not in said or "use an address in ASCII" not in said:
                            bad.append((command, name, line, address, code, said))
                    if "include" in line and "include:lists/staff:3: " not in said:
                        bad.append((name, line, said))
                p.write(f"{name}.map", before)
        is_(bad, [], "it is refused in every column, with its line and the letter")
        p.write("posthouse.conf", base.replace("postmaster anna", "postmaster ännä@far.test"))
        is_(p.run("build"), 100, "and as the postmaster")
        p.write("posthouse.conf", base)
        for words in (("alias", "add", "info", "ü@full.test"), ("alias", "add", "ü", "anna"), ("user", "add", "jö@example.test", "--no-password")):
            is_(p.run(*words), 100, " ".join(words))
            ok("use an address in ASCII" in p.err, "is refused", p.err)
        is_(p.current(), generation, "what is in use stays")
        is_(p.run("build"), 0, "without them it builds again")


def text_files():
    """A byte order mark, and what is no file."""
    mark = "\ufeff"
    with Place(domains=mark + "example.test mailboxes\n", users=mark + "anna@example.test\n", aliases=mark + "info include:list\n",
               routes=mark + "dept.test smtp mx\n", access=mark + "from:x.test reject\n", passwords=mark) as p:
        p.write("list", mark + "anna\n")
        p.write("posthouse.conf", mark + p.read("posthouse.conf").replace("# kept\n", "") + "postmaster anna\n")
        is_(p.run("build"), 0, "texts that begin with a byte order mark build")
        is_(p.err, "", "without a word")
        for name, line in (("aliases", "info@example.test anna@example.test"), ("access", "from:x.test reject"), ("routes", "dept.test smtp mx")):
            p.run("map", "dump", name)
            is_(p.out, line + "\n", f"{name}: it is no part of the first key")
        is_(p.run("alias", "set", "info", "anna@example.test"), 0, "an edit of the first line")
        is_(p.read("aliases.map"), mark + "info anna@example.test\n", "finds it, and leaves the mark where it is")
        for name in ("list", "routes.map"):
            p.write("aliases.map", "info include:list\n")
            if (p.conf / name).exists():
                os.unlink(p.conf / name)
            os.mkfifo(p.conf / name)
            is_(p.run("build"), 100, f"a FIFO as {name}")
            ok("it is not a regular file" in p.err, "is refused, and nobody waits for its writer", p.err)
            is_(p.run("alias", "add", "x", "anna"), 100 if name == "list" else p.code, "and no edit waits")
            os.unlink(p.conf / name)
            p.write(name, "anna\n" if name == "list" else "")


def rollback():
    with Place(domains="example.test mailboxes\n") as p:
        p.run("build")
        is_(p.run("rollback"), 100, "there is nothing before the first generation")
        p.write("users.map", "anna@example.test\n")
        p.run("build")
        p.run("map", "dump", "users")
        ok("anna" in p.out, "the second generation has a user")
        is_(p.run("rollback"), 0, "rollback")
        ok("not in force until the next build: users.map (1 entry); posthouse map diff shows them" in p.out, "says what it undoes", p.out)
        is_(p.current(), "0001", "makes the first one current")
        p.run("check")
        ok("users.map: warning: not what the current generation was built from; posthouse map diff users shows it" in p.err, "check says so too", p.err)
        os.utime(p.conf / "users.map", (1, 1))
        p.run("check")
        ok("users.map: warning: not what the current generation" in p.err, "whatever time the file has", p.err)
        p.run("map", "dump", "users")
        is_(p.out, "", "and the user is gone")
        is_(p.run("rollback", "2"), 0, "rollback to a number, forwards too")
        is_(p.current(), "0002", "makes it current")
        is_(p.run("rollback", "7"), 100, "one that is not there is refused")
        p.write("posthouse.conf", p.read("posthouse.conf") + "generations.keep 2\n")
        for _ in range(3):
            p.run("build")
        is_(sorted(os.listdir(p.directory / "state/generations")), ["0004", "0005", "current"], "only the last ones are kept")
        os.mkdir(p.directory / "state/generations/0099.new")
        p.run("build")
        is_(sorted(os.listdir(p.directory / "state/generations")), ["0005", "0006", "current"], "what a killed build left is removed")


def rollback_and_keys():
    """A generation of 0.1 has no keys of its own: keyd gets those that there are now, and after a renewal they do not fit."""
    with Place(domains="example.test mailboxes\n") as p:
        generations = p.directory / "state/generations"
        for _ in range(3):
            p.run("build")
        os.unlink(generations / "current")
        is_((p.run("rollback"), p.current()), (0, "0003"), "without a current generation rollback makes the newest current")
        os.unlink(generations / "current")
        is_((p.run("rollback", "2"), p.current()), (0, "0002"), "or the one that is named")
        os.unlink(generations / "current")
        for number in ("0001", "0002", "0003"):
            shutil.rmtree(generations / number)
        is_(p.run("rollback"), 100, "without any")
        is_(p.err, "posthouse: there is no generation; run posthouse build\n", "it says so")
        if not shutil.which("openssl"):
            skip("keys", "no openssl command")
            return
        for name in ("certs", "keys"):
            (p.conf / name).mkdir()
        p.write("posthouse.conf", p.read("posthouse.conf").replace('tls.certificates ""', "tls.certificates certs"))
        certificate(p, "one", "mail.example.test")
        is_(p.run("build"), 0, "a generation")
        first = p.current()
        shutil.rmtree(generations / first / "keys")
        p.run("build")
        is_((p.run("rollback"), p.current()), (0, first), "one of 0.1 is rolled back to while its key is there")
        p.run("build")
        certificate(p, "one", "mail.example.test")
        p.run("build")
        second = p.current()
        is_((p.run("rollback", first), p.current()), (100, second), "after a renewal it is not")
        ok(f"posthouse: generation {int(first)} cannot be used: keys/one.pem in DIR/conf: not the private key: TLS does not work for "
           "DIR/conf/certs/one.pem; put the key back, or run posthouse build instead\n" == p.err, "and the reason is told", p.err)
        shutil.rmtree(p.conf / "keys")
        is_((p.run("rollback", first), p.current()), (100, second), "nor without any key")
        ok("keys/one.pem: No such file or directory: TLS does not work" in p.err, "which is told", p.err)


def published_beside():
    """An edit says what else it publishes: what lies in the texts and was not built, or was rolled back."""
    also = "posthouse: warning: this also published what was changed since the last build, or before a rollback: "
    with Place(domains="example.test mailboxes\n", users="anna@example.test\n", access="192.0.2.0/24 allow\n") as p:
        is_(p.run("build"), 0, "all is built")
        is_(p.run("user", "add", "bert@example.test", "--no-password"), 0, "an edit")
        is_(p.err, "", "of which there is nothing else to say")
        p.write("domains.map", "example.test mailboxes\na.test relay\nb.test relay\n")
        p.write("access.map", "192.0.2.0/24 reject\n")
        p.write("posthouse.conf", p.read("posthouse.conf") + "log.debug yes\n")
        is_(p.run("user", "add", "carl@example.test", "--no-password"), 0, "an edit while somebody's changes wait for their build")
        is_(p.err, also + "posthouse.conf, domains.map (2 entries), access.map (1 entry)\n", "says what else it published")
        is_(p.run("user", "del", "carl@example.test"), 0, "the next edit")
        is_(p.err, "", "has nothing to say")
        is_(p.run("rollback", "2"), 0, "a rollback")
        is_(p.run("alias", "add", "info@example.test", "anna@example.test"), 0, "and an edit after it")
        is_(p.err, also + "posthouse.conf, domains.map (2 entries), access.map (1 entry)\n", "says that it undid the rollback")


def only_mine():
    """With --only-mine an edit leaves what others wrote into the texts, and their errors are no reason to refuse it."""
    with Place(domains="example.test mailboxes\n", users="anna@example.test\nbert@example.test\n", access="192.0.2.0/24 allow\n",
               passwords="bert@example.test $6$x$y\n") as p:
        is_(p.run("user", "set", "bert@example.test", "state=locked", "--only-mine"), 111, "without a generation")
        ok("there is no compiled configuration yet; run posthouse build" in p.err, "there is nothing to make it to", p.err)
        is_(p.run("build"), 0, "all is built")
        p.write("users.map", p.read("users.map") + "carl@example.test\n")
        p.write("domains.map", "example.test mailboxes\nother.test relay\n")
        p.write("posthouse.conf", p.read("posthouse.conf") + "log.debug yes\n")
        is_(p.run("user", "set", "--only-mine", "bert@example.test", "state=locked"), 0, "a user is locked beside another's changes")
        is_(p.err, "posthouse: not published, for the next build: posthouse.conf, domains.map (1 entry), users.map (1 entry)\n",
            "which wait for their build")
        dump = dumps(p)
        ok("bert@example.test uid=5000 gid=5000 home=DIR/mail/example.test/bert state=locked\n" in dump["users"], "the lock is published", dump)
        ok("carl" not in dump["users"] and "other" not in dump["domains"], "and nothing of theirs", dump)
        is_((dump["access"], dump["passwords"]), ("192.0.2.0/24 allow\n", "bert@example.test $6$x$y\n"), "and all that was there")
        is_((p.run("generations"), p.out.split()[-2:]), (0, ["edit", "current"]), "it is an edit")
        p.run("check")
        ok("posthouse.conf: warning: not what the current generation was built from" in p.err, "their setting waits too", p.err)
        is_([line for line in p.err.splitlines() if ".cdb" in line], [], "the generation is whole")
        is_(p.run("build"), 0, "their build")
        dump = dumps(p)
        ok("carl" in dump["users"] and "other.test relay\n" in dump["domains"] and "state=locked" in dump["users"], "has everything", dump)

        p.write("users.map", p.read("users.map").replace("anna@", "eve@example.test quota=lots\nanna@") + '"open@example.test x\n')
        p.write("domains.map", "example.test mailbxes\nother.test relay\n")
        p.write("posthouse.conf", p.read("posthouse.conf") + "nonsense 1\nmailbox.uid 7000\n")
        is_(p.run("user", "set", "anna@example.test", "state=locked"), 100, "beside broken lines an edit is refused")
        is_(p.run("user", "set", "anna@example.test", "state=locked", "--only-mine"), 0, "and with --only-mine it is not")
        ok("the configuration does not build (4 errors, " in p.err or "the configuration does not build (5 errors, " in p.err, "but says so", p.err)
        dump = dumps(p)
        ok("anna@example.test uid=5000 gid=5000 home=DIR/mail/example.test/anna state=locked\n" in dump["users"], "by the settings in force", dump)
        ok("eve" not in dump["users"] and "eve@example.test quota=lots\n" in p.read("users.map"), "their line stays in the text", dump)
        before = p.read("users.map")
        is_(p.run("user", "add", "dora@example.test", "--no-password", "--only-mine", "quota=much"), 100, "what is wrong in the edit itself")
        ok('users.map:6: error: quota: "much" is not a size' in p.err and "lots" not in p.err, "is refused, and is all that is said", p.err)
        is_(p.run("user", "add", "dora@example.test", "--no-password", "--only-mine", "quota=lots"), 100, "the same error as another's too")
        is_(p.run("user", "set", "eve@example.test", "state=locked", "--only-mine"), 100, "and one in the line that is edited")
        is_(p.read("users.map"), before, "and nothing is written")
        is_(p.run("map", "set", "access", "fc00::/7", "relay", "--only-mine"), 0, "a rule of another map")
        is_(p.run("map", "del", "access", "192.0.2.0/24", "--only-mine"), 0, "and one less")
        is_(p.run("user", "del", "bert@example.test", "--only-mine"), 0, "a user goes")
        is_(p.run("user", "passwd", "carl@example.test", "--password-stdin", "--only-mine", stdin="secret\n"), 0, "one has a password")
        dump = dumps(p)
        is_(dump["access"], "fc00::/7 relay\n", "the rules are those two edits'")
        ok("bert" not in dump["users"] + dump["passwords"] and dump["passwords"].startswith("carl@example.test $argon2id$"), "and the users", dump)

        p.write("users.map", "anna@example.test\n")
        p.write("domains.map", "example.test mailboxes\n")
        p.write("posthouse.conf", p.read("posthouse.conf").replace("nonsense 1\nmailbox.uid 7000\n", ""))
        p.write("passwords.map", "")
        p.run("build")
        is_(p.run("user", "add", "gus@example.test", "--password-stdin", "--only-mine", stdin="secret\n"), 0, "with nothing of others")
        for words in (["user", "set", "gus@example.test", "state=locked"], ["map", "set", "domains", "example.test", "mailboxes", "quota=3G"],
                      ["user", "set", "gus@example.test", "quota=1G"], ["alias", "add", "info@example.test", "gus@example.test"],
                      ["map", "set", "access", "10.0.0.0/8", "relay"], ["alias", "del", "info@example.test"], ["user", "del", "gus@example.test"]):
            is_(p.run(*words, "--only-mine"), 0, " ".join(words))
            ok("not published" not in p.err, "is all that a build would do, with all that is made of it", p.err)
        ok("quota=3G" in dumps(p)["users"], "such as a user's default", dumps(p))
        p.write("users.map", "anna@example.test state=locked\n")
        is_(p.run("user", "set", "anna@example.test", "state=locked", "--only-mine"), 0, "what the text says already")
        ok("state=locked" in dumps(p)["users"], "is in force", dumps(p))
        is_(p.run("map", "edit", "users", "--only-mine", env={"EDITOR": "printf 'anna@example.test\\nfay@example.test\\n' >"}), 0, "a map edited")
        ok("fay" in dumps(p)["users"] and "locked" not in dumps(p)["users"], "with its differences", dumps(p))
        p.run("user")
        ok("user set ADDRESS WORD=VALUE... | set - [--only-mine]\n" in p.err and "user list [DOMAIN]\n" in p.err, "the usage says which take it", p.err)


def dumps(p):
    return {name: p.out for name in NAMES if p.run("map", "dump", name) == 0}


def only_mine_and_certificates():
    """A certificate half renewed does not keep an account from being locked, and the generation has the one before."""
    if not shutil.which("openssl"):
        skip("only mine with certificates", "no openssl command")
        return
    with Place(domains="example.test mailboxes\n", users="anna@example.test\n") as p:
        p.write("posthouse.conf", p.read("posthouse.conf").replace('tls.certificates ""\n', ""))
        (p.conf / "certs").mkdir()
        (p.conf / "keys").mkdir()
        certificate(p, "one", "mail.example.test")
        is_(p.run("build"), 0, "certificates build")
        first = p.directory / "state/generations/0001"
        key = (p.conf / "keys/one.pem").read_bytes()
        certificate(p, "one", "mail.example.test")
        (p.conf / "keys/one.pem").write_bytes(key)
        is_(p.run("user", "set", "anna@example.test", "state=locked"), 100, "half a certificate: an edit is refused")
        is_(p.run("user", "set", "anna@example.test", "state=locked", "--only-mine"), 0, "with --only-mine it is not")
        second = p.directory / "state/generations/0002"
        is_(p.current(), "0002", "there is a new generation")
        ok("state=locked" in dumps(p)["users"], "with the lock", dumps(p))
        is_([f.name for f in (second / "keys").iterdir()], ["one.pem"], "with a key")
        is_((second / "keys/one.pem").read_bytes(), (first / "keys/one.pem").read_bytes(), "the one before")
        is_([os.stat(second / name).st_mode & 0o777 for name in ("keys", "keys/one.pem")], [0o700, 0o600], "its owner's alone")
        (p.conf / "keys/one.pem").unlink()
        (p.conf / "certs/one.pem").unlink()
        p.run("check")
        is_([line for line in p.err.splitlines() if "one.pem" in line or ".cdb" in line], [], "chain and key fit each other")


def no_room():
    """An edit that cannot be compiled, as on a full disk, is not left in the texts for another's build."""
    with Place(domains="example.test mailboxes\n", users="anna@example.test\n") as p:
        is_(p.run("build"), 0, "all is built")
        for words in (["user", "set", "anna@example.test", "state=locked"], ["user", "add", "bert@example.test"]):
            for more in ([], ["--only-mine"]):
                before = {name: p.read(f"{name}.map") for name in NAMES}
                result = subprocess.run([str(PROGRAM), "-c", str(p.conf), *words, *more], capture_output=True, text=True, input="",
                                        restore_signals=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500)))
                is_(result.returncode, 111, f"{' '.join(words + more)} without room for the generation")
                is_(result.stderr, "posthouse: write users.cdb: File too large\nposthouse: nothing was changed\n", "says that nothing was changed")
                is_({name: p.read(f"{name}.map") for name in NAMES}, before, "and nothing was")
                is_((p.current(), result.stdout), ("0001", ""), "no generation, no password")


def in_force():
    """What is shown is the text; where it is not in force, that is said."""
    with Place(domains="example.test mailboxes\n", users="anna@example.test\n") as p:
        is_(p.run("build"), 0, "all is built")
        p.write("users.map", "anna@example.test state=locked\nbert@example.test\n")
        is_(p.run("user", "show", "anna@example.test"), 0, "a user who was locked in the text alone")
        ok(p.out.endswith("state locked\nnot in force: generation 1 has uid=5000 gid=5000 home=DIR/mail/example.test/anna\n"), "is not locked yet", p.out)
        is_(p.run("user", "show", "bert@example.test"), 0, "one who is there in the text alone")
        ok(p.out.endswith("not in force: generation 1 does not have this user\n"), "is not there yet", p.out)
        is_(p.run("user", "list"), 0, "the list of users")
        is_(p.out, "anna@example.test\nbert@example.test\n", "is the text's")
        is_(p.err, "posthouse: not in force as it is shown: generation 1 has 2 other entries in users.map\n", "and says that it is not in force")
        is_(p.run("build"), 0, "after a build")
        is_((p.run("user", "list"), p.err), (0, ""), "it is")
        p.run("user", "show", "anna@example.test")
        ok("not in force" not in p.out, "and the user is locked", p.out)


def old_mail():
    """A name that is given to somebody else, whose mail is still there."""
    with Place(domains="example.test mailboxes\n") as p:
        is_(p.run("user", "add", "anna@example.test", "--no-password"), 0, "a user")
        is_(p.err if "existed" in p.err else "", "", "who is new")
        new = p.directory / "mail/example.test/anna/Maildir/new"
        new.mkdir(parents=True)
        p.run("user", "del", "anna@example.test")
        is_(p.run("user", "add", "anna@example.test", "--no-password"), 0, "another of the same name")
        ok("posthouse: warning: DIR/mail/example.test/anna existed already and has a mailbox, and is the mailbox of anna@example.test now; "
           in p.err, "gets a mailbox that was there", p.err)
        (new / "1.mail").write_text("x")
        p.run("user", "del", "anna@example.test")
        is_(p.run("user", "add", "anna@example.test", "--no-password"), 0, "and another")
        ok("anna existed already and has mail, and is" in p.err, "mail that was there", p.err)


def history():
    """Edits in a row do not push out what was built before them."""
    with Place(domains="example.test mailboxes\n") as p:
        p.write("posthouse.conf", p.read("posthouse.conf") + "generations.keep 4\n")
        for _ in range(3):
            p.run("build")
        for number in range(8):
            is_(p.run("user", "add", f"u{number}@example.test", "--no-password"), 0, f"edit {number}")
        is_(p.run("generations"), 0, "generations")
        rows = [line.split() for line in p.out.splitlines()]
        is_([(row[0], *row[3:]) for row in rows],
            [("2", "build"), ("3", "build"), ("10", "edit"), ("11", "edit", "current")], "those built stay, with the one before the last edit")
        ok(all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", " ".join(row[1:3])) for row in rows), "each has its time", p.out)
        is_(p.run("rollback"), 0, "rollback")
        is_(p.current(), "0010", "is to the one before")
        for _ in range(4):
            p.run("build")
        is_(p.run("generations"), 0, "after more builds")
        is_([line.split()[0] for line in p.out.splitlines()], ["12", "13", "14", "15"], "the oldest are gone")


def users():
    with Place() as p:
        is_(p.run("user", "add", "anna@example.test", "--password-stdin", stdin="secret\n"), 100, "a user needs a domain")
        ok("posthouse domain add example.test" in p.err, "and the remedy is told", p.err)
        is_(p.run("domain", "add", "example.test"), 0, "domain add")
        is_(p.run("domain", "add", "example.test"), 100, "twice is an error")
        is_(p.run("user", "add", "Anna@Example.test", "--password-stdin", "quota=2G", stdin="secret\n"), 0, "user add")
        is_(p.out, "", "with a password from standard input says nothing")
        is_(p.read("users.map"), "Anna@Example.test quota=2G\n", "the text has the user")
        ok(p.read("passwords.map").startswith("Anna@Example.test $argon2id$v=19$m=19456,t=2,p=1$"), "and an argon2id hash")
        is_(os.stat(p.conf / "passwords.map").st_mode & 0o777, 0o600, "in a file that nobody else reads")
        home = p.directory / "mail/example.test/anna"
        is_(os.stat(home).st_mode & 0o777, 0o700, "the home is made")
        is_(p.run("user", "add", "bert@example.test"), 0, "user add without a terminal")
        ok(len(p.out.strip()) == 20, "makes a password and shows it", p.out)
        is_(p.run("user", "add", "bert@example.test"), 100, "twice is an error")
        is_(p.run("user", "add", "carl@example.test", "--no-password"), 0, "user add --no-password")
        ok("carl" not in p.read("passwords.map"), "has none")
        is_(p.run("user", "add", "dora@example.test", "--no-pasword"), 100, "a misspelt option is refused")
        before = p.read("users.map")
        is_(p.run("user", "add", "dora@example.test", "--no-password", "quota=1G", "home=" + "x" * 70000), 100, "an entry that is too long is refused")
        ok("the entry is longer than 65536 bytes" in p.err, "by name", p.err[-300:])
        is_(p.run("user", "set", "carl@example.test", "home=" + "x" * 70000), 100, "and so is one that would be")
        is_(p.read("users.map"), before, "no half of it is kept")
        is_(p.run("user", "list"), 0, "user list")
        is_(p.out, "anna@example.test\nbert@example.test\ncarl@example.test\n", "lists them")
        is_(p.run("user", "set", "anna@example.test", "quota=3G", "state=locked"), 0, "user set")
        is_(p.run("map", "get", "users", "anna@example.test"), 0, "changes words")
        is_(p.out, "quota=3G state=locked\n", "of the entry")
        is_(p.run("user", "set", "anna@example.test", "state="), 0, "an empty word")
        p.run("map", "get", "users", "anna@example.test")
        is_(p.out, "quota=3G\n", "is taken away")
        is_(p.run("user", "show", "anna@example.test"), 0, "user show")
        is_(p.out, "home DIR/mail/example.test/anna\nowner 5000:5000\nquota 3G\nrights smtp,pop3,imap,web\nstate active\n", "shows what is settled")
        before = p.read("passwords.map")
        is_(p.run("user", "passwd", "anna@example.test", "--password-stdin", stdin="other\n"), 0, "user passwd")
        ok(p.read("passwords.map") != before, "changes the hash")
        is_(p.run("user", "passwd", "anna@example.test", "--password-stdin", stdin=""), 100, "no password is refused")
        is_(p.run("user", "del", "bert@example.test"), 0, "user del")
        is_(p.out, "the mail stays in DIR/mail/example.test/bert\n", "says where the mail is")
        ok("bert" not in p.read("users.map") + p.read("passwords.map"), "and forgets user and password")
        is_(p.run("domain", "del", "example.test"), 100, "a domain with users is not deleted")


def names():
    with Place(domains="example.test mailboxes\n", users="anna@example.test\n") as p:
        is_(p.run("alias", "add", "info", "anna", "bert@other.test"), 0, "alias add")
        is_(p.read("aliases.map"), "info anna, bert@other.test\n", "writes the text")
        p.run("map", "dump", "aliases")
        is_(p.out, "info@example.test anna@example.test, bert@other.test\n", "and compiles whole addresses")
        is_(p.run("alias", "add", "info", "x"), 100, "twice is an error")
        is_(p.run("alias", "set", "info", ":fail:", "5.1.6", "moved away"), 0, "alias set")
        is_(p.run("alias", "show", "info@example.test"), 0, "alias show")
        is_(p.out, ":fail: 5.1.6 moved away\n", "shows it")
        is_(p.run("alias", "add", "@example.test", "anna"), 0, "a catch-all")
        is_(p.run("alias", "list"), 0, "alias list")
        is_(p.out, "info@example.test :fail: 5.1.6 moved away\n@example.test anna\n", "lists them")
        p.write("aliases.map", p.read("aliases.map").replace("@example.test anna\n", ""))
        is_(p.run("alias", "add", "ring1", "ring2"), 0, "a target that is not there is no error")
        p.run("build")
        ok("aliases.map:2: warning: mail to ring1@example.test cannot be delivered: ring2@example.test is not a user and not an alias" in p.err,
           "but is warned of", p.err)
        is_(p.run("alias", "add", "ring2", "Ring1"), 0, "nor is a circle")
        p.run("build")
        ok("aliases.map:3: warning: ring2@example.test leads into an alias loop and nowhere else" in p.err, "which is warned of too", p.err)
        is_(p.run("alias", "add", "self", "self"), 0, "an alias that names itself")
        p.run("build")
        ok("self@example.test is not a user\n" in p.err, "means the mailbox of that name", p.err)
        is_(p.run("alias", "set", "ring1", "anna+x postmaster u@elsewhere.test old@relay.test"), 0, "other targets")
        p.run("build")
        ok("ring1" not in p.err, "are good", p.err)
        p.run("route", "add", "example.test", "smtp", "192.0.2.7")
        is_(p.run("alias", "set", "ring1", "nobody@example.test"), 0, "a target where the domain has a route")
        p.run("build")
        ok("nobody@example.test is not a user and not an alias" in p.err, "is warned of: no route is asked for a domain of mailboxes", p.err)
        p.run("route", "del", "example.test")
        p.run("domain", "add", "also.test", "alias-of", "example.test")
        is_(p.run("alias", "set", "ring1", "nobody@also.test anna@also.test"), 0, "targets at a domain alias")
        p.run("build")
        ok("nobody@also.test is not a user" in p.err and "anna@also.test" not in p.err, "are looked for where it leads", p.err)
        p.run("domain", "del", "also.test")
        p.run("alias", "set", "ring1", "anna")
        is_(p.run("alias", "del", "info"), 0, "alias del")
        is_(p.run("alias", "del", "info"), 100, "twice is an error")
        is_(p.run("domain", "list"), 0, "domain list")
        is_(p.out, "example.test mailboxes\n", "lists them")
        p.write("lists", "# staff\nanna\ncarl@other.test\n")
        is_(p.run("alias", "add", "staff", "include:lists"), 0, "an included list")
        p.run("map", "dump", "aliases")
        ok("staff@example.test anna@example.test, carl@other.test\n" in p.out, "is compiled", p.out)


def alias_limits():
    """What queued could not expand is not built: by resolved's own limits, of the whole that is behind an alias."""
    limits = "at most 32 aliases may follow one another, and lead to 10000 recipients in all\n"
    with Place(domains="example.test mailboxes\n", users="anna@example.test\npostmaster@example.test\n") as p:
        for number in range(3):
            p.write(f"list{number}", "".join(f"u{number}x{n}@far.test\n" for n in range(4000)))
        lists = "".join(f"list{n} include:list{n}\n" for n in range(3))
        ladder = "".join(f"step{n} step{n + 1}\n" for n in range(1, 32)) + "step32 x@far.test\n"
        p.write("aliases.map", lists + "most list0 list1 anna\n" + ladder)
        is_((p.run("build"), p.err), (0, ""), "two of three long lists, and 32 aliases one behind the other")
        p.write("aliases.map", lists + "all anna list0 list1 list2\n" + ladder + "fork anna step0\nstep0 step1\n")
        is_(p.run("build"), 100, "three lists, and one more")
        errors = [line.replace(str(p.directory), "DIR") for line in p.err.splitlines(True) if " error: " in line]
        is_(errors, [f"DIR/conf/aliases.map:4: error: all@example.test: the alias has too many targets; {limits}",
                     f"DIR/conf/aliases.map:37: error: fork@example.test: aliases are nested too deeply; {limits}",
                     f"DIR/conf/aliases.map:38: error: step0@example.test: aliases are nested too deeply; {limits}"],
            "are refused with their lines, also where another branch is good")
        p.write("aliases.map", lists + ladder)
        is_(p.run("build"), 0, "without them")
        is_(p.run("alias", "add", "all", "list0", "list1", "list2"), 100, "an edit is refused")
        ok("all@example.test: the alias has too many targets" in p.err and "\nall" not in p.read("aliases.map"), "and not written", p.err)
        p.write("aliases.map", lists + "twice list0 list1\nboth twice list0 list1 most\nmost list0 list1 anna\n" + "".join(f"a{n} both\n" for n in range(1000)))
        is_((p.run("build"), p.err), (0, ""), "the same lists by several ways, and by a thousand aliases, are the same recipients")
        p.write("aliases.map", lists + "all anna list0 list1 list2\nwrong a@@b@c,,\n")
        p.write("domains.map", "example.test mailboxes\nwrong.test nonsense\n")
        is_(p.run("build"), 100, "with another error")
        ok("all@example.test: the alias has too many targets" in p.err and "nonsense" in p.err, "both are told at once", p.err)
        p.write("domains.map", "example.test mailboxes\n")
        p.write("aliases.map", "a1 a2 a3\na2 a1 a3\na3 a1 a2\n")
        is_(p.run("build"), 0, "a loop of three")
        is_(p.err.count("leads into an alias loop and nowhere else"), 3, "is told of each")


def certificate(p, name, *hosts):
    names_ = ",".join("DNS:" + host for host in hosts)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-subj", f"/CN={hosts[0]}", "-addext", f"subjectAltName={names_}", "-keyout", str(p.conf / f"keys/{name}.pem"),
                    "-out", str(p.conf / f"certs/{name}.pem")], check=True, capture_output=True)
    os.chmod(p.conf / f"keys/{name}.pem", 0o600)


def certificates():
    if not shutil.which("openssl"):
        skip("certificates", "no openssl command")
        return
    with Place(domains="example.test mailboxes\n") as p:
        p.write("posthouse.conf", p.read("posthouse.conf").replace('tls.certificates ""\n', ""))
        (p.conf / "certs").mkdir()
        (p.conf / "keys").mkdir()
        certificate(p, "one", "mail.example.test", "*.example.test")
        certificate(p, "two", "other.test")
        is_(p.run("build"), 0, "certificates build")
        ok("2 certificates" in p.out, "both", p.out)
        table = (p.directory / "state/generations/current/tls.cdb").read_bytes()
        ok(b"BEGIN CERTIFICATE" in table and b"PRIVATE" not in table, "only public parts are in a generation")
        ok(all(name in table for name in (b"nmail.example.test", b"n*.example.test", b"nother.test")), "names are taken from the certificate")
        os.rename(p.conf / "keys/two.pem", p.conf / "keys/elsewhere.pem")
        is_(p.run("build"), 0, "a key is found by what fits, not by its name")
        os.unlink(p.conf / "keys/elsewhere.pem")
        is_(p.run("build"), 100, "a certificate without a key is an error")
        ok("two.pem: error: there is no private key for this certificate; put it into DIR/conf/keys/two.pem" in p.err, "with the remedy", p.err)
        shutil.copy(p.conf / "keys/one.pem", p.conf / "keys/two.pem")
        is_(p.run("build"), 100, "so is another's key")
        ok("keys/two.pem is not the private key of this certificate" in p.err, "with the remedy", p.err)
        os.unlink(p.conf / "certs/two.pem")
        os.chmod(p.conf / "keys/one.pem", 0o644)
        is_(p.run("build"), 100, "a key that others may read is an error")
        ok("keys/one.pem: error: readable by other users, but a private key; run chmod 600" in p.err, "with the remedy", p.err)
        os.chmod(p.conf / "keys/one.pem", 0o600)
        p.write("posthouse.conf", p.read("posthouse.conf").replace("host.name mail.example.test", "host.name mx.other.test"))
        is_(p.run("build"), 0, "certificates of other hosts build")
        ok("certs: warning: no certificate is for mx.other.test (host.name)" in p.err, "and are told", p.err)
        p.write("posthouse.conf", p.read("posthouse.conf").replace("host.name mx.other.test", "host.name mail.example.test"))
        is_((p.run("build"), "certs" in p.err), (0, False), "nothing is said of the right one")
        chain = (p.conf / "certs/one.pem").read_text()
        (p.conf / "certs/one.pem").write_text(chain + (p.conf / "keys/one.pem").read_text())
        os.chmod(p.conf / "certs/one.pem", 0o644)
        is_(p.run("build"), 100, "a private key beside the certificate, for all to read")
        ok("certs/one.pem: error: has a private key in it, and is readable by other users; move the key to DIR/conf/keys" in p.err, "is an error", p.err)
        os.chmod(p.conf / "certs/one.pem", 0o600)
        is_(p.run("build"), 0, "and none where only its owner reads it")
        certificate(p, "two", "issuer.test")
        issuer = (p.conf / "certs/two.pem").read_text()
        os.unlink(p.conf / "certs/two.pem")
        os.unlink(p.conf / "keys/two.pem")
        (p.conf / "certs/one.pem").write_text(issuer + chain)
        is_(p.run("build"), 100, "a chain in the wrong order")
        ok("certs/one.pem: error: the private key is that of a later certificate in the file: the first certificate must be the host's own\n" in p.err,
           "is told as such", p.err)
        (p.conf / "certs/one.pem").write_text("rubbish\n")
        is_(p.run("build"), 100, "so is a file without a certificate")


KEYS = {  # openssl genpkey's words: what the build says of it, "" of one that keyd takes
    "-algorithm RSA -pkeyopt rsa_keygen_bits:2048": "",
    "-algorithm EC -pkeyopt ec_paramgen_curve:P-256": "",
    "-algorithm EC -pkeyopt ec_paramgen_curve:P-384": "",
    "-algorithm ED25519": "",
    "-algorithm RSA -pkeyopt rsa_keygen_bits:1024": "an RSA key of 1024 bits, not of 2048 to 8192",
    "-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048": "a key of the type RSA-PSS, not RSA, P-256, P-384 or Ed25519",
    "-algorithm EC -pkeyopt ec_paramgen_curve:P-521": "an EC key of the curve secp521r1, not P-256 or P-384",
    "-algorithm EC -pkeyopt ec_paramgen_curve:P-224": "an EC key of the curve secp224r1, not P-256 or P-384",
    "-algorithm EC -pkeyopt ec_paramgen_curve:secp256k1": "an EC key of the curve secp256k1, not P-256 or P-384",
    "-algorithm EC -pkeyopt ec_paramgen_curve:brainpoolP256r1": "an EC key of the curve brainpoolP256r1, not P-256 or P-384",
    "-algorithm ED448": "a key of the type ED448, not RSA, P-256, P-384 or Ed25519",
}


def kinds_of_keys():
    """A key that keyd does not sign with is none for a certificate."""
    if not shutil.which("openssl"):
        skip("kinds of keys", "no openssl command")
        return
    with Place(domains="example.test mailboxes\n") as p:
        for name in ("certs", "keys"):
            (p.conf / name).mkdir()
        p.write("posthouse.conf", p.read("posthouse.conf").replace('tls.certificates ""', "tls.certificates certs"))
        key, chain = p.conf / "keys/one.pem", p.conf / "certs/one.pem"
        for words, wanted in KEYS.items():
            subprocess.run(["openssl", "genpkey", *words.split(), "-out", key], check=True, capture_output=True)
            key.chmod(0o600)
            subprocess.run(["openssl", "req", "-x509", "-key", key, "-subj", "/CN=mail.example.test", "-addext",
                            "subjectAltName=DNS:mail.example.test", "-out", chain], check=True, capture_output=True)
            is_(p.run("build"), 100 if wanted else 0, f"genpkey {words}")
            error = f"DIR/conf/certs/one.pem: error: the certificate is for {wanted}; have one issued for such a key\n"
            ok(error in p.err if wanted else "error" not in p.err, wanted or "is a key for TLS", p.err)
        chain.unlink()
        key.write_text("-" * 65537)
        is_(p.run("build"), 100, "a key file that keyd would not read, and no certificate")
        ok("keys/one.pem: error: longer than 65536 bytes, which is no key\n" in p.err, "is named", p.err)


def inspected():
    """check sees what build cannot."""
    with Place(domains="example.test mailboxes\n", users="anna@example.test\nbert@example.test\n") as p:
        for name in ("certs", "keys"):
            (p.conf / name).mkdir()
        p.write("posthouse.conf", p.read("posthouse.conf").replace('tls.certificates ""', "tls.certificates certs"))
        if shutil.which("openssl"):
            certificate(p, "one", "mail.example.test")
            is_(p.run("build"), 0, "a certificate is built")
            p.run("check")
            ok("certificates were changed" not in p.err, "nothing is said of it", p.err)
            certificate(p, "one", "mail.example.test")
            p.run("check")
            ok("certs: warning: the certificates were changed since the last build; posthouse build takes them\n" in p.err,
               "one that was renewed and not built is named", p.err)
            p.run("build")
            (p.directory / "state/generations/current/keys/one.pem").write_bytes(b"")
            p.run("check")
            ok("error: keys/one.pem of the current generation: not the private key: TLS does not work for DIR/conf/certs/one.pem; run posthouse build" in
               p.err, "so is one with an empty key", p.err)
            secrets = (p.directory / "state/generations/current").resolve()
            for name, wide, narrow in (("keys", 0o755, 0o700), ("keys/one.pem", 0o640, 0o600), ("passwords.cdb", 0o644, 0o600)):
                ok("a secret, but others may read it" not in p.err, "a secret of its owner alone is as it should be", p.err)
                os.chmod(secrets / name, wide)
                told = f"/{name}: {{}}: a secret, but others may read it; run chown {os.geteuid()} and chmod {narrow:04o}, and replace "
                ok(p.run("check") == 100 and told.format("error") in p.err, f"{name} that others may read is an error", p.err)
                p.run("build")
                ok(told.format("warning") in p.err, "of which a build warns", p.err)
                is_((p.directory / "state/generations/current" / name).stat().st_mode & 0o777, narrow, "and makes another, whose mode is right")
                os.chmod(secrets / name, narrow)
                secrets = (p.directory / "state/generations/current").resolve()
                p.run("check")
            os.unlink(p.directory / "state/generations/current/keys/one.pem")
            p.run("check")
            ok("error: keys/one.pem of the current generation: No such file or directory: TLS does not work for DIR/conf/certs/one.pem" in
               p.err, "so is a generation without its keys", p.err)
        p.run("build")
        if os.geteuid() == 0:
            for name, uid in (("anna", 5000), ("bert", 5001)):
                (p.directory / f"mail/example.test/{name}/Maildir").mkdir(parents=True)
                os.chown(p.directory / f"mail/example.test/{name}", uid, uid)
                os.chown(p.directory / f"mail/example.test/{name}/Maildir", 5000, 5000)
            os.chown(p.directory / "mail/example.test/anna/Maildir", 0, 0)
            os.chmod(p.directory, 0o755)
            p.run("check")
            wrong = "error: owned by uid {}, not by uid 5000, the owner of the mailbox {}@example.test; run chown -h 5000:5000 {}\n"
            maildir, bert = "DIR/mail/example.test/anna/Maildir", "DIR/mail/example.test/bert"
            ok(f"{maildir}: " + wrong.format(0, "anna", maildir) in p.err, "a Maildir of another owner", p.err)
            ok(f"{bert}: " + wrong.format(5001, "bert", bert) in p.err, "and a home", p.err)
            programs = p.directory / "programs"
            programs.mkdir()
            (programs / "drop").touch(mode=0o755)
            p.run("check", env={"POSTHOUSE_PROGRAMS": str(programs)})
            ok("DIR/programs/drop: error: not set-gid _phdrop: users cannot send while the server is not running" in p.err,
               "a drop that lost its set-gid bit", p.err)
            try:
                os.chown(programs / "drop", 0, grp.getgrnam("_phdrop").gr_gid)
            except KeyError:
                pass
            (programs / "drop").chmod(0o2755)
            p.run("check", env={"POSTHOUSE_PROGRAMS": str(programs)})
            ok("set-gid" not in p.err, "and one that has it", p.err)
            missing = [name for name in ("_phlogd", "_phkeyd") if name not in pathlib.Path("/etc/passwd").read_text()]
            is_([name for name in missing if f"there is no system account {name}: " not in p.err], [], "accounts that are missing")
            is_(len(re.findall("there is no system account _phqueue: ", p.err)), int("_phqueue" not in
                pathlib.Path("/etc/passwd").read_text()), "each once")
        else:
            skip("owners", "not root")


def what_a_start_meets():
    """Programs that are gone, strays, a directory that another instance has, homes that nobody can enter or that did not move along."""
    with Place(domains="example.test mailboxes\n", users="anna@example.test\nbert@example.test\n") as p:
        p.run("build")
        programs, queue, drop = (p.directory / name for name in ("programs", "queue", "drop"))
        for path in (programs, queue / "3f", queue / "40/sub", drop / "sub"):
            path.mkdir(parents=True)
        p.run("check", env={"POSTHOUSE_PROGRAMS": str(p.directory / "nowhere")})
        ok("DIR/nowhere: error: No such file or directory: no program can be started\n" in p.err, "no programs", p.err)
        for name in ("master", "queued"):
            (programs / name).touch(mode=0o755)
        (programs / "keyd").touch(mode=0o644)
        p.run("check", env={"POSTHOUSE_PROGRAMS": str(programs)})
        ok("DIR/programs/keyd: error: Permission denied: the program cannot be started; install it again\n" in p.err, "one not executable", p.err)
        ok("DIR/programs/smtpd: error: No such file or directory: the program cannot be started" in p.err, "one that is gone", p.err)
        ok("programs/master" not in p.err and "programs/queued" not in p.err and "sendmail" not in p.err, "and no others", p.err)
        (queue / "3f/notes.txt").touch()
        p.run("check")
        ok("DIR/queue: warning: 3f/notes.txt is no message's file: nothing is done with it; move it elsewhere\n" in p.err, "a stray in the queue", p.err)
        ok("DIR/drop: warning: sub is not a regular file: nothing is done with it" in p.err, "and in the drop directory", p.err)
        ok("in use by another" not in p.err, "nobody has the queue", p.err)
        held = os.open(queue, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        p.run("check")
        ok(re.search(r"posthouse.conf:\d+: error: queue.directory: DIR/queue is in use by another instance of posthouse ", p.err), "another instance has", p.err)
        os.close(held)

        anna = p.directory / "mail/example.test/anna"
        (anna / "Maildir/cur").mkdir(parents=True)
        if os.geteuid() == 0:
            for path in (p.directory / "mail", anna.parent, anna, anna / "Maildir"):
                os.chown(path, 5000, 5000)
            os.chmod(p.directory, 0o755)
            p.run("check")
            ok("DIR/mail/example.test/anna/Maildir/cur: error: owned by uid 0, not by uid 5000, the owner of the mailbox anna@example.test" in p.err,
               "a part of a Maildir of another owner", p.err)
        os.chmod(anna.parent, 0)
        p.run("check")
        ok("DIR/mail/example.test: error: mode is 0000, owner " in p.err and "the mailbox anna@example.test (5000:5000) is behind it" in p.err,
           "a domain's directory that cannot be entered", p.err)
        os.chmod(anna.parent, 0o700)
        p.run("check")
        ok("cannot be entered" not in p.err, "and one that can", p.err)

        (p.directory / "state/directories").write_text(f"mail.root {'0' * 32} {p.directory}/mail\n")
        p.write("posthouse.conf", p.read("posthouse.conf").replace("/mail\n", "/elsewhere\n"))
        (p.directory / "elsewhere").mkdir()
        p.run("check")
        ok("mail.root: no home directory of any user is in DIR/elsewhere; it was DIR/mail before: move the mail, or set it back" in p.err,
           "mail that did not move with mail.root", p.err)
        (p.directory / "elsewhere/example.test/bert").mkdir(parents=True)
        p.run("check")
        ok("no home directory" not in p.err, "and some that did", p.err)


def full_disks():
    """Of everything that is written to: with a full one of the state directory no account can be locked."""
    alone = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    if not shutil.which("unshare") or subprocess.run([*alone, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False).returncode:
        skip("full disks", "no mount namespace of our own")
        return
    for name, words in (("state", "directory.state"), ("drop", "drop.directory"), ("conf", "the configuration"), ("mail/example.test", "a domain's mail")):
        with Place(domains="example.test mailboxes\n") as p:
            p.run("build")
            for directory in ("queue", "drop", "mail/example.test"):
                (p.directory / directory).mkdir()
            on = p.directory / name
            script = f"cp -a {on} {on}.away && mount -t tmpfs -o size=4m tmpfs {on} && cp -a {on}.away/. {on}; head -c 9m /dev/zero > {on}/.fill; " \
                     f"exec {PROGRAM} -c {p.conf} check"
            said = subprocess.run([*alone, "sh", "-c", script], capture_output=True, text=True, check=False).stderr
            is_(said.count(f"{on}: error: 0% of the disk and "), 1, f"the disk of {words} is full: check says so")


def no_mail():
    """No home is made where the mail is not: neither beneath a mount point nor in a directory that is gone."""
    with Place(domains="example.test mailboxes\n") as p:
        mail, state = p.directory / "mail", p.directory / "state"
        p.run("build")
        mail.rmdir()
        is_(p.run("user", "add", "anna@example.test", "--no-password"), 111, "mail.root is missing: no user is added")
        is_(p.err, "posthouse: mail.root DIR/mail: No such file or directory; mount its file system, or make it, and try again\n", "which is told")
        is_((p.read("users.map"), mail.exists()), ("", False), "and nothing is made")
        mail.mkdir()
        state.joinpath("directories").write_text(f"mail.root {'5' * 32} {mail}\n")
        is_(p.run("user", "add", "anna@example.test", "--no-password"), 111, "nor beneath a mount point")
        ok("mail.root DIR/mail is not the directory that posthouse used before: its file .posthouse is missing; is its file system not mounted?" in p.err,
           "which is told", p.err)
        is_((p.read("users.map"), list(mail.iterdir())), ("", []), "and nothing is made")
        state.joinpath("directories").write_text(f"volume - {mail.resolve()}/example.test\n")
        is_(p.run("user", "add", "anna@example.test", "--no-password"), 0, "a file system below mail.root that is not mounted: the user is added")
        ok("example.test, below mail.root, had a file system of its own, which is not mounted" in p.err, "with a warning", p.err)
        is_(list(mail.iterdir()), [], "and without a home")
        state.joinpath("directories").unlink()
        is_((p.run("user", "add", "bert@example.test", "--no-password"), p.err), (0, ""), "with all of it there")
        ok((mail / "example.test/bert").is_dir(), "the home is made")


def words():
    """What is said is what is so."""
    with Place(domains="example.org mailboxes\n") as p:
        manual = (SOURCE / "man/users.map.5").read_text()
        p.write("users.map", re.search(r"^\.Bd -literal.*?\n(.*?)^\.Ed", manual, re.M | re.S)[1])
        is_((p.run("build"), p.err), (0, ""), "the example of users.map(5) builds")
        p.write("aliases.map", "info@example.org anna@example.org\n")
        is_((p.run("domain", "del", "example.org"), p.err), (100, "posthouse: example.org has 3 users and 1 alias: remove these first (posthouse user list, "
                                                                  "user del, alias list, alias del)\nposthouse: nothing was changed\n"),
            "a domain that is in use is not deleted")
        p.write("aliases.map", "")
        p.write("users.map", "")
        is_(p.run("domain", "del", "example.org"), 0, "and one that is not in use is")
        p.run("check")
        ok(re.search(r"^DIR/queue: error: .* \(mode 0700, owner \S*[^\s ,]queue\)$", p.err, re.M), "check names the account of a directory as it is", p.err)


def no_directory():
    """Nobody can be asked there, so that nobody says that posthouse runs."""
    with Place(domains="example.test mailboxes\n") as p:
        p.run("build")
        (p.directory / "run").write_text("")
        is_(p.run("check"), 100, "the run directory is a file: check")
        ok("DIR/run: error: not a directory" in p.err and "DIR/run/control: Not a directory" in p.err, "says so", p.err)


def whose_house():
    """A directory that does not say where its house is does not stand for the system's."""
    with Place(domains="example.test mailboxes\n") as p:
        base = p.read("posthouse.conf")
        p.run("build")
        commands = (("stop",), ("reload",), ("status",), ("who",), ("queue", "check"), ("rollback",), ("generations",), ("check",))
        os.unlink(p.conf / "posthouse.conf")
        for words in commands:
            is_((p.run(*words), p.out), (100, ""), f"{' '.join(words)} without posthouse.conf")
            is_(p.err, "DIR/conf/posthouse.conf: error: there is no such file; create it (it may be empty), or give its directory with -c\n", "says so")
        for key in ("directory.run", "directory.state", "queue.directory"):
            p.write("posthouse.conf", base.replace(f"{key} ", f"{key}x "))
            for words in commands[:-1]:
                ok(p.run(*words) == 100 and p.out == "" and "DIR/conf/posthouse.conf does not say which server it is of" in p.err,
                   f"{' '.join(words)} where {key} is misspelt", p.err)
        p.write("posthouse.conf", base + "size.nonsense 1\n")
        is_((p.run("stop"), p.err), (111, "posthouse: posthouse is not running (nothing listens on DIR/run/control): start it with posthouse start\n"),
            "an error elsewhere keeps nobody from stopping the house")
        p.write("posthouse.conf", "".join(line for line in base.splitlines(True) if not line.startswith("queue.directory")))
        is_(p.run("status"), 111, "nor does a default, in a text without errors")


def owners_and_routes():
    """A mailbox of a system account, and a route to this host itself."""
    with Place(domains="example.test mailboxes\n", users="anna@example.test\n") as p:
        base = p.read("posthouse.conf")
        p.write("posthouse.conf", base + "account.base 60000\n")
        is_(p.run("user", "add", "bert@example.test", "--no-password", "uid=60001"), 100, "a mailbox of keyd's account")
        ok("users.map:2: error: uid: 60001 is the system account _phkeyd, which is posthouse's own; give bert@example.test another" in p.err,
           "is refused", p.err)
        is_(p.run("user", "add", "bert@example.test", "--no-password", "uid=60011"), 0, "that of mailboxes is taken")
        p.write("posthouse.conf", base + "listen.smtp *:25, 192.0.2.1:2525\n")
        p.write("routes.map", "a.test smtp mail.example.test\nb.test smtp 127.0.0.1\nc.test smtp 192.0.2.1:2525\nd.test smtp 127.0.0.1:10025\n"
                "e.test lmtp 127.0.0.1:24\nf.test smtp 192.0.2.1\ng.test smtp mx\nh.test smtp relay.test\n")
        is_(p.run("build"), 0, "routes")
        is_(re.findall(r"routes.map:(\d+): warning: (\S+) is routed to this host itself: its mail goes round until it is returned\n", p.err),
            [("1", "a.test"), ("2", "b.test"), ("3", "c.test")], "to this host are told, and no others")
        p.write("routes.map", "a.test smtp 192.0.2.1\n.sub.test smtp 192.0.2.1\nx@d.test smtp 192.0.2.1\ne.test smtp mx\n")
        p.write("domains.map", "example.test mailboxes\na.test relay\nb.sub.test relay\nc.test relay\nd.test relay\ne.test relay\n")
        for command in ("build", "check"):
            p.run(command)
            is_(re.findall(r"domains.map:(\d+): warning: (\S+) has no route in routes.map: its mail goes by its MX", p.err), [("4", "c.test"), ("5", "d.test")],
                f"{command}: a department without a route")
        p.write("routes.map", "* smtp 192.0.2.1\n")
        p.run("build")
        ok("has no route" not in p.err, "the route of all others is one", p.err)


def usage():
    with Place() as p:
        is_(p.run("nonsense"), 100, "an unknown command")
        is_(p.err, 'posthouse: there is no command "nonsense"; posthouse help lists them\n', "is refused")
        is_(p.run("help"), 0, "help")
        ok(all(word in p.out for word in ("build", "rollback", "map", "user", "domain", "alias", "check")), "lists the commands")
        is_(p.run("user", "frobnicate"), 100, "an unknown verb")
        ok("usage: posthouse user add ADDRESS" in p.err, "shows the usage", p.err)
        for words in (("stop",), ("reload",), ("who",), ("kick", "anna"), ("queue", "list"), ("queue", "retry", "all"), ("status",)):
            is_(p.run(*words), 111, f"{' '.join(words)} of a house that is down: it may run the next time")
        ok("not running" in p.err and "posthouse start" in p.err, "says so, and what to do", p.err)
        is_(p.run("settings", "queue.lifetime"), 0, "settings")
        is_(p.out, "queue.lifetime 5d\n", "shows one")
        is_(p.run("password", stdin="x\n"), 0, "password")
        ok(p.out.startswith("$argon2id$"), "hashes it", p.out)


for part in (build, errors, contradictions, maps, editor, meanwhile, locked, versions, other_version_is_left_alone, damaged, missing, what_a_start_refuses, warnings, homes, odd_characters, letters_before_the_at, text_files, rollback, rollback_and_keys, history, published_beside, only_mine, only_mine_and_certificates, no_room, in_force, old_mail, users, names, alias_limits, certificates, kinds_of_keys, inspected, what_a_start_meets, full_disks, no_mail, words, no_directory, whose_house, owners_and_routes, usage):
    part()
done()
