/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The SMBIOS tables (DMTF DSP0134 2.8): what the machine is called and how much memory and how many
 * CPUs it has. Firmware places them and adds its own type 0.
 */

#include "core/config/config.h"
#include "core/machine/board.h"

/* Publishes etc/smbios/smbios-anchor and -tables and the fw_cfg UUID, which is made of the
 * machine's name and folder and so stays the same from run to run. Board lock. */
void smbios_publish(Board *board, const MachineConfig *config);
