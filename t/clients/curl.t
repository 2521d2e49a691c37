#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""curl: smtp, smtps, pop3, pop3s, imap and imaps, with STARTTLS and without; the whole corpus both ways."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from clients import (Home, address, complete, corpus, maildir, need, same, version, wait_delivered, well, write_files)  # noqa: E402
from house import House  # noqa: E402
from tap import done, is_, note, ok  # noqa: E402

need("curl")
LOGIN_DENIED = 67
messages = corpus()


def quoted(text):
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


with House("--users", "4", "--set", "auth.failure-delay 0") as house, Home() as home:
    note(version(home, "curl", "--version"))

    def url(scheme, path=""):
        return f"{scheme}://localhost:{house.port(scheme.upper() if scheme != 'smtps' else 'SUBMISSIONS')}/{path}"

    def curl(*words, user="u0002", password="pw"):
        login = ("--user", f"{address(user)}:{password}") if user else ()
        return home.run("curl", "-sS", "--cacert", house.env["CA"], *login, *words, text=False)

    def many(rows):
        """One curl, one connection, many transfers: rows of (option, value)..."""
        config = "\nnext\n".join("\n".join(f"{key} = {quoted(value)}" if value is not None else key for key, value in row)
                                 for row in rows)
        return curl("--config", home.write("many", config + "\n"), user=None)

    def batch(service_url, names, *more):
        base = [("cacert", house.env["CA"]), ("silent", None), ("show-error", None), *more]
        return many([[*base, ("url", service_url), ("upload-file", paths[name])] for name in names])

    paths = write_files(home / "corpus", messages)
    mail = [("mail-from", address("u0002")), ("mail-rcpt", address("u0001"))]
    user = [("user", f"{address('u0002')}:pw")]
    names = list(messages)
    well(batch(url("smtp", "client.test"), names, *mail), "smtp:")
    wait_delivered(house, "u0001", len(messages))
    same("everything came as it was sent", maildir(house.mailbox("u0001")), messages)

    submitted = complete(messages)
    mail[1] = ("mail-rcpt", address("u0004"))
    well(batch(f"smtp://localhost:{house.port('SUBMISSION')}/client.test", list(submitted)[::2], ("ssl-reqd", None), *mail, *user),
         "submission with STARTTLS and a password")
    well(batch(url("smtps", "client.test"), list(submitted)[1::2], *mail, *user), "smtps: with a password")
    wait_delivered(house, "u0004", len(submitted))
    same("what was submitted, too", maildir(house.mailbox("u0004")), submitted)

    # As files of this system are: curl sends them so, and puts CR LF . CR LF behind; dots behind an LF it leaves alone.
    paths.update(write_files(home / "lines", {f"lf-{name}": text.replace(b"\r\n", b"\n") for name, text in submitted.items()}))
    mail[1] = ("mail-rcpt", address("u0003"))
    well(batch(url("smtps", "client.test"), [f"lf-{name}" for name in submitted], *mail, *user), "smtps: lines that end with LF")
    wait_delivered(house, "u0003", len(submitted))
    same("their lines end with CR LF, all else is as it was", maildir(house.mailbox("u0003")),
         {name: text + b"\r\n" for name, text in submitted.items()})

    for scheme, options in (("pop3", []), ("pop3", [("ssl-reqd", None)]), ("pop3s", [])):
        out = home / f"{scheme}-{len(options)}"
        out.mkdir()
        login = [("cacert", house.env["CA"]), ("user", f"{address('u0001')}:pw"), *options]
        listing = curl(*(["--ssl-reqd"] if options else []), url(scheme), user="u0001").stdout
        numbers = [int(line.split()[0]) for line in listing.splitlines()]
        answer = many([[*login, ("url", url(scheme, str(n))), ("output", out / str(n))] for n in numbers])
        same(f"{scheme}:{' with STLS' if options else ''} RETR", [(out / str(n)).read_bytes() for n in numbers], messages)
    answer = curl(url("pop3s"), "-X", "UIDL", user="u0001")
    is_(len(set(line.split()[1] for line in answer.stdout.splitlines())), len(messages), "UIDL: as many as messages")
    answer = curl(url("pop3s"), "-X", "TOP 1 0", user="u0001")
    ok(answer.stdout.startswith(b"Return-Path:"), "TOP")
    is_(curl(url("pop3s"), user="u0001", password="wrong").returncode, LOGIN_DENIED, "a wrong password is refused")

    for scheme, options in (("imap", []), ("imap", [("ssl-reqd", None)]), ("imaps", [])):
        out = home / f"{scheme}-{len(options)}"
        out.mkdir()
        login = [("cacert", house.env["CA"]), ("user", f"{address('u0001')}:pw"), *options]
        many([[*login, ("url", url(scheme, f"INBOX;MAILINDEX={n}")), ("output", out / str(n))]
              for n in range(1, len(messages) + 1)])
        same(f"{scheme}:{' with STARTTLS' if options else ''} FETCH", [path.read_bytes() for path in out.iterdir()], messages)

    answer = curl(url("imaps"), user="u0001")
    ok(b'"INBOX"' in answer.stdout or b" INBOX" in answer.stdout, "LIST", answer.stdout)
    answer = curl(url("imaps", "INBOX?ALL"), user="u0001")
    is_(len(answer.stdout.split()), 2 + len(messages), "SEARCH ALL: * SEARCH and every number")
    answer = curl(url("imaps", "INBOX?SUBJECT%20no-such-subject-anywhere"), user="u0001")
    is_(answer.stdout.split(), [b"*", b"SEARCH"], "SEARCH for what is not there")
    answer = curl(url("imaps", "INBOX;MAILINDEX=1;SECTION=HEADER.FIELDS%20(Return-Path)"), user="u0001")
    # Which message is the first is chance, and some have a Return-Path of their own.
    fields = answer.stdout.split(b"\r\n")
    is_((fields[0], fields[-2:]), (f"Return-Path: <{address('u0002')}>".encode(), [b"", b""]), "a section")

    well(curl(url("imaps"), "-X", "CREATE appended", user="u0003"), "CREATE")
    some = names[::10]
    well(many([[("cacert", house.env["CA"]), ("user", f"{address('u0003')}:pw"), ("url", url("imaps", "appended")),
                ("upload-file", paths[name])] for name in some]), "APPEND")
    same("what was appended is there", maildir(house.mailbox("u0003") / ".appended"), {name: messages[name] for name in some})
    answer = curl(url("imaps", "appended"), "-X", "FETCH 1:* (FLAGS RFC822.SIZE)", user="u0003")
    is_(sorted(int(size) for size in re.findall(rb"RFC822.SIZE (\d+)", answer.stdout)),
        sorted(len(messages[name]) for name in some), "its sizes")
    well(curl(url("imaps", "appended"), "-X", "STORE 1 +FLAGS (\\Deleted)", user="u0003"), "STORE")
    well(curl(url("imaps", "appended"), "-X", "EXPUNGE", user="u0003"), "EXPUNGE")
    answer = curl(url("imaps"), "-X", "STATUS appended (MESSAGES)", user="u0003")
    ok(f"MESSAGES {len(some) - 1})".encode() in answer.stdout, "STATUS", answer.stdout)
    is_(curl(url("imaps"), user="u0003", password="wrong").returncode, LOGIN_DENIED, "a wrong password is refused")

done()
