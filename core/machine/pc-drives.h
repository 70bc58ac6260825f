/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The drives of a Pc and their media; what clients see of them is in pc.h. */

#include "core/devices/fdc.h"
#include "core/devices/ide.h"
#include "core/machine/pc-private.h"

/* Their opaque is the Pc. */
extern const FdcEvents pc_fdc_events;
extern const IdeEvents pc_ide_events;

/* Opens the image of every configured drive; errors name it. */
bool pc_attach_drives(Pc *pc, GError **error);
