/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The plain facts firmware asks fw_cfg for: memory map, CPUs, sleep states, boot menu and boot
 * order.
 */

#include "core/config/config.h"
#include "core/machine/board.h"

/* RAM and e820, CPU counts, sleep states, the boot menu. Board lock. */
void boot_items_publish(Board *board, const MachineConfig *config);
/* `bootorder` for ORDER's letters (a floppy, c disk, d CD, n network); a -kernel comes before all.
 * Call it once all PCI devices are plugged in, and again at a reset that ends -boot once=. */
void boot_order_publish(Board *board, const MachineConfig *config, const char *order);
