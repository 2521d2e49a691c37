#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What stands between double quotes in a line of the log is passed through log_text (lib/base/log.h), whoever's words it is: by every
call of log_* in the source, so that nobody forges a key."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from tap import done, is_, ok  # noqa: E402

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
STRING = r'"(?:[^"\\]|\\.)*"'
CONVERSION = re.compile(r"%[-0-9.]*(\*?)(?:hh|h|ll|l|z|j)?([a-zA-Z%])")


def arguments(text, at):
    """Of the call whose parenthesis opened before `at`: what stands between its commas."""
    found, depth, begin = [], 1, at
    while depth:
        string = re.compile(STRING + r"|'(?:[^'\\]|\\.)'").match(text, at)
        if string:
            at = string.end()
            continue
        depth += (text[at] in "([{") - (text[at] in ")]}")
        if depth == 0 or (depth == 1 and text[at] == ","):
            found.append(text[begin:at].strip())
            begin = at + 1
        at += 1
    return found


def faults(text):
    """The arguments that stand between quotes as they are; how many calls there are."""
    found, calls = [], 0
    for call in re.finditer(r"\blog_(?:info|warn|debug)\(", text):
        format, *rest = arguments(text, call.end())
        words = "".join(s[1:-1] if s.startswith('"') else "llu" for s in re.findall(rf"{STRING}|PRI\w+", format))
        calls += 1
        for conversion in CONVERSION.finditer(words):
            if conversion[2] in "%m":
                continue
            value = rest.pop(0)
            if conversion[1] and "VIEW_ARG" not in value:
                value = rest.pop(0)
            quoted = words[:conversion.start()].count('\\"') % 2 == 1
            own = not re.sub(rf"{STRING}|[\w>.()!=<&| -]+\?|:|\s|[()]", "", value)
            if quoted and conversion[2] == "s" and not value.startswith("log_text(") and not own:
                found.append(f"line {text[:call.start()].count(chr(10)) + 1}: {value}")
    return found, calls


is_(faults('log_info("id=%s reason=\\"%s\\"", id, why.text);')[0], ["line 1: why.text"], "words as they are are found")
is_(faults('log_info("reason=\\"%s\\" n=%d", log_text(v), n); log_info("id=%s", id); log_warn("x=\\"%s\\"", a ? "b" : "c");'),
    ([], 3), "escaped and own ones are right")
everything, calls = {}, 0
for path in sorted(path for room in ("lib", "master", "smtpd", "queue", "deliver", "pop3d", "imapd") for path in (SOURCE / room).glob("**/*.c")):
    found, count = faults(path.read_text())
    calls += count
    if found:
        everything[str(path.relative_to(SOURCE))] = found
ok(calls > 150, f"{calls} calls are found")
is_(everything, {}, "and all pass what they quote through log_text")
done()
