# SPDX-License-Identifier: ISC
"""The maps as lib/conf/maps.def lists them: NAMES in its order, SECRET those whose text is its owner's alone."""
import pathlib
import re

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
_ROWS = re.findall(r"^MAP\([A-Z]+, ([a-z]+), .*, (PUBLIC|SECRET), \"([a-z0-9-]+)\", \w+\)$",
                   (SOURCE / "lib/conf/maps.def").read_text(), re.M)
NAMES = [name for name, _, _ in _ROWS]
SECRET = [name for name, privacy, _ in _ROWS if privacy == "SECRET"]
PROGRAMS = {name: program for name, _, program in _ROWS}
