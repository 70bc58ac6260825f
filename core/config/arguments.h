/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include <glib.h>

/* One line a flag that `apiary run` takes, appended to OUT. */
void config_describe_arguments(GString *out);
