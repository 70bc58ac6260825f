/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Graphics card and pointer. */

#include "ui/settings-page.h"

#define APIARY_TYPE_SETTINGS_DISPLAY_PAGE (apiary_settings_display_page_get_type())
G_DECLARE_FINAL_TYPE(ApiarySettingsDisplayPage, apiary_settings_display_page, APIARY,
                     SETTINGS_DISPLAY_PAGE, ApiarySettingsPage)
