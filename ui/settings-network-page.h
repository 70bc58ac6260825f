/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Network adapters; see network-adapter.h. */

#include "ui/settings-page.h"

#define APIARY_TYPE_SETTINGS_NETWORK_PAGE (apiary_settings_network_page_get_type())
G_DECLARE_FINAL_TYPE(ApiarySettingsNetworkPage, apiary_settings_network_page, APIARY,
                     SETTINGS_NETWORK_PAGE, ApiarySettingsPage)
