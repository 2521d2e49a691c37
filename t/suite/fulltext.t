#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What the compiler does not see of law 6 (a text that is full is an error that is reported), in the whole source: strings in fixed
buffers are written by the functions of lib/base/bytes.h, whose names say what a long one is, and nobody reads a struct text past
text_view() and its sisters, which ask whether it is whole."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from tap import done, is_, ok  # noqa: E402

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
ROOMS = ("lib", "master", "smtpd", "queue", "deliver", "pop3d", "imapd", "conf")
WRITERS = ("lib/base/bytes.c", "lib/base/log.c")  # the log has a limit and a mark of its own
UNASKED = re.compile(r"\b(?:v?s?nprintf|v?sprintf|str[nl]?cpy|str[nl]?cat|stpcpy)\(")
# Who changes the bytes of a text where they are, and asks `full` or has_room for it.
IN_PLACE = {
    "conf/edits.c", "imapd/answer.c", "imapd/fetchsection.c", "imapd/imap-login.c", "lib/base/bytes.c", "lib/base/file.c", "lib/conf/aliases.c",
    "lib/mail/addresslist.c", "lib/mail/encoding.c", "lib/mail/fixup.c", "lib/net/stream.c", "lib/queue/verify.c", "lib/store/cache.c",
    "lib/store/indexlog.c", "lib/wire/control.c", "lib/wire/wire.c", "master/authd/account.c", "master/authd/hash.c", "master/logd/lines.c",
    "master/logd/logd.c", "queue/resolved/resolved.c", "queue/submit/lines.c", "queue/submit/sendmail-message.c", "queue/submit/sendmail.c",
}
RAW = re.compile(r"(?:\.|->)raw\b")
WIPED = re.compile(r"explicit_bzero\([^;]*;")


def unasked(source):
    return [line.strip() for line in source.split("\n") if UNASKED.search(line)]


def readers(source):
    """The lines that read a text's bytes themselves; wiping is no reading."""
    return [line.strip() for line in WIPED.sub(";", source).split("\n") if RAW.search(line)]


is_(readers("f(line.raw);\nexplicit_bzero(line.raw, 3);\ng(text_view(&line).data);\nh(a->held.raw);"), ["f(line.raw);", "h(a->held.raw);"],
    "bytes that are read are found, wiping is not")
is_(unasked("string_print(a, 3);\nsnprintf(a, 3);\nstrncpy(a, b, 3);"), ["snprintf(a, 3);", "strncpy(a, b, 3);"], "and so are calls that cut")
paths = sorted(path for room in ROOMS for path in (SOURCE / room).glob("**/*.c"))
calls, reads, unused = {}, {}, set(IN_PLACE)
for path in paths:
    name, source = str(path.relative_to(SOURCE)), path.read_text()
    if name not in WRITERS and unasked(source):
        calls[name] = unasked(source)
    if readers(source) and name in IN_PLACE:
        unused.discard(name)
    elif readers(source):
        reads[name] = readers(source)
ok(len(paths) > 200, f"{len(paths)} files are read")
is_(calls, {}, "strings are written by string_copy, string_put, string_cut and their sisters with a format")
is_(reads, {}, "and texts are read through text_view, text_string or text_view_cut")
is_(sorted(unused), [], "those that may change them in place do")
done()
