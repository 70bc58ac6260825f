/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Drives and their media: create, attach, resize, convert, insert, eject. */

#include "ui/settings-page.h"

#define APIARY_TYPE_SETTINGS_STORAGE_PAGE (apiary_settings_storage_page_get_type())
G_DECLARE_FINAL_TYPE(ApiarySettingsStoragePage, apiary_settings_storage_page, APIARY,
                     SETTINGS_STORAGE_PAGE, ApiarySettingsPage)
