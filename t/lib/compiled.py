# SPDX-License-Identifier: ISC
"""The entries of a generation's map, its overlay in place, in their order: the tests' own opinion of lib/conf/map.h."""
import struct


def rows(path):
    """Keys and values of a cdb file as they stand in it, before its tables."""
    data = path.read_bytes()
    at, end = 2048, min(start for start, _ in struct.iter_unpack("<II", data[:2048]))
    while at < end:
        key, value = struct.unpack_from("<II", data, at)
        at += 8 + key + value
        yield data[at - key - value:at - value], data[at - value:at]


def overlay(generation, name):
    """Key -> (mark, value), in its order; nothing where there is none."""
    path = generation / f"{name}.more.cdb"
    return {key: (value[:1], value[1:]) for key, value in rows(path)} if path.exists() else {}


def entries(generation, name):
    changes, result = overlay(generation, name), []
    for key, value in rows(generation / f"{name}.cdb"):
        mark, instead = changes.get(key, (b"", value))
        if mark not in (b"-", b"+"):
            result.append((key, instead))
    return result + [(key, value) for key, (mark, value) in changes.items() if mark == b"+"]
