#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The fuzz targets of lib/net and lib/mail, over real mail too where it is at hand."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fuzz

fuzz.main({"address": 300, "mime": 300, "charset": 100, "stream": 30}, with_real_mail=True)
