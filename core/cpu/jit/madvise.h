/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* madvise() with what Linux knows and not yet every C library. An older Linux refuses it. */

#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
