/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "ui/vm.h"

#include <gtk/gtk.h>

#define APIARY_TYPE_SETTINGS_WINDOW (apiary_settings_window_get_type())
G_DECLARE_FINAL_TYPE(ApiarySettingsWindow, apiary_settings_window, APIARY, SETTINGS_WINDOW,
                     GtkApplicationWindow)

/* A machine's settings. They are kept at once; what a running machine cannot change now is marked
 * and comes with its next start. */
ApiarySettingsWindow *apiary_settings_window_new(GtkApplication *application, ApiaryVm *vm);
ApiaryVm *apiary_settings_window_get_vm(ApiarySettingsWindow *window);
