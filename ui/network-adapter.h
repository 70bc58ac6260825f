/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* One network adapter on the settings' page: what it is connected to, address, cable, forwards. */

#include "ui/settings-page.h"

#define APIARY_TYPE_NETWORK_ADAPTER (apiary_network_adapter_get_type())
G_DECLARE_FINAL_TYPE(ApiaryNetworkAdapter, apiary_network_adapter, APIARY, NETWORK_ADAPTER, GtkBox)

/* The Nth adapter of PAGE's machine. PAGE is not owned. */
GtkWidget *apiary_network_adapter_new(ApiarySettingsPage *page, unsigned n);
void apiary_network_adapter_update(ApiaryNetworkAdapter *adapter);
