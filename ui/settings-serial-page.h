/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* What the serial ports are connected to. */

#include "ui/settings-page.h"

#define APIARY_TYPE_SETTINGS_SERIAL_PAGE (apiary_settings_serial_page_get_type())
G_DECLARE_FINAL_TYPE(ApiarySettingsSerialPage, apiary_settings_serial_page, APIARY,
                     SETTINGS_SERIAL_PAGE, ApiarySettingsPage)
