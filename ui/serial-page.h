/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* COM1 in a terminal. */

#include "ui/vm.h"

#include <gtk/gtk.h>

#define APIARY_TYPE_SERIAL_PAGE (apiary_serial_page_get_type())
G_DECLARE_FINAL_TYPE(ApiarySerialPage, apiary_serial_page, APIARY, SERIAL_PAGE, GtkBox)

void apiary_serial_page_set_vm(ApiarySerialPage *page, ApiaryVm *vm);
