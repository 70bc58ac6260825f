/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The power management registers of the PIIX4 as ACPI uses them (82371AB 7.2, "Power Management I/O
 * Register Descriptions"; ACPI 4.8): PM1a event and control blocks, the 24-bit PM timer, GPE0, and
 * the APM ports B2-B3 through which firmware hands over (SMI_CMD). The PCI function around it maps
 * the block.
 *
 *   base + 0  PM1_STS  + 2 PM1_EN  + 4 PM1_CNT  + 8 PM_TMR  + 0Ch GPE0_STS (2)  + 0Eh GPE0_EN (2)
 *
 * Board lock held in every call.
 */

#include "core/machine/board.h"

typedef struct AcpiPm AcpiPm;

enum {
    ACPI_PM_SIZE = 0x40,       /* ports behind PMBASE */
    ACPI_PM_EVENT = 0x00,      /* FADT: PM1a_EVT_BLK, 4 bytes */
    ACPI_PM_CONTROL = 0x04,    /* PM1a_CNT_BLK, 2 bytes */
    ACPI_PM_TIMER = 0x08,      /* PM_TMR_BLK, 4 bytes */
    ACPI_PM_GPE0 = 0x0c,       /* GPE0_BLK, 4 bytes */
    ACPI_SMI_CMD = 0xb2,       /* FADT: SMI_CMD */
    ACPI_ENABLE_VALUE = 0xf1,  /* FADT: ACPI_ENABLE */
    ACPI_DISABLE_VALUE = 0xf0, /* FADT: ACPI_DISABLE */
    ACPI_SLEEP_SOFT_OFF = 0,   /* SLP_TYP for the DSDT's _S5 (82371AB 7.2.3) */
};

#define ACPI_PM_TIMER_HZ 3579545u

AcpiPm *acpi_pm_new(Board *board, IrqLine sci);
void acpi_pm_free(AcpiPm *pm);
void acpi_pm_reset(AcpiPm *pm);
/* Puts the block at port BASE (PMBASE, 64-byte aligned) or takes it away (PMREGMISC bit 0). */
void acpi_pm_map(AcpiPm *pm, uint16_t base, bool enable);
/* The power button was pressed. False: the guest has not enabled ACPI, nobody will hear of it. */
bool acpi_pm_power_button(AcpiPm *pm);
/* General purpose event 0-15 happened. */
void acpi_pm_gpe(AcpiPm *pm, unsigned event);
void acpi_pm_describe(AcpiPm *pm, GString *out);
