#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""ENVELOPE and BODYSTRUCTURE, over real mail too where it is at hand."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import fuzz

fuzz.main({"imap_structure": 300}, with_real_mail=True)
