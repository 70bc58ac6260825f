/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "ui/vm.h"

#include <gtk/gtk.h>

#define APIARY_TYPE_MACHINE_ROW (apiary_machine_row_get_type())
G_DECLARE_FINAL_TYPE(ApiaryMachineRow, apiary_machine_row, APIARY, MACHINE_ROW, GtkListBoxRow)

/* One machine in the manager's list, with the "vm" actions of its menu. */
GtkWidget *apiary_machine_row_new(ApiaryVm *vm);
ApiaryVm *apiary_machine_row_get_vm(ApiaryMachineRow *row);
GActionGroup *apiary_machine_row_get_actions(ApiaryMachineRow *row);
