/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "ui/vm.h"

#include <gtk/gtk.h>

#define APIARY_TYPE_MACHINE_WINDOW (apiary_machine_window_get_type())
G_DECLARE_FINAL_TYPE(ApiaryMachineWindow, apiary_machine_window, APIARY, MACHINE_WINDOW,
                     GtkApplicationWindow)

/* One machine: its console, serial line and activity. */
ApiaryMachineWindow *apiary_machine_window_new(GtkApplication *application, ApiaryVm *vm);
ApiaryVm *apiary_machine_window_get_vm(ApiaryMachineWindow *window);
