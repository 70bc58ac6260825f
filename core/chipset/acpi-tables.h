/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * The ACPI tables of the machine (ACPI 6.4): RSDP, XSDT and RSDT, FADT, FACS, MADT, HPET, WAET and
 * the DSDT (dsdt.c), published through fw_cfg's table loader for the firmware to place and link.
 */

#include "core/chipset/aml.h"
#include "core/machine/board.h"

typedef struct {
    bool hpet;
    bool serial[2]; /* COM1, COM2 */
    uint8_t
        floppy_type[2]; /* as in CMOS byte 10h: 0 none, 1 360K, 2 1.2M, 3 720K, 4 1.44M, 5 2.88M */
    bool floppy_controller;
} AcpiOptions;

/* Needs board->fw_cfg, n_cpus and the RAM sizes. The FADT follows the PIIX4's PMBASE when the guest
 * reads it, or has the address SeaBIOS gives it. Board lock. */
void acpi_tables_publish(Board *board, const AcpiOptions *options);

/* The DSDT's body, without its header (dsdt.c). */
Aml *acpi_dsdt(const Board *board, const AcpiOptions *options, uint16_t pm_base);
