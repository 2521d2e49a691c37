#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The fuzz targets of imapd: whole sessions, and the texts of structures."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fuzz

fuzz.main({"imap_session": 30})
