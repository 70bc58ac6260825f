/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Memory, CPUs, firmware, clock and boot order. */

#include "ui/settings-page.h"

#define APIARY_TYPE_SETTINGS_SYSTEM_PAGE (apiary_settings_system_page_get_type())
G_DECLARE_FINAL_TYPE(ApiarySettingsSystemPage, apiary_settings_system_page, APIARY,
                     SETTINGS_SYSTEM_PAGE, ApiarySettingsPage)
