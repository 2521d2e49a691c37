#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The fuzz targets of porter, keyd and logd."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fuzz

fuzz.main({"proxy": 3000, "sign": 3000, "loglines": 3000})
