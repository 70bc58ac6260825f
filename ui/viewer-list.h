/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Who looks at a running machine by VNC, with a button each to hang up. */

#include "ui/vm.h"

#include <gtk/gtk.h>

#define APIARY_TYPE_VIEWER_LIST (apiary_viewer_list_get_type())
G_DECLARE_FINAL_TYPE(ApiaryViewerList, apiary_viewer_list, APIARY, VIEWER_LIST, GtkBox)

/* VM outlives the list. Called again whenever the machine has changed. */
void apiary_viewer_list_update(ApiaryViewerList *list, ApiaryVm *vm);
