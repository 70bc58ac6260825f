/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "core/device.h"

/* Intel 82540EM, the card that QEMU calls e1000. */
extern const DeviceClass e1000_class;
