#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The fuzz targets of the mailbox store and of pop3d."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fuzz

fuzz.main({"store_name": 5000, "store_index": 150, "pop3_command": 5000})
