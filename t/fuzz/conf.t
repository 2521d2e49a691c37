#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The fuzz targets of lib/conf."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fuzz

fuzz.main({"maptext": 300, "settings": 300})  # mutations of each corpus file
