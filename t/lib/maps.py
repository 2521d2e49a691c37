# SPDX-License-Identifier: ISC
"""The maps as lib/conf/maps.def lists them: NAMES in its order, SECRET those whose text is its owner's alone, PROGRAMS who
reads them, ENTRIES what one entry and several are called ("": they are not counted)."""
import pathlib
import re

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
_ROWS = re.findall(r"^MAP\([A-Z]+, ([a-z]+), \"([a-z ]*)\", \"([a-z ]*)\", \w+, (PUBLIC|SECRET), \"([a-z0-9-]+)\", \w+\)$",
                   (SOURCE / "lib/conf/maps.def").read_text(), re.M)
NAMES = [row[0] for row in _ROWS]
ENTRIES = {name: (one, many) for name, one, many, _, _ in _ROWS}
SECRET = [name for name, _, _, privacy, _ in _ROWS if privacy == "SECRET"]
PROGRAMS = {name: program for name, _, _, _, program in _ROWS}
