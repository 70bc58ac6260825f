/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The program's own preferences; machines keep theirs in their machine file. */

#include <gio/gio.h>

/* One object for the whole program. Values survive without dconf: they go to a key file in
 * $XDG_CONFIG_HOME/apiary then. */
GSettings *apiary_preferences(void);

#define APIARY_PREFERENCE_SCALING      "scaling"
#define APIARY_PREFERENCE_RESIZE       "resize-to-guest"
#define APIARY_PREFERENCE_MANAGER_SIZE "manager-size"
