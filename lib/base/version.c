/* SPDX-License-Identifier: ISC */
#include "lib/base/version.h"

#include <assert.h>

const char version_text[] = POSTHOUSE_VERSION;

static_assert(sizeof version_text <= VERSION_MAX, "peers make room for this much");
