/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/* Starts and stops captures of one network of a running machine, and tells where they are written.
 */

#include "ui/vm.h"

#include <gtk/gtk.h>

#define APIARY_TYPE_CAPTURE_BOX (apiary_capture_box_get_type())
G_DECLARE_FINAL_TYPE(ApiaryCaptureBox, apiary_capture_box, APIARY, CAPTURE_BOX, GtkBox)

/* What it shows: network ID of VM, which outlives the box. ID NULL: no network. Called again
 * whenever the machine has changed. */
void apiary_capture_box_set_network(ApiaryCaptureBox *box, ApiaryVm *vm, const char *id);
