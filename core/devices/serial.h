/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "core/chardev/chardev.h"

/* A 16550A UART at eight I/O ports (National Semiconductor NS16550A/PC16550D data sheet). */
typedef struct Serial Serial;

/* Board lock held for all. CHARDEV may be NULL (nothing attached); it is not owned. */
Serial *serial_new(Board *board, uint16_t port, IrqLine irq, Chardev *chardev);
void serial_free(Serial *serial);
void serial_reset(Serial *serial);
