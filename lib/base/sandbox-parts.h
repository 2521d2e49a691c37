/* SPDX-License-Identifier: ISC */
/* The parts of sandbox.c, one file each. Nobody else includes this. */
#ifndef LIB_BASE_SANDBOX_PARTS_H
#define LIB_BASE_SANDBOX_PARTS_H

#include "lib/base/sandbox.h"

/* Files, outgoing TCP, signals and abstract sockets, as far as this kernel's Landlock goes: its
 * ABI, 0 when there is none. Fatal when there is one and it refuses. */
int sandbox_landlock(const struct sandbox_profile *profile);

/* The ABI alone. */
int sandbox_landlock_abi(void);

/* Files below this directory alone, of those that could be reached before. */
void sandbox_landlock_below(int directory);

/* A promise beside those of sandbox.h, of whoever is no worker. */
enum { SANDBOX_NO_WORKER = 1 << 30 };

/* The filter of system calls; false when this kernel or this machine has none. Fatal when there is
 * one and it refuses. */
bool sandbox_seccomp(unsigned promises);

#endif
