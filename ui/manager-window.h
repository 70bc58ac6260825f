/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "ui/application.h"

#define APIARY_TYPE_MANAGER_WINDOW (apiary_manager_window_get_type())
G_DECLARE_FINAL_TYPE(ApiaryManagerWindow, apiary_manager_window, APIARY, MANAGER_WINDOW,
                     GtkApplicationWindow)

ApiaryManagerWindow *apiary_manager_window_new(GtkApplication *application);
