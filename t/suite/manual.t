#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The manual says what the code does: every setting with its default and range, every map, every command."""
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import maps  # noqa: E402
import settings  # noqa: E402
from tap import done, is_, ok, skip  # noqa: E402

MAN = settings.SOURCE / "man"


def items(page):
    """The text of each setting's entry, by key."""
    parts = re.split(r"^\.It Ic (\S+)", page, flags=re.M)[1:]
    return {key: re.split(r"^\.(?:El|It)", text, flags=re.M)[0] for key, text in zip(parts[::2], parts[1::2])}


documented = items((MAN / "posthouse.conf.5").read_text())
listed = [row for row in settings.rows() if row[0] == "setting"]
count = len(re.findall(r"^SETTING\(", (settings.SOURCE / "lib/conf/settings.def").read_text(), flags=re.M))
is_(len(listed), count, "this test reads every row of settings.def")
for row in listed:
    _, kind, key, default, limits, _, _ = row
    wanted = [settings.default_words(default)] + [words for words in [settings.range_words(kind, limits)] if words]
    text = documented.get(key, "")
    ok(all(re.search(re.escape(words) + r"(,|\n|$)", text) for words in wanted), f"{key} is in posthouse.conf(5) as it is",
       "python3 t/lib/settings.py writes this there:\n" + settings.manual_item(row))
is_(sorted(set(documented) - {row[2] for row in listed}), [], "nothing else is documented there")

count = len(re.findall(r"^MAP\(", (settings.SOURCE / "lib/conf/maps.def").read_text(), flags=re.M))
is_(len(maps.NAMES), count, "every row of maps.def is read")
for name in maps.NAMES:
    page = MAN / f"{name}.map.5"
    ok(page.exists() and re.search(rf"^\.Xr {maps.PROGRAMS[name]} 8", page.read_text(), flags=re.M),
       f"{name}.map(5) exists and names {maps.PROGRAMS[name]}(8), which reads it")
is_(sorted(path.stem for path in (settings.SOURCE / "conf/sample").glob("*.map")), sorted(maps.NAMES), "every map has its sample")

# "lib/base < lib/net < ... < lib/queue, lib/store < the programs": what stands before each folder.
order = re.search(r"^    (lib/base < .*) < the programs", (settings.SOURCE / "INTERNALS").read_text(), flags=re.M)[1]
below = set()
for group in order.split(" < "):
    for folder in group.split(", "):
        used = {word for path in (settings.SOURCE / folder).glob("*.[ch]")
                for word in re.findall(r'^#include "(lib/\w+)/', path.read_text(), flags=re.M)}
        is_(sorted(used - below - {folder}), [], f"{folder} includes only what INTERNALS, \"Layers\", puts before it")
    below |= set(group.split(", "))
is_(sorted(below), sorted(f"lib/{path.name}" for path in (settings.SOURCE / "lib").iterdir() if path.is_dir()), "the layers are all there")

source = (settings.SOURCE / "conf/posthouse.c").read_text()
commands = re.findall(r'^\t\{ "(\w+)", command_', source, flags=re.M)
page = (MAN / "posthouse.8").read_text()
for command in commands:
    ok(re.search(rf"^\.(It )?(Ic|Cm) {command}\b", page, flags=re.M), f"posthouse {command} is in posthouse(8)")

EVENT = re.compile(r'log_(?:debug|info|warn)\(((?:\s*"(?:[^"\\]|\\.)*"|\s*PRI\w+)+)')
manual = "".join(path.read_text() for path in MAN.glob("*.[1-8]"))
ROOMS = ("lib", "master", "smtpd", "queue", "deliver", "pop3d", "imapd")
keys = set(re.findall(r"\w[\w.-]*", " ".join(re.findall(r"^\.It Li (.*)$", (MAN / "posthouse-log.5").read_text(), flags=re.M))))
lines = {(str(path.relative_to(settings.SOURCE)), re.sub(r'"\s*|\s*"', "", line.replace('\\"', "'")))
         for room in ROOMS
         for path in (settings.SOURCE / room).glob("**/*.c") for line in EVENT.findall(path.read_text()) if "event=" in line}
# An event that is chosen by the code: its word stands alone.
chosen = {word for room in ROOMS for path in (settings.SOURCE / room).glob("**/*.c")
          for word in re.findall(r'"([a-z-]+-(?:failed|short|again))"', path.read_text())}
is_(sorted(word for word in chosen if not re.search(rf"\b{word}\b", manual)), [], "so are those that the code chooses from")
ok(len(lines) > 100, f"{len(lines)} lines of log are found in the source")
unknown = [line for line in lines for event in re.findall(r"event=([a-z-]+)", line[1]) if not re.search(rf"\b{event}\b", manual)]
ok(not unknown, "every event is in the manual", unknown)
unknown = [line for line in lines for key in re.findall(r"(?:^|\s)([A-Za-z_.-]+)=", line[1]) if key not in keys]
ok(not unknown, "every key is in posthouse-log(5)", unknown)

# The other way: an entry of the manual, "event=x , y key= key=", has events and keys of lines that there are, and all of
# their keys, if it lists any.
entries = [(path.name, head, text) for path in sorted(MAN.glob("*.[1-8]"))
           for head, text in re.findall(r"^\.It (Li event=[^\n]*)\n(.*?)(?=^\.(?:It|El)\b)", path.read_text(), flags=re.M | re.S)]
ok(len(entries) > 50, f"{len(entries)} entries of events are found in the manual")
source = "".join(path.read_text() for room in ROOMS for path in (settings.SOURCE / room).glob("**/*.[ch]"))
spoken, told = {}, {}
# A call of log_* whose event stands in it, with all strings of the call: a key or a value may be chosen there.
for call in re.findall(r"\blog_(?:debug|info|warn)\((.*?)\);\n", source, flags=re.S):
    strings = re.findall(r'"((?:[^"\\]|\\.)*)"', call)
    for event in re.findall(r"event=([a-z-]+)", " ".join(strings)):
        line = "".join(strings)
        spoken.setdefault(event, set()).update(re.findall(r"(?:^|[\s\"])([A-Za-z_.-]+)=", line), (s for s in strings if re.fullmatch("[a-z]+", s)))
for event in re.findall(r"event=([a-z-]+)", source):
    spoken.setdefault(event, set())
for word in re.findall(r'"([a-z]+(?:-[a-z]+)*)"', source):
    if re.search(rf"\b{word}\b", " ".join(head for _, head, _ in entries)):
        spoken.setdefault(word, None)  # chosen by the code: which keys it has is not seen here
for page, head, text in entries:
    words = [word for word in head.replace(" Li ", " ").split()[1:] if word not in ",|"]
    events = [word.removeprefix("event=") for word in words if "=" not in word or word.startswith("event=")]
    listed = {word.split("=")[0] for word in words if "=" in word and not word.startswith("event=")}
    missing = [event for event in events if event not in spoken]
    ok(not missing, f"{page}: {head[3:]}: there are such lines", missing)
    known = [spoken[event] for event in events if spoken.get(event)]
    if len(known) == len(events):
        is_(sorted(listed - set().union(*known)), [], f"{page}: {head[3:]}: they have these keys")
    for event in events:
        about, lists = told.get(event, ("", False))
        told[event] = (about + head + text, lists or bool(listed))
for event, (about, lists) in sorted(told.items()):
    has = {key for key in spoken.get(event) or () if key in keys} - {"event", "id"} if lists else set()
    is_(sorted(key for key in has if not re.search(rf"(?<![\w.-]){re.escape(key)}(?![\w-])", about)), [], f"the manual has all keys of event={event}")

PRIVATE = re.compile(r"\b(house|jail|he|his|him|she|her|whoever)\b(?!=)", flags=re.I)
for path in sorted(MAN.glob("*.[1-8]")):
    found = [line for line in path.read_text().splitlines() if not line.startswith(".It Li ") and PRIVATE.search(line)]
    ok(not found, f"{path.name} uses no private words of the source, and no gendered ones", "\n".join(found))

if shutil.which("mandoc"):
    for path in sorted(MAN.glob("*.[1-8]")):
        lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(path)], capture_output=True, text=True)
        ok(not lint.stdout, f"{path.name} is clean mdoc", lint.stdout)
else:
    skip("clean mdoc", "no mandoc")
done()
