/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * A page of the settings window: shows and changes one side of a machine's kept settings. What a
 * running machine cannot change is kept for its next start and marked "after power-off".
 */

#include "ui/vm.h"

#include <gtk/gtk.h>

#define APIARY_TYPE_SETTINGS_PAGE (apiary_settings_page_get_type())
G_DECLARE_DERIVABLE_TYPE(ApiarySettingsPage, apiary_settings_page, APIARY, SETTINGS_PAGE, GtkBox)

struct _ApiarySettingsPageClass {
    GtkBoxClass parent_class;
    /* From the settings to the widgets; also whenever the machine or its settings change. */
    void (*update)(ApiarySettingsPage *page);
};

void apiary_settings_page_set_vm(ApiarySettingsPage *page, ApiaryVm *vm);
ApiaryVm *apiary_settings_page_get_vm(ApiarySettingsPage *page);
/* The settings that are kept. */
MachineConfig *apiary_settings_page_get_config(ApiarySettingsPage *page);
/* Those it runs with, or NULL. */
const MachineConfig *apiary_settings_page_get_running(ApiarySettingsPage *page);
/* Handlers of widgets do nothing while update() sets them. */
bool apiary_settings_page_is_filling(ApiarySettingsPage *page);
void apiary_settings_page_save(ApiarySettingsPage *page);

/* The label under a field: "After power-off: NOW → NEXT", hidden when they are the same or NOW is
 * NULL because the machine is off. */
void apiary_settings_show_pending(GtkWidget *label, const char *now, const char *next);
/* The label under a field: what is wrong with it, or hidden for NULL. */
void apiary_settings_show_problem(GtkWidget *label, const char *problem);
void apiary_settings_set_text(char **field, const char *text);
void apiary_settings_clear(GtkWidget *container);
