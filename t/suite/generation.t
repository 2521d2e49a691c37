#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A generation that is damaged is not taken, and a program that meets one answers "later", never "no such user"."""
import os
import pathlib
import re
import smtplib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from house import House  # noqa: E402
from tap import done, is_, ok  # noqa: E402

USER = "u0001@example.test"


def damage(path, offset=0, length=2048):
    """Zeros in a compiled map: its hash tables' positions are gone."""
    fd = os.open(path, os.O_WRONLY)
    os.pwrite(fd, bytes(length), offset)
    os.close(fd)


def rcpt(house, address=USER):
    with smtplib.SMTP("127.0.0.1", house.port("SMTP")) as smtp:
        smtp.ehlo()
        smtp.mail("from@elsewhere.test")
        return smtp.rcpt(address)[0]


def generation(house):
    state = next(line.split()[1] for line in (pathlib.Path(house.env["CONF"]) / "posthouse.conf").read_text().splitlines()
                 if line.startswith("directory.state"))
    return pathlib.Path(state) / "generations/current"


def copy_of(house, name):
    return (generation(house) / name).read_bytes()


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
        ok("the running server uses the previous generation" in check.stderr, "and that the old one runs", check.stderr)
        place.unlink()
        place.write_bytes(bytes_)
    conf = pathlib.Path(house.env["CONF"]) / "posthouse.conf"
    text = conf.read_text()
    for key in ("queue.directory", "drop.directory"):
        conf.write_text(re.sub(f"^{key} .*$", f"{key} {house.directory}/nowhere", text, flags=re.M))
        ok(f"open {key} {house.directory}/nowhere: No such file" in house.posthouse("build", "--reload").stderr,
           f"a {key} that is not there is not taken: its program would not start")
        is_(rcpt(house), 250, "the old generation goes on")
    conf.write_text(text)
    is_(house.posthouse("build").returncode, 0, "as before")
    is_(house.posthouse("reload").returncode, 0, "the whole one is taken")
    ok("refused" not in house.posthouse("status").stdout, "and nothing is said any more")

    # A page in the middle, so that the header is good and most lookups are.
    place = generation(house) / "users.cdb"
    place.unlink()
    place.write_bytes(whole["users.cdb"])
    damage(place, len(whole["users.cdb"]) - 24 - 8, 8)
    before = house.pid("resolved")
    os.kill(before, 9)
    house.wait_for("another resolved", lambda: house.log().count("event=map-damaged file=users.cdb") == 1)
    is_(rcpt(house), 451, "a program that starts on a damaged map says later")
    ok(house.posthouse("build", "--reload").returncode == 0, "a build makes a whole one")
    is_(rcpt(house), 250, "and the user is known")
    house.stop()
    place = generation(house) / "users.cdb"
    damage(place)
    start = house.posthouse("start", env={**os.environ, "POSTHOUSE_PROGRAMS": f"{house.directory}/bin"})
    ok(start.returncode != 0 and "users.cdb of the current generation is damaged" in start.stderr, "nor does posthouse start on it",
       start.stderr)

done()
