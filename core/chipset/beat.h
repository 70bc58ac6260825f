/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Periodic interrupt sources (PIT, HPET, APIC timer, RTC) compute each beat from their start, so
 * they never drift. When the host comes late, the beats it owes are delivered one after another
 * with a little room between them, for guests that count ticks; what is older than that is dropped.
 * The same spacing bounds the work a guest can ask for with an absurdly short period.
 */

#include <stdbool.h>
#include <stdint.h>

#define BEAT_SPACING_NS  50000
#define BEAT_CATCH_UP_NS 250000000

/* A beat that should have come at DUE is not worth delivering at NOW (ns). */
static inline bool beat_is_lost(int64_t due, int64_t now)
{
    return due < now - BEAT_CATCH_UP_NS;
}

/* When to deliver a beat due at DUE if another one has just been delivered at NOW (ns). */
static inline int64_t beat_deadline(int64_t due, int64_t now)
{
    return due > now + BEAT_SPACING_NS ? due : now + BEAT_SPACING_NS;
}
