#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""mutt (or neomutt) sends with its own SMTP client and works on a mailbox over IMAP: read, copy, save, flag, delete."""
import email
import imaplib
import pathlib
import re
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from clients import (Home, address, corpus, fill, maildir, maildir_files, need, same, search_path,  # noqa: E402
                     tls_context, version, wait_delivered, well)
from house import House  # noqa: E402
from tap import done, is_, note, ok  # noqa: E402

MUTT = next((name for name in ("mutt", "neomutt") if shutil.which(name, path=search_path())), "mutt")
need(MUTT)


def plain(data):
    """mutt counts for itself: in what it writes these fields are its own, behind the header."""
    header, empty, body = data.partition(b"\r\n\r\n")
    return re.sub(rb"(?im)^(lines|content-length|status|x-status):.*\n", b"", header + b"\r\n") + empty[2:] + body


# A header with a broken first line is no header to mutt, which then adds its own fields elsewhere.
messages = {name: plain(data) for name, data in corpus(every=4).items() if name != "odd/019.eml"}

with House() as house, Home() as home:
    note(version(home, MUTT, "-v"))
    common = f"""
set ssl_ca_certificates_file="{house.env['CA']}"
set certificate_file="{house.env['CA']}"
set ssl_force_tls=yes
set imap_user="{address('u0001')}"
set imap_pass="pw"
set smtp_pass="pw"
set from="{address('u0002')}"
set realname="Mütter"
set use_from=yes
set copy=no
set mbox_type=Maildir
set confirmappend=no
set confirmcreate=no
set delete=yes
set quit=yes
set move=no
set mark_old=no
set wait_key=no
set sleep_time=0
set header_cache=""
set folder="{home.directory}"
set abort_noattach=no
set imap_check_subscribed=no
"""
    user = address("u0002").replace("@", "%40")
    rc = home.write("rc", common)

    def send(scheme, service, *words, body=b"Hello.\n.\n..\nFrom here\n"):
        return home.run(MUTT, "-n", "-F", rc, "-e", f'set smtp_url="{scheme}://{user}@localhost:{house.port(service)}/"',
                        *words, "--", address("u0001"), input=body, text=False)

    well(send("smtp", "SUBMISSION", "-s", "Grüße über STARTTLS"), "sent by submission")
    well(send("smtps", "SUBMISSIONS", "-s", "with an attachment", "-a", house.env["CA"]), "sent with TLS and an attachment")
    wait_delivered(house, "u0001", 2)
    parsed = [email.message_from_bytes(path.read_bytes()) for path in maildir_files(house.mailbox("u0001"))]
    subjects = {str(email.header.make_header(email.header.decode_header(one["Subject"]))): one for one in parsed}
    ok("Grüße über STARTTLS" in subjects, "a subject in UTF-8", list(subjects))
    is_(subjects["Grüße über STARTTLS"].get_payload(decode=True).replace(b"\r\n", b"\n"), b"Hello.\n.\n..\nFrom here\n", "dots and From stay")
    attached = [part for part in subjects["with an attachment"].walk() if part.get_filename()]
    is_([part.get_payload(decode=True).replace(b"\r\n", b"\n") for part in attached], [pathlib.Path(house.env["CA"]).read_bytes()],
        "the attachment is whole")

    for path in maildir_files(house.mailbox("u0001")):
        path.unlink()
    fill(house, "u0001", messages)

    def imap():
        box = imaplib.IMAP4_SSL(house.env["HOST"], house.port("IMAPS"), ssl_context=tls_context(house), timeout=60)
        box.login(address("u0001"), "pw")
        box.select()
        return box

    def mutt(name, keys, service="IMAPS"):
        url = f"{'imaps' if service == 'IMAPS' else 'imap'}://localhost:{house.port(service)}"
        home.write("keys", f'push "{keys.replace("URL", url)}"\n')
        return well(home.run_on_terminal(MUTT, "-n", "-F", rc, "-e", f"source {home / 'keys'}", "-f", url + "/INBOX"), name)

    every = "<tag-pattern>~A<enter><tag-prefix>"
    for service in ("IMAPS", "IMAP"):
        out = home / f"copy-{service}"
        mutt(f"everything is read over {service} and copied to a Maildir", f"{every}<copy-message>{out}<enter><quit>", service)
        same("byte for byte", map(plain, maildir(out)), messages)

    mutt("copied to another mailbox", f"{every}<copy-message>URL/Copies<enter><quit>")
    same("byte for byte", map(plain, maildir(house.mailbox("u0001") / ".Copies")), messages)
    mutt("flags, deletions", "<tag-pattern>~m1-7<enter><tag-prefix><flag-message><untag-pattern>~A<enter>"
         "<delete-pattern>~m3-12<enter><sync-mailbox><quit>")
    box = imap()
    is_(len(box.search(None, "ALL")[1][0].split()), len(messages) - 10, "ten are gone")
    is_(len(box.search(None, "FLAGGED")[1][0].split()), 2, "two of those that stay are flagged")
    box.logout()
    mutt("five are saved elsewhere", "<tag-pattern>~m1-5<enter><tag-prefix><save-message>URL/Saved<enter><sync-mailbox><quit>")
    is_(len(maildir_files(house.mailbox("u0001") / ".Saved")), 5, "they are there")
    is_(len(maildir_files(house.mailbox("u0001"))), len(messages) - 15, "and here no more")
    local = home / "copy-IMAPS"
    before = len(maildir_files(local))
    mutt("a local folder is put into a mailbox", f"<change-folder>{local}<enter>{every}<copy-message>URL/Uploaded<enter><quit>")
    same("byte for byte", map(plain, maildir(house.mailbox("u0001") / ".Uploaded")), messages)
    is_(len(maildir_files(house.mailbox("u0001") / ".Uploaded")), before, "all of it")

done()
