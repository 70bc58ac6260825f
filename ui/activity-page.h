/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* What the machine does, over the last minute. */

#include "ui/vm.h"

#include <gtk/gtk.h>

#define APIARY_TYPE_ACTIVITY_PAGE (apiary_activity_page_get_type())
G_DECLARE_FINAL_TYPE(ApiaryActivityPage, apiary_activity_page, APIARY, ACTIVITY_PAGE,
                     GtkScrolledWindow)

void apiary_activity_page_set_vm(ApiaryActivityPage *page, ApiaryVm *vm);
