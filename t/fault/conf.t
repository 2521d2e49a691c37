#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A text that cannot be read to its end is an error that names it: no map with half of its users, no half password."""
import errno
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import stopper  # noqa: E402
import wirehouse  # noqa: E402
from tap import done, is_, ok, skip  # noqa: E402

PROGRAM = wirehouse.build_directory() / "bin/posthouse"
USERS = "".join(f"u{number:04}@example.test\n" for number in range(1000))
place = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-t."))
preload = stopper.build(place, "failing")


def posthouse(*words, stdin=None, **environment):
    result = subprocess.run([str(PROGRAM), "-c", str(place / "conf"), *words], capture_output=True, text=True,
                            stdin=stdin or subprocess.DEVNULL, env={**os.environ, **environment})
    return result.returncode, result.stdout, result.stderr.replace(str(place), "DIR")


def unreadable(name, after, end=False):
    """What makes the file end in an error, or seem to end, behind its first bytes."""
    return {"LD_PRELOAD": str(preload), "FAIL_CALL": "behind", "FAIL_PATH": name, "FAIL_SKIP": str(after),
            "FAIL_ERRNO": "0" if end else str(errno.EIO)}


def state():
    return os.readlink(place / "state/generations/current"), (place / "conf/users.map").read_text()


def builds():
    before = state()
    for end, reason in ((False, "Input/output error"), (True, "it was changed while it was read; try again")):
        # Cut at the end of a line: what was read would build.
        code, out, err = posthouse("build", **unreadable("/users.map", len("u0000@example.test\n") * 10, end))
        is_(code, 100, f"a users.map that cannot be read does not build ({reason})")
        ok(f"DIR/conf/users.map: error: {reason}\n" in err, "and is named with the reason", err)
        is_((out, state()), ("", before), "there is no other generation")
    code, _, err = posthouse("build", **unreadable("/staff", 5))
    is_(code, 100, "a list that an alias includes and that cannot be read")
    ok("aliases.map:1: error: include:staff: Input/output error\n" in err, "is named in the alias's line", err)
    code, _, err = posthouse("build", **unreadable("/posthouse.conf", 10))
    is_(code, 100, "nor does a posthouse.conf that cannot be read")
    ok("DIR/conf/posthouse.conf: error: Input/output error\n" in err, "which is named", err)
    is_(state(), before, "all is as it was")


def certificates():
    if not shutil.which("openssl"):
        skip("certificates", "no openssl command")
        return
    key, chain = place / "conf/keys/one.pem", place / "conf/certs/one.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
                    "/CN=mail.example.test", "-keyout", str(key), "-out", str(chain)], check=True, capture_output=True)
    key.chmod(0o600)
    first = chain.read_text()
    chain.write_text(first + first)
    conf = place / "conf/posthouse.conf"
    conf.write_text(conf.read_text().replace('tls.certificates ""\n', ""))
    is_(posthouse("build")[0], 0, "a chain of two certificates builds")
    before = state()
    code, _, err = posthouse("build", **unreadable("/certs/one.pem", len(first)))
    is_((code, state()), (100, before), "one whose second half cannot be read does not")
    ok("DIR/conf/certs/one.pem: error: Input/output error\n" in err, "and is named", err)
    code, _, err = posthouse("build", **unreadable("/keys/one.pem", 20))
    is_((code, state()), (100, before), "nor does a private key that cannot be read")
    ok("DIR/conf/keys/one.pem: error: Input/output error\n" in err, "which is named too", err)


def commands():
    before = state()
    for words in (("user", "del", "u0999@example.test"), ("map", "set", "users", "u0001@example.test", "quota=1G")):
        code, _, err = posthouse(*words, **unreadable("/users.map", 190))
        is_(code != 0, True, f"{' '.join(words[:2])} does not write what it could not read")
        ok("users.map" in err, "and names it", err)
        is_(state(), before, "text and generation are as they were")
    for words in (("rollback",), ("map", "dump", "users"), ("stop",)):
        code, out, err = posthouse(*words, **unreadable("/posthouse.conf", 10))
        is_((code, out), (111, ""), f"{' '.join(words)} does not guess where things are when posthouse.conf cannot be read")
        ok("posthouse.conf: error: Input/output error" in err, "and says so", err)
    is_(state(), before, "all is as it was")


TRAILER_BYTES = 32  # of a map: with the generation's number, which the manifest has too


def generation():
    place_of = place / "state/generations/current"
    return {str(path.relative_to(place_of)): path.read_bytes()[:-TRAILER_BYTES if path.suffix == ".cdb" else None]
            for path in place_of.rglob("*") if path.is_file() and path.name != "manifest.cdb"}


def memory():
    """Whichever allocation fails, of OpenSSL's too: a build gives the same generation or none."""
    if not shutil.which("openssl"):
        skip("memory", "no openssl command")
        return
    (place / "conf/users.map").write_text("".join(USERS.splitlines(True)[:10]))  # what OpenSSL needs is not one of thousands
    is_(posthouse("build")[0], 0, "with a certificate it builds")
    whole, at, failed, wrong = generation(), 0, 0, []
    while True:
        before = state()
        code, out, err = posthouse("build", LD_PRELOAD=str(preload), FAIL_CALL="memory", FAIL_PATH="", FAIL_ERRNO=str(errno.ENOMEM),
                                   FAIL_SKIP=str(at), FAIL_TIMES="1")
        if generation() != whole or (code and (not err or state() != before)):
            wrong.append((at, code, out, err))
        failed += code != 0
        if at > 20000:
            break
        at += 1 + at // 20
    is_(wrong, [], f"an allocation fails: {failed} builds are refused, the others are whole")
    ok(failed > 20, "some of them matter")


def running():
    """Whether a server runs cannot be found out now: that is not the same as none."""
    failing = {"LD_PRELOAD": str(preload), "FAIL_CALL": "connect", "FAIL_PATH": "/control", "FAIL_ERRNO": str(errno.ENOBUFS)}
    for words in (("alias", "add", "a@example.test", "u0001@example.test"), ("queue", "check"), ("start",)):
        code, out, err = posthouse(*words, **failing)
        is_(code, 111, f"{' '.join(words[:2])} does not take it that no server runs")
        ok(f"DIR/run/control: {os.strerror(errno.ENOBUFS)}" in err, "and says why", err)
    ok("a@example.test" in posthouse("alias", "list")[1], "the edit itself is made")
    is_(posthouse("alias", "del", "a@example.test")[0], 0, "without a server there is nobody to reload")


def editor():
    before = state()
    code, _, err = posthouse("map", "edit", "users", EDITOR="echo new@example.test >>", VISUAL="", **unreadable("/tmp/posthouse.", 19))
    is_(code, 111, "what the editor left and cannot be read back")
    ok("Input/output error" in err, "is an error", err)
    kept = [line.split()[-1] for line in err.splitlines() if "your version is in" in line]
    ok(len(kept) == 1 and "new@example.test" in pathlib.Path(kept[0]).read_text(), "the copy is kept", err)
    for name in kept:
        os.unlink(name)
    is_(state(), before, "nothing was changed")


def passwords():
    secret = place / "secret"
    secret.write_text("a long password\n")
    with open(secret) as stdin:
        code, out, err = posthouse("password", stdin=stdin, **unreadable("stdin", 3))
    is_((code, out), (100, ""), "half a password is not hashed")
    is_(err, "posthouse: read the password: Input/output error\n", "the reason is told")


try:
    descriptor = wirehouse.generation(place, "mailbox.uid 5000\nmailbox.gid 5000\ntls.certificates \"\"\nlisten.submissions\nlisten.pop3s\nlisten.imaps\n",
                                      {"domains": "example.test mailboxes\n", "users": USERS})
    os.close(descriptor)
    (place / "conf/staff").write_text("u0001@example.test\nu0002@example.test\n")
    (place / "conf/aliases.map").write_text("staff@example.test include:staff\n")
    is_(posthouse("build")[0], 0, "it builds when everything can be read")
    builds()
    commands()
    running()
    editor()
    passwords()
    certificates()
    memory()
finally:
    shutil.rmtree(place, ignore_errors=True)
done()
