/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <gtk/gtk.h>

#define APIARY_TYPE_NEW_MACHINE_ASSISTANT (apiary_new_machine_assistant_get_type())
G_DECLARE_FINAL_TYPE(ApiaryNewMachineAssistant, apiary_new_machine_assistant, APIARY,
                     NEW_MACHINE_ASSISTANT, GtkWindow)

ApiaryNewMachineAssistant *apiary_new_machine_assistant_new(GtkApplication *application,
                                                            GtkWindow *parent);
/* Begins with a disc image, or with an existing disk, chosen already. */
void apiary_new_machine_assistant_set_medium(ApiaryNewMachineAssistant *assistant,
                                             const char *path);
void apiary_new_machine_assistant_import(ApiaryNewMachineAssistant *assistant);
