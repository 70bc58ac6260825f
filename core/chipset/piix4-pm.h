/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Function 3 of the Intel 82371AB (PIIX4), data sheet 290562: power management. It maps the ACPI
 * registers (pm.h) at PMBASE and has an SMBus host controller, on whose bus there is nothing. All
 * calls under the board lock.
 */

#include "core/chipset/pci.h"
#include "core/chipset/pm.h"

#define PIIX4_PM_FUNCTION      3
/* Where firmware puts the SMBus ports, from PMBASE; and how many there are. */
#define PIIX4_SMBUS_OFFSET     0x100
#define PIIX4_SMBUS_SIZE       0x10
/* The general purpose event the board's sleep button raises (the DSDT knows). */
#define PIIX4_SLEEP_BUTTON_GPE 2

typedef struct Piix4Pm Piix4Pm;

/* SCI is piix3_sci(). Needs board->pci with the PIIX3 on it. */
Piix4Pm *piix4_pm_new(Board *board, IrqLine sci, GError **error);
void piix4_pm_free(Piix4Pm *pm);
void piix4_pm_reset(Piix4Pm *pm);
AcpiPm *piix4_pm_acpi(Piix4Pm *pm); /* for the power button and `info` */
void piix4_pm_sleep_button(Piix4Pm *pm);
/* The PMBASE in use, or 0 while its ports are not decoded or there is no PIIX4. */
uint16_t piix4_pm_base(PciBus *bus);
