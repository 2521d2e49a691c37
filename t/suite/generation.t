#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A generation that is damaged is not taken, and a program that meets one answers "later", never "no such user"."""
import os
import pathlib
import re
import smtplib
import socket
import ssl
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from house import House  # noqa: E402
from tap import done, is_, ok  # noqa: E402

USER = "u0001@example.test"


def damage(path, offset=0, length=2048, fill=b"\0"):
    """Such bytes in a compiled map: its hash tables' positions are gone."""
    fd = os.open(path, os.O_WRONLY)
    os.pwrite(fd, fill * length, offset)
    os.close(fd)


def rcpt(house, address=USER):
    with smtplib.SMTP("127.0.0.1", house.port("SMTP")) as smtp:
        smtp.ehlo()
        smtp.mail("from@elsewhere.test")
        return smtp.rcpt(address)[0]


def later(house):
    """What is said when not even the client can be looked up, or else of the user."""
    with smtplib.SMTP("127.0.0.1", house.port("SMTP")) as smtp:
        smtp.ehlo()
        code = smtp.mail("from@elsewhere.test")[0]
        return code if code != 250 else smtp.rcpt(USER)[0]


def generation(house):
    state = next(line.split()[1] for line in (pathlib.Path(house.env["CONF"]) / "posthouse.conf").read_text().splitlines()
                 if line.startswith("directory.state"))
    return pathlib.Path(state) / "generations/current"


def current_number(house):
    return int(os.readlink(generation(house)))


def copy_of(house, name):
    return (generation(house) / name).read_bytes()


def handshake(house):
    """The certificate of a handshake that keyd signed."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", house.port("IMAPS"))) as plain:
        try:
            with context.wrap_socket(plain) as client:
                return client.getpeercert(binary_form=True)
        except (ssl.SSLError, ConnectionError) as error:
            return str(error)


def served(house, wanted):
    """A reload has come to its end when the old porter is gone; until then it may take a client, also after the new one has."""
    house.wait_for("the certificate", lambda: handshake(house) == wanted)
    house.wait_for_heirs("porter")
    return handshake(house) == wanted


def renew(conf):
    """Another key and another certificate, as certbot does; the directory of keys is another one too."""
    (conf / "keys").rename(conf / "keys.old")
    (conf / "keys").mkdir(mode=0o700)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    conf / "keys/house.pem", "-out", conf / "certs/house.pem", "-subj", "/CN=x", "-addext",
                    "subjectAltName=DNS:mail.example.test"], check=True, capture_output=True)
    (conf / "keys/house.pem").chmod(0o600)
    for old in (conf / "keys.old").iterdir():
        old.unlink()
    (conf / "keys.old").rmdir()


def keys(house):
    """A generation's keys are its own: neither a renewal nor a rollback nor a new directory takes them away."""
    conf = pathlib.Path(house.env["CONF"])
    first = handshake(house)
    ok(isinstance(first, bytes), "TLS is served", str(first))
    is_(os.stat(generation(house) / "keys").st_mode & 0o777, 0o700, "the generation's keys are their owner's")
    is_(os.stat(generation(house) / "keys/house.pem").st_mode & 0o777, 0o600, "each of them")
    renew(conf)
    house.kill("keyd")
    ok(handshake(house) == first, "a keyd that starts between a renewal and the build has the old certificate's key")
    is_(house.posthouse("build", "--reload").returncode, 0, "the build takes the new one")
    house.wait_for_heirs("porter")
    second = handshake(house)
    ok(isinstance(second, bytes) and second != first, "which is served at once, from a directory that is a new one", str(second))
    is_(house.posthouse("build").returncode, 0, "another generation")
    (generation(house) / "keys/house.pem").write_bytes(b"")
    reload = house.posthouse("reload")
    ok(reload.returncode == 0 and "TLS works for" in reload.stderr and "only until keyd restarts" in reload.stderr,
       "with an empty key it says that keyd goes on with the one it has", reload.stderr)
    ok(handshake(house) == second, "TLS goes on")
    is_(house.posthouse("rollback").returncode, 0, "a rollback")
    is_(house.posthouse("rollback").returncode, 0, "and another")
    ok(served(house, first), "brings the old one back, and its key")
    is_(house.posthouse("build", "--reload").returncode, 0, "and a build the new one")
    ok(served(house, second), "which is served")
    kept = generation(house).resolve().parent
    (conf / "posthouse.conf").write_text((conf / "posthouse.conf").read_text() + "generations.keep 2\n")
    is_(house.posthouse("build", "--reload").returncode, 0, "two generations are kept")
    is_(len([path for path in kept.iterdir() if path.is_dir() and not path.is_symlink()]), 2, "those before are removed, keys and all")


with House() as house:
    is_(rcpt(house), 250, "a user of the whole map is known")
    whole = {name: copy_of(house, name) for name in ("users.cdb", "settings.cdb")}
    for name, bytes_ in whole.items():
        # A new file: that in use, which programs have mapped, is left alone.
        place = generation(house) / name
        place.unlink()
        place.write_bytes(bytes_)
        damage(place)
        reload = house.posthouse("reload")
        ok(reload.returncode != 0 and f"{name} of the current generation is damaged" in reload.stderr, f"damaged {name}: not taken",
           reload.stderr)
        is_(rcpt(house), 250, "the old generation goes on")
        ok(f"{name} of the current generation is damaged" in house.posthouse("status").stdout, "status says so")
        check = house.posthouse("check")
        ok(check.returncode == 100 and f"error: {name} of the current generation is damaged" in check.stderr, "so does check",
           check.stderr)
        ok(re.search(r"error: the last reload was refused: .*; the running server uses generation \d+$", check.stderr, re.M), "and that the old one runs", check.stderr)
        place.unlink()
        place.write_bytes(bytes_)
    conf = pathlib.Path(house.env["CONF"]) / "posthouse.conf"
    text = conf.read_text()
    for key in ("queue.directory", "drop.directory"):
        conf.write_text(re.sub(f"^{key} .*$", f"{key} {house.directory}/nowhere", text, flags=re.M))
        ok(f"open {key} {house.directory}/nowhere: No such file" in house.posthouse("build", "--reload").stderr,
           f"a {key} that is not there is not taken: its program would not start")
        is_(rcpt(house), 250, "the old generation goes on")
    for key in ("queue.directory", "directory.run"):
        other = house.directory / f"other-{key}"
        other.mkdir()
        before = current_number(house)
        conf.write_text(re.sub(f"^{key} .*$", f"{key} {other}", text, flags=re.M))
        moved = house.posthouse("build", "--reload")
        ok(moved.returncode == 100 and f"{key} was changed from " in moved.stderr and str(other) in moved.stderr,
           f"a {key} that moves under the running house is not taken", moved.stderr)
        ok(key == "queue.directory" or current_number(house) == before, "nor built, where the house could not be asked any more")
        edit = house.posthouse("user", "add", f"{key}@example.test", "--no-password")
        ok(edit.returncode != 0 and f"{key} was changed from " in edit.stderr, "an edit says so too", edit.stderr)
        conf.write_text(text)
        house.posthouse("build")
        house.posthouse("user", "del", f"{key}@example.test")
    is_(house.posthouse("build").returncode, 0, "as before")
    current = generation(house).resolve().name
    check = house.posthouse("check")
    ok(re.search(rf"error: generation {int(current)} is current, the running server uses \d+; run posthouse reload\n", check.stderr),
       "a build that was not reloaded is seen", check.stderr)
    is_(house.posthouse("reload").returncode, 0, "the whole one is taken")
    ok(f"generation   {int(current)}\n" in house.posthouse("status").stdout, "and is in the status")
    ok("refused" not in house.posthouse("status").stdout, "and nothing is said any more")

    # A page in the middle, so that the header is good and most lookups are.
    place = generation(house) / "users.cdb"
    place.unlink()
    place.write_bytes(whole["users.cdb"])
    damage(place, len(whole["users.cdb"]) - 24 - 8, 8)
    house.kill("resolved")
    house.wait_for("another resolved", lambda: "event=map-damaged file=users.cdb" in house.log())
    is_(rcpt(house), 451, "a program that starts on a damaged map says later")
    ok(house.posthouse("build", "--reload").returncode == 0, "a build makes a whole one")
    is_(rcpt(house), 250, "and the user is known")
    # What stands beside the map's own file, which says nothing of it.
    many = "".join(f"more{i}@example.test\n" for i in range(40))
    ok(house.posthouse("user", "add", "-", input=many).returncode == 0, "many users")
    for path in conf.parent.iterdir():  # which were not written a moment ago
        os.utime(path, (1, 1))
    ok(house.posthouse("build", "--reload").returncode == 0, "are built")
    for at, lost in enumerate((("users.more.cdb",), ("users.more.cdb", "passwords.more.cdb", "manifest.cdb"))):
        edit = house.posthouse("user", "set", USER, f"quota={at + 3}G")
        ok(edit.returncode == 0 and (generation(house) / "users.more.cdb").exists(), "an edit by entries", edit.stderr)
        for name in lost:
            (generation(house) / name).unlink(missing_ok=True)
        reload = house.posthouse("reload")
        ok(reload.returncode != 0 and f"{lost[-1]} of the current generation is missing" in reload.stderr, f"{lost[-1]} is lost: not taken", reload.stderr)
        house.kill("resolved")
        house.wait_for("another resolved", lambda: f'event=map-damaged file=users.cdb reason="without {lost[-1]}, which was lost"' in house.log())
        is_(later(house), 451, "a program that starts on what is left says later")
        ok(house.posthouse("build", "--reload").returncode == 0, "a build makes a whole one")
        is_(rcpt(house), 250, "and the user is known")
    # The file that is in use, and its entries are the same in the new one.
    resolved = house.pid("resolved")
    damage(place, fill=b"\xff")
    is_(rcpt(house), 451, "a map that is damaged while it is in use")
    ok(house.posthouse("build", "--reload").returncode == 0, "is written anew by a build")
    is_([rcpt(house), house.pid("resolved")], [250, resolved], "which the program that runs is given")
    porter = house.pid("porter")
    damage(generation(house) / "tls.cdb")
    ok(house.posthouse("build", "--reload").returncode == 0, "certificates that are damaged while they are in use are written anew")
    ok(house.pid("porter") != porter, "and taken by another porter")
    keys(house)
    house.stop()
    place = generation(house) / "users.cdb"
    damage(place)
    start = house.posthouse("start", env={**os.environ, "POSTHOUSE_PROGRAMS": f"{house.directory}/bin"})
    ok(start.returncode != 0 and "users.cdb of the current generation is damaged" in start.stderr, "nor does posthouse start on it",
       start.stderr)

done()
