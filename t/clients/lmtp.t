#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The house delivers by LMTP into Dovecot."""
import email
import pathlib
import smtplib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from clients import (Home, address, corpus, free_port, maildir, maildir_files, need, need_root, same, send_parallel,  # noqa: E402
                     version, wait_delivered, well)
from house import House  # noqa: E402
from tap import done, is_, note, ok, skip_all  # noqa: E402

need("dovecot")
if not pathlib.Path("/usr/lib/dovecot/lmtp").exists():
    skip_all("Dovecot's LMTP server is not installed")
need_root("Dovecot drops privileges")

CONFIGURATION = """
protocols = lmtp
listen = 127.0.0.1
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/log
ssl = no
mail_location = maildir:{home}/boxes/%n
first_valid_uid = 1
passdb {{
  driver = passwd-file
  args = {home}/users
}}
userdb {{
  driver = passwd-file
  args = {home}/users
}}
service lmtp {{
  inet_listener lmtp {{
    port = {listen}
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""

messages = corpus()
listen = free_port()
BOXES = ("one", "two")

with House("--route", f"dovecot.test lmtp 127.0.0.1:{listen}") as house, Home() as home:
    note(version(home, "dovecot", "--version"))
    home.directory.chmod(0o755)
    (home / "boxes").mkdir()
    home.run("chown", "65534:65534", home / "boxes")
    home.write("users", "".join(f"{name}@dovecot.test:{{PLAIN}}pw:65534:65534::{home / 'boxes' / name}::\n" for name in BOXES)).chmod(0o644)
    conf = home.write("dovecot.conf", CONFIGURATION.format(home=home.directory, listen=listen))
    # The daemon would keep a pipe to us open.
    well(home.run("sh", "-c", 'dovecot -c "$1" > start 2>&1', "sh", conf), "Dovecot starts")
    try:
        send_parallel(4, house, messages, "one@dovecot.test")
        house.wait_for("all of it in Dovecot's mailbox", lambda: len(maildir_files(home / "boxes/one")) >= len(messages))
        same(f"{len(messages)} messages by LMTP into Dovecot", maildir(home / "boxes/one"), messages)

        # LMTP answers for each recipient; who has an account is told.
        with smtplib.SMTP(house.env["HOST"], house.port("SUBMISSION"), timeout=60) as smtp:
            smtp.login(address("u0001"), "pw")
            smtp.sendmail(address("u0001"), ["two@dovecot.test", "nobody@dovecot.test", "one@dovecot.test"], b"Subject: three\r\n\r\n.\r\n")
        wait_delivered(house, "u0001", 1)
        house.wait_for("the two that are there", lambda: len(maildir_files(home / "boxes/two")) == 1
                       and len(maildir_files(home / "boxes/one")) == len(messages) + 1)
        ok(True, "those that are there have it")
        report = email.message_from_bytes(maildir_files(house.mailbox("u0001"))[0].read_bytes())
        fields = [part for part in report.walk() if part.get_content_type() == "message/delivery-status"]
        is_([part.get("Final-Recipient") for part in (fields[0].get_payload() if fields else []) if part.get("Final-Recipient")],
            ["rfc822; nobody@dovecot.test"], "the one that is not is reported, and only that one")
    except Exception:
        note("\n".join((home / "log").read_text(errors="replace").splitlines()[-20:]))
        raise
    finally:
        home.run("dovecot", "-c", conf, "stop")

done()
