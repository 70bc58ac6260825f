/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* The VNC server: whether, where and for whom it listens, and who is connected. Changes of a
 * running machine come about at once. */

#include "ui/settings-page.h"

#define APIARY_TYPE_SETTINGS_REMOTE_PAGE (apiary_settings_remote_page_get_type())
G_DECLARE_FINAL_TYPE(ApiarySettingsRemotePage, apiary_settings_remote_page, APIARY,
                     SETTINGS_REMOTE_PAGE, ApiarySettingsPage)
