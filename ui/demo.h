/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "ui/application.h"

/* Starts the demo machine, made on first use; says how to make its CD when there is none. */
void apiary_demo_start(ApiaryApplication *application, GtkWindow *parent);
