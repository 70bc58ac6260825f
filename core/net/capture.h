/* SPDX-License-Identifier: GPL-3.0-or-later */
#pragma once

/*
 * Packet capture: -object filter-dump. Every frame of one network goes to a file in the classic
 * pcap format that tcpdump and Wireshark open. Board lock held for all.
 */

#include "core/net/net.h"

#define CAPTURE_KIND "filter-dump" /* QEMU's name for it */

/* -object's options. */
extern const OptionInfo capture_options[];

typedef struct {
    const char *id, *file;  /* valid as long as the capture is */
    uint64_t frames, bytes; /* written so far; bytes of frames, not of the file */
    bool failed;            /* the file takes no more: the error was reported */
} CaptureInfo;

/* Opens the file (one that exists is replaced) and adds the capture to BACKEND, which owns it; it
 * ends with net_backend_remove_tap() by its id. Errors name the file. */
bool capture_start(NetBackend *backend, const OptionValues *values, GError **error);
/* False when TAP is no capture. */
bool capture_describe(const NetTap *tap, CaptureInfo *info);
