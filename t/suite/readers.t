#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""settings.def names, for each setting, the programs that work with it: a reload replaces these and no other, so that one that is
forgotten would go on with the old value. Held against the sources."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import processes  # noqa: E402
import settings  # noqa: E402
from tap import done, is_  # noqa: E402

# Of the library: what programs call that works with settings.
CALLED = {"connection_in_flight_max": "lib/wire/connection.c", "login_main": "lib/login/login.c",
          '"lib/conf/agents.def"': "lib/conf/agents.def"}
MAKEFILE = (settings.SOURCE / "Makefile.in").read_text().replace("\\\n", " ")
FIELDS = dict(re.findall(r'^SETTING\(\w+, "([^"]+)", (\w+),', (settings.SOURCE / "lib/conf/settings.def").read_text(), re.M))


def words(variable):
    for value in re.findall(rf"^{re.escape(variable)} \+?= (.*)$", MAKEFILE, re.M):
        for word in value.split():
            inner = re.fullmatch(r"\$\((\w+)\)", word)
            yield from words(inner[1]) if inner else [word]


def sources(program):
    text = "".join((settings.SOURCE / word).with_suffix(".c").read_text() for word in words(f"{program}_OBJECTS"))
    return text + "".join((settings.SOURCE / place).read_text() for call, place in CALLED.items() if call in text)


def reads(text, field):
    return re.search(rf"(?:->|\.|, ){field}\b", text) is not None


rows = {row[2]: row[6].split() for row in settings.rows() if row[0] == "setting"}
programs = {program: sources(program) for program in processes.table()}
is_([program for program, text in programs.items() if "int main(" not in text], [], "the sources of each program are found")
is_(sorted({word for readers in rows.values() for word in readers} - {*programs, "*"}), [], "the readers are programs of the house")
for key, readers in rows.items():
    if key.startswith("listen."):  # porter has the sockets
        is_(readers, ["porter"], f"{key}: porter's")
        continue
    missing = [program for program, text in programs.items() if reads(text, FIELDS[key]) and "*" not in readers and program not in readers]
    is_(missing, [], f"{key}: every program that works with it is named")
done()
