#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The fuzz targets of smtpd."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fuzz

fuzz.main({"smtp_data": 2000, "smtp_session": 1000})
