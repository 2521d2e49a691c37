#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The fuzz targets of the queue's room."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fuzz

fuzz.main({"queuefile": 3000, "wire": 3000})
