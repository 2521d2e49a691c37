#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""fetchmail over POP3 and IMAP: keep and flush, what it has seen, TLS and STARTTLS, the corpus byte for byte."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from clients import Home, address, corpus, crlf, fill, maildir, need, same, version, well  # noqa: E402
from house import House  # noqa: E402
from tap import done, is_, note, ok  # noqa: E402

need("fetchmail")
NOTHING_NEW, REFUSED = 1, 3

messages = corpus()

with House("--users", "3", "--set", "auth.failure-delay 0") as house, Home() as home:
    note(version(home, "fetchmail", "--version"))
    fill(house, "u0001", messages)

    # A delivery agent that makes one file of each message.
    agent = home.write("agent", '#!/bin/sh\nexec cat > "$(mktemp "$1/XXXXXXXXXX")"\n')
    agent.chmod(0o700)

    def fetchmail(name, protocol, service, options, user="u0001", password="pw", server=""):
        (home / name).mkdir(exist_ok=True)
        home.write(".fetchmailrc", f"set no bouncemail\nset idfile \"{home / 'ids'}\"\n"
                   f"poll localhost service {house.port(service)} protocol {protocol} no dns {server}\n"
                   f"  bad-header accept\n"
                   f"  user \"{address(user)}\" password \"{password}\" no rewrite pass8bits no mimedecode "
                   f"sslcertck sslcertfile \"{house.env['CA']}\" mda \"{agent} {home / name}\" {options}\n")
        return home.run("fetchmail", "--invisible", "--nosyslog", "-v")

    def fetched(name):
        return [crlf(path.read_bytes()) for path in (home / name).iterdir()]

    some = corpus(every=8)
    fill(house, "u0003", some)
    for name, protocol, service, options, user, sent in (
            ("pop3s", "pop3", "POP3S", "ssl keep", "u0001", messages),
            ("stls", "pop3", "POP3", "sslproto tls1.2+ keep fetchall", "u0003", some),
            ("imaps", "imap", "IMAPS", "ssl keep fetchall", "u0003", some),
            ("starttls", "imap", "IMAP", "sslproto tls1.2+ keep fetchall", "u0001", messages)):
        well(fetchmail(name, protocol, service, options, user, server="uidl" if name == "pop3s" else ""), f"{name}: fetched")
        same("byte for byte", fetched(name), sent)
    answer = fetchmail("pop3s", "pop3", "POP3S", "ssl keep", server="uidl")
    is_((answer.returncode, len(fetched("pop3s"))), (NOTHING_NEW, len(messages)), "seen by UIDL: nothing comes twice")
    is_(fetchmail("wrong", "pop3", "POP3S", "ssl keep", password="wrong").returncode, REFUSED, "a wrong password is refused")

    fill(house, "u0002", {"a": b"Subject: a\r\n\r\na\r\n"})
    is_(fetchmail("seen", "imap", "IMAPS", "ssl keep", "u0002").returncode, 0, "IMAP: the unseen one comes")
    is_(fetchmail("seen", "imap", "IMAPS", "ssl keep", "u0002").returncode, NOTHING_NEW, "and is seen then")
    fill(house, "u0002", {"b": b"Subject: b\r\n\r\nb\r\n"})
    is_(fetchmail("seen", "imap", "IMAPS", "ssl no keep", "u0002").returncode, 0, "a new one")
    is_(len(fetched("seen")), 2, "came alone")
    is_(len(maildir(house.mailbox("u0002"))), 1, "and was deleted, the one that was kept stays")
    fetchmail("seen", "imap", "IMAPS", "ssl keep flush", "u0002")
    is_(len(maildir(house.mailbox("u0002"))), 0, "flush deletes what was seen")

    well(fetchmail("all", "pop3", "POP3S", "ssl no keep fetchall"), "POP3: fetched and deleted")
    is_(len(maildir(house.mailbox("u0001"))), 0, "the mailbox is empty")
    ok(len(fetched("all")) == len(messages), "and nothing is lost")

done()
