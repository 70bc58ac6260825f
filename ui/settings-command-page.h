/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The same machine as a command line and as a libvirt domain. */

#include "ui/settings-page.h"

#define APIARY_TYPE_SETTINGS_COMMAND_PAGE (apiary_settings_command_page_get_type())
G_DECLARE_FINAL_TYPE(ApiarySettingsCommandPage, apiary_settings_command_page, APIARY,
                     SETTINGS_COMMAND_PAGE, ApiarySettingsPage)
