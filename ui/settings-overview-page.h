/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* What the machine is, in words, with its notes. */

#include "ui/settings-page.h"

#define APIARY_TYPE_SETTINGS_OVERVIEW_PAGE (apiary_settings_overview_page_get_type())
G_DECLARE_FINAL_TYPE(ApiarySettingsOverviewPage, apiary_settings_overview_page, APIARY,
                     SETTINGS_OVERVIEW_PAGE, ApiarySettingsPage)
