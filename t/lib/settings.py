# SPDX-License-Identifier: ISC
"""The settings as settings.def lists them, for the manual's test.  Run as a program it writes them into posthouse.conf(5)."""
import pathlib
import re

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
MACROS = {"SYSCONFDIR": "/etc/posthouse", "LOCALSTATEDIR": "/var", "RUNSTATEDIR": "/run/posthouse"}
ARGUMENT = {"INT": "number", "SIZE": "size", "DURATION": "time", "BOOL": "yes|no", "CHOICE": None, "STRING": "text",
            "DIRECTORY": "directory", "LISTEN": "addresses"}


def _text(expression):
    for name, value in MACROS.items():
        expression = re.sub(rf"\b{name}\b", f'"{value}"', expression)
    return "".join(re.findall(r'"([^"]*)"', expression))


def rows():
    """("heading", text) and ("setting", type, key, default, range, help, readers) in order."""
    text = (SOURCE / "lib/conf/settings.def").read_text()
    text = text[text.index("*/", text.index("SPDX") + 40) + 2:]
    string = r'((?:[A-Z]+ ?)?(?:"[^"]*")?)'
    pattern = re.compile(r'/\* (.*?) \*/|SETTING\((\w+), "([^"]+)", \w+, ' + string + r', "([^"]*)",\s*"([^"]*)",\s*"([^"]*)"\)')
    for match in pattern.finditer(text):
        if match[1]:
            yield ("heading", match[1])
        else:
            yield ("setting", match[2], match[3], _text(match[4]), match[5], match[7], match[6])


def default_words(default):
    return f"default {default}" if default else "default empty"


def range_words(kind, limits):
    if kind in ("INT", "SIZE", "DURATION"):
        low, high = limits.split("..")
        return f"from {low} to {high}"
    return ""


def manual_item(row):
    _, kind, key, default, limits, help_, _ = row
    argument = ARGUMENT[kind] or limits
    limits = range_words(kind, limits)
    return (f".It Ic {key} Ar {argument}\n{help_}\n"
            f".Pq {default_words(default)}{', ' + limits if limits else ''}\n").replace(". ", ".\n").replace("; keys/ ", "; keys/ ")


def manual_part():
    out, open_list = "", False
    for row in rows():
        if row[0] == "heading":
            out += (".El\n" if open_list else "") + f".Ss {row[1].rstrip('.')}\n.Bl -tag -width Ds\n"
            open_list = True
        else:
            out += manual_item(row)
    return out + ".El\n"


if __name__ == "__main__":
    page = SOURCE / "man/posthouse.conf.5"
    text = page.read_text()
    start, end = text.index("\n.Ss ") + 1, text.index(".Sh FILES")
    page.write_text(text[:start] + manual_part() + text[end:])
