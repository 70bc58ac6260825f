/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Fields made from an option table (core/device.h): a switch, a choice, a number or a text an
 * option, with its help as tooltip and what is wrong with a value under it. A field that is empty
 * or has the default stands for "not given".
 *
 * Signal: "changed": the values have been changed, and are valid
 */

#include "core/config/options.h"

#include <gtk/gtk.h>

#define APIARY_TYPE_OPTION_FORM (apiary_option_form_get_type())
G_DECLARE_FINAL_TYPE(ApiaryOptionForm, apiary_option_form, APIARY, OPTION_FORM, GtkGrid)

/* VALUES, whose table is TABLE, are not owned and must live until the next call. LEFT_OUT: options
 * that are shown elsewhere, NULL-terminated; back ends' ids and lists are always left out. */
void apiary_option_form_set_values(ApiaryOptionForm *form, const OptionInfo *table,
                                   OptionValues *values, const char *const *left_out);
/* Makes the option's help WIDGET's tooltip. */
void apiary_option_set_help(GtkWidget *widget, const OptionInfo *table, const char *option);
