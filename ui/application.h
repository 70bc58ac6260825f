/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "ui/collection.h"

#include <gtk/gtk.h>

#define APIARY_TYPE_APPLICATION (apiary_application_get_type())
G_DECLARE_FINAL_TYPE(ApiaryApplication, apiary_application, APIARY, APPLICATION, GtkApplication)

ApiaryApplication *apiary_application_get(void);
/* The user's machines; read on first use. */
ApiaryCollection *apiary_application_get_collection(ApiaryApplication *application);

GtkWindow *apiary_application_open_vm(ApiaryApplication *application, ApiaryVm *vm);
GtkWindow *apiary_application_find_vm_window(ApiaryApplication *application, ApiaryVm *vm);
void apiary_application_open_settings(ApiaryApplication *application, ApiaryVm *vm);
/* ISO may be NULL. */
void apiary_application_new_machine(ApiaryApplication *application, const char *iso);
/* Asks before the last window closes with machines still running. True: go on. False: WINDOW stays,
 * and is destroyed when the answer is yes. */
gboolean apiary_application_may_close(ApiaryApplication *application, GtkWindow *window);
