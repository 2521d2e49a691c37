#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""posthouse check looks at mailboxes as their owners: what the programs cannot open, links that they do not follow, and what to run, which
mends it and does nothing to another's home. Of a house that is well it says nothing."""
import imaplib
import os
import pathlib
import re
import shlex
import shutil
import smtplib
import ssl
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from house import House  # noqa: E402
from tap import done, is_, ok, skip  # noqa: E402

ROOT = os.geteuid() == 0
WELL = (0, "no problems found; posthouse is running\n")


def check(house):
    said = house.posthouse("check", env={**os.environ, "POSTHOUSE_PROGRAMS": f"{house.directory}/bin"})
    return said.returncode, said.stdout + said.stderr


def told(house, pattern, name):
    """One line, of this form; the remedy that it names, run, leaves nothing to be said."""
    code, said = check(house)
    ok(code == 100 and re.fullmatch(pattern + "\n", said), name, f"{pattern!r} is not {said!r}")
    return said


def follows(house, said, name):
    """What the line says to run, in a shell, for the path that it is about where it names none."""
    path, words = said.split(": ", 1)[0], re.search(r"; run (ch[^\n]*)", said)
    command = words[1] if words else "false"
    subprocess.run(command if "/" in command else f"{command} {shlex.quote(path)}", shell=True, check=False)
    is_(check(house), WELL, f"{name}: and mended by it")


def session(house, user):
    context = ssl._create_unverified_context()
    client = imaplib.IMAP4_SSL("127.0.0.1", house.port("IMAPS"), ssl_context=context)
    client.login(f"{user}@example.test", "pw")
    return client


def deliver(house, user):
    def count():
        return sum(len(list((house.mailbox(user) / part).glob("*"))) for part in ("new", "cur"))
    before = count()
    with smtplib.SMTP("127.0.0.1", house.port("SMTP")) as client:
        client.sendmail("x@example.org", [f"{user}@example.test"], b"Subject: x\r\n\r\nx\r\n")
    house.wait_for("delivery", lambda: count() > before)


def parts(house):
    """Single files and folders that a restore by root has left, or that were made too narrow."""
    maildir = house.mailbox("u0001")
    uid, gid = maildir.stat().st_uid, maildir.stat().st_gid
    (maildir / ".Archive/cur").mkdir(parents=True)
    for path in (maildir / ".Archive", maildir / ".Archive/cur"):
        if ROOT:
            os.chown(path, uid, gid)
        path.chmod(0o700)
    message = next((maildir / "cur").glob("*"))
    is_(check(house), WELL, "a mailbox that is in use")
    for path in (maildir / "posthouse.lock", maildir / "posthouse.uids", maildir.parent / "posthouse.reserved", maildir / ".Archive", maildir / ".Archive/cur"):
        mode = path.stat().st_mode & 0o7777
        path.chmod(0)
        said = told(house, rf"{path}: error: mode is 0000, owner {uid}:{gid}: the mailbox u0001@example.test \({uid}:{gid}\) cannot use it; "
                    r"run chmod u\+rw?x?", f"{path.name} is too narrow")
        follows(house, said, path.name)
        path.chmod(mode)
        if ROOT:
            os.chown(path, 0, 0)
            said = told(house, rf"{path}: error: owned by uid 0, not by uid {uid}, the owner of the mailbox u0001@example.test; run chown -h {uid}:{gid} {path}",
                        f"{path.name} is root's")
            follows(house, said, path.name)
    message.chmod(0)
    said = told(house, rf"{maildir}/cur: error: 1 message in it cannot be read by the mailbox u0001@example.test \({uid}:{gid}\) \(one: mode 0000, owner {uid}:{gid}\); "
                rf"run chmod -R u\+rwX {maildir}/cur", "a message that cannot be read")
    follows(house, said, "a message")
    message.chmod(0o600)
    (maildir / "posthouse.lock").chmod(0o400)
    (maildir / "tmp").chmod(0o500)
    said = told(house, rf"{maildir}/tmp: error: mode is 0500, owner .* cannot use it, nor 1 more in it; run chmod -R u\+rwX {maildir}", "two parts")
    follows(house, said, "two parts")
    (maildir / "posthouse.lock").chmod(0o600)
    (maildir / "tmp").chmod(0o700)
    if ROOT:
        for path in (maildir, *maildir.rglob("*")):
            os.chown(path, 0, 0)
        said = told(house, rf"{maildir}: error: owned by uid 0, not by uid {uid}, the owner of the mailbox u0001@example.test; run chown -hR {uid}:{gid} {maildir}",
                    "a Maildir that was copied by root")
        follows(house, said, "a Maildir")
        directories = [maildir.parent, maildir, *(path for path in maildir.rglob("*") if path.is_dir())]
        for path in directories:
            os.chown(path, 0, gid)
            path.chmod(0o770)
        is_(check(house), WELL, "a mailbox of root's that its owner may use by the group")
        deliver(house, "u0001")
        for path in directories:
            os.chown(path, uid, gid)
            path.chmod(0o700)
    is_(session(house, "u0001").select()[0], "OK", "the mailbox can be used")


def links(house):
    """Out of mail.root, where the sandbox lets nobody, to nowhere, and within, where all is well."""
    mail, elsewhere = house.directory / "mail", house.directory / "elsewhere"
    home = house.mailbox("u0002").parent
    elsewhere.mkdir(mode=0o711)
    home.rename(elsewhere / "u0002")
    home.symlink_to(elsewhere / "u0002")
    kept = "landlock=" in house.log()
    words = (rf"{home}: {'error' if kept else 'warning'}: a symbolic link out of mail.root, to {elsewhere}/u0002: no program of the server follows it, and posthouse.conf\(5\), "
             r"mail.root, says what to do instead; behind it the mailbox u0002@example.test \(\d+:\d+\) can")
    ok(re.search(words, check(house)[1]), "a home behind a link out of mail.root", check(house)[1])
    home.unlink()
    home.symlink_to(house.directory / "nowhere")
    told(house, rf"{home}: error: a symbolic link, to {house.directory}/nowhere, which leads nowhere; behind it the mailbox u0002@example.test \(\d+:\d+\) cannot be used",
                "one behind a link to nowhere")
    home.unlink()
    (mail / "within").mkdir(mode=0o711)
    (elsewhere / "u0002").rename(mail / "within/u0002")
    home.symlink_to("within/u0002")
    is_(check(house), WELL, "one behind a link that stays in mail.root")
    deliver(house, "u0002")
    home.unlink()
    (mail / "within/u0002").rename(home)
    (mail / "within").rmdir()

    (mail / "dir").symlink_to(elsewhere)
    before = (pathlib.Path(house.env["CONF"]) / "users.map").read_text()
    said = house.posthouse("user", "add", "new@example.test", "--no-password", "home=dir/new")
    if kept:
        ok(said.returncode == 100 and f"posthouse: {mail}/dir: a symbolic link out of mail.root, to {elsewhere}: " in said.stderr and
           "nothing was changed" in said.stderr, "no user is added behind one", said.stderr)
        is_((pathlib.Path(house.env["CONF"]) / "users.map").read_text(), before, "in the text neither")
    else:
        house.posthouse("user", "del", "new@example.test")
        skip("no user is added behind one", "no Landlock here")
    (mail / "dir").unlink()
    (mail / "dir").symlink_to("gone")
    said = house.posthouse("user", "add", "new@example.test", "--no-password", "home=dir/new")
    ok(said.returncode == 100 and f"posthouse: {mail}/dir: a symbolic link, to gone, which leads nowhere" in said.stderr, "nor behind one to nowhere", said.stderr)
    (mail / "dir").unlink()
    shutil.rmtree(elsewhere, ignore_errors=True)

    maildir = house.mailbox("u0002")
    maildir.rename(maildir.parent / "kept")
    maildir.symlink_to("kept")
    told(house, rf"{maildir}: error: a symbolic link, which no program of the server follows here: the mailbox u0002@example.test \(\d+:\d+\) cannot use it", "a Maildir that is a link")
    maildir.unlink()
    (maildir.parent / "kept").rename(maildir)


def planted(house):
    """What an owner puts into the own home, or another mailbox's user into the domain's directory, leads nobody's eyes or hands elsewhere."""
    if not ROOT:
        skip("what owners plant", "not root")
        return
    conf, mail, away = pathlib.Path(house.env["CONF"]), house.directory / "mail", house.directory / "away"
    before = (conf / "users.map").read_text()
    (conf / "users.map").write_text(before + "dora@example.test home=dora uid=70002 gid=70002\nemil@example.test home=dom/emil uid=70003 gid=70003\n")
    house.posthouse("build", "--reload")
    maildir, trap = mail / "dora/Maildir", away / "x\n/etc/passwd: error: run chmod 666 \x1b[31mred\u009b\u202e"
    for path in (mail / "dora", maildir, maildir / "cur"):
        path.mkdir(mode=0o700)
        os.chown(path, 70002, 70002)
    for path in (away, trap):
        path.mkdir(mode=0o700, parents=True)
    (away / "secret").touch(0o600)
    (mail / "dom").mkdir(mode=0o711)
    (mail / "dom/emil").mkdir(mode=0o700)
    os.chown(mail / "dom/emil", 70003, 70003)
    is_(check(house), WELL, "users with uids of their own")
    for link in (maildir, maildir / "new", maildir / "posthouse.lock"):
        kept = link.with_name("kept")
        if link.exists():
            link.rename(kept)
        for target in (away, away / "secret", trap):
            link.symlink_to(target)
            told(house, rf"{link}: error: a symbolic link, which no program of the server follows here: the mailbox dora@example.test \(70002:70002\) cannot use it",
                 f"{link.name} is a link to {target.name.split(chr(10))[0]}")
            link.unlink()
        if kept.exists():
            kept.rename(link)
    os.mkfifo(maildir / "new", 0o700)
    told(house, rf"{maildir}/new: error: Not a directory: the mailbox dora@example.test \(70002:70002\) cannot use it", "a fifo instead of new")
    (maildir / "new").unlink()
    folder = maildir / ".it's;touch pwned $(touch pwned)"
    folder.mkdir(mode=0o700)
    code, said = check(house)
    follows(house, said, "a folder whose name a shell would run")
    ok(not os.path.exists("pwned"), "nothing of it was run")
    folder.rmdir()

    (mail / "dom").rename(mail / "kept")
    for target in (trap, away, mail / "dora/Maildir"):
        (mail / "dom").symlink_to(target)
        code, said = check(house)
        is_((code, said.count("\n"), re.findall("chmod o|chown|--bind|install -d|[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", said)), (100, 1, []), "a domain's directory is a link: one line, no advice, no control characters")
        (mail / "dom").unlink()
    (mail / "dom").symlink_to("kept")
    is_(check(house), WELL, "but for one that leads where all is well")
    said = house.posthouse("user", "add", "new@example.test", "--no-password", "home=dom/deep/new", "uid=70004", "gid=70004", umask=0o077)
    st = [(path.stat().st_uid, path.stat().st_mode & 0o777) for path in (mail / "kept/deep", mail / "kept/deep/new")]
    is_((said.returncode, said.stderr, st), (0, "", [(mail.stat().st_uid, mail.stat().st_mode & 0o777), (70004, 0o700)]), "user add makes a home there, and its directory like mail.root whatever the umask")
    (mail / "dom").unlink()
    shutil.rmtree(mail / "kept")
    shutil.rmtree(mail / "dora")
    shutil.rmtree(away)
    (conf / "users.map").write_text(before)
    house.posthouse("build", "--reload")


def root_behind_a_link(house):
    """What is told of a home does not depend on how mail.root is written."""
    mail, home = house.directory / "mail", house.mailbox("u0001").parent
    mail.rename(house.directory / "volume")
    mail.symlink_to("volume")
    is_(check(house), WELL, "mail.root behind a link")
    for path in (home, home / "Maildir/tmp"):
        mode = path.stat().st_mode & 0o7777
        path.chmod(0o400)
        said = told(house, rf"{path}: error: mode is 0400, owner (\d+:\d+): the mailbox u0001@example.test \(\1\) cannot use it; run chmod u\+w?x", f"{path.name} behind it")
        follows(house, said, path.name)
        path.chmod(mode)
    if ROOT:
        st = home.stat()
        os.chown(home, 0, 0)
        said = told(house, rf"{home}: error: owned by uid 0, not by uid {st.st_uid}, the owner of the mailbox u0001@example.test; run chown -h {st.st_uid}:{st.st_gid} {home}", "and one of root's")
        follows(house, said, "one of root's")
    mail.unlink()
    (house.directory / "volume").rename(mail)


def nested(house):
    """A home in another's home: what is to be run spares it."""
    if not ROOT:
        skip("homes in a home", "not root")
        return
    conf = pathlib.Path(house.env["CONF"])
    mail, before = house.directory / "mail", (conf / "users.map").read_text()
    (conf / "users.map").write_text(before + "team@example.test home=team uid=71000 gid=71000\nt1@example.test home=team/t1 uid=71001 gid=71001\n")
    house.posthouse("build", "--reload")
    for path, owner in ((mail / "team", 71000), (mail / "team/t1", 71001)):
        for directory in (path, path / "Maildir", path / "Maildir/cur", path / "Maildir/new", path / "Maildir/tmp"):
            directory.mkdir(mode=0o711)
            os.chown(directory, owner, owner)
    is_(check(house), WELL, "homes in a home")
    os.chown(mail / "team", 0, 0)
    said = told(house, rf"{mail}/team: error: owned by uid 0, not by uid 71000, the owner of the mailbox team@example.test; run chown -h 71000:71000 {mail}/team", "the outer one is root's")
    follows(house, said, "the outer one")
    for path in (mail / "team", *(mail / "team/Maildir").rglob("*"), mail / "team/Maildir"):
        os.chown(path, 0, 0)
    said = told(house, rf"{mail}/team: error: owned by uid 0, not by uid 71000, the owner of the mailbox team@example.test; run chown -h 71000:71000 {mail}/team "
                rf"&& chown -hR 71000:71000 {mail}/team/Maildir", "all of it but the inner one is")
    follows(house, said, "all of it")
    is_((mail / "team/t1").stat().st_uid, 71001, "and the inner one is its owner's")
    for path in ((mail / "team/t1"), *(mail / "team/t1").rglob("*")):
        os.chown(path, 0, 0)
    said = told(house, rf"{mail}/team/t1: error: owned by uid 0, not by uid 71001, the owner of the mailbox t1@example.test; run chown -hR 71001:71001 {mail}/team/t1", "the inner one is, with all in it")
    follows(house, said, "the inner one")
    shutil.rmtree(mail / "team")
    (conf / "users.map").write_text(before)
    house.posthouse("build", "--reload")


def many(house):
    """Of each kind some are named, and all are counted."""
    homes = [house.mailbox(f"u{number:04}").parent for number in range(1, 31)]
    for home in homes:
        (home / "Maildir/tmp").mkdir(parents=True, exist_ok=True)
        if ROOT:
            for path in (home, home / "Maildir", home / "Maildir/tmp"):
                os.chown(path, *[getattr(house.directory.joinpath("mail").stat(), name) for name in ("st_uid", "st_gid")])
    is_(check(house), WELL, "thirty mailboxes")
    for home in homes[:-1]:
        (home / "Maildir/tmp").chmod(0o500)
    homes[-1].rename(house.directory / "away")
    homes[-1].symlink_to("nowhere")
    code, said = check(house)
    is_((code, said.count(" cannot use it; run chmod u+w"), said.count("; 24 more mailboxes have the same problem\n"), len(said.splitlines())), (100, 5, 1, 6), "twenty-nine of one kind")
    ok(f"{homes[-1]}: error: a symbolic link, to nowhere, " in said, "and the one that is of another", said)
    homes[-1].unlink()
    (house.directory / "away").rename(homes[-1])
    for home in homes:
        (home / "Maildir/tmp").chmod(0o700)
    is_(check(house), WELL, "all is put right again")


with House("--users", "30") as house:
    deliver(house, "u0001")
    deliver(house, "u0002")
    session(house, "u0001").select()
    house.wait_for("a message in cur", lambda: list((house.mailbox("u0001") / "cur").glob("*")))
    parts(house)
    links(house)
    planted(house)
    root_behind_a_link(house)
    nested(house)
    many(house)
done()
