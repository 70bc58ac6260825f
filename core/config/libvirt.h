/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

#include "core/config/config.h"

/* CONFIG as a libvirt domain (https://libvirt.org/formatdomain.html), for `virsh define`. What
 * libvirt has no words for (debug ports, QMP sockets) is left out. */
char *config_to_libvirt_xml(const MachineConfig *config);
