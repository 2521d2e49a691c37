#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The fuzz targets of authd and the login programs."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fuzz

fuzz.main({"sasl": 3000, "imap_login": 2000, "pop3_login": 2000})
