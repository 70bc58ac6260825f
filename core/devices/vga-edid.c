/* SPDX-License-Identifier: GPL-3.0-or-later */

/* The monitor's description (VESA Enhanced EDID Standard, release A revision 2: EDID 1.4). */

#include "core/devices/vga-core.h"

#define EDID_SIZE        128
#define DPI              96
#define REFRESH_HZ       60
#define DESCRIPTOR_FIRST 54
#define DESCRIPTOR_SIZE  18

static unsigned millimetres(unsigned pixels)
{
    return pixels * 254 / (DPI * 10);
}

/* A detailed timing with the CVT reduced blanking's proportions (VESA CVT 1.1, section 3.4.2). */
static void detailed_timing(uint8_t *d, unsigned width, unsigned height)
{
    unsigned h_blank = 160, h_front = 48, h_sync = 32;
    unsigned v_front = 3, v_sync = 6, v_blank = MAX(height * 46 / 1500, v_front + v_sync + 6);
    uint64_t clock = (uint64_t)(width + h_blank) * (height + v_blank) * REFRESH_HZ / 10000;
    clock = MIN(clock, UINT16_MAX); /* the largest pictures refresh more slowly */
    unsigned mm_x = millimetres(width), mm_y = millimetres(height);
    d[0] = (uint8_t)clock; /* 10 kHz */
    d[1] = (uint8_t)(clock >> 8);
    d[2] = (uint8_t)width;
    d[3] = (uint8_t)h_blank;
    d[4] = (uint8_t)((width >> 8) << 4 | h_blank >> 8);
    d[5] = (uint8_t)height;
    d[6] = (uint8_t)v_blank;
    d[7] = (uint8_t)((height >> 8) << 4 | v_blank >> 8);
    d[8] = (uint8_t)h_front;
    d[9] = (uint8_t)h_sync;
    d[10] = (uint8_t)((v_front & 15) << 4 | (v_sync & 15));
    d[11] = (uint8_t)((h_front >> 8) << 6 | (h_sync >> 8) << 4 | (v_front >> 4) << 2 | v_sync >> 4);
    d[12] = (uint8_t)mm_x;
    d[13] = (uint8_t)mm_y;
    d[14] = (uint8_t)((mm_x >> 8) << 4 | mm_y >> 8);
    d[17] = 0x1a; /* digital separate sync, +h -v */
}

static void text_descriptor(uint8_t *d, uint8_t tag, const char *text)
{
    d[3] = tag;
    memset(d + 5, ' ', 13);
    size_t length = MIN(strlen(text), 13);
    memcpy(d + 5, text, length);
    if (length < 13)
        d[5 + length] = '\n';
}

void vga_edid_build(uint8_t edid[EDID_SIZE], unsigned width, unsigned height)
{
    static const uint8_t header[8] = {0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00};
    /* Chromaticity of sRGB (IEC 61966-2-1) */
    static const uint8_t srgb[10] = {0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54};
    /* Standard timings, 60 Hz: (width / 8 - 31), aspect ratio in bits 7-6 (1 4:3, 2 5:4, 3 16:9,
     * 0 16:10) */
    static const struct {
        uint16_t width;
        uint8_t aspect;
    } standard[8] = {{1920, 3}, {1920, 0}, {1680, 0}, {1600, 1},
                     {1440, 0}, {1280, 2}, {1280, 0}, {1024, 1}};
    width &= ~7u; /* the guest's frame buffers are of whole characters */
    memset(edid, 0, EDID_SIZE);
    memcpy(edid, header, sizeof(header));
    unsigned maker = ('A' - '@') << 10 | ('P' - '@') << 5 | ('Y' - '@');
    edid[8] = (uint8_t)(maker >> 8);
    edid[9] = (uint8_t)maker;
    edid[10] = 0x01; /* product */
    edid[16] = 0;    /* week unknown */
    edid[17] = 2024 - 1990;
    edid[18] = 1;
    edid[19] = 4;
    edid[20] = 0xa5; /* digital, 8 bits a colour, DisplayPort */
    edid[21] = (uint8_t)MIN(millimetres(width) / 10, 255);
    edid[22] = (uint8_t)MIN(millimetres(height) / 10, 255);
    edid[23] = 220 - 100; /* gamma 2.2 */
    edid[24] = 0x06;      /* sRGB; the preferred timing is the native one */
    memcpy(edid + 25, srgb, sizeof(srgb));
    edid[35] = 0x21; /* 640x480, 800x600 at 60 Hz */
    edid[36] = 0x08; /* 1024x768 at 60 Hz */
    for (unsigned i = 0; i < G_N_ELEMENTS(standard); i++) {
        edid[38 + i * 2] = (uint8_t)(standard[i].width / 8 - 31);
        edid[39 + i * 2] = (uint8_t)(standard[i].aspect << 6 | (REFRESH_HZ - 60));
    }
    uint8_t *descriptor = edid + DESCRIPTOR_FIRST;
    detailed_timing(descriptor, width, height);

    descriptor += DESCRIPTOR_SIZE;
    descriptor[3] = 0xfd; /* range limits: Hz, kHz, 10 MHz */
    descriptor[5] = 50;
    descriptor[6] = 125;
    descriptor[7] = 30;
    descriptor[8] = 160;
    descriptor[9] = 255;
    descriptor[10] = 0x01; /* range limits only */
    descriptor[11] = '\n';
    memset(descriptor + 12, ' ', 6);

    text_descriptor(descriptor + DESCRIPTOR_SIZE, 0xfc, "Apiary");
    text_descriptor(descriptor + 2 * DESCRIPTOR_SIZE, 0xff, "1");

    uint8_t sum = 0;
    for (int i = 0; i < EDID_SIZE - 1; i++)
        sum += edid[i];
    edid[EDID_SIZE - 1] = (uint8_t)-sum;
}
